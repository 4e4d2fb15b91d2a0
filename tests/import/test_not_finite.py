"""Nothing differs from a NaN: outputs that are not finite fail, on either side of every comparison."""

from __future__ import annotations

import numpy as np
import pytest

from rtvoice import parity
from rtvoice.check import check
from rtvoice.export import import_model
from rtvoice.export.onnx.importer import import_onnx
from rtvoice.graph import GraphBuilder

NAN, INF = float("nan"), float("inf")

BROKEN = {
    "sqrt": lambda n: n("Sqrt", n.x),
    "log": lambda n: n("Log", n("Mul", n.x, n.x)),
    "reciprocal": lambda n: n("Reciprocal", n.x),
    "x / x": lambda n: n("Div", n.x, n.x),
    "exp": lambda n: n("Exp", n("Mul", n.x, np.float32(200))),
    "sqrt inside": lambda n: n.narrow(n("Tanh", n("Sqrt", n.wide()))),
}


@pytest.mark.parametrize("bad", [NAN, INF, -INF])
@pytest.mark.parametrize("side", ["got", "expected", "both"])
def test_compare_fails_on_what_is_not_finite(bad, side):
    got, expected = np.ones(10), np.ones(10)
    if side != "expected":
        got[3] = bad
    if side != "got":
        expected[3] = bad
    for peak in (1.0, NAN, INF, 0.0):
        run = parity.compare("x", got, expected, peak, 1e-5)
        assert not run.passed and run.first == 3 and run.error == INF


def test_compare_does_not_trust_the_peak():
    for peak in (NAN, INF):
        assert not parity.compare("x", np.zeros(4), np.ones(4), peak, 1e-5).passed
    assert not parity.compare("x", np.zeros(4), np.ones(4), 1.0, NAN).passed
    assert parity.compare("x", np.ones(4), np.ones(4), 1.0, 1e-5).passed


def test_what_overflows_on_the_way_to_what_is_right_is_no_warning(net, recwarn):
    imported = import_onnx(net.model(net("Sigmoid", net("Mul", net.x, np.float32(3e4)))))
    assert all(np.isfinite(out).all() for out in imported.oracle("onnx").run(np.linspace(-1, 1, 50)).values())
    assert not [str(warning.message) for warning in recwarn]


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("shape", [(1, 1, "T"), (1, 1, 4800)], ids=["free", "fixed"])
def test_import_is_refused(name, shape, make_net, refused):
    net = make_net(shape=shape)
    message = refused(net.model(BROKEN[name](net)))
    assert "not finite for ordinary audio" in message and "first at" in message
    assert "Clip before" in message and "Nothing was written" in message and "report the model" not in message


def test_the_output_and_the_node_are_named(net, refused):
    message = refused(net.model(net("Tanh", net("Sqrt", net.x, name="root"))))
    assert "output 't1_0'" in message and "'root' is the first node" in message


def test_a_value_output_is_looked_at_too(net, refused):
    assert "output 't2_0'" in refused(net.model(net("Tanh", net.x), net("Sqrt", net.wide())))


def test_what_is_clipped_before_is_imported(net, imported):
    imported(net.model(net("Log", net("Max", net("Abs", net.x), np.float32(1e-5)))))


def test_an_infinity_that_the_next_node_clips_is_no_fault(net, imported):
    model = net.model(net("Clip", net("Log", net("Abs", net.x)), np.float32(-5), np.float32(5)))
    imported(model)
    report = check(import_model(model, sample_rate=16_000), layers=True)
    assert report.passed and all(layer.passed for layer in report.layers)


@pytest.mark.parametrize("name", BROKEN)
def test_check_fails_with_and_without_a_source(name, net, tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(net.model(BROKEN[name](net)))
    model = import_model(path, sample_rate=16_000, verify=False)
    for report in (check(model), check(model, path), check(model, path, oracle="onnx")):
        assert not report.passed and "FAILED" in report.text()
        assert report.culprit
        if name != "exp":  # float64 holds it, and the engine does not
            assert "not finite" in report.verdict() and "Clip before" in report.text()
            assert report.to_json()["fault"]


def test_check_of_a_graph_of_our_own():
    builder = GraphBuilder(name="own", sample_rate=48_000, hop=1)
    builder.output(builder.node("sqrt", builder.input("audio"), name="root"), name="y", kind="audio")
    report = check(builder.model())
    assert not report.passed and report.culprit == "root" and "float64 reference itself" in report.text()
