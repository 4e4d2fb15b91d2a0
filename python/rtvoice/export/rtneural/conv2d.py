"""RTNeural's convolution over time and features as one over time alone: every feature of every filter is a channel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rtvoice.export.fields import refuse

F32 = NDArray[np.float32]
_MOST = 64 * 2**20  # numbers


def expanded(kernel: F32, bias: F32, features: int, stride: int, valid: bool) -> tuple[F32, F32]:
    """Write the kernel's steps over the features out as a matrix.

    Parameters
    ----------
    kernel
        ``(time, feature, filters in, filters out)``.
    bias
        ``(filters out,)``.
    features
        Of the input.
    stride
        Over the features.
    valid
        Whether the features are not padded; else by zeros, evenly, the odd one behind.

    Returns
    -------
    tuple
        Weight ``(out, in, time)`` and bias ``(out,)``; a channel is ``feature * filters + filter``.
    """
    taps, width, filters, made = kernel.shape
    if valid:
        before, count = 0, -(-(features - width + 1) // stride)
    else:
        rest = features % stride or stride
        before, count = max(width - rest, 0) // 2, -(-features // stride)
    if count * made * features * filters * taps > _MOST:
        refuse("conv2d", f"becomes a matrix of more than {_MOST} numbers; use fewer features or filters")
    weight = np.zeros((count, made, features, filters, taps), np.float32)
    for out in range(count):
        for step in range(width):
            feature = out * stride + step - before
            if 0 <= feature < features:
                weight[out, :, feature] = kernel[:, step].transpose(2, 1, 0)
    return weight.reshape(count * made, features * filters, taps), np.tile(bias, count)
