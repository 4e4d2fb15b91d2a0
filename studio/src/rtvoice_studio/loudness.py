"""Loudness by ITU-R BS.1770-4, and the gains that make clips equally loud without making any of them louder."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Frames = NDArray[np.float32]


def loudness(frames: Frames, rate: int) -> float | None:
    """Return the integrated loudness of ``(frames, channels)`` in LUFS; ``None`` for silence.

    What is shorter than one block of 400 ms is measured as a whole, where the standard has no figure.
    """
    block, hop = round(0.4 * rate), round(0.1 * rate)
    power = (_weighted(frames, rate) ** 2).sum(axis=1)
    if len(power) < block:
        blocks = np.array([power.mean()]) if len(power) else np.zeros(1)
    else:
        sums = np.concatenate([[0.0], np.cumsum(power)])
        starts = np.arange(0, len(power) - block + 1, hop)
        blocks = (sums[starts + block] - sums[starts]) / block
    loud = blocks[blocks > _mean_square(-70.0)]
    if len(loud) == 0:
        return None
    gated = loud[loud > loud.mean() * 0.1]  # the relative gate, 10 LU below
    return -0.691 + 10 * math.log10(gated.mean())


def _mean_square(lufs: float) -> float:
    return float(10 ** ((lufs + 0.691) / 10))


def _weighted(frames: Frames, rate: int) -> NDArray[np.float64]:
    """Filter with the K weighting: in the frequency domain, with room for the 38 Hz high pass to ring out."""
    size = 1 << (len(frames) + rate // 5).bit_length()
    z = np.exp(-2j * np.pi * np.fft.rfftfreq(size))
    response = np.ones(len(z), complex)
    for above, below in (_shelf(rate), _high_pass(rate)):
        response *= np.polyval(above[::-1], z) / np.polyval(below[::-1], z)
    spectrum = np.fft.rfft(frames.astype(np.float64), size, axis=0)
    weighted: NDArray[np.float64] = np.fft.irfft(spectrum * response[:, None], size, axis=0)[: len(frames)]
    return weighted


def _shelf(rate: int) -> tuple[list[float], list[float]]:
    """Stage 1 for any rate, +4 dB above 1.7 kHz: the bilinear transform that gives the standard's figures at 48 kHz."""
    k = math.tan(math.pi * 1681.974450955533 / rate)
    q, high = 0.7071752369554196, 10 ** (3.999843853973347 / 20)
    middle = high**0.4996667741545416
    norm = 1 + k / q + k * k
    above = [(high + middle * k / q + k * k) / norm, 2 * (k * k - high) / norm, (high - middle * k / q + k * k) / norm]
    return above, [1.0, 2 * (k * k - 1) / norm, (1 - k / q + k * k) / norm]


def _high_pass(rate: int) -> tuple[list[float], list[float]]:
    """Stage 2, a high pass at 38 Hz."""
    k = math.tan(math.pi * 38.13547087602444 / rate)
    q = 0.5003270373238773
    norm = 1 + k / q + k * k
    return [1.0, -2.0, 1.0], [1.0, 2 * (k * k - 1) / norm, (1 - k / q + k * k) / norm]


def matching_gains(levels: Sequence[float | None], peaks: Sequence[float]) -> tuple[list[float], float]:
    """Return linear gains that bring all to the softest one's loudness, and the gain of all without matching.

    Nothing is made louder. Where a peak lies above 1, all are taken down together, so that none clips. What is silent
    (``None``) keeps its level.
    """
    known = [level for level in levels if level is not None]
    softest = min(known, default=0.0)
    gains = [1.0 if level is None else 10 ** ((softest - level) / 20) for level in levels]
    loudest = max((gain * peak for gain, peak in zip(gains, peaks, strict=True)), default=0.0)
    if loudest > 1:
        gains = [gain / loudest for gain in gains]
    return gains, 1 / max(1.0, *peaks) if peaks else 1.0
