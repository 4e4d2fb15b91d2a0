"""Voices in the style of known ones, of `rtvoice.nn` with random weights: streamed as computed, and the cost."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import rtvoice  # noqa: E402
from rtvoice import nn, parity  # noqa: E402
from rtvoice.export.native import prove, write  # noqa: E402

WINDOW = 26


class Llvc(nn.Module):
    """A waveform encoder, a dilated causal stack, a decoder with attention that makes a mask, a transposed head."""

    def __init__(self, channels: int = 48) -> None:
        super().__init__()
        half = channels // 2
        self.front = torch.nn.ModuleList(nn.Sequential(nn.Conv1d(1, 2, 3), nn.GLU()) for _ in range(4))
        self.encode = nn.Conv1d(1, channels, 48, stride=16, bias=False)
        self.label = nn.Parameter("label", 1.0, min=0.5, max=1.5)
        self.deep = torch.nn.ModuleList(
            nn.Sequential(
                nn.DepthwiseConv1d(channels, 3, dilation=1 << i), nn.LayerNorm(channels), nn.ReLU(),
                nn.Linear(channels, channels), nn.LayerNorm(channels), nn.ReLU(),
            )
            for i in range(5)
        )  # fmt: skip
        self.memory, self.question = (nn.Conv1d(channels, half, 1, groups=half) for _ in range(2))
        self.own, self.other = nn.Attention(half, 4, WINDOW), nn.Attention(half, 4, WINDOW, context=half)
        self.norms = torch.nn.ModuleList(nn.LayerNorm(half) for _ in range(2))
        self.mask = nn.Conv1d(half, channels, 1, groups=half)
        self.head = nn.ConvTranspose1d(channels, 1, 80, stride=16)

    def forward(self, x):
        for layer in self.front:
            x = x + layer(x)
        latent = torch.relu(self.encode(x))
        e = latent * self.label(x)
        for layer in self.deep:
            e = e + layer(e)
        memory, d = torch.relu(self.memory(e)), torch.relu(self.question(e))
        d = self.norms[0](d + self.own(d))
        d = self.norms[1](d + self.other(d, memory))
        return torch.tanh(self.head(latent * torch.relu(self.mask(d))))


class Beatrice(nn.Module):
    """Pitch from autocorrelation, ConvNeXt blocks over phones, pulses through filters that the network makes."""

    def __init__(self, channels: int = 32) -> None:
        super().__init__()
        self.hear = nn.AutocorrelationFeatures(rate=16000, hop=160)
        self.phones = nn.Sequential(
            nn.Conv1d(1, 16, 20, stride=10), nn.GELU(), nn.Conv1d(16, channels, 32, stride=16), nn.GELU(),
            nn.ConvNeXtBlock(channels), nn.GRU(channels, channels),
        )  # fmt: skip
        self.pitch, self.read = nn.Linear(self.hear.channels, 65), nn.F0Readout(64)
        self.enter = nn.Linear(self.hear.channels + channels, channels)
        self.body = nn.Sequential(nn.ConvNeXtBlock(channels), nn.ConvNeXtBlock(channels))
        self.source = nn.HarmonicSource(rate=16000, hop=160)
        self.filter = nn.TimeVaryingFilter(160, 80)
        self.gains = nn.Linear(channels, self.filter.bins)

    def forward(self, x):
        heard = self.hear(x)
        read = self.read(self.pitch(heard))
        y = self.body(self.enter(nn.concat(heard, self.phones(x))))
        pulses = self.source(read[..., :1])
        return {"audio": self.filter(pulses, torch.sigmoid(self.gains(y)) * read[..., 1:]), "f0": read[..., :1]}


@pytest.mark.parametrize(("network", "hop", "most_ms"), [(Llvc, 208, 5.0), (Beatrice, 160, 35.0)])
def test_it_streams_what_it_computes(network, hop, most_ms) -> None:
    torch.manual_seed(0)
    voice = network().eval()
    builder = write(voice, sample_rate=16000, hop=hop)
    assert prove(voice, builder.graph()) < 1e-4
    cost = nn.cost(voice, sample_rate=16000, hop=hop)
    assert 0 <= cost.latency_ms <= most_ms and cost.macs_per_second > 1e6 and cost.parameters > 1000
    model = builder.model()
    assert model.latency == cost.latency
    signal = (0.3 * np.random.default_rng(0).normal(size=10 * hop)).astype(np.float32)
    made = []
    for size in (hop, 37, 10 * hop):  # the same bits however it is cut
        engine = rtvoice.Engine(model, 16000, max_frame=10 * hop)
        made.append(np.concatenate([engine.process(signal[i : i + size]) for i in range(0, len(signal), size)]))
    assert np.abs(made[0]).max() > 0
    for other in made[1:]:
        np.testing.assert_array_equal(made[0], other)


def voiced(hop: int, hops: int):
    """Return a glide of harmonics after a silence, and a little noise."""
    t = np.arange(hop * hops) / 16000
    turns = np.cumsum(140 + 50 * np.sin(2 * np.pi * t / t[-1])) / 16000
    sound = sum(np.sin(2 * np.pi * k * turns) / k for k in range(1, 12)) * 0.15
    sound += 0.01 * np.random.default_rng(0).normal(size=len(t))
    sound[: len(t) // 10] = 0
    return sound.astype(np.float32)


@pytest.mark.parametrize(("network", "hop"), [(Llvc, 208), (Beatrice, 160)])
def test_it_gives_the_same_when_the_same_sound_comes_again(network, hop) -> None:
    """Nothing adds up in float32: what a sound gives is the same bits, however long the stream has been running.

    Only a phase goes on. It is an integer sum of turns, so that what float32 does to the pitch is all that it is off.
    """
    torch.manual_seed(0)
    builder = write(network().eval(), sample_rate=16000, hop=hop)
    graph, model, hops, again = builder.graph(), builder.model(), 150, 8
    sound = voiced(hop, hops)
    engine = rtvoice.Engine(model, 16000, max_frame=hop, block=hop)
    pitched = any(output.name == "f0" for output in graph.outputs)
    heard, pitch = [], []
    for _ in range(again):
        for part in sound.reshape(hops, hop):
            heard.append(np.array(engine.process(part)))
            pitch.append(np.array(engine.outputs["f0"]).ravel() if pitched else 0.0)
    made = np.asarray(pitch if pitched else heard, np.float64).reshape(again, -1)
    assert np.abs(made[1]).max() > 0
    for later in made[2:]:
        np.testing.assert_array_equal(later, made[1])
    if pitched:
        tensors = parity.tensors(parity.rebuilt(graph).graph(), np.tile(sound, 2))
        exact = tensors[next(output.tensor for output in graph.outputs if output.name == "f0")][hops:, 0]
        drift = float((made[1] - exact).sum()) * hop / 16000
        seconds = hops * hop / 16000
        assert abs(drift) * 3600 / seconds < 5e-3, drift  # turns in an hour: a fiftieth of a millisecond
