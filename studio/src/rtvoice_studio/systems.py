"""What is compared: a model, a training run that holds one, or a folder of rendered recordings."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rtvoice import audio, registry
from rtvoice.errors import ModelError
from rtvoice.model import Model

#: What a folder of recordings may hold; everything else in it is left alone.
SOUNDS = (".wav", ".flac", ".ogg", ".mp3", ".aiff", ".aif")
_TIERS = ("default", "hq")
#: Rates in Hz at which every browser must run an audio context, and twice that, which all do.
_RATES = (8000, 192000)


@dataclass(frozen=True)
class System:
    """One side of a comparison.

    Attributes
    ----------
    name
        How results call it.
    key
        Digest of what it is: the model file's bytes, or names, sizes and times of a folder's recordings.
    model
        The model to render with, or
    folder
        the folder of recordings, by the clips' names.
    delay_ms
        How late a folder's recordings are, by its ``latency_ms.txt``; a model's render is in time already.
    around
        What can stand before the name to tell it from another of that name, the nearest last: the folders it lies in.
    """

    name: str
    key: str
    model: Model | None = None
    folder: Path | None = None
    delay_ms: float = 0.0
    facts: dict[str, Any] = field(default_factory=dict)
    around: tuple[str, ...] = ()

    def longer(self) -> System:
        """Return it under a name with one more of the folders around it, or as it is where there is none."""
        if not self.around:
            return self
        return replace(self, name=self.around[-1] + self.name, around=self.around[:-1])


def told_apart(one: System, other: System) -> tuple[System, System]:
    """Return both with as many of the folders around them in their names as tell them apart: x/wav and y/wav."""
    while one.name == other.name and (one.around or other.around):
        one, other = one.longer(), other.longer()
    return one, other


def find_system(word: str) -> System:
    """Find what a word on the command line means: ``whisper``, ``whisper:hq``, a ``.rtv`` file, a folder.

    Raises
    ------
    ModelError, ValueError
        Nothing fits; the message says what was looked for.
    """
    check_name(Path(word))
    name, colon, tier = word.rpartition(":")
    if not colon or tier not in _TIERS:
        name, tier = word, "auto"
    path = Path(name).expanduser()
    if path.is_dir() and not any(skin.name == name for skin in registry.models()):
        sounds = recordings(path)
        models = sorted(path.glob("*.rtv")) or sorted(path.rglob("*.rtv"))
        if models:
            found = _model(_only(path, models, tier), "auto", path.resolve().name)
            found = replace(found, facts={**found.facts, "place": str(path.resolve())}, around=_around(path))
            # A run's votes are joined to what the monitor saw of it by its folder's name.
            return replace(found, facts={**found.facts, "run": path.resolve().name}) if is_run(path) else found
        if sounds:
            return _folder(path, sounds)
        raise ValueError(
            f"{path} holds neither a .rtv model nor recordings ({', '.join(SOUNDS)}); name a folder that does"
        )
    return _model(name, tier, None)


def is_run(folder: Path) -> bool:
    """Whether ``rtvoice train`` wrote the folder."""
    return (folder / "run.json").is_file()


def _only(folder: Path, models: list[Path], tier: str) -> str:
    wanted = "default" if tier == "auto" else tier
    fitting = [path for path in models if path.stem == wanted] or (models if tier == "auto" else [])
    if not fitting:
        raise ValueError(f"{folder} holds no {tier} model; name the file, or leave ':{tier}' out")
    if len(fitting) != 1:
        inside = ", ".join(str(path.relative_to(folder)) for path in models[:6])
        raise ValueError(f"{folder} holds several models ({inside}); name one of the files")
    return str(fitting[0])


def _model(name: str, tier: str, called: str | None) -> System:
    model = Model.load(name, tier=tier)
    if model.path is None:
        raise ModelError(f"{name} has no file")
    info = model.info
    facts = {
        "model": model.name,
        "tier": model.tier,
        "sample_rate": model.sample_rate,
        "latency_ms": 1000 * model.latency / model.sample_rate,
        "mac_per_second": info["mac_per_second"],
        "parameters": info["parameter_count"],
        "path": str(model.path.resolve()),
        "place": str(model.path.resolve()),
    }
    label = f"{called or model.name} ({model.tier})"
    around = (*_around(model.path), f"{model.path.name}: ")
    return System(label, hashlib.sha256(model.path.read_bytes()).hexdigest(), model=model, facts=facts, around=around)


def _around(path: Path) -> tuple[str, ...]:
    """Return the names of the folders that something lies in, each as it stands before a name."""
    return tuple(f"{name}/" for name in path.resolve().parent.parts[1:])


def recordings(folder: Path) -> dict[str, Path]:
    """Return a folder's recordings by their names without extension, also those that a link in it leads to.

    Raises
    ------
    ValueError
        A name is no text.
    """
    found: dict[str, Path] = {}
    for path in _sounds(folder):
        if path.is_file():
            check_name(path)
            found.setdefault(path.stem, path)
    return found


def passed_over(folder: Path, called: str) -> list[str]:
    """Say which recordings :func:`recordings` does not return: of a name that another has, and links to nothing."""
    sounds = _sounds(folder)
    there = {path for path in sounds if path.is_file()}
    taken = set(recordings(folder).values())
    told = []
    if twice := sorted(path.name for path in there - taken):
        told.append(f"{called}: of recordings of one name the first is taken, not {some(twice)}")
    if lost := sorted(path.name for path in sounds if not path.exists()):
        told.append(
            f"{called}: {some(lost)} {'is a link that leads' if len(lost) == 1 else 'are links that lead'} nowhere"
        )
    return told


def some(names: Sequence[str], most: int = 5) -> str:
    """Name a few, and say how many more there are."""
    more = len(names) - most
    return ", ".join(names) if more <= 0 else f"{', '.join(names[:most])} and {more} more"


def _sounds(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in SOUNDS)


def check_name(path: Path) -> None:
    """Refuse a name whose bytes are no UTF-8: neither the database nor a page can hold it."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        shown = os.fsencode(path).decode("utf-8", "backslashreplace")
        raise ValueError(f"{shown}: this name is not UTF-8 (\\x stands for a stray byte); rename it") from None


def _folder(path: Path, sounds: dict[str, Path]) -> System:
    digest = hashlib.sha256(str(path.resolve()).encode())
    for name, sound in sounds.items():
        stat = sound.stat()
        digest.update(f"{name}\0{stat.st_size}\0{stat.st_mtime_ns}\0".encode())
    delay = 0.0
    declared = path / "latency_ms.txt"
    if declared.is_file():
        text = declared.read_text("utf-8", "replace").strip()
        if not re.fullmatch(r"\d{1,4}(\.\d+)?", text):
            raise ValueError(f"{declared} must hold one number, the latency of the recordings in ms, not {text[:40]!r}")
        delay = float(text)
    facts = {"latency_ms": delay, "place": str(path.resolve())}
    return System(
        path.resolve().name, digest.hexdigest(), folder=path, delay_ms=delay, facts=facts, around=_around(path)
    )


def probe_ok(path: Path, limit_seconds: float) -> audio.AudioInfo:
    """Return what a recording holds, if it is audio of one or two channels that a browser plays, and not too long.

    Raises
    ------
    AudioError
        It is not; the message names it.
    """
    info = audio.probe(path)
    if info.seconds > limit_seconds:
        raise audio.AudioError(
            f"{path} is {info.seconds:.0f} s long; a clip takes at most {limit_seconds:.0f} s, cut it"
        )
    if info.channels > 2:
        raise audio.AudioError(f"{path} has {info.channels} channels; a clip takes one or two, mix it down")
    if not _RATES[0] <= info.sample_rate <= _RATES[1]:
        raise audio.AudioError(
            f"{path} has {info.sample_rate} samples a second; a clip takes {_RATES[0]} to {_RATES[1]}, convert it"
        )
    return info
