"""The monitor under the trainer's own loop: it sees the run, ends it by a rule, and lets it be resumed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from rtvoice.train import checkpoint, runner  # noqa: E402
from rtvoice.train.interrupt import Halted  # noqa: E402
from rtvoice.train.monitor import Rule, Store  # noqa: E402
from rtvoice.train.monitor.rules import to_json  # noqa: E402
from rtvoice.train.schedule import Phase  # noqa: E402
from rtvoice.train.stages import StageContext  # noqa: E402
from rtvoice.train.watch import watcher  # noqa: E402
from tiny_stages import DataParams, FitParams, Tiny, make_data  # noqa: E402

PARAMS = FitParams(dropout=0.0, phases=(Phase(steps=24, rate=1e-2, batch=16, warm_up=2),))


def context(tmp_path: Path, kill: bool) -> StageContext:
    step = SimpleNamespace(node=SimpleNamespace(stage=SimpleNamespace(name="student")), params=PARAMS)
    monitor = watcher(tmp_path / "runs.db", kill=kill)(step, "mine")
    (tmp_path / "run-a").mkdir(exist_ok=True)
    return StageContext(tmp_path / "run-a", PARAMS, device="cpu", monitor=monitor)


@pytest.mark.parametrize("compiled", [False, True])
def test_a_rule_ends_a_training_that_can_be_resumed(
    tmp_path: Path, compiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir()
    make_data(StageContext(tmp_path / "data", DataParams()))
    data = tmp_path / "data" / "data.npz"
    rule = Rule("loss", 0.1, -1.0, True, runs=99, bad=70, flagged=60, hits=60, bound=0.95)
    with Store(tmp_path / "runs.db") as store:
        store.set_rules("mine/student", to_json([rule]))
    if compiled:  # as the trainer does, with a compiler that needs no C++
        monkeypatch.setattr(runner, "compile_models", lambda models: [m.compile(backend="eager") for m in models])
    training = replace(runner.Training(), compile=compiled, validate_every=6)
    # Every step is sampled: a run of milliseconds has no budget for a second sample.
    monkeypatch.setattr("rtvoice.train.monitor.schedule.Schedule.wait", lambda self, step: 1)
    checkpoint.seed_all(0)
    with pytest.raises(Halted, match="of 60 past runs like that 60 ended badly"):
        runner.fit(Tiny(data, PARAMS, 0), context(tmp_path, kill=True), training)
    with Store(tmp_path / "runs.db") as store:
        run = store.run("run-a")
        assert (run.status, run.planned) == ("killed", 24)
        assert 0.1 <= run.progress < 0.4
        assert run.config["phases.0.steps"] == 24
        assert {"loss", "validation", "gradient_norm", "update_ratio", "never"} <= set(store.series("run-a"))
        assert store.layers("run-a", "probe")
        store.spare("run-a")
    assert json.loads((tmp_path / "run-a" / "killed.json").read_text())["rule"] == rule.name
    assert runner.fit(Tiny(data, PARAMS, 0), context(tmp_path, kill=True), training).steps == 24
    with Store(tmp_path / "runs.db") as store:
        assert (store.run("run-a").status, store.run("run-a").steps) == ("finished", 24)
        losses = store.series("run-a", "loss")["loss"]
        assert sorted(set(losses[:, 0])) == list(losses[:, 0])
