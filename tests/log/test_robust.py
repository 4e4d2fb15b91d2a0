"""What a log survives: kill -9, a full disk, a full ring, damage of any kind."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
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
    (tmp_path / "b.rtlog").write_bytes(seeds[3])
    whole = read_log(tmp_path / "b.rtlog")
    assert log.frames == whole.frames
    (gap,) = log.gaps
    here = set(log.calls.index.tolist())
    missing = [i for i, index in enumerate(whole.calls.index.tolist()) if index not in here]
    lost = int(whole.calls.frames[missing].sum())
    assert gap.values == {"frames": lost, "calls": len(missing), "reason": "damaged"} and lost > 0
    assert gap.index == whole.calls.index[missing[0]]
    (shown,) = [row["text"] for row in happenings(log) if row["what"] == "gap"]
    assert shown == f"{lost} samples in {len(missing)} call(s) lost: damaged"
    given, undamaged = log.audio(0, log.frames)[0], whole.audio(0, whole.frames)[0]
    assert 0 < np.count_nonzero(given) < np.count_nonzero(undamaged)
    assert np.array_equal(given[given != 0], undamaged[given != 0])


def test_a_flipped_bit_anywhere_in_the_head_is_restored(seeds: list[bytes], tmp_path: Path) -> None:
    path = tmp_path / "a.rtlog"
    path.write_bytes(seeds[0])
    whole = read_log(path)
    behind = 26 + int(seeds[0][8:16], 16)
    for at in [*range(26), *range(26, behind, 23)]:
        raw = bytearray(seeds[0])
        raw[at] ^= 1 << at % 8
        path.write_bytes(raw)
        log = read_log(path)
        assert log.header == whole.header and log.frames == whole.frames and log.ended, at
        (problem,) = log.problems
        assert "restored" in problem and str(path) in problem
        assert np.array_equal(log.audio(0, log.frames), whole.audio(0, log.frames))


def test_a_head_beyond_repair_is_that_of_the_next_file_or_refused_with_the_remedy(
    model_path: Path, tmp_path: Path
) -> None:
    engine = rtvoice.Engine(model_path, 48000, 64)
    first = tmp_path / "a.rtlog"
    with engine.log(first, rotate_mb=0.005, flush_ms=1) as log:
        while log.status().files < 3:
            engine.process(np.full(64, 0.25, np.float32))
    whole = read_log(first)
    for path in whole.paths[:2]:
        raw = bytearray(path.read_bytes())
        raw[100:140] = bytes(40)
        path.write_bytes(raw)
        found = read_log(first)
        assert found.frames == whole.frames and found.gaps == [] and found.paths == whole.paths
        assert np.array_equal(found.audio(0, found.frames), whole.audio(0, whole.frames))
        assert any("that of" in problem and str(path) in problem for problem in found.problems)
    with pytest.raises(LogError, match="head of the log is damaged.*other files beside it") as error:
        read_log(first, parts=False)
    assert "\n" not in str(error.value)


def test_files_and_samples_beyond_four_gigabytes_are_where_they_are(
    model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hole of five gigabytes in a log that is being written: what follows lies beyond 32 bits, as in a week's log."""
    from rtvoice.log import records

    path, far = tmp_path / "a.rtlog", 5 << 30
    engine = rtvoice.Engine(model_path, 48000, 480)
    sent = (np.random.default_rng(2).standard_normal(4800) * 0.1).astype(np.float32)
    with engine.log(path, flush_ms=1) as log:
        made = [engine.process(sent[:2400][i : i + 480]) for i in range(0, 2400, 480)]
        while log.status().frames < 2400:
            time.sleep(0.005)
        (file,) = [fd for fd in map(int, os.listdir("/proc/self/fd")) if _names(fd) == str(path)]
        os.lseek(file, far, os.SEEK_SET)
        made += [engine.process(sent[2400:][i : i + 480]) for i in range(0, 2400, 480)]
    assert path.stat().st_size > far and path.stat().st_blocks * 512 < 1 << 20
    search = records._next_chunk
    # The hole's zeros are no piece: to look through all of them takes seconds.
    monkeypatch.setattr(records, "_next_chunk", lambda file, at, size, *most: search(file, max(at, far), size, *most))
    found = read_log(path)
    assert found.frames == 4800 and found.calls.offset[-1] > far and found.ended
    given, logged = found.audio(0, 4800)
    assert np.array_equal(given[:, 0], sent) and np.array_equal(logged[:, 0], np.concatenate(made))


def _names(file: int) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{file}")
    except OSError:
        return ""


@pytest.mark.parametrize(
    ("content", "why"),
    [(b"", "no rtvoice log"), (b"RIFF" * 100, "no rtvoice log"), (b"rtlog 2 00000002 00000000\n{}", "version 2")],
    ids=["empty", "a sound file", "a later version"],
)
def test_what_is_no_log_is_refused_by_name(tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / "x.rtlog").write_bytes(content)
    with pytest.raises(LogError, match=rf"x\.rtlog.*{why}"):
        read_log(tmp_path / "x.rtlog")
