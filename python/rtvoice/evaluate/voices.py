"""What is judged: a model in the engine, a function, a folder of renders; each turns a clip into another voice."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from rtvoice.audio import AudioError
from rtvoice.engine import Engine, isa
from rtvoice.evaluate import signals
from rtvoice.evaluate.clips import Clip
from rtvoice.evaluate.signals import RATE, Floats
from rtvoice.model import Model

#: The host that a model is judged in: the rate of most, frames of 10 ms.
HOST_RATE = 48000
BLOCK = 480

#: A voice as a function: audio ``(n,)`` and its rate in Hz; returns the same of the converted speech.
Callback = Callable[[Any, int], tuple[ArrayLike, int]]


class Voice:
    """One way of turning a clip into another voice.

    Attributes
    ----------
    name
        For people.
    key
        Of everything that decides the output besides the input; None where that cannot be known.
    threads
        Whether several clips may be converted at once.
    anything
        Whether it converts any input, not only the clips as they are.
    """

    name: str
    key: str | None = None
    threads = False
    anything = True

    def convert(self, clip: Clip, speech: Floats) -> Floats | None:
        """Return the converted speech ``(n,)`` at `RATE`, in time with the input; None where there is none."""
        raise NotImplementedError

    def facts(self) -> dict[str, Any]:
        """Return what a reader should know of it."""
        return {"model": self.name}


class EngineVoice(Voice):
    """A model streamed through the engine as a host would, its latency taken off."""

    threads = True

    def __init__(self, model: str | os.PathLike[str] | Model, tier: str = "auto") -> None:
        self.model = model if isinstance(model, Model) else Model.load(model, tier=tier)
        self.name = self.model.name
        self.key = f"engine-{self.model.info['hash']}-{_core_digest()}-{isa()}-{HOST_RATE}-{BLOCK}"

    def convert(self, clip: Clip, speech: Floats) -> Floats:
        """Stream the clip in frames of 10 ms at 48 kHz."""
        host = signals.convert(speech, RATE, HOST_RATE)
        made = stream(self.model, host, [BLOCK], HOST_RATE)
        return signals.fitted(signals.convert(made, HOST_RATE, RATE), len(speech))

    def facts(self) -> dict[str, Any]:
        """Return name, tier, rate, latency in a host, size and cost."""
        info = self.model.info
        engine = Engine(self.model, HOST_RATE, BLOCK)
        return {
            "model": self.model.name,
            "path": str(self.model.path) if self.model.path else None,
            "tier": self.model.tier,
            "sample_rate": self.model.sample_rate,
            "latency_ms": round(1000 * engine.latency / HOST_RATE, 3),
            "parameters": info["parameter_count"],
            "mac_per_second": info["mac_per_second"],
        }


class CallableVoice(Voice):
    """A function of a whole recording: a model that is still being trained, or one that cannot stream."""

    def __init__(self, function: Callback, name: str = "", key: str | None = None) -> None:
        self._function = function
        self.name = name or getattr(function, "__name__", "") or type(function).__name__
        self.key = key

    def convert(self, clip: Clip, speech: Floats) -> Floats:
        """Call the function; a result of another length is cut or filled up to the clip's."""
        made, rate = self._function(speech.copy(), RATE)
        samples = np.asarray(made, np.float32)
        if samples.ndim != 1:
            raise ValueError(f"{self.name} returned audio of shape {samples.shape}; return (samples,) and its rate")
        if not np.isfinite(samples).all():
            raise ValueError(f"{self.name} returned values that are not finite for {clip.path}")
        return signals.fitted(signals.convert(samples, int(rate), RATE), len(speech))


class FolderVoice(Voice):
    """Recordings that were converted elsewhere: files of the clips' names, of any format."""

    threads = True
    anything = False

    def __init__(self, folder: Path, name: str = "master") -> None:
        if not folder.is_dir():
            raise AudioError(f"{folder} is not a folder; name the folder of the master's renders")
        self.name = name
        self._folder = folder
        self._files = {file.stem: file for file in sorted(folder.rglob("*")) if file.is_file()}

    def convert(self, clip: Clip, speech: Floats) -> Floats | None:
        """Read the file of the clip's name; None where there is none."""
        flat = clip.name.replace("/", "__")
        file = self._files.get(flat) or self._files.get(clip.path.stem)
        if file is None or "@" in clip.name:
            return None
        return signals.fitted(signals.read(file, clip.start, clip.seconds), len(speech))


def voice(model: str | os.PathLike[str] | Model | Callback | Voice, tier: str = "auto") -> Voice:
    """Return whatever can be judged as a voice."""
    if isinstance(model, Voice):
        return model
    if isinstance(model, str | os.PathLike | Model):
        return EngineVoice(model, tier)
    if callable(model):
        return CallableVoice(model)
    raise ValueError(f"{model!r} cannot be judged; give a skin's name, a .rtv file, a Model or a function")


def stream(model: Model, speech: Floats, sizes: list[int], rate: int, seed: int = 0) -> Floats:
    """Run the engine over speech ``(n,)`` in frames of `sizes`, over and over; return as much, in time with it."""
    engine = Engine(model, rate, max(sizes), seed=seed)
    late = engine.latency
    padded = np.concatenate([np.ascontiguousarray(speech, np.float32), np.zeros(late, np.float32)])
    out = np.empty_like(padded)
    place = turn = 0
    while place < len(padded):
        stop = min(place + sizes[turn % len(sizes)], len(padded))
        engine.process(padded[place:stop], out[place:stop])
        place, turn = stop, turn + 1
    return out[late:]


@cache
def _core_digest() -> str:
    """Return a hash of the engine itself: another build may give other bits."""
    from rtvoice import _core

    return hashlib.sha256(Path(str(_core.__file__)).read_bytes()).hexdigest()[:16]
