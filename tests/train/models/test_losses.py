"""The distances that train a voice: zero at home, growing away from it, and weighed by what they move."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from rtvoice.train.models import adversary, excitation, losses  # noqa: E402

RATE, HOP = 16000, 160


def voice(f0: float, noise: float, seconds: float = 0.5) -> torch.Tensor:
    frames = int(seconds * 100)
    train = excitation.pulses(torch.full((1, frames), f0), torch.ones(1, frames), rate=RATE, hop=HOP)
    hiss = torch.randn(train.shape, generator=torch.Generator().manual_seed(1))
    return 0.05 * ((1 - noise) * train + noise * hiss)


def test_distance_is_nothing_at_home_and_grows_away_from_it() -> None:
    distance = losses.SpectralDistance(RATE).eval()
    target = voice(150, 0.1)
    assert float(distance(target, target)) == 0
    near, far = (float(distance(target * gain, target)) for gain in (1.1, 2.0))
    assert 0 < near < far


def test_drawn_windows_agree_with_all_of_them_on_average() -> None:
    distance = losses.SpectralDistance(RATE, at_once=3)
    target, output = voice(150, 0.1), voice(170, 0.3)
    torch.manual_seed(0)
    drawn = sum(float(distance(output, target)) for _ in range(60)) / 60
    assert drawn == pytest.approx(float(distance.eval()(output, target)), rel=0.1)


def test_periodicity_tells_a_tone_from_breath() -> None:
    frames = torch.arange(5, 45)
    f0 = torch.full((1, 50), 160.0)  # a period of exactly 100 samples
    tone, breath = (
        losses.periodicity(voice(160, share), f0, rate=RATE, hop=HOP, frames=frames) for share in (0.0, 1.0)
    )
    assert tone.min() > 0.99
    assert breath.abs().mean() < 0.2


def test_every_term_passes_its_gradient_on() -> None:
    reconstruction = losses.Reconstruction(RATE, HOP)
    target, f0 = voice(150, 0.1), torch.full((1, 50), 150.0)
    for name in ("spectra", "loudness", "periodicity"):
        output = voice(150, 0.4).requires_grad_()
        reconstruction(output, target, f0, torch.ones(1, 50))[name].backward()
        assert output.grad is not None and output.grad.abs().max() > 0, name


def test_pulses_have_one_power_at_every_pitch_and_no_alias() -> None:
    for f0 in (80.0, 160.0, 313.0):
        train = excitation.pulses(torch.full((1, 200), f0), torch.ones(1, 200), rate=RATE, hop=HOP)
        assert float(train.square().mean()) == pytest.approx(1.0, rel=0.05)
        spectrum = torch.fft.rfft(train[0] * torch.hann_window(train.shape[1])).abs()
        hertz = torch.arange(len(spectrum)) * RATE / train.shape[1]
        off = ((hertz / f0 - torch.round(hertz / f0)).abs() * f0 > 5) & (hertz > 40)
        assert spectrum[off].max() < 0.01 * spectrum.max()


def test_discriminators_learn_to_tell_two_sounds_apart() -> None:
    torch.manual_seed(0)
    judges = adversary.Adversary(windows=(256,), periods=(3,), channels=8)
    optimizer = torch.optim.Adam(judges.parameters(), lr=1e-2)
    real, fake = voice(150, 0.05, 0.2), voice(150, 0.6, 0.2)
    first = None
    for _ in range(20):
        loss = adversary.discriminator_loss(judges(real), judges(fake))
        first = first if first is not None else float(loss.detach())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.9 * first
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in judges.parameters())


def test_feature_distance_is_zero_for_the_same_sound() -> None:
    judges = adversary.Adversary(windows=(256,), channels=8)
    real = judges(voice(150, 0.1))
    assert float(adversary.feature_distance(real, judges(voice(150, 0.1))).detach()) == 0
    assert float(adversary.feature_distance(real, judges(voice(150, 0.5))).detach()) > 0


def test_balancer_gives_each_loss_its_share_whatever_its_scale() -> None:
    balancer = adversary.Balancer({"a": 1.0, "b": 3.0})
    output = torch.ones(1, 2, requires_grad=True)
    pick = torch.tensor([[1.0, 0.0]])
    gradient = balancer.gradient({"a": (output * pick).sum(), "b": 1000 * (output * (1 - pick)).sum()}, output)
    assert float(gradient[0, 1] / gradient[0, 0]) == pytest.approx(3.0)
    again = adversary.Balancer({"a": 1.0, "b": 3.0})
    again.load_state_dict(balancer.state_dict())
    assert again.norms == balancer.norms and again.counts == balancer.counts
    assert math.isclose(float(gradient[0, 0]), 0.25)
