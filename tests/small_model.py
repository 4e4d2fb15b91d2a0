"""A small model with everything that an engine has."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import rtvoice

RATE = 16000
HOP = 80


def build_model(path: Path, *, name: str = "echo", tier: str = "default", gain: float = 1.0) -> Path:
    """Write a model with 40 samples of lookahead, two parameters, noise that is off at first, and a value output."""
    rng = np.random.default_rng(7)
    b = rtvoice.GraphBuilder(name=name, sample_rate=RATE, hop=HOP, tier=tier, licence="CC0-1.0")
    x = b.input()
    taps = rng.standard_normal((8, 1, 9)).astype(np.float32) * np.float32(0.3)
    h = b.node("conv1d", x, weight=taps, bias=np.zeros(8, np.float32), pads=[4, 4], name="filter")
    h = b.node("tanh", h)
    back = rng.standard_normal((1, 8, 73)).astype(np.float32) * np.float32(0.05 * gain)
    y = b.node("conv1d", h, weight=back, pads=[36, 36], name="sum")
    g = b.parameter("gain", size=1, default=[1.0], min=0.0, max=4.0)
    hiss = b.parameter("hiss", size=1, default=[0.0], min=0.0, max=1.0)
    noise = b.node("noise", channels=1, frames=HOP, std=0.1, name="noise")
    y = b.node("add", b.node("mul", y, g), b.node("mul", noise, hiss))
    energy = b.node("avg_pool", b.node("square", x), kernel=HOP, name="energy")
    b.output(y)
    b.output(energy, name="energy", kind="value")
    b.save(path)
    return path
