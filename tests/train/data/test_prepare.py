"""Preparation takes what people have, says why it leaves something out, and survives being ended anywhere."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from rtvoice.train.data import DataError, Limits, Prepared, find_recordings, prepare
from rtvoice.train.data import cut as cutting
from rtvoice.train.data.measure import HOP, RATE

ARRAYS = ("audio-*.i16", "f0-*.f32", "energy-*.f32", "index.jsonl")
module = sys.modules["rtvoice.train.data.prepare"]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for pattern in ARRAYS for path in sorted(folder.glob(pattern))}


def rejected(folder: Path) -> dict[str, str]:
    rows = [json.loads(line) for line in (folder / "rejected.jsonl").read_text().splitlines()]
    return {row["source"]: row["reason"] for row in rows}


@pytest.fixture
def small_units(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "UNIT_FILES", 2)


def test_any_rate_channels_and_format_becomes_one_kind_of_clip(recordings_folder: Path, tmp_path: Path) -> None:
    import pyloudnorm

    assert prepare(find_recordings(recordings_folder), tmp_path / "out")
    prepared = Prepared(tmp_path / "out")
    assert len(prepared) == 8
    for i, clip in enumerate(prepared.clips):
        audio, f0 = prepared.audio(i), prepared.f0(i)
        assert audio.size == clip.samples == clip.frames * HOP
        assert f0.size == prepared.energy(i).size == clip.frames
        assert clip.seconds == pytest.approx(2.5, abs=0.6)
        assert clip.f0_median == pytest.approx(220 if clip.speaker.endswith("ann") else 115, rel=0.05)
        assert pyloudnorm.Meter(RATE).integrated_loudness(audio.astype(float)) == pytest.approx(-23, abs=0.3)
        assert clip.loudness_lufs + clip.gain_db == pytest.approx(-23, abs=0.05)
    by_source = {clip.source: clip for clip in prepared.clips}
    assert by_source["ann/session 1/take 0.wav"].text == "Hello, world."
    assert by_source["ann/session 1/take 2.ogg"].bandwidth_hz <= 8000
    assert by_source["ann/session 1/take 0.wav"].bandwidth_hz <= 12000


def test_silence_goes_from_the_ends_and_speech_stays(tmp_path: Path, voice: Callable[..., np.ndarray]) -> None:
    speech = voice(2.0, RATE, edge=0.0)
    quiet = 1e-3 * np.random.default_rng(5).standard_normal(3 * RATE).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", np.concatenate([quiet, speech, quiet]), RATE)
    prepare(find_recordings(tmp_path), tmp_path / "out")
    clip = Prepared(tmp_path / "out").clip(0)
    assert 3.0 - cutting.MARGIN - 0.03 <= clip.start <= 3.0
    assert 5.0 - 0.12 <= clip.start + clip.seconds <= 5.0 + cutting.MARGIN + 0.03


@pytest.mark.parametrize("block", [300.0, 45.0])
def test_a_long_recording_is_cut_in_its_pauses(
    tmp_path: Path, voice: Callable[..., np.ndarray], monkeypatch: pytest.MonkeyPatch, block: float
) -> None:
    """Sentences of 2 to 6 s with pauses of 0.5 s between: no cut may touch one, whatever is held in memory."""
    monkeypatch.setattr(cutting, "BLOCK", block)
    rng = np.random.default_rng(0)
    parts, places, at = [], [], 0
    while at < 80 * 16000:
        sentence = voice(float(rng.uniform(2, 6)), 16000, edge=0.02, seed=at)
        pause = 1e-3 * rng.standard_normal(8000).astype(np.float32)
        places.append((at / 16000, (at + sentence.size) / 16000))
        parts += [sentence, pause]
        at += sentence.size + pause.size
    soundfile.write(tmp_path / "long.flac", np.concatenate(parts), 16000)
    prepare(find_recordings(tmp_path), tmp_path / "out")
    prepared = Prepared(tmp_path / "out")
    assert len(prepared) >= 6
    assert max(clip.seconds for clip in prepared.clips) <= cutting.LONGEST
    assert sum(clip.seconds for clip in prepared.clips) > 65
    assert all(clip.text is None for clip in prepared.clips)
    for clip in prepared.clips:
        for edge in (clip.start, clip.start + clip.seconds):
            inside = [place for place in places if place[0] + 0.1 < edge < place[1] - 0.25]
            assert not inside, f"a cut at {edge:.2f} s lies in the sentence {inside}"


def test_what_cannot_be_used_is_left_out_with_its_reason(tmp_path: Path, voice: Callable[..., np.ndarray]) -> None:
    good = voice(2.0, 16000)
    soundfile.write(tmp_path / "good.wav", good, 16000)
    soundfile.write(tmp_path / "silent.wav", np.zeros(32000), 16000)
    soundfile.write(tmp_path / "blip.wav", good[:3000], 16000)
    soundfile.write(tmp_path / "clipped.wav", np.clip(good * 30, -1, 1), 16000)
    soundfile.write(tmp_path / "noisy.wav", voice(2.0, 16000, noise=0.08), 16000)
    broken = good.copy()
    broken[100] = np.nan
    soundfile.write(tmp_path / "nan.wav", broken, 16000, subtype="FLOAT")
    (tmp_path / "text.wav").write_text("this is no sound")
    (tmp_path / "empty.mp3").write_bytes(b"")
    (tmp_path / "cut.flac").write_bytes((tmp_path / "good.wav").read_bytes()[:40])
    prepare(find_recordings(tmp_path, speaker="me"), tmp_path / "out")
    assert [clip.source for clip in Prepared(tmp_path / "out").clips] == ["good.wav"]
    reasons = rejected(tmp_path / "out")
    for name, words in {
        "silent.wav": "silent",
        "blip.wav": "shorter than 0.5 s",
        "clipped.wav": "flat tops",
        "noisy.wav": "too noisy",
        "nan.wav": "no numbers",
        "text.wav": "cannot be read",
        "empty.mp3": "empty",
        "cut.flac": "",
    }.items():
        assert words in reasons[name], (name, reasons[name])
    assert str(tmp_path) not in reasons["silent.wav"]


def test_what_came_before_the_damage_is_used(tmp_path: Path, voice: Callable[..., np.ndarray]) -> None:
    soundfile.write(tmp_path / "take.flac", voice(30.0, 16000), 16000)
    whole = (tmp_path / "take.flac").read_bytes()
    (tmp_path / "take.flac").write_bytes(whole[: len(whole) * 2 // 3])
    prepare(find_recordings(tmp_path), tmp_path / "out")
    prepared = Prepared(tmp_path / "out")
    assert 10 < sum(clip.seconds for clip in prepared.clips) < 21
    assert "damaged or cut short" in rejected(tmp_path / "out")["take.flac"]


def test_nothing_usable_is_one_clear_line(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "silent.wav", np.zeros(32000), 16000)
    with pytest.raises(DataError, match="none of 1 recordings can be used; the first: silent.wav: silent"):
        prepare(find_recordings(tmp_path), tmp_path / "out")


def test_two_recordings_of_one_name_are_refused(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder / "voice").mkdir(parents=True)
        soundfile.write(tmp_path / folder / "voice" / "take.wav", np.zeros(16000), 16000)
    found = [*find_recordings(tmp_path / "a" / "voice"), *find_recordings(tmp_path / "b" / "voice")]
    with pytest.raises(DataError, match="two recordings are called voice/take"):
        prepare(found, tmp_path / "out")


def test_an_unfinished_folder_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="preparation has not ended"):
        Prepared(tmp_path)


KILLED = """
import os, signal, sys
from pathlib import Path
from rtvoice.train.data import find_recordings
import rtvoice.train.data.prepare
module = sys.modules["rtvoice.train.data.prepare"]
module.UNIT_FILES = 2
left = [int(sys.argv[3])]
def dying(name):
    real = getattr(module, name) if name == "write_whole" else getattr(module.Appended, name)
    def step(*arguments):
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments)
    setattr(module if name == "write_whole" else module.Appended, name, step)
for name in ("write_whole", "append", "__exit__"):
    dying(name)
module.prepare(find_recordings(Path(sys.argv[1])), Path(sys.argv[2]))
"""


# A unit of two recordings has two clips to append, its arrays to close and its list to write: four steps.
@pytest.mark.parametrize("steps", [1, 3, 6])
@pytest.mark.usefixtures("small_units")
def test_a_run_killed_anywhere_goes_on_to_the_same_bytes(recordings_folder: Path, tmp_path: Path, steps: int) -> None:
    found = find_recordings(recordings_folder)
    prepare(found, tmp_path / "whole")
    script = [sys.executable, "-c", textwrap.dedent(KILLED), recordings_folder, tmp_path / "killed", str(steps)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run(script, env=environment, check=False).returncode == -signal.SIGKILL
    with pytest.raises(DataError):
        Prepared(tmp_path / "killed")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "killed").glob("unit-*.json")}
    assert len(before) == steps // 4
    assert prepare(found, tmp_path / "killed")
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")
    assert {path: path.stat().st_mtime_ns for path in before} == before, "finished work was done again"
    assert not list((tmp_path / "killed").glob(".*")), "remains of the killed run"


@pytest.mark.usefixtures("small_units")
def test_machines_that_share_the_work_make_what_one_makes(recordings_folder: Path, tmp_path: Path) -> None:
    found = find_recordings(recordings_folder)
    prepare(found, tmp_path / "one")
    told: list[tuple[int, int]] = []
    assert not prepare(found, tmp_path / "two", shard=(1, 2), progress=lambda *done: told.append(done))
    assert told[0] == (0, 4) and told[-1] == (4, 4)
    with pytest.raises(DataError, match="not ended"):
        Prepared(tmp_path / "two")
    assert prepare(found, tmp_path / "two", shard=(0, 2))
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_processes_make_what_one_makes(
    recordings_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = find_recordings(recordings_folder)
    monkeypatch.setattr(module, "UNIT_FILES", 4)
    prepare(found, tmp_path / "one", workers=1)
    prepare(found, tmp_path / "two", workers=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


@pytest.mark.usefixtures("small_units")
def test_only_what_changed_is_prepared_again(
    recordings_folder: Path, tmp_path: Path, voice: Callable[..., np.ndarray]
) -> None:
    found = find_recordings(recordings_folder)
    prepare(found, tmp_path / "out")
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("unit-*.json")}
    last = found[-1].path
    soundfile.write(last, voice(3.0, 22050, 130.0), 22050)
    prepare(find_recordings(recordings_folder), tmp_path / "out")
    after = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("unit-*.json")}
    assert [name for name in sorted(after) if after[name] != before[name]] == ["unit-003.json"]
    prepare(find_recordings(recordings_folder), tmp_path / "out", limits=Limits(loudness=-20))
    changed = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("unit-*.json")}
    assert all(changed[name] != after[name] for name in after)


def test_a_fingerprint_follows_the_material_not_its_place(recordings_folder: Path, tmp_path: Path) -> None:
    first = module.fingerprint(find_recordings(recordings_folder))
    moved = recordings_folder.rename(tmp_path / "elsewhere").parent / "elsewhere"
    (tmp_path / "my speech").mkdir()
    moved = moved.rename(tmp_path / "my speech" / "x").rename(tmp_path / "y")
    (tmp_path / "my speech").rmdir()
    copied = moved.rename(tmp_path / "my speech")
    os.utime(copied / "ann" / "session 1" / "take 0.wav", (1, 1))
    assert module.fingerprint(find_recordings(copied)) == first
    (copied / "ann" / "session 1" / "take 0.txt").write_text("Other words.")
    assert module.fingerprint(find_recordings(copied)) != first


def test_prepared_clips_are_read_in_parts_chosen_and_pickled(recordings_folder: Path, tmp_path: Path) -> None:
    prepare(find_recordings(recordings_folder), tmp_path / "out")
    prepared = pickle.loads(pickle.dumps(Prepared(tmp_path / "out")))
    ann = prepared.select(speaker="my_speech-ann")
    assert len(ann) == 4
    assert ann == prepared.select(speaker=("my_speech-ann", "nobody"), collection="my_speech")
    assert sorted(prepared.select(split="train") + prepared.select(split="held_out")) == list(range(8))
    i = ann[1]
    np.testing.assert_array_equal(prepared.audio(i, 480, 960), prepared.audio(i)[480:960])
    np.testing.assert_array_equal(prepared.f0(i, 2, 9), prepared.f0(i)[2:9])
    assert prepared.audio(i, 10**9).size == 0
    assert prepared.index(prepared.clip(i).id) == i
    assert np.abs(prepared.audio(i)).max() <= 1.0


def test_a_loud_peak_is_not_clipped_by_normalisation(tmp_path: Path, voice: Callable[..., np.ndarray]) -> None:
    audio = voice(3.0, RATE, level=0.002, noise=1e-5)
    audio[RATE] = 0.9
    soundfile.write(tmp_path / "peak.wav", audio, RATE, subtype="FLOAT")
    prepare(find_recordings(tmp_path), tmp_path / "out", limits=Limits(noisiest=0))
    prepared = Prepared(tmp_path / "out")
    assert np.abs(prepared.audio(0)).max() == pytest.approx(10 ** (-0.1 / 20), abs=0.01)
    assert prepared.clip(0).loudness_lufs + prepared.clip(0).gain_db < -30
