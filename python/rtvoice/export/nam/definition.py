"""What a `.nam` file means, in float64 and without a graph: the oracle that an import is held against.

It reads the file's own config and takes the weights by itself, so that a mistake of the importer shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
_FILM_ORDER = (
    "conv_pre_film", "conv_post_film", "input_mixin_pre_film", "input_mixin_post_film", "activation_pre_film",
    "activation_post_film", "layer1x1_post_film", "head1x1_post_film",
)  # fmt: skip


def evaluate(document: Mapping[str, Any], signal: F64, *, rate: int, follow: str = "core") -> F64:
    """Run a file's network over a signal, as NeuralAmpModelerCore does after it has run silence through.

    Parameters
    ----------
    document
        The file's object; of a container's, the model that was chosen.
    signal
        ``(n,)``.
    rate
        Sample rate in Hz: a recurrent network is warmed for half a second.
    follow
        ``"core"`` or ``"trainer"``, where those two differ.

    Returns
    -------
    ndarray
        ``(n, channels)``.
    """
    silence = _warmth(document, rate)
    x = np.concatenate([np.zeros(silence), np.asarray(signal, np.float64)])[:, None]
    return _run(document, x, follow)[silence:]


def _warmth(document: Mapping[str, Any], rate: int) -> int:
    config = document["config"]
    kind = document["architecture"]
    if kind == "LSTM":
        return rate // 2
    if kind == "ConvNet":
        return 1 + int(sum(config["dilations"]))
    if kind == "Linear":
        return int(config["receptive_field"])
    inner = config.get("condition_dsp")
    total = _warmth(inner, rate) if inner else 1
    for layers in config["layers"]:
        taps = _taps(layers)
        total += sum(d * (k - 1) for d, k in zip(layers["dilations"], taps, strict=True))
        head = layers.get("head") or {}
        total += (head.get("kernel_size", 1) - 1) * head.get("head_dilation", 1)
    return int(total + sum(k - 1 for k in (config.get("head") or {"kernel_sizes": []})["kernel_sizes"]))


def _taps(layers: Mapping[str, Any]) -> list[int]:
    taps = layers.get("kernel_sizes") or layers["kernel_size"]
    return list(taps) if isinstance(taps, list) else [taps] * len(layers["dilations"])


class _Cursor:
    def __init__(self, weights: Any) -> None:
        self.flat = np.asarray(weights, np.float32).astype(np.float64)
        self.at = 0

    def __call__(self, *shape: int) -> F64:
        count = int(np.prod(shape))
        self.at += count
        return self.flat[self.at - count : self.at].reshape(shape)


def _run(document: Mapping[str, Any], x: F64, follow: str) -> F64:
    take, config = _Cursor(document["weights"]), document["config"]
    runner = {"WaveNet": _wavenet, "ConvNet": _convnet, "LSTM": _lstm, "Linear": _linear}[document["architecture"]]
    return runner(config, take, x, follow)


def _conv(x: F64, weight: F64, dilation: int = 1, groups: int = 1) -> F64:
    """Convolve causally: tap `k` of `n` meets the sample ``(n - 1 - k) * dilation`` ago."""
    outputs, per_group, taps = weight.shape
    out = np.zeros((len(x), outputs))
    wide = outputs // groups
    for k in range(taps):
        late = (taps - 1 - k) * dilation
        moved = np.concatenate([np.zeros((min(late, len(x)), x.shape[1])), x[: max(len(x) - late, 0)]])
        for g in range(groups):
            rows = slice(g * wide, (g + 1) * wide)
            out[:, rows] += moved[:, g * per_group : (g + 1) * per_group] @ weight[rows, :, k].T
    return out


def _sigmoid(x: F64) -> F64:
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * x)))


def _fast_tanh(x: F64) -> F64:
    size, square = np.abs(x), x * x
    top = x * (2.45550750702956 + 2.45550750702956 * size + (0.893229853513558 + 0.821226666969744 * size) * square)
    inner = np.abs(x + 0.814642734961073 * x * size)
    return np.asarray(top / (2.44506634652299 + (2.44506634652299 + square) * inner))


def activate(x: F64, given: Any, follow: str) -> F64:
    """Apply an activation of the format, as its config names it, to ``(n, channels)``."""
    options: dict[str, Any] = {"type": given} if isinstance(given, str) else dict(given)
    name = str(options.get("type") or options["name"]).lstrip("_")
    if name == "PReLU":
        slopes = np.asarray(options.get("negative_slope", options.get("negative_slopes", 0.01)), np.float64)
        return np.asarray(np.where(x > 0, x, slopes * x))
    if name in ("Hardtanh", "HardTanh"):
        if follow == "core":
            return np.clip(x, -1.0, 1.0)
        return np.clip(x, options.get("min_val", -1.0), options.get("max_val", 1.0))
    if name in ("LeakyHardtanh", "LeakyHardTanh"):
        low, high = options.get("min_val", -1.0), options.get("max_val", 1.0)
        under = (x - low) * options.get("min_slope", 0.01) + low
        over = (x - high) * options.get("max_slope", 0.01) + high
        return np.asarray(np.where(x < low, under, np.where(x > high, over, x)))
    if name == "LeakyReLU":
        return np.asarray(np.where(x > 0, x, options.get("negative_slope", 0.01) * x))
    plain: dict[str, Callable[[F64], F64]] = {
        "Tanh": np.tanh,
        "Fasttanh": _fast_tanh,
        "ReLU": lambda v: np.maximum(v, 0.0),
        "Sigmoid": _sigmoid,
        "SiLU": lambda v: v * _sigmoid(v),
        "Hardswish": lambda v: v * np.clip(v + 3.0, 0.0, 6.0) / 6.0,
        "Softsign": lambda v: v / (1.0 + np.abs(v)),
        "Softsigmoid": lambda v: 0.5 * (1.0 + v / (1.0 + np.abs(v))),
    }
    return np.asarray(plain[name](x))


def _film(options: Any) -> tuple[bool, bool, int]:
    """Return whether a modulation is on, whether it shifts, and its groups."""
    if not isinstance(options, Mapping):
        return False, False, 1
    return bool(options.get("active", True)), bool(options.get("shift", True)), int(options.get("groups", 1))


def _modulated(x: F64, condition: F64, made: tuple[F64, F64, bool, int] | None) -> F64:
    if made is None:
        return x
    weight, bias, shift, groups = made
    both = _conv(condition, weight, groups=groups) + bias
    return x * both[:, : x.shape[1]] + both[:, x.shape[1] :] if shift else x * both


def _options(layers: Mapping[str, Any]) -> Iterator[tuple[int, int, Any, str, Any]]:
    """Return dilation, taps, activation, gating and second activation of every layer of an array."""
    dilations = layers["dilations"]
    count = len(dilations)

    def spread(value: Any) -> list[Any]:
        return list(value) if isinstance(value, list) else [value] * count

    mode = layers.get("gating_mode")
    modes = spread(mode) if mode is not None else ["gated" if layers.get("gated") else "none"] * count
    seconds = [item or "Sigmoid" for item in spread(layers.get("secondary_activation") if mode is not None else None)]
    yield from zip(dilations, _taps(layers), spread(layers["activation"]), modes, seconds, strict=True)


def _wavenet(config: Mapping[str, Any], take: _Cursor, x: F64, follow: str) -> F64:
    inner = config.get("condition_dsp")
    condition = _run(inner, x, follow) if inner else x
    head: F64 | None = None
    for layers in config["layers"]:
        x, head = _layer_array(layers, take, x, condition, head, follow)
    assert head is not None
    post = config.get("head")
    blocks: list[tuple[F64, F64]] = []
    if post:
        sizes = [head.shape[1], *[post["channels"]] * (len(post["kernel_sizes"]) - 1), post["out_channels"]]
        for index, taps in enumerate(post["kernel_sizes"]):
            blocks.append((take(sizes[index + 1], sizes[index], taps), take(sizes[index + 1])))
    out = head * take(1)[0]
    for weight, bias in blocks:
        assert post
        out = _conv(activate(out, post["activation"], follow), weight) + bias
    return np.asarray(out)


def _layer_array(
    layers: Mapping[str, Any], take: _Cursor, x: F64, condition: F64, head: F64 | None, follow: str
) -> tuple[F64, F64]:
    channels, inputs, conditions = layers["channels"], x.shape[1], condition.shape[1]
    bottleneck = layers.get("bottleneck", channels)
    groups, mixin_groups = layers.get("groups_input", 1), layers.get("groups_input_mixin", 1)
    one, to_head = layers.get("layer1x1") or {"active": True}, layers.get("head1x1") or {"active": False}
    x = _conv(x, take(channels, inputs, 1))
    for dilation, taps, first, mode, second in _options(layers):
        middle = bottleneck if mode == "none" else 2 * bottleneck
        weight, bias = take(middle, channels // groups, taps), take(middle)
        mixin = take(middle, conditions // mixin_groups, 1)
        if one["active"]:
            step = take(channels, bottleneck // one.get("groups", 1), 1), take(channels), one.get("groups", 1)
        if to_head["active"]:
            size, parts = to_head["out_channels"], to_head.get("groups", 1)
            skip = take(size, bottleneck // parts, 1), take(size), parts
        films: dict[str, tuple[F64, F64, bool, int] | None] = {}
        widths = dict(
            zip(
                _FILM_ORDER,
                (channels, middle, conditions, middle, middle, bottleneck, channels, to_head.get("out_channels", 0)),
                strict=True,
            )
        )
        for key in _FILM_ORDER:
            active, shift, film_groups = _film(layers.get(key))
            size = widths[key] * (2 if shift else 1)
            films[key] = (take(size, conditions // film_groups, 1), take(size), shift, film_groups) if active else None
        z = _conv(_modulated(x, condition, films["conv_pre_film"]), weight, dilation, groups) + bias
        z = _modulated(z, condition, films["conv_post_film"])
        mixed = _conv(_modulated(condition, condition, films["input_mixin_pre_film"]), mixin, groups=mixin_groups)
        z = z + _modulated(mixed, condition, films["input_mixin_post_film"])
        z = _modulated(z, condition, films["activation_pre_film"])
        if mode == "none":
            z = activate(z, first, follow)
        else:
            upper, lower = z[:, :bottleneck], activate(z[:, bottleneck:], second, follow)
            z = activate(upper, first, follow) * lower
            if mode == "blended":
                z = z + (1.0 - lower) * upper
        z = _modulated(z, condition, films["activation_post_film"])
        skipped = z
        if to_head["active"]:
            skipped = _modulated(_conv(z, skip[0], groups=skip[2]) + skip[1], condition, films["head1x1_post_film"])
        head = skipped if head is None else head + skipped
        if one["active"]:
            z = _conv(z, step[0], groups=step[2]) + step[1]
            if follow == "trainer" or mode == "blended":
                z = _modulated(z, condition, films["layer1x1_post_film"])
            x = x + z
        elif follow == "trainer":
            x = x + z
    assert head is not None
    last = layers.get("head") or {
        "out_channels": layers.get("head_size"), "kernel_size": 1, "bias": layers.get("head_bias"),
    }  # fmt: skip
    out = _conv(head, take(last["out_channels"], head.shape[1], last["kernel_size"]), last.get("head_dilation", 1))
    return x, out + take(last["out_channels"]) if last["bias"] else out


def _convnet(config: Mapping[str, Any], take: _Cursor, x: F64, follow: str) -> F64:
    channels, groups = config["channels"], config.get("groups", 1)
    for dilation in config["dilations"]:
        x = _conv(x, take(channels, x.shape[1] // groups, 2), dilation, groups)
        if config["batchnorm"]:
            mean, variance, scale, shift, eps = *(take(channels) for _ in range(4)), take(1)[0]
            x = (x - mean) / np.sqrt(variance + eps) * scale + shift
        else:
            x = x + take(channels)
        x = activate(x, config["activation"], follow)
    outputs = config.get("out_channels", 1)
    return np.asarray(x @ take(outputs, channels).T + take(outputs))


def _lstm(config: Mapping[str, Any], take: _Cursor, x: F64, follow: str) -> F64:
    size = config["hidden_size"]
    for _ in range(config["num_layers"]):
        matrix, bias = take(4 * size, x.shape[1] + size), take(4 * size)
        hidden, cell = take(size).copy(), take(size).copy()
        given, recurrent = x @ matrix[:, : x.shape[1]].T + bias, matrix[:, x.shape[1] :]
        out = np.empty((len(x), size))
        # sigmoid(v) = 0.5 + 0.5 tanh(v / 2): one call makes all four gates.
        half = np.repeat([0.5, 0.5, 1.0, 0.5], size)
        shift = np.repeat([0.5, 0.5, 0.0, 0.5], size)
        given, recurrent = given * half, recurrent * half[:, None]
        for n in range(len(x)):
            i, f, g, o = (np.tanh(given[n] + recurrent @ hidden) * half + shift).reshape(4, size)
            cell = f * cell + i * g
            hidden = o * np.tanh(cell)
            out[n] = hidden
        x = out
    outputs = config.get("out_channels", 1)
    return np.asarray(x @ take(outputs, size).T + take(outputs))


def _linear(config: Mapping[str, Any], take: _Cursor, x: F64, follow: str) -> F64:
    taps = take(config["receptive_field"])
    newest_first = taps if follow == "core" else taps[::-1]
    out = np.convolve(x[:, 0], newest_first)[: len(x), None]
    return out + take(1)[0] if config["bias"] else out
