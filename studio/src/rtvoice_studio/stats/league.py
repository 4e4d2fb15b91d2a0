"""A league table over all systems ever compared: Bradley and Terry's model with ties, as Davidson extended it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rtvoice_studio.stats.votes import Vote

Floats = NDArray[np.float64]

#: Spread of the prior of a strength, in log odds: keeps a system that won every vote at a finite place.
_PRIOR_SPREAD = 2.0
_RESAMPLES = 300


@dataclass(frozen=True)
class Standing:
    """One system's place: strength in log odds against the mean system, with an interval, and its votes."""

    system: str
    strength: float
    low: float
    high: float
    wins: int
    losses: int
    ties: int


@dataclass(frozen=True)
class League:
    """Systems by strength, best first; ``tie`` is Davidson's parameter (0: ties never happen).

    Strengths of systems that no chain of comparisons connects say nothing about each other: ``groups`` tells which
    belong together.
    """

    standings: tuple[Standing, ...]
    tie: float
    groups: tuple[tuple[str, ...], ...]

    def chance(self, one: str, other: str) -> float:
        """Return the chance that ``one`` wins against ``other``, of decisive votes."""
        strength = {s.system: s.strength for s in self.standings}
        return float(1 / (1 + np.exp(strength[other] - strength[one])))


def league(votes: Sequence[Vote], *, level: float = 0.95, resamples: int = _RESAMPLES, seed: int = 0) -> League:
    """Fit strengths to plain votes between systems; the interval draws raters and clips anew, ``resamples`` times.

    Drawing both at once, it counts the chance of a single vote more than once, so that the interval is rather too wide.
    """
    played = [v for v in votes if v.kind == "plain" and v.choice != "skip" and v.system_a != v.system_b]
    systems = sorted({name for v in played for name in (v.system_a, v.system_b)})
    if not systems:
        return League((), 0.0, ())
    at = {name: i for i, name in enumerate(systems)}
    pairs = np.array([(at[v.system_a], at[v.system_b]) for v in played])
    results = np.array([("a", "b", "both").index(v.choice) for v in played])
    strengths, tie = _fit(pairs, results, np.ones(len(played)), len(systems))

    raters, rater_of = np.unique([v.rater for v in played], return_inverse=True)
    clips, clip_of = np.unique([v.clip for v in played], return_inverse=True)
    generator = np.random.default_rng(seed)
    drawn = np.empty((resamples, len(systems)))
    for row in drawn:
        weights = _draw(len(clips), generator)[clip_of]
        if len(raters) > 2:
            weights = weights * _draw(len(raters), generator)[rater_of]
        row[:] = _fit(pairs, results, weights, len(systems))[0]
    drawn = drawn if resamples else strengths[None]
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0)

    table = []
    for name, i in at.items():
        first, second = pairs[:, 0] == i, pairs[:, 1] == i
        wins = int(np.sum(first & (results == 0)) + np.sum(second & (results == 1)))
        losses = int(np.sum(first & (results == 1)) + np.sum(second & (results == 0)))
        ties = int(np.sum((first | second) & (results == 2)))
        table.append(Standing(name, float(strengths[i]), float(low[i]), float(high[i]), wins, losses, ties))
    table.sort(key=lambda s: (-s.strength, s.system))
    return League(tuple(table), tie, _groups(systems, pairs))


def _draw(count: int, generator: np.random.Generator) -> Floats:
    drawn: Floats = generator.multinomial(count, np.full(count, 1 / count)).astype(np.float64)
    return drawn


def _fit(pairs: NDArray[np.int64], results: NDArray[np.int64], weights: Floats, systems: int) -> tuple[Floats, float]:
    """Newton's method on the log posterior: utilities s_a, s_b and t + (s_a + s_b)/2 of the three results."""
    rows = np.arange(len(pairs))
    features = np.zeros((len(pairs), 3, systems + 1))
    features[rows, 0, pairs[:, 0]] = 1
    features[rows, 1, pairs[:, 1]] = 1
    features[rows, 2, pairs[:, 0]] = 0.5
    features[rows, 2, pairs[:, 1]] = 0.5
    features[:, 2, systems] = 1
    # Equal rows fold into one with their weights: hundreds of votes between few systems are a handful of rows.
    codes = pairs[:, 0] * systems + pairs[:, 1]
    kinds, first, kind_of = np.unique(codes, return_index=True, return_inverse=True)
    counts = np.zeros((len(kinds), 3))
    np.add.at(counts, (kind_of, results), weights)
    features = features[first]
    totals = counts.sum(axis=1)
    prior = np.full(systems + 1, _PRIOR_SPREAD**-2)
    values = np.zeros(systems + 1)
    for _ in range(50):
        utilities = features @ values
        chances = np.exp(utilities - utilities.max(axis=1, keepdims=True))
        chances /= chances.sum(axis=1, keepdims=True)
        gradient = np.einsum("kr,krp->p", counts - totals[:, None] * chances, features) - prior * values
        mean = np.einsum("kr,krp->kp", chances, features)
        spread = np.einsum("k,kr,krp,krq->pq", totals, chances, features, features)
        spread -= np.einsum("k,kp,kq->pq", totals, mean, mean)
        step = np.linalg.solve(spread + np.diag(prior), gradient)
        values += np.clip(step, -2, 2)
        if np.max(np.abs(step)) < 1e-9:
            break
    strengths = values[:systems] - values[:systems].mean()
    return strengths, float(np.exp(values[systems]))


def _groups(systems: list[str], pairs: NDArray[np.int64]) -> tuple[tuple[str, ...], ...]:
    group = list(range(len(systems)))

    def root(i: int) -> int:
        while group[i] != i:
            i = group[i]
        return i

    for one, other in pairs:
        group[root(int(one))] = root(int(other))
    found: dict[int, list[str]] = {}
    for i, name in enumerate(systems):
        found.setdefault(root(i), []).append(name)
    return tuple(tuple(names) for names in found.values())
