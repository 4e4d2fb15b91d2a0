"""Folders of recordings as people have them: clips that only one has, other lengths, links, names that are no text."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

pytest.importorskip("rtvoice_studio.server", reason="rtvoice-studio is not installed (pip install ./studio)")

from commands import run  # noqa: E402
from rtvoice_studio import command  # noqa: E402
from studio_sounds import RATE, make_folders  # noqa: E402


def prepared(root: Path, plain: Path, hissing: Path, inputs: Path | None) -> tuple[list[str], list[Any]]:
    """Prepare a comparison; return what was warned of, and the clips."""
    told: list[str] = []
    store = command.Store(root / "store")
    session = command.add(store, str(plain), str(hissing), clips=inputs, warn=told.append)
    clips = store.clips(session["id"])
    store.close()
    return told, clips


def test_clips_that_not_every_folder_has_are_named_and_counted(tmp_path: Path) -> None:
    inputs, plain, hissing = make_folders(tmp_path, 12)
    for name in ("clip00", "clip03"):
        (hissing / f"{name}.wav").unlink()
    (inputs / "clip03.wav").unlink()
    for i in range(4, 11):
        (plain / f"clip{i:02}.wav").unlink()
    told, clips = prepared(tmp_path, plain, hissing, inputs)
    assert [clip["name"] for clip in clips] == ["clip01", "clip02", "clip11"]
    assert told == [
        "9 of 12 clips are left out: walrus lacks clip04, clip05, clip06, clip07, clip08 and 2 more; "
        "zebra lacks clip00, clip03; --clips lacks clip03"
    ]
    told, clips = prepared(tmp_path, plain, hissing, None)
    assert len(told) == 1
    assert told[0].startswith("9 of 12 clips are left out: walrus lacks")
    assert "--clips" not in told[0]


def test_the_command_says_what_it_leaves_out(tmp_path: Path) -> None:
    inputs, plain, hissing = make_folders(tmp_path, 2)
    (hissing / "clip00.wav").unlink()
    done = run("compare", plain, hissing, "--clips", inputs, "--store", tmp_path / "store", "--no-serve")
    assert done.status == 0
    assert "1 of 2 clips is left out: zebra lacks clip00" in done.err


def test_clips_whose_recordings_differ_in_length_are_named(tmp_path: Path) -> None:
    inputs, plain, hissing = make_folders(tmp_path, 3)
    for name, seconds in (("clip00", 0.5), ("clip01", 0.77)):  # 30 ms are a last block
        sound, _ = soundfile.read(hissing / f"{name}.wav", dtype="float32")
        soundfile.write(hissing / f"{name}.wav", sound[: round(seconds * RATE)], RATE, subtype="FLOAT")
    told, clips = prepared(tmp_path, plain, hissing, inputs)
    assert told == ["1 clip ends with the shortest of its recordings: clip00 (0.50 of 0.80 s)"]
    assert [clip["data"]["frames"] for clip in clips] == [8000, 12320, 12800]


def test_recordings_that_are_unfit_leave_the_others_to_compare(tmp_path: Path) -> None:
    inputs, plain, hissing = make_folders(tmp_path, 12)
    (hissing / "clip00.wav").unlink()
    (plain / "clip01.wav").write_bytes(b"RIFF\0\0\0\0")
    (hissing / "clip02.wav").write_text("no sound")
    (inputs / "clip03.wav").write_bytes(b"")
    soundfile.write(plain / "clip04.wav", [0.1] * 1600, RATE)
    for i in range(5, 9):
        (plain / f"clip{i:02}.wav").write_bytes((plain / f"clip{i:02}.wav").read_bytes()[:40])
    told, clips = prepared(tmp_path, plain, hissing, inputs)
    assert [clip["name"] for clip in clips] == ["clip09", "clip10", "clip11"]
    assert len(told) == 1
    assert told[0].startswith("9 of 12 clips are left out: zebra lacks clip00; ")
    for words in (
        f"{plain / 'clip01.wav'} cannot be read as audio",
        f"{hissing / 'clip02.wav'} cannot be read as audio",
        f"{inputs / 'clip03.wav'} is empty",
        "the clip clip04 is shorter than 0.25 s",
        str(plain / "clip05.wav"),
        "nor are these fit: clip06, clip07, clip08",
    ):
        assert words in told[0]


def test_a_comparison_without_one_fit_clip_is_refused(tmp_path: Path) -> None:
    inputs, plain, hissing = make_folders(tmp_path, 3)
    for path in hissing.iterdir():
        path.write_text("no sound")
    done = run("compare", plain, hissing, "--clips", inputs, "--store", tmp_path / "store", "--no-serve")
    assert (done.status, done.err.count("\n")) == (1, 1)
    assert f"none of 3 clips can be compared; the first: {hissing / 'clip00.wav'} cannot be read" in done.err


def test_recordings_of_other_rates_are_told_by_the_command_and_with_the_results(tmp_path: Path) -> None:
    inputs, plain, hissing = make_folders(tmp_path, 3)
    for name in ("clip00", "clip02"):
        sound, _ = soundfile.read(hissing / f"{name}.wav", dtype="float32")
        soundfile.write(
            hissing / f"{name}.wav",
            np.interp(np.arange(0, len(sound), 16 / 22.05), np.arange(len(sound)), sound),
            22050,
        )
    words = (
        "resampled, so that all of a clip plays at its highest rate: walrus from 16 to 22.05 kHz in 2 of 3 clips; "
        "the input from 16 to 22.05 kHz in 2 of 3 clips"
    )
    assert prepared(tmp_path, plain, hissing, inputs)[0] == [words]
    store = command.Store(tmp_path / "store")
    session = store.sessions()[0]
    assert command.results(store, session)["resampled"] == words
    store.close()


def test_folders_alike_are_not_spoken_of(tmp_path: Path) -> None:
    inputs, plain, hissing = make_folders(tmp_path, 2)
    assert prepared(tmp_path, plain, hissing, inputs)[0] == []


def test_links_to_recordings_are_followed_and_lost_ones_named(tmp_path: Path) -> None:
    inputs, plain, hissing = make_folders(tmp_path, 2)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for path in [*hissing.iterdir(), *inputs.iterdir()]:
        kept = path.rename(elsewhere / f"{path.parent.name}-{path.name}")
        path.symlink_to(kept)
    (hissing / "gone.wav").symlink_to(tmp_path / "nothing.wav")
    (hissing / "folder.wav").symlink_to(elsewhere)
    sound, rate = soundfile.read(plain / "clip00.wav")
    soundfile.write(plain / "clip00.flac", sound, rate)
    told, clips = prepared(tmp_path, plain, hissing, inputs)
    assert len(clips) == 2
    assert sorted(told) == [
        "walrus: of recordings of one name the first is taken, not clip00.wav",
        "zebra: gone.wav is a link that leads nowhere",
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux takes file names of any bytes")
def test_a_folder_of_target_voices_without_a_recording_is_refused(tmp_path: Path) -> None:
    inputs, plain, hissing = make_folders(tmp_path, 1)
    (tmp_path / "voice").mkdir()
    words = ["--clips", inputs, "--target", tmp_path / "voice", "--store", tmp_path / "store", "--no-serve"]
    done = run("compare", plain, hissing, *words)
    assert (done.status, done.err.count("\n")) == (1, 1)
    assert "voice holds no recordings" in done.err
    assert "--target" in done.err


def test_a_name_that_is_no_text_is_refused_in_one_line(tmp_path: Path) -> None:
    inputs, plain, hissing = make_folders(tmp_path, 1)
    stray = os.fsdecode(b"caf\xe9")
    options = ["--store", tmp_path / "store", "--no-serve"]
    (hissing / "clip00.wav").rename(hissing / f"{stray}.wav")
    done = run("compare", plain, hissing, "--clips", inputs, *options)
    assert (done.status, done.err.count("\n")) == (1, 1)
    assert "caf\\xe9.wav: this name is not UTF-8" in done.err
    (hissing / f"{stray}.wav").rename(hissing / "clip00.wav")
    folder = hissing.rename(tmp_path / stray)
    for words in (
        [plain, folder, "--clips", inputs, *options],
        [plain, inputs, "--clips", folder, *options],
        [plain, inputs, "--clips", inputs, "--target", folder, *options],
        [plain, inputs, "--store", tmp_path / f"{stray} store", "--no-serve"],
    ):
        done = run("compare", *words)
        assert (done.status, done.err.count("\n")) == (1, 1), done.err
        assert "caf\\xe9" in done.err
        assert "not UTF-8" in done.err


@pytest.mark.parametrize("with_input", [True, False])
def test_what_counts_as_clean_does_not_tell_which_system_hisses(with_input: bool, tmp_path: Path) -> None:
    inputs, plain, hissing = make_folders(tmp_path, 2)
    for name in ("clip00", "clip01"):
        sound, _ = soundfile.read(plain / f"{name}.wav", dtype="float32")
        hiss = 0.02 * np.random.default_rng(1).normal(size=len(sound))
        soundfile.write(hissing / f"{name}.wav", sound + hiss.astype(np.float32), RATE, subtype="FLOAT")
    given = inputs if with_input else None
    other = shutil.copytree(plain, tmp_path / "other")
    (other / "latency_ms.txt").write_text("1")
    pairs = [(plain, hissing), (hissing, plain), (plain, other)]
    found = [prepared(tmp_path / str(i), *pair, given)[1] for i, pair in enumerate(pairs)]
    clean = [{clip["data"]["clean"] for clip in clips} for clips in found]
    # Of the input where there is one, else of both.
    assert clean == ([{True}] * 3 if with_input else [{False}, {False}, {True}])
