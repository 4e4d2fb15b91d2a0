"""Every op, streamed, against the float64 reference: widths around every vector size, strides, dilations, delays."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import rtvoice
from rtvoice import ops
from rtvoice.graph import GraphBuilder, Tensor
from rtvoice.reference import evaluate

from .graphs import Rng, around, weights
from .source_cases import SOURCE_CASES
from .streaming import sizes, speech_like, stream

WIDTHS = [1, 2, 4, 5, 8, 9, 16, 17, 31, 32, 48, 64, 65, 96, 130]


def conv(out: int = 0, kernel: int = 3, **attrs: object) -> Callable[[GraphBuilder, Tensor, Rng], Tensor]:
    def make(b: GraphBuilder, x: Tensor, rng: Rng) -> Tensor:
        groups = int(attrs.get("groups", 1))  # type: ignore[call-overload]
        n = out or x.channels
        return b.node(
            "conv1d", x, weight=weights(rng, n, x.channels // groups, kernel), bias=weights(rng, n, scale=0.2), **attrs
        )

    return make


def transposed(out: int, kernel: int, **attrs: object) -> Callable[[GraphBuilder, Tensor, Rng], Tensor]:
    def make(b: GraphBuilder, x: Tensor, rng: Rng) -> Tensor:
        groups = int(attrs.get("groups", 1))  # type: ignore[call-overload]
        return b.node(
            "conv_transpose1d",
            x,
            weight=weights(rng, x.channels, out // groups, kernel, scale=0.3),
            bias=weights(rng, out, scale=0.2),
            **attrs,
        )

    return make


def plain(op: str, **attrs: object) -> Callable[[GraphBuilder, Tensor, Rng], Tensor]:
    return lambda b, x, rng: b.node(op, x, **attrs)


def positive(op: str) -> Callable[[GraphBuilder, Tensor, Rng], Tensor]:
    return lambda b, x, rng: b.node(op, b.node("clip", b.node("abs", x), min=0.05, max=10.0))


def gru(
    hidden: int, before: bool, bias: bool = True, started: bool = False
) -> Callable[[GraphBuilder, Tensor, Rng], Tensor]:
    def make(b: GraphBuilder, x: Tensor, rng: Rng) -> Tensor:
        extra = (
            {"bias_ih": weights(rng, 3 * hidden, scale=0.3), "bias_hh": weights(rng, 3 * hidden, scale=0.3)}
            if bias
            else {}
        )
        if started:
            extra["initial_h"] = weights(rng, hidden, scale=0.9)
        late = b.node("advance", x, frames=3)  # recurrence must not run before its own time 0
        return b.node(
            "gru",
            late,
            weight_ih=weights(rng, 3 * hidden, x.channels),
            weight_hh=weights(rng, 3 * hidden, hidden),
            linear_before_reset=before,
            **extra,
        )

    return make


def lstm(hidden: int, started: bool = False) -> Callable[[GraphBuilder, Tensor, Rng], Tensor]:
    def make(b: GraphBuilder, x: Tensor, rng: Rng) -> Tensor:
        start = {role: weights(rng, hidden, scale=0.9) for role in ("initial_h", "initial_c") if started}
        return b.node(
            "lstm",
            b.node("advance", x, frames=2),
            weight_ih=weights(rng, 4 * hidden, x.channels),
            weight_hh=weights(rng, 4 * hidden, hidden),
            bias_ih=weights(rng, 4 * hidden, scale=0.3),
            bias_hh=weights(rng, 4 * hidden, scale=0.3),
            **start,
        )

    return make


def norm(op: str, bias: bool) -> Callable[[GraphBuilder, Tensor, Rng], Tensor]:
    def make(b: GraphBuilder, x: Tensor, rng: Rng) -> Tensor:
        extra = {"bias": weights(rng, x.channels, scale=1.0)} if bias else {}
        return b.node(op, x, weight=weights(rng, x.channels, scale=1.0), eps=1e-2, **extra)

    return make


def glu(b: GraphBuilder, x: Tensor, rng: Rng) -> Tensor:
    twice = b.node("linear", x, weight=weights(rng, 2 * x.channels, x.channels))
    c = x.channels
    gate = b.node(
        "mul",
        b.node("tanh", b.node("slice", twice, start=0, stop=c)),
        b.node("sigmoid", b.node("slice", twice, start=c, stop=2 * c)),
    )
    return b.node("add", gate, b.node("glu", twice, a="silu", b="tanh"))


def arithmetic(b: GraphBuilder, x: Tensor, rng: Rng) -> Tensor:
    one = b.node("linear", x, weight=weights(rng, 1, x.channels))
    late = b.node("advance", b.node("tanh", x), frames=5)
    y = b.node("sub", b.node("add", x, late), one)
    y = b.node("mul", y, b.node("delay", late, frames=2))
    return b.node("div", y, b.node("affine", b.node("square", late), shift=np.array([0.5], np.float32)))


def fused(b: GraphBuilder, x: Tensor, rng: Rng) -> Tensor:
    c = x.channels
    scale, shift = weights(rng, c, scale=1.0), weights(rng, c, scale=0.3)
    y = b.node("conv1d", x, weight=weights(rng, c, c, 3), pads=[2, 0])
    y = b.node("add", x, b.node("leaky_relu", b.node("affine", y, scale=scale, shift=shift), alpha=0.2))
    z = b.node("conv1d", y, weight=weights(rng, c, c, 2), bias=shift, dilation=3, pads=[3, 0])
    return b.node("tanh", b.node("add", z, y))


def channelwise(b: GraphBuilder, op: str, x: Tensor, rng: Rng) -> Tensor:
    slopes = weights(rng, x.channels, scale=0.8)
    if op == "affine":
        return b.node(op, x, scale=slopes, shift=weights(rng, x.channels, scale=0.3))
    if op == "prelu":
        return b.node(op, x, weight=slopes)
    if op == "snake":
        return b.node(op, x, alpha=np.abs(slopes) + 0.2)
    return b.node("snake", x, alpha=np.abs(slopes) + 0.2, beta=np.array([0.7], np.float32))


def apart(op: str) -> Callable[[GraphBuilder, Tensor, Rng], Tensor]:
    return lambda b, x, rng: channelwise(b, op, b.node("tanh", x), rng)


def conditioned(b: GraphBuilder, x: Tensor, rng: Rng) -> Tensor:
    p = b.parameter("style", size=4, default=[0.1, -0.2, 0.3, 0.9], min=-1, max=1)
    gamma = b.node("linear", p, weight=weights(rng, x.channels, 4))
    beta = b.node(
        "silu", b.node("linear", p, weight=weights(rng, x.channels, 4), bias=weights(rng, x.channels, scale=0.5))
    )
    return b.node("add", b.node("film", x, gamma, beta, offset=1.0), b.node("slice", p, start=1, stop=2))


def conditioned_by_one(b: GraphBuilder, x: Tensor, rng: Rng) -> Tensor:
    """One number scales or shifts all channels, a parameter's or a stream's."""
    p = b.parameter("style", size=2, default=[0.6, -0.2], min=-1, max=1)
    scaled = b.node("film", x, b.node("slice", p, start=0, stop=1), b.node("tanh", x), offset=1.0)
    return b.node("film", scaled, x, b.node("slice", b.node("sin", x), start=0, stop=1), offset=0.5)


def mixed(b: GraphBuilder, x: Tensor, rng: Rng) -> Tensor:
    y = b.node("concat", x, b.node("advance", x, frames=3), b.node("delay", x, frames=4))
    return b.node("slice", y, start=1, stop=2 * x.channels + 1)


def folded(order: str) -> Callable[[GraphBuilder, Tensor, Rng], Tensor]:
    def make(b: GraphBuilder, x: Tensor, rng: Rng) -> Tensor:
        deep = b.node("time_to_depth", b.node("advance", x, frames=1), factor=2, order=order)
        return b.node("depth_to_time", b.node("tanh", deep), factor=2, order="time")

    return make


def banded(b: GraphBuilder, x: Tensor, rng: Rng) -> Tensor:
    # Each channel a band; more shapes: test_band_ops.py.
    weight, bias = weights(rng, 3, 1, 2, 2), weights(rng, 3, scale=0.3)
    return b.node("conv_bands", x, weight=weight, bias=bias, bands=x.channels, pads=[1, 0], band_pads=[1, 0])


def noisy(b: GraphBuilder, x: Tensor, rng: Rng) -> Tensor:
    n = b.node("noise", channels=x.channels, frames=x.frames, stream=7)
    u = b.node("noise", channels=1, frames=x.frames, distribution="uniform", low=-0.5, high=0.5, stream=8)
    return b.node("add", b.node("mul", b.node("advance", x, frames=2), n), u)


def attended(heads: int, window: int) -> Callable[[GraphBuilder, Tensor, Rng], Tensor]:
    def make(b: GraphBuilder, x: Tensor, rng: Rng) -> Tensor:
        q, k, v = (conv(out=8, kernel=1, pads=[0, 0])(b, x, rng) for _ in range(3))
        return b.node("attention", q, k, v, heads=heads, window=window)

    return make


CASES: dict[str, Callable[[GraphBuilder, Tensor, Rng], Tensor]] = {
    "conv": conv(pads=[2, 0]),
    "conv_symmetric": conv(kernel=5, pads=[2, 2]),
    "conv_anticausal": conv(kernel=4, pads=[0, 3]),
    "conv_dilated": conv(kernel=3, dilation=7, pads=[14, 0]),
    "conv_dilated_symmetric": conv(kernel=3, dilation=5, pads=[5, 5]),
    "conv_strided": conv(out=24, kernel=4, stride=2, pads=[2, 0]),
    "conv_strided_ahead": conv(out=7, kernel=8, stride=4, pads=[1, 6]),
    "conv_cropped": conv(kernel=2, pads=[-3, 4]),
    "conv_to_one": conv(out=1, kernel=3, pads=[2, 0]),
    "conv_long": conv(out=3, kernel=40, pads=[39, 0]),
    "attention": attended(2, 9),
    "attention_far": attended(4, 70),
    "transposed": transposed(6, 4, stride=2),
    "transposed_cropped": transposed(5, 6, stride=2, crop=[2, 2]),
    "transposed_overlap": transposed(16, 12, stride=4, crop=[3, 5]),
    "transposed_dilated": transposed(3, 3, stride=2, dilation=3, crop=[1, 0]),
    "transposed_one": transposed(1, 8, stride=4),
    "transposed_stride1": transposed(9, 3, crop=[1, 1]),
    "linear": lambda b, x, rng: b.node("linear", x, weight=weights(rng, 20, x.channels)),
    "affine": lambda b, x, rng: b.node(
        "affine", x, scale=weights(rng, x.channels, scale=1.0), shift=weights(rng, 1, scale=1.0)
    ),
    "gru": gru(12, True),
    "gru_reset_first": gru(16, False),
    "gru_plain": gru(5, True, bias=False),
    "lstm": lstm(11),
    "gru_started": gru(9, True, started=True),
    "lstm_started": lstm(7, started=True),
    "layer_norm": norm("layer_norm", True),
    "rms_norm": norm("rms_norm", False),
    "leaky_relu": plain("leaky_relu", alpha=0.3),
    "elu": plain("elu", alpha=0.7),
    "gelu": plain("gelu"),
    "gelu_tanh": plain("gelu", approximate="tanh"),
    "softplus": plain("softplus", beta=2.0),
    "clip": plain("clip", min=-0.25, max=0.1),
    "log": positive("log"),
    "sqrt": positive("sqrt"),
    "reciprocal": positive("reciprocal"),
    "prelu": lambda b, x, rng: b.node("prelu", x, weight=weights(rng, x.channels, scale=0.5)),
    "snake": lambda b, x, rng: b.node("snake", x, alpha=np.abs(weights(rng, x.channels, scale=1.0)) + 0.2),
    "snake_beta": lambda b, x, rng: b.node(
        "snake", x, alpha=np.array([1.5], np.float32), beta=np.array([0.7], np.float32)
    ),
    # Behind another activation: a pass of their own, where the ones above run inside the product.
    "affine_apart": apart("affine"),
    "prelu_apart": apart("prelu"),
    "snake_apart": apart("snake"),
    "glu": glu,
    "arithmetic": arithmetic,
    "fused": fused,
    "conditioned": conditioned,
    "conditioned_by_one": conditioned_by_one,
    "concat_slice": mixed,
    "avg_pool": plain("avg_pool", kernel=4, stride=2, pads=[1, 1]),
    "upsample": plain("upsample", factor=2),
    "upsample_half": lambda b, x, rng: b.node("upsample", b.node("advance", x, frames=1), factor=4, mode="linear"),
    "upsample_asymmetric": plain("upsample", factor=2, mode="linear", coordinates="asymmetric"),
    "depth_time": folded("time"),
    "depth_channel": folded("channel"),
    "noise": noisy,
    "banded": banded,
    "pick": lambda b, x, rng: b.node("pick", x, index=[x.channels - 1, -1, *range(x.channels)]),
    "leaky_sum": lambda b, x, rng: b.node("leaky_sum", x, decay=np.linspace(0.5, 0.9, x.channels).astype(np.float32)),
} | {op: plain(op) for op in ("relu", "silu", "tanh", "sigmoid", "exp", "square", "abs", "neg", "sin", "cos")}
CASES |= SOURCE_CASES


def check(builder: GraphBuilder) -> None:
    graph, model = builder.graph(), builder.model()
    signal = speech_like(480)
    expected = evaluate(graph, signal, seed=5)[graph.outputs[0].tensor][:, 0]
    first = None
    for cutting in ("primes", "ones", "whole"):
        engine = rtvoice.Engine(model, sample_rate=16000, max_frame=512, seed=5)
        out = stream(engine, signal, sizes(cutting, len(signal), graph.hop))
        late = engine.latency
        if first is None:
            first = out
            scale = max(1.0, float(np.abs(expected).max()))
            np.testing.assert_allclose(out[late:], expected[: len(signal) - late], rtol=0, atol=1e-5 * scale)
        np.testing.assert_array_equal(out, first, err_msg=cutting)


@pytest.mark.parametrize("channels", WIDTHS)
@pytest.mark.parametrize("case", CASES)
def test_op(case: str, channels: int) -> None:
    check(around(CASES[case], channels=channels, seed=channels))


@pytest.mark.parametrize(
    ("channels", "out", "groups"),
    [(6, 6, 6), (6, 12, 6), (32, 32, 32), (33, 33, 33), (16, 32, 4), (96, 192, 3), (64, 64, 8), (20, 10, 5)]
    + [(20, 80, 5), (24, 144, 3), (16, 256, 8), (24, 180, 6)],  # groups of 16, 48, 32 and 30
)
@pytest.mark.parametrize(("kernel", "dilation"), [(1, 1), (3, 1), (3, 4)])
def test_grouped_convolution(channels: int, out: int, groups: int, kernel: int, dilation: int) -> None:
    make = conv(out=out, kernel=kernel, dilation=dilation, groups=groups, pads=[(kernel - 1) * dilation, 0])
    check(around(make, channels=channels))


@pytest.mark.parametrize(("channels", "out", "groups"), [(6, 6, 6), (16, 32, 4), (64, 32, 2)])
def test_grouped_transposed_convolution(channels: int, out: int, groups: int) -> None:
    check(around(transposed(out, 6, stride=2, groups=groups, crop=[1, 3]), channels=channels))


PRODUCTS: dict[str, Callable[[GraphBuilder, Tensor, Rng], Tensor]] = {
    "conv1d": conv(pads=[2, 0]),
    "to_one": conv(out=1, kernel=3, pads=[2, 0]),
    "grouped": lambda b, x, rng: conv(groups=2 - x.channels % 2, dilation=2, pads=[4, 0])(b, x, rng),
    "depthwise": lambda b, x, rng: conv(groups=x.channels, pads=[2, 0])(b, x, rng),
    "linear": lambda b, x, rng: b.node("linear", x, weight=weights(rng, x.channels, x.channels)),
    "transposed": transposed(6, 6, stride=2, crop=[2, 2]),  # 2 x 8 columns
    "transposed_narrow": transposed(3, 8, stride=3, crop=[2, 0]),  # 3 x 4 columns are no vector width
}


@pytest.mark.parametrize("residual", ["none", "before", "after"])
@pytest.mark.parametrize("activation", ["prelu", "snake", "snake_beta"])
@pytest.mark.parametrize("product", PRODUCTS)
def test_an_activation_with_numbers_per_channel_runs_inside_the_product(
    product: str, activation: str, residual: str
) -> None:
    if product.startswith("transposed") and residual != "none":
        pytest.skip("a transposed convolution takes no residual")

    def make(b: GraphBuilder, x: Tensor, rng: Rng) -> Tensor:
        y = PRODUCTS[product](b, x, rng)
        if residual == "none":
            return channelwise(b, activation, y, rng)
        other = b.node("tanh", x if y.channels == x.channels else b.node("slice", x, start=0, stop=y.channels))
        if residual == "after":
            return b.node("add", channelwise(b, activation, y, rng), other)
        return channelwise(b, activation, b.node("add", y, other), rng)

    stride = 12 if product == "transposed_narrow" else 4
    for channels in (1, 3, 9, 17, 40) if product != "to_one" else (9,):
        builder = around(make, channels=channels, stride=stride, hop=48)
        layers = builder.model().info["layers"]
        of = {layer["op"]: layer for layer in layers}
        root = next(layer for layer in layers[1:] if layer["op"] in ("conv1d", "linear", "conv_transpose1d"))
        last = of["add"] if residual == "after" else of["prelu" if activation == "prelu" else "snake"]
        assert root["fused"] == last["name"], "runs as a step of its own"
        assert last["fused"] is None
        check(builder)


@pytest.mark.parametrize("stride", [1, 16])
def test_ops_at_the_audio_rate_and_once_a_hop(stride: int) -> None:
    for case in ("conv_dilated", "fused", "gru", "arithmetic", "conditioned", "noise", "conv_symmetric"):
        check(around(CASES[case], channels=8, stride=stride))


def test_every_op_has_a_case() -> None:
    used: set[str] = set()
    for case in CASES.values():
        used |= {node.op for node in around(case, channels=4).graph().nodes}
    in_loops = {"recall", "sample"}  # what is drawn is held against the loop's own reference: test_generation.py
    assert used == set(ops.OPS) - in_loops, "ops without a test"


def test_a_wrong_declared_latency_is_refused() -> None:
    def build(latency: int) -> rtvoice.Model:
        b = GraphBuilder(name="late", sample_rate=16000, hop=16, licence="CC0-1.0", latency=latency)
        b.output(b.node("advance", b.input(), frames=5))
        return b.model()

    assert build(5).latency == 5
    with pytest.raises(rtvoice.ModelError, match="declares 4 samples, its graph has 5"):
        build(4)
