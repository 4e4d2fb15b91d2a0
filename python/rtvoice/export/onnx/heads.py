"""The first frames of a recording, apart from the rest: `cat([x[..., :1], x[..., 1:] - a * x[..., :-1]], -1)`.

Frames of a fixed number are no stream. They may be reckoned with one by one, and joined in front of one: then the whole
is a stream again, made of the rest moved to where it belongs, and of the head while that lasts.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from .ir import Emitter, Node
from .rewrite import FRAMEWISE, copy_of
from .values import Known, Stream, Value, fresh, in_order
from .walk import Call

# What may give no number for the zeros that lie before a recording.
_FRAGILE = ("log", "reciprocal", "div", "sqrt", "rms_norm", "layer_norm")


def joined(call: Call, axis: int) -> Stream:
    """Join heads, or zeros, and one stream along time."""
    parts = list(call.inputs)
    streams = [value for value in parts if isinstance(value, Stream)]
    longest = max(value.lengths[0] for value in streams)
    rest = [place for place, value in enumerate(parts) if isinstance(value, Stream) and not _short(value, longest)]
    if len(rest) != 1 or any(value.time != axis for value in streams):
        call.refuse("joins recordings along time", "join channels instead (axis 1 of (batch, channels, time))")
    tail = parts[rest[0]]
    assert isinstance(tail, Stream)
    if any(isinstance(value, Stream) for value in parts[rest[0] + 1 :]):
        call.refuse(
            "puts frames of the recording behind its end, which a stream does not have",
            "put them in front, or leave them out",
        )
    shape = tail.index.shape
    if any(value.index.shape != shape for value in streams) or len({value.node.rate for value in streams}) > 1:
        call.refuse("joins frames of different sizes or rates along time", "bring them to one form first")
    offset, heads = 0, []
    for value in parts[: rest[0]]:
        if isinstance(value, Stream):
            heads.append((in_order(value, call.emit), offset, value.lengths[0]))
            offset += value.lengths[0]
        else:
            offset += _zeros(call, value, axis)
    behind = sum(_zeros(call, value, axis) for value in parts[rest[0] + 1 :])
    lengths = tuple(length + offset + behind for length in tail.lengths)
    if not heads:
        node = call.emit.node("delay", tail.node, frames=offset) if offset else tail.node
        return replace(tail, node=node, lengths=lengths)
    return fresh(_composed(call.emit, in_order(tail, call.emit), heads, offset), shape, axis, lengths)


def _short(stream: Stream, longest: int) -> bool:
    return stream.brief or (len(stream.lengths) == 1 and stream.lengths[0] < longest)


def _zeros(call: Call, value: Value | None, axis: int) -> int:
    array = value.constant if isinstance(value, Known) else None
    if array is None or array.any():
        call.refuse("puts numbers other than zero before or after the recording", "pad with zeros")
    assert array is not None
    return int(array.shape[axis])


def _composed(emit: Emitter, tail: Node, heads: list[tuple[Node, int, int]], offset: int) -> Node:
    """Return the tail behind `offset` frames, the first of which are those of the heads."""
    moved = _moved(emit, tail, offset, {})
    if len(heads) == 1 and heads[0][1:] == (0, offset) and _early(moved, offset) == _early(heads[0][0], offset):
        return moved  # as in a difference to the frame before: where there is none, the frame itself
    if any(node.op in _FRAGILE for node in _above(moved)):
        moved = emit.node("delay", tail, frames=offset)
    if moved.op != "delay" or moved.attrs["frames"] < offset:
        moved = emit.node("mul", moved, _from(emit, moved, offset))
    for head, first, count in heads:
        frames = emit.node("delay", head, frames=first) if first else head
        over = emit.affine(_from(emit, head, first + count), scale=np.full(1, -1.0), shift=np.ones(1))
        moved = emit.node("add", moved, emit.node("mul", frames, over))
    return moved


def _from(emit: Emitter, like: Node, frames: int) -> Node:
    """Return a stream of zeros for so many frames, and of ones from there on."""
    ones = emit.linear(emit.take(like, np.zeros(1, np.int64)), np.zeros((1, 1)), np.ones(1))
    return emit.node("delay", ones, frames=frames)


def _moved(emit: Emitter, node: Node, frames: int, done: dict[int, Node]) -> Node:
    """Return a node `frames` later, whose first frames are whatever zeros before the recording give."""
    if node.control or frames == 0:
        return node
    if id(node) not in done:
        done[id(node)] = _late(emit, node, frames, done)
    return done[id(node)]


def _late(emit: Emitter, node: Node, frames: int, done: dict[int, Node]) -> Node:
    if node.op == "advance":
        ahead = node.attrs["frames"] - frames
        if ahead == 0:
            return node.source
        return emit.node("advance" if ahead > 0 else "delay", node.source, frames=abs(ahead))
    if node.op == "delay":
        return emit.node("delay", node.source, frames=node.attrs["frames"] + frames)
    if node.op in FRAMEWISE:
        return copy_of(node, inputs=[_moved(emit, item, frames, done) for item in node.inputs])
    if node.op == "conv1d" and node.attrs.get("stride", 1) == 1:
        left, right = node.attrs["pads"]
        return copy_of(node, attrs={**node.attrs, "pads": [left + frames, right]})
    return emit.node("delay", node, frames=frames)


def _above(node: Node) -> list[Node]:
    """Return the frame-wise nodes that end in `node`."""
    found, stack = [], [node]
    while stack:
        node = stack.pop()
        if node.op in FRAMEWISE:
            found.append(node)
            stack.extend(node.inputs)
    return found


def _early(node: Node, frames: int) -> Any:
    """Return what tells a node's first `frames` frames from others; 0 where they are zeros."""
    if node.op == "delay" and node.attrs["frames"] >= frames:
        return 0
    if node.op not in FRAMEWISE:
        return id(node)
    parts = [_early(item, frames) for item in node.inputs]
    if node.op in ("add", "sub") and parts[1] == 0 and node.inputs[0].channels == node.channels:
        return parts[0]
    if node.op == "add" and parts[0] == 0 and node.inputs[1].channels == node.channels:
        return parts[1]
    bias = {"affine": "shift", "linear": "bias"}.get(node.op)
    if (node.op == "mul" and 0 in parts) or (bias is not None and bias not in node.weights and parts == [0]):
        return 0
    weights = tuple((role, array.shape, array.tobytes()) for role, array in node.weights.items())
    return (node.op, tuple(parts), repr(sorted(node.attrs.items())), weights)


def kept(stream: Stream, start: int, count: int, step: int = 1) -> str:
    """Return what is said of frames that were cut off."""
    which = f"the first {count} frames" if not start else f"frames {start} to {start + count - 1}"
    if count == 1:
        which = "the first frame" if not start else f"frame {start}"
    if step > 1:
        which = f"{count} single frames"
    return f"keeps {which} of {stream.describe()} alone, however long the recording is"


def newest_told(count: int) -> str:
    """Return what is said of the last frames of a recording."""
    told = f"keeps the newest {count} frames alone, however long the recording is"
    return f"{told}: which those are is known only at its end"
