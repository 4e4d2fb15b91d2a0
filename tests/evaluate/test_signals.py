"""Signals reach the measures unhurt: rate, level and noise are what they are said to be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from rtvoice.evaluate import signals
from rtvoice.evaluate.cache import Cache, load
from speech_like import voice_like


@pytest.mark.parametrize(("source", "target"), [(48000, 24000), (16000, 24000), (44100, 24000), (24000, 16000)])
def test_a_tone_keeps_its_samples_at_another_rate(source: int, target: int) -> None:
    time = np.arange(2 * source) / source
    made = signals.convert(np.sin(2 * np.pi * 440 * time).astype(np.float32), source, target)
    assert len(made) == 2 * target
    inner = slice(target // 4, -target // 4)
    assert made[inner] == pytest.approx(np.sin(2 * np.pi * 440 * np.arange(2 * target) / target)[inner], abs=1e-4)


def test_nothing_of_what_lies_above_the_new_band_comes_back_below() -> None:
    time = np.arange(48000) / 48000
    made = signals.convert(np.sin(2 * np.pi * 8200 * time).astype(np.float32), 48000, 16000)
    assert np.abs(made[2000:-2000]).max() < 1e-4


def test_channels_are_averaged_and_stretches_cut(tmp_path: Path) -> None:
    sound = voice_like(2.0, 120)
    soundfile.write(tmp_path / "x.wav", np.stack([sound, 0 * sound], axis=1), 16000)
    assert len(signals.read(tmp_path / "x.wav", 0.5, 1.0)) == signals.RATE
    whole = signals.read(tmp_path / "x.wav")
    assert np.std(whole) == pytest.approx(np.std(sound) / 2, rel=0.02)


@pytest.mark.parametrize("gain", [0.01, 1.0, 8.0])
def test_measures_hear_every_level_alike(gain: float) -> None:
    sound = voice_like(2.0, 120, rate=signals.RATE)
    assert signals.heard(gain * sound) == pytest.approx(signals.heard(sound), abs=1e-5)
    assert np.abs(signals.heard(100 * sound)).max() <= 1.0


def test_silence_stays_silence() -> None:
    assert not signals.heard(np.zeros(24000, np.float32)).any()
    assert len(signals.heard(np.zeros(0, np.float32))) == 0


def test_pauses_do_not_lower_the_level() -> None:
    sound = voice_like(2.0, 120)
    padded = np.concatenate([sound, np.zeros(4 * len(sound), np.float32)])
    assert signals.active_level(padded[: 2 * len(sound)], 16000) == pytest.approx(
        signals.active_level(sound, 16000), rel=0.1
    )


@pytest.mark.parametrize("snr", [20.0, 10.0, 0.0])
def test_noise_has_the_level_asked_for(snr: float) -> None:
    speech = voice_like(2.0, 120, rate=signals.RATE)
    noise = np.random.default_rng(0).standard_normal(7000).astype(np.float32)
    added = signals.with_noise(speech, noise, snr) - speech
    ratio = 20 * np.log10(signals.active_level(speech, signals.RATE) / np.std(added))
    assert ratio == pytest.approx(snr, abs=0.05)


def test_what_is_no_number_becomes_silence_and_what_is_too_loud_clips() -> None:
    made = signals.quantised(np.array([np.nan, np.inf, 2.0, -2.0, 0.5], np.float32))
    assert made.tolist() == [0, 0, 32767, -32768, 16384]


def test_a_stored_signal_comes_back_bit_by_bit(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    first = cache.put("one", voice_like(1.0, 120, rate=signals.RATE))
    again = cache.put("two", load(first))
    assert again == first
    assert cache.signal("two") == first
    assert cache.signal("three") is None


def test_a_lost_or_damaged_entry_is_made_again(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    signal = cache.put("one", voice_like(1.0, 120, rate=signals.RATE))
    cache.keep(signal.digest, "probe-1", [1.5])
    assert cache.known(signal.digest, "probe-1")
    assert cache.reading(signal.digest, "probe-1") == [1.5]
    assert not cache.known(signal.digest, "probe-2")
    for file in (tmp_path / "read").rglob("*.json"):
        file.write_text("{")
    assert not cache.known(signal.digest, "probe-1")
    assert cache.reading(signal.digest, "probe-1") is None
    signal.path.unlink()
    assert cache.signal("one") is None


def test_a_cut_is_moved_to_a_pause() -> None:
    rng = np.random.default_rng(0)
    speech = rng.standard_normal(4 * signals.RATE).astype(np.float32)
    pause = slice(int(3.5 * signals.RATE), int(3.62 * signals.RATE))
    speech[pause] *= 0.01
    ended = signals.ended_at_pause(speech)
    assert pause.start < len(ended) < pause.stop
    assert np.array_equal(ended, speech[: len(ended)])
    assert len(signals.ended_at_pause(speech[:2000])) == 2000
