"""What was rendered and measured before: signals by what they are made of, readings by what was heard."""

from __future__ import annotations

import hashlib
import io
import json
import os
from pathlib import Path
from typing import Any

import soundfile

from rtvoice import audio
from rtvoice.evaluate.signals import RATE, Floats, Signal, digest, quantised
from rtvoice.files import write_whole

#: Raised when the same recipe gives other samples than before: another converter, another rate.
_PIPELINE = 2


def default_folder() -> Path:
    """Return where readings are kept where nobody says otherwise."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rtvoice" / "evaluate"


def recipe_key(*parts: object) -> str:
    """Return a name for what a signal is made of."""
    return hashlib.sha256(repr((_PIPELINE, *parts)).encode()).hexdigest()[:32]


class Cache:
    """A folder of signals and readings, each under the hash of what decides it; safe for several processes.

    Parameters
    ----------
    folder
        Made where it is missing; it may be removed at any time.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)

    def signal(self, key: str) -> Signal | None:
        """Return the signal that was stored under a key, if it is still there."""
        try:
            found = json.loads(self._file("made", key, ".json").read_text())
            signal = Signal(found["digest"], self._file("audio", found["digest"], ".flac"), found["seconds"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return signal if signal.path.exists() else None

    def put(self, key: str, samples: Floats) -> Signal:
        """Store a signal, float32 ``(n,)`` at `RATE`, under a key."""
        whole = quantised(samples)
        name = digest(whole)
        path = self._file("audio", name, ".flac")
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            data = io.BytesIO()
            soundfile.write(data, whole, RATE, format="FLAC", subtype="PCM_16")
            write_whole(path, data.getvalue())
        signal = Signal(name, path, len(whole) / RATE)
        self._write(self._file("made", key, ".json"), {"digest": name, "seconds": signal.seconds})
        return signal

    def reading(self, signal: str, probe: str) -> Any:
        """Return what a probe (its name and version) read in a signal, or None."""
        return self._entry(signal, probe).get("value")

    def known(self, signal: str, probe: str) -> bool:
        """Return whether a probe has read a signal; it may have found nothing to tell."""
        return "value" in self._entry(signal, probe)

    def keep(self, signal: str, probe: str, value: Any) -> None:
        """Store a reading, plain values."""
        self._write(self._file("read", f"{signal}-{probe}", ".json"), {"value": value})

    def _entry(self, signal: str, probe: str) -> dict[str, Any]:
        try:
            found = json.loads(self._file("read", f"{signal}-{probe}", ".json").read_text())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _file(self, kind: str, name: str, suffix: str) -> Path:
        return self.folder / kind / name[:2] / (name + suffix)

    def _write(self, path: Path, value: Any) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(value).encode())


def load(signal: Signal) -> Floats:
    """Return a stored signal's samples, float32 ``(n,)`` at `RATE`."""
    samples, _ = audio.read(signal.path)
    return samples[:, 0]
