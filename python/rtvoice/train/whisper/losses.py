"""What makes one whisper as good as another, when both are noise.

Two noises of the same colour differ in every sample, so each term compares what does not depend on the draw. Log
magnitudes under an absolute error are safe: the median of the difference of two like-distributed noises is zero at
equal level. Squared magnitudes are not: against a noise it cannot predict, a least-squares fit turns itself down (by
2 dB for raw bins). So spectral convergence is taken on mel-smoothed magnitudes only, where little randomness is left.
"""

from __future__ import annotations

import torch
from torch import Tensor

from rtvoice.nn.spectral import mel_triangles
from rtvoice.train.whisper.data import Batch
from rtvoice.train.whisper.teacher import RATE

RELATIVE_FLOOR = 1e-4  # -80 dB under the speech's level nobody hears a difference


def envelope_loss(log_amplitude: Tensor, target: Tensor, level: Tensor) -> Tensor:
    """Return the mean absolute log difference of two band envelopes `(batch, frames, bands)`.

    This is the expectation of the spectral losses below over both noises: the same goal, without the noise.
    """
    floor = RELATIVE_FLOOR * level
    return (torch.log(torch.exp(log_amplitude) + floor) - torch.log(torch.exp(target) + floor)).abs().mean()


class StftLoss(torch.nn.Module):
    """Log-magnitude, mel-smoothed and spectral-convergence distance at several resolutions.

    Parameters
    ----------
    sizes : tuple of int
        Transform sizes in samples; frames overlap by three quarters.
    bands : tuple of int
        Mel bands at each size.
    """

    def __init__(self, sizes: tuple[int, ...] = (256, 512, 1024), bands: tuple[int, ...] = (20, 40, 80)) -> None:
        super().__init__()
        self.sizes = sizes
        for size, count in zip(sizes, bands, strict=True):
            window = torch.hann_window(size)
            self.register_buffer(f"window{size}", window / window.square().sum().sqrt())
            triangles = mel_triangles(count, size // 2 + 1, RATE)
            self.register_buffer(f"bands{size}", torch.as_tensor(triangles, dtype=torch.float32))

    def power(self, audio: Tensor, size: int) -> Tensor:
        """Return the power spectrum `(batch, frames, bins)` of `(batch, samples)`."""
        window = self.get_buffer(f"window{size}")
        frames = audio.unfold(1, size, size // 4) * window
        spectrum = torch.fft.rfft(frames)
        power: Tensor = spectrum.real.square() + spectrum.imag.square()
        return power

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the distance of audio `(batch, samples)` at a speech level of 1."""
        floor = RELATIVE_FLOOR**2
        total = torch.zeros(())
        for size in self.sizes:
            ours, theirs = self.power(output, size), self.power(target, size)
            bands = self.get_buffer(f"bands{size}")
            ours_bands, theirs_bands = ours @ bands.T + floor, theirs @ bands.T + floor
            bins = 0.5 * ((ours + floor).log() - (theirs + floor).log()).abs().mean()
            smooth = 0.5 * (ours_bands.log() - theirs_bands.log()).abs().mean()
            difference = (ours_bands.sqrt() - theirs_bands.sqrt()).square().sum((1, 2))
            convergence = (difference / theirs_bands.sum((1, 2))).sqrt().mean()
            total = total + 0.5 * bins + smooth + 0.2 * convergence
        return total / len(self.sizes)


def whisper_loss(audio: Tensor, log_amplitude: Tensor, batch: Batch, envelope: Tensor, stft: StftLoss) -> Tensor:
    """Return the training loss of the student's audio and envelope on one batch.

    Parameters
    ----------
    audio : torch.Tensor
        `(batch, samples, 1)`.
    log_amplitude : torch.Tensor
        The student's `(batch, frames, bands)`.
    batch : Batch
        What it was computed from.
    envelope : torch.Tensor
        The teacher's envelope at the student's frames, `(batch, frames, bands)`.
    stft : StftLoss
        The spectral distance.
    """
    spectral: Tensor = stft((audio / batch.level)[..., 0], (batch.target / batch.level)[..., 0])
    return envelope_loss(log_amplitude, envelope, batch.level) + 0.5 * spectral
