"""Whether a measure says of single clips what the votes say: rank correlation, with an interval."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rtvoice_studio.stats.student import NORMAL, quantile
from rtvoice_studio.stats.votes import Vote

#: Below this many clips the interval is as wide as the scale.
ENOUGH_CLIPS = 6


@dataclass(frozen=True)
class Correlation:
    """Spearman's coefficient over ``clips``; ``None`` where there are too few, or all say the same."""

    rho: float | None
    low: float | None
    high: float | None
    clips: int


def margins(votes: Iterable[Vote]) -> dict[str, float]:
    """Return how far each clip's plain votes lean to system B, from -1 to 1; ties count as answers, skips do not."""
    said: dict[str, list[int]] = defaultdict(list)
    for vote in votes:
        if vote.kind == "plain" and vote.choice != "skip":
            said[vote.clip].append({"a": -1, "b": 1}.get(vote.choice, 0))
    return {clip: sum(found) / len(found) for clip, found in said.items()}


def with_votes(votes: Iterable[Vote], differences: Mapping[str, float], *, level: float = 0.95) -> Correlation:
    """Correlate a measure's differences by clip (B less A, above 0 where B is better) with the votes' margins."""
    leaning = margins(votes)
    shared = [clip for clip in leaning if clip in differences]
    return spearman([differences[clip] for clip in shared], [leaning[clip] for clip in shared], level=level)


def spearman(one: Sequence[float], other: Sequence[float], *, level: float = 0.95) -> Correlation:
    """Return Spearman's rank correlation; ties share their ranks.

    The interval is Fisher's with the variance (1 + rho²/2)/(n - 3) of Bonett and Wright (2000), whose coverage holds
    where Fisher's own 1/(n - 3) falls short for strong correlations.
    """
    count = len(one)
    ranks = [_ranks(np.asarray(values, float)) for values in (one, other)]
    spread = [float(np.sum((r - r.mean()) ** 2)) if count else 0.0 for r in ranks]
    if count < ENOUGH_CLIPS or min(spread) == 0:
        return Correlation(None, None, None, count)
    shared = float(np.sum((ranks[0] - ranks[0].mean()) * (ranks[1] - ranks[1].mean())))
    rho = max(-1.0, min(1.0, shared / math.sqrt(spread[0] * spread[1])))
    if abs(rho) == 1:
        return Correlation(rho, rho, rho, count)
    half = quantile(level, NORMAL) * math.sqrt((1 + rho * rho / 2) / (count - 3))
    middle = math.atanh(rho)
    return Correlation(rho, math.tanh(middle - half), math.tanh(middle + half), count)


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    below = (values[None, :] < values[:, None]).sum(axis=1)
    same = (values[None, :] == values[:, None]).sum(axis=1)
    ranks: NDArray[np.float64] = below + (same + 1) / 2
    return ranks
