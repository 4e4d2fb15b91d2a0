"""Flite's voices, by its command (free licence, 16 kHz; Debian's package flite)."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from rtvoice import audio
from rtvoice.train.data.corpus import DataError
from rtvoice.train.data.measure import Floats
from rtvoice.train.data.synth.engine import Voice

_GENDERS = {"slt": "female", "rms": "male", "awb": "male", "awb_time": "male", "kal": "male", "kal16": "male"}


class Flite:
    """Text to speech by diphones and clustered units; 0.02 s of one core for 1 s of speech.

    Raises
    ------
    DataError
        The command is not installed.
    """

    name = "flite"

    def __init__(self) -> None:
        command = shutil.which("flite")
        if command is None:
            raise DataError("flite's voices need the command flite; run: apt-get install flite")
        self._command = command
        found = re.search(r"flite-[\d.]+", _run([command, "--version"]))
        self.version = found[0] if found else "flite"
        listed = _run([command, "-lv"]).partition(":")[2].split()
        # awb_time reads the clock only, and kal is kal16 at 8 kHz.
        self._names = sorted(name for name in listed if name not in {"awb_time", "kal"})

    def voices(self) -> list[Voice]:
        """Return the voices built into the command."""
        return [Voice(name, "en-us", _GENDERS.get(name, ""), "BSD-like (Carnegie Mellon)") for name in self._names]

    def render(self, text: str, voice: str, speed: float = 1.0) -> tuple[Floats, int]:
        """Return speech and its rate; see `Synthesizer`."""
        if voice not in self._names:
            raise DataError(f"flite has no voice {voice}; it has {', '.join(self._names)}")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "speech.wav")
            stretch = f"duration_stretch={1 / speed:.4f}"
            _run([self._command, "-voice", voice, "--setf", stretch, "-t", text, "-o", str(path)])
            samples, rate = audio.read(path)
        return np.ascontiguousarray(samples[:, 0]), rate


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DataError(f"{command[0]} does not run: {error}") from None
    return done.stdout + done.stderr
