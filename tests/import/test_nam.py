"""Neural Amp Modeler's files: what streams is what their own float64 definition computes, from the first sample on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nam_files as nam
import rtvoice
from rtvoice.check import check
from rtvoice.errors import ModelError
from rtvoice.export import import_with_report
from rtvoice.export.nam.activations import KINDS, read_activation, write_activation
from rtvoice.graph import GraphBuilder
from rtvoice.reference import evaluate


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def bring(document: dict[str, Any], **options: Any) -> tuple[rtvoice.Model, Any]:
    """Import without the gate, which takes seconds; the test compares by itself."""
    return import_with_report(json.dumps(document).encode(), verify=False, **options)


def stream(model: rtvoice.Model, signal: np.ndarray, block: int) -> np.ndarray:
    engine = rtvoice.Engine(model, model.sample_rate, max_frame=512)
    return np.concatenate([engine.process(signal[at : at + block]) for at in range(0, len(signal), block)])


def agrees(model: rtvoice.Model, expected: np.ndarray, signal: np.ndarray) -> None:
    peak = np.abs(expected).max()
    assert peak > 1e-4
    assert model.latency == 0
    first = stream(model, signal, 100)
    np.testing.assert_allclose(first, expected, rtol=0, atol=1e-5 * peak)
    for block in (1, 7, 509):
        assert np.array_equal(stream(model, signal, block), first)


SIGNAL = np.asarray(rng(3).normal(size=700) * 0.4, np.float32)


# ---- An oracle of this test's own: sample by sample, with histories, as a player works -------------------------------


class Player:
    """Plays a file one sample after the other, keeping what each convolution still needs."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.flat = iter(np.asarray(document["weights"], np.float32).astype(np.float64))
        self.config, self.kind = document["config"], document["architecture"]
        self.histories: dict[str, list[np.ndarray]] = {}
        self.parts: dict[str, Any] = {}
        getattr(self, f"load_{self.kind.lower()}")()
        assert next(self.flat, None) is None
        self.play = getattr(self, f"play_{self.kind.lower()}")

    def take(self, *shape: int) -> np.ndarray:
        return np.array([next(self.flat) for _ in range(int(np.prod(shape)))]).reshape(shape)

    def run(self, signal: np.ndarray, silence: int) -> np.ndarray:
        return np.array([self.play(float(x)) for x in [0.0] * silence + list(signal)])[silence:]

    def conv(self, name: str, x: np.ndarray, weight: np.ndarray, dilation: int = 1) -> np.ndarray:
        past = self.histories.setdefault(name, [np.zeros_like(x)] * ((weight.shape[2] - 1) * dilation))
        past.append(x)
        out = sum(weight[:, :, k] @ past[k * dilation] for k in range(weight.shape[2]))
        past.pop(0)
        return np.asarray(out)

    def load_lstm(self) -> None:
        c, self.cells = self.config, []
        for n in range(c["num_layers"]):
            size, inputs = c["hidden_size"], 1 if n == 0 else c["hidden_size"]
            self.cells.append(
                [self.take(4 * size, inputs + size), self.take(4 * size), self.take(size), self.take(size)]
            )
        self.head = self.take(1, c["hidden_size"]), self.take(1)

    def play_lstm(self, sample: float) -> float:
        x, size = np.array([sample]), self.config["hidden_size"]
        for cell in self.cells:
            i, f, g, o = (cell[0] @ np.concatenate([x, cell[2]]) + cell[1]).reshape(4, size)
            cell[3] = cell[3] / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
            x = cell[2] = np.tanh(cell[3]) / (1 + np.exp(-o))
        return float((self.head[0] @ x + self.head[1])[0])

    def load_convnet(self) -> None:
        c, self.blocks = self.config, []
        for n in range(len(c["dilations"])):
            weight = self.take(c["channels"], 1 if n == 0 else c["channels"], 2)
            norm = [self.take(c["channels"]) for _ in range(4 if c["batchnorm"] else 1)]
            self.blocks.append((weight, norm, float(self.take(1)[0]) if c["batchnorm"] else 0.0))
        self.head = self.take(1, c["channels"]), self.take(1)

    def play_convnet(self, sample: float) -> float:
        x = np.array([sample])
        for n, (weight, norm, eps) in enumerate(self.blocks):
            x = self.conv(f"{n}", x, weight, self.config["dilations"][n])
            x = (x - norm[0]) / np.sqrt(norm[1] + eps) * norm[2] + norm[3] if len(norm) == 4 else x + norm[0]
            x = np.tanh(x)
        return float((self.head[0] @ x + self.head[1])[0])

    def load_linear(self) -> None:
        self.taps = self.take(self.config["receptive_field"])
        self.bias = float(self.take(1)[0]) if self.config["bias"] else 0.0
        self.past = [0.0] * len(self.taps)

    def play_linear(self, sample: float) -> float:
        self.past = [sample, *self.past[:-1]]
        return float(np.dot(self.taps, self.past)) + self.bias

    def load_wavenet(self) -> None:
        for index, c in enumerate(self.config["layers"]):
            inputs, channels = c["input_size"], c["channels"]
            middle = channels * (2 if c["gated"] else 1)
            self.parts[f"in{index}"] = self.take(channels, inputs)
            for n in range(len(c["dilations"])):
                shapes = ((middle, channels, 3), (middle,), (middle, 1), (channels, channels), (channels,))
                self.parts[f"layer{index}.{n}"] = [self.take(*shape) for shape in shapes]
            matrix = self.take(c["head_size"], channels)
            constant = self.take(c["head_size"]) if c["head_bias"] else np.zeros(c["head_size"])
            self.parts[f"out{index}"] = matrix, constant
        self.scale = float(self.take(1)[0])

    def play_wavenet(self, sample: float) -> float:
        x, given, head = np.array([sample]), np.array([sample]), None
        for index, c in enumerate(self.config["layers"]):
            x = self.parts[f"in{index}"] @ x
            total = np.zeros(c["channels"]) if head is None else head
            for n, dilation in enumerate(c["dilations"]):
                weight, bias, mixin, one, shift = self.parts[f"layer{index}.{n}"]
                z = self.conv(f"{index}.{n}", x, weight, dilation) + bias + mixin @ given
                upper = np.tanh(z[: c["channels"]])
                z = upper / (1 + np.exp(-z[c["channels"] :])) if c["gated"] else upper
                total = total + z
                x = x + one @ z + shift
            matrix, constant = self.parts[f"out{index}"]
            head = matrix @ total + constant
        assert head is not None
        return float(head[0] * self.scale)


@pytest.mark.parametrize(
    ("document", "silence"),
    [
        (nam.a1(rng(1)), 40),
        (nam.a1(rng(2), gated=True), 40),
        (nam.convnet(rng(3)), 20),
        (nam.convnet(rng(4), norm=False), 20),
        (nam.linear(rng(5)), 0),
        (nam.linear(rng(6), 300, bias=False), 0),
    ],
    ids=["a1", "a1_gated", "convnet_norm", "convnet", "linear_bias", "linear"],
)
def test_it_plays_what_a_player_that_works_sample_by_sample_plays(document: dict[str, Any], silence: int) -> None:
    model, _ = bring(document)
    agrees(model, Player(document).run(SIGNAL, silence), SIGNAL)


def floating(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: floating(item) for key, item in value.items()}
    if isinstance(value, list):
        return [floating(item) for item in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


@pytest.mark.parametrize("make", [nam.a1, nam.a2, nam.convnet, nam.linear, nam.lstm])
def test_whole_numbers_may_be_written_as_floats(make: Any) -> None:
    document = make(rng(8))
    written = {**document, "config": floating(document["config"]), "sample_rate": float(nam.RATE)}
    agrees(bring(written)[0], definition(document), SIGNAL)


def test_an_lstm_starts_from_its_own_state_warmed_for_half_a_second() -> None:
    document = nam.lstm(rng(7))
    document["sample_rate"] = 8000
    model, report = bring(document)
    agrees(model, Player(document).run(SIGNAL, 4000), SIGNAL)
    assert report.start == "prewarmed by 4000 samples"
    engine = rtvoice.Engine(model, 8000)
    before = engine.process(SIGNAL[:100]).copy()
    engine.reset()
    assert np.array_equal(engine.process(SIGNAL[:100]), before)


def definition(document: dict[str, Any], follow: str = "core", rate: int = nam.RATE) -> np.ndarray:
    from rtvoice.export.nam.definition import evaluate as offline

    return offline(document, SIGNAL.astype(np.float64), rate=rate, follow=follow)[:, 0]


@pytest.mark.parametrize("activation", nam.ACTIVATIONS, ids=str)
def test_every_activation(activation: Any) -> None:
    document = nam.a1(rng(9), activation)
    agrees(bring(document)[0], definition(document), SIGNAL)


@pytest.mark.parametrize("seed", range(24))
def test_random_options_of_the_second_generation(seed: int) -> None:
    document = nam.a2(rng(seed))
    for follow in ("core", "trainer"):
        agrees(bring(document, follow=follow)[0], definition(document, follow), SIGNAL)


@pytest.mark.parametrize("kind", ["wavenet", "convnet", "lstm"])
def test_a_model_that_computes_the_condition(kind: str) -> None:
    draw = rng(11)
    document = nam.a2(draw, 2, condition_dsp=nam.condition(draw, kind, 2))
    for item in (document, document["config"]["condition_dsp"]):
        item["sample_rate"] = 8000
    agrees(bring(document)[0], definition(document, rate=8000), SIGNAL)


@pytest.mark.parametrize("activation", ["Tanh", {"name": "LeakyReLU", "negative_slope": 0.1}])
def test_a_head_behind_the_layers(activation: Any) -> None:
    layers = nam.a1(rng(1))["config"]["layers"]
    layers[-1]["head_size"] = 3
    head = {"channels": 4, "out_channels": 1, "kernel_sizes": [3, 1, 2], "activation": activation}
    document = nam.wavenet(rng(12), layers, head)
    agrees(bring(document)[0], definition(document), SIGNAL)


def test_fasttanh_is_the_formats_rational_function_not_tanh() -> None:
    builder = GraphBuilder(name="x", sample_rate=8000, hop=1)
    builder.output(write_activation(builder, builder.input(), read_activation("Fasttanh", "here"), "act"))
    x = np.linspace(-4, 4, 101)
    a = np.abs(x)
    by_hand = (
        x * (2.45550750702956 + 2.45550750702956 * a + (0.893229853513558 + 0.821226666969744 * a) * x * x)
        / (2.44506634652299 + (2.44506634652299 + x * x) * np.abs(x + 0.814642734961073 * x * a))
    )  # fmt: skip
    made = evaluate(builder.graph(), x)["act"][:, 0]
    np.testing.assert_allclose(made, by_hand, atol=1e-6)
    assert 1e-4 < np.abs(made - np.tanh(x)).max() < 1e-2


def test_the_player_clips_hardtanh_at_one_and_the_trainer_at_the_files_ends() -> None:
    given = {"type": "Hardtanh", "min_val": -0.05, "max_val": 0.02}
    document = nam.convnet(rng(20), 1, False, given)
    ends = {"core": (-1.0, 1.0), "trainer": (-0.05, 0.02)}
    weights = np.asarray(document["weights"], np.float64)
    for follow, (low, high) in ends.items():
        x = np.concatenate([np.zeros(20), SIGNAL])
        for at, dilation in zip(range(0, 9, 3), (1, 2, 5), strict=True):
            past = np.concatenate([np.zeros(dilation), x[:-dilation]])
            x = np.clip(weights[at] * past + weights[at + 1] * x + weights[at + 2], low, high)
        model, report = bring(document, follow=follow)
        agrees(model, (weights[9] * x + weights[10])[20:], SIGNAL)
        assert any("clips Hardtanh" in note for note in report.notes)


def test_the_first_generations_gate_is_a_sigmoid_whatever_stands_beside_it() -> None:
    document = nam.a1(rng(2), gated=True)
    expected = Player(document).run(SIGNAL, 40)
    for layers in document["config"]["layers"]:
        layers["secondary_activation"] = "ReLU"
    agrees(bring(document)[0], expected, SIGNAL)
    agrees(bring(document)[0], definition(document), SIGNAL)


def test_a_prelu_with_two_kinds_of_slopes_has_the_single_one() -> None:
    both = {"type": "PReLU", "negative_slope": 0.3, "negative_slopes": [0.9] * 6}
    one = nam.convnet(rng(3), activation={"type": "PReLU", "negative_slope": 0.3})
    document = nam.convnet(rng(3), activation=both)
    agrees(bring(document)[0], definition(one), SIGNAL)


def test_a_version_newer_than_what_is_known_is_told() -> None:
    assert any("0.7.3" in note for note in bring({**nam.linear(rng(1)), "version": "0.7.3"})[1].notes)
    assert not any("newer" in note for note in bring(nam.linear(rng(1)))[1].notes)


# ---- Slimmable models ------------------------------------------------------------------------------------------------


def slimmable(seed: int, **more: Any) -> dict[str, Any]:
    layers = nam.a1(rng(seed))["config"]["layers"][:1]
    layers[0] |= {
        "head_size": 1,
        "slimmable": {"method": "slice_channels_uniform", "kwargs": {"allowed_channels": [2, 4, 6]}},
        **more,
    }
    return nam.wavenet(rng(seed), layers)


@pytest.mark.parametrize("mode", ["gated", "blended"])
@pytest.mark.parametrize("film", [None, False, True], ids=["plain", "scale", "shift"])
def test_gated_layers_and_films_are_slimmed_as_the_player_does(mode: str, film: bool | None) -> None:
    """By rows: the first ones of the gate's two halves together, and of scales and shifts together."""
    more: dict[str, Any] = {"gating_mode": mode, "secondary_activation": "Softsign"}
    if film is not None:
        more["activation_pre_film"] = {"active": True, "shift": film, "groups": 1}
    document = slimmable(15, **more)
    narrow = json.loads(json.dumps(document))
    layers = narrow["config"]["layers"][0]
    layers["channels"] = 4
    flat, kept = list(document["weights"]), []
    parts = [((6, 1, 1), (4, 1), 0)]
    for _ in layers["dilations"]:
        parts += [((12, 6, 3), (8, 4), 12), ((12, 1, 1), (8, 1), 0), ((6, 6, 1), (4, 4), 6)]
        if film is not None:
            rows = 24 if film else 12
            parts.append(((rows, 1, 1), (rows * 4 // 6, 1), rows))
    parts.append(((1, 6, 1), (1, 4), 0))
    for shape, keep, bias in parts:
        block = np.array([flat.pop(0) for _ in range(int(np.prod(shape)))]).reshape(shape)
        kept += block[: keep[0], : keep[1]].ravel().tolist() + [flat.pop(0) for _ in range(bias)][: keep[0]]
    narrow["weights"] = kept + flat
    agrees(bring(document, size=0.5)[0], definition(narrow), SIGNAL)
    if film is None:
        agrees(bring(document, size=0.5, follow="trainer")[0], definition(narrow), SIGNAL)
    else:
        with pytest.raises(ModelError, match="FiLM, which the trainer cannot slim; import size 1, or follow"):
            bring(document, size=0.5, follow="trainer")


def test_slopes_of_single_channels_cannot_be_slimmed() -> None:
    document = slimmable(16, activation={"type": "PReLU", "negative_slopes": [0.1] * 6})
    with pytest.raises(ModelError, match="slope for each channel, which the format cannot slim; import size 1"):
        bring(document, size=0.5)


def test_an_array_with_no_allowed_widths_keeps_its_own() -> None:
    document = slimmable(14, slimmable={"method": "slice_channels_uniform", "kwargs": {"allowed_channels": []}})
    with pytest.raises(ValueError, match="one size only"):
        bring(document, size=0.5)


@pytest.mark.parametrize(("size", "width"), [(None, 6), (1.0, 6), (0.7, 6), (0.5, 4), (0.1, 2)])
def test_a_slimmable_wavenet_is_cut_to_the_first_channels(size: float | None, width: int) -> None:
    document = slimmable(14)
    narrow = json.loads(json.dumps(document))
    layers = narrow["config"]["layers"][0]
    layers["channels"] = width
    flat, kept = list(document["weights"]), []

    def cut(outputs: int, inputs: int, taps: int, keep: tuple[int, int], bias: int) -> None:
        block = np.array([flat.pop(0) for _ in range(outputs * inputs * taps)]).reshape(outputs, inputs, taps)
        kept.extend(block[: keep[0], : keep[1]].ravel().tolist())
        kept.extend([flat.pop(0) for _ in range(bias)][: keep[0]])

    cut(6, 1, 1, (width, 1), 0)
    for _ in layers["dilations"]:
        cut(6, 6, 3, (width, width), 6)
        cut(6, 1, 1, (width, 1), 0)
        cut(6, 6, 1, (width, width), 6)
    cut(1, 6, 1, (1, width), 0)
    narrow["weights"] = kept + flat
    model, report = bring(document, size=size)
    agrees(model, Player(narrow).run(SIGNAL, 40), SIGNAL)
    assert f"{width} channels" in " ".join(report.notes)


def test_a_container_gives_the_model_of_the_size_asked_for() -> None:
    models = [nam.a1(rng(1)), nam.convnet(rng(2)), nam.linear(rng(3))]
    parts = [{"max_value": limit, "model": item} for limit, item in zip((0.3, 0.6, 1.0), models, strict=True)]
    document = nam.model("SlimmableContainer", {"submodels": parts}, 0, rng())
    for size, expected in ((None, 2), (1.0, 2), (0.3, 1), (0.0, 0)):
        agrees(bring(document, size=size)[0], definition(models[expected]), SIGNAL)


def container(*models: dict[str, Any]) -> dict[str, Any]:
    parts = [{"max_value": (index + 1) / len(models), "model": item} for index, item in enumerate(models)]
    return nam.model("SlimmableContainer", {"submodels": parts}, 0, rng())


@pytest.mark.parametrize("size", [None, 0.6, 0.3, 0.0])
def test_a_containers_size_does_not_slim_what_it_chooses(size: float | None) -> None:
    chosen = 1 if size is None or size >= 0.5 else 0
    inner = [slimmable(14), slimmable(15)]
    agrees(bring(container(*inner), size=size)[0], Player(inner[chosen]).run(SIGNAL, 40), SIGNAL)
    pairs = [[nam.linear(rng(1)), nam.a1(rng(2))], [nam.linear(rng(3)), nam.convnet(rng(4))]]
    nested = container(*(container(*pair) for pair in pairs))
    agrees(bring(nested, size=size)[0], Player(pairs[chosen][1]).run(SIGNAL, 40), SIGNAL)


def test_a_size_for_a_model_of_one_size_is_an_error() -> None:
    with pytest.raises(ValueError, match="one size only"):
        bring(nam.a1(rng(1)), size=0.5)


# ---- What the file says about itself ---------------------------------------------------------------------------------


def test_rate_level_and_metadata_are_kept(tmp_path: Path) -> None:
    path = nam.save(nam.linear(rng(1)), tmp_path / "amp.nam")
    model = rtvoice.import_model(path)
    assert model.sample_rate == nam.RATE and model.name == "An amp"
    assert model.metadata["loudness"] == -21.5
    kept = model.metadata["provenance"]["nam"]
    assert (kept["input_level_dbu"], kept["output_level_dbu"], kept["gain"]) == (18.3, 12.25, 0.4)
    model.save(tmp_path / "amp.rtv")
    assert check(tmp_path / "amp.rtv", path).passed


def test_a_file_without_a_rate_is_of_48_khz_or_what_is_asked_for() -> None:
    document = nam.linear(rng(1))
    del document["sample_rate"]
    model, report = bring(document)
    assert model.sample_rate == 48_000 and any("does not tell its sample rate" in note for note in report.notes)
    assert bring(document, sample_rate=44_100)[0].sample_rate == 44_100
    with pytest.raises(ModelError, match="44100 Hz, not 48000"):
        bring({**document, "sample_rate": 44_100}, sample_rate=48_000)


def test_rounded_weights_are_checked_and_their_cost_is_told(tmp_path: Path) -> None:
    path = nam.save(nam.a1(rng(1)), tmp_path / "amp.nam")
    model, report = import_with_report(path, weights="fp16")
    assert any("dB SNR" in note for note in report.notes)
    assert 40 < model.metadata["provenance"]["weights_snr_db"] < 100
    model.save(tmp_path / "amp.rtv")
    assert check(tmp_path / "amp.rtv", path).passed


def test_the_gate_refuses_an_import_that_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    from rtvoice.export.nam import write

    real = write._conv

    def wrong(b: Any, x: Any, conv: Any, name: str) -> Any:
        made = real(b, x, conv, name)
        return b.node("affine", made, scale=np.float32([1.001]), name=f"{name}.off") if name == "array0.head" else made

    monkeypatch.setattr(write, "_conv", wrong)
    with pytest.raises(ModelError, match="differs from what the source computes"):
        rtvoice.import_model(json.dumps(nam.a1(rng(1))).encode())


# ---- Refusals --------------------------------------------------------------------------------------------------------


def edited(**changes: Any) -> dict[str, Any]:
    document = nam.a2(rng(3))
    layers = document["config"]["layers"][0]
    for key, value in changes.items():
        layers[key] = value
    return document


def changed(document: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {**document, **changes}


LINEAR, LSTM = nam.linear(rng(1)), nam.lstm(rng(1))
TWO_SLOPES = {"type": "PReLU", "negative_slopes": [0.1, 0.2]}
HALF = {"max_value": 0.5, "model": LINEAR}


@pytest.mark.parametrize(
    ("document", "place", "reason"),
    [
        (edited(activation="Snake"), "layers[0].layer 0", "'Snake' is not of the format; it has Tanh"),
        (edited(gating_mode="half"), "layers[0]", "gating_mode 'half'"),
        (edited(dilations=[1, 2, 4, 8, 16]), "layers[0]", "give one for each layer"),
        (edited(kernel_size=3), "layers[0]", "both kernel_size and kernel_sizes"),
        (edited(groups_input=5), "layers[0].layer 0.conv", "groups=5 does not divide"),
        (edited(input_size=2), "layers[0]", "what comes in has 1 channels"),
        (edited(condition_size=3), "layers[0]", "the condition has 1:"),
        (edited(dropout=0.1), "layers[0]", "'dropout', which this importer does not know"),
        (edited(slimmable={"method": "prune"}), "layers[0].slimmable", "'prune' is not of the format"),
        (edited(head={"out_channels": 1}), "layers[0].head", "'kernel_size' is missing"),
        (changed(LINEAR, weights=LINEAR["weights"][:-1]), "impulse response", "takes 1 weights, but only 0"),
        (changed(LINEAR, weights=[*LINEAR["weights"], 1.0]), "the file", "holds 42 weights"),
        (changed(LINEAR, weights=[*LINEAR["weights"][:-1], float("nan")]), "'weights'", "not finite"),
        (changed(LINEAR, architecture="Transformer"), "the file", "architecture 'Transformer'"),
        (changed(LINEAR, architecture="Sequential"), "the file", "export each part as a file of its own"),
        (changed(LINEAR, config={**LINEAR["config"], "implementation": "gpu"}), "config", "implementation 'gpu'"),
        (edited(layer1x1={"active": True, "bias": False, "kernel": 3}), "layers[0].layer1x1", "'kernel', which this"),
        (edited(slimmable={"method": "slice_channels_uniform", "kwargs": {"by": 2}}), "slimmable.kwargs", "'by'"),
        (changed(LINEAR, version="0.9.0"), "the file", "version 0.9.0"),
        (changed(LINEAR, version="0.4.0"), "the file", "export it from a newer trainer"),
        (changed(LINEAR, weights=[*LINEAR["weights"][:-1], None]), "'weights'", "holds null"),
        (changed(LINEAR, config={**LINEAR["config"], "receptive_field": 10**12}), "config", "in 1..2147483647"),
        (changed(LINEAR, version="new"), "the file", "must be three numbers"),
        (changed(LINEAR, config={"bias": True}), "config", "'receptive_field' is missing"),
        (changed(LINEAR, config={**LINEAR["config"], "out_channels": 2}), "config", "out_channels is 2"),
        (changed(LSTM, config={**LSTM["config"], "input_size": 2}), "config", "input_size is 2"),
        (changed(LSTM, config={**LSTM["config"], "hidden_size": 10**9}), "lstm 0", "the file was cut"),
        (nam.lstm(rng(1), outputs=2), "the network", "makes 2 channels"),
        (nam.convnet(rng(1), activation=TWO_SLOPES), "config", "2 slopes for 6 channels"),
        (nam.model("SlimmableContainer", {"submodels": [HALF]}, 0, rng()), "config", "at least 1"),
    ],
)  # fmt: skip
def test_refusals_name_the_place_and_the_reason(document: dict[str, Any], place: str, reason: str) -> None:
    with pytest.raises(ModelError) as error:
        bring(document)
    message = str(error.value)
    assert place in message and reason in message and "\n" not in message


@pytest.mark.parametrize("data", [b"{", b'{"architecture": 1, "config": 2}', b"{" * 100_000, b'{"version": []}'])
def test_damaged_files_are_errors(data: bytes) -> None:
    with pytest.raises(ModelError):
        rtvoice.import_model(data)


def test_options_of_another_format_are_errors() -> None:
    with pytest.raises(ValueError, match="audio_input is no option"):
        bring(LINEAR, audio_input="x")
    with pytest.raises(ValueError, match="follow is 'both'"):
        bring(LINEAR, follow="both")


def test_every_kind_of_activation_is_tried() -> None:
    tried = {read_activation(item, "here").kind for item in nam.ACTIVATIONS}
    assert tried == set(KINDS) - {"Softsigmoid"}  # which only the trainer knows
    builder = GraphBuilder(name="x", sample_rate=8000, hop=1)
    builder.output(write_activation(builder, builder.input(), read_activation("Softsigmoid", "here"), "act"))
    x = np.linspace(-3, 3, 31)
    np.testing.assert_allclose(evaluate(builder.graph(), x)["act"][:, 0], 0.5 + 0.5 * x / (1 + np.abs(x)), atol=1e-7)
