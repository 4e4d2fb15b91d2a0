"""Overlap-add: frames that are summed up where they lie, and the sum of windows that an inverse STFT divides by.

Such a sum of windows is computed from the number of frames alone. As an array it has an end that no stream knows, and a
beginning of its own; as a stream of the same window, frame by frame, it has both where the source has them.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from .ir import Array, Node
from .refusals import ADVICE, OVERLAP
from .symbols import Form, Symbol, variable
from .values import Known, Stream, Value, fresh, in_order
from .walk import STEADY, Call, lowers


@lowers("Col2Im")
def _fold(call: Call) -> Value:
    """Lower `torch.nn.Fold` along time: every frame's columns are added up where they lie, as by fixed taps."""
    value, block = call.inputs[0], [int(size) for size in call.required(2, "block shape")]
    sizes = [[int(size) for size in array] for array in call.per_probe(1, "image shape")]
    steady = _window(call, value, 2) if isinstance(value, Known) else None
    if steady is None:
        stream = call.stream()
        shape, time, lengths, columns = stream.index.shape, stream.time, stream.lengths, stream.index.shape[1]
        if stream.rank != 3 or time != 2 or shape[0] != 1:
            call.refuse(f"folds {stream.describe()}", "give it (1, channels * kernel, frames)")
    else:
        lengths, columns = steady[1], steady[0].size
    along = [axis for axis in range(len(block)) if block[axis] != 1 or any(size[axis] != 1 for size in sizes)]
    if len(along) != 1:
        call.refuse(f"folds blocks of {block} into an image", "fold along time alone: an image of one row or column")
    axis, spatial = along[0], len(block)
    stride, dilation = (int(call.attr(name, [1] * spatial)[axis]) for name in ("strides", "dilations"))
    pads, taps = call.attr("pads", [0] * (2 * spatial)), block[axis]
    if any(pads[place] or pads[spatial + place] for place in range(spatial) if place != axis):
        call.refuse("pads another axis than time", "fold along time alone")
    if columns % taps:
        call.refuse(f"has {columns} columns for blocks of {taps}", "export it again")
    made = tuple(size[axis] for size in sizes)
    full = [(length - 1) * stride + (taps - 1) * dilation + 1 for length in lengths]
    begin = int(pads[axis])
    end = max(0, *(whole - begin - length for whole, length in zip(full, made, strict=False)))
    if steady is None:
        node = _summed(call, in_order(call.stream(), call.emit), columns // taps, stride, dilation, [begin, end])
    else:
        node = _windows(call, steady, columns // taps, stride, dilation, [begin, end])
    dims = (1, columns // taps, *(1,) * spatial)
    return fresh(node, dims, 2 + axis, made * (call.probes if len(made) == 1 else 1))


@lowers("ScatterND")
def _scatter(call: Call) -> Value:
    """Lower the sum that `torch.istft` makes of its frames: row by row, behind one another, at `hop * row + column`."""
    data, index, value = call.inputs[:3]
    found = _rows(call, data, index)
    if call.attr("reduction", "none") != "add":
        call.refuse(*ADVICE["ScatterND"])
    if found is None:
        call.refuse(*OVERLAP)
    assert found is not None and isinstance(data, Known)
    taps, hop = found
    made = tuple(len(data.at(probe)) for probe in range(call.probes))
    if isinstance(value, Known):
        steady = _window(call, value, 0, taps)
        if steady is None:
            call.refuse(*OVERLAP)
        assert steady is not None
        lengths, node = steady[1], _windows(call, steady, 1, hop, 1, [0, 0])
    else:
        stream = call.stream(2)
        if stream.time != 0 or stream.index.size != 1 or any(length % taps for length in stream.lengths):
            call.refuse(*OVERLAP)
        lengths = tuple(length // taps for length in stream.lengths)
        node = _summed(call, _framed(call, stream, taps), 1, hop, 1, [0, 0])
    if any((count - 1) * hop + taps != length for count, length in zip(lengths, made, strict=True)):
        call.refuse(*OVERLAP)
    return fresh(node, (1,) * data.at(0).ndim, 0, made)


def _of_constants(call: Call) -> bool:
    """Tell whether a node of constants is a sum of windows, as many as the recording has frames."""
    value = call.inputs[0 if call.op == "Col2Im" else 2]
    if not isinstance(value, Known) or value.constant is not None:
        return False
    if call.op == "Col2Im":
        return _window(call, value, 2) is not None
    found = _rows(call, call.inputs[0], call.inputs[1])
    return found is not None and _window(call, value, 0, found[0]) is not None


STEADY.update(Col2Im=_of_constants, ScatterND=_of_constants)


def _summed(call: Call, frames: Node, channels: int, stride: int, dilation: int, crop: list[int]) -> Node:
    taps = frames.channels // channels
    return call.emit.node(
        "conv_transpose1d",
        frames,
        channels=channels,
        rate=frames.rate * stride,
        weights={"weight": np.tile(np.eye(taps, dtype=np.float32)[:, None], (channels, 1, 1)), "bias": None},
        stride=stride,
        dilation=dilation,
        groups=channels,
        crop=crop,
    )


def _windows(
    call: Call, steady: tuple[Array, tuple[int, ...], Node], channels: int, stride: int, dilation: int, crop: list[int]
) -> Node:
    """Sum up the same window again and again, from the first frame on."""
    window, _, ones = steady
    return call.emit.node(
        "conv_transpose1d",
        ones,
        channels=channels,
        rate=ones.rate * stride,
        weights={"weight": window.reshape(1, channels, -1), "bias": None},
        stride=stride,
        dilation=dilation,
        groups=1,
        crop=crop,
    )


def _window(call: Call, value: Value, axis: int, taps: int = 1) -> tuple[Array, tuple[int, ...], Node] | None:
    """Return the numbers that are the same in every frame, how many frames there are, and a stream of as many ones.

    The frames lie along `axis`, `taps` numbers each; None where they differ, or are not as many as the signal's.
    """
    assert isinstance(value, Known)
    symbol = value.symbol if taps == 1 else None if value.symbol is None else value.symbol.rows
    if symbol is None or symbol.cells is None or any(cell.number is None for cell in symbol.cells.ravel()):
        return None
    rows = []
    for probe in range(call.probes):
        array = value.at(probe)
        if any(size != 1 for place, size in enumerate(array.shape) if place not in (axis, 1)) or len(array) % taps:
            return None
        rows.append(array.reshape(-1, taps) if taps > 1 else np.moveaxis(array, axis, 0).reshape(array.shape[axis], -1))
    if any((row != rows[0][:1]).any() for row in rows):
        return None
    counts = tuple(len(row) for row in rows)
    ones = _ones(call, counts)
    return None if ones is None else (rows[0][0].astype(np.float32), counts, ones)


def _ones(call: Call, counts: tuple[int, ...]) -> Node | None:
    """Return a stream of ones of so many frames for the lengths followed."""
    signal = next(item for item in call.walk.values.values() if isinstance(item, Stream) and item.node.op == "input")
    if len(set(counts)) < 2 or len(signal.lengths) != len(counts):
        return None
    step = Fraction(signal.lengths[1] - signal.lengths[0], counts[1] - counts[0])
    if step.denominator != 1 or step < 1:
        return None
    first = call.emit.take(signal.node, np.zeros(1, np.int64))
    return call.emit.node(
        "conv1d",
        first,
        rate=signal.node.rate / step,
        weights={"weight": np.zeros((1, 1, 1), np.float32), "bias": np.ones(1, np.float32)},
        stride=int(step),
        dilation=1,
        groups=1,
        pads=[0, 0],
    )


def counted(call: Call, value: Known, like: Stream) -> Stream | None:
    """Return numbers that grow by the same step from frame to frame as a stream: what a running mean divides by."""
    symbol, axis = value.symbol, None if like.time is None else like.time - like.rank
    if axis is None or symbol is None or symbol.cells is None or symbol.cells.size != 1:
        return None
    cell = symbol.cells.ravel()[0]
    form = cell.form
    if form is None or cell.breaks or cell.remainder or [one for one, _ in form.factors] != [axis]:
        return None
    if any(value.at(probe).size != length for probe, length in enumerate(like.lengths)):
        return None
    step = form.of(axis)
    ones = _ones(call, like.lengths)
    if ones is None or ones.rate != like.node.rate:
        return None
    total = call.emit.node("leaky_sum", ones, weights={"decay": np.ones(1, np.float32)})
    node = call.emit.affine(total, scale=np.full(1, float(step)), shift=np.full(1, float(form.shift - step)))
    return fresh(node, (1,) * like.rank, like.time, like.lengths)


def _rows(call: Call, data: Value | None, index: Value | None) -> tuple[int, int] | None:
    """Return how long rows are and how far apart, where an index into zeros is `hop * row + column`."""
    if not isinstance(data, Known) or not isinstance(index, Known) or any(array.any() for array in data.arrays):
        return None
    if np.prod(data.at(0).shape[1:]) != 1 or index.at(0).shape[1:] != (1,) or index.symbol is None:
        return None
    return _spaced(index.symbol.rows)


def _spaced(symbol: Symbol | None) -> tuple[int, int] | None:
    """Return how long rows are and how far apart, where numbers are `hop * row + column`."""
    if symbol is None or symbol.cells is None or symbol.cells.ndim != 2 or len(symbol.cells) != 1:
        return None
    cells = symbol.cells[0]
    start = cells[0].form
    hop = None if start is None else start.of(-2)
    if not hop or hop.denominator != 1 or hop < 1 or len(cells) != symbol.sizes[1].shift:
        return None
    for column, cell in enumerate(cells):
        if cell.form != variable(-2).times(hop) + Form((), Fraction(column)) or cell.breaks or cell.remainder:
            return None
    return len(cells), int(hop)


def unfolded(call: Call, stream: Stream, axis: int, picks: Known) -> Stream | None:
    """Cut a stream into frames that overlap, `x.unfold(-1, size, hop)`: (..., frames, size); None for other picks."""
    found = _spaced(picks.symbol)
    if found is None and picks.constant is not None and picks.constant.ndim == 2 and call.probes == 1:
        rows, taps = picks.constant.shape
        hop = int(picks.constant[1, 0] - picks.constant[0, 0]) if rows > 1 else taps
        regular = np.array_equal(picks.constant, np.arange(rows)[:, None] * hop + np.arange(taps))
        found = (taps, hop) if regular and hop > 0 else None
    if found is None:
        return None
    taps, hop = found
    source = in_order(stream, call.emit)
    count = source.channels
    node = call.emit.node(
        "conv1d",
        source,
        channels=count * taps,
        rate=stream.node.rate / hop,
        weights={"weight": np.tile(np.eye(taps, dtype=np.float32)[:, None], (count, 1, 1))},
        stride=hop,
        dilation=1,
        groups=count,
        pads=[0, 0],
    )
    before = np.expand_dims(np.arange(count).reshape(stream.index.shape), axis + 1) * taps
    index = before + np.arange(taps).reshape(-1, *(1,) * (stream.rank - axis - 1))
    return Stream(node, index, axis, tuple(len(picks.at(probe)) for probe in range(call.probes)))


def _framed(call: Call, stream: Stream, taps: int) -> Node:
    """Return the frames of which a stream of numbers was made."""
    node = stream.node
    if node.op == "depth_to_time" and node.channels == 1 and node.attrs["factor"] == taps:
        return node.source
    return call.emit.node("time_to_depth", node, channels=taps, rate=node.rate / taps, factor=taps, order="channel")
