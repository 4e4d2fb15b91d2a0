"""Each disturbance does what it says, as measured on the result, and moves nothing in time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from rtvoice.train.data import Augment, DataError, effects
from rtvoice.train.data.augment import NOTHING, Chances
from rtvoice.train.data.measure import clipped_share
from rtvoice.train.data.pitch import track_f0

RATE = 16000


def decibels(ratio: float) -> float:
    return float(10 * np.log10(ratio))


def lag(output: np.ndarray, source: np.ndarray) -> int:
    """Return by how many samples output comes after source."""
    length = 2 * source.size
    products = np.fft.irfft(np.fft.rfft(output, length) * np.conj(np.fft.rfft(source, length)), length)
    found = int(np.abs(products).argmax())
    return found if found < source.size else found - length


@pytest.fixture
def speech(voice: Callable[..., np.ndarray]) -> np.ndarray:
    return voice(2.0, RATE, noise=1e-4)


@pytest.fixture
def noise_folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    (tmp_path / "rir_sim").mkdir()
    (tmp_path / "street").mkdir()
    time = np.arange(24000) / 24000
    room = rng.standard_normal(24000) * 10 ** (-3 * time / 0.4) * 0.1
    room[:240] = 0
    room[240] = 0.7
    soundfile.write(tmp_path / "rir_sim" / "room.flac", room, 24000)
    soundfile.write(tmp_path / "street" / "cars.ogg", 0.2 * rng.standard_normal((22050, 2)), 44100)
    return tmp_path


@pytest.mark.parametrize("snr", [0.0, 12.0, 30.0])
def test_noise_comes_in_at_the_ratio_asked_for(speech: np.ndarray, snr: float) -> None:
    noise = np.random.default_rng(0).standard_normal(speech.size).astype(np.float32)
    added = effects.add_noise(speech, noise, snr, RATE) - speech
    assert decibels(effects.speech_power(speech, RATE) / np.mean(added**2)) == pytest.approx(snr, abs=0.1)


@pytest.mark.parametrize(("slope", "per_octave"), [(0.0, 0.0), (1.0, -3.0), (2.0, -6.0)])
def test_coloured_noise_falls_as_asked_for(slope: float, per_octave: float) -> None:
    noise = effects.coloured_noise(8 * RATE, slope, np.random.default_rng(0))
    power = np.abs(np.fft.rfft(noise)) ** 2
    frequency = np.fft.rfftfreq(noise.size, 1 / RATE)
    density = [power[(frequency >= low) & (frequency < low * 1.1)].mean() for low in (500, 4000)]
    assert decibels(density[1] / density[0]) / 3 == pytest.approx(per_octave, abs=0.4)
    assert np.mean(noise**2) == pytest.approx(1, abs=0.01)


def test_a_room_rings_as_long_as_its_response_and_delays_nothing() -> None:
    rng = np.random.default_rng(0)
    time = np.arange(RATE) / RATE
    response = (rng.standard_normal(RATE) * 10 ** (-3 * time / 0.5)).astype(np.float32) * np.float32(0.1)
    response = np.concatenate([np.zeros(200, np.float32), [np.float32(-2.0)], response])
    room = effects.direct_first(response, RATE)
    assert room[0] == 1.0
    click = np.zeros(RATE, np.float32)
    click[100] = 1.0
    wet = effects.reverberate(click, room)
    assert np.abs(wet).argmax() == 100 and wet[100] == pytest.approx(1.0, abs=1e-4)
    # Schroeder's backward integration: from -5 to -25 dB is a third of the reverberation time.
    decay = 10 * np.log10(np.cumsum(wet[:0:-1].astype(float) ** 2)[::-1] + 1e-20)
    decay -= decay[101]
    fall = np.flatnonzero(decay[101:] < -25)[0] - np.flatnonzero(decay[101:] < -5)[0]
    assert 3 * fall / RATE == pytest.approx(0.5, rel=0.2)


def test_a_colour_has_its_gains_and_no_delay(speech: np.ndarray) -> None:
    gains = np.array([0, 0, 6, 0, -12, 0, 0.0])
    for frequency, gain in ((400, 6), (1000, 0), (2500, -12)):
        tone = np.sin(2 * np.pi * frequency * np.arange(2 * RATE) / RATE).astype(np.float32)
        middle = effects.colour(tone, gains, RATE)[RATE // 2 : -RATE // 2]
        assert decibels(np.mean(middle**2) * 2) == pytest.approx(gain, abs=0.3)
    assert lag(effects.colour(speech, gains, RATE), speech) == 0


def test_a_telephones_band_passes_and_stops(speech: np.ndarray) -> None:
    for frequency, least, most in ((1000, -0.5, 0.5), (100, -60, -15), (6000, -80, -15)):
        tone = np.sin(2 * np.pi * frequency * np.arange(2 * RATE) / RATE).astype(np.float32)
        middle = effects.band_pass(tone, 300, 3400, RATE)[RATE // 2 : -RATE // 2]
        assert least <= decibels(np.mean(middle**2) * 2 + 1e-12) <= most
    assert lag(effects.band_pass(speech, 300, 3400, RATE), speech) == 0


@pytest.mark.parametrize("share", [0.01, 0.2])
def test_clipping_flattens_the_share_asked_for(speech: np.ndarray, share: float) -> None:
    out = effects.clip_share(speech, share)
    assert np.mean(np.abs(out) >= np.abs(out).max() * 0.9999) == pytest.approx(share, rel=0.1)
    assert clipped_share(effects.clip_share(speech, 0.2)) > 0.1
    assert effects.clip_share(speech, 0.0) is speech


@pytest.mark.parametrize("codec", effects.CODECS)
@pytest.mark.parametrize("rate", [16000, 22050, 24000])
def test_a_codec_keeps_time_and_the_worst_is_heard(voice: Callable[..., np.ndarray], codec: str, rate: int) -> None:
    speech = voice(1.0, rate, noise=1e-4)
    errors = []
    for quality in (0.0, 0.8):
        out = effects.through_codec(speech, codec, quality, rate)
        assert out.shape == speech.shape and out.dtype == np.float32
        assert abs(lag(out, speech)) <= 1
        errors.append(decibels(np.mean((out - speech) ** 2) / np.mean(speech**2)))
    assert -60 < errors[0] < -6
    assert errors[1] <= errors[0] + 1
    assert np.abs(effects.through_codec(np.zeros(rate, np.float32), codec, 0.5, rate)).max() < 0.01


def test_an_unknown_codec_is_named(speech: np.ndarray) -> None:
    with pytest.raises(ValueError, match="no codec 'atrac'; there are g711"):
        effects.through_codec(speech, "atrac", 0.5, RATE)


def test_mu_law_has_8_bits_and_keeps_silence() -> None:
    out = effects.mu_law(np.linspace(-1, 1, 100001, dtype=np.float32))
    assert len(np.unique(out)) == 255
    assert effects.mu_law(np.zeros(5, np.float32)).tolist() == [0.0] * 5
    small = np.float32(0.01)
    assert abs(effects.mu_law(np.array([small]))[0] / small - 1) < 0.03


def test_a_leveller_levels(voice: Callable[..., np.ndarray]) -> None:
    speech = voice(4.0, RATE, noise=1e-5, edge=0.0)
    speech[: speech.size // 2] *= np.float32(0.1)
    halves = [np.mean(part**2) for part in np.split(effects.automatic_gain(speech, 1.0, RATE), 2)]
    assert abs(decibels(halves[1] / halves[0])) < 4
    np.testing.assert_allclose(effects.automatic_gain(speech, 0.0, RATE), speech, rtol=1e-5)


def test_laughter_pulses_as_laughter_does_and_is_voiced() -> None:
    rng = np.random.default_rng(3)
    sound = effects.laughter(rng, 6.0, 24000)
    assert np.sqrt(np.mean(sound**2)) == pytest.approx(0.1, rel=0.01)
    envelope = np.sqrt(np.square(sound).reshape(-1, 240).mean(axis=1))
    spectrum = np.abs(np.fft.rfft(envelope - envelope.mean()))
    frequency = np.fft.rfftfreq(envelope.size, 0.01)
    band = (frequency > 3) & (frequency < 10)
    assert 4.0 <= frequency[band][spectrum[band].argmax()] <= 5.8
    f0 = track_f0(sound)
    assert (f0 > 0).mean() > 0.1
    assert 120 < np.median(f0[f0 > 0]) < 500


ONE_EACH = ["room", "colour", "band", "noise", "laughter", "level", "leveller", "clip", "codec", "dropout", "mute"]


def test_nothing_asked_for_is_nothing_done(speech: np.ndarray, noise_folder: Path) -> None:
    augment = Augment(noise_folder, np.random.default_rng(0), NOTHING)
    np.testing.assert_array_equal(augment(speech, RATE), speech)


@pytest.mark.parametrize("name", ONE_EACH)
def test_each_thing_happens_alone_in_place_and_the_same_again(
    speech: np.ndarray, noise_folder: Path, name: str
) -> None:
    chances = replace(NOTHING, **{name: 1.0}, snr_db=(10.0, 40.0))
    original = speech.copy()
    out = Augment(noise_folder, np.random.default_rng(5), chances)(speech, RATE)
    again = Augment(noise_folder, np.random.default_rng(5), chances)(speech, RATE)
    np.testing.assert_array_equal(speech, original)
    assert out.shape == speech.shape and out.dtype == np.float32 and np.isfinite(out).all()
    assert not np.array_equal(out, speech)
    np.testing.assert_array_equal(out, again)
    if name != "room":  # its echoes of a periodic voice correlate anywhere; a click has shown where it is
        assert abs(lag(out, speech)) <= 1


def test_last_tells_what_a_target_must_follow(speech: np.ndarray, noise_folder: Path) -> None:
    chances = replace(NOTHING, level=1.0, mute=1.0, level_db=(-30.0, -30.0))
    augment = Augment(noise_folder, np.random.default_rng(1), chances)
    out = augment(speech, RATE)
    (first, stop) = augment.last["muted"][0]
    assert not out[first:stop].any() and stop - first >= 0.1 * RATE
    expected = speech * 10 ** (augment.last["gain_db"] / 20)
    expected[first:stop] = 0
    np.testing.assert_allclose(out, expected, rtol=1e-4, atol=1e-7)
    assert effects.speech_power(speech, RATE) * 10 ** (augment.last["gain_db"] / 10) == pytest.approx(1e-3, rel=0.01)


def test_switching_one_thing_off_leaves_the_first_draws_as_they_were(speech: np.ndarray, noise_folder: Path) -> None:
    with_clip = Augment(noise_folder, np.random.default_rng(2), replace(NOTHING, noise=1.0, clip=1.0))
    without = Augment(noise_folder, np.random.default_rng(2), replace(NOTHING, noise=1.0))
    with_clip(speech, RATE), without(speech, RATE)
    assert with_clip.last["snr_db"] == without.last["snr_db"]


def test_all_of_it_together_stays_finite_at_every_rate(noise_folder: Path, voice: Callable[..., np.ndarray]) -> None:
    everything = Chances(*[0.5] * 11)
    augment = Augment(noise_folder, np.random.default_rng(3), everything)
    for rate in (16000, 24000):
        for size in (1, 100, 3000, 20000):
            for audio in (voice(1.5, rate)[:size], np.zeros(size, np.float32), np.ones(size, np.float32)):
                out = augment(audio, rate)
                assert out.shape == audio.shape and np.isfinite(out).all()
    assert augment(np.zeros(0, np.float32), RATE).size == 0


def test_a_training_without_a_noise_folder_still_gets_noise(speech: np.ndarray) -> None:
    out = Augment(None, np.random.default_rng(0), replace(NOTHING, noise=1.0, room=1.0))(speech, RATE)
    assert not np.array_equal(out, speech)


def test_a_missing_or_broken_noise_is_one_clear_line(speech: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no folder of noises"):
        Augment(tmp_path / "missing", np.random.default_rng(0))
    (tmp_path / "rain.wav").write_text("not sound")
    augment = Augment(tmp_path, np.random.default_rng(3), replace(NOTHING, noise=1.0))
    with pytest.raises(DataError, match="rain.wav.*remove the file"):
        for _ in range(20):
            augment(speech, RATE)
