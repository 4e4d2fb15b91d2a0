"""Random small models in the `.nam` format, of every architecture and option; the weights are counted here by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

Rng = np.random.Generator
RATE = 48_000
ACTIVATIONS: list[Any] = [
    "Tanh", "Hardtanh", "Fasttanh", "ReLU", "LeakyReLU", "PReLU", "Sigmoid", "SiLU", "Hardswish", "LeakyHardtanh",
    "Softsign", "LeakyHardTanh", {"type": "LeakyReLU", "negative_slope": 0.2}, {"type": "PReLU", "negative_slope": 0.3},
    {"type": "LeakyHardtanh", "min_val": -0.5, "max_val": 0.3, "min_slope": 0.1, "max_slope": 0.2},
    {"type": "LeakyHardtanh", "min_val": 0.0, "max_val": 0.9, "min_slope": 0.0, "max_slope": 0.02},
]  # fmt: skip
FILMS = (
    "conv_pre_film", "conv_post_film", "input_mixin_pre_film", "input_mixin_post_film", "activation_pre_film",
    "activation_post_film", "layer1x1_post_film", "head1x1_post_film",
)  # fmt: skip


def model(
    architecture: str, config: dict[str, Any], count: int, rng: Rng, scale: float = 0.3, **more: Any
) -> dict[str, Any]:
    weights = np.round(rng.normal(size=count) * scale, 6).tolist()
    return {
        "version": "0.7.0",
        "metadata": {
            "name": "An amp",
            "loudness": -21.5,
            "gain": 0.4,
            "input_level_dbu": 18.3,
            "output_level_dbu": 12.25,
        },
        "architecture": architecture,
        "config": config,
        "weights": weights,
        "sample_rate": RATE,
        **more,
    }


def save(document: dict[str, Any], path: Path) -> Path:
    path.write_text(json.dumps(document))
    return path


def linear(rng: Rng, taps: int = 40, bias: bool = True) -> dict[str, Any]:
    return model("Linear", {"receptive_field": taps, "bias": bias}, taps + bias, rng)


def lstm(rng: Rng, hidden: int = 5, layers: int = 2, outputs: int = 1) -> dict[str, Any]:
    count = sum(4 * hidden * ((1 if n == 0 else hidden) + hidden + 1) + 2 * hidden for n in range(layers))
    config = {"input_size": 1, "hidden_size": hidden, "num_layers": layers}
    if outputs > 1:
        config["out_channels"] = outputs
    return model("LSTM", config, count + outputs * (hidden + 1), rng, 0.5)


def convnet(
    rng: Rng, channels: int = 6, norm: bool = True, activation: Any = "Tanh", outputs: int = 1
) -> dict[str, Any]:
    dilations = [1, 2, 5]
    config = {"channels": channels, "dilations": dilations, "batchnorm": norm, "activation": activation}
    if outputs > 1:
        config["out_channels"] = outputs
    count = 0
    for n in range(len(dilations)):
        count += channels * (1 if n == 0 else channels) * 2 + (4 * channels + 1 if norm else channels)
    made = model("ConvNet", config, count + outputs * (channels + 1), rng)
    at = 0
    for n in range(len(dilations) if norm else 0):  # variances and eps are positive
        at += channels * (1 if n == 0 else channels) * 2
        for index in range(at + channels, at + 2 * channels):
            made["weights"][index] = abs(made["weights"][index]) + 0.5
        at += 4 * channels + 1
        made["weights"][at - 1] = 1e-5
    return made


def array_weights(layers: dict[str, Any]) -> int:
    """Count a layer array's weights."""
    channels, inputs, conditions = layers["channels"], layers["input_size"], layers["condition_size"]
    bottleneck = layers.get("bottleneck", channels)
    dilations = layers["dilations"]
    taps = layers.get("kernel_sizes") or [layers["kernel_size"]] * len(dilations)
    modes = layers.get("gating_mode", "gated" if layers.get("gated") else "none")
    one = layers.get("layer1x1", {"active": True, "groups": 1})
    skip = layers.get("head1x1", {"active": False, "out_channels": 0, "groups": 1})
    count = inputs * channels
    for n, kernel in enumerate(taps):
        mode = modes[n] if isinstance(modes, list) else modes
        middle = bottleneck * (1 if mode == "none" else 2)
        count += middle * (channels // layers.get("groups_input", 1)) * kernel + middle
        count += middle * (conditions // layers.get("groups_input_mixin", 1))
        if one["active"]:
            count += channels * (bottleneck // one["groups"]) + channels
        if skip["active"]:
            count += skip["out_channels"] * (bottleneck // skip["groups"]) + skip["out_channels"]
        widths = (channels, middle, conditions, middle, middle, bottleneck, channels, skip["out_channels"])
        for key, width in zip(FILMS, widths, strict=True):
            film = layers.get(key)
            if film and film.get("active", True):
                size = width * (2 if film.get("shift", True) else 1)
                count += size * (conditions // film.get("groups", 1)) + size
    to_head = skip["out_channels"] if skip["active"] else bottleneck
    head = layers.get("head") or {"out_channels": layers["head_size"], "kernel_size": 1, "bias": layers["head_bias"]}
    return int(count + head["out_channels"] * (to_head * head["kernel_size"] + bool(head["bias"])))


def wavenet(
    rng: Rng, layers: list[dict[str, Any]], head: dict[str, Any] | None = None, **config: Any
) -> dict[str, Any]:
    count = sum(array_weights(item) for item in layers) + 1
    if head:
        inputs = (layers[-1].get("head") or {"out_channels": layers[-1].get("head_size")})["out_channels"]
        for n, kernel in enumerate(head["kernel_sizes"]):
            size = head["out_channels"] if n + 1 == len(head["kernel_sizes"]) else head["channels"]
            count += size * inputs * kernel + size
            inputs = size
    made = model("WaveNet", {"layers": layers, "head": head, "head_scale": 0.02, **config}, count, rng)
    made["weights"][-1] = 0.4
    return made


def a1(rng: Rng, activation: Any = "Tanh", gated: bool = False) -> dict[str, Any]:
    """Two arrays of the first generation."""
    common = {"condition_size": 1, "kernel_size": 3, "activation": activation, "gated": gated}
    first = {**common, "input_size": 1, "head_size": 4, "channels": 6, "dilations": [1, 2, 4], "head_bias": False}
    second = {**common, "input_size": 6, "head_size": 1, "channels": 4, "dilations": [8, 1], "head_bias": True}
    return wavenet(rng, [first, second])


def a2(rng: Rng, conditions: int = 1, differing: bool = True, **config: Any) -> dict[str, Any]:
    """One or two arrays with random options of the second generation.

    Without `differing`, none where NeuralAmpModelerCore and the trainer compute different things.
    """

    def pick(*items: Any) -> Any:
        return items[int(rng.integers(len(items)))]

    plain = [item for item in ACTIVATIONS if item != "Fasttanh"]
    arrays: list[dict[str, Any]] = []
    inputs, head_in = 1, 0
    count = pick(1, 2)
    for index in range(count):
        channels = head_in or pick(4, 6)
        one = {"active": bool(rng.random() < 0.8) or not differing, "groups": pick(1, 2)}
        bottleneck = pick(2, 4, 6) if one["active"] else channels
        skip = {"active": bool(rng.random() < 0.5), "out_channels": pick(2, 4), "groups": pick(1, 2)}
        if head_in and (skip["active"] or head_in != bottleneck):
            skip = {"active": True, "out_channels": head_in, "groups": pick(1, 2)}
        depth = pick(1, 2, 3)
        modes = [pick("none", "gated", "blended") for _ in range(depth)]
        last = index == count - 1
        head_in = 1 if last else pick(4, 6)
        layers = {
            "input_size": inputs,
            "condition_size": conditions,
            "head": {"out_channels": head_in, "kernel_size": pick(1, 3), "bias": pick(True, False)},
            "channels": channels,
            "bottleneck": bottleneck,
            "kernel_sizes": [pick(1, 2, 4) for _ in range(depth)],
            "dilations": [pick(1, 3, 7) for _ in range(depth)],
            "activation": [pick(*plain) for _ in range(depth)],
            "gating_mode": modes,
            "secondary_activation": [None if mode == "none" else pick(*plain) for mode in modes],
            "groups_input": pick(1, 2),
            "groups_input_mixin": pick(1, conditions),
            "layer1x1": one,
            "head1x1": skip,
        }
        for key in FILMS:
            wanted = {"layer1x1_post_film": one["active"] and (differing or set(modes) == {"blended"})}.get(
                key, skip["active"] if key == "head1x1_post_film" else True
            )
            active = bool(wanted and rng.random() < 0.4)
            layers[key] = {"active": active, "shift": pick(True, False), "groups": pick(1, conditions)}
        arrays.append(layers)
        inputs = channels
    return wavenet(rng, arrays, **config)


def condition(rng: Rng, kind: str = "wavenet", outputs: int = 3) -> dict[str, Any]:
    """A model with several outputs, for another one's condition."""
    if kind == "lstm":
        return lstm(rng, 4, 1, outputs)
    if kind == "convnet":
        return convnet(rng, 4, True, "ReLU", outputs)
    layers = {
        "input_size": 1, "condition_size": 1, "head_size": outputs, "channels": 3, "kernel_size": 2,
        "dilations": [1, 2], "activation": "SiLU", "gated": True, "head_bias": True,
    }  # fmt: skip
    return wavenet(rng, [layers])
