"""What DeepFilterNet 3 computes for a recording, in float64: what the stream is held against."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from .settings import Settings, analysis_scale, band_widths, magnitude_start, mean_start, window

F64 = NDArray[np.float64]
C128 = NDArray[np.complex128]
#: Features (frames, bands) and (frames, low) complex, to gains (frames, bands), filters (frames, low, order) complex.
Networks = Callable[[F64, C128], tuple[F64, C128]]


def analysed(settings: Settings, signal: F64) -> C128:
    """Return the spectra `(frames, bins)`; frame `n` ends with the last sample of hop `n`."""
    hop = settings.hop
    hops = len(signal) // hop
    padded = np.concatenate([np.zeros(settings.points - hop), signal[: hops * hop]])
    frames = np.lib.stride_tricks.sliding_window_view(padded, settings.points)[::hop]
    return np.asarray(np.fft.rfft(frames * window(settings), axis=1) * analysis_scale(settings))


def synthesised(settings: Settings, spectra: C128) -> F64:
    """Return the audio `(samples,)` of spectra, each frame where it was taken from."""
    hop, points = settings.hop, settings.points
    frames = np.fft.irfft(spectra / analysis_scale(settings), points, axis=1) * window(settings)
    out = np.zeros((len(frames) + 1) * hop)
    for n, frame in enumerate(frames):
        out[n * hop : n * hop + points] += frame
    # The transform's scales: the windows' squares add to one.
    return np.asarray(out[points - hop : len(frames) * hop])


def _running(values: F64, start: F64, decay: float) -> F64:
    out, mean = np.empty_like(values), start.copy()
    for n, row in enumerate(values):
        mean = row * (1.0 - decay) + mean * decay
        out[n] = mean
    return out


def band_levels(settings: Settings, spectra: C128) -> F64:
    """Return the mean power of each ERB band in dB, `(frames, bands)`."""
    starts = np.concatenate([[0], np.cumsum(band_widths(settings))[:-1]])
    power = np.add.reduceat(np.abs(spectra) ** 2, starts, axis=1) / band_widths(settings)
    return np.asarray(10.0 * np.log10(power + 1e-10))


def features(settings: Settings, spectra: C128) -> tuple[F64, C128]:
    """Return the levels less their running mean, and the low bins over the root of their running magnitude."""
    levels = band_levels(settings, spectra)
    levels = (levels - _running(levels, mean_start(settings), settings.decay)) / 40.0
    low = spectra[:, : settings.low]
    return levels, np.asarray(low / np.sqrt(_running(np.abs(low), magnitude_start(settings), settings.decay)))


def enhanced(settings: Settings, signal: F64, networks: Networks) -> F64:
    """Return the audio without its noise, as long as the whole hops of `signal`, each sample in its place.

    The networks hear every frame from the first on, and what they say of a frame is for one that lies
    `features_ahead` before it: so does the published runtime. (The published Python tool cuts the first frames off.)

    Parameters
    ----------
    settings
        Of the model.
    signal
        `(samples,)`. It is followed by silence.
    networks
        Runs the three graphs.
    """
    hops = len(signal) // settings.hop
    rest = np.zeros((max(settings.features_ahead, settings.ahead) + 1) * settings.hop)
    spectra = analysed(settings, np.concatenate([signal[: hops * settings.hop], rest]))
    gains, taps = (array[settings.features_ahead :] for array in networks(*features(settings, spectra)))
    count = len(gains)
    out = spectra[:count] * np.repeat(gains, band_widths(settings), axis=1)
    past = settings.order - 1 - settings.ahead
    around = np.concatenate(
        [np.zeros((past, settings.low)), spectra[:, : settings.low], np.zeros((settings.ahead, settings.low))]
    )
    out[:, : settings.low] = sum(taps[:, :, k] * around[k : k + count] for k in range(settings.order))
    return synthesised(settings, out)[: hops * settings.hop]
