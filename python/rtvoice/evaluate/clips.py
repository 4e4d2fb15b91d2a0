"""The recordings to judge by: found in folders of any layout, named by speaker, the same ones chosen in every run."""

from __future__ import annotations

import csv
import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path, PurePosixPath

from rtvoice import audio

#: Fewer speakers than this say little about the next one.
LEAST_SPEAKERS = 20
#: Clips shorter than this hold no word; longer ones are cut, without their text.
SHORTEST, LONGEST = 1.0, 20.0

_AUDIO = {".wav", ".flac", ".ogg", ".opus", ".mp3", ".aiff", ".aif", ".oga"}
#: Folders that say what a file is, not who speaks.
_PLAIN = {
    "opus",
    "wav",
    "wavs",
    "wav48",
    "flac",
    "mp3",
    "ogg",
    "audio",
    "clips",
    "speech",
    "data",
    "test",
    "dev",
    "eval",
}
_NAME = ("utt", "id", "file", "path", "filename", "clip", "name", "source")
_SPEAKER = ("speaker", "speaker_id", "pseudo_speaker", "client_id", "spk")
_TEXT = ("text", "sentence", "transcript", "transcription")
_GENDER = ("gender", "sex")


@dataclass(frozen=True)
class Clip:
    """One recording.

    Attributes
    ----------
    name
        Path below the folder that was searched, without its extension.
    speaker
        Who speaks, with the collection in front where there are several.
    path, start, seconds
        The file and the stretch of it.
    text
        What was said, where a person wrote it down; a recogniser's transcript does not count.
    gender
        ``"female"`` or ``"male"`` where a table says.
    cut
        Whether the recording goes on after the stretch.
    """

    name: str
    speaker: str
    path: Path
    text: str | None = None
    gender: str | None = None
    start: float = 0.0
    seconds: float = 0.0
    cut: bool = False


def find(root: Path, leave_out: Iterable[Path] = ()) -> list[Clip]:
    """Return all recordings below a folder, by name.

    Speakers come from the next ``metadata.csv`` above a file (separator ``|``, tab, ``;`` or ``,``; a header, or LJ
    Speech's ``name|text``), from LibriSpeech's file names, from the folder a file lies in, or from the first part of
    the file's name. Texts come from that table, from LibriSpeech's ``*.trans.txt`` or from a ``.txt`` beside the file;
    gender from the table or LibriSpeech's ``SPEAKERS.TXT``.

    Parameters
    ----------
    root
        A folder of any depth.
    leave_out
        Folders that hold something else. Folders called ``target...`` directly below the root are left out too: they
        hold the voices that skins are made of.

    Raises
    ------
    audio.AudioError
        The folder is missing or has no recording.
    """
    if not root.is_dir():
        raise audio.AudioError(f"{root} is not a folder; name a folder of recordings")
    hidden = [folder.resolve() for folder in leave_out if folder.resolve() != root.resolve()]
    found = []
    for path in sorted(root.rglob("*")):
        parts = path.relative_to(root).parts
        if path.suffix.lower() not in _AUDIO or any(part.startswith(".") for part in parts):
            continue
        if parts[0].startswith("target") and len(parts) > 1:
            continue
        if not any(folder in path.resolve().parents for folder in hidden):
            found.append(_clip(root, path))
    if not found:
        raise audio.AudioError(f"{root} holds no recording ({', '.join(sorted(_AUDIO))})")
    return found


def choose(
    clips: Sequence[Clip],
    count: int,
    speakers: int | None = None,
    longest: float = LONGEST,
    unreadable: list[str] | None = None,
) -> list[Clip]:
    """Return `count` clips by as many speakers as there are, the same ones in every run.

    Speakers and their clips stand in the order of a hash of their names, so that a collection that grows keeps most of
    its choice; every speaker gives a clip before any gives a second.

    Parameters
    ----------
    clips
        What was found.
    count
        Clips wanted; all where fewer are fit.
    speakers
        Speakers at most.
    longest
        Seconds; what is longer is cut there and loses its text.
    unreadable
        Is given why each file that was to be taken, but cannot be read, is left out.
    """
    refused: list[str] = [] if unreadable is None else unreadable
    queues: dict[str, list[Clip]] = {}
    for clip in clips:
        queues.setdefault(clip.speaker, []).append(clip)
    order = sorted(queues, key=_rank)
    for name in order:
        queues[name].sort(key=lambda clip: _rank(clip.name), reverse=True)
    chosen: list[Clip] = []
    taking = [name for name in order if queues[name]]
    admitted: set[str] = set()
    while taking and len(chosen) < count:
        for name in list(taking):
            if len(chosen) == count:
                break
            if name not in admitted and speakers is not None and len(admitted) >= speakers:
                taking.remove(name)
                continue
            fit = _next_fit(queues[name], longest, refused)
            if fit is not None:
                chosen.append(fit)
                admitted.add(name)
            if not queues[name]:
                taking.remove(name)
    return chosen


def held_out(clips: Sequence[Clip], source: Path) -> list[Clip]:
    """Return the clips that training left out.

    Parameters
    ----------
    clips
        What was found.
    source
        The ``index.jsonl`` of prepared training data (or its folder), whose lines tell each recording's ``source`` and
        ``split``: what it calls held out is used, by the file's name. Or a text file with a speaker a line.

    Raises
    ------
    ValueError
        The file names none of the clips.
    """
    path = source / "index.jsonl" if source.is_dir() else source
    lines = [line.strip() for line in path.read_text().splitlines() if line.strip()]
    if path.suffix == ".jsonl":
        try:
            rows = [json.loads(line) for line in lines]
            sides = {
                side: {PurePosixPath(row["source"]).stem for row in rows if (row["split"] == "held_out") == side}
                for side in (True, False)
            }
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path} is no index of prepared data: each line needs 'source' and 'split'") from error
        kept = [clip for clip in clips if clip.path.stem in sides[True] - sides[False]]
    else:
        kept = [clip for clip in clips if {clip.speaker, clip.speaker.rpartition("/")[2]} & set(lines)]
    if not kept:
        raise ValueError(f"{path} names none of the {len(clips)} recordings as held out")
    return kept


def stretches(root: Path, seconds: float = 8.0, unreadable: list[str] | None = None) -> list[Clip]:
    """Return a target's recordings, long ones in pieces: one voice, so nobody's name is asked for.

    Parameters
    ----------
    root
        The target's folder.
    seconds
        Of a piece.
    unreadable
        Is given why each file that cannot be read is left out.

    Raises
    ------
    audio.AudioError
        No file can be read.
    """
    pieces: list[Clip] = []
    refused: list[str] = [] if unreadable is None else unreadable
    found = find(root)
    for clip in found:
        try:
            length = audio.probe(clip.path).seconds
        except audio.AudioError as error:
            refused.append(str(error))
            if len(refused) == len(found):
                raise audio.AudioError(f"{root} has no recording that can be read: {refused[0]}") from None
            continue
        if length <= LONGEST:
            pieces.append(replace(clip, seconds=length))
            continue
        for part in range(int(length // seconds)):
            pieces.append(
                replace(clip, name=f"{clip.name}@{part}", text=None, start=part * seconds, seconds=seconds, cut=True)
            )
    return sorted((piece for piece in pieces if piece.seconds >= SHORTEST), key=lambda piece: _rank(piece.name))


def _rank(name: str) -> str:
    return hashlib.sha256(f"rtvoice evaluate {name}".encode()).hexdigest()


def _next_fit(queue: list[Clip], longest: float, refused: list[str]) -> Clip | None:
    """Take clips off a queue until one can be used; tell in `refused` why others cannot be read."""
    while queue:
        clip = queue.pop()
        try:
            length = audio.probe(clip.path).seconds
        except audio.AudioError as error:
            refused.append(str(error))
            continue
        if length > longest:
            return replace(clip, seconds=longest, text=None, cut=True)
        if length >= SHORTEST:
            return replace(clip, seconds=length)
    return None


def _clip(root: Path, path: Path) -> Clip:
    table, folder = _nearest_table(root, path.parent)
    row = table.get(path.stem) or table.get(path.name) or {}
    collection = folder.relative_to(root).as_posix() if table and folder != root else ""
    name = path.relative_to(root).with_suffix("").as_posix()
    speaker = _first(row, _SPEAKER) or _speaker_of(root, path)
    gender = (_first(row, _GENDER) or "").lower()[:1]
    gender = gender or _libri_genders(root).get(speaker, "").lower()
    text = _first(row, _TEXT) or _libri_texts(path.parent).get(path.stem) or _text_beside(path)
    return Clip(
        name,
        f"{collection}/{speaker}" if collection else speaker,
        path,
        text,
        {"f": "female", "m": "male", "w": "female"}.get(gender),
    )


def _speaker_of(root: Path, path: Path) -> str:
    if libri := re.match(r"(\d+)-\d+-\d+", path.stem):
        return libri[1]
    folders = [part for part in path.relative_to(root).parts[:-1] if part.lower() not in _PLAIN]
    if folders:
        return "/".join(folders[:2])
    return re.split(r"[_\-]", path.stem)[0]


def _first(row: dict[str, str], names: Sequence[str]) -> str | None:
    return next((row[name].strip() for name in names if row.get(name, "").strip()), None)


@cache
def _libri_texts(folder: Path) -> dict[str, str]:
    texts = {}
    for table in folder.glob("*.trans.txt"):
        for line in table.read_text().splitlines():
            name, _, text = line.partition(" ")
            texts[name] = text
    return texts


@cache
def _libri_genders(root: Path) -> dict[str, str]:
    table = next((path for path in (root / "SPEAKERS.TXT", root.parent / "SPEAKERS.TXT") if path.is_file()), None)
    lines = table.read_text(errors="replace").splitlines() if table else []
    cells = [[cell.strip() for cell in line.split("|")] for line in lines if not line.startswith(";")]
    return {row[0]: row[1] for row in cells if len(row) > 1}


def _text_beside(path: Path) -> str | None:
    beside = path.with_suffix(".txt")
    if not beside.is_file() or beside.stat().st_size > 10_000:  # a page at most: longer is about something else
        return None
    return " ".join(beside.read_text(errors="replace").split()) or None


def _nearest_table(root: Path, folder: Path) -> tuple[dict[str, dict[str, str]], Path]:
    while True:
        table = _table(folder / "metadata.csv")
        if table or folder == root or root not in folder.parents:
            return table, folder
        folder = folder.parent


@cache
def _table(path: Path) -> dict[str, dict[str, str]]:
    """Return a table's rows by the stem of the file that they are about."""
    if not path.is_file():
        return {}
    lines = path.read_text(errors="replace").splitlines()
    if not lines:
        return {}
    separator = max("|\t;,", key=lambda mark: (lines[0].count(mark), mark == "|"))
    rows = list(
        csv.reader(lines, delimiter=separator, quoting=csv.QUOTE_NONE if separator != "," else csv.QUOTE_MINIMAL)
    )
    head = [cell.strip().lower() for cell in rows[0]]
    if not set(head) & {*_NAME, *_SPEAKER, *_TEXT}:
        head, rows = ["utt", "text"], [[], *rows]
    column = next((head.index(name) for name in _NAME if name in head), 0)
    found = {}
    for row in rows[1:]:
        if len(row) > column and row[column].strip():
            found[Path(row[column].strip()).stem] = dict(zip(head, row, strict=False))
    return found
