"""Operators that only rearrange axes: no computation, unless frames are packed into channels or unpacked."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np

from .ir import Array, IndexArray, Node
from .refusals import BFLOAT16, FIXED, FROZEN, NO_LENGTH
from .symbols import beyond
from .values import Known, Stream, Value, fresh
from .walk import Call, RefusalError, lowers, shape_of, size_of


@lowers("Identity", "Dropout")
def _identity(call: Call) -> Value:
    training = call.array(2, "training mode") if call.op == "Dropout" else None
    if training is not None and training.any():
        call.refuse("is in training mode", "call model.eval() before the export")
    return call.stream()


@lowers("Cast", "CastLike")
def _cast(call: Call) -> Value:
    like = call.array(1, "type") if call.op == "CastLike" else None
    if call.attr("to", 1) == 16 or (like is not None and like.dtype.name == "bfloat16"):
        call.refuse(*BFLOAT16)
    # FLOAT, FLOAT16, DOUBLE; the arithmetic stays float32 whichever is asked for.
    if call.op == "Cast" and call.attr("to") not in (1, 10, 11) and not _is_truth(call.stream().node):
        call.refuse("turns the signal into integers", "keep the signal floating")
    return call.stream()


def _is_truth(node: Node) -> bool:
    """Tell whether a node makes only 0 and 1: comparisons and what is made of them."""
    if node.op == "affine":
        scale, shift = node.weights.get("scale"), node.weights.get("shift")
        inverts = scale is not None and shift is not None and (scale == -1.0).all() and (shift == 1.0).all()
        return bool(inverts) and _is_truth(node.source)
    return node.op == "positive" or (node.op in ("mul", "pick", "slice") and all(map(_is_truth, node.inputs)))


@lowers("Shape")
def _shape(call: Call) -> Value:
    return shape_of(call, call.attr("start", 0), call.attr("end", None))


@lowers("Size")
def _size(call: Call) -> Value:
    return size_of(call)


@lowers("Transpose")
def _transpose(call: Call) -> Value:
    stream = call.stream()
    order = call.attr("perm", list(reversed(range(stream.rank))))
    time = None if stream.time is None else list(order).index(stream.time)
    return replace(stream, index=stream.index.transpose(order), time=time)


def axes_of(call: Call, rank: int, index: int = 1, name: str = "axes") -> list[int] | None:
    """Return the axes of an operator, an attribute once and an input since opset 13, counted from 0; None for all."""
    given = call.attr(name)
    if given is None and call.has(index):
        given = call.required(index, name).ravel().tolist()
    if given is None:
        return None
    return sorted(int(axis) % rank for axis in given)


@lowers("Squeeze")
def _squeeze(call: Call) -> Value:
    stream = call.stream()
    axes = axes_of(call, stream.rank)
    if axes is None:
        axes = [axis for axis, size in enumerate(stream.index.shape) if size == 1 and axis != stream.time]
    if stream.time in axes:
        call.refuse("removes the time axis", FROZEN)
    time = None if stream.time is None else stream.time - sum(axis < stream.time for axis in axes)
    return replace(stream, index=stream.index.squeeze(tuple(axes)), time=time)


@lowers("Unsqueeze")
def _unsqueeze(call: Call) -> Value:
    stream = call.stream()
    given = call.attr("axes")
    axes = given if given is not None else call.required(1, "axes").ravel().tolist()
    rank = stream.rank + len(axes)
    axes = sorted(int(axis) % rank for axis in axes)
    kept = [axis for axis in range(rank) if axis not in axes]
    time = None if stream.time is None else kept[stream.time]
    return replace(stream, index=np.expand_dims(stream.index, tuple(axes)), time=time)


@lowers("Flatten")
def _flatten(call: Call) -> Value:
    stream = call.stream()
    axis = call.attr("axis", 1)
    axis = axis % stream.rank if axis < 0 else axis
    targets = []
    for probe in range(call.probes):
        dims = stream.shape(probe)
        targets.append([prod(dims[:axis]), prod(dims[axis:])])
    return reshape(call, stream, targets)


@lowers("Reshape")
def _reshape(call: Call) -> Value:
    stream = call.stream()
    targets = []
    for probe, shape in enumerate(call.per_probe(1, "shape")):
        dims = stream.shape(probe)
        target = [int(size) for size in shape.ravel()]
        if not call.attr("allowzero", 0):
            target = [dims[axis] if size == 0 else size for axis, size in enumerate(target)]
        if -1 in target:
            rest = prod(size for size in target if size != -1)
            if rest == 0 or prod(dims) % rest:
                call.refuse(f"cannot bring {stream.describe()} into the shape {shape.tolist()}", FROZEN)
            target[target.index(-1)] = prod(dims) // rest
        targets.append(target)
    return reshape(call, stream, targets)


def reshape(call: Call, stream: Stream, targets: list[list[int]]) -> Stream:
    """Reshape a stream to one target per probe; frames may be packed into channels, or channels into frames."""
    if stream.time is None:
        return replace(stream, index=stream.index.reshape(targets[0]))
    before, after = stream.index.shape[: stream.time], stream.index.shape[stream.time + 1 :]
    pre, post = prod(before), prod(after)
    for probe, target in enumerate(targets):
        if prod(target) != pre * post * stream.lengths[probe]:
            shape = stream.describe()
            call.refuse(f"reshapes {shape} into {target}: a length of time was frozen when it was exported", FROZEN)
    for axis in range(len(targets[0])):
        if all(len(target) == len(targets[0]) and prod(target[:axis]) == pre for target in targets):
            inner = [prod(target[axis + 1 :]) for target in targets]
            if len(set(inner)) == 1 and (targets[0][axis] > 1 or axis == len(targets[0]) - 1):
                dims = [*targets[0][:axis], 1, *targets[0][axis + 1 :]]
                return _repack(call, stream, pre, post, inner[0], dims, axis)
    call.refuse(f"mixes the time axis of {stream.describe()} with the axes before it", "keep time an axis of its own")
    raise AssertionError


def _repack(call: Call, stream: Stream, pre: int, post: int, inner: int, dims: list[int], axis: int) -> Stream:
    """Bring a (pre, T, post) view into (pre, T', inner): `inner` tells how many numbers belong to each new frame."""
    index = stream.index.reshape(pre, post)
    if inner == post:
        return Stream(stream.node, index.reshape(dims), axis, stream.lengths)
    if post % inner == 0:
        # (pre, T, f, inner) -> (pre, T*f, inner)
        factor = post // inner
        node = _unpack(call, stream.node, index.reshape(pre, factor, inner).transpose(0, 2, 1), factor)
        return fresh(node, tuple(dims), axis, tuple(length * factor for length in stream.lengths))
    if inner % post == 0 and all(length % (inner // post) == 0 for length in stream.lengths):
        # (pre, T*f, post) -> (pre, T, f, post)
        factor = inner // post
        node = call.emit.node(
            "time_to_depth",
            stream.node,
            channels=stream.node.channels * factor,
            rate=stream.node.rate / factor,
            factor=factor,
            order="channel",
        )
        packed: IndexArray = index[:, None, :] * factor + np.arange(factor)[None, :, None]
        return Stream(node, packed.reshape(dims), axis, tuple(length // factor for length in stream.lengths))
    raise RefusalError(
        f"packs {inner} numbers of {stream.describe()} into a frame, which does not divide the time axis", FROZEN
    )


def _unpack(call: Call, node: Node, index: IndexArray, factor: int) -> Node:
    """Make frames of the last axis of `index`, which holds (..., factor) channels."""
    channels = index.size // factor
    rate = node.rate * factor
    if (index == index[..., :1]).all():  # the same channel each time: repeated frames
        source = call.emit.take(node, index[..., 0])
        return call.emit.node("upsample", source, rate=rate, factor=factor, mode="nearest")
    by_time = np.moveaxis(index, -1, 0)
    order = "time" if np.array_equal(by_time.ravel(), np.arange(node.channels)) else "channel"
    source = call.emit.take(node, by_time if order == "time" else index)
    return call.emit.node("depth_to_time", source, channels=channels, rate=rate, factor=factor, order=order)


@lowers("Expand")
def _expand(call: Call) -> Value:
    stream = call.stream()
    shapes = [[int(size) for size in shape] for shape in call.per_probe(1, "shape")]
    rank = max(stream.rank, len(shapes[0]))
    stream = padded_rank(stream, rank)
    targets = [[1] * (rank - len(shape)) + shape for shape in shapes]
    lengths, time = stream.lengths, stream.time
    if time is None:
        time = next((axis for axis in range(rank) if _is_time(call, stream, [t[axis] for t in targets])), None)
        if time is not None:
            if stream.newest:
                call.refuse("spreads the final frame over all time", "use the output at each frame instead")
            lengths = tuple(target[time] for target in targets)
    elif any(target[time] not in (1, length) for target, length in zip(targets, lengths, strict=True)):
        call.refuse(f"expands {stream.describe()} to {shapes[0]}: a length of time was frozen", FROZEN)
    dims = [1 if axis == time else size for axis, size in enumerate(targets[0])]
    return Stream(
        stream.node, np.broadcast_to(stream.index, np.broadcast_shapes(stream.index.shape, tuple(dims))), time, lengths
    )


def _is_time(call: Call, stream: Stream, sizes: list[int]) -> bool:
    """Tell whether an axis to expand to is time: it grows with the input, or is as long."""
    return len(set(sizes)) > 1 or (call.probes == 1 and sizes[0] > 1 and sizes[0] == call.walk.lengths[0])


def padded_rank(stream: Stream, rank: int) -> Stream:
    """Put axes of size 1 in front, as broadcasting does."""
    extra = rank - stream.rank
    if extra <= 0:
        return stream
    index = stream.index.reshape((1,) * extra + stream.index.shape)
    return replace(stream, index=index, time=None if stream.time is None else stream.time + extra)


@lowers("Tile")
def _tile(call: Call) -> Value:
    stream = call.stream()
    repeats = call.per_probe(1, "repeats")
    targets = [
        np.asarray(stream.shape(probe), np.int64) * repeat.astype(np.int64) for probe, repeat in enumerate(repeats)
    ]
    if stream.time is not None and any(repeat[stream.time] != 1 for repeat in repeats):
        call.refuse("repeats the recording along time", "remove it")
    if stream.time is None:
        grown = [axis for axis in range(stream.rank) if _is_time(call, stream, [int(t[axis]) for t in targets])]
        if grown:
            if stream.newest:
                call.refuse("spreads the final frame over all time", "use the output at each frame instead")
            rest = repeats[0].copy()
            rest[grown[0]] = 1
            lengths = tuple(int(target[grown[0]]) for target in targets)
            return Stream(stream.node, np.tile(stream.index, rest), grown[0], lengths)
    return replace(stream, index=np.tile(stream.index, repeats[0]))


@lowers("DepthToSpace")
def _depth_to_space(call: Call) -> Value:
    call.refuse("enlarges a picture", "use Reshape, Transpose, Reshape along time (a 1-D pixel shuffle)")
    raise AssertionError


def steady(value: Known, stream: Stream) -> Array:
    """Return a constant that meets `stream`, its time axis cut to 1; refuse one that changes along the recording."""
    found: list[Array] = []
    for array in value.arrays:
        axis = None if stream.time is None else stream.time - stream.rank + array.ndim
        if axis is not None and 0 <= axis < array.ndim and array.shape[axis] > 1:
            first = array.take([0], axis)
            if not (array == first).all():
                frozen = FIXED if len(value.arrays) == 1 else "make it an input, or remove it"
                raise RefusalError("uses a constant that changes along the recording", frozen)
            array = first
        found.append(array)
    if any(array.shape != found[0].shape or not np.array_equal(array, found[0]) for array in found[1:]):
        raise RefusalError("uses a number that depends on the length of the recording", "make it constant")
    told = None if value.symbol is None else beyond(value.symbol, remainders=False)
    if told:
        raise RefusalError(f"uses a constant that {told}", NO_LENGTH)
    return found[0]
