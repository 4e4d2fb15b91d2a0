"""A model's graph as another framework streams it: hop by hop, with every state an input and an output.

The graph is walked once; what each op needs (a concatenation with the cached past, the op, the new cache) is asked of a
backend, which writes ONNX nodes or torch calls. The caches are what a practitioner would write by hand: for a
convolution the last frames of its input, for a recurrent layer its hidden state, for a transposed convolution the tail
that the next hop adds to.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rtvoice.graph import Graph, Node, Tensor
from rtvoice.safetensors_io import BFloat16

F32 = NDArray[np.float32]
UNARY = ("relu", "silu", "tanh", "sigmoid", "exp", "log", "sqrt", "square", "abs", "neg", "reciprocal", "sin", "cos")


class Unsupported(Exception):
    """The graph holds something that this comparison cannot write for another framework."""


class Backend(Protocol):
    """Logical tensors are [channels, time]; a backend lays them out as it likes."""

    def input(self, name: str, channels: int, frames: int) -> Any: ...
    def output(self, name: str, x: Any, channels: int, frames: int) -> None: ...
    def state(self, channels: int, frames: int) -> Any: ...
    def keep(self, state: Any, x: Any) -> None: ...
    def constant(self, values: F32) -> Any: ...
    def cat_time(self, a: Any, b: Any) -> Any: ...
    def cat_channels(self, parts: list[Any]) -> Any: ...
    def time(self, x: Any, begin: int, end: int) -> Any: ...
    def channels(self, x: Any, begin: int, end: int) -> Any: ...
    def fold(self, x: Any, factor: int, frames: int, channels: int) -> Any: ...
    def unfold(self, x: Any, factor: int, frames: int, channels: int) -> Any: ...
    def conv(
        self, x: Any, weight: F32, bias: F32 | None, stride: int, dilation: int, groups: int, frames: int
    ) -> Any: ...
    def conv_transpose(self, x: Any, weight: F32, bias: F32 | None, stride: int, groups: int) -> Any: ...
    def unary(self, op: str, x: Any, **attributes: Any) -> Any: ...
    def binary(self, op: str, a: Any, b: Any) -> Any: ...
    def layer_norm(self, x: Any, weight: F32, bias: F32, eps: float) -> Any: ...
    def softmax(self, x: Any) -> Any: ...
    def attention(
        self, q: Any, k: Any, v: Any, seen: Any, heads: int, window: int, scale: float, frames: int
    ) -> Any: ...
    def gru(self, x: Any, h: Any, weights: dict[str, F32], before: bool) -> tuple[Any, Any]: ...
    def lstm(self, x: Any, h: Any, c: Any, weights: dict[str, F32]) -> tuple[Any, Any, Any]: ...


@dataclass(frozen=True)
class Value:
    """A tensor of the other framework: `delay` frames behind the graph's offline one."""

    handle: Any
    channels: int
    frames: int
    delay: int = 0
    control: bool = False


@dataclass(frozen=True)
class Ports:
    """How a streamed graph is fed: inputs and outputs as (channels, frames), and each output's lateness in frames."""

    inputs: list[tuple[int, int]]
    outputs: list[tuple[int, int]]
    delays: list[int]
    noises: list[Node]


def write(graph: Graph, backend: Backend) -> Ports:
    """Write `graph` to a backend. `Unsupported` names what it cannot."""
    walk = _Walk(graph, backend)
    for node in graph.nodes:
        walk.node(node)
    return walk.finish()


def _w(array: Any) -> F32:
    return np.ascontiguousarray((array.widen() if isinstance(array, BFloat16) else array).astype(np.float32))


class _Walk:
    def __init__(self, graph: Graph, backend: Backend) -> None:
        self.graph, self.b = graph, backend
        self.values: dict[str, Value] = {}
        self.inputs: list[tuple[int, int]] = []
        self.noises: list[Node] = []
        self.pasts: dict[tuple[Any, int], Any] = {}
        self._audio()
        for parameter in graph.parameters:
            handle = backend.constant(np.asarray(parameter.default, np.float32))
            self.values[parameter.name] = Value(handle, len(parameter.default), 1, control=True)

    def _audio(self) -> None:
        """Take the input as frames where the graph does nothing but read it as frames."""
        g = self.graph
        readers = [node for node in g.nodes if g.input_name in node.inputs]
        self.framed = len(readers) == 1 and readers[0].op == "time_to_depth"
        made: Tensor = g.values[readers[0].name if self.framed else g.input_name]
        self.inputs.append((made.channels, made.frames))
        self.values[made.name] = Value(self.b.input("x", made.channels, made.frames), made.channels, made.frames)

    def node(self, node: Node) -> None:
        if node.name in self.values:
            return
        inputs = [self.values[name] for name in node.inputs]
        method: Callable[[Node, list[Value], Tensor], Value] | None = getattr(self, f"_{node.op}", None)
        out = self.graph.values[node.name]
        if method is not None:
            self.values[node.name] = method(node, inputs, out)
        elif node.op in UNARY:
            x = inputs[0]
            self.values[node.name] = self._like(x, self.b.unary(node.op, x.handle), out)
        else:
            raise Unsupported(f"op {node.op!r} (node {node.name!r})")

    def finish(self) -> Ports:
        outputs, delays = [], []
        for i, output in enumerate(self.graph.outputs):
            value, shape = self.values[output.tensor], self.graph.values[output.tensor]
            source = next((node for node in self.graph.nodes if node.name == output.tensor), None)
            if source is not None and source.op == "depth_to_time" and source.attrs["factor"] == self._width(source):
                value = self.values[source.inputs[0]]  # frames as they are, as on the way in
                shape = self.graph.values[source.inputs[0]]
            self.b.output(f"y{i}", value.handle, shape.channels, shape.frames)
            outputs.append((shape.channels, shape.frames))
            delays.append(value.delay)
        return Ports(self.inputs, outputs, delays, self.noises)

    def _width(self, node: Node) -> int:
        return self.graph.values[node.inputs[0]].channels

    @staticmethod
    def _like(x: Value, handle: Any, out: Tensor) -> Value:
        return Value(handle, out.channels, out.frames, x.delay, out.control)

    def _past(self, x: Value, frames: int) -> Any:
        """Return x with its `frames` frames before this hop in front, and keep those of the next hop."""
        if frames == 0:
            return x.handle
        known = self.pasts.get((x.handle, frames))  # layers that read the same past share it
        if known is not None:
            return known
        state = self.b.state(x.channels, frames)
        whole = self.b.cat_time(state, x.handle)
        self.b.keep(state, self.b.time(whole, x.frames, x.frames + frames))
        self.pasts[x.handle, frames] = whole
        return whole

    def _delayed(self, x: Value, frames: int) -> Value:
        if frames == 0 or x.control:
            return x
        whole = self._past(x, frames)
        return Value(self.b.time(whole, 0, x.frames), x.channels, x.frames, x.delay + frames)

    def _aligned(self, inputs: list[Value]) -> list[Value]:
        latest = max(x.delay for x in inputs)
        return [x if x.control else self._delayed(x, latest - x.delay) for x in inputs]

    def _window(self, x: Value, reach: int, stride: int, pad: int) -> tuple[Any, int]:
        """Return the frames that a hop's windows cover, and the delay of what they make."""
        late = max(0, -(-(reach - stride + 1 - pad) // stride))
        if x.delay % stride:
            x = self._delayed(x, stride - x.delay % stride)
        history = pad + late * stride
        whole = self._past(x, history)
        if history > reach:  # padded further than the window reaches: the newest frames wait
            whole = self.b.time(whole, 0, x.frames + reach)
        return whole, x.delay // stride + late

    def _conv1d(self, node: Node, inputs: list[Value], out: Tensor) -> Value:
        x, a, weight = inputs[0], node.attrs, _w(node.weights["weight"])
        bias = _w(node.weights["bias"]) if "bias" in node.weights else None
        reach = (weight.shape[2] - 1) * a["dilation"]
        whole, delay = self._window(x, reach, a["stride"], a["pads"][0])
        made = self.b.conv(whole, weight, bias, a["stride"], a["dilation"], a["groups"], out.frames)
        return Value(made, out.channels, out.frames, delay)

    def _linear(self, node: Node, inputs: list[Value], out: Tensor) -> Value:
        weight = _w(node.weights["weight"])[:, :, None]
        bias = _w(node.weights["bias"]) if "bias" in node.weights else None
        return self._like(inputs[0], self.b.conv(inputs[0].handle, weight, bias, 1, 1, 1, out.frames), out)

    def _conv_transpose1d(self, node: Node, inputs: list[Value], out: Tensor) -> Value:
        x, a, weight = inputs[0], node.attrs, _w(node.weights["weight"])
        if a["dilation"] != 1:
            raise Unsupported(f"a dilated transposed convolution (node {node.name!r})")
        bias = _w(node.weights["bias"]) if "bias" in node.weights else None
        kernel, stride = weight.shape[2], a["stride"]
        full = self.b.conv_transpose(x.handle, weight, None, stride, a["groups"])
        length, tail = (x.frames - 1) * stride + kernel, kernel - stride
        if tail < 0:
            raise Unsupported(f"a transposed convolution with holes (node {node.name!r})")
        if tail > 0:  # the tail of the hops before is added to this hop's first frames
            state = self.b.state(out.channels, tail)
            if tail <= out.frames:
                head = self.b.binary("add", self.b.time(full, 0, tail), state)
                rest = self.b.time(full, tail, length)
                whole = self.b.cat_time(head, rest)
            else:
                head = self.b.binary("add", self.b.time(full, 0, tail), state)
                whole = self.b.cat_time(head, self.b.time(full, tail, length))
            self.b.keep(state, self.b.time(whole, out.frames, length))
            full = self.b.time(whole, 0, out.frames)
        if bias is not None:
            full = self.b.binary("add", full, self.b.constant(bias))
        return Value(full, out.channels, out.frames, x.delay * stride + a["crop"][0])

    def _affine(self, node: Node, inputs: list[Value], out: Tensor) -> Value:
        handle = inputs[0].handle
        for role, op in (("scale", "mul"), ("shift", "add")):
            if role in node.weights:
                handle = self.b.binary(op, handle, self.b.constant(_w(node.weights[role])))
        return self._like(inputs[0], handle, out)

    def _layer_norm(self, node: Node, inputs: list[Value], out: Tensor) -> Value:
        weight = _w(node.weights["weight"]) if "weight" in node.weights else np.ones(out.channels, np.float32)
        bias = _w(node.weights["bias"]) if "bias" in node.weights else np.zeros(out.channels, np.float32)
        return self._like(inputs[0], self.b.layer_norm(inputs[0].handle, weight, bias, node.attrs["eps"]), out)

    def _softmax(self, node: Node, inputs: list[Value], out: Tensor) -> Value:
        return self._like(inputs[0], self.b.softmax(inputs[0].handle), out)

    def _leaky_relu(self, node: Node, inputs: list[Value], out: Tensor) -> Value:
        return self._like(inputs[0], self.b.unary(node.op, inputs[0].handle, alpha=node.attrs["alpha"]), out)

    def _gelu(self, node: Node, inputs: list[Value], out: Tensor) -> Value:
        made = self.b.unary("gelu", inputs[0].handle, approximate=node.attrs["approximate"])
        return self._like(inputs[0], made, out)

    def _softplus(self, node: Node, inputs: list[Value], out: Tensor) -> Value:
        if node.attrs["beta"] != 1.0:
            raise Unsupported(f"softplus with beta (node {node.name!r})")
        return self._like(inputs[0], self.b.unary("softplus", inputs[0].handle), out)

    def _clip(self, node: Node, inputs: list[Value], out: Tensor) -> Value:
        made = self.b.unary("clip", inputs[0].handle, low=node.attrs["min"], high=node.attrs["max"])
        return self._like(inputs[0], made, out)

    def _binary(self, node: Node, inputs: list[Value], out: Tensor) -> Value:
        a, b = self._aligned(inputs)
        return self._like(a if not a.control else b, self.b.binary(node.op, a.handle, b.handle), out)

    _add = _sub = _mul = _div = _binary

    def _film(self, node: Node, inputs: list[Value], out: Tensor) -> Value:
        x, gamma, beta = self._aligned(inputs)
        scale = gamma.handle
        if node.attrs["offset"] != 0:
            scale = self.b.binary("add", scale, self.b.constant(np.array([node.attrs["offset"]], np.float32)))
        return self._like(x, self.b.binary("add", self.b.binary("mul", x.handle, scale), beta.handle), out)

    def _glu(self, node: Node, inputs: list[Value], out: Tensor) -> Value:
        x = inputs[0]
        halves = [self.b.channels(x.handle, 0, out.channels), self.b.channels(x.handle, out.channels, x.channels)]
        for i, op in enumerate((node.attrs["a"], node.attrs["b"])):
            halves[i] = halves[i] if op == "none" else self.b.unary(op, halves[i])
        return self._like(x, self.b.binary("mul", *halves), out)

    def _concat(self, node: Node, inputs: list[Value], out: Tensor) -> Value:
        aligned = self._aligned(inputs)
        if any(x.control for x in aligned) and not out.control:
            raise Unsupported(f"a parameter among a stream's channels (node {node.name!r})")
        return self._like(aligned[0], self.b.cat_channels([x.handle for x in aligned]), out)

    def _slice(self, node: Node, inputs: list[Value], out: Tensor) -> Value:
        made = self.b.channels(inputs[0].handle, node.attrs["start"], node.attrs["stop"])
        return self._like(inputs[0], made, out)

    def _delay(self, node: Node, inputs: list[Value], out: Tensor) -> Value:
        x = self._delayed(inputs[0], node.attrs["frames"])
        return Value(x.handle, x.channels, x.frames, inputs[0].delay)

    def _advance(self, node: Node, inputs: list[Value], out: Tensor) -> Value:
        x = inputs[0]
        return Value(x.handle, x.channels, x.frames, x.delay + node.attrs["frames"])

    def _time_to_depth(self, node: Node, inputs: list[Value], out: Tensor) -> Value:
        x, factor = inputs[0], node.attrs["factor"]
        if node.attrs["order"] != "time" and x.channels != 1:
            raise Unsupported(f"time_to_depth in order 'channel' (node {node.name!r})")
        if x.delay % factor:
            x = self._delayed(x, factor - x.delay % factor)
        made = self.b.fold(x.handle, factor, out.frames, x.channels)
        return Value(made, out.channels, out.frames, x.delay // factor)

    def _depth_to_time(self, node: Node, inputs: list[Value], out: Tensor) -> Value:
        x, factor = inputs[0], node.attrs["factor"]
        if node.attrs["order"] != "time" and out.channels != 1:
            raise Unsupported(f"depth_to_time in order 'channel' (node {node.name!r})")
        return Value(
            self.b.unfold(x.handle, factor, x.frames, out.channels), out.channels, out.frames, x.delay * factor
        )

    def _attention(self, node: Node, inputs: list[Value], out: Tensor) -> Value:
        """Keep the last keys and values, and which of them are frames of the stream."""
        q, k, v = self._aligned(inputs)
        if q.delay:
            raise Unsupported(f"attention behind a lookahead (node {node.name!r})")
        heads, window = node.attrs["heads"], node.attrs["window"]
        scale = node.attrs["scale"] or (q.channels // heads) ** -0.5
        ones = self.b.constant(np.ones(1, np.float32))
        now = self.b.unary("abs", self.b.channels(q.handle, 0, 1))
        now = self.b.binary("add", self.b.binary("sub", now, now), ones)
        seen = self._past(Value(now, 1, q.frames), window - 1)
        made = self.b.attention(
            q.handle, self._past(k, window - 1), self._past(v, window - 1), seen, heads, window, scale, q.frames
        )
        return self._like(q, made, out)

    def _noise(self, node: Node, inputs: list[Value], out: Tensor) -> Value:
        """Take noise as an input: the other framework gets its random numbers for nothing."""
        self.noises.append(node)
        self.inputs.append((out.channels, out.frames))
        return Value(self.b.input(f"noise{len(self.noises)}", out.channels, out.frames), out.channels, out.frames)

    def _recurrent(self, node: Node, gates: int) -> dict[str, F32]:
        hidden = node.weights["weight_hh"].shape[1]
        weights = {role: _w(array) for role, array in node.weights.items()}
        for role in ("bias_ih", "bias_hh"):
            weights.setdefault(role, np.zeros(gates * hidden, np.float32))
        return weights

    def _gru(self, node: Node, inputs: list[Value], out: Tensor) -> Value:
        h = self.b.state(out.channels, 1)
        made, last = self.b.gru(inputs[0].handle, h, self._recurrent(node, 3), node.attrs["linear_before_reset"])
        self.b.keep(h, last)
        return self._like(inputs[0], made, out)

    def _lstm(self, node: Node, inputs: list[Value], out: Tensor) -> Value:
        h, c = self.b.state(out.channels, 1), self.b.state(out.channels, 1)
        made, last, cell = self.b.lstm(inputs[0].handle, h, c, self._recurrent(node, 4))
        self.b.keep(h, last)
        self.b.keep(c, cell)
        return self._like(inputs[0], made, out)
