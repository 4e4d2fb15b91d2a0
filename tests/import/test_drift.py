"""`rtvoice check` over minutes: what drifts is found, when and in which node; what does not passes."""

from __future__ import annotations

import json

import numpy as np
import pytest

import rtvoice
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
    assert any(name == "repeated to 10 min 0 s" for name in names)
    assert any(name.startswith("'state' at the end of 10 min") for name in names)
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


def test_what_never_repeats_is_told_and_not_judged():
    report = check(network(decay=1.0), minutes=1)
    assert report.passed and any("drift was not followed" in note for note in report.notes)


def test_command_follows_drift(tmp_path, capsys):
    from rtvoice.cli import run

    path = tmp_path / "net.rtv"
    network().save(path)
    assert run(["check", str(path), "--json", "--minutes", "0.5"]) == 0
    runs = json.loads(capsys.readouterr().out)["runs"]
    assert any(item["name"] == "repeated to 0 min 30 s" for item in runs)
    assert run(["check", str(path), "--json", "--minutes", "0"]) == 0
    assert not any("repeated" in item["name"] for item in json.loads(capsys.readouterr().out)["runs"])
    with pytest.raises(SystemExit):
        run(["check", str(path), "--minutes", "-1"])
