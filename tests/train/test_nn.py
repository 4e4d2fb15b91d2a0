"""The trainable layers: causal, in step, and the noise that the file format prescribes."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from rtvoice import nn  # noqa: E402
from rtvoice.nn.spectral import mel_centres  # noqa: E402

MASK = 0xFFFFFFFF


def mix(x: int) -> int:
    x ^= x >> 16
    x = x * 0x21F0AAAD & MASK
    x ^= x >> 15
    x = x * 0xD35A2D97 & MASK
    return x ^ x >> 15


def word(index: int, seed: int, stream: int) -> int:
    key = mix((seed & MASK) + 0x9E3779B9 * stream & MASK) ^ mix((seed >> 32) + 0x85EBCA6B & MASK)
    return mix((mix((index & MASK) ^ key) + (index >> 32) * 0x9E3779B9 + key) & MASK)


@pytest.mark.parametrize(("seed", "stream", "start"), [(0, 0, 0), (7, 3, 11), (2**63 + 12345, 2**32 - 1, 2**33)])
def test_noise_follows_the_format(seed: int, stream: int, start: int) -> None:
    found = nn.gaussian_noise(3, 5, seed=seed, stream=stream, start=start)
    for frame in range(3):
        for channel in range(5):
            i = (start + frame) * 5 + channel
            first = ((word(2 * i, seed, stream) >> 8) + 1) * 2.0**-24
            second = (word(2 * i + 1, seed, stream) >> 8) * 2.0**-24
            wanted = math.sqrt(-2 * math.log(first)) * math.cos(2 * math.pi * second)
            assert found[frame, channel] == pytest.approx(wanted, rel=1e-6, abs=1e-7)


def test_noise_is_gaussian_and_cut_anywhere() -> None:
    noise = nn.gaussian_noise(1000, 200, seed=5)
    assert abs(noise.mean()) < 0.01
    assert abs(noise.std() - 1) < 0.01
    assert abs((noise**4).mean() - 3) < 0.06
    np.testing.assert_array_equal(noise[400:], nn.gaussian_noise(600, 200, seed=5, start=400))


@pytest.mark.parametrize(("kernel", "stride", "dilation"), [(1, 1, 1), (7, 1, 1), (3, 1, 4), (400, 160, 1), (5, 4, 2)])
def test_convolution_sees_nothing_after_its_hop(kernel: int, stride: int, dilation: int) -> None:
    layer = nn.Conv1d(2, 3, kernel, stride=stride, dilation=dilation).double()
    x = torch.randn(1, stride * 12, 2, dtype=torch.float64)
    later = x.clone()
    later[:, stride * 7 :] += 1.0
    difference = (layer(x) - layer(later)).abs().amax((0, 2))
    assert difference[:7].max() == 0
    assert difference[7] > 0


@pytest.mark.parametrize("crop", [0, 80, 160])
def test_transposed_convolution_keeps_length_and_step(crop: int) -> None:
    layer = nn.ConvTranspose1d(4, 1, 240, stride=160, crop=crop, bias=False).double()
    x = torch.zeros(1, 6, 4, dtype=torch.float64)
    x[:, 2] = 1.0
    y = layer(x)
    assert y.shape == (1, 960, 1)
    heard = y[0, :, 0].nonzero()
    assert heard.min() == 320 - crop
    assert heard.max() == 320 - crop + 239


def test_white_noise_has_power_one_in_every_band() -> None:
    analysis = nn.MelAnalysis(rate=16000, hop=160, window=400, bands=40)
    noise = torch.from_numpy(np.random.default_rng(0).normal(size=(1, 160 * 2000, 1)).astype(np.float32))
    power = (analysis(noise).double().exp() * analysis.floor)[0, 3:].mean(0)
    np.testing.assert_allclose(power.numpy(), 1.0, rtol=0.15)


@pytest.mark.parametrize("latency", [80, 160])
def test_synthesis_of_equal_amplitudes_is_white_noise(latency: int) -> None:
    synthesis = nn.NoiseSynthesis(rate=16000, hop=160, fade=80, bands=40, latency=latency).eval()
    audio = synthesis(torch.ones(1, 2000, 40))[0, :, 0].double()
    assert audio.std().item() == pytest.approx(1.0, abs=0.02)
    # Power must not pulse at the hop: cross-fades of independent noise add in power.
    pulse = audio[: 160 * 1999].reshape(-1, 160).square().mean(0)
    assert pulse.std().item() < 3 * math.sqrt(2 / 1999)


def test_silence_is_the_zero_history() -> None:
    analysis = nn.MelAnalysis(rate=16000, hop=160, window=400, bands=40)
    assert analysis(torch.zeros(1, 1600, 1)).abs().max() == 0


@pytest.mark.parametrize("bands", [20, 40, 80])
def test_bands_are_ordered_and_sum_to_one(bands: int) -> None:
    centres = mel_centres(bands, 16000)
    assert np.all(np.diff(centres) > 0)
    assert centres[-1] < 8000
    np.testing.assert_allclose(nn.mel_triangles(bands, 201, 16000).sum(axis=1), 1.0)
