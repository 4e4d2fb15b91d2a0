"""Attention over a bounded past, as exporters write it: scores of queries and keys, a mask, Softmax, a sum of values.

The scores are a square of time by time, which no stream holds. They are followed as a value of their own through the
operators between the two products; what the mask leaves open must be a band along the diagonal.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from .ir import Array
from .layout import padded_rank
from .symbols import beyond
from .values import Known, Scores, Stream, Value
from .walk import SCORES, Call, RefusalError

_BLOCKED = -1e4  # exp of it is 0 in float32, and so is that of all that exporters and people write below it
TOO_SHORT = "attends to all of the past, without bound"
_WINDOW = "let each frame attend to a bounded past: mask all keys with j > i or j <= i - N"
_PLAIN = "scale, mask and Softmax are all that may stand between the two products"
_MASKED = "mask with 0 and -inf, the same for all heads"


@dataclass(frozen=True)
class Band:
    """Which frames a query sees: from so many back to so many ahead."""

    back: int
    ahead: int


def scores(q: Stream, k: Stream) -> Scores:
    """Multiply queries, (..., time, channels), with keys, (..., channels, time)."""
    rank = max(q.rank, k.rank)
    q, k = padded_rank(q, rank), padded_rank(k, rank)
    if q.node.rate != k.node.rate:
        raise RefusalError("compares frames of different rates", "bring queries and keys to one rate first")
    if q.index.shape[-1] != k.index.shape[-2]:
        raise RefusalError(f"multiplies {q.describe()} with {k.describe()}", "export it again")
    if q.lengths != k.lengths:
        raise RefusalError("attends to a sequence of another length", "give queries and keys the same frames")
    return Scores(q, k)


def _lowers(*ops: str) -> Callable[[Callable[[Call], Value]], Callable[[Call], Value]]:
    def register(handler: Callable[[Call], Value]) -> Callable[[Call], Value]:
        for op in ops:
            SCORES[op] = handler
        return handler

    return register


def _the(call: Call) -> Scores:
    found = [value for value in call.inputs if isinstance(value, Scores)]
    if len(found) != 1:
        call.refuse("joins two tables of scores", _PLAIN)
    return found[0]


@_lowers("Identity", "Cast", "CastLike", "Dropout")
def _unchanged(call: Call) -> Value:
    return _the(call)


@_lowers("IsNaN")
def _never(call: Call) -> Value:
    """Tell that no row is empty: each must see itself, which the band below sees to."""
    return Known((np.zeros((), np.bool_),))


@_lowers("Mul", "Div")
def _scaled(call: Call) -> Value:
    table, other = _the(call), next((value for value in call.inputs if isinstance(value, Known)), None)
    number = other.constant if other is not None else None
    if number is None or number.size != 1 or table.shares or (call.op == "Div" and call.inputs[0] is other):
        call.refuse("weighs the scores of frames apart", _PLAIN)
    assert number is not None
    factor = float(number.ravel()[0])
    if not (np.isfinite(factor) and factor > 0.0) or table.blocked:
        call.refuse("scales masked scores, or by a number that is not above 0", "scale the queries instead")
    return replace(table, scale=table.scale * (factor if call.op == "Mul" else 1.0 / factor))


@_lowers("Add", "Sub")
def _masked_by_sum(call: Call) -> Value:
    table, other = _the(call), next((value for value in call.inputs if isinstance(value, Known)), None)
    if other is None or table.shares or (call.op == "Sub" and call.inputs[0] is other):
        call.refuse("adds a signal to the scores (a learned or relative position)", _PLAIN)
    assert other is not None
    sign = -1.0 if call.op == "Sub" else 1.0
    _check_mask(call, other)
    blocked = []
    for probe in range(call.probes):
        numbers = other.at(probe)  # as large as time by time: no copy of it
        shut = numbers <= _BLOCKED if sign > 0 else numbers >= -_BLOCKED
        if np.count_nonzero(numbers) != np.count_nonzero(shut):
            call.refuse("adds numbers that depend on the distance (a position bias)", _MASKED)
        blocked.append(shut)
    return _blocking(call, table, blocked)


@_lowers("Where")
def _masked_by_choice(call: Call) -> Value:
    table, condition = _the(call), call.inputs[0]
    if not isinstance(condition, Known):
        call.refuse("masks by the signal", _MASKED)
    assert isinstance(condition, Known)
    _check_mask(call, condition)
    first = call.inputs[1] is table
    fill = call.inputs[2 if first else 1]
    numbers = fill.constant if isinstance(fill, Known) else None
    masks = [condition.at(probe).astype(bool) for probe in range(call.probes)]
    shut = [~mask if first else mask for mask in masks]
    if not any(mask.any() for mask in shut):
        return table
    if numbers is None or numbers.size != 1 or table.shares or not float(numbers.ravel()[0]) <= _BLOCKED:
        call.refuse("puts other numbers than -inf in place of scores", _MASKED)
    return _blocking(call, table, shut)


def _check_mask(call: Call, mask: Known) -> None:
    """Refuse a mask that is another one for longer recordings than those followed."""
    told = None if mask.symbol is None else beyond(mask.symbol, remainders=False)
    if told:
        call.refuse(f"has a mask that {told}", _WINDOW)


def _blocking(call: Call, table: Scores, shut: list[Array]) -> Scores:
    """Add to what is blocked, (time, time) for each probe; a mask must be the same for all heads."""
    found = []
    for probe, mask in enumerate(shut):
        length = table.q.lengths[probe]
        flat = mask.reshape((1,) * max(0, 2 - mask.ndim) + mask.shape)
        rows = flat.reshape(-1, *flat.shape[-2:])
        if not (rows == rows[:1]).all():
            call.refuse("masks each head in its own way", _MASKED)
        if any(size not in (1, length) for size in rows.shape[1:]):
            call.refuse(f"masks {rows.shape[1:]} scores of {length} frames", "make the mask as long as the recording")
        square = np.broadcast_to(rows[0], (length, length))
        found.append(square | table.blocked[probe] if table.blocked else square)
    return replace(table, blocked=tuple(found))


@_lowers("Softmax")
def _softmax(call: Call) -> Value:
    table = _the(call)
    if table.shares or call.attr("axis", 1 if call.opset < 13 else -1) % table.rank != table.rank - 1:
        call.refuse("normalises the scores along another axis than the keys", "use softmax(dim=-1)")
    band = _band(call, table)
    return replace(table, blocked=(), shares=True, back=band.back, ahead=band.ahead)


def _band(call: Call, table: Scores) -> Band:
    if not table.blocked:
        call.refuse("attends to the whole recording, the frames to come among them", _WINDOW)
    bands = set()
    for mask in table.blocked:
        count = len(mask)
        band = Band(count - 1 - int(mask[-1].argmin()), count - 1 - int(mask[0, ::-1].argmin()))
        open_ = np.tri(count, k=band.ahead, dtype=np.bool_)
        open_ &= ~np.tri(count, k=-band.back - 1, dtype=np.bool_)
        if mask[-1, -1] or mask[0, 0] or not (mask != open_).all():
            call.refuse("has a mask that is no band along time (blocks, or single frames left out)", _WINDOW)
        bands.add(band)
    length = min(table.q.lengths)
    if max(band.back for band in bands) >= length - 1:
        call.refuse(TOO_SHORT, _WINDOW)
    if max(band.ahead for band in bands) >= length - 1 or len(bands) > 1:
        call.refuse("attends to frames that the length of the recording decides", _WINDOW)
    return bands.pop()


@_lowers("MatMul")
def _mixed(call: Call) -> Value:
    table, v = call.inputs[0], call.inputs[1]
    if not isinstance(table, Scores) or not isinstance(v, Stream) or not table.shares:
        call.refuse("multiplies scores otherwise than Softmax(scores) with values", _PLAIN)
    assert isinstance(table, Scores) and isinstance(v, Stream)
    return mixed(call, table, v)


def mixed(call: Call, table: Scores, v: Stream) -> Stream:
    """Sum the values, (..., time, channels), by the shares."""
    rank = max(table.rank, v.rank)
    q, k, v = padded_rank(table.q, rank), padded_rank(table.k, rank), padded_rank(v, rank)
    if v.time != rank - 2:
        call.refuse(f"sums {v.describe()} over another axis than time", "give the values as (..., time, channels)")
    if v.node.rate != q.node.rate or v.lengths != q.lengths:
        call.refuse("sums frames of another rate", "bring queries, keys and values to one rate first")
    lead = np.broadcast_shapes(*(item.index.shape[:-2] for item in (q, k, v)))
    if q.node.control or k.node.control or v.node.control:
        call.refuse("attends to numbers that a host sets", "let queries, keys and values come from the signal")
    heads, inner, outer = prod(lead), q.index.shape[-1], v.index.shape[-1]
    emit = call.emit
    queries = emit.take(q.node, np.broadcast_to(q.index[..., 0, :], (*lead, inner)))
    keys = emit.take(k.node, np.broadcast_to(k.index[..., :, 0], (*lead, inner)))
    values = emit.take(v.node, np.broadcast_to(v.index[..., 0, :], (*lead, outer)))
    if table.ahead:
        queries = emit.node("delay", queries, frames=table.ahead)
    node = emit.node(
        "attention",
        queries,
        keys,
        values,
        channels=heads * outer,
        heads=heads,
        window=table.back + table.ahead + 1,
        scale=table.scale,
    )
    if table.ahead:
        node = emit.node("advance", node, frames=table.ahead)
    return Stream(node, np.arange(heads * outer).reshape(*lead, 1, outer), rank - 2, q.lengths)
