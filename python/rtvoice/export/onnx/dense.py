"""Convolutions, matrix products and pooling."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, prod

import numpy as np

from . import bands, products
from .bands import has_bands
from .ir import Array, Node
from .pointwise import affine, maximum
from .refusals import ADVICE, ATTENTION
from .values import Known, Scores, Stream, Value, fresh, in_order
from .walk import Call, RefusalError, lowers

_PICTURE = "convolve along time only: give the network (batch, channels, time), or (batch, channels, 1, time)"


class Window:
    """How a Conv, ConvTranspose or pool moves along time: kernel, stride, dilation and padding of that axis."""

    def __init__(self, call: Call, stream: Stream, taps: list[int]) -> None:
        spatial = len(taps)
        if stream.rank != spatial + 2:
            call.refuse(f"has a kernel of {spatial} axes for the input {stream.describe()}", "export it again")
        if stream.time is not None and stream.time < 2:
            call.refuse(f"convolves {stream.describe()} along channels", _PICTURE)
        self.axis = 0 if stream.time is None else stream.time - 2
        for place, size in enumerate(taps):
            along_time = place == self.axis and stream.time is not None
            if not along_time and (stream.index.shape[2 + place] != 1 or size != 1):
                call.refuse(f"convolves {stream.describe()} over another axis than time (kernel {taps})", _PICTURE)
        self.taps = taps[self.axis]
        self.stride = int(call.attr("strides", [1] * spatial)[self.axis])
        self.dilation = int(call.attr("dilations", [1] * spatial)[self.axis])
        pads = call.attr("pads", [0] * (2 * spatial))
        if any(pads[place] or pads[spatial + place] for place in range(spatial) if place != self.axis):
            call.refuse("pads another axis than time", _PICTURE)
        self.pads = (int(pads[self.axis]), int(pads[spatial + self.axis]))
        self.auto = call.attr("auto_pad", "NOTSET")
        self.reach = (self.taps - 1) * self.dilation + 1

    def resolve(self, call: Call, lengths: tuple[int, ...]) -> tuple[int, int]:
        """Return the padding before and after, also where ONNX leaves it to the operator."""
        if self.auto in ("NOTSET", ""):
            return self.pads
        if self.auto == "VALID":
            return 0, 0
        both = {self._same(length) for length in lengths}
        # The lengths followed are multiples of every stride; a recording's is not, and then the padding moves.
        ends = range(self.stride if len(lengths) > 1 else 1)
        if len(both) > 1 or len({self._same(length - end)[0] for length in lengths for end in ends}) > 1:
            call.refuse(
                f"pads by the length of the recording (auto_pad={self.auto} with stride {self.stride})",
                "export with explicit pads",
            )
        return both.pop()

    def _same(self, length: int) -> tuple[int, int]:
        total = max((ceil(length / self.stride) - 1) * self.stride + self.reach - length, 0)
        half = total // 2
        return (half, total - half) if self.auto == "SAME_UPPER" else (total - half, half)


@lowers("Conv")
def _conv(call: Call) -> Value:
    stream, weight = call.stream(), call.required(1, "weight")
    bias = call.array(2, "bias")
    _check_kernel(call, weight)
    if has_bands(stream, list(weight.shape[2:])) and not stream.node.control:
        return bands.conv(call, stream, weight, bias)
    window = Window(call, stream, list(weight.shape[2:]))
    pads = window.resolve(call, stream.lengths)
    batch, channels = stream.index.shape[:2]
    groups = int(call.attr("group", 1))
    if channels != weight.shape[1] * groups:
        call.refuse(f"has {channels} channels where its weight asks for {weight.shape[1] * groups}", "export it again")
    call.name_after(1)
    out = len(weight)
    if batch > 1:  # the same filter for each: groups
        weight, groups = np.tile(weight, (batch,) + (1,) * (weight.ndim - 1)), groups * batch
        bias = None if bias is None else np.tile(bias, batch)
    weights = {"weight": weight.reshape(len(weight), weight.shape[1], -1), "bias": bias}
    shape = (batch, out, *(1,) * (stream.rank - 2))
    if stream.time is None and pads != (0, 0):
        call.refuse("pads something without a time axis", "use a kernel of 1 without padding")
    if window.taps == window.stride == groups == 1 and pads == (0, 0):
        node = call.emit.linear(in_order(stream, call.emit), weights["weight"][:, :, 0], bias)  # type: ignore[index]
        return fresh(node, shape, stream.time, stream.lengths)
    lengths = tuple((n + sum(pads) - window.reach) // window.stride + 1 for n in stream.lengths)
    _check_lengths(call, lengths, window.reach, stream.node.rate)
    node = call.emit.node(
        "conv1d",
        in_order(stream, call.emit),
        channels=out * batch,
        rate=stream.node.rate / window.stride,
        weights=weights,
        stride=window.stride,
        dilation=window.dilation,
        groups=groups,
        pads=list(pads),
    )
    return fresh(node, shape, stream.time, lengths)


def _check_kernel(call: Call, weight: Array) -> None:
    told = call.attr("kernel_shape")
    if told is not None and list(told) != list(weight.shape[2:]):
        call.refuse(
            f"has kernel_shape={list(told)}, but a weight of {list(weight.shape[2:])}",
            "the file is damaged, export it again",
        )


def _check_lengths(call: Call, lengths: tuple[int, ...], reach: int, rate: Fraction) -> None:
    if not lengths:
        return
    if min(lengths) < 1 and call.probes > 1:
        most = min(call.walk.lengths)
        call.refuse(
            f"reads {reach} frames at once ({ceil(reach / rate)} samples of the input); without padding, all layers "
            f"together may read {most} samples",
            "use a smaller kernel or dilation, or pad with zeros at the start",
        )
    if min(lengths) < 1:
        call.refuse(
            "reads more frames than the recording it was exported for has", "export with a longer or dynamic time axis"
        )


@lowers("ConvTranspose")
def _conv_transpose(call: Call) -> Value:
    stream, weight = call.stream(), call.required(1, "weight")
    bias = call.array(2, "bias")
    _check_kernel(call, weight)
    if has_bands(stream, list(weight.shape[2:])) and not stream.node.control:
        return bands.transposed(call, stream, weight, bias)
    window = Window(call, stream, list(weight.shape[2:]))
    if stream.time is None:
        call.refuse("enlarges something without a time axis", "remove it")
    if stream.index.shape[0] != 1:
        call.refuse(f"has a batch of {stream.index.shape[0]}", "export with a batch of 1")
    extra = int(call.attr("output_padding", [0] * (weight.ndim - 2))[window.axis])
    crop, lengths = _crop(call, window, stream.lengths, extra)
    groups = int(call.attr("group", 1))
    out = weight.shape[1] * groups
    call.name_after(1)
    node = call.emit.node(
        "conv_transpose1d",
        in_order(stream, call.emit),
        channels=out,
        rate=stream.node.rate * window.stride,
        weights={"weight": weight.reshape(len(weight), weight.shape[1], -1), "bias": bias},
        stride=window.stride,
        dilation=window.dilation,
        groups=groups,
        crop=[max(0, crop[0]), max(0, crop[1])],
    )
    if crop[0] < 0:
        node = call.emit.node("delay", node, frames=-crop[0])
    return fresh(node, (1, out, *(1,) * (stream.rank - 2)), stream.time, lengths)


def _crop(call: Call, window: Window, frames: tuple[int, ...], extra: int) -> tuple[tuple[int, int], tuple[int, ...]]:
    """Return what a transposed convolution cuts off at both ends, and the lengths that remain."""
    full = [(length - 1) * window.stride + window.reach for length in frames]
    shape = call.attr("output_shape")
    if shape is not None or window.auto.startswith("SAME"):
        wanted = [int(shape[window.axis])] * len(frames) if shape is not None else [n * window.stride for n in frames]
        totals = {length + extra - size for length, size in zip(full, wanted, strict=True)}
        if len(totals) > 1:
            call.refuse("has a fixed output length", "export with pads and output_padding instead of output_shape")
        total = totals.pop()
        half = total // 2
        # The specification puts the odd sample after for SAME_UPPER and before for all else.
        crop = (half, total - half) if window.auto == "SAME_UPPER" else (total - half, half)
    else:
        crop = (0, 0) if window.auto == "VALID" else window.pads
    lengths = tuple(length + extra - sum(crop) for length in full)
    return crop, lengths


@lowers("AveragePool")
def _average_pool(call: Call) -> Value:
    stream = call.stream()
    taps = [int(size) for size in call.attr("kernel_shape")]
    if has_bands(stream, taps) and not stream.node.control:
        return bands.average(call, stream, taps)
    window = Window(call, stream, taps)
    pads = window.resolve(call, stream.lengths)
    if window.dilation != 1:
        call.refuse("has holes in its window", "use a Conv")
    if pads[0] and not call.attr("count_include_pad", 0):
        call.refuse("divides by fewer frames at the start of the recording", "set count_include_pad=True")
    frames = tuple((n + sum(pads) - window.taps) // window.stride + 1 for n in stream.lengths)
    _check_lengths(call, frames, window.taps, stream.node.rate)
    node = call.emit.node(
        "avg_pool",
        in_order(stream, call.emit),
        rate=stream.node.rate / window.stride,
        kernel=window.taps,
        stride=window.stride,
        pads=list(pads),
    )
    return fresh(node, stream.index.shape, stream.time, frames)


@lowers("Gemm")
def _gemm(call: Call) -> Value:
    sides = [call.inputs[0], call.inputs[1]]
    for place, name in enumerate(("transA", "transB")):
        if call.attr(name, 0):
            sides[place] = _transposed(sides[place])
    product = matmul(call, sides[0], sides[1])
    if not isinstance(product, Stream):
        raise RefusalError(*ATTENTION)
    alpha, beta = float(call.attr("alpha", 1.0)), float(call.attr("beta", 1.0))
    if alpha != 1.0:
        product = affine(call, product, alpha)
    if call.has(2):
        product = affine(call, product, None, call.required(2, "bias") * (beta if beta != 1.0 else np.float32(1.0)))
    return product


@lowers("MatMul")
def _matmul(call: Call) -> Value:
    return matmul(call, call.inputs[0], call.inputs[1])


def matmul(call: Call, a: Value | None, b: Value | None) -> Stream | Scores:
    """Multiply a stream with a constant matrix on either side, or two streams."""
    if isinstance(a, Stream) and isinstance(b, Stream):
        return products.of_two(call, a, b)
    if isinstance(a, Stream) and isinstance(b, Known):
        if _constant(b).ndim > 2 and prod(_constant(b).shape[:-2]) > 1:
            return _by_group(call, a, _constant(b))
        product = _frame_wise(call, a, _matrix(b), 1)
        return _without_last(product) if _constant(b).ndim == 1 else product
    if isinstance(a, Known) and isinstance(b, Stream):
        call.name_after(0)
        if _constant(a).ndim == 1:
            raise RefusalError("multiplies a vector with the signal", "write it with the signal first")
        return _frame_wise(call, b, _matrix(a).T, 0)
    raise RefusalError("has no signal among its inputs", "export it again")


def _constant(value: Known) -> Array:
    if value.constant is None:
        raise RefusalError("has a matrix that depends on the length of the recording", "make it constant")
    return value.constant


def _matrix(value: Known) -> Array:
    array = _constant(value)
    if array.ndim == 1:
        return array[:, None]
    if prod(array.shape[:-2]) != 1 or array.ndim < 2:
        raise RefusalError(f"multiplies with a constant of shape {array.shape}", "use a matrix")
    return array.reshape(array.shape[-2:])


def _transposed(value: Value | None) -> Value | None:
    if isinstance(value, Known):
        return Known(tuple(array.T for array in value.arrays), value.name)
    if isinstance(value, Stream):
        return Stream(value.node, value.index.T, None if value.time is None else 1 - value.time, value.lengths)
    return value


def _frame_wise(call: Call, stream: Stream, matrix: Array, last: int) -> Stream:
    """Multiply each frame with `matrix` (inputs, outputs) along the last axis (`last` 1) or the one before (0)."""
    axis = stream.rank - 1 if last else stream.rank - 2
    if axis < 0 or stream.time == axis:
        raise RefusalError("multiplies along the time axis, so needs the whole recording", "use a convolution")
    inputs, outputs = matrix.shape
    if stream.index.shape[axis] != inputs:
        raise RefusalError(f"multiplies {stream.describe()} with a matrix of {inputs} inputs", "export it again")
    call.name_after(1 if last else 0)
    moved = np.moveaxis(stream.index, axis, -1)
    count = moved.size // inputs
    source = call.emit.take(stream.node, moved.ravel())
    if count == 1:
        node = call.emit.linear(source, matrix.T)
    else:  # the same matrix for several groups of channels
        weight = np.tile(matrix.T[:, :, None], (count, 1, 1))
        node = call.emit.node(
            "conv1d",
            source,
            channels=count * outputs,
            weights={"weight": weight},
            stride=1,
            dilation=1,
            groups=count,
            pads=[0, 0],
        )
    index = np.moveaxis(np.arange(count * outputs).reshape(*moved.shape[:-1], outputs), -1, axis)
    return Stream(node, index, stream.time, stream.lengths)


@lowers("Einsum")
def _einsum(call: Call) -> Value:
    """Lower a sum, a product of two streams, or one of a stream with a constant, such as ``bct,oc->bot``."""
    letters, out = products.equation(call)
    if any(len(set(item)) != len(item) for item in [*letters, out]):
        call.refuse(*ADVICE["Einsum"])
    streams = [place for place, value in enumerate(call.inputs) if isinstance(value, Stream)]
    for place in streams:
        letters[place] = products.without_lone(call, place, letters, out)
    if len(letters) == 1:
        return _permuted(call.stream(), [letters[0].index(letter) for letter in out])
    if len(letters) == 2 and len(streams) == 2:
        return products.einsum(call, letters, out)
    if len(letters) != 2 or len(streams) != 1:
        call.refuse(*ADVICE["Einsum"])
    place = streams[0]
    stream, matrix = call.stream(place), call.required(1 - place, "matrix")
    mine, others = letters[place], letters[1 - place]
    # In the stream and in the matrix: summed over, or a group that has a matrix of its own.
    inside = [letter for letter in others if letter in mine and letter not in out]
    groups = [letter for letter in others if letter in mine and letter in out]
    made = [letter for letter in others if letter not in mine]
    kept = [letter for letter in mine if letter not in inside and letter not in groups]
    if sorted(out) != sorted([*kept, *groups, *made]) or len(mine) != stream.rank or len(others) != matrix.ndim:
        call.refuse(*ADVICE["Einsum"])
    if stream.time is not None and mine[stream.time] not in kept:
        call.refuse("multiplies along the time axis, so needs the whole recording", "use a convolution")
    call.name_after(1 - place)
    sizes = dict(zip(others, matrix.shape, strict=True))
    if any(stream.index.shape[mine.index(letter)] not in (1, sizes[letter]) for letter in [*inside, *groups]):
        call.refuse(f"multiplies {stream.describe()} with a constant of shape {list(matrix.shape)}", "export it again")
    count, width, wide = (prod(sizes[letter] for letter in part) for part in (groups, inside, made))
    blocks = matrix.transpose([others.index(letter) for letter in [*groups, *made, *inside]])
    stream = _permuted(stream, [mine.index(letter) for letter in [*kept, *groups, *inside]])
    dims = stream.index.shape[: len(kept)]
    full = np.broadcast_to(stream.index, (*dims, *(sizes[letter] for letter in [*groups, *inside])))
    node = _blocks(call, stream.node, full.reshape(-1, count, width), blocks.reshape(count, wide, width))
    shape = (*dims, *(sizes[letter] for letter in [*groups, *made]))
    product = Stream(node, np.arange(node.channels).reshape(shape), stream.time, stream.lengths)
    return _permuted(product, [[*kept, *groups, *made].index(letter) for letter in out])


def _blocks(call: Call, node: Node, index: Array, matrices: Array) -> Node:
    """Multiply groups of channels, (repeats, groups, inputs), with a matrix each, (groups, outputs, inputs)."""
    repeats, groups, _ = index.shape
    source = call.emit.take(node, index.ravel())
    if repeats * groups == 1:
        return call.emit.linear(source, matrices[0])
    weight = np.tile(matrices.reshape(-1, matrices.shape[2], 1), (repeats, 1, 1))
    return call.emit.node(
        "conv1d" if node.rate else "linear",
        source,
        channels=len(weight),
        weights={"weight": weight if node.rate else _block_diagonal(np.tile(matrices, (repeats, 1, 1)))},
        **({"stride": 1, "dilation": 1, "groups": repeats * groups, "pads": [0, 0]} if node.rate else {}),
    )


def _block_diagonal(matrices: Array) -> Array:
    count, rows, columns = matrices.shape
    out = np.zeros((count, rows, count, columns), matrices.dtype)
    out[np.arange(count), :, np.arange(count)] = matrices
    return out.reshape(count * rows, count * columns)


def _by_group(call: Call, stream: Stream, matrices: Array) -> Stream:
    """Multiply by a stack of matrices, (..., inputs, outputs): each group of channels has one of its own."""
    from .layout import padded_rank

    rank = max(stream.rank, matrices.ndim)
    stream = padded_rank(stream, rank)
    matrices = matrices.reshape((1,) * (rank - matrices.ndim) + matrices.shape)
    if stream.time == rank - 1 or (
        stream.time is not None and stream.time < rank - 2 and matrices.shape[stream.time] != 1
    ):
        raise RefusalError("multiplies along the time axis, so needs the whole recording", "use a convolution")
    if stream.index.shape[-1] != matrices.shape[-2]:
        raise RefusalError(f"multiplies {stream.describe()} with matrices {list(matrices.shape)}", "export it again")
    call.name_after(1)
    rows = stream.index.shape[-2]
    outer = np.broadcast_shapes(stream.index.shape[:-2], matrices.shape[:-2])
    index = np.broadcast_to(stream.index, (*outer, *stream.index.shape[-2:]))
    stack = np.broadcast_to(matrices, (*outer, *matrices.shape[-2:]))
    inputs, outputs = stack.shape[-2:]
    blocks = np.repeat(stack.reshape(-1, 1, inputs, outputs), rows, axis=1).reshape(-1, inputs, outputs)
    node = _blocks(call, stream.node, index.reshape(1, -1, inputs), blocks.transpose(0, 2, 1))
    made = np.arange(node.channels).reshape(*outer, rows, outputs)
    return Stream(node, made, stream.time, stream.lengths)


def _without_last(stream: Stream) -> Stream:
    return Stream(stream.node, stream.index[..., 0], stream.time, stream.lengths)


@lowers("MaxPool")
def _max_pool(call: Call) -> Value:
    stream = call.stream()
    taps = [int(size) for size in call.attr("kernel_shape")]
    plane = bands.Plane(call, stream, taps)
    if plane.flat or plane.at(plane.time, plane.taps) != 1 or plane.at(plane.time, plane.strides) != 1:
        call.refuse("takes the maximum along time", ADVICE["GlobalMaxPool"][1])
    assert plane.band is not None
    if plane.pads[plane.band] != (0, 0) or call.attr("ceil_mode", 0) or len(call.proto.output) > 1:
        call.refuse("pads, rounds up or tells positions", "use MaxPool without padding, ceil_mode and indices")
    views = [Stream(stream.node, view, stream.time, stream.lengths) for view in bands.windows(call, stream, plane, -1)]
    return maximum(call, views)


def _permuted(stream: Stream, order: list[int]) -> Stream:
    time = None if stream.time is None else order.index(stream.time)
    return Stream(stream.node, stream.index.transpose(order), time, stream.lengths)
