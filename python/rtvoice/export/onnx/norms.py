"""Normalisation and reductions over channels; over time they are refused."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np

from .ir import Array
from .layout import axes_of
from .pointwise import affine, pointwise
from .refusals import ADVICE
from .values import Value, fresh, in_order
from .walk import Call, lowers


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
    if prod(inside) != stream.index.size:
        call.refuse("normalises groups of channels", "normalise over all channels")
    if any(name for name in call.proto.output[1:]):
        used = {name for node in call.walk.source.model.graph.node for name in node.input}
        if used.intersection(call.proto.output[1:]):
            call.refuse("gives its mean or deviation to another layer", "use the normalised output only")
    call.name_after(1)
    source = in_order(stream, call.emit)
    count = source.channels
    weights: dict[str, Array | None] = {"weight": _spread(call.array(1, "scale"), inside, count)}
    if op == "layer_norm":
        weights["bias"] = _spread(call.array(2, "bias"), inside, count)
    node = call.emit.node(op, source, weights=weights, eps=float(call.attr("epsilon", 1e-5)))
    return fresh(node, stream.index.shape, stream.time, stream.lengths)


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


def _refuse_over_time(call: Call) -> Value:
    reason, advice = ADVICE[call.op]
    stream = call.stream()
    if call.op in ("Softmax", "LogSoftmax") and call.attr("axis", -1) % stream.rank == stream.time:
        reason, advice = "normalises over all time (attention)", "use convolutions, GRU or LSTM layers"
    call.refuse(reason, advice)
    raise AssertionError


lowers("Softmax", "LogSoftmax")(_refuse_over_time)
