"""Gates hold the figures of a shipped skin to what the evaluation's table says, and decide nothing unmeasured."""

from __future__ import annotations

import pytest

from rtvoice.evaluate import gates

GOOD = {
    "similarity_resemblyzer": 0.85,
    "similarity_dvector": 0.85,
    "nearer_target_resemblyzer": 97.0,
    "nearer_target_dvector": 99.0,
    "wer_delta": 3.0,
    "per": 12.0,
    "distillmos": 4.0,
    "f0_correlation": 0.95,
    "vuv_error": 6.0,
    "streaming_bit_equal": 1.0,
    "plcmos_loss": 0.01,
}
EDGES = [
    ("similarity_resemblyzer", 0.80, 0.84, -1),
    ("similarity_dvector", 0.80, 0.84, -1),
    ("nearer_target_resemblyzer", 95.0, 95.0, -1),
    ("wer_delta", 8.0, 5.0, 1),
    ("per", 25.0, 20.0, 1),
    ("distillmos", 3.4, 3.8, -1),
    ("f0_correlation", 0.85, 0.90, -1),
    ("vuv_error", 12.0, 10.0, 1),
]


def test_good_figures_pass_both_tiers() -> None:
    found = gates.judge(GOOD, 30)
    assert found["default"]["passed"] is True
    assert found["hq"]["passed"] is True


@pytest.mark.parametrize(("measure", "default", "hq", "worse"), EDGES)
def test_a_threshold_itself_passes_and_a_hair_beyond_fails(measure: str, default: float, hq: float, worse: int) -> None:
    for tier, limit in (("default", default), ("hq", hq)):
        at = gates.judge({**GOOD, measure: limit}, 30)[tier]
        beyond = gates.judge({**GOOD, measure: limit + worse * 1e-6}, 30)[tier]
        assert at["measures"][measure]["passed"] is True
        assert beyond["measures"][measure]["passed"] is False
        assert beyond["passed"] is False


def test_what_was_not_measured_decides_nothing_unless_another_gate_fails() -> None:
    assert gates.judge({**GOOD, "per": None}, 30)["default"]["passed"] is None
    assert gates.judge({**GOOD, "per": None, "distillmos": 2.0}, 30)["default"]["passed"] is False


def test_too_few_speakers_pass_nothing() -> None:
    assert gates.judge(GOOD, 19)["default"]["passed"] is False
    assert gates.judge(GOOD, 20)["default"]["passed"] is True


def test_what_the_model_was_taught_by_is_no_judge_of_it() -> None:
    poor = {**GOOD, "wer_delta": 30.0}
    assert gates.judge(poor, 30)["default"]["passed"] is False
    told = gates.judge(poor, 30, "whisper-base")["default"]
    assert told["passed"] is True
    assert told["measures"]["wer_delta"] | {"judged": False} == told["measures"]["wer_delta"]
    both = gates.judge(poor, 30, "whisper-base, hama")["default"]
    assert both["passed"] is False
