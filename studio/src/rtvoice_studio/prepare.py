"""Makes a session's clips: renders what is missing, puts all in time with the input, at one rate and width."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtvoice import audio
from rtvoice.render import render_file
from rtvoice_studio.align import lag_ms
from rtvoice_studio.systems import SOUNDS, System, passed_over, probe_ok, recordings, some

Frames = NDArray[np.float32]

#: Longer clips are left out: nobody hears half a minute twice for one vote.
LONGEST_SECONDS = 60.0
#: Speech that stands this far above its pauses counts as clean.
_CLEAN_DB = 35.0
#: Recordings of one clip that part by less have ends that nobody misses: a last block, a declared latency.
_SAME_SECONDS = 0.05
#: Lags that the ear takes for an identity rather than for nothing.
_SUSPICIOUS_MS = 15.0
#: So many unfit clips are told with what is wrong, the others by name only.
_REASONS = 5


class _UnfitError(Exception):
    """What is wrong with a recording, so that its clip is left out and the others are compared."""


@dataclass(frozen=True)
class Clip:
    """One clip of a session: its files by role (``a``, ``b``, ``input``, ``target``), its lags against the input.

    ``rates`` are those of the recordings, by role; all were brought to ``rate``.
    """

    name: str
    key: str
    rate: int
    rates: dict[str, int]
    frames: int
    sounds: dict[str, str]
    lags: dict[str, float | None]
    clean: bool


def prepare(
    a: System,
    b: System,
    clips: Path | None,
    store: Path,
    *,
    target: Path | None = None,
    progress: Callable[[float], None] | None = None,
    warn: Callable[[str], None] = lambda words: None,
) -> list[Clip]:
    """Return the clips that both systems have, or that can be rendered, by name.

    Parameters
    ----------
    clips
        Folder of inputs. ``None``: two folders of recordings are compared without them.
    store
        Folder that keeps the audio, by content.
    target
        Folder of recordings of the target voice: by the clips' names, or any one for all.

    Raises
    ------
    ValueError, AudioError
        There is no clip, or none that is fit.
    """
    inputs = recordings(clips) if clips else {}
    if clips and not inputs:
        raise ValueError(f"{clips} holds no recordings ({', '.join(SOUNDS)}); name a folder that does with --clips")
    if (a.model or b.model) and not inputs:
        raise ValueError("a model needs recordings to speak; name a folder of them with --clips")
    places = [(system.name, recordings(system.folder)) for system in (a, b) if system.folder]
    if clips:
        places.append(("--clips", inputs))
    names = sorted(set.intersection(*(set(there) for _, there in places)))
    if not names:
        raise ValueError(f"{a.name} and {b.name} have no clip in common; recordings pair by their file names")
    targets = recordings(target) if target else {}
    if target and not targets:
        raise ValueError(f"{target} holds no recordings ({', '.join(SOUNDS)}); name a folder that does with --target")
    called = {target: "--target", clips: "--clips"} | {system.folder: system.name for system in (a, b)}
    for folder, its_name in called.items():
        for told in passed_over(folder, its_name) if folder else []:
            warn(told)
    (store / "audio").mkdir(parents=True, exist_ok=True)
    found, cut, unfit = [], list[str](), dict[str, _UnfitError]()
    for i, name in enumerate(names):
        voice = targets.get(name) or next(iter(targets.values()), None)
        try:
            found.append(_clip(name, inputs.get(name), a, b, voice, store, warn, cut))
        except _UnfitError as error:
            unfit[name] = error
        if progress is not None:
            progress((i + 1) / len(names))
    if not found:
        first, *others = map(str, unfit.values())
        raise audio.AudioError(f"none of {len(names)} clips can be compared; the first: {first}" if others else first)
    if words := _left_out(places, names, unfit):
        warn(words)
    if words := resampled([asdict(clip) for clip in found], a.name, b.name):
        warn(words)
    if cut:
        several = "1 clip ends" if len(cut) == 1 else f"{len(cut)} clips end"
        warn(f"{several} with the shortest of {'its' if len(cut) == 1 else 'their'} recordings: {some(cut)}")
    return found


def _left_out(
    places: Sequence[tuple[str, Mapping[str, Path]]], names: Sequence[str], unfit: Mapping[str, Exception]
) -> str | None:
    """Say in a line which clips are not compared: which folder lacks them, or what is wrong with a recording."""
    every = sorted({name for _, there in places for name in there})
    gone = len(every) - len(names) + len(unfit)
    if not gone:
        return None
    lacks = [(place, [name for name in every if name not in there]) for place, there in places]
    told = [f"{place} lacks {some(lacking)}" for place, lacking in lacks if lacking]
    told += [str(error) for error in list(unfit.values())[:_REASONS]]
    if more := list(unfit)[_REASONS:]:
        told.append(f"nor are these fit: {', '.join(more)}")
    return f"{gone} of {len(every)} clips {'is' if gone == 1 else 'are'} left out: {'; '.join(told)}"


def resampled(clips: Sequence[Mapping[str, Any]], a: str, b: str) -> str | None:
    """Say in a line which sides were brought to another rate, in how many clips as the store keeps them; or nothing."""
    told = []
    for role, name in {"a": a, "b": b, "input": "the input", "target": "the target"}.items():
        # Sessions of before rates were kept say nothing.
        changed = [
            (own, clip["rate"])
            for clip in clips
            if (own := clip.get("rates", {}).get(role, clip["rate"])) != clip["rate"]
        ]
        if changed:
            steps = some([f"from {own / 1000:g} to {rate / 1000:g} kHz" for own, rate in sorted(set(changed))])
            told.append(f"{name} {steps} in {len(changed)} of {len(clips)} clips")
    return f"resampled, so that all of a clip plays at its highest rate: {'; '.join(told)}" if told else None


def _folder(system: System) -> Path:
    if system.folder is None:
        raise ValueError(f"{system.name} is no folder of recordings")
    return system.folder


def _clip(
    name: str,
    source: Path | None,
    a: System,
    b: System,
    voice: Path | None,
    store: Path,
    warn: Callable[[str], None],
    cut: list[str],
) -> Clip:
    parts: dict[str, Frames] = {}
    rates: dict[str, int] = {}
    if source:  # before anything is rendered of it
        parts["input"], rates["input"] = _heard(source)
    for role, system in (("a", a), ("b", b)):
        parts[role], rates[role] = _heard(_rendered(system, name, source, store))
        late = round(system.delay_ms * rates[role] / 1000)
        parts[role] = parts[role][late:]
    # The context runs at one rate: the highest, so that none of them loses by it.
    rate = max(rates.values())
    for role in parts:
        if rates[role] != rate:
            parts[role] = np.concatenate(list(audio.convert([parts[role]], rates[role], rate)))
    length, longest = min(map(len, parts.values())), max(map(len, parts.values()))
    if length < rate // 4:
        raise _UnfitError(f"the clip {name} is shorter than 0.25 s in one of its recordings")
    if longest - length > _SAME_SECONDS * rate:
        cut.append(f"{name} ({length / rate:.2f} of {longest / rate:.2f} s)")
    channels = max(part.shape[1] for part in parts.values())
    parts = {role: _wide(part[:length], channels) for role, part in parts.items()}
    lags = {role: lag_ms(parts["input"], parts[role], rate) if "input" in parts else None for role in "ab"}
    against = lag_ms(parts["a"], parts["b"], rate)
    if against is not None and abs(against) > _SUSPICIOUS_MS:
        warn(
            f"{name}: {b.name} comes {against:+.0f} ms after {a.name}, which gives it away on a switch; "
            "tell a folder's latency in its latency_ms.txt"
        )
    if voice:
        frames, own = _heard(voice)
        frames = np.concatenate(list(audio.convert([frames], own, rate)))
        parts["target"], rates["target"] = _wide(frames, channels), own
    # The browser is told this: of the input or of both, so that the systems exchanged are told the same.
    clean = all(_floor_db(parts[role], rate) >= _CLEAN_DB for role in (["input"] if "input" in parts else "ab"))
    sounds = {role: _keep(part, rate, store) for role, part in parts.items()}
    key = hashlib.sha256((name + "\0" + sounds.get("input", sounds["a"])).encode()).hexdigest()[:16]
    return Clip(name, key, rate, rates, length, sounds, lags, clean)


def _heard(path: Path) -> tuple[Frames, int]:
    try:
        probe_ok(path, LONGEST_SECONDS)
        frames, rate = audio.read(path)
    except audio.AudioError as error:
        raise _UnfitError(str(error)) from None
    return np.nan_to_num(frames, nan=0.0, posinf=0.0, neginf=0.0), rate


def _wide(frames: Frames, channels: int) -> Frames:
    return np.repeat(frames, channels, axis=1) if frames.shape[1] < channels else frames


def _rendered(system: System, name: str, source: Path | None, store: Path) -> Path:
    """Return a system's recording of a clip, rendered unless it is there."""
    if system.model is None:
        return recordings(_folder(system))[name]
    if source is None:
        raise ValueError(f"{name}: no input to render")
    digest = hashlib.sha256(f"1\0{system.key}\0".encode() + source.read_bytes()).hexdigest()[:32]
    path = store / "renders" / f"{digest}.wav"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        render_file(source, path, system.model)
    return path


def _keep(frames: Frames, rate: int, store: Path) -> str:
    """Write audio as 32-bit floats under its digest; return that."""
    digest = hashlib.sha256(f"{rate}\0{frames.shape}\0".encode() + frames.tobytes()).hexdigest()[:32]
    path = store / "audio" / f"{digest}.wav"
    if not path.is_file():
        with audio.Writer(path, rate, frames.shape[1], "FLOAT") as writer:
            writer.write(np.ascontiguousarray(frames))
    return digest


def _floor_db(frames: Frames, rate: int) -> float:
    """How far loud speech stands above the softest tenth, in dB."""
    size = rate // 50
    mono = frames.mean(axis=1)
    blocks = mono[: len(mono) // size * size].reshape(-1, size)
    level = 10 * np.log10((blocks.astype(np.float64) ** 2).mean(axis=1) + 1e-12)
    return float(np.quantile(level, 0.95) - np.quantile(level, 0.1))


def store_folder(named: str | None) -> Path:
    """Return where sessions and votes are kept: the option, ``$RTVOICE_COMPARE``, or the user's data folder."""
    if named:
        return Path(named).expanduser()
    if os.environ.get("RTVOICE_COMPARE"):
        return Path(os.environ["RTVOICE_COMPARE"]).expanduser()
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "rtvoice" / "compare"
