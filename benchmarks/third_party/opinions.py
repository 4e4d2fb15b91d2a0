"""Noisy speech before and after the suppressor, as DNSMOS hears it."""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import subjects
from numpy.typing import NDArray

F32 = NDArray[np.float32]
_SUFFIXES = (".wav", ".flac", ".opus", ".ogg")
_SNRS = (0.0, 5.0, 15.0)
_CLIPS, _SECONDS = 4, 10
_SCORES = ("ovrl_mos", "sig_mos", "bak_mos", "p808_mos")


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix in _SUFFIXES) if folder.is_dir() else []


def _read(path: Path, rate: int = 48_000) -> F32:
    samples, own = soundfile.read(path, dtype="float32", always_2d=True)
    mono = samples.mean(axis=1)
    if own == rate:
        return np.asarray(mono, np.float32)
    count = int(len(mono) * rate / own)
    return np.interp(np.arange(count) * own / rate, np.arange(len(mono)), mono).astype(np.float32)


def described(folder: Path) -> str:
    """Return what the recordings are."""
    return "noisy speech of one reader" if _voices(folder) else "noise with a synthetic voice"


def _voices(folder: Path) -> list[Path]:
    return [path for path in _files(folder)[:4000] if "kathleen" in str(path)] or [
        path for path in _files(folder)[:50] if soundfile.info(str(path)).samplerate == 48_000
    ]


def recordings(speech: Path, noise: Path, seconds: int) -> tuple[F32, F32]:
    """Return speech at 48 kHz, and the same with noise at 5 dB; a synthetic voice where there is none."""
    parts: list[F32] = []
    for path in _voices(speech):
        parts.append(_read(path))
        if sum(map(len, parts)) >= seconds * 48_000:
            break
    if not parts:
        time = np.arange(seconds * 48_000) / 48_000
        turns = np.cumsum(120 * 2 ** (0.3 * np.sin(2 * np.pi * 0.7 * time))) / 48_000
        voice = sum(np.cos(2 * np.pi * k * turns) / k for k in range(1, 25))
        parts = [(0.05 * voice * (np.sin(2 * np.pi * 1.5 * time) > -0.5)).astype(np.float32)]
    clean = np.concatenate(parts)[: seconds * 48_000]
    return clean, mixed(clean, _noise(noise, 0, len(clean)), 5.0)


def _noise(folder: Path, which: int, count: int) -> F32:
    files = _files(folder / "blanket") or _files(folder)
    if not files:
        return np.random.default_rng(which).normal(size=count).astype(np.float32)
    return np.resize(_read(files[which % len(files)]), count)


def mixed(clean: F32, noise: F32, snr: float) -> F32:
    """Return speech with noise at a ratio in dB, below full scale."""
    gain = np.sqrt(np.square(clean).mean() / max(float(np.square(noise).mean()), 1e-12) / 10 ** (snr / 10))
    whole = clean + gain * noise
    return np.asarray(whole * min(1.0, 0.9 / float(np.abs(whole).max())), np.float32)


def _heard(signal: F32) -> dict[str, float]:
    from speechmos import dnsmos

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found: dict[str, Any] = dnsmos.run(_read_down(signal), 16_000)
    return {key: float(found[key]) for key in _SCORES}


def _read_down(signal: F32) -> F32:
    """Bring 48 kHz to 16 with a filter that keeps what lies below 7.5 kHz."""
    place = np.arange(-96, 97)
    taps = np.sinc(place / 3 * 0.95) * np.kaiser(len(place), 8.0)
    low = np.convolve(signal.astype(np.float64), taps / taps.sum(), "same")
    return np.clip(low[::3], -1.0, 1.0).astype(np.float32)


def table(args: argparse.Namespace, model: Path) -> list[str]:
    """Return DNSMOS before and after, for several noises at several levels."""
    try:
        import speechmos  # noqa: F401
    except ImportError:
        return ["DNSMOS is not installed (pip install speechmos).", ""]
    if not _voices(args.speech):
        return ["No recorded speech is at hand, so nobody was asked what it sounds like.", ""]
    clean, _ = recordings(args.speech, args.noise, _CLIPS * _SECONDS)
    size = _SECONDS * 48_000
    rows = []
    for snr in _SNRS:
        scores: dict[str, list[dict[str, float]]] = {"before": [], "after": []}
        for clip in range(_CLIPS):
            voice = clean[clip * size : (clip + 1) * size]
            noisy = mixed(voice, _noise(args.noise, clip, size), snr)
            out, latency = subjects.suppressed(model, np.concatenate([noisy, np.zeros(4800, np.float32)]))
            scores["before"].append(_heard(noisy))
            scores["after"].append(_heard(out[latency : latency + size]))
        cells = []
        for key in _SCORES:
            before, after = (np.mean([score[key] for score in scores[when]]) for when in ("before", "after"))
            cells.append(f"{before:.2f} -> {after:.2f}")
        rows.append(f"| {snr:g} dB | {' | '.join(cells)} |")
    alone = [_heard(clean[clip * size : (clip + 1) * size]) for clip in range(_CLIPS)]
    rows.append(f"| no noise | {' | '.join(f'{np.mean([score[key] for score in alone]):.2f}' for key in _SCORES)} |")
    return [
        f"What DNSMOS (speechmos) hears; means over {_CLIPS} clips of {_SECONDS} s, each with a noise of its own:",
        "",
        "| noise at | overall | speech | background | P.808 |",
        "|---|---|---|---|---|",
        *rows,
        "",
    ]
