"""The whisper student: a small causal network that shapes noise with the spectrum of what it hears."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rtvoice.nn import Conv1d, Exp, LayerNorm, Linear, MelAnalysis, Module, NoiseSynthesis, Sequential, SiLU
from rtvoice.nn.layers import Builder, Handle
from rtvoice.train.whisper.data import HOP
from rtvoice.train.whisper.teacher import BANDS, FLOOR, PERIOD, RATE

FADE = 80


@dataclass(frozen=True)
class Tier:
    """Sizes of one student.

    Attributes
    ----------
    channels, blocks, kernel : int
        Width, depth and taps of the body.
    window : int
        Samples of the analysis frame.
    latency : int
        Samples by which a stream's output is late: 80 of overlap, the rest lookahead.
    batch : int
        Crops of a training step.
    rate : float
        Peak learning rate.
    """

    channels: int
    blocks: int
    kernel: int
    window: int
    latency: int
    batch: int
    rate: float


TIERS = {
    "default": Tier(channels=96, blocks=5, kernel=7, window=400, latency=80, batch=16, rate=2e-3),
    "hq": Tier(channels=192, blocks=6, kernel=9, window=512, latency=160, batch=8, rate=6e-4),
}


class Block(Module):
    """ConvNeXt block, causal: depthwise convolution, normalisation, widen, narrow, add.

    Parameters
    ----------
    channels, kernel : int
        Width, and taps of the depthwise convolution.
    """

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        narrow = Linear(4 * channels, channels)
        torch.nn.init.normal_(narrow.weight, std=0.02 / np.sqrt(channels / 96))
        self.inner = Sequential(
            Conv1d(channels, channels, kernel, groups=channels),
            LayerNorm(channels),
            Linear(channels, 4 * channels),
            SiLU(),
            narrow,
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map `(batch, frames, channels)` to the same shape."""
        return x + self.inner(x)

    def emit(self, builder: Builder, x: Handle, name: str = "") -> Handle:
        """Write the branch and the sum."""
        return builder.node("add", x, self.inner.emit(builder, x, name), name=f"{name}.sum")


class WhisperStudent(Module):
    """Speech to whisper, frame by frame.

    The network never sees an absolute level: it is given the shape of the spectrum and how loud the frame is against
    the last second, and answers with a correction to the input's own log spectrum. A quiet voice makes the same
    whisper, quietly.

    Parameters
    ----------
    tier : Tier
        Sizes.
    """

    def __init__(self, tier: Tier) -> None:
        super().__init__()
        self.tier = tier
        self.analysis = MelAnalysis(rate=RATE, hop=HOP, window=tier.window, bands=BANDS, floor=FLOOR)
        mean = np.full((1, BANDS), 1.0 / BANDS)
        self.shape = Linear.fixed(0.5 * (np.eye(BANDS) - mean))
        self.loudness = Linear.fixed(0.25 * mean)
        self.slow = Conv1d(1, 1, 100, bias=False)
        self.slow.weight = torch.nn.Parameter(torch.full((1, 1, 100), 0.01), requires_grad=False)
        self.enter = Linear(BANDS + 1, tier.channels)
        self.body = Sequential(*(Block(tier.channels, tier.kernel) for _ in range(tier.blocks)))
        self.norm = LayerNorm(tier.channels)
        self.head = Linear(tier.channels, BANDS)
        torch.nn.init.zeros_(self.head.weight)
        self.exp = Exp()
        self.synthesis = NoiseSynthesis(rate=RATE, hop=HOP, fade=FADE, bands=BANDS, latency=tier.latency)

    def log_amplitude(self, x: Tensor) -> Tensor:
        """Return the whisper's log amplitudes `(batch, frames, bands)` for audio `(batch, samples, 1)`."""
        bands = self.analysis(x)
        loudness = self.loudness(bands)
        features = torch.cat([self.shape(bands), loudness - self.slow(loudness)], dim=-1)
        correction = self.head(self.norm(self.body(self.enter(features))))
        return correction + (0.5 * bands + 0.5 * float(np.log(FLOOR)))

    def forward(self, x: Tensor) -> Tensor:
        """Turn audio `(batch, samples, 1)` into whisper of the same shape, in step with it."""
        return self.synthesis(self.exp(self.log_amplitude(x)))

    def teacher_frames(self, envelope: Tensor) -> Tensor:
        """Return the teacher's envelope at this student's frames.

        Frame `n` is heard from `HOP*n - latency` for `HOP + FADE` samples; its middle is halfway between two of the
        teacher's frames.
        """
        middle = (HOP + FADE) // 2 - self.tier.latency
        first = (middle - PERIOD // 2) // PERIOD
        padded = torch.cat([envelope[:, :1].expand(-1, max(0, -first), -1), envelope], dim=1)[:, max(0, first) :]
        frames = envelope.shape[1] * PERIOD // HOP
        return 0.5 * (padded[:, : 2 * frames : 2] + padded[:, 1 : 2 * frames : 2])

    def emit(self, builder: Builder, x: Handle, name: str = "whisper") -> Handle:
        """Write the whole student."""
        bands = self.analysis.emit(builder, x, "analysis")
        shape = self.shape.emit(builder, bands, "shape")
        loudness = self.loudness.emit(builder, bands, "loudness")
        slow = self.slow.emit(builder, loudness, "loudness.slow")
        rise = builder.node("sub", loudness, slow, name="loudness.rise")
        features = builder.node("concat", shape, rise, name="features")
        y = self.body.emit(builder, self.enter.emit(builder, features, "enter"), "body")
        correction = self.head.emit(builder, self.norm.emit(builder, y, "norm"), "head")
        scale, shift = np.array([0.5], np.float32), np.array([0.5 * np.log(FLOOR)], np.float32)
        heard = builder.node("affine", bands, scale=scale, shift=shift, name="heard")
        amplitude = self.exp.emit(builder, builder.node("add", correction, heard, name="log_amplitude"), "amplitude")
        return self.synthesis.emit(builder, amplitude, "synthesis")
