"""Makes collections of rendered speech: voices reading prompts, as folders that `find_recordings` reads."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

from rtvoice.train.data.corpus import DataError
from rtvoice.train.data.prepare import Progress, run_each, write_whole
from rtvoice.train.data.synth.cache import RenderCache
from rtvoice.train.data.synth.engine import Synthesizer
from rtvoice.train.data.synth.espeak import Espeak
from rtvoice.train.data.synth.flite import Flite
from rtvoice.train.data.synth.kokoro import Kokoro


@dataclass(frozen=True)
class Line:
    """One prompt by one voice.

    Attributes
    ----------
    utterance : str
        The prompt's name; readings of one prompt by several voices share it, which makes them parallel.
    text : str
        What is read.
    engine, voice : str
        By whom.
    speed : float
        0.5 to 2.
    """

    utterance: str
    text: str
    engine: str
    voice: str
    speed: float = 1.0


def synthesizer(name: str, kokoro: Path | None = None) -> Synthesizer:
    """Return an engine by name, loaded once in a process.

    Parameters
    ----------
    name : str
        ``"kokoro"``, ``"flite"`` or ``"espeak"``.
    kokoro : Path or None
        Folder of Kokoro's weights; see `Kokoro`.

    Raises
    ------
    DataError
        There is no such engine, or it is not installed.
    """
    return _loaded(name, kokoro)


@lru_cache(maxsize=4)
def _loaded(name: str, kokoro: Path | None) -> Synthesizer:
    engines: dict[str, Callable[[], Synthesizer]] = {
        "kokoro": partial(Kokoro, kokoro),
        "flite": Flite,
        "espeak": Espeak,
    }
    if name not in engines:
        raise DataError(f"there is no synthesiser {name!r}; there are {', '.join(sorted(engines))}")
    return engines[name]()


def render_collection(
    lines: Sequence[Line],
    folder: Path,
    *,
    cache: Path | None = None,
    kokoro: Path | None = None,
    workers: int = 1,
    shard: tuple[int, int] = (0, 1),
    progress: Progress | None = None,
) -> bool:
    """Render prompts into a collection: `VOICE/UTTERANCE.flac` and `metadata.csv`.

    What the cache has is not rendered again, so a run that was ended goes on, and two collections share readings.

    Parameters
    ----------
    lines : sequence of Line
        All of the collection; the same on all machines.
    folder : Path
        The collection; its name is the collection's, ``target_NAME`` or ``source_NAME``.
    cache : Path or None
        See `RenderCache`.
    kokoro : Path or None
        See `Kokoro`.
    workers, shard, progress
        As in `rtvoice.train.data.prepare.prepare`.

    Returns
    -------
    bool
        Whether the collection is whole: false where other shards are not done yet.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # Lines of one voice lie together: an engine that must load a voice does so once.
    mine = sorted(lines, key=lambda line: (line.engine, line.voice))[shard[0] :: shard[1]]
    missing = [line for line in mine if not place(folder, line).is_file()]
    report = progress or (lambda done, total: None)
    done = len(mine) - len(missing)
    report(done, len(mine))
    for engine in sorted({line.engine for line in missing}):
        synthesizer(engine, kokoro)  # what is missing is told before any worker starts
    work = partial(_render, folder=folder, cache=cache, kokoro=kokoro)
    for _ in run_each(work, missing, workers):
        done += 1
        report(done, len(mine))
    if not all(place(folder, line).is_file() for line in lines):
        return False
    rows = [f"{name_of(line)}|{line.engine}-{line.voice}|{' '.join(line.text.split())}" for line in lines]
    write_whole(folder / "metadata.csv", "\n".join(["utt|speaker|text", *rows, ""]).encode())
    return True


def name_of(line: Line) -> str:
    """Return a line's name in its collection: ``kokoro-af_sky/arctic_a0001``."""
    return f"{line.engine}-{line.voice.replace('+', '_')}/{line.utterance}"


def place(folder: Path, line: Line) -> Path:
    """Return the file of a line's reading in the collection."""
    return folder / f"{name_of(line)}.flac"


def _render(line: Line, folder: Path, cache: Path | None, kokoro: Path | None) -> None:
    rendered = RenderCache(cache).render(synthesizer(line.engine, kokoro), line.text, line.voice, line.speed)
    target = place(folder, line)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial_file = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        os.link(rendered, partial_file)  # a second name costs no disk
    except OSError:
        shutil.copyfile(rendered, partial_file)
    partial_file.replace(target)


def parallel_lines(
    prompts: Mapping[str, str], voices: Sequence[tuple[str, str]], seconds: float, speed: float = 1.0
) -> list[Line]:
    """Share prompts out among voices so that together they speak for some `seconds`, each prompt read once.

    Parameters
    ----------
    prompts : mapping
        Utterance name to text.
    voices : sequence of (engine, voice)
        In turn they take one prompt each.
    seconds : float
        Estimated at 14 letters a second.
    speed : float
        See `Line`.
    """
    lines: list[Line] = []
    spoken = 0.0
    for number, (utterance, text) in enumerate(prompts.items()):
        if spoken >= seconds:
            break
        engine, voice = voices[number % len(voices)]
        lines.append(Line(utterance, text, engine, voice, speed))
        spoken += len(text) / 14 / speed
    return lines
