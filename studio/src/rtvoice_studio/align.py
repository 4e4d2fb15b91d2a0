"""How late one recording is against another, by the envelope of their energy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Frames = NDArray[np.float32]

_STEP = 0.001


def lag_ms(reference: Frames, other: Frames, rate: int, *, within_ms: int = 250) -> float | None:
    """Return by how many ms ``other`` is late, to a millisecond; ``None`` where the envelopes do not tell.

    Envelopes, not samples: a converted voice shares its energy over time with the input, not its waveform.
    """
    one, two = _envelope(reference, rate), _envelope(other, rate)
    length = min(len(one), len(two))
    if length < 4 * within_ms:
        return None
    one, two = one[:length] - one[:length].mean(), two[:length] - two[:length].mean()
    norm = float(np.sqrt((one**2).sum() * (two**2).sum()))
    if norm == 0:
        return None
    size = 1 << (2 * length).bit_length()
    product = np.fft.irfft(np.conj(np.fft.rfft(one, size)) * np.fft.rfft(two, size), size)
    lags = np.arange(-within_ms, within_ms + 1)
    values = product[lags]
    best = int(np.argmax(values))
    return float(lags[best]) if values[best] > 0.5 * norm else None


def _envelope(frames: Frames, rate: int) -> NDArray[np.float64]:
    """Level in dB per millisecond, over windows of 10 ms, not below -60 dB of the loudest."""
    power = (frames.astype(np.float64) ** 2).sum(axis=1)
    sums = np.concatenate([[0.0], np.cumsum(power)])
    starts = np.round(np.arange(0, len(power) / rate, _STEP) * rate).astype(int)
    stops = np.minimum(starts + rate // 100, len(power))
    level = (sums[stops] - sums[starts]) / np.maximum(1, stops - starts)
    floor = level.max(initial=0.0) * 1e-6 + 1e-20
    envelope: NDArray[np.float64] = 10 * np.log10(np.maximum(level, floor))
    return envelope
