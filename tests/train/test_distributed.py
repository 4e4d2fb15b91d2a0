"""Several processes train as one does with the same whole batch."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from rtvoice.train.runner import part, step_rng  # noqa: E402
from trainer import environment, run_here  # noqa: E402

#: Two processes sum their gradients in another order: the curves may part by rounding, and no more.
ROUNDING = 1e-5


def test_two_processes_have_the_curve_of_one(recipe: Path, tmp_path: Path) -> None:
    # Dropout draws differ by process; all else must not.
    words = [recipe, "--stage", "student.hq", "--set", "student.dropout=0", "--set", "master.dropout=0"]
    words += ["--set", "student.training.accumulate=2"]
    assert run_here(*words, "--cache", tmp_path / "one") == 0
    program = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*program, "-m", "rtvoice", "train", *map(str, words), "--cache", str(tmp_path / "two"), "--json"],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for stage in ("master", "student.hq"):
        curves = []
        for cache in ("one", "two"):
            (log,) = (tmp_path / cache).glob(f"{stage}-*/log.jsonl")
            curves.append([json.loads(line) for line in log.read_text().splitlines()])
        assert len(curves[0]) == len(curves[1]) > 20
        for one, two in zip(*curves, strict=True):
            for name in ("loss", "gradient_norm", "rate", "adversary_loss"):
                assert two.get(name) == (None if one.get(name) is None else pytest.approx(one[name], rel=ROUNDING))
            assert ("held_out" in two) == ("held_out" in one)
        end = [curve[-1]["held_out"]["loss"] for curve in curves]
        assert end[1] == pytest.approx(end[0], rel=10 * ROUNDING)
    # Rendering was shared between the two, and is whole.
    told = json.loads(next((tmp_path / "two").glob("render-*/stage.json")).read_text())
    assert told["shards"] == 2 and told["figures"]["pairs"] == 256
    assert len(list((tmp_path / "two").glob("render-*/part-*.npz"))) == 2
    shown = json.loads(done.stdout)
    assert shown["ran"] == ["prepare", "master", "render", "student.hq"]


@pytest.mark.slow
def test_two_killed_processes_go_on_to_the_same_bit(
    recipe: Path, tmp_path: Path, curve: Callable[[Path], list[dict[str, Any]]]
) -> None:
    program = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    words = [*program, "-m", "rtvoice", "train", str(recipe), "--stage", "master"]
    words += ["--set", "master.training.checkpoint_minutes=1e-9", "--cache"]
    for cache, more, extra in (
        ("whole", [], {}),
        ("killed", [], {"TINY_KILL_AT": "27"}),
        ("killed", ["--resume"], {}),
    ):
        done = subprocess.run(
            [*words, str(tmp_path / cache), *more],
            env=environment(**extra),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert (done.returncode == 0) == (not extra), done.stderr
    folders = [next((tmp_path / cache).glob("master-*")) for cache in ("whole", "killed")]
    assert curve(folders[0]) == curve(folders[1])


def test_the_parts_of_a_batch_make_the_whole() -> None:
    rows = list(step_rng(3, 17).integers(0, 1000, 24))
    parts = [list(part(rows, rank, 4)) for rank in range(4)]
    assert sorted(sum(parts, [])) == sorted(rows)
    assert {len(p) for p in parts} == {6}
    with pytest.raises(ValueError, match="multiple"):
        part(rows, 0, 5)
    assert list(step_rng(3, 17).integers(0, 1000, 24)) == rows
    assert list(step_rng(3, 18).integers(0, 1000, 24)) != rows
