"""One speaker's recordings, as crops for training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import torch
from scipy.signal import resample_poly

from rtvoice.train.vocoder.networks import HOP, RATE

Floats = npt.NDArray[np.float32]

#: Recordings at the end of the list, in the order of their names, that are never trained on.
HELD_OUT = 40


def recordings(folder: Path) -> list[Path]:
    """List the recordings under a folder by name."""
    found = sorted(path for path in folder.rglob("*") if path.suffix in {".opus", ".ogg", ".wav", ".flac"})
    if len(found) <= HELD_OUT:
        raise ValueError(f"{folder}: holds {len(found)} recordings; more than {HELD_OUT} are needed")
    return found


def read(path: Path) -> Floats:
    """Read a recording as mono at 16 kHz, whole hops."""
    data, rate = soundfile.read(path, dtype="float32", always_2d=True)
    divisor = int(np.gcd(rate, RATE))
    mono = resample_poly(data.mean(axis=1), RATE // divisor, rate // divisor)
    return np.ascontiguousarray(mono[: mono.size // HOP * HOP], dtype=np.float32)


def cached(folder: Path, cache: Path) -> tuple[Floats, Floats]:
    """Return all speech to train on and all that is held out, each as one signal; read once, then from the cache."""
    if not (cache / "held_out.npy").exists():
        cache.mkdir(parents=True, exist_ok=True)
        found = recordings(folder)
        np.save(cache / "train.npy", np.concatenate([read(path) for path in found[:-HELD_OUT]]))
        np.save(cache / "held_out.npy", np.concatenate([read(path) for path in found[-HELD_OUT:]]))
    return np.load(cache / "train.npy"), np.load(cache / "held_out.npy")


def crops(speech: Floats, size: int, samples: int, rng: np.random.Generator, *, gain: bool = True) -> torch.Tensor:
    """Return `(size, samples, 1)` of random crops, each at a level of its own."""
    starts = HOP * rng.integers(0, (speech.size - samples) // HOP, size)
    batch = np.stack([speech[start : start + samples] for start in starts])
    if gain:
        batch = batch * np.power(10, rng.uniform(-10, 3, (size, 1)) / 20).astype(np.float32)
    return torch.from_numpy(batch[..., None])
