"""How far one voice is from another: spectra at many resolutions, loudness, and how periodic it is."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rtvoice.nn.module import precise
from rtvoice.nn.spectral import mel_triangles

WINDOWS = (2048, 1024, 512, 256, 128, 64, 32)
FLOOR = 1e-4  # magnitude; speech at -23 LUFS has 0.07: what lies 57 dB under it is nobody's voice


@dataclass(frozen=True)
class Weights:
    """Shares of the terms of the reconstruction loss.

    Attributes
    ----------
    bins, mel, linear : float
        Log magnitude of every bin, of mel bands, and magnitude itself against the target's.
    loudness : float
        Log power of 10 ms frames.
    periodicity : float
        Correlation of the signal with itself one period earlier.
    """

    bins: float = 0.5
    mel: float = 1.0
    linear: float = 0.3
    loudness: float = 0.2
    periodicity: float = 0.5


def magnitudes(audio: Tensor, window: Tensor, hop: int) -> Tensor:
    """Return the magnitudes `(batch, frames, bins)` of audio `(batch, samples)`, floored softly at `FLOOR`."""
    spectrum = torch.fft.rfft(audio.unfold(1, len(window), hop) * window)
    return torch.sqrt(spectrum.real.square() + spectrum.imag.square() + FLOOR**2)


class SpectralDistance(nn.Module):
    """Distance of spectra over windows from 2048 to 32 samples, log bins and mel bands.

    Seven windows cost more than the network on a CPU. While training each step therefore draws `at_once` of them: the
    gradient is that of all, on average.

    Parameters
    ----------
    rate : int
        Sample rate in Hz.
    weights : Weights
        Shares of the terms.
    at_once : int
        Windows a training step looks through; all when evaluating.
    """

    def __init__(self, rate: int, weights: Weights = Weights(), *, at_once: int = 3) -> None:  # noqa: B008
        super().__init__()
        self.weights, self.at_once = weights, at_once
        for size in WINDOWS:
            window = torch.hann_window(size)
            self.register_buffer(f"window{size}", window / window.square().sum().sqrt(), persistent=False)
            bands = max(5, min(80, size // 12))
            triangles = torch.as_tensor(mel_triangles(bands, size // 2 + 1, rate), dtype=torch.float32)
            self.register_buffer(f"mel{size}", triangles.T.contiguous(), persistent=False)

    def at(self, size: int, output: Tensor, target: Tensor) -> Tensor:
        """Return the distance seen through one window."""
        window, mel = self.get_buffer(f"window{size}"), self.get_buffer(f"mel{size}")
        hop = size // 4 if size >= 256 else size // 2
        ours = magnitudes(output, window, hop)
        with torch.no_grad():
            theirs = magnitudes(target, window, hop)
            their_bands = torch.log(theirs.square() @ mel)
        our_bands = torch.log(ours.square() @ mel)
        distance = self.weights.mel * 0.5 * (our_bands - their_bands).abs().mean()
        if size >= 256:
            bins = (torch.log(ours) - torch.log(theirs)).abs().mean()
            linear = (ours - theirs).abs().sum() / theirs.sum()
            distance = distance + self.weights.bins * bins + self.weights.linear * linear
        return distance

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the distance of audio `(batch, samples)`, a mean over windows."""
        sizes: tuple[int, ...] = WINDOWS
        if self.training:
            drawn = torch.randperm(len(WINDOWS))[: self.at_once]
            sizes = tuple(WINDOWS[int(i)] for i in drawn)
        with precise(output):
            return torch.stack([self.at(size, output.float(), target.float()) for size in sizes]).mean()


def loudness_distance(output: Tensor, target: Tensor, hop: int) -> Tensor:
    """Return the mean absolute difference of log RMS over frames of `hop` samples, in nepers."""

    def level(audio: Tensor) -> Tensor:
        frames = audio.float().unfold(1, 2 * hop, hop)
        return 0.5 * torch.log(frames.square().mean(dim=-1) + FLOOR**2)

    return (level(output) - level(target)).abs().mean()


def periodicity(audio: Tensor, f0: Tensor, *, rate: int, hop: int, frames: Tensor) -> Tensor:
    """Return the correlation of each frame with the audio one period earlier, -1 to 1.

    1 where the voice repeats itself exactly, 0 where it is noise: one number for what "buzzy" and "breathy" mean.

    Parameters
    ----------
    audio : torch.Tensor
        `(batch, samples)`.
    f0 : torch.Tensor
        `(batch, frames)` in Hz, above 0.
    rate, hop : int
        Sample rate and samples between frames.
    frames : torch.Tensor
        `(chosen,)`: the frames to look at, at least 25 ms from both ends.

    Returns
    -------
    torch.Tensor
        `(batch, chosen)`.
    """
    length = 2 * hop
    period = torch.round(rate / f0[:, frames].clamp(min=50.0)).long()
    begin = frames[None, :] * hop - hop
    steps = torch.arange(length, device=audio.device)
    rows = torch.arange(len(audio), device=audio.device)[:, None, None]
    now = audio[rows, (begin[..., None] + steps).expand(len(audio), -1, -1)]
    before = audio[rows, (begin - period).clamp(min=0)[..., None] + steps]
    product = (now * before).sum(dim=-1)
    power = now.square().sum(dim=-1) * before.square().sum(dim=-1)
    return product / torch.sqrt(power + (length * FLOOR**2) ** 2)


class Reconstruction(nn.Module):
    """Everything that makes an output the target: spectra, loudness, periodicity.

    Parameters
    ----------
    rate, hop : int
        Sample rate in Hz and samples between frames.
    weights : Weights
        Shares of the terms.
    at_once : int
        See `SpectralDistance`.
    """

    def __init__(
        self,
        rate: int,
        hop: int,
        weights: Weights = Weights(),  # noqa: B008
        *,
        at_once: int = 3,
    ) -> None:
        super().__init__()
        self.rate, self.hop, self.weights = rate, hop, weights
        self.spectra = SpectralDistance(rate, weights, at_once=at_once)

    def forward(self, output: Tensor, target: Tensor, f0: Tensor, voiced: Tensor) -> dict[str, Tensor]:
        """Return the weighted terms by name; their sum is the loss.

        Parameters
        ----------
        output, target : torch.Tensor
            `(batch, samples)`.
        f0, voiced : torch.Tensor
            `(batch, frames)` of the target.
        """
        with precise(output):
            terms = {
                "spectra": self.spectra(output, target),
                "loudness": self.weights.loudness * loudness_distance(output, target, self.hop),
            }
            usable = torch.arange(4, f0.shape[1] - 2, device=f0.device)
            frames = usable
            if self.training:
                frames = usable[torch.randperm(len(usable))[: max(1, len(usable) // 4)].to(f0.device)]
            # Emphasis of the high end, where buzz and breath are told apart: a first difference.
            ours, theirs = output.float().diff(dim=1), target.float().diff(dim=1)
            ours_p = periodicity(ours, f0, rate=self.rate, hop=self.hop, frames=frames)
            theirs_p = periodicity(theirs, f0, rate=self.rate, hop=self.hop, frames=frames)
            weight = voiced[:, frames].float()
            apart = ((ours_p - theirs_p).abs() * weight).sum() / weight.sum().clamp(min=1.0)
            terms["periodicity"] = self.weights.periodicity * apart
            return terms
