"""Files with one thing wrong in them: each comes in or is refused in one line, whatever it is.

`python tests/import/test_mutated.py 2000` goes on for as many; a case is told again by its number.
"""

from __future__ import annotations

import signal
import sys

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from rtvoice import ModelError
from rtvoice.export import import_model

CASES = 60
PATIENCE = 20  # seconds for one file on a busy machine; a hang is one without end
NUMBERS = (0, 1, -1, 2, -5, 7, 10**6, 2**40, -(2**62))
KINDS = (np.int64, np.float64, np.float16, np.bool_, np.int8, np.float32)
OPS = ("Add", "Mul", "Conv", "MatMul", "Gemm", "Transpose", "Reshape", "Concat", "Slice", "Gather", "Softmax", "Pad",
       "ReduceMean", "LSTM", "GRU", "Where", "Clip", "Split", "Resize", "Erf", "Round", "Loop", "If", "CumSum", "DFT",
       "Einsum", "Constant", "Cast", "Shape", "Range", "Tile", "Nonsense", "MaxPool", "LayerNormalization")  # fmt: skip


def strided(net):
    low = net("Tanh", net.conv(net.x, 1, 6, 8, strides=[4], pads=[4, 4]))
    x = net("Transpose", low, perm=[2, 0, 1])
    y = net("GRU", x, net.random(1, 15, 6), net.random(1, 15, 5), net.random(1, 30), hidden_size=5)
    y = net("Transpose", net("Squeeze", y, net.ints(1)), perm=[1, 2, 0])
    return net.model(net("ConvTranspose", y, net.random(5, 1, 8), strides=[4], pads=[2, 2]))


def normed(net):
    x = net("Transpose", net.wide(), perm=[0, 2, 1])
    x = net("LayerNormalization", x, net.random(6), net.random(6), axis=-1)
    x = net("Gemm", net("Reshape", x, net.ints(-1, 6)), net.random(6, 6), net.random(6))
    x = net("Reshape", x, net.ints(1, -1, 6))
    x = net("Clip", net("Softmax", x, axis=-1), np.float32(0.0), np.float32(0.9))
    return net.model(net.narrow(net("Transpose", x, perm=[0, 2, 1])))


def mixed(net):
    x = net.wide()
    low = net("AveragePool", x, kernel_shape=[2], strides=[2])
    up = net("Resize", low, "", np.array([1, 1, 2], np.float32), mode="nearest")
    parts = net("Split", net("Concat", x, up, axis=1), net.ints(4, 8), axis=1, outputs=2)
    y = net("Slice", parts[1], net.ints(1), net.ints(7), net.ints(1))
    y = net("Where", net("Greater", y, np.float32(0.1)), y, net("Mul", y, net.random(1, 6, 1)))
    y = net("Pad", net("Add", y, net("ReduceMean", x, axes=[1])), net.ints(0, 0, 2, 0, 0, 0))
    return net.model(net.narrow(net("Slice", y, net.ints(0), net.ints(-2), net.ints(2))))


MODELS = (strided, normed, mixed)


def pick(rng, items):
    return items[int(rng.integers(len(items)))]


def change_numbers(tensor, rng):
    """Give a weight another shape, type or content, or cut it."""
    array, kind = numpy_helper.to_array(tensor), int(rng.integers(7))
    changed = {
        0: lambda: array.reshape(-1),
        1: lambda: array[..., :-1] if array.ndim else array.reshape(1),
        2: lambda: array[None],
        3: lambda: array.astype(pick(rng, KINDS)),
        4: lambda: np.full_like(array, pick(rng, (0, 1, -1))),
    }
    if kind in changed:
        tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(changed[kind]()), tensor.name))
    elif kind == 5:
        tensor.raw_data = tensor.raw_data[:-2]
    else:
        tensor.data_type = int(pick(rng, (0, 6, 8, 14, 16, 99)))


def change_attribute(attribute, rng):
    """Give an attribute another value."""
    if attribute.type == onnx.AttributeProto.INT:
        attribute.i = pick(rng, NUMBERS)
    elif attribute.type == onnx.AttributeProto.INTS:
        values = list(attribute.ints)
        changed = [values[:-1], [*values, 1], [pick(rng, NUMBERS) for _ in values]]
        del attribute.ints[:]
        attribute.ints.extend(pick(rng, changed))
    elif attribute.type == onnx.AttributeProto.STRING:
        attribute.s = pick(rng, (b"", b"nonsense", b"\xff\xfe", b"SAME_UPPER", b"cubic"))
    else:
        attribute.type = onnx.AttributeProto.INT


def mutate(model, rng):
    """Change one thing of a model; return what."""
    graph = model.graph
    node, weight, port = pick(rng, graph.node), pick(rng, graph.initializer), pick(rng, graph.input)
    names = [name for item in graph.node for name in (*item.input, *item.output)] + ["", "nothing"]
    kind = pick(rng, ("drop", "twice", "attribute", "no attribute", "swap", "rewire", "op", "weight", "weight", "opset",
                      "value_info", "input", "output", "no output", "more inputs", "no weight", "domain"))  # fmt: skip
    if kind == "drop":
        graph.node.remove(node)
    elif kind == "twice":
        graph.node.append(node)
    elif kind == "attribute" and node.attribute:
        change_attribute(pick(rng, node.attribute), rng)
    elif kind == "no attribute" and node.attribute:
        del node.attribute[0]
    elif kind == "swap" and len(node.input) > 1:
        node.input[0], node.input[1] = node.input[1], node.input[0]
    elif kind == "rewire":
        node.input[int(rng.integers(len(node.input)))] = pick(rng, names)
    elif kind == "op":
        node.op_type = pick(rng, OPS)
    elif kind == "weight":
        change_numbers(weight, rng)
    elif kind == "opset":
        model.opset_import[0].version = int(pick(rng, (-1, 1, 9, 11, 13, 23, 24, 99)))
    elif kind == "value_info":
        info = graph.value_info.add(name=node.output[0])
        info.type.tensor_type.elem_type = int(pick(rng, (0, 1, 7, 99)))
        info.type.tensor_type.shape.dim.add().dim_value = pick(rng, NUMBERS)
    elif kind == "input":
        pick(rng, port.type.tensor_type.shape.dim).dim_value = pick(rng, (*NUMBERS, 2**31))
        port.type.tensor_type.elem_type = int(pick(rng, (1, 1, 1, 0, 7, 8, 16, 99)))
    elif kind == "output":
        graph.output[0].name = pick(rng, names)
    elif kind == "no output":
        del node.output[:]
    elif kind == "more inputs":
        node.input.append(pick(rng, names))
    elif kind == "no weight":
        graph.initializer.remove(weight)
    elif kind == "domain":
        node.domain = pick(rng, ("com.microsoft", "ai.onnx.ml", "x"))
    return kind


def mutated(case, net):
    """Return a file with one or two things changed, and which."""
    rng = np.random.default_rng(case)
    model = onnx.load_from_string(MODELS[case % len(MODELS)](net))
    changes = [mutate(model, rng) for _ in range(1 + case % 2)]
    return model.SerializeToString(), changes


def result(case, net):
    """Import such a file; return the refusal, empty where it comes in."""

    def late(*_):
        raise TimeoutError(f"case {case} takes more than {PATIENCE} s")

    data, changes = mutated(case, net)
    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(PATIENCE)
    try:
        import_model(data, sample_rate=16_000)
    except ModelError as error:
        return str(error)
    except Exception as error:
        raise AssertionError(f"case {case}, {changes}") from error
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    return ""


@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="no alarm to end a hang")
def test_a_file_with_something_wrong_comes_in_or_is_refused_in_one_line(make_net):
    said = [result(case, make_net()) for case in range(CASES)]
    for case, message in enumerate(said):
        assert "\n" not in message and (not message or message.startswith("model.onnx: ")), (case, message)
        for word in ("object has no", "NoneType", "object is not", "positional argument", "index out of range"):
            assert word not in message, (case, message)
    assert 5 < said.count("") < CASES // 2  # most are refused, and not all of them


def changed_node(model, change):
    proto = onnx.load_from_string(model)
    change(proto.graph.node)
    return proto.SerializeToString()


@pytest.mark.parametrize(
    ("model", "change", "said"),
    [
        (strided, lambda nodes: nodes[0].attribute.add(name="auto_pad", type=3, s=b"cubic"),
         "Conv making 't0_0': has an attribute 'auto_pad' of 'cubic', which the standard does not know"),
        (normed, lambda nodes: nodes[1].attribute[0].__setattr__("type", 2),
         "Transpose making 't1_0': has an attribute 'perm' of type INT, where the standard asks for INTS"),
        (normed, lambda nodes: nodes[0].output.__delitem__(0), "Conv '' makes nothing"),
        (strided, lambda nodes: nodes[0].attribute[0].ints.__delitem__(0), "holds fewer numbers than there are axes"),
    ],
    ids=["unknown word", "another type", "no output", "too few numbers"],
)  # fmt: skip
def test_what_is_wrong_with_a_node_is_named(model, change, said, net, refused):
    assert said in refused(changed_node(model(net), change))


def test_a_damaged_weight_is_named(net, refused):
    proto = onnx.load_from_string(strided(net))
    proto.graph.initializer[0].raw_data = proto.graph.initializer[0].raw_data[:-2]
    assert f"the weight '{proto.graph.initializer[0].name}' is damaged" in refused(proto.SerializeToString())


def test_an_output_of_fewer_axes_than_its_nodes_say_is_told(net, refused):
    """onnxruntime takes any keepdims but 1 for none, the importer any but 0 for one."""
    message = refused(net.model(net("ReduceMean", net.wide(), axes=[1], keepdims=-5)))
    assert "output 't1_0' has 2 axes when the source is run" in message


if __name__ == "__main__":
    from conftest import Net

    for number in range(CASES, CASES + int(sys.argv[1])):
        line = result(number, Net())
        assert "\n" not in line, (number, line)
        print(number, line[:200])
