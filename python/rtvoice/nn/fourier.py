"""Short-time Fourier transforms that stream, and filters in between: analysis, synthesis by overlap-add, band sums.

Frame `m` of a hop `h` ends with sample `(m + 1) h - 1`, the newest when it is computed. Windows overlap by their fades
only, so that no more than a fade's length of latency is spent on joining frames: at 16 kHz a hop of 160 with fades of
80 costs 5 ms, where the usual half-overlapping windows cost 10.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from torch import Tensor

from rtvoice.nn.layers import Conv1d, ConvTranspose1d, Linear
from rtvoice.nn.module import Module, full, precise
from rtvoice.nn.spectral import mel_centres, mel_triangles
from rtvoice.nn.trace import concat

Array = npt.NDArray[np.float64]


def overlap_window(hop: int, fade: int) -> Array:
    """Return a window of `hop + fade` samples, flat but for its fades, whose squares add to one at every hop.

    Analysis and synthesis under it give the signal back. `fade = hop` is the root of a Hann window.
    """
    if not 0 <= fade <= hop:
        raise ValueError(f"fade is {fade}; it must lie in 0 to hop={hop}")
    window = np.ones(hop + fade)
    rise = np.sin(0.5 * np.pi * (np.arange(fade) + 0.5) / max(fade, 1))
    window[:fade] = rise
    window[hop:] = rise[::-1]
    return window


def _angles(points: int, count: int) -> Array:
    return np.asarray(2 * np.pi * np.arange(points // 2 + 1)[:, None] * np.arange(count)[None, :] / points)


class STFT(Module):
    """Spectra of overlapping frames, real parts of all bins and then imaginary parts, as one strided convolution.

    Parameters
    ----------
    hop : int
        Samples between frames.
    window : array
        Over each frame; its length is the frame's, at least `hop`.
    points : int, optional
        Size of the transform, even; zeros follow the frame. The window's length where left out.
    """

    def __init__(self, hop: int, window: npt.ArrayLike, *, points: int | None = None) -> None:
        super().__init__()
        shape = np.asarray(window, np.float64)
        self.hop, self.points = hop, len(shape) if points is None else points
        if len(shape) < hop or self.points < len(shape) or self.points % 2:
            raise ValueError(
                f"window of {len(shape)} samples, hop {hop}, {self.points} points; it must be hop <= window <= points, "
                "and an even number of points"
            )
        self.bins = self.points // 2 + 1
        angle = _angles(self.points, len(shape))
        self.transform = Conv1d.fixed(np.concatenate([np.cos(angle), -np.sin(angle)]) * shape, stride=hop)

    def forward(self, x: Tensor) -> Tensor:
        """Transform `(batch, samples, 1)` to `(batch, samples / hop, 2 * bins)`."""
        with precise(x):
            return self.transform(full(x))


class ISTFT(Module):
    """Audio from spectra, real parts and then imaginary parts, overlapped and added.

    Parameters
    ----------
    hop : int
        Samples between frames.
    window : array
        Over each frame after the inverse transform.
    points : int, optional
        Size of the transform, even; the window lies on its first samples. The window's length where left out.
    latency : int, optional
        Samples by which a stream is late. With the length of the analysis frame less the hop, which it is where left
        out and both windows are as long, a frame stands where it was taken from. Less makes the output later than the
        input offline, more makes it earlier.
    """

    def __init__(
        self, hop: int, window: npt.ArrayLike, *, points: int | None = None, latency: int | None = None
    ) -> None:
        super().__init__()
        shape = np.asarray(window, np.float64)
        self.hop, self.points = hop, len(shape) if points is None else points
        if self.points < len(shape) or self.points % 2:
            raise ValueError(
                f"window of {len(shape)} samples, {self.points} points; it must be window <= points, and points even"
            )
        self.bins = self.points // 2 + 1
        self.latency = len(shape) - hop if latency is None else latency
        weight = np.full((self.bins, 1), 2.0 / self.points)
        weight[[0, -1]] = 1.0 / self.points  # bins without a mirror image
        angle = _angles(self.points, len(shape))
        kernels = np.concatenate([np.cos(angle) * weight, -np.sin(angle) * weight]) * shape
        self.inverse = ConvTranspose1d.fixed(kernels, stride=hop, crop=self.latency)

    def forward(self, x: Tensor) -> Tensor:
        """Turn `(batch, frames, 2 * bins)` into audio `(batch, frames * hop, 1)`."""
        with precise(x):
            return self.inverse(full(x))


def complex_product(x: Tensor, y: Tensor) -> Tensor:
    """Multiply spectra of real and then imaginary parts; `y` may have real parts only.

    Parameters
    ----------
    x : torch.Tensor
        `(batch, frames, 2 * bins)`.
    y : torch.Tensor
        `(batch, frames, 2 * bins)` or `(batch, frames, bins)`.

    Returns
    -------
    torch.Tensor
        `(batch, frames, 2 * bins)`.
    """
    bins = x.shape[-1] // 2
    a, b = x[..., :bins], x[..., bins:]
    if y.shape[-1] == bins:
        return concat(a * y, b * y)
    c, d = y[..., :bins], y[..., bins:]
    return concat(a * c - b * d, a * d + b * c)


class TimeVaryingFilter(Module):
    """An excitation through a filter that is new in every frame, by multiplying spectra.

    Parameters
    ----------
    hop : int
        Samples between frames.
    fade : int
        Samples of each cross-fade; a frame is `hop + fade` long, and a stream is late by `fade`.
    points : int, optional
        Size of the transform, even. `hop + fade` where left out: frames are then windowed before and after, which hides
        what a filter rings beyond its frame (it comes back at the frame's start). With more there is room for it: the
        first half of the room is exact, the second fades out.

    Attributes
    ----------
    bins : int
        Of the filter's response, 0 to half the rate.
    """

    def __init__(self, hop: int, fade: int, *, points: int | None = None) -> None:
        super().__init__()
        window = overlap_window(hop, fade)
        size = len(window) if points is None else points
        room = size - len(window)
        after = window
        if room > 0:  # all of the cross-fade before the filter: what rings on is then faded with its frame
            faded = np.cos(0.5 * np.pi * (np.arange(room - room // 2) + 0.5) / (room - room // 2)) ** 2
            window, after = window**2, np.concatenate([np.ones(len(window) + room // 2), faded])
        self.analysis = STFT(hop, window, points=size)
        self.synthesis = ISTFT(hop, after, latency=fade)
        self.bins = self.analysis.bins

    def forward(self, excitation: Tensor, response: Tensor) -> Tensor:
        """Filter audio.

        Parameters
        ----------
        excitation : torch.Tensor
            `(batch, samples, 1)`.
        response : torch.Tensor
            `(batch, samples / hop, bins)` of gains, or `(batch, samples / hop, 2 * bins)`: real, then imaginary parts.

        Returns
        -------
        torch.Tensor
            `(batch, samples, 1)`.
        """
        return self.synthesis(complex_product(self.analysis(excitation), response))


class FilterBank(Module):
    """Sums of power over mel bands, or amplitudes in bands spread over bins.

    Parameters
    ----------
    bands, bins, rate : int
        Mel bands; bins from 0 to half the rate; sample rate in Hz.
    spread : bool
        False: `(..., bins)` of power to `(..., bands)`, each a weighted mean. True: `(..., bands)` to `(..., bins)`, in
        straight lines between the bands' centres.
    """

    def __init__(self, bands: int, bins: int, rate: int, *, spread: bool = False) -> None:
        super().__init__()
        if spread:
            frequency = np.linspace(0.0, rate / 2, bins)
            weight = np.stack([np.interp(frequency, mel_centres(bands, rate), row) for row in np.eye(bands)], axis=1)
        else:
            weight = mel_triangles(bands, bins, rate)
        self.weights = Linear.fixed(weight)

    def forward(self, x: Tensor) -> Tensor:
        """Map channels."""
        return self.weights(x)


def power(spectrum: Tensor) -> Tensor:
    """Return the power `(batch, frames, bins)` of spectra `(batch, frames, 2 * bins)`."""
    bins = spectrum.shape[-1] // 2
    squares = spectrum.square()
    return squares[..., :bins] + squares[..., bins:]
