"""Keeps what was rendered: one FLAC file for each engine, voice, speed and text."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import numpy as np

from rtvoice import audio
from rtvoice.train.data.corpus import DataError
from rtvoice.train.data.synth.engine import Synthesizer
from rtvoice.train.data.weights import cache_folder


class RenderCache:
    """Renderings by what determines them, shared by processes and machines that see the folder.

    Parameters
    ----------
    folder : Path or None
        `None`: the cache.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = Path(folder) if folder else cache_folder("renders")

    def path(self, engine: str, version: str, voice: str, text: str, speed: float = 1.0) -> Path:
        """Return where a rendering is or would be."""
        key = hashlib.sha256(json.dumps([engine, version, voice, text, round(speed, 4)]).encode()).hexdigest()
        return self.folder / engine / voice / key[:2] / f"{key[2:18]}.flac"

    def render(self, synthesizer: Synthesizer, text: str, voice: str, speed: float = 1.0) -> Path:
        """Return the file of a rendering, made now if it is not there.

        Raises
        ------
        DataError
            The voice is unknown, or the engine gave silence.
        """
        path = self.path(synthesizer.name, synthesizer.version, voice, text, speed)
        if path.is_file():
            return path
        samples, rate = synthesizer.render(text, voice, speed)
        if samples.size == 0 or not np.isfinite(samples).all() or np.abs(samples).max() < 1e-4:
            raise DataError(f"{synthesizer.name} gave no sound for {text!r} by {voice}; leave that text out")
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.stem}.{os.getpid()}.flac")
        with audio.Writer(partial, rate, 1, subtype="PCM_16") as file:
            file.write(samples[:, None])
        partial.replace(path)
        return path
