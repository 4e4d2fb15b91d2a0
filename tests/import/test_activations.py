"""Activations written out in small operators: one op where they are one for every float32, else what was written."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

import rtvoice
from rtvoice import ModelError
from rtvoice.export.onnx.importer import import_onnx
from rtvoice.parity import RATE, rebuilt

SQRT_2 = np.float32(np.sqrt(2.0))


def number(value):
    return np.array([value], np.float32)


def below(net, x, value=100.0):
    return net("Clip", x, number(-3.4e38), number(value))


def inside(net, x, value=100.0):
    return net("Clip", x, number(-value), number(value))


def choose(net, x, level, above, other):
    return net("Where", net("Greater", x, number(level)), above, other)


def truth(net, condition):
    return net("Cast", condition, to=onnx.TensorProto.FLOAT)


def half_gelu(net, x):
    return net("Mul", net("Add", net("Erf", net("Div", x, number(SQRT_2))), number(1.0)), number(0.5))


def tanh_gelu(net, x):
    cubed = net("Mul", net("Mul", x, net("Mul", x, x)), number(0.044715))
    inner = net("Tanh", net("Mul", net("Add", x, cubed), number(np.sqrt(2.0 / np.pi))))
    return net("Mul", net("Mul", x, number(0.5)), net("Add", inner, number(1.0)))


def written_elu(net, x):
    low = net("Sub", net("Exp", net("Min", x, number(0.0))), number(1.0))
    return choose(net, x, 0.0, x, net("Mul", low, number(0.7)))


EQUAL = {
    "silu": ("silu", lambda net, x: net("Mul", net("Sigmoid", x), x)),
    "silu by division": ("silu", lambda net, x: net("Div", x, net("Add", net("Exp", net("Neg", x)), number(1.0)))),
    "gelu": ("gelu", lambda net, x: net("Mul", x, half_gelu(net, x))),
    "gelu by tanh": ("gelu", tanh_gelu),
    "relu": ("relu", lambda net, x: choose(net, x, 0.0, x, net("Mul", x, number(0.0)))),
    "leaky relu": ("leaky_relu", lambda net, x: choose(net, x, 0.0, x, net("Mul", x, number(0.1)))),
    "elu": ("elu", written_elu),
    "softplus": ("softplus", lambda net, x: net("Log", net("Add", net("Exp", x), number(1.0)))),
    "softplus with torch's threshold": (
        "softplus",
        lambda net, x: choose(net, x, 20.0, x, net("Log", net("Add", net("Exp", x), number(1.0)))),
    ),
}  # fmt: skip

# Each is an activation between -30 and 30, and something else beyond, or in a place too narrow to be met by chance.
APART = {
    "silu of what is cut at 100": lambda net, x: net("Mul", inside(net, x), net("Sigmoid", x)),
    "silu that ends at 100": lambda net, x: choose(net, x, 100.0, number(100.0), net("Mul", x, net("Sigmoid", x))),
    "silu less half of what is over 100": lambda net, x: net(
        "Sub", net("Mul", x, net("Sigmoid", x)), net("Relu", net("Mul", net("Sub", x, number(100.0)), number(0.5)))
    ),
    "relu that ends at 100": lambda net, x: choose(
        net, x, 100.0, number(100.0), choose(net, x, 0.0, x, net("Mul", x, number(0.0)))
    ),
    "leaky relu that ends at 100": lambda net, x: choose(net, x, 0.0, below(net, x), net("Mul", x, number(0.1))),
    "leaky relu that ends at -1e9": lambda net, x: choose(net, x, 0.0, x, net("Mul", inside(net, x, 1e9), number(0.1))),
    "softplus of what is cut at 100": lambda net, x: net(
        "Log", net("Add", net("Exp", inside(net, x, 80.0)), number(1.0))
    ),
    "what a log or a division needs above zero": lambda net, x: net(
        "Div", x, net("Add", net("Abs", x), number(1e-9))
    ),
    "the log of a relu and 1e-7": lambda net, x: net("Log", net("Add", net("Relu", x), number(1e-7))),
    "the log of a softplus and 1e-7": lambda net, x: net("Log", net("Add", net("Softplus", x), number(1e-7))),
    "silu up to 1e5": lambda net, x: choose(
        net, x, 1e5, net("Mul", x, number(0.5)), net("Mul", x, net("Sigmoid", x))
    ),
    "relu but for a dead zone of 1e-7": lambda net, x: choose(
        net, x, 1e-7, x, net("Mul", x, number(0.0))
    ),
    "relu but between 999 and 999.01": lambda net, x: net(
        "Mul",
        net("Relu", x),
        net(
            "Sub",
            number(1.0),
            truth(net, net("Less", net("Abs", net("Sub", x, number(999.005))), number(0.005))),
        ),
    ),
    "relu with a notch of a thousandth at 1000": lambda net, x: net(
        "Mul",
        net("Relu", x),
        truth(net, net("Greater", net("Mul", net("Sub", x, number(1e3)), net("Sub", x, number(1e3))), number(1e-6))),
    ),
    "silu with a little square": lambda net, x: net(
        "Add", net("Mul", x, net("Sigmoid", x)), net("Mul", net("Mul", x, x), number(1e-10))
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", EQUAL)
def test_an_activation_that_is_written_out_becomes_one_op(name, net):
    op, made = EQUAL[name]
    nodes = import_onnx(net.model(net.narrow(made(net, net.wide())))).builder.graph().nodes
    assert [node.op for node in nodes] == ["conv1d", op, "linear"]


def ramp():
    """All of float32's decades up to 1e12, what lies about 100, 999 and 1000, and small numbers."""
    decades = np.logspace(-9, 12, 1500)
    near = np.concatenate(
        [np.linspace(95, 105, 200), np.linspace(998.9, 999.1, 400), 1000 + np.linspace(-0.01, 0.01, 330)]
    )
    positive = np.concatenate([decades, near])
    return np.concatenate([positive, -positive]).astype(np.float32)


@pytest.mark.filterwarnings("ignore:(overflow|invalid)")
@pytest.mark.parametrize("name", APART)
def test_what_is_an_activation_only_for_quiet_sound_stays_as_it_is_written(name, net):
    """The stream gives what the source's operators give in float64, for every number."""
    source = net.model(APART[name](net, net.x))
    imported = import_onnx(source)
    model = rebuilt(imported.builder.graph()).model()
    x = ramp()
    expected = next(iter(imported.oracle("onnx").run(x).values())).ravel()
    got = rtvoice.Engine(model, RATE, max_frame=len(x)).process(x)
    assert np.isfinite(expected).all()
    # log(1 + exp(x)) is good for half an ulp of 1 only, in float32.
    np.testing.assert_allclose(got, expected, rtol=3e-6, atol=2e-7 if "softplus" in name else 1e-12)


CHOICES = {
    "exp(x) is infinite where 5 is chosen": lambda net, x: choose(net, x, 60.0, number(5.0), net("Exp", x)),
    "1e9 x is far from the sine beside it": lambda net, x: choose(
        net, x, 0.0, net("Sin", x), net("Mul", x, number(1e9))
    ),
    "either of two conditions": lambda net, x: net(
        "Where", net("Or", net("Greater", x, number(3.0)), net("Less", x, number(-3.0))), number(1.0), net("Exp", x)
    ),
    "1e9 x beside 1": lambda net, x: net(
        "Where", net("Or", net("Greater", x, number(3.0)), net("Less", x, number(-3.0))), number(1.0),
        net("Mul", x, number(1e9)),
    ),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:overflow")
@pytest.mark.parametrize("name", CHOICES)
def test_what_is_not_chosen_changes_nothing(name, net):
    imported = import_onnx(net.model(CHOICES[name](net, net.x)))
    x = np.linspace(-5.0, 200.0, 4000).astype(np.float32)
    expected = next(iter(imported.oracle("onnx").run(x).values())).ravel()
    got = rtvoice.Engine(rebuilt(imported.builder.graph()).model(), RATE, max_frame=len(x)).process(x)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


def test_gelu_of_what_is_cut_is_refused_by_the_name_of_its_erf(net):
    source = net.model(net("Mul", below(net, net.x), half_gelu(net, net.x)))
    with pytest.raises(ModelError, match="[Ee]rf"):
        import_onnx(source)


def test_a_saturation_counts_in_a_bin_of_a_transform(net):
    """What was found: a tone of .9 goes to 230 in a bin of 512 points, past where activations had been compared."""
    import onnxruntime

    turns = np.arange(64)[:, None] * np.arange(512)[None] * (2 * np.pi / 512)
    bins = net("Conv", net.x, np.cos(turns)[:, None].astype(np.float32), strides=[128], pads=[384, 0])
    cut = choose(net, bins, 0.0, below(net, bins), net("Mul", bins, number(0.1)))
    source = net.model(net("ConvTranspose", cut, net.random(64, 1, 128), strides=[128]))
    model = rtvoice.import_model(source, sample_rate=RATE)
    tone = (0.9 * np.cos(2 * np.pi * np.arange(12_800) * 20 / 512)).astype(np.float32)
    expected = onnxruntime.InferenceSession(source).run(None, {"x": tone.reshape(1, 1, -1)})[0].ravel()
    engine = rtvoice.Engine(model, RATE, max_frame=128, block=128)
    got = np.concatenate([engine.process(part) for part in tone.reshape(-1, 128)])
    assert engine.latency == 0
    np.testing.assert_allclose(got, expected, atol=1e-5 * np.abs(expected).max())


def test_the_gate_hears_more_than_audio(net, monkeypatch):
    """A limit that noise does not meet is met by passages of ten thousand times its level."""
    from rtvoice.check import check
    from rtvoice.export.onnx import importer

    imported = import_onnx(net.model(net.narrow(inside(net, net.wide(), 150.0))))
    report = check(imported.builder.model(), imported)
    assert report.passed and [run.name for run in report.loud] == [
        "100 times as loud, audio",
        "10000 times as loud, audio",
    ]
    node = next(node for node in imported.builder._nodes if node.op == "clip")
    node.attrs["max"] = 3.4e38
    report = check(imported.builder.model(), imported)
    assert not report.passed and all(run.passed for run in report.runs)
    assert "FAILED" in report.text() and "times as loud" in report.verdict()
    lost = [("no-op", lambda node, uses: node.source if node.op == "clip" else None)]
    monkeypatch.setattr(importer, "FOLDING", lost)
    with pytest.raises(ModelError, match="times as loud"):
        rtvoice.import_model(net.model(net.narrow(inside(net, net.wide(), 150.0))), sample_rate=RATE)


def test_the_log_of_a_softmax_goes_below_that_of_the_least_float(net, imported):
    """104 below the greatest, the log of a softmax is that of 0 in float32: what was lowered to it gave -3e38."""
    y = net("LogSoftmax", net("Mul", net.wide(5), number(200.0)), axis=1)
    report = imported(net.model(net.narrow(y, 5)))
    assert report.parity["error"] < 1e-5 and len(report.parity["loud"]) >= 1


@pytest.mark.parametrize("what", ["sign", "above 0", "either"])
def test_what_changes_at_zero_takes_denormal_numbers_for_zero(what, net, imported):
    """The engine flushes them; a source that is given them has a sign of +-1 for what nobody hears."""
    above = net("Greater", net.x, number(0.0))
    y = {
        "sign": lambda: net("Sign", net.x),
        "above 0": lambda: net("Where", above, net.x, number(10.0)),
        "either": lambda: net("Cast", net("Xor", above, net("Less", net.x, number(0.3))), to=1),
    }[what]()
    imported(net.model(y))


@pytest.mark.parametrize("exponent", [16, 17, 31, 64])
def test_whole_powers_of_negative_numbers(exponent, net, imported):
    imported(net.model(net.narrow(net("Pow", net("Tanh", net.wide()), number(exponent)))))


def test_a_power_that_leaves_nothing_is_refused(net, refused):
    message = refused(net.model(net.narrow(net("Pow", net.wide(), number(65.0)))))
    assert "Pow making 't1_0': raises a signal to the power of 65" in message and "64 at most" in message
