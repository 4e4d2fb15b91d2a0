"""The sliced schedule: the bits of the inline one, exactly one hop later, whatever the frames are."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

import rtvoice
from rtvoice.graph import GraphBuilder

from .graphs import random_graph, weights
from .streaming import CUTTINGS, F32, sizes, speech_like, stream


def model(hop: int = 160, rate: int = 16000) -> rtvoice.Model:
    """Layers of several costs, lookahead, noise, recurrence, a parameter and a value output."""
    rng = np.random.default_rng(3)
    b = GraphBuilder(name="sliced", sample_rate=rate, hop=hop, licence="CC0-1.0")
    gain = b.parameter("gain", size=1, default=[0.5], min=0.0, max=2.0)
    x = b.node("conv1d", b.input(), weight=weights(rng, 24, 1, hop), stride=hop, pads=[0, 0])
    for _ in range(4):
        x = b.node("add", x, b.node("tanh", b.node("conv1d", x, weight=weights(rng, 24, 24, 3), pads=[1, 1])))
    x = b.node("gru", x, weight_ih=weights(rng, 48, 24), weight_hh=weights(rng, 48, 16))
    b.output(x, name="state", kind="value")
    y = b.node("conv_transpose1d", x, weight=weights(rng, 16, 1, hop), stride=hop)
    y = b.node("add", y, b.node("noise", channels=1, frames=hop, std=0.01))
    b.output(b.node("mul", y, gain))
    return b.model()


def hop_at(rate: int, made: rtvoice.Model) -> int:
    return -(-rate * made.hop // made.sample_rate)


@pytest.mark.parametrize("rate", [16000, 48000, 44100, 8000, 11025, 96000])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_bits_of_inline_one_hop_later_in_every_cutting(rate: int, channels: int) -> None:
    made = model()
    signal = np.stack([speech_like(rate // 4, seed) for seed in range(channels)], axis=1)
    signal = np.ascontiguousarray(signal[:, 0]) if channels == 1 else signal
    inline = rtvoice.Engine(made, rate, 32768, channels)
    hop = hop_at(rate, made)
    whole = inline.process(np.ascontiguousarray(signal))
    assert np.count_nonzero(whole) > whole.size // 2
    for cutting in CUTTINGS:
        engine = rtvoice.Engine(made, rate, 32768, channels, schedule="sliced")
        assert engine.latency == inline.latency + hop
        out = np.empty_like(signal)
        at = 0
        for n in sizes(cutting, len(signal), hop):
            out[at : at + n] = engine.process(np.ascontiguousarray(signal[at : at + n]))
            at += n
        assert not out[:hop].any()
        np.testing.assert_array_equal(out[hop:], whole[:-hop], err_msg=cutting)


@pytest.mark.parametrize("seed", range(12))
def test_random_networks_are_the_same_sliced(seed: int) -> None:
    made = random_graph(seed).model()
    signal = speech_like(3000, seed)
    inline = rtvoice.Engine(made, 16000, 4096)
    sliced = rtvoice.Engine(made, 16000, 4096, schedule="sliced")
    late = sliced.latency - inline.latency
    assert late == made.hop
    out = stream(sliced, signal, sizes("primes", len(signal), made.hop))
    np.testing.assert_array_equal(out[late:], inline.process(signal)[:-late])


@pytest.mark.parametrize("block", [160, 320, 32])
def test_promised_blocks_cost_one_hop_more_too(block: int) -> None:
    made = model()
    signal = speech_like(3200)
    inline = rtvoice.Engine(made, 16000, 320, block=block)
    sliced = rtvoice.Engine(made, 16000, 320, block=block, schedule="sliced")
    assert sliced.latency == inline.latency + 160
    outs: list[F32] = [stream(engine, signal, [block] * (3200 // block)) for engine in (inline, sliced)]
    np.testing.assert_array_equal(outs[1][160:], outs[0][:-160])


def test_a_hop_that_is_not_finite_is_silent_alone() -> None:
    b = GraphBuilder(name="square", sample_rate=16000, hop=16, licence="CC0-1.0")
    taps = np.array([[[0.5, -0.25, 1.0]]], np.float32)
    b.output(b.node("conv1d", b.node("square", b.input()), weight=taps, pads=[2, 0]))
    made = b.model()
    signal = speech_like(1600) + np.float32(3.0)
    signal[[333, 700, 701]] = 1e30
    inline = rtvoice.Engine(made, 16000, 2048).process(signal)
    for cutting in CUTTINGS:
        engine = rtvoice.Engine(made, 16000, 2048, schedule="sliced")
        out = stream(engine, signal, sizes(cutting, len(signal), 16))
        np.testing.assert_array_equal(out[16:], inline[:-16], err_msg=cutting)
        assert engine.stats()["nonfinite"] == 2


def test_reset_in_the_middle_of_a_hop_forgets_the_work_in_progress() -> None:
    made = model()
    signal = speech_like(1600)
    engine = rtvoice.Engine(made, 16000, 2048, schedule="sliced")
    fresh = stream(engine, signal, [40] * 40)
    engine.reset()
    engine.process(speech_like(1234, 9))
    engine.reset()
    np.testing.assert_array_equal(stream(engine, signal, [40] * 40), fresh)


def test_outputs_and_parameters_follow_the_hops() -> None:
    made = model()
    engine = rtvoice.Engine(made, 16000, 2048, schedule="sliced")
    values: list[NDArray[np.float32]] = []
    for at in range(0, 1600, 40):
        if at == 800:
            engine.set("gain", 2.0)
        engine.process(speech_like(1600)[at : at + 40])
        values.append(np.array(engine.outputs["state"]))
    changes = [i for i in range(1, 40) if not np.array_equal(values[i], values[i - 1])]
    assert changes == [i for i in changes if i % 4 == 3]  # with a hop's last quarter
    assert len(changes) == 5  # of ten hops, four of lookahead and one of slicing stay zero
