"""Convolutions and pools over the bands of a frame: 2-D layers over frequency and time, and 1-D ones within a frame.

A frame holds its bands one after another, each with its channels: ``[band][channel]``. That is the order in which
`conv_bands` reads and writes, and an upsampling by a transposed convolution is the same order read differently.
"""

from __future__ import annotations

from math import prod

import numpy as np

from .ir import Array, IndexArray, Node
from .values import Stream
from .walk import Call

# Up to this stride zeros between the bands cost a depthwise layer less than its channels' phases one after the other.
_SPREAD = 4


class Plane:
    """Which of a layer's spatial axes is time and which runs over bands, with the numbers of both.

    Parameters
    ----------
    call
        The node.
    stream
        Its input, (batch, channels, one or two spatial axes).
    taps
        Size of the kernel along each spatial axis.
    """

    def __init__(self, call: Call, stream: Stream, taps: list[int]) -> None:
        spatial = len(taps)
        if stream.rank != spatial + 2:
            call.refuse(f"has a kernel of {spatial} axes for the input {stream.describe()}", "export it again")
        if stream.time == 1:
            call.refuse(
                f"convolves {stream.describe()}, whose time axis is where channels should be",
                "give it (batch, channels, time) or (batch, channels, time, frequency)",
            )
        others = [axis for axis in range(spatial) if axis + 2 != stream.time]
        wide = [axis for axis in others if stream.index.shape[axis + 2] > 1 or taps[axis] > 1]
        if len(wide) > 1:
            call.refuse(
                f"convolves {stream.describe()} over two axes that are not time (kernel {taps})",
                "keep one axis of frequencies beside time",
            )
        self.spatial = spatial
        # Where the batch is time, every frame is a picture of its own.
        self.time = None if stream.time in (None, 0) else stream.time - 2
        self.band = next(iter(wide or others), None)
        self.taps = taps
        self.strides = [int(item) for item in call.attr("strides", [1] * spatial)]
        self.dilations = [int(item) for item in call.attr("dilations", [1] * spatial)]
        pads = [int(item) for item in call.attr("pads", [0] * (2 * spatial))]
        self.pads = list(zip(pads[:spatial], pads[spatial:], strict=True))
        auto = call.attr("auto_pad", "NOTSET")
        for axis in range(spatial):
            if auto in ("NOTSET", "", "VALID"):
                continue
            if axis == self.time and self.strides[axis] != 1:
                call.refuse(f"pads by the length of the recording (auto_pad={auto})", "export with explicit pads")
            size = stream.index.shape[axis + 2]
            reach = (taps[axis] - 1) * self.dilations[axis] + 1
            frames = -(-size // self.strides[axis])
            total = reach - 1 if axis == self.time else max((frames - 1) * self.strides[axis] + reach - size, 0)
            half = total // 2
            self.pads[axis] = (half, total - half) if auto == "SAME_UPPER" else (total - half, half)

    @property
    def flat(self) -> bool:
        """Whether there are no bands: one number along every axis but time, and kernels of 1 there."""
        return self.band is None

    def at(self, axis: int | None, what: list[int]) -> int:
        """Return one of the numbers, 1 for an axis that is not there."""
        return 1 if axis is None else what[axis]

    def kernel(self, weight: Array) -> Array:
        """Return a weight (outputs, inputs, spatial axes) as (outputs, inputs, time, bands)."""
        order = [axis + 2 for axis in (self.time, self.band) if axis is not None]
        rest = [axis for axis in range(2, weight.ndim) if axis not in order]
        moved = weight.transpose([0, 1, *order, *rest])
        return moved.reshape(*weight.shape[:2], self.at(self.time, self.taps), self.at(self.band, self.taps))

    def shape(self, channels: int, bands: int) -> list[int]:
        """Return the ONNX shape of a result, with 1 on the time axis."""
        out = [1, channels, *(1,) * self.spatial]
        if self.band is not None:
            out[self.band + 2] = bands
        return out


def has_bands(stream: Stream, taps: list[int]) -> bool:
    """Tell whether a layer runs over another axis than time."""
    return any(
        axis + 2 != stream.time and axis + 2 < stream.rank and (stream.index.shape[axis + 2] > 1 or size > 1)
        for axis, size in enumerate(taps)
    )


def by_band(stream: Stream, plane: Plane, call: Call) -> tuple[Node, int]:
    """Return a node with the channels of a stream as ``[band][channel]``, and how many bands there are."""
    if stream.index.shape[0] != 1:
        call.refuse(f"has a batch of {stream.index.shape[0]}", "export with a batch of 1")
    assert plane.band is not None
    moved = np.moveaxis(stream.index, plane.band + 2, 0)
    bands = moved.shape[0]
    return call.emit.take(stream.node, moved.reshape(bands, -1).ravel()), bands


def conv(call: Call, stream: Stream, weight: Array, bias: Array | None) -> Stream:
    """Lower a convolution over bands, or over bands and time."""
    plane = Plane(call, stream, list(weight.shape[2:]))
    groups = int(call.attr("group", 1))
    if stream.index.shape[1] != weight.shape[1] * groups:
        call.refuse(
            f"has {stream.index.shape[1]} channels where its weight asks for {weight.shape[1] * groups}",
            "export it again",
        )
    call.name_after(1)
    source, bands = by_band(stream, plane, call)
    kernel = plane.kernel(weight)
    return _made(call, stream, plane, source, bands, kernel, bias, groups)


def _made(
    call: Call,
    stream: Stream,
    plane: Plane,
    source: Node,
    bands: int,
    kernel: Array,
    bias: Array | None,
    groups: int,
) -> Stream:
    out, stride = len(kernel), plane.at(plane.band, plane.strides)
    dilation = plane.at(plane.band, plane.dilations)
    before, after = plane.pads[plane.band] if plane.band is not None else (0, 0)
    if before < 0 or after < 0:
        call.refuse("crops frequencies by negative padding", "slice them before the layer")
    reach = (kernel.shape[3] - 1) * dilation + 1
    bands_out = (bands + before + after - reach) // stride + 1
    if bands_out < 1:
        call.refuse(f"reads {reach} bands where {bands + before + after} are", "export it again")
    pads, step, along = (0, 0), 1, 1
    lengths = stream.lengths
    if plane.time is not None:
        pads, step, along = plane.pads[plane.time], plane.strides[plane.time], plane.dilations[plane.time]
        spread = (kernel.shape[2] - 1) * along
        lengths = tuple((n + sum(pads) - spread - 1) // step + 1 for n in lengths)
        if min(lengths) < 1:
            call.refuse("reads more frames than the recording has", "export with a longer or dynamic time axis")
    node = call.emit.node(
        "conv_bands",
        source,
        channels=out * bands_out,
        weights={"weight": kernel, "bias": bias},
        bands=bands,
        dilation=along,
        groups=groups,
        pads=list(pads),
        band_stride=stride,
        band_dilation=dilation,
        band_pads=[before, after],
    )
    index = np.arange(node.channels).reshape(bands_out, out).T
    result = Stream(node, index.reshape(plane.shape(out, bands_out)), stream.time, lengths)
    if step > 1:
        from .timeline import decimate

        result = decimate(call, result, step, 0, lengths)
    return result


def transposed(call: Call, stream: Stream, weight: Array, bias: Array | None) -> Stream:
    """Lower a transposed convolution over bands: each input band makes `stride` bands at once, side by side."""
    plane = Plane(call, stream, list(weight.shape[2:]))
    groups = int(call.attr("group", 1))
    assert plane.band is not None
    if call.attr("output_shape") is not None or call.attr("auto_pad", "NOTSET") not in ("NOTSET", "", "VALID"):
        call.refuse("tells its output's shape", "export with pads and output_padding instead")
    if plane.at(plane.time, plane.strides) != 1:
        call.refuse("enlarges time and frequency at once", "upsample time by a ConvTranspose of its own")
    if plane.at(plane.band, plane.dilations) != 1:
        call.refuse("has holes in its kernel along frequency", "use dilation 1")
    call.name_after(1)
    source, bands = by_band(stream, plane, call)
    kernel = plane.kernel(weight)  # (inputs, outputs per group, time, bands)
    stride, size = plane.strides[plane.band], kernel.shape[3]
    past = -(-size // stride)
    per_group, per_in = kernel.shape[1], kernel.shape[0] // groups
    out = per_group * groups
    first, last = plane.pads[plane.band]
    more = int(call.attr("output_padding", [0] * plane.spatial)[plane.band])
    band_pads = [size - 1 - first, size - 1 - last + more]
    pads, along, lengths = (0, 0), 1, stream.lengths
    if plane.time is not None:
        along = plane.dilations[plane.time]
        spread = (kernel.shape[2] - 1) * along
        crop = plane.pads[plane.time]
        extra = int(call.attr("output_padding", [0] * plane.spatial)[plane.time])
        pads = (spread - crop[0], spread - crop[1] + extra)
        lengths = tuple(n + sum(pads) - spread for n in lengths)
    if groups > 1 and per_in == per_group == 1 and stride <= _SPREAD and min(band_pads) >= 0:
        # Each channel by itself: a convolution over the bands with zeros between them, whose results lie in order.
        spaced = np.full(((bands - 1) * stride + 1, out), -1)
        spaced[::stride] = np.arange(bands * out).reshape(bands, out)
        count = len(spaced) + sum(band_pads) - size + 1
        node = call.emit.node(
            "conv_bands",
            call.emit.take(source, spaced),
            channels=count * out,
            weights={"weight": np.ascontiguousarray(kernel[:, :, ::-1, ::-1]), "bias": bias},
            bands=len(spaced),
            dilation=along,
            groups=groups,
            pads=list(pads),
            band_stride=1,
            band_dilation=1,
            band_pads=band_pads,
        )
        index = np.arange(count * out).reshape(count, out).T
        return Stream(node, index.reshape(plane.shape(out, count)), stream.time, lengths)
    # full[q * stride + p] = sum over j of w[p + j * stride] x[q - j]: `stride` layers of `past` taps, reversed.
    wide = np.zeros((groups, per_in, per_group, kernel.shape[2], past * stride), weight.dtype)
    wide[..., :size] = kernel.reshape(groups, per_in, per_group, kernel.shape[2], size)
    phases = wide.reshape(*wide.shape[:4], past, stride)[:, :, :, ::-1, ::-1]  # reversed in time as well
    if groups == 1:  # the outputs of a phase together: the bands then lie in order
        made = phases[0].transpose(4, 1, 0, 2, 3).reshape(stride * out, per_in, kernel.shape[2], past)
        place = np.arange(stride * out).reshape(stride, out)
        full_bias = None if bias is None else np.tile(bias, stride)
    else:
        made = phases.transpose(0, 2, 5, 1, 3, 4).reshape(out * stride, per_in, kernel.shape[2], past)
        place = np.arange(stride * out).reshape(out, stride).T
        full_bias = None if bias is None else np.repeat(bias, stride)
    count = bands + past - 1
    node = call.emit.node(
        "conv_bands",
        source,
        channels=count * stride * out,
        weights={"weight": np.ascontiguousarray(made), "bias": full_bias},
        bands=bands,
        dilation=along,
        groups=groups,
        pads=list(pads),
        band_stride=1,
        band_dilation=1,
        band_pads=[past - 1, past - 1],
    )
    full = (bands - 1) * stride + size
    if full + more - last > count * stride:
        call.refuse("puts bands behind those that its kernel reaches", "use an output_padding below stride")
    grid = (np.arange(count)[:, None, None] * (stride * out) + place[None]).reshape(count * stride, out)
    index = grid[first : full + more - last].T
    return Stream(node, index.reshape(plane.shape(out, index.shape[1])), stream.time, lengths)


def windows(call: Call, stream: Stream, plane: Plane, fill: int) -> list[IndexArray]:
    """Return, for each tap of a pool over bands, the view that it sees; `fill` stands for padding."""
    assert plane.band is not None
    axis = plane.band + 2
    before, after = plane.pads[plane.band]
    widths = [(before, after) if place == axis else (0, 0) for place in range(stream.rank)]
    index = np.pad(stream.index, widths, constant_values=fill)
    taps, stride, dilation = (what[plane.band] for what in (plane.taps, plane.strides, plane.dilations))
    count = (index.shape[axis] - (taps - 1) * dilation - 1) // stride + 1
    if count < 1:
        call.refuse(f"reads {taps} bands where {index.shape[axis]} are", "export it again")
    return [index.take(np.arange(count) * stride + tap * dilation, axis) for tap in range(taps)]


def average(call: Call, stream: Stream, taps: list[int]) -> Stream:
    """Lower an average pool over bands to a layer with constant weights."""
    plane = Plane(call, stream, taps)
    if any(any(pair) for pair in plane.pads) and not call.attr("count_include_pad", 0):
        call.refuse("divides by fewer bands at the edges", "set count_include_pad=True")
    if plane.at(plane.time, plane.taps) > 1 and plane.time is not None and plane.pads[plane.time] != (0, 0):
        call.refuse("averages over bands and padded time", "use a Conv")
    if call.attr("ceil_mode", 0):
        call.refuse("rounds its output's length up (ceil_mode)", "set ceil_mode=False")
    channels = stream.index.shape[1]
    source, bands = by_band(stream, plane, call)
    kernel = np.full((channels, 1, plane.at(plane.time, taps), plane.at(plane.band, taps)), 1.0 / prod(taps))
    return _made(call, stream, plane, source, bands, kernel, None, channels)
