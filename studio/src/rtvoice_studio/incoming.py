"""Checks what browsers send, piece by piece, before anything of it is kept."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Sequence
from typing import Any

_UID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ANSWERS = ("1", "2", "both", "skip")


class BadRequest(Exception):
    """Something sent is unfit; ``status`` is the answer's, ``unknown`` what of the request is not there."""

    def __init__(self, words: str, status: int = 400, unknown: str | None = None) -> None:
        super().__init__(words)
        self.status = status
        self.unknown = unknown


def body(data: bytes) -> dict[str, Any]:
    """Read the JSON object of a request."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        raise BadRequest("send a JSON object") from None
    if not isinstance(value, dict):
        raise BadRequest("send a JSON object")
    return value


def rater(value: Any) -> str:
    """Return a user's name: 1 to 60 visible characters, without spaces at its ends."""
    if not isinstance(value, str):
        raise BadRequest("give your name")
    name = unicodedata.normalize("NFC", value).strip()
    kinds = {unicodedata.category(letter) for letter in name}
    # Joiners are letters' own in Persian and in emoji; what is only invisible is no name.
    if not 1 <= len(name) <= 60 or kinds & {"Cc", "Cs", "Zl", "Zp"} or kinds <= {"Cf", "Zs", "Mn"}:
        raise BadRequest("a name is 1 to 60 visible characters")
    return name


def votes(
    sent: dict[str, Any], dimensions: Sequence[str], wanted_ms: float, sides: Sequence[str] = ("1", "2")
) -> list[dict[str, Any]]:
    """Return votes that have been heard: a choice needs ``wanted_ms`` of all sides, X among them, a skip needs none."""
    items = sent.get("votes")
    if not isinstance(items, list) or not 1 <= len(items) <= 40:
        raise BadRequest("send 1 to 40 votes")
    plays, heard = _each(sent.get("plays"), "plays", sides), _each(sent.get("heardMs"), "heardMs", sides)
    dwell = _number(sent.get("dwellMs"), "dwellMs")
    rows = []
    for item in items:
        if not isinstance(item, dict):
            raise BadRequest("a vote is an object")
        if item.get("dimension") not in dimensions:
            raise BadRequest("there is no such dimension")
        if item.get("side") not in _ANSWERS:
            raise BadRequest(f"side must be one of {', '.join(_ANSWERS)}")
        # 50 ms: clocks of the page run in steps of its audio blocks.
        unheard = wanted_ms > 0 and (min(heard.values()) < wanted_ms - 50 or min(plays.values()) < 1)
        if item["side"] != "skip" and unheard:
            raise BadRequest(f"listen to both models{' and to X' * ('x' in sides)} before you choose", 409)
        rows.append(
            {
                "uid": _uid(item),
                "dimension": item["dimension"],
                "side": item["side"],
                "plays": plays,
                "heard_ms": heard,
                "dwell_ms": dwell,
                "matched": item.get("matched") is not False,
            }
        )
    return rows


def note(sent: dict[str, Any]) -> dict[str, Any]:
    """Return a note on one side or on the clip."""
    text, side = sent.get("text"), sent.get("side")
    if not isinstance(text, str) or len(text) > 2000 or not _whole(text):
        raise BadRequest("a note is a text of at most 2000 characters, all of them Unicode's")
    if side not in ("1", "2", "clip"):
        raise BadRequest("side must be 1, 2 or clip")
    return {"uid": _uid(sent), "side": side, "text": text}


def flag(sent: dict[str, Any]) -> dict[str, Any]:
    """Return a flag with its reason."""
    reason, removed = sent.get("reason", ""), sent.get("removed")
    if not isinstance(removed, bool):
        raise BadRequest("removed must be true or false")
    if not isinstance(reason, str) or len(reason) > 500 or not _whole(reason) or (removed and not reason.strip()):
        raise BadRequest("give a reason of 1 to 500 characters, all of them Unicode's")
    return {"uid": _uid(sent), "removed": removed, "reason": reason.strip()}


def _whole(text: str) -> bool:
    """Whether a text can be kept: halves of a character, which JSON can write, cannot."""
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def _uid(item: dict[str, Any]) -> str:
    uid = item.get("uid")
    if not isinstance(uid, str) or not _UID.fullmatch(uid):
        raise BadRequest("uid must be a UUID in lower case")
    return uid


def _number(value: Any, name: str) -> float:
    # Compared before it is converted: a whole number of 400 digits is no float, and not a number is in no range.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e9:
        raise BadRequest(f"{name} must be a number from 0 to 1e9")
    return float(value)


def _each(value: Any, name: str, sides: Sequence[str]) -> dict[str, float]:
    if not isinstance(value, dict):
        raise BadRequest(f"{name} must tell of each side: {', '.join(sides)}")
    return {side: _number(value.get(side), name) for side in sides}
