"""Write the seed models of the fuzzer: together they use every op, type and key of the format.

Run as ``python cpp/fuzz/make_seeds.py FOLDER`` with the package importable.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from rtvoice.graph import BFloat16, GraphBuilder, Tensor
from rtvoice.ops import OPS, PLAIN
from rtvoice.safetensors_io import Int8


def _weights(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Return values on a grid of 1/64: the same bytes wherever they are made."""
    return rng.integers(-32, 33, size=shape).astype(np.float32) / 64


def convolutions() -> GraphBuilder:
    """Strided, dilated, grouped and transposed convolutions with lookahead; weights of 16 and 8 bits."""
    rng = np.random.default_rng(1)
    b = GraphBuilder(name="convolutions", sample_rate=16000, hop=32, tier="hq", licence="CC0-1.0", loudness=-23.0)
    x = b.node("conv1d", b.input(), weight=_weights(rng, 8, 1, 16), bias=_weights(rng, 8), stride=8, pads=[8, 8])
    y = b.node("conv1d", x, weight=_weights(rng, 8, 1, 3).astype(np.float16), groups=8, dilation=2, pads=[2, 2])
    y = b.node("conv1d", y, weight=BFloat16.round(_weights(rng, 8, 4, 1)), groups=2)
    y = b.node("conv1d", y, weight=Int8.round(_weights(rng, 8, 8, 1)))
    y = b.node("add", x, b.node("leaky_relu", y, alpha=0.1))
    y = b.node("time_to_depth", y, factor=2)
    y = b.node("depth_to_time", y, factor=4, order="time")
    y = b.node("avg_pool", y, kernel=3, stride=2, pads=[1, 1])
    b.output(b.node("conv_transpose1d", y, weight=_weights(rng, 4, 1, 16), stride=8, crop=[4, 4], name="decode"))
    b.output(x, "features", "value")
    return b


def recurrent() -> GraphBuilder:
    """Recurrent layers and norms at a low rate, conditioned by parameters, with noise."""
    rng = np.random.default_rng(2)
    b = GraphBuilder(
        name="recurrent",
        sample_rate=24000,
        hop=24,
        start="prewarmed",
        description="a seed",
        provenance={"source": "seed"},
    )
    audio = b.input()
    speaker = b.parameter("speaker", size=4, default=[0.0, 0.25, 0.5, 1.0], min=-1.0, max=1.0, smoothing_ms=50.0)
    amount = b.parameter("amount", default=[1.0], description="how much")
    x = b.node("time_to_depth", audio, factor=12, order="time")
    x = b.node("layer_norm", x, weight=_weights(rng, 12), bias=_weights(rng, 12), eps=1e-3)
    gamma = b.node("linear", speaker, weight=_weights(rng, 12, 4), bias=_weights(rng, 12))
    x = b.node("film", x, gamma, amount, offset=1.0)
    x = b.node("gru", x, weight_ih=_weights(rng, 18, 12), weight_hh=_weights(rng, 18, 6), bias_ih=_weights(rng, 18))
    n = b.node("noise", channels=6, frames=2, stream=7)
    u = b.node("noise", channels=1, frames=2, distribution="uniform", low=-0.5, high=0.5)
    x = b.node("mul", b.node("add", x, n), u)
    x = b.node("gru", x, weight_ih=_weights(rng, 12, 6), weight_hh=_weights(rng, 12, 4), linear_before_reset=False)
    x = b.node("rms_norm", b.node("lstm", x, weight_ih=_weights(rng, 32, 4), weight_hh=_weights(rng, 32, 8)))
    b.output(b.node("depth_to_time", b.node("linear", x, weight=_weights(rng, 12, 8)), factor=12))
    return b


def pointwise() -> GraphBuilder:
    """Every op on one value, three streams joined."""
    rng = np.random.default_rng(3)
    b = GraphBuilder(name="pointwise", sample_rate=8000, hop=10, latency=4)
    x: Tensor = b.node("affine", b.input(), scale=_weights(rng, 1), shift=_weights(rng, 1))
    for op in PLAIN:
        x = b.node(op, x)
    x = b.node("clip", x, min=-4.0, max=4.0)
    for op, attrs in (
        ("elu", {"alpha": 0.5}),
        ("gelu", {}),
        ("gelu", {"approximate": "tanh"}),
        ("softplus", {"beta": 2}),
    ):
        x = b.node(op, x, **attrs)
    x = b.node("prelu", b.node("snake", x, alpha=np.ones(1)), weight=_weights(rng, 1))
    y = b.node("concat", x, b.node("delay", x, frames=5), b.node("advance", x, frames=3))
    y = b.node("upsample", y, factor=2, mode="linear")
    z = b.node("sub", y, b.node("slice", y, start=1, stop=2))
    y = b.node("glu", b.node("div", b.node("concat", z, z), b.node("exp", b.node("concat", y, z))), a="tanh")
    y = b.node("avg_pool", y, kernel=2)
    b.output(b.node("linear", b.node("upsample", y, factor=1), weight=_weights(rng, 1, 3)))
    return b


def source() -> GraphBuilder:
    """Source and filter: a phase, its harmonics, a warped envelope, taps at a lower rate."""
    rng = np.random.default_rng(4)
    b = GraphBuilder(name="source", sample_rate=16000, hop=16)
    audio = b.input()
    shift = b.parameter("shift", default=[1.25], min=0.5, max=2.0)
    frames = b.node("conv1d", audio, weight=_weights(rng, 6, 1, 8), bias=_weights(rng, 6), stride=8)
    turns = b.node("upsample", b.node("softmax", frames), factor=8, mode="linear")
    frequency = b.node("slice", turns, start=0, stop=1)
    pulses = b.node("harmonics", b.node("phase", frequency), frequency, count=40, limit=0.45)
    taps = b.node("warp", frames, shift)
    b.output(b.node("fir", pulses, b.node("advance", taps, frames=1), interpolate=True))
    return b


def bands() -> GraphBuilder:
    """Convolutions over the bands of a frame, channels chosen, and a sum that leaks."""
    rng = np.random.default_rng(5)
    b = GraphBuilder(name="bands", sample_rate=16000, hop=16)
    frame = b.node("time_to_depth", b.input(), factor=16, order="time")
    y = b.node("conv_bands", frame, weight=_weights(rng, 4, 1, 2, 3), bands=16, pads=[1, 0], band_pads=[1, 1])
    y = b.node("conv_bands", y, weight=_weights(rng, 4, 1, 1, 2), bands=16, groups=4, band_stride=2, band_dilation=2)
    y = b.node("leaky_sum", b.node("pick", y, index=[*range(0, 28, 2), -1, 5]), decay=np.full(1, 0.9, np.float32))
    b.output(b.node("depth_to_time", y, factor=16, order="time"))
    return b


def generation() -> GraphBuilder:
    """Draws from what was drawn, steered by a slower stream that attends to its past."""
    rng = np.random.default_rng(6)
    b = GraphBuilder(name="generation", sample_rate=16000, hop=16)
    slow = b.node("conv1d", b.input(), weight=_weights(rng, 6, 1, 8), stride=8)
    slow = b.node("attention", slow, slow, b.node("advance", slow, frames=1), heads=2, window=3)
    before = b.node("recall", of="draw", channels=1, frames=16)
    h = b.node("linear", before, weight=_weights(rng, 4, 1))
    late = b.node("conv1d", h, weight=_weights(rng, 6, 4, 2), dilation=9, pads=[9, 0])
    y = b.node("glu", b.node("add", late, b.node("upsample", slow, factor=8)), a="tanh")
    y = b.node("sample", y, distribution="logistic", stream=2)
    both = b.node("concat", y, b.node("neg", y))
    b.output(b.node("sample", both, floor=-3.0, limit=2.0, name="draw"))
    return b


def main() -> None:
    """Write the seeds into the folder given, and say which ops they leave out."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    used = set()
    for make in (convolutions, recurrent, pointwise, source, bands, generation):
        builder = make()
        builder.save(folder / f"{make.__name__}.rtv")
        used |= {node.op for node in builder.graph().nodes}
    missing = sorted(set(OPS) - used)
    if missing:
        sys.exit(f"no seed uses: {', '.join(missing)}")


if __name__ == "__main__":
    main()
