"""Statistics and kill rules: right on known cases, and unwilling without evidence."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from rtvoice.train.monitor.changepoint import find_change
from rtvoice.train.monitor.heuristics import FRACTIONS, History, load_history, value_at
from rtvoice.train.monitor.rules import (
    from_json,
    learn,
    learn_rules,
    leave_one_out,
    median_pruning,
    to_json,
    trial,
)
from rtvoice.train.monitor.statistics import (
    auc,
    auc_p_value,
    bootstrap_auc,
    false_discovery,
    lower_bound,
    runs_needed,
    spearman,
)
from rtvoice.train.monitor.store import RunRow, Store


def run_row(index: int, label: str | None = "good", seconds: float = 100.0) -> RunRow:
    name, source = f"run-{index}", "run" if label else None
    state = (float(index), "finished", 100, 1.0, seconds, seconds, 100, False, False, None)
    return RunRow(name, "p", name, *state, {}, label, source, None)


def history(values: dict[str, np.ndarray], bad: np.ndarray, fractions: tuple[float, ...] = (0.2,)) -> History:
    """Values `(n,)` or `(n, fractions)` by heuristic."""
    table = np.stack([np.asarray(v, float).reshape(bad.size, -1) * np.ones(len(fractions)) for v in values.values()], 1)
    runs = [run_row(i, "collapse" if b else "good") for i, b in enumerate(bad)]
    score = np.where(bad, 0.0, 1.0)
    return History(runs, list(values), fractions, table, bad, score, np.full(bad.size, 100.0), 0, 0)


# ---- statistics


def test_rank_statistics_agree_with_scipy() -> None:
    stats = pytest.importorskip("scipy.stats", reason="the train extra is not installed")
    rng = np.random.default_rng(0)
    x = rng.integers(0, 9, 60).astype(float)
    y = x + rng.normal(0, 4, 60)
    bad = rng.random(60) < 0.4
    assert spearman(x, y) == pytest.approx(stats.spearmanr(x, y).statistic)
    test = stats.mannwhitneyu(x[bad], x[~bad], alternative="two-sided", method="asymptotic")
    assert auc(x, bad) == pytest.approx(test.statistic / (bad.sum() * (~bad).sum()))
    assert auc_p_value(x, bad) == pytest.approx(test.pvalue, rel=1e-6)
    p = rng.random(20) ** 2
    np.testing.assert_allclose(false_discovery(p), stats.false_discovery_control(p))


@pytest.mark.parametrize(("hits", "out_of"), [(1, 1), (14, 14), (59, 59), (58, 60), (3, 10), (0, 5)])
def test_the_lower_bound_is_clopper_and_pearsons(hits: int, out_of: int) -> None:
    stats = pytest.importorskip("scipy.stats", reason="the train extra is not installed")
    wanted = stats.beta.ppf(0.05, hits, out_of - hits + 1) if hits else 0.0
    assert lower_bound(hits, out_of) == pytest.approx(wanted, abs=1e-9)


def test_it_takes_59_runs_to_know_of_95_percent() -> None:
    assert (runs_needed(0.95), runs_needed(0.9), runs_needed(0.8)) == (59, 29, 14)
    assert lower_bound(58, 58) < 0.95 <= lower_bound(59, 59)


def test_the_interval_of_an_auc_covers_it_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    truth = 0.5 * math.erfc(-1.0 / 2)  # of two normals one deviation apart
    covered = 0
    for trial_index in range(200):
        bad = np.arange(60) < 25
        x = rng.normal(0, 1, 60) + bad
        low, high = bootstrap_auc(x, bad, draws=400, seed=trial_index)
        covered += low <= truth <= high
    assert 0.88 <= covered / 200 <= 0.99


def test_the_gain_of_a_copy_is_nought() -> None:
    rng = np.random.default_rng(2)
    bad = rng.random(40) < 0.5
    x = rng.normal(size=40) + bad
    assert bootstrap_auc(x, bad, other=x) == (0.0, 0.0)


def test_a_change_is_found_where_it_is() -> None:
    t = np.arange(60.0)
    rng = np.random.default_rng(0)
    y = np.where(t < 25, 1.0, 1.0 - 0.1 * (t - 25)) + 0.05 * rng.normal(size=60)
    change = find_change(t, y)
    assert change is not None
    assert abs(change.at - 25) < 3
    assert change.evidence > 50
    straight = find_change(t, 0.1 * t + 0.05 * rng.normal(size=60))
    assert straight is not None
    assert straight.evidence < 10
    assert find_change(t[:5], y[:5]) is None
    assert find_change(t, np.ones(60)) is None


# ---- heuristics over time


def test_a_value_is_the_median_of_the_latest_up_to_a_time() -> None:
    points = np.array([[1, 0.05, 9], [2, 0.1, 5], [3, 0.15, 4], [4, 0.2, 60], [5, 0.25, 1]], float)
    assert value_at(points, 0.2) == 5
    assert value_at(points, 0.04) != value_at(points, 0.04)  # nothing yet
    assert math.isnan(value_at(points, 0.9))  # nothing recent
    points[2:4, 2] = math.nan
    assert value_at(points, 0.2) == 5
    assert value_at(points, 0.2, diverging=True) == math.inf


def test_killed_runs_teach_nothing_unless_a_person_says_so(tmp_path: Path) -> None:
    with Store(tmp_path / "runs.db") as store:
        for index in range(4):
            store.begin(f"run-{index}", project="p", planned=100)
            for step in (5, 10, 20, 50, 100):
                store.record(f"run-{index}", step, step / 100, {"loss": float(index), "seconds": step / 10})
            store.label(f"run-{index}", "collapse" if index > 1 else "good", source="run")
        store.finish("run-2", "killed")
        store.finish("run-3", "killed")
        store.label("run-3", "poor_performance")
        found = load_history(store, "p")
    assert [run.id for run in found.runs] == ["run-0", "run-1", "run-3"]
    assert (found.censored, found.unlabelled) == (1, 1)
    assert found.fractions == FRACTIONS
    assert list(found.values[:, found.names.index("loss"), 1]) == [0.0, 1.0, 3.0]


# ---- rules


def test_a_rule_is_learned_from_enough_runs_and_in_the_right_direction() -> None:
    rng = np.random.default_rng(0)
    bad = np.arange(140) < 70
    low_is_bad = rng.normal(size=140) - 8 * bad
    learned = learn_rules(history({"loss": rng.normal(size=140), "power_bias": low_is_bad}, bad))
    (rule,) = learned.rules
    assert (rule.heuristic, rule.above) == ("power_bias", False)
    assert rule.hits == rule.flagged == 70
    assert -7 < rule.threshold < -1
    assert rule.bound >= 0.95
    finding = next(f for f in learned.findings if f.heuristic == "power_bias")
    assert finding.trial.precision == 1.0
    assert finding.trial.recall > 0.95
    assert finding.beyond_loss[0] >= 66
    assert from_json(to_json(learned.rules)) == learned.rules


def test_a_perfect_heuristic_on_too_few_runs_is_not_enough_evidence() -> None:
    bad = np.arange(60) < 30
    learned = learn_rules(history({"loss": bad * 1.0}, bad))
    assert learned.rules == []
    (finding,) = learned.findings
    assert "not enough evidence (n=60, 30 bad)" in finding.verdict
    assert "takes 59 flagged runs" in finding.verdict
    assert finding.reached == pytest.approx(0.05 ** (1 / 30))
    assert finding.trial.flagged == 0
    # The same runs are enough for a humbler promise.
    assert len(learn_rules(history({"loss": bad * 1.0}, bad), 0.85).rules) == 1


def test_noise_gives_no_rule() -> None:
    for seed in range(5):
        rng = np.random.default_rng(seed)
        bad = rng.random(120) < 0.5
        values = {name: rng.normal(size=120) for name in ("loss", "never", "spread", "power_gap", "gradient_norm")}
        assert learn_rules(history(values, bad), 0.9).rules == []


def test_the_run_that_is_judged_taught_nothing() -> None:
    # Each run is told apart by a value of its own: only a rule that has seen it could know.
    rng = np.random.default_rng(0)
    bad = rng.random(80) < 0.5
    past = history({"loss": rng.permutation(80).astype(float)}, bad)
    ended = leave_one_out(past, 0.6)
    result = trial(past, ended[0])
    in_sample = learn(past, 0, np.ones(80, bool), 0.6)
    if in_sample is not None:
        assert in_sample.hits / in_sample.flagged > 0.6
    assert result.flagged == 0 or result.precision < 0.9
    # Leaving a run out by hand gives the same verdict.
    for i in (0, 17, 63):
        among = np.arange(80) != i
        rule = learn(past, 0, among, 0.6)
        flagged = rule is not None and rule.flags(float(past.values[i, 0, 0]))
        assert flagged == (not math.isnan(ended[0, i]))


def test_rules_in_use_keep_to_the_target_together() -> None:
    # Three heuristics, each right on the same 80 bad runs; each is wrong on two good runs of its own.
    bad = np.arange(160) < 80
    values = {}
    for k, name in enumerate(("power_gap", "spread", "never")):
        x = bad * 1.0
        x[80 + 2 * k : 82 + 2 * k] = 1.0
        values[name] = x
    learned = learn_rules(history(values, bad), 0.9)
    assert [f.accepted for f in learned.findings] == [True] * 3
    assert len(learned.rules) == 1  # the others would add false alarms, and no bad run
    assert learned.together.precision == pytest.approx(80 / 82)


def test_hours_saved_and_lost_are_counted() -> None:
    bad = np.array([True, True, False, False])
    past = history({"loss": np.zeros(4)}, bad)
    result = trial(past, np.array([0.2, math.nan, 0.5, math.nan]))
    assert (result.flagged, result.hits, result.bad, result.good_lost) == (2, 1, 2, 1)
    assert (result.precision, result.recall) == (0.5, 0.5)
    assert result.saved_seconds == pytest.approx(80.0)
    assert result.good_seconds == pytest.approx(100.0)
    assert result.net_seconds == pytest.approx(-20.0)


def test_rules_prefer_the_earlier_time_when_it_tells_as_much() -> None:
    bad = np.arange(140) < 70
    learned = learn_rules(history({"loss": np.stack([bad * 1.0, bad * 1.0], 1)}, bad, (0.1, 0.5)))
    assert learned.rules[0].fraction == 0.1


def test_runs_that_diverged_are_above_any_threshold() -> None:
    bad = np.arange(140) < 70
    learned = learn_rules(history({"loss": np.where(bad, np.inf, np.arange(140) / 140)}, bad))
    (rule,) = learned.rules
    assert rule.flags(math.inf)
    assert not rule.flags(0.99)
    assert not rule.flags(math.nan)


def test_median_pruning_ends_half_of_the_runs() -> None:
    bad = np.arange(40) < 10
    result = median_pruning(history({"loss": 40.0 - np.arange(40)}, bad), "loss", 0.2)
    assert result is not None
    assert (result.flagged, result.hits, result.good_lost) == (20, 10, 10)


@pytest.mark.parametrize("target", [0.0, 1.0, 1.5])
def test_a_precision_that_cannot_be_is_refused(target: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        learn_rules(history({"loss": np.zeros(4)}, np.arange(4) < 2), target)


def test_what_is_no_rule_is_refused() -> None:
    with pytest.raises(ValueError, match="no kill rules"):
        from_json([{"heuristic": "loss", "code": "os.remove"}])


def test_what_too_few_runs_tell_is_a_dash() -> None:
    from rtvoice.cli import monitor

    nothing = float("nan")
    assert monitor._gain_words({"gain": 0.1, "interval": [nothing, nothing]}) == "+0.10 (-)"
    assert monitor._interval([0.25, 0.75], ".2f") == "0.25 to 0.75"
