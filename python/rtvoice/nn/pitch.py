"""Hearing a pitch: autocorrelation of what was just said, and the reading of a network's bins as Hz."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from rtvoice.nn.layers import Conv1d, Linear
from rtvoice.nn.module import Module, full, precise
from rtvoice.nn.trace import concat


def lag_grid(low: float, high: float, count: int) -> npt.NDArray[np.float64]:
    """Return `count` periods in seconds, equally spaced in pitch from `high` Hz down to `low` Hz."""
    return np.asarray(1.0 / np.geomspace(high, low, count))


def lowpass(factor: int, taps_per_factor: int = 12) -> npt.NDArray[np.float64]:
    """Return a low-pass filter for decimation by `factor`: a windowed sinc, 0.8 of the new band, unit gain.

    Attenuation is 60 dB and more from 1.25 times the new half rate on (Kaiser window, beta 6).
    """
    count = taps_per_factor * factor + 1
    at = np.arange(count) - (count - 1) / 2
    taps = np.sinc(0.8 * at / factor) * np.kaiser(count, 6.0)
    return np.asarray(taps / taps.sum())


class AutocorrelationFeatures(Module):
    """How much the last tens of milliseconds resemble themselves at each lag: 1 at the period of a clean voice.

    The signal is low-passed and decimated, framed under a Hann window, and its power spectrum is turned into the
    autocorrelation by one matrix. Each lag is divided by the window's own autocorrelation (Boersma, 1993), so that a
    periodic signal gives the same height at every multiple of its period, and by the power, so that level plays no
    part. All of it is causal; the low-pass makes the frame about a millisecond older.

    Parameters
    ----------
    rate, hop : int
        Sample rate in Hz, samples between frames.
    window : float
        Seconds heard, the newest last: three periods of the lowest pitch find it surely, two hardly.
    lags : array, optional
        Periods in seconds, below the window; 40 to 500 Hz in 96 steps where left out.
    decimated : int
        Hz that the signal is decimated to, or the nearest rate above that divides it in step with the hop.
    floor : float
        Mean square that counts as silence: well below it all features are 0.

    Attributes
    ----------
    channels : int
        Lags.
    """

    def __init__(
        self,
        *,
        rate: int,
        hop: int,
        window: float = 0.04,
        lags: npt.ArrayLike | None = None,
        decimated: int = 4000,
        floor: float = 1e-9,
    ) -> None:
        super().__init__()
        factor = max(k for k in range(1, max(rate // decimated, 1) + 1) if hop % k == 0)
        low_rate = rate / factor
        size = round(window * low_rate)
        periods = lag_grid(50.0, 500.0, 96) if lags is None else np.asarray(lags, np.float64)
        if periods.max() * low_rate > 0.9 * size:
            raise ValueError(
                f"the longest lag is {periods.max() * 1e3:.1f} ms, the window {window * 1e3:.1f} ms; a lag must be "
                "shorter than nine tenths of the window"
            )
        self.lags, self.channels = periods, len(periods)
        self.decimate = Conv1d.fixed(lowpass(factor)[None], stride=factor)
        shape = 0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(size) + 0.5) / size)
        shape /= np.sqrt(np.sum(shape**2))
        points = 2 * size  # no lag wraps around
        bins = np.arange(size + 1)
        angle = 2 * np.pi * bins[:, None] * np.arange(size)[None, :] / points
        kernels = np.concatenate([np.cos(angle), np.sin(angle)]) * shape
        self.transform = Conv1d.fixed(kernels, stride=hop // factor)
        weight = np.full(size + 1, 2.0 / points)
        weight[[0, -1]] = 1.0 / points
        # Below 40 Hz there is no voice, but doors, wind and the DC of converters.
        weight = weight * np.clip(bins * low_rate / points / 40.0 - 0.5, 0.0, 1.0)
        turns = periods[:, None] * low_rate * bins[None, :] / points
        power = np.abs(np.fft.rfft(shape, points)) ** 2
        plain = np.full(size + 1, 2.0 / points)
        plain[[0, -1]] = 1.0 / points
        own = (np.cos(2 * np.pi * turns) * plain) @ power  # the window's autocorrelation, 1 at lag 0
        correlate = np.cos(2 * np.pi * turns) * weight / own[:, None]
        self.correlate = Linear.fixed(np.concatenate([correlate, correlate], axis=1))
        self.power = Linear.fixed(np.concatenate([weight, weight])[None])
        self.floor = floor

    def forward(self, x: Tensor) -> Tensor:
        """Listen to `(batch, samples, 1)`; return `(batch, samples / hop, lags)`, about -1 to 1."""
        with precise(x):
            squares = self.transform(self.decimate(full(x))).square()
            return self.correlate(squares) / (self.power(squares) + self.floor)


class F0Readout(Module):
    """F0 in Hz and how sure a voice is voiced, from logits over bins of pitch.

    The pitch is the mean of the bins' log frequencies under their softmax: smooth, and trained through. A
    cross-entropy against `labels` keeps the softmax narrow.

    Parameters
    ----------
    bins : int
        Bins, equally spaced in log frequency.
    low, high : float
        Hz of the first and the last.
    """

    frequencies: Tensor

    def __init__(self, bins: int = 128, *, low: float = 50.0, high: float = 550.0) -> None:
        super().__init__()
        self.bins, self.centre = bins, math.sqrt(low * high)
        around = np.linspace(math.log(low / self.centre), math.log(high / self.centre), bins)
        self.mean = Linear.fixed(around[None])
        self.step = float(around[1] - around[0]) if bins > 1 else 1.0
        self.register_buffer("frequencies", torch.as_tensor(around), persistent=False)

    def forward(self, logits: Tensor) -> Tensor:
        """Read logits.

        Parameters
        ----------
        logits : torch.Tensor
            `(batch, frames, bins + 1)`, the last of voicing.

        Returns
        -------
        torch.Tensor
            `(batch, frames, 2)`: F0 in Hz, within the range whether voiced or not, and the probability of voicing.
        """
        with precise(logits):
            logits = full(logits)
            spread = torch.softmax(logits[..., : self.bins], dim=-1)
            return concat(torch.exp(self.mean(spread)) * self.centre, torch.sigmoid(logits[..., self.bins :]))

    def labels(self, f0: Tensor, width: float = 0.02) -> Tensor:
        """Return what the softmax should be for F0 in Hz `(batch, frames, 1)`: a bell of `width` in log frequency."""
        away = (f0.clamp(min=1.0) / self.centre).log() - self.frequencies.to(f0)
        bell = torch.exp(-0.5 * (away / max(width, 0.5 * self.step)).square())
        return bell / bell.sum(dim=-1, keepdim=True).clamp(min=1e-12)
