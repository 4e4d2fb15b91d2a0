"""What torch's newer exporter writes out in small operators, node by node as it does."""

from __future__ import annotations

import numpy as np
import pytest

MORE = np.int64(1)


def frames(net, x, axis=2):
    return net("Squeeze", net("Shape", x, start=axis, end=axis + 1))


def picked(net, x, index):
    """Pick frames of (1, channels, T)."""
    rows = net("GatherND", net("Transpose", x, perm=[2, 0, 1]), net("Unsqueeze", index, net.ints(-1)))
    return net("Transpose", rows, perm=[1, 2, 0])


def stretched(net, x, size, share):
    """Interpolate (1, channels, T) linearly: `share` frames of it for each of `size`."""
    index = net("Cast", net("Range", np.int64(0), size, MORE), to=1)
    place = net("Sub", net("Mul", net("Add", index, np.float32(0.5)), share), np.float32(0.5))
    place = net("Clip", place, np.float32(0))
    low = net("Cast", place, to=7)
    high = net("Clip", net("Add", low, MORE), "", net("Sub", frames(net, x), MORE))
    first, second = picked(net, x, low), picked(net, x, high)
    weight = net("Clip", net("Sub", place, net("Cast", low, to=1)), np.float32(0), np.float32(1))
    return net("Add", first, net("Mul", net("Sub", second, first), weight))


@pytest.mark.parametrize("factor", [2, 3, 4, 5])
@pytest.mark.parametrize("to", ["factor", "frames", "samples"])
def test_linear_interpolation_to_a_size(factor, to, make_net, imported):
    """`F.interpolate(y, scale_factor=k)`, `size=y.shape[-1] * k` and `size=x.shape[-1]`, with mode="linear"."""
    net = make_net(opset=18)
    y = net.conv(net.x, 1, 6, 2 * factor, strides=[factor], pads=[factor, 0])
    size = frames(net, net.x) if to == "samples" else net("Mul", frames(net, y), np.int64(factor))
    share = np.float32(1 / factor)
    if to != "factor":
        share = net("Div", net("Cast", frames(net, y), to=1), net("Cast", size, to=1))
    report = imported(net.model(net.narrow(stretched(net, y, size, share))))
    assert report.ops == {"conv1d": 1, "upsample": 1, "linear": 1}
    assert any("multiples of" in note for note in report.notes) == (to == "samples")


SIZE, HOP = 16, 4
WINDOW = np.hanning(SIZE + 1)[:SIZE].astype(np.float32)


def count_of(net, frames_made):
    """Return how long an overlap-add of frames is."""
    return net("Add", net("Mul", net("Sub", frames_made, MORE), np.int64(HOP)), np.int64(SIZE))


def spectrum(net):
    """Return the spectrum of frames, (1, bins, T, 2), with a mask of its own."""
    x = net("Pad", net.x, net.ints(0, 0, SIZE - HOP, 0, 0, 0))
    turns = np.outer(np.arange(SIZE // 2 + 1), np.arange(SIZE)) * (2 * np.pi / SIZE)
    sides = [
        net("Conv", x, (side(turns) * WINDOW).astype(np.float32)[:, None], strides=[HOP]) for side in (np.cos, np.sin)
    ]
    gate = net("Sigmoid", net("Mul", sides[0], sides[0]))
    return net("Concat", *(net("Unsqueeze", net("Mul", side, gate), net.ints(-1)) for side in sides), axis=-1)


def half_back(net, y, axis, size=SIZE):
    """`torch.fft.irfft`: the real part of what DFT makes of half a spectrum."""
    y = net("DFT", y, np.int64(size), np.int64(axis), inverse=1, onesided=1)
    return net("Squeeze", net("Slice", y, net.ints(0), net.ints(1), net.ints(-1)), net.ints(-1))


def cut(net, y, axis, count):
    """Leave out half a window at both ends, as `torch.istft(center=True)` does."""
    end = net("Reshape", net("Sub", count, np.int64(SIZE // 2)), net.ints(-1))
    return net("Slice", y, net.ints(SIZE // 2), end, net.ints(axis), net.ints(1))


@pytest.mark.parametrize("fixed", [False, True])
def test_overlap_add_divided_by_its_sum_of_windows(fixed, make_net, imported, refused):
    """`F.fold(frames) / F.fold(windows)`: the sum of windows begins as the source's does, and never ends."""
    net = make_net(opset=20, shape=(1, 1, 400 if fixed else "T"))
    frame = net("Mul", half_back(net, spectrum(net), 1), WINDOW[:, None])
    made = frames(net, frame)
    count = count_of(net, made)
    image = net("Concat", net.ints(1), net("Reshape", count, net.ints(-1)), axis=0)
    wide = net("Concat", net.ints(1), net("Reshape", made, net.ints(-1)), net.ints(1), axis=0)
    windows = net("Transpose", net("Expand", WINDOW**2, wide), perm=[0, 2, 1])
    sums = []
    for columns in (frame, windows):
        y = net("Col2Im", columns, image, net.ints(1, SIZE), strides=[1, HOP], pads=[0] * 4, dilations=[1, 1])
        sums.append(cut(net, net("Squeeze", y, net.ints(2)), 2, count))
    model = net.model(net("Div", *sums, name="scaled"))
    if fixed:
        assert "where the time axis is dynamic" in refused(model)
        return
    report = imported(model)
    assert report.ops["conv_transpose1d"] == 2 and report.ops["div"] == 1
    assert report.latency == SIZE // 2


@pytest.mark.parametrize("size", [SIZE, SIZE + 1, 10])
def test_half_a_spectrum_back(size, make_net, imported):
    """Whether the last of its numbers has a mirror, or is left out."""
    net = make_net(opset=20)
    y = half_back(net, spectrum(net), 1, size)
    y = net("ConvTranspose", y, net.random(size, 1, HOP), strides=[HOP])
    imported(net.model(y))


def inverse_stft(net, changing=False):
    """`torch.istft` as it is exported: rows put behind one another, and added up at `hop * row + column`."""
    rows = net("Transpose", spectrum(net), perm=[0, 2, 1, 3])
    made = frames(net, rows, 1)
    frame = net("Mul", half_back(net, rows, 2), WINDOW)
    count = count_of(net, made)
    zeros = net("ConstantOfShape", net("Concat", net("Reshape", count, net.ints(-1)), net.ints(1), axis=0))
    places = net("Range", np.int64(0), count, MORE)
    starts = net("Range", np.int64(0), net("Sub", frames(net, places, 0), np.int64(SIZE - 1)), np.int64(HOP))
    index = net("Gather", places, net("Add", net("Unsqueeze", starts, net.ints(1)), np.arange(SIZE)))
    index = net("Unsqueeze", net("Reshape", index, net.ints(-1)), net.ints(-1))
    wide = net("Concat", net.ints(1), net("Reshape", made, net.ints(-1)), net.ints(SIZE), axis=0)
    windows = net("Expand", WINDOW**2, wide)
    if changing:
        windows = net(
            "Mul",
            windows,
            net("Cast", net("Unsqueeze", net("Range", MORE, net("Add", made, MORE), MORE), net.ints(1)), to=1),
        )
    sums = []
    for part in (frame, windows):
        part = net("Transpose", net("Reshape", part, net.ints(1, -1)), perm=[1, 0])
        y = net("Transpose", net("ScatterND", zeros, index, part, reduction="add"), perm=[1, 0])
        sums.append(cut(net, y, 1, count))
    return net.model(net("Unsqueeze", net("Div", *sums, name="scaled"), net.ints(1)))


def test_an_inverse_stft(make_net, imported):
    report = imported(inverse_stft(make_net(opset=20)))
    assert report.ops["conv_transpose1d"] == 2 and "depth_to_time" not in report.ops


def test_an_inverse_stft_whose_windows_grow(make_net, refused):
    message = refused(inverse_stft(make_net(opset=20), changing=True))
    assert "'scaled'" in message or "ScatterND" in message


def test_an_inverse_stft_of_a_fixed_length(make_net, refused):
    """What torch makes of `torch.stft` and `torch.istft` in one model, which it cannot export otherwise."""
    message = refused(inverse_stft(make_net(opset=20, shape=(1, 1, 400))))
    assert "ScatterND" in message and "dynamic time axis" in message and "x.unfold(-1, size, hop)" in message


@pytest.mark.parametrize("length", ["T", 400])
@pytest.mark.parametrize("channels", [1, 3])
def test_frames_that_overlap(length, channels, make_net, imported):
    """`x.unfold(-1, 16, 4)`: an index of rows and columns."""
    net = make_net(opset=20, shape=(1, 1, length))
    x = net("Pad", net.wide(channels), net.ints(0, 0, SIZE - HOP, 0, 0, 0))
    starts = net("Range", np.int64(0), net("Sub", frames(net, x), np.int64(SIZE - 1)), np.int64(HOP))
    y = net("Gather", x, net("Add", net("Unsqueeze", starts, net.ints(1)), np.arange(SIZE)), axis=2)
    y = net("MatMul", net("Mul", y, WINDOW), net.random(SIZE, HOP))
    y = net("Reshape", net("Transpose", y, perm=[0, 1, 3, 2]), net.ints(1, channels * HOP, -1))
    imported(net.model(net("ConvTranspose", y, net.random(channels * HOP, 1, HOP), strides=[HOP])))


def test_frames_that_overlap_otherwise(make_net, refused):
    net = make_net(opset=20)
    starts = net("Range", np.int64(0), net("Sub", frames(net, net.x), np.int64(SIZE - 1)), np.int64(HOP))
    y = net("Gather", net.x, net("Add", net("Unsqueeze", starts, net.ints(1)), np.arange(SIZE)[::-1].copy()), axis=2)
    assert "picks single frames" in refused(net.model(net("ReduceSum", y, net.ints(3), keepdims=0)))
