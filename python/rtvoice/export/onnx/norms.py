"""Normalisation and reductions over channels; over time they are refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import prod

import numpy as np

from .ir import Array, Node
from .layout import axes_of
from .pointwise import affine, greatest, pointwise
from .refusals import ADVICE
from .values import Stream, Value, fresh
from .walk import Call, lowers

_MOST_GROUPS = 64  # each is an op of its own


@lowers("BatchNormalization")
def _batch_norm(call: Call) -> Value:
    if call.attr("training_mode", 0):
        call.refuse("is in training mode", "call model.eval() before the export")
    stream = call.stream()
    gamma, beta, mean, variance = (
        call.required(index, name).astype(np.float64)
        for index, name in enumerate(("scale", "bias", "mean", "variance"), 1)
    )
    call.name_after(1)
    scale = gamma / np.sqrt(variance + float(call.attr("epsilon", 1e-5)))
    if stream.rank < 2 or stream.time == 1 or stream.index.shape[1] != len(scale):
        call.refuse(f"runs over {stream.describe()} along another axis than channels", "transpose it first")
    dims = (1, len(scale), *(1,) * (stream.rank - 2))
    return affine(call, stream, scale.reshape(dims), (beta - mean * scale).reshape(dims))


@lowers("LayerNormalization")
def _layer_norm(call: Call) -> Value:
    return _norm(call, "layer_norm")


@lowers("RMSNormalization", "SimplifiedLayerNormalization")
def _rms_norm(call: Call) -> Value:
    return _norm(call, "rms_norm")


def _norm(call: Call, op: str) -> Value:
    stream = call.stream()
    axis = call.attr("axis", -1) % stream.rank
    inside = stream.index.shape[axis:]
    if stream.time is not None and stream.time >= axis:
        call.refuse("normalises over time", "normalise over channels only (transpose to (batch, time, channels))")
    if any(name for name in call.proto.output[1:]):
        used = {name for node in call.walk.source.model.graph.node for name in node.input}
        if used.intersection(call.proto.output[1:]):
            call.refuse("gives its mean or deviation to another layer", "use the normalised output only")
    call.name_after(1)
    count = prod(inside)
    weights: dict[str, Array | None] = {"weight": _spread(call.array(1, "scale"), inside, count)}
    if op == "layer_norm":
        weights["bias"] = _spread(call.array(2, "bias"), inside, count)
    eps = float(call.attr("epsilon", 1e-5))
    axes = list(range(axis, stream.rank))
    result, _ = _by_groups(call, stream, axes, lambda node: call.emit.node(op, node, weights=weights, eps=eps))
    return result


def _spread(array: Array | None, shape: tuple[int, ...], count: int) -> Array | None:
    return (
        None
        if array is None
        else np.broadcast_to(array.reshape((1,) * (len(shape) - array.ndim) + array.shape), shape).reshape(count).copy()
    )


@lowers("ReduceMean", "ReduceSum", "ReduceSumSquare", "ReduceL2", "ReduceL1")
def _reduce(call: Call) -> Value:
    stream = call.stream()
    axes = axes_of(call, stream.rank)
    if axes is None:
        if call.attr("noop_with_empty_axes", 0):
            return stream
        axes = list(range(stream.rank))
    if stream.time in axes:
        call.refuse("reduces over all time", ADVICE["GlobalAveragePool"][1])
    if call.op in ("ReduceSumSquare", "ReduceL2"):
        stream = pointwise(call, stream, "square")
    elif call.op == "ReduceL1":
        stream = pointwise(call, stream, "abs")
    kept = [size for axis, size in enumerate(stream.index.shape) if axis not in axes]
    moved = np.moveaxis(stream.index, axes, range(-len(axes), 0))
    reduced = prod(stream.index.shape[axis] for axis in axes)
    groups = moved.size // reduced
    source = call.emit.take(stream.node, moved.ravel())
    mean = call.op == "ReduceMean"
    if groups == 1 and mean:
        node = call.emit.node("channel_mean", source, channels=1)
    else:
        weight = np.kron(np.eye(groups), np.full((1, reduced), 1.0 / reduced if mean else 1.0))
        node = call.emit.linear(source, weight)
    dims = [1 if axis in axes else size for axis, size in enumerate(stream.index.shape)]
    result = fresh(node, tuple(dims), stream.time, stream.lengths)
    if not call.attr("keepdims", 1):
        time = None if stream.time is None else stream.time - sum(axis < stream.time for axis in axes)
        result = replace(result, index=result.index.reshape(kept), time=time)
    return pointwise(call, result, "sqrt") if call.op == "ReduceL2" else result


def _by_groups(
    call: Call, stream: Stream, axes: list[int], make: Callable[[Node], Node]
) -> tuple[Stream, tuple[int, ...]]:
    """Run an op over all numbers along `axes`, for each place along the other axes apart.

    Returns the result and the sizes along `axes`.
    """
    rest = [axis for axis in range(stream.rank) if axis not in axes]
    inside = tuple(stream.index.shape[axis] for axis in axes)
    moved = stream.index.transpose([*rest, *axes])
    groups = moved.reshape(-1, prod(inside))
    if len(groups) > _MOST_GROUPS:
        call.refuse(f"runs over {len(groups)} groups of channels apart", f"use at most {_MOST_GROUPS} groups")
    parts = [make(call.emit.take(stream.node, group)) for group in groups]
    node = parts[0] if len(parts) == 1 else call.emit.node("concat", *parts, channels=groups.size)
    back = np.argsort([*rest, *axes])
    index = np.arange(node.channels).reshape(moved.shape).transpose(back)
    return Stream(node, index, stream.time, stream.lengths), inside


@lowers("Softmax", "LogSoftmax")
def _softmax(call: Call) -> Value:
    stream = call.stream()
    old = call.opset < 13  # all axes from that one on, then
    axis = call.attr("axis", 1 if old else -1) % stream.rank
    axes = list(range(axis, stream.rank)) if old else [axis]
    if stream.time in axes:
        call.refuse("normalises over all time (attention)", "use convolutions, GRU or LSTM layers")
    if call.op == "LogSoftmax":
        return _by_groups(call, stream, axes, lambda node: _log_softmax(call, node))[0]
    return _by_groups(call, stream, axes, lambda node: call.emit.node("softmax", node))[0]


def _log_softmax(call: Call, node: Node) -> Node:
    """Return x - max - log(sum(exp(x - max))): 104 below the greatest, the log of a softmax is that of 0 in float32."""
    emit, top = call.emit, node
    while top.channels > 1:  # halves against each other
        half = top.channels // 2
        a, b = emit.take(top, np.arange(half)), emit.take(top, np.arange(half, 2 * half))
        greater = emit.node("add", emit.node("relu", emit.node("sub", a, b)), b)
        last = emit.take(top, np.arange(2 * half, top.channels)) if top.channels % 2 else None
        top = greater if last is None else emit.node("concat", greater, last, channels=half + 1)
    below = emit.node("sub", node, top)
    total = emit.linear(emit.node("exp", below), np.ones((1, node.channels)))
    return emit.node("sub", below, emit.node("log", total))


@lowers("CumSum")
def _cumsum(call: Call) -> Value:
    stream = call.stream()
    axis = int(call.required(1, "axis").ravel()[0]) % stream.rank
    if axis != stream.time:
        size = stream.index.shape[axis]
        matrix = np.triu(np.ones((size, size)), 1 if call.attr("exclusive", 0) else 0)
        index = np.moveaxis(stream.index, axis, -1)
        source = call.emit.take(stream.node, index.ravel())
        count = index.size // size
        node = call.emit.linear(source, np.kron(np.eye(count), (matrix.T if call.attr("reverse", 0) else matrix).T))
        made = np.moveaxis(np.arange(index.size).reshape(index.shape), -1, axis)
        return Stream(node, made, stream.time, stream.lengths)
    if call.attr("reverse", 0):
        call.refuse("adds up from the end of the recording", "add up forwards (reverse=0)")
    node = call.emit.node("leaky_sum", stream.node, weights={"decay": np.ones(1, np.float32)})
    if call.attr("exclusive", 0):
        node = call.emit.node("delay", node, frames=1)
    return stream.over(node)


@lowers("ReduceMax", "ReduceMin")
def _reduce_extreme(call: Call) -> Value:
    stream = call.stream()
    axes = axes_of(call, stream.rank) or list(range(stream.rank))
    if stream.time in axes:
        call.refuse("takes the greatest or least of all time", ADVICE["GlobalMaxPool"][1])
    rest = [axis for axis in range(stream.rank) if axis not in axes]
    flat = stream.index.transpose([*rest, *axes]).reshape(*(stream.index.shape[axis] for axis in rest), -1)
    dims = [1 if axis in axes else size for axis, size in enumerate(stream.index.shape)]
    time = stream.time
    if not call.attr("keepdims", 1):
        dims = [size for axis, size in enumerate(dims) if axis not in axes]
        time = None if time is None else time - sum(axis < time for axis in axes)
    sign = -1.0 if call.op == "ReduceMin" else 1.0
    apart = affine(call, Stream(stream.node, flat.reshape(*dims, -1), time, stream.lengths), sign)
    return affine(call, greatest(call, apart), sign)


@lowers("InstanceNormalization", "GroupNormalization")
def _group_norm(call: Call) -> Value:
    """Normalise the channels of a frame in groups; where time is inside a group, a stream cannot."""
    stream = call.stream()
    scale, bias = call.required(1, "scale"), call.required(2, "bias")
    channels = stream.index.shape[1] if stream.rank > 1 else 0
    groups = channels if call.op == "InstanceNormalization" else int(call.attr("num_groups", 1))
    if stream.time is not None and stream.time > 0:
        call.refuse(*ADVICE[call.op])
    if stream.rank < (2 if call.op == "GroupNormalization" else 3) or channels % groups:
        call.refuse(f"normalises {stream.describe()} in {groups} groups of channels", "export it again")
    shape = stream.index.shape
    split = stream.index.reshape(shape[0], groups, -1)
    view = Stream(stream.node, split, stream.time, stream.lengths)
    eps = float(call.attr("epsilon", 1e-5))
    result, _ = _by_groups(call, view, [2], lambda node: call.emit.node("layer_norm", node, eps=eps))
    result = replace(result, index=result.index.reshape(shape))
    per = len(scale) if len(scale) == channels else groups
    if len(scale) != channels:  # until opset 21 a group has one scale
        scale, bias = np.repeat(scale, channels // per), np.repeat(bias, channels // per)
    dims = (1, channels, *(1,) * (stream.rank - 2))
    return affine(call, result, scale.reshape(dims), bias.reshape(dims))
