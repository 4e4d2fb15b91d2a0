"""What cannot be brought in is refused in one line that names the node, the reason and what to change."""

from __future__ import annotations

import numpy as np
import pytest

import rtvoice

BIDIRECTIONAL = ["forward", "reverse", "bidirectional"]


N = {"name": "block/norm"}
ALIGNED = {"mode": "linear", "coordinate_transformation_mode": "align_corners"}
TWICE = np.array([1, 1, 2], np.float32)


def scaled(net, op, x, **attrs):
    return net(op, x, net.random(6), net.random(6), **N, **attrs)


@pytest.mark.parametrize(
    ("build", "reason", "advice"),
    [
        (lambda n, x: scaled(n, "InstanceNormalization", x), "all time", "LayerNorm"),
        (lambda n, x: scaled(n, "GroupNormalization", x, num_groups=2), "all time", "LayerNorm"),
        (lambda n, x: n("GlobalAveragePool", x, **N), "all time", "AveragePool"),
        (lambda n, x: n("GlobalMaxPool", x, **N), "all time", "window"),
        (lambda n, x: n("ReduceMean", x, axes=[2], **N), "all time", "AveragePool"),
        (lambda n, x: n("ReduceMean", x, axes=[1, 2], **N), "all time", "AveragePool"),
        (lambda n, x: n("CumSum", x, np.int64(2), reverse=1, **N), "from the end", "forwards"),
        (lambda n, x: n("ReduceMax", x, axes=[2], **N), "all time", "window"),
        (lambda n, x: n("Softmax", x, axis=2, **N), "all time", "convolutions"),
        (lambda n, x: n("MatMul", x, n("Transpose", x, perm=[0, 2, 1]), **N), "two signals", "GRU"),
        (lambda n, x: n("Pad", x, n.ints(0, 0, 2, 0, 0, 2), mode="reflect", **N), "reflect", "zero"),
        (lambda n, x: n("Pad", x, n.ints(0, 0, 2, 0, 0, 0), mode="edge", **N), "edge", "zero"),
        (lambda n, x: n("Pad", x, n.ints(0, 0, 2, 0, 0, 0), np.float32(1), **N), "pads with 1", "zero"),
        (lambda n, x: n("MaxPool", x, kernel_shape=[2], **N), "along time", "fixed window"),
        (lambda n, x: n("Concat", x, x, axis=2, **N), "along time", "channels"),
        (lambda n, x: n("Split", x, outputs=2, axis=2, num_outputs=2, **N)[0], "along time", "Slice"),
        (lambda n, x: n("Slice", x, n.ints(-9), n.ints(2**40), n.ints(2), **N), "however long", "dynamic"),
        (lambda n, x: n("Slice", x, n.ints(0), n.ints(100), n.ints(2), **N), "however long", "dynamic"),
        (lambda n, x: n("Slice", x, n.ints(-1), n.ints(-(2**40)), n.ints(2), n.ints(-1), **N), "reverses", "backwards"),
        (lambda n, x: n("Reshape", x, n.ints(1, 6, 4000), **N), "frozen", "dynamic"),
        (lambda n, x: n("Resize", x, "", np.float32([1, 1, 0.5]), mode="nearest", **N), "1/2", "whole factor"),
        (lambda n, x: n("Resize", x, "", TWICE, **ALIGNED, **N), "align_corners", "False"),
        (lambda n, x: n("Resize", x, "", TWICE, mode="cubic", **N), "cubic", "linear"),
        (lambda n, x: n("Resize", x, "", TWICE, mode="nearest", nearest_mode="ceil", **N), "repetition", "floor"),
        (lambda n, x: n("AveragePool", x, kernel_shape=[3], pads=[2, 0], **N), "fewer frames", "count_include_pad"),
        (lambda n, x: n("Conv", x, n("Tanh", x), **N), "computed from the signal", "constant"),
        (lambda n, x: n("Conv", n("Transpose", x, perm=[0, 2, 1]), n.random(1, 6, 3), **N), "channels", "(batch"),
        (
            lambda n, x: n("Conv", n("Reshape", x, n.ints(1, 1, 2, 3, -1)), n.random(1, 1, 2, 2, 1), **N),
            "two axes", "one axis",
        ),
        (lambda n, x: n("LayerNormalization", x, n.random(4000), axis=2, **N), "over time", "channels"),
        (lambda n, x: n("Mystery", x, domain="com.acme", **N), "com.acme", "standard"),
        (lambda n, x: n("RandomNormalLike", x, **N), "random", "rtvoice.nn"),
        (lambda n, x: n("Mul", x, np.float32(np.inf), **N), "not finite", "finite"),
        (lambda n, x: n("Div", x, np.float32(0), **N), "zero", "constant"),
        (lambda n, x: n("Einsum", x, x, equation="bct,bds->bcd", **N), "sums over all time", "AveragePool"),
        (lambda n, x: n("Einsum", x, x, x, equation="bct,bct,bct->bct", **N), "matrix product", "MatMul"),
        (lambda n, x: n("Cast", x, to=7, **N), "integers", "floating"),
        (lambda n, x: n("Cast", n("Tanh", n("Cast", x, to=16, **N)), to=1), "bfloat16", "export in float32"),
    ],
)  # fmt: skip
def test_refused_with_reason_and_advice(build, reason, advice, make_net, refused):
    net = make_net(opset=17)
    if reason == "along time" and advice == "Slice":
        net = make_net(opset=18)
    message = refused(net.model(net.narrow(build(net, net.wide()))))
    assert reason in message and advice in message
    assert "'block/norm'" in message


HUGE = 2**50  # more than any machine has: asking for the memory would fail by another name
NEAREST = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}


@pytest.mark.parametrize(
    ("build", "limit"),
    [
        (lambda n, x: n("Expand", x, n.ints(1, HUGE, 1), **N), "4194304"),
        (lambda n, x: n("Tile", x, n.ints(1, HUGE, 1), **N), "4194304"),
        (lambda n, x: n("Tile", x, n.ints(1, 10**7, 1), **N), "4194304"),
        (lambda n, x: n("Pad", x, n.ints(0, HUGE, 0, 0, 0, 0), **N), "4194304"),
        (lambda n, x: n("Resize", x, "", np.float32([1, 1, 1e9]), **NEAREST, **N), "65536"),
        (lambda n, x: n("Upsample", x, np.float32([1, 1, 1e9]), mode="nearest", **N), "65536"),
        (lambda n, x: n("Mul", x, n("ReduceSum", n("ConstantOfShape", n.ints(HUGE), **N))), "134217728"),
        (lambda n, x: n("Mul", x, n("ReduceSum", n("Expand", np.ones((2, 1)), n.ints(1, HUGE), **N))), "134217728"),
        (lambda n, x: n("Mul", x, n("ReduceSum", n("Tile", np.ones(2), n.ints(HUGE), **N))), "134217728"),
        (lambda n, x: n("Mul", x, n("ReduceSum", n("Pad", np.ones(2), n.ints(0, HUGE), **N))), "134217728"),
        (lambda n, x: n("Mul", x, n("ReduceSum", n("Range", np.int64(0), np.int64(HUGE), np.int64(1), **N))), "134217"),
        (lambda n, x: n("Mul", x, n("ReduceSum", n("HannWindow", np.int64(HUGE), **N))), "134217728"),
        (
            lambda n, x: n("Mul", x, n("ReduceSum", n("Resize", np.ones(2), "", np.float32([1e15]), **NEAREST, **N))),
            "134217728",
        ),
    ],
)
def test_sizes_that_no_memory_holds(build, limit, make_net, refused):
    net = make_net(opset=17)
    message = refused(net.model(net("ReduceMean", build(net, net.x), axes=[1])))
    assert "'block/norm': " in message and limit in message and "smaller size" in message


def test_a_model_in_bfloat16(net, refused):
    import onnx

    model = onnx.load_from_string(net.model(net("Tanh", net.x)))
    for port in (*model.graph.input, *model.graph.output):
        port.type.tensor_type.elem_type = onnx.TensorProto.BFLOAT16
    message = refused(model.SerializeToString())
    assert "'x' is in bfloat16" in message and "export in float32" in message


def test_attention_in_one_operator(make_net, refused):
    net = make_net(opset=23)
    x = net("Unsqueeze", net("Transpose", net.wide(), perm=[0, 2, 1]), net.ints(1))
    y = net("Squeeze", net("Attention", x, x, x, name="heads"), net.ints(1))
    message = refused(net.model(net.narrow(net("Transpose", y, perm=[0, 2, 1]))))
    assert "Attention 'heads': is attention in one operator" in message and "opset 22 or older" in message


@pytest.mark.parametrize("op", ["GRU", "LSTM"])
@pytest.mark.parametrize("direction", ["reverse", "bidirectional"])
def test_recurrent_directions(op, direction, net, refused):
    two = 2 if direction == "bidirectional" else 1
    gates = 3 if op == "GRU" else 4
    x = net("Transpose", net.wide(), perm=[2, 0, 1])
    y = net(op, x, net.random(two, gates * 5, 6), net.random(two, gates * 5, 5), hidden_size=5, direction=direction)
    y = net("Reshape", net("Transpose", y, perm=[2, 1, 3, 0]), net.ints(1, 5 * two, -1))
    message = refused(net.model(net.narrow(y, 5 * two)))
    assert direction in message and "one direction" in message


@pytest.mark.parametrize(
    "what", ["state of two", "state input", "state of another layer", "activations", "clip", "plain RNN"]
)
def test_recurrent_variants(what, net, refused):
    x = net("Transpose", net.wide(), perm=[2, 0, 1])
    weights = [net.random(1, 15, 6), net.random(1, 15, 5), net.random(1, 30)]
    attrs = {"activations": {"activations": ["Relu", "Tanh"]}, "clip": {"clip": 1.0}}.get(what, {})
    state = ""
    if what == "state of two":
        state = net.random(1, 2, 5)
    elif what == "state input":
        state = net("Unsqueeze", net("MatMul", net.input("speaker", (1, 3)), net.random(3, 5)), net.ints(0))
    elif what == "state of another layer":
        state = net("GRU", x, *weights, outputs=2, hidden_size=5, linear_before_reset=1)[1]
    if what == "plain RNN":
        y = net("RNN", x, net.random(1, 5, 6), net.random(1, 5, 5), hidden_size=5)
    else:
        y = net("GRU", x, *weights, "", state, hidden_size=5, linear_before_reset=1, **attrs)
    y = net("Transpose", net("Squeeze", y, net.ints(1)), perm=[1, 2, 0])
    message = refused(net.model(net.narrow(y, 5)))
    named = {
        "state of two": "(1, 1, 5)",
        "state input": "beside its input",
        "state of another layer": "known only at the end",
        "activations": "Relu",
        "clip": "clip",
        "plain RNN": "GRU or LSTM",
    }
    assert named[what] in message


def test_states_in_integers_are_named_with_what_sets_them(make_net, refused):
    onnx = pytest.importorskip("onnx")
    net = make_net(shape=(1, 160))
    count = net.input("calls", (1, 1), np.int64)
    y = net("Mul", net.x, net("Sin", net("Cast", count, to=1)))
    net.nodes.append(onnx.helper.make_node("Add", [count, net.array(np.array([[1]]))], ["calls_out"]))
    message = refused(net.model(y, "calls_out"), frames=True)
    assert "'calls'" in message or "calls (1, 1)" in message
    assert "'calls_out'" in message and "hand it on as a float" in message


@pytest.mark.parametrize(
    ("block", "size", "named"),
    [([2, 4], [4, 6], "along time alone"), ([1, 5], [1, 100], "blocks of 5")],
    ids=["an image", "another kernel"],
)
def test_folds_that_are_no_overlap_add(block, size, named, make_net, refused):
    net = make_net(opset=18, shape=(1, 1, 400))
    columns = net.conv(net.x, 1, 8, 8, strides=[4], pads=[4, 0])
    y = net("Col2Im", columns, net.ints(*size), net.ints(*block), strides=[1, 4])
    assert named in refused(net.model(net("Squeeze", y, net.ints(2))))


def test_example_shorter_than_the_latency(make_net, refused):
    net = make_net(shape=(1, 1, 64))
    assert "longer example" in refused(net.model(net.conv(net.x, 1, 1, 129, pads=[64, 64])))


def test_a_batch_is_named(make_net, refused):
    net = make_net(shape=(2, 1, "T"))
    assert "is a batch of 2" in refused(net.model(net("Tanh", net.x)))


def test_all_nodes_are_named_at_once(net, refused):
    y = net("MaxPool", net.wide(), kernel_shape=[2], name="first")
    y = net("Tanh", y)
    z = net("GlobalMaxPool", net.wide(), name="second")
    message = refused(net.model(net.narrow(net("Add", y, z))))
    assert "'first'" in message and "'second'" in message and "2 nodes" in message


def heads(net, x, frames):
    """Split (1, T, 8) into two heads as torch's exporter does, which freezes the length."""
    return net("Transpose", net("Reshape", x, net.ints(frames, 2, 4)), perm=[1, 0, 2])


@pytest.mark.parametrize("shape", [(1, 1, "T"), (1, 1, 400)], ids=["free", "fixed"])
def test_attention_is_named_and_not_its_reshaping(shape, make_net, refused):
    net = make_net(shape=shape)
    x = net("Transpose", net.wide(8), perm=[2, 0, 1])
    query, key, value = (heads(net, net("MatMul", x, net.random(8, 8)), 400) for _ in range(3))
    product = net("MatMul", net("Mul", query, np.float32(0.5)), net("Transpose", key, perm=[0, 2, 1]), name="scores")
    mixed = net("MatMul", net("Softmax", product, axis=-1, name="shares"), value, name="mixed")
    y = net("Reshape", net("Transpose", mixed, perm=[1, 0, 2]), net.ints(400, 1, 8))
    message = refused(net.model(net.narrow(net("Transpose", y, perm=[1, 2, 0]), 8)))
    if shape[2] == 400:  # then no shape is wrong, and what is left to say is that nothing bounds the past
        assert "'shares': attends to the whole recording" in message and "j <= i - N" in message
    else:
        assert "'scores': multiplies two signals (attention" in message and "GRU or LSTM" in message
    assert "frozen" not in message and "nodes cannot" not in message and "'mixed'" not in message


def test_a_frozen_length_elsewhere_is_still_named(net, refused):
    y = net("Reshape", net.wide(), net.ints(1, 6, 4000), name="frozen here")
    y = net("InstanceNormalization", net("Tanh", net.conv(y, 6, 6, 3)), net.random(6), net.random(6), name="norm")
    message = refused(net.model(net.narrow(y)))
    assert "'norm'" in message and "'frozen here'" in message
    assert message.index("'norm'") < message.index("'frozen here'")


@pytest.mark.parametrize("groups", [1, 2])
def test_group_norm_as_torch_writes_it(groups, net, refused):
    x = net("Reshape", net.wide(), net.ints(0, groups, -1))
    x = net("InstanceNormalization", x, np.ones(groups, np.float32), np.zeros(groups, np.float32), name="norm")
    y = net("Mul", net("Reshape", x, net("Shape", net.x)), net.random(6, 1))
    message = refused(net.model(net.narrow(y)))
    assert message.startswith("model.onnx: InstanceNormalization 'norm': normalises over all time")
    assert "GroupNorm" in message and "Reshape" not in message


@pytest.mark.parametrize("pad", ["SAME_UPPER", "SAME_LOWER"])
@pytest.mark.parametrize("op", ["Conv", "AveragePool"])
def test_padding_that_moves_with_the_length(pad, op, make_net, refused, imported):
    def model(shape, taps):
        net = make_net(shape=shape)
        if op == "Conv":
            low = net("Conv", net.x, net.random(4, 1, taps), strides=[2], auto_pad=pad, name="low")
        else:
            low = net.wide(4)
            low = net(
                "AveragePool", low, kernel_shape=[taps], strides=[2], auto_pad=pad, count_include_pad=1, name="low"
            )
        return net.model(net("ConvTranspose", low, net.random(4, 1, 2), strides=[2]))

    message = refused(model((1, 1, "T"), 3 if pad == "SAME_UPPER" else 4))
    assert f"auto_pad={pad} with stride 2" in message and "'low'" in message and "explicit pads" in message
    imported(model((1, 1, 4800), 3))
    imported(model((1, 1, "T"), 4 if pad == "SAME_UPPER" else 3))


def test_a_reach_beyond_what_is_followed(make_net, refused, imported):
    net = make_net()
    message = refused(net.model(net.conv(net.x, 1, 1, 3, dilations=[40_000])))
    assert "80001 samples" in message and "76800" in message and "pad with zeros" in message
    net = make_net()
    imported(net.model(net.conv(net.x, 1, 1, 3, dilations=[40_000], pads=[80_000, 0])))


@pytest.mark.parametrize("what", ["node", "input", "weight"])
def test_a_name_that_is_written_twice(what, net, refused):
    y = net("Tanh", net.conv(net.x, 1, 1, 3, pads=[2, 0]))
    net("Sigmoid", net.x)
    net.nodes[-1].output[0] = {"node": y, "input": net.x, "weight": net.nodes[0].input[1]}[what]
    assert "already" in refused(net.model(y))


@pytest.mark.parametrize(
    ("shape", "said"),
    [((1, 2, "T"), "one audio channel"), ((1, 80, 100), "one audio channel"), ((1, 1, 1), "no time axis"),
     ((1, 1, 1, 1, "T"), "no time axis")],
    ids=str,
)  # fmt: skip
def test_inputs_that_are_no_audio(shape, said, make_net, refused):
    net = make_net(shape=shape)
    assert said in refused(net.model(net("Tanh", net.x)))


def test_second_input_along_time(net, refused):
    other = net.input("other", (1, 6, "T"))
    assert "'other'" in refused(net.model(net.narrow(net("Add", net.wide(), other))))


def test_integer_input(net, refused, imported):
    net.input("mode", (), np.int64)
    model = net.model(net("Tanh", net.x))
    message = refused(model)
    assert "'mode'" in message and "--constant mode=" in message
    imported(model, constants={"mode": 3})
    assert "no input is called 'made'" in refused(model, constants={"made": 3})


def test_audio_output_of_another_rate(net, refused):
    up = net("ConvTranspose", net.x, net.random(1, 1, 2), strides=[2])
    assert "2 samples for each input sample" in refused(net.model(up))


@pytest.mark.parametrize("opset", [9, 10])
def test_old_opsets(opset, make_net, refused):
    net = make_net(opset=opset)
    assert f"opset {opset}" in refused(net.model(net("Tanh", net.x)))


@pytest.mark.parametrize("data", [b"", b"not a model", bytes(range(256)) * 8])
def test_damaged_files(data, refused, tmp_path):
    refused(data)
    path = tmp_path / "broken.onnx"
    path.write_bytes(data)
    assert "broken.onnx" in refused(path)


def test_truncated_and_flipped_files_never_end_in_another_error(net):
    from rtvoice import ModelError
    from rtvoice.export.onnx.importer import import_onnx

    data = net.model(net.narrow(net("Tanh", net.wide())))
    rng = np.random.default_rng(0)
    for _ in range(150):
        broken = bytearray(data[: rng.integers(1, len(data))] if rng.random() < 0.3 else data)
        for place in rng.integers(0, len(broken), 3):
            broken[place] = rng.integers(0, 256)
        try:
            import_onnx(bytes(broken))
        except ModelError as error:
            assert "\n" not in str(error)


def test_weights_kept_in_another_file(net, imported, refused, tmp_path):
    """Beside the file they are read; from bytes alone no file of the machine is opened."""
    import onnx

    from rtvoice.export import import_model

    proto = onnx.load_from_string(net.model(net.narrow(net("Tanh", net.conv(net.x, 1, 6, 64, pads=[63, 0])))))
    path = tmp_path / "net.onnx"
    onnx.save(proto, path, save_as_external_data=True, location="net.data", size_threshold=64)
    assert import_model(path, sample_rate=16_000).latency == 0
    assert "another file" in refused(path.read_bytes())
    (tmp_path / "net.data").unlink()
    assert "net.onnx" in refused(path)


@pytest.mark.parametrize("name", ["x.nam", "x.json", "x.pt", "x"])
def test_other_formats(name, tmp_path, refused):
    path = tmp_path / name
    path.write_text("{}")
    assert name in refused(path)


def test_missing_file(tmp_path, refused):
    assert "no such file" in refused(tmp_path / "missing.onnx")
    with pytest.raises(FileNotFoundError, match="missing.onnx"):
        rtvoice.import_model(tmp_path / "missing.onnx", sample_rate=16_000)


def test_rate_is_asked_for(net):
    from rtvoice.export import import_model

    with pytest.raises(ValueError, match="sample_rate"):
        import_model(net.model(net("Tanh", net.x)))
