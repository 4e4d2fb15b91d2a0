"""A finished training queues its comparison with the champion; what is voted there comes back as its outcome."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest
import soundfile

pytest.importorskip("torch", reason="the train extra is not installed")
pytest.importorskip("rtvoice_studio.server", reason="rtvoice-studio is not installed (pip install ./studio)")

import commands  # noqa: E402
from rtvoice.train.monitor.outcomes import join_votes, read_votes  # noqa: E402
from rtvoice.train.monitor.store import Store  # noqa: E402
from rtvoice_studio import command  # noqa: E402
from rtvoice_studio.tables import as_csv, table  # noqa: E402
from small_model import build_model  # noqa: E402
from speech_like import voice_like  # noqa: E402
from trainer import run_here  # noqa: E402

RECIPE = """\
[skin]
name = "tiny"
stages = "tiny_skin"
tiers = ["default"]
consent = "made of random numbers"
"""


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    folder = tmp_path / "clips"
    folder.mkdir()
    for i in range(6):
        soundfile.write(folder / f"clip{i}.wav", voice_like(0.6, 120 + 20 * i, seed=i), 16000)
    return folder


@pytest.fixture
def train(tmp_path: Path, clips: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run the recipe, with more in it or beside it."""
    monkeypatch.setenv("RTVOICE_COMPARE", str(tmp_path / "store"))
    (tmp_path / "tiny.toml").write_text(RECIPE)

    def run(*words: Any, recipe: str = "", status: int = 0) -> tuple[dict[str, Any], str]:
        (tmp_path / "tiny.toml").write_text(RECIPE + recipe)
        capsys.readouterr()
        assert run_here(tmp_path / "tiny.toml", "--cache", tmp_path / "cache", "--json", *words) == status
        said = capsys.readouterr()
        return json.loads(said.out) if said.out else {}, said.err

    return run


def vote(store: command.Store, slug: str, rater: str, choice: str) -> None:
    session = store.session(slug)
    assert session is not None
    for trial in store.trials(session, rater):
        if trial["kind"] == "trap":
            continue
        common = {"trial": trial["id"], "dimension": "champion", "choice": choice, "blind": True, "mode": "rows"}
        counted = {"plays": {}, "heard_ms": {}, "dwell_ms": 1.0, "matched": True, "device": "", "version": ""}
        store.add_votes([{"uid": str(uuid.uuid4()), "side": "1", **common, **counted}])


def test_a_training_queues_its_comparison_and_its_votes_become_its_outcome(
    train: Any, clips: Path, tmp_path: Path
) -> None:
    champion = build_model(tmp_path / "champion.rtv", name="old")
    told, _ = train("--compare", champion, "--compare-clips", clips)
    (queued,) = told["comparisons"]
    run = next((tmp_path / "cache").glob("student.default-*")).name
    assert (queued["a"], queued["b"]) == ("old (default)", f"{run} (default)")
    # Nothing is trained again, so nothing is queued again.
    assert train("--compare", champion, "--compare-clips", clips)[0]["comparisons"] == []

    store = command.Store(tmp_path / "store")
    (listed,) = command.listed(store)
    assert (listed["slug"], listed["queued_by"], listed["votes"]) == (queued["session"], run, 0)
    assert run in commands.run("compare", "--list").out
    session = store.session(queued["session"])
    assert session is not None
    assert session["baseline"] == "a"
    for rater in ("ann", "bob", "cy"):
        vote(store, queued["session"], rater, "b")
    assert command.listed(store)[0]["votes"] == 3 * 6
    runs = tmp_path / "cache" / "runs.db"
    said = commands.run("monitor", "votes", tmp_path / "store", "--store", runs, "--json").json
    assert said["labels"] == {run: "good"}
    # Minds change, and so does the outcome: an answer counts once, as it stands.
    for rater in ("ann", "bob", "cy"):
        vote(store, queued["session"], rater, "a")
    with Store(runs) as watched:
        assert watched.add_votes(read_votes(tmp_path / "store" / "studio.db")) == 3 * 6
        assert join_votes(watched) == {run: "poor_performance"}
        row = watched.run(run)
        assert (row.label, row.label_source, row.score) == ("poor_performance", "votes", 0.0)
    # The page's own file of counted votes says the same.
    (tmp_path / "votes.csv").write_text(as_csv(table(store, session, counted=True)))
    counted = read_votes(tmp_path / "votes.csv")
    assert {(row["model"], row["winner"]) for row in counted} == {(run, "old (default)")}
    assert len(counted) == 3 * 6
    # And is no second copy of it, whichever way it comes.
    with Store(runs) as watched:
        assert watched.add_votes(counted) == 0
    store.close()


def test_best_is_what_the_votes_put_first_and_a_recipe_can_ask_for_it(train: Any, clips: Path, tmp_path: Path) -> None:
    first = build_model(tmp_path / "first.rtv", name="tiny")
    told, _ = train("--compare", first, "--compare-clips", clips)
    store = command.Store(tmp_path / "store")
    vote(store, told["comparisons"][0]["session"], "ann", "b")
    better = told["comparisons"][0]["b"]
    asked = f'\n[compare]\nchampion = "best"\nclips = "{clips.as_posix()}"\n'
    told, _ = train("--set", "student.width=8", recipe=asked)
    (queued,) = told["comparisons"]
    assert queued["a"] == better
    assert queued["b"] != better
    store.close()


@pytest.mark.parametrize(
    ("words", "recipe", "said"),
    [
        (["--compare", "best"], "", "--compare-clips DIR go together"),
        (["--compare", "best", "--compare-clips", "CLIPS"], "", "no default model of tiny was ever compared"),
        (["--compare", "none.rtv", "--compare-clips", "CLIPS"], "", "none.rtv"),
        ([], '[compare]\nchampion = "best"\nclips = "nowhere"\n', "nowhere is no folder of recordings"),
        ([], '[compare]\nchampion = "best"\n', "[compare] lacks the key 'clips'"),
        ([], '[compare]\nchampions = "best"\n', "the nearest is 'champion'"),
    ],
)
def test_what_cannot_be_compared_is_told_before_the_training(
    words: list[str], recipe: str, said: str, train: Any, clips: Path, tmp_path: Path
) -> None:
    words = [str(clips) if word == "CLIPS" else word for word in words]
    # A recipe with a wrong key is a file that is unfit; the rest is wrong usage.
    status = 1 if "clips =" not in recipe and recipe else 2
    assert said in train(*words, recipe=recipe, status=status)[1]
    assert not list((tmp_path / "cache").glob("student*"))
