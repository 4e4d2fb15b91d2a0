"""Small graphs around one op, and random ones, for tests of the streaming engine."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from rtvoice.graph import GraphBuilder, Tensor

Rng = np.random.Generator
Make = Callable[[GraphBuilder, Tensor, Rng], Tensor]


def weights(rng: Rng, *shape: int, scale: float | None = None) -> NDArray[np.float32]:
    """Normal weights that keep the level: 1/sqrt(fan in) unless `scale` says otherwise."""
    fan_in = max(1, int(np.prod(shape[1:])))
    values = rng.standard_normal(shape) * (1.0 / np.sqrt(fan_in) if scale is None else scale)
    return values.astype(np.float32)


def widen(b: GraphBuilder, x: Tensor, channels: int, stride: int, rng: Rng) -> Tensor:
    """Audio to `channels` channels at 1/stride of the rate, causally, with a bias so that history matters."""
    return b.node(
        "conv1d",
        x,
        weight=weights(rng, channels, 1, stride + 2),
        bias=weights(rng, channels, scale=0.3),
        stride=stride,
        pads=[2, 0],
    )


def narrow(b: GraphBuilder, x: Tensor, rng: Rng) -> Tensor:
    """Any stream back to one channel at the audio's rate."""
    factor = b.metadata["hop"] // x.frames
    y = b.node("linear", x, weight=weights(rng, factor, x.channels), bias=weights(rng, factor, scale=0.1))
    return b.node("depth_to_time", y, factor=factor) if factor > 1 else y


def around(make: Make, *, channels: int, stride: int = 4, hop: int = 16, seed: int = 0) -> GraphBuilder:
    """Audio -> `channels` at 1/stride -> the op -> audio."""
    rng = np.random.default_rng(seed)
    b = GraphBuilder(name="op", sample_rate=16000, hop=hop, licence="CC0-1.0")
    b.output(narrow(b, make(b, widen(b, b.input(), channels, stride, rng), rng), rng))
    return b


def random_graph(seed: int) -> GraphBuilder:
    """A random causal network: branches, strides, delays, lookahead, recurrence, norms, conditioning."""
    rng = np.random.default_rng(seed)
    hop = int(rng.choice([16, 24, 48, 64]))
    b = GraphBuilder(name=f"random-{seed}", sample_rate=16000, hop=hop, licence="CC0-1.0")
    gain = b.parameter("gain", size=3, default=[0.5, 1.0, -0.5], min=-2.0, max=2.0)
    streams = [b.input()]
    for _ in range(int(rng.integers(4, 14))):
        x = streams[int(rng.integers(len(streams)))]
        streams.append(_random_node(b, x, streams, gain, rng))
    total = narrow(b, streams[-1], rng)
    for other in streams[-3:-1]:
        total = b.node("add", total, narrow(b, other, rng))
    b.output(b.node("tanh", total))
    return b


def _random_node(b: GraphBuilder, x: Tensor, streams: list[Tensor], gain: Tensor, rng: Rng) -> Tensor:
    hop, c = b.metadata["hop"], x.channels
    kind = int(rng.integers(15))
    out = int(rng.choice([1, 2, 3, 5, 8, 12, 16, 17, 33, 64]))
    if kind <= 2:
        kernel, dilation = int(rng.integers(1, 6)), int(rng.integers(1, 9))
        stride = int(rng.choice([s for s in (1, 2, 3, 4) if x.frames % s == 0]))
        reach = (kernel - 1) * dilation
        left = int(rng.integers(0, reach + 1))
        return b.node(
            "conv1d",
            x,
            weight=weights(rng, out, c, kernel),
            bias=weights(rng, out, scale=0.2),
            dilation=dilation,
            stride=stride,
            pads=[left, reach - left],
        )
    if kind == 3:
        factor = int(rng.choice([f for f in (1, 2, 3, 4) if hop % (x.frames * f) == 0]))
        kernel = factor * int(rng.integers(1, 4))
        crop = int(rng.integers(0, kernel - factor + 1))
        return b.node(
            "conv_transpose1d",
            x,
            weight=weights(rng, c, out, kernel, scale=1 / np.sqrt(c * 2)),
            bias=weights(rng, out, scale=0.2),
            stride=factor,
            crop=[crop, kernel - factor - crop],
        )
    if kind == 4:
        kernel = int(rng.integers(2, 8))
        return b.node("conv1d", x, weight=weights(rng, c, 1, kernel), groups=c, pads=[kernel - 1, 0])
    if kind == 5:
        h = int(rng.integers(1, 20))
        bias = {"bias_ih": weights(rng, 3 * h, scale=0.2), "bias_hh": weights(rng, 3 * h, scale=0.2)}
        return b.node(
            "gru",
            x,
            weight_ih=weights(rng, 3 * h, c),
            weight_hh=weights(rng, 3 * h, h),
            **bias,
            linear_before_reset=bool(rng.integers(2)),
        )
    if kind == 6:
        h = int(rng.integers(1, 20))
        return b.node(
            "lstm",
            x,
            weight_ih=weights(rng, 4 * h, c),
            weight_hh=weights(rng, 4 * h, h),
            bias_ih=weights(rng, 4 * h, scale=0.2),
        )
    if kind == 7:
        return b.node(
            "layer_norm",
            b.node("affine", x, scale=weights(rng, c, scale=1.0), shift=weights(rng, c, scale=1.0)),
            eps=1e-2,
        )
    if kind == 8:
        return b.node(str(rng.choice(["tanh", "sigmoid", "relu", "silu", "elu", "softplus", "gelu", "abs", "cos"])), x)
    if kind == 9:
        return b.node("delay", x, frames=int(rng.integers(0, 12)))
    if kind == 10:
        return b.node("advance", x, frames=int(rng.integers(0, 12)))
    if kind == 11:
        mates = [s for s in streams if s.frames == x.frames and s.channels == c]
        return b.node(str(rng.choice(["add", "sub", "mul"])), x, mates[int(rng.integers(len(mates)))])
    if kind == 12:
        mates = [s for s in streams if s.frames == x.frames and s.channels + c <= 80]
        return b.node("concat", x, mates[int(rng.integers(len(mates)))]) if mates else b.node("tanh", x)
    if kind == 13:
        factor = int(rng.choice([f for f in (1, 2, 3, 4) if hop % (x.frames * f) == 0]))
        if factor == 1:
            return b.node("sin", x)
        mode = str(rng.choice(["nearest", "linear"]))
        return b.node(
            "upsample", x, factor=factor, mode=mode, coordinates=str(rng.choice(["half_pixel", "asymmetric"]))
        )
    control = b.node("linear", gain, weight=weights(rng, c, 3), bias=weights(rng, c, scale=0.2))
    return b.node("film", x, control, b.node("tanh", control), offset=1.0)
