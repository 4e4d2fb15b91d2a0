"""What a log survives: kill -9, a full disk, a full ring, damage of any kind."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rtvoice
from rtvoice.log import Log, LogError, read_log
from rtvoice.log.extract import extract
from rtvoice.log.summary import happenings, summarise

HERE = Path(__file__).parent


def test_fifty_processes_killed_at_random_moments_leave_all_that_was_flushed(model_path: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(HERE / "crash.py"), str(tmp_path), "50", str(model_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    runs = json.loads(done.stdout)
    assert len(runs) == 50
    for run in runs:
        assert run["right"] and run["gaps"] == 0 and not run["ended"], run
        assert run["read"] >= run["flushed"], run
    assert sum(run["read"] > 0 for run in runs) >= 40


def outage(kind: str, model_path: Path, path: Path) -> Any:
    command = [sys.executable, str(HERE / "full_disk.py"), str(model_path), str(path), kind]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    return json.loads(done.stdout)


def test_a_disk_that_is_full_for_a_moment_costs_nothing(model_path: Path, tmp_path: Path) -> None:
    told = outage("short", model_path, tmp_path / "a.rtlog")
    assert told["during"]["failing"] and "may not grow" in told["during"]["error"]
    assert "a.rtlog" in told["during"]["error"]
    assert not told["after"]["failing"] and told["after"]["frames_lost"] == 0
    log = read_log(tmp_path / "a.rtlog")
    assert log.problems == [] and log.gaps == [] and log.frames == told["frames"]


def test_a_disk_that_stays_full_leaves_a_gap_of_the_right_length(model_path: Path, tmp_path: Path) -> None:
    told = outage("long", model_path, tmp_path / "a.rtlog")
    log = read_log(tmp_path / "a.rtlog")
    assert log.problems == [] and log.frames == told["frames"] and log.ended
    assert {gap.values["reason"] for gap in log.gaps} == {"disk full"}
    assert sum(gap.values["frames"] for gap in log.gaps) == told["after"]["frames_lost"] > 0
    rng = np.random.default_rng(0)
    sent = np.concatenate([(rng.standard_normal(480) * 0.1).astype(np.float32) for _ in range(log.frames // 480)])
    given = log.audio(0, log.frames)[0][:, 0]
    here = given != 0
    assert here.sum() > 0.1 * len(given)
    assert np.array_equal(given[here], sent[here])
    assert np.array_equal(given[-480:], sent[-480:])


def test_a_full_ring_leaves_gaps_and_input_and_output_beside_each_other(model_path: Path, tmp_path: Path) -> None:
    engine = rtvoice.Engine(model_path, 16000, 4096)  # at the model's rate
    late = engine.latency
    rng = np.random.default_rng(0)
    outputs, inputs = [], []
    with pytest.warns(RuntimeWarning, match="were not logged"), engine.log(tmp_path / "a.rtlog", ring_ms=0):
        for _ in range(600):
            inputs.append((rng.standard_normal(int(rng.integers(1, 4097))) * 0.1).astype(np.float32))
            outputs.append(engine.process(inputs[-1]))
    log = read_log(tmp_path / "a.rtlog")
    sent, made = np.concatenate(inputs), np.concatenate(outputs)
    assert log.gaps and log.frames == len(sent) and late > 0
    given, logged = log.audio(0, log.frames)
    here = np.zeros(len(sent), bool)
    for index, frames in zip(log.calls.index.tolist(), log.calls.frames.tolist(), strict=True):
        here[index : index + frames] = True
    assert 0 < here.sum() < len(here)
    assert np.array_equal(given[here, 0], sent[here]) and np.array_equal(logged[here, 0], made[here])
    assert not given[~here].any() and not logged[~here].any()
    frames = extract(log, tmp_path / "a.wav")
    assert frames == len(sent)


# ---- damaged files -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory, model_path: Path) -> list[bytes]:
    folder = tmp_path_factory.mktemp("seeds")
    options: list[dict[str, Any]] = [{}, {"audio": "pcm16"}, {"redact": True}, {"flush_ms": 1}]
    found = []
    for number, option in enumerate(options):
        engine = rtvoice.Engine(model_path, 48000, 64, 1 + number % 2)
        with engine.log(folder / "a.rtlog", who="fuzz", **option) as log:
            for call in range(40):
                engine.set("gain", call / 40)
                if call == 10:
                    log.note("note")
                if call == 20:
                    engine.reset()
                shape = (call,) if engine.channels == 1 else (call, 2)
                engine.process(np.full(shape, 0.25, np.float32))
                if option.get("flush_ms"):
                    while log.status().frames < call * (call + 1) // 2 - 200:
                        pass
        found.append((folder / "a.rtlog").read_bytes())
    return found


def sealed(raw: bytearray) -> bytearray:
    """Make the checksums right again, so that what lies behind them is asked."""
    try:
        size = int(raw[8:16], 16)
        raw[17:25] = b"%08x" % zlib.crc32(raw[26 : 26 + size])
        at = 26 + size
    except ValueError:
        return raw
    while at + 32 <= len(raw) and raw[at : at + 4] == b"RLCK":
        length = int.from_bytes(raw[at + 4 : at + 8], "little")
        raw[at + 24 : at + 28] = zlib.crc32(raw[at + 32 : at + 32 + length]).to_bytes(4, "little")
        raw[at + 28 : at + 32] = zlib.crc32(raw[at : at + 28]).to_bytes(4, "little")
        at += 32 + length
    return raw


def mutated(source: bytes, dice: random.Random) -> bytes:
    raw = bytearray(source)
    for _ in range(dice.choice((1, 1, 2, 8))):
        at = dice.randrange(len(raw))
        kind = dice.randrange(7)
        if kind == 0:
            raw[at] ^= 1 << dice.randrange(8)
        elif kind == 1:
            raw[at] = dice.choice((0, 1, 0x7F, 0x80, 0xFF))
        elif kind == 2:
            at -= at % 4
            raw[at : at + 4] = dice.choice((0, 1, 7, 8, 0x7FFFFFFF, 0xFFFFFFFF)).to_bytes(4, "little")
        elif kind == 3:
            del raw[at:]
        elif kind == 4:
            del raw[at : at + dice.randrange(1, 200)]
        elif kind == 5:
            raw[at:at] = raw[at : at + dice.randrange(1, 400)]
        else:
            raw[at:at] = dice.randbytes(dice.randrange(1, 40))
        if not raw:
            return b""
    return bytes(sealed(raw) if dice.random() < 0.6 else raw)


def check(log: Log) -> None:
    calls = log.calls
    lengths = {len(getattr(calls, name)) for name in calls.__dataclass_fields__}
    assert len(lengths) == 1
    count = lengths.pop()
    assert np.all(np.diff(calls.index) >= 0)
    behind = calls.index + np.where(calls.status == 0, calls.frames, 0)
    assert np.all(behind[:-1] <= calls.index[1:])
    assert all(0 <= event.call <= count for event in log.events)
    assert log.first <= log.end
    summarise(log)
    happenings(log)
    if log.has_audio:
        for _, given, made in log.frames_of(0, count):
            assert given.shape == made.shape
        log.audio(log.first, min(log.end, log.first + 5000))


def fuzz(seeds: list[bytes], cases: range, path: Path) -> tuple[int, int]:
    refused = read = 0
    for case in cases:
        dice = random.Random(case)
        path.write_bytes(mutated(dice.choice(seeds), dice))
        try:
            log = read_log(path, parts=False)
            check(log)
            read += 1
        except LogError as error:
            assert "\n" not in str(error) and str(path) in str(error), (case, str(error))
            refused += 1
    return refused, read


def test_fuzz_damaged_logs_are_read_as_far_as_they_go_or_refused_in_one_line(
    seeds: list[bytes], tmp_path: Path
) -> None:
    for seed in seeds:
        (tmp_path / "a.rtlog").write_bytes(seed)
        assert read_log(tmp_path / "a.rtlog").problems == []
    cases = int(os.environ.get("RTVOICE_FUZZ_CASES", "400"))
    refused, read = fuzz(seeds, range(cases), tmp_path / "a.rtlog")
    print(f"fuzz logs: {cases} files, {refused} refused, {read} read")
    assert refused > cases // 40 and read > cases // 4


def test_fuzz_finds_a_reader_that_believes_what_it_reads(
    seeds: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted fault: sizes of calls are not checked."""
    from rtvoice.log import records

    monkeypatch.setitem(records._CHECKS, records.CALL, lambda fields, *rest: fields)
    with pytest.raises((AssertionError, LogError, ValueError, MemoryError, OverflowError)):
        for case in range(300):
            dice = random.Random(case)
            (tmp_path / "a.rtlog").write_bytes(mutated(dice.choice(seeds), dice))
            try:
                log = read_log(tmp_path / "a.rtlog", parts=False)
            except LogError:
                continue
            check(log)


def test_a_piece_in_the_middle_that_is_damaged_is_a_gap_and_the_rest_is_read(
    seeds: list[bytes], tmp_path: Path
) -> None:
    path = tmp_path / "a.rtlog"
    raw = bytearray(seeds[3])
    starts = [i for i in range(len(raw)) if raw[i : i + 4] == b"RLCK"]
    assert len(starts) >= 4
    raw[starts[1] + 40] ^= 1
    path.write_bytes(raw)
    log = read_log(path)
    assert log.ended and len(log.problems) == 1 and "damaged at byte" in log.problems[0]
    assert {gap.values["reason"] for gap in log.gaps} == {"damaged"}
    (tmp_path / "b.rtlog").write_bytes(seeds[3])
    whole = read_log(tmp_path / "b.rtlog")
    assert log.frames == whole.frames
    given, undamaged = log.audio(0, log.frames)[0], whole.audio(0, whole.frames)[0]
    assert 0 < np.count_nonzero(given) < np.count_nonzero(undamaged)
    assert np.array_equal(given[given != 0], undamaged[given != 0])


@pytest.mark.parametrize(
    ("content", "why"),
    [(b"", "no rtvoice log"), (b"RIFF" * 100, "no rtvoice log"), (b"rtlog 2 00000002 00000000\n{}", "version 2")],
    ids=["empty", "a sound file", "a later version"],
)
def test_what_is_no_log_is_refused_by_name(tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / "x.rtlog").write_bytes(content)
    with pytest.raises(LogError, match=rf"x\.rtlog.*{why}"):
        read_log(tmp_path / "x.rtlog")
