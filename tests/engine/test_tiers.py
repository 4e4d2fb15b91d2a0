"""Tiers of one skin in one engine: equal latency, holding one, and what an overload does."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

import rtvoice
from rtvoice.graph import GraphBuilder

from .graphs import weights
from .streaming import speech_like, stream


def tier(name: str, *, gain: float, lookahead: int, layers: int, channels: int = 8) -> rtvoice.Model:
    """`gain` times the input, and a branch that costs time and is heard at -200 dB."""
    rng = np.random.default_rng(1)
    b = GraphBuilder(name="tiered", sample_rate=16000, hop=160, licence="CC0-1.0", tier=name)
    x = b.input()
    y = b.node("conv1d", x, weight=weights(rng, channels, 1, 3), pads=[2, 0])
    for _ in range(layers):
        y = b.node("tanh", b.node("conv1d", y, weight=weights(rng, channels, channels, 3), pads=[2, 0]))
    y = b.node("conv1d", y, weight=weights(rng, 1, channels, 1 + lookahead, scale=1e-10), pads=[0, lookahead])
    b.output(b.node("add", b.node("affine", x, scale=np.array([gain], np.float32)), y))
    return b.model()


def test_all_tiers_are_as_late_as_the_slowest_and_the_best_runs() -> None:
    best, cheap = tier("hq", gain=1.0, lookahead=5, layers=3), tier("default", gain=0.5, lookahead=80, layers=1)
    engine = rtvoice.Engine(best, 48000, 480, fallback=cheap)
    assert engine.latency == rtvoice.Engine(cheap, 48000, 480).latency
    assert engine.tier == engine.stats()["tier"] == "hq"
    signal = speech_like(4800)
    alone = rtvoice.Engine(best, 48000, 480)
    late = engine.latency - alone.latency
    out, out_alone = (stream(e, signal, [480] * 10) for e in (engine, alone))
    np.testing.assert_array_equal(out[late:], out_alone[:-late])


def test_a_tier_can_be_held_and_let_go() -> None:
    best, cheap = tier("hq", gain=1.0, lookahead=0, layers=1), tier("default", gain=0.5, lookahead=0, layers=1)
    engine = rtvoice.Engine(best, 16000, 480, fallback=[cheap])
    ones = np.ones(480, np.float32)
    engine.tier = "default"
    for _ in range(10):
        out = engine.process(ones)
    assert engine.tier == "default"
    np.testing.assert_allclose(out, 0.5, atol=1e-6)
    engine.tier = "hq"
    for _ in range(10):
        out = engine.process(ones)
    np.testing.assert_allclose(out, 1.0, atol=1e-6)
    assert engine.stats()["tier_changes"] == 2
    with pytest.raises(ValueError, match="no tier 'master'; it has: hq, default, and 'auto'"):
        engine.tier = "master"


def test_the_shipped_skin_falls_back_by_name() -> None:
    engine = rtvoice.Engine("whisper", 48000, 480, tier="hq", fallback="default")
    engine.tier = "default"
    for _ in range(20):
        engine.process(np.zeros(480, np.float32))
    assert engine.tier == "default"


def test_tiers_with_other_parameters_are_refused() -> None:
    b = GraphBuilder(name="other", sample_rate=16000, hop=160, licence="CC0-1.0")
    b.output(b.node("mul", b.input(), b.parameter("gain", size=1, default=[1.0], min=0.0, max=1.0)))
    with pytest.raises(rtvoice.ModelError, match="must have the same"):
        rtvoice.Engine(tier("hq", gain=1.0, lookahead=0, layers=1), fallback=b.model())


@pytest.mark.slow
def test_busy_cores_end_in_the_cheap_tier_and_nothing_undefined_comes_out() -> None:
    """A tier that takes three quarters of a quiet core, while other threads keep every core busy."""
    cheap = tier("default", gain=0.5, lookahead=20, layers=1)
    layers, best = 8, tier("hq", gain=1.0, lookahead=0, layers=8, channels=64)
    probe = rtvoice.Engine(best, 16000, 160)
    for _ in range(50):
        probe.process(np.zeros(160, np.float32))
    layers = max(1, int(layers * 0.75 * 1e4 / probe.stats()["us"]["p50"]))
    best = tier("hq", gain=1.0, lookahead=0, layers=min(layers, 1500), channels=64)
    engine = rtvoice.Engine(best, 16000, 160, fallback=cheap)
    stop = threading.Event()

    def burn() -> None:
        other = rtvoice.Engine(best, 16000, 160)
        block = np.zeros(160, np.float32)
        while not stop.is_set():
            other.process(block)

    burners = [threading.Thread(target=burn) for _ in range(6)]
    for burner in burners:
        burner.start()
    ones, outs = np.ones(160, np.float32), []
    deadline = time.monotonic() + 30
    while engine.tier == "hq" and time.monotonic() < deadline:
        outs.append(engine.process(ones))
    for _ in range(20):
        outs.append(engine.process(ones))
    stop.set()
    for burner in burners:
        burner.join()
    out = np.concatenate(outs)
    assert np.isfinite(out).all()
    assert out.min() > -1e-6 and out.max() < 1 + 1e-6
    if engine.stats()["overruns"] < 3:
        pytest.skip("this machine has more cores than the test could keep busy")
    assert engine.tier == "default" and engine.stats()["tier_changes"] == 1
    np.testing.assert_allclose(out[-160:], 0.5, atol=1e-6)
