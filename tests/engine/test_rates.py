"""Any host rate: the declared latency is exact to a fraction of a sample, and cutting never shows."""

from __future__ import annotations

import math

import numpy as np
import pytest

import rtvoice
from rtvoice.graph import GraphBuilder

from .streaming import CUTTINGS, F32, sizes, speech_like, stream

HOST_RATES = [8000, 11025, 12345, 16000, 22050, 24000, 32000, 44100, 48000, 88200, 96000, 176400, 192000]


def identity(rate: int, hop: int, lookahead: int = 0) -> rtvoice.Model:
    b = GraphBuilder(name="identity", sample_rate=rate, hop=hop, licence="CC0-1.0")
    x = b.input()
    y = b.node("delay", b.node("advance", x, frames=lookahead), frames=lookahead) if lookahead else b.node("affine", x)
    b.output(
        b.node("add", y, b.node("sub", b.node("advance", x, frames=lookahead), b.node("advance", x, frames=lookahead)))
    )
    return b.model()


def tone(rate: int, seconds: float) -> F32:
    t = np.arange(int(rate * seconds)) / rate
    return (0.5 * np.sin(2 * np.pi * 700 * t) + 0.25 * np.sin(2 * np.pi * 1730 * t)).astype(np.float32)


def delay_error(signal: F32, out: F32, rate: int, latency: int) -> float:
    """How much later than `latency` a 700 Hz tone comes out, in samples."""
    settled = slice(rate // 4, len(signal) - latency)
    carrier = np.exp(-2j * np.pi * 700 * np.arange(len(signal)) / rate)
    window = np.hanning(settled.stop - settled.start)
    a = np.vdot(carrier[settled].conj(), window * signal[settled])
    b = np.vdot(carrier[settled].conj(), window * out[latency:][settled])
    assert abs(abs(b) / abs(a) - 1) < 2e-3, "level"
    return float(np.angle(a / b) / (2 * np.pi * 700 / rate))


@pytest.mark.parametrize("model_rate", [16000, 24000, 48000])
@pytest.mark.parametrize("host_rate", HOST_RATES)
@pytest.mark.parametrize(("hop", "lookahead"), [(160, 0), (80, 37), (1, 5)])
def test_latency_is_exact(host_rate: int, model_rate: int, hop: int, lookahead: int) -> None:
    engine = rtvoice.Engine(identity(model_rate, hop, lookahead), sample_rate=host_rate, max_frame=4096)
    signal = tone(host_rate, 1.0)
    out = stream(engine, signal, sizes("random", len(signal), hop))
    assert abs(delay_error(signal, out, host_rate, engine.latency)) < 0.01
    # What the network and the conversion need, no more: two resamplers of at most 8 ms and less than a block of
    # gathering, which holds whole host samples where the model's rate is a multiple of the host's.
    least = math.ceil(lookahead * host_rate / model_rate)
    ratio = model_rate // host_rate if model_rate % host_rate == 0 else 1
    block = math.lcm(hop, ratio) if ratio > 1 else max(hop, 32)
    assert least <= engine.latency < least + 0.016 * host_rate + math.ceil(block * host_rate / model_rate) + 2


@pytest.mark.parametrize("resampler", ["fir", "fir-short", "fastest", "medium", "best"])
def test_every_resampler_can_be_chosen(resampler: str) -> None:
    engine = rtvoice.Engine(identity(16000, 160), sample_rate=48000, max_frame=4096, resampler=resampler)
    signal = tone(48000, 1.0)
    out = stream(engine, signal, sizes("random", len(signal), 480))
    assert abs(delay_error(signal, out, 48000, engine.latency)) < 0.01


@pytest.mark.parametrize("host_rate", [8000, 22050, 44100, 48000, 12345])
@pytest.mark.parametrize("hop", [1, 7, 160])
def test_cutting_never_shows(host_rate: int, hop: int) -> None:
    model = identity(16000, hop, lookahead=3)
    signal = speech_like(3000)
    engine = rtvoice.Engine(model, sample_rate=host_rate, max_frame=4096)
    first = stream(engine, signal, sizes("whole", len(signal), hop))
    for cutting in CUTTINGS:
        engine.reset()
        np.testing.assert_array_equal(stream(engine, signal, sizes(cutting, len(signal), hop)), first, err_msg=cutting)


@pytest.mark.parametrize("block", [120, 128, 160, 240, 441, 480, 960, 1000])
@pytest.mark.parametrize("host_rate", [16000, 44100, 48000])
def test_a_promised_block_shortens_the_latency(host_rate: int, block: int) -> None:
    model = identity(16000, 160)
    anything = rtvoice.Engine(model, sample_rate=host_rate, max_frame=1024)
    promised = rtvoice.Engine(model, sample_rate=host_rate, max_frame=1024, block=block)
    hop = 160 * host_rate // 16000
    assert anything.latency - promised.latency == math.gcd(hop, block) - 1
    signal = tone(host_rate, 1.0)
    signal = signal[: len(signal) // block * block]
    a = stream(anything, signal, sizes("random", len(signal), hop))
    b = stream(promised, signal, [block] * (len(signal) // block))
    n = len(signal) - anything.latency
    np.testing.assert_array_equal(a[anything.latency :], b[promised.latency :][:n])


def test_libsamplerate_in_the_engine_is_libsamplerate() -> None:
    """The way to the model and back, against the `samplerate` package at the same delays."""
    samplerate = pytest.importorskip("samplerate")
    host, model = 44100, 16000
    signal = tone(host, 1.0) + 0.1 * speech_like(host)
    engine = rtvoice.Engine(identity(model, 160), sample_rate=host, max_frame=4096, resampler="fastest")
    out = stream(engine, signal.astype(np.float32), sizes("random", len(signal), 441))
    late = engine.latency
    down = samplerate.resample(signal.astype(np.float32), model / host, "sinc_fastest")
    up = samplerate.resample(down.astype(np.float32), host / model, "sinc_fastest")
    n = min(len(up), len(signal) - late) - 2000
    np.testing.assert_allclose(out[late : late + n][2000:], up[2000:n], rtol=0, atol=2e-5)
