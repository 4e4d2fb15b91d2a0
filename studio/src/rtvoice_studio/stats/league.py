"""A league table over all systems ever compared: Bradley and Terry's model with ties, as Davidson extended it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rtvoice_studio.stats.posterior import Posterior
from rtvoice_studio.stats.shares import ENOUGH_RATERS
from rtvoice_studio.stats.student import quantile
from rtvoice_studio.stats.votes import Vote

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Standing:
    """One system's place: strength in log odds against the mean system, with an interval, its votes, and by how many.

    Of fewer than three raters the interval speaks of these raters only.
    """

    system: str
    strength: float
    low: float
    high: float
    wins: int
    losses: int
    ties: int
    raters: int


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


def league(votes: Sequence[Vote], *, level: float = 0.95) -> League:
    """Fit strengths to plain votes between systems, each with an interval that always has a length.

    The interval holds what the posterior, at its highest for each value of a strength, puts within Student's width of
    the best value: where all votes go one way it is longer to that side, and never without a length. It is as many
    times longer as the fit's standard error is when votes of one rater, and on one clip, belong together: the votes'
    scores summed by rater and by clip, less what both count twice (the sandwich of clusters in two ways), and at least
    the posterior's own.
    """
    played = _played(votes)
    systems = _systems(played)
    if not systems:
        return League((), 0.0, ())
    at = {name: i for i, name in enumerate(systems)}
    pairs = np.array([(at[v.system_a], at[v.system_b]) for v in played])
    results = np.array([("a", "b", "both").index(v.choice) for v in played])
    posterior = Posterior(pairs, results, len(systems))
    best = posterior.climb(np.zeros(len(systems) + 1))
    covariance = np.linalg.inv(posterior.slopes(best)[1])
    centre = _centre(len(systems))
    strengths = centre @ best

    raters, rater_of = np.unique([v.rater for v in played], return_inverse=True)
    clips, clip_of = np.unique([v.clip for v in played], return_inverse=True)
    # How far each vote moves each strength.
    moved = posterior.scores(best) @ covariance @ centre.T
    own = np.einsum("sp,pq,sq->s", centre, covariance, centre)
    by_rater, by_clip = _clustered(moved, rater_of, len(raters)), _clustered(moved, clip_of, len(clips))
    by_vote = (moved**2).sum(axis=0)

    table = []
    for name, i in at.items():
        first, second = pairs[:, 0] == i, pairs[:, 1] == i
        mine = first | second
        heard_by, heard = len(np.unique(rater_of[mine])), len(np.unique(clip_of[mine]))
        width = _width(level, own[i], by_rater[i], by_clip[i], by_vote[i], heard_by, heard)
        low, high = (posterior.bound(best, centre[i], own[i], sign * width) for sign in (-1.0, 1.0))
        wins = int(np.sum(first & (results == 0)) + np.sum(second & (results == 1)))
        losses = int(np.sum(first & (results == 1)) + np.sum(second & (results == 0)))
        ties = int(np.sum(mine & (results == 2)))
        table.append(Standing(name, float(strengths[i]), low, high, wins, losses, ties, heard_by))
    table.sort(key=lambda s: (-s.strength, s.system))
    return League(tuple(table), float(np.exp(best[-1])), _groups(systems, pairs))


def strengths(votes: Sequence[Vote]) -> dict[str, float]:
    """Return the strengths of :func:`league` alone."""
    played = _played(votes)
    systems = _systems(played)
    if not systems:
        return {}
    at = {name: i for i, name in enumerate(systems)}
    pairs = np.array([(at[v.system_a], at[v.system_b]) for v in played])
    results = np.array([("a", "b", "both").index(v.choice) for v in played])
    best = Posterior(pairs, results, len(systems)).climb(np.zeros(len(systems) + 1))
    return dict(zip(systems, map(float, _centre(len(systems)) @ best), strict=True))


def _played(votes: Sequence[Vote]) -> list[Vote]:
    return [v for v in votes if v.kind == "plain" and v.choice != "skip" and v.system_a != v.system_b]


def _systems(played: Sequence[Vote]) -> list[str]:
    return sorted({name for v in played for name in (v.system_a, v.system_b)})


def _centre(systems: int) -> Floats:
    """Return what makes of the posterior's values each strength against the mean system."""
    centre: Floats = np.eye(systems, systems + 1) - np.r_[np.full(systems, 1 / systems), 0.0]
    return centre


def _clustered(moved: Floats, group_of: NDArray[np.int64], groups: int) -> Floats:
    """Return the variance of sums by group, corrected for their number."""
    if groups < 2:
        return np.zeros(moved.shape[1])
    sums = np.zeros((groups, moved.shape[1]))
    np.add.at(sums, group_of, moved)
    variance: Floats = (sums**2).sum(axis=0) * groups / (groups - 1)
    return variance


def _width(level: float, own: float, by_rater: float, by_clip: float, by_vote: float, raters: int, clips: int) -> float:
    """Return how many of the posterior's standard deviations an interval goes to each side."""
    free = float(max(1, clips - 1))
    if raters < ENOUGH_RATERS:
        return quantile(level, free) * math.sqrt(max(own, by_clip) / own)
    # At least what one of them tells alone: the difference of noisy figures can fall below it.
    variance = max(own, by_rater + by_clip - by_vote, by_rater, by_clip)
    spread = by_rater**2 / (raters - 1) + by_clip**2 / free
    degrees = (by_rater + by_clip) ** 2 / spread if spread > 0 else free
    return quantile(level, degrees) * math.sqrt(variance / own)


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
