"""Rounding a source's matrices to float16, in the source: then it can still be run, and be compared with the stream."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
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


def rounded(source: Source, values: Mapping[str, Value]) -> Source:
    """Return a source whose layers read matrices rounded to float16.

    A matrix that the graph computes (weight norm) is rounded where a layer reads it. One with numbers beyond
    float16's range stays as it is.

    Parameters
    ----------
    source
        What was read.
    values
        What the walk over it found.
    """
    onnx = require_onnx()
    model = onnx.ModelProto()
    model.CopyFrom(source.model)
    added: dict[str, Array] = {}
    graphs = [model.graph]
    while graphs:
        graph = graphs.pop()
        for node in graph.node:
            graphs.extend(attribute.g for attribute in node.attribute if attribute.HasField("g"))
            if not any(isinstance(values.get(name), Stream) for name in node.input):
                continue
            for place in _MATRICES.get(node.op_type, ()):
                value = values.get(node.input[place]) if place < len(node.input) else None
                array = value.constant if isinstance(value, Known) else None
                if array is None or not isinstance(value, Known):
                    continue
                matrix = _rounded(array)
                if matrix is not None:
                    name = f"{value.name or node.input[place]}~{len(added)}"
                    added[name] = matrix
                    node.input[place] = name
    _store(onnx, model, added)
    return replace(source, model=model, constants={**source.constants, **added})


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
