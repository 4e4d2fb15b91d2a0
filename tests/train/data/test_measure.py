"""The measures read what was put into the signal."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from rtvoice.train.data import measure
from rtvoice.train.data.measure import HOP, RATE
from rtvoice.train.data.pitch import track_f0


@pytest.mark.parametrize("snr", [15.0, 30.0, 45.0])
def test_signal_to_noise_is_read_within_two_decibels(voice: Callable[..., np.ndarray], snr: float) -> None:
    audio = voice(6.0, RATE, noise=0.1 * 10 ** (-snr / 20), level=0.1)
    assert measure.signal_to_noise(measure.frame_energy(audio)) == pytest.approx(snr, abs=2.0)


def test_frame_energy_is_centred_on_its_sample() -> None:
    audio = np.zeros(RATE, np.float32)
    audio[50 * HOP - 60 : 50 * HOP + 60] = 0.5
    energy = measure.frame_energy(audio)
    assert energy.size == RATE // HOP
    np.testing.assert_allclose(energy[48:53], energy[48:53][::-1], atol=0.01)
    assert energy[50] == pytest.approx(10 * np.log10(0.25 * 120 / 600), abs=0.01)
    assert energy[40] == -100


@pytest.mark.parametrize("level", [1.0, 0.3])
def test_clipping_is_found_at_any_level(voice: Callable[..., np.ndarray], level: float) -> None:
    audio = voice(3.0, 48000)
    limit = np.float32(0.4 * np.abs(audio).max())
    over = float(np.mean(np.abs(audio) >= limit))
    assert measure.clipped_share(np.clip(audio, -limit, limit) * np.float32(level)) == pytest.approx(over, rel=0.25)
    assert measure.clipped_share(audio * np.float32(level)) < 0.0002


@pytest.mark.parametrize("edge", [3400.0, 8000.0])
def test_bandwidth_is_where_the_spectrum_ends(edge: float) -> None:
    noise = np.random.default_rng(0).standard_normal(3 * RATE)
    spectrum = np.fft.rfft(noise)
    spectrum[np.fft.rfftfreq(noise.size, 1 / RATE) > edge] = 0
    audio = np.fft.irfft(spectrum, noise.size).astype(np.float32)
    assert measure.bandwidth(audio) == pytest.approx(edge, abs=400)


def test_loudness_of_a_sine_is_the_standards_and_short_ones_fall_back() -> None:
    sine = np.sin(2 * np.pi * 997 * np.arange(RATE) / RATE).astype(np.float32)
    assert measure.loudness(sine) == pytest.approx(-3.01, abs=0.1)
    assert measure.loudness(sine[: RATE // 4]) == pytest.approx(-3.7, abs=0.2)


@pytest.mark.parametrize(("low", "high"), [(75.0, 75.6), (85.0, 130.0), (110.0, 115.0), (180.0, 320.0)])
def test_f0_lies_on_the_grid_of_the_samples(low: float, high: float) -> None:
    """A glide tells time: an F0 that is one frame late is off by the glide's step."""
    seconds = 1.0
    time = np.arange(int(seconds * RATE)) / RATE
    f0 = low * (high / low) ** (time / seconds)
    phase = 2 * np.pi * np.cumsum(f0) / RATE
    audio = sum(np.sin(k * phase) / k for k in range(1, 12)).astype(np.float32) * np.float32(0.1)
    found = track_f0(audio)
    inner = slice(8, -8)
    step = np.median(np.diff(f0[::HOP]) / f0[::HOP][:-1])
    error = (found / f0[::HOP] - 1)[inner]
    assert (found[inner] > 0).all()
    assert abs(np.median(error)) < max(step / 4, 2e-4)


def test_f0_of_noise_and_silence_is_unvoiced() -> None:
    noise = np.random.default_rng(1).standard_normal(RATE).astype(np.float32) * np.float32(0.05)
    assert np.mean(track_f0(noise) > 0) < 0.05
    assert not track_f0(np.zeros(RATE, np.float32)).any()
