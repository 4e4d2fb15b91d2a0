"""The histogram's error is bounded, and time that a schedule loses is counted."""

from __future__ import annotations

import numpy as np
import pytest

from rtvoice.bench.histogram import Histogram, response_times


@pytest.mark.parametrize("scale", [30, 1_000, 50_000, 3_000_000, 10**10])
def test_quantiles_are_within_one_percent_of_the_sorted_times(scale: int) -> None:
    times = np.rint(np.random.default_rng(1).lognormal(0.0, 1.0, 40_000) * scale).astype(np.int64)
    histogram = Histogram()
    for part in np.array_split(times, 7):
        histogram.record(part)
    ordered = np.sort(times)
    for share in (0.5, 0.9, 0.99, 0.999, 0.9999):
        exact = ordered[int(np.ceil(share * len(times))) - 1]
        assert histogram.quantile(share) == pytest.approx(exact, rel=1 / 128, abs=1)
        assert histogram.quantile(share) >= exact
    assert histogram.max == times.max()
    assert histogram.count == len(times)


def test_every_nanosecond_has_its_own_count_below_256() -> None:
    histogram = Histogram()
    histogram.record(np.arange(256))
    assert histogram.as_dict() == {"upper_ns": list(range(256)), "count": [1] * 256}


def test_a_share_with_too_few_times_is_not_told() -> None:
    histogram = Histogram()
    assert histogram.quantile(0.5) is None
    histogram.record(np.arange(1, 1001))
    assert histogram.quantile(0.999) is not None
    assert histogram.quantile(0.9999) is None
    assert histogram.microseconds()["p9999"] is None


def test_edges_rise_and_hold_their_times() -> None:
    for time in [0, 1, 255, 256, 257, 511, 512, 65_535, 65_536, 10**9, 10**12]:
        histogram = Histogram()
        histogram.record(np.array([time, 10**13]))
        upper = histogram.as_dict()["upper_ns"][0]
        assert time <= upper <= time * (1 + 1 / 128) + 1


def test_lateness_counts_until_it_is_made_up() -> None:
    """One call of 35 ms where one is due every 10 ms and takes 2: the next three end late too."""
    spent = np.array([2, 2, 35, 2, 2, 2, 2, 2])
    assert response_times(spent, 10.0).tolist() == [2, 2, 35, 27, 19, 11, 3, 2]


def test_without_lateness_responses_are_the_times() -> None:
    spent = np.array([3, 9, 1, 9, 9])
    assert response_times(spent, 10.0).tolist() == spent.tolist()


def test_the_same_by_hand() -> None:
    random = np.random.default_rng(3)
    spent = random.integers(1, 22, 500)
    wanted, late = [], 0.0
    for time in spent:
        wanted.append(late + time)
        late = max(0.0, late + time - 10.0)
    np.testing.assert_allclose(response_times(spent, 10.0), wanted, atol=0.5)
