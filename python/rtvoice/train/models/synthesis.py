"""Source-filter synthesis, offline: excitation through filters that change every frame."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from rtvoice.nn.module import precise
from rtvoice.train.models.excitation import pulses


def minimum_phase(bins: int) -> npt.NDArray[np.float64]:
    """Return the matrix from log magnitudes at `bins` bins (0 to half the rate) to the phase in radians.

    The phase of the filter that answers soonest of all with these magnitudes is their Hilbert transform: linear, so one
    matrix `(bins, bins)`, made here by folding the cepstrum (Oppenheim and Schafer, Discrete-Time Signal Processing,
    chapter 12). A voice's tract is such a filter nearly enough: a network that starts there has only the rest to learn.
    """
    size = 2 * (bins - 1)
    lags = np.arange(1, bins - 1)
    k = np.arange(bins)
    weight = np.full(bins, 2.0)
    weight[[0, -1]] = 1.0  # the bins that have no mirror image
    cepstrum = np.cos(2 * np.pi * np.outer(lags, k) / size) * weight / size
    return np.asarray(-2.0 * np.sin(2 * np.pi * np.outer(k, lags) / size) @ cepstrum)


class SourceFilter(nn.Module):
    """Pulses through a complex filter plus noise through a real one, in overlapping windows.

    Every frame is transformed, multiplied by its filters (the pulses' of minimum phase, but for what it is told) and
    added to its neighbours. Excitation and result are both
    under the root of a Hann window, whose squares add to one: unit filters give the excitation back.

    Parameters
    ----------
    rate, hop : int
        Sample rate in Hz and samples between frames; a window is two hops long.
    """

    root: Tensor
    hilbert: Tensor

    def __init__(self, rate: int, hop: int) -> None:
        super().__init__()
        self.rate, self.hop, self.bins = rate, hop, hop + 1
        self.register_buffer("root", torch.hann_window(2 * hop).sqrt(), persistent=False)
        matrix = torch.as_tensor(minimum_phase(self.bins).T, dtype=torch.float32)
        self.register_buffer("hilbert", matrix.contiguous(), persistent=False)

    def spectrum(self, audio: Tensor) -> Tensor:
        """Return the complex windows `(batch, frames, bins)` of audio `(batch, frames * hop)`."""
        padded = torch.nn.functional.pad(audio, (self.hop, self.hop))
        frames = padded.unfold(1, 2 * self.hop, self.hop)[:, :-1] * self.root
        transformed: Tensor = torch.fft.rfft(frames)
        return transformed

    def overlap(self, spectrum: Tensor) -> Tensor:
        """Return the audio `(batch, frames * hop)` of complex windows `(batch, frames, bins)`."""
        frames = torch.fft.irfft(spectrum, 2 * self.hop) * self.root
        late = frames[..., self.hop :]
        early = torch.nn.functional.pad(frames[:, 1:, : self.hop], (0, 0, 0, 1))
        audio: Tensor = (late + early).flatten(1)
        return audio

    def forward(
        self,
        f0: Tensor,
        voiced: Tensor,
        harmonic: Tensor,
        phase: Tensor,
        noise: Tensor,
        *,
        start: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Synthesise.

        Parameters
        ----------
        f0, voiced : torch.Tensor
            `(batch, frames)`: Hz above 0 everywhere, and 1 where voiced.
        harmonic, phase, noise : torch.Tensor
            `(batch, frames, bins)`: natural log of the pulses' filter, what its phase has more than the minimum, in
            radians, natural log of the noise's filter.
        start : torch.Tensor, optional
            `(batch,)`: the pulses' phase before the first sample, in cycles.
        generator : torch.Generator, optional
            Of the noise.

        Returns
        -------
        torch.Tensor
            `(batch, frames * hop)`.
        """
        with precise(f0), torch.no_grad():
            train = pulses(f0, voiced, rate=self.rate, hop=self.hop, start=start)
            hiss = torch.empty_like(train).normal_(generator=generator)
            periodic, random = self.spectrum(train), self.spectrum(hiss)
        with precise(harmonic):
            harmonic = harmonic.float()
            angle = harmonic @ self.hilbert + phase.float()
            filtered = torch.polar(torch.exp(harmonic), angle) * periodic
            return self.overlap(filtered + torch.exp(noise.float()) * random)
