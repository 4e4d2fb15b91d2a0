"""Rank statistics with their uncertainty: correlation, AUC, exact bounds on shares, false-discovery control."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


def ranks(values: npt.ArrayLike) -> Floats:
    """Return ranks from 1, ties sharing their mean rank; `(n,)`."""
    x = np.asarray(values, np.float64)
    _, inverse, counts = np.unique(x, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[inverse], np.float64)


def spearman(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """Return the rank correlation, NaN where one side is constant."""
    x, y = ranks(a), ranks(b)
    x, y = x - x.mean(), y - y.mean()
    size = float(np.sqrt((x**2).sum() * (y**2).sum()))
    return float((x * y).sum() / size) if size > 0 else math.nan


def auc(values: npt.ArrayLike, bad: npt.ArrayLike) -> float:
    """Return the chance that a bad run's value is above a good one's, ties counting half; NaN without both."""
    x, wrong = np.asarray(values, np.float64), np.asarray(bad, bool)
    positive, negative = int(wrong.sum()), int((~wrong).sum())
    if not positive or not negative:
        return math.nan
    return float((ranks(x)[wrong].sum() - positive * (positive + 1) / 2) / (positive * negative))


def auc_p_value(values: npt.ArrayLike, bad: npt.ArrayLike) -> float:
    """Return the two-sided p-value of AUC = 1/2: Mann and Whitney's test, normal with correction for ties."""
    x, wrong = np.asarray(values, np.float64), np.asarray(bad, bool)
    positive, negative = int(wrong.sum()), int((~wrong).sum())
    n = positive + negative
    if not positive or not negative:
        return math.nan
    ties = np.unique(x, return_counts=True)[1].astype(np.float64)
    variance = positive * negative / 12 * (n + 1 - float((ties**3 - ties).sum()) / (n * (n - 1)))
    if variance <= 0:
        return 1.0
    distance = abs(auc(x, wrong) - 0.5) * positive * negative - 0.5
    return float(min(1.0, math.erfc(max(distance, 0.0) / math.sqrt(2 * variance))))


def bootstrap_auc(
    values: npt.ArrayLike, bad: npt.ArrayLike, *, draws: int = 1000, seed: int = 0, other: npt.ArrayLike | None = None
) -> tuple[float, float]:
    """Return the 95 % interval of AUC over runs drawn anew, bad and good ones apart.

    Parameters
    ----------
    values, bad : array_like
        `(n,)`.
    draws, seed : int
        Of the bootstrap.
    other : array_like or None
        Another heuristic's values on the same runs: the interval is then that of the difference of the two AUCs, on
        the same draws.
    """
    x, wrong = np.asarray(values, np.float64), np.asarray(bad, bool)
    positive, negative = np.flatnonzero(wrong), np.flatnonzero(~wrong)
    if positive.size < 2 or negative.size < 2:
        return math.nan, math.nan
    wins = _wins(x[positive], x[negative])
    if other is not None:
        y = np.asarray(other, np.float64)
        wins = wins - _wins(y[positive], y[negative])
    rng = np.random.default_rng(seed)
    # Every draw is a weighting of the rows and columns of one table of who wins against whom.
    rows = rng.multinomial(positive.size, np.full(positive.size, 1 / positive.size), draws) / positive.size
    columns = rng.multinomial(negative.size, np.full(negative.size, 1 / negative.size), draws) / negative.size
    drawn = np.einsum("dp,pn,dn->d", rows, wins, columns, optimize=True)
    low, high = np.percentile(drawn, [2.5, 97.5])
    return float(low), float(high)


def _wins(positive: Floats, negative: Floats) -> Floats:
    difference = positive[:, None] - negative[None, :]
    return np.asarray((difference > 0) + 0.5 * (difference == 0), np.float64)


def false_discovery(p_values: npt.ArrayLike) -> Floats:
    """Return Benjamini and Hochberg's q-values; NaN stays NaN and is not counted."""
    p = np.asarray(p_values, np.float64)
    q = np.full(p.shape, math.nan)
    known = np.flatnonzero(np.isfinite(p))
    order = known[np.argsort(p[known])]
    running = 1.0
    for rank in range(order.size, 0, -1):
        running = min(running, float(p[order[rank - 1]]) * order.size / rank)
        q[order[rank - 1]] = running
    return q


@lru_cache(maxsize=1 << 16)
def lower_bound(hits: int, out_of: int, confidence: float = 0.95) -> float:
    """Return the one-sided lower bound of a share, exact (Clopper and Pearson, 1934)."""
    if hits <= 0:
        return 0.0
    if hits == out_of:
        return float((1 - confidence) ** (1 / out_of))
    low, high = 0.0, hits / out_of
    for _ in range(50):
        middle = (low + high) / 2
        if _tail(hits, out_of, middle) > 1 - confidence:
            high = middle
        else:
            low = middle
    return low


def runs_needed(target: float, confidence: float = 0.95) -> int:
    """Return how many runs a rule must flag, without one false alarm, for its precision's bound to reach `target`."""
    return math.ceil(math.log(1 - confidence) / math.log(target) - 1e-9) if 0 < target < 1 else 1


def _tail(hits: int, out_of: int, share: float) -> float:
    """Return the chance of `hits` or more."""
    k = np.arange(hits, out_of + 1)
    logs = [math.lgamma(out_of + 1) - math.lgamma(i + 1) - math.lgamma(out_of - i + 1) for i in k.tolist()]
    return float(np.exp(np.array(logs) + k * math.log(share) + (out_of - k) * math.log1p(-share)).sum())
