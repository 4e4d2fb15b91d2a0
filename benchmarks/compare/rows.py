"""The rows of the comparison and what each has to reach (the target table)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import networks as n


@dataclass(frozen=True)
class Row:
    """One network and its goals.

    Attributes
    ----------
    limit
        What bounds it: "fma" (this core's multiply-add peak) or "read" (reading its weights from where they stay).
    percent
        Goal as a share of that limit, in per cent.
    ratio
        Goal against onnxruntime: its time over ours.
    us
        Goal in microseconds a hop.
    faster_than
        (row, factor): our own time there over ours here.
    bandwidth
        Goal in GB/s of weights.
    """

    name: str
    group: str
    label: str
    build: Callable[[], n.Net]
    limit: str = "fma"
    percent: float | None = None
    ratio: float | None = None
    us: float | None = None
    faster_than: tuple[str, float] | None = None
    bandwidth: float | None = None
    conv_form_only: bool = False  # the goal is set against the convolution forms
    avx2: bool = False
    peers: bool = False  # the other engines run this row too


def _rows() -> list[Row]:
    tcn, low, sep = "Full-rate TCN, 14 layers, 3 taps", "Low rate: weights-bound", "Depthwise + pointwise, 8 blocks"
    change, cell, wave = "Strided and transposed", "Recurrent cells, one step", "WaveNet, sample by sample"
    rows = [
        Row("tcn128_t160", tcn, "C=128, T=160, tanh", lambda: n.tcn(128, 160), percent=90, ratio=1.4, avx2=True),
        Row(
            "tcn64_t160", tcn, "C=64, T=160, tanh", lambda: n.tcn(64, 160), percent=90, ratio=1.7, avx2=True, peers=True
        ),
        Row("tcn64_t160_relu", tcn, "C=64, T=160, ReLU", lambda: n.tcn(64, 160, act="relu"), percent=95),
        Row("tcn64_t480", tcn, "C=64, T=480, tanh", lambda: n.tcn(64, 480), percent=90, ratio=1.7),
        Row(
            "tcn32_t160", tcn, "C=32, T=160, tanh", lambda: n.tcn(32, 160), percent=84, ratio=2.4, avx2=True, peers=True
        ),
        Row("tcn16_t160", tcn, "C=16, T=160, tanh", lambda: n.tcn(16, 160), percent=72, avx2=True),
        Row("tcn8_t160", tcn, "C=8, T=160, tanh", lambda: n.tcn(8, 160), percent=60, avx2=True),
        Row("tcn64_t12", tcn, "C=64, T=12, tanh", lambda: n.tcn(64, 12), percent=85, avx2=True, peers=True),
        Row("low128x4_t1", low, "128 x4, T=1 (L2)", lambda: n.low_rate(128, 4, 1), "read", percent=80, ratio=5),
        Row("low128x12_t1", low, "128 x12, T=1 (L3)", lambda: n.low_rate(128, 12, 1), "read", percent=90, ratio=2),
        Row(
            "low256x8_t1",
            low,
            "256 x8, T=1 (L3)",
            lambda: n.low_rate(256, 8, 1),
            "read",
            percent=90,
            ratio=2,
            avx2=True,
            peers=True,
        ),
        Row(
            "low128x4_t4",
            low,
            "128 x4, T=4 (L2)",
            lambda: n.low_rate(128, 4, 4),
            percent=85,
            ratio=5,
            conv_form_only=True,
        ),
        Row(
            "low256x8_t4",
            low,
            "256 x8, T=4 (L3)",
            lambda: n.low_rate(256, 8, 4),
            percent=85,
            ratio=5,
            conv_form_only=True,
            avx2=True,
            peers=True,
        ),
        Row(
            "low128x4_t1_fp16",
            low,
            "128 x4, T=1, fp16 weights",
            lambda: n.low_rate(128, 4, 1, half=True),
            "read",
            ratio=3.5,
            faster_than=("low128x4_t1", 1.7),
        ),
        Row(
            "low256x8_t1_fp16",
            low,
            "256 x8, T=1, fp16 weights",
            lambda: n.low_rate(256, 8, 1, half=True),
            "read",
            ratio=3.5,
            faster_than=("low256x8_t1", 1.7),
        ),
        Row(
            "separable64_t160",
            sep,
            "64/128/3, T=160",
            lambda: n.separable(64, 128, 3, 160),
            percent=88,
            ratio=2,
            avx2=True,
            peers=True,
        ),
        Row("separable128_t160", sep, "128/256/5, T=160", lambda: n.separable(128, 256, 5, 160), percent=88, ratio=2),
        Row("separable256_t4", sep, "256/512/7, T=4", lambda: n.separable(256, 512, 7, 4), "read", percent=85, ratio=6),
        Row(
            "separable256_t1",
            sep,
            "256/512/7, T=1",
            lambda: n.separable(256, 512, 7, 1),
            "read",
            percent=85,
            ratio=6,
            avx2=True,
        ),
    ]
    for channels, stride, frames in ((32, 2, 160), (64, 4, 240), (32, 10, 480)):
        size = f"{channels} to {2 * channels}, stride {stride}, T_out {frames // stride}"
        rows.append(
            Row(
                f"strided{channels}_s{stride}",
                change,
                size,
                lambda c=channels, s=stride, t=frames: n.strided(c, s, t),
                percent=93,
                ratio=1.5,
                avx2=stride == 4,
            )
        )
    for channels, stride, frames in ((32, 2, 160), (64, 4, 240), (32, 10, 480)):
        size = f"{2 * channels} to {channels}, stride {stride} up, T_out {frames}"
        rows.append(
            Row(
                f"transposed{channels}_s{stride}",
                change,
                size,
                lambda c=channels, s=stride, t=frames: n.transposed(c, s, t),
                percent=93,
                ratio=1.8,
                avx2=stride == 4,
            )
        )
    for op in ("gru", "lstm"):
        for size in (128, 256):
            fp32 = f"{op}{size}"
            rows.append(
                Row(
                    fp32,
                    cell,
                    f"{op.upper()} {size}, fp32",
                    lambda o=op, c=size: n.recurrent(o, c),
                    "read",
                    bandwidth=125,
                    ratio=2 if size == 128 else None,
                    avx2=op == "gru" and size == 256,
                    peers=op == "gru" and size == 256,
                )
            )
            rows.append(
                Row(
                    f"{fp32}_fp16",
                    cell,
                    f"{op.upper()} {size}, fp16 weights",
                    lambda o=op, c=size: n.recurrent(o, c, half=True),
                    "read",
                    ratio=4 if size == 128 else 3,
                )
            )
    rows += [
        Row(
            "wavenet32x20",
            wave,
            "R=32, 20 layers, fp32",
            lambda: n.wavenet(32, 20),
            "read",
            us=3.0,
            ratio=35,
            peers=True,
        ),
        Row(
            "wavenet32x20_fp16",
            wave,
            "R=32, 20 layers, fp16 weights",
            lambda: n.wavenet(32, 20, half=True),
            "read",
            us=2.0,
            ratio=35,
        ),
        Row("llvc_like", "Whole converters, random weights", "LLVC-like, 13 ms hop", n.llvc_like, peers=True),
        Row(
            "beatrice_like",
            "Whole converters, random weights",
            "Beatrice-like, 10 ms hop",
            n.beatrice_like,
            "read",
            peers=True,
        ),
    ]
    return rows


ROWS = _rows()
COLD = ("tcn64_t160", "low256x8_t1", "low256x8_t1_fp16")
TAIL = "tcn64_t160"
ALLOCATIONS = ("tcn64_t160", "wavenet32x20", "gru256", "llvc_like")
