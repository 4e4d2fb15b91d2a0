"""Reading and writing safetensors files with numpy alone.

The order of keys and tensors is fixed, so that equal contents give equal bytes. The data starts at a multiple of 64
bytes and wider types come first, so that every tensor is aligned to its element.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import ModelError

MAX_HEADER = 16 << 20  # bytes
_ALIGN = 64
_WIDTH = {"F32": 4, "F16": 2, "BF16": 2, "I8": 1}
_SCALE = ".scale"  # after the name of an I8 tensor: the tensor of its steps


@dataclass(frozen=True, eq=False)
class BFloat16:
    """A bfloat16 array, which numpy lacks: the upper halves of float32 values.

    Attributes
    ----------
    bits
        uint16 array of any shape.
    """

    bits: NDArray[np.uint16]

    @classmethod
    def round(cls, values: NDArray[Any]) -> BFloat16:
        """Round finite values to the nearest bfloat16, ties to even."""
        words = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32).astype(np.uint64)
        return cls(((words + 0x7FFF + ((words >> np.uint64(16)) & np.uint64(1))) >> np.uint64(16)).astype(np.uint16))

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return self.bits.shape

    def widen(self) -> NDArray[np.float32]:
        """Return the values as float32."""
        return (self.bits.astype(np.uint32) << np.uint32(16)).view(np.float32)


@dataclass(frozen=True, eq=False)
class Int8:
    """An array of 8-bit whole numbers times steps, one for all or one for each place along an axis.

    Attributes
    ----------
    values
        int8 array of any shape.
    scale
        float32 array of as many axes, all of length 1 but for one at most.
    """

    values: NDArray[np.int8]
    scale: NDArray[np.float32]

    @classmethod
    def round(cls, values: NDArray[Any], axis: int = 0) -> Int8:
        """Round finite values to 255 steps for each place along `axis`.

        Steps have 4 significant bits, rounded up, so that each product has at most 11: a float16 number, which the
        engine keeps 16 bits wide in memory. That costs half a dB against steps of any length.
        """
        others = tuple(i for i in range(values.ndim) if i != axis)
        most = np.abs(values).max(axis=others, keepdims=True).astype(np.float64) / 127
        part, power = np.frexp(most)
        step = np.ldexp(np.ceil(part * 16) / 16, power)
        whole = np.rint(values / np.where(step > 0, step, 1))
        return cls(whole.astype(np.int8), step.astype(np.float32))

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return self.values.shape

    def widen(self) -> NDArray[np.float32]:
        """Return the values as float32."""
        return self.values.astype(np.float32) * self.scale


Array = NDArray[np.float32] | NDArray[np.float16] | BFloat16 | Int8


def widened(array: Array) -> NDArray[np.float32]:
    """Return an array's values as float32."""
    return array.widen() if isinstance(array, (BFloat16, Int8)) else np.asarray(array, np.float32)


def _encode(array: Array) -> tuple[str, bytes]:
    if isinstance(array, BFloat16):
        return "BF16", np.ascontiguousarray(array.bits, dtype="<u2").tobytes()
    if isinstance(array, Int8):
        return "I8", np.ascontiguousarray(array.values, dtype="i1").tobytes()
    if array.dtype == np.float32:
        return "F32", np.ascontiguousarray(array, dtype="<f4").tobytes()
    if array.dtype == np.float16:
        return "F16", np.ascontiguousarray(array, dtype="<f2").tobytes()
    raise ValueError(f"tensors are float32, float16, BFloat16 or Int8, not {array.dtype}")


def write(tensors: Mapping[str, Array], metadata: Mapping[str, str]) -> bytes:
    """Return a safetensors file.

    Parameters
    ----------
    tensors
        Arrays by name: float32, float16, `BFloat16` or `Int8`, whose steps become a tensor `NAME.scale`.
    metadata
        Strings by name.
    """
    steps = {name + _SCALE: array.scale for name, array in tensors.items() if isinstance(array, Int8)}
    if taken := sorted(steps.keys() & tensors.keys()):
        raise ValueError(
            f"tensor {taken[0]!r}: the name belongs to the steps of {taken[0][: -len(_SCALE)]!r}; rename it"
        )
    tensors = {**tensors, **steps}
    encoded = {name: (*_encode(array), list(array.shape)) for name, array in tensors.items()}
    order = sorted(encoded, key=lambda name: (-_WIDTH[encoded[name][0]], name))
    header: dict[str, Any] = {"__metadata__": dict(sorted(metadata.items()))}
    offset = 0
    for name in order:
        dtype, data, shape = encoded[name]
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, offset + len(data)]}
        offset += len(data)
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode("ascii")
    text += b" " * (-(8 + len(text)) % _ALIGN)
    if len(text) > MAX_HEADER:
        raise ValueError(f"the header has {len(text)} bytes, the limit is {MAX_HEADER}")
    return b"".join([len(text).to_bytes(8, "little"), text, *(encoded[name][1] for name in order)])


def unique_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make a dict of a JSON object's pairs; ModelError on a key that comes twice (for ``object_pairs_hook``)."""
    out: dict[str, Any] = {}
    for key, value in pairs:
        if key in out:
            raise ModelError(f"JSON key {key!r} comes twice; keep one")
        out[key] = value
    return out


def parse_json(text: str | bytes, place: str) -> dict[str, Any]:
    """Parse a JSON object strictly: no duplicate keys, no NaN or Infinity."""

    def refuse(token: str) -> None:
        raise ModelError(f"{place}: {token} is not a JSON number; write a finite value")

    try:
        value = json.loads(text, object_pairs_hook=unique_object, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{place}: not valid JSON ({error}); the file is damaged, fetch or export it again") from None
    if not isinstance(value, dict):
        raise ModelError(f"{place}: must be a JSON object")
    return value


def _tensor(name: str, entry: Any, data: memoryview) -> tuple[int, int, Array]:
    place = f"tensor {name!r}"
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise ModelError(f"{place}: must have exactly dtype, shape and data_offsets")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _WIDTH:
        raise ModelError(f"{place}: dtype is {dtype!r}; convert it to F32, F16, BF16 or I8")
    for what, numbers in (("shape", shape), ("data_offsets", offsets)):
        if not isinstance(numbers, list) or any(type(n) is not int or not 0 <= n < 2**48 for n in numbers):
            raise ModelError(f"{place}: {what} must be non-negative integers")
    if not 1 <= len(shape) <= 8 or 0 in shape:
        raise ModelError(f"{place}: shape is {shape}; it must have 1 to 8 axes of 1 or more")
    if len(offsets) != 2 or not offsets[0] <= offsets[1] <= len(data):
        raise ModelError(
            f"{place}: data_offsets are {offsets}, the file has {len(data)} bytes of data; it is cut off or damaged"
        )
    count = 1
    for size in shape:
        count *= size
    begin, end = offsets
    if end - begin != count * _WIDTH[dtype]:
        raise ModelError(f"{place}: data_offsets hold {end - begin} bytes, its shape asks for {count * _WIDTH[dtype]}")
    raw = data[begin:end]
    if dtype == "BF16":
        bf16 = BFloat16(np.frombuffer(raw, dtype="<u2").reshape(shape))
        finite = bool(np.isfinite(bf16.widen()).all())
        return begin, end, _finite(bf16, finite, place)
    if dtype == "I8":
        return begin, end, Int8(np.frombuffer(raw, dtype="i1").reshape(shape), np.ones((1,) * len(shape), np.float32))
    array = np.frombuffer(raw, dtype="<f4" if dtype == "F32" else "<f2").reshape(shape)
    return begin, end, _finite(array, bool(np.isfinite(array).all()), place)


def _finite(array: Array, finite: bool, place: str) -> Array:
    if not finite:
        raise ModelError(f"{place}: has values that are not finite; export the model again")
    return array


def read(data: bytes) -> tuple[dict[str, Array], dict[str, str]]:
    """Read a safetensors file.

    Parameters
    ----------
    data
        The whole file.

    Returns
    -------
    tensors, metadata
        Read-only arrays by name, and the strings of ``__metadata__``. ModelError for anything damaged or unsupported.
    """
    if len(data) < 8:
        raise ModelError(f"file: has {len(data)} bytes, too short for a model; fetch or export it again")
    size = int.from_bytes(data[:8], "little")
    if size > MAX_HEADER or size > len(data) - 8:
        raise ModelError(
            f"file: the header length is {size} bytes, the file has {len(data)}; it is cut off or not a model"
        )
    header = parse_json(data[8 : 8 + size], "header")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or any(not isinstance(value, str) for value in metadata.values()):
        raise ModelError("header: __metadata__ must be an object of strings")
    body = memoryview(data)[8 + size :]
    found = {name: _tensor(name, entry, body) for name, entry in header.items()}
    position = 0
    for name, (begin, end, _) in sorted(found.items(), key=lambda item: item[1][0]):
        if begin != position:
            kind = "overlaps the tensor before it" if begin < position else f"leaves a gap of {begin - position} bytes"
            raise ModelError(f"tensor {name!r}: {kind} at data offset {begin}; the file is damaged")
        position = end
    if position != len(body):
        raise ModelError(f"file: {len(body) - position} bytes follow the last tensor; the file is damaged")
    return _scaled({name: array for name, (_, _, array) in found.items()}), metadata


def _scaled(tensors: dict[str, Array]) -> dict[str, Array]:
    """Join 8-bit tensors with their steps."""
    for name, array in list(tensors.items()):
        if not isinstance(array, Int8):
            continue
        scale = tensors.pop(name + _SCALE, None)
        if (
            not isinstance(scale, np.ndarray)
            or scale.dtype != np.float32
            or scale.ndim != len(array.shape)
            or any(steps not in (1, length) for steps, length in zip(scale.shape, array.shape, strict=True))
            or sum(steps != 1 for steps in scale.shape) > 1
        ):
            raise ModelError(
                f"tensor {name!r}: is I8 and needs an F32 tensor {name + _SCALE!r} of as many axes, all of 1 "
                "but for one at most; export the model again"
            )
        joined = Int8(array.values, scale.astype(np.float32, copy=False))
        tensors[name] = _finite(joined, bool(np.isfinite(joined.widen()).all()), f"tensor {name!r}")
    return tensors
