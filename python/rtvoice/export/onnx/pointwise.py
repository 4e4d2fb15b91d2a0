"""Pointwise operators and arithmetic, with ONNX's broadcasting brought down to channels."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from .ir import Array, Course, Node, may_overflow
from .layout import padded_rank, steady
from .refusals import ADVICE
from .values import Known, Stream, Value, fresh, in_order
from .walk import Call, RefusalError, lowers

_MAX = 3.4028234663852886e38
_UNARY = {
    "Relu": "relu", "Tanh": "tanh", "Sigmoid": "sigmoid", "Exp": "exp", "Log": "log", "Sqrt": "sqrt", "Abs": "abs",
    "Neg": "neg", "Reciprocal": "reciprocal", "Sin": "sin", "Cos": "cos", "Softplus": "softplus", "Erf": "erf",
}  # fmt: skip


def pointwise(call: Call, stream: Stream, op: str, **attrs: Any) -> Stream:
    """Apply a pointwise op to a stream, through its view where that costs nothing."""
    stream = compact(call, stream)
    return stream.over(call.emit.node(op, stream.node, **attrs))


def compact(call: Call, stream: Stream) -> Stream:
    """Return the stream over a node that has no more channels than are looked at."""
    if stream.whole:
        return stream
    return fresh(in_order(stream, call.emit), stream.index.shape, stream.time, stream.lengths)


def affine(
    call: Call, stream: Stream, scale: Array | float | None = None, shift: Array | float | None = None
) -> Stream:
    """Scale and shift by constants that broadcast against the ONNX shape."""
    arrays = [None if item is None else np.asarray(item, np.float64) for item in (scale, shift)]
    for item in arrays:
        if item is not None and not np.isfinite(item).all():
            raise RefusalError("uses a constant that is not finite", "replace it by a finite one")
    rank = max([stream.rank, *(item.ndim for item in arrays if item is not None)])
    stream = padded_rank(stream, rank)
    flat = [None if item is None else item.reshape((1,) * (rank - item.ndim) + item.shape) for item in arrays]
    shape = np.broadcast_shapes(stream.index.shape, *(item.shape for item in flat if item is not None))
    idle = (flat[0] is None or (flat[0] == 1.0).all()) and (flat[1] is None or (flat[1] == 0.0).all())
    if idle and shape == stream.index.shape:
        return stream
    if all(item is None or item.size == 1 for item in flat) and shape == stream.index.shape:
        stream = compact(call, stream)
        return stream.over(call.emit.affine(stream.node, scale=flat[0], shift=flat[1]))
    wide = compact(call, replace(stream, index=np.broadcast_to(stream.index, shape)))
    vectors: list[Array | None] = []
    for item in flat:
        if item is None:
            vectors.append(None)
            continue
        vector = np.empty(wide.node.channels)
        vector[wide.index] = np.broadcast_to(item, shape)
        vectors.append(vector)
    return wide.over(call.emit.affine(wide.node, scale=vectors[0], shift=vectors[1]))


def constant_stream(call: Call, value: Known, like: Stream) -> Stream:
    """Return a constant as a stream beside `like`: each frame holds the same numbers."""
    array = steady(value, like)
    array = array.reshape((1,) * (like.rank - array.ndim) + array.shape)
    first = call.emit.take(like.node, np.zeros(1, np.int64))
    node = call.emit.linear(first, np.zeros((array.size, 1)), array.ravel().astype(np.float64))
    return fresh(node, array.shape, like.time, like.lengths)


@lowers(*_UNARY)
def _unary(call: Call) -> Value:
    return pointwise(call, call.stream(), _UNARY[call.op])


@lowers("LeakyRelu")
def _leaky(call: Call) -> Value:
    return pointwise(call, call.stream(), "leaky_relu", alpha=float(call.attr("alpha", 0.01)))


@lowers("Elu")
def _elu(call: Call) -> Value:
    return pointwise(call, call.stream(), "elu", alpha=float(call.attr("alpha", 1.0)))


@lowers("Selu")
def _selu(call: Call) -> Value:
    alpha, gamma = float(call.attr("alpha", 1.6732632)), float(call.attr("gamma", 1.050701))
    return affine(call, pointwise(call, call.stream(), "elu", alpha=alpha), gamma)


@lowers("Celu")
def _celu(call: Call) -> Value:
    alpha = float(call.attr("alpha", 1.0))
    return affine(call, pointwise(call, affine(call, call.stream(), 1.0 / alpha), "elu", alpha=1.0), alpha)


@lowers("Gelu")
def _gelu(call: Call) -> Value:
    return pointwise(call, call.stream(), "gelu", approximate=call.attr("approximate", "none"))


@lowers("Swish")
def _swish(call: Call) -> Value:
    alpha = float(call.attr("alpha", 1.0))
    if alpha == 1.0:
        return pointwise(call, call.stream(), "silu")
    stream = compact(call, call.stream())
    gate = pointwise(call, affine(call, stream, alpha), "sigmoid")
    return stream.over(call.emit.node("mul", stream.node, gate.node))


@lowers("Mish")
def _mish(call: Call) -> Value:
    stream = compact(call, call.stream())
    gate = call.emit.node("tanh", call.emit.node("softplus", stream.node))
    return stream.over(call.emit.node("mul", stream.node, gate))


@lowers("Softsign")
def _softsign(call: Call) -> Value:
    stream = compact(call, call.stream())
    below = call.emit.affine(call.emit.node("abs", stream.node), shift=np.ones(1))
    return stream.over(call.emit.node("div", stream.node, below))


@lowers("HardSigmoid")
def _hard_sigmoid(call: Call) -> Value:
    stream = affine(call, call.stream(), float(call.attr("alpha", 0.2)), float(call.attr("beta", 0.5)))
    return pointwise(call, stream, "clip", min=0.0, max=1.0)


@lowers("HardSwish")
def _hard_swish(call: Call) -> Value:
    stream = compact(call, call.stream())
    gate = pointwise(call, affine(call, stream, 1.0 / 6.0, 0.5), "clip", min=0.0, max=1.0)
    return stream.over(call.emit.node("mul", stream.node, gate.node))


@lowers("PRelu")
def _prelu(call: Call) -> Value:
    slope = call.required(1, "slope")
    stream = compact(call, call.stream())
    slope = steady(Known((slope,)), stream)
    vector = np.empty(stream.node.channels, slope.dtype)
    vector[stream.index] = np.broadcast_to(slope, stream.index.shape)
    call.name_after(1)
    weight = vector[:1] if (vector == vector[0]).all() else vector
    return stream.over(call.emit.node("prelu", stream.node, weights={"weight": weight}))


@lowers("Clip")
def _clip(call: Call) -> Value:
    limits = []
    for index, (name, default) in enumerate((("min", -_MAX), ("max", _MAX)), 1):
        array = call.array(index, name)
        limits.append(float(array.ravel()[0]) if array is not None else float(call.attr(name, default)))
    low, high = (float(np.clip(limit, -_MAX, _MAX)) for limit in limits)
    return pointwise(call, call.stream(), "clip", min=low, max=high)


_HIGHEST = 64  # power, by squares and products: each rounds, and float32 holds numbers up to 2^128


@lowers("Pow")
def _pow(call: Call) -> Value:
    base, exponent = call.inputs[0], call.inputs[1]
    if isinstance(base, Known):
        number = base.constant
        if number is None or not (number > 0).all():
            call.refuse("raises a constant that is not positive to a power", "use Exp")
        assert number is not None
        return pointwise(call, affine(call, call.stream(1), np.log(number.astype(np.float64))), "exp")
    array = exponent.constant if isinstance(exponent, Known) else None
    if array is None or not (array == array.ravel()[0]).all():
        call.refuse("has an exponent that is not one constant", "use Exp and Log")
    assert array is not None
    return power(call, call.stream(), float(array.ravel()[0]))


def power(call: Call, stream: Stream, exponent: float) -> Stream:
    """Raise to a constant power, by ops that are defined wherever the power is."""
    if exponent == 1.0:
        return stream
    if exponent == 0.0:
        return affine(call, stream, 0.0, 1.0)
    if exponent < 0.0:
        return pointwise(call, power(call, stream, -exponent), "reciprocal")
    if exponent == 0.5:
        return pointwise(call, stream, "sqrt")
    if exponent.is_integer() and exponent > _HIGHEST:
        call.refuse(
            f"raises a signal to the power of {exponent:g}, which is 0 or without end for all but numbers near 1",
            f"use a power of {_HIGHEST} at most, or Exp of a product",
        )
    if exponent.is_integer():
        if exponent % 2 == 0:
            return pointwise(call, power(call, stream, exponent / 2), "square")
        stream = compact(call, stream)
        rest = power(call, stream, exponent - 1)
        return stream.over(call.emit.node("mul", stream.node, rest.node))
    return pointwise(call, affine(call, pointwise(call, stream, "log"), exponent), "exp")


@lowers("Add", "Sub", "Mul", "Div")
def _arithmetic(call: Call) -> Value:
    stream, below = call.inputs[:2]
    if call.op == "Div" and isinstance(stream, Stream) and isinstance(below, Known):
        from .overlap import counted

        count = counted(call, below, stream)
        if count is not None:
            return arithmetic(call, "div", stream, count)
    return arithmetic(call, call.op.lower(), call.inputs[0], call.inputs[1])


@lowers("Sum", "Mean")
def _sum(call: Call) -> Value:
    total = call.inputs[0]
    for value in call.inputs[1:]:
        total = arithmetic(call, "add", total, value)
    assert isinstance(total, Stream)
    return affine(call, total, 1.0 / len(call.inputs)) if call.op == "Mean" else total


@lowers("Max", "Min")
def _extreme(call: Call) -> Value:
    result = call.inputs[0]
    for value in call.inputs[1:]:
        if isinstance(result, Known):
            result, value = value, result
        assert isinstance(result, Stream)
        array = value.constant if isinstance(value, Known) else None
        if array is not None and array.size == 1:
            limit = float(array.ravel()[0])
            low, high = (limit, _MAX) if call.op == "Max" else (-_MAX, limit)
            plain = call.op == "Max" and limit == 0.0
            result = pointwise(call, result, "relu") if plain else pointwise(call, result, "clip", min=low, max=high)
            continue
        result = greater(call, result, value) if call.op == "Max" else lesser(call, result, value)
    assert isinstance(result, Stream)
    return result


def greater(call: Call, a: Stream, b: Value | None) -> Stream:
    """Return the greater of two at each place, exactly: relu(a - b) + b loses the digits of the smaller magnitude."""
    return choice(call, pointwise(call, arithmetic(call, "sub", a, b), "positive"), a, b)


def lesser(call: Call, a: Stream, b: Value | None) -> Stream:
    """Return the lesser of two at each place, exactly."""
    return choice(call, pointwise(call, arithmetic(call, "sub", b, a), "positive"), a, b)


def maximum(call: Call, streams: list[Stream]) -> Stream:
    """Return the greatest of several streams."""
    while len(streams) > 1:
        pairs = [greater(call, a, b) for a, b in zip(streams[::2], streams[1::2], strict=False)]
        streams = pairs + streams[len(pairs) * 2 :]
    return streams[0]


def greatest(call: Call, stream: Stream) -> Stream:
    """Return the greatest along the last axis, which is not time: halves are held against each other."""
    while stream.index.shape[-1] > 1:
        half = -(-stream.index.shape[-1] // 2)  # of an odd number the middle one is in both
        first, second = (replace(stream, index=part) for part in (stream.index[..., :half], stream.index[..., -half:]))
        stream = greater(call, first, second)
    return replace(stream, index=stream.index[..., 0])


@lowers("Greater", "GreaterOrEqual", "Less", "LessOrEqual")
def _compare(call: Call) -> Value:
    # a >= b is not (b > a): what is equal counts, as silence is to a threshold of 0.
    first, second = call.inputs[0], call.inputs[1]
    if call.op in ("Less", "GreaterOrEqual"):
        first, second = second, first
    above = pointwise(call, arithmetic(call, "sub", first, second), "positive")
    return affine(call, above, -1.0, 1.0) if call.op.endswith("OrEqual") else above


@lowers("Not")
def _not(call: Call) -> Value:
    return affine(call, call.stream(), -1.0, 1.0)


@lowers("And", "Or")
def _logic(call: Call) -> Value:
    if call.op == "And":
        return arithmetic(call, "mul", call.inputs[0], call.inputs[1])
    neither = arithmetic(call, "mul", *(_inverse(call, value) for value in call.inputs[:2]))
    return affine(call, neither, -1.0, 1.0)


def _inverse(call: Call, value: Value | None) -> Value | None:
    if isinstance(value, Known):
        return Known(tuple(1.0 - array for array in value.arrays))
    return affine(call, value, -1.0, 1.0) if isinstance(value, Stream) else value


def _is_not(node: Node) -> bool:
    scale, shift = node.weights.get("scale"), node.weights.get("shift")
    return (
        node.op == "affine"
        and node.source.op == "positive"
        and scale is not None
        and shift is not None
        and bool((scale == -1.0).all() and (shift == 1.0).all())
    )


@lowers("Where")
def _where(call: Call) -> Value:
    condition = call.inputs[0]
    if not isinstance(condition, Stream):
        call.refuse(*ADVICE["Where"])
    assert isinstance(condition, Stream)
    first, second = call.inputs[1:3]
    if _is_not(condition.node):
        condition, first, second = condition.over(condition.node.source), second, first
    return choice(call, condition, first, second)


def choice(call: Call, condition: Stream, first: Value | None, second: Value | None) -> Stream:
    """Return `first` where the condition is 1 and `second` where it is 0."""
    if condition.node.op != "positive" or any(
        isinstance(value, Stream) and value.index.shape != condition.index.shape for value in (first, second)
    ):
        # c * a + (1 - c) * b, with 1 and 0 for the condition: exact, which b + c * (a - b) is not
        if isinstance(first, Known) and isinstance(second, Known):
            first = affine(call, condition, 0.0, steady(first, condition))
        other = affine(call, condition, -1.0, 1.0)
        chosen, rest = (
            arithmetic(call, "mul", share, _held(call, side)) for share, side in ((condition, first), (other, second))
        )
        return arithmetic(call, "add", chosen, rest)
    sides = []
    for value in (first, second):
        side = affine(call, condition, 0.0, steady(value, condition)) if isinstance(value, Known) else value
        if not isinstance(side, Stream) or side.index.shape != condition.index.shape:
            call.refuse(*ADVICE["Where"])
        assert isinstance(side, Stream)
        sides.append(in_order(side, call.emit))
    node = call.emit.node("where", in_order(condition, call.emit), *sides)
    return fresh(node, condition.index.shape, condition.time, condition.lengths)


def _held(call: Call, value: Value | None) -> Value | None:
    """Keep what may overflow within float32: 0 times infinity would be no number where it is not chosen."""
    if isinstance(value, Stream) and may_overflow(value.node):
        return pointwise(call, value, "clip", min=-_MAX, max=_MAX)
    return value


def _course(call: Call, value: Known, stream: Stream) -> Course | None:
    """Return numbers that change along time only, as linear interpolation has them."""
    found = []
    for probe in range(len(stream.lengths)):
        array, axis = value.at(probe), stream.time
        axis = None if axis is None else axis - stream.rank + array.ndim
        if axis is None or axis < 0 or array.size <= 1 or array.shape[axis] != array.size:
            return None
        found.append(array.ravel())
    if all((array == array[0]).all() for array in found):
        return None
    call.followed(value, "weights along time")
    return Course(found)


def arithmetic(call: Call, op: str, a: Value | None, b: Value | None) -> Stream:
    """Add, subtract, multiply or divide; a constant on either side becomes scale and shift."""
    for stream, value in ((a, b), (b, a)):
        if op == "mul" and isinstance(stream, Stream) and isinstance(value, Known):
            course = _course(call, value, stream)
            if course is not None:
                return stream.over(call.emit.node("mul_time", stream.node, numbers=course))
    if isinstance(a, Stream) and isinstance(b, Stream):
        return _between(call, op, a, b)
    if isinstance(a, Stream) and isinstance(b, Known):
        number = steady(b, a).astype(np.float64)
        if op == "div":
            if not number.all():
                raise RefusalError("divides by zero", "correct the constant")
            number = 1.0 / number
        return (
            affine(call, a, number)
            if op in ("mul", "div")
            else affine(call, a, None, number if op == "add" else -number)
        )
    if not isinstance(a, Known) or not isinstance(b, Stream):
        raise RefusalError("has no signal among its inputs", "export it again")
    number = steady(a, b).astype(np.float64)
    if op == "add":
        return affine(call, b, None, number)
    if op == "mul":
        return affine(call, b, number)
    if op == "sub":
        return affine(call, b, -1.0, number)
    return affine(call, pointwise(call, b, "reciprocal"), number)


def _between(call: Call, op: str, a: Stream, b: Stream) -> Stream:
    rank = max(a.rank, b.rank)
    a, b = padded_rank(a, rank), padded_rank(b, rank)
    times = {item.time for item in (a, b) if item.time is not None}
    if len(times) > 1:
        raise RefusalError(
            f"meets {a.describe()} with {b.describe()}: time lies on different axes", "transpose one of them"
        )
    if not a.node.control and not b.node.control and a.node.rate != b.node.rate:
        raise RefusalError("meets streams of different frame rates", "bring them to one rate first")
    lead = a if a.time is not None or b.time is None else b
    shape = np.broadcast_shapes(a.index.shape, b.index.shape)
    views = [np.broadcast_to(item.index, shape) for item in (a, b)]
    if a.whole and shape == a.index.shape == b.index.shape:
        # The second side is brought into the order of the first, whatever that is.
        order = np.empty(a.node.channels, np.int64)
        order[a.index.ravel()] = b.index.ravel()
        if a.node.channels > 1:
            other = call.emit.take(b.node, order[:1] if (order == order[0]).all() else order)
            node = call.emit.node(op, a.node, other, channels=a.node.channels)
            return Stream(node, a.index, lead.time, lead.lengths)
    same = a.whole and b.whole and views[0].shape == a.index.shape == b.index.shape and (views[0] == views[1]).all()
    if same:
        node = call.emit.node(op, a.node, b.node)
        return Stream(node, a.index, lead.time, lead.lengths)
    node = call.emit.node(op, _side(call, a.node, views[0]), _side(call, b.node, views[1]), channels=None)
    if node.channels < views[0].size:  # both sides are one channel, seen several times
        return Stream(node, np.zeros(shape, np.int64), lead.time, lead.lengths)
    return fresh(node, shape, lead.time, lead.lengths)


def _side(call: Call, node: Node, view: Array) -> Node:
    """Return one side of an operation; one channel against many is left to the op's own broadcasting."""
    flat = view.ravel()
    return call.emit.take(node, flat[:1] if (flat == flat[0]).all() else flat)
