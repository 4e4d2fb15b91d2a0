"""What votes can show: the sign test, its power, and the smallest preference that a session would have shown."""

from __future__ import annotations

import functools
import math

import numpy as np
from numpy.typing import NDArray

from rtvoice_studio.stats.shares import ENOUGH_RATERS, Share, combined
from rtvoice_studio.stats.student import quantile

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


def detectable(share: Share, *, wanted: float = 0.8) -> float | None:
    """Return the smallest true preference that as many votes, which hang together as these, show so often.

    Shown is what the interval of :func:`win_share` leaves 1/2 out of, so all that widens it counts: votes that belong
    together, Student's t, and that the variance is itself an estimate, from few raters a poor one.

    ``None``: so few votes show none, not even a preference of all.
    """
    votes = share.decisive
    if votes < 1:
        return None
    by_rater, effect = share.by_rater, share.design_effect
    if share.even_raters >= ENOUGH_RATERS:
        # Half of all estimates from few raters lie below 0.7 (three) to 0.9 (eight) of the truth.
        by_rater = max(1.0, by_rater / float(np.median(_chi_square(share.even_raters - 1))))
        effect = combined(by_rater, share.by_clip, share.even_raters, share.even_clips)[0]
    needed = _wins_shown(share, by_rater)
    if _shown(needed, votes, effect, 1.0) < wanted:
        return None
    low, high = 0.5, 1.0
    while high - low > 1e-4:
        middle = (low + high) / 2
        enough = _shown(needed, votes, effect, middle) >= wanted
        low, high = (low, middle) if enough else (middle, high)
    return high


def _wins_shown(share: Share, by_rater: float) -> NDArray[np.int64]:
    """Return how many wins are shown as a preference, for each of equally likely estimates of the raters' variance."""
    votes, raters = share.decisive, share.even_raters
    estimates = _chi_square(raters - 1) if raters >= ENOUGH_RATERS else np.ones(1)
    needed = []
    for estimate in estimates:
        effect, degrees = combined(by_rater * float(estimate), share.by_clip, raters, share.even_clips)
        # Wilson's interval leaves 1/2 out where the score test does; to tenths, of which quantiles are kept.
        away = quantile(share.level, round(degrees, 1)) * math.sqrt(votes * effect) / 2
        needed.append(math.floor(votes / 2 + away) + 1)
    # Votes that all agree have no variance to estimate; their interval is as of independent ones.
    degrees = combined(1.0, 1.0, raters, share.even_clips)[1]
    if votes > quantile(share.level, round(degrees, 1)) ** 2:
        return np.minimum(needed, votes)
    return np.array(needed)


def _shown(needed: NDArray[np.int64], votes: int, effect: float, preference: float) -> float:
    """Probability that votes of a design effect show a true preference, over all estimates of their variance."""
    mass = _mass(votes, preference) if preference in (0.0, 1.0) else _clustered(votes, effect, preference)
    above = np.concatenate([np.cumsum(mass[::-1])[::-1], [0.0]])
    return float(np.mean(above[np.minimum(needed, votes + 1)] + above[0] - above[np.maximum(votes + 1 - needed, 0)]))


def _clustered(votes: int, effect: float, chance: float) -> Floats:
    """Probabilities of 0 … ``votes`` wins that hang together: the beta-binomial of that design effect."""
    together = min((effect - 1) / (votes - 1), 0.99) if votes > 1 else 0.0
    if together < 1e-9:
        return _mass(votes, chance)
    a, b = (part * (1 / together - 1) for part in (chance, 1 - chance))
    steps = np.arange(votes)
    rising = [np.concatenate([[0.0], np.cumsum(np.log(start + steps))]) for start in (a, b, a + b)]
    mass: Floats = np.exp(_log_choose(votes) + rising[0] + rising[1][::-1] - rising[2][-1])
    return mass


@functools.lru_cache(maxsize=256)
def _chi_square(degrees: float, parts: int = 20) -> Floats:
    """Values of chi-square by its degrees of freedom, each as likely as the others."""
    grid = np.linspace(0.0, 1.0, 20001)[1:] * (1 + 12 / math.sqrt(degrees))
    log = (degrees / 2 - 1) * np.log(grid) - degrees * grid / 2
    mass = np.cumsum(np.exp(log - log.max()))
    found: Floats = np.interp((np.arange(parts) + 0.5) / parts, mass / mass[-1], grid)
    return found
