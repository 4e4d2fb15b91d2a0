"""A histogram of times whose steps grow with the time: a few kilobytes, any range, a bounded relative error."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


class Histogram:
    """Counts of times in nanoseconds, in steps of at most 1/128 of the time: every quantile is within 0.8 %.

    Below 256 ns each nanosecond has a count of its own; above, each octave has 128.
    """

    STEPS = 128
    _EXACT = 2 * STEPS

    def __init__(self) -> None:
        self._counts: NDArray[np.int64] = np.zeros(self.STEPS * 48, np.int64)
        self._max = 0

    def record(self, times_ns: NDArray[np.int64]) -> None:
        """Count times of 0 ns and more."""
        if times_ns.size:
            self._counts += np.bincount(self._buckets(times_ns), minlength=self._counts.size)
            self._max = max(self._max, int(times_ns.max()))

    def _buckets(self, times: NDArray[np.int64]) -> NDArray[np.int64]:
        octave = np.maximum(np.frexp(np.maximum(times, 1).astype(np.float64))[1] - 8, 0)
        return np.asarray((times >> octave) + octave * self.STEPS, np.int64)

    @property
    def count(self) -> int:
        """How many times were recorded."""
        return int(self._counts.sum())

    @property
    def max(self) -> int:
        """The longest time, exact."""
        return self._max

    @staticmethod
    def _upper(bucket: int) -> int:
        octave = max(bucket // Histogram.STEPS - 1, 0)
        return ((bucket - octave * Histogram.STEPS + 1) << octave) - 1

    def quantile(self, share: float) -> float | None:
        """Return the time in ns that a share of all times does not exceed; ``None`` where too few were recorded.

        A share of 0.9999 needs 10,000 times: with fewer it would only repeat the longest one.
        """
        total = self.count
        if total == 0 or total * (1.0 - share) < 1.0 - 1e-9:
            return None
        reached = np.searchsorted(np.cumsum(self._counts), np.ceil(share * total - 1e-9))
        return float(min(self._upper(int(reached)), self._max))

    def microseconds(self) -> dict[str, float | None]:
        """Return ``p50, p90, p99, p999, p9999, max`` in microseconds."""
        shares = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999, "p9999": 0.9999}
        found: dict[str, float | None] = {}
        for name, share in shares.items():
            value = self.quantile(share)
            found[name] = None if value is None else value / 1000.0
        found["max"] = self._max / 1000.0
        return found

    def curve(self) -> list[list[float]]:
        """Return the points ``[share of times above, microseconds]`` where the distribution steps, for a drawing."""
        total = self.count
        used = np.flatnonzero(self._counts)
        above = total - np.cumsum(self._counts)[used]
        points = [[1.0, self._upper(int(used[0])) / 1000.0]] if used.size else []
        return points + [
            [float(max(a, 0.5)) / total, min(self._upper(int(b)), self._max) / 1000.0]
            for a, b in zip(above, used, strict=True)
        ]

    def as_dict(self) -> dict[str, Any]:
        """Return what other tools can read: upper edges in ns and counts, of the steps in use."""
        used = np.flatnonzero(self._counts)
        return {"upper_ns": [self._upper(int(b)) for b in used], "count": [int(self._counts[b]) for b in used]}


def response_times(spent_ns: NDArray[np.int64], period_ns: float) -> NDArray[np.int64]:
    """Return how long after its due moment each call would have ended, were calls due every ``period_ns``.

    A call that takes longer than the period makes the next one start late, and that lateness counts: times recorded
    back to back would leave it out.
    """
    surplus = np.concatenate(([0.0], np.cumsum(spent_ns[:-1] - period_ns)))
    waiting = surplus - np.minimum.accumulate(surplus)
    return np.asarray(np.rint(waiting + spent_ns), np.int64)
