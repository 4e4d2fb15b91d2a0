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
