"""Pseudo-quadrature mirror filters: a signal as a few bands at a lower rate, and back."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from torch import Tensor

from rtvoice.nn.layers import Conv1d, ConvTranspose1d
from rtvoice.nn.module import Builder, Handle, Module


def prototype(bands: int, taps: int, beta: float = 9.0) -> npt.NDArray[np.float64]:
    """Return the low-pass of `taps + 1` taps whose modulated copies add up to one, as nearly as its length allows.

    The cutoff is the one at which its autocorrelation is nearest to zero at all multiples of `2 * bands`.
    """
    at = np.arange(taps + 1) - taps / 2
    window = np.kaiser(taps + 1, beta)

    def low_pass(cutoff: float) -> npt.NDArray[np.float64]:
        return np.asarray(cutoff * np.sinc(cutoff * at) * window, np.float64)

    def leak(cutoff: float) -> float:
        p = low_pass(cutoff)
        own = np.convolve(p, p[::-1])[taps :: 2 * bands]
        return float(np.abs(own[1:]).max() / own[0]) if len(own) > 1 else 0.0

    low, high = 0.4 / bands, 1.0 / bands
    for _ in range(6):  # a grid, ever finer around its best
        grid = np.linspace(low, high, 41)
        best = int(np.argmin([leak(cutoff) for cutoff in grid]))
        low, high = grid[max(best - 1, 0)], grid[min(best + 1, 40)]
    made = low_pass((low + high) / 2)
    return np.asarray(made / np.sqrt(2 * bands * np.sum(made**2)) * np.sqrt(2), np.float64)


def modulated(bands: int, taps: int, sign: int) -> npt.NDArray[np.float32]:
    """Return the filters `(bands, taps + 1)` of analysis (`sign` 1) or synthesis (-1)."""
    at = np.arange(taps + 1) - taps / 2
    k = np.arange(bands)[:, None]
    turn = (2 * k + 1) * np.pi / (2 * bands) * at + sign * (-1.0) ** k * np.pi / 4
    return np.asarray(np.sqrt(2 * bands) * prototype(bands, taps) * np.cos(turn), np.float32)


class PQMF(Module):
    """Analysis into bands: `(batch, samples, 1)` to `(batch, samples / bands, bands)`.

    Parameters
    ----------
    bands : int
        Bands, and samples between their frames.
    taps : int
        Length of the filters less one, even; `bands * 16` keeps what comes back within -80 dB of what went in.

    Notes
    -----
    Filters look as far ahead as back, and a stream waits for them: `taps / 2` samples here, and as many in `synthesis`.
    """

    def __init__(self, bands: int, taps: int | None = None) -> None:
        super().__init__()
        self.bands, self.taps = bands, bands * 16 if taps is None else taps
        if bands < 2 or self.taps % 2 or self.taps < 2 * bands:
            raise ValueError(f"bands is {bands} and taps {self.taps}; taps must be even, and 2 * bands or more")
        self.filters = Conv1d.fixed(modulated(bands, self.taps, 1)[:, ::-1].copy(), stride=bands)
        # Frame n is centred on sample n * bands.
        ahead = self.taps // 2 - (bands - 1)
        self.filters.lookahead = ahead
        self.filters.left -= ahead

    def forward(self, x: Tensor) -> Tensor:
        """Split a signal."""
        return self.filters(x)

    def synthesis(self) -> PQMFSynthesis:
        """Return what puts the bands together again."""
        return PQMFSynthesis(self.bands, self.taps)


class PQMFSynthesis(Module):
    """Bands back to a signal: `(batch, frames, bands)` to `(batch, frames * bands, 1)`.

    Parameters
    ----------
    bands, taps : int
        Of the `PQMF`.
    """

    def __init__(self, bands: int, taps: int) -> None:
        super().__init__()
        self.filters = ConvTranspose1d.fixed(modulated(bands, taps, -1), stride=bands, crop=taps // 2)

    def forward(self, x: Tensor) -> Tensor:
        """Put bands together."""
        return self.filters(x)

    def emit(self, builder: Builder, x: Handle, name: str = "") -> Handle:
        """Write the transposed convolution."""
        return self.filters.emit(builder, x, name)
