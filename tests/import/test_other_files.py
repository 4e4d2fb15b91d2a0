"""What is no usable ONNX file: one line that names the file, says what it is, and what to do."""

from __future__ import annotations

import gzip
import io
import zipfile

import numpy as np
import pytest

from rtvoice import cli

onnx = pytest.importorskip("onnx")


def small(net):
    return net.model(net.narrow(net("Tanh", net.wide())))


def archive(data):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("model/data.pkl", data)
    return packed.getvalue()


FILES = {
    "nothing": (lambda good: b"", "is empty; fetch or export it again"),
    "half": (lambda good: good[: len(good) // 2], "was cut or damaged"),
    "nearly all": (lambda good: good[:-3], "fetch or export it again"),
    "a text": (lambda good: b"dear model,\nhow are you?\n", "is a text ('dear model, how are you?'...), not a model"),
    "a page": (
        lambda good: b"\n<!DOCTYPE html><title>404</title>",
        "is a web page, not a model; fetch the file itself",
    ),
    "a pointer": (lambda good: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "run git lfs pull"),
    "a checkpoint": (archive, "as torch.save writes; unpack it, or export the module with torch.onnx.export"),
    "a pickle": (lambda good: b"\x80\x02}q\x00.", "export the module with torch.onnx.export"),
    "gzip": (gzip.compress, "is packed with gzip; unpack it first"),
    "keras": (lambda good: b"\x89HDF\r\n\x1a\n" + bytes(64), "convert it with tf2onnx"),
    "lite": (lambda good: b"\x1c\x00\x00\x00TFL3" + bytes(64), "is a TensorFlow Lite model; convert it"),
}


@pytest.mark.parametrize("kind", FILES)
def test_files_of_other_kinds(kind, net, tmp_path, capsys):
    """Through the command, as a user meets it: exit status 1, one line, no file written."""
    make, said = FILES[kind]
    path = tmp_path / "net.onnx"
    path.write_bytes(make(small(net)))
    assert cli.run(["import", str(path), "-o", str(tmp_path / "out.rtv"), "--rate", "16000"]) == 1
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "net.onnx: " in told and said in told
    assert not (tmp_path / "out.rtv").exists()


@pytest.mark.parametrize("suffix", [".nam", ".json"])
@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is empty; fetch"),
        (b'{"architecture": "Wav', "is no JSON, or was cut"),
        (b"version https://git-lfs.github.com/spec/v1\n", "run git lfs pull"),
        (b"<html>404</html>", "is a web page"),
        (b"[1, 2]", "not a JSON object, so it is no model; export it again"),
        (b'{"samplerate": "48k", "sample_rate": "48k"}', "is '48k'; it must be a"),
    ],
)
def test_files_that_should_be_json(data, said, suffix, tmp_path, capsys):
    path = tmp_path / f"amp{suffix}"
    path.write_bytes(data)
    assert cli.run(["import", str(path), "-o", str(tmp_path / "out.rtv")]) == 1
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and f"amp{suffix}: " in told and said in told


@pytest.mark.parametrize("what", ["missing", "cut", "outside"])
def test_weights_in_another_file(what, net, refused, tmp_path):
    path, weights = tmp_path / "net.onnx", tmp_path / "net.data"
    proto = onnx.load_from_string(small(net))
    onnx.save(proto, path, save_as_external_data=True, location=weights.name, size_threshold=0)
    if what == "missing":
        weights.unlink()
    elif what == "cut":
        weights.write_bytes(weights.read_bytes()[:20])
    else:
        proto = onnx.load(path, load_external_data=False)
        for entry in proto.graph.initializer[0].external_data:
            if entry.key == "location":
                entry.value = "../" + weights.name
        (tmp_path / "inner").mkdir()
        path = tmp_path / "inner" / "net.onnx"
        path.write_bytes(proto.SerializeToString())
    said = {
        "missing": "keeps its weights in 'net.data', which is not beside it; put it there",
        "cut": "'net.data', which has 20; it was cut",
        "outside": "save the model with its weights inside",
    }[what]
    message = refused(path)
    assert message.startswith("net.onnx: ") and said in message


def damaged(net, change):
    proto = onnx.load_from_string(small(net))
    change(proto.graph)
    return proto.SerializeToString()


def disorder(graph):
    graph.node.insert(0, graph.node.pop())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda graph: graph.input.pop(), "export the network with the audio as an input"),
        (lambda graph: graph.output.pop(), "has no output that depends on its input; export it again"),
        (disorder, "which nothing before it makes; the file is damaged, export it again"),
    ],
    ids=["no input", "no output", "disorder"],
)
def test_graphs_without_an_end(change, said, net, refused):
    assert said in refused(damaged(net, change))


@pytest.mark.parametrize("op", ["Conv", "ConvTranspose"])
def test_a_kernel_that_is_not_its_weights(op, net, refused):
    y = net(op, net.x, net.random(1, 1, 3), kernel_shape=[5], name="odd")
    assert f"{op} 'odd': has kernel_shape=[5], but a weight of [3]; the file is damaged" in refused(net.model(y))


@pytest.mark.parametrize(
    ("op", "inputs", "said"),
    [("Add", 1, "input 'B'"), ("MatMul", 1, "input 'B'"), ("AveragePool", 1, "attribute 'kernel_shape'"),
     ("Concat", 2, "attribute 'axis'"), ("Einsum", 2, "attribute 'equation'"), ("Where", 2, "input 'Y'"),
     ("Conv", 1, "input 'W'"), ("GRU", 2, "input 'R'"), ("Max", 0, "input 'data_0'")],
)  # fmt: skip
def test_what_a_node_lacks_is_named_as_the_standard_names_it(op, inputs, said, make_net, refused):
    net = make_net()
    wide = net.wide()
    y = net(op, *([wide] * inputs or ["", wide]), name="block.odd")
    message = refused(net.model(net.narrow(net("Add", wide, y))))
    assert (
        f"{op} 'block.odd': has no {said}, which the standard asks for; the file is damaged, export it again" in message
    )


@pytest.mark.parametrize("length", [2**26, 2**62])
def test_a_recording_too_long_to_run(length, make_net, refused):
    net = make_net(shape=(1, 1, length))
    message = refused(net.model(net("Tanh", net.x)))
    assert f"fixed to {length} samples" in message and "free time axis, or a shorter example" in message


def test_a_text_is_told_from_a_model(make_net, imported):
    """Few bytes of a small model are no letters; it is not taken for a text."""
    from rtvoice.export.kinds import as_text, what_else

    for seed in range(20):
        net = make_net(shape=("T",))
        net.rng = np.random.default_rng(seed)
        model = net.model(net("Tanh", net.x))
        assert what_else(model) == as_text(model) == ""
    imported(model)
