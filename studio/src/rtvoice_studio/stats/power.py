"""What a number of votes can show: the sign test, its power, and the smallest preference that it would have seen."""

from __future__ import annotations

import functools
import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@functools.lru_cache(maxsize=256)
def _log_choose(count: int) -> Floats:
    logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, count + 1)))])
    table: Floats = logs[count] - logs - logs[::-1]
    return table


def _mass(count: int, chance: float) -> Floats:
    """Probabilities of 0 … count wins."""
    if chance in (0.0, 1.0):
        certain: Floats = np.eye(count + 1)[count if chance else 0]
        return certain
    wins = np.arange(count + 1)
    mass: Floats = np.exp(_log_choose(count) + wins * math.log(chance) + (count - wins) * math.log1p(-chance))
    return mass


def sign_test(wins: int, count: int) -> float:
    """Two-sided p-value of ``wins`` of ``count`` where both are equally good."""
    if count == 0:
        return 1.0
    tail = float(_mass(count, 0.5)[max(wins, count - wins) :].sum())
    return min(1.0, 2 * tail)


def wins_needed(count: int, alpha: float = 0.05) -> int | None:
    """Return the fewest wins of ``count`` that the sign test calls a preference; ``None``: not even all of them do."""
    tails = np.cumsum(_mass(count, 0.5)[::-1])[::-1]
    found = np.flatnonzero(2 * tails <= alpha)
    found = found[found > count / 2]
    return int(found[0]) if len(found) else None


def power(count: int, preference: float, alpha: float = 0.05) -> float:
    """Probability that ``count`` decisive votes show a true ``preference`` (0.5 to 1) by the two-sided sign test."""
    needed = wins_needed(count, alpha)
    if needed is None:
        return 0.0
    mass = _mass(count, preference)
    return float(mass[needed:].sum() + mass[: count - needed + 1].sum())


def detectable(count: float, *, alpha: float = 0.05, wanted: float = 0.8) -> float | None:
    """Return the smallest true preference that ``count`` independent votes would show with probability ``wanted``.

    ``None``: so few votes show none, not even a preference of all.
    """
    votes = int(count)
    if votes < 1 or power(votes, 1.0, alpha) < wanted:
        return None
    low, high = 0.5, 1.0
    while high - low > 1e-4:
        middle = (low + high) / 2
        low, high = (low, middle) if power(votes, middle, alpha) >= wanted else (middle, high)
    return high
