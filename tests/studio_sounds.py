"""Folders of recordings for the comparison page: inputs, and two systems of which the second hisses."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

RATE = 16000

#: The full forms take from minutes to half an hour, too long for every round of all tests.
full = pytest.mark.skipif(
    os.environ.get("RTVOICE_STUDIO_FULL") != "1", reason="the full form: RTVOICE_STUDIO_FULL=1 runs it"
)


def make_folders(root: Path, clips: int, seconds: float = 0.8) -> tuple[Path, Path, Path]:
    """Write ``in``, ``walrus`` and ``zebra``, names that stand nowhere else, under a folder; return them."""
    folders = tuple(root / name for name in ("in", "walrus", "zebra"))
    for folder in folders:
        folder.mkdir(parents=True)
    generator = np.random.default_rng(0)
    time = np.arange(round(RATE * seconds)) / RATE
    for i in range(clips):
        pitch = 110 * (1 + 0.3 * np.sin(2 * np.pi * 0.7 * time + i)) * (1 + i % 3 * 0.3)
        phase = 2 * np.pi * np.cumsum(pitch) / RATE
        voice = sum(np.sin(k * phase) / k for k in range(1, 12)) * (0.1 * np.sin(2 * np.pi * 2.3 * time) ** 4)
        hiss = 0.002 * generator.normal(size=len(time))
        for folder, sound in zip(folders, (voice, 0.8 * voice, 0.6 * voice + hiss), strict=True):
            soundfile.write(folder / f"clip{i:02d}.wav", sound.astype(np.float32), RATE, subtype="FLOAT")
    return folders[0], folders[1], folders[2]
