"""What a live session is asked for: options, and presets in a TOML file."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from rtvoice.live import LiveError
from rtvoice.registry import DEFAULT_SKIN

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True)
class Settings:
    """A session's settings; the names are those of a preset's keys and of the command's options.

    Attributes
    ----------
    model, tier
        A skin's name or a ``.rtv`` file, and its tier.
    input, output
        A device's number, name, or a part of it; ``None`` is the default one.
    rate
        Of the engine and the output device in Hz; ``None`` is the device's own.
    block
        Samples of a callback, promised to the engine; ``None`` is as the device likes.
    clock
        ``"one"`` for one full-duplex stream, ``"two"`` for a stream each and drift compensation, ``"auto"``.
    buffer
        Milliseconds that the devices' own buffers are asked to hold; ``None`` is their least.
    margin
        Milliseconds for late callbacks between two clocks, 0 to 100.
    gate
        Threshold of the noise gate in dBFS, or ``None`` for none.
    limiter
        Whether there is a limiter at -1 dBFS; it costs 1 ms.
    match
        Whether the output is brought to the loudness of the input.
    mix
        0 dry to 1 wet.
    bypass, mute
        As the session begins.
    seed
        Of the model's noise.
    sliced
        Whether a hop's work is spread over the callbacks that follow: a flat load, one hop more latency.
    """

    model: str = DEFAULT_SKIN
    tier: str = "auto"
    input: str | None = None
    output: str | None = None
    rate: int | None = None
    block: int | None = None
    clock: str = "auto"
    buffer: float | None = None
    margin: float = 2.0
    gate: float | None = None
    limiter: bool = False
    match: bool = False
    mix: float = 1.0
    bypass: bool = False
    mute: bool = False
    seed: int = 0
    sliced: bool = False


@dataclass(frozen=True)
class LogOptions:
    """What a session's real-time logs hold and how long they stay, as for :meth:`rtvoice.Engine.log`.

    They are no part of a preset: a voice is logged when somebody asks for it this time.
    """

    audio: str = "float32"
    redact: bool = False
    retention_days: int = 0
    rotate_mb: float = 0.0
    rotate_minutes: float = 0.0
    keep_files: int = 0


_NUMBERS: dict[str, tuple[type, float, float]] = {
    "rate": (int, 8000, 192000),
    "block": (int, 1, 8192),
    "buffer": (float, 0, 2000),
    "margin": (float, 0, 100),
    "gate": (float, -120, 0),
    "mix": (float, 0, 1),
    "seed": (int, 0, 2**63),
}
_CHOICES = {"tier": ("auto", "default", "hq"), "clock": ("auto", "one", "two")}


def checked(given: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return settings that are of the right type and range.

    Raises
    ------
    LiveError
        One is unknown or not; the message names it and ``where`` it stands.
    """
    known = [f.name for f in fields(Settings)]
    made: dict[str, Any] = {}
    for name, value in given.items():
        if name not in known:
            raise LiveError(f"{where}: there is no setting {name!r}; there is: {', '.join(known)}")
        made[name] = _checked(name, value, where)
    return made


def _checked(name: str, value: Any, where: str) -> Any:
    if name in _NUMBERS:
        kind, low, high = _NUMBERS[name]
        if name == "gate" and value is False:
            return None
        if isinstance(value, bool) or not isinstance(value, int if kind is int else int | float):
            what = "a whole number" if kind is int else "a number"
            raise LiveError(f"{where}: {name} must be {what}, not {value!r}")
        if not low <= value <= high:
            raise LiveError(f"{where}: {name} must be {low:g} to {high:g}, not {value!r}")
        return kind(value)
    if name in _CHOICES:
        if value not in _CHOICES[name]:
            raise LiveError(f"{where}: {name} must be one of {', '.join(_CHOICES[name])}, not {value!r}")
        return value
    if name in ("input", "output"):
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise LiveError(f"{where}: {name} must be a device's name or number, not {value!r}")
        return str(value)
    if name == "model":
        if not isinstance(value, str):
            raise LiveError(f"{where}: model must be a skin's name or a path, not {value!r}")
        return value
    if not isinstance(value, bool):
        raise LiveError(f"{where}: {name} must be true or false, not {value!r}")
    return value


def presets_file() -> Path:
    """Return where presets are looked for: ``rtvoice/live.toml`` in the user's folder for settings."""
    base = os.environ.get("XDG_CONFIG_HOME") or os.environ.get("APPDATA") or Path.home() / ".config"
    return Path(base) / "rtvoice" / "live.toml"


def load_presets(path: Path) -> dict[str, dict[str, Any]]:
    """Read every preset of a file: one table each.

    Raises
    ------
    LiveError
        The file is not there, no TOML, or has a setting that is none.
    """
    return {name: _preset(path, name, table) for name, table in _tables(path).items()}


def _preset(path: Path, name: str, table: Mapping[str, Any]) -> dict[str, Any]:
    return checked(table, f"{path}, preset {name!r}")


def _tables(path: Path) -> dict[str, dict[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8-sig")  # Notepad writes a mark in front
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise LiveError(f"{path}: {reason}; a preset is a table of settings, see docs/live.md") from None
    except UnicodeDecodeError:
        raise LiveError(f"{path} is no text in UTF-8") from None
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise LiveError(f"{path} is no TOML: {error}") from None
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise LiveError(f"{path}: {name} stands outside of a preset; put it under [NAME]")
    return tables


def resolve(preset: str | None, path: Path | None, options: Mapping[str, Any]) -> Settings:
    """Return the settings of a preset with the options that were given over them.

    Without a name the preset ``default`` is taken where the file has one. Only the one that is taken is checked.

    Raises
    ------
    LiveError
        The preset does not exist, or a setting is wrong.
    """
    base: dict[str, Any] = {}
    file = path or presets_file()
    if preset is not None or path is not None or file.is_file():
        presets = _tables(file)
        if preset is not None and preset not in presets:
            there = ", ".join(presets) or "none"
            raise LiveError(f"--preset {preset}: {file} has no such preset; there is: {there}")
        taken = preset or "default"
        base = _preset(file, taken, presets.get(taken, {}))
    return replace(Settings(**base), **checked(options, "the options"))
