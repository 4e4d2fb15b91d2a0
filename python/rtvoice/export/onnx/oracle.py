"""The offline output of an ONNX model: what the stream is measured against."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rtvoice.errors import ModelError

from .importer import Imported
from .inputs import clean, parameter_shape
from .source import require_onnx

F64 = NDArray[np.float64]


class Oracle:
    """Runs an imported model's source offline.

    A model in float16 runs in float32, with the same weights: that is what the stream computes.

    Parameters
    ----------
    imported
        The model.
    runner
        ``"onnxruntime"``, with all of its optimisations off, or ``"onnx"``, the reference implementation in float64.

    Raises
    ------
    ModelError
        onnxruntime is not installed.
    """

    def __init__(self, imported: Imported, runner: str = "onnxruntime") -> None:
        self._imported = imported
        self._reference: Any = None
        self._session: Any = None
        self.name = "onnxruntime"
        if runner == "onnx":
            self._take_reference()
            return
        try:
            import onnxruntime
        except ImportError:
            raise ModelError("the comparison with the source needs onnxruntime; pip install 'rtvoice[onnx]'") from None
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = 1
        options.log_severity_level = 4
        try:
            self._session = onnxruntime.InferenceSession(
                widened(imported.source.model, "FLOAT").SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except Exception:  # its own types; an operator of a new opset that it does not have yet
            self._take_reference()

    def _take_reference(self) -> None:
        onnx = require_onnx()
        self._reference = onnx.reference.ReferenceEvaluator(
            widened(self._imported.source.model, "DOUBLE"), new_ops=[_quick_conv()]
        )
        self.name = "onnx's reference implementation in float64"

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
                given = (parameters or {}).get(clean(port.name), 0.0)
                shape = parameter_shape(port, reading)
                feeds[port.name] = (
                    np.broadcast_to(np.ravel(given), (int(np.prod(shape)),)).reshape(shape).astype(np.float32)
                )
        names = [out.source for out in self._imported.outputs]
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
            feeds = {name: array.astype(np.float64) for name, array in feeds.items()}
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


def _quick_conv() -> Any:
    """Return a Conv for the reference implementation that is about 100 times as fast as its own along time."""
    slow: Any = import_module("onnx.reference.ops.op_conv").Conv

    def run(self: Any, x: Any, weight: Any, bias: Any = None, **attrs: Any) -> Any:
        if x.ndim != 3 or attrs.get("auto_pad") not in (None, "NOTSET", b"NOTSET"):
            return slow._run(self, x, weight, bias, **attrs)
        pads, stride = attrs.get("pads") or [0, 0], (attrs.get("strides") or [1])[0]
        dilation, groups = (attrs.get("dilations") or [1])[0], attrs.get("group") or 1
        x = np.pad(x, [(0, 0), (0, 0), tuple(pads)])
        taps = weight.shape[2]
        count = (x.shape[2] - (taps - 1) * dilation - 1) // stride + 1
        parts = []
        for rows, kernel in zip(np.split(x, groups, axis=1), np.split(weight, groups), strict=True):
            starts = [tap * dilation for tap in range(taps)]
            seen = (rows[:, :, start : start + (count - 1) * stride + 1 : stride] for start in starts)
            parts.append(sum(kernel[:, :, tap] @ frames for tap, frames in enumerate(seen)))
        y = np.concatenate(parts, axis=1)
        return (y if bias is None else y + bias[:, None],)

    return type("Conv", (slow,), {"_run": run})


def widened(model: Any, to: str) -> Any:
    """Return a copy of a model whose float tensors, casts and ports are of type `to`: ``"FLOAT"`` or ``"DOUBLE"``."""
    onnx = require_onnx()
    wide = onnx.TensorProto.DataType.Value(to)
    narrow = {onnx.TensorProto.FLOAT16} if to == "FLOAT" else {onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT}
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    graphs = [copy.graph]
    while graphs:
        graph = graphs.pop()
        del graph.value_info[:]  # exporters have been wrong here
        for item in graph.initializer:
            _widen(onnx, item, narrow, wide)
        for item in (*graph.input, *graph.output):
            if item.type.tensor_type.elem_type in narrow:
                item.type.tensor_type.elem_type = wide
        for item in graph.output:  # a wrong declared length must not stop the run
            item.type.tensor_type.ClearField("shape")
        for node in graph.node:
            for attribute in node.attribute:
                if attribute.HasField("t"):
                    _widen(onnx, attribute.t, narrow, wide)
                if attribute.HasField("g"):
                    graphs.append(attribute.g)
                if node.op_type == "Cast" and attribute.name == "to" and attribute.i in narrow:
                    attribute.i = wide
    return copy


def _widen(onnx: Any, tensor: Any, narrow: set[int], wide: int) -> None:
    if tensor.data_type in narrow:
        array = onnx.numpy_helper.to_array(tensor).astype(onnx.helper.tensor_dtype_to_np_dtype(wide))
        tensor.CopyFrom(onnx.numpy_helper.from_array(array, tensor.name))
