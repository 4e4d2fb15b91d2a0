"""Constant folding: nodes that no stream reaches are computed once, by onnx's own reference implementation."""

from __future__ import annotations

from typing import Any

import numpy as np

from .amounts import MOST, sizes_made, too_many
from .following import follow
from .ir import Array
from .source import require_onnx
from .symbols import Symbol, beyond, of_array
from .values import Known, known

# The reference implementation has no older form, and the newer one means the same for what an older file can hold.
_RUNS_FROM = {"DequantizeLinear": 19}
HUGE = " ahead of the stream"
SQUARE = "more than 10^8 numbers, a mask of time by time that is longer than what is followed"
_SPREADING = ("Add", "Sub", "Mul", "Div", "Less", "LessOrEqual", "Greater", "GreaterOrEqual", "Equal", "Where", "And")


def fold(node: Any, inputs: list[Known | None], opset: int, probes: int) -> list[Known]:
    """Compute a node of known inputs for every probe.

    Raises
    ------
    ValueError
        The reference implementation cannot compute it.
    """
    shared = all(item is None or item.constant is not None for item in inputs)
    runs = []
    for probe in range(1 if shared else probes):
        arrays = [None if item is None else item.at(probe) for item in inputs]
        runs.append(_evaluate(node, arrays, opset))
    if shared:
        return [known([array]) for array in runs[0]]
    columns = [[run[index] for run in runs] for index in range(len(runs[0]))]
    given = [None if item is None else _symbol(item) for item in inputs]
    return [proven(column, symbol) for column, symbol in zip(columns, follow(node, given, columns), strict=True)]


def _symbol(item: Known) -> Symbol:
    return item.symbol or (of_array(item.arrays[0]) if len(item.arrays) == 1 else Symbol(None))


def proven(arrays: list[Array], symbol: Symbol) -> Known:
    """Return numbers computed from the length: a constant only where they are the same whatever the length."""
    found = known(arrays)
    if found.constant is not None and beyond(symbol, remainders=False) is None:
        return found
    return Known(tuple(arrays), "", symbol)


def _evaluate(node: Any, arrays: list[Array | None], opset: int) -> list[Array]:
    _check_size(node, arrays)
    quick = _quick(node, arrays)
    if quick is not None:
        return [quick]
    onnx = require_onnx()
    feeds = {name: array for name, array in zip(node.input, arrays, strict=True) if array is not None and name}
    infos = [
        onnx.helper.make_tensor_value_info(name, onnx.helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in feeds.items()
    ]
    names = [name for name in node.output if name]
    outputs = [onnx.helper.make_empty_tensor_value_info(name) for name in names]
    opset = max(opset, _RUNS_FROM.get(node.op_type, 0))
    graph = onnx.helper.make_graph([node], "fold", infos, outputs)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)])
    try:
        with np.errstate(all="ignore"):
            results = onnx.reference.ReferenceEvaluator(model).run(None, feeds)
    except Exception as error:  # the evaluator raises whatever numpy raises
        raise ValueError(
            f"cannot be computed ahead ({str(error).splitlines()[0] if str(error) else 'error'})"
        ) from None
    by_name = {name: np.asarray(result) for name, result in zip(names, results, strict=True)}
    return [by_name.get(name, np.zeros(0)) for name in node.output]


def _quick(node: Any, arrays: list[Array | None]) -> Array | None:
    """Compute the few nodes that exporters make by the hundred, or as large as a mask; None for the others."""
    if node.op_type == "Where" and all(array is not None for array in arrays):
        condition, first, second = (np.asarray(array) for array in arrays)
        if first.dtype == second.dtype:  # the reference implementation copies the result once more
            return np.where(condition, first, second)
    if node.op_type == "Identity" and arrays[0] is not None:
        return arrays[0]
    if node.op_type == "Constant":
        for attribute in node.attribute:
            if attribute.name == "value":
                return np.asarray(require_onnx().numpy_helper.to_array(attribute.t))
    return None


def _check_size(node: Any, arrays: list[Array | None]) -> None:
    made = sizes_made(node, arrays[0].shape if arrays and arrays[0] is not None else (), arrays)
    complaint = too_many(made, MOST, HUGE) if made is not None else None
    if complaint:
        raise ValueError(complaint)
    if node.op_type in _SPREADING:
        try:
            shape = np.asarray(np.broadcast_shapes(*(array.shape for array in arrays if array is not None)))
        except ValueError:
            return
        if float(np.prod(shape.astype(np.float64))) > MOST:
            raise ValueError(f"compares {' by '.join(str(size) for size in shape if size > 1)} frames: {SQUARE}")
