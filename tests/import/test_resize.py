"""Resize along frequency within a frame, in every form that exporters write, alone and together with time."""

from __future__ import annotations

import numpy as np
import pytest

PLANE = 3, 4  # channels and bins of 12 channels


def plane(net):
    """Twelve channels as (1, channels, time, bins)."""
    x = net.conv(net.x, 1, 12, 3, pads=[2, 0])
    return net("Transpose", net("Reshape", x, net.ints(1, *PLANE, -1)), perm=[0, 1, 3, 2])


def flat(net, y, bins):
    y = net("Reshape", net("Transpose", y, perm=[0, 1, 3, 2]), net.ints(1, PLANE[0] * bins, -1))
    return net.narrow(y, PLANE[0] * bins)


@pytest.mark.parametrize("coordinates", ["half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners"])
@pytest.mark.parametrize(
    ("mode", "scale", "more"),
    [
        ("nearest", 2.0, {"nearest_mode": "floor"}),
        ("nearest", 1.75, {"nearest_mode": "round_prefer_ceil"}),
        ("nearest", 0.5, {"nearest_mode": "ceil"}),
        ("linear", 2.0, {}),
        ("linear", 1.75, {}),
        ("linear", 0.5, {}),
        ("cubic", 2.0, {"cubic_coeff_a": -0.5}),
    ],
)
def test_along_frequency(mode, scale, more, coordinates, net, imported):
    scales = np.array([1, 1, 1, scale], np.float32)
    y = net("Resize", plane(net), "", scales, mode=mode, coordinate_transformation_mode=coordinates, **more)
    report = imported(net.model(flat(net, y, int(4 * scale))))
    assert report.latency == 0 and (mode != "nearest" or "add" not in report.ops)


def test_to_a_size_and_along_time_too(net, imported):
    scales = np.array([1, 1, 3, 2], np.float32)
    y = net(
        "Resize",
        plane(net),
        "",
        scales,
        mode="nearest",
        nearest_mode="floor",
        coordinate_transformation_mode="asymmetric",
    )
    y = net("AveragePool", flat(net, y, 8), kernel_shape=[3], strides=[3])
    assert imported(net.model(y)).latency == 0


def test_bins_by_the_length_of_the_recording_are_refused(net, refused):
    x = plane(net)
    length = net("Slice", net("Shape", x), net.ints(2), net.ints(3))
    sizes = net("Concat", net.ints(1), net.ints(3), length, length, axis=0)
    y = net("Resize", x, "", "", sizes, mode="nearest")
    message = refused(net.model(net("ReduceMean", y, axes=[1, 3])))
    assert "depends on the length" in message
