"""Figures are taken over speakers, and intervals draw speakers, not clips."""

from __future__ import annotations

import numpy as np
import pytest

from rtvoice.evaluate import intervals


def test_a_speaker_with_many_clips_counts_once_in_a_median() -> None:
    values = [0.1] * 50 + [0.5, 0.9]
    speakers = ["a"] * 50 + ["b", "c"]
    assert intervals.median(values, speakers).value == 0.5
    assert intervals.median(values, speakers).speakers == 3


def test_clips_without_a_value_are_left_out() -> None:
    found = intervals.median([None, 0.4, None], ["a", "a", "b"])
    assert (found.value, found.speakers) == (0.4, 1)
    assert intervals.median([None], ["a"]) == intervals.Figure(None, None, 0)
    assert intervals.pooled([None, 2.0], [None, 8.0], ["a", "b"]).value == 0.25
    assert intervals.pooled([1.0], [0.0], ["a"]).value is None


def test_a_pooled_rate_is_errors_over_all_words() -> None:
    assert intervals.pooled([1, 3, 0], [10, 10, 20], ["a", "a", "b"]).value == 0.1


def test_an_interval_holds_the_value_and_narrows_with_speakers() -> None:
    rng = np.random.default_rng(1)
    widths = []
    for count in (10, 160):
        values = rng.normal(0.8, 0.05, count).tolist()
        found = intervals.median(values, [str(n) for n in range(count)])
        assert found.interval is not None and found.value is not None
        assert found.interval[0] <= found.value <= found.interval[1]
        widths.append(found.interval[1] - found.interval[0])
    assert widths[1] < widths[0] / 2.5  # 4 times more is 16 times the speakers


def test_clips_of_one_speaker_do_not_narrow_the_interval() -> None:
    values = [0.2, 0.4, 0.6, 0.8]
    once = intervals.median(values, list("abcd"))
    often = intervals.median(values * 25, list("abcd") * 25)
    assert often.interval == pytest.approx(once.interval)


def test_a_bootstrap_interval_of_a_mean_rate_has_the_textbook_width() -> None:
    rng = np.random.default_rng(2)
    errors = rng.binomial(20, 0.2, 200)
    found = intervals.pooled(errors.tolist(), [20] * 200, [str(n) for n in range(200)])
    assert found.interval is not None
    width = found.interval[1] - found.interval[0]
    assert width == pytest.approx(2 * 1.96 * float(np.std(errors / 20)) / np.sqrt(200), rel=0.1)


def test_the_same_figures_give_the_same_interval() -> None:
    values, speakers = [0.3, 0.5, 0.9], ["a", "b", "c"]
    assert intervals.median(values, speakers) == intervals.median(values, speakers)
