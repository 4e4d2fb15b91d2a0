"""The command does what the functions do, and fails in one line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from rtvoice.train.data import Prepared
from rtvoice.train.data.__main__ import main

flite = pytest.mark.skipif(shutil.which("flite") is None, reason="the command flite is not installed")


def test_recordings_become_clips_and_a_report(
    recordings_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["prepare", str(recordings_folder), "--speaker", "me", "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr()
    assert "8 clips, 1 speakers" in said.out and said.err == ""
    assert (tmp_path / "out" / "data.html").is_file()
    assert {clip.speaker for clip in Prepared(tmp_path / "out").clips} == {"me"}
    assert main(["report", str(tmp_path / "out"), str(tmp_path / "page.html"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["clips"] == 8 and (tmp_path / "page.html").is_file() and (tmp_path / "page.json").is_file()


def test_a_shard_says_that_others_are_not_done(
    recordings_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setattr(sys.modules["rtvoice.train.data.prepare"], "UNIT_FILES", 4)
    command = ["prepare", str(recordings_folder), "--out", str(tmp_path / "out")]
    assert main([*command, "--shard", "1/2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["whole"] is False
    assert main([*command, "--shard", "0/2"]) == 0
    assert "8 clips" in capsys.readouterr().out


@flite
def test_a_synthetic_collection_is_rendered_from_the_shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "prompts.csv").write_text("p1|This is the first.\np2|This is the second.\n")
    command = ["render", str(tmp_path / "source_robots"), "--voice", "flite:*", "--share", "--count", "4"]
    command += ["--prompts", str(tmp_path / "prompts.csv"), "--cache", str(tmp_path / "cache"), "--json"]
    assert main(command) == 0
    assert json.loads(capsys.readouterr().out) == {
        "folder": str(tmp_path / "source_robots"),
        "lines": 4,
        "voices": 4,
        "whole": True,
    }
    table = (tmp_path / "source_robots" / "metadata.csv").read_text().splitlines()
    assert table[0] == "utt|speaker|text" and len(table) == 5
    assert "flite-awb/p1|flite-awb|This is the first." in table
    assert len(list((tmp_path / "source_robots").rglob("*.flac"))) == 4


def test_voices_that_are_not_installed_say_how_to_get_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from rtvoice.train.data.synth import collection

    collection._loaded.cache_clear()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["voices", "--json", "--kokoro", str(tmp_path)]) == 0
    assert "apt-get install flite" in json.loads(capsys.readouterr().out)["missing"]["flite"]
    collection._loaded.cache_clear()


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["prepare", "nowhere", "--out", "out"], 1, "nowhere is no folder of recordings"),
        (["report", "nowhere", "page.html"], 1, "nowhere has no index.jsonl"),
        (["render", "out", "--voice", "festival:x"], 1, "no synthesiser 'festival'"),
        (["render", "out"], 2, "--voice"),
        (["prepare", "x", "--out", "y", "--shard", "2/2"], 2, "no shard"),
        (["prepare", "x", "--out", "y", "--workers", "0"], 2, "no whole number"),
        (["dance"], 2, "dance"),
    ],
)
def test_a_mistake_is_one_line(
    arguments: list[str],
    status: int,
    words: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    try:
        got = main(arguments)
    except SystemExit as ended:
        got = int(str(ended.code))
    said = capsys.readouterr()
    assert got == status and said.out == ""
    assert words in said.err and said.err.count("\n") == 1


@pytest.mark.parametrize("command", [[], ["prepare"], ["report"], ["voices"], ["render"]])
def test_help_has_an_example(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*command, "--help"])
    assert ended.value.code == 0
    assert "example:\n  python -m rtvoice.train.data" in capsys.readouterr().out
