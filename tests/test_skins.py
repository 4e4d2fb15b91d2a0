"""The skins that ship: each speaks in its own register, follows its controls, and its card says what was measured."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import rtvoice
from rtvoice import audio
from rtvoice.registry import DEFAULT_SKIN

ROOT = Path(__file__).parents[1]
#: Skins of a person's voice: those with measures of it.
VOICES = sorted(path.parent.name for path in (ROOT / "models").glob("*/metrics.json") if "tiers" in path.read_text())
SKINS = [(skin.name, skin.tier) for skin in rtvoice.models() if skin.shipped and skin.name in VOICES]
RATE = 16000

Samples = NDArray[np.float32]

every_skin = pytest.mark.parametrize(("name", "tier"), SKINS, ids=[f"{name}-{tier}" for name, tier in SKINS])


@cache
def speech(gain: float = 1.0) -> Samples:
    """Return synthetic speech, a woman's and then a man's."""
    clip = audio.read(ROOT / "examples" / "audio" / "synthetic-speech.ogg", sample_rate=RATE)[0][:, 0]
    return np.ascontiguousarray(gain * clip)


@cache
def spoken(name: str, tier: str, gain: float = 1.0, **controls: float) -> Samples:
    """Return what a skin makes of it, in step with it."""
    engine = rtvoice.Engine(name, RATE, 160, tier=tier)
    for control, value in controls.items():
        engine.set(control, value)
    engine.reset()
    padded = np.concatenate([speech(gain), np.zeros(engine.latency + 160, np.float32)])
    made = [engine.process(padded[at : at + 160]) for at in range(0, len(padded) - 159, 160)]
    return np.concatenate(made)[engine.latency :][: len(speech())]


def pitch(signal: Samples) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return F0 in Hz of the loud 64 ms frames, and how well each repeats itself: its normalised autocorrelation."""
    size = 1024
    frames = np.lib.stride_tricks.sliding_window_view(signal, size)[::160] * np.hanning(size)
    energy = (frames**2).sum(axis=1)
    frames = frames[energy > energy.max() / 300]
    correlation = np.fft.irfft(np.abs(np.fft.rfft(frames, 2 * size, axis=1)) ** 2, axis=1)
    window = np.fft.irfft(np.abs(np.fft.rfft(np.hanning(size), 2 * size)) ** 2)
    lags = np.arange(RATE // 400, RATE // 60)
    strength = (correlation[:, lags] / correlation[:, :1]) / (window[lags] / window[0])
    strength -= 0.01 * np.log2(lags / lags[0])  # of two periods, one is one too many
    best = strength.argmax(axis=1)
    return RATE / lags[best], strength[np.arange(len(best)), best]


def median_f0(signal: Samples) -> float:
    f0, strength = pitch(signal)
    return float(np.median(f0[strength > 0.7]))


def centroid(signal: Samples) -> float:
    """Return the middle of the spectrum, in Hz."""
    power = np.abs(np.fft.rfft(signal)) ** 2
    return float((power * np.fft.rfftfreq(len(signal), 1 / RATE)).sum() / power.sum())


def metrics(name: str) -> dict:
    return json.loads((ROOT / "models" / name / "metrics.json").read_text(encoding="utf-8"))


def test_what_ships_is_found_and_small() -> None:
    assert (DEFAULT_SKIN, "default") in {(skin.name, skin.tier) for skin in rtvoice.models() if skin.shipped}
    assert SKINS
    files = [path.stat().st_size for path in (ROOT / "models").rglob("*.rtv")]
    assert sum(files) <= 80e6


@every_skin
def test_the_voice_speaks_in_its_own_register(name: str, tier: str) -> None:
    target = metrics(name)["tiers"][tier]["target"]["f0_median"]
    halves = np.array_split(spoken(name, tier), 2)
    for half in halves:  # a woman's words, then a man's
        assert abs(12 * np.log2(median_f0(half) / target)) < 3.5


@every_skin
def test_the_words_keep_their_places(name: str, tier: str) -> None:
    levels = []
    for signal in (speech(), spoken(name, tier)):
        steps = signal[: len(signal) // 320 * 320].reshape(-1, 320)
        levels.append(10 * np.log10((steps**2).mean(axis=1) + 1e-7))
    assert np.corrcoef(levels)[0, 1] > 0.75


@every_skin
def test_a_quiet_player_makes_the_same_voice_quietly(name: str, tier: str) -> None:
    loud, quiet = spoken(name, tier), spoken(name, tier, 0.1)
    ratio = np.sqrt((quiet**2).mean() / (loud**2).mean())
    assert 20 * np.log10(ratio) == pytest.approx(-20, abs=1.5)
    engine = rtvoice.Engine(name, RATE, 160, tier=tier)
    silence = [engine.process(np.zeros(160, np.float32)) for _ in range(200)]
    assert np.abs(silence).max() < 1e-4


@every_skin
def test_controls_do_what_they_say(name: str, tier: str) -> None:
    plain = spoken(name, tier)
    for semitones in (-4.0, 4.0):
        moved = 12 * np.log2(median_f0(spoken(name, tier, pitch_shift=semitones)) / median_f0(plain))
        assert moved == pytest.approx(semitones, abs=0.7)
    assert centroid(spoken(name, tier, formant_shift=4.0)) > 1.05 * centroid(plain)
    assert centroid(spoken(name, tier, formant_shift=-4.0)) < 0.97 * centroid(plain)
    breathy, pressed = (pitch(spoken(name, tier, breathiness=by))[1].mean() for by in (12.0, -12.0))
    assert breathy < pressed - 0.05
    level = [10 * np.log10((spoken(name, tier, breathiness=by) ** 2).mean()) for by in (12.0, 0.0, -12.0)]
    np.testing.assert_allclose(level, level[1], atol=1.5)


@pytest.mark.parametrize("name", VOICES)
def test_the_card_says_what_was_measured(name: str) -> None:
    card = (ROOT / "models" / name / "README.md").read_text(encoding="utf-8")
    found = metrics(name)
    assert found["speakers"] >= 20
    for tier, one in found["tiers"].items():
        for measure in ("distillmos", "similarity_resemblyzer"):
            value = one["gates"][tier]["measures"][measure]["value"]
            assert f"{value:.{2 if measure == 'distillmos' else 3}f}" in card
    for word in ("Consent:", "Known failures", "How it was made"):
        assert word in card
    for link in ("spectrogram.png", "samples/man-default.ogg", "samples/woman-default.ogg"):
        assert link in card and (ROOT / "models" / name / link).stat().st_size > 1000


@every_skin
def test_the_model_file_says_whose_voice_it_is(name: str, tier: str) -> None:
    told = rtvoice.Model.load(name, tier=tier).metadata
    assert told["licence"] == "Apache-2.0"
    assert len(told["provenance"]["consent"].split()) > 3
    assert told["provenance"]["content"] == "whisper-base"
