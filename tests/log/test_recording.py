"""Logs as they are written: what is in them, and that the engine's audio stays as it is without one."""

from __future__ import annotations

import getpass
import os
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rtvoice
from rtvoice.log import LogError, read_log

RATE = 48000


def noise(frames: int, channels: int = 1, seed: int = 0) -> np.ndarray[Any, np.dtype[np.float32]]:
    shape = (frames,) if channels == 1 else (frames, channels)
    return (np.random.default_rng(seed).standard_normal(shape) * 0.1).astype(np.float32)


def drive(engine: rtvoice.Engine, audio: Any, sizes: list[int]) -> Any:
    out = np.zeros_like(audio)
    at = 0
    for size in sizes:
        out[at : at + size] = engine.process(np.ascontiguousarray(audio[at : at + size]))
        at += size
    return out[:at]


@pytest.mark.parametrize("channels", [1, 2])
def test_input_and_output_are_in_the_log_bit_by_bit(model: rtvoice.Model, tmp_path: Path, channels: int) -> None:
    engine = rtvoice.Engine(model, RATE, 512, channels)
    sizes = [int(n) for n in np.random.default_rng(1).integers(0, 513, 200)]
    audio = noise(sum(sizes), channels)
    with engine.log(tmp_path / "a.rtlog"):
        out = drive(engine, audio, sizes)
    log = read_log(tmp_path / "a.rtlog")
    assert log.problems == [] and log.ended and log.gaps == []
    assert log.calls.frames.tolist() == sizes
    logged_in, logged_out = log.audio(0, log.frames)
    assert np.array_equal(logged_in.reshape(audio.shape), audio)
    assert np.array_equal(logged_out.reshape(out.shape), out)
    assert np.all(np.diff(log.calls.start) >= 0)
    assert np.all(log.calls.seconds[log.calls.frames > 0] > 0)


def test_a_frame_processed_in_place_is_logged_as_it_came_in(model: rtvoice.Model, tmp_path: Path) -> None:
    engine = rtvoice.Engine(model, RATE, 480)
    audio = noise(4800)
    buffer = audio.copy()
    with engine.log(tmp_path / "a.rtlog"):
        for start in range(0, 4800, 480):
            engine.process(buffer[start : start + 480], buffer[start : start + 480])
    logged_in, logged_out = read_log(tmp_path / "a.rtlog").audio(0, 4800)
    assert np.array_equal(logged_in[:, 0], audio)
    assert np.array_equal(logged_out[:, 0], buffer)


def test_the_same_bits_come_out_with_a_log_and_without(model: rtvoice.Model, tmp_path: Path) -> None:
    audio, sizes = noise(9600), [96] * 100
    plain = drive(rtvoice.Engine(model, RATE, 512), audio, sizes)
    engine = rtvoice.Engine(model, RATE, 512)
    with engine.log(tmp_path / "a.rtlog"):
        assert np.array_equal(drive(engine, audio, sizes), plain)


def test_parameters_bypass_notes_and_resets_carry_their_position(model: rtvoice.Model, tmp_path: Path) -> None:
    engine = rtvoice.Engine(model, RATE, 480)
    with engine.log(tmp_path / "a.rtlog") as log:
        drive(engine, noise(960), [480, 480])
        engine.set("gain", 0.25)
        drive(engine, noise(480), [480])
        engine.bypass = True
        engine.set("mix", 0.5)
        drive(engine, noise(480), [480])
        engine.reset()
        drive(engine, noise(480), [480])
        log.note("a line\nof text")
    events = [e for e in read_log(tmp_path / "a.rtlog").events if not e.told]
    found = {(e.kind, e.index) for e in events}
    assert {("fresh start", 0), ("parameter", 960), ("mix", 1440), ("reset", 1920)} <= found
    (gain,) = [e for e in events if e.kind == "parameter" and e.index == 960]
    assert gain.values == {"name": "gain", "values": (0.25,)}
    (mix,) = [e for e in events if e.kind == "mix" and e.index == 1440]
    assert mix.values == {"mix": 0.5, "bypass": True}
    (note,) = [e for e in events if e.kind == "note"]
    assert note.values == {"text": "a line of text"}


def test_a_frame_that_is_refused_stands_in_the_log(model: rtvoice.Model, tmp_path: Path) -> None:
    engine = rtvoice.Engine(model, RATE, 480)
    with engine.log(tmp_path / "a.rtlog"):
        drive(engine, noise(480), [480])
        engine.process(np.zeros(0, np.float32))
        drive(engine, noise(480), [480])
    calls = read_log(tmp_path / "a.rtlog").calls
    assert calls.frames.tolist() == [480, 0, 480]
    assert calls.index.tolist() == [0, 480, 480]


def test_a_swap_names_the_model(model: rtvoice.Model, skins: Path, tmp_path: Path) -> None:
    engine = rtvoice.Engine("echo", RATE, 480, tier="default")
    with engine.log(tmp_path / "a.rtlog"):
        drive(engine, noise(960), [480, 480])
        engine.swap("loud")
        drive(engine, noise(960), [480, 480])
    (swap,) = [e for e in read_log(tmp_path / "a.rtlog").events if e.kind == "swap"]
    assert (swap.index, swap.values["name"]) == (960, "loud")
    assert swap.values["hash"] == rtvoice.Model.load("loud").info["hash"]


def test_sixteen_bits_clip_and_never_wrap(model: rtvoice.Model, tmp_path: Path) -> None:
    engine = rtvoice.Engine(model, RATE, 480)
    audio = np.linspace(-1.5, 1.5, 480, dtype=np.float32)
    audio[10] = np.nan
    with engine.log(tmp_path / "a.rtlog", audio="pcm16"):
        engine.process(audio)
    logged = read_log(tmp_path / "a.rtlog").audio(0, 480)[0][:, 0]
    audio[10] = 0.0
    assert np.allclose(logged, np.clip(audio, -1.0, 32767 / 32768), atol=0.51 / 32768)


def test_a_redacted_log_has_times_and_events_and_no_audio(model: rtvoice.Model, tmp_path: Path) -> None:
    engine = rtvoice.Engine(model, RATE, 480)
    marked = np.full(480, 0.123456, np.float32)
    with engine.log(tmp_path / "a.rtlog", redact=True, who="Ada", retention_days=30):
        engine.set("gain", 0.5)
        for _ in range(10):
            engine.process(marked)
    raw = (tmp_path / "a.rtlog").read_bytes()
    assert marked[:2].tobytes() not in raw
    log = read_log(tmp_path / "a.rtlog")
    assert log.calls.frames.tolist() == [480] * 10 and not log.has_audio
    assert log.header.turned_on_by == "Ada" and log.header.retention_days == 30
    assert "turned on by Ada at 20" in log.header.line and "no audio" in log.header.line
    with pytest.raises(LogError, match="redacted"):
        log.audio(0, 480)


def test_who_turned_it_on_is_readable_without_any_tool(model: rtvoice.Model, tmp_path: Path) -> None:
    engine = rtvoice.Engine(model, RATE, 480)
    engine.log(tmp_path / "a.rtlog", who='Ada "L"\n%PART% \\').stop()
    assert b'turned on by Ada "L"' in (tmp_path / "a.rtlog").read_bytes().split(b"\n")[1]
    assert read_log(tmp_path / "a.rtlog").header.turned_on_by == 'Ada "L"  PART  \\'


def test_where_nobody_is_named_it_is_the_user_even_without_an_environment(
    model: rtvoice.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    rtvoice.Engine(model, RATE, 480).log(tmp_path / "a.rtlog").stop()
    assert read_log(tmp_path / "a.rtlog").header.turned_on_by == getpass.getuser() != ""


def test_a_path_that_is_no_text_is_refused_by_name(model: rtvoice.Model, tmp_path: Path) -> None:
    path = os.fsdecode(os.fsencode(tmp_path) + b"/bad\xff.rtlog")
    with pytest.raises(ValueError, match="must be text"):
        rtvoice.Engine(model, RATE, 480).log(path)
    with rtvoice.Engine(model, RATE, 480).log(tmp_path / "gut é 声.rtlog"):
        pass
    assert read_log(tmp_path / "gut é 声.rtlog").ended


def test_only_the_owner_may_read_it(model: rtvoice.Model, tmp_path: Path) -> None:
    rtvoice.Engine(model, RATE, 480).log(tmp_path / "a.rtlog").stop()
    assert (tmp_path / "a.rtlog").stat().st_mode & 0o077 == 0


def test_it_goes_on_in_another_file_by_size_and_keeps_the_newest(model: rtvoice.Model, tmp_path: Path) -> None:
    engine = rtvoice.Engine(model, RATE, 480)
    audio = noise(480)
    with engine.log(tmp_path / "a.rtlog", rotate_mb=0.02, flush_ms=1, ring_ms=60000) as log:
        while log.status().files < 4:
            engine.process(audio)
            time.sleep(0.001)  # a ring of a minute then bears six seconds in which the writer gets no CPU
    whole = read_log(tmp_path / "a.rtlog")
    assert whole.problems == [] and whole.ended and whole.gaps == []
    assert len(whole.paths) == log.status().files and whole.paths[1].name == "a.0001.rtlog"
    assert np.array_equal(whole.audio(0, whole.frames)[0][:, 0], np.tile(audio, whole.frames // 480))
    with engine.log(tmp_path / "b.rtlog", rotate_mb=0.02, keep_files=2, flush_ms=1, ring_ms=60000) as log:
        while log.status().files < 5:
            engine.process(audio)
            time.sleep(0.001)
    left = sorted(path.name for path in tmp_path.glob("b*"))
    assert len(left) == 2 and "b.rtlog" not in left
    rest = read_log(tmp_path / "b.rtlog")
    assert rest.first > 0 and rest.problems == []
    assert np.array_equal(rest.audio(rest.first, rest.end)[0][:, 0], np.tile(audio, rest.frames // 480))


def test_it_goes_on_in_another_file_by_age(model: rtvoice.Model, tmp_path: Path) -> None:
    engine = rtvoice.Engine(model, RATE, 480)
    with engine.log(tmp_path / "a.rtlog", rotate_minutes=0.05 / 60, flush_ms=1, ring_ms=60000) as log:
        while log.status().files < 3:
            engine.process(noise(480))
            time.sleep(0.001)
    assert read_log(tmp_path / "a.rtlog").problems == []


def test_a_file_that_cannot_be_made_is_named(model: rtvoice.Model, tmp_path: Path) -> None:
    engine = rtvoice.Engine(model, RATE, 480)
    with pytest.raises(OSError, match="nowhere"):
        engine.log(tmp_path / "nowhere" / "a.rtlog")
    with pytest.raises(OSError, match="the disk is full"):
        engine.log("/dev/full")
    with pytest.raises(ValueError, match="audio must be"):
        engine.log(tmp_path / "a.rtlog", audio="mp3")
    engine.log(tmp_path / "a.rtlog").stop()


def test_one_log_an_engine_and_one_engine_a_file(model: rtvoice.Model, tmp_path: Path) -> None:
    one, two = rtvoice.Engine(model, RATE, 480), rtvoice.Engine(model, RATE, 480)
    log = one.log(tmp_path / "a.rtlog")
    with pytest.raises(ValueError, match="logged already"):
        one.log(tmp_path / "b.rtlog")
    with pytest.raises(OSError, match="another log"):
        two.log(tmp_path / "a.rtlog")
    assert log.stop() == log.stop()
    two.log(tmp_path / "a.rtlog").stop()


def test_an_engine_that_goes_away_ends_its_log(model: rtvoice.Model, tmp_path: Path) -> None:
    engine = rtvoice.Engine(model, RATE, 480)
    log = engine.log(tmp_path / "a.rtlog")
    engine.process(noise(480))
    del log, engine
    assert read_log(tmp_path / "a.rtlog").ended


def test_a_log_begun_in_the_middle_says_so(model: rtvoice.Model, tmp_path: Path) -> None:
    engine = rtvoice.Engine(model, RATE, 480)
    engine.process(noise(480))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with engine.log(tmp_path / "a.rtlog"):
            engine.process(noise(480))
    assert read_log(tmp_path / "a.rtlog").events[0].kind == "start"
