"""The posterior behind the league table: strengths and the tie parameter, given how each pair of systems fared."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Spread of the prior of a strength, in log odds: keeps a system that won every vote at a finite place.
_PRIOR_SPREAD = 2.0


class Posterior:
    """Of the values (strengths, log of the tie parameter); it has one highest point.

    The utilities of the three results of a pair are s_a, s_b and t + (s_a + s_b)/2.

    Parameters
    ----------
    pairs
        Two systems of each vote, by number ``(votes, 2)``.
    results
        0: the first won, 1: the second, 2: a tie ``(votes,)``.
    """

    def __init__(self, pairs: NDArray[np.int64], results: NDArray[np.int64], systems: int) -> None:
        # Equal rows fold into one with their counts: hundreds of votes between few systems are a handful of rows.
        codes = pairs[:, 0] * systems + pairs[:, 1]
        kinds, first, self._kind_of = np.unique(codes, return_index=True, return_inverse=True)
        self._results = results
        self._counts = np.zeros((len(kinds), 3))
        np.add.at(self._counts, (self._kind_of, results), 1.0)
        self._totals = self._counts.sum(axis=1)
        rows = np.arange(len(kinds))
        self._features = np.zeros((len(kinds), 3, systems + 1))
        for result, column in enumerate(pairs[first].T):
            self._features[rows, result, column] = 1
            self._features[rows, 2, column] = 0.5
        self._features[:, 2, systems] = 1
        self._prior = np.full(systems + 1, _PRIOR_SPREAD**-2)

    def _chances(self, values: Floats) -> Floats:
        utilities = self._features @ values
        weights = np.exp(utilities - utilities.max(axis=1, keepdims=True))
        chances: Floats = weights / weights.sum(axis=1, keepdims=True)
        return chances

    def _mean(self, chances: Floats) -> Floats:
        mean: Floats = (chances[:, None, :] @ self._features)[:, 0]
        return mean

    def height(self, values: Floats) -> float:
        """Return its logarithm, but for a constant."""
        likely = np.sum(self._counts * np.log(np.maximum(self._chances(values), 1e-300)))
        return float(likely - 0.5 * np.sum(self._prior * values**2))

    def slopes(self, values: Floats) -> tuple[Floats, Floats]:
        """Return its logarithm's gradient and the negative of its second derivatives."""
        chances = self._chances(values)
        weights = (self._totals[:, None] * chances).ravel()
        flat = self._features.reshape(len(weights), -1)
        mean = self._mean(chances)
        gradient = (self._counts.ravel() - weights) @ flat - self._prior * values
        information = flat.T @ (weights[:, None] * flat) - mean.T @ (self._totals[:, None] * mean)
        return gradient, information + np.diag(self._prior)

    def scores(self, values: Floats) -> Floats:
        """Return the gradient of each vote's own logarithm ``(votes, values)``."""
        mean = self._mean(self._chances(values))
        scores: Floats = self._features[self._kind_of, self._results] - mean[self._kind_of]
        return scores

    def climb(self, values: Floats, push: Floats | float = 0.0) -> Floats:
        """Return where it is highest, by Newton's method; ``push`` is added to the gradient."""
        for _ in range(50):
            gradient, information = self.slopes(values)
            step = np.clip(np.linalg.solve(information, gradient + push), -2, 2)
            values = values + step
            if np.max(np.abs(step)) < 1e-7:
                break
        return values

    def bound(self, best: Floats, along: Floats, variance: float, width: float) -> float:
        """Return the value of ``along @ values`` at which it has fallen as a normal one ``width`` deviations away.

        A push along a line moves the highest point to the highest of those with one value of ``along @ values``, so
        the push that lets it fall by width^2 / 2 is looked for.
        """
        top, target = self.height(best), abs(width)
        push = width / math.sqrt(variance)
        values = best
        for _ in range(40):
            values = self.climb(values, push * along)
            fallen = math.sqrt(max(2 * (top - self.height(values)), 1e-12))
            if abs(fallen - target) < 1e-3 * target:
                break
            push *= target / fallen
        return float(along @ values)
