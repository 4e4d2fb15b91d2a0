"""The gate itself: it lets through what is equal, and stops what is not."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

import rtvoice
from rtvoice import parity
from rtvoice.check import check
from rtvoice.export import import_model, import_with_report
from rtvoice.export.onnx.importer import import_onnx
from rtvoice.graph_reader import parse_graph


@pytest.fixture
def strided(net):
    """A network with a stride, a GRU and lookahead."""
    low = net("Tanh", net.conv(net.x, 1, 6, 8, strides=[4], pads=[4, 4]))
    x = net("Transpose", low, perm=[2, 0, 1])
    weights = net.random(1, 15, 6), net.random(1, 15, 5), net.random(1, 30)
    y = net("Squeeze", net("GRU", x, *weights, hidden_size=5, linear_before_reset=1), net.ints(1))
    y = net("Transpose", y, perm=[1, 2, 0])
    return net.model(net("ConvTranspose", y, net.random(5, 1, 8), strides=[4], pads=[2, 2]))


def tampered(imported, role, change):
    """Change one weight behind the importer's back."""
    node = next(node for node in imported.builder._nodes if role in node.weights)
    node.weights[role] = change(node.weights[role])
    return imported.builder.model(), node.name


def test_report_names_every_cutting(strided, imported):
    names = [run["name"] for run in imported(strided).parity["runs"]]
    for part in ("whole", "one by one", "of 7", "of 61", "random", "reset"):
        assert any(part in name for name in names)


@pytest.mark.parametrize(
    "change",
    [lambda w: w * np.float32(1.0002), lambda w: w[..., ::-1].copy(), lambda w: np.roll(w, 1, 0)],
    ids=["scaled by 2e-4", "taps reversed", "channels rotated"],
)
def test_a_wrong_weight_is_found(change, strided):
    model, name = tampered(import_onnx(strided), "weight", change)
    report = check(model, import_onnx(strided))
    assert not report.passed
    assert report.culprit == name
    assert "whose weight is not its source's" in report.text()
    assert f"parts from what its source gives today at '{report.culprit}' first" in report.text()


def test_another_operation_is_found_and_named(strided):
    model = import_model(strided, sample_rate=16_000)
    data = model._bytes()
    assert data.count(b"tanh") > 0
    data = re.sub(rb'(op\\": ?\\")tanh', rb"\1silu", data)
    report = check(rtvoice.Model.from_bytes(data), import_onnx(strided))
    assert not report.passed
    assert next(layer.op for layer in report.layers if not layer.passed) == "silu, in its source tanh"


def test_a_wrong_import_is_found_at_the_node_of_its_source(strided, monkeypatch):
    """The file is what the import gives, so only the source's own tensors tell: here every tanh becomes a sigmoid."""
    from rtvoice.export.onnx import write

    real = write._row
    monkeypatch.setattr(write, "_row", lambda node: ("sigmoid", {}) if node.op == "tanh" else real(node))
    imported = import_onnx(strided)
    report = check(imported.builder.model(), imported)
    assert not report.passed
    assert [layer.op for layer in report.layers if layer.passed] == ["Conv"]
    assert next(layer.op for layer in report.layers if not layer.passed) == "Tanh"
    assert "the import parts from its source" in report.text()


def test_a_source_with_other_outputs_is_told_as_one(strided):
    report = check("whisper", import_onnx(strided))
    assert not report.passed
    assert "FAILED, nothing could be compared" in report.text()


def test_a_wrong_order_of_gates_is_found(strided):
    imported = import_onnx(strided)
    model, _ = tampered(imported, "weight_ih", lambda w: np.roll(w, 5, 0))
    assert not check(model, imported).passed


def test_a_refused_import_says_how_far_off(strided, monkeypatch):
    from rtvoice.export.onnx import recurrent

    monkeypatch.setattr(recurrent, "_gates", lambda array, order: array)
    with pytest.raises(rtvoice.ModelError, match="differs from what the source computes"):
        import_model(strided, sample_rate=16_000)


def test_engine_that_parts_from_the_reference_is_located(strided, monkeypatch):
    """The node is named at which the engine and float64 part: here the reference is bent."""
    real = parity.evaluate

    def bent(graph, signal, *rest, **options):
        tensors = real(graph, signal, *rest, **options)
        gru = next(node.name for node in graph.nodes if node.op == "gru")
        tensors[gru] = tensors[gru] * 1.01
        tensors[graph.outputs[0].tensor] = tensors[graph.outputs[0].tensor] * 1.01
        return tensors

    monkeypatch.setattr(parity, "evaluate", bent)
    report = check(import_model(strided, sample_rate=16_000, verify=False))
    assert not report.passed
    assert next(layer.op for layer in report.layers if layer.name == report.culprit) == "gru"


def test_check_against_the_file(strided, tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(strided)
    model = import_model(path, sample_rate=16_000)
    model.save(tmp_path / "net.rtv")
    report = check(tmp_path / "net.rtv", path)
    assert report.passed and report.error < 1e-5 and "net.onnx" in report.against
    assert json.loads(json.dumps(report.to_json()))["passed"] is True
    assert "passed" in report.text()


def test_check_against_the_reference_with_layers(strided):
    report = check(import_model(strided, sample_rate=16_000), layers=True)
    assert report.passed
    assert [layer.op for layer in report.layers] == ["conv1d", "tanh", "gru", "conv_transpose1d"]
    assert all(layer.passed for layer in report.layers) and not report.culprit


def test_check_of_another_model_fails(strided, make_net, tmp_path):
    other = make_net()
    model = import_model(other.model(other("Tanh", other.x)), sample_rate=16_000)
    path = tmp_path / "net.onnx"
    path.write_bytes(strided)
    assert not check(model, path).passed


def test_check_at_any_rate_of_the_model(strided):
    assert check(import_model(strided, sample_rate=4_000)).passed


def test_weights_keep_every_bit(net):
    model = import_model(net.model(net.narrow(net("Tanh", net.wide()))), sample_rate=16_000)
    stored = [array for node in parse_graph(model._bytes()).nodes for array in node.weights.values()]
    given = [np.frombuffer(item.raw_data, np.float32) for item in net.initializers]
    assert sorted(a.tobytes() for a in stored) == sorted(a.tobytes() for a in given)


def test_float16_models_keep_their_weights_and_run_in_float32(make_net, imported):
    net = make_net(dtype=np.float16)
    x = net("Transpose", net.wide(), perm=[2, 0, 1])
    y = net(
        "GRU", x, net.random(1, 15, 6), net.random(1, 15, 5), net.random(1, 30), hidden_size=5, linear_before_reset=1
    )
    y = net("Transpose", net("Squeeze", y, net.ints(1)), perm=[1, 2, 0])
    model = net.model(net.narrow(y, 5))
    imported(model)
    graph = import_onnx(model).builder.graph()
    assert {array.dtype for node in graph.nodes for array in node.weights.values()} == {np.dtype(np.float16)}


def test_float16_weights_keep_their_type_when_channels_move(make_net, imported):
    net = make_net(dtype=np.float16)
    y = net("Reshape", net.wide(), net.ints(1, 2, 3, -1))
    y = net("Reshape", net("Transpose", y, perm=[0, 2, 1, 3]), net.ints(1, 6, -1))
    model = net.model(net.narrow(y))
    imported(model)
    graph = import_onnx(model).builder.graph()
    assert {array.dtype for node in graph.nodes for array in node.weights.values()} == {np.dtype(np.float16)}


def test_names_that_a_model_file_does_not_allow(make_net, imported):
    net = make_net()
    gain = net.input("mix", (1, 1, 1))
    weight = net.array(net.random(1, 1, 3), "\u00e4" * 300 + ".weight")
    net("Mul", net("Conv", net.x, weight, pads=[2, 0]), gain)
    net.nodes[-1].output[0] = "\u00f6ut"
    report = imported(net.model("\u00f6ut"))
    assert report.parameters == ["mix_input"] and list(report.outputs) == ["_ut"]


def test_float16_weights_behind_casts(net, imported):
    weight = net("Cast", net.random(6, 6, 3).astype(np.float16), to=1)
    imported(net.model(net.narrow(net("Conv", net.wide(), weight, pads=[2, 0]))))


def test_double_models(make_net, imported):
    net = make_net(dtype=np.float64)
    imported(net.model(net.narrow(net("Tanh", net.wide()))))


def test_rounding_to_float16_tells_what_it_cost(strided, tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(strided)
    model, report = import_with_report(path, sample_rate=16_000, weights="fp16")
    provenance = model.metadata["provenance"]
    assert provenance["weights"] == "fp16" and 40 < provenance["weights_snr_db"] < 100
    assert any(f"{provenance['weights_snr_db']} dB SNR against the unrounded" in note for note in report.notes)
    assert check(model).passed
    against = check(model, path)
    assert against.passed and any("rounded" in note for note in against.notes)


def test_rounded_weights_are_checked_as_they_are_written(strided, tmp_path):
    """The parity check is of the file: 1e-5 of the source with the same rounded weights, and no more."""
    path = tmp_path / "net.onnx"
    path.write_bytes(strided)
    model, report = import_with_report(path, sample_rate=16_000, weights="fp16")
    assert report.parity["tolerance"] == 1e-5 and report.parity["error"] <= 1e-5
    assert report.parity["against"].startswith("net.onnx by onnxruntime")
    against = check(model, path)
    assert against.tolerance == 1e-5 and against.error <= 1e-5
    # Held against the unrounded weights, the same stream is told apart.
    assert not check(model, import_onnx(path), locate=False).passed


@pytest.mark.parametrize("what", ["batch norm", "weight norm", "gemm", "matmul", "lstm", "transposed"])
def test_rounding_of_every_kind_of_matrix(what, net, imported):
    x = net.wide()
    if what == "batch norm":
        x = net("BatchNormalization", x, net.random(6), net.random(6), net.random(6), abs(net.random(6)) + 1)
    elif what == "weight norm":
        weight = net("Mul", net.random(6, 1, 1), net("Div", net.array(net.random(6, 6, 3), "v"), np.float32(1.37)))
        x = net("Conv", x, weight, pads=[2, 0])
    elif what == "gemm":
        x = net("MatMul", net("Transpose", x, perm=[0, 2, 1]), net.random(6, 6))
        x = net("Transpose", net("Mul", x, np.float32(0.3)), perm=[0, 2, 1])
    elif what == "matmul":
        x = net("MatMul", net.random(6, 6), x)
    elif what == "lstm":
        x = net("Transpose", x, perm=[2, 0, 1])
        x = net("LSTM", x, net.random(1, 24, 6), net.random(1, 24, 6), net.random(1, 48), hidden_size=6)
        x = net("Transpose", net("Squeeze", x, net.ints(1)), perm=[1, 2, 0])
    elif what == "transposed":
        x = net("ConvTranspose", x, net.random(6, 6, 3), group=1, pads=[1, 1])
        x = net("Mul", x, net.random(1, 6, 1))
    model = net.model(net.narrow(x))
    imported(model, weights="fp16")
    builder = import_onnx(model, weights="fp16").builder
    matrices = [array for node in builder.graph().nodes for array in node.weights.values() if array.ndim > 1]
    assert matrices and {array.dtype for array in matrices} == {np.dtype(np.float16)}


def test_numbers_beyond_float16_stay_float32(net, imported):
    loud = net("Conv", net.x, net.random(6, 1, 3) * np.float32(1e6), pads=[2, 0], name="loud")
    report = imported(net.model(net.narrow(net("Mul", loud, np.float32(1e-6)))), weights="fp16")
    assert any("loud" in note and "float32" in note for note in report.notes)


@pytest.fixture
def slow(net):
    """Wide layers at a sixteenth of the rate, and a narrow one at the full rate."""
    low = net("Tanh", net.conv(net.x, 1, 64, 32, strides=[16], pads=[16, 16]))
    low = net("Tanh", net.conv(low, 64, 64, 3, pads=[2, 0]))
    back = net("ConvTranspose", low, net.random(64, 1, 32), strides=[16], pads=[8, 8])
    return net.model(net.narrow(net("Tanh", net.conv(back, 1, 6, 3, pads=[2, 0]))))


def test_auto_rounds_what_few_rows_share(slow, tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(slow)
    model, report = import_with_report(path, sample_rate=16_000, weights="auto", hop=32)
    provenance = model.metadata["provenance"]
    halves, _, matrices = provenance["matrices_in_fp16"].split()
    assert provenance["weights"] == "auto" and int(halves) == 3 < int(matrices)
    assert 40 < provenance["weights_snr_db"] < 100
    assert any(f"{halves} of {matrices} matrices rounded" in note for note in report.notes)
    assert report.parity["tolerance"] == 1e-5 and report.parity["error"] <= 1e-5
    against = check(model, path)
    assert against.passed and any("rounded" in note for note in against.notes)


def test_auto_leaves_what_many_rows_share(slow, tmp_path):
    model, _ = import_with_report(slow, sample_rate=16_000, weights="auto", hop=160)
    assert model.metadata["provenance"]["weights"] == "source"
    assert {array.dtype for node in parse_graph(model._bytes()).nodes for array in node.weights.values()} == {
        np.dtype(np.float32)
    }


def test_auto_leaves_what_a_cache_holds(strided):
    model, _ = import_with_report(strided, sample_rate=16_000, weights="auto")
    assert model.metadata["provenance"]["weights"] == "source"


def test_rounding_of_a_silent_model_tells_no_figure(net, imported):
    report = imported(net.model(net("Conv", net.x, np.zeros((1, 1, 3), np.float32), pads=[2, 0])), weights="fp16")
    assert not any("dB" in note for note in report.notes)


def test_audio_input_chosen_among_several(make_net, tmp_path):
    net = make_net(shape=(1, 960))
    net.input("voice", (1, 1, 960))
    y = net.narrow(net("Tanh", net.conv("voice", 1, 6, 3, pads=[2, 0])))
    path = tmp_path / "net.onnx"
    path.write_bytes(net.model(net("Add", y, net("ReduceMean", net.x, keepdims=0))))
    model = import_model(path, sample_rate=16_000, audio_input="voice")
    assert model.parameters == ["x"]
    assert check(model, path).passed


def test_provenance_without_paths(strided, tmp_path):
    import onnx

    proto = onnx.load_from_string(strided)
    for node in proto.graph.node:
        node.doc_string = "/home/someone/train.py:12"
        entry = node.metadata_props.add()
        entry.key, entry.value = "pkg.torch.onnx.stack_trace", "/home/someone/train.py"
    proto.producer_name = "maker"
    path = tmp_path / "net.onnx"
    path.write_bytes(proto.SerializeToString())
    model = import_model(path, sample_rate=16_000)
    model.save(tmp_path / "net.rtv")
    provenance = model.metadata["provenance"]
    assert provenance["source"] == "net.onnx" and len(provenance["sha256"]) == 64
    assert provenance["producer"] == "maker" and provenance["opset"] == 17
    data = Path(tmp_path / "net.rtv").read_bytes()
    assert b"someone" not in data and str(tmp_path).encode() not in data


def test_report_as_text_and_json(strided, imported):
    report = imported(strided)
    text = report.text()
    assert "latency" in text and "parity" in text and "hop       4" in text
    assert json.loads(json.dumps(report.to_json()))["hop"] == 4


def test_layers_are_named_after_their_modules(make_net):
    net = make_net()
    weight = net.array(net.random(1, 1, 3), "encoder.0.conv.weight")
    graph = import_onnx(net.model(net("Conv", net.x, weight, pads=[2, 0]))).builder.graph()
    assert [node.name for node in graph.nodes] == ["encoder.0.conv"]


def test_without_onnxruntime_one_line_says_so(strided, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    report = import_with_report(strided, sample_rate=16_000)[1]
    assert sum("onnxruntime is not installed" in note for note in report.notes) == 1
    assert report.parity["passed"] and "reference" in report.parity["against"]


def test_without_onnx_one_line_says_so(strided, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(rtvoice.ModelError, match=r"pip install 'rtvoice\[onnx\]'"):
        import_model(strided, sample_rate=16_000)


@pytest.mark.parametrize("name", ["NET.ONNX", "net.Onnx"])
def test_suffix_in_capitals(name, strided, tmp_path):
    path = tmp_path / name
    path.write_bytes(strided)
    assert check(import_model(path, sample_rate=16_000), path, locate=False).passed


def test_a_signal_that_the_source_rounds_is_told(net, make_net, imported):
    rounded = net("Cast", net("Cast", net.wide(), to=10), to=1)
    notes = imported(net.model(net.narrow(net("Tanh", rounded)))).notes
    assert any("rounds a signal to float16" in note for note in notes), notes
    plain = make_net()
    assert not any("float16" in note for note in imported(plain.model(plain.narrow(plain.wide()))).notes)


def test_a_model_that_overflows_float32_far_above_audio_is_not_wrong():
    b = rtvoice.GraphBuilder(name="steep", sample_rate=16000, hop=1)
    x = b.node("affine", b.input(), scale=np.full(1, 1e18, np.float32), name="steep")
    square = b.node("mul", x, x, name="square")  # 1e35 for audio, 1e39 for a hundred times as much
    below = b.node("affine", square, shift=np.ones(1, np.float32), name="below")
    b.output(b.node("div", square, below, name="ratio"))
    report = check(b.model())
    assert report.passed, report.to_json()
    assert any("100 times as loud float32 alone is inf of the peak from float64" in note for note in report.notes)
