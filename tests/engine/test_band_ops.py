"""Convolutions over bands, choices of channels and sums that leak: against float64, every cutting bit for bit."""

from __future__ import annotations

import numpy as np
import pytest

import rtvoice
from rtvoice.graph import GraphBuilder, Tensor

from .graphs import Rng, around, weights
from .test_ops import check

# bands, channels of a band, outputs, kernel over time and bands, groups, further attributes
SHAPES = [
    (6, 1, 64, (3, 3), 1, {"pads": [2, 0], "band_pads": [1, 1]}),
    (8, 16, 16, (1, 3), 16, {"band_pads": [1, 1], "band_stride": 2}),
    (5, 4, 4, (1, 1), 1, {}),
    (5, 4, 6, (2, 2), 2, {"pads": [3, 0], "dilation": 3, "band_pads": [0, 2]}),
    (7, 3, 3, (2, 3), 3, {"pads": [0, 1], "band_pads": [2, 0]}),
    (9, 2, 5, (2, 3), 1, {"pads": [1, 1], "dilation": 2, "band_dilation": 2, "band_pads": [2, 2], "band_stride": 3}),
    (4, 32, 33, (3, 2), 1, {"pads": [-1, 0]}),
    (1, 6, 1, (2, 1), 1, {"pads": [1, 0]}),
    (3, 64, 64, (1, 2), 4, {"band_pads": [1, 0]}),
    (6, 8, 10, (2, 3), 2, {"pads": [1, 0], "band_pads": [1, 0], "band_stride": 2}),
    (5, 6, 21, (1, 2), 3, {"band_dilation": 2}),
    (4, 4, 16, (2, 1), 2, {"pads": [1, 0]}),
]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: f"{s[0]}x{s[1]}to{s[2]}by{s[3][0]}x{s[3][1]}g{s[4]}")
def test_convolution_over_bands(shape: tuple[int, int, int, tuple[int, int], int, dict[str, object]]) -> None:
    bands, width, out, kernel, groups, attrs = shape

    def make(b: GraphBuilder, x: Tensor, rng: Rng) -> Tensor:
        late = b.node("advance", x, frames=2)
        weight, bias = weights(rng, out, width // groups, *kernel), weights(rng, out, scale=0.3)
        return b.node("conv_bands", late, weight=weight, bias=bias, bands=bands, groups=groups, **attrs)

    check(around(make, channels=bands * width))


@pytest.mark.parametrize("index", [[0], [2, 1, 0], [-1, 0, 1, 2, -1, -1, 2], [1, 1, 2], list(range(3)) * 20])
def test_pick(index: list[int]) -> None:
    check(around(lambda b, x, rng: b.node("pick", x, index=index), channels=3))


@pytest.mark.parametrize("start", [False, True])
@pytest.mark.parametrize("channels", [1, 5, 17])
def test_leaky_sum(channels: int, start: bool) -> None:
    def make(b: GraphBuilder, x: Tensor, rng: Rng) -> Tensor:
        decay = np.linspace(0.5, 0.99, channels).astype(np.float32)
        late = b.node("advance", x, frames=3)  # nothing may be added up before its own time 0
        first = {"start": weights(rng, channels, scale=2.0)} if start else {}
        return b.node("tanh", b.node("leaky_sum", late, decay=decay, **first))

    check(around(make, channels=channels))


def test_a_sum_that_overflows_starts_afresh() -> None:
    b = GraphBuilder(name="sum", sample_rate=16000, hop=4, licence="CC0-1.0")
    b.output(b.node("leaky_sum", b.input(), decay=np.ones(1, np.float32)))
    engine = rtvoice.Engine(b.model(), sample_rate=16000, max_frame=4, block=4)
    engine.process(np.full(4, 3e38, np.float32))
    assert np.isfinite(engine.process(np.ones(4, np.float32))).all()
    assert (engine.process(np.zeros(4, np.float32)) == 4.0).all()


REFUSED = [
    ({"bands": 4}, (8, 3, 1, 1), "does not divide"),
    ({"bands": 2}, (8, 3, 1, 4), "does not fit"),
    ({"bands": 2, "groups": 3}, (8, 1, 1, 1), "divide"),
    ({"bands": 2, "band_pads": [-1, 0]}, (8, 3, 1, 1), "band_pads"),
    ({"bands": 2, "band_pads": [9000, 9000]}, (8, 3, 1, 1), "limit"),
]


@pytest.mark.parametrize(("attrs", "shape", "told"), REFUSED)
def test_what_does_not_fit_is_refused(attrs: dict[str, object], shape: tuple[int, ...], told: str) -> None:
    b = GraphBuilder(name="bands", sample_rate=16000, hop=6, licence="CC0-1.0")
    x = b.node("time_to_depth", b.input(), factor=6, order="time")
    with pytest.raises(ValueError, match=told):
        b.node("conv_bands", x, weight=np.zeros(shape, np.float32), **attrs)


def test_a_channel_that_is_not_there_is_refused() -> None:
    b = GraphBuilder(name="pick", sample_rate=16000, hop=4, licence="CC0-1.0")
    x = b.input()
    with pytest.raises(ValueError, match="counted from 0"):
        b.node("pick", x, index=[0, 1])
    with pytest.raises(ValueError, match="list of 1 to"):
        b.node("pick", x, index=[])
