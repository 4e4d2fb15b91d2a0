"""Words, phones, voices and pitch are compared as the literature defines it."""

from __future__ import annotations

import numpy as np
import pytest

from rtvoice.evaluate import compare


def naive_distance(a: list[int], b: list[int]) -> int:
    table = [[max(i, j) if i * j == 0 else 0 for j in range(len(b) + 1)] for i in range(len(a) + 1)]
    for i in range(1, len(a) + 1):
        for j in range(1, len(b) + 1):
            change = table[i - 1][j - 1] + (a[i - 1] != b[j - 1])
            table[i][j] = min(change, table[i - 1][j] + 1, table[i][j - 1] + 1)
    return table[-1][-1]


@pytest.mark.parametrize("seed", range(20))
def test_edit_distance_is_levenshteins(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = (rng.integers(4, size=rng.integers(0, 25)).tolist() for _ in range(2))
    assert compare.edit_distance(a, b) == naive_distance(a, b)


def test_edit_distance_counts_each_kind_of_error() -> None:
    said = ["the", "north", "wind", "and", "the", "sun"]
    assert compare.edit_distance(said, said) == 0
    assert compare.edit_distance(said, ["the", "north", "wind", "and", "sun"]) == 1
    assert compare.edit_distance(said, ["the", "cold", "north", "wind", "and", "the", "sun"]) == 1
    assert compare.edit_distance(said, ["the", "north", "wind", "and", "a", "sun"]) == 1
    assert compare.edit_distance(said, []) == 6
    assert compare.edit_distance([], said) == 6


def test_words_forget_case_and_punctuation() -> None:
    assert compare.words("  Don't -- STOP, 'please' 3\u2019s!") == ["don't", "stop", "please", "3's"]
    assert compare.words("Straße über-all") == ["straße", "über", "all"]
    assert compare.words("...") == []


def track(seed: int = 0, count: int = 400) -> np.ndarray:
    rng = np.random.default_rng(seed)
    time = np.arange(count) / compare.FRAMES
    pitch = 120 * 2 ** (0.3 * np.sin(2 * np.pi * 0.9 * time) + 0.02 * rng.standard_normal(count))
    return np.where(np.sin(2 * np.pi * 1.3 * time + 0.4) > -0.4, pitch, 0.0)


@pytest.mark.parametrize("semitones", [-12, 0, 5, 12])
def test_a_shift_of_register_leaves_the_correlation_at_one(semitones: int) -> None:
    found = compare.follow(track(), track() * 2 ** (semitones / 12))
    assert found.correlation == pytest.approx(1.0)
    assert found.vuv_error == 0.0


@pytest.mark.parametrize("delay", [-7, -1, 0, 3, 10])
def test_a_constant_delay_is_found_and_removed(delay: int) -> None:
    source = track()
    late = np.roll(source, delay)
    found = compare.follow(source, late)
    assert found.delay == delay
    assert found.vuv_error == 0.0
    assert found.correlation == pytest.approx(1.0)


def test_voicing_errors_are_counted_over_all_frames() -> None:
    source = np.full(220, 150.0)
    other = source.copy()
    other[60:80] = 0.0  # 20 of the 200 frames that remain inside the longest delay
    assert compare.follow(source, other).vuv_error == pytest.approx(0.1)


def test_a_flat_pitch_has_no_correlation() -> None:
    flat = np.where(track() > 0, 150.0, 0.0)
    assert compare.follow(track(), flat).correlation == 0.0


def test_a_reversed_contour_correlates_negatively() -> None:
    source = track()
    mirrored = np.where(source > 0, 120**2 / np.maximum(source, 1), 0.0)
    assert compare.follow(source, mirrored).correlation == pytest.approx(-1.0)


def test_a_voice_that_lost_its_pitch_counts_as_nought() -> None:
    found = compare.follow(track(), np.zeros(400))
    assert found.correlation == 0.0
    assert found.vuv_error > 0.5


def test_an_unvoiced_source_has_no_contour_to_follow() -> None:
    assert compare.follow(np.zeros(400), track()).correlation is None


def test_a_centroid_weighs_every_utterance_alike() -> None:
    a, b = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    assert compare.centroid([100 * a, b]) == pytest.approx(np.array([1, 1]) / np.sqrt(2))
    assert compare.cosine(3 * a, compare.centroid([a, b])) == pytest.approx(np.sqrt(0.5))


def test_the_median_pitch_ignores_what_is_unvoiced() -> None:
    assert compare.median_f0([0.0] * 50 + [100.0] * 6 + [200.0] * 5) == 100.0
    assert compare.median_f0([0.0] * 50 + [100.0] * 9) is None
    assert compare.semitones(200.0, 100.0) == 12.0
