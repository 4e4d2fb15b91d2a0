"""Figures over speakers, with bootstrap intervals: a speaker is drawn with all of its clips, never a clip alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Draws: the ends of a 95 % interval are then good to about a tenth of its width.
DRAWS = 2000


@dataclass(frozen=True)
class Figure:
    """A value with its 95 % interval and the speakers it rests on; None where there was nothing to measure."""

    value: float | None
    interval: tuple[float, float] | None
    speakers: int


def median(values: Sequence[float | None], speakers: Sequence[str]) -> Figure:
    """Return the median over speakers of each speaker's mean; clips without a value are left out."""
    means = [
        float(np.mean(found))
        for name in dict.fromkeys(speakers)
        if (found := [v for v, s in zip(values, speakers, strict=True) if s == name and v is not None])
    ]
    if not means:
        return Figure(None, None, 0)
    rows = np.asarray(means)
    return Figure(float(np.median(rows)), _ends(np.median(rows[_draws(len(rows))], axis=1)), len(rows))


def pooled(parts: Sequence[float | None], wholes: Sequence[float | None], speakers: Sequence[str]) -> Figure:
    """Return the sum of the parts over the sum of the wholes: an error rate over all words or phones.

    Parameters
    ----------
    parts, wholes
        Of each clip: its errors (or their excess over the source's), and what they are counted in.
    speakers
        Of each clip.
    """
    names = list(dict.fromkeys(speakers))
    sums = np.zeros((len(names), 2))
    seen = np.zeros(len(names), bool)
    for part, whole, speaker in zip(parts, wholes, speakers, strict=True):
        if part is not None and whole is not None:
            sums[names.index(speaker)] += (part, whole)
            seen[names.index(speaker)] = True
    sums = sums[seen]
    if not len(sums) or sums[:, 1].sum() == 0:
        return Figure(None, None, 0)
    drawn = sums[_draws(len(sums))].sum(axis=1)
    rates = drawn[:, 0] / np.maximum(drawn[:, 1], 1e-12)
    return Figure(float(sums[:, 0].sum() / sums[:, 1].sum()), _ends(rates), len(sums))


def _draws(count: int) -> NDArray[np.int64]:
    return np.random.default_rng(0).integers(count, size=(DRAWS, count))


def _ends(values: NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)
