"""The rows of the page, from a TOML file."""

from __future__ import annotations

import functools
import re
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SHIPPED = Path(__file__).with_name("dimensions.toml")
_KEY = re.compile(r"[a-z][a-z0-9_]{0,39}")
#: What joins letters or keeps them apart, in Persian, Indic scripts and emoji.
_JOINERS = "\u200c\u200d"
_FIELDS = {"key", "label", "definition", "weight", "match_loudness"}


@dataclass(frozen=True)
class Dimension:
    """One row: its key in the data, its label and one-line definition on the page, what a vote counts."""

    key: str
    label: str
    definition: str = ""
    weight: int = 1
    match_loudness: bool = True

    def plain(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return asdict(self)


def read_dimensions(path: Path = SHIPPED) -> list[Dimension]:
    """Read rows from a file.

    Raises
    ------
    ValueError
        The file is no TOML or a row is unfit; the message names file and row.
    """
    try:
        told = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not TOML: {error}") from None
    if unknown := sorted(set(told) - {"dimension"}):
        raise ValueError(f"{path}: {unknown[0]!r} is unknown; a file of rows holds [[dimension]] only")
    rows = told.get("dimension")
    if not isinstance(rows, list) or not rows:
        raise ValueError(f"{path} has no [[dimension]]; write at least one, with key and label")
    if len(rows) > 20:
        raise ValueError(f"{path} has {len(rows)} dimensions; a page takes at most 20")
    found = [_dimension(path, i, row) for i, row in enumerate(rows, 1)]
    twice = {d.key for d in found if sum(o.key == d.key for o in found) > 1}
    if twice:
        raise ValueError(f"{path}: the key {twice.pop()!r} stands twice; give each dimension a key of its own")
    labels: dict[str, str] = {}
    for row in found:
        if (other := labels.setdefault(row.label.casefold(), row.key)) != row.key:
            raise ValueError(f"{path}: {other!r} and {row.key!r} have the label {row.label!r}; give each its own")
    return found


def in_sentence(label: str) -> str:
    """Return a label as it stands within a sentence: the shipped ones small, others as they were written."""
    return label.lower() if label in _shipped_labels() else label


@functools.cache
def _shipped_labels() -> frozenset[str]:
    return frozenset(row.label for row in read_dimensions())


def _is_line(text: str) -> bool:
    """Whether a text is one line that reads as it is written: no controls, no marks that turn its direction."""
    return all(letter.isprintable() or letter in _JOINERS for letter in text)


def _dimension(path: Path, number: int, row: Any) -> Dimension:
    where = f"{path}, dimension {number}"
    if not isinstance(row, dict):
        raise ValueError(f"{where} is not a table; write [[dimension]]")
    unknown = sorted(set(row) - _FIELDS)
    if unknown:
        raise ValueError(f"{where}: {unknown[0]!r} is unknown; there is: {', '.join(sorted(_FIELDS))}")
    key, label = row.get("key"), row.get("label")
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        raise ValueError(f"{where}: key must be lower-case letters, digits and _, as in 'intelligibility'")
    if key == "abx":
        raise ValueError(f"{where}: the key 'abx' is the ABX test's own; take another")
    if not isinstance(label, str) or not 0 < len(label) <= 60 or not label.strip(f" {_JOINERS}") or not _is_line(label):
        raise ValueError(f"{where}: label must be one line of 1 to 60 characters, none of them a control character")
    definition, weight, match = row.get("definition", ""), row.get("weight", 1), row.get("match_loudness", True)
    if not isinstance(definition, str) or len(definition) > 300 or not _is_line(definition):
        raise ValueError(f"{where}: definition must be one line of at most 300 characters, none a control character")
    if isinstance(weight, bool) or not isinstance(weight, int) or not 1 <= weight <= 10:
        raise ValueError(f"{where}: weight must be a whole number from 1 to 10")
    if not isinstance(match, bool):
        raise ValueError(f"{where}: match_loudness must be true or false")
    return Dimension(key, label.strip(), definition, weight, match)
