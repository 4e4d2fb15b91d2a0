"""What a refusal tells to do, done: the model then comes in, through the whole gate."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper


def f(value):
    return np.float32(value)


def parts(net, x, count=6):
    return net("Split", x, outputs=count, axis=1)


def product(net, x):
    """Multiply channels one with another."""
    made = parts(net, x)
    ups = made[:1]
    for item in made[1:]:
        ups.append(net("Mul", ups[-1], item))
    return ups


def determinant(net, x):
    a, b, c, d = (net("Slice", x, net.ints(k), net.ints(k + 1), net.ints(1)) for k in range(4))
    return net("Sub", net("Mul", a, d), net("Mul", b, c))


def within(net, x):
    near = net("And", net("Greater", x, f(-0.01)), net("Less", x, f(0.01)))
    return net("Where", near, f(1.0), f(0.0))


def turned(net, x):
    return net(
        "Reshape", net("Transpose", net("Reshape", x, net.ints(1, 6, -1, 2)), perm=[0, 3, 1, 2]), net.ints(1, 12, -1)
    )


def windows(net, x):
    return net("ReduceMax", net("Reshape", x, net.ints(1, 6, -1, 2)), axes=[3], keepdims=0)


def every_second(net, x):
    most = net.ints(2**31 - 1)
    return net("Max", *(net("Slice", x, net.ints(k), most, net.ints(2), net.ints(2)) for k in range(2)))


def normed(net, x):
    return net("Div", x, net("Sqrt", net("Add", net("ReduceSum", net("Mul", x, x), net.ints(1)), f(1e-5))))


def phase(net, x):
    turns = net("CumSum", net("Mul", net("Tanh", x), f(0.05)), np.int64(2))
    return net("Concat", net("Sin", turns), net("Cos", turns), axis=1)


def averaged(net, x, squares):
    made = net("Mul", x, x) if squares else net("Abs", x)
    made = net("AveragePool", net("Pad", made, net.ints(0, 0, 3, 0, 0, 0)), kernel_shape=[4])
    return net("Sqrt", made) if squares else made


# By what was refused: what is written in its place, and its channels.
REMEDIES = {
    "SequenceConstruct": (lambda net, x: net("Concat", x, net("Tanh", x), axis=1), 12),
    "GatherElements": (lambda net, x: net("Gather", x, net.ints(0, 2, 4, 1, 1, 0), axis=1), 6),
    "ScatterND": (lambda net, x: net("Mul", x, np.array([[[1], [0], [1], [1], [0], [1]]], np.float32)), 6),
    "TopK": (lambda net, x: net("Mul", x, net("Softmax", x, axis=1)), 6),
    "NonZero": (lambda net, x: net("Mul", x, net("Cast", net("Greater", x, f(0.2)), to=1)), 6),
    "BitwiseOr": (lambda net, x: net("Cast", net("Or", net("Greater", x, f(0.2)), net("Less", x, f(-0.3))), to=1), 6),
    "Round": (lambda net, x: net("Tanh", net("Mul", x, f(50.0))), 6),
    "Mod": (phase, 12),
    "IsNaN in Log": (lambda net, x: net("Log", net("Clip", x, f(1e-5))), 6),
    "IsNaN in Sqrt": (lambda net, x: net("Sqrt", net("Max", x, f(0.0))), 6),
    "IsNaN in Div": (lambda net, x: net("Div", f(1.0), net("Clip", x, f(1e-3))), 6),
    "Equal": (within, 6),
    "Range": (lambda net, x: net("Mul", x, net("Reshape", net("Range", f(1), f(7), f(1)), net.ints(1, 6, 1))), 6),
    "ConstantOfShape": (lambda net, x: net("Add", x, net("ConstantOfShape", net.ints(1, 6, 1))), 6),
    "HannWindow": (lambda net, x: net("Mul", x, net("Reshape", net("HannWindow", np.int64(6)), net.ints(1, 6, 1))), 6),
    "ReduceLogSum": (lambda net, x: net("Log", net("ReduceSum", net("Sigmoid", x), net.ints(1))), 1),
    "ReduceLogSumExp": (lambda net, x: net("Log", net("ReduceSum", net("Exp", x), net.ints(1))), 1),
    "ReduceProd": (lambda net, x: product(net, x)[-1], 1),
    "CumProd": (lambda net, x: net("Concat", *product(net, x), axis=1), 6),
    "LpPool of 2": (lambda net, x: averaged(net, x, True), 6),
    "LpPool of 1": (lambda net, x: averaged(net, x, False), 6),
    "GlobalAveragePool": (
        lambda net, x: net("AveragePool", x, kernel_shape=[16], pads=[15, 0], count_include_pad=1), 6,
    ),
    "GlobalMaxPool by Reshape": (windows, 6),
    "MaxPool by Slices": (every_second, 6),
    "LpNormalization": (normed, 6),
    "SwiGLU": (lambda net, x: net("Mul", net("Mul", x, net("Sigmoid", x)), net.conv(x, 6, 6)), 6),
    "SpaceToDepth": (turned, 12),
    "CenterCropPad": (lambda net, x: net("Slice", x, net.ints(1), net.ints(5), net.ints(1)), 4),
    "Det": (determinant, 1),
    "Erf": (lambda net, x: net("Tanh", net("Mul", x, f(1.2))), 6),
    "CausalConvWithState": (lambda net, x: net("Conv", x, net.random(6, 6, 3), pads=[2, 0]), 6),
    "Pow of two signals": (
        lambda net, x: net("Exp", net("Mul", net("Sigmoid", x), net("Log", net("Add", net("Abs", x), f(1e-3))))), 6,
    ),
}  # fmt: skip


@pytest.mark.parametrize("op", REMEDIES)
def test_what_a_refusal_tells_to_do_comes_in(op, net, imported):
    written, channels = REMEDIES[op]
    imported(net.model(net.narrow(written(net, net.wide()), channels)))


def test_gelu_in_the_form_that_erf_is_told_to_have(net, imported):
    x = net.wide()
    y = net("Mul", net("Mul", x, net("Add", net("Erf", net("Div", x, f(2**0.5))), f(1.0))), f(0.5))
    assert imported(net.model(net.narrow(y))).ops["gelu"] == 1


def test_what_no_float32_holds_is_told_as_such(net, refused):
    """Near a pole nobody is at fault: there is nothing to report."""
    message = refused(net.model(net.narrow(net("Reciprocal", net.wide()))))
    assert "float32 alone takes this network" in message and "report" not in message
    assert "1 / max(x, eps)" in message


@pytest.mark.parametrize(
    ("functions", "said"),
    [
        ({"F": "F"}, "the local function 'F' calls itself, so that it cannot be written out"),
        ({"F": "G", "G": "F"}, "the local function 'F' calls itself ('F' -> 'G' -> 'F')"),
        ({"F": "G", "G": "Tanh"}, ""),
    ],
    ids=["itself", "in a ring", "another"],
)
def test_a_local_function_that_calls_itself(functions, said, net, refused, imported):
    model = onnx.load_from_string(net.model(net("F", net.x, domain="local")))
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("local", 1)]
    model.opset_import.append(opsets[1])
    for name, called in functions.items():
        node = helper.make_node(called, ["a"], ["b"], domain="local" if called in functions else "")
        model.functions.append(helper.make_function("local", name, ["a"], ["b"], [node], opsets))
    if said:
        assert said in refused(model.SerializeToString())
    else:
        imported(model.SerializeToString())
