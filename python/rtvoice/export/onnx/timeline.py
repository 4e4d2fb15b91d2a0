"""Operators along time: cropping becomes an advance, padding with zeros a delay, and what reads all time is refused."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import ceil

import numpy as np

from rtvoice.ops import MAX_STEP

from .amounts import SMALLER
from .heads import joined, kept, newest_told
from .ir import Array, Course
from .layout import axes_of
from .overlap import unfolded
from .refusals import AHEAD, NEWEST, NO_LENGTH
from .resize import resized
from .symbols import Symbol, beyond, crosses
from .values import Known, Stream, Value, in_order
from .walk import Call, lowers


def advance(call: Call, stream: Stream, frames: int, lengths: tuple[int, ...]) -> Stream:
    """Drop the first `frames` frames (a negative number puts zeros in front)."""
    node = stream.node
    if frames:
        node = call.emit.node("advance" if frames > 0 else "delay", node, frames=abs(frames))
    return replace(stream, node=node, lengths=lengths)


@lowers("Slice")
def _slice(call: Call) -> Value:
    stream = call.stream()
    if call.attr("starts") is not None:
        call.refuse("is of an old form", "export with opset 11 or newer")
    starts, ends = call.per_probe(1, "starts", remainders=False), call.per_probe(2, "ends", remainders=True)
    count = len(starts[0].ravel())
    axes = call.required(3, "axes").ravel().tolist() if call.has(3) else list(range(count))
    steps = call.required(4, "steps").ravel().tolist() if call.has(4) else [1] * count
    for item, (axis, step) in enumerate(zip(axes, steps, strict=True)):
        axis = int(axis) % stream.rank
        sizes = stream.lengths if axis == stream.time else (stream.index.shape[axis],) * call.probes
        # numpy cuts as ONNX does, whatever lies beyond the ends.
        cuts = [
            slice(_bound(begin.ravel()[item]), _bound(end.ravel()[item]), int(step)).indices(size)
            for begin, end, size in zip(starts, ends, sizes, strict=True)
        ]
        if axis == stream.time:
            _check_bounds(call, stream, *([int(array.ravel()[item]) for array in arrays] for arrays in (starts, ends)))
            stream = _slice_time(call, stream, cuts)
        else:
            taken = np.arange(*cuts[0])
            if any(cut != cuts[0] for cut in cuts) or not len(taken):
                call.refuse("cuts channels by the length of the recording, or all of them", "export it again")
            stream = replace(stream, index=stream.index.take(taken, axis))
    return stream


def _bound(value: int) -> int:
    return int(np.clip(int(value), -(2**62), 2**62))


def _check_bounds(call: Call, stream: Stream, starts: list[int], ends: list[int]) -> None:
    """Refuse a cut that does for a longer recording what it does for none of those followed."""
    if len(stream.lengths) < 2 or stream.brief:
        return
    start, end = starts[0], ends[0]
    if crosses(starts, stream.lengths):
        if len(set(starts)) > 1:
            call.refuse("starts at a frame that moves with the length of the recording", NO_LENGTH)
        if start < 0:
            call.refuse(newest_told(-start), NEWEST)
        call.refuse(
            f"leaves out the first {start} frames, and {stream.lengths[0]} are followed",
            "leave out fewer, or let the host cut them off",
        )
    if crosses(ends, stream.lengths):
        if len(set(ends)) > 1:
            call.refuse("ends at a frame that moves with the length of the recording", NO_LENGTH)
        if end < 0:
            call.refuse(
                f"leaves out the last {-end} frames, and {stream.lengths[0]} are followed",
                "leave out fewer, or let the host cut them off",
            )
        call.refuse(kept(stream, max(0, start), end - max(0, start)), AHEAD)


def _slice_time(call: Call, stream: Stream, cuts: list[tuple[int, int, int]]) -> Stream:
    step = cuts[0][2]
    if step < 1:
        call.refuse("reverses time", "remove it: a stream cannot run backwards")
    counts = tuple(len(range(*cut)) for cut in cuts)
    if all(
        cut[0] == length - 1 and count == 1 for cut, length, count in zip(cuts, stream.lengths, counts, strict=True)
    ):
        return newest(call, stream)
    start = cuts[0][0]
    if any(cut[0] != start for cut in cuts):
        if len(set(counts)) == 1:
            call.refuse(newest_told(counts[0]), NEWEST)
        call.refuse("keeps the last part of the recording", "keep all of it; the host cuts what it needs")
    if len(counts) > 1 and len(set(counts)) == 1:
        if step > 1 or stream.brief:
            call.refuse(kept(stream, start, counts[0], step), AHEAD)
        call.walk.heads[counts] = (call.emit.origin, kept(stream, start, counts[0]))
    if step == 1:
        return advance(call, stream, start, counts)
    return decimate(call, stream, step, start, counts)


def newest(call: Call, stream: Stream) -> Stream:
    """Return the last frame with a time axis of 1: a value that the host reads while the stream runs."""
    return Stream(stream.node, stream.index, None, stream.lengths)


def decimate(call: Call, stream: Stream, step: int, start: int, lengths: tuple[int, ...]) -> Stream:
    """Keep every `step`-th frame, from `start` on."""
    channels = stream.node.channels
    node = call.emit.node(
        "conv1d",
        stream.node,
        rate=stream.node.rate / step,
        weights={"weight": np.ones((channels, 1, 1), np.float32)},
        stride=step,
        groups=channels,
        pads=[-start, 0],
    )
    return replace(stream, node=node, lengths=lengths)


@lowers("Gather")
def _gather(call: Call) -> Value:
    stream, picks = call.stream(), call.inputs[1]
    axis = call.attr("axis", 0) % stream.rank
    if axis == stream.time and isinstance(picks, Known):
        framed = unfolded(call, stream, axis, picks)
        if framed is not None:
            return framed
    return gather(call, stream, axis, call.per_probe(1, "index", remainders=True))


def gather(call: Call, stream: Stream, axis: int, picks: list[Array]) -> Stream:
    """Pick channels in any order, or frames in an order that a stream can have."""
    if axis != stream.time:
        if any(not np.array_equal(pick, picks[0]) for pick in picks):
            call.refuse("picks channels by the length of the recording", "export it again")
        index = picks[0].astype(np.int64)
        taken = stream.index.take(index % stream.index.shape[axis], axis)
        time = stream.time
        if time is not None and time > axis:
            time += index.ndim - 1
        return replace(stream, index=taken, time=time)
    frames = [pick.astype(np.int64) % length for pick, length in zip(picks, stream.lengths, strict=True)]
    if picks[0].size == 1 and all(
        int(frame.ravel()[0]) == length - 1 for frame, length in zip(frames, stream.lengths, strict=True)
    ):
        stream = newest(call, stream)
        return replace(stream, index=stream.index.squeeze(axis)) if picks[0].ndim == 0 else stream
    if picks[0].ndim != 1 or picks[0].size == 1:
        call.refuse("picks single frames of the recording", "use the output at each frame instead")
    counts = tuple(len(pick) for pick in picks)
    fixed = len(counts) > 1 and len(set(counts)) == 1
    if (
        all(np.array_equal(frame, np.arange(frame[0], frame[0] + len(frame))) for frame in frames)
        and len({int(f[0]) for f in frames}) == 1
    ):
        if fixed:
            call.walk.heads[counts] = (call.emit.origin, kept(stream, int(frames[0][0]), counts[0]))
        return advance(call, stream, int(frames[0][0]), counts)
    if fixed:
        if any(not np.array_equal(frame, frames[0]) for frame in frames):
            call.refuse(newest_told(counts[0]), NEWEST)
        call.refuse(f"picks {counts[0]} single frames of the recording, however long that is", AHEAD)
    factor = round(counts[0] / stream.lengths[0])
    if factor > 1 and all(np.array_equal(frame, np.arange(len(frame)) // factor) for frame in frames):
        return repeat(call, stream, factor, counts)
    if factor > 1 and counts == tuple(length * factor for length in stream.lengths):
        call.walk.stretched.append(call.emit.origin)
    # Half of a linear interpolation, if the pattern for it finds the other half.
    rate = stream.node.rate * max(factor, 1)
    node = call.emit.node("gather_time", stream.node, rate=rate, frames=Course(frames))
    return replace(stream, node=node, lengths=counts)


@lowers("GatherND")
def _gather_nd(call: Call) -> Value:
    stream = call.stream()
    indices = call.per_probe(1, "indices", remainders=True)
    if call.attr("batch_dims", 0) or any(index.shape[-1] != 1 for index in indices):
        call.refuse("picks single numbers", "use Gather or Slice along one axis")
    return gather(call, stream, 0, [index[..., 0] for index in indices])


def repeat(call: Call, stream: Stream, factor: int, lengths: tuple[int, ...]) -> Stream:
    """Repeat every frame `factor` times."""
    node = call.emit.node("upsample", stream.node, rate=stream.node.rate * factor, factor=factor, mode="nearest")
    return replace(stream, node=node, lengths=lengths)


@lowers("Split")
def _split(call: Call) -> list[Value]:
    stream = call.stream()
    axis = call.attr("axis", 0) % stream.rank
    if axis == stream.time:
        call.refuse("splits the recording along time", "split channels only; use Slice with constant crops along time")
    size = stream.index.shape[axis]
    given = call.attr("split")
    if given is None and call.has(1):
        given = call.required(1, "split").ravel().tolist()
    parts = call.attr("num_outputs", len(call.proto.output))
    # Equal parts are rounded up; the last one is what remains.
    sizes = (
        given if given is not None else [ceil(size / parts)] * (parts - 1) + [size - ceil(size / parts) * (parts - 1)]
    )
    edges = np.cumsum([0, *sizes])
    if edges[-1] != size:
        call.refuse(f"splits {size} channels into {list(sizes)}", "the file is damaged; export it again")
    return [
        replace(stream, index=stream.index.take(np.arange(start, stop), axis))
        for start, stop in zip(edges[:-1], edges[1:], strict=True)
    ]


@lowers("Concat")
def _concat(call: Call) -> Value:
    streams = [value for value in call.inputs if isinstance(value, Stream)]
    timed = next((value for value in streams if value.time is not None), streams[0])
    axis = call.attr("axis") % timed.rank
    if axis == timed.time:
        return joined(call, axis)
    from .pointwise import constant_stream

    parts = []
    rest = tuple(size for place, size in enumerate(timed.index.shape) if place != axis)
    for value in call.inputs:
        if isinstance(value, Known):
            value = constant_stream(call, value, timed)
        if not isinstance(value, Stream) or tuple(s for p, s in enumerate(value.index.shape) if p != axis) != rest:
            call.refuse("joins tensors whose other axes differ", "export it again")
        assert isinstance(value, Stream)
        parts.append(value)
    # Views of one node stay views of it; others are put side by side.
    nodes = list({id(part.node): part.node for part in parts}.values())
    if len(nodes) == 1:
        return replace(timed, index=np.concatenate([part.index for part in parts], axis))
    flat = [in_order(part, call.emit) for part in parts]
    rates = {node.rate for node in flat if not node.control}
    if len(rates) > 1:
        call.refuse("joins streams of different frame rates", "bring them to one rate first")
    node = call.emit.node("concat", *flat, channels=sum(node.channels for node in flat))
    offsets = np.cumsum([0, *(part.channels for part in flat)])
    index = np.concatenate(
        [
            np.arange(part.index.size).reshape(part.index.shape) + offset
            for part, offset in zip(parts, offsets[:-1], strict=True)
        ],
        axis,
    )
    return replace(timed, node=node, index=index)


@lowers("Pad")
def _pad(call: Call) -> Value:
    stream = call.stream()
    given = call.attr("pads")
    found = [np.asarray(given)] * call.probes if given is not None else call.per_probe(1, "pads")
    pads = [array.ravel().astype(np.int64) for array in found]
    axes = axes_of(call, stream.rank, 3) if call.has(3) else list(range(stream.rank))
    if axes is not None and call.has(3):
        axes = [int(axis) % stream.rank for axis in call.required(3, "axes").ravel()]
    assert axes is not None
    count = len(axes)
    mode = call.attr("mode", "constant")
    value = call.array(2, "value")
    filled = float(np.asarray(value).ravel()[0]) if value is not None and value.size else float(call.attr("value", 0.0))
    for place, axis in enumerate(axes):
        begin, ends = int(pads[0][place]), [int(array[count + place]) for array in pads]
        end = ends[0] if axis != stream.time or min(ends) < 0 else max(ends)
        _check_pads(call, pads, place, None if axis == stream.time else count + place)
        if begin == 0 and not any(ends):
            continue
        if mode != "constant" and axis != stream.time and min(begin, end) >= 0:
            widths = [(begin, end) if place == axis else (0, 0) for place in range(stream.rank)]
            stream = replace(stream, index=np.pad(stream.index, widths, mode=mode))
            continue
        if mode != "constant" and max(begin, end) > 0:
            call.refuse(
                f"pads in mode '{mode}', from samples that a stream has not seen yet",
                "pad with zeros: torch.stft(..., pad_mode='constant'), padding_mode='zeros' of a layer, F.pad without "
                "a mode; what is not at an end of the recording stays as it is",
            )
        if filled != 0.0 and (begin > 0 or axis != stream.time):
            call.refuse(f"pads with {filled:g}", "pad with zeros")
        if axis == stream.time:
            lengths = tuple(length + begin + behind for length, behind in zip(stream.lengths, ends, strict=False))
            stream = advance(call, stream, -begin, lengths)
        else:
            stream = _pad_channels(call, stream, axis, begin, end)
    return stream


def _check_pads(call: Call, pads: list[Array], *places: int | None) -> None:
    """Refuse pads that the length of the recording decides; what stands behind its end is free."""
    value = call.inputs[1] if call.has(1) else None
    symbol = value.symbol if isinstance(value, Known) else None
    for place in places:
        if place is None:
            continue
        cells = None if symbol is None or symbol.cells is None else symbol.cells.ravel()[[place]]
        told = None if symbol is None else beyond(Symbol(cells), remainders=False)
        if told or any(array[place] != pads[0][place] for array in pads):
            call.refuse(f"puts a number of zeros in front that {told or 'depends on the length'}", NO_LENGTH)


def _pad_channels(call: Call, stream: Stream, axis: int, begin: int, end: int) -> Stream:
    size = stream.index.shape[axis]
    index = stream.index.take(np.arange(max(0, -begin), size - max(0, -end)), axis)
    widths = [(max(0, begin), max(0, end)) if place == axis else (0, 0) for place in range(stream.rank)]
    index = np.pad(index, widths, constant_values=-1)
    if not (index < 0).any():
        return replace(stream, index=index)
    node = call.emit.take(stream.node, index)
    return replace(stream, node=node, index=np.arange(index.size).reshape(index.shape))


@lowers("Resize", "Upsample")
def _resize(call: Call) -> Value:
    stream = call.stream()
    if stream.time is None:
        call.refuse("resizes something without a time axis", "remove it")
    assert stream.time is not None
    factor, others = _factors(call, stream)
    for axis, (by, size) in others.items():
        stream = resized(call, stream, axis, by, size)
    if factor == 1:
        return stream
    if factor.denominator != 1:
        call.refuse(f"resizes time by {factor}", "use a whole factor; a strided convolution or AveragePool to go down")
    times = int(factor)
    if times > MAX_STEP:
        call.refuse(f"stretches time {times} times, and at most {MAX_STEP} is possible", SMALLER)
    lengths = tuple(length * times for length in stream.lengths)
    mode = call.attr("mode", "nearest")
    coordinates = call.attr("coordinate_transformation_mode", "half_pixel" if call.op == "Resize" else "asymmetric")
    if mode == "nearest":
        if not _repeats(times, coordinates, call.attr("nearest_mode", "round_prefer_floor")):
            call.refuse(
                f"picks the nearest frame by '{coordinates}' coordinates, which is no plain repetition",
                "use asymmetric and floor",
            )
        return repeat(call, stream, times, lengths)
    if mode != "linear":
        call.refuse(f"interpolates by '{mode}'", "use nearest or linear")
    forms = {"half_pixel": "half_pixel", "pytorch_half_pixel": "half_pixel", "asymmetric": "asymmetric"}
    if coordinates not in forms:
        call.refuse(
            f"interpolates with '{coordinates}' coordinates, which depend on the length of the recording",
            "use align_corners=False",
        )
    node = call.emit.node(
        "upsample",
        stream.node,
        rate=stream.node.rate * times,
        factor=times,
        mode="linear",
        coordinates=forms[coordinates],
    )
    return replace(stream, node=node, lengths=lengths)


def _factors(call: Call, stream: Stream) -> tuple[Fraction, dict[int, tuple[float, int]]]:
    """Return by what the time axis is stretched, and of the others that are, each with its new size."""
    wide = 3 if call.op == "Resize" else 9
    axes = [int(axis) % stream.rank for axis in call.attr("axes", list(range(stream.rank)))]
    factors: list[list[Fraction]] = []
    sizes: list[Array] | None = call.per_probe(wide, "sizes", remainders=True) if call.has(wide) else None
    given = 2 if call.op == "Resize" else 1
    scales = None if sizes is not None else call.per_probe(given, "scales", remainders=True)
    for probe in range(call.probes):
        dims = stream.shape(probe)
        if sizes is not None:
            factors.append(
                [Fraction(int(size), dims[axis]) for axis, size in zip(axes, sizes[probe].ravel(), strict=True)]
            )
        elif scales is not None:
            factors.append([Fraction(float(scale)).limit_denominator(4096) for scale in scales[probe].ravel()])
    by_axis = [dict(zip(axes, row, strict=True)) for row in factors]
    assert stream.time is not None
    if any(row[axis] != by_axis[0][axis] for row in by_axis for axis in axes if axis != stream.time):
        call.refuse("resizes another axis by a factor that depends on the length of the recording", "use a fixed size")
    others: dict[int, tuple[float, int]] = {}
    for place, axis in enumerate(axes):
        if axis != stream.time and by_axis[0][axis] != 1:
            exact = float(by_axis[0][axis]) if scales is None else float(scales[0].ravel()[place])
            others[axis] = exact, 0 if sizes is None else int(sizes[0].ravel()[place])
    times = [row.get(stream.time, Fraction(1)) for row in by_axis]
    if len(set(times)) != 1:
        made = [int(factor * length) for factor, length in zip(times, stream.lengths, strict=True)]
        if len(set(made)) == 1:
            call.refuse(f"resizes time to {made[0]} frames, however many there are", "use scale_factor instead of size")
        call.refuse(
            f"stretches {stream.lengths[0]} frames to {made[0]}, {stream.lengths[1]} to {made[1]}: the factor depends "
            "on the length of the recording",
            f"pad the layers before it so that each gives a whole fraction of the frames it reads, and use "
            f"scale_factor={max(1, round(times[0]))} instead of size",
        )
    if sizes is not None and times[0] != 1:
        call.walk.stretched.append(call.emit.origin)
    return times[0], others


def _repeats(factor: int, coordinates: str, rounding: str) -> bool:
    """Tell whether ONNX's nearest frame is floor(n / factor) for every n."""
    n = np.arange(4 * factor, 12 * factor, dtype=np.float64)
    if coordinates in ("half_pixel", "pytorch_half_pixel"):
        place = (n + 0.5) / factor - 0.5
    elif coordinates == "asymmetric":
        place = n / factor
    else:
        return False
    rounded = {
        "round_prefer_floor": np.ceil(place - 0.5),
        "round_prefer_ceil": np.floor(place + 0.5),
        "floor": np.floor(place),
        "ceil": np.ceil(place),
    }
    return rounding in rounded and np.array_equal(rounded[rounding], np.arange(4 * factor, 12 * factor) // factor)
