"""The demo: its table, its files, and that what comes out is a whisper of what went in."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rtvoice import audio

ROOT = Path(__file__).parents[1]
OUT = ROOT / "build" / "demo"


@pytest.fixture(scope="module")
def printed() -> str:
    pytest.importorskip("matplotlib", reason="the extra 'plot' is not installed")
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "demo.py")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_table_has_every_figure(printed: str) -> None:
    head, _, row = printed.splitlines()[:3]
    for column in ("input", "skin", "seconds", "real-time factor", "latency ms", "p50", "p99", "allocations"):
        assert column in head
    assert "speech" in row and "whisper (default)" in row
    assert row.rstrip().endswith((" 0", "not measured"))


def test_the_output_is_as_long_as_the_input(printed: str) -> None:
    given, made = audio.probe(OUT / "in.wav"), audio.probe(OUT / "out.wav")
    assert (made.frames, made.sample_rate) == (given.frames, given.sample_rate) == (given.frames, 48000)
    assert given.seconds > 15
    assert (OUT / "spectrogram.png").read_bytes().startswith(b"\x89PNG")


def voiced_part(path: Path) -> float:
    """The part of the loud 40 ms frames that repeat themselves at 70 to 400 Hz: voices do, whispers do not."""
    signal = audio.read(path, sample_rate=16000)[0][:, 0]
    frames = np.lib.stride_tricks.sliding_window_view(signal, 640)[::160] * np.hanning(640)
    energy = (frames**2).sum(axis=1)
    frames = frames[energy > energy.max() / 300]
    correlation = np.fft.irfft(np.abs(np.fft.rfft(frames, 2048, axis=1)) ** 2, axis=1)
    window = np.fft.irfft(np.abs(np.fft.rfft(np.hanning(640), 2048)) ** 2)
    lags = slice(16000 // 400, 16000 // 70)
    strength = (correlation[:, lags] / correlation[:, :1]) / (window[lags] / window[0])
    return float((strength.max(axis=1) > 0.8).mean())


def test_the_voice_is_gone(printed: str) -> None:
    assert voiced_part(OUT / "in.wav") > 0.4
    assert voiced_part(OUT / "out.wav") < 0.05


def test_the_words_keep_their_places(printed: str) -> None:
    """Loudness over time, in steps of 20 ms, goes up and down together."""
    levels = []
    for name in ("in.wav", "out.wav"):
        signal = audio.read(OUT / name)[0][:, 0]
        steps = signal[: len(signal) // 960 * 960].reshape(-1, 960)
        levels.append(10 * np.log10((steps**2).mean(axis=1) + 1e-7))
    assert np.corrcoef(levels)[0, 1] > 0.75
