"""Loudness against the signals by which meters are certified, and against another implementation."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rtvoice_studio.loudness", reason="rtvoice-studio is not installed (pip install ./studio)")

from rtvoice_studio.loudness import loudness, matching_gains  # noqa: E402


def tone(rate: int, *parts: tuple[float, float]) -> np.ndarray:
    """A sine of 1 kHz on both channels: pieces of (dBFS of its peak, seconds)."""
    level = np.concatenate([np.full(round(rate * seconds), 10 ** (db / 20)) for db, seconds in parts])
    sine = (level * np.sin(2 * np.pi * 1000 * np.arange(len(level)) / rate)).astype(np.float32)
    return np.stack([sine, sine], axis=1)


@pytest.mark.parametrize("rate", [16000, 44100, 48000])
@pytest.mark.parametrize("level", [-23.0, -33.0])
def test_a_steady_tone_has_its_own_level(rate: int, level: float) -> None:
    # EBU Tech 3341, cases 1 and 2, to 0.1 LU.
    assert loudness(tone(rate, (level, 20)), rate) == pytest.approx(level, abs=0.1)


@pytest.mark.parametrize(
    "parts",
    [
        [(-36, 10), (-23, 60), (-36, 10)],
        [(-72, 10), (-36, 10), (-23, 60), (-36, 10), (-72, 10)],
        [(-26, 20), (-20, 20.1), (-26, 20)],
    ],
    ids=["relative gate", "both gates", "mean of power"],
)
def test_gates_leave_out_what_the_standard_leaves_out(parts: list[tuple[float, float]]) -> None:
    # EBU Tech 3341, cases 3, 4 and 5, each -23 LUFS to 0.1 LU.
    assert loudness(tone(16000, *parts), 16000) == pytest.approx(-23.0, abs=0.1)


def test_one_channel_at_full_scale_reads_as_the_standard_says() -> None:
    # BS.1770: 0 dBFS of 997 Hz on one channel of a pair reads -3.01 LKFS.
    time = np.arange(5 * 48000) / 48000
    pair = np.stack([np.sin(2 * np.pi * 997 * time), np.zeros_like(time)], axis=1).astype(np.float32)
    assert loudness(pair, 48000) == pytest.approx(-3.01, abs=0.02)


@pytest.mark.parametrize("rate", [16000, 44100, 48000])
@pytest.mark.parametrize("channels", [1, 2])
def test_it_agrees_with_pyloudnorm(rate: int, channels: int) -> None:
    pyloudnorm = pytest.importorskip("pyloudnorm", reason="pyloudnorm is not installed (the extra 'train')")
    generator = np.random.default_rng(rate + channels)
    # Coloured noise in bursts and pauses, as speech is.
    sound = np.cumsum(generator.normal(size=(6 * rate, channels)), axis=0)
    sound -= np.apply_along_axis(lambda x: np.convolve(x, np.ones(rate // 50) / (rate // 50), "same"), 0, sound)
    envelope = np.interp(np.arange(6 * rate) / rate, np.arange(0, 6.5, 0.5), generator.uniform(0, 0.05, 13) ** 2)
    sound = (sound * envelope[:, None]).astype(np.float32)
    # Its class of the standard's own filters; its default ones are other approximations of them.
    meter = pyloudnorm.Meter(rate, filter_class="DeMan")
    assert loudness(sound, rate) == pytest.approx(meter.integrated_loudness(sound.astype(np.float64)), abs=0.02)


def test_what_is_short_or_silent_has_an_answer() -> None:
    assert loudness(np.zeros((16000, 1), np.float32), 16000) is None
    assert loudness(np.zeros((0, 1), np.float32), 16000) is None
    assert loudness(tone(16000, (-23, 0.2)), 16000) == pytest.approx(-23.0, abs=0.3)


def test_matching_only_makes_softer_and_never_clips() -> None:
    gains, plain = matching_gains([-20.0, -26.0, None], [0.9, 0.5, 0.0])
    assert gains == pytest.approx([10 ** (-6 / 20), 1.0, 1.0])
    assert plain == 1.0
    gains, plain = matching_gains([-10.0, -10.0], [2.0, 1.5])
    assert (max(gains), plain) == (0.5, 0.5)
