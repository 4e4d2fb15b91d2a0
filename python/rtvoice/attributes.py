"""What an attribute of a node may be: its kind, its range or its choices."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

MAX_CHANNELS = 16_384
MAX_FLOAT = 3.4028234663852886e38


@dataclass(frozen=True)
class Attribute:
    """An attribute: its kind, default (None: required) and range, or its choices."""

    kind: str  # "int", "number", "bool", "choice", "pair" (of ints), "list" (of ints) or "name" (of a node)
    default: Any = None
    low: float = -MAX_FLOAT
    high: float = MAX_FLOAT
    choices: tuple[str, ...] = ()


def checked(name: str, value: Any, attribute: Attribute) -> Any:
    """Return the value of an attribute as it is kept; ValueError where it is none."""
    kind = attribute.kind
    if kind == "pair":
        if not isinstance(value, (list, tuple)) or len(value) != 2:
            raise ValueError(f"attribute {name!r} is {value!r}; it must be two integers")
        return [_integer(f"{name}[{i}]", item, attribute) for i, item in enumerate(value)]
    if kind == "list":
        items = value.tolist() if hasattr(value, "tolist") else value
        if not isinstance(items, (list, tuple)) or not 1 <= len(items) <= MAX_CHANNELS:
            raise ValueError(f"attribute {name!r} must be a list of 1 to {MAX_CHANNELS} integers")
        return [_integer(f"{name}[{i}]", item, attribute) for i, item in enumerate(items)]
    if kind == "name":
        if not isinstance(value, str) or not value:
            raise ValueError(f"attribute {name!r} is {value!r}; it must be the name of a node")
        return value
    if kind == "choice":
        if value not in attribute.choices:
            raise ValueError(f"attribute {name!r} is {value!r}; it must be one of {', '.join(attribute.choices)}")
        return str(value)
    if hasattr(value, "item") and getattr(value, "shape", None) == ():
        value = value.item()
    if kind == "bool":
        if not isinstance(value, bool):
            raise ValueError(f"attribute {name!r} is {value!r}; it must be true or false")
        return value
    return _integer(name, value, attribute) if kind == "int" else _number(name, value, attribute)


def _integer(name: str, value: Any, attribute: Attribute) -> int:
    if hasattr(value, "item") and getattr(value, "shape", None) == ():
        value = value.item()
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"attribute {name!r} is {value!r}; it must be an integer")
    if not attribute.low <= value <= attribute.high:
        raise ValueError(f"attribute {name!r} is {value}; it must lie in {int(attribute.low)}..{int(attribute.high)}")
    return value


def _number(name: str, value: Any, attribute: Attribute) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value):
        raise ValueError(f"attribute {name!r} is {value!r}; it must be a finite number")
    if not attribute.low <= value <= attribute.high:
        raise ValueError(f"attribute {name!r} is {value}; it must lie in {attribute.low:g}..{attribute.high:g}")
    return float(value)
