"""How far two readings of speech lie apart: words, phones, voices, pitch."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: Frames a second of the pitch tracks that are compared.
FRAMES = 100
#: Longest constant delay that is searched for, in frames: a quarter of a syllable's spacing is 60 ms.
LONGEST_DELAY = 10
#: Frames voiced on both sides that a correlation needs.
LEAST_VOICED = 10


def words(text: str) -> list[str]:
    """Return a text's words, bare and in lower case; apostrophes inside words stay."""
    plain = text.lower().replace("\u2019", "'")
    return [word for word in (w.strip("'") for w in re.findall(r"[^\W_]+(?:'[^\W_]+)*'?", plain)) if word]


def edit_distance(a: Sequence[object], b: Sequence[object]) -> int:
    """Return how many insertions, deletions and substitutions turn one sequence into the other.

    Levenshtein's recurrence, a row at a time; insertions run along the row as a minimum accumulated on ``cost - i``.
    """
    names = {item: number for number, item in enumerate(dict.fromkeys([*a, *b]))}
    column = np.array([names[item] for item in b], np.int64)
    steps = np.arange(len(b) + 1)
    row = steps.copy()
    for item in a:
        best = row + 1
        best[1:] = np.minimum(best[1:], row[:-1] + (column != names[item]))
        row = np.minimum.accumulate(best - steps) + steps
    return int(row[-1])


def cosine(a: ArrayLike, b: ArrayLike) -> float:
    """Return the cosine between two embeddings."""
    x, y = np.asarray(a, np.float64), np.asarray(b, np.float64)
    return float(x @ y / (np.linalg.norm(x) * np.linalg.norm(y) + 1e-12))


def centroid(embeddings: Sequence[ArrayLike]) -> NDArray[np.float64]:
    """Return the mean direction of several embeddings, each of the same weight."""
    rows = np.asarray(embeddings, np.float64)
    mean = (rows / (np.linalg.norm(rows, axis=1, keepdims=True) + 1e-12)).mean(axis=0)
    return np.asarray(mean / (np.linalg.norm(mean) + 1e-12))


@dataclass(frozen=True)
class Pitch:
    """How one pitch track follows another.

    Attributes
    ----------
    correlation
        Pearson's, of log F0 where both are voiced, so that a shift of register plays no part. 0 where the second voice
        lost its pitch (fewer than `LEAST_VOICED` frames in common); None where the first has none to follow.
    vuv_error
        Share of frames that one calls voiced and the other does not.
    delay
        Frames by which the second is late, removed before the comparison.
    """

    correlation: float | None
    vuv_error: float
    delay: int


def follow(source: ArrayLike, other: ArrayLike) -> Pitch:
    """Compare two F0 tracks in Hz, `FRAMES` a second, 0 where unvoiced.

    The constant delay is the one with the fewest voicing errors; among equals the better correlation, then the shorter.
    """
    a, b = np.asarray(source, np.float64), np.asarray(other, np.float64)
    found = [(*_at(a, b, delay), delay) for delay in range(-LONGEST_DELAY, LONGEST_DELAY + 1)]
    error, correlation, delay = min(found, key=lambda f: (f[0], -(f[1] if f[1] is not None else -2.0), abs(f[2])))
    if correlation is None and np.count_nonzero(a) >= LEAST_VOICED:
        correlation = 0.0
    return Pitch(correlation, error, delay)


def _at(a: NDArray[np.float64], b: NDArray[np.float64], delay: int) -> tuple[float, float | None]:
    """Return voicing error and correlation when `b` is `delay` frames late.

    The same number of frames is compared at every delay, else the shortest overlap would win.
    """
    count = min(len(a), len(b)) - 2 * LONGEST_DELAY
    if count <= 0:
        return 1.0, None
    x = a[LONGEST_DELAY : LONGEST_DELAY + count]
    y = b[LONGEST_DELAY + delay : LONGEST_DELAY + delay + count]
    error = float(np.mean((x > 0) != (y > 0)))
    both = (x > 0) & (y > 0)
    if np.count_nonzero(both) < LEAST_VOICED:
        return error, None
    p, q = np.log(x[both]), np.log(y[both])
    p, q = p - p.mean(), q - q.mean()
    scale = float(np.sqrt((p @ p) * (q @ q)))
    return error, float(p @ q) / scale if scale > 1e-9 else 0.0


def median_f0(track: ArrayLike) -> float | None:
    """Return the median of the voiced frames in Hz, or None where fewer than `LEAST_VOICED` are."""
    values = np.asarray(track, np.float64)
    voiced = values[values > 0]
    return float(np.median(voiced)) if len(voiced) >= LEAST_VOICED else None


def semitones(hertz: float, reference: float) -> float:
    """Return the interval from a reference in semitones."""
    return float(12 * np.log2(hertz / reference))
