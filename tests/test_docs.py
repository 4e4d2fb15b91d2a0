"""What the documentation shows: its Python runs, its links lead somewhere, its commands exist."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rtvoice.cli import build_parser

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
LINK = re.compile(r"\]\(([^)#]+?)(?:#[^)]*)?\)")


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "docs" / "python.md"], ids=lambda p: p.name)
def test_the_first_python_sample_runs(page: Path) -> None:
    exec(compile(blocks(page, "python")[0], page.name, "exec"), {"frame": np.zeros(480, np.float32)})


@pytest.mark.parametrize("channels", [1, 2])
def test_the_first_engine_runs_on_any_recording(channels: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    soundfile = pytest.importorskip("soundfile")
    monkeypatch.chdir(tmp_path)
    soundfile.write("speech.wav", np.zeros((100_001, channels), np.float32), 44100)
    page = ROOT / "docs" / "getting-started.md"
    exec(compile(blocks(page, "python")[0], page.name, "exec"), {})
    assert soundfile.info("whisper.wav").frames == 100_001


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = [t for t in LINK.findall(page.read_text()) if not t.startswith(("http:", "https:"))]
    missing = [t for t in targets if not (page.parent / t).exists()]
    assert not missing


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "docs" / "cli.md"], ids=lambda p: p.name)
def test_every_command_shown_exists(page: Path) -> None:
    usage = build_parser().format_help()
    shown = set(re.findall(r"^(?:## )?rtvoice ([a-z]+)", page.read_text(), re.MULTILINE))
    assert shown
    assert all(re.search(rf"^ +{command} ", usage, re.MULTILINE) for command in shown)


def test_the_cli_page_names_every_render_option() -> None:
    page = (ROOT / "docs" / "cli.md").read_text()
    for option in ("--model", "--tier", "--rate", "--block", "--seed", "--raw-latency"):
        assert f"`{option}" in page


@pytest.mark.parametrize("example", sorted((ROOT / "examples" / "python").glob("*.py")), ids=lambda p: p.name)
def test_the_python_examples_run(example: Path, model_path: Path) -> None:
    done = subprocess.run([sys.executable, str(example), str(model_path)], capture_output=True, text=True, check=True)
    assert "latency" in done.stdout


def test_the_table_of_ops_is_complete() -> None:
    """Every op of the registry stands in it once, with names that ONNX has, its state and its latency."""
    from rtvoice.ops import OPS

    page = (ROOT / "docs" / "import.md").read_text().split("## The ops, one by one")[1].split("\n## ")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line.startswith("| `")
    ]
    named = [op for row in rows for op in re.findall(r"`(\w+)`", row[0])]
    assert sorted(named) == sorted(OPS)
    assert all(len(row) == 5 and all(row) for row in rows)
    onnx = pytest.importorskip("onnx")
    for row in rows:
        for operator in re.findall(r"`([A-Z]\w+)`", row[1]):
            assert onnx.defs.has(operator), operator
