"""The STFT and DFT operators: a network that goes to the spectrum and back."""

from __future__ import annotations

import numpy as np
import pytest

SIZE, HOP = 32, 8
WINDOW = np.hanning(SIZE + 1)[:SIZE].astype(np.float32)


def mirrored(net, half):
    """Make the whole spectrum, (1, T, SIZE, 2), of its half."""
    back = net("Slice", half, net.ints(SIZE // 2 - 1), net.ints(0), net.ints(2), net.ints(-1))
    return net("Concat", half, net("Mul", back, np.float32([1, -1])), axis=2)


@pytest.mark.parametrize("onesided", [0, 1])
@pytest.mark.parametrize("opset", [17, 20])
def test_masking_a_spectrum(onesided, opset, make_net, imported):
    net = make_net(opset=opset, shape=(1, "T", 1))
    x = net("Pad", net.x, net.ints(0, SIZE - HOP, 0, 0, 0, 0))
    spectrum = net("STFT", x, np.int64(HOP), WINDOW, np.int64(SIZE), onesided=onesided)
    power = net("Mul", spectrum, spectrum)
    power = net("Add", net("Slice", power, net.ints(0), net.ints(1), net.ints(3)), np.float32(1e-3))
    spectrum = net("Mul", spectrum, net("Sigmoid", power))
    whole = mirrored(net, spectrum) if onesided else spectrum
    frames = net("DFT", whole, "", np.int64(2), inverse=1) if opset >= 20 else net("DFT", whole, axis=2, inverse=1)
    frames = net(
        "Mul", net("Squeeze", net("Slice", frames, net.ints(0), net.ints(1), net.ints(3)), net.ints(3)), WINDOW
    )
    rows = net("Transpose", frames, perm=[0, 2, 1])
    eye = np.eye(SIZE, dtype=np.float32)[:, None, :]
    y = net("ConvTranspose", rows, eye, strides=[HOP], pads=[SIZE - HOP, 0])
    report = imported(net.model(y))
    assert report.latency == SIZE - HOP and report.ops["conv1d"] == 1


@pytest.mark.parametrize("length", [5, 12])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_transform_within_frames(length, channels, make_net, imported):
    """Numbers that are cut or filled up with zeros first, real or complex."""
    net = make_net(opset=20)
    y = net("Transpose", net("Reshape", net.wide(8 * channels), net.ints(1, 8, channels, -1)), perm=[0, 3, 1, 2])
    y = net("DFT", y, np.int64(length), np.int64(-2), onesided=1 if channels == 1 else 0)
    size = 2 * (length // 2 + 1 if channels == 1 else length)
    y = net("Transpose", net("Reshape", y, net.ints(1, -1, size)), perm=[0, 2, 1])
    imported(net.model(net.narrow(y, size)))


def test_what_no_stream_can_transform(make_net, refused):
    net = make_net(opset=20)
    y = net("Unsqueeze", net("Transpose", net.wide(), perm=[0, 2, 1]), net.ints(3))
    assert "within frames" in refused(net.model(net("DFT", y, "", np.int64(1))))
    net = make_net(opset=17, shape=(1, 1, "T"))
    x = net("Transpose", net.wide(2), perm=[0, 2, 1])
    assert "one real signal" in refused(net.model(net("STFT", x, np.int64(4), "", np.int64(8))))
    net = make_net(opset=17, shape=(1, "T", 1))
    x = net("Pad", net.x, net.ints(0, 4, 0, 0, 4, 0), mode="reflect")  # as torch.stft(center=True) has it
    assert "pad_mode='constant'" in refused(net.model(net("STFT", x, np.int64(4), WINDOW, np.int64(SIZE))))
