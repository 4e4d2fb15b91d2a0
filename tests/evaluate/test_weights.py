"""What the packages' weights make of real sounds: known good and bad versions of the shipped clip, in their order."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rtvoice.evaluate import anchors, compare, packages, probes, signals

pytestmark = pytest.mark.slow

CLIP = Path(__file__).parents[2] / "examples" / "audio" / "synthetic-speech.ogg"
STANDARD = probes.standard()


@cache
def listener(role: str) -> Callable[[np.ndarray], Any]:
    probe = STANDARD[role]
    absent = packages.missing(list(probe.packages))
    if absent:
        pytest.skip(f"{', '.join(absent)} not installed; run: rtvoice evaluate --install")
    listen = probe.load()
    return lambda samples: probes.hear(listen, probe, samples.astype(np.float32), signals.RATE)


@pytest.fixture(scope="module")
def clip() -> np.ndarray:
    return signals.read(CLIP)[: 8 * signals.RATE]


def noisy(clip: np.ndarray, snr: float) -> np.ndarray:
    noise = np.random.default_rng(0).standard_normal(len(clip)).astype(np.float32)
    return signals.with_noise(clip, noise, snr)


def another_voice(clip: np.ndarray) -> np.ndarray:
    """Return the clip as somebody with a shorter throat would say it: played a third faster."""
    return signals.convert(clip, 4, 3)


@pytest.mark.parametrize("role", ["resemblyzer", "dvector"])
def test_a_voice_is_nearer_itself_than_another(role: str, clip: np.ndarray) -> None:
    listen = listener(role)
    first, second, other = (listen(part) for part in (*np.array_split(clip, 2), another_voice(clip)))
    assert len(first) == 256
    assert compare.cosine(first, second) > compare.cosine(first, other) + 0.05


@pytest.mark.parametrize("role", ["whisper-base", "whisper-tiny", "hama"])
def test_noise_costs_words_and_phones(role: str, clip: np.ndarray) -> None:
    listen = listener(role)
    clean, loud = listen(clip), listen(noisy(clip, 0.0))
    assert len(clean) > 8
    assert compare.edit_distance(clean, loud) > 0.1 * len(clean)


def test_opinion_falls_with_phases_lost_and_with_noise(clip: np.ndarray) -> None:
    listen = listener("distillmos")
    scores = [listen(sound) for sound in (clip, anchors.griffin_lim(clip), noisy(clip, 5.0))]
    assert 1.0 <= scores[2] < scores[0] <= 5.0
    assert scores[1] < scores[0]


def test_dropouts_cost_plcmos(clip: np.ndarray) -> None:
    listen = listener("plcmos")
    gaps = clip.copy()
    for start in range(0, len(gaps), signals.RATE // 2):
        gaps[start : start + signals.RATE // 50] = 0
    assert listen(gaps) < listen(clip) - 0.3
    assert listen(clip) == listen(clip)


@pytest.mark.parametrize("role", list(STANDARD))
def test_silence_and_the_shortest_clip_break_no_listener(role: str) -> None:
    listen = listener(role)
    for sound in (np.zeros(signals.RATE), 0.1 * np.sin(np.arange(signals.RATE // 2) / 9)):
        json.dumps(listen(sound), allow_nan=False)
