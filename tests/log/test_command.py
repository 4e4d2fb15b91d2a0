"""``rtvoice log`` and ``rtvoice bench --from-log``, as somebody types them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import rtvoice
import rtvoice.log.extract as extract_module
from commands import run
from rtvoice import audio
from rtvoice.log import read_log
from rtvoice.log.extract import extract


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory, model_path: Path) -> tuple[Path, Any, Any]:
    path = tmp_path_factory.mktemp("session") / "a.rtlog"
    engine = rtvoice.Engine(model_path, 48000, 512)
    random = np.random.default_rng(0)
    given, made = [], []
    with engine.log(path, who="Ada <b>") as log:
        for call in range(120):
            engine.set("gain", 1.0 + call / 100)
            if call == 60:
                log.note("a <script> of note")
                engine.reset()
            given.append((random.standard_normal(int(random.integers(1, 513))) * 0.1).astype(np.float32))
            made.append(engine.process(given[-1]))
    return path, np.concatenate(given), np.concatenate(made)


def test_show_prints_a_table_and_writes_one_offline_page(session: tuple[Path, Any, Any], tmp_path: Path) -> None:
    done = run("log", "show", session[0], "--html", tmp_path / "a.html")
    assert done.status == 0 and done.err == ""
    for word in ("turned on by Ada", "echo (default)", "reset", "gain = 1.05", "overruns"):
        assert word in done.out
    page = (tmp_path / "a.html").read_text()
    for word in (
        "<svg",
        "data:image/png;base64",
        "Events",
        "Time of the calls",
        "a &lt;script&gt; of note",
        "Ada &lt;b&gt;",
    ):
        assert word in page
    assert "http" not in page and "<script" not in page


def test_show_tells_the_same_as_json(session: tuple[Path, Any, Any]) -> None:
    told = run("log", "show", session[0], "--json").json
    assert told["frames"] == len(session[1]) and told["calls"] == 120 and told["ended"]
    assert told["resets"] == 1 and told["notes"] == 1 and told["gaps"] == []
    assert told["call_us"]["p50"] > 0 and told["model"] == {"name": "echo", "tier": "default"}
    assert sum(event["what"] == "parameter" for event in told["events"]) >= 118


def test_show_tells_where_no_call_came(model_path: Path, tmp_path: Path) -> None:
    engine = rtvoice.Engine(model_path, 48000, 512)
    with engine.log(tmp_path / "a.rtlog"):
        for call in range(4):
            if call == 2:
                time.sleep(0.7)
            engine.process(np.zeros(512, np.float32))
    told = run("log", "show", tmp_path / "a.rtlog", "--json").json
    (pause,) = told["pauses"]
    assert pause["index"] == 1024 and pause["length"] >= 0.65
    assert told["seconds"] == 2048 / 48000
    assert f"no call for {pause['length']:.2f} s" in run("log", "show", tmp_path / "a.rtlog").out


@pytest.mark.parametrize("track", ["both", "input", "output"])
def test_extract_writes_what_was_heard(session: tuple[Path, Any, Any], tmp_path: Path, track: str) -> None:
    path, given, made = session
    told = run("log", "extract", path, tmp_path / "a.wav", "--track", track, "--json").json
    audio, rate = soundfile.read(tmp_path / "a.wav", dtype="float32", always_2d=True)
    wanted = {"input": [given], "output": [made], "both": [given, made]}[track]
    assert rate == 48000 and told["frames"] == len(given)
    assert np.array_equal(audio, np.stack(wanted, axis=1))


def test_extract_takes_a_part_and_sixteen_bits_stay_as_they_are(
    session: tuple[Path, Any, Any], model_path: Path, tmp_path: Path
) -> None:
    assert run("log", "extract", session[0], tmp_path / "a.wav", "--from", 0.1, "--to", "0.25").status == 0
    audio = soundfile.read(tmp_path / "a.wav", dtype="float32", always_2d=True)[0]
    assert np.array_equal(audio[:, 0], session[1][4800:12000])
    engine = rtvoice.Engine(model_path, 48000, 512)
    with engine.log(tmp_path / "b.rtlog", audio="pcm16"):
        engine.process(session[1][:512].copy())
    log = read_log(tmp_path / "b.rtlog")
    extract(log, tmp_path / "b.wav", track="input")
    assert soundfile.info(tmp_path / "b.wav").subtype == "PCM_16"
    assert np.array_equal(soundfile.read(tmp_path / "b.wav", dtype="float32")[0], log.audio(0, 512)[0][:, 0])


def test_beyond_four_gigabytes_it_is_rf64(session: tuple[Path, Any, Any], tmp_path: Path) -> None:
    extract(read_log(session[0]), tmp_path / "a.wav", large=True)
    assert (tmp_path / "a.wav").read_bytes()[:4] == b"RF64"
    assert soundfile.info(tmp_path / "a.wav").frames == len(session[1])


def test_a_sound_file_beyond_four_gigabytes_has_its_true_length(
    session: tuple[Path, Any, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1.2 billion samples, of which the silent ones are a hole: RF64 without being asked, and the end where it is."""
    frames, silence = 1_200_000_000, np.zeros((1, 1), np.float32)
    log = read_log(session[0])
    log.end = log.first + frames
    end, plain = log.audio(0, 1000)[0], audio.Writer.write

    def pieces(start: int, stop: int) -> Any:
        piece = end[: stop - start] if stop == log.end else np.broadcast_to(silence, (stop - start, 1))
        return piece, piece

    def write(writer: audio.Writer, piece: Any) -> None:
        if piece.strides[0]:
            plain(writer, piece)
        else:
            writer._file.seek(len(piece), 1)

    monkeypatch.setattr(log, "audio", pieces)
    monkeypatch.setattr(audio.Writer, "write", write)
    monkeypatch.setattr(extract_module, "_WINDOW", frames - 1000)
    extract(log, tmp_path / "a.wav", track="input")
    assert (tmp_path / "a.wav").stat().st_size > 1 << 32
    with soundfile.SoundFile(tmp_path / "a.wav") as file:
        assert file.frames == frames and file.format == "RF64"
        file.seek(frames - 1000)
        assert np.array_equal(file.read(dtype="float32"), end[:, 0])
    assert (tmp_path / "a.wav").stat().st_blocks * 512 < 1 << 20


def test_replay_on_another_instruction_set_promises_nothing_and_tells_where_they_part(tmp_path: Path) -> None:
    engine = rtvoice.Engine("whisper", 48000, 480, tier="default")
    random = np.random.default_rng(0)
    with engine.log(tmp_path / "a.rtlog"):
        for _ in range(50):
            engine.process((random.standard_normal(480) * 0.1).astype(np.float32))
    ask = "import rtvoice; print(rtvoice.isa())"
    for other in ("AVX2", "SSE4", "SCALAR"):
        environment = {**os.environ, "RTVOICE_ISA": other}
        said = subprocess.run([sys.executable, "-c", ask], env=environment, capture_output=True, text=True, check=True)
        if said.stdout.strip() == other != rtvoice.isa():
            break
    else:
        pytest.skip(f"this processor has {rtvoice.isa()} only")
    told = run("log", "replay", tmp_path / "a.rtlog", "--json", RTVOICE_ISA=other)
    assert told.status == 0 and told.json["isa"] == other and told.json["logged_isa"] == rtvoice.isa()
    assert not told.json["promised"] and not told.json["identical"]
    assert told.json["first_divergence"]["index"] >= 0 and told.json["compared"] == 24000
    done = run("log", "replay", tmp_path / "a.rtlog", RTVOICE_ISA=other)
    assert done.status == 0 and "not the same bits (none were promised: it was made with" in done.out
    assert "first divergence" in done.out and "bit-identical" not in done.out


def test_a_log_without_a_call_has_nothing_to_compare(model_path: Path, tmp_path: Path) -> None:
    rtvoice.Engine(model_path, 48000, 512).log(tmp_path / "a.rtlog").stop()
    done = run("log", "replay", tmp_path / "a.rtlog", "--find", model_path)
    assert done.status == 0 and "nothing to compare" in done.out and "identical" not in done.out
    assert run("log", "replay", tmp_path / "a.rtlog", "--find", model_path, "--json").json["compared"] == 0


def test_replay_says_whether_the_bits_are_the_same(
    session: tuple[Path, Any, Any], model_path: Path, tmp_path: Path
) -> None:
    done = run("log", "replay", session[0], "--find", model_path, "--out", tmp_path / "a.wav")
    assert done.status == 0 and "bit-identical" in done.out
    assert np.array_equal(soundfile.read(tmp_path / "a.wav", dtype="float32")[0], session[2])
    told = run("log", "replay", session[0], "--find", model_path, "--json").json
    assert told["promised"] and told["identical"] and told["compared"] == len(session[1])
    other = run("log", "replay", session[0], "--model", "whisper", "--json")
    assert other.status == 0 and not other.json["promised"] and other.json["first_divergence"]["index"] >= 0
    assert other.json["models"] == ["whisper (default)"], "whatever tier this machine could run"


def test_what_goes_wrong_is_one_line(session: tuple[Path, Any, Any], model_path: Path, tmp_path: Path) -> None:
    cases = [
        (("log", "show", tmp_path / "none.rtlog"), "none.rtlog", 1),
        (("log", "show", tmp_path), "folder", 1),
        (("log", "replay", session[0]), "--find", 1),
        (("log",), "ACTION", 2),
        (("log", "show"), "LOG", 2),
        (("log", "extract", session[0], tmp_path / "x.wav", "--from", "99"), "no audio", 1),
        (("bench", "--from-log", session[0], "--block", "64"), "leave out --block", 2),
        (("bench", "--from-log", session[0], "--rate", "44100"), "leave out --rate", 2),
        (("log", "replay", session[0], "--tier", "hq"), "give --model", 2),
        (("log", "show", session[0], "--html", session[0]), "is the log itself", 1),
    ]
    engine = rtvoice.Engine(model_path, 48000, 512)
    engine.log(tmp_path / "r.rtlog", redact=True).stop()
    cases.append((("log", "extract", tmp_path / "r.rtlog", tmp_path / "x.wav"), "redacted", 1))
    for words, told, status in cases:
        done = run(*words)
        assert done.status == status and told in done.err and done.err.count("\n") == 1, (words, done)


def test_a_cut_log_is_shown_with_a_warning(session: tuple[Path, Any, Any], tmp_path: Path) -> None:
    raw = session[0].read_bytes()
    (tmp_path / "a.rtlog").write_bytes(raw[:-40])
    done = run("log", "show", tmp_path / "a.rtlog", "--json")
    assert done.status == 0 and "warning" in done.err and not done.json["ended"]


def test_bench_times_the_calls_of_a_log(session: tuple[Path, Any, Any], model_path: Path) -> None:
    told = run("bench", model_path, "--from-log", session[0], "--json").json
    (result,) = told["results"]
    assert result["frames"] == 120 and result["log"]["most"] <= 512 and result["log"]["different_sizes"] > 50
    assert result["frame_us"]["p50"] > 0 and result["logged"]["frame_us"]["p50"] > 0
    paced = run("bench", model_path, "--from-log", session[0], "--paced")
    assert paced.status == 0 and "where it was logged" in paced.out


def test_bench_of_a_redacted_log_takes_noise(model_path: Path, tmp_path: Path) -> None:
    engine = rtvoice.Engine(model_path, 48000, 512)
    with engine.log(tmp_path / "r.rtlog", redact=True):
        for size in (100, 0, 512, 37):
            engine.process(np.zeros(size, np.float32))
    told = run("bench", model_path, "--from-log", tmp_path / "r.rtlog", "--json").json
    assert told["results"][0]["frames"] == 3
