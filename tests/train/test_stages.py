"""The stage graph: what is made once is not made again, and what changed is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="the train extra is not installed")

from rtvoice.train import digest, runner  # noqa: E402
from rtvoice.train import recipe as recipes  # noqa: E402
from rtvoice.train.plan import Options, make_plan  # noqa: E402
from rtvoice.train.stages import Graph, Stage  # noqa: E402
from tiny_stages import GRAPH, DataParams  # noqa: E402
from trainer import run_here  # noqa: E402

SHORT = ["--set", "student.phases=[{steps=3,warm_up=1}]", "--set", "master.phases=[{steps=3,warm_up=1}]"]


def status(recipe: Path, cache: Path, *changes: str, **options: Any) -> dict[str, str]:
    loaded = recipes.load(recipe, [*SHORT[1::2], *changes])
    plan = make_plan(GRAPH, loaded, Options(cache, **options))
    return {step.name: step.status for step in plan.steps}


@pytest.fixture
def done(recipe: Path, tmp_path: Path) -> Path:
    cache = tmp_path / "cache"
    assert run_here(recipe, "--cache", cache, *SHORT) == 0
    assert set(status(recipe, cache).values()) == {"cached"}
    return cache


def test_changing_a_stage_keeps_all_before_it(recipe: Path, done: Path) -> None:
    assert status(recipe, done, "student.hq.width=20") == {
        "prepare": "cached",
        "master": "cached",
        "render": "cached",
        "student.default": "cached",
        "student.hq": "run",
    }
    changed = status(recipe, done, "master.width=20")
    assert changed == {
        "prepare": "cached",
        "master": "run",
        "render": "run",
        "student.default": "run",
        "student.hq": "run",
    }
    assert set(status(recipe, done, "prepare.examples=128").values()) == {"run"}


def test_a_tier_that_grows_from_another_comes_after_it(recipe: Path, done: Path) -> None:
    loaded = recipes.load(recipe, [*SHORT[1::2], "student.hq.grown_from=default"])
    plan = make_plan(GRAPH, loaded, Options(done))
    steps = {step.name: step for step in plan.steps}
    assert steps["student.hq"].status == "run"
    assert steps["student.hq"].inputs["grown_from"] == steps["student.default"].folder
    assert "grown_from" not in steps["student.default"].inputs
    alone = make_plan(GRAPH, loaded, Options(done, stage="student.hq", tiers=("hq",)))
    assert [step.name for step in alone.steps][-2:] == ["student.default", "student.hq"]
    changed = status(recipe, done, "student.hq.grown_from=default", "student.default.width=20")
    assert (changed["student.default"], changed["student.hq"]) == ("run", "run")


@pytest.mark.parametrize(("tier", "below"), [("hq", "hq"), ("hq", "large"), ("default", "hq")])
def test_a_tier_grows_from_one_before_it_only(recipe: Path, tmp_path: Path, tier: str, below: str) -> None:
    loaded = recipes.load(recipe, [f"student.{tier}.grown_from={below}"])
    with pytest.raises(recipes.RecipeError, match="is no tier before"):
        make_plan(GRAPH, loaded, Options(tmp_path))


def test_what_only_says_how_to_run_changes_nothing(recipe: Path, done: Path) -> None:
    assert set(status(recipe, done, "prepare.workers=4", "master.training.every=7").values()) == {"cached"}


def test_the_seed_belongs_to_trainings_only(recipe: Path, done: Path) -> None:
    changed = status(recipe, done, seed=5)
    assert changed["prepare"] == "cached" and changed["master"] == "run"


def test_a_missing_result_is_made_again_and_no_more(recipe: Path, done: Path) -> None:
    (folder,) = done.glob("student.hq-*")
    (folder / "stage.json").unlink()
    found = status(recipe, done)
    assert found.pop("student.hq") == "resume"
    assert set(found.values()) == {"cached"}


def test_only_code_that_does_something_changes_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    source = tmp_path / "some_stage.py"
    source.write_text('"""A."""\ndef f(x):\n    """Doc."""\n    return x + 1  # one\n')
    first = digest.source_digest(["some_stage"])
    source.write_text('"""Another."""\n\n\ndef f(x):\n    return (x + 1)\n')
    assert digest.source_digest(["some_stage"]) == first
    source.write_text("def f(x):\n    return x + 2\n")
    assert digest.source_digest(["some_stage"]) != first
    with pytest.raises(ValueError, match="no_such_module"):
        digest.source_digest(["no_such_module"])


def test_results_of_other_source_count_when_asked(recipe: Path, done: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digest, "source_digest", lambda modules: "changed")
    assert status(recipe, done)["master"] == "run"
    kept = status(recipe, done, reuse=("prepare", "master"))
    assert kept == {
        "prepare": "cached",
        "master": "cached",
        "render": "run",
        "student.default": "run",
        "student.hq": "run",
    }
    assert set(status(recipe, done, reuse=("all",)).values()) == {"cached"}


def test_a_training_goes_on_under_other_source_when_asked(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    words = (recipe, "--cache", cache, "--stage", "master")
    assert run_here(*words) == 0
    (folder,) = cache.glob("master-*")
    (folder / "stage.json").unlink()  # as if it had been killed at the very end
    monkeypatch.setattr(digest, "source_digest", lambda modules: "changed")
    loaded = recipes.load(recipe)
    for options in ({"reuse": ("all",)}, {"resume": True}):
        steps = make_plan(GRAPH, loaded, Options(cache, stage="master", **options)).steps
        assert (steps[-1].status, steps[-1].folder == folder) == ("run", False)
    steps = make_plan(GRAPH, loaded, Options(cache, stage="master", resume=True, reuse=("all",))).steps
    assert (steps[-1].status, steps[-1].folder) == ("resume", folder)
    assert run_here(*words, "--resume", "--reuse", "all") == 0
    assert (folder / "stage.json").is_file() and len(list(cache.glob("master-*"))) == 1


def test_a_master_trained_under_a_budget_serves_its_students(recipe: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    assert run_here(recipe, "--cache", cache, "--stage", "master", "--budget", "1s", *SHORT) == 0
    assert status(recipe, cache, stage="student.hq")["master"] == "cached"
    assert status(recipe, cache, stage="master")["master"] == "run"  # asked for by name: the recipe's own length
    assert status(recipe, cache, stage="master", budget=1.0)["master"] == "cached"
    assert status(recipe, cache, stage="master", budget=2.0)["master"] == "run"


def test_a_longer_budget_goes_on_from_a_shorter_one(recipe: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    words = (recipe, "--cache", cache, "--stage", "master")
    assert run_here(*words, "--budget", "1s") == 0
    assert run_here(*words, "--budget", "2s", "--resume") == 0
    runs = [json.loads((folder / "run.json").read_text()) for folder in cache.glob("master-*")]
    short, long = sorted(runs, key=lambda run: run["budget"])
    assert long["steps"] > short["steps"]
    assert 0.9 < short["seconds"] < 1.6 and 1.8 < long["seconds"] < 2.7
    (folder,) = (f for f in cache.glob("master-*") if json.loads((f / "run.json").read_text())["budget"] == 2)
    steps = [json.loads(line)["step"] for line in (folder / "log.jsonl").read_text().splitlines()]
    assert steps == sorted(set(steps)) and steps[0] == 0


def test_a_budget_is_shared_by_what_is_left_to_train(recipe: Path, tmp_path: Path) -> None:
    plan = make_plan(GRAPH, recipes.load(recipe), Options(tmp_path, budget=400.0))
    shares = {step.name: step.estimate for step in plan.to_run if step.node.stage.training}
    assert shares == {"master": 200.0, "student.default": 100.0, "student.hq": 100.0}  # the master weighs two


def test_shards_on_several_machines_make_one_result(recipe: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    words = (recipe, "--cache", cache, "--stage", "render", *SHORT)
    assert run_here(*words, "--shard", "0/3") == 0
    (folder,) = cache.glob("render-*")
    assert not (folder / "stage.json").exists()
    assert run_here(*words, "--shard", "2/3") == 0
    assert not (folder / "stage.json").exists()
    assert run_here(*words, "--shard", "1/3") == 0
    told = json.loads((folder / "stage.json").read_text())
    assert told["figures"]["pairs"] == 256 and told["shards"] == 3


def test_the_time_with_and_without_the_cache_is_told(
    recipe: Path, done: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    changed = ("--set", "student.hq.width=20", "--tier", "hq")
    assert run_here(recipe, "--cache", done, *SHORT, *changed, "--dry-run", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    spent = {stage["stage"]: stage["seconds"] for stage in told["stages"]}
    assert [stage["status"] for stage in told["stages"]] == ["cached", "cached", "cached", "run"]
    assert spent["master"] > 0 and told["stages"][-1]["estimate_seconds"] > 0
    saved = spent["prepare"] + spent["master"] + spent["render"]
    assert told["seconds_without_cache"] == pytest.approx(told["seconds_with_cache"] + saved)
    assert len(list(done.glob("student.hq-*"))) == 1  # nothing was run


def test_products_land_in_the_skins_folder(
    recipe: Path, done: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert run_here(recipe, "--cache", done, *SHORT, "--out", tmp_path / "out", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["ran"] == []
    assert sorted(told["products"]) == [str(tmp_path / "out" / "tiny" / f"{t}.txt") for t in ("default", "hq")]


def test_a_graph_refuses_what_it_cannot_order() -> None:
    def run(ctx: Any) -> None: ...

    with pytest.raises(ValueError, match="'b', which is not among the stages before"):
        Graph([Stage("a", run, ("b",)), Stage("b", run)])
    with pytest.raises(ValueError, match="two stages are named 'a'"):
        Graph([Stage("a", run), Stage("a", run)])


def test_a_stage_that_reads_recordings_asks_for_them(recipe: Path, tmp_path: Path) -> None:
    def run(ctx: Any) -> None: ...

    def which(params: DataParams, folder: Path) -> str:
        return digest.folder_digest(folder)

    graph = Graph([Stage("prepare", run, params=DataParams, data=which)])
    text = '[skin]\nname = "x"\n'
    (tmp_path / "x.toml").write_text(text)
    loaded = recipes.load(tmp_path / "x.toml")
    with pytest.raises(ValueError, match="--data DIR"):
        make_plan(graph, loaded, Options(tmp_path / "cache"))
    keys = set()
    for size in (10, 11):
        (tmp_path / "speech").mkdir(exist_ok=True)
        (tmp_path / "speech" / "a.wav").write_bytes(bytes(size))
        keys.add(make_plan(graph, loaded, Options(tmp_path / "cache", data=tmp_path / "speech")).steps[0].key)
    assert len(keys) == 2


def test_weights_of_a_folder_without_a_training_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no training has ended there"):
        runner.weights(tmp_path)


def test_a_folder_that_is_given_stands_for_its_stage(recipe: Path, done: Path, tmp_path: Path) -> None:
    shipped = next(done.glob("master-*"))
    plan = status(recipe, tmp_path / "elsewhere", given={"master": shipped})
    assert plan["master"] == "given"
    assert plan["render"] == "run"
    with pytest.raises(recipes.UsageError, match="there is no stage 'mastr'"):
        status(recipe, tmp_path / "elsewhere", given={"mastr": shipped})
