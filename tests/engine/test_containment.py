"""What is not finite stays where it arose: one hop of silence, the same in every cutting; the rest goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import pytest

import rtvoice
from rtvoice.graph import GraphBuilder, Tensor

from .graphs import Rng, around, weights
from .streaming import CUTTINGS, F32, sizes, speech_like, stream


def square(b: GraphBuilder, x: Tensor) -> Tensor:
    """1e30 overflows here; three taps remember it."""
    taps = np.array([[[0.5, -0.25, 1.0]]], np.float32)
    return b.node("conv1d", b.node("square", x), weight=taps, pads=[2, 0])


def root(b: GraphBuilder, x: Tensor) -> Tensor:
    return b.node("sqrt", x)


def recurrent(op: str, gates: int) -> Callable[[GraphBuilder, Tensor], Tensor]:
    def make(b: GraphBuilder, x: Tensor) -> Tensor:
        rng = np.random.default_rng(0)
        y = b.node("square", x)
        y = b.node(op, y, weight_ih=weights(rng, gates * 4, 1), weight_hh=weights(rng, gates * 4, 4))
        return b.node("linear", y, weight=weights(rng, 1, 4))

    return make


@pytest.mark.parametrize("hop", [1, 16])
@pytest.mark.parametrize("make", [square, root, recurrent("gru", 3), recurrent("lstm", 4)])
def test_a_bad_hop_is_silent_alone_in_every_cutting(make: Callable[[GraphBuilder, Tensor], Tensor], hop: int) -> None:
    b = GraphBuilder(name="bad", sample_rate=16000, hop=hop, licence="CC0-1.0")
    b.output(make(b, b.input()))
    model = b.model()
    signal = speech_like(1600) + np.float32(3.0)
    signal[[333, 700, 701]] = [1e30, -1e30, 1e30]
    first: F32 | None = None
    for cutting in CUTTINGS:
        engine = rtvoice.Engine(model, sample_rate=16000, max_frame=2048)
        out = stream(engine, signal, sizes(cutting, len(signal), hop))
        assert np.isfinite(out).all()
        first = out if first is None else first
        np.testing.assert_array_equal(out, first, err_msg=cutting)
    assert first is not None
    assert np.count_nonzero(first[:300]) > 250
    assert np.count_nonzero(first[800:]) > 700


def test_a_value_that_is_not_finite_leaves_the_audio_alone() -> None:
    b = GraphBuilder(name="level", sample_rate=16000, hop=16, licence="CC0-1.0")
    x = b.input()
    b.output(b.node("affine", x, shift=np.array([0.25], np.float32)))
    b.output(b.node("log", b.node("square", x)), name="level", kind="value")
    engine = rtvoice.Engine(b.model(), sample_rate=16000, max_frame=160)
    out = engine.process(np.zeros(160, np.float32))
    np.testing.assert_array_equal(out[engine.latency :], np.float32(0.25))
    assert engine.outputs["level"][0] == np.finfo(np.float32).min


def analyser() -> rtvoice.Model:
    b = GraphBuilder(name="meter", sample_rate=16000, hop=16, licence="CC0-1.0")
    b.output(b.node("abs", b.input()), name="level", kind="value")
    return b.model()


def late(frames: int) -> rtvoice.Model:
    b = GraphBuilder(name="late", sample_rate=16000, hop=16, licence="CC0-1.0")
    x = b.input()
    b.output(b.node("add", b.node("advance", x, frames=frames), b.node("affine", x, scale=np.zeros(1, np.float32))))
    return b.model()


@pytest.mark.parametrize("order", ["to", "from"])
def test_swapping_an_analyser_makes_no_click(order: str) -> None:
    n = 16000
    signal = (0.5 * np.sin(2 * np.pi * 137 * np.arange(n) / n)).astype(np.float32)
    first, second = (late(0), analyser()) if order == "to" else (analyser(), late(0))
    engine = rtvoice.Engine(first, sample_rate=16000, max_frame=160)
    before = stream(engine, signal[:8000], [160] * 50)
    engine.swap(second)
    out = np.concatenate([before, stream(engine, signal[8000:], [160] * 50)])
    steps = np.abs(np.diff(out[200:]))
    assert steps.max() <= 1.05 * np.abs(np.diff(signal)).max()


def parametrised(count: int, low: float = -100.0) -> rtvoice.Model:
    b = GraphBuilder(name=f"p{count}", sample_rate=16000, hop=16, licence="CC0-1.0")
    y = b.input()
    for i in range(count):
        y = b.node("mul", y, b.parameter(f"p{i}", default=[1.0], min=low, max=1e6))
    b.output(y)
    return b.model()


def test_a_swap_between_models_of_other_parameters_is_safe_and_keeps_values() -> None:
    engine = rtvoice.Engine(parametrised(200), sample_rate=16000, max_frame=160)
    engine.set("p0", 3.0)
    frame = np.ones(160, np.float32)
    for count, expected in ((7, 3.0), (1, 3.0), (0, 1.0), (200, 1.0)):  # a model without the name forgets its value
        engine.swap(parametrised(count, low=-float(count)))
        for _ in range(30):
            out = engine.process(frame)
        assert out[-1] == pytest.approx(expected)


def test_no_value_set_during_a_swap_is_lost() -> None:
    first, second = parametrised(1), parametrised(1, low=-50.0)
    frame = np.ones(160, np.float32)
    for _ in range(10):
        engine = rtvoice.Engine(first, sample_rate=16000, max_frame=160)
        done = threading.Event()
        last = [0.0]

        def keep_setting(
            engine: rtvoice.Engine = engine, done: threading.Event = done, last: list[float] = last
        ) -> None:
            while not done.is_set():
                last[0] += 1.0
                engine.set("p0", last[0])

        setter = threading.Thread(target=keep_setting)
        setter.start()
        engine.swap(second)
        done.set()
        setter.join()
        for _ in range(40):
            out = engine.process(frame)
        assert out[-1] == last[0]


def test_the_same_value_again_does_not_start_the_ramp_anew() -> None:
    def rise(again: bool) -> int:
        engine = rtvoice.Engine(parametrised(1), sample_rate=16000, max_frame=16)
        engine.process(np.ones(16, np.float32))  # what is set before the first frame holds at once
        engine.set("p0", 2.0)
        for block in range(100):
            if again:
                engine.set("p0", 2.0)
            if engine.process(np.ones(16, np.float32))[-1] == 2.0:
                return block
        return -1

    assert rise(again=True) == rise(again=False) > 0


def test_a_second_thread_in_the_same_engine_is_an_error_not_a_crash() -> None:
    model = around(
        lambda b, x, rng: b.node("conv1d", x, weight=weights(rng, 64, 64, 9), pads=[8, 0]), channels=64
    ).model()
    engine = rtvoice.Engine(model, sample_rate=16000, max_frame=8192)
    errors: list[str] = []

    def work(seed: int) -> None:
        rng: Rng = np.random.default_rng(seed)
        for _ in range(200):
            try:
                if seed == 0:
                    engine.reset()
                else:
                    engine.process(np.zeros(int(rng.integers(1, 8192)), np.float32))
            except ValueError as error:
                errors.append(str(error))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all("one at a time" in error for error in errors)
    engine.reset()
    assert engine.process(np.zeros(100, np.float32)).shape == (100,)


def test_more_memory_than_an_engine_may_take_is_refused() -> None:
    b = GraphBuilder(name="long", sample_rate=16000, hop=16, licence="CC0-1.0")
    y = b.input()
    for _ in range(60):
        y = b.node("advance", y, frames=1_000_000)
    b.output(y)
    model = b.model()
    with pytest.raises(MemoryError, match="more than 1024"):
        rtvoice.Engine(model, sample_rate=48000, max_frame=160)


@pytest.mark.parametrize("slope", [-0.5, 0.1, 1.7])
def test_a_single_slope_runs_inside_the_convolution(slope: float) -> None:
    builder = around(
        lambda b, x, rng: b.node(
            "prelu",
            b.node("conv1d", x, weight=weights(rng, 8, 8, 3), pads=[2, 0], name="conv"),
            weight=np.array([slope], np.float32),
        ),
        channels=8,
    )
    layers = {layer["name"]: layer for layer in builder.model().info["layers"]}
    assert layers["conv"]["fused"] is not None
    from .test_ops import check

    check(builder)
