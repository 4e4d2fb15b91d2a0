"""The meaning of a graph in float64: every node's offline tensor, straight from the op table of docs/model-format.md.

Slow and plain on purpose, and independent of the core: it is the oracle for the engine's tests and ``rtvoice check``.
A stream goes on after the signal's end: what looks ahead sees the audio input as zero there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .generation import draw, looped, settle
from .graph import Graph, Node
from .recurrence import RECURRENT, phase, recur, sigmoid, wide

__all__ = ["control_values", "evaluate", "node_value", "noise"]

F64 = NDArray[np.float64]
_CHUNK = 4096  # output frames of a convolution at once
_MAX_EXTRA_HOPS = 1 << 24


def _f64(x: Any) -> F64:
    return np.asarray(x, dtype=np.float64)


_erf = np.vectorize(math.erf, otypes=[np.float64])


PLAIN: dict[str, Callable[[F64], F64]] = {
    "relu": lambda x: np.maximum(x, 0.0),
    "silu": lambda x: x * sigmoid(x),
    "tanh": np.tanh,
    "sigmoid": sigmoid,
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
    "square": np.square,
    "abs": np.abs,
    "neg": np.negative,
    "reciprocal": np.reciprocal,
    "sin": np.sin,
    "cos": np.cos,
}


def _mix(x: NDArray[np.uint32]) -> NDArray[np.uint32]:
    x = x ^ (x >> np.uint32(16))
    x = x * np.uint32(0x21F0AAAD)
    x = x ^ (x >> np.uint32(15))
    x = x * np.uint32(0xD35A2D97)
    return x ^ (x >> np.uint32(15))


def _words(index: NDArray[np.uint64], seed: int, stream: int) -> NDArray[np.uint32]:
    """Return the random 32-bit word of each 64-bit counter."""

    def word(value: int) -> NDArray[np.uint32]:
        return np.array([value & 0xFFFFFFFF], dtype=np.uint32)

    key = _mix(word(seed + 0x9E3779B9 * stream)) ^ _mix(word((seed >> 32) + 0x85EBCA6B))
    low = (index & np.uint64(0xFFFFFFFF)).astype(np.uint32)
    high = (index >> np.uint64(32)).astype(np.uint32)
    return _mix(_mix(low ^ key) + high * np.uint32(0x9E3779B9) + key)


def noise(node: Node, frames: int, seed: int = 0, start: int = 0) -> F64:
    """Return what a noise node makes.

    Parameters
    ----------
    node
        A node of op ``noise``.
    frames
        Number of frames.
    seed
        The engine's 64-bit seed.
    start
        First frame.

    Returns
    -------
    ndarray
        ``(frames, channels)``.
    """
    a = node.attrs
    first, count = np.uint64(start * a["channels"]), frames * a["channels"]
    index = np.arange(count, dtype=np.uint64) + first
    scale = 2.0**-24
    if a["distribution"] == "uniform":
        unit = (_words(index, seed, a["stream"]) >> np.uint32(8)).astype(np.float64) * scale
        values = a["low"] + (a["high"] - a["low"]) * unit
    else:
        even = index * np.uint64(2)
        radius = ((_words(even, seed, a["stream"]) >> np.uint32(8)).astype(np.float64) + 1.0) * scale
        angle = (_words(even + np.uint64(1), seed, a["stream"]) >> np.uint32(8)).astype(np.float64) * scale
        values = a["mean"] + a["std"] * np.sqrt(-2.0 * np.log(radius)) * np.cos(2.0 * np.pi * angle)
    return np.asarray(values, dtype=np.float64).reshape(frames, a["channels"])


def _rows(x: F64, first: int, count: int) -> F64:
    """Return frames ``first`` to ``first + count - 1``; those before 0 and beyond the end are zero."""
    out = np.zeros((max(count, 0), x.shape[1]))
    begin, end = max(first, 0), min(first + count, len(x))
    if end > begin:
        out[begin - first : end - first] = x[begin:end]
    return out


def _windowed(length: int, kernel: int, dilation: int, stride: int, pad: int) -> int:
    """Return how many outputs of a sliding window depend on the first `length` inputs only."""
    return max((length + pad - (kernel - 1) * dilation - 1) // stride + 1, 0)


def _conv1d(node: Node, x: F64) -> F64:
    a, weight = node.attrs, wide(node.weights["weight"])
    out_channels, per_group, kernel = weight.shape
    stride, dilation, groups, pad = a["stride"], a["dilation"], a["groups"], a["pads"][0]
    count = _windowed(len(x), kernel, dilation, stride, pad)
    matrix = weight.reshape(groups, out_channels // groups, per_group * kernel).transpose(0, 2, 1)
    out = np.empty((count, out_channels))
    for begin in range(0, count, _CHUNK):
        size = min(_CHUNK, count - begin)
        rows = _rows(x, begin * stride - pad, (size - 1) * stride + (kernel - 1) * dilation + 1)
        taps = np.lib.stride_tricks.sliding_window_view(rows, (kernel - 1) * dilation + 1, axis=0)
        taps = taps[::stride, :, ::dilation]  # (size, channels, kernel)
        grouped = taps.reshape(size, groups, per_group * kernel).transpose(1, 0, 2)
        out[begin : begin + size] = (grouped @ matrix).transpose(1, 0, 2).reshape(size, out_channels)
    return _f64(out + wide(node.weights["bias"]) if "bias" in node.weights else out)


def _conv_transpose1d(node: Node, x: F64) -> F64:
    a, weight = node.attrs, wide(node.weights["weight"])
    channels, per_group, kernel = weight.shape
    stride, dilation, groups = a["stride"], a["dilation"], a["groups"]
    length = len(x)
    full = np.zeros((length * stride + (kernel - 1) * dilation, per_group * groups))
    grouped = x.reshape(length, groups, channels // groups).transpose(1, 0, 2)
    for k in range(kernel):
        part = grouped @ weight[:, :, k].reshape(groups, channels // groups, per_group)
        target = full[k * dilation : k * dilation + length * stride : stride]
        target += part.transpose(1, 0, 2).reshape(length, per_group * groups)
    full = full[a["crop"][0] : length * stride]
    return full + wide(node.weights["bias"]) if "bias" in node.weights else full


def _linear(node: Node, x: F64) -> F64:
    out = x @ wide(node.weights["weight"]).T
    return _f64(out + wide(node.weights["bias"]) if "bias" in node.weights else out)


def _affine(node: Node, x: F64) -> F64:
    if "scale" in node.weights:
        x = x * wide(node.weights["scale"])
    return x + wide(node.weights["shift"]) if "shift" in node.weights else x


def _layer_norm(node: Node, x: F64) -> F64:
    centred = x - x.mean(axis=1, keepdims=True)
    out = centred / np.sqrt(np.square(centred).mean(axis=1, keepdims=True) + node.attrs["eps"])
    if "weight" in node.weights:
        out = out * wide(node.weights["weight"])
    return _f64(out + wide(node.weights["bias"]) if "bias" in node.weights else out)


def _rms_norm(node: Node, x: F64) -> F64:
    out = x / np.sqrt(np.square(x).mean(axis=1, keepdims=True) + node.attrs["eps"])
    return _f64(out * wide(node.weights["weight"]) if "weight" in node.weights else out)


def _gelu(node: Node, x: F64) -> F64:
    if node.attrs["approximate"] == "tanh":
        return _f64(0.5 * x * (1.0 + np.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3))))
    return _f64(0.5 * x * (1.0 + _erf(x * math.sqrt(0.5))))


def _snake(node: Node, x: F64) -> F64:
    alpha = wide(node.weights["alpha"])
    beta = wide(node.weights["beta"]) if "beta" in node.weights else alpha
    return _f64(x + np.sin(alpha * x) ** 2 / beta)


def _glu(node: Node, x: F64) -> F64:
    half = x.shape[1] // 2
    a = x[:, :half] if node.attrs["a"] == "none" else PLAIN[node.attrs["a"]](x[:, :half])
    return _f64(a * PLAIN[node.attrs["b"]](x[:, half:]))


def _upsample(node: Node, x: F64) -> F64:
    factor, length = node.attrs["factor"], len(x)
    if node.attrs["mode"] == "nearest":
        return np.repeat(x, factor, axis=0)
    # Frames whose later neighbour is known: position <= length - 1.
    half = node.attrs["coordinates"] == "half_pixel"
    count = ((2 * length - 1) * factor - 1) // 2 + 1 if half else (length - 1) * factor + 1
    index = np.arange(max(count, 0), dtype=np.float64)
    position = np.maximum((index + 0.5) / factor - 0.5 if half else index / factor, 0.0)
    lower = np.floor(position).astype(np.int64)
    share = (position - lower)[:, None]
    upper = np.minimum(lower + 1, length - 1)
    return _f64(x[lower] * (1.0 - share) + x[upper] * share)


def _avg_pool(node: Node, x: F64) -> F64:
    a = node.attrs
    kernel, stride, pad = a["kernel"], a["stride"], a["pads"][0]
    count = _windowed(len(x), kernel, 1, stride, pad)
    out = np.zeros((count, x.shape[1]))
    rows = _rows(x, -pad, (count - 1) * stride + kernel) if count else x
    for k in range(kernel if count else 0):
        out += rows[k : k + (count - 1) * stride + 1 : stride]
    return _f64(out / kernel)


def _depth_to_time(node: Node, x: F64) -> F64:
    factor, channels = node.attrs["factor"], x.shape[1] // node.attrs["factor"]
    if node.attrs["order"] == "time":
        return x.reshape(len(x) * factor, channels)
    return x.reshape(len(x), channels, factor).transpose(0, 2, 1).reshape(len(x) * factor, channels)


def _time_to_depth(node: Node, x: F64) -> F64:
    factor, channels, count = node.attrs["factor"], x.shape[1], len(x) // node.attrs["factor"]
    x = x[: count * factor]
    if node.attrs["order"] == "time":
        return x.reshape(count, channels * factor)
    return x.reshape(count, factor, channels).transpose(0, 2, 1).reshape(count, channels * factor)


def _softmax(node: Node, x: F64) -> F64:
    powers = np.exp(x - x.max(axis=1, keepdims=True))
    return _f64(powers / powers.sum(axis=1, keepdims=True))


def _harmonics(node: Node, phase: F64, frequency: F64) -> F64:
    sounds = frequency > 0
    room = node.attrs["limit"] / np.where(sounds, frequency, 1.0) - 1.0
    count = np.maximum(np.minimum(room, node.attrs["count"]), 1e-12)
    angle = 2.0 * np.pi * np.rint(np.mod(phase, 1.0) * 2.0**24) * 2.0**-24
    out = np.zeros_like(phase)
    for k in range(1, int(np.ceil(count.max(initial=0.0))) + 1):
        out += np.clip(count - k + 1, 0.0, 1.0) * np.cos(k * angle)
    return _f64(np.where(sounds, out * np.sqrt(2.0 / count), 0.0))


def _warp(x: F64, ratio: F64) -> F64:
    last = x.shape[1] - 1
    position = np.arange(x.shape[1]) * ratio
    position = np.clip(np.where(np.isnan(position), 0.0, position), 0.0, last)
    lower = np.floor(position).astype(np.int64)
    rows = np.arange(len(x))[:, None]
    low, high = x[rows, lower], x[rows, np.minimum(lower + 1, last)]
    return _f64(low + (high - low) * (position - lower))


def _fir(node: Node, x: F64, taps: F64, per_frame: int) -> F64:
    count = min(len(x), len(taps) * per_frame)

    def filtered(taps: F64) -> F64:
        now, out = np.repeat(taps, per_frame, axis=0)[:count], np.zeros((count, 1))
        for k in range(taps.shape[1]):
            out[:, 0] += now[:, k] * _rows(x, -k, count)[:, 0]
        return out

    now = filtered(taps)
    if not node.attrs["interpolate"]:
        return now
    before = filtered(np.concatenate([np.zeros_like(taps[:1]), taps[:-1]]))
    share = ((np.arange(count) % per_frame + 1) / per_frame)[:, None]
    return before + (now - before) * share


def _conv_bands(node: Node, x: F64) -> F64:
    a, weight = node.attrs, wide(node.weights["weight"])
    out_channels, per_group, taps, band_taps = weight.shape
    groups, bands, (before, after) = a["groups"], a["bands"], a["band_pads"]
    left = a["pads"][0]
    count = _windowed(len(x), taps, a["dilation"], 1, left)
    seen = x.reshape(len(x), bands, groups, per_group)
    seen = np.pad(seen, [(0, 0), (before, after), (0, 0), (0, 0)])
    bands_out = (seen.shape[1] - (band_taps - 1) * a["band_dilation"] - 1) // a["band_stride"] + 1
    kernel = weight.reshape(groups, out_channels // groups, per_group, taps, band_taps)
    y = np.zeros((count, bands_out, groups, out_channels // groups))
    for k in range(taps):
        frames = _rows(seen.reshape(len(x), -1), k * a["dilation"] - left, count).reshape(len(y), *seen.shape[1:])
        for b in range(band_taps):
            first = b * a["band_dilation"]
            used = frames[:, first : first + (bands_out - 1) * a["band_stride"] + 1 : a["band_stride"]]
            y += np.einsum("tfgc,goc->tfgo", used, kernel[..., k, b])
    y = y.reshape(len(y), bands_out, out_channels)
    if "bias" in node.weights:
        y = y + wide(node.weights["bias"])
    return _f64(y.reshape(len(y), -1))


def _pick(node: Node, x: F64) -> F64:
    index = np.asarray(node.attrs["index"])
    return _f64(np.where(index >= 0, x[:, index], 0.0))


def _attention(node: Node, q: F64, k: F64, v: F64) -> F64:
    heads, window = node.attrs["heads"], node.attrs["window"]
    q, k, v = (x.reshape(len(x), heads, -1) for x in (q, k, v))
    scale = node.attrs["scale"] or 1.0 / math.sqrt(q.shape[2])
    out = np.empty((len(q), heads, v.shape[2]))
    for n in range(len(q)):
        near = slice(max(n - window + 1, 0), n + 1)
        scores = np.einsum("hd,jhd->hj", q[n], k[near]) * scale
        shares = np.exp(scores - scores.max(axis=1, keepdims=True))
        out[n] = np.einsum("hj,jhd->hd", shares / shares.sum(axis=1, keepdims=True), v[near])
    return out.reshape(len(q), -1)


UNARY: dict[str, Callable[[Node, F64], F64]] = {
    "conv1d": _conv1d,
    "conv_transpose1d": _conv_transpose1d,
    "linear": _linear,
    "affine": _affine,
    "layer_norm": _layer_norm,
    "rms_norm": _rms_norm,
    "leaky_relu": lambda node, x: np.where(x >= 0, x, node.attrs["alpha"] * x),
    "elu": lambda node, x: np.where(x >= 0, x, node.attrs["alpha"] * np.expm1(np.minimum(x, 0.0))),
    "gelu": _gelu,
    "softplus": lambda node, x: np.logaddexp(0.0, node.attrs["beta"] * x) / node.attrs["beta"],
    "clip": lambda node, x: np.clip(x, node.attrs["min"], node.attrs["max"]),
    "prelu": lambda node, x: np.where(x >= 0, x, wide(node.weights["weight"]) * x),
    "snake": _snake,
    "glu": _glu,
    "slice": lambda node, x: x[:, node.attrs["start"] : node.attrs["stop"]],
    "delay": lambda node, x: _rows(x, -node.attrs["frames"], len(x)),
    "advance": lambda node, x: x[node.attrs["frames"] :],
    "upsample": _upsample,
    "avg_pool": _avg_pool,
    "depth_to_time": _depth_to_time,
    "time_to_depth": _time_to_depth,
    "softmax": _softmax,
    "phase": lambda node, x: phase(x)[0],
    "conv_bands": _conv_bands,
    "pick": _pick,
    **{op: lambda node, x: _f64(recur(node, x)[0]) for op in RECURRENT},
}

BINARY: dict[str, Callable[[F64, F64], F64]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
}


def _expand(control: F64, frames: int, length: int) -> F64:
    """Bring a control ``(hops, channels)`` to `frames` frames per hop: a ramp from the previous hop's value.

    The last frame of a hop has the hop's value; the first hop starts at its own. After the end the last value stays.
    """
    hops = -(-length // frames)
    now = control[np.minimum(np.arange(hops), len(control) - 1)]
    before = np.concatenate([now[:1], now[:-1]])
    share = (np.arange(1, frames + 1) / frames)[None, :, None]
    return _f64((before[:, None, :] + (now - before)[:, None, :] * share).reshape(hops * frames, -1)[:length])


def node_value(
    graph: Graph, node: Node, values: Mapping[str, F64], hops: int, seed: int = 0, first_hop: int = 0
) -> F64:
    """Return what a node makes of `values` over some hops; its counters stand where `first_hop` hops have gone by."""
    made = graph.values[node.name]
    if node.op == "noise":
        return noise(node, hops * made.frames, seed, first_hop * made.frames)
    inputs = [values[name] for name in node.inputs]
    if node.op == "sample":
        drawn = first_hop * made.frames
        return draw(node, inputs[0], lambda index: _words(index, seed, node.attrs["stream"]), drawn)
    if node.op == "fir":
        return _fir(node, inputs[0], inputs[1], made.frames // graph.values[node.inputs[1]].frames)
    if not made.control and len(inputs) > 1:
        controls = [graph.values[name].control for name in node.inputs]
        length = min(len(x) for x, control in zip(inputs, controls, strict=True) if not control)
        inputs = [
            _expand(x, made.frames, length) if control else x[:length]
            for x, control in zip(inputs, controls, strict=True)
        ]
    if node.op in BINARY:
        return _f64(BINARY[node.op](inputs[0], inputs[1]))
    if node.op == "film":
        return _f64(inputs[0] * (inputs[1] + node.attrs["offset"]) + inputs[2])
    if node.op == "concat":
        return _f64(np.concatenate(inputs, axis=1))
    if node.op == "attention":
        return _attention(node, inputs[0], inputs[1], inputs[2])
    if node.op == "harmonics":
        return _harmonics(node, inputs[0], inputs[1])
    if node.op == "warp":
        return _warp(inputs[0], inputs[1])
    if node.op in PLAIN:
        return PLAIN[node.op](inputs[0])
    return UNARY[node.op](node, inputs[0])


def _run(
    graph: Graph,
    signal: F64,
    controls: Mapping[str, F64],
    hops: int,
    seed: int,
    turns: Mapping[str, ArrayLike],
    recalled: Mapping[str, ArrayLike],
) -> dict[str, F64]:
    padded = np.zeros((hops * graph.hop, 1))
    padded[: len(signal), 0] = signal
    values: dict[str, F64] = {graph.input_name: padded, **controls}

    def compute(node: Node, known: Mapping[str, F64]) -> F64:
        with np.errstate(all="ignore"):
            if node.name in turns:
                return phase(_extended(_f64(turns[node.name]), known[node.inputs[0]]))[0]
            return node_value(graph, node, known, hops, seed)

    recalls, inside = looped(graph)
    left = list(graph.nodes)
    if recalls:
        names = {node.name for node in inside}
        behind: set[str] = set(names)
        for node in left:
            if behind.intersection(node.inputs):
                behind.add(node.name)
        for node in left:
            if node.name not in behind:
                values[node.name] = compute(node, values)
        frames = hops * graph.values[recalls[0].name].frames
        if set(recalled) >= {node.name for node in recalls}:
            for node in recalls:
                given = _f64(recalled[node.name]).reshape(-1, node.attrs["channels"])
                values[node.name] = _rows(given, 0, frames)
            for node in inside:
                if node.op != "recall":
                    values[node.name] = compute(node, values)
        else:
            settle(graph, values, frames, compute)
        left = [node for node in left if node.name in behind - names]
    for node in left:
        values[node.name] = compute(node, values)
    return values


def _extended(given: F64, computed: F64) -> F64:
    """Return `given` with what `computed` has beyond its end."""
    return _f64(np.concatenate([given, computed[len(given) :]]))


def control_values(graph: Graph, parameters: Mapping[str, ArrayLike], hops: int) -> dict[str, F64]:
    """Return the values of the parameters, a row for each hop, by name; the defaults where left out."""
    known = {parameter.name: parameter for parameter in graph.parameters}
    for name in parameters:
        if name not in known:
            raise ValueError(f"the graph has no parameter {name!r}; it has: {', '.join(known) or 'none'}")
    out: dict[str, F64] = {}
    for name, parameter in known.items():
        size = len(parameter.default)
        value: Any = np.asarray(parameters.get(name, parameter.default), dtype=np.float64)
        if value.ndim < 2:
            value = np.broadcast_to(value.reshape(1, -1), (max(hops, 1), value.size))
        if value.shape != (max(hops, 1), size):
            raise ValueError(f"parameter {name!r} has shape {value.shape}; it must be ({size},) or ({hops}, {size})")
        out[name] = np.array(value)
    return out


def evaluate(
    graph: Graph,
    signal: ArrayLike,
    parameters: Mapping[str, ArrayLike] | None = None,
    *,
    seed: int = 0,
    turns: Mapping[str, ArrayLike] | None = None,
    recalled: Mapping[str, ArrayLike] | None = None,
) -> dict[str, F64]:
    """Evaluate a graph offline in float64.

    Parameters
    ----------
    graph
        A graph, from `GraphBuilder.graph` or `load_graph`.
    signal
        The audio input, ``(n,)``, at the graph's sample rate; it is filled up to whole hops with zeros.
    parameters
        Values by name, ``(size,)``, or ``(hops, size)`` for a value per hop; the defaults where left out.
    seed
        The engine's 64-bit seed.
    turns
        What `phase` nodes add up instead of their computed inputs, by node, ``(n, channels)``. A sum without end keeps
        the rounding of its terms for ever: fed with the engine's own terms it can be held against the engine's sum.
    recalled
        What `recall` nodes give instead of what the loop made, by node, ``(n, channels)``: for all of them, or none.
        Fed with what the engine drew, every draw can be held against the engine's by itself; and the loop takes one run
        in place of one for each frame.

    Returns
    -------
    dict
        Every value of the graph by name, ``(hops * frames per hop, channels)``; a control has one frame per hop.
    """
    samples = np.asarray(signal, dtype=np.float64)
    if samples.ndim != 1:
        raise ValueError(f"signal has shape {samples.shape}; it must be (n,)")
    hops = -(-len(samples) // graph.hop)
    controls = control_values(graph, parameters or {}, hops)
    wanted = {name: hops * tensor.frames for name, tensor in graph.values.items()}
    extra = 0
    while extra <= _MAX_EXTRA_HOPS:
        values = _run(graph, samples, controls, hops + extra, seed, turns or {}, recalled or {})
        short = max(-(-(wanted[name] - len(values[name])) // graph.values[name].frames) for name in wanted)
        if short <= 0:
            return {name: values[name][:count] for name, count in wanted.items()}
        extra += short
    raise ValueError("the graph looks further ahead than can be evaluated")
