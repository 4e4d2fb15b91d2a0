"""Loops that draw a signal from what they drew before: the float64 reference, every cutting, what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rtvoice
from rtvoice.graph import GraphBuilder, Tensor
from rtvoice.reference import evaluate

from .graphs import weights
from .streaming import CUTTINGS, sizes, speech_like, stream

HOP = 32


def wavenet(
    kind: str = "gaussian", *, channels: int = 32, ahead: int = 0, layers: int = 4, **extra: Any
) -> GraphBuilder:
    """A gated stack steered by a slower stream that is `ahead` frames early, and by a parameter."""
    rng = np.random.default_rng(3)
    b = GraphBuilder(name="loop", sample_rate=16000, hop=HOP, licence="CC0-1.0")
    warmth = b.parameter("warmth", size=2 * channels, default=0.1, min=-1.0, max=1.0)
    slow = b.node("conv1d", b.input(), weight=weights(rng, 16, 1, 8), stride=8, pads=[0, 0])
    if ahead:
        slow = b.node("advance", slow, frames=ahead)
    before = b.node("recall", of="draw", channels=1, frames=HOP, name="before")
    h = b.node("conv1d", before, weight=weights(rng, channels, 1, 1), bias=weights(rng, channels, scale=0.3))
    total: Tensor | None = None
    for i in range(layers):
        steer = b.node("upsample", b.node("linear", slow, weight=weights(rng, 2 * channels, 16, scale=2.0)), factor=8)
        if i == 1:
            steer = b.node("add", steer, warmth)
        if i == 2:
            h = _more(b, h, rng)
        d = 4 * 2 ** (i % 3)  # one that runs frame by frame, two whose older tap runs ahead
        late = b.node("conv1d", h, weight=weights(rng, 2 * channels, channels, 2), dilation=d, pads=[d, 0])
        z = b.node("glu", b.node("add", late, steer), a="tanh", b="sigmoid")
        skipped, kept = (b.node("linear", z, weight=weights(rng, channels, channels)) for _ in range(2))
        total = skipped if total is None else b.node("add", skipped, total)
        h = b.node("add", kept, h)
    assert total is not None
    outputs = {"gaussian": 2, "logistic": 9, "categorical": 64}[kind]
    y = b.node("linear", b.node("relu", total), weight=weights(rng, outputs, channels))
    y = b.node("sample", y, distribution=kind, stream=5, name="draw", **extra)
    b.output(b.node("leaky_sum", y, decay=np.array([0.5], np.float32)))
    return b


def _more(b: GraphBuilder, h: Tensor, rng: np.random.Generator) -> Tensor:
    """What else may stand in a loop: recurrence, delay, norms, bands, its own noise from outside."""
    c = h.channels
    g = b.node("gru", h, weight_ih=weights(rng, 3 * c, c), weight_hh=weights(rng, 3 * c, c))
    g = b.node("add", g, b.node("noise", channels=c, frames=HOP, std=0.1))
    return b.node("add", b.node("layer_norm", b.node("delay", g, frames=3)), b.node("tanh", h))


@pytest.mark.parametrize("kind", ["gaussian", "logistic", "categorical"])
@pytest.mark.parametrize(("channels", "ahead"), [(32, 3), (24, 0), (5, 1)])
def test_every_draw_is_the_references_in_every_cutting(kind: str, channels: int, ahead: int) -> None:
    builder = wavenet(kind, channels=channels, ahead=ahead)
    graph, model = builder.graph(), builder.model()
    signal = speech_like(4 * HOP, 0)
    expected = evaluate(graph, signal)[graph.outputs[0].tensor][:, 0]
    first = None
    for cutting in CUTTINGS:
        engine = rtvoice.Engine(model, sample_rate=16000, max_frame=512)
        out = stream(engine, signal, sizes(cutting, len(signal), HOP))
        if first is None:
            late, first = engine.latency, out
            assert late == HOP - 1 + 8 * ahead
            assert not out[:late].any()
            assert np.unique(out[late:]).size > 20, "a loop that draws says something new all the time"
            # Draws differ in the last bits, and the loop keeps that: some 1e-6 after 128 of them.
            np.testing.assert_allclose(out[late:], expected[: len(signal) - late], rtol=0, atol=2e-5)
        np.testing.assert_array_equal(out, first, err_msg=f"cut as {cutting}")
        engine.reset()
        again = stream(engine, signal, sizes(cutting, len(signal), HOP))
        np.testing.assert_array_equal(again, first, err_msg=f"after reset, cut as {cutting}")


def test_the_reference_fed_with_its_own_draws_is_itself() -> None:
    graph = wavenet().graph()
    signal = speech_like(4 * HOP, 1)
    free = evaluate(graph, signal)
    fed = evaluate(graph, signal, recalled={"before": free["before"]})
    np.testing.assert_array_equal(fed["draw"], free["draw"])
    np.testing.assert_array_equal(free["before"][1:], free["draw"][:-1])


def test_a_seed_makes_its_own_signal() -> None:
    model = wavenet().model()
    made = [
        rtvoice.Engine(model, sample_rate=16000, max_frame=512, seed=seed).process(speech_like(256, 0))
        for seed in (0, 0, 1)
    ]
    np.testing.assert_array_equal(made[0], made[1])
    assert np.abs(made[0] - made[2]).max() > 0.01


@pytest.mark.parametrize("rate", [16000, 48000])
def test_the_sliced_schedule_gives_the_same_bits(rate: int) -> None:
    model = wavenet(ahead=1).model()
    signal = speech_like(3000, 0)
    inline = rtvoice.Engine(model, sample_rate=rate, max_frame=512)
    sliced = rtvoice.Engine(model, sample_rate=rate, max_frame=512, schedule="sliced")
    expected = stream(inline, signal, sizes("hop", len(signal), 64))
    late = sliced.latency - inline.latency
    for cutting in ("primes", "ones"):
        sliced.reset()
        out = stream(sliced, signal, sizes(cutting, len(signal), 64))
        np.testing.assert_array_equal(out[late:], expected[: len(out) - late])


def test_a_wide_mixture_draws_as_its_distribution_says() -> None:
    """Two of three draws fall where the logits say, and classes are as frequent as their shares."""
    b = GraphBuilder(name="draws", sample_rate=16000, hop=64)
    b.input()
    noise = b.node("noise", channels=4, frames=64, std=1e-9)
    shift = np.log(np.array([1, 2, 3, 4], np.float32))
    b.output(b.node("sample", b.node("affine", noise, shift=shift), distribution="categorical"))
    out = rtvoice.Engine(b.model(), sample_rate=16000, max_frame=4096, block=64).process(np.zeros(64, np.float32))
    more = [
        rtvoice.Engine(b.model(), 16000, 64, block=64, seed=s).process(np.zeros(64, np.float32)) for s in range(150)
    ]
    drawn = np.concatenate([out, *more])
    values, counts = np.unique(drawn, return_counts=True)
    np.testing.assert_allclose(values, [-1.0, -0.1953, 0.1953, 1.0], atol=2e-2)
    np.testing.assert_allclose(counts / drawn.size, [0.1, 0.2, 0.3, 0.4], atol=0.02)


def test_what_is_not_finite_is_one_silent_hop() -> None:
    b = GraphBuilder(name="bad", sample_rate=16000, hop=HOP)
    x = b.input()
    before = b.node("recall", of="draw", channels=1, frames=HOP)
    pole = b.node("reciprocal", b.node("affine", x, shift=np.array([-0.5], np.float32)))
    bad = b.node("sub", pole, pole)  # infinity less infinity where the input is 0.5
    b.output(b.node("sample", b.node("concat", b.node("add", bad, before), b.node("neg", before)), name="draw"))
    engine = rtvoice.Engine(b.model(), sample_rate=16000, max_frame=HOP, block=HOP)
    quiet = np.zeros(HOP, np.float32)
    pole_hop = quiet.copy()
    pole_hop[5] = 0.5
    engine.process(quiet)
    assert not engine.process(pole_hop).any()
    fresh = rtvoice.Engine(b.model(), sample_rate=16000, max_frame=HOP, block=HOP)
    np.testing.assert_array_equal(engine.process(quiet), fresh.process(quiet), err_msg="a fresh start behind it")


def loop(make: Any, **attrs: Any) -> GraphBuilder:
    """A loop around what `make` adds."""
    b = GraphBuilder(name="loop", sample_rate=16000, hop=HOP)
    x = b.input()
    before = b.node("recall", **{"of": "end", "channels": 1, "frames": HOP, "name": "before", **attrs})
    b.output(b.node("tanh", make(b, x, before), name="end"))
    return b


REFUSED = {
    "depends on it": lambda b, x, before: x,
    "looks ahead": lambda b, x, before: b.node("add", x, b.node("advance", before, frames=1)),
    "one rate": lambda b, x, before: b.node(
        "conv_transpose1d", b.node("conv1d", before, weight=np.ones((1, 1, 2), np.float32), stride=2),
        weight=np.ones((1, 1, 2), np.float32), stride=2,
    ),
    "before or behind the loop": lambda b, x, before: b.node("upsample", before, factor=1),
}  # fmt: skip


@pytest.mark.parametrize("told", REFUSED)
def test_loops_that_cannot_run_are_refused_by_name(told: str) -> None:
    with pytest.raises((ValueError, rtvoice.ModelError), match=told.replace("depends on it", "does not depend on it")):
        rtvoice.Engine(loop(REFUSED[told]).model(), sample_rate=16000, max_frame=64)


def test_a_recall_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no later node"):
        loop(lambda b, x, before: b.node("add", x, before), of="nobody").graph()
    with pytest.raises(ValueError, match="must be those of a stream"):
        loop(lambda b, x, before: b.node("slice", before, start=0, stop=1), channels=2).graph()
    data = loop(lambda b, x, before: b.node("add", x, before)).to_bytes()
    for wrong in (b'\\"of\\":\\"enx\\"', b'\\"of\\":\\"aud\\"'):
        with pytest.raises(rtvoice.ModelError, match="no later node"):
            rtvoice.Model.from_bytes(data.replace(b'\\"of\\":\\"end\\"', wrong))
