"""Finds recordings: the collections of a speech folder, LibriSpeech's own layout, or any folder of sound files."""

from __future__ import annotations

import csv
import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

#: Extensions that are tried; libsndfile decides by content.
SOUNDS = frozenset({".wav", ".flac", ".ogg", ".opus", ".oga", ".mp3", ".aif", ".aiff", ".aifc", ".au", ".caf", ".w64"})
#: Share of a collection's speakers (or of a single speaker's utterances) that no training reads.
HELD_OUT_SPEAKERS = 0.1
HELD_OUT_UTTERANCES = 0.05
_COLLECTION = re.compile(r"(?:source|target)\d*_([A-Za-z0-9]+)")
#: Tables that may lie in a plain folder: they bring texts, and leave no file out.
_TRANSCRIPTS = frozenset({"transcripts.csv", "transcripts.tsv", "transcript.csv", "transcript.tsv", "texts.csv"})
_LIBRISPEECH = re.compile(r"(\d+)-(\d+)-(\d+)")


class DataError(ValueError):
    """The material cannot be used; the message names it and says what to do."""


@dataclass(frozen=True)
class Recording:
    """One sound file and what is known about it.

    Attributes
    ----------
    name : str
        Unique in its collection; `collection/name` is the clip's id.
    collection : str
        Short name of the collection: ``librispeech``, ``kathleen``, ...
    speaker : str
        Unique over all collections.
    path : Path
        The file.
    source : str
        Its path relative to the data folder, as reports and indices show it.
    text : str or None
        What is said, where known; may come from a recogniser.
    split : str
        ``"train"`` or ``"held_out"``.
    """

    name: str
    collection: str
    speaker: str
    path: Path
    source: str
    text: str | None = None
    split: str = "train"


def chosen(name: str, share: float) -> bool:
    """Whether a stable hash of `name` falls into the first `share` (0 to 1) of all names.

    The choice depends on nothing else: it stays when other speakers come or go.
    """
    digest = hashlib.sha256(f"rtvoice held out:{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


def find_recordings(
    folder: Path, *, collections: Sequence[str] | None = None, speaker: str | None = None
) -> list[Recording]:
    """List the recordings under `folder`, sorted, with their split.

    Parameters
    ----------
    folder : Path
        One collection, or a folder of collections (subfolders with a `metadata.csv`). A collection is

        - a folder with `metadata.csv` (fields parted by ``|``: with a header that has ``utt``, ``speaker`` or
          ``pseudo_speaker``, ``text`` or ``machine_transcript``; or without one: name, text) and sound files anywhere
          below, found by their path without extension or by their stem;
        - LibriSpeech's own layout (``103-1240-0000.flac``, transcripts in ``*.trans.txt``);
        - any other folder of sound files, nested as it likes, with `NAME.txt` beside `NAME.wav`, or one
          `transcripts.csv`, where there are texts.
    collections : sequence of str or None
        Take only these; `None`: all.
    speaker : str or None
        All files are this one person's (a new target). `None`: as the tables and names say; in a plain folder each
        first-level subfolder is a speaker, files directly in it are the folder's.

    Raises
    ------
    DataError
        There is no such folder, collection or sound file.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder of recordings; give one that holds sound files")
    parts = sorted(path.parent for path in folder.glob("*/metadata.csv"))
    if (folder / "metadata.csv").exists() or not parts:
        parts = [folder]
    found: list[Recording] = []
    names: list[str] = []
    for part in parts:
        name = collection_name(part)
        names.append(name)
        if collections is None or name in collections:
            found.extend(_with_split(_collection(part, name, folder, speaker)))
    missing = sorted(set(collections or ()) - set(names))
    if missing:
        raise DataError(f"{folder} has no collection {', '.join(missing)}; it has {', '.join(sorted(names))}")
    if not found:
        raise DataError(f"{folder} holds no sound files; formats: {' '.join(sorted(SOUNDS))}")
    return sorted(found, key=lambda one: (one.collection, one.name))


def collection_name(folder: Path) -> str:
    """Return a collection's short name: ``source_librispeech_trainclean`` is ``librispeech``."""
    name = folder.resolve().name
    match = _COLLECTION.match(name)
    return (match[1] if match else re.sub(r"[^A-Za-z0-9.-]+", "_", name).strip("_") or "recordings").lower()


def _collection(part: Path, name: str, root: Path, speaker: str | None) -> list[Recording]:
    files = sorted(path for path in part.rglob("*") if path.suffix.lower() in SOUNDS and path.is_file())
    files = [path for path in files if not any(piece.startswith(".") for piece in path.relative_to(part).parts)]
    if (part / "metadata.csv").exists():
        return list(_from_table(part, files, name, root, speaker))
    texts = _librispeech_texts(part) if any(_LIBRISPEECH.fullmatch(path.stem) for path in files) else {}
    for table in sorted(path for path in part.iterdir() if path.name.lower() in _TRANSCRIPTS):
        texts |= {name: row.get("text", "").strip() for name, row in read_table(table).items()}
    found = [_plain(path, part, name, root, speaker, texts) for path in files]
    often = Counter(one.name for one in found)
    return [replace(one, name=one.name + one.path.suffix) if often[one.name] > 1 else one for one in found]


def _from_table(part: Path, files: Iterable[Path], name: str, root: Path, speaker: str | None) -> Iterable[Recording]:
    rows = read_table(part / "metadata.csv")
    for path in files:
        inside = path.relative_to(part).with_suffix("").as_posix()
        utterance = inside if inside in rows else path.stem
        row = rows.get(utterance)
        if row is None:
            continue
        who = row.get("speaker") or row.get("pseudo_speaker")
        text = row.get("text") or row.get("machine_transcript") or None
        yield Recording(
            utterance, name, speaker or (f"{name}-{who}" if who else name), path, _relative(path, root), text
        )


def read_table(path: Path) -> dict[str, dict[str, str]]:
    """Read a table as rows by utterance name, the file's extension taken off.

    Fields are parted by ``|``, tabs, or commas with quotes, as the first line has it. A first line is a head if it
    begins with `utt`, `file`, `filename`, `path`, `name` or `id`; without one the fields are name and text.
    `transcript` and `sentence` are taken for `text`.

    Raises
    ------
    DataError
        It is no UTF-8 table.
    """
    try:
        content = path.read_text(encoding="utf-8-sig").splitlines()
        first = content[0] if content else ""
        mark = next((mark for mark in "|\t" if mark in first), ",")
        quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if mark == "," else csv.QUOTE_NONE
        lines = [line for line in csv.reader(content, delimiter=mark, quoting=quoting) if line]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as a table ({error}); it needs UTF-8 lines of name|text") from None
    head = ["utt", "text"]
    if lines and lines[0][0].strip().lower() in {"utt", "file", "filename", "path", "name", "id"}:
        named = {"transcript": "text", "sentence": "text"}
        fields = [field.strip().lower() for field in lines[0][1:]]
        head, lines = ["utt", *(named.get(field, field) for field in fields)], lines[1:]
    rows = (dict(zip(head, line, strict=False)) for line in lines)
    return {row["utt"].rpartition(".")[0] if _is_sound(row["utt"]) else row["utt"]: row for row in rows}


def _is_sound(name: str) -> bool:
    return Path(name).suffix.lower() in SOUNDS


def _plain(path: Path, part: Path, name: str, root: Path, speaker: str | None, texts: dict[str, str]) -> Recording:
    inside = path.relative_to(part)
    match = _LIBRISPEECH.fullmatch(path.stem)
    if speaker:
        who = speaker
    elif match and (path.stem in texts or path.parent.name == match[2]):
        who = f"{name}-{match[1]}"
    else:
        who = f"{name}-{inside.parts[0]}" if len(inside.parts) > 1 else name
    text = texts.get(inside.with_suffix("").as_posix()) or texts.get(path.stem) or _text_beside(path)
    return Recording(inside.with_suffix("").as_posix(), name, who, path, _relative(path, root), text)


def _librispeech_texts(part: Path) -> dict[str, str]:
    texts: dict[str, str] = {}
    for path in part.rglob("*.trans.txt"):
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            utterance, _, text = line.partition(" ")
            texts[utterance] = text.strip().lower()
    return texts


def _text_beside(path: Path) -> str | None:
    beside = path.with_suffix(".txt")
    if not beside.is_file() or beside.stat().st_size > 1 << 20:
        return None
    return " ".join(beside.read_text(encoding="utf-8", errors="replace").split()) or None


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()


def _with_split(recordings: list[Recording]) -> list[Recording]:
    """Hold out whole speakers where there are many, else utterances by name.

    Utterances are chosen by the last part of their name, so that readings of one prompt by several voices fall on the
    same side; where voices share prompts, the prompts are what is held out.
    """
    prompts = {one.name.rpartition("/")[2] for one in recordings}
    many = len({one.speaker for one in recordings}) >= 10 and len(prompts) == len(recordings)
    out = []
    for one in recordings:
        if many:
            held = chosen(one.speaker, HELD_OUT_SPEAKERS)
        else:
            held = chosen(one.name.rpartition("/")[2], HELD_OUT_UTTERANCES)
        out.append(replace(one, split="held_out" if held else "train"))
    if out and all(one.split == "train" for one in out) and len(out) > 1:
        # Few utterances: the hash may choose none, and a training without a held-out clip cannot be judged.
        last = min(out, key=lambda one: hashlib.sha256(one.name.encode()).digest())
        out = [replace(one, split="held_out") if one is last else one for one in out]
    return out
