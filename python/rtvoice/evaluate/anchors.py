"""Known good and known bad speech, measured by the same run: if these are off, so is everything else.

The target's own held-out speech is the ceiling. Its WORLD resynthesis (Morise et al., 2016) loses little, 80 mel bands
through Griffin and Lim's phases (1984) lose naturalness but no words, noise loses words.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rtvoice.evaluate.signals import RATE, Floats, fitted

#: Utterances of the target that anchors are made of, and those that the centroid is made of.
UTTERANCES, ENROLMENT = 12, 20


@dataclass(frozen=True)
class Band:
    """Where a measure of an anchor has to lie for the run to be believed."""

    anchor: str
    measure: str
    low: float
    high: float


#: Wide on purpose: voices differ, a broken measure lands far outside.
BANDS = (
    Band("target", "similarity_resemblyzer", 0.80, 1.0),
    Band("target", "similarity_dvector", 0.75, 1.0),
    Band("target", "distillmos", 3.7, 5.0),
    Band("other_speakers", "similarity_resemblyzer", 0.35, 0.72),
    Band("other_speakers", "similarity_dvector", 0.05, 0.60),
    Band("world", "per", 0.0, 8.0),
    Band("world", "f0_correlation", 0.95, 1.0),
    Band("world", "vuv_error", 0.0, 10.0),
    Band("world", "distillmos", 3.2, 5.0),
    Band("griffin_lim", "per", 0.0, 10.0),
    Band("griffin_lim", "distillmos", 2.3, 3.9),
    Band("noise_10db", "per", 4.0, 60.0),
    Band("noise_10db", "distillmos", 1.0, 3.6),
)


def world(samples: Floats) -> Floats | None:
    """Return speech at `RATE` taken apart and put together by WORLD; None where pyworld is missing."""
    if importlib.util.find_spec("pyworld") is None:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pkg_resources, which it still asks for
        import pyworld

    speech = samples.astype(np.float64)
    rough, times = pyworld.dio(speech, RATE)
    pitch = pyworld.stonemask(speech, rough, times, RATE)
    envelope = pyworld.cheaptrick(speech, pitch, times, RATE)
    aperiodicity = pyworld.d4c(speech, pitch, times, RATE)
    made = pyworld.synthesize(pitch, envelope, aperiodicity, RATE)
    return fitted(made, len(samples))


def griffin_lim(samples: Floats, bands: int = 80, rounds: int = 32) -> Floats:
    """Return speech at `RATE` from its mel power in `bands` bands alone, frames of 43 ms every 11, as vocoders have."""
    size, hop = 1024, 256
    speech = samples.astype(np.float64)
    power = np.abs(_spectrum(speech, size, hop)) ** 2
    filters = _mel(bands, size // 2 + 1, RATE)
    mel = power @ filters.T
    guess = mel @ np.maximum(np.linalg.pinv(filters.T), 0.0) + 1e-12
    for _ in range(50):  # multiplicative updates keep the guess positive
        guess *= (mel @ filters) / np.maximum((guess @ filters.T) @ filters, 1e-12)
    magnitude = np.sqrt(guess)
    phase = np.exp(2j * np.pi * np.random.default_rng(0).random(magnitude.shape))
    for _ in range(rounds):
        phase = np.exp(1j * np.angle(_spectrum(_signal(magnitude * phase, size, hop, len(speech)), size, hop)))
    return _signal(magnitude * phase, size, hop, len(speech)).astype(np.float32)


def _window(size: int) -> NDArray[np.float64]:
    return np.asarray(np.hanning(size + 1)[:-1])


def _spectrum(speech: NDArray[np.float64], size: int, hop: int) -> NDArray[np.complex128]:
    padded = np.pad(speech, (size, size + hop))
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop]
    return np.asarray(np.fft.rfft(frames * _window(size)))


def _signal(spectrum: NDArray[np.complex128], size: int, hop: int, length: int) -> NDArray[np.float64]:
    """Overlap and add; windows of four overlaps, squared, add up to 1.5."""
    frames = np.fft.irfft(spectrum, size) * (_window(size) / 1.5)
    made = np.zeros((len(frames) - 1) * hop + size)
    for index, frame in enumerate(frames):
        made[index * hop : index * hop + size] += frame
    return made[size : size + length]


def _mel(bands: int, bins: int, rate: int) -> NDArray[np.float64]:
    """Return triangles of equal width on Stevens' mel scale, ``(bands, bins)``."""
    top = 2595 * np.log10(1 + rate / 2 / 700)
    edges = 700 * (10 ** (np.linspace(0, top, bands + 2) / 2595) - 1)
    places = np.linspace(0, rate / 2, bins)[None, :]
    rise = (places - edges[:-2, None]) / np.diff(edges)[:-1, None]
    fall = (edges[2:, None] - places) / np.diff(edges)[1:, None]
    return np.asarray(np.maximum(0.0, np.minimum(rise, fall)))


def checks(found: Mapping[str, Mapping[str, float | None]]) -> list[dict[str, object]]:
    """Return for every band that could be measured: ``anchor, measure, value, low, high, ok``."""
    rows: list[dict[str, object]] = []
    for band in BANDS:
        value = found.get(band.anchor, {}).get(band.measure)
        if value is not None:
            rows.append(
                {
                    "anchor": band.anchor,
                    "measure": band.measure,
                    "value": value,
                    "low": band.low,
                    "high": band.high,
                    "ok": band.low <= value <= band.high,
                }
            )
    return rows
