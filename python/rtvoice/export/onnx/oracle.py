"""The offline output of an ONNX model: what the stream is measured against."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rtvoice.errors import ModelError

from .importer import Imported
from .inputs import parameter_shape
from .source import require_onnx

F64 = NDArray[np.float64]


class Oracle:
    """Runs an imported model's source offline, with onnxruntime and all of its optimisations off.

    A model in float16 runs in float32, with the same weights: that is what the stream computes.

    Raises
    ------
    ModelError
        onnxruntime is not installed.
    """

    def __init__(self, imported: Imported) -> None:
        self._imported = imported
        model = as_float32(imported.source.model)
        self._reference: Any = None
        self._session: Any = None
        self.name = "onnxruntime"
        try:
            import onnxruntime
        except ImportError:
            raise ModelError("the comparison with the source needs onnxruntime; pip install onnxruntime") from None
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = 1
        options.log_severity_level = 4
        try:
            self._session = onnxruntime.InferenceSession(
                model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except Exception:  # its own types; an operator of a new opset that it does not have yet
            self._reference = require_onnx().reference.ReferenceEvaluator(model)
            self.name = "onnx's reference implementation"

    @property
    def length(self) -> int | None:
        """Length that the model was exported for; None where it is free."""
        return self._imported.reading.length

    def run(self, signal: ArrayLike, parameters: Mapping[str, ArrayLike] | None = None) -> dict[str, F64]:
        """Return the outputs by name as ``(frames, channels)``.

        Parameters
        ----------
        signal
            The audio, ``(n,)``.
        parameters
            The other inputs by name; 0 where left out.
        """
        reading = self._imported.reading
        samples = np.asarray(signal)
        feeds: dict[str, Any] = {}
        for port in self._imported.source.inputs:
            if port.name == reading.audio.name:
                feeds[port.name] = samples.reshape(reading.shape(len(samples))).astype(np.float32)
            else:
                given = (parameters or {}).get(port.name, 0.0)
                shape = parameter_shape(port, reading)
                feeds[port.name] = (
                    np.broadcast_to(np.ravel(given), (int(np.prod(shape)),)).reshape(shape).astype(np.float32)
                )
        names = [out.name for out in self._imported.outputs]
        if self._session is not None:
            types = {item.name: item.type for item in self._session.get_inputs()}
            feeds = {
                name: array.astype(np.float64) if "double" in types[name] else array for name, array in feeds.items()
            }
            try:
                arrays = self._session.run(names, feeds)
            except Exception as error:  # its own types
                reason = str(error).splitlines()[0][:200]
                raise ModelError(
                    f"onnxruntime cannot run the model with {len(samples)} samples ({reason}); a length of time was "
                    "frozen when it was exported: use the legacy exporter (dynamo=False) with a dynamic time axis"
                ) from None
        else:
            results = dict(
                zip([item for item in self._reference.output_names], self._reference.run(None, feeds), strict=True)
            )
            arrays = [results[name] for name in names]
        return {out.name: _frames(array, out.time) for out, array in zip(self._imported.outputs, arrays, strict=True)}


def _frames(array: Any, time: int | None) -> F64:
    values = np.asarray(array, np.float64)
    if time is None:
        return values.reshape(1, -1)
    return np.ascontiguousarray(np.moveaxis(values, time, 0).reshape(values.shape[time], -1))


def as_float32(model: Any) -> Any:
    """Return a copy of a model whose float16 tensors, casts and ports are float32."""
    onnx = require_onnx()
    half, single = onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    graphs = [copy.graph]
    while graphs:
        graph = graphs.pop()
        del graph.value_info[:]  # exporters have been wrong here
        for item in graph.initializer:
            _widen(onnx, item)
        for item in (*graph.input, *graph.output):
            if item.type.tensor_type.elem_type == half:
                item.type.tensor_type.elem_type = single
        for item in graph.output:  # a wrong declared length must not stop the run
            item.type.tensor_type.ClearField("shape")
        for node in graph.node:
            for attribute in node.attribute:
                if attribute.HasField("t"):
                    _widen(onnx, attribute.t)
                if attribute.HasField("g"):
                    graphs.append(attribute.g)
                if node.op_type == "Cast" and attribute.name == "to" and attribute.i == half:
                    attribute.i = single
    return copy


def _widen(onnx: Any, tensor: Any) -> None:
    if tensor.data_type == onnx.TensorProto.FLOAT16:
        array = onnx.numpy_helper.to_array(tensor).astype(np.float32)
        tensor.CopyFrom(onnx.numpy_helper.from_array(array, tensor.name))
