"""Fourier transforms: of frames cut from a signal (STFT), and of what lies within a frame (DFT), as matrix products."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .ir import Array, IndexArray
from .values import Stream, Value, in_order
from .walk import Call, lowers


def basis(count: int, bins: int, *, inverse: bool = False) -> Array:
    """Return the transform of `count` numbers as (bins, real and imaginary part, numbers), unscaled."""
    turns = np.outer(np.arange(bins), np.arange(count)) % count * (2.0 * np.pi / count)
    return np.stack([np.cos(turns), np.sin(turns) if inverse else -np.sin(turns)], axis=1)


@lowers("STFT")
def _stft(call: Call) -> Value:
    stream = call.stream()
    step = int(call.required(1, "frame step").ravel()[0])
    window, length = call.array(2, "window"), call.array(3, "frame length")
    size = int(length.ravel()[0]) if length is not None else 0 if window is None else window.size
    if stream.time != 1 or stream.index.size != 1:
        call.refuse(f"transforms {stream.describe()}", "give it one real signal, (1, time) or (1, time, 1)")
    if step < 1 or size < 1 or (window is not None and window.size != size):
        call.refuse(f"has frames of {size} with another window or step {step}", "give the window the frames' length")
    bins = size // 2 + 1 if call.attr("onesided", 1) else size
    weight = basis(size, bins).reshape(2 * bins, 1, size)
    if window is not None:
        weight = weight * window.ravel().astype(np.float64)
    lengths = tuple((count - size) // step + 1 for count in stream.lengths)
    if min(lengths) < 1:
        call.refuse(f"reads {size} samples at once, more than the recording has", "export with a longer time axis")
    node = call.emit.node(
        "conv1d",
        in_order(stream, call.emit),
        channels=2 * bins,
        rate=stream.node.rate / step,
        weights={"weight": weight},
        stride=step,
        dilation=1,
        groups=1,
        pads=[0, 0],
    )
    return Stream(node, np.arange(2 * bins).reshape(1, 1, bins, 2), 1, lengths)


@lowers("DFT")
def _dft(call: Call) -> Value:
    stream, length = call.stream(), call.array(1, "length")
    given = call.array(2, "axis") if call.opset >= 20 else None
    axis = int(given.ravel()[0]) if given is not None else int(call.attr("axis", -2 if call.opset >= 20 else 1))
    axis %= stream.rank
    if axis == stream.time or stream.time == stream.rank - 1 or stream.index.shape[-1] > 2 or axis == stream.rank - 1:
        call.refuse(
            f"transforms {stream.describe()} along axis {axis}",
            "transform within frames, (..., numbers, 1 or 2), which STFT or a Conv with a stride cuts from the signal",
        )
    inverse, onesided = bool(call.attr("inverse", 0)), bool(call.attr("onesided", 0))
    if inverse and onesided:
        return _half_back(call, stream, axis, length)
    size = stream.index.shape[axis] if length is None else int(length.ravel()[0])
    moved = np.moveaxis(stream.index, axis, -2)
    parts, there = moved.shape[-1], min(size, moved.shape[-2])  # longer is filled up with zeros, shorter cut
    bins = size // 2 + 1 if onesided else size
    turn = basis(size, bins, inverse=inverse)[:, :, :there] / (size if inverse else 1)
    weight = np.zeros((bins, 2, there, parts))
    weight[..., 0] = turn
    if parts == 2:  # i (c + i s) = -s + i c
        weight[:, 0, :, 1], weight[:, 1, :, 1] = -turn[:, 1], turn[:, 0]
    matrix = weight.reshape(2 * bins, there * parts)
    return _within(call, stream, moved[..., :there, :], matrix, (bins, 2), axis)


def _half_back(call: Call, stream: Stream, axis: int, length: Array | None) -> Stream:
    """Transform half a spectrum back: what is left out of it is the mirror of what is there."""
    moved = np.moveaxis(stream.index, axis, -2)
    size = 2 * (moved.shape[-2] - 1) if length is None else int(length.ravel()[0])
    there = min(moved.shape[-2], size // 2 + 1)
    turn = basis(size, there, inverse=True) / size
    twice = np.arange(there) % size
    turn[(twice != 0) & (2 * twice != size)] *= 2.0
    parts = moved.shape[-1]
    matrix = (turn * [[1.0], [-1.0]])[:, :parts].transpose(2, 0, 1).reshape(size, there * parts)
    return _within(call, stream, moved[..., :there, :], matrix, (size, 1), axis)


def _within(call: Call, stream: Stream, moved: IndexArray, matrix: Array, made: tuple[int, int], axis: int) -> Stream:
    """Multiply what lies on the last two axes of `moved` with a matrix; `axis` is where the first of them goes."""
    groups = moved.reshape(-1, matrix.shape[1])
    source = call.emit.take(stream.node, groups.ravel())
    if len(groups) == 1:
        node = call.emit.linear(source, matrix)
    elif source.control:
        node = call.emit.linear(source, np.kron(np.eye(len(groups)), matrix))
    else:
        node = call.emit.node(
            "conv1d",
            source,
            channels=len(groups) * len(matrix),
            weights={"weight": np.tile(matrix[:, :, None], (len(groups), 1, 1))},
            stride=1,
            dilation=1,
            groups=len(groups),
            pads=[0, 0],
        )
    index = np.arange(node.channels).reshape(*moved.shape[:-2], *made)
    return replace(stream, node=node, index=np.moveaxis(index, -2, axis))
