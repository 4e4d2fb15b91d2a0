"""Loudness as the page measures it, against the signals by which meters are certified and another implementation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from studio_node import lacking, node

pytestmark = pytest.mark.skipif(lacking("esbuild") is not None, reason=lacking("esbuild") or "")


def heard(folder: Path, *sounds: tuple[np.ndarray, int]) -> dict[str, Any]:
    """What the page makes of sounds: their levels in LUFS and the gains that match them."""
    told = []
    for i, (sound, rate) in enumerate(sounds):
        path = folder / f"{i}.raw"
        path.write_bytes(np.ascontiguousarray(sound, np.float32).tobytes())
        told.append({"path": str(path), "rate": rate, "channels": sound.shape[1]})
    (folder / "sounds.json").write_text(json.dumps(told))
    found: dict[str, Any] = node("loudness.mjs", folder / "sounds.json")
    return found


def tone(rate: int, *parts: tuple[float, float]) -> np.ndarray:
    """A sine of 1 kHz on both channels: pieces of (dBFS of its peak, seconds)."""
    level = np.concatenate([np.full(round(rate * seconds), 10 ** (db / 20)) for db, seconds in parts])
    sine = (level * np.sin(2 * np.pi * 1000 * np.arange(len(level)) / rate)).astype(np.float32)
    return np.stack([sine, sine], axis=1)


def test_tones_and_gates_read_as_meters_are_certified_by(tmp_path: Path) -> None:
    # EBU Tech 3341, cases 1 to 5, to 0.1 LU: a steady tone, both gates, a mean of power.
    steady = [(tone(rate, (level, 20)), rate) for rate in (16000, 44100, 48000) for level in (-23.0, -33.0)]
    gated = [
        [(-36, 10), (-23, 60), (-36, 10)],
        [(-72, 10), (-36, 10), (-23, 60), (-36, 10), (-72, 10)],
        [(-26, 20), (-20, 20.1), (-26, 20)],
    ]
    found = heard(tmp_path, *steady, *[(tone(8000, *parts), 8000) for parts in gated])["levels"]
    assert found == pytest.approx([-23.0, -33.0] * 3 + [-23.0] * 3, abs=0.1)


def test_one_channel_at_full_scale_reads_as_the_standard_says_and_short_or_silent_has_an_answer(tmp_path: Path) -> None:
    time = np.arange(5 * 48000) / 48000
    # BS.1770: 0 dBFS of 997 Hz on one channel of a pair reads -3.01 LKFS.
    pair = np.stack([np.sin(2 * np.pi * 997 * time), np.zeros_like(time)], axis=1)
    silent, none = np.zeros((16000, 1)), np.zeros((0, 1))
    found = heard(tmp_path, (pair, 48000), (silent, 16000), (none, 16000), (tone(16000, (-23, 0.2)), 16000))["levels"]
    assert found[0] == pytest.approx(-3.01, abs=0.02)
    assert found[1] is None
    assert found[2] is None
    assert found[3] == pytest.approx(-23.0, abs=0.3)


def test_it_agrees_with_pyloudnorm(tmp_path: Path) -> None:
    pyloudnorm = pytest.importorskip("pyloudnorm", reason="pyloudnorm is not installed (the extra 'train')")
    sounds, wanted = [], []
    for rate, channels in [(16000, 1), (44100, 2), (48000, 1), (48000, 2)]:
        generator = np.random.default_rng(rate + channels)
        # Coloured noise in bursts and pauses, as speech is.
        sound = np.cumsum(generator.normal(size=(4 * rate, channels)), axis=0)
        sound -= np.apply_along_axis(lambda x, n=rate // 50: np.convolve(x, np.ones(n) / n, "same"), 0, sound)
        envelope = np.interp(np.arange(4 * rate) / rate, np.arange(0, 4.5, 0.5), generator.uniform(0, 0.05, 9) ** 2)
        sounds.append(((sound * envelope[:, None]).astype(np.float32), rate))
        # Its class of the standard's own filters; its default ones are other approximations of them.
        meter = pyloudnorm.Meter(rate, filter_class="DeMan")
        wanted.append(meter.integrated_loudness(sounds[-1][0].astype(np.float64)))
    assert heard(tmp_path, *sounds)["levels"] == pytest.approx(wanted, abs=0.02)


def test_matching_only_makes_softer_and_never_clips(tmp_path: Path) -> None:
    soft, loud, silent = tone(16000, (-26, 2)), tone(16000, (-20, 2)), np.zeros((16000, 2))
    told = heard(tmp_path, (loud, 16000), (soft, 16000), (silent, 16000))
    assert told["gains"] == pytest.approx([10 ** (-6 / 20), 1.0, 1.0], rel=1e-3)
    assert told["plain"] == 1.0
    told = heard(tmp_path, (tone(16000, (6.02, 2)), 16000), (tone(16000, (6.02, 2)), 16000))
    assert told["gains"] == pytest.approx([0.5, 0.5], rel=1e-3)
    assert told["plain"] == pytest.approx(0.5, rel=1e-3)
