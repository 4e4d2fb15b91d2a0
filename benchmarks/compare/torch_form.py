"""Streaming graphs as torch calls, [1, channels, time], under `inference_mode`, one thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from rtvoice.graph import Graph
from streaming import Ports, Unsupported, write

F32 = NDArray[np.float32]
Call = Callable[[list[Any]], Any]
_UNARY: dict[str, Callable[..., Any]] = {
    "relu": torch.relu,
    "silu": functional.silu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "exp": torch.exp,
    "log": torch.log,
    "sqrt": torch.sqrt,
    "square": torch.square,
    "abs": torch.abs,
    "neg": torch.neg,
    "reciprocal": torch.reciprocal,
    "sin": torch.sin,
    "cos": torch.cos,
    "softplus": functional.softplus,
}
_BINARY: dict[str, Callable[..., Any]] = {"add": torch.add, "sub": torch.sub, "mul": torch.mul, "div": torch.div}


class TorchStream:
    """A flat list of torch calls over numbered values; states live between hops."""

    def __init__(self, graph: Graph) -> None:
        torch.set_num_threads(1)
        self.calls: list[tuple[Call, int]] = []
        self.values: list[Any] = []
        self.input_slots: list[int] = []
        self.output_slots: list[int] = []
        self.kept: list[tuple[int, int]] = []
        self.ports: Ports = write(graph, self)

    def run(self) -> None:
        """One hop, from the input values to the output values."""
        values = self.values
        with torch.inference_mode():
            for call, slot in self.calls:
                values[slot] = call(values)
            for state, source in self.kept:
                values[state] = values[source]

    def feed(self, inputs: list[F32]) -> list[F32]:
        """Run one hop on (frames, channels) arrays and return such arrays."""
        for slot, rows in zip(self.input_slots, inputs, strict=True):
            self.values[slot] = torch.from_numpy(np.ascontiguousarray(rows.T)[None])
        self.run()
        return [self.values[slot][0].numpy().T for slot in self.output_slots]

    def as_module(self) -> torch.nn.Module:
        """Return a module of (inputs, states) to (outputs, next states), for exporters."""
        stream = self

        class Hop(torch.nn.Module):
            def forward(self, *given: torch.Tensor) -> tuple[torch.Tensor, ...]:
                values = list(stream.values)
                slots = [*stream.input_slots, *(state for state, _ in stream.kept)]
                for slot, value in zip(slots, given, strict=True):
                    values[slot] = value
                for call, slot in stream.calls:
                    values[slot] = call(values)
                return (*(values[slot] for slot in stream.output_slots), *(values[slot] for _, slot in stream.kept))

        return Hop().eval()

    def _slot(self, value: Any = None) -> int:
        self.values.append(value)
        return len(self.values) - 1

    def _call(self, call: Call) -> int:
        slot = self._slot()
        self.calls.append((call, slot))
        return slot

    def input(self, name: str, channels: int, frames: int) -> int:
        self.input_slots.append(self._slot(torch.zeros(1, channels, frames)))
        return self.input_slots[-1]

    def output(self, name: str, x: int, channels: int, frames: int) -> None:
        self.output_slots.append(x)

    def state(self, channels: int, frames: int) -> int:
        return self._slot(torch.zeros(1, channels, frames))

    def keep(self, state: int, x: int) -> None:
        self.kept.append((state, x))

    def constant(self, values: F32) -> int:
        return self._slot(torch.from_numpy(values.copy())[None, :, None])

    def cat_time(self, a: int, b: int) -> int:
        return self._call(lambda v: torch.cat((v[a], v[b]), 2))

    def cat_channels(self, parts: list[int]) -> int:
        return self._call(lambda v: torch.cat([v[part] for part in parts], 1))

    def time(self, x: int, begin: int, end: int) -> int:
        return self._call(lambda v: v[x][:, :, begin:end])

    def channels(self, x: int, begin: int, end: int) -> int:
        return self._call(lambda v: v[x][:, begin:end])

    def fold(self, x: int, factor: int, frames: int, channels: int) -> int:
        return self._call(lambda v: v[x].transpose(1, 2).reshape(1, frames, factor * channels).transpose(1, 2))

    def unfold(self, x: int, factor: int, frames: int, channels: int) -> int:
        return self._call(lambda v: v[x].transpose(1, 2).reshape(1, frames * factor, channels).transpose(1, 2))

    def conv(self, x: int, weight: F32, bias: F32 | None, stride: int, dilation: int, groups: int, frames: int) -> int:
        w, b = torch.from_numpy(weight), None if bias is None else torch.from_numpy(bias.copy())
        return self._call(lambda v: functional.conv1d(v[x], w, b, stride, 0, dilation, groups))

    def conv_transpose(self, x: int, weight: F32, bias: F32 | None, stride: int, groups: int) -> int:
        w = torch.from_numpy(weight)
        return self._call(lambda v: functional.conv_transpose1d(v[x], w, None, stride, 0, 0, groups))

    def unary(self, op: str, x: int, **attributes: Any) -> int:
        if op in _UNARY:
            function = _UNARY[op]
            return self._call(lambda v: function(v[x]))
        if op == "leaky_relu":
            return self._call(lambda v: functional.leaky_relu(v[x], attributes["alpha"]))
        if op == "gelu":
            return self._call(lambda v: functional.gelu(v[x], approximate=attributes["approximate"]))
        if op == "clip":
            return self._call(lambda v: torch.clamp(v[x], attributes["low"], attributes["high"]))
        raise Unsupported(f"op {op!r}")

    def binary(self, op: str, a: int, b: int) -> int:
        function = _BINARY[op]
        return self._call(lambda v: function(v[a], v[b]))

    def layer_norm(self, x: int, weight: F32, bias: F32, eps: float) -> int:
        w, b, shape = torch.from_numpy(weight), torch.from_numpy(bias), (weight.size,)
        return self._call(lambda v: functional.layer_norm(v[x].transpose(1, 2), shape, w, b, eps).transpose(1, 2))

    def softmax(self, x: int) -> int:
        return self._call(lambda v: torch.softmax(v[x], 1))

    def attention(self, q: int, k: int, v: int, seen: int, heads: int, window: int, scale: float, frames: int) -> int:
        at, keys = torch.arange(frames)[:, None], torch.arange(frames + window - 1)[None]
        near = (keys >= at) & (keys < at + window)

        def call(values: list[Any]) -> Any:
            split = [values[x].unflatten(1, (heads, -1)).transpose(2, 3) for x in (q, k, v)]
            mask = near & (values[seen][0] > 0)
            made = functional.scaled_dot_product_attention(*split, attn_mask=mask, scale=scale)
            return made.transpose(2, 3).flatten(1, 2)

        return self._call(call)

    def _cell(self, kind: Any, weights: dict[str, F32]) -> Any:
        hidden = weights["weight_hh"].shape[1]
        cell = kind(weights["weight_ih"].shape[1], hidden, batch_first=True)
        with torch.no_grad():
            for role, values in weights.items():
                getattr(cell, f"{role}_l0").copy_(torch.from_numpy(values))
        return cell.eval()

    def gru(self, x: int, h: int, weights: dict[str, F32], before: bool) -> tuple[int, int]:
        if not before:
            raise Unsupported("a GRU that resets before its linear map")
        cell = self._cell(torch.nn.GRU, weights)
        both = self._call(lambda v: cell(v[x].transpose(1, 2), v[h].transpose(1, 2).contiguous()))
        out = self._call(lambda v: v[both][0].transpose(1, 2))
        return out, self._call(lambda v: v[both][1].transpose(1, 2))

    def lstm(self, x: int, h: int, c: int, weights: dict[str, F32]) -> tuple[int, int, int]:
        cell = self._cell(torch.nn.LSTM, weights)
        both = self._call(
            lambda v: cell(v[x].transpose(1, 2), (v[h].transpose(1, 2).contiguous(), v[c].transpose(1, 2).contiguous()))
        )
        out = self._call(lambda v: v[both][0].transpose(1, 2))
        return (
            out,
            self._call(lambda v: v[both][1][0].transpose(1, 2)),
            self._call(lambda v: v[both][1][1].transpose(1, 2)),
        )
