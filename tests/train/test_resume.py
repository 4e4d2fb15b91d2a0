"""A training that is ended at any moment goes on as if it had not been."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="the train extra is not installed")

import torch  # noqa: E402

from trainer import RECIPE, run_here, start  # noqa: E402

Curve = Callable[[Path], list[dict[str, Any]]]


def only(cache: Path, stage: str) -> Path:
    (found,) = cache.glob(f"{stage}-*")
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training that nothing disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "tiny.toml").write_text(RECIPE)
    assert run_here(folder / "tiny.toml", "--stage", "master", "--cache", folder / "cache") == 0
    return only(folder / "cache", "master")


@pytest.mark.parametrize("at", [7, 31])
def test_a_killed_training_gives_the_same_curve_bit_for_bit(
    at: int, whole: Path, recipe: Path, tmp_path: Path, curve: Curve
) -> None:
    cache = tmp_path / "cache"
    often = ("--set", "master.training.checkpoint_minutes=1e-9")
    words = (recipe, "--stage", "master", "--cache", cache, *often)
    killed = start(*words, TINY_KILL_AT=str(at))
    _, err = killed.communicate(timeout=120)
    assert killed.returncode == -signal.SIGKILL, err
    folder = only(cache, "master")
    assert folder.name == whole.name
    assert not (folder / "stage.json").exists()
    # What a kill in the middle of writing leaves behind must not matter either.
    (folder / ".checkpoint.pt.1.part").write_bytes(b"half")
    with (folder / "log.jsonl").open("a") as log:
        log.write('{"step": 99, "loss": 1}\n{"step": 100, "lo')
    assert run_here(*words, "--resume") == 0
    assert curve(folder) == curve(whole)
    ours, theirs = torch.load(folder / "weights.pt"), torch.load(whole / "weights.pt")
    for name, tensor in theirs["models"]["net"].items():
        assert torch.equal(tensor, ours["models"]["net"][name])
    assert not list(folder.glob(".checkpoint*.part"))


def test_ctrl_c_ends_with_a_checkpoint_and_says_how_to_go_on(
    whole: Path, recipe: Path, tmp_path: Path, curve: Curve
) -> None:
    cache = tmp_path / "cache"
    words = (recipe, "--stage", "master", "--cache", cache)
    running = start(*words, TINY_SLEEP="0.05")
    limit = time.monotonic() + 60
    while time.monotonic() < limit:
        logs = list(cache.glob("master-*/log.jsonl"))
        if logs and len(logs[0].read_text().splitlines()) > 3:
            break
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=120)
    assert running.returncode == 130
    assert "--resume" in err and "Traceback" not in err
    folder = only(cache, "master")
    assert json.loads((folder / "run.json").read_text())["ended"] == "interrupted"
    assert run_here(*words) == 2  # neither --resume nor --restart: refused, not thrown away
    assert run_here(*words, "--resume") == 0
    assert curve(folder) == curve(whole)


def test_two_runs_from_a_seed_are_equal_and_another_seed_is_not(
    whole: Path, recipe: Path, tmp_path: Path, curve: Curve
) -> None:
    for seed in (0, 1):
        assert run_here(recipe, "--stage", "master", "--cache", tmp_path / "cache", "--seed", seed) == 0
    curves = {folder.name: curve(folder) for folder in (tmp_path / "cache").glob("master-*")}
    assert len(curves) == 2
    assert curves.pop(whole.name) == curve(whole)
    (other,) = curves.values()
    assert other != curve(whole)


def test_a_damaged_checkpoint_is_named(recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = (recipe, "--stage", "master", "--cache", tmp_path / "cache")
    assert run_here(*words) == 0
    folder = only(tmp_path / "cache", "master")
    (folder / "stage.json").unlink()
    (folder / "checkpoint.pt").write_bytes(b"not a checkpoint")
    assert run_here(*words, "--resume") == 1
    assert "checkpoint.pt is not a checkpoint that can be read" in capsys.readouterr().err
