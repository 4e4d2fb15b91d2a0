"""Weights that a file stores in 16 bits: half the memory where the network waits for them, and the same bits out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

import rtvoice
from rtvoice.graph import GraphBuilder, Tensor

from .streaming import CUTTINGS, sizes, speech_like, stream

Weight = Callable[..., NDArray[np.generic]]
HOP = 160


def body(b: GraphBuilder, x: Tensor, weight: Weight, frames: int) -> Tensor:
    """One layer of every kind with a matrix, at `frames` frames a hop."""
    stride = HOP // frames
    y = b.node("conv1d", x, weight=weight(48, 1, 2 * stride), stride=stride, pads=[stride, 0])
    y = b.node("conv1d", y, weight=weight(48, 48, 3), dilation=2, pads=[4, 0])
    y = b.node("conv1d", b.node("tanh", y), weight=weight(96, 12, 3), groups=4, pads=[2, 0])
    y = b.node("conv1d", y, weight=weight(96, 1, 5), groups=96, pads=[4, 0])
    y = b.node("linear", y, weight=weight(64, 96), bias=np.linspace(-0.3, 0.3, 64, dtype=np.float32))
    y = b.node("gru", y, weight_ih=weight(3 * 20, 64), weight_hh=weight(3 * 20, 20))
    y = b.node("gru", y, weight_ih=weight(3 * 36, 20), weight_hh=weight(3 * 36, 36), linear_before_reset=False)
    y = b.node("lstm", y, weight_ih=weight(4 * 24, 36), weight_hh=weight(4 * 24, 24))
    if stride == 1:
        return b.node("linear", y, weight=weight(1, 24))
    return b.node("conv_transpose1d", y, weight=weight(24, 1, 2 * stride), stride=stride, crop=[0, stride])


def made(frames: int, dtype: type, *, scale: NDArray[np.float32] | None = None) -> rtvoice.Model:
    rng = np.random.default_rng(7)

    def weight(*shape: int) -> NDArray[np.generic]:
        values = rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))
        return values.astype(np.float16).astype(dtype)

    b = GraphBuilder(name="half", sample_rate=16000, hop=HOP, licence="CC0-1.0")
    y = body(b, b.input(), weight, frames)
    if scale is not None:
        y = b.node("affine", y, scale=scale)
    b.output(y)
    return b.model()


@pytest.mark.parametrize("frames", [1, 2, 4, 8, 160])
def test_half_weights_give_the_bits_of_the_same_numbers_in_float32(frames: int) -> None:
    single, half = made(frames, np.float32), made(frames, np.float16)
    signal = speech_like(3200)
    outs = []
    for model in (single, half):
        for cutting in CUTTINGS:
            engine = rtvoice.Engine(model, sample_rate=16000, max_frame=3200)
            outs.append(stream(engine, signal, sizes(cutting, len(signal), HOP)))
    assert np.count_nonzero(outs[0]) > 1000
    for out in outs[1:]:
        np.testing.assert_array_equal(out, outs[0])


def weight_bytes(model: rtvoice.Model) -> int:
    return int(model.info["memory_bytes"]["weights"])


def test_only_layers_that_run_a_few_frames_a_hop_keep_16_bits() -> None:
    if rtvoice.isa() not in ("AVX3", "AVX2", "NEON"):
        pytest.skip(f"{rtvoice.isa()} keeps float32 weights")
    assert weight_bytes(made(4, np.float16)) < 0.65 * weight_bytes(made(4, np.float32))
    # The recurrent matrices of the fast network still run one frame at a time.
    fast_half, fast_single = weight_bytes(made(160, np.float16)), weight_bytes(made(160, np.float32))
    assert 0.65 * fast_single < fast_half < fast_single


def test_a_scale_folded_into_half_weights_costs_no_bits() -> None:
    """The transposed convolution's weights times 1/3 are no float16 numbers any more: they stay float32."""
    scale = np.array([1 / 3], np.float32)
    signal = speech_like(1600)
    outs = []
    for dtype in (np.float32, np.float16):
        engine = rtvoice.Engine(made(2, dtype, scale=scale), sample_rate=16000, max_frame=160)
        outs.append(stream(engine, signal, [160] * 10))
    np.testing.assert_array_equal(outs[0], outs[1])
