"""Reading the JSON of foreign model files field by field: what does not fit is refused by its place."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from rtvoice.errors import ModelError

from .kinds import what_else

F32 = NDArray[np.float32]
_REQUIRED: Any = object()
_MOST = 2**31 - 1
_MOST_BYTES = 512 * 2**20


def refuse(place: str, reason: str) -> NoReturn:
    """Refuse a model: the place, why, and what to change."""
    raise ModelError(f"{place}: {reason}" if place else reason)


def read_json(source: str | os.PathLike[str] | bytes) -> tuple[dict[str, Any], str, str]:
    """Return the object of a JSON file, the file's name, and the SHA-256 of its bytes."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        data, name = bytes(source), "model"
    else:
        path = Path(source)
        name = path.name
        try:
            if path.stat().st_size > _MOST_BYTES:
                raise ModelError(f"{path}: has more than {_MOST_BYTES} bytes, which is the limit")
            data = path.read_bytes()
        except OSError as error:
            raise ModelError(f"{path}: {error.strerror or error}; check the path") from None
    other = what_else(data)
    if other:
        raise ModelError(f"{name}: {other}")
    try:
        document = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise ModelError(f"{name}: is no JSON, or was cut ({reason[:200]}); fetch or export it again") from None
    if not isinstance(document, dict):
        raise ModelError(f"{name}: holds {brief(document)}, not a JSON object, so it is no model; export it again")
    return document, name, hashlib.sha256(data).hexdigest()


def brief(value: Any) -> str:
    """Return a value for a message, on one short line."""
    text = repr(value) if not isinstance(value, (list, dict)) or len(value) < 6 else f"{type(value).__name__}"
    text = " ".join(text.split())
    return text if len(text) <= 60 else text[:57] + "..."


class Fields:
    """One JSON object, with the place that messages name.

    Parameters
    ----------
    value
        What the file has there.
    place
        Name of the place, as in ``layers[0].head``.
    """

    def __init__(self, value: Any, place: str) -> None:
        if not isinstance(value, Mapping):
            refuse(place, f"is {brief(value)}; it must be a JSON object")
        self.value: Mapping[str, Any] = value
        self.place = place

    def has(self, key: str) -> bool:
        """Tell whether a key is there and not null."""
        return self.value.get(key) is not None

    def get(self, key: str, default: Any = _REQUIRED) -> Any:
        """Return a value as it stands; refuse where it is missing and there is no default."""
        if self.has(key):
            return self.value[key]
        if default is _REQUIRED:
            refuse(self.place, f"{key!r} is missing; the file is damaged or of another format")
        return default

    def integer(self, key: str, default: Any = _REQUIRED, *, low: int = 1, high: int = _MOST) -> int:
        """Return a whole number."""
        return whole(self.get(key, default), f"{self.place}: {key!r}", low=low, high=high)

    def number(self, key: str, default: Any = _REQUIRED) -> float:
        """Return a finite number."""
        return number(self.get(key, default), f"{self.place}: {key!r}")

    def flag(self, key: str, default: Any = _REQUIRED) -> bool:
        """Return a truth value."""
        value = self.get(key, default)
        if value not in (True, False):
            refuse(self.place, f"{key!r} is {brief(value)}; it must be true or false")
        return bool(value)

    def text(self, key: str, default: Any = _REQUIRED) -> str:
        """Return a string."""
        value = self.get(key, default)
        if not isinstance(value, str):
            refuse(self.place, f"{key!r} is {brief(value)}; it must be a string")
        return str(value)

    def items(self, key: str) -> list[Any]:
        """Return a list that is not empty."""
        value = self.get(key)
        if not isinstance(value, list) or not value:
            refuse(self.place, f"{key!r} is {brief(value)}; it must be a list with something in it")
        return list(value)

    def integers(self, key: str, *, low: int = 1) -> list[int]:
        """Return a list of whole numbers that is not empty."""
        return [whole(item, f"{self.place}: {key!r}", low=low) for item in self.items(key)]

    def only(self, known: Iterable[str]) -> None:
        """Refuse a key that is not known: what it asks for would be left out in silence."""
        for key, value in self.value.items():
            if key not in known and value is not None and value is not False:
                refuse(
                    self.place,
                    f"has {key[:40]!r}, which this importer does not know; leaving it out could change the sound: "
                    "remove it if it has no effect, or update rtvoice",
                )


def whole(value: Any, place: str, *, low: int = 1, high: int = _MOST) -> int:
    """Return a whole number within a range."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        range_ = (
            f"of at least {low}"
            if high == _MOST and not (isinstance(value, int) and value > high)
            else f"in {low}..{high}"
        )
        refuse(place, f"is {brief(value)}; it must be a whole number {range_}")
    return int(value)


def number(value: Any, place: str) -> float:
    """Return a finite number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        refuse(place, f"is {brief(value)}; it must be a finite number")
    return float(value)


def array(value: Any, place: str) -> F32:
    """Return nested lists of numbers as a float32 array; refuse ragged ones and numbers that are not finite."""
    try:
        out = np.asarray(value, np.float64)
    except (TypeError, ValueError, OverflowError):
        refuse(place, "is no array of numbers: rows of unequal length, or something else among them; export it again")
    with np.errstate(over="ignore"):
        single = out.astype(np.float32)
    if not np.isfinite(single).all():
        refuse(
            place,
            "holds null, or a number that is not finite as float32; export it again, or train it again if it diverged",
        )
    return single


def shown(shape: Sequence[int]) -> str:
    """Return a shape for a message."""
    return "[" + ", ".join(str(size) for size in shape) + "]"
