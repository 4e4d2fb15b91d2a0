"""Rounding a source's matrices to float16, in the source: then it can still be run, and be compared with the stream."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from .ir import Array
from .source import Source, require_onnx
from .values import Known, Stream, Value

# Which inputs of an operator become matrices of the model file.
_MATRICES = {
    "Conv": (1,),
    "ConvTranspose": (1,),
    "Gemm": (0, 1),
    "MatMul": (0, 1),
    "Einsum": (0, 1),
    "GRU": (1, 2),
    "LSTM": (1, 2),
}


def halved(array: Array) -> Array | None:
    """Return a matrix in float16, or None where that would change a number or there is none."""
    with np.errstate(over="ignore"):
        half = array.astype(np.float16)
    return half if np.array_equal(half.astype(array.dtype), array) else None


#: Rows per hop up to which the engine keeps 16 bits in memory: with more, widening them anew costs more than reading.
SHARED_ROWS = 4
#: Bytes of float32 that a first-level cache holds: matrices that fit there all together are not waited for.
NEAR_BYTES = 32 * 1024


def read_by_few_rows(source: Source, values: Mapping[str, Value], hop: int) -> Callable[[Any, int], bool]:
    """Return which matrices the engine waits for, as a test of an ONNX node and the number of its input.

    Those that at most `SHARED_ROWS` rows of a hop share, and none where all of them together are small.

    Parameters
    ----------
    source
        What was read.
    values
        What the walk over it found.
    hop
        Samples per step of the stream.
    """

    def few(node: Any, place: int) -> bool:
        if node.op_type in ("GRU", "LSTM") and place == 2:
            return True  # a state has one row
        names = node.input if node.op_type == "ConvTranspose" else node.output
        rates = [value.node.rate for value in map(values.get, names) if isinstance(value, Stream)]
        return bool(rates) and max(rates) * hop <= Fraction(SHARED_ROWS)

    found = 0
    for _, node, place, array in _matrices(source.model, values):
        found += 4 * array.size if few(node, place) else 0
    return few if found > NEAR_BYTES else lambda node, place: False


def rounded(source: Source, values: Mapping[str, Value], chosen: Callable[[Any, int], bool] | None = None) -> Source:
    """Return a source whose layers read matrices rounded to float16; the same one where none is chosen.

    A matrix that the graph computes (weight norm) is rounded where a layer reads it. One with numbers beyond
    float16's range stays as it is.

    Parameters
    ----------
    source
        What was read.
    values
        What the walk over it found.
    chosen
        Which inputs of which nodes; all where left out.
    """
    onnx = require_onnx()
    model = onnx.ModelProto()
    model.CopyFrom(source.model)
    added: dict[str, Array] = {}
    for name, node, place, array in _matrices(model, values):
        matrix = _rounded(array) if chosen is None or chosen(node, place) else None
        if matrix is not None:
            added[f"{name}~{len(added)}"] = matrix
            node.input[place] = f"{name}~{len(added) - 1}"
    if not added and chosen is not None:
        return source
    _store(onnx, model, added)
    return replace(source, model=model, constants={**source.constants, **added})


def _matrices(model: Any, values: Mapping[str, Value]) -> Iterator[tuple[str, Any, int, Array]]:
    """Yield what layers over streams read: a name, the node, the number of its input, the numbers."""
    for graph in _graphs(model):
        for node in graph.node:
            if not any(isinstance(values.get(name), Stream) for name in node.input):
                continue
            for place in _MATRICES.get(node.op_type, ()):
                value = values.get(node.input[place]) if place < len(node.input) else None
                if isinstance(value, Known) and value.constant is not None and value.constant.ndim > 1:
                    yield value.name or node.input[place], node, place, value.constant


def _rounded(array: Array) -> Array | None:
    if array.ndim < 2 or array.dtype.kind != "f" or array.dtype == np.float16:
        return None
    with np.errstate(over="ignore"):
        half = array.astype(np.float16)
    return half.astype(array.dtype) if np.isfinite(half).all() else None


def _store(onnx: Any, model: Any, added: Mapping[str, Array]) -> None:
    model.graph.initializer.extend(onnx.numpy_helper.from_array(array, name) for name, array in added.items())
    read = {name for graph in _graphs(model) for node in graph.node for name in node.input}
    read.update(item.name for graph in _graphs(model) for item in (*graph.input, *graph.output))
    kept = [item for item in model.graph.initializer if item.name in read]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)


def _graphs(model: Any) -> list[Any]:
    found, todo = [], [model.graph]
    while todo:
        graph = todo.pop()
        found.append(graph)
        todo.extend(attribute.g for node in graph.node for attribute in node.attribute if attribute.HasField("g"))
    return found
