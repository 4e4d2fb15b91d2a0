"""The kinds of students there are: how each is built, found in a finished stage, trained further and written."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rtvoice.train.stages import StageContext

__all__ = ["StudentKind", "find", "kinds", "register"]


@dataclass(frozen=True)
class StudentKind:
    """One kind of student.

    Attributes
    ----------
    name : str
        For people.
    stages : str
        Module of the stage graph that trains it; `stage` is its stage there.
    stage : str
        Name of the tiered stage.
    build : callable
        `build(shape)` makes a fresh network of a tier's shape.
    tiers : mapping
        Shapes by tier.
    width : str
        Key of the stage's table that sets its width.
    load : callable
        `load(folder)` returns the averaged network of a finished stage.
    task : callable
        `task(network, ctx)` returns what trains it further, with the stage's inputs and settings in `ctx`.
    write : callable
        `write(network, path, ctx)` writes the `.rtv` file.
    """

    name: str
    stages: str
    stage: str
    build: Callable[[Any], Any]
    tiers: Mapping[str, Any]
    width: str
    load: Callable[[Path], Any]
    task: Callable[[Any, StageContext], Any]
    write: Callable[[Any, Path, StageContext], None]


_KINDS: dict[str, StudentKind] = {}


def register(kind: StudentKind) -> StudentKind:
    """Make a kind known; a kind of the same name is replaced."""
    _KINDS[kind.name] = kind
    return kind


def kinds() -> list[StudentKind]:
    """Return all that are known."""
    return list(_KINDS.values())


def find(stages: str, stage: str) -> StudentKind:
    """Return the kind that a stage of a graph trains.

    Raises
    ------
    ValueError
        None is known.
    """
    if stages.startswith("rtvoice.train.skin"):
        importlib.import_module("rtvoice.train.skin.kinds")
    for kind in _KINDS.values():
        if (kind.stages, kind.stage) == (stages, stage):
            return kind
    known = ", ".join(f"{kind.stage} of {kind.stages}" for kind in _KINDS.values()) or "none"
    raise ValueError(f"stage {stage!r} of {stages} has no student registered (rtvoice.train.students); known: {known}")
