"""Decides during a run: the learned rules, the three unconditional ones, patience, survivors."""

from __future__ import annotations

import hashlib
import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rtvoice.train.monitor.heuristics import DIVERGING, value_at
from rtvoice.train.monitor.rules import Rule

Floats = npt.NDArray[np.float64]

#: What ends a run whatever the past says: nothing can come of it any more.
UNCONDITIONAL = {
    "nonfinite": "the loss or the weights are not finite",
    "blocked": "a whole layer passes nothing, and the output is the same whatever the input",
    "output_silent": "the output is silent where the target is not",
}
#: A rule says something about its time, and up to this share of the run after it: or for one sample more than patience
#: needs, where samples are sparse.
LAPSE = 0.2


@dataclass(frozen=True)
class Decision:
    """A rule that has been met long enough.

    Attributes
    ----------
    rule : str
        The rule in words.
    value : float
        Of its heuristic.
    reason : str
        One sentence for people.
    certain : bool
        Whether chance may not spare the run, because the numbers themselves are lost.
    """

    rule: str
    value: float
    reason: str
    certain: bool = False


def is_survivor(run: str, share: float) -> bool:
    """Tell whether chance spares a run from kills, by its name alone: the same after every resumption."""
    draw = int.from_bytes(hashlib.sha256(f"survivor:{run}".encode()).digest()[:8], "big") / 2**64
    return draw < share


class Series:
    """The latest values of every heuristic of a run, in memory: at most 64 of each."""

    def __init__(self) -> None:
        self._points: dict[str, deque[tuple[float, float, float]]] = {}

    def add(self, step: int, progress: float | None, values: Mapping[str, float]) -> None:
        """Take in the values of one step."""
        for name, value in values.items():
            place = math.nan if progress is None else progress
            self._points.setdefault(name, deque(maxlen=64)).append((float(step), place, value))

    def points(self, name: str) -> Floats:
        """Return `(points, 3)` of step, progress and value."""
        return np.array(self._points.get(name, ()), np.float64).reshape(-1, 3)

    def latest(self, name: str) -> float:
        """Return the latest value, NaN where there is none."""
        points = self._points.get(name)
        return points[-1][2] if points else math.nan


class Pruner:
    """Watches a run's heuristics for rules that are met.

    Parameters
    ----------
    rules : sequence of Rule
        Learned ones.
    warm_up : float
        Share of the run before which only numbers that are not finite end it.
    patience : int
        Samples in a row at which a rule must be met.
    """

    def __init__(self, rules: Sequence[Rule] = (), *, warm_up: float = 0.03, patience: int = 2) -> None:
        self.rules, self.warm_up, self.patience = list(rules), warm_up, max(1, patience)
        self._met: dict[str, int] = {}
        self._asked: dict[str, int] = {}
        self._given: set[str] = set()

    def check(self, series: Series, step: int, progress: float | None) -> list[Decision]:
        """Return the rules that are now met for the first time, patience included."""
        found: list[Decision] = []
        for name, words in UNCONDITIONAL.items():
            certain = name == "nonfinite"
            warm = certain or (progress is None and step >= 100) or (progress or 0.0) >= self.warm_up
            value = series.latest(name)
            if self._patient(name, warm and value > 0, 1 if certain else self.patience + 1):
                found.append(Decision(name, value, f"{words} (step {step})", certain))
        if progress is None or progress < self.warm_up:
            return found
        for rule in self.rules:
            if progress < rule.fraction:
                continue
            self._asked[rule.name] = self._asked.get(rule.name, 0) + 1
            if progress > rule.fraction + LAPSE and self._asked[rule.name] > self.patience + 1:
                continue
            value = value_at(series.points(rule.heuristic), progress, diverging=rule.heuristic in DIVERGING)
            if self._patient(rule.name, rule.flags(value), self.patience):
                reason = (
                    f"{rule.name}: it is {value:.4g} at {progress:.0%}; of {rule.flagged} past runs like that "
                    f"{rule.hits} ended badly (precision at least {rule.bound:.2f})"
                )
                found.append(Decision(rule.name, value, reason))
        return found

    def _patient(self, name: str, met: bool, patience: int) -> bool:
        self._met[name] = self._met.get(name, 0) + 1 if met else 0
        if self._met[name] < patience or name in self._given:
            return False
        self._given.add(name)
        return True
