"""Run store, outcomes and commands: what goes in comes out, and mistakes are named."""

from __future__ import annotations

import base64
import json
import re
import sqlite3
import struct
import threading
import zlib
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rtvoice.cli as cli
from rtvoice.train.monitor.census import ALWAYS, NEVER, VARIES, Layer
from rtvoice.train.monitor.outcomes import join_votes, read_votes, win_share
from rtvoice.train.monitor.store import Store, StoreError
from rtvoice.train.monitor.strips import png, strip


def layer(name: str, codes: list[int]) -> Layer:
    return Layer(name, "relu", len(codes), *([0.1] * 11), False, np.array(codes, np.uint8))


def fill(path: Path, runs: int = 150, project: str = "p") -> None:
    """Runs of which the first half is bad, and shows it in `power_gap` from the start."""
    rng = np.random.default_rng(0)
    with Store(path) as store, store.transaction():
        for index in range(runs):
            name, bad = f"run-{index:03d}", index < runs // 2
            store.begin(name, project=project, planned=100, config={"rate": 0.01 * index})
            for step in range(5, 101, 5):
                values = {"loss": 2 - step / 100 + rng.normal(), "power_gap": 10.0 * bad + rng.normal()}
                store.record(name, step, step / 100, values | {"seconds": step * 1.0, "cpu_seconds": step * 0.9})
            store.record_layers(name, "probe", 5, 0.05, [layer("a", [NEVER, VARIES, ALWAYS]), layer("b", [NEVER] * 2)])
            store.finish(name, "finished")
            store.label(name, "collapse" if bad else "good", source="run", score=-1.0 * bad + 0.01 * index)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "runs.db"
    fill(path)
    return path


def command(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    try:
        status = cli.run(["monitor", *map(str, words)])
    except SystemExit as end:  # argparse's own
        status = int(end.code or 0)
    out = capsys.readouterr()
    return status, out.out, out.err


def failed(done: tuple[int, str, str], status: int, *words: str) -> None:
    assert done[0] == status, done
    assert done[1] == ""
    assert done[2].count("\n") == 1, done[2]
    for word in words:
        assert word in done[2]


# ---- the store


def test_writers_do_not_hinder_one_another(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    Store(path).close()
    errors: list[Exception] = []

    def write(name: str) -> None:
        try:
            with Store(path) as store:
                store.begin(name)
                for step in range(1, 41):
                    store.record(name, step, None, {"loss": 1.0, "never": 0.5})
        except sqlite3.Error as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(f"run-{i}",)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    with Store(path) as store:
        assert [len(store.series(f"run-{i}")["loss"]) for i in range(6)] == [40] * 6


def test_a_transaction_is_whole_or_not_there(tmp_path: Path) -> None:
    with Store(tmp_path / "runs.db") as store:
        store.begin("a")
        with pytest.raises(RuntimeError), store.transaction():
            store.record("a", 1, None, {"loss": 1.0})
            raise RuntimeError
        assert store.series("a") == {}


def test_what_is_no_store_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    path.write_bytes(b"not a database, surely" * 100)
    with pytest.raises(StoreError, match="x.db: not a run store"):
        Store(path)
    with pytest.raises(StoreError, match="there is no run store"):
        Store(tmp_path / "none.db", create=False)
    newer = sqlite3.connect(tmp_path / "new.db")
    newer.execute("PRAGMA user_version=99")
    newer.close()
    with pytest.raises(StoreError, match="newer rtvoice"):
        Store(tmp_path / "new.db")


def test_numbers_that_are_not_finite_come_back_as_nan(tmp_path: Path) -> None:
    with Store(tmp_path / "runs.db") as store:
        store.begin("a")
        store.record("a", 1, 0.5, {"loss": float("inf")})
        assert np.isnan(store.series("a")["loss"][0, 2])


def test_a_persons_word_goes_before_measures(tmp_path: Path) -> None:
    with Store(tmp_path / "runs.db") as store:
        store.begin("a")
        store.label("a", "collapse", source="run", score=0.1)
        store.label("a", "good", source="evaluate", score=0.9)
        assert (store.run("a").label, store.run("a").score) == ("good", 0.9)
        store.label("a", "poor_performance")
        assert (store.run("a").label, store.run("a").label_source) == ("poor_performance", "person")
        assert store.run("a").score == 0.9  # a person gave no score
        with pytest.raises(StoreError, match="'bad' is no outcome; outcomes: collapse"):
            store.label("a", "bad")
        with pytest.raises(StoreError, match="there is no run 'b'; the latest runs: a"):
            store.label("b", "good")


# ---- outcomes


def vote(model: str, winner: str, rater: str, clip: str, against: str | None = "old") -> dict[str, str]:
    found = {"model": model, "row": "naturalness", "winner": winner, "rater": rater, "clip": clip}
    return found | ({"against": against} if against else {})


@pytest.mark.parametrize("form", ["csv", "json", "object"])
def test_votes_are_read_and_decide_on_runs(form: str, tmp_path: Path) -> None:
    votes = [
        vote("new", "new" if clip < 9 else "both", f"rater-{r}", f"clip-{clip}") for r in range(5) for clip in range(10)
    ]
    votes.append(vote("new", "skip", "rater-0", "clip-77"))
    file = tmp_path / f"votes.{form}"
    if form == "csv":
        lines = [",".join(votes[0]), *(",".join(v.values()) for v in votes)]
        file.write_text("\n".join(lines) + "\n")
    else:
        file.write_text(json.dumps(votes if form == "json" else {"votes": votes}))
    with Store(tmp_path / "runs.db") as store:
        for name in ("new", "old", "bystander"):
            store.begin(f"run-{name}", model=name)
        assert store.add_votes(read_votes(file)) == 51
        assert store.add_votes(read_votes(file)) == 0  # a second import adds nothing
        assert join_votes(store) == {"run-new": "good", "run-old": "poor_performance"}
        run = store.run("run-new")
        assert run.score == pytest.approx(0.95)
        assert (run.label_source, store.run("run-bystander").label) == ("votes", None)


def test_votes_of_one_rater_do_not_decide_for_all() -> None:
    split = [vote("new", "new" if r < 2 else "old", f"rater-{r}", f"clip-{c}") for r in range(3) for c in range(30)]
    share, low, high, count = win_share(split, "new")
    assert (share, count) == (pytest.approx(2 / 3), 90)
    assert low < 0.5 < high  # 60 of 90 would be sure, were the votes independent
    alone = win_share(split[:1], "new")
    assert alone[0] == 1.0
    assert np.isnan(win_share(split, "other")[0])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("model,row\na,b\n", "vote 1 has no 'winner'"),
        ("[1]", "vote 1 is no object"),
        ("{", "not JSON"),
        ("model,row,winner,rater,clip\n", "there are no votes"),
        ("model,row,winner,rater,clip,against\na,r,c,x,y,b\n", "the winner 'c' is neither model"),
    ],
)
def test_what_is_wrong_with_votes_is_named(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "votes").write_text(text)
    with pytest.raises(StoreError, match=words):
        read_votes(tmp_path / "votes")


def evaluation(passed: bool | None, **values: float) -> dict[str, Any]:
    edges = {"distillmos": ("at_least", 3.4), "wer_delta": ("at_most", 0.08)}
    measures = {n: {"value": v, edges[n][0]: edges[n][1], "judged": True} for n, v in values.items()}
    return {"model": "kathleen", "tier": "default", "gates": {"default": {"passed": passed, "measures": measures}}}


@pytest.mark.parametrize(
    ("data", "label"),
    [
        (evaluation(True, distillmos=3.7, wer_delta=0.05), "good"),
        (evaluation(False, distillmos=3.0, wer_delta=0.05), "poor_performance"),
        (evaluation(False, distillmos=3.0, wer_delta=0.9), "collapse"),
        (evaluation(None, distillmos=3.6), None),
    ],
)
def test_an_evaluation_labels_the_run_of_its_model(
    data: dict[str, Any], label: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "e.json").write_text(json.dumps({"models": [data], "source": {}}))
    with Store(tmp_path / "runs.db") as store:
        store.begin("run-1", model="kathleen")
    done = command(capsys, "label", "--evaluate", tmp_path / "e.json", "--store", tmp_path / "runs.db", "--json")
    assert done[0] == 0
    assert json.loads(done[1]) == {"labels": {"run-1": label} if label else {}}
    with Store(tmp_path / "runs.db") as store:
        run = store.run("run-1")
    assert run.label == label
    if label in ("good", "collapse"):
        assert (run.score > 0) == (label == "good")


def test_a_trainers_folder_labels_the_run_of_its_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outcome = pytest.importorskip("rtvoice.train.outcome")
    folder = tmp_path / "student-1f2e"
    folder.mkdir()
    outcome.write_run(folder, outcome={"label": "poor_generalisation", "by": "rules"}, held_out={"loss": 0.5})
    with Store(tmp_path / "runs.db") as store:
        store.begin(folder.name)
    done = command(capsys, "label", "--run-json", folder, "--store", tmp_path / "runs.db")
    assert done[:2] == (0, "student-1f2e: poor_generalisation\n")
    outcome.label(folder, "good", "listened to it")
    assert command(capsys, "label", "--run-json", folder, "--store", tmp_path / "runs.db")[0] == 0
    with Store(tmp_path / "runs.db") as store:
        run = store.run(folder.name)
    assert (run.label, run.label_source, run.score) == ("good", "person", -0.5)


# ---- pictures


def test_a_strip_shows_layers_over_time() -> None:
    layers = [
        {"layer": name, "step": step, "codes": np.array(codes, np.uint8)}
        for step in (1, 5)
        for name, codes in (("a", [ALWAYS, NEVER if step == 5 else VARIES]), ("b", [NEVER]))
    ]
    codes = strip(layers)
    assert codes.shape == (2 * 2 + 2 + 2, 12)
    assert codes[0, 0] == ALWAYS
    assert (codes[2, 0], codes[2, 11]) == (VARIES, NEVER)
    assert codes[-1, 0] == NEVER
    data = png(codes)
    width, height, depth, colour = struct.unpack(">IIBB", data[16:26])
    assert (width, height, depth, colour) == (12, 8, 8, 3)
    start = data.index(b"IDAT")
    length = struct.unpack(">I", data[start - 4 : start])[0]
    rows = np.frombuffer(zlib.decompress(data[start + 4 : start + 4 + length]), np.uint8).reshape(8, 13)
    np.testing.assert_array_equal(rows[:, 1:], codes)


class Page(HTMLParser):
    """Collects tags, and what they would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]


def test_the_report_is_one_file_that_fetches_nothing(
    filled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    html = tmp_path / "report.html"
    status, out, err = command(capsys, "report", "--store", filled, "--html", html)
    assert (status, err) == (0, "")
    assert "power_gap" in out and str(html) in out
    page = Page()
    text = html.read_text()
    page.feed(text)
    assert page.sources and all(source.startswith("data:image/png;base64,") for source in page.sources)
    assert not re.search(r"https?://|<script|@import|url\(", text)
    assert page.tags.count("img") == 24
    assert {"svg", "polyline", "table"} <= set(page.tags)
    assert base64.b64decode(page.sources[0].split(",")[1])[:4] == b"\x89PNG"


def test_the_report_is_drawn(filled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib", reason="the plot extra is not installed")
    assert command(capsys, "report", "--store", filled, "--picture", tmp_path / "a.png")[0] == 0
    data = (tmp_path / "a.png").read_bytes()
    assert data[:4] == b"\x89PNG" and len(data) > 20_000


@pytest.mark.parametrize(
    ("runs", "words"), [(1, "before runs have ended well and badly"), (0, "no run has an outcome yet")]
)
def test_a_report_of_too_little_says_what_is_missing(
    runs: int, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "runs.db"
    fill(path, runs=runs)
    with Store(path) as store:
        store.begin("unlabelled", project="p")
    status, out, err = command(capsys, "report", "--store", path)
    assert (status, err) == (0, "")
    assert f"{1 + runs} runs, {runs} with an outcome" in out
    assert words in out


def test_the_report_names_the_heuristic_that_tells(filled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = command(capsys, "report", "--store", filled, "--json")
    assert (status, err) == (0, "")
    report = json.loads(out)
    cells = {(row["heuristic"], row["fraction"]): row for row in report["table"]}
    gap, loss = cells["power_gap", 0.1], cells["loss", 0.1]
    assert (gap["n"], gap["bad"]) == (150, 75)
    assert gap["auc"] > 0.99 and gap["interval"][0] > 0.97 and gap["q"] < 1e-6
    assert gap["spearman"] < -0.5
    assert gap["gain_over_loss"]["gain"] > 0.3 and gap["gain_over_loss"]["interval"][0] > 0.2
    assert loss["q"] > 0.05
    (rule,) = report["rules"]["rules"]
    assert rule["heuristic"] == "power_gap" and rule["above"]
    together = report["rules"]["together"]
    assert together["precision"] >= 0.95 and together["recall"] > 0.9
    assert together["saved_hours"] == pytest.approx(0.95 * 75 * 90 / 3600, rel=0.1)
    assert report["outcomes"] == {"collapse": 75, "poor_generalisation": 0, "poor_performance": 0, "good": 75}


# ---- commands


def test_rules_are_kept_for_new_runs_of_the_project(
    filled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out_file = tmp_path / "rules.json"
    status, out, _ = command(capsys, "rules", "--store", filled, "--learn", "--out", out_file, "--json")
    assert status == 0
    learned = json.loads(out)
    assert [rule["heuristic"] for rule in learned["in_use"]] == ["power_gap"]
    assert json.loads(out_file.read_text())["rules"] == learned["in_use"]
    with Store(filled) as store:
        assert len(store.rules("p")) == 1
    command(capsys, "rules", "--store", filled, "--forget")
    with Store(filled) as store:
        assert store.rules("p") == []


def test_runs_are_listed(filled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = command(capsys, "runs", "--store", filled, "--json")
    runs = json.loads(out)["runs"]
    assert (status, len(runs)) == (0, 150)
    assert {"id", "label", "score", "status", "overhead", "config"} <= set(runs[0])


@pytest.mark.parametrize("action", ["report", "rules", "runs", "label", "votes", "spare", "sweep", "overhead"])
def test_every_action_has_help_with_an_example(action: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = command(capsys, action, "--help")
    assert (status, err) == (0, "")
    assert f"example:\n  rtvoice monitor {action}" in out


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (["report", "--store", "none.db"], 1, "there is no run store"),
        (["report", "--store", "FILLED", "--project", "q"], 1, "there is no project 'q'; projects: p"),
        (["report", "--store", "FILLED", "--precision", "2"], 2, "not between 0 and 1"),
        (["report", "--store", "FILLED", "--picture", "x.txt"], 2, "end it in .png"),
        (["label", "--store", "FILLED"], 2, "give a run and a label"),
        (["label", "run-000", "bad", "--store", "FILLED"], 1, "'bad' is no outcome"),
        (["label", "run-x", "good", "--store", "FILLED"], 1, "there is no run 'run-x'"),
        (["label", "--evaluate", "none.json", "--store", "FILLED"], 1, "none.json: no such file"),
        (["votes", "none.csv", "--store", "FILLED"], 1, "none.csv: no such file"),
        (["spare", "run-x", "--store", "FILLED"], 1, "there is no run 'run-x'"),
        (["rules", "--learn", "--forget", "--store", "FILLED"], 2, "keep one"),
        (["sweep", "--teacher", "none"], 1, "no index.json"),
        ([], 2, "ACTION"),
    ],
    ids=lambda value: " ".join(value[:3]) if isinstance(value, list) else None,
)
def test_mistakes_are_one_line(
    words: list[str], status: int, told: str, filled: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if words[:1] == ["sweep"]:
        pytest.importorskip("torch", reason="the train extra is not installed")
        pytest.importorskip("pyworld", reason="the train extra is not installed")
    failed(command(capsys, *(str(filled) if word == "FILLED" else word for word in words)), status, told)


def test_a_store_of_two_projects_asks_which(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Store(tmp_path / "runs.db") as store:
        store.begin("a", project="one")
        store.begin("b", project="two")
    failed(command(capsys, "report", "--store", tmp_path / "runs.db"), 1, "it has one, two; name one with --project")
    assert command(capsys, "report", "--store", tmp_path / "runs.db", "--project", "one", "--json")[0] == 0


def test_an_optuna_study_prunes_what_a_rule_has_met(tmp_path: Path) -> None:
    optuna = pytest.importorskip("optuna", reason="optuna is not installed: the pruner is not tested")
    from rtvoice.train.monitor.optuna_pruner import RUN, MonitorPruner

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    path = tmp_path / "runs.db"
    with Store(path) as store:
        for name, action in (("t0", None), ("t1", "shadow"), ("t2", "survivor"), ("t3", "kill")):
            store.begin(name)
            if action:
                store.decide(name, 5, 0.1, "loss > 1 at 10%", 2.0, action, "it is", 1.0)

    def objective(trial: Any) -> float:
        trial.set_user_attr(RUN, f"t{trial.number}")
        trial.report(1.0, 1)
        if trial.should_prune():
            raise optuna.TrialPruned
        return 1.0

    study = optuna.create_study(pruner=MonitorPruner(path))
    study.optimize(objective, n_trials=4)
    assert [t.state.name for t in study.trials] == ["COMPLETE", "PRUNED", "COMPLETE", "PRUNED"]
    study = optuna.create_study(pruner=MonitorPruner(path, shadow=False))
    study.optimize(objective, n_trials=4)
    assert [t.state.name for t in study.trials] == ["COMPLETE", "COMPLETE", "COMPLETE", "PRUNED"]
    both = MonitorPruner(path, inner=optuna.pruners.ThresholdPruner(upper=0.5))
    study = optuna.create_study(pruner=both)
    study.optimize(objective, n_trials=1)
    assert study.trials[0].state.name == "PRUNED"


def test_a_store_waits_for_another_that_is_being_made(tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "runs.db", isolation_level=None, check_same_thread=False)
    other.execute("CREATE TABLE others (id INTEGER)")
    other.execute("BEGIN IMMEDIATE")
    release = threading.Timer(0.3, other.rollback)
    release.start()
    with Store(tmp_path / "runs.db") as store:
        assert store.runs() == []
    release.join()
    other.close()
