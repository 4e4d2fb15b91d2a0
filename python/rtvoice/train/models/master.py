"""The master: offline, any voice to the voices it was trained on, from what is said, how high and how loud."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rtvoice.train.models.blocks import ConvNeXt, mixed
from rtvoice.train.models.synthesis import SourceFilter

REFERENCE_HZ = 160.0
CLIP = 10.0  # natural log: filters between e^-10 and e^4 of their start


@dataclass(frozen=True)
class MasterShape:
    """Sizes of a master.

    Attributes
    ----------
    rate : int
        Sample rate of the speech it makes, Hz.
    content : int
        Channels of the content features.
    bottleneck : int
        Channels they are narrowed to, so that less of the speaker passes.
    noise : float
        Noise on the bottleneck while training, as a share of its standard deviation.
    channels, blocks, kernel, widen : int
        Of the ConvNeXt body.
    code : int
        Channels of the speaker code.
    speakers : int
        Voices it knows.
    """

    rate: int = 24000
    content: int = 512
    bottleneck: int = 64
    noise: float = 0.15
    channels: int = 256
    blocks: int = 8
    kernel: int = 7
    widen: int = 3
    code: int = 64
    speakers: int = 1


@dataclass(frozen=True)
class Said:
    """What a master is told of an utterance, at 100 Hz.

    Attributes
    ----------
    content : torch.Tensor
        `(batch, frames, channels)`: content features, less their mean over the utterance, standardised.
    f0 : torch.Tensor
        `(batch, frames)`: Hz in the register of the voice to be spoken with, above 0 also where unvoiced.
    voiced : torch.Tensor
        `(batch, frames)`: 1 where voiced, else 0.
    energy : torch.Tensor
        `(batch, frames)`: dB of the 25 ms frame, re full scale.
    speaker : torch.Tensor
        `(batch,)`: index of the voice.
    """

    content: Tensor
    f0: Tensor
    voiced: Tensor
    energy: Tensor
    speaker: Tensor


class Master(nn.Module):
    """Content features, F0, voicing, energy and a speaker code to speech.

    Parameters
    ----------
    shape : MasterShape
        Sizes.
    """

    def __init__(self, shape: MasterShape) -> None:
        super().__init__()
        self.shape = shape
        self.narrow = nn.Linear(shape.content, shape.bottleneck)
        self.speakers = nn.Embedding(shape.speakers, shape.code)
        nn.init.normal_(self.speakers.weight, std=0.3)
        self.enter = nn.Linear(shape.bottleneck + 4, shape.channels)
        self.body = nn.ModuleList(
            ConvNeXt(shape.channels, shape.kernel, widen=shape.widen, code=shape.code) for _ in range(shape.blocks)
        )
        self.norm = nn.LayerNorm(shape.channels)
        self.synthesis = SourceFilter(shape.rate, shape.rate // 100)
        bins = self.synthesis.bins
        self.head = nn.Linear(shape.channels, 3 * bins)
        nn.init.normal_(self.head.weight, std=0.01)
        with torch.no_grad():
            # Speech at -23 LUFS has an RMS of 0.07 when spoken: start there, the noise 20 dB below the pulses.
            self.head.bias[:bins] = math.log(0.07)
            self.head.bias[bins : 2 * bins] = 0.0
            self.head.bias[2 * bins :] = math.log(0.007)

    def hidden(self, said: Said) -> list[Tensor]:
        """Return what every block makes, `(batch, frames, channels)` each, the normalised last one at the end."""
        narrow = self.narrow(said.content)
        if self.training and self.shape.noise:
            spread = narrow.detach().float().std(dim=(0, 1))
            narrow = narrow + self.shape.noise * spread * torch.randn_like(narrow)
        height = torch.log2(said.f0 / REFERENCE_HZ)
        quiet = (said.energy + 35.0) / 15.0
        rise = quiet - quiet.mean(dim=1, keepdim=True)
        x = self.enter(torch.cat([narrow.float(), torch.stack([height, said.voiced, quiet, rise], dim=-1)], dim=-1))
        code = self.speakers(said.speaker)
        made = []
        for block in self.body:
            x = block(x, code)
            made.append(x)
        return [*made, self.norm(x)]

    def filters(self, hidden: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return log filter of the pulses, its phase and log filter of the noise, `(batch, frames, bins)` each."""
        harmonic, phase, noise = self.head(hidden).float().chunk(3, dim=-1)
        return harmonic.clamp(-CLIP, 4.0), phase, noise.clamp(-CLIP, 4.0)

    def forward(self, said: Said, *, start: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """Speak: `(batch, frames * rate / 100)`, in step with the frames."""
        with mixed(said.f0, self.training):
            hidden = self.hidden(said)[-1]
            filters = self.filters(hidden)
        audio: Tensor = self.synthesis(said.f0, said.voiced, *filters, start=start, generator=generator)
        return audio


def to_frames(features: Tensor, frames: int) -> Tensor:
    """Return 50 Hz features `(frames50, channels)` at 100 Hz, `(frames, channels)`: frame j stands at 2j."""
    doubled = F.interpolate(features.T[None], scale_factor=2, mode="linear", align_corners=False)[0].T
    doubled = torch.empty_like(doubled).copy_(doubled)
    following = torch.cat([features[1:], features[-1:]])
    doubled[0::2], doubled[1::2] = features, 0.5 * (features + following)
    if len(doubled) < frames:
        doubled = torch.cat([doubled, doubled[-1:].expand(frames - len(doubled), -1)])
    return doubled[:frames]


def carried(f0: Tensor) -> Tensor:
    """Return F0 `(frames,)` with unvoiced frames (0) filled on straight lines of log F0; all unvoiced: 160 Hz."""
    voiced = torch.nonzero(f0 > 0)[:, 0]
    if len(voiced) == 0:
        return torch.full_like(f0, REFERENCE_HZ)
    at = torch.arange(len(f0))
    after = torch.searchsorted(voiced, at).clamp(max=len(voiced) - 1)
    before = (torch.searchsorted(voiced, at, right=True) - 1).clamp(min=0)
    left, right = voiced[before], voiced[after]
    weight = ((at - left) / (right - left).clamp(min=1)).clamp(0, 1).to(f0.dtype)
    return torch.exp(torch.lerp(torch.log(f0[left]), torch.log(f0[right]), weight))


__all__ = ["Master", "MasterShape", "Said", "carried", "to_frames"]
