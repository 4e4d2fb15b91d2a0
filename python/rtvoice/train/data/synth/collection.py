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
from rtvoice.train.data.synth.sentences import sentences


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


#: The engines by name; each is given the folder of Kokoro's weights.
ENGINES: dict[str, Callable[[Path | None], Synthesizer]] = {
    "kokoro": Kokoro,
    "flite": lambda folder: Flite(),
    "espeak": lambda folder: Espeak(),
}


@lru_cache(maxsize=4)
def _loaded(name: str, kokoro: Path | None) -> Synthesizer:
    if name not in ENGINES:
        raise DataError(f"there is no synthesiser {name!r}; there are {', '.join(sorted(ENGINES))}")
    return ENGINES[name](kokoro)


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


def reading_list(
    prompts: Mapping[str, str], count: int, *, skip: int = 0, own: bool = True, seed: int = 1
) -> list[tuple[str, str]]:
    """Return names and texts to be read: three prompts, then one sentence of our own, and so on; then our own alone.

    Prompts are mostly statements; the sentences bring questions and exclamations.

    Parameters
    ----------
    prompts : mapping
        Utterance name to text; read in the order of their names. May be empty.
    count : int
        How many texts.
    skip : int
        Prompts to leave out at the start, so that another list does not read the same.
    own : bool
        Whether our own sentences are read; without them the list ends with the prompts.
    seed : int
        Of the sentences.
    """
    given = iter(sorted(prompts.items())[skip:])
    if not own:
        return list(given)[:count]
    ours = iter(enumerate(sentences(count, seed)))
    out: list[tuple[str, str]] = []
    while len(out) < count:
        prompt = next(given, None) if len(out) % 4 < 3 else None
        if prompt is None:
            number, text = next(ours)
            prompt = (f"own_{number:04d}", text)
        out.append(prompt)
    return out


def chosen_voices(
    wanted: Sequence[str], without: Sequence[str] = (), kokoro: Path | None = None
) -> list[tuple[str, str]]:
    """Return `(engine, voice)` pairs of what is written as ``ENGINE:NAME`` or ``ENGINE:*``, in order, each once.

    Raises
    ------
    DataError
        Something is written otherwise, there is no such voice, or none is left.
    """
    out: dict[tuple[str, str], None] = {}
    for text in wanted:
        engine, colon, name = text.partition(":")
        if not colon or not name:
            raise DataError(f"{text!r} is no voice; write ENGINE:NAME, as kokoro:am_onyx, or ENGINE:*")
        there = [voice.name for voice in synthesizer(engine, kokoro).voices()]
        unknown = [part for part in name.split("+") if engine == "kokoro" and part not in there]
        if name != "*" and (unknown or (engine != "kokoro" and name not in there)):
            raise DataError(f"{engine} has no voice {name}; it has {', '.join(there)}")
        out |= dict.fromkeys((engine, one) for one in (there if name == "*" else [name]))
    left = [pair for pair in out if ":".join(pair) not in without]
    if not left:
        raise DataError("no voice is left to read")
    return left


def shared_out(
    texts: Sequence[tuple[str, str]], voices: Sequence[tuple[str, str]], *, share: bool, speed: float = 1.0
) -> list[Line]:
    """Return who reads what: every text by every voice or, with `share`, by one of them in turn."""
    if share:
        return [Line(*text, *voices[number % len(voices)], speed) for number, text in enumerate(texts)]
    return [Line(*text, *voice, speed) for voice in voices for text in texts]
