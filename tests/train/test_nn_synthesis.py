"""Modules of synthesis: they stream what they compute offline, and draw what their own step loop draws."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import rtvoice  # noqa: E402
from rtvoice import nn  # noqa: E402
from rtvoice.export.native import prove, write  # noqa: E402

SIZES = {"channels": 16, "skip": 16, "head": 8, "layers": 6, "cycle": 5}


class Speaker(nn.Module):
    """A WaveNet on a condition of its own, 4 frames a hop of 64 samples."""

    def __init__(self, **options: object) -> None:
        super().__init__()
        self.hear = nn.Conv1d(1, 6, 16, stride=16, lookahead=16)
        self.voice = nn.WaveNet(6, 16, **{**SIZES, **options})
        self.plain = nn.LeakySum(1, 0.8, 0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Say something about what is heard."""
        return self.plain(self.voice(torch.tanh(self.hear(x))))


@pytest.mark.parametrize(
    ("distribution", "temperature"), [("gaussian", 1.0), ("gaussian", 0.7), ("logistic", 0.7), ("categorical", 0.7)]
)
def test_a_wavenet_streams_what_it_draws(distribution: str, temperature: float) -> None:
    torch.manual_seed(1)
    speaker = Speaker(distribution=distribution, temperature=temperature, components=3, classes=32).eval()
    builder = write(speaker, sample_rate=16000, hop=64)
    assert prove(speaker, builder.graph()) < 1e-5
    signal = torch.randn(1, 192, 1) * 0.3
    with torch.no_grad():
        alone = speaker(signal)[0, :, 0].numpy()  # its own loop, sample by sample, in double precision
    engine = rtvoice.Engine(builder.model(), 16000, max_frame=64, block=64)
    padded = np.concatenate([signal.numpy().ravel(), np.zeros(64, np.float32)])
    made = np.concatenate([engine.process(hop) for hop in padded.reshape(-1, 64)])
    late = engine.latency
    assert late == 16
    np.testing.assert_allclose(made[late:][:176], alone[:176], atol=1e-4)
    assert np.unique(alone).size > 20


@pytest.mark.parametrize("decay", [0.0, 0.5, 1.0])
def test_a_leaky_sum_streams_at_either_end_of_its_range(decay: float) -> None:
    module = nn.LeakySum(1, decay, 0.1)
    assert prove(module, write(module, sample_rate=16000, hop=64).graph()) < 1e-5
    x = torch.randn(2, 50, 1, dtype=torch.float64)
    wanted = [torch.zeros(2, 1, dtype=torch.float64)]
    for sample in x.unbind(1):
        wanted.append(decay * wanted[-1] + 0.1 * sample)
    torch.testing.assert_close(module(x), torch.stack(wanted[1:], 1))


def test_numbers_outside_their_range_are_named() -> None:
    with pytest.raises(ValueError, match="decay is 1.5; it must lie in 0 to 1"):
        nn.LeakySum(1, 1.5)
    with pytest.raises(ValueError, match="temperature is 0; it must be above 0"):
        nn.WaveNet(1, 16, temperature=0.0, **SIZES)


@pytest.mark.parametrize("distribution", ["gaussian", "logistic", "categorical"])
def test_a_wavenet_learns_a_wave(distribution: str) -> None:
    torch.manual_seed(0)
    voice = nn.WaveNet(1, 16, distribution=distribution, components=2, classes=64, **SIZES)
    at = torch.arange(512) / 512
    wave, condition = (0.5 * torch.sin(40 * math.pi * at))[None, :, None], torch.zeros(1, 32, 1)
    optimizer = torch.optim.Adam(voice.parameters(), lr=1e-2)
    losses = []
    for _ in range(40):
        loss = voice.loss(wave, condition)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.7


class Around(nn.Module):
    """A layer on 12 channels at a quarter of the rate."""

    def __init__(self, layer: torch.nn.Module) -> None:
        super().__init__()
        self.enter, self.layer = nn.Conv1d(1, 12, 4, stride=4), layer
        self.leave = nn.ConvTranspose1d(12, 1, 4, stride=4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Go through the layer."""
        return self.leave(self.layer(torch.tanh(self.enter(x))))


class Cross(nn.Module):
    """Attention to something that comes later."""

    def __init__(self) -> None:
        super().__init__()
        self.near, self.attend = nn.Conv1d(12, 5, 3, lookahead=2), nn.Attention(12, 3, 7, context=5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Attend from now to what is two frames late."""
        return self.attend(x, self.near(x))


LAYERS = {
    "attention": lambda: nn.Attention(12, 4, 9),
    "one frame": lambda: nn.Attention(12, 2, 1),
    "long": lambda: nn.Attention(12, 1, 100),
    "cross": Cross,
    "grouped": lambda: nn.GroupedLinear(12, 12, 3),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers_stream_what_they_compute(name: str) -> None:
    torch.manual_seed(2)
    module = Around(LAYERS[name]())
    assert prove(module, write(module, sample_rate=16000, hop=16).graph()) < 1e-5


class Chosen(nn.Module):
    """A gain by number."""

    def __init__(self) -> None:
        super().__init__()
        self.number = nn.Parameter("number", 2.0, min=0.0, max=4.0)
        self.gains = nn.Embedding(5, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Multiply by the gain of the number."""
        return x * self.gains(self.number(x))


def test_an_embedding_is_its_row_and_streams() -> None:
    module = Chosen()
    table = module.gains.table.weight.detach()[0]
    looked_up = module.gains(torch.arange(5.0)[None, :, None])[0, :, 0].detach()
    np.testing.assert_allclose(looked_up, table, atol=1e-6)
    assert prove(module, write(module, sample_rate=16000, hop=16).graph()) < 1e-5


class Bands(nn.Module):
    """Into bands and back."""

    def __init__(self, bands: int) -> None:
        super().__init__()
        self.split = nn.PQMF(bands)
        self.join = self.split.synthesis()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Split and join."""
        return self.join(self.split(x))


@pytest.mark.parametrize("bands", [2, 4, 8])
def test_bands_give_the_signal_back_in_time(bands: int) -> None:
    module = Bands(bands)
    signal = torch.randn(1, 4096, 1, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        back = module(signal)
        parts = module.split(torch.sin(torch.arange(4096) * math.pi * 0.5 / bands)[None, :, None])
    edge = module.split.taps
    error = (back - signal)[0, edge:-edge].square().mean() / signal.square().mean()
    assert 10 * math.log10(error) < -45
    power = parts[0, edge:-edge].square().mean(0)
    assert power[0] > 1000 * power[1:].max(), "a tone in the middle of the first band is there only"
    builder = write(module, sample_rate=16000, hop=4 * bands)
    assert builder.model().latency == module.split.taps
    prove(module, builder.graph())
