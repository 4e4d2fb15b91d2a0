"""Analysis and synthesis with fixed Fourier weights, as ordinary layers.

Both are matrices: at 100 frames a second a 400-sample transform costs 20 MMAC a second as a strided convolution, which
the engine does in microseconds, for any size and without an FFT.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from rtvoice.nn.activations import Clip, Log
from rtvoice.nn.layers import Conv1d, ConvTranspose1d, Linear
from rtvoice.nn.module import Builder, Handle, Module
from rtvoice.nn.noise import GaussianNoise

Array = npt.NDArray[np.float64]


def mel_centres(bands: int, rate: int, low: float = 40.0) -> Array:
    """Return the centre frequencies in Hz of `bands` bands, equally spaced in mel from `low` to just below rate/2."""
    edges = 2595.0 * np.log10(1.0 + np.array([low, rate / 2]) / 700.0)
    return np.asarray(700.0 * (10.0 ** (np.linspace(edges[0], edges[1], bands + 1)[:-1] / 2595.0) - 1.0))


def mel_triangles(bands: int, bins: int, rate: int) -> Array:
    """Return triangular band weights `(bands, bins)` over bins from 0 to rate/2, each band summing to 1.

    Bands narrower than two bins are widened to two: a band between two bins would otherwise see nothing.
    """
    centres = mel_centres(bands, rate)
    spacing = rate / 2 / (bins - 1)
    edges = np.concatenate([[centres[0] - (centres[1] - centres[0])], centres, [rate / 2]])
    rise = np.maximum(edges[1:-1] - edges[:-2], spacing)[:, None]
    fall = np.maximum(edges[2:] - edges[1:-1], spacing)[:, None]
    offset = (np.arange(bins) * spacing)[None, :] - centres[:, None]
    weight = np.clip(np.where(offset < 0, 1 + offset / rise, 1 - offset / fall), 0, None)
    return np.asarray(weight / weight.sum(axis=1, keepdims=True))


def asymmetric_window(size: int, fall: int) -> Array:
    """Return a Hann-like window of `size` samples that rises slowly and falls over its last `fall` samples.

    The frame then looks mostly at what has just been said: less delay for the same frequency resolution.
    """
    rise = size - fall
    up = np.sin(0.5 * np.pi * (np.arange(rise) + 0.5) / rise) ** 2
    down = np.cos(0.5 * np.pi * (np.arange(fall) + 0.5) / fall) ** 2
    return np.concatenate([up, down])


class MelAnalysis(Module):
    """Log power in mel bands, of the samples up to and including the newest.

    Parameters
    ----------
    rate : int
        Sample rate in Hz.
    hop : int
        Samples between frames.
    window : int
        Samples in a frame, its newest sample the newest of the hop.
    bands : int
        Mel bands.
    floor : float
        Power that counts as silence; the output is 0 at or below it, so that silence equals a stream's zero history.
    """

    def __init__(self, *, rate: int, hop: int, window: int, bands: int, floor: float = 1e-12) -> None:
        super().__init__()
        bins = window // 2 + 1
        shape = asymmetric_window(window, window // 3)
        shape /= np.sqrt(np.sum(shape**2))  # white noise of variance 1 has power 1 in every bin
        phase = 2 * np.pi * np.arange(bins)[:, None] * np.arange(window)[None, :] / window
        kernels = np.concatenate([np.cos(phase), np.sin(phase)]) * shape
        self.transform = Conv1d(1, 2 * bins, window, stride=hop, bias=False)
        self.transform.weight = torch.nn.Parameter(
            torch.as_tensor(kernels[:, None, :], dtype=torch.float32), requires_grad=False
        )
        bands_of_power = mel_triangles(bands, bins, rate) / floor
        self.bands = Linear.fixed(np.concatenate([bands_of_power, bands_of_power], axis=1))
        self.clip, self.log, self.floor = Clip(1.0, 1e20), Log(), floor

    def forward(self, x: Tensor) -> Tensor:
        """Analyse `(batch, samples, 1)` into `(batch, frames, bands)`, natural log of power over `floor`."""
        return self.log(self.clip(self.bands(self.transform(x).square())))

    def emit(self, builder: Builder, x: Handle, name: str = "") -> Handle:
        """Write transform, power, bands and logarithm."""
        spectrum = self.transform.emit(builder, x, f"{name}.transform")
        power = builder.node("square", spectrum, name=f"{name}.power")
        bands = self.bands.emit(builder, power, f"{name}.bands")
        return self.log.emit(builder, self.clip.emit(builder, bands, f"{name}.clip"), f"{name}.log")


class NoiseSynthesis(Module):
    """White noise shaped by amplitudes in mel bands, frame by frame, overlap-added.

    Frames overlap by their fades only, whose squares add to one: independent noise then keeps its power through the
    cross-fade, and no more than `fade` samples of latency are spent on it.

    Parameters
    ----------
    rate : int
        Sample rate in Hz.
    hop : int
        Samples between frames.
    fade : int
        Samples of each cross-fade; a frame is `hop + fade` long.
    bands : int
        Mel bands of the amplitudes.
    latency : int
        Samples by which a stream's output is late. `fade` makes a frame end at the newest sample its amplitudes were
        computed from; more is lookahead.
    """

    def __init__(self, *, rate: int, hop: int, fade: int, bands: int, latency: int) -> None:
        super().__init__()
        size = hop + fade
        bins = size // 2 + 1
        frequency = np.arange(bins) * rate / size
        centres = mel_centres(bands, rate)
        interpolate = np.stack([np.interp(frequency, centres, row) for row in np.eye(bands)], axis=1)
        interpolate[0] = 0.0  # no DC
        self.expand = Linear.fixed(np.concatenate([interpolate, interpolate]))
        self.noise = GaussianNoise(2 * bins)
        window = np.ones(size)
        window[:fade] = np.sin(0.5 * np.pi * (np.arange(fade) + 0.5) / fade)
        window[size - fade :] = window[:fade][::-1]
        phase = 2 * np.pi * np.arange(bins)[:, None] * np.arange(size)[None, :] / size
        scale = np.full((bins, 1), np.sqrt(2.0 / size))
        scale[[0, -1]] = np.sqrt(1.0 / size)  # DC and Nyquist have no imaginary part
        kernels = np.concatenate([np.cos(phase) * scale, -np.sin(phase) * scale]) * window
        self.inverse = ConvTranspose1d(2 * bins, 1, size, stride=hop, crop=latency, bias=False)
        self.inverse.weight = torch.nn.Parameter(
            torch.as_tensor(kernels[:, None, :], dtype=torch.float32), requires_grad=False
        )

    def forward(self, x: Tensor) -> Tensor:
        """Turn amplitudes `(batch, frames, bands)` into audio `(batch, samples, 1)`."""
        noise = self.noise(x.shape[0], x.shape[1])
        return self.inverse(self.expand(x) * noise)

    def emit(self, builder: Builder, x: Handle, name: str = "") -> Handle:
        """Write interpolation, noise, product and inverse transform."""
        gains = self.expand.emit(builder, x, f"{name}.expand")
        noise = self.noise.emit(builder, f"{name}.noise")
        shaped = builder.node("mul", gains, noise, name=f"{name}.shaped")
        return self.inverse.emit(builder, shaped, f"{name}.inverse")
