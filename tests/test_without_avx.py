"""The same package on an emulated processor without AVX: an AVX instruction outside its dispatch would end it."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

OLD = ["qemu-x86_64", "-cpu", "Nehalem"]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="emulates x86-64 on x86-64"),
    pytest.mark.skipif(shutil.which(OLD[0]) is None, reason="qemu-x86_64 is missing: apt-get install qemu-user"),
]


def emulated(*words: object) -> str:
    done = subprocess.run([*OLD, *map(str, words)], capture_output=True, text=True, timeout=1200, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


def test_sse4_is_chosen() -> None:
    assert emulated(sys.executable, "-c", "import rtvoice; print(rtvoice.isa())") == "SSE4\n"


def test_the_skin_sounds_the_same(tmp_path: Path) -> None:
    """Instruction sets round differently; the difference stays at that of float32 sums."""
    rng = np.random.default_rng(0)
    soundfile.write(tmp_path / "in.wav", (0.1 * rng.standard_normal(24000)).astype(np.float32), 48000, subtype="FLOAT")
    words = [sys.executable, "-m", "rtvoice", "render", tmp_path / "in.wav"]
    subprocess.run([*map(str, words), str(tmp_path / "here.wav")], check=True, capture_output=True)
    emulated(*words, tmp_path / "old.wav")
    here, old = (soundfile.read(tmp_path / f"{name}.wav")[0] for name in ("here", "old"))
    assert np.abs(here).max() > 0
    np.testing.assert_allclose(old, here, atol=1e-4 * np.abs(here).max())
