"""What a student hears of a spectrum: log mel bands up to 8 kHz, whatever its own rate."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from rtvoice.nn import STFT, Linear, Module
from rtvoice.nn.spectral import asymmetric_window, mel_triangles

HEARD = 16000  # sources are recorded at this rate: what lies above its half must not be heard, or use is not training
FLOOR = 1e-10  # power; -100 dB of full scale


class Bands(Module):
    """Log power in mel bands from 40 Hz to 8 kHz, of the samples up to and including the newest.

    Parameters
    ----------
    rate, hop : int
        Sample rate in Hz, at least 16000, and samples between frames.
    window : int
        Samples in a frame, even.
    bands : int
        Mel bands.
    """

    def __init__(self, *, rate: int, hop: int, window: int, bands: int) -> None:
        super().__init__()
        shape = asymmetric_window(window, window // 3)
        shape /= np.sqrt(np.sum(shape**2))  # white noise of variance 1 has power 1 in every bin
        self.transform = STFT(hop, shape)
        bins, whole = window * HEARD // (2 * rate) + 1, self.transform.bins
        triangles = np.zeros((bands, whole))
        triangles[:, :bins] = mel_triangles(bands, bins, HEARD) / FLOOR
        if bins < whole:  # rows of what is not heard would be computed for nothing
            weight = self.transform.transform.weight.detach()
            kept = torch.cat([weight[:bins], weight[whole : whole + bins]])
            self.transform.transform.weight = torch.nn.Parameter(kept, requires_grad=False)
            self.transform.bins = bins
        self.bands = Linear.fixed(np.concatenate([triangles[:, :bins], triangles[:, :bins]], axis=1))

    def forward(self, x: Tensor) -> Tensor:
        """Analyse `(batch, samples, 1)` into `(batch, frames, bands)`, natural log of power over `FLOOR`, from 0."""
        return torch.log(self.bands(self.transform(x).square()).clamp(1.0, 1e20))
