"""Latency as it is: a chirp out of the speaker, into the microphone, and where it comes back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

#: A peak of the correlation must stand so far above everything that is farther than 2 ms from it.
PROMINENCE = 2.0


@dataclass(frozen=True)
class Latency:
    """What a loopback showed, in milliseconds.

    ``device`` is from the speaker's buffer through air, cable or server into the engine's input (two clocks: with the
    bridge between them); ``total`` goes on through the engine to the speaker's buffer again, which is what a listener
    waits for from microphone to speaker. ``samples`` are the totals of the single chirps.
    """

    device_ms: float
    total_ms: float
    device_samples: list[int]
    total_samples: list[int]


def chirp(rate: float, seconds: float = 0.1, level: float = 0.25) -> Samples:
    """Return a sweep from 400 to 7000 Hz (or 0.4 of the rate) with soft ends, shape ``(frames,)``."""
    low, high = 400.0, min(7000.0, 0.4 * rate)
    t = np.arange(int(seconds * rate)) / rate
    sweep = np.sin(2 * np.pi * (low * t + (high - low) * t**2 / (2 * seconds)))
    return (level * np.hanning(len(t)) * sweep).astype(np.float32)


def arrival(recording: Samples, sent: Samples, rate: float) -> int | None:
    """Return how many samples after it was sent a chirp arrives in a recording, or ``None`` where none is heard."""
    size = 1 << int(np.ceil(np.log2(len(recording) + len(sent))))
    spectrum = np.fft.rfft(recording.astype(np.float64), size) * np.conj(np.fft.rfft(sent.astype(np.float64), size))
    # The sweep's band alone: hum and hiss outside it say nothing.
    envelope = np.abs(_analytic(np.fft.irfft(spectrum, size))[: len(recording)])
    best = int(envelope.argmax())
    near = int(0.002 * rate)
    others = np.concatenate([envelope[: max(0, best - near)], envelope[best + near :]])
    if envelope[best] <= 0 or (len(others) and envelope[best] < PROMINENCE * others.max()):
        return None
    return _finest(np.fft.irfft(spectrum, size)[: len(recording)], best, int(0.0005 * rate))


def _finest(correlation: NDArray[np.float64], best: int, near: int) -> int:
    """Return the largest correlation around the envelope's: exact where what comes back is what was sent."""
    start = max(0, best - near)
    return start + int(np.abs(correlation[start : best + near + 1]).argmax())


def _analytic(signal: NDArray[np.float64]) -> NDArray[np.complex128]:
    spectrum = np.fft.fft(signal)
    half = len(signal) // 2
    spectrum[1:half] *= 2
    spectrum[half + 1 :] = 0
    return np.fft.ifft(spectrum)


def summarize(heard: list[int], made: list[int], rate: float) -> Latency:
    """Return the medians of several chirps."""
    return Latency(
        device_ms=1000 * float(np.median(heard)) / rate,
        total_ms=1000 * float(np.median(made)) / rate,
        device_samples=heard,
        total_samples=made,
    )
