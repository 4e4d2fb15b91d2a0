"""RTNeural's JSON: layers in Keras's and PyTorch's conventions, and an error for what RTNeural would load wrongly."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rtvoice
from rtvoice.check import check
from rtvoice.errors import ModelError
from rtvoice.export import import_with_report
from rtvoice.export.rtneural.definition import evaluate_keras, evaluate_torch

RATE = 48_000
Rng = np.random.Generator
SIGNAL = np.asarray(np.random.default_rng(3).normal(size=400) * 0.5, np.float32)


def numbers(rng: Rng, *shape: int, scale: float = 0.6) -> Any:
    return np.round(rng.normal(size=shape) * scale, 6).tolist()


def positive(rng: Rng, *shape: int) -> Any:
    return np.round(0.5 + np.abs(rng.normal(size=shape)), 6).tolist()


class Keras:
    """Writes a file layer by layer, as RTNeural's script saves a Keras model."""

    def __init__(self, rng: Rng, inputs: int = 1) -> None:
        self.rng, self.size, self.layers = rng, inputs, []
        self.document: dict[str, Any] = {"in_shape": [None, None, inputs], "layers": self.layers}

    def add(self, kind: str, size: int, weights: list[Any], activation: str = "", **more: Any) -> Keras:
        self.size = size
        self.layers.append(
            {"type": kind, "activation": activation, "shape": [None, None, size], "weights": weights, **more}
        )
        return self

    def dense(self, size: int, activation: str = "", bias: bool = True, kind: str = "dense") -> Keras:
        weights = [numbers(self.rng, self.size, size)] + ([numbers(self.rng, size)] if bias else [])
        return self.add(kind, size, weights, activation)

    def conv1d(self, size: int, taps: int, dilation: int = 1, groups: int = 1, activation: str = "") -> Keras:
        weights = [numbers(self.rng, taps, self.size // groups, size), numbers(self.rng, size)]
        return self.add("conv1d", size, weights, activation, kernel_size=[taps], dilation=[dilation], groups=groups)

    def gru(self, size: int) -> Keras:
        shapes = ((self.size, 3 * size), (size, 3 * size), (2, 3 * size))
        return self.add("gru", size, [numbers(self.rng, *shape) for shape in shapes], "tanh")

    def lstm(self, size: int) -> Keras:
        shapes = ((self.size, 4 * size), (size, 4 * size), (4 * size,))
        return self.add("lstm", size, [numbers(self.rng, *shape) for shape in shapes], "tanh")

    def prelu(self, slopes: int) -> Keras:
        return self.add("prelu", self.size, [numbers(self.rng, 1, slopes)])

    def batchnorm(self, affine: bool = True) -> Keras:
        weights = [numbers(self.rng, self.size) for _ in range(3 if affine else 1)]
        return self.add("batchnorm", self.size, [*weights, positive(self.rng, self.size)], epsilon=0.01)

    def active(self, activation: str) -> Keras:
        return self.add("activation", self.size, [], activation)

    def conv2d(
        self, filters: tuple[int, int], taps: int, width: int, stride: int, padding: str, dilation: int = 1
    ) -> Keras:
        came, made = filters
        features = self.size // came
        count = -(-features // stride) if padding == "same" else -(-(features - width + 1) // stride)
        weights = [numbers(self.rng, taps, width, came, made), numbers(self.rng, made)]
        self.add(
            "conv2d", count * made, weights, kernel_size_time=taps, kernel_size_feature=width, dilation=dilation,
            strides=stride, num_filters_in=came, num_features_in=features, num_filters_out=made, padding=padding,
        )  # fmt: skip
        self.layers[-1]["shape"] = [None, 40, count, made]
        return self

    def batchnorm2d(self, filters: int, affine: bool) -> Keras:
        weights = [numbers(self.rng, filters) for _ in range(3 if affine else 1)]
        more = {"epsilon": 0.01, "num_filters_in": filters, "num_features_in": self.size // filters}
        return self.add("batchnorm2d", self.size, [*weights, positive(self.rng, filters)], **more)


def bring(document: dict[str, Any], **options: Any) -> tuple[rtvoice.Model, Any]:
    options.setdefault("sample_rate", RATE)
    return import_with_report(json.dumps(document).encode(), verify=False, **options)


def agrees(model: rtvoice.Model, expected: np.ndarray) -> None:
    peak = np.abs(expected).max()
    assert peak > 1e-4 and model.latency == 0
    outputs = []
    for block in (100, 1, 61):
        engine = rtvoice.Engine(model, model.sample_rate, max_frame=512)
        outputs.append(np.concatenate([engine.process(SIGNAL[at : at + block]) for at in range(0, len(SIGNAL), block)]))
    np.testing.assert_allclose(outputs[0], expected, rtol=0, atol=1e-5 * peak)
    assert np.array_equal(outputs[0], outputs[1]) and np.array_equal(outputs[0], outputs[2])


BUILDS: dict[str, Callable[[Keras], Keras]] = {
    "dense": lambda k: k.dense(5, "tanh").dense(1),
    "dense_without_bias": lambda k: k.dense(5, bias=False).dense(1, bias=False),
    "time_distributed_dense": lambda k: k.dense(5, "sigmoid", kind="time-distributed-dense").dense(1),
    "every_activation": lambda k: (
        k.dense(6, "relu").dense(6, "elu").dense(6, "softmax").active("tanh").dense(1, "sigmoid")
    ),
    "conv1d": lambda k: k.conv1d(4, 3, activation="tanh").conv1d(6, 2, 5).conv1d(4, 1).dense(1),
    "conv1d_groups": lambda k: k.dense(6).conv1d(4, 3, 2, groups=2, activation="relu").conv1d(4, 2, groups=4).dense(1),
    "gru": lambda k: k.dense(4, "tanh").gru(5).dense(1),
    "lstm": lambda k: k.lstm(5).lstm(3).dense(1),
    "prelu": lambda k: k.dense(4).prelu(4).dense(3).prelu(1).dense(1),
    "batchnorm": lambda k: k.dense(4).batchnorm().dense(3).batchnorm(affine=False).dense(1),
    "conv2d_valid": lambda k: (
        k.dense(14).conv2d((2, 3), 3, 3, 2, "valid", 2).batchnorm2d(3, True).active("relu").dense(1)
    ),
    "conv2d_same": lambda k: k.dense(10).conv2d((1, 2), 2, 3, 3, "same").conv2d((2, 1), 1, 2, 1, "same").dense(1),
    "conv2d_norm": lambda k: k.dense(12).conv2d((3, 2), 2, 4, 1, "same").batchnorm2d(2, False).dense(1),
}


@pytest.mark.parametrize("name", BUILDS)
def test_every_keras_layer(name: str) -> None:
    document = BUILDS[name](Keras(np.random.default_rng(len(name)))).document
    agrees(bring(document)[0], evaluate_keras(document, SIGNAL[:, None].astype(np.float64))[:, 0])


def test_gates_by_hand() -> None:
    """The oracle's own gates, against numbers worked out one by one: Keras has update, reset, candidate."""
    k = Keras(np.random.default_rng(5)).gru(1)
    kernel, recurrent, bias = (np.asarray(part) for part in k.layers[0]["weights"])
    h, out = 0.0, []
    for x in SIGNAL[:20].astype(np.float64):
        z, r = (1 / (1 + np.exp(-(kernel[0, g] * x + bias[0, g] + recurrent[0, g] * h + bias[1, g]))) for g in (0, 1))
        c = np.tanh(kernel[0, 2] * x + bias[0, 2] + r * (recurrent[0, 2] * h + bias[1, 2]))
        h = z * h + (1 - z) * c
        out.append(h)
    np.testing.assert_allclose(evaluate_keras(k.document, SIGNAL[:20, None].astype(np.float64))[:, 0], out, rtol=1e-6)


def test_the_whole_command_of_a_mixed_model_passes_the_gate(tmp_path: Path) -> None:
    document = Keras(np.random.default_rng(8)).dense(4, "tanh").conv1d(4, 3, 2).gru(4).dense(1).document
    document["samplerate"] = "44100"
    path = tmp_path / "amp.json"
    path.write_text(json.dumps(document))
    model, report = import_with_report(path, weights="fp16")
    assert model.sample_rate == 44_100 and model.name == "amp"
    assert report.parity["passed"] and any("dB SNR" in note for note in report.notes)
    model.save(tmp_path / "amp.rtv")
    assert check(tmp_path / "amp.rtv", path).passed


def test_a_rate_is_needed_where_the_file_does_not_tell_one() -> None:
    document = Keras(np.random.default_rng(1)).dense(1).document
    with pytest.raises(ValueError, match="sample_rate is needed"):
        bring(document, sample_rate=None)
    with pytest.raises(ModelError, match="of 44100 Hz, not 48000"):
        bring({**document, "samplerate": 44_100})


def test_the_input_is_added_and_the_gain_applied_where_the_file_says_so() -> None:
    document = {
        **Keras(np.random.default_rng(1)).lstm(4).dense(1).document,
        "in_skip": 1,
        "out_gain": -6.0,
        "in_gain": 3.0,
    }
    model, report = bring(document)
    louder = SIGNAL.astype(np.float64) * 10 ** (3 / 20)
    plain = evaluate_keras(document, louder[:, None])[:, 0]
    agrees(model, (plain + louder) * 10 ** (-6 / 20))
    assert any("in_gain of 3 dB is applied" in note for note in report.notes)
    with pytest.raises(ModelError, match="'in_gain': is 900 dB"):
        bring({**document, "in_gain": 900})


def test_the_rate_is_read_where_amp_models_tell_it() -> None:
    document = {**Keras(np.random.default_rng(1)).dense(1).document, "samplerate": 44_100}
    assert bring(document, sample_rate=None)[0].sample_rate == 44_100
    assert bring({**document, "metadata": {"samplerate": 96_000}}, sample_rate=None)[0].sample_rate == 96_000
    assert bring({**document, "metadata": {"samplerate": None}}, sample_rate=None)[0].sample_rate == 44_100


def test_inputs_behind_the_audio_are_set_by_the_host() -> None:
    document = Keras(np.random.default_rng(2), 3).dense(4, "tanh").gru(3).dense(1).document
    ranges = {"drive": {"min": -1.0, "max": 1.0, "default": [0.25]}, "tone": {"default": [0.5]}}
    model, _ = bring(document, parameters=ranges)
    x = np.stack([SIGNAL, np.full_like(SIGNAL, 0.25), np.full_like(SIGNAL, 0.5)], axis=1).astype(np.float64)
    agrees(model, evaluate_keras(document, x)[:, 0])
    assert [item["name"] for item in model.metadata["parameters"]] == ["drive", "tone"]


def test_several_outputs_are_a_value() -> None:
    model, report = bring(Keras(np.random.default_rng(2)).dense(4, "softmax").document)
    engine = rtvoice.Engine(model, RATE)
    engine.process(SIGNAL[:64])
    assert abs(float(np.sum(engine.outputs["output"])) - 1.0) < 1e-6
    assert any("4 channels" in note for note in report.notes)


# ---- PyTorch ---------------------------------------------------------------------------------------------------------


def torch_weights(modules: dict[str, Any]) -> dict[str, Any]:
    return {
        f"{name}.{key}": value.tolist()
        for name, module in modules.items()
        for key, value in module.state_dict().items()
    }


@pytest.mark.torch
def test_state_dicts_against_torch_itself() -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(4)
    nn = torch.nn
    modules = {
        "first": nn.Conv1d(1, 4, 3),
        "grouped": nn.Conv1d(4, 6, 2, dilation=3, groups=2, bias=False),
        "norm": nn.BatchNorm1d(6),
        "slopes": nn.PReLU(6),
        "gru": nn.GRU(6, 5, num_layers=2, batch_first=True),
        "lstm": nn.LSTM(5, 4, batch_first=True),
        "dense": nn.Linear(4, 1),
    }
    with torch.no_grad():
        modules["norm"].running_mean.normal_()
        modules["norm"].running_var.uniform_(0.5, 2.0)
    layers = ["first", "tanh", "grouped:dilation=3:groups=2", "norm", "slopes", "gru", "lstm", "elu", "dense"]
    weights = torch_weights(modules)
    with torch.no_grad():
        x = torch.from_numpy(SIGNAL)[None, None]
        x = torch.tanh(modules["first"](nn.functional.pad(x, (2, 0))))
        x = modules["slopes"](modules["norm"].eval()(modules["grouped"](nn.functional.pad(x, (3, 0)))))
        x = modules["lstm"](modules["gru"](x.transpose(1, 2))[0])[0]
        expected = modules["dense"](nn.functional.elu(x))[0, :, 0].numpy()
    model, _ = bring(weights, layers=layers)
    agrees(model, expected)
    own = evaluate_torch(weights, layers, SIGNAL[:, None].astype(np.float64))[:, 0]
    np.testing.assert_allclose(own, expected, atol=2e-6)


@pytest.mark.torch
def test_a_batch_norm_without_scale_and_shift() -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(6)
    nn = torch.nn
    modules = {"in": nn.Linear(1, 4), "norm": nn.BatchNorm1d(4, affine=False).eval(), "out": nn.Linear(4, 1)}
    with torch.no_grad():
        modules["norm"].running_mean.normal_()
        modules["norm"].running_var.uniform_(0.5, 2.0)
        expected = modules["out"](modules["norm"](modules["in"](torch.from_numpy(SIGNAL)[:, None])))[:, 0].numpy()
    layers, weights = ["in", "norm", "out"], torch_weights(modules)
    agrees(bring(weights, layers=layers)[0], expected)
    own = evaluate_torch(weights, layers, SIGNAL[:, None].astype(np.float64))[:, 0]
    np.testing.assert_allclose(own, expected, atol=2e-6)


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ({"a.weight_g": [[1.0]], "a.weight_v": [[1.0]]}, "has weight norm, which RTNeural does not know; remove it"),
        (
            {"a.parametrizations.weight.original0": [[1.0]], "a.parametrizations.weight.original1": [[1.0]]},
            "remove_parametrizations",
        ),
        ({"a.weight": [1.0], "a.bias": [0.0]}, "as LayerNorm and GroupNorm do, which RTNeural does not have; train"),
    ],
)
def test_modules_that_rtneural_does_not_have(weights: dict[str, Any], said: str) -> None:
    with pytest.raises(ModelError, match=said):
        bring(weights, layers=["a"])


@pytest.mark.torch
def test_a_transposed_convolution_of_stride_one() -> None:
    """RTNeural's loader takes it as the causal convolution that it is; the file does not tell the two apart."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(5)
    nn = torch.nn
    modules = {"up": nn.ConvTranspose1d(1, 4, 3), "wide": nn.ConvTranspose1d(4, 6, 2, dilation=3, groups=2, bias=False)}
    modules["last"] = nn.Conv1d(6, 1, 1)
    layers = ["up:transposed=1", "tanh", "wide:transposed=1:dilation=3:groups=2", "last"]
    with torch.no_grad():
        x = torch.tanh(modules["up"](torch.from_numpy(SIGNAL)[None, None])[..., : len(SIGNAL)])
        expected = modules["last"](modules["wide"](x)[..., : len(SIGNAL)])[0, 0].numpy()
    weights = torch_weights(modules)
    agrees(bring(weights, layers=layers)[0], expected)
    own = evaluate_torch(weights, layers, SIGNAL[:, None].astype(np.float64))[:, 0]
    np.testing.assert_allclose(own, expected, atol=2e-6)
    for wrong, reason in (("last:transposed=2", "transposed is 1 for"), ("up:stride=2", "holds each frame")):
        with pytest.raises(ModelError, match=reason):
            bring(weights, layers=[*layers[:3], wrong] if "last" in wrong else [wrong])


def amp(unit: str, skip: int) -> dict[str, Any]:
    rng = np.random.default_rng(6)
    gates = {"LSTM": 4, "GRU": 3}[unit]
    names = {"weight_ih": (4 * gates, 1), "weight_hh": (4 * gates, 4), "bias_ih": (4 * gates,), "bias_hh": (4 * gates,)}
    weights = {f"rec.{key}_l0": numbers(rng, *shape) for key, shape in names.items()}
    weights |= {"lin.weight": numbers(rng, 1, 4), "lin.bias": numbers(rng, 1)}
    data = {"model": "SimpleRNN", "unit_type": unit, "input_size": 1, "hidden_size": 4, "output_size": 1, "skip": skip}
    return {"model_data": data, "state_dict": weights}


@pytest.mark.parametrize(("unit", "skip"), [("LSTM", 1), ("GRU", 0)])
def test_amp_models_tell_their_layers(unit: str, skip: int) -> None:
    document = amp(unit, skip)
    expected = evaluate_torch(document["state_dict"], ["rec", "lin"], SIGNAL[:, None].astype(np.float64))[:, 0]
    agrees(bring(document)[0], expected + skip * SIGNAL)


def edited(document: dict[str, Any], **changes: Any) -> dict[str, Any]:
    made = copy.deepcopy(document)
    made["model_data"].update(changes)
    return made


@pytest.mark.parametrize(
    ("document", "layers", "reason"),
    [
        (amp("LSTM", 0)["state_dict"], None, "neither their order nor the activations"),
        ({"a.weight": [[1.0]] * 3, "b.weight": [[1.0] * 4]}, ["a", "b"], "reads 4 channels, but 3 come in"),
        ({"a.weight": [[1.0] * 20]}, ["a"], "20 values a frame"),
        (amp("LSTM", 0)["state_dict"], ["rec", "swish", "lin"], "no 'swish.weight'"),
        (amp("LSTM", 0)["state_dict"], ["rec"], "'lin.bias', which no layer of rec takes"),
        (amp("LSTM", 0)["state_dict"], ["rec:speed=2", "lin"], "option 'speed=2' is not known"),
        ({"a.weight": [[[1.0]]]}, ["a:dilation=1.5"], "'dilation=1.5' is no whole number; write it as in dilation=4"),
        ({"a.weight_ih_l0": [[1.0]], "a.weight_hh_l0": [[1.0]]}, ["a"], "an LSTM 4; train with one of them"),
        (edited(amp("LSTM", 0), unit_type="GRU"), None, "the weights are of lstm"),
        (edited(amp("LSTM", 0), hidden_size=5), None, "hidden_size is 5, the weights have 4"),
        (edited(amp("LSTM", 0), skip=2), None, "only 0 and 1"),
    ],
)
def test_what_a_state_dict_does_not_say_is_asked_for(document: dict[str, Any], layers: Any, reason: str) -> None:
    with pytest.raises(ModelError) as error:
        bring(document, layers=layers)
    assert reason in str(error.value)


# ---- What RTNeural takes without a word -----------------------------------------------------------------------------


def keras(build: str = "conv1d") -> dict[str, Any]:
    return BUILDS[build](Keras(np.random.default_rng(1))).document


def spoilt(build: str, index: int, **changes: Any) -> dict[str, Any]:
    document = keras(build)
    document["layers"][index].update(changes)
    return document


def cut(build: str, index: int, keep: int) -> dict[str, Any]:
    document = keras(build)
    document["layers"][index]["weights"] = document["layers"][index]["weights"][:keep]
    return document


def reshaped(build: str, index: int, part: int, *shape: int) -> dict[str, Any]:
    document = keras(build)
    document["layers"][index]["weights"][part] = np.zeros(shape).tolist()
    return document


@pytest.mark.parametrize(
    ("document", "place", "reason"),
    [
        (spoilt("dense", 0, activation="gelu"), "layer 0 (dense)", "activation 'gelu' is not among"),
        (spoilt("gru", 1, activation="relu"), "layer 1 (gru)", "for which RTNeural puts tanh"),
        (spoilt("gru", 1, recurrent_activation="hard_sigmoid"), "layer 1 (gru)", "for which RTNeural puts sigmoid"),
        (spoilt("conv1d", 0, type="unknown"), "layer 0 (unknown)", "RTNeural skips in silence"),
        (spoilt("conv1d", 0, strides=[2]), "layer 0 (conv1d)", "does not read"),
        (spoilt("conv1d", 0, padding="same"), "layer 0 (conv1d)", "pads causally"),
        (spoilt("conv1d", 0, kernel_size=[4]), "layer 0 (conv1d)", "the kernel has shape [3, 1, 4]"),
        (spoilt("conv1d_groups", 1, groups=4), "layer 1 (conv1d)", "groups=4 does not divide its 6 input channels"),
        (spoilt("conv1d", 0, go_backwards=True), "layer 0 (conv1d)", "'go_backwards', which this importer"),
        (spoilt("lstm", 0, shape=[None, None, 4]), "layer 0 (lstm)", "the kernel has shape [1, 20]"),
        (spoilt("prelu", 1, activation="tanh"), "layer 1 (prelu)", "does not read here"),
        (spoilt("every_activation", 3, activation=""), "layer 3 (activation)", "RTNeural leaves it out"),
        (spoilt("every_activation", 3, shape=[None, None, 5]), "layer 3 (activation)", "says 5 channels, 6 come in"),
        (spoilt("conv2d_valid", 1, num_features_in=5), "layer 1 (conv2d)", "5 features of 2 filters"),
        (spoilt("conv2d_valid", 1, padding="causal"), "layer 1 (conv2d)", "'valid' and 'same'"),
        (spoilt("conv2d_valid", 1, shape=[None, 40, 4, 3]), "layer 1 (conv2d)", "'shape' says 12 channels"),
        (cut("conv1d", 0, 1), "layer 0 (conv1d)", "the bias is missing"),
        (cut("gru", 1, 2), "layer 1 (gru)", "the bias is missing"),
        (cut("lstm", 0, 2), "layer 0 (lstm)", "the bias is missing"),
        (cut("dense", 0, 0), "layer 0 (dense)", "the kernel is missing"),
        (cut("batchnorm", 1, 3), "layer 1 (batchnorm)", "3 arrays"),
        (reshaped("dense", 0, 0, 5, 1), "layer 0 (dense)", "the kernel has shape [5, 1]"),
        (reshaped("dense", 0, 1, 4), "layer 0 (dense)", "the bias has shape [4]"),
        (reshaped("gru", 1, 2, 15), "layer 1 (gru)", "train it with reset_after=True"),
        (reshaped("gru", 1, 2, 3, 15), "layer 1 (gru)", "the bias has shape [3, 15]"),
        (spoilt("conv1d", 0, type="Dropout"), "layer 0 (Dropout)", "remove the layer if it does nothing"),
        (spoilt("conv2d_valid", 1, activation="softmax"), "layer 1 (conv2d)", "over the 3 filters of each feature"),
        (reshaped("prelu", 1, 0, 1, 3), "layer 1 (prelu)", "the slopes have shape [1, 3]"),
        (spoilt("batchnorm", 1, epsilon=-9.0), "layer 1 (batchnorm)", "not above 0"),
        ({**keras(), "in_shape": [None, 50, 23, 1]}, "'in_shape'", "23 values a frame"),
        ({**keras(), "in_skip": 2}, "'in_skip'", "only 0 and 1"),
        ({"layers": []}, "the file", "'in_shape' is missing"),
        ({"in_shape": [None, None, 1], "layers": []}, "the file", "with something in it"),
    ],
)  # fmt: skip
def test_refusals_name_the_layer_and_the_reason(document: dict[str, Any], place: str, reason: str) -> None:
    with pytest.raises(ModelError) as error:
        bring(document)
    message = str(error.value)
    assert place in message and reason in message and "\n" not in message


def test_ragged_weights_and_numbers_that_are_not_finite() -> None:
    document = keras("dense")
    document["layers"][0]["weights"][0] = [[1.0, 2.0], [3.0]]
    with pytest.raises(ModelError, match="no array of numbers"):
        bring(document)
    document["layers"][0]["weights"][0] = [[1.0, 2.0, 3.0, 4.0, float("inf")]]
    with pytest.raises(ModelError, match="not finite"):
        bring(document)
