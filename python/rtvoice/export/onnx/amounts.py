"""How many numbers a node would make, told from its inputs before the memory for them is asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from .ir import Array
from .source import require_onnx

# A tensor of ones as long as the recording is computed ahead too (the probes are about 10^5 samples long); more is a
# mistake.
MOST = 1 << 27
# Of one frame of a signal: 64 times the channels of the widest layer, and 32 MB of indices.
MOST_IN_A_FRAME = 1 << 22
SMALLER = "give it a smaller size; where the size is not what the network was written with, export it again"
_WINDOWS = ("HannWindow", "HammingWindow", "BlackmanWindow")
Arrays = Sequence[Array | None]


def sizes_made(node: Any, shape: Sequence[int], arrays: Arrays) -> list[float] | None:
    """Return the shape that a node gives; None where it makes no more than it reads, or that cannot be told.

    Parameters
    ----------
    node
        The ONNX node.
    shape
        The shape of its first input.
    arrays
        Its inputs where they are constants, else None.
    """
    rule = _RULES.get(node.op_type)
    if rule is None:
        return None
    helper = require_onnx().helper
    attrs = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    try:
        return [max(0.0, float(size)) for size in rule([float(size) for size in shape], arrays, attrs)]
    except (LookupError, TypeError, ValueError, ZeroDivisionError):
        return None  # what is wrong with it is told where it is computed


def too_many(sizes: Sequence[float], most: int, where: str) -> str | None:
    """Return what is wrong with a shape of more than `most` numbers; None where it is not."""
    count = prod(sizes)
    return f"makes {count:.3g} numbers{where}, and at most {most} are made" if not count <= most else None


def _numbers(arrays: Arrays, index: int) -> list[float]:
    array = arrays[index]
    if array is None:
        raise LookupError
    return [float(item) for item in np.ravel(array)]


def _expanded(shape: list[float], arrays: Arrays, attrs: dict[str, Any]) -> list[float]:
    target = _numbers(arrays, 1)
    rank = max(len(shape), len(target))
    sides = ([1.0] * (rank - len(side)) + side for side in (shape, target))
    return [max(pair) for pair in zip(*sides, strict=True)]


def _tiled(shape: list[float], arrays: Arrays, attrs: dict[str, Any]) -> list[float]:
    return [size * times for size, times in zip(shape, _numbers(arrays, 1), strict=True)]


def _padded(shape: list[float], arrays: Arrays, attrs: dict[str, Any]) -> list[float]:
    pads = [float(item) for item in attrs["pads"]] if "pads" in attrs else _numbers(arrays, 1)
    axes = _numbers(arrays, 3) if len(arrays) > 3 and arrays[3] is not None else range(len(shape))
    for place, axis in enumerate(axes):
        shape[int(axis)] += pads[place] + pads[place + len(pads) // 2]
    return shape


def _resized(shape: list[float], arrays: Arrays, attrs: dict[str, Any]) -> list[float]:
    axes = [int(axis) for axis in attrs.get("axes", range(len(shape)))]
    if len(arrays) > 3 and arrays[3] is not None:
        for axis, size in zip(axes, _numbers(arrays, 3), strict=True):
            shape[axis] = size
        return shape
    for axis, scale in zip(axes, _numbers(arrays, 1 if len(arrays) == 2 else 2), strict=True):
        shape[axis] *= scale
    return shape


def _ranged(shape: list[float], arrays: Arrays, attrs: dict[str, Any]) -> list[float]:
    start, end, step = (_numbers(arrays, index)[0] for index in range(3))
    return [(end - start) / step]


def _one_hot(shape: list[float], arrays: Arrays, attrs: dict[str, Any]) -> list[float]:
    return [*shape, _numbers(arrays, 1)[0]]


def _filled(shape: list[float], arrays: Arrays, attrs: dict[str, Any]) -> list[float]:
    return _numbers(arrays, 0)


_RULES: dict[str, Callable[[list[float], Arrays, dict[str, Any]], list[float]]] = {
    "Expand": _expanded, "Tile": _tiled, "Pad": _padded, "Resize": _resized, "Upsample": _resized, "Range": _ranged,
    "OneHot": _one_hot, "ConstantOfShape": _filled, **dict.fromkeys(_WINDOWS, _filled),
}  # fmt: skip
