"""Every operator that the importer knows, in a small network, through the parity gate."""

from __future__ import annotations

import numpy as np
import pytest

import rtvoice

POINTWISE = {
    "Relu": {}, "Tanh": {}, "Sigmoid": {}, "Softplus": {}, "Abs": {}, "Neg": {}, "Sin": {}, "Cos": {}, "Exp": {},
    "LeakyRelu": {"alpha": 0.2}, "Elu": {"alpha": 0.7}, "Selu": {}, "Celu": {"alpha": 0.5}, "Softsign": {},
    "HardSigmoid": {"alpha": 0.3, "beta": 0.4}, "HardSwish": {}, "Mish": {}, "Identity": {}, "Dropout": {},
}  # fmt: skip
RESIZES = [
    "nearest asymmetric floor", "nearest half_pixel round_prefer_floor", "linear half_pixel", "linear asymmetric",
    "linear pytorch_half_pixel",
]  # fmt: skip


@pytest.mark.parametrize("op", POINTWISE)
def test_pointwise(op, make_net, imported):
    net = make_net(opset=18)
    imported(net.model(net.narrow(net(op, net.wide(), **POINTWISE[op]))))


@pytest.mark.parametrize("op", ["Sqrt", "Log", "Reciprocal"])
def test_pointwise_of_positive_numbers(op, net, imported):
    positive = net("Add", net("Abs", net.wide()), np.float32(0.3))
    imported(net.model(net.narrow(net(op, positive))))


@pytest.mark.parametrize(
    ("op", "attrs"),
    [("Sign", {}), ("ThresholdedRelu", {"alpha": 0.1}), ("ThresholdedRelu", {"alpha": 0.0}), ("Sinh", {}),
     ("Cosh", {}), ("Asinh", {}), ("Shrink", {"lambd": 0.1, "bias": 0.1}), ("Shrink", {"lambd": 0.1}),
     ("Shrink", {"lambd": 0.2, "bias": 0.5})],
    ids=str,
)  # fmt: skip
def test_functions_that_a_few_ops_make(op, attrs, make_net, imported):
    net = make_net(opset=18)
    imported(net.model(net.narrow(net(op, net.wide(), **attrs))))


@pytest.mark.parametrize("op", ["Acosh", "Atanh", "Tan"])
def test_functions_of_a_range(op, make_net, imported):
    net = make_net(opset=18)
    inside = net("Tanh", net.wide())
    inside = net("Add", inside, np.float32(2.5)) if op == "Acosh" else net("Mul", inside, np.float32(0.9))
    imported(net.model(net.narrow(net(op, inside))))


@pytest.mark.parametrize("amplitude", [1e-6, 1e-3, 0.3, 1.0, 30.0])
@pytest.mark.parametrize("op", ["Sinh", "Asinh", "Atanh"])
def test_odd_functions_of_what_is_quiet(op, amplitude, net):
    """Each number by itself, within a few roundings of float64: what is near 0 is most of what a recording holds."""
    inside = net.x if op != "Atanh" else net("Clip", net.x, np.float32(-0.99), np.float32(0.99))
    audio = (amplitude * np.random.default_rng(3).uniform(-1, 1, 4000)).astype(np.float32)
    audio[:3] = 0.0, amplitude * 1e-3, -amplitude
    exact = audio.astype(np.float64) if op != "Atanh" else np.clip(audio, np.float32(-0.99), np.float32(0.99))
    exact = {"Sinh": np.sinh, "Asinh": np.arcsinh, "Atanh": np.arctanh}[op](exact.astype(np.float64))
    model = rtvoice.import_model(net.model(net(op, inside)), sample_rate=16_000)
    made = rtvoice.Engine(model, 16_000, max_frame=len(audio)).process(audio)
    assert np.all(np.abs(made - exact) <= 1e-6 * np.abs(exact))


@pytest.mark.parametrize("opset", [13, 18, 21])
def test_weights_of_eight_bits_are_widened_ahead(opset, make_net, imported):
    """A file whose weights alone are quantised is a float model: what widens them is computed once."""
    net = make_net(opset=opset)
    weight, scale = net.rng.integers(-99, 100, (6, 1, 3)).astype(np.int8), np.abs(net.random(6)) / 64
    wide = net("DequantizeLinear", weight, scale.astype(np.float32), net.rng.integers(-9, 9, 6).astype(np.int8), axis=0)
    report = imported(net.model(net.narrow(net("Conv", net.x, wide, pads=[2, 0]))))
    assert report.ops == {"conv1d": 1, "linear": 1}


def test_exclusive_or(make_net, imported):
    net = make_net(opset=18)
    sides = [net("Greater", net.x, np.float32(level)) for level in (-0.05, 0.1)]
    imported(net.model(net("Mul", net.x, net("Cast", net("Xor", *sides), to=1))))


@pytest.mark.parametrize("opset", [18, 21])
def test_group_norm_of_frames_and_channels(opset, make_net, imported):
    """The batch is time: of (frames, channels) each frame is normalised by itself."""
    net = make_net(opset=opset)
    frames = net("Reshape", net("Transpose", net.wide(), perm=[0, 2, 1]), net.ints(-1, 6))
    scales = net.random(2 if opset == 18 else 6), net.random(2 if opset == 18 else 6)
    y = net("GroupNormalization", frames, *scales, num_groups=2, epsilon=1e-5)
    back = net("Transpose", net("Reshape", y, net.ints(1, -1, 6)), perm=[0, 2, 1])
    assert imported(net.model(net.narrow(back))).latency == 0


@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_gelu_operator(approximate, make_net, imported):
    net = make_net(opset=20)
    report = imported(net.model(net.narrow(net("Gelu", net.wide(), approximate=approximate))))
    assert report.ops["gelu"] == 1


@pytest.mark.parametrize("exponent", [2.0, 3.0, 4.0, 0.5, 1.0, 0.0, -1.0, -2.0, -0.5, 1.5])
def test_pow(exponent, net, imported):
    positive = net("Add", net("Abs", net.wide()), np.float32(0.5))
    imported(net.model(net.narrow(net("Pow", positive, np.float32(exponent)))))


def test_pow_of_a_constant(net, imported):
    imported(net.model(net.narrow(net("Pow", np.float32(2.0), net.wide()))))


@pytest.mark.parametrize("slope", [(6, 1), (1,), (1, 6, 1)])
def test_prelu(slope, net, imported):
    report = imported(net.model(net.narrow(net("PRelu", net.wide(), net.random(*slope)))))
    assert report.ops["prelu"] == 1


@pytest.mark.parametrize("limits", [(-0.2, 0.3), (None, 0.1), (0.0, None)])
def test_clip(limits, net, imported):
    inputs = ["" if limit is None else np.float32(limit) for limit in limits]
    imported(net.model(net.narrow(net("Clip", net.wide(), *inputs))))


@pytest.mark.parametrize("op", ["Add", "Sub", "Mul", "Div"])
@pytest.mark.parametrize("shape", [(), (1, 6, 1), (6, 1), (1, 1, 1)])
@pytest.mark.parametrize("left", [True, False])
def test_arithmetic_with_a_constant(op, shape, left, net, imported):
    signal = net("Add", net("Abs", net.wide()), np.float32(0.5))
    constant = np.abs(net.random(*shape)) + np.float32(0.4)
    pair = (constant.astype(np.float32), signal) if left else (signal, constant.astype(np.float32))
    imported(net.model(net.narrow(net(op, *pair))))


@pytest.mark.parametrize("op", ["Add", "Sub", "Mul", "Div", "Max", "Min", "Sum", "Mean"])
def test_arithmetic_of_two_streams(op, net, imported):
    other = net("Add", net("Abs", net.conv(net.x, 1, 6, 5, pads=[4, 0])), np.float32(0.5))
    imported(net.model(net.narrow(net(op, net.wide(), other))))


@pytest.mark.parametrize("op", ["Add", "Mul"])
def test_one_channel_against_many(op, net, imported):
    imported(net.model(net.narrow(net(op, net.wide(), net.conv(net.x, 1, 1, 2, pads=[1, 0])))))


def test_one_channel_spread_by_a_constant(net, imported):
    imported(net.model(net.narrow(net("Mul", net.x, net.random(1, 6, 1)))))


@pytest.mark.parametrize("op", ["Max", "Min"])
def test_extreme_with_a_constant(op, net, imported):
    imported(net.model(net.narrow(net(op, net.wide(), np.float32(0.1)))))


@pytest.mark.parametrize("op", ["Max", "Min"])
def test_the_extreme_of_two_streams_keeps_the_digits_of_the_smaller(op, net, imported):
    """One of the two is up to 1e6 times as large: max(a, b) = relu(a - b) + b would leave 0.06 of the other's peak."""
    far = net("Mul", net.conv(net.x, 1, 1, 3, pads=[2, 0]), np.float32(1000.0))
    far = net("Mul", far, far)
    imported(net.model(net(op, net.x, net("Neg", far) if op == "Max" else far)))


@pytest.mark.parametrize("op", ["ReduceMax", "ReduceMin"])
@pytest.mark.parametrize("channels", [2, 7, 129])
def test_the_extreme_of_many_channels(op, channels, net, imported):
    wide = net.conv(net.x, 1, channels, 3, pads=[2, 0])
    imported(net.model(net(op, wide, axes=[1], keepdims=1)))


def test_a_choice_by_frames_leaves_out_what_is_infinite(net, imported):
    """Where the frame is quiet the logarithm is minus infinity, scaled: 0 times that is no number."""
    power = net.conv(net.x, 1, 6, 3, pads=[2, 0])
    power = net("Mul", power, power)
    loud = net("Greater", net("ReduceMean", power, axes=[1], keepdims=1), np.float32(1e-4))
    level = net("Mul", net("Log", power), np.float32(4.3429))
    imported(net.model(net.narrow(net("Where", loud, level, np.float32(-100.0)))))


@pytest.mark.parametrize("attrs", [
    {"pads": [2, 0]}, {"pads": [1, 1]}, {"pads": [0, 2]}, {}, {"pads": [4, 0], "dilations": [2]},
    {"pads": [2, 0], "group": 2}, {"pads": [2, 0], "group": 6}, {"pads": [3, 1], "group": 3, "dilations": [2]},
    {"auto_pad": "SAME_UPPER"}, {"auto_pad": "SAME_LOWER"}, {"auto_pad": "VALID"},
], ids=str)  # fmt: skip
def test_conv(attrs, net, imported):
    imported(net.model(net.narrow(net.conv(net.wide(), 6, 6, 3, **attrs))))


@pytest.mark.parametrize("taps", [2, 4, 5])
@pytest.mark.parametrize("auto", ["SAME_UPPER", "SAME_LOWER"])
def test_conv_that_pads_itself(taps, auto, net, imported):
    imported(net.model(net.narrow(net.conv(net.wide(), 6, 6, taps, auto_pad=auto))))


@pytest.mark.parametrize(("taps", "stride", "pads"), [(4, 2, [2, 0]), (8, 4, [4, 0]), (7, 4, [3, 3]), (3, 5, [0, 0])])
def test_strided_conv_and_back(taps, stride, pads, net, imported):
    low = net("Tanh", net.conv(net.x, 1, 8, taps, strides=[stride], pads=pads))
    up = net("ConvTranspose", low, net.random(8, 1, stride), net.random(1), strides=[stride])
    report = imported(net.model(up))
    assert report.hop == stride


def test_hop_is_the_common_multiple_of_all_strides(net, imported):
    a = net("ConvTranspose", net.conv(net.x, 1, 4, 6, strides=[6]), net.random(4, 1, 6), strides=[6])
    b = net("ConvTranspose", net.conv(net.x, 1, 4, 4, strides=[4]), net.random(4, 1, 4), strides=[4])
    assert imported(net.model(net("Add", a, b))).hop == 12


@pytest.mark.parametrize("attrs", [
    {}, {"pads": [1, 1]}, {"pads": [2, 2], "output_padding": [1]}, {"pads": [4, 0]}, {"group": 2},
    {"dilations": [2]}, {"auto_pad": "SAME_UPPER"}, {"auto_pad": "SAME_LOWER"}, {"auto_pad": "VALID"},
], ids=str)  # fmt: skip
def test_conv_transpose(attrs, net, imported):
    low = net.conv(net.x, 1, 6, 5, strides=[4], pads=[4, 0])
    groups = attrs.get("group", 1)
    up = net("ConvTranspose", low, net.random(6, 4 // groups, 7), net.random(4), strides=[4], **attrs)
    imported(net.model(net.narrow(up, 4)))


@pytest.mark.parametrize("trim", ["slice both", "slice end", "negative pad"])
def test_conv_transpose_trimmed_afterwards(trim, net, imported):
    low = net.conv(net.x, 1, 6, 8, strides=[4], pads=[4, 0])
    up = net("ConvTranspose", low, net.random(6, 1, 8), strides=[4])
    if trim == "negative pad":
        up = net("Pad", up, net.ints(0, 0, -3, 0, 0, -1))
    else:
        start = 2 if trim == "slice both" else 0
        up = net("Slice", up, net.ints(start), net.ints(-2), net.ints(2))
    report = imported(net.model(up))
    assert report.ops == {"conv1d": 1, "conv_transpose1d": 1}


@pytest.mark.parametrize("form", ["picture", "picture, time first"])
def test_two_dimensional_form(form, make_net, imported):
    last = form == "picture"
    net = make_net(shape=(1, 1, 1, "T") if last else (1, 1, "T", 1))
    kernel = (1, 5) if last else (5, 1)
    pads = [0, 4, 0, 0] if last else [4, 0, 0, 0]
    y = net("Conv", net.x, net.random(4, 1, *kernel), net.random(4), pads=pads)
    y = net("Tanh", net("BatchNormalization", y, *(np.abs(net.random(4)) + np.float32(0.5) for _ in range(4))))
    report = imported(net.model(net("Conv", y, net.random(1, 4, 1, 1))))
    assert report.ops == {"conv1d": 1, "tanh": 1, "linear": 1}


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("opset", [11, 17])
def test_batch_norm_is_folded_into_conv(bias, opset, make_net, imported):
    net = make_net(opset=opset)
    inputs = (net.random(6, 1, 3), net.random(6))[: 2 if bias else 1]
    y = net("Conv", net.x, *inputs, pads=[2, 0])
    y = net("BatchNormalization", y, *(np.abs(net.random(6)) + np.float32(0.5) for _ in range(4)), epsilon=1e-3)
    report = imported(net.model(net.narrow(y)))
    assert "affine" not in report.ops


def test_batch_norm_is_folded_into_grouped_conv_transpose(net, imported):
    y = net("ConvTranspose", net.wide(), net.random(6, 2, 3), strides=[1], group=3, pads=[0, 2])
    y = net("BatchNormalization", y, *(np.abs(net.random(6)) + np.float32(0.5) for _ in range(4)))
    assert "affine" not in imported(net.model(net.narrow(y))).ops


def test_batch_norm_before_a_branch_stays(net, imported):
    y = net("Relu", net.wide())
    y = net("BatchNormalization", y, *(np.abs(net.random(6)) + np.float32(0.5) for _ in range(4)))
    assert imported(net.model(net.narrow(net("Add", y, net("Tanh", y))))).ops["affine"] == 1


def test_weight_norm_is_folded(net, imported):
    direction, gain = net.array(net.random(6, 6, 3), "net.0.v"), net.array(net.random(6, 1, 1), "net.0.g")
    length = net("ReduceL2", direction, axes=[1, 2], keepdims=1)
    weight = net("Mul", net("Div", direction, length), gain)
    report = imported(net.model(net.narrow(net("Conv", net.wide(), weight, pads=[2, 0]))))
    assert report.folded == 3


@pytest.mark.parametrize("form", ["Gemm", "Gemm transB", "MatMul", "MatMul from the left", "MatMul Add"])
def test_matrix_products(form, make_net, imported):
    net = make_net()
    y = net.wide()
    if form == "MatMul from the left":
        y = net("MatMul", net.random(5, 6), y)
    elif form.startswith("Gemm"):
        y = net("Reshape", net("Transpose", y, perm=[0, 2, 1]), net.ints(-1, 6))
        transposed = form.endswith("transB")
        weight = net.random(5, 6) if transposed else net.random(6, 5)
        y = net("Gemm", y, weight, net.random(5), transB=int(transposed), alpha=0.5, beta=2.0)
        y = net("Unsqueeze", net("Transpose", y, perm=[1, 0]), net.ints(0))
    else:
        y = net("MatMul", net("Transpose", y, perm=[0, 2, 1]), net.random(6, 5))
        y = net("Add", y, net.random(5)) if "Add" in form else y
        y = net("Transpose", y, perm=[0, 2, 1])
    report = imported(net.model(net.narrow(net("Tanh", y), 5)))
    assert report.ops["linear"] == 2 and "affine" not in report.ops


@pytest.mark.parametrize("equation", ["oc,bct->bot", "bct,oc->bot", "bct,co->bto", "co,bct->tbo"])
def test_einsum(equation, net, imported):
    pair = [net.wide(), net.random(6, 6)]
    y = net("Einsum", *(pair if equation.startswith("b") else pair[::-1]), equation=equation)
    perm = {"bot": [0, 1, 2], "bto": [0, 2, 1], "tbo": [1, 2, 0]}[equation[-3:]]
    imported(net.model(net.narrow(net("Transpose", y, perm=perm))))


def test_matrix_on_groups_of_channels(net, imported):
    y = net("Reshape", net.wide(), net.ints(1, 2, 3, -1))
    y = net("MatMul", net("Transpose", y, perm=[0, 1, 3, 2]), net.random(3, 4))
    y = net("Reshape", net("Transpose", y, perm=[0, 1, 3, 2]), net.ints(1, 8, -1))
    imported(net.model(net.narrow(y, 8)))


@pytest.mark.parametrize(("kernel", "stride", "pads"), [(4, 4, [0, 0]), (4, 2, [2, 0]), (3, 1, [2, 0]), (2, 2, [0, 0])])
def test_average_pool(kernel, stride, pads, net, imported):
    y = net("AveragePool", net.wide(), kernel_shape=[kernel], strides=[stride], pads=pads, count_include_pad=1)
    imported(net.model(net("ConvTranspose", y, net.random(6, 1, stride), strides=[stride])))


@pytest.mark.parametrize("factor", [2, 3, 4])
@pytest.mark.parametrize("mode", RESIZES)
def test_resize(factor, mode, net, imported):
    kind, coordinates, *rounding = mode.split()
    low = net.conv(net.x, 1, 4, factor, strides=[factor])
    scales = np.array([1, 1, factor], np.float32)
    attrs = {"nearest_mode": rounding[0]} if rounding else {}
    y = net("Resize", low, "", scales, mode=kind, coordinate_transformation_mode=coordinates, **attrs)
    assert imported(net.model(net.narrow(y, 4))).ops["upsample"] == 1


def test_resize_to_a_computed_size(net, imported):
    low = net.conv(net.x, 1, 4, 4, strides=[4])
    length = net("Mul", net("Gather", net("Shape", low), net.ints(2)), net.ints(4))
    sizes = net("Concat", net.ints(1, 4), length, axis=0)
    y = net(
        "Resize", low, "", "", sizes, mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"
    )
    imported(net.model(net.narrow(y, 4)))


@pytest.mark.parametrize("opset", [11, 13, 18])
def test_split_forms(opset, make_net, imported):
    net = make_net(opset=opset)
    y = net.wide()
    if opset == 11:
        a, b = net("Split", y, outputs=2, axis=1, split=[2, 4])
    elif opset == 13:
        a, b = net("Split", y, net.ints(2, 4), outputs=2, axis=1)
    else:
        a, b = net("Split", net.conv(y, 6, 5), outputs=2, axis=1, num_outputs=2)
        a, b = a, net.conv(b, 2, 4)
    y = net("Concat", net("Tanh", b), net("Relu", a), net.x, axis=1)
    imported(net.model(net.narrow(y, 8 if opset == 18 else 7)))


@pytest.mark.parametrize("gates", ["Tanh Sigmoid", "none Sigmoid", "none Tanh"])
def test_gates_become_one_op(gates, net, imported):
    first, second = gates.split()
    a, b = net("Split", net.wide(6), outputs=2, axis=1)
    a = a if first == "none" else net(first, a)
    report = imported(net.model(net.narrow(net("Mul", a, net(second, b)), 3)))
    assert report.ops == {"conv1d": 1, "glu": 1, "linear": 1}


@pytest.mark.parametrize("steps", [1, 2, -1])
def test_slice_on_channels(steps, net, imported):
    start, end = (1, 5) if steps > 0 else (4, 0)
    y = net("Slice", net.wide(), net.ints(start), net.ints(end), net.ints(1), net.ints(steps))
    imported(net.model(net.narrow(y, len(range(start, end, steps)))))


def test_gather_on_channels(net, imported):
    y = net("Gather", net.wide(), net.ints(3, 0, 0, 5), axis=1)
    imported(net.model(net.narrow(y, 4)))


def test_channel_shuffle(net, imported):
    y = net("Reshape", net.wide(), net.ints(1, 2, 3, -1))
    y = net("Reshape", net("Transpose", y, perm=[0, 2, 1, 3]), net.ints(1, 6, -1))
    report = imported(net.model(net.narrow(net.conv(net("Tanh", y), 6, 6, 2, pads=[1, 0]))))
    assert report.ops == {"conv1d": 2, "tanh": 1, "linear": 1}


def test_zero_channels_padded(net, imported):
    y = net("Pad", net.wide(), net.ints(0, 1, 0, 0, 2, 0))
    imported(net.model(net.narrow(y, 9)))


def test_constant_channels_joined(make_net, imported):
    net = make_net()
    shape = net("Concat", net.ints(1, 2), net("Gather", net("Shape", net.x), net.ints(2)), axis=0)
    y = net("Concat", net.wide(), net("Expand", net.random(1, 2, 1), shape), axis=1)
    imported(net.model(net.narrow(y, 8)))


@pytest.mark.parametrize("op", ["ReduceMean", "ReduceSum", "ReduceL2", "ReduceL1", "ReduceSumSquare"])
@pytest.mark.parametrize("keep", [0, 1])
def test_reduction_over_channels(op, keep, make_net, imported):
    net = make_net(opset=18)
    y = net(op, net.wide(), net.ints(1), keepdims=keep)
    imported(net.model(y))


def test_cast_and_constants_are_no_ops(net, imported):
    y = net("Cast", net("Cast", net.wide(), to=11), to=1)
    report = imported(net.model(net.narrow(y)))
    assert report.ops == {"conv1d": 1, "linear": 1}


def test_if_with_a_constant_condition(net, imported):
    import onnx

    branches = {}
    for name, op in (("then_branch", "Tanh"), ("else_branch", "Relu")):
        out = onnx.helper.make_tensor_value_info(f"{name}_y", 1, None)
        branches[name] = onnx.helper.make_graph([onnx.helper.make_node(op, ["t0_0"], [f"{name}_y"])], name, [], [out])
    y = net.wide()
    assert y == "t0_0"
    y = net("If", np.array(True), **branches)
    assert imported(net.model(net.narrow(y))).ops["tanh"] == 1
