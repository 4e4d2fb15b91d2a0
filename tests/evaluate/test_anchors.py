"""Anchors are what they are called: speech made worse in a known way."""

from __future__ import annotations

import numpy as np
import pytest

from rtvoice.evaluate import anchors, signals
from speech_like import voice_like


def mel_difference(a: np.ndarray, b: np.ndarray) -> float:
    """Return the mean difference of log mel power in dB, where there is any."""
    filters = anchors._mel(80, 513, signals.RATE)
    levels = []
    for sound in (a, b):
        power = np.abs(anchors._spectrum(sound.astype(np.float64), 1024, 256)) ** 2
        levels.append(10 * np.log10(power @ filters.T + 1e-4))
    return float(np.abs(levels[0] - levels[1]).mean())


def test_overlap_and_add_gives_back_what_was_cut() -> None:
    sound = np.random.default_rng(0).standard_normal(9001)
    assert anchors._signal(anchors._spectrum(sound, 1024, 256), 1024, 256, 9001) == pytest.approx(sound, abs=1e-10)


def test_griffin_lim_keeps_the_mel_spectrum_and_loses_the_phases() -> None:
    speech = voice_like(1.5, 150, rate=signals.RATE)
    made = anchors.griffin_lim(speech)
    assert made.shape == speech.shape
    assert mel_difference(speech, made) < 2.0
    assert abs(np.corrcoef(speech, made)[0, 1]) < 0.9


def test_world_keeps_pitch_and_length() -> None:
    pytest.importorskip("pyworld", reason="the train extra is not installed")
    speech = voice_like(1.5, 150, rate=signals.RATE)
    made = anchors.world(speech)
    assert made is not None
    assert made.shape == speech.shape
    assert mel_difference(speech, made) < 6.0


def test_figures_out_of_their_band_are_told() -> None:
    good = {"target": {"similarity_resemblyzer": 0.87}, "world": {"per": 2.0, "distillmos": None}}
    assert all(row["ok"] for row in anchors.checks(good))
    assert len(anchors.checks(good)) == 2
    (bad,) = anchors.checks({"target": {"similarity_resemblyzer": 0.6}})
    assert bad["ok"] is False
