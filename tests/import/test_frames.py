"""Networks that read frames, and networks whose state is outside: inputs and outputs that belong together."""

from __future__ import annotations

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
helper = onnx.helper


def recurrent(net, op, x, start, names):
    gates = 3 if op == "GRU" else 4
    weights = net.random(1, gates * 5, 6), net.random(1, gates * 5, 5), net.random(1, 2 * gates * 5)
    starts = start if isinstance(start, list) else [start]
    attrs = {"linear_before_reset": 1} if op == "GRU" else {}
    y, *ends = net(op, x, *weights, "", *starts, outputs=2 if op == "GRU" else 3, hidden_size=5, **attrs)
    assert len(ends) == len(names)
    for place, name in enumerate(names, 1):
        net.nodes[-1].output[place] = name
    return y


def newest(net, x, count, name):
    """Hand the last `count` samples on, as the output `name`."""
    bounds = [net.array(net.ints(value)) for value in (-count, 99, 2)]
    net.nodes.append(helper.make_node("Slice", [x, *bounds], [name]))


def test_a_features_network_reads_frames(make_net, imported, refused):
    net = make_net(shape=(1, 4, "T", 6))
    other = net.input("more", (1, "T", 5))
    y = net("Conv", net.x, net.random(3, 4, 2, 3), pads=[1, 1, 0, 1])
    z = net("Relu", net("MatMul", other, net.random(5, 6)))
    model = net.model(net("Add", y, net("Unsqueeze", z, net.ints(1))))
    assert "frames=True" in refused(model)
    report = imported(model, frames=True)
    assert report.hop == 4 * 6 + 5 and list(report.outputs.values()) == ["value"]


@pytest.mark.parametrize("hop", [6, 4, 1])
def test_frames_may_overlap(hop, make_net, imported):
    net = make_net(shape=("T", 6))
    report = imported(net.model(net("MatMul", net.x, net.random(6, 3))), frames=True, hop=hop)
    assert report.hop == hop


@pytest.mark.parametrize("op", ["GRU", "LSTM"])
def test_a_state_outside_becomes_the_layers_own(op, make_net, imported):
    net = make_net(shape=(1, 1, 6))
    names = ["h", "c"][: 1 if op == "GRU" else 2]
    starts = [net.input(name, (1, 1, 5)) for name in names]
    y = recurrent(net, op, net.x, starts, [f"{name}n" for name in names])
    report = imported(net.model(net("Squeeze", y, net.ints(1)), *(f"{name}n" for name in names)))
    assert report.ops[op.lower()] == 1 and list(report.outputs.values()) == ["value"]


def test_states_of_several_layers_in_one_tensor(make_net, imported):
    net = make_net(shape=(1, 1, 6))
    state = net.input("state", (2, 1, 5))
    first, second = net("Split", state, outputs=2, axis=0)
    y = net("Squeeze", recurrent(net, "GRU", net.x, first, ["a"]), net.ints(1))
    y = net("Concat", y, net("Slice", net.x, net.ints(0), net.ints(1), net.ints(2)), axis=2)
    z = net("Squeeze", recurrent(net, "GRU", y, second, ["b"]), net.ints(1))
    net.nodes.append(helper.make_node("Concat", ["a", "b"], ["stateN"], axis=0))
    report = imported(net.model(net("Tanh", z), "stateN"))
    assert report.ops["gru"] == 2


def test_states_handed_to_the_wrong_layer_are_refused(make_net, refused):
    net = make_net(shape=(1, 1, 6))
    state = net.input("state", (2, 1, 5))
    first, second = net("Split", state, outputs=2, axis=0)
    y = net("Squeeze", recurrent(net, "GRU", net.x, first, ["a"]), net.ints(1))
    y = net("Concat", y, net("Slice", net.x, net.ints(0), net.ints(1), net.ints(2)), axis=2)
    z = recurrent(net, "GRU", y, second, ["b"])
    net.nodes.append(helper.make_node("Concat", ["b", "a"], ["stateN"], axis=0))
    assert "own final state" in refused(net.model(net("Tanh", z), "stateN"))


def test_buffers_of_the_past_become_delays(make_net, imported):
    """A causal convolution in steps of 4 samples: the last 2 of the step before are handed on."""
    net = make_net(shape=(1, 1, 4))
    past, deeper = net.input("cache_in", (1, 1, 2)), net.input("deep_in", (1, 3, 6))
    whole = net("Concat", past, net.x, axis=2)
    newest(net, whole, 2, "cache_out")
    y = net("Tanh", net("Conv", whole, net.random(3, 1, 3)))
    wide = net("Concat", deeper, y, axis=2)
    newest(net, wide, 6, "deep_out")
    z = net("Conv", wide, net.random(2, 3, 3), dilations=[3])
    report = imported(net.model(z, "cache_out", "deep_out"))
    assert "gru" not in report.ops and report.ops["delay"] >= 2


@pytest.mark.parametrize("joined", [False, True])
def test_an_lstm_that_is_written_out(joined, make_net, imported):
    net = make_net(shape=(1, 6))
    h, c = net.input("h_in", (1, 5)), net.input("c_in", (1, 5))
    if joined:
        gates = net("Gemm", net("Concat", net.x, h, axis=1), net.random(11, 20), net.random(20))
    else:
        given = net("Gemm", net.x, net.random(20, 6), net.random(20), transB=1)
        gates = net("Add", given, net("MatMul", h, net.random(5, 20)))
    i, f, g, o = net("Split", gates, outputs=4, axis=1)
    kept = net("Mul", net("Sigmoid", f), c)
    new = net("Add", kept, net("Mul", net("Sigmoid", i), net("Tanh", g)))
    out = net("Mul", net("Sigmoid", o), net("Tanh", new))
    net.nodes.append(helper.make_node("Identity", [out], ["h_out"]))
    net.nodes.append(helper.make_node("Identity", [new], ["c_out"]))
    report = imported(net.model(net("MatMul", out, net.random(5, 2)), "h_out", "c_out"))
    assert report.ops["lstm"] == 1 and "delay" not in report.ops


def named(net, made, name):
    net.nodes.append(helper.make_node("Identity", [made], [name]))


def test_any_other_state_becomes_a_loop(make_net, imported):
    net = make_net(shape=(1, 6))
    state = net.input("state", (1, 6))
    new = net("Add", net("Mul", net("Tanh", state), np.float32(0.9)), net.x)
    named(net, new, "stateN")
    assert imported(net.model(net("Tanh", new), "stateN")).ops["recall"] == 1


def test_a_gru_that_is_written_out(make_net, imported):
    """A GRUCell as it is exported, from a state of three axes among those of other layers."""
    net = make_net(shape=(1, 6))
    state = net.input("state_in", (2, 1, 5))
    y, news = net.x, []
    for layer, size in enumerate((6, 5)):
        h = net("Gather", state, np.int64(layer), axis=0)
        given = net("Gemm", y, net.random(15, size), net.random(15), transB=1)
        kept = net("Gemm", h, net.random(15, 5), net.random(15), transB=1)
        a, b = (net("Split", part, outputs=3, axis=1) for part in (given, kept))
        r, z = (net("Sigmoid", net("Add", a[gate], b[gate])) for gate in (0, 1))
        n = net("Tanh", net("Add", a[2], net("Mul", r, b[2])))
        y = net("Add", net("Mul", net("Sub", np.float32(1), z), n), net("Mul", z, h))
        news.append(net("Unsqueeze", y, net.ints(0)))
    net.nodes.append(helper.make_node("Concat", news, ["state_out"], axis=0))
    assert imported(net.model(net("MatMul", y, net.random(5, 2)), "state_out")).ops["recall"] == 2


def test_a_running_mean_over_frames(make_net, imported):
    """Normalised by the mean of the past, which the network hands on: nothing else reads its newest value."""
    net = make_net(opset=18, shape=(1, 6))
    mean = net.input("mean_in", (1, 1))
    y = net("Sub", net.x, mean)
    now = net("Mul", net("ReduceMean", net.x, net.ints(1)), np.float32(0.01))
    new = net("Add", net("Mul", mean, np.float32(0.99)), now)
    named(net, new, "mean_out")
    assert imported(net.model(net("Tanh", y), "mean_out")).ops["recall"] == 1


def test_a_buffer_of_what_is_made_of_it(make_net, imported):
    """A convolution over its own last three results."""
    net = make_net(shape=(1, 4, 1))
    past = net.input("past_in", (1, 4, 3))
    y = net("Tanh", net("Add", net.conv(past, 4, 4, 3), net.x))
    newest(net, net("Concat", past, y, axis=2), 3, "past_out")
    report = imported(net.model(net("Sigmoid", y), "past_out"))
    assert report.ops["recall"] == 1 and report.ops["delay"] == 2


def test_a_loop_beside_a_layers_own_state(make_net, imported):
    net = make_net(shape=(1, 1, 6))
    start, gain = net.input("h", (1, 1, 5)), net.input("gain", (1, 1, 5))
    y = net("Squeeze", recurrent(net, "GRU", net.x, start, ["hn"]), net.ints(1))
    new = net("Add", net("Mul", gain, np.float32(0.9)), net("Mul", net("Abs", y), np.float32(0.1)))
    named(net, new, "gainN")
    report = imported(net.model(net("Div", y, net("Add", new, np.float32(0.1))), "gainN", "hn"))
    assert report.ops["recall"] == 1 and report.ops["gru"] == 1


def test_states_may_be_named(make_net, imported, refused):
    net = make_net(shape=(1, 1, 6))
    start = net.input("memory", (1, 1, 5))
    y = recurrent(net, "GRU", net.x, start, ["elsewhere"])
    model = net.model(net("Squeeze", y, net.ints(1)), "elsewhere")
    imported(model, states={"memory": "elsewhere"})
    assert "the inputs are" in refused(model, states={"memory": "nothing"})


def test_a_sample_rate_is_known(make_net, imported):
    net = make_net(shape=("batch", "samples"))
    rate = net.input("sr", (), np.int64)
    y = net("Mul", net.x, net("Div", net("Cast", rate, to=1), np.float32(16000)))
    report = imported(net.model(net("MatMul", y, net.random(12, 2))), frames=12, hop=8)
    assert report.hop == 8


def test_states_whose_names_tell_nothing_are_asked_for(make_net, imported):
    """What looks like a state and was read as numbers of a frame is named, with the option that says so."""

    def model():
        net = make_net(shape=(1, 6))
        held = [net.input(name, (1, 5)) for name in ("foo", "bar")]
        x = net("MatMul", net.x, net.random(6, 5))
        new = net("Tanh", net("Add", x, held[0]))
        net.nodes.append(helper.make_node("Mul", [held[1], net.array(np.float32(0.5))], ["half"]))
        net.nodes.append(helper.make_node("Add", ["half", x], ["o2"]))
        net.nodes.append(helper.make_node("Identity", [new], ["o1"]))
        y = net("MatMul", net("Add", new, "o2"), net.random(5, 3))
        made = onnx.load_from_string(net.model(y, "o1", "o2"))
        for output, size in zip(made.graph.output, (3, 5, 5), strict=True):
            output.CopyFrom(helper.make_tensor_value_info(output.name, onnx.TensorProto.FLOAT, (1, size)))
        return made.SerializeToString()

    report = imported(model(), frames=True)
    told = [note for note in report.notes if "look like outputs" in note]
    assert report.hop == 16 and len(told) == 1
    for part in ("'foo' like 'o1' and 'o2'", "'bar' like 'o1' and 'o2'", "--state foo=o1", "parts of every frame"):
        assert part in told[0]
    report = imported(model(), frames=True, states={"foo": "o1", "bar": "o2"})
    assert report.hop == 6 and not any("look like outputs" in note for note in report.notes)
