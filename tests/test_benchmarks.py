"""The comparison with other engines runs, and its page holds every row of the target table."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]
COMPARE = ROOT / "benchmarks" / "compare"
RESULTS = ROOT / "benchmarks" / "results" / "comparison.json"


@pytest.fixture(scope="module", autouse=True)
def compare_on_the_path() -> Iterator[None]:
    sys.path.insert(0, str(COMPARE))
    yield
    sys.path.remove(str(COMPARE))


def module(name: str) -> ModuleType:
    return importlib.import_module(name)


def test_one_row_runs_and_its_outputs_agree(tmp_path: Path) -> None:
    native = module("native")
    try:
        native.library_path()
        native.onnxruntime_library()
    except native.Missing as missing:
        pytest.skip(str(missing))
    out = tmp_path / "one.json"
    command = [sys.executable, str(COMPARE), "measure", "--parts", "networks", "--rows", "gru128", "--rounds", "3"]
    done = subprocess.run(
        [*command, "--quick", "--out", str(out)],
        capture_output=True,
        text=True,
        env=dict(os.environ),
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    row = json.loads(out.read_text())["parts"]["networks"]["rows"]["gru128"]
    assert {"rtvoice", "onnxruntime conv", "onnxruntime conv2d", "onnxruntime matmul"} <= set(row["us"])
    assert max(row["error"].values()) < 1e-5
    assert min(row["us"].values()) > 0 and row["baseline"].startswith("onnxruntime")
    assert row["percent_of_read"] > 0 and 0 < row["percent_of_peak"] < 101


def test_the_page_is_what_the_measured_file_gives() -> None:
    data = json.loads(RESULTS.read_text())
    assert (ROOT / "benchmarks" / "RESULTS.md").read_text() == module("report").page_of(data)


def test_the_page_holds_every_row_of_the_target_table() -> None:
    page = (ROOT / "benchmarks" / "RESULTS.md").read_text()
    missing = [row.label for row in module("rows").ROWS if f"| {row.label} " not in page]
    assert not missing
    parts = ("AVX2 only", "Cold hop", "Tail under load", "Allocations", "Size and loading", "NeuralAmpModelerCore")
    assert all(part in page for part in parts)
    assert "Not run: left out" not in page
