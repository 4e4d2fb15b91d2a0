"""Checkpoints that survive a kill at any moment, the state of everything random, and partial loading with a report."""

from __future__ import annotations

import os
import pickle
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["LoadReport", "load", "load_partial", "preserved_rng", "restore_rng", "rng_state", "save", "seed_all"]


def save(path: Path, state: Mapping[str, Any]) -> None:
    """Write a checkpoint so that a kill at any moment leaves the old one or the new one, also across a power cut."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with partial.open("wb") as file:
            torch.save(dict(state), file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    if hasattr(os, "O_DIRECTORY"):  # elsewhere a folder cannot be forced to disk
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def load(path: Path) -> dict[str, Any]:
    """Read a checkpoint onto the CPU; remove what a killed writer left beside it.

    Raises
    ------
    ValueError
        It is damaged.
    """
    for left in path.parent.glob(f".{path.name}.*.part"):
        left.unlink(missing_ok=True)
    try:
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    except (RuntimeError, EOFError, KeyError, TypeError, pickle.UnpicklingError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ValueError(f"{path} is not a checkpoint that can be read ({reason}); remove it to start over") from None


def seed_all(seed: int) -> None:
    """Seed torch, numpy and Python."""
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)


def rng_state() -> dict[str, Any]:
    """Return the state of everything random, in values that `load` takes back."""
    name, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)
    version, internal, gauss_next = random.getstate()
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "numpy": [str(name), torch.from_numpy(np.asarray(keys).astype(np.int64)), position, has_gauss, gauss],
        "python": [version, torch.tensor(internal, dtype=torch.int64), gauss_next],
    }


def restore_rng(state: Mapping[str, Any]) -> None:
    """Go back to a state of `rng_state`."""
    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.device_count() == len(state["cuda"]):
        torch.cuda.set_rng_state_all(state["cuda"])
    name, keys, position, has_gauss, gauss = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), position, has_gauss, gauss))
    version, internal, gauss_next = state["python"]
    random.setstate((version, tuple(internal.tolist()), gauss_next))


@contextmanager
def preserved_rng(seed: int) -> Iterator[None]:
    """Let what happens inside draw from `seed` and leave no trace in what is drawn outside."""
    state = rng_state()
    seed_all(seed)
    try:
        yield
    finally:
        restore_rng(state)


@dataclass
class LoadReport:
    """What became of each tensor.

    Attributes
    ----------
    loaded : list of str
        Names in the module that got their values.
    missing : list of str
        Names in the module that the state does not have.
    unexpected : list of str
        Names in the state that the module does not have.
    mismatched : list of (str, tuple, tuple)
        Name, shape in the module, shape in the state.
    renamed : list of (str, str)
        Name in the state, name in the module.
    """

    loaded: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    mismatched: list[tuple[str, tuple[int, ...], tuple[int, ...]]] = field(default_factory=list)
    renamed: list[tuple[str, str]] = field(default_factory=list)

    def __str__(self) -> str:
        parts = [f"{len(self.loaded)} tensors loaded"]
        if self.renamed:
            parts.append(f"{len(self.renamed)} of them renamed ({_some([f'{a} -> {b}' for a, b in self.renamed])})")
        if self.missing:
            parts.append(f"{len(self.missing)} missing ({_some(self.missing)})")
        if self.unexpected:
            parts.append(f"{len(self.unexpected)} not used ({_some(self.unexpected)})")
        if self.mismatched:
            told = [f"{name}: {list(ours)} here, {list(theirs)} there" for name, ours, theirs in self.mismatched]
            parts.append(f"{len(self.mismatched)} of another shape ({_some(told)})")
        return ", ".join(parts)

    def require(self, allow: Sequence[str] = (), *, what: str = "the weights") -> None:
        """Refuse a loading that left something out.

        Parameters
        ----------
        allow : sequence of str
            Patterns of names that may be missing, unused or of another shape.
        what : str
            What was loaded, for the message.

        Raises
        ------
        ValueError
            Some tensor outside `allow` was not loaded, or nothing was.
        """
        left = [*self.missing, *self.unexpected, *(name for name, _, _ in self.mismatched)]
        wrong = [name for name in left if not any(fnmatchcase(name, pattern) for pattern in allow)]
        if wrong or not self.loaded:
            raise ValueError(f"{what} do not fit: {self}; allow what may stay as it is by a pattern")


def load_partial(
    module: torch.nn.Module,
    state: Mapping[str, Tensor],
    *,
    rename: Sequence[tuple[str, str]] = (),
    only: Sequence[str] = ("*",),
    allow: Sequence[str] | None = None,
) -> LoadReport:
    """Load what fits of a state into a module, and report on every tensor.

    Parameters
    ----------
    module : torch.nn.Module
        Changed in place.
    state : mapping
        Tensors by name.
    rename : sequence of (str, str)
        Regular expression and replacement, each applied in turn to the state's names.
    only : sequence of str
        Patterns of names in the module to load; the others are not touched and not reported.
    allow : sequence of str or None
        Patterns of names that may be left out; `None`: anything, the report tells.

    Raises
    ------
    ValueError
        With `allow`: another tensor was left out; or two names became one.
    """
    report = LoadReport()
    given: dict[str, Tensor] = {}
    for name, tensor in state.items():
        target = name
        for pattern, replacement in rename:
            target = re.sub(pattern, replacement, target)
        if target in given:
            raise ValueError(f"renaming makes two tensors {target!r}")
        if not any(fnmatchcase(target, pattern) for pattern in only):
            continue
        given[target] = tensor
        if target != name:
            report.renamed.append((name, target))
    ours = module.state_dict()
    for name, tensor in ours.items():
        if not any(fnmatchcase(name, pattern) for pattern in only):
            continue
        if name not in given:
            report.missing.append(name)
        elif given[name].shape != tensor.shape:
            report.mismatched.append((name, tuple(tensor.shape), tuple(given[name].shape)))
        else:
            with torch.no_grad():
                tensor.copy_(given[name])
            report.loaded.append(name)
    report.unexpected = [name for name in given if name not in ours]
    report.renamed = [(old, new) for old, new in report.renamed if new in report.loaded]
    if allow is not None:
        report.require(allow)
    return report


def _some(names: Sequence[str], most: int = 4) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
