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

#: Below this many raters, counted by the votes they gave, nothing can be said of how raters differ; the interval is of
#: these raters only. Three that gave a third each are 3, two and one of a single vote 2.1.
ENOUGH_RATERS = 2.5


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
        ``"raters and clips"``, or ``"clips"`` where one or two raters gave all or nearly all votes: then it speaks
        of these raters only.
    by_rater, by_clip
        The design effects of raters alone and of clips alone, of which that of both is made.
    even_raters, even_clips
        As how many of equally many votes they weigh.
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
    by_rater: float = 1.0
    by_clip: float = 1.0
    even_raters: float = 0.0
    even_clips: float = 0.0

    @property
    def decisive(self) -> int:
        """Votes for one of the two."""
        return self.wins_a + self.wins_b


def win_share(votes: Sequence[Vote], *, level: float = 0.95) -> Share:
    """Return counts and the share of B among decisive votes; repeats and traps are left out.

    The variance is a linearised bootstrap's: raters are drawn anew, clips are drawn anew, each by its votes, and what
    both count twice is taken off once (V = V_raters + V_clips - V_votes). The interval is Wilson's for as many votes as
    that variance is worth, with Student's t for the number of raters and clips behind it: a percentile interval is too
    short for few raters, and has no length at all where every vote went one way.
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
    if total == 0:
        return Share(0, 0, ties, skips, 0, 0, None, None, None, 1.0, "clips", level)
    share = wins_b / total
    even_raters, even_clips = (effective(counts[1].sum(axis=axis)) for axis in (1, 0))
    by_rater, by_clip, effect, degrees = _design(counts, share, even_raters, even_clips)
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
        "raters and clips" if even_raters >= ENOUGH_RATERS else "clips",
        level,
        by_rater,
        by_clip,
        even_raters,
        even_clips,
    )


def wilson(share: float, count: float, width: float) -> tuple[float, float]:
    """Wilson's interval of a share of ``count`` votes, ``width`` standard errors to each side."""
    square = width * width / count
    middle = (share + square / 2) / (1 + square)
    half = width / (1 + square) * math.sqrt(share * (1 - share) / count + square / (4 * count))
    return max(0.0, middle - half), min(1.0, middle + half)


def _design(counts: Floats, share: float, raters: float, clips: float) -> tuple[float, float, float, float]:
    """Return the design effects of raters and of clips, that of both, and the degrees of freedom of its variance."""
    total = float(counts[1].sum())
    alone = share * (1 - share) / total
    if alone == 0:
        # As of independent votes, which one vote against shows: raters and clips then tell the same variance. Degrees
        # of the fewer of the two would make 15 of 15 (three raters) less evidence, 45 %, than 14 of 15, 59 %.
        return 1.0, 1.0, *combined(1.0, 1.0, raters, clips)
    by_rater, by_clip = (
        _variance(counts.sum(axis=axis), share, groups) / alone for axis, groups in ((2, raters), (1, clips))
    )
    return by_rater, by_clip, *combined(by_rater, by_clip, raters, clips)


def combined(by_rater: float, by_clip: float, raters: float, clips: float) -> tuple[float, float]:
    """Return the design effect of raters and clips together, and the degrees of freedom of that variance."""
    free = max(1.0, clips - 1)
    if raters < ENOUGH_RATERS:
        return max(1.0, by_clip), free
    # At least what one of the two tells alone: the difference of noisy figures can fall below it.
    both = max(by_rater + by_clip - 1, by_rater, by_clip, 1.0)
    # Satterthwaite: a variance from few raters is itself uncertain, as far as it matters in the sum.
    spread = by_rater**2 / (raters - 1) + by_clip**2 / free
    return both, max(1.0, (by_rater + by_clip) ** 2 / spread) if spread > 0 else free


def effective(votes: Floats) -> float:
    """Return how many groups of one size would weigh as those of ``votes``: one that gave next to nothing adds none."""
    return float(votes.sum() ** 2 / (votes**2).sum()) if votes.any() else 0.0


def _variance(counts: Floats, share: float, groups: float) -> float:
    """Variance of wins/votes when groups are drawn anew, ``counts`` (2, groups), corrected for their number.

    A bootstrap's, linearised: each group counts by its votes. Drawn in fact, a rater of one vote would stand for all in
    some resamples.
    """
    if groups < 1.0 + 1e-9:
        return 0.0
    off = counts[0] - share * counts[1]
    return float((off**2).sum() / counts[1].sum() ** 2 * groups / (groups - 1))
