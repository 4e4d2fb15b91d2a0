"""Source-filter synthesis as it streams: one hop of excitation, one inverse transform, an overlap of 5 ms."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from rtvoice.nn import STFT, ConvTranspose1d, Linear, Module, Noise, complex_product, concat, overlap_window
from rtvoice.train.models.synthesis import minimum_phase

LOUDEST = 4.0  # natural log: a filter gains at most 35 dB


class StreamingSourceFilter(Module):
    """Pulses and noise through filters that change every hop.

    A frame is the last two hops of excitation. The pulses' filter is of minimum phase but for a learned rest, so that
    what a pulse excites comes after it: of the filtered frame the first samples, into which a transform wraps what
    comes after its end, are dropped, and the last `hop + fade` are cross-faded with the neighbours.

    Parameters
    ----------
    hop : int
        Samples between frames.
    fade : int
        Samples of each cross-fade.
    latency : int
        Samples by which a stream's output is late; `fade` at least, more is lookahead.
    """

    def __init__(self, hop: int, *, fade: int, latency: int) -> None:
        super().__init__()
        self.hop, self.bins, size = hop, hop + 1, 2 * hop
        self.transform = STFT(hop, np.ones(size))
        window = overlap_window(hop, fade) ** 2  # pulses and noise go on through the fade: amplitudes add to one
        at = np.arange(size - hop - fade, size)
        phase = 2 * np.pi * np.arange(self.bins)[:, None] * at[None, :] / size
        weight = np.full((self.bins, 1), 2.0 / size)
        weight[[0, -1]] = 1.0 / size  # bins without a mirror image
        kernels = np.concatenate([np.cos(phase) * weight, -np.sin(phase) * weight]) * window
        self.inverse = ConvTranspose1d.fixed(kernels, stride=hop, crop=latency)
        self.minimum = Linear.fixed(minimum_phase(self.bins))
        self.noise = Noise()

    def spectrum(self, excitation: Tensor) -> Tensor:
        """Return real, then imaginary parts `(batch, frames, 2 bins)` of the last two hops of `(batch, samples, 1)`."""
        if not self.training:
            return self.transform(excitation)
        frames = F.pad(excitation[..., 0], (self.hop, 0)).unfold(1, 2 * self.hop, self.hop)
        transformed = torch.fft.rfft(frames)
        return torch.cat([transformed.real, transformed.imag], dim=-1)

    def forward(self, pulses: Tensor, harmonic: Tensor, phase: Tensor, noise: Tensor) -> Tensor:
        """Return audio `(batch, samples, 1)`.

        Parameters
        ----------
        pulses : torch.Tensor
            `(batch, samples, 1)`.
        harmonic, phase, noise : torch.Tensor
            `(batch, frames, bins)`: natural log of the pulses' filter, its phase beyond the minimum in radians, natural
            log of the noise's filter.
        """
        harmonic, noise = harmonic.clamp(-60.0, LOUDEST), noise.clamp(-60.0, LOUDEST)
        angle = self.minimum(harmonic) + phase
        gain = torch.exp(harmonic)
        tone = complex_product(self.spectrum(pulses), concat(gain * torch.cos(angle), gain * torch.sin(angle)))
        hiss = complex_product(self.spectrum(self.noise(pulses)), torch.exp(noise))
        return self.inverse(tone + hiss)
