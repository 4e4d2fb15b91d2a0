"""The master: in step with what it is told, every part learning, and good at what it is shown."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from rtvoice.train.models import master as m  # noqa: E402
from rtvoice.train.models import synthesis  # noqa: E402
from rtvoice.train.models.losses import Reconstruction  # noqa: E402

SHAPE = m.MasterShape(content=8, bottleneck=4, channels=16, blocks=2, code=4, speakers=3)


def said(frames: int = 40, batch: int = 2) -> m.Said:
    generator = torch.Generator().manual_seed(0)
    return m.Said(
        content=torch.randn(batch, frames, 8, generator=generator),
        f0=torch.full((batch, frames), 150.0),
        voiced=(torch.rand(batch, frames, generator=generator) > 0.3).float(),
        energy=torch.full((batch, frames), -30.0),
        speaker=torch.tensor([0, 2][:batch]),
    )


def test_speaks_one_hop_a_frame_and_the_same_for_the_same_seed() -> None:
    master = m.Master(SHAPE).eval()
    with torch.no_grad():
        first, second = (master(said(), generator=torch.Generator().manual_seed(5)) for _ in range(2))
    assert first.shape == (2, 40 * 240)
    torch.testing.assert_close(first, second, rtol=0, atol=0)


def test_every_parameter_learns() -> None:
    master = m.Master(SHAPE)
    torch.manual_seed(0)
    target = 0.05 * torch.randn(2, 40 * 240)
    told = said()
    sum(Reconstruction(24000, 240)(master(told), target, told.f0, told.voiced).values()).backward()
    for name, parameter in master.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name


def test_overfits_one_sound() -> None:
    torch.manual_seed(0)
    master = m.Master(replace(SHAPE, noise=0.0))
    told = said(batch=1)
    time = torch.arange(40 * 240) / 24000
    target = (0.1 * torch.sin(2 * torch.pi * 150 * time) + 0.02 * torch.sin(2 * torch.pi * 1500 * time))[None]
    loss = Reconstruction(24000, 240, at_once=7)
    optimizer = torch.optim.Adam(master.parameters(), lr=5e-3)
    history = []
    for _ in range(40):
        value = loss.spectra(master(told), target)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        history.append(float(value.detach()))
    assert min(history[-5:]) < 0.6 * history[0]


def test_unit_filters_give_the_excitation_back() -> None:
    synth = synthesis.SourceFilter(24000, 240)
    x = torch.randn(1, 2400)
    y = synth.overlap(synth.spectrum(x))
    torch.testing.assert_close(y[:, :-240], x[:, :-240], rtol=0, atol=1e-5)


def test_minimum_phase_answers_at_once() -> None:
    bins = 121
    magnitude = 2.0 * np.exp(-(((np.arange(bins) - 30) / 8) ** 2))
    phase = synthesis.minimum_phase(bins) @ magnitude
    response = np.fft.irfft(np.exp(magnitude + 1j * phase))
    assert np.sum(response[:60] ** 2) > 0.9999 * np.sum(response**2)
    symmetric = np.fft.irfft(np.exp(magnitude))
    assert np.sum(symmetric[:60] ** 2) < 0.95 * np.sum(symmetric**2)


@pytest.mark.parametrize("length", [7, 8])
def test_content_of_50_hz_stands_at_every_second_frame(length: int) -> None:
    features = torch.arange(4.0)[:, None]
    found = m.to_frames(features, length)[:, 0]
    np.testing.assert_allclose(found[:7], [0, 0.5, 1, 1.5, 2, 2.5, 3])
    assert len(found) == length


def test_pitch_is_carried_through_silence_in_octaves() -> None:
    f0 = torch.tensor([0.0, 100.0, 0.0, 400.0, 0.0])
    np.testing.assert_allclose(m.carried(f0), [100, 100, 200, 400, 400], rtol=1e-6)
    np.testing.assert_allclose(m.carried(torch.zeros(3)), [160, 160, 160])
