"""`rtvoice check` over minutes: what drifts is found, when and in which node; what does not passes."""

from __future__ import annotations

import json

import numpy as np
import pytest

import rtvoice
import rtvoice.engine
from rtvoice import GraphBuilder
from rtvoice.check import check


def network(decay=0.9):
    """A strided network with lookahead, a leaky sum and a value output."""
    rng = np.random.default_rng(1)
    b = GraphBuilder(name="net", sample_rate=8_000, hop=4)
    x = b.node("conv1d", b.input(), name="front", weight=rng.normal(size=(6, 1, 8)) * 0.3, stride=4, pads=[4, 4])
    x = b.node("tanh", x, name="shape")
    x = b.node("leaky_sum", x, name="memory", decay=np.full(6, decay))
    y = b.node("conv_transpose1d", x, name="back", weight=rng.normal(size=(6, 1, 8)) * 0.3, stride=4, crop=[2, 2])
    b.output(y)
    b.output(x, name="state", kind="value")
    return b.model()


class Slips:
    """An engine whose input grows once it has heard a minute: a stream that drifts."""

    def __init__(self, engine, after):
        self._engine, self._after, self._heard = engine, after, 0

    def process(self, frame, out=None):
        self._heard += len(frame)
        gain = np.float32(1.001 if self._heard > self._after else 1.0)
        return self._engine.process(np.asarray(frame) * gain)

    def __getattr__(self, name):
        return getattr(self._engine, name)


@pytest.fixture
def slipping(monkeypatch):
    made = rtvoice.engine.Engine
    monkeypatch.setattr("rtvoice.engine.Engine", lambda *args, **options: Slips(made(*args, **options), 60 * 8_000))


def test_ten_minutes_without_drift():
    report = check(network(), minutes=10)
    assert report.passed
    names = [run.name for run in report.runs]
    assert any(name == "followed to 10 min 0 s" for name in names)
    assert any(name.startswith("'state' followed to 10 min") for name in names)
    assert any(name.startswith("denormal numbers") for name in names)


def test_drift_is_found_where_it_begins(slipping):
    assert check(network()).passed, "nothing is wrong in the first minute"
    report = check(network(), minutes=10)
    assert not report.passed
    failed = [run.name for run in report.runs if not run.passed]
    assert failed and all("1 min 0 s" in name or "1 min 1 s" in name for name in failed), failed
    assert report.culprit == "front"
    assert [layer.name for layer in report.layers] == ["front", "shape", "memory", "back"]
    assert "the engine parts from float64 at 'front' first" in report.text()


def recurrent(update):
    """A GRU of 100 frames a second that keeps what it heard: for 4 s with an update gate of 6, for minutes with 10."""
    rng = np.random.default_rng(3)
    b = GraphBuilder(name="memory", sample_rate=8_000, hop=80)
    x = b.node("conv1d", b.input(), name="front", weight=rng.normal(size=(6, 1, 160)) * 0.05, stride=80, pads=[80, 0])
    bias = np.repeat([0.0, update, 0.0], 8)
    weights = {"weight_ih": rng.normal(size=(24, 6)) * 0.5, "weight_hh": rng.normal(size=(24, 8)) * 0.3}
    x = b.node("gru", x, name="memory", bias_ih=bias, **weights)
    b.output(b.node("conv_transpose1d", x, name="back", weight=rng.normal(size=(8, 1, 80)) * 0.3, stride=80))
    b.output(x, name="state", kind="value")
    return b.model()


def noisy():
    """Noise, a phase without end and what is heard, together, behind a lookahead."""
    rng = np.random.default_rng(4)
    b = GraphBuilder(name="noisy", sample_rate=8_000, hop=80)
    x = b.input()
    noise = b.node("noise", name="hiss", channels=1, frames=80)
    pitch = b.node("sigmoid", b.node("conv1d", x, name="pitch", weight=rng.normal(size=(1, 1, 16)), pads=[15, 0]))
    tone = b.node("cos", b.node("affine", b.node("phase", pitch, name="turns"), scale=[2 * np.pi]), name="tone")
    parts = b.node("concat", x, noise, tone, name="all")
    b.output(b.node("conv1d", parts, name="mix", weight=rng.normal(size=(1, 3, 9)) * 0.3, pads=[4, 4]))
    return b.model()


@pytest.mark.parametrize("model", [recurrent(6.0), recurrent(10.0), noisy()], ids=["seconds", "minutes", "noise"])
def test_what_lasts_long_or_is_drawn_is_followed_all_the_way(model):
    report = check(model, minutes=3)
    assert report.passed, report.text()
    assert any(run.name == "followed to 3 min 0 s" for run in report.runs) or model.name == "memory"
    last = [run.name for run in report.runs if "followed to 3 min" in run.name]
    assert last, report.text()
    assert not any("drift was" in note and "not" in note for note in report.notes)


@pytest.mark.parametrize("model", [recurrent(6.0), recurrent(10.0), noisy()], ids=["seconds", "minutes", "noise"])
def test_drift_is_found_in_what_lasts_long_and_in_noise(model, slipping):
    report = check(model, minutes=3)
    failed = [run.name for run in report.runs if not run.passed]
    assert failed and all("followed to 1 min" in name for name in failed), report.text()
    assert report.culprit in ("front", "pitch", "all"), report.text()


def test_windows_are_looked_at_where_float64_is_too_slow(slipping):
    """The same verdicts from a few windows, if what is remembered is forgotten; else as far as the time lasts."""
    for model in (network(), noisy(), recurrent(3.0)):
        report = check(model, minutes=4, patience=0.3)
        assert not report.passed, report.text()
        assert any("windows of" in note for note in report.notes), report.text()


def test_what_is_never_forgotten_is_followed_as_far_as_the_time_lasts():
    report = check(recurrent(10.0), minutes=60, patience=0.5)
    assert report.passed, report.text()
    assert any("drift was followed for" in note and "of 60 minutes" in note for note in report.notes), report.text()
    assert not any("windows of" in note for note in report.notes)


def test_what_float32_does_to_a_memory_is_no_drift_and_told():
    """A running sum in float32 leaves float64 in any framework; the report says by how much."""
    report = check(network(decay=1.0), minutes=1)
    assert report.passed and any("float32 alone does" in note for note in report.notes), report.text()


def test_what_adds_up_without_end_is_followed_as_far_as_float32_bears_it():
    """The sine of a running sum: after some seconds the sum has lost the digits that the sine needs."""
    b = GraphBuilder(name="turning", sample_rate=16_000, hop=160)
    steps = b.node("affine", b.node("sigmoid", b.input()), scale=np.full(1, 0.003), name="steps")
    total = b.node("leaky_sum", steps, decay=np.ones(1), name="total")
    b.output(b.node("sin", total, name="turned"))
    report = check(b.model(), minutes=1)
    assert report.passed, report.text()
    assert any("what adds up without end loses its digits" in note for note in report.notes), report.text()


def test_command_follows_drift(tmp_path, capsys):
    from rtvoice.cli import run

    path = tmp_path / "net.rtv"
    network().save(path)
    assert run(["check", str(path), "--json", "--minutes", "0.5"]) == 0
    runs = json.loads(capsys.readouterr().out)["runs"]
    assert any(item["name"] == "followed to 0 min 30 s" for item in runs)
    assert run(["check", str(path), "--json", "--minutes", "0"]) == 0
    assert not any("followed" in item["name"] for item in json.loads(capsys.readouterr().out)["runs"])
    with pytest.raises(SystemExit):
        run(["check", str(path), "--minutes", "-1"])


def detector(seed):
    """Sizes of bins in front of an LSTM that answers steeply, as a voice detector's does."""
    rng = np.random.default_rng(seed)
    turns = np.arange(1, 9)[:, None] * np.arange(256)[None] * (2 * np.pi / 256)
    bins = np.concatenate([np.cos(turns), np.sin(turns)])[:, None]
    b = GraphBuilder(name="detector", sample_rate=8_000, hop=64)
    x = b.node("square", b.node("conv1d", b.input(), name="bins", weight=bins, stride=64, pads=[192, 0]))
    x = b.node("sqrt", b.node("linear", x, weight=np.concatenate([np.eye(8), np.eye(8)], axis=1)))
    weights = {"weight_ih": rng.normal(size=(64, 8)) * 0.3, "weight_hh": rng.normal(size=(64, 16)) * 1.4}
    x = b.node("lstm", x, name="memory", **weights)
    b.output(b.node("linear", x, name="voice", weight=rng.normal(size=(1, 16))), name="voice", kind="value")
    return b.model()


def test_what_float32_does_to_the_bins_before_a_memory_is_no_fault():
    """The rounding of sums that cancel, amplified by an LSTM, takes any float32 arithmetic 2e-4 from float64."""
    report = check(detector(1), minutes=0.5)
    assert report.passed and report.error > 5e-5, report.text()
    assert any("float32 alone does" in note for note in report.notes)


def test_a_source_is_held_to_what_float32_does_on_either_side(make_net, monkeypatch):
    """A check allows for both roundings; a gate, whose second opinion computes in float64, for none."""
    from rtvoice import check as checking
    from rtvoice import loud
    from rtvoice.export.onnx.importer import import_onnx

    net = make_net()
    imported = import_onnx(net.model(net("Tanh", net.wide(1))))
    model = imported.builder.model()
    node = next(node for node in imported.builder._nodes if "weight" in node.weights)
    node.weights["weight"] = node.weights["weight"] * np.float32(1.0001)
    bent = imported.builder.model()
    assert checking.check(model, imported).passed and not checking.check(bent, imported).passed
    for room in (checking, loud):
        monkeypatch.setattr(room, "rounding", lambda graph, signal: 4e-5)
    report = checking.check(bent, imported)
    assert report.passed and any("4.0e-05 of the peak" in note for note in report.notes), report.text()
    assert not checking.check(bent, imported, strict=True).passed


def test_a_thousandth_is_found_in_a_detector(slipping):
    assert check(detector(2), minutes=0.5).passed
    report = check(detector(2), minutes=1.5)
    assert not report.passed and report.culprit == "bins", report.text()


def test_windows_of_what_remembers_and_adds_up_turns_begin_behind_what_was_dropped():
    """An hour of a GRU that steers a phase: the float64 windows asked for terms of the phase that were gone."""
    rng = np.random.default_rng(3)
    b = GraphBuilder(name="steered", sample_rate=8_000, hop=64)
    x = b.node("conv1d", b.input(), weight=rng.normal(size=(4, 1, 64)) * 0.1, stride=64, pads=[0, 0])
    x = b.node("gru", x, weight_ih=rng.normal(size=(24, 4)) * 0.4, weight_hh=rng.normal(size=(24, 8)) * 0.3)
    x = b.node("phase", b.node("linear", x, weight=rng.normal(size=(1, 8)) * 0.01))
    b.output(b.node("sin", x), name="turned", kind="value")
    report = check(b.model(), minutes=60, patience=1)
    assert report.passed, report.text()
    assert any("windows" in note for note in report.notes), report.notes
