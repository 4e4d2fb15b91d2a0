"""What is wrong only where it is quiet: the gate hears digital silence and sound far below speech, each by itself."""

from __future__ import annotations

import numpy as np
import pytest

from rtvoice import ModelError
from rtvoice.check import IMPORT, check
from rtvoice.export import import_model
from rtvoice.export.onnx import write
from rtvoice.export.onnx.importer import import_onnx

QUIET = ["in digital silence, audio", "1/10,000 as loud, audio", "1/100 as loud, audio"]


@pytest.fixture
def normed(make_net):
    """A norm whose eps no sound of ordinary level meets: it is a millionth of a millionth of its power."""
    net = make_net()
    x = net("Transpose", net("Conv", net.x, net.random(6, 1, 3), pads=[2, 0]), perm=[0, 2, 1])
    x = net("LayerNormalization", x, net.random(6) + 1, axis=-1, epsilon=1e-13)
    return net.model(net("Conv", net("Transpose", x, perm=[0, 2, 1]), net.random(1, 6, 1)))


@pytest.fixture
def gated(make_net):
    """A gate that lets pass what is above -120 dB."""
    net = make_net()
    x = net("Conv", net.x, net.random(6, 1, 3), pads=[2, 0])
    open_ = net("Greater", net("Abs", x), np.float32(1e-6))
    return net.model(net.narrow(net("Where", open_, x, np.float32(0.0))))


def changed(monkeypatch, change):
    """Let every import write other attributes or another op than the source has."""
    real = write._row
    monkeypatch.setattr(write, "_row", lambda node: change(*real(node)))


def test_every_report_has_the_quiet_runs(normed, gated, imported):
    for model in (normed, gated):
        assert [run["name"] for run in imported(model).parity["quiet"]] == QUIET


def test_another_eps_is_found_where_it_is_quiet_alone(normed):
    imported = import_onnx(normed)
    node = next(node for node in imported.builder._nodes if "eps" in node.attrs)
    node.attrs["eps"] = 2e-13
    report = check(imported.builder.model(), import_onnx(normed))
    assert not report.passed and all(run.passed for run in (*report.runs, *report.loud))
    assert [run.name for run in report.quiet if not run.passed] == [QUIET[1]]
    assert QUIET[1] in report.verdict()
    assert report.culprit == node.name and report.beside == IMPORT
    assert "parts from what its source gives today" in report.text()


def test_an_import_that_drops_an_eps_is_refused(normed, monkeypatch):
    changed(monkeypatch, lambda op, attrs: (op, {**attrs, "eps": 1e-16} if "eps" in attrs else attrs))
    with pytest.raises(ModelError, match=r"1/10,000 as loud, audio: error .* parts from its source at '"):
        import_model(normed, sample_rate=16_000)


def test_a_gate_that_is_lost_is_found(gated):
    imported = import_onnx(gated)
    node = next(node for node in imported.builder._nodes if node.op == "clip")
    node.attrs.update(min=1.0)  # open, whatever it is told
    report = check(imported.builder.model(), import_onnx(gated))
    assert not report.passed and all(run.passed for run in (*report.runs, *report.loud))
    assert QUIET[1] in [run.name for run in report.quiet if not run.passed]


def test_a_hum_in_silence_is_found(net):
    """At ordinary levels a hundred-millionth is far within the tolerance; in silence it is all there is."""
    imported = import_onnx(net.model(net("Conv", net.x, net.random(1, 1, 3), np.zeros(1, np.float32), pads=[2, 0])))
    node = next(node for node in imported.builder._nodes if "bias" in node.weights)
    node.weights["bias"] = np.full(1, 1e-8, np.float32)
    report = check(imported.builder.model(), imported)
    assert not report.passed and all(run.passed for run in (*report.runs, *report.loud))
    assert [run.name for run in report.quiet if not run.passed] == QUIET[:2]


def test_what_float32_alone_does_to_quiet_sound_is_allowed(net, imported):
    """A bias of 1 is taken away again: the quietest sound is left with a few digits, in any framework."""
    y = net("Sub", net("Add", net("Mul", net.x, net.array(np.float32(0.3))), np.float32(1.0)), np.float32(1.0))
    y = net("Add", y, net("Mul", net("Tanh", net.x), np.float32(0.1)))
    model = net.model(y)
    assert imported(model).parity["passed"]
    report = check(import_model(model, sample_rate=16_000), import_onnx(model))
    assert report.passed and any("in float64" in note for note in report.notes), report.text()


def test_check_hears_quiet_sound_without_a_source(normed):
    report = check(import_model(normed, sample_rate=16_000))
    assert report.passed and [run.name for run in report.quiet] == QUIET
