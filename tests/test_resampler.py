"""The conversion between host and model rate, seen through an engine whose model passes its input on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import rtvoice

HOST_RATES = [8000, 11025, 16000, 22050, 32000, 44100, 48000, 88200, 96000, 192000]
MODEL_RATES = [16000, 24000, 48000]


@pytest.fixture(scope="module", params=MODEL_RATES)
def wire(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> rtvoice.Model:
    """A model of 10 ms hops that gives back what it gets."""
    rate = int(request.param)
    b = rtvoice.GraphBuilder(name="wire", sample_rate=rate, hop=rate // 100, licence="CC0-1.0")
    x = b.input()
    b.output(b.node("conv1d", x, weight=np.ones((1, 1, 1), np.float32), bias=np.zeros(1, np.float32), name="wire"))
    path: Path = tmp_path_factory.mktemp("wire") / "wire.rtv"
    b.save(path)
    return rtvoice.Model.load(path)


def through(engine: rtvoice.Engine, signal: np.ndarray, frame: int = 480) -> np.ndarray:
    return np.concatenate([engine.process(signal[i : i + frame]) for i in range(0, len(signal), frame)])


def sine(hertz: float, rate: int, frames: int) -> np.ndarray:
    return np.sin(2 * np.pi * hertz / rate * np.arange(frames)).astype(np.float32)


def fit(signal: np.ndarray, hertz: float, rate: int, start: int) -> tuple[complex, float]:
    """Amplitude and phase (against sin) of a tone from frame `start` on, and the r.m.s. of what is left."""
    n = np.arange(start, len(signal))
    basis = np.stack([np.sin(2 * np.pi * hertz / rate * n), np.cos(2 * np.pi * hertz / rate * n)], axis=1)
    part = signal[start:].astype(np.float64)
    (a, b), *_ = np.linalg.lstsq(basis, part, rcond=None)
    return complex(a, b), float(np.sqrt(np.mean((part - basis @ [a, b]) ** 2)))


@pytest.mark.parametrize("rate", HOST_RATES)
def test_a_tone_comes_out_alone_and_late_by_the_latency(wire: rtvoice.Model, rate: int) -> None:
    engine = rtvoice.Engine(wire, rate, 480)
    hertz = 0.11 * min(rate, wire.sample_rate)
    out = through(engine, sine(hertz, rate, rate // 2))
    tone, rest = fit(out, hertz, rate, rate // 4)
    expected = np.exp(-2j * np.pi * hertz / rate * engine.latency)
    # 1e-3 of a sample at this tone, and 1e-3 in level.
    assert abs(tone - expected) < 1e-3 + 2e-3 * np.pi * hertz / rate
    assert rest < 1e-4


@pytest.mark.parametrize("rate", HOST_RATES)
def test_an_impulse_comes_out_at_the_latency(wire: rtvoice.Model, rate: int) -> None:
    engine = rtvoice.Engine(wire, rate, 480)
    signal = np.zeros(rate // 4, np.float32)
    signal[1000] = 1.0
    assert int(np.argmax(through(engine, signal))) == 1000 + engine.latency


@pytest.mark.parametrize("rate", [44100, 48000, 96000])
def test_what_the_model_cannot_carry_does_not_fold_back(wire: rtvoice.Model, rate: int) -> None:
    hertz = 0.57 * wire.sample_rate
    if hertz >= rate / 2:
        pytest.skip("the host carries no such tone")
    out = through(rtvoice.Engine(wire, rate, 480), sine(hertz, rate, rate // 4))
    assert 20 * np.log10(np.sqrt(2 * np.mean(np.square(out[rate // 8 :], dtype=np.float64)))) < -90


@pytest.mark.parametrize("rate", HOST_RATES)
def test_cutting_does_not_change_a_bit(wire: rtvoice.Model, rate: int) -> None:
    signal = (0.2 * np.random.default_rng(3).standard_normal(rate // 4)).astype(np.float32)
    whole = through(rtvoice.Engine(wire, rate, 480), signal)
    np.testing.assert_array_equal(through(rtvoice.Engine(wire, rate, 480), signal, 37), whole)


@pytest.mark.parametrize("rate", HOST_RATES)
def test_reset_equals_fresh(wire: rtvoice.Model, rate: int) -> None:
    signal = (0.2 * np.random.default_rng(3).standard_normal(rate // 8)).astype(np.float32)
    engine = rtvoice.Engine(wire, rate, 480)
    fresh = through(engine, signal)
    engine.reset()
    np.testing.assert_array_equal(through(engine, signal), fresh)


@pytest.mark.parametrize("rate", [44100, 48000])
def test_the_resamplers_keep_within_four_milliseconds(wire: rtvoice.Model, rate: int) -> None:
    engine = rtvoice.Engine(wire, rate, 480)
    hop = rate // 100
    assert engine.latency - (hop - 1) <= 0.004 * rate + 1
