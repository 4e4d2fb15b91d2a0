"""The win share of a system, with an interval that knows that votes on one clip, or by one rater, belong together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rtvoice_studio.stats.student import quantile
from rtvoice_studio.stats.votes import Vote

Floats = NDArray[np.float64]

#: Resamples of raters and of clips: the interval's ends move by less than half a percent between seeds.
RESAMPLES = 2000
#: Below this many raters nothing can be said of how raters differ; the interval is of these raters only.
ENOUGH_RATERS = 3


@dataclass(frozen=True)
class Share:
    """Counts along one dimension, and the share of decisive votes that system B won.

    Attributes
    ----------
    share
        Wins of B by wins of both; ``None`` without a decisive vote.
    low, high
        Interval of ``share``; ``None`` likewise.
    design_effect
        How many times more votes this needs than independent ones would, at least 1.
    generalises
        ``"raters and clips"``, or ``"clips"`` where fewer than three raters voted: then it speaks of these raters only.
    """

    wins_a: int
    wins_b: int
    ties: int
    skips: int
    raters: int
    clips: int
    share: float | None
    low: float | None
    high: float | None
    design_effect: float
    generalises: str
    level: float = 0.95

    @property
    def decisive(self) -> int:
        """Votes for one of the two."""
        return self.wins_a + self.wins_b


def win_share(votes: Sequence[Vote], *, level: float = 0.95, resamples: int = RESAMPLES, seed: int = 0) -> Share:
    """Return counts and the share of B among decisive votes; repeats and traps are left out.

    The variance is a bootstrap's: raters are drawn anew, clips are drawn anew, and what both count twice is taken off
    once (V = V_raters + V_clips - V_votes). The interval is Wilson's for as many votes as that variance is worth, with
    Student's t for the number of raters and clips behind it: a percentile interval is too short for few raters, and has
    no length at all where every vote went one way.
    """
    plain = [vote for vote in votes if vote.kind == "plain"]
    ties = sum(vote.choice == "both" for vote in plain)
    skips = sum(vote.choice == "skip" for vote in plain)
    decided = [vote for vote in plain if vote.choice in ("a", "b")]
    raters = sorted({vote.rater for vote in decided})
    clips = sorted({vote.clip for vote in decided})
    rater_at = {name: i for i, name in enumerate(raters)}
    clip_at = {name: i for i, name in enumerate(clips)}
    counts = np.zeros((2, len(raters), len(clips)))
    for vote in decided:
        counts[1, rater_at[vote.rater], clip_at[vote.clip]] += 1
        counts[0, rater_at[vote.rater], clip_at[vote.clip]] += vote.choice == "b"
    wins_b = int(counts[0].sum())
    total = len(decided)
    over_raters = len(raters) >= ENOUGH_RATERS
    if total == 0:
        return Share(0, 0, ties, skips, 0, 0, None, None, None, 1.0, "clips", level)
    share = wins_b / total
    effect, degrees = _design(counts, share, over_raters, resamples, seed)
    low, high = wilson(share, total / effect, quantile(level, degrees))
    return Share(
        total - wins_b,
        wins_b,
        ties,
        skips,
        len(raters),
        len(clips),
        share,
        low,
        high,
        effect,
        "raters and clips" if over_raters else "clips",
        level,
    )


def wilson(share: float, count: float, width: float) -> tuple[float, float]:
    """Wilson's interval of a share of ``count`` votes, ``width`` standard errors to each side."""
    square = width * width / count
    middle = (share + square / 2) / (1 + square)
    half = width / (1 + square) * math.sqrt(share * (1 - share) / count + square / (4 * count))
    return max(0.0, middle - half), min(1.0, middle + half)


def _design(counts: Floats, share: float, over_raters: bool, resamples: int, seed: int) -> tuple[float, float]:
    """Return the design effect and the degrees of freedom of its variance."""
    total = float(counts[1].sum())
    alone = share * (1 - share) / total
    clips = counts.shape[2]
    raters = counts.shape[1]
    free = float(max(1, clips - 1))
    if alone == 0:
        return 1.0, free if not over_raters else float(min(raters, clips) - 1)
    generator = np.random.default_rng(seed)
    by_clip = _variance(counts.sum(axis=1), resamples, generator)
    if not over_raters:
        return max(1.0, by_clip / alone), free
    by_rater = _variance(counts.sum(axis=2), resamples, generator)
    # At least what one of the two tells alone: the difference of noisy figures can fall below it.
    both = max(by_rater + by_clip - alone, by_rater, by_clip, alone)
    # Satterthwaite: a variance from few raters is itself uncertain, as far as it matters in the sum.
    spread = by_rater**2 / (raters - 1) + by_clip**2 / free
    return both / alone, max(1.0, (by_rater + by_clip) ** 2 / spread) if spread > 0 else free


def _variance(counts: Floats, resamples: int, generator: np.random.Generator) -> float:
    """Bootstrap variance of wins/votes over the groups of ``counts`` (2, groups), corrected for their number."""
    groups = counts.shape[1]
    if groups < 2:
        return 0.0
    drawn = generator.multinomial(groups, np.full(groups, 1 / groups), size=resamples).astype(np.float64)
    sums = drawn @ counts.T
    sums = sums[sums[:, 1] > 0]
    variance = float(np.var(sums[:, 0] / sums[:, 1]))
    return float(variance * groups / (groups - 1))
