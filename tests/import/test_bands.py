"""Networks over frequency and time, frames as inputs, and what reads or reduces bands: all through the parity gate."""

from __future__ import annotations

import numpy as np
import pytest


def spectrum(net, bands, channels):
    """Bring the audio to (1, channels, T, bands)."""
    x = net.conv(net.x, 1, bands * channels, 5, pads=[4, 0])
    return net("Transpose", net("Reshape", x, net.ints(1, channels, bands, -1)), perm=[0, 1, 3, 2])


def flat(net, x, numbers):
    """Bring (1, channels, T, bands) back to the audio."""
    x = net("Reshape", net("Transpose", x, perm=[0, 1, 3, 2]), net.ints(1, numbers, -1))
    return net.conv(x, numbers, 1)


@pytest.mark.parametrize(
    ("channels", "out", "kernel", "attrs", "bands"),
    [
        (2, 16, (3, 3), {"pads": [2, 1, 0, 1]}, 6),
        (4, 4, (1, 3), {"pads": [0, 1, 0, 1], "strides": [1, 2], "group": 4}, 3),
        (4, 6, (2, 2), {"pads": [1, 0, 0, 0], "group": 2, "dilations": [1, 2]}, 4),
        (2, 3, (3, 1), {"pads": [1, 0, 1, 0], "dilations": [1, 1]}, 6),
        (2, 3, (1, 6), {}, 1),
        (3, 2, (2, 3), {"pads": [1, 1, 0, 1], "strides": [2, 1]}, 6),
    ],
)
def test_convolution_over_frequency_and_time(channels, out, kernel, attrs, bands, net, imported):
    x = spectrum(net, 6, channels)
    weight = net.random(out, channels // attrs.get("group", 1), *kernel)
    y = net("Relu", net("Conv", x, weight, net.random(out), **attrs))
    if attrs.get("strides", [1, 1])[0] == 2:
        y = net("Resize", y, "", np.float32([1, 1, 2, 1]), mode="nearest", nearest_mode="floor",
                coordinate_transformation_mode="asymmetric")  # fmt: skip
    report = imported(net.model(flat(net, y, out * bands)))
    assert report.ops["conv_bands"] == 1


@pytest.mark.parametrize(
    ("channels", "out", "kernel", "attrs", "bands"),
    [
        (4, 6, (1, 3), {"strides": [1, 2], "pads": [0, 1, 0, 1], "output_padding": [0, 1]}, 10),
        (4, 4, (1, 3), {"strides": [1, 2], "group": 4}, 11),
        (4, 2, (2, 4), {"strides": [1, 3], "group": 2}, 16),
        (3, 3, (2, 4), {"strides": [1, 2], "group": 3, "pads": [1, 1, 0, 1]}, 10),
        (6, 6, (1, 5), {"strides": [1, 3], "group": 6, "pads": [0, 2, 0, 1], "output_padding": [0, 1]}, 15),
        (4, 4, (1, 2), {"strides": [1, 2], "group": 4, "pads": [0, 2, 0, 0]}, 8),
        (4, 4, (1, 3), {"strides": [1, 1], "group": 4, "pads": [0, 1, 0, 1]}, 5),
        (2, 2, (1, 6), {"strides": [1, 5], "group": 2}, 26),
        (4, 3, (3, 2), {"strides": [1, 1], "pads": [0, 0, 2, 1]}, 5),
        (4, 3, (3, 2), {"strides": [1, 2], "pads": [1, 0, 1, 0]}, 10),
    ],
)
def test_transposed_convolution_over_frequency(channels, out, kernel, attrs, bands, net, imported):
    weight = net.random(channels, out // attrs.get("group", 1), *kernel)
    y = net("ConvTranspose", spectrum(net, 5, channels), weight, net.random(out), **attrs)
    imported(net.model(flat(net, net("Tanh", y), out * bands)))


def test_a_norm_and_a_skip_stay_in_the_order_of_bands(net, imported):
    x = spectrum(net, 4, 3)
    y = net("Conv", x, net.random(3, 3, 3, 3), pads=[2, 1, 0, 1])
    statistics = [np.abs(net.random(3)) + np.float32(0.5) for _ in range(4)]
    y = net("Relu", net("BatchNormalization", y, *statistics))
    z = net("Add", y, net("Conv", y, net.random(3, 3, 1, 1)))
    report = imported(net.model(flat(net, net("Conv", z, net.random(3, 1, 1, 3), group=3), 6)))
    assert report.ops.get("affine", 0) == 0, "the norm lies in the weights"
    assert report.ops.get("pick", 0) <= 1, "only the first layer reads another order"


@pytest.mark.parametrize("op", ["AveragePool", "MaxPool"])
def test_pools_over_frequency(op, net, imported):
    y = net(op, spectrum(net, 6, 2), kernel_shape=[1, 3], strides=[1, 2])
    imported(net.model(flat(net, y, 4)))


@pytest.mark.parametrize("axes", [[1], [3], [1, 3]])
@pytest.mark.parametrize("op", ["ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL2"])
def test_reductions_over_channels_and_frequency(op, axes, make_net, imported):
    net = make_net(opset=18)
    y = net(op, spectrum(net, 4, 3), net.ints(*axes))
    imported(net.model(flat(net, net("Mul", y, spectrum(net, 4, 3)), 12)))


@pytest.mark.parametrize("opset", [11, 13])
@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax"])
def test_softmax_over_channels(op, opset, make_net, imported):
    net = make_net(opset=opset)
    x = net("Transpose", net.wide(), perm=[0, 2, 1])
    y = net("Transpose", net(op, x, axis=2), perm=[0, 2, 1])
    imported(net.model(net.narrow(y)))


def test_softmax_of_groups(net, imported):
    x = net("Reshape", net.wide(), net.ints(1, 2, 3, -1))
    imported(net.model(net.narrow(net("Reshape", net("Softmax", x, axis=2), net.ints(1, 6, -1)))))


@pytest.mark.parametrize("attrs", [{}, {"exclusive": 1}])
def test_cumulative_sum_along_time(attrs, net, imported):
    x = net("Sub", net("Abs", net.wide()), np.float32(0.2))
    report = imported(
        net.model(net("Sin", net.narrow(net("Mul", net("CumSum", x, np.int64(2), **attrs), np.float32(1e-3)))))
    )
    assert report.ops["leaky_sum"] == 1


@pytest.mark.parametrize("attrs", [{}, {"exclusive": 1}, {"reverse": 1}])
def test_cumulative_sum_over_channels(attrs, net, imported):
    imported(net.model(net.narrow(net("CumSum", net.wide(), np.int64(1), **attrs))))


@pytest.mark.parametrize(
    "equation", ["btgi,gih->btgh", "btgi,gih->bgth", "btgi,gih->tbhg", "btgi,gi->btg", "btgi,ih->btgh"]
)
def test_grouped_products(equation, net, imported):
    x = net("Transpose", net("Reshape", net.wide(), net.ints(1, 2, 3, -1)), perm=[0, 3, 1, 2])
    shape = {"gih": (2, 3, 4), "gi": (2, 3), "ih": (3, 4)}[equation[5:].split("->")[0]]
    y = net("Einsum", x, net.random(*shape), equation=equation)
    letters = equation.split("->")[1]
    order = [letters.index(letter) for letter in "bght" if letter in letters]
    numbers = 2 * shape[-1] if "h" in letters else 2
    y = net("Reshape", net("Transpose", y, perm=order), net.ints(1, numbers, -1))
    imported(net.model(net.narrow(y, numbers)))


def test_a_stack_of_matrices(net, imported):
    x = net("Transpose", net("Reshape", net.wide(), net.ints(1, 2, 3, -1)), perm=[0, 1, 3, 2])
    y = net("MatMul", x, net.random(2, 3, 4))
    imported(net.model(net.narrow(net("Reshape", net("Transpose", y, perm=[0, 1, 3, 2]), net.ints(1, 8, -1)), 8)))


@pytest.mark.parametrize("op", ["Greater", "GreaterOrEqual", "Less", "LessOrEqual"])
def test_choices_by_data(op, net, imported):
    x, y = net.wide(), net("Tanh", net.wide())
    chosen = net("Where", net(op, x, y), net("Sin", x), net("Mul", y, np.float32(0.5)))
    over = net("And", net(op, x, np.float32(0.1)), net("Not", net("Greater", y, np.float32(0.5))))
    imported(net.model(net.narrow(net("Add", chosen, net("Cast", over, to=1)))))


def test_norms_over_groups_of_channels(net, imported):
    x = net("Transpose", net("Reshape", net.wide(), net.ints(1, 2, 3, -1)), perm=[0, 3, 1, 2])
    y = net("LayerNormalization", x, net.random(3), net.random(3), axis=-1)
    y = net("Reshape", net("Transpose", y, perm=[0, 2, 3, 1]), net.ints(1, 6, -1))
    imported(net.model(net.narrow(y)))


def test_a_norm_of_each_frame_where_the_batch_is_time(net, imported):
    x = net("Reshape", net("Transpose", net.wide(), perm=[2, 0, 1]), net.ints(-1, 2, 3))
    y = net("InstanceNormalization", x, net.random(2), net.random(2))
    y = net("Transpose", net("Reshape", y, net.ints(-1, 1, 6)), perm=[1, 2, 0])
    imported(net.model(net.narrow(y)))
