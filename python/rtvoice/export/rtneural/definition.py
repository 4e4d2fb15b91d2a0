"""What an RTNeural file means, in float64 and without a graph: the oracle that an import is held against.

Keras's layers in Keras's order of gates and axes, PyTorch's in PyTorch's, straight from the file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]


def _f64(value: Any) -> F64:
    return np.asarray(np.asarray(value, np.float32), np.float64)


def _sigmoid(x: F64) -> F64:
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * x)))


def _softmax(x: F64) -> F64:
    powers = np.exp(x - x.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _elu(x: F64) -> F64:
    return np.asarray(np.where(x > 0, x, np.expm1(np.minimum(x, 0.0))))


_ACTIVATIONS: dict[str, Callable[[F64], F64]] = {
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0.0),
    "sigmoid": _sigmoid,
    "softmax": _softmax,
    "elu": _elu,
}


def _last(value: Any) -> int:
    return int(value[-1] if isinstance(value, list) else value)


def _late(x: F64, frames: int) -> F64:
    return np.concatenate([np.zeros((min(frames, len(x)), x.shape[1])), x[: max(len(x) - frames, 0)]])


def evaluate_keras(document: Mapping[str, Any], x: F64) -> F64:
    """Run the layers of a Keras file over ``(n, inputs)``, all states from zero."""
    for layer in document["layers"]:
        kind, weights = layer["type"], [_f64(item) for item in layer.get("weights") or []]
        if kind in ("dense", "time-distributed-dense"):
            x = x @ weights[0] + (weights[1] if len(weights) > 1 else 0.0)
        elif kind == "conv1d":
            x = _conv1d(x, weights[0], weights[1], _last(layer["dilation"]), _last(layer.get("groups", 1)))
        elif kind == "conv2d":
            x = _conv2d(x, weights, layer)
        elif kind == "gru":
            x = _gru_keras(x, *weights)
        elif kind == "lstm":
            x = _lstm(x, weights[0].T, weights[1].T, weights[2])
        elif kind == "prelu":
            x = np.where(x >= 0, x, weights[0].reshape(-1) * x)
        elif kind in ("batchnorm", "batchnorm2d"):
            mean, variance = weights[-2:]
            wide = x.reshape(len(x), -1, len(mean))
            wide = (wide - mean) / np.sqrt(variance + layer["epsilon"])
            if len(weights) == 4:
                wide = wide * weights[0] + weights[1]
            x = wide.reshape(len(x), -1)
        active = layer.get("activation") or "linear"
        if active != "linear" and kind not in ("gru", "lstm"):
            x = _ACTIVATIONS[active](x)
    return x


def _conv1d(x: F64, kernel: F64, bias: F64, dilation: int, groups: int) -> F64:
    taps, per_group, rows = kernel.shape
    out = np.tile(bias, (len(x), 1))
    wide = rows // groups
    for tap in range(taps):
        past = _late(x, (taps - 1 - tap) * dilation)
        for group in range(groups):
            columns = slice(group * wide, (group + 1) * wide)
            out[:, columns] += past[:, group * per_group : (group + 1) * per_group] @ kernel[tap][:, columns]
    return out


def _conv2d(x: F64, weights: Sequence[F64], layer: Mapping[str, Any]) -> F64:
    kernel, bias = weights
    taps, width, filters, made = kernel.shape
    picture = x.reshape(len(x), -1, filters)
    stride, dilation = _last(layer["strides"]), _last(layer["dilation"])
    if layer["padding"] == "same":
        features = picture.shape[1]
        total = max((-(-features // stride) - 1) * stride + width - features, 0)
        picture = np.pad(picture, ((0, 0), (total // 2, total - total // 2), (0, 0)))
    count = (picture.shape[1] - width) // stride + 1
    out = np.tile(bias, (len(x), count, 1))
    for tap in range(taps):
        late = (taps - 1 - tap) * dilation
        past = _late(picture.reshape(len(x), -1), late).reshape(picture.shape)
        for feature in range(count):
            window = past[:, feature * stride : feature * stride + width]
            out[:, feature] += np.einsum("nwf,wfo->no", window, kernel[tap])
    return out.reshape(len(x), -1)


def _gru_keras(x: F64, kernel: F64, recurrent: F64, bias: F64) -> F64:
    """Run a GRU whose gates stand as update, reset, candidate, with the reset behind the product."""
    size = len(recurrent)
    given, h, out = x @ kernel + bias[0], np.zeros(len(recurrent)), np.empty((len(x), size))
    for n in range(len(x)):
        inner = h @ recurrent + bias[1]
        z, r = _sigmoid(given[n, : 2 * size] + inner[: 2 * size]).reshape(2, size)
        h = z * h + (1.0 - z) * np.tanh(given[n, 2 * size :] + r * inner[2 * size :])
        out[n] = h
    return out


def _gru_torch(x: F64, matrix: F64, recurrent: F64, bias_x: F64 | float, bias_h: F64 | float) -> F64:
    """Run a GRU whose gates stand as reset, update, new."""
    size = recurrent.shape[1]
    given, h, out = x @ matrix.T + bias_x, np.zeros(size), np.empty((len(x), size))
    for n in range(len(x)):
        inner = recurrent @ h + bias_h
        r, z = _sigmoid(given[n, : 2 * size] + inner[: 2 * size]).reshape(2, size)
        h = (1.0 - z) * np.tanh(given[n, 2 * size :] + r * inner[2 * size :]) + z * h
        out[n] = h
    return out


def _lstm(x: F64, matrix: F64, recurrent: F64, bias: F64 | float) -> F64:
    """Run an LSTM whose gates stand as input, forget, cell, output, in both frameworks."""
    size = recurrent.shape[1]
    given, out = x @ matrix.T + bias, np.empty((len(x), size))
    h, cell = np.zeros(size), np.zeros(size)
    for n in range(len(x)):
        i, f, g, o = (given[n] + recurrent @ h).reshape(4, size)
        cell = _sigmoid(f) * cell + _sigmoid(i) * np.tanh(g)
        h = _sigmoid(o) * np.tanh(cell)
        out[n] = h
    return out


def evaluate_torch(weights: Mapping[str, Any], layers: Sequence[str], x: F64) -> F64:
    """Run modules of a PyTorch state dict in the order that was said, over ``(n, inputs)``."""
    for text in layers:
        name, *rest = [part.strip() for part in text.split(":")]
        options = {key: float(value) for key, value in (item.split("=") for item in rest)}
        parts = {key[len(name) + 1 :]: _f64(value) for key, value in weights.items() if key.startswith(f"{name}.")}
        if not parts:
            x = _ACTIVATIONS[name](x)
        elif "weight_ih_l0" in parts:
            x = _recurrent(parts, x)
        elif "running_mean" in parts:
            scale = parts.get("weight", 1.0) / np.sqrt(parts["running_var"] + options.get("eps", 1e-5))
            x = (x - parts["running_mean"]) * scale + parts.get("bias", 0.0)
        elif parts["weight"].ndim == 1:
            x = np.where(x >= 0, x, parts["weight"] * x)
        elif parts["weight"].ndim == 2:
            x = x @ parts["weight"].T + parts.get("bias", 0.0)
        else:
            bias = parts.get("bias", np.zeros(len(parts["weight"])))
            dilation, groups = int(options.get("dilation", 1)), int(options.get("groups", 1))
            if options.get("transposed"):
                bias = parts.get("bias", np.zeros(groups * parts["weight"].shape[1]))
                x = _transposed(x, parts["weight"], bias, dilation, groups)
            else:
                x = _conv1d(x, parts["weight"].transpose(2, 1, 0), bias, dilation, groups)
    return x


def _transposed(x: F64, weight: F64, bias: F64, dilation: int, groups: int) -> F64:
    """Add each frame, times tap `k`, to the frame ``k * dilation`` later."""
    inputs, made, taps = weight.shape
    out, wide = np.tile(bias, (len(x), 1)), inputs // groups
    for tap in range(taps):
        past = _late(x, tap * dilation)
        for group in range(groups):
            rows = slice(group * wide, (group + 1) * wide)
            out[:, group * made : (group + 1) * made] += past[:, rows] @ weight[rows, :, tap]
    return out


def _recurrent(parts: Mapping[str, F64], x: F64) -> F64:
    index = 0
    while f"weight_ih_l{index}" in parts:
        matrix, recurrent = parts[f"weight_ih_l{index}"], parts[f"weight_hh_l{index}"]
        bias_x, bias_h = parts.get(f"bias_ih_l{index}", 0.0), parts.get(f"bias_hh_l{index}", 0.0)
        if len(recurrent) == 3 * recurrent.shape[1]:
            x = _gru_torch(x, matrix, recurrent, bias_x, bias_h)
        else:
            x = _lstm(x, matrix, recurrent, bias_x + bias_h)
        index += 1
    return x
