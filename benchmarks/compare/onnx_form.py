"""Streaming graphs as ONNX, in the forms that people export: rank-3 `Conv`, `Conv` over an H = 1 image, `MatMul`."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from rtvoice.graph import Graph
from streaming import Ports, Unsupported, write

F32 = NDArray[np.float32]
FORMS = ("conv", "conv2d", "matmul")
_NAMES = {
    "relu": "Relu",
    "tanh": "Tanh",
    "sigmoid": "Sigmoid",
    "exp": "Exp",
    "log": "Log",
    "sqrt": "Sqrt",
    "abs": "Abs",
    "neg": "Neg",
    "reciprocal": "Reciprocal",
    "sin": "Sin",
    "cos": "Cos",
    "softplus": "Softplus",
}
MASKED = -1e9  # what a key outside the window, or before the stream, adds to its product
_BINARY = {"add": "Add", "sub": "Sub", "mul": "Mul", "div": "Div"}


def to_onnx(graph: Graph, form: str) -> tuple[bytes, Ports]:
    """Return the streamed graph as an ONNX file's bytes, and how it is fed."""
    backend = _Onnx(form)
    ports = write(graph, backend)
    return backend.to_bytes(), ports


def physical(rows: F32, form: str) -> F32:
    """Lay one hop's (frames, channels) out as `form` does; without the axes of size 1."""
    return np.ascontiguousarray(rows if form == "matmul" else rows.T)


def logical(flat: F32, channels: int, frames: int, form: str) -> F32:
    """Return (frames, channels) of a flat output."""
    return flat.reshape(frames, channels) if form == "matmul" else flat.reshape(channels, frames).T


class _Onnx:
    """[1, channels, time], [1, channels, 1, time] or [1, time, channels]."""

    def __init__(self, form: str) -> None:
        self.form = form
        self.time_axis = {"conv": 2, "conv2d": 3, "matmul": 1}[form]
        self.channel_axis = 2 if form == "matmul" else 1
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}
        self.inputs: list[onnx.ValueInfoProto] = []
        self.outputs: list[onnx.ValueInfoProto] = []
        self.states: dict[str, tuple[int, int]] = {}
        self.count = 0

    def shape(self, channels: int, frames: int) -> list[int]:
        return {"conv": [1, channels, frames], "conv2d": [1, channels, 1, frames], "matmul": [1, frames, channels]}[
            self.form
        ]

    def name(self) -> str:
        self.count += 1
        return f"t{self.count}"

    def add(self, op: str, inputs: list[str], outputs: int = 1, **attributes: Any) -> Any:
        names = [self.name() for _ in range(outputs)]
        self.nodes.append(helper.make_node(op, inputs, names, name=f"n{len(self.nodes)}", **attributes))
        return names[0] if outputs == 1 else names

    def array(self, values: NDArray[Any]) -> str:
        name = self.name()
        self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(values), name)
        return name

    def ints(self, *values: int) -> str:
        return self.array(np.asarray(values, np.int64))

    def to_bytes(self) -> bytes:
        graph = helper.make_graph(self.nodes, "stream", self.inputs, self.outputs, list(self.constants.values()))
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
        onnx.checker.check_model(model)
        return bytes(model.SerializeToString())

    def _info(self, name: str, channels: int, frames: int) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, self.shape(channels, frames))

    def input(self, name: str, channels: int, frames: int) -> str:
        self.inputs.append(self._info(name, channels, frames))
        return name

    def output(self, name: str, x: str, channels: int, frames: int) -> None:
        self.nodes.append(helper.make_node("Identity", [x], [name], name=f"out_{name}"))
        self.outputs.append(self._info(name, channels, frames))

    def state(self, channels: int, frames: int) -> str:
        name = f"state_{len(self.states)}"
        self.states[name] = (channels, frames)
        self.inputs.append(self._info(name, channels, frames))
        return name

    def keep(self, state: str, x: str) -> None:
        """Make x the next hop's state; the node that computes it writes to the output itself where it can."""
        name = "next_" + state.removeprefix("state_")
        maker = next((node for node in self.nodes if x in node.output), None)
        if maker is None or any(x in node.input for node in self.nodes):
            self.nodes.append(helper.make_node("Identity", [x], [name], name=f"keep_{name}"))
        else:
            maker.output[list(maker.output).index(x)] = name
        self.outputs.append(self._info(name, *self.states[state]))

    def constant(self, values: F32) -> str:
        return self.array(values.reshape(self.shape(values.size, 1)))

    def cat_time(self, a: str, b: str) -> str:
        return self.add("Concat", [a, b], axis=self.time_axis)

    def cat_channels(self, parts: list[str]) -> str:
        return self.add("Concat", parts, axis=self.channel_axis)

    def time(self, x: str, begin: int, end: int, step: int = 1) -> str:
        return self.add("Slice", [x, self.ints(begin), self.ints(end), self.ints(self.time_axis), self.ints(step)])

    def channels(self, x: str, begin: int, end: int) -> str:
        return self.add("Slice", [x, self.ints(begin), self.ints(end), self.ints(self.channel_axis)])

    def _rows(self, x: str) -> str:
        """[1, time, channels] of any form."""
        if self.form == "matmul":
            return x
        if self.form == "conv2d":
            x = self.add("Squeeze", [x, self.ints(2)])
        return self.add("Transpose", [x], perm=[0, 2, 1])

    def _from_rows(self, x: str) -> str:
        if self.form == "matmul":
            return x
        x = self.add("Transpose", [x], perm=[0, 2, 1])
        return self.add("Unsqueeze", [x, self.ints(2)]) if self.form == "conv2d" else x

    def fold(self, x: str, factor: int, frames: int, channels: int) -> str:
        return self._from_rows(self.add("Reshape", [self._rows(x), self.ints(1, frames, factor * channels)]))

    def unfold(self, x: str, factor: int, frames: int, channels: int) -> str:
        return self._from_rows(self.add("Reshape", [self._rows(x), self.ints(1, frames * factor, channels)]))

    def conv(self, x: str, weight: F32, bias: F32 | None, stride: int, dilation: int, groups: int, frames: int) -> str:
        if self.form == "matmul":
            return self._conv_matmul(x, weight, bias, stride, dilation, groups, frames)
        extra = [1] if self.form == "conv2d" else []
        if self.form == "conv2d":
            weight = weight[:, :, None, :]
        inputs = [x, self.array(weight)] + ([self.array(bias)] if bias is not None else [])
        return self.add(
            "Conv",
            inputs,
            strides=[*extra, stride],
            dilations=[*extra, dilation],
            group=groups,
            kernel_shape=list(weight.shape[2:]),
        )

    def _conv_matmul(
        self, x: str, weight: F32, bias: F32 | None, stride: int, dilation: int, groups: int, frames: int
    ) -> str:
        out, per_group, kernel = weight.shape
        if groups != 1:
            if per_group == 1 and out == groups and frames == 1 and dilation == 1 and stride == 1:
                taps = self.add("Mul", [x, self.array(weight[:, 0, :].T[None])])
                made = self.add("ReduceSum", [taps, self.ints(1)], keepdims=1)
                return made if bias is None else self.add("Add", [made, self.array(bias)])
            inputs = [self.add("Transpose", [x], perm=[0, 2, 1]), self.array(weight)]
            inputs += [self.array(bias)] if bias is not None else []
            made = self.add("Conv", inputs, strides=[stride], dilations=[dilation], group=groups, kernel_shape=[kernel])
            return self.add("Transpose", [made], perm=[0, 2, 1])
        if kernel > 1 and frames == 1 and dilation == 1:
            x = self.add("Reshape", [x, self.ints(1, 1, kernel * per_group)])
        elif kernel > 16:
            raise Unsupported("a convolution of many taps as MatMul")
        elif kernel > 1:
            last = (frames - 1) * stride + 1
            x = self.add(
                "Concat", [self.time(x, k * dilation, k * dilation + last, stride) for k in range(kernel)], axis=2
            )
        matrix = weight.transpose(2, 1, 0).reshape(kernel * per_group, out)
        made = self.add("MatMul", [x, self.array(matrix)])
        return made if bias is None else self.add("Add", [made, self.array(bias)])

    def conv_transpose(self, x: str, weight: F32, bias: F32 | None, stride: int, groups: int) -> str:
        if self.form == "matmul":
            x = self.add("Transpose", [x], perm=[0, 2, 1])
        extra = [1] if self.form == "conv2d" else []
        if self.form == "conv2d":
            weight = weight[:, :, None, :]
        inputs = [x, self.array(weight)] + ([self.array(bias)] if bias is not None else [])
        made = self.add(
            "ConvTranspose", inputs, strides=[*extra, stride], group=groups, kernel_shape=list(weight.shape[2:])
        )
        return self.add("Transpose", [made], perm=[0, 2, 1]) if self.form == "matmul" else made

    def unary(self, op: str, x: str, **attributes: Any) -> str:
        if op in _NAMES:
            return self.add(_NAMES[op], [x])
        if op == "silu":
            return self.add("Mul", [x, self.add("Sigmoid", [x])])
        if op == "square":
            return self.add("Mul", [x, x])
        if op == "leaky_relu":
            return self.add("LeakyRelu", [x], alpha=attributes["alpha"])
        if op == "gelu":
            return self.add("Gelu", [x], approximate=attributes["approximate"])
        if op == "clip":
            return self.add("Clip", [x, *(self.array(np.float32(attributes[key])) for key in ("low", "high"))])
        raise Unsupported(f"op {op!r}")

    def binary(self, op: str, a: str, b: str) -> str:
        return self.add(_BINARY[op], [a, b])

    def layer_norm(self, x: str, weight: F32, bias: F32, eps: float) -> str:
        rows = self._rows(x)
        return self._from_rows(
            self.add("LayerNormalization", [rows, self.array(weight), self.array(bias)], axis=-1, epsilon=eps)
        )

    def attention(self, q: str, k: str, v: str, seen: str, heads: int, window: int, scale: float, frames: int) -> str:
        """Write attention as exporters do: products, a mask added, softmax, products."""
        keys = frames + window - 1
        at, seen_at = np.arange(frames)[:, None], np.arange(keys)[None]
        near = np.where((seen_at >= at) & (seen_at < at + window), 0.0, MASKED).astype(np.float32)
        before = self.add("Sub", [self.add("Reshape", [seen, self.ints(1, keys)]), self.array(np.float32(1.0))])
        mask = self.add("Add", [self.array(near), self.add("Mul", [before, self.array(np.float32(-MASKED))])])

        def heads_of(x: str, rows: int, perm: list[int]) -> str:
            return self.add(
                "Transpose", [self.add("Reshape", [self._rows(x), self.ints(1, rows, heads, -1)])], perm=perm
            )

        scaled = self.add("Mul", [heads_of(q, frames, [0, 2, 1, 3]), self.array(np.float32(scale))])
        products = self.add("MatMul", [scaled, heads_of(k, keys, [0, 2, 3, 1])])
        weights = self.add("Softmax", [self.add("Add", [products, mask])], axis=-1)
        made = self.add("MatMul", [weights, heads_of(v, keys, [0, 2, 1, 3])])
        rows = self.add("Reshape", [self.add("Transpose", [made], perm=[0, 2, 1, 3]), self.ints(1, frames, -1)])
        return self._from_rows(rows)

    def softmax(self, x: str) -> str:
        return self.add("Softmax", [x], axis=self.channel_axis)

    def _steps(self, x: str) -> str:
        """[time, 1, channels], as ONNX's recurrent ops read."""
        return self.add("Transpose", [self._rows(x)], perm=[1, 0, 2])

    def _hidden(self, h: str, size: int) -> str:
        return self.add("Reshape", [h, self.ints(1, 1, size)])

    def _kept(self, h: str, size: int) -> str:
        return self.add("Reshape", [h, self.ints(*self.shape(size, 1))])

    def _from_steps(self, y: str) -> str:
        """[time, 1, 1, channels] to this form."""
        return self._from_rows(self.add("Transpose", [self.add("Squeeze", [y, self.ints(1)])], perm=[1, 0, 2]))

    @staticmethod
    def _reordered(values: F32, order: list[int]) -> F32:
        parts = np.split(values, len(order))
        return np.concatenate([parts[i] for i in order])

    def gru(self, x: str, h: str, weights: dict[str, F32], before: bool) -> tuple[str, str]:
        size, order = weights["weight_hh"].shape[1], [1, 0, 2]  # r, z, n to z, r, h
        w = {role: self._reordered(values, order) for role, values in weights.items()}
        inputs = [
            self._steps(x),
            self.array(w["weight_ih"][None]),
            self.array(w["weight_hh"][None]),
            self.array(np.concatenate([w["bias_ih"], w["bias_hh"]])[None]),
            "",
            self._hidden(h, size),
        ]
        y, last = self.add("GRU", inputs, 2, hidden_size=size, linear_before_reset=int(before))
        return self._from_steps(y), self._kept(last, size)

    def lstm(self, x: str, h: str, c: str, weights: dict[str, F32]) -> tuple[str, str, str]:
        size, order = weights["weight_hh"].shape[1], [0, 3, 1, 2]  # i, f, g, o to i, o, f, c
        w = {role: self._reordered(values, order) for role, values in weights.items()}
        inputs = [
            self._steps(x),
            self.array(w["weight_ih"][None]),
            self.array(w["weight_hh"][None]),
            self.array(np.concatenate([w["bias_ih"], w["bias_hh"]])[None]),
            "",
            self._hidden(h, size),
            self._hidden(c, size),
        ]
        y, last, cell = self.add("LSTM", inputs, 3, hidden_size=size)
        return self._from_steps(y), self._kept(last, size), self._kept(cell, size)
