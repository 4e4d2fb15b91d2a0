"""The commands: what they print and write, their exit statuses, and one-line errors that name the remedy."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

import nam_files
import rtvoice
from commands import Done, run

COMMANDS = ["render", "models", "info", "import", "check", "bench", "evaluate", "monitor"]


def record(
    path: Path, seconds: float = 0.5, rate: int = 48000, channels: int = 1, subtype: str = "FLOAT"
) -> np.ndarray:
    rng = np.random.default_rng(3)
    signal = (0.1 * rng.standard_normal((int(seconds * rate), channels))).astype(np.float32)
    soundfile.write(path, signal, rate, subtype=subtype)
    return signal


def failed(done: Done, status: int, *words: str) -> None:
    assert done.status == status, done
    assert done.out == ""
    assert done.err.count("\n") == 1, done.err
    for word in words:
        assert word in done.err


# ---- the command line as a whole


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(command: str) -> None:
    done = run(command, "--help")
    assert done.status == 0
    assert f"example:\n  {'RTVOICE_MODELS' if command == 'models' else f'rtvoice {command}'}" in done.out
    assert done.err == ""


def test_help_lists_the_commands() -> None:
    done = run("--help")
    assert done.status == 0
    assert all(command in done.out for command in COMMANDS)
    assert "example:" in done.out


def test_the_version_is_that_of_the_package() -> None:
    from importlib.metadata import version

    done = run("--version")
    assert (done.status, done.out) == (0, f"rtvoice {version('rtvoice')}\n")
    assert rtvoice.__version__ == version("rtvoice")


@pytest.mark.parametrize("command", ["talk", "comparison", "rendr"])
def test_an_unknown_command_lists_those_there_are(command: str) -> None:
    failed(run(command, "--help"), 2, command, *COMMANDS)


def test_no_command_is_wrong_usage() -> None:
    failed(run(), 2, *COMMANDS)


@pytest.mark.parametrize(
    "words",
    [
        ["render"],
        ["render", "in.wav"],
        ["render", "in.wav", "out.wav", "extra.wav"],
        ["render", "in.wav", "out.wav", "--rate", "7999"],
        ["render", "in.wav", "out.wav", "--rate", "fast"],
        ["render", "in.wav", "out.wav", "--block", "0"],
        ["render", "in.wav", "out.wav", "--block", "65537"],
        ["render", "in.wav", "out.wav", "--block", "1.5"],
        ["render", "in.wav", "out.wav", "--seed", "-1"],
        ["render", "in.wav", "out.wav", "--tier", "ultra"],
        ["render", "in.wav", "out.wav", "--modle", "whisper"],
        ["info"],
        ["import", "x.onnx"],
        ["bench", "--seconds", "0"],
        ["bench", "--seconds", "nan"],
        ["bench", "--block", "480,none"],
        ["models", "--bogus"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_status_2_and_one_line(words: list[str]) -> None:
    failed(run(*words), 2, f"rtvoice {words[0]}: error:", "--help")


# ---- render


def test_render_is_the_engine_moved_back_by_its_latency(model_path: Path, tmp_path: Path) -> None:
    signal = record(tmp_path / "in.wav")[:, 0]
    done = run("render", tmp_path / "in.wav", tmp_path / "out.wav", "--model", model_path, "--json")
    assert (done.status, done.err) == (0, "")
    engine = rtvoice.Engine(model_path, 48000, 480)
    padded = np.concatenate([signal, np.zeros(48000, np.float32)])
    expected = np.concatenate([engine.process(padded[i : i + 480]) for i in range(0, len(padded), 480)])
    out, rate = soundfile.read(tmp_path / "out.wav", dtype="float32")
    assert rate == 48000
    np.testing.assert_array_equal(out, expected[engine.latency :][: len(signal)])
    assert done.json["latency_samples"] == engine.latency
    assert done.json["frames"] == len(signal)


@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize("block", [None, 1, 64, 480, 1013, 65536])
def test_any_block_gives_the_same_file(model_path: Path, tmp_path: Path, channels: int, block: int | None) -> None:
    if channels > 1 and block == 1:
        pytest.skip("a block of 1 is tried in mono")
    signal = record(tmp_path / "in.wav", seconds=0.31, channels=channels)
    options = [] if block is None else ["--block", block]
    done = run("render", tmp_path / "in.wav", tmp_path / "out.wav", "--model", model_path, *options)
    assert done.status == 0, done.err
    out = soundfile.read(tmp_path / "out.wav", dtype="float32", always_2d=True)[0]
    assert out.shape == signal.shape
    engine = rtvoice.Engine(model_path, 48000, 4096, channels)
    padded = np.concatenate([signal, np.zeros((16384, channels), np.float32)])
    expected = np.concatenate(
        [engine.process(padded[i : i + 4096]) for i in range(0, len(padded) // 4096 * 4096, 4096)]
    )
    np.testing.assert_array_equal(out, expected[engine.latency :][: len(signal)])


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 192000])
def test_every_rate_keeps_its_length(model_path: Path, tmp_path: Path, rate: int) -> None:
    signal = record(tmp_path / "in.wav", seconds=0.3, rate=rate)
    assert run("render", tmp_path / "in.wav", tmp_path / "out.wav", "--model", model_path).status == 0
    info = soundfile.info(tmp_path / "out.wav")
    assert (info.frames, info.samplerate) == (len(signal), rate)


def test_rate_makes_the_host_run_at_it(model_path: Path, tmp_path: Path) -> None:
    record(tmp_path / "in.wav", seconds=0.5, rate=16000)
    done = run("render", tmp_path / "in.wav", tmp_path / "out.wav", "--model", model_path, "--rate", 48000, "--json")
    info = soundfile.info(tmp_path / "out.wav")
    assert (info.samplerate, info.frames) == (48000, 24000)
    assert (done.json["sample_rate"], done.json["block"]) == (48000, 480)


def test_raw_latency_is_late_and_keeps_the_tail(model_path: Path, tmp_path: Path) -> None:
    signal = record(tmp_path / "in.wav", seconds=0.2)
    both = {}
    for name, options in (("raw", ["--raw-latency"]), ("plain", [])):
        done = run("render", tmp_path / "in.wav", tmp_path / f"{name}.wav", "--model", model_path, "--json", *options)
        both[name] = soundfile.read(tmp_path / f"{name}.wav", dtype="float32")[0]
    latency = done.json["latency_samples"]
    assert latency > 0
    assert len(both["raw"]) == len(signal) + latency
    np.testing.assert_array_equal(both["raw"][latency:], both["plain"])


def test_the_seed_decides_the_bits(tmp_path: Path) -> None:
    record(tmp_path / "in.wav", rate=16000)
    outs = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        done = run("render", tmp_path / "in.wav", tmp_path / f"{name}.wav", "--seed", seed)
        assert done.status == 0, done.err
        outs.append(soundfile.read(tmp_path / f"{name}.wav")[0])
    np.testing.assert_array_equal(outs[0], outs[1])
    assert not np.array_equal(outs[0], outs[2])


@pytest.mark.parametrize("extension", ["flac", "ogg", "mp3", "aiff", "wav"])
def test_formats_go_by_the_extension(model_path: Path, tmp_path: Path, extension: str) -> None:
    if extension.upper() not in soundfile.available_formats():
        pytest.skip(f"this libsndfile has no {extension}")
    record(tmp_path / "in.flac", rate=16000, subtype="PCM_16")
    first = tmp_path / f"first.{extension}"
    assert run("render", tmp_path / "in.flac", first, "--model", model_path).status == 0
    assert run("render", first, tmp_path / "second.wav", "--model", model_path).status == 0
    assert soundfile.info(first).samplerate == 16000


def test_the_sample_type_is_kept(model_path: Path, tmp_path: Path) -> None:
    for subtype in ("PCM_16", "PCM_24", "FLOAT"):
        record(tmp_path / "in.wav", subtype=subtype)
        assert run("render", tmp_path / "in.wav", tmp_path / "out.wav", "--model", model_path).status == 0
        assert soundfile.info(tmp_path / "out.wav").subtype == subtype


def test_rendering_onto_the_input_is_allowed(model_path: Path, tmp_path: Path) -> None:
    record(tmp_path / "a.wav")
    run("render", tmp_path / "a.wav", tmp_path / "b.wav", "--model", model_path)
    assert run("render", tmp_path / "a.wav", tmp_path / "a.wav", "--model", model_path).status == 0
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()


def test_render_errors_name_the_file_and_the_remedy(model_path: Path, tmp_path: Path) -> None:
    good, out = tmp_path / "good.wav", tmp_path / "out.wav"
    record(good)
    (tmp_path / "empty.wav").write_bytes(b"")
    (tmp_path / "text.wav").write_text("no audio here")
    (tmp_path / "bad.rtv").write_bytes(b"no model here")
    (tmp_path / "dir").mkdir()
    record(tmp_path / "slow.wav", rate=4000)
    soundfile.write(tmp_path / "none.wav", np.zeros((0, 1), np.float32), 48000)
    failed(run("render", tmp_path / "missing.wav", out), 1, "missing.wav", "no such file")
    failed(run("render", tmp_path / "dir", out), 1, "dir is a folder")
    failed(run("render", tmp_path / "empty.wav", out), 1, "empty.wav", "empty")
    failed(run("render", tmp_path / "text.wav", out), 1, "text.wav", "formats")
    failed(run("render", tmp_path / "none.wav", out), 1, "none.wav", "holds no audio")
    failed(run("render", tmp_path / "slow.wav", out), 1, "slow.wav", "--rate 48000")
    failed(run("render", good, tmp_path / "out"), 1, "extension", ".wav")
    failed(run("render", good, tmp_path / "out.xyz", "--model", model_path), 1, "out.xyz", ".wav")
    failed(run("render", good, tmp_path / "no" / "out.wav", "--model", model_path), 1, "folder", "does not exist")
    failed(run("render", good, tmp_path / "dir", "--model", model_path), 1, "dir is a folder")
    failed(run("render", "", out), 1, "name is empty")
    failed(run("render", good, out, "--model", "nobody"), 1, "nobody", "whisper")
    failed(run("render", good, out, "--model", tmp_path / "missing.rtv"), 1, "missing.rtv", "no such file")
    failed(run("render", good, out, "--model", tmp_path / "bad.rtv"), 1, "bad.rtv")
    failed(run("render", good, out, "--model", model_path, "--tier", "hq"), 1, "tier", "hq")
    assert not out.exists()
    assert not list(tmp_path.glob(".*"))


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    done = run("render", tmp_path / "missing.wav", tmp_path / "out.wav", "--debug")
    assert done.status == 1
    assert "Traceback" in done.err
    assert "no such file" in done.err


def test_samples_that_are_not_finite_are_told(model_path: Path, tmp_path: Path) -> None:
    signal = record(tmp_path / "in.wav")
    signal[100:110] = np.nan
    soundfile.write(tmp_path / "in.wav", signal, 48000, subtype="FLOAT")
    done = run("render", tmp_path / "in.wav", tmp_path / "out.wav", "--model", model_path, "--json")
    assert done.status == 0
    assert done.json["nonfinite"] == 10
    assert "10" in done.err and "in.wav" in done.err
    assert np.isfinite(soundfile.read(tmp_path / "out.wav")[0]).all()


@pytest.mark.parametrize("program", ["main", "bench"])
def test_an_interrupt_while_the_program_is_loaded_is_one_line(program: str) -> None:
    code = (
        "import sys\n"
        "from rtvoice import __main__\n"
        "class Interrupt:\n"
        "    def find_spec(self, name, *rest):\n"
        "        if name == 'rtvoice.cli.console': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupt())\n"
        f"sys.exit(__main__.{program}())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 130
    assert done.stderr.count("\n") == 1 and "interrupted" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_render_leaves_no_file(model_path: Path, tmp_path: Path, number: signal.Signals) -> None:
    record(tmp_path / "in.wav", seconds=300, subtype="PCM_16")
    (tmp_path / "out.wav").write_bytes(b"old")
    words = ["render", tmp_path / "in.wav", tmp_path / "out.wav", "--model", model_path, "--block", "1"]
    # A background shell ignores interrupts, nohup hang-ups, and programs inherit that.
    command = [sys.executable, "-m", "rtvoice", *map(str, words)]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, preexec_fn=lambda: (signal.signal(number, signal.SIG_DFL), None)[1]
    )
    time.sleep(1.5)  # sample by sample, five minutes take much longer
    process.send_signal(number)
    err = process.communicate(timeout=60)[1]
    assert process.returncode == 130, err
    assert err.count("\n") == 1 and "interrupted" in err
    assert (tmp_path / "out.wav").read_bytes() == b"old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.wav", "out.wav"]


def test_no_progress_bar_when_piped(model_path: Path, tmp_path: Path) -> None:
    record(tmp_path / "in.wav", seconds=3)
    done = run("render", tmp_path / "in.wav", tmp_path / "out.wav", "--model", model_path, "--block", 2)
    assert (done.status, done.err) == (0, "")


# ---- models, info


def test_models_lists_the_shipped_skins() -> None:
    done = run("models", "--json", RTVOICE_MODELS="")
    assert (done.status, done.err) == (0, "")
    found = {(m["name"], m["tier"]): m for m in done.json["models"]}
    assert {("whisper", "default"), ("whisper", "hq")} <= set(found)
    keys = {"sample_rate", "latency_ms", "parameters", "mac_per_second", "licence", "path"}
    assert all(keys <= set(m) for m in found.values())
    assert run("models").out.count("whisper") >= 2


def test_models_names_a_damaged_file_and_lists_the_others(skins: Path) -> None:
    (skins / "broken.rtv").write_bytes(b"nothing")
    done = run("models", "--json")
    assert done.status == 0
    assert "broken.rtv" in done.err and done.err.count("\n") == 1
    assert [d["path"] for d in done.json["damaged"]] == [str(skins / "broken.rtv")]
    assert {"echo", "loud"} <= {m["name"] for m in done.json["models"]}


def test_info_tells_the_whole_model(model_path: Path) -> None:
    done = run("info", model_path, "--json")
    assert (done.status, done.err) == (0, "")
    info = done.json
    assert (info["name"], info["sample_rate"], info["hop"], info["latency"]) == ("echo", 16000, 80, 40)
    assert [i["name"] for i in info["inputs"]] == ["audio", "gain", "hiss"]
    assert "energy" in [o["name"] for o in info["outputs"]]
    assert set(info["memory_bytes"]) == {"weights", "state", "scratch"}
    assert info["receptive_field"] > 0
    assert {"filter", "sum"} <= {layer["name"] for layer in info["layers"]}
    text = run("info", model_path).out
    for word in ("echo", "16000 Hz", "latency", "receptive field", "MMAC/s", "state", "filter", "gain"):
        assert word in text


def test_info_errors(tmp_path: Path) -> None:
    failed(run("info", "nobody"), 1, "nobody", "whisper")
    failed(run("info", tmp_path / "x.rtv"), 1, "x.rtv", "no such file")
    failed(run("info", tmp_path), 1, "folder")


def test_a_folder_with_a_bare_name_is_told_as_one(
    model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "soft.rtv").write_bytes(model_path.read_bytes())
    monkeypatch.chdir(tmp_path)
    for command in ("info", "check", "bench"):
        failed(run(command, "mine"), 1, "mine is a folder", "soft.rtv")


def test_a_closed_pipe_is_no_traceback(model_path: Path) -> None:
    words = [sys.executable, "-m", "rtvoice", "info", str(model_path)]
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(words, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["", "unbuffered"])
@pytest.mark.parametrize("words", [["--version"], ["models"], ["info", "whisper", "--json"]], ids=" ".join)
def test_an_output_that_takes_nothing_is_one_line(words: list[str], unbuffered: str) -> None:
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "rtvoice", *words]
        environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, env=environment)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and "standard output cannot be written: no space left" in done.stderr


# ---- import, check


def write_onnx(path: Path, *, op: str = "Tanh") -> Path:
    onnx = pytest.importorskip("onnx", reason="the extra 'onnx' is not installed")
    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    taps = (0.2 * np.random.default_rng(0).standard_normal((1, 1, 9))).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["h"], name="front", pads=[4, 4]),
        helper.make_node(op, ["h"], ["y"], name="shape"),
    ]
    info = [helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [1, 1, "time"]) for n in "xy"]
    graph = helper.make_graph(nodes, "small", info[:1], info[1:], [numpy_helper.from_array(taps, "w")])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def test_import_writes_a_model_that_passes_its_check(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    source, target = write_onnx(tmp_path / "small.onnx"), tmp_path / "small.rtv"
    done = run("import", source, "-o", target, "--rate", 16000, "--json")
    assert (done.status, done.err) == (0, "")
    assert done.json["latency"] == 4
    assert done.json["parity"] is not None
    model = rtvoice.Model.load(target)
    assert (model.name, model.sample_rate, model.latency) == ("small", 16000, 4)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["small.onnx", "small.rtv"]
    text = run("import", source, "-o", target, "--rate", 16000).out
    assert "fused" in text and "latency" in text and "parity" in text
    checked = run("check", target, "--against", source, "--json")
    assert (checked.status, checked.err) == (0, "")
    assert checked.json["passed"] is True
    assert len(checked.json["runs"]) > 3


def test_import_takes_48_khz_where_nothing_is_told_and_says_so(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    done = run("import", write_onnx(tmp_path / "small.onnx"), "-o", tmp_path / "small.rtv")
    assert done.status == 0
    assert "48000" in done.err and "--rate" in done.err and done.err.count("\n") == 1
    assert rtvoice.Model.load(tmp_path / "small.rtv").sample_rate == 48000


def test_import_errors_name_the_file_and_the_remedy(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    out = tmp_path / "out.rtv"
    (tmp_path / "bad.onnx").write_bytes(b"this is no protobuf")
    (tmp_path / "x.pt").write_bytes(b"")
    pooled = write_onnx(tmp_path / "global.onnx", op="GlobalAveragePool")
    failed(run("import", tmp_path / "none.onnx", "-o", out, "--rate", 16000), 1, "none.onnx", "no such file")
    failed(run("import", tmp_path / "bad.onnx", "-o", out, "--rate", 16000), 1, "bad.onnx")
    failed(run("import", tmp_path / "x.pt", "-o", out), 1, "x.pt", ".onnx")
    failed(run("import", pooled, "-o", out, "--rate", 16000), 1, "shape")
    failed(run("import", pooled, "-o", tmp_path / "out.bin", "--rate", 16000), 2, ".rtv")
    failed(run("import", pooled, "-o", out, "--rate", "0"), 2, "--rate")
    failed(run("import", pooled, "-o", out, "--rate", "3999"), 2, "--rate")
    for folder in (tmp_path / "dir", tmp_path / "dir.onnx", tmp_path / "dir.rtv"):
        folder.mkdir()
    failed(run("import", tmp_path / "dir", "-o", out, "--rate", 16000), 1, "dir is a folder")
    failed(run("import", tmp_path / "dir.onnx", "-o", out, "--rate", 16000), 1, "dir.onnx is a folder")
    failed(run("import", pooled, "-o", tmp_path / "dir.rtv", "--rate", 16000), 1, "dir.rtv is a folder")
    assert not out.exists()


def test_import_reads_neural_amp_modelers_and_rtneurals_files(tmp_path: Path) -> None:
    amp = nam_files.save(nam_files.linear(np.random.default_rng(1)), tmp_path / "amp.nam")
    done = run("import", amp, "-o", tmp_path / "amp.rtv", "--json")
    assert (done.status, done.err) == (0, "")
    assert (done.json["sample_rate"], done.json["latency"], done.json["parity"]["passed"]) == (48000, 0, True)
    assert run("check", tmp_path / "amp.rtv", "--against", amp).status == 0
    dense = {"type": "dense", "activation": "tanh", "shape": [None, None, 1], "weights": [[[0.5]], [0.1]]}
    (tmp_path / "net.json").write_text(json.dumps({"in_shape": [None, None, 1], "layers": [dense]}))
    done = run("import", tmp_path / "net.json", "-o", tmp_path / "net.rtv")
    assert done.status == 0 and "48000" in done.err and "--rate" in done.err
    failed(run("import", tmp_path / "net.json", "-o", tmp_path / "net.rtv", "--size", "2"), 2, "--size")


def test_check_passes_the_shipped_skin() -> None:
    done = run("check", "whisper", "--json")
    assert (done.status, done.err) == (0, "")
    assert done.json["passed"] is True
    assert done.json["error"] < 1e-5


def test_check_fails_against_another_model(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    source = write_onnx(tmp_path / "small.onnx")
    assert run("import", source, "-o", tmp_path / "small.rtv", "--rate", 16000).status == 0
    other = write_onnx(tmp_path / "other.onnx", op="Sigmoid")
    done = run("check", tmp_path / "small.rtv", "--against", other)
    assert done.status == 1
    assert "FAIL" in done.out


def test_check_errors(tmp_path: Path, model_path: Path) -> None:
    failed(run("check", "nobody"), 1, "nobody", "whisper")
    failed(run("check", model_path, "--against", tmp_path / "none.onnx"), 1, "none.onnx")
    failed(run("check", model_path, "--against", tmp_path / "none.nam"), 1, "none.nam", ".onnx")


def test_train_is_the_trainers_own_command() -> None:
    done = run("train", "--help")
    assert (done.status, done.err) == (0, "")
    assert "example:\n  rtvoice train whisper" in done.out and "rtvoice[train]" in done.out


def test_train_without_its_extra_names_it(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise ModuleNotFoundError('gone', name='torch')")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    assert run("train", "--help", PYTHONPATH=path).status == 0
    done = run("train", "whisper", "--data", "x", "--noise", "x", "--out", tmp_path / "out", PYTHONPATH=path)
    failed(done, 1, "rtvoice[train]")


# ---- files that are damaged, unusual or not there


def test_a_recording_cut_short_is_warned_of_and_rendered(model_path: Path, tmp_path: Path) -> None:
    source = tmp_path / "in.wav"
    record(source, seconds=1, subtype="PCM_16")
    source.write_bytes(source.read_bytes()[: source.stat().st_size // 3])
    done = run("render", source, tmp_path / "out.wav", "--model", model_path, "--json")
    assert done.status == 0
    assert done.err.count("\n") == 1 and "the file says 48000 frames" in done.err
    assert done.json["missing"] == 48000 - soundfile.info(tmp_path / "out.wav").frames > 30000


def test_an_ogg_recording_cut_short_is_warned_of(model_path: Path, tmp_path: Path) -> None:
    source = tmp_path / "in.ogg"
    soundfile.write(source, record(tmp_path / "x.wav", seconds=2), 48000)
    source.write_bytes(source.read_bytes()[: source.stat().st_size * 2 // 3])
    done = run("render", source, tmp_path / "out.wav", "--model", model_path)
    assert done.status == 0
    assert done.err.count("\n") == 1 and "cut short" in done.err


def test_rendering_into_a_pipe_leaves_a_pipe(model_path: Path, tmp_path: Path) -> None:
    record(tmp_path / "in.wav")
    os.mkfifo(tmp_path / "out.wav")
    with subprocess.Popen(["cat", str(tmp_path / "out.wav")], stdout=subprocess.PIPE) as cat:
        done = run("render", tmp_path / "in.wav", tmp_path / "out.wav", "--model", model_path)
        data = cat.communicate(timeout=60)[0]
    assert (done.status, done.err) == (0, "")
    assert (tmp_path / "out.wav").is_fifo()
    assert data[:4] == b"RIFF" and len(data) > 24000 * 2


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&- <&-"])
def test_closed_streams_are_no_failure(closed: str, tmp_path: Path) -> None:
    command = f'"{sys.executable}" -m rtvoice models {closed}'
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_file_names_that_are_not_text(model_path: Path, tmp_path: Path) -> None:
    record(tmp_path / "in.wav")
    source, out = os.fsencode(tmp_path) + b"/\xff.wav", os.fsencode(tmp_path) + b"/\xfe.wav"
    model = os.fsencode(tmp_path) + b"/\xfd.rtv"
    os.rename(tmp_path / "in.wav", source)
    Path(os.fsdecode(model)).write_bytes(model_path.read_bytes())
    words = [sys.executable, "-m", "rtvoice", "render", source, out, "--model", model]
    done = subprocess.run(words, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert out in done.stdout
    assert os.path.getsize(out) > 1000


def test_import_looks_for_its_files_before_anything_else(tmp_path: Path) -> None:
    failed(run("import", tmp_path / "none.onnx", "-o", tmp_path / "x.rtv"), 1, "none.onnx", "no such file")
    (tmp_path / "x.onnx").write_bytes(b"x")
    failed(run("import", tmp_path / "x.onnx", "-o", tmp_path / "no" / "x.rtv"), 1, "folder", "does not exist")


@pytest.mark.parametrize("model", ["", "x" * 5000, "x" * 300 + ".rtv"], ids=["empty", "long-name", "long-path"])
def test_models_that_cannot_be_named(model: str, tmp_path: Path) -> None:
    record(tmp_path / "in.wav")
    done = run("render", tmp_path / "in.wav", tmp_path / "out.wav", "--model", model)
    failed(done, 1)
    assert "Errno" not in done.err


def test_outputs_that_cannot_be_written_are_told_in_words(model_path: Path, tmp_path: Path) -> None:
    record(tmp_path / "in.wav", channels=9)
    for out, word in (("/proc/x.wav", "no file can be made"), (tmp_path / ("x" * 300 + ".wav"), "too long")):
        done = run("render", tmp_path / "in.wav", out, "--model", model_path)
        failed(done, 1, word)
        assert "Errno" not in done.err and "disk full" not in done.err
    failed(run("render", tmp_path / "in.wav", tmp_path / "x.flac", "--model", model_path), 1, "1 to 8 channels, not 9")


def test_a_file_named_for_another_tier_is_listed_by_its_own(skins: Path) -> None:
    (skins / "echo" / "default.rtv").unlink()
    (skins / "echo" / "hq.rtv").rename(skins / "echo" / "default.rtv")
    done = run("models", "--json")
    assert done.status == 0
    assert [m["tier"] for m in done.json["models"] if m["name"] == "echo"] == ["hq"]
    assert done.err.count("\n") == 1 and "hq.rtv" in done.err
