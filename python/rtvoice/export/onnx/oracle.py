"""The offline output of an ONNX model: what the stream is measured against."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rtvoice.errors import ModelError

from .importer import Imported
from .inputs import Frames, clean, parameter_shape, state_shape
from .source import Port, first_line, require_onnx
from .write import Out

F64 = NDArray[np.float64]
_PART = 64  # nodes: their results fit a second-level cache, and a run of one costs little more than its nodes


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
        self._unread = ""  # why onnxruntime does not read the model
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
        except Exception as error:  # its own types; an operator of a new opset that it does not have yet
            self._unread = first_line(error)
            self._take_reference()

    def _take_reference(self) -> None:
        onnx = require_onnx()
        self._reference = _InParts(onnx, widened(self._imported.source.model, "DOUBLE"), [_quick_conv()])
        self.name = "onnx's reference implementation in float64"

    @property
    def length(self) -> int | None:
        """Length that the model was exported for; None where it is free."""
        return self._imported.reading.length if self._imported.reading.frames is None else None

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
        if reading.frames is not None:
            return self._run_frames(reading.frames, np.asarray(samples, np.float32), parameters or {})
        feeds: dict[str, Any] = self._resting()
        for port in self._imported.source.inputs:
            if port.name in feeds:
                continue
            if port.name == reading.audio.name:
                feeds[port.name] = samples.reshape(reading.shape(len(samples))).astype(np.float32)
            else:
                feeds[port.name] = self._parameter(port, parameters or {})
        names = [out.source for out in self._imported.outputs]
        arrays = self._call(names, feeds, f"{len(samples)} samples")
        return {out.name: _frames(array, out) for out, array in zip(self._imported.outputs, arrays, strict=True)}

    def _parameter(self, port: Port, parameters: Mapping[str, ArrayLike]) -> Any:
        given = parameters.get(clean(port.name), 0.0)
        shape = parameter_shape(port, self._imported.reading)
        return np.broadcast_to(np.ravel(given), (int(np.prod(shape)),)).reshape(shape).astype(np.float32)

    def _resting(self) -> dict[str, Any]:
        """Return the inputs that are numbers, and the states at the start."""
        reading = self._imported.reading
        feeds: dict[str, Any] = {}
        for port in self._imported.source.inputs:
            if port.name in reading.constants:
                kind = np.float32 if port.floating else np.int64
                feeds[port.name] = np.full(
                    tuple(size or 1 for size in port.dims or ()), reading.constants[port.name], kind
                )
            elif port.name in reading.states:
                feeds[port.name] = np.zeros(state_shape(port), np.float32)
        return feeds

    def _run_frames(self, frames: Frames, samples: Any, parameters: Mapping[str, ArrayLike]) -> dict[str, F64]:
        """Run a network over frames: all of them at once, or one call for each with its states handed on."""
        rows = frames.cut(samples)
        feeds = self._resting()
        fixed = {part.port.name for part in frames.parts} | set(feeds)
        for port in self._imported.source.inputs:
            if port.name not in fixed:
                feeds[port.name] = self._parameter(port, parameters)
        outputs = self._imported.outputs
        names = [out.source for out in outputs]
        edges = np.cumsum([0, *(part.size for part in frames.parts)])
        if frames.timed:
            for part, first, last in zip(frames.parts, edges[:-1], edges[1:], strict=True):
                assert part.time is not None
                rest = [size for axis, size in enumerate(part.axes) if axis != part.time]
                whole = rows[:, first:last].reshape(len(rows), *rest)
                feeds[part.port.name] = np.ascontiguousarray(np.moveaxis(whole, 0, part.time))
            arrays = self._call(names, feeds, f"{len(rows)} frames")
            return {out.name: _frames(array, out) for out, array in zip(outputs, arrays, strict=True)}
        states = self._imported.reading.states
        found: dict[str, list[Any]] = {out.name: [] for out in outputs}
        for row in rows:
            for part, first, last in zip(frames.parts, edges[:-1], edges[1:], strict=True):
                feeds[part.port.name] = row[first:last].reshape(part.axes)
            arrays = self._call([*names, *states.values()], feeds, "one frame")
            for out, array in zip(outputs, arrays, strict=False):
                found[out.name].append(np.ravel(array))
            feeds.update(zip(states, arrays[len(names) :], strict=True))
        return {name: np.asarray(values, np.float64) for name, values in found.items()}

    def _call(self, names: list[str], feeds: dict[str, Any], what: str) -> list[Any]:
        if self._session is not None:
            types = {item.name: item.type for item in self._session.get_inputs()}
            feeds = {
                name: array.astype(np.float64) if "double" in types[name] else array for name, array in feeds.items()
            }
            try:
                return list(self._session.run(names, feeds))
            except Exception as error:  # its own types
                reason = str(error).splitlines()[0][:200]
                raise ModelError(
                    f"onnxruntime cannot run the model with {what} ({reason}); a length of time was "
                    "frozen when it was exported: use the legacy exporter (dynamo=False) with a dynamic time axis"
                ) from None
        feeds = {
            name: array.astype(np.float64) if np.asarray(array).dtype.kind == "f" else array
            for name, array in feeds.items()
        }
        try:
            with np.errstate(all="ignore"):  # a sigmoid written as 1 / (1 + exp(-x)) overflows, and is right
                found = self._reference.run(feeds)
        except Exception as error:  # whatever numpy raises
            if self._unread:
                raise ModelError(
                    f"onnxruntime does not read the model ({self._unread}), and onnx's reference implementation cannot "
                    f"run it ({first_line(error)}); the file is damaged, or not as the ONNX standard has it: export it "
                    "again"
                ) from None
            raise ModelError(f"onnx's reference implementation cannot run the model ({first_line(error)})") from None
        results = dict(zip(list(self._reference.output_names), found, strict=True))
        return [results[name] for name in names]


class _InParts:
    """The reference implementation, some nodes at a time.

    It keeps all results of a run, and a sum into memory that was never touched takes 17 times as long as one elsewhere.

    Parameters
    ----------
    onnx
        The package.
    model
        The model.
    new_ops
        Operators of our own.
    """

    def __init__(self, onnx: Any, model: Any, new_ops: list[Any]) -> None:
        graph, helper = model.graph, onnx.helper
        self.output_names = [item.name for item in graph.output]
        nodes = list(graph.node)
        nested = any(attribute.HasField("g") for node in nodes for attribute in node.attribute)
        size = len(nodes) if nested else _PART  # what a branch reads of the graph around it is not told
        weights = {item.name: item for item in graph.initializer}
        last = {name: place for place, node in enumerate(nodes) for name in node.input}
        last.update(dict.fromkeys(self.output_names, len(nodes)))
        self._parts: list[tuple[Any, list[str], list[str], int]] = []
        for start in range(0, len(nodes), max(1, size)):
            part, stop = nodes[start : start + size], min(start + size, len(nodes))
            made = dict.fromkeys(name for node in part for name in node.output if name)
            read = dict.fromkeys(name for node in part for name in node.input if name and name not in made)
            whole = size == len(nodes)
            taken = [item.name for item in graph.input] if whole else [name for name in read if name not in weights]
            given = self.output_names if whole else [name for name in made if last.get(name, -1) >= stop]
            infos = [[helper.make_empty_tensor_value_info(name) for name in names] for names in (taken, given)]
            kept = list(weights.values()) if whole else [weights[name] for name in read if name in weights]
            piece = helper.make_model(helper.make_graph(part, "part", *infos, kept), opset_imports=model.opset_import)
            evaluator = onnx.reference.ReferenceEvaluator(piece, new_ops=new_ops)
            self._parts.append((evaluator, taken, given, stop))
        self._last = last
        self._constant = {
            name: onnx.numpy_helper.to_array(weights[name]) for name in self.output_names if name in weights
        }

    def run(self, feeds: dict[str, Any]) -> list[Any]:
        """Return the outputs."""
        values = {**self._constant, **feeds}
        for part, taken, given, stop in self._parts:
            found = part.run(given, {name: values[name] for name in taken if name in values})
            values.update(zip(given, found, strict=True))
            values = {name: array for name, array in values.items() if self._last.get(name, -1) >= stop}
        return [values[name] for name in self.output_names]


def _frames(array: Any, out: Out) -> F64:
    values, time = np.asarray(array, np.float64), out.time
    if time is None:
        return values.reshape(1, -1)
    if time >= values.ndim:
        raise ModelError(
            f"output '{out.source}' has {values.ndim} axes when the source is run, and at least {time + 1} by its "
            "nodes and their attributes; the file is not as the ONNX standard has it, export it again"
        )
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
            if item.type.HasField("tensor_type") and item.type.tensor_type.elem_type in narrow:
                item.type.tensor_type.elem_type = wide
        for item in graph.output:  # a wrong declared length must not stop the run
            if item.type.HasField("tensor_type"):
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
