"""What stands inside the branches of an `If` is read, and named where the import is wrong there."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from rtvoice import ModelError
from rtvoice.check import SOURCE, check
from rtvoice.export import import_model
from rtvoice.export.onnx import write
from rtvoice.export.onnx.importer import import_onnx


def branch(name, nodes, output, weights=()):
    """Write a branch that makes one tensor."""
    made = onnx.helper.make_tensor_value_info(output, onnx.TensorProto.FLOAT, None)
    arrays = [onnx.numpy_helper.from_array(np.asarray(value, np.float32), key) for key, value in weights]
    return onnx.helper.make_graph(nodes, name, [], [made], arrays)


def node(op, inputs, output, name="", **attrs):
    return onnx.helper.make_node(op, inputs, [output], name=name, **attrs)


@pytest.fixture
def branched(net):
    """Two branches that use the same names, one of them with an `If` inside, and one that hands on what is outside."""
    x = net.wide()
    inside = branch("deep", [node("Tanh", ["y"], "z", name="deep/tanh")], "z")
    nodes = [
        node("Mul", [x, "gain"], "y", name="one/mul"),
        node("If", ["on"], "w", then_branch=inside, else_branch=inside),
    ]
    one = branch("one", nodes, "w", [("gain", 1.5)])
    net.array(np.array(True), "on")
    first = net("If", "on", then_branch=one, else_branch=branch("none", [node("Neg", [x], "y")], "y"), name="first")
    nodes = [node("Mul", [first, "gain"], "y", name="two/mul"), node("Softplus", ["y"], "z", name="two/softplus")]
    other = branch("two", nodes, "z", [("gain", 0.5)])
    second = net("If", "on", then_branch=other, else_branch=branch("none", [node("Neg", [first], "y")], "y"))
    kept = net(
        "If", "on", then_branch=branch("same", [], second), else_branch=branch("none", [node("Neg", [x], "y")], "y")
    )
    return net.model(net.narrow(kept))


def wrong(monkeypatch, op, other):
    """Let every import write another op."""
    real = write._row
    monkeypatch.setattr(write, "_row", lambda node: (other, {}) if node.op == op else real(node))


def test_branches_inside_branches_come_in(branched, imported):
    imported(branched)
    flat = import_onnx(branched).unbranched()
    names = [item.name for item in flat.source.model.graph.node]
    assert "If" not in [item.op_type for item in flat.source.model.graph.node]
    assert [name for name in names if "/" in name] == ["one/mul", "deep/tanh", "two/mul", "two/softplus"]


@pytest.mark.parametrize(("op", "name"), [("tanh", "deep/tanh"), ("softplus", "two/softplus")])
def test_what_is_wrong_inside_a_branch_is_named(op, name, branched, monkeypatch):
    wrong(monkeypatch, op, "sigmoid")
    found = import_onnx(branched)
    report = check(found.builder.model(), found)
    assert not report.passed and report.beside == SOURCE
    assert report.culprit == name, report.text()
    with pytest.raises(ModelError, match=f"parts from its source at '{name}' first"):
        import_model(branched, sample_rate=16_000)
