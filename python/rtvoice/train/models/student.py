"""The student: the network that ships. Causal, source-filter, its own ear for F0, steered by three parameters."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rtvoice.nn import (
    AutocorrelationFeatures,
    Conv1d,
    HarmonicSource,
    LayerNorm,
    Linear,
    Module,
    Parameter,
    Sequential,
    Warp,
    concat,
    lag_grid,
)
from rtvoice.nn.module import precise
from rtvoice.train.models.analysis import FLOOR, Bands
from rtvoice.train.models.blocks import mixed
from rtvoice.train.models.filterbank import StreamingSourceFilter
from rtvoice.train.models.pitch import BINS, CENTRE, HIGHEST, LAGS, LOWEST, Block, Ear

OCTAVE = math.log(2.0)
DECIBEL = math.log(10.0) / 20.0
FAINT = 1e-12  # mean square of a frame of silence
BREATH = 0.0007  # of a tone's power, times 14.8 at 12 dB of breathiness, then raised against it by these 12 dB
FAR = 16.0  # natural log: further under its tone no noise is, and no square of it overflows


@dataclass(frozen=True)
class StudentShape:
    """Sizes of a student.

    Attributes
    ----------
    rate : int
        Sample rate in Hz, a multiple of 8000; frames come at 100 Hz.
    window, bands : int
        Samples of the analysis frame, and mel bands.
    channels, blocks, kernel, widen : int
        Of the body.
    fade : int
        Samples of the synthesis overlap.
    latency : int
        Samples by which the output is late, without the hop: `fade`, and lookahead.
    taught : int
        Channels of the master's hidden layer that the body is taught to foretell; 0 for none.
    """

    rate: int = 16000
    window: int = 400
    bands: int = 80
    channels: int = 192
    blocks: int = 7
    kernel: int = 7
    widen: int = 3
    fade: int = 80
    latency: int = 80
    taught: int = 256

    @property
    def hop(self) -> int:
        """Samples between frames."""
        return self.rate // 100


SHAPES = {
    "default": StudentShape(),
    "hq": StudentShape(rate=24000, window=720, channels=320, blocks=10, fade=120, latency=240),
}


@dataclass(frozen=True)
class Heard:
    """What a student makes of its input, frame by frame, `(batch, frames, channels)` each.

    Attributes
    ----------
    pitch : torch.Tensor
        What its ear says; see `Ear`.
    harmonic, phase, noise : torch.Tensor
        Natural log of the pulses' filter, its phase beyond the minimum, natural log of the noise's filter.
    body : torch.Tensor
        The last hidden layer.
    """

    pitch: Tensor
    harmonic: Tensor
    phase: Tensor
    noise: Tensor
    body: Tensor


class Student(Module):
    """Any voice to one voice, as a stream.

    The network never sees an absolute level: bands are taken against their mean, loudness against the last second, and
    filters are answered against the loudness of the frame. A quiet player makes the same voice, quietly.

    Parameters
    ----------
    shape : StudentShape
        Sizes.
    register : float
        log2 of the Hz around which the target speaks.
    """

    def __init__(self, shape: StudentShape, register: float = CENTRE) -> None:
        super().__init__()
        self.shape, self.target = shape, register
        self.analysis = Bands(rate=shape.rate, hop=shape.hop, window=shape.window, bands=shape.bands)
        self.lags = AutocorrelationFeatures(rate=shape.rate, hop=shape.hop, lags=lag_grid(LOWEST, HIGHEST, LAGS))
        mean = np.full((1, shape.bands), 1.0 / shape.bands)
        self.profile = Linear.fixed(0.5 * (np.eye(shape.bands) - mean))
        self.loudness = Linear.fixed(0.5 * mean)
        self.slow = Conv1d.fixed(np.full((1, 100), 0.01))
        features = shape.bands + 1 + LAGS
        self.ear = Ear(features)
        self.enter = Linear(features, shape.channels)
        self.body = Sequential(*(Block(shape.channels, shape.kernel, shape.widen) for _ in range(shape.blocks)))
        self.norm = LayerNorm(shape.channels)
        self.source = HarmonicSource(rate=shape.rate, hop=shape.hop)
        self.synthesis = StreamingSourceFilter(shape.hop, fade=shape.fade, latency=shape.latency)
        bins = self.synthesis.bins
        self.head = Linear(shape.channels, 3 * bins)
        torch.nn.init.normal_(self.head.weight, std=0.01)
        with torch.no_grad():
            assert self.head.bias is not None
            self.head.bias.zero_()[2 * bins :] = -2.0  # the noise 17 dB under the pulses
        self.teach = torch.nn.Linear(shape.channels, shape.taught) if shape.taught else None
        self.warp = Warp()
        self.pitch_shift = Parameter("pitch_shift", min=-12.0, max=12.0, description="semitones up")
        self.formant_shift = Parameter(
            "formant_shift", min=-6.0, max=6.0, description="semitones up, as by a shorter tract"
        )
        self.breathiness = Parameter("breathiness", min=-12.0, max=12.0, description="dB of noise against tone")

    def features(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the network hears `(batch, frames, features)` and the frame's loudness, log amplitude."""
        bands = self.analysis(x)
        loudness = self.loudness(bands)
        heard = concat(self.profile(bands), loudness - self.slow(loudness), self.lags(x))
        return heard, loudness + 0.5 * math.log(FLOOR)

    def hear(self, x: Tensor) -> Heard:
        """Listen to audio `(batch, samples, 1)`."""
        with torch.no_grad(), precise(x):  # nothing before here is trained
            heard, loudness = self.features(x)
        with mixed(x, self.training):
            pitch = self.ear(heard)
            body = self.norm(self.body(self.enter(heard)))
            filters = self.head(body)
        bins, pitch, filters = self.synthesis.bins, pitch.float(), filters.float()
        gate = torch.log(self.ear.voiced(pitch).clamp(min=1e-9))
        return Heard(
            pitch=pitch,
            harmonic=filters[..., :bins] + (loudness + gate),
            phase=filters[..., bins : 2 * bins],
            noise=filters[..., 2 * bins :] + loudness,
            body=body,
        )

    def height(self, pitch: Tensor) -> Tensor:
        """Return the answer's log2 F0 `(batch, frames, 1)`: the melody heard, in the target's register."""
        found = self.ear.height(pitch)
        guess = pitch[..., BINS + 1 :]
        return found - self.ear.register(found, self.ear.voiced(pitch), guess) + self.target

    def speak(self, heard: Heard, height: Tensor) -> Tensor:
        """Speak `(batch, samples, 1)` at a height `(batch, frames, 1)`, log2 of Hz at the end of each hop."""
        with torch.no_grad(), precise(height):  # a phase teaches nothing: F0 has a loss of its own
            pulses = self.source(torch.exp(OCTAVE * height.float()))
        with precise(pulses):
            return self.synthesis(pulses, heard.harmonic, heard.phase, heard.noise)

    def forward(self, x: Tensor) -> Tensor:
        """Turn audio `(batch, samples, 1)` into the target's voice, in step with it."""
        heard = self.hear(x)
        ratio = torch.exp((-OCTAVE / 12) * self.formant_shift(x))
        tone, hiss = balanced(self.warp(heard.harmonic, ratio), self.warp(heard.noise, ratio), self.breathiness(x))
        steered = Heard(pitch=heard.pitch, harmonic=tone, phase=heard.phase, noise=hiss, body=heard.body)
        return self.speak(steered, self.height(heard.pitch) + self.pitch_shift(x) * (1 / 12))


def balanced(harmonic: Tensor, noise: Tensor, breathiness: Tensor) -> tuple[Tensor, Tensor]:
    """Return log filters with `breathiness` dB more noise against tone, as loud together as before.

    A voice that is all tone has no noise to raise: above 0 it also gets breath of its tone's own colour, 8 dB under it
    at 12 dB. Pulses and noise are of unit power, so a frame's power is the sum of what both filters let through.
    Without the correction a control of breath was one of loudness: 6 dB either way. At 0 the same bits come out.

    Parameters
    ----------
    harmonic, noise : torch.Tensor
        `(batch, frames, bins)`, natural logs of the filters.
    breathiness : torch.Tensor
        `(batch, frames, 1)` in dB.
    """
    tone, hiss = (torch.exp(2.0 * filtered).mean(dim=-1, keepdim=True) for filtered in (harmonic, noise))
    breath = (0.5 * DECIBEL) * breathiness
    own = BREATH * torch.relu(torch.exp(4.0 * breath) - 1.0)
    noise = noise + 0.5 * torch.log(1.0 + own * torch.exp(2.0 * (harmonic - noise).clamp(max=FAR)))
    raised = torch.exp(2.0 * noise).mean(dim=-1, keepdim=True)
    moved = tone * torch.exp(-2.0 * breath) + raised * torch.exp(2.0 * breath)
    level = 0.5 * (torch.log(tone + hiss + FAINT) - torch.log(moved + FAINT))
    return harmonic - breath + level, noise + breath + level
