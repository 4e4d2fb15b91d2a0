"""A sweep from end to end, small: runs, outcomes, resumption, rules that end runs, the report."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

for package in ("torch", "pyworld", "soundfile", "scipy"):
    pytest.importorskip(package, reason="the train extra is not installed")

import torch  # noqa: E402

from rtvoice.train.monitor import Rule, Store  # noqa: E402
from rtvoice.train.monitor.analysis import analyse  # noqa: E402
from rtvoice.train.monitor.page import page  # noqa: E402
from rtvoice.train.monitor.rules import to_json  # noqa: E402
from rtvoice.train.monitor.sweep import Config, Sweep, build, draw, judge  # noqa: E402

torch.set_num_threads(1)
BANDS, PERIOD = 80, 80


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the whisper teacher leaves: here coloured noise of changing level, and its like at half the level."""
    folder = tmp_path_factory.mktemp("teacher")
    rng = np.random.default_rng(0)
    clips, length = 8, 16000
    level = np.repeat(rng.uniform(0.02, 0.3, clips * length // 1600), 1600)
    source = rng.normal(size=clips * length) * level
    np.save(folder / "source.npy", source.astype(np.float16))
    np.save(folder / "target.npy", (0.5 * rng.normal(size=source.size) * level).astype(np.float16))
    log = np.log(0.5 * level[::PERIOD])[:, None] + np.zeros((1, BANDS))
    np.save(folder / "envelope.npy", log.astype(np.float16))
    index = [
        {"speaker": f"s{i}", "held_out": i < 2, "start": i * length, "samples": length, "level": 0.15}
        for i in range(clips)
    ]
    (folder / "index.json").write_text(json.dumps(index))
    return folder


def sweep(teacher: Path, store: Path, **options: object) -> Sweep:
    return Sweep(teacher, store, steps=16, every=2, batch=2, crop=2400, **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def swept(teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("sweep") / "runs.db"
    assert len(sweep(teacher, store).run(12)) == 12
    return store


def test_a_sweep_of_twelve_runs_is_labelled_and_reported(swept: Path) -> None:
    with Store(swept) as store:
        runs = store.runs("sweep")
        assert len(runs) == 12
        assert all(run.status == "finished" and run.label and run.steps == 16 for run in runs)
        assert runs[0].label == "good" and runs[0].score == 1.0
        assert len({run.label for run in runs}) >= 2
        assert runs[3].config == json.loads(json.dumps(draw(3, 0).__dict__))
        assert len(store.series(runs[1].id, "validation")["validation"]) == 7
        report = analyse(store, "sweep")
        names = {row["heuristic"] for row in report["table"]}
        assert {"loss", "validation", "never", "spread", "mean_drift", "power_gap", "update_ratio"} <= names
        assert report["rules"]["rules"] == []
        assert all("not enough evidence (n=" in f["verdict"] for f in report["rules"]["findings"])
        assert "<img" in page(store, report)


def test_a_sweep_goes_on_where_it_was_ended(teacher: Path, swept: Path) -> None:
    with Store(swept) as store:
        before = {run.id: run.created for run in store.runs()}
        with store.transaction():  # as a kill in the middle of run 5 leaves it
            store._db.execute("DELETE FROM outcomes WHERE run = 'sweep-0-005'")
            store._db.execute("UPDATE runs SET status = 'running', steps = 6 WHERE id = 'sweep-0-005'")
            store._db.execute("DELETE FROM series WHERE run = 'sweep-0-005' AND step > 6")
    assert sweep(teacher, swept).run(12) == ["sweep-0-005"]
    with Store(swept) as store:
        assert {run.id: run.created for run in store.runs()} == before
        assert store.run("sweep-0-005").label is not None


def test_a_run_is_the_same_again(teacher: Path, swept: Path, tmp_path: Path) -> None:
    again = sweep(teacher, tmp_path / "runs.db")
    again.run(2)
    with Store(swept) as first, Store(tmp_path / "runs.db") as second:
        for name in ("sweep-0-000", "sweep-0-001"):
            ours, theirs = first.series(name), second.series(name)
            for series in ("loss", "validation", "never", "spread", "power_gap"):
                np.testing.assert_array_equal(ours[series], theirs[series])


def test_rules_in_use_end_runs_and_the_ledger_counts_it(teacher: Path, tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    sweep(teacher, path).run(2)
    rule = Rule("loss", 0.2, -1e9, True, runs=99, bad=70, flagged=60, hits=60, bound=0.95)  # flags every run
    with Store(path) as store:
        store.set_rules("sweep", to_json([rule]))
    assert len(sweep(teacher, path).run(4)) == 2  # shadow
    assert len(sweep(teacher, path, kill=True).run(6)) == 2
    assert sweep(teacher, path, kill=True).run(6) == []  # a run that was ended is not begun again
    with Store(path) as store:
        states = [run.status for run in store.runs()]
        assert states[:4] == ["finished"] * 4
        spared = [run.survivor for run in store.runs()]
        assert [s == "killed" for s in states[4:]] == [not s for s in spared[4:]]
        totals = analyse(store, "sweep")["ledger"]["totals"]
    in_shadow = [not survivor for survivor in spared[2:4]]
    assert sum(t["runs"] for t in totals.values()) == 4
    if any(in_shadow):
        assert totals["shadow"]["runs"] == sum(in_shadow)
        assert totals["shadow"]["unknown"] == 0
    assert all(t["saved_hours"] + t["good_hours"] > 0 for t in totals.values())


def test_configurations_differ_and_keep_to_the_students_own_form() -> None:
    drawn = [draw(i, 3) for i in range(80)]
    assert drawn[0] == Config()
    assert len(set(drawn)) == 80
    assert draw(5, 3) == drawn[5] != draw(5, 4)
    for name in Config.__dataclass_fields__:
        assert len({getattr(config, name) for config in drawn}) > 1, name
    dead = build(Config(activation="relu", bias=-50.0))
    assert type(dead.body.items[0].inner.items[3]).__name__ == "ReLU"
    assert dead.body.items[0].inner.items[2].bias.max() < -40


@pytest.mark.parametrize(
    ("curve", "trained", "label"),
    [
        ([3.0, 2.0, 1.0], [3, 2, 1], "good"),
        ([3.0, 2.0, 1.2], [3, 2, 1], "poor_performance"),
        ([3.0, 1.2, 1.6], [3, 2, 1], "poor_generalisation"),
        ([3.0, 1.2, 1.6], [1, 2, 3], "poor_performance"),
        ([3.0, 2.9, 2.9], [3, 3, 3], "collapse"),
        ([3.0, 2.0, float("nan")], [3, 2, 1], "collapse"),
        ([3.0, 2.0, 1.0], [3, 2, float("inf")], "collapse"),
    ],
)
def test_outcomes_follow_the_held_out_curve(curve: list[float], trained: list[float], label: str) -> None:
    points = [(i / 2, loss) for i, loss in enumerate(curve)]
    assert judge(points, trained, untrained=3.0, reference=1.0).label == label


def test_the_benchmark_measures_the_same_training_twice() -> None:
    from rtvoice.train.monitor.overhead import measure

    found = measure(steps=10, batch=2, seconds=0.25)
    assert found["same_weights"]
    assert found["samples"] >= 1 and found["probes"] >= 1
    assert np.isfinite(found["overhead"])
