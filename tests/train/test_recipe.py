"""A recipe's mistakes are found before anything runs, and named with line and remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the train extra is not installed")

from rtvoice.train.recipe import RecipeError, graph_of, load  # noqa: E402
from tiny_stages import DataParams, FitParams  # noqa: E402
from trainer import RECIPE, run_here  # noqa: E402


def write(tmp_path: Path, text: str) -> Path:
    (tmp_path / "r.toml").write_text(text)
    return tmp_path / "r.toml"


def line_of(text: str, part: str) -> int:
    return next(i for i, line in enumerate(text.splitlines(), 1) if part in line)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("width = 16", "widht = 16", "[master] has no key 'widht'; the nearest is 'width'"),
        ("width = 16", 'width = "wide"', "[master] width = 'wide' is not a whole number"),
        ("width = 16", "width = true", "[master] width = True is not a whole number"),
        ("examples = 256", "[prepare.x]", "[prepare] has no key 'x'; keys: examples, noise, workers"),
        ("rate = 5e-3", "rate = -1.0", "rate = -1.0 must be above 0"),
        ("steps = 20\nadversarial", "stepps = 20\nadversarial", "has no key 'stepps'; the nearest is 'steps'"),
        ('name = "tiny"', 'name = "Tiny Skin"', "use small letters"),
        ('tiers = ["default", "hq"]', 'tiers = "hq"', "tiers = 'hq' is not a list, each a string"),
        ("[student.hq]\nwidth = 12", "[student.hq]\nwidht = 12", "[student.hq] has no key 'widht'"),
    ],
)
def test_a_wrong_value_is_named_with_its_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = RECIPE.replace(old, new, 1)
    path = write(tmp_path, text)
    with pytest.raises(RecipeError) as caught:
        recipe = load(path)
        recipe.params("prepare", DataParams)
        recipe.params("master", FitParams)
        recipe.params("student", FitParams, "hq")
    assert message in str(caught.value)
    if "phases" not in str(caught.value):
        assert f"{path} line {line_of(text, new.splitlines()[-1])}" in str(caught.value)


def test_a_table_of_no_stage_is_named_with_the_nearest(tmp_path: Path) -> None:
    path = write(tmp_path, RECIPE + "\n[studnet]\nwidth = 3\n")
    with pytest.raises(RecipeError, match=r"line 32: there is no stage \[studnet\]; the nearest is 'student'"):
        graph_of(load(path))


def test_a_budget_says_at_the_start_what_it_does_not_bound(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [recipe, "--stage", "student.hq", "--budget", "2s", "--cache", tmp_path / "cache"]
    assert run_here(*words) == 0
    first = next(line for line in capsys.readouterr().err.splitlines() if "budget" in line)
    assert first == (
        "the budget of 2 s is for the trainings; beside it: prepare (never run here: unknown), "
        "render (never run here: unknown)"
    )
    assert run_here(*words, "--set", "prepare.examples=128") == 0
    again = next(line for line in capsys.readouterr().err.splitlines() if "budget" in line)
    assert "prepare about 0 s, render about 0 s; in all about 2 s" in again
    assert run_here(*words) == 0  # all is there: nothing to tell
    assert "budget" not in capsys.readouterr().err


def test_a_tier_lies_over_what_is_common(tmp_path: Path) -> None:
    recipe = load(write(tmp_path, RECIPE))
    assert recipe.params("student", FitParams, "default").width == 8
    assert recipe.params("student", FitParams, "hq").width == 12
    assert recipe.params("master", FitParams).phases[1].adversarial


def test_part_of_a_table_keeps_the_rest_of_the_stages_own_default(tmp_path: Path) -> None:
    recipe = load(write(tmp_path, RECIPE), ["master.training.clip=0.5"])
    training = recipe.params("master", FitParams).training
    assert (training.clip, training.every, training.average) == (0.5, 1, 0.9)


def test_values_can_be_changed_from_the_command_line(tmp_path: Path) -> None:
    recipe = load(write(tmp_path, RECIPE), ["student.hq.width=99", "skin.description=a voice"])
    assert recipe.params("student", FitParams, "hq").width == 99
    assert recipe.skin.description == "a voice"
    with pytest.raises(RecipeError, match="--set student.hq.widht=9.*nearest is 'width'"):
        load(write(tmp_path, RECIPE), ["student.hq.widht=9"]).params("student", FitParams, "hq")
    with pytest.raises(RecipeError, match="write it as table.key=value"):
        load(write(tmp_path, RECIPE), ["width=9"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[skin\n", "not TOML"),
        ("width = 3\n", "no table [skin]"),
        ("[skin]\n", "lacks the key 'name' (a string)"),
        ('[skin]\nname = "x"\nstages = "no_such_stages"\n', "there is no module 'no_such_stages'"),
    ],
)
def test_a_file_that_is_no_recipe_is_one_clear_line(
    tmp_path: Path, text: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_here(write(tmp_path, text), "--dry-run") == 1
    err = capsys.readouterr().err
    assert message in err and len(err.splitlines()) == 1


def test_wrong_usage_ends_with_2(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (
        ("--budget", "soon"),
        ("--shard", "3/3"),
        ("--stages", "x"),
        ("--name", "x"),
        ("--target", ".", "--name", "x"),
        ("--stage", "studnet"),
        ("--tier", "huge"),
        ("--set", "width=3"),
        ("--threads", "0"),
    ):
        assert run_here(recipe, *words) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_recipe_stands_on_its_base(tmp_path: Path) -> None:
    (tmp_path / "below.toml").write_text('[skin]\nlicence = "CC0-1.0"\n[master]\nwidth = 8\nlayers = 2\n')
    path = write(tmp_path, '[skin]\nbase = "below.toml"\nname = "top"\n[master]\nwidth = 16\n')
    recipe = load(path, ["master.depth=3"])
    assert (recipe.skin.name, recipe.skin.licence) == ("top", "CC0-1.0")
    assert recipe.tables == {"master": {"width": 16, "layers": 2, "depth": 3}}


@pytest.mark.parametrize(
    ("base", "message"),
    [("gone.toml", "there is no file"), ("twice.toml", "has a base itself; one step is all")],
)
def test_a_base_that_cannot_be_used_is_named(tmp_path: Path, base: str, message: str) -> None:
    (tmp_path / "twice.toml").write_text('[skin]\nbase = "below.toml"\n')
    path = write(tmp_path, f'[skin]\nbase = "{base}"\nname = "top"\n')
    with pytest.raises(RecipeError) as caught:
        load(path)
    assert message in str(caught.value) and str(path) in str(caught.value)


def test_skins_that_ship_share_their_master() -> None:
    recipes = Path(__file__).parents[2] / "models" / "recipes"
    if not recipes.is_dir():
        pytest.skip("the repository's recipes are not beside the tests")
    tables = [dict(load(recipes / f"{name}.toml").tables) for name in ("kathleen", "onyx", "heart")]
    voices = [table.pop("render")["voice"] for table in tables]
    assert voices == ["kathleen", "onyx", "heart"]
    assert tables[0] == tables[1] == tables[2]
