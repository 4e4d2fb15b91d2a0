"""`rtvoice vocode`: a recording through a shipped vocoder, in step with it, the same for the same seed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

import rtvoice
from commands import run
from rtvoice import vocoding
from rtvoice.registry import resolve
from speech_like import voice_like

KEYS = {"model", "sample_rate", "seconds", "realtime_factor", "latency_ms", "log_spectral_distance_db", "clipped"}


@pytest.fixture
def spoken(tmp_path: Path) -> Path:
    """A third of a second at another rate than the vocoders', on two channels."""
    signal = 0.3 * voice_like(0.35, 150.0, rate=24000)
    soundfile.write(tmp_path / "in.wav", np.stack([signal, signal], axis=1).astype(np.float32), 24000, subtype="FLOAT")
    return tmp_path / "in.wav"


@pytest.mark.parametrize("network", ["wavenet", "flow"])
def test_a_recording_comes_back_as_long_and_by_its_seed(network: str, spoken: Path, tmp_path: Path) -> None:
    made = []
    for index, seed in enumerate((1, 1, 2)):
        out = tmp_path / f"{index}.wav"
        done = run("vocode", spoken, out, "--network", network, "--seed", seed, "--json")
        assert (done.status, done.err) == (0, "")
        signal, rate = soundfile.read(out, dtype="float32")
        assert rate == 16000 == done.json["sample_rate"] and signal.shape == (5600,)
        assert set(done.json) >= KEYS and done.json["clipped"] == 0
        made.append(signal)
    np.testing.assert_array_equal(made[0], made[1])
    assert np.isfinite(made[2]).all() and not np.array_equal(made[0], made[2])


def test_what_draws_nothing_is_no_vocoder(spoken: Path, tmp_path: Path) -> None:
    builder = rtvoice.GraphBuilder(name="louder", sample_rate=16000, hop=160)
    builder.output(builder.node("affine", builder.input(), scale=np.full(1, 2.0, np.float32), name="louder"))
    builder.model().save(tmp_path / "louder.rtv")
    done = run("vocode", spoken, tmp_path / "out.wav", "--model", tmp_path / "louder.rtv")
    assert done.status == 1 and not (tmp_path / "out.wav").exists()
    assert "it is no vocoder; try: rtvoice render" in done.err and done.err.count("\n") == 1


def bands(signal: np.ndarray) -> np.ndarray:
    """Return the logarithm of the power in 16 bands, 100 frames a second, each band about its mean."""
    frames = np.lib.stride_tricks.sliding_window_view(signal.astype(np.float64), 512)[::160] * np.hanning(512)
    power = np.abs(np.fft.rfft(frames, axis=1)) ** 2
    edges = np.unique(np.geomspace(4, 256, 17).astype(int))
    levels = np.log10(np.add.reduceat(power, edges[:-1], axis=1) + 1e-6)
    return levels - levels.mean(axis=0)


def likeness(a: np.ndarray, b: np.ndarray) -> float:
    return float((a * b).sum() / np.sqrt((a**2).sum() * (b**2).sum()))


@pytest.fixture(scope="module")
def said() -> np.ndarray:
    """Three seconds in the voice that the vocoders know, as its skin makes it of pulses through two resonances."""
    engine = rtvoice.Engine("kathleen", 16000, max_frame=1600, tier="default")
    signal = 3.0 * voice_like(3.0, 180.0, seed=1)
    return np.concatenate([engine.process(part) for part in signal.reshape(-1, 1600)]).ravel()


@pytest.mark.parametrize("network", ["wavenet", "flow"])
def test_what_is_said_follows_what_was_heard(network: str, said: np.ndarray) -> None:
    """Every band rises and falls with what was heard: measured 0.77 and 0.85, 0.23 and 0.32 with any other moment's."""
    made, _ = vocoding.vocode(rtvoice.Model.load(resolve("vocoder", network)), said)
    heard, spoken = bands(said), bands(made)
    shifts = np.linspace(0.15, 0.85, 15) * len(heard)
    others = [likeness(heard, np.roll(spoken, int(shift), axis=0)) for shift in shifts]
    assert likeness(heard, spoken) > 0.65, likeness(heard, spoken)
    assert max(others) < 0.45 * likeness(heard, spoken), max(others)


@pytest.mark.parametrize("network", ["wavenet", "flow"])
def test_silence_is_answered_by_silence(network: str, said: np.ndarray) -> None:
    """Both had a sound of their own for digital silence, which they never heard in training: -19 and -32 dB."""
    model = rtvoice.Model.load(resolve("vocoder", network))
    made, _ = vocoding.vocode(model, np.concatenate([said[:8000], np.zeros(8000, np.float32)]))
    assert np.sqrt(np.mean(made[:8000] ** 2)) > 0.01
    assert np.abs(made[8000 + 800 :]).max() < 1e-6
    again, _ = vocoding.vocode(model, np.concatenate([np.zeros(8000, np.float32), said[:8000]]))
    assert np.abs(again[:8000]).max() == 0 and np.sqrt(np.mean(again[8000:] ** 2)) > 0.01


def test_samples_that_are_no_number_are_heard_as_silence_and_told(tmp_path: Path) -> None:
    signal = 0.3 * voice_like(0.3, 150.0, rate=16000).astype(np.float32)
    signal[1000:1003] = np.nan, np.inf, -np.inf
    soundfile.write(tmp_path / "in.wav", signal, 16000, subtype="FLOAT")
    done = run("vocode", tmp_path / "in.wav", tmp_path / "out.wav", "--network", "flow", "--json")
    assert done.status == 0 and done.json["nonfinite"] == 3 and done.json["log_spectral_distance_db"] > 0
    assert "3 samples were not finite and were heard as silence" in done.err and done.err.count("\n") == 1
    assert np.isfinite(soundfile.read(tmp_path / "out.wav")[0]).all()


def test_a_recording_too_short_to_measure_is_vocoded(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "short.wav", np.full(100, 0.1), 16000)
    done = run("vocode", tmp_path / "short.wav", tmp_path / "out.wav", "--network", "flow", "--json")
    assert (done.status, done.err) == (0, "") and done.json["log_spectral_distance_db"] is None
    assert soundfile.info(tmp_path / "out.wav").frames == 100
    assert run("vocode", tmp_path / "short.wav", tmp_path / "out.wav", "--network", "flow").status == 0


@pytest.mark.parametrize(
    ("words", "status", "named"),
    [
        (["missing.wav", "out.wav"], 1, "missing.wav"),
        (["in.wav", "out.wav", "--model", "missing.rtv"], 1, "missing.rtv"),
        (["in.wav", "out.wav", "--network", "griffin"], 2, "griffin"),
        (["in.wav", "out.wav", "--seed", "-1"], 2, "--seed"),
    ],
)
def test_errors_are_one_line(words: list[str], status: int, named: str, spoken: Path, tmp_path: Path) -> None:
    paths = [tmp_path / word if word.endswith((".wav", ".rtv")) else word for word in words]
    done = run("vocode", *paths)
    assert done.status == status and done.out == ""
    assert done.err.count("\n") == 1 and named in done.err, done.err
