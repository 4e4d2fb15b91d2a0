"""Networks around the ops of source and filter, for the tests of every op."""

from __future__ import annotations

import numpy as np

from rtvoice.graph import GraphBuilder, Tensor

from .graphs import Make, Rng, weights


def _one(b: GraphBuilder, x: Tensor, rng: Rng, low: float, high: float) -> Tensor:
    """One channel between `low` and `high`."""
    y = b.node("tanh", b.node("linear", x, weight=weights(rng, 1, x.channels)))
    scale, shift = np.array([(high - low) / 2], np.float32), np.array([(high + low) / 2], np.float32)
    return b.node("affine", y, scale=scale, shift=shift)


def _scaled(b: GraphBuilder, x: Tensor, scale: float) -> Tensor:
    return b.node("affine", x, scale=np.array([scale], np.float32))


def softmax(b: GraphBuilder, x: Tensor, rng: Rng) -> Tensor:
    return b.node("softmax", _scaled(b, x, 4.0))


def phase(b: GraphBuilder, x: Tensor, rng: Rng) -> Tensor:
    # A late input: nothing may be added up before its own time 0.
    turns = _scaled(b, b.node("tanh", b.node("advance", x, frames=3)), 0.02)
    angle = _scaled(b, b.node("phase", turns), 2 * np.pi)
    return b.node("add", b.node("sin", angle), b.node("cos", angle))


def harmonics(b: GraphBuilder, x: Tensor, rng: Rng) -> Tensor:
    frequency = _one(b, x, rng, 0.02, 0.12)
    return b.node("harmonics", b.node("phase", frequency), b.node("advance", frequency, frames=1), count=6, limit=0.4)


def warp(b: GraphBuilder, x: Tensor, rng: Rng) -> Tensor:
    amount = b.parameter("warp", default=[0.8], min=-4.0, max=4.0)
    ratio = _one(b, x, rng, 0.7, 1.4)
    moved = b.node("warp", b.node("advance", x, frames=2), ratio)
    fixed = b.node("warp", b.node("tanh", x), amount)
    style = b.node("warp", b.node("linear", amount, weight=weights(rng, x.channels, 1)), ratio)  # a control is moved
    return b.node("add", b.node("add", moved, fixed), style)


def fir(x_late: int, taps_late: int, interpolate: bool) -> Make:
    """Taps for four frames each; both sides may be late, by no whole frame of taps."""

    def make(b: GraphBuilder, x: Tensor, rng: Rng) -> Tensor:
        fast = b.node("depth_to_time", b.node("linear", x, weight=weights(rng, 4, x.channels)), factor=4)
        fast = b.node("advance", fast, frames=x_late)
        taps = _scaled(b, b.node("advance", x, frames=taps_late), 1.0 / np.sqrt(x.channels))
        return b.node("fir", fast, taps, interpolate=interpolate)

    return make


SOURCE_CASES: dict[str, Make] = {
    "softmax": softmax,
    "phase": phase,
    "harmonics": harmonics,
    "warp": warp,
    "fir": fir(0, 0, False),
    "fir_late": fir(3, 0, False),
    "fir_taps_late": fir(1, 2, False),
    "fir_faded": fir(0, 0, True),
    "fir_faded_late": fir(7, 1, True),
}
