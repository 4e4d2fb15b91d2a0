"""What became of a run: the rules, the figures of an evaluation, and the person's word above them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="the train extra is not installed")

from rtvoice.train.outcome import judge  # noqa: E402
from rtvoice.train.schedule import Phase, duration, lengths, rate, spoken  # noqa: E402
from trainer import run_here  # noqa: E402


def log(held: list[float | None], trained: list[float], phase: str = "train") -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = [{"step": 0, "phase": phase, "held_out": {"loss": held[0]}}]
    for i, loss in enumerate(trained, 1):
        lines.append({"step": i, "phase": phase, "loss": loss})
        if i < len(held):
            lines[-1]["held_out"] = {"loss": held[i]}
    return lines


FALLING = [1.0, 0.8, 0.6, 0.4, 0.3, 0.2]


@pytest.mark.parametrize(
    ("label", "held", "trained"),
    [
        ("good", [1.0, 0.8, 0.5, 0.4], FALLING),
        ("good", [1.0, 0.5, 0.4, 0.42], FALLING),  # noise, not over-fitting
        ("collapse", [1.0, 1.0, 0.99, 1.2], FALLING),
        ("collapse", [1.0, 0.5, None, None], FALLING),
        ("poor_generalisation", [1.0, 0.5, 0.4, 0.6], FALLING),
        ("good", [1.0, 0.5, 0.4, 0.6], [0.2, 0.3, 0.5, 0.7, 0.9, 1.0]),  # rose on both sides: no over-fitting
    ],
)
def test_curves_are_judged_by_the_rules(label: str, held: list[float | None], trained: list[float]) -> None:
    assert judge(log(held, trained)).label == label


def test_a_phase_is_compared_with_itself_only() -> None:
    both = log([1.0, 0.5, 0.4], FALLING) + log([2.0, 1.9, 1.95], FALLING, "adversarial")
    assert judge(both).label == "good"


def test_a_training_that_goes_on_with_trained_weights_need_not_fall() -> None:
    lines = log([1.0, 0.99, 1.02], FALLING)
    assert judge(lines).label == "collapse"
    assert judge(lines, begun=True).label == "good"
    assert judge(log([1.0, 0.99, 1.3], FALLING), begun=True).label == "collapse"


def test_a_training_within_its_warm_up_is_not_judged() -> None:
    outcome = judge(log([1.0, 1.0], FALLING), shortest=100)
    assert outcome.label is None and outcome.reasons == ("too short to say: 6 steps",)


def test_missed_gates_are_a_poor_performance() -> None:
    lines = log([1.0, 0.5, 0.4], FALLING)
    figures = {"distillmos": 3.5, "similarity_resemblyzer": 0.86, "wer_delta": 3.0}
    assert judge(lines, figures=figures).label == "good"
    hq = judge(lines, figures=figures, tier="hq")
    assert hq.label == "poor_performance" and hq.reasons == ("distillmos 3.5, wanted >= 3.8",)


def test_a_persons_label_stands(recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = (recipe, "--cache", tmp_path / "cache", "--stage", "master")
    assert run_here(*words) == 0
    (folder,) = (tmp_path / "cache").glob("master-*")
    ruled = json.loads((folder / "run.json").read_text())["outcome"]
    assert ruled["by"] == "rules" and ruled["reasons"]
    (tmp_path / "figures.json").write_text(json.dumps({"distillmos": 1.2}))
    assert run_here("label", folder, "--figures", tmp_path / "figures.json") == 0
    assert "poor_performance (distillmos 1.2, wanted >= 3.4)" in capsys.readouterr().out
    assert run_here("label", folder, "collapse", "--note", "it buzzes", "--json") == 0
    told = json.loads(capsys.readouterr().out)["outcome"]
    assert (told["label"], told["by"], told["note"]) == ("collapse", "person", "it buzzes")
    assert run_here("label", folder, "--figures", tmp_path / "figures.json") == 0
    assert json.loads((folder / "run.json").read_text())["outcome"]["label"] == "collapse"
    from rtvoice.train.monitor import Store

    with Store(tmp_path / "cache" / "runs.db") as store:
        assert store.run(folder.name).label == "collapse"
    assert run_here("label", folder, "excellent") == 2
    assert run_here("label", tmp_path, "good") == 1
    assert "no run.json" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("45m", 2700), ("2h", 7200), ("1h30m", 5400), ("1.5d", 129600), ("10min", 600)]
)
def test_lengths_of_time_are_understood(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "2", "h", "2 weeks", "-1h", "0s", "1h x"])
def test_other_words_are_no_lengths_of_time(text: str) -> None:
    with pytest.raises(ValueError, match="write 90s"):
        duration(text)


def test_lengths_of_time_are_told_to_people() -> None:
    told = [spoken(s) for s in (3, 98, 400, 5990, 4800 + 3600, 100 * 3600)]
    assert told == ["3 s", "98 s", "7 min", "1 h 40 min", "2 h 20 min", "4 d 4 h"]


def test_a_budget_is_shared_by_the_phases_in_proportion() -> None:
    phases = [Phase("a", minutes=30), Phase("b", minutes=90)]
    assert [(part.start, part.until) for part in lengths(phases, 400)] == [(0, 100), (100, 400)]
    assert [part.until for part in lengths(phases)] == [1800, 7200]
    counted = lengths([Phase("a", steps=10), Phase("b", steps=30)])
    assert [part.steps for part in counted] == [10, 30]
    assert [part.steps for part in lengths([Phase("a", steps=10), Phase("b", steps=30)], 40)] == [None, None]


@pytest.mark.parametrize("shape", ["cosine", "linear", "trapezoid", "constant"])
def test_rates_rise_then_fall_to_their_end(shape: Any) -> None:
    phase = Phase(steps=100, warm_up=10, shape=shape, final=0.1)
    curve = [rate(phase, 2.0, step, step / 100) for step in range(101)]
    # A warm-up longer than a tenth of the phase is cut to that.
    assert rate(Phase(steps=100, warm_up=500, shape="constant"), 2.0, 10, 0.1) == 2.0
    assert curve[0] < 0.25 and 1.8 < max(curve) <= 2.0
    assert curve[-1] == pytest.approx(2.0 if shape == "constant" else 0.2)
    fallen = curve[10:]
    assert fallen == sorted(fallen, reverse=True)


def test_a_run_that_is_not_there_is_named_as_it_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_here("label", "none", "good") == 1
    assert "none is no training run: it has no run.json" in capsys.readouterr().err
