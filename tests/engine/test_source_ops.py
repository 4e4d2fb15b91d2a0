"""Phase without drift, pulse trains as their sums, filters in step: what a tolerance over one network hides."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

import rtvoice
from rtvoice.graph import GraphBuilder, Tensor
from rtvoice.reference import evaluate

from .graphs import weights
from .streaming import CUTTINGS, F32, sizes, speech_like, stream


def builder(hop: int = 16) -> tuple[GraphBuilder, Tensor]:
    b = GraphBuilder(name="source", sample_rate=16000, hop=hop, licence="CC0-1.0")
    return b, b.input()


def run(b: GraphBuilder, signal: F32) -> F32:
    """Stream in frames of one hop, without latency but the network's own."""
    hop = b.metadata["hop"]
    engine = rtvoice.Engine(b.model(), sample_rate=16000, max_frame=hop, block=hop)
    return stream(engine, signal, [hop] * (len(signal) // hop))


def exact_phase(turns: F32) -> list[float]:
    """The words of the format with whole numbers only."""
    total, out = 0, []
    for value in turns.tolist():
        part = Fraction(value) * 2**64
        total = (total + (int(part) if part >= 0 else -int(-part))) % 2**64
        out.append((total >> 40) / 2**24)
    return out


def test_phase_is_its_definition_bit_for_bit() -> None:
    rng = np.random.default_rng(0)
    turns = (rng.standard_normal(1600) * 10.0 ** rng.uniform(-14, 3, 1600)).astype(np.float32)
    turns[::97] = 0.0
    b, x = builder()
    b.output(b.node("phase", x))
    out = run(b, turns)
    np.testing.assert_array_equal(out, np.array(exact_phase(turns), np.float32))
    assert out.min() >= 0 and out.max() < 1
    np.testing.assert_array_equal(evaluate(b.graph(), turns)[b.graph().outputs[0].tensor][:, 0], out)


def test_phase_does_not_drift() -> None:
    """A minute's sum of a number that no binary fraction is."""
    step = np.float32(440 / 16000)
    count = 960_000
    b, x = builder(hop=160)
    b.output(b.node("phase", x))
    engine = rtvoice.Engine(b.model(), sample_rate=16000, max_frame=8000, block=8000)
    frame = np.full(8000, step, np.float32)
    for _ in range(count // 8000):
        out = engine.process(frame)
    assert out[-1] == np.float32(int(Fraction(float(step)) * count % 1 * 2**24) / 2**24)


def test_phases_of_several_channels_are_apart() -> None:
    rng = np.random.default_rng(1)
    b, x = builder()
    y = b.node("linear", x, weight=weights(rng, 5, 1, scale=0.01), bias=weights(rng, 5, scale=0.01))
    phases = b.node("phase", y)
    for c in range(5):
        b.output(b.node("slice", phases, start=c, stop=c + 1), name=f"p{c}", kind="value")
        b.output(b.node("phase", b.node("slice", y, start=c, stop=c + 1)), name=f"q{c}", kind="value")
    engine = rtvoice.Engine(b.model(), sample_rate=16000, max_frame=160)
    engine.process(speech_like(160))
    values = [(float(engine.outputs[f"p{c}"][0]), float(engine.outputs[f"q{c}"][0])) for c in range(5)]
    assert all(p == q for p, q in values)
    assert len({p for p, _ in values}) == 5


def test_what_is_not_finite_adds_nothing_to_a_phase() -> None:
    b, x = builder(hop=1)
    turns = b.node("log", b.node("square", x))  # minus infinity at 0; the audio stays finite
    b.output(b.node("phase", turns))
    signal = speech_like(400)
    signal[[100, 200]] = 0.0
    rest = np.delete(signal, [100, 200])
    np.testing.assert_array_equal(np.delete(run(b, signal), [100, 200]), run(b, rest))


@pytest.mark.parametrize("count", [1, 7, 80, 400, 65536])
def test_harmonics_are_the_sum_of_their_cosines(count: int) -> None:
    """The closed form over its hardest phases: next to whole turns, where sine is divided by sine."""
    near = np.concatenate([0.5 ** np.arange(1, 25), 1 - 0.5 ** np.arange(1, 25), [0.0, 0.25, 0.5, 1 / 3]])
    phases = np.concatenate([near, np.random.default_rng(0).uniform(0, 1, 200)]).astype(np.float32)
    frequencies = np.array([0.5, 0.3, 0.24, 0.1, 0.0125, 0.00125, 0.0011, 2e-4], np.float32)
    wanted_rows, got_rows, peaks = [], [], []
    for frequency in frequencies:
        b, x = builder(hop=1)
        constant = b.node("affine", x, scale=np.zeros(1, np.float32), shift=np.array([frequency], np.float32))
        b.output(b.node("harmonics", x, constant, count=count))
        h = max(min(0.5 / float(frequency) - 1, count), 1e-12)
        k = np.arange(1, int(np.ceil(h)) + 1)
        share = np.clip(h - k + 1, 0, 1)
        angle = np.rint(phases.astype(np.float64) * 2**24) / 2**24 * 2 * np.pi
        wanted_rows.append(np.cos(angle[:, None] * k) @ share * np.sqrt(2 / h))
        got_rows.append(run(b, phases))
        peaks.append(np.sqrt(2 * max(h, 1)))
    wanted, got, peak = np.array(wanted_rows), np.array(got_rows), np.array(peaks)[:, None]
    assert np.abs((got - wanted) / peak).max() < 1e-6


def test_harmonics_keep_below_the_limit_and_have_unit_power() -> None:
    rate, seconds = 16000, 1
    b, x = builder(hop=160)
    b.output(b.node("harmonics", b.node("phase", x), x, count=100, limit=0.25))
    for hertz in (100.0, 437.0, 1333.0):
        out = run(b, np.full(rate * seconds, hertz / rate, np.float32)).astype(np.float64)
        power = np.abs(np.fft.rfft(out * np.hanning(len(out)))) ** 2
        assert power[4004:].sum() < 1e-10 * power.sum()
        assert 0.9 < np.mean(out**2) < 1.05  # the faded harmonic has less


@pytest.mark.parametrize("frequency", [0.0, -0.1, float("nan"), float("inf")])
def test_harmonics_of_no_frequency_are_silent(frequency: float) -> None:
    b, x = builder(hop=1)
    if np.isfinite(frequency):
        f = b.node("affine", x, scale=np.zeros(1, np.float32), shift=np.array([frequency], np.float32))
    else:  # log of 0, and of less
        f = b.node("log", b.node("affine", b.node("square", x), scale=np.array([0.0 if frequency > 0 else -1.0])))
        f = b.node("neg", f) if frequency > 0 else f
    b.output(b.node("harmonics", x, f, count=10))
    assert np.abs(run(b, np.full(64, 0.3, np.float32))).max() < 1e-5


@pytest.mark.parametrize("interpolate", [False, True])
@pytest.mark.parametrize(("taps", "late"), [(1, 0), (3, 5), (40, 11), (200, 16)])
@pytest.mark.parametrize("per_frame", [8, 16])
def test_taps_change_at_their_own_frames(taps: int, late: int, per_frame: int, interpolate: bool) -> None:
    """Taps longer than a hop, delays that are no whole frame of taps, every cutting bit for bit."""
    rng = np.random.default_rng(taps)
    b, x = builder(hop=16)
    shape = b.node("conv1d", x, weight=weights(rng, taps, 1, per_frame), stride=per_frame)
    b.output(b.node("fir", b.node("advance", x, frames=late), shape, interpolate=interpolate))
    signal = speech_like(1600)
    wanted = evaluate(b.graph(), signal)[b.graph().outputs[0].tensor][:, 0]
    latency = b.model().latency
    assert latency == late
    first = run(b, signal)
    np.testing.assert_allclose(first[latency:], wanted[: 1600 - latency], atol=1e-5 * np.abs(wanted).max())
    for cutting in CUTTINGS:
        engine = rtvoice.Engine(b.model(), sample_rate=16000, max_frame=2048)
        out = stream(engine, signal, sizes(cutting, len(signal), 16))
        np.testing.assert_array_equal(out[engine.latency :], first[latency : 1600 - 15], err_msg=cutting)


def test_a_constant_frame_of_taps_is_a_convolution() -> None:
    rng = np.random.default_rng(3)
    weight = weights(rng, 1, 1, 24)
    b, x = builder(hop=16)
    zero = b.node("conv1d", x, weight=np.zeros((24, 1, 16), np.float32), bias=weight[0, 0, ::-1].copy(), stride=16)
    b.output(b.node("fir", x, zero))
    c, z = builder(hop=16)
    c.output(c.node("conv1d", z, weight=weight, pads=[23, 0]))
    signal = speech_like(800)
    np.testing.assert_allclose(run(b, signal), run(c, signal), atol=2e-6)


def test_warp_by_one_moves_nothing_and_beyond_the_end_repeats_the_last_bin() -> None:
    b, x = builder(hop=16)
    bins = b.node("time_to_depth", x, factor=16)
    one = b.parameter("ratio", default=[1.0], min=0.0, max=4.0)
    b.output(b.node("depth_to_time", b.node("warp", bins, one), factor=16))
    signal = speech_like(160)
    np.testing.assert_array_equal(run(b, signal), signal)
    engine = rtvoice.Engine(b.model(), sample_rate=16000, max_frame=160, block=16)
    engine.set("ratio", 2.0)
    engine.reset()
    out = stream(engine, signal, [16] * 10)
    np.testing.assert_array_equal(out[-16:-8], signal[-16::2])
    np.testing.assert_array_equal(out[-8:], signal[-1])


def test_softmax_of_large_numbers_sums_to_one() -> None:
    b, x = builder(hop=16)
    bins = b.node("affine", b.node("time_to_depth", x, factor=16), scale=np.array([1e4], np.float32))
    b.output(b.node("depth_to_time", b.node("softmax", bins), factor=16))
    out = run(b, speech_like(1600)).reshape(-1, 16)
    np.testing.assert_allclose(out.sum(axis=1), 1.0, atol=1e-6)
    assert out.max() > 0.9


@pytest.mark.parametrize(
    ("op", "inputs", "attrs", "message"),
    [
        ("harmonics", ("two", "x"), {"count": 4}, "phase has 2 channels; it must have 1"),
        ("harmonics", ("x", "two"), {"count": 4}, "frequency has 2 channels"),
        ("harmonics", ("x", "gain"), {"count": 4}, "needs a stream"),
        ("harmonics", ("x", "x"), {"count": 0}, "must lie in 1..65536"),
        ("harmonics", ("x", "x"), {"count": 4, "limit": 0.6}, "must lie in 1e-06..0.5"),
        ("warp", ("two", "two"), {}, "ratio has 2 channels"),
        ("fir", ("two", "slow"), {}, "x has 2 channels"),
        ("fir", ("slow", "x"), {}, "do not divide"),
        ("fir", ("x", "gain"), {}, "needs a stream"),
        ("phase", ("gain",), {}, "needs a stream"),
    ],
)
def test_what_does_not_fit_is_named(op: str, inputs: tuple[str, ...], attrs: dict[str, float], message: str) -> None:
    b, x = builder(hop=16)
    two = b.node("concat", x, x)
    slow = b.node("avg_pool", x, kernel=4)
    values = {"x": x, "two": two, "slow": slow, "gain": b.parameter("gain")}
    with pytest.raises(ValueError, match=message):
        b.node(op, *(values[name] for name in inputs), **attrs)
