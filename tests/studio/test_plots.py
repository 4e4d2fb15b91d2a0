"""What the page's plots show, against sounds whose pitch and moments are known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from studio_node import lacking, node

pytestmark = pytest.mark.skipif(lacking("esbuild") is not None, reason=lacking("esbuild") or "")

POINTS = 41


def shown(folder: Path, *sounds: tuple[np.ndarray, int], seconds: float = 1.0) -> list[dict[str, np.ndarray]]:
    """The page's curves of sounds over ``seconds``: pitch in Hz, loudness in LUFS, the loudest band in dB."""
    told = []
    for i, (sound, rate) in enumerate(sounds):
        path = folder / f"{i}.raw"
        path.write_bytes(np.asarray(sound, np.float32).tobytes())
        told.append({"path": str(path), "rate": rate, "points": POINTS, "seconds": seconds})
    (folder / "sounds.json").write_text(json.dumps(told))
    found: list[dict[str, Any]] = node("plots.mjs", folder / "sounds.json")
    return [{name: np.array(values, np.float64) for name, values in curves.items()} for curves in found]


def tone(hz: np.ndarray | float, rate: int, fall: float, seconds: float = 1.0) -> np.ndarray:
    """All harmonics below 4 kHz of a pitch, each ``1 / k ** fall`` high."""
    pitch = np.broadcast_to(hz, round(rate * seconds))
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    last = int(min(rate / 2, 4000) / pitch.max())
    sound: np.ndarray = 0.2 * sum(np.sin(k * phase) / k**fall for k in range(1, last + 1))
    return sound


def off(curve: np.ndarray, truth: np.ndarray | float) -> np.ndarray:
    """Semitones between a curve of pitch and the truth at its moments; the first and the last two have half a frame."""
    inner: np.ndarray = np.abs(12 * np.log2(curve / truth))[2:-2]
    return inner


@pytest.mark.parametrize(("rate", "fall"), [(8000, 1), (48000, 1), (22050, 2)])
def test_the_pitch_of_steady_tones_is_theirs_and_no_octave_or_twelfth_below(
    rate: int, fall: float, tmp_path: Path
) -> None:
    pitches = np.arange(80, 480, 7.3)
    assert len(pitches) == 55
    for hz, curves in zip(pitches, shown(tmp_path, *[(tone(hz, rate, fall), rate) for hz in pitches]), strict=True):
        assert off(curves["pitch"], hz).max() < 0.05, hz  # 0.01 measured; NaN fails as well


def test_the_pitch_follows_glides_in_noise_and_tells_none_where_there_is_none(tmp_path: Path) -> None:
    rate = 16000
    generator = np.random.default_rng(0)
    glides = [(80.0, 320.0), (400.0, 100.0), (130.0, 150.0)]
    time = np.arange(rate) / rate
    sounds = [tone(low * (high / low) ** time, rate, 1) + 0.02 * generator.normal(size=rate) for low, high in glides]
    none = [0.2 * generator.normal(size=rate), np.zeros(rate)]
    found = shown(tmp_path, *[(sound, rate) for sound in [*sounds, *none]])
    moments = (np.arange(POINTS) + 0.5) / POINTS
    for (low, high), curves in zip(glides, found, strict=False):
        assert off(curves["pitch"], low * (high / low) ** moments).max() < 0.3
    for curves in found[len(glides) :]:
        assert np.isnan(curves["pitch"]).all()


def test_what_is_drawn_of_sounds_of_other_lengths_stands_at_its_moment(tmp_path: Path) -> None:
    rate, axis = 16000, 4.0
    sounds = []
    for seconds in (4.0, 2.0, 12.0):
        sound = np.zeros(round(rate * seconds))
        sound[rate : 2 * rate] = tone(200.0, rate, 1)
        sounds.append((sound, rate))
    moments = (np.arange(POINTS) + 0.5) / POINTS * axis
    there = (moments > 1.2) & (moments < 1.8)
    gone = (moments < 0.75) | (moments > 2.25)
    for curves in shown(tmp_path, *sounds, seconds=axis):
        assert np.abs(curves["pitch"][there] - 200).max() < 1
        assert np.isnan(curves["pitch"][gone]).all()
        for name, least in (("loudness", 30), ("level", 50)):
            assert curves[name][there].min() > curves[name][gone].max() + least
