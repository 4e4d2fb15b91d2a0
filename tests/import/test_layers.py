"""Recurrent layers, normalisation and the patterns that exporters write out in small operators."""

from __future__ import annotations

import numpy as np
import pytest

import rtvoice


def recurrent(net, op, x, size, hidden, gates, *, bias=True, state=False, **attrs):
    inputs = [x, net.random(1, gates * hidden, size), net.random(1, gates * hidden, hidden)]
    inputs.append(net.random(1, 2 * gates * hidden) if bias else "")
    if state:
        states = [np.zeros((1, 1, hidden), np.float32) if state is True else net.random(1, 1, hidden)]
        inputs += ["", *(states * (1 if op == "GRU" else 2))]
    return net(op, *inputs, outputs=2 if op == "GRU" else 3, hidden_size=hidden, **attrs)


def through(net, op, gates, **options):
    x = net("Transpose", net.wide(), perm=[2, 0, 1])
    y = recurrent(net, op, x, 6, 5, gates, **options)[0]
    y = net("Squeeze", y, net.ints(1))
    return net.narrow(net("Transpose", y, perm=[1, 2, 0]), 5)


@pytest.mark.parametrize("linear_before_reset", [0, 1])
@pytest.mark.parametrize("options", [{}, {"bias": False}, {"state": True}, {"state": "trained"}], ids=str)
def test_gru(linear_before_reset, options, net, imported):
    report = imported(net.model(through(net, "GRU", 3, linear_before_reset=linear_before_reset, **options)))
    assert report.ops["gru"] == 1


@pytest.mark.parametrize("options", [{}, {"bias": False}, {"state": True}, {"state": "trained"}], ids=str)
def test_lstm(options, net, imported):
    assert imported(net.model(through(net, "LSTM", 4, **options))).ops["lstm"] == 1


def test_state_of_zeros_made_from_the_batch_size(net, imported):
    """Old exporters build the state from the shape of the input."""
    batch = net("Unsqueeze", net("Gather", net("Shape", net.x), np.int64(0)), net.ints(0))
    state = net("ConstantOfShape", net("Concat", net.ints(1), batch, net.ints(5), axis=0))
    x = net("Transpose", net.wide(), perm=[2, 0, 1])
    weights = net.random(1, 15, 6), net.random(1, 15, 5), net.random(1, 30)
    y, _ = net("GRU", x, *weights, "", state, outputs=2, hidden_size=5, linear_before_reset=1)
    y = net("Transpose", net("Squeeze", y, net.ints(1)), perm=[1, 2, 0])
    imported(net.model(net.narrow(y, 5)))


def test_a_trained_state_behind_a_lookahead(net, imported):
    """A layer that starts from numbers of its own waits for its first frame, however late that is."""
    x = net("Transpose", net.conv(net.x, 1, 6, 9, pads=[2, 6]), perm=[2, 0, 1])
    y = recurrent(net, "LSTM", x, 6, 5, 4, state="trained")[0]
    y = net("Transpose", net("Squeeze", y, net.ints(1)), perm=[1, 2, 0])
    assert imported(net.model(net.narrow(y, 5))).latency > 0


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("pads", [(0, 0), (3, 2)])
def test_fold_is_an_overlap_add(axis, pads, make_net, imported):
    """torch.nn.Fold along time, whose length is computed from the recording's: one row or one column, two channels."""
    net = make_net(opset=18)
    columns = net.conv(net.x, 1, 12, 8, strides=[4], pads=[4, 0])
    count = net("Slice", net("Shape", columns), net.ints(2), net.ints(3))
    length = net("Add", net("Mul", count, net.ints(4)), net.ints(2 - sum(pads)))
    along = [net.ints(1), length] if axis else [length, net.ints(1)]
    size = net("Concat", *(net.array(part) if not isinstance(part, str) else part for part in along), axis=0)
    block, strides = ([1, 6], [1, 4]) if axis else ([6, 1], [4, 1])
    edges = [0, pads[0], 0, pads[1]] if axis else [pads[0], 0, pads[1], 0]
    y = net("Col2Im", columns, size, net.ints(*block), strides=strides, pads=edges)
    y = net("Squeeze", y, net.ints(2 if axis else 3))
    report = imported(net.model(net.narrow(y, 2)))
    assert report.ops["conv_transpose1d"] == 1


def test_batch_first_layout_attribute(net, imported):
    x = net("Transpose", net.wide(), perm=[0, 2, 1])
    y, _ = recurrent(net, "GRU", x, 6, 5, 3, layout=1, linear_before_reset=1)
    y = net("Transpose", net("Squeeze", y, net.ints(2)), perm=[0, 2, 1])
    assert imported(net.model(net.narrow(y, 5))).ops["gru"] == 1


def test_stacked_recurrent_layers(net, imported):
    y = net("Transpose", net.wide(), perm=[2, 0, 1])
    y = net("Squeeze", recurrent(net, "LSTM", y, 6, 5, 4)[0], net.ints(1))
    y = net("Squeeze", recurrent(net, "GRU", y, 5, 4, 3, linear_before_reset=1)[0], net.ints(1))
    imported(net.model(net.narrow(net("Transpose", y, perm=[1, 2, 0]), 4)))


def test_final_state_becomes_a_value(net, imported):
    x = net("Transpose", net.wide(), perm=[2, 0, 1])
    y, last = recurrent(net, "GRU", x, 6, 5, 3, linear_before_reset=1)
    y = net("Transpose", net("Squeeze", y, net.ints(1)), perm=[1, 2, 0])
    score = net("Sigmoid", net("MatMul", last, net.random(5, 1)))
    report = imported(net.model(net.narrow(y, 5), score))
    assert list(report.outputs.values()) == ["audio", "value"]


@pytest.mark.parametrize("opset", [17, 23])
def test_layer_norm_operator(opset, make_net, imported):
    net = make_net(opset=opset)
    y = net("Transpose", net.wide(), perm=[0, 2, 1])
    y = net("LayerNormalization", y, net.random(6), net.random(6), axis=-1, epsilon=1e-4)
    report = imported(net.model(net.narrow(net("Transpose", y, perm=[0, 2, 1]))))
    assert report.ops == {"conv1d": 1, "layer_norm": 1, "linear": 1}


def test_rms_norm_operator(make_net, imported):
    net = make_net(opset=23)
    y = net("Transpose", net.wide(), perm=[0, 2, 1])
    y = net("RMSNormalization", y, net.random(6), axis=-1, epsilon=1e-4)
    report = imported(net.model(net.narrow(net("Transpose", y, perm=[0, 2, 1]))))
    assert report.ops == {"conv1d": 1, "rms_norm": 1, "linear": 1}


@pytest.mark.parametrize("channels_last", [True, False])
@pytest.mark.parametrize("square", ["Pow", "Mul"])
@pytest.mark.parametrize("divide", ["Div", "Reciprocal"])
@pytest.mark.parametrize("kind", ["layer", "rms"])
def test_norm_written_out(channels_last, square, divide, kind, net, imported):
    y = net.wide()
    if channels_last:
        y = net("Transpose", y, perm=[0, 2, 1])
    axis = [2] if channels_last else [1]
    shape = (6,) if channels_last else (6, 1)
    if kind == "layer":
        y = net("Sub", y, net("ReduceMean", y, axes=axis))
    power = net("Pow", y, np.float32(2)) if square == "Pow" else net("Mul", y, y)
    root = net("Sqrt", net("Add", net("ReduceMean", power, axes=axis), np.float32(1e-5)))
    y = net("Div", y, root) if divide == "Div" else net("Mul", net("Reciprocal", root), y)
    y = net("Mul", y, net.random(*shape))
    y = net("Add", y, net.random(*shape)) if kind == "layer" else y
    if channels_last:
        y = net("Transpose", y, perm=[0, 2, 1])
    report = imported(net.model(net.narrow(y)))
    assert report.ops == {"conv1d": 1, f"{kind}_norm": 1, "linear": 1}


@pytest.mark.parametrize("alpha", [(1, 6, 1), ()])
@pytest.mark.parametrize("beta", ["alpha", "own"])
@pytest.mark.parametrize("form", ["Pow", "Mul"])
def test_snake(alpha, beta, form, net, imported):
    x = net.wide()
    a = (np.abs(net.random(*alpha)) + 0.5).astype(np.float32)
    inverse = (1.0 / (a + 1e-9) if beta == "alpha" else np.abs(net.random(*alpha)) + 0.3).astype(np.float32)
    wave = net("Sin", net("Mul", a, x))
    power = net("Pow", wave, np.float32(2)) if form == "Pow" else net("Mul", wave, wave)
    report = imported(net.model(net.narrow(net("Add", x, net("Mul", inverse, power)))))
    assert report.ops == {"conv1d": 1, "snake": 1, "linear": 1}


def gelu_erf(net, x):
    return net(
        "Mul", net("Mul", x, np.float32(0.5)), net("Add", net("Erf", net("Div", x, np.float32(2**0.5))), np.float32(1))
    )


def gelu_erf_another_order(net, x):
    inner = net("Add", np.float32(1), net("Erf", net("Mul", x, np.float32(0.5**0.5))))
    return net("Mul", net("Mul", inner, x), np.float32(0.5))


def gelu_tanh(net, x):
    cube = net("Mul", np.float32(0.044715), net("Pow", x, np.float32(3)))
    inner = net("Tanh", net("Mul", np.float32((2 / np.pi) ** 0.5), net("Add", x, cube)))
    return net("Mul", net("Mul", np.float32(0.5), x), net("Add", np.float32(1), inner))


def silu(net, x):
    return net("Mul", x, net("Sigmoid", x))


def silu_written_out(net, x):
    return net("Div", x, net("Add", net("Exp", net("Neg", x)), np.float32(1)))


def softplus(net, x):
    return net("Log", net("Add", net("Exp", x), np.float32(1)))


def softplus_with_threshold(net, x):
    return net("Where", net("Greater", x, np.float32(20)), x, net("Softplus", x))


def leaky_relu(net, x):
    return net("Where", net("Less", x, np.float32(0)), net("Mul", x, np.float32(0.2)), x)


def elu(net, x):
    grown = net("Mul", net("Sub", net("Exp", x), np.float32(1)), np.float32(0.8))
    return net("Where", net("GreaterOrEqual", x, np.float32(0)), x, grown)


def relu(net, x):
    return net("Where", net("Greater", x, np.float32(0)), x, np.float32(0))


@pytest.mark.parametrize(
    ("pattern", "op"),
    [(gelu_erf, "gelu"), (gelu_erf_another_order, "gelu"), (gelu_tanh, "gelu"), (silu, "silu"),
     (silu_written_out, "silu"), (softplus, "softplus"), (softplus_with_threshold, "softplus"),
     (leaky_relu, "leaky_relu"), (elu, "elu"), (relu, "relu")],
)  # fmt: skip
def test_activations_written_out(pattern, op, net, imported):
    report = imported(net.model(net.narrow(pattern(net, net.wide()))))
    assert report.ops == {"conv1d": 1, op: 1, "linear": 1}


def test_an_activation_that_only_resembles_one_is_left_alone(net, imported):
    x = net.wide()
    report = imported(net.model(net.narrow(net("Mul", x, net("Sigmoid", net("Mul", x, np.float32(1.702)))))))
    assert "silu" not in report.ops and "gelu" not in report.ops


def test_erf_outside_a_pattern_is_refused(net, refused):
    assert "Erf" in refused(net.model(net.narrow(net("Erf", net.wide()))))


def test_pixel_shuffle_and_back(net, imported):
    """Frames packed into channels (c, j) and unpacked again."""
    y = net("Reshape", net.x, net.ints(1, 1, -1, 4))
    y = net("Reshape", net("Transpose", y, perm=[0, 1, 3, 2]), net.ints(1, 4, -1))
    y = net("Tanh", net.conv(y, 4, 8))
    y = net("Reshape", y, net.ints(1, 2, 4, -1))
    y = net("Reshape", net("Transpose", y, perm=[0, 1, 3, 2]), net.ints(1, 2, -1))
    report = imported(net.model(net.narrow(y, 2)))
    assert report.hop == 4
    assert report.ops == {"time_to_depth": 1, "linear": 2, "tanh": 1, "depth_to_time": 1}


def test_framed_network_with_time_first(net, imported):
    """(1, 1, T) -> (1, T/8, 8) -> MatMul -> back, as frame-wise networks do."""
    y = net("Reshape", net.x, net.ints(1, -1, 8))
    y = net("Tanh", net("Add", net("MatMul", y, net.random(8, 12)), net.random(12)))
    y = net("MatMul", y, net.random(12, 8))
    report = imported(net.model(net("Reshape", y, net.ints(1, 1, -1))))
    assert report.hop == 8


def test_repeated_frames_by_expand(net, imported):
    low = net.conv(net.x, 1, 4, 4, strides=[4])
    frames = net("Gather", net("Shape", low), net.ints(2))
    y = net("Expand", net("Unsqueeze", low, net.ints(3)), net("Concat", net.ints(1, 4), frames, net.ints(4), axis=0))
    y = net("Reshape", y, net.ints(1, 4, -1))
    assert imported(net.model(net.narrow(y, 4))).ops["upsample"] == 1


def test_decimation_by_slice(net, imported):
    y = net("Slice", net.wide(), net.ints(1), net.ints(2**62), net.ints(2), net.ints(3))
    imported(net.model(net("ConvTranspose", y, net.random(6, 1, 3), strides=[3])))


def test_film_becomes_one_op_and_its_inputs_parameters(net, imported):
    gamma, beta = net.input("gamma", (1, 6, 1)), net.input("beta", ("N", 6))
    y = net("Mul", net.wide(), net("Add", gamma, np.float32(1.0)))
    y = net("Add", y, net("Unsqueeze", beta, net.ints(2)))
    report = imported(net.model(net.narrow(y)))
    assert report.parameters == ["gamma", "beta"]
    assert report.ops == {"conv1d": 1, "film": 1, "linear": 1}


def test_speaker_vector_goes_through_layers_of_its_own(net, imported):
    speaker = net.input("speaker", (1, 4))
    weights = net("Tanh", net("Gemm", speaker, net.random(4, 12), net.random(12)))
    gamma, beta = net("Split", net("Unsqueeze", weights, net.ints(2)), outputs=2, axis=1)
    y = net("Add", net("Mul", net.wide(), gamma), beta)
    report = imported(net.model(net.narrow(y)))
    assert report.parameters == ["speaker"]


def test_speaker_vector_joined_to_the_channels(net, imported):
    speaker = net.input("speaker", (1, 4, 1))
    x = net.wide()
    shape = net("Concat", net.ints(1, 4), net("Gather", net("Shape", x), net.ints(2)), axis=0)
    y = net("Concat", x, net("Expand", speaker, shape), axis=1)
    imported(net.model(net.narrow(y, 10)))


def test_parameters_take_the_ranges_given(net):
    from rtvoice.export import import_model

    gain = net.input("gain", (1, 1))
    y = net("Mul", net.wide(), net("Unsqueeze", gain, net.ints(2)))
    options = {"default": [1.0], "min": 0.0, "max": 2.0}
    model = import_model(net.model(net.narrow(y)), sample_rate=16_000, parameters={"gain": options})
    parameter = model.metadata["parameters"][0]
    assert (parameter["default"], parameter["min"], parameter["max"]) == ([1.0], 0.0, 2.0)


def test_ranges_of_a_parameter_that_is_not_there_are_refused(net):
    from rtvoice.export import import_model

    with pytest.raises(rtvoice.ModelError, match="no input is called 'gian'; there is: gain"):
        gain = net("Unsqueeze", net.input("gain", (1, 1)), net.ints(2))
        y = net.narrow(net("Mul", net.wide(), gain))
        import_model(net.model(y), sample_rate=16_000, parameters={"gian": {"default": [1.0]}})


def test_further_outputs_become_values(net, imported):
    y = net.wide()
    low = net("Sigmoid", net.conv(y, 6, 2, 8, strides=[8]))
    report = imported(net.model(net.narrow(y), low))
    assert list(report.outputs.values()) == ["audio", "value"] and report.hop == 8


def test_network_without_audio_output(net, imported):
    y = net("Sigmoid", net.conv(net.wide(), 6, 1, 4, strides=[4]))
    report = imported(net.model(y))
    assert list(report.outputs.values()) == ["value"]
