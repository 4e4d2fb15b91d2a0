"""Students by themselves: the ladder's front by measured cost, pruned units, rounded weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="the train extra is not installed")

import torch  # noqa: E402

import rtvoice  # noqa: E402
from rtvoice import nn  # noqa: E402
from rtvoice.graph import GraphBuilder  # noqa: E402
from rtvoice.train.compress.prune import fit_shapes, hidden_layers, prune  # noqa: E402
from rtvoice.train.compress.rounding import calibration, round_model, signal_to_noise, stream  # noqa: E402
from rtvoice.train.ladder import Rung, front  # noqa: E402
from tiny_student import HOP, RATE, Shape, network  # noqa: E402

RECIPE = '[skin]\nname = "tiny"\nstages = "tiny_student"\nconsent = "no voice"\n[student]\n'


def distill(*words: Any) -> int:
    from rtvoice.cli import run

    try:
        return run(["distill", *map(str, words)])
    except SystemExit as end:
        return int(end.code or 0)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    (tmp_path / "small.toml").write_text(RECIPE)
    return tmp_path / "small.toml"


def test_a_ladder_ranks_students_by_measured_cost(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--ladder", "16,256", "--quality", "decibels", "--bench-seconds", "0.1")
    out = tmp_path / "ladder"
    assert distill(small, "--cache", tmp_path / "cache", *words, "--out", out, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["rungs"] == json.loads((out / "ladder.json").read_text())["rungs"]
    cheap, dear = told["rungs"]
    assert (cheap["width"], dear["width"]) == (16, 256)
    assert cheap["on_front"] and dear["cold_us"] > cheap["cold_us"] > 0
    assert dear["weight_bytes"] > 10 * cheap["weight_bytes"]
    assert cheap["steps"] == dear["steps"] == 40
    page = (out / "ladder.html").read_text()
    assert "http" not in page.replace("http-equiv", "") and "256" in page
    # Each rung is a result of its own in the cache.
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").glob("*/stage.json")}
    assert (
        distill(small, "--cache", tmp_path / "cache", "--set", "student.default.channels=16", "--tier", "default") == 0
    )
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").glob("*/stage.json")} == before


def test_the_front_holds_what_nothing_beats() -> None:
    def rung(label: str, quality: float, cold: float) -> Rung:
        return Rung(label, 1, "", quality, cold_us=cold)

    rungs = [rung("a", 3.0, 10), rung("b", 2.0, 20), rung("c", 2.5, 30), rung("d", 1.0, 40)]
    assert front(rungs) == ["a", "b", "d"]


def test_a_teachers_folder_stands_in_for_the_recipes_own(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    teacher = tmp_path / "teacher"
    teacher.mkdir()
    x = np.random.default_rng(0).normal(size=(32, 10 * HOP)).astype(np.float32)
    np.savez(teacher / "pairs.npz", x=x, y=0.5 * x)
    words = (small, "--teacher", teacher, "--tier", "hq", "--cache", tmp_path / "cache", "--json")
    assert distill(*words) == 0
    told = json.loads(capsys.readouterr().out)
    assert {stage["stage"]: stage["status"] for stage in told["stages"]} == {"render": "given", "student.hq": "cached"}
    assert told["ran"] == ["student.hq"]


def test_what_no_output_depends_on_is_pruned_first_and_changes_nothing() -> None:
    torch.manual_seed(0)
    net = network(Shape(channels=16, widen=4)).eval()
    with torch.no_grad():
        for layer in hidden_layers(net):
            layer.wide.weight[::2] *= 1e-6
            layer.wide.bias[::2] *= 1e-6
    x = torch.randn(1, 5 * HOP, 1)
    with torch.no_grad():
        wanted = net(x)
        report = prune(net, 0.5)
        found = net(x)
    assert [now for _, _, now in report.layers] == [32, 32]
    assert report.parameters[1] < report.parameters[0]
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
    fresh = network(Shape(channels=16, widen=4))
    fit_shapes(fresh, net.state_dict())
    fresh.load_state_dict(net.state_dict())


def test_pruning_keeps_whole_vectors_and_at_least_one() -> None:
    net = network(Shape(channels=16, widen=4))
    report = prune(net, 0.01)
    assert all(now == 16 for _, _, now in report.layers)
    with pytest.raises(ValueError, match="has no hidden units"):
        prune(nn.Sequential(nn.Linear(4, 4)), 0.5)
    with pytest.raises(ValueError, match="cannot be kept"):
        prune(net, 0.0)


def test_the_whisper_students_hidden_units_are_found() -> None:
    from rtvoice.train.whisper.student import TIERS, WhisperStudent

    layers = hidden_layers(WhisperStudent(TIERS["default"]))
    assert [layer.units for layer in layers] == [4 * 96] * 5


def test_a_pruned_student_is_trained_on_and_written(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache = ("--cache", tmp_path / "cache")
    assert distill(small, *cache, "--prune", "0.25") == 1
    assert "is not trained yet" in capsys.readouterr().err
    assert distill(small, *cache, "--tier", "default") == 0
    capsys.readouterr()
    assert distill(small, *cache, "--prune", "0.25", "--out", tmp_path / "out", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert sum(layer["kept"] for layer in told["layers"]) == pytest.approx(0.25 * 2 * 128, abs=16)
    assert told["held_out"]["loss"] < 1.2 * told["held_out_before"]["loss"]
    model = rtvoice.Model.load(told["model"])
    plain = rtvoice.Model.load(next((tmp_path / "cache").glob("student.default-*/default.rtv")))
    assert model.info["parameter_count"] < 0.9 * plain.info["parameter_count"]
    assert "hidden units kept" in model.metadata["provenance"]["pruned"]


def test_rounded_weights_lose_what_their_bits_say(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    builder = GraphBuilder(name="tiny", sample_rate=RATE, hop=HOP)
    builder.output(network(Shape(channels=64)).emit(builder, builder.input(), "net"))
    model = builder.model()
    found = {kind: round_model(model, kind) for kind in ("fp16", "bf16", "int8")}
    # 11, 8 and about 7 bits of a value: 18 dB between the first two, a scale for a whole row below them.
    assert found["fp16"].snr == pytest.approx(found["bf16"].snr + 18, abs=3)
    assert 30 < found["int8"].snr < found["bf16"].snr < found["fp16"].snr < 90
    assert found["int8"].stored_bytes < 0.55 * found["fp16"].stored_bytes
    for rounded in found.values():
        sound = calibration(RATE)
        assert signal_to_noise(stream(model, sound), stream(rounded.model, sound)) == pytest.approx(rounded.snr)
        assert rounded.model.metadata["provenance"]["weights"] == rounded.kind
    model.save(tmp_path / "tiny.rtv")
    assert distill(tmp_path / "tiny.rtv", "--weights", "fp16,int8", "--out", tmp_path / "small", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert [row["weights"] for row in told["rows"]] == ["fp16", "int8"]
    assert rtvoice.Model.load(told["rows"][0]["file"]).name == "tiny"
    sizes = [path.stat().st_size for path in (tmp_path / "tiny.rtv", *(Path(row["file"]) for row in told["rows"]))]
    assert sizes[1] < 0.6 * sizes[0] and sizes[2] < 0.4 * sizes[0]
    assert distill(tmp_path / "tiny.rtv", "--weights", "int4") == 2


def test_8_bits_hold_back_the_matrices_that_cannot_bear_them() -> None:
    model = rtvoice.Model.load("whisper")
    rounded = round_model(model, "int8")
    assert rounded.snr_all < 20 < 30 <= rounded.snr
    assert set(rounded.kept) >= {"analysis.transform.weight"} and len(rounded.kept) <= 6
    # Without a gate none is: steps reach beyond float16's range, too.
    assert round_model(model, "int8", gate=-10.0).kept == () != round_model(model, "fp16").kept
