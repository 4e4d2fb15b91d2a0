"""The vocoders: what hears mel frames, and the two ways to make a waveform of them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from rtvoice.nn import Conv1d, ConvTranspose1d, Delay, MelAnalysis, Module, Noise
from rtvoice.nn.timing import Upsample
from rtvoice.nn.wavenet import GatedStack, LeakySum, WaveNet

RATE, HOP, WINDOW, BANDS = 16000, 160, 512, 64
#: The networks work on speech whose treble is raised so: their error, which is white, then falls with the speech.
EMPHASIS, GAIN = 0.9, 2.0
CONDITION = 48
#: Frames of the condition per hop.
PARTS = 4
#: How freely both draw: less than they learned with, which leaves out what is rare.
COOL = 0.8
#: What is drawn less freely is quieter, both by 10 dB; this gives it back.
LOUDER = 3.0
#: No gaussian is narrower than this logarithm of its standard deviation.
LEAST = -7.0
#: Mean logarithms of mel power, where silence ends and sound begins: the quietest frame in training, in a pause of the
#: quietest crop, has 2.7; white noise of -80 dB full scale 2.1, digital silence 0.
SILENCE, SOUND = 1.0, 2.5


class Hearing(Module):
    """Mel frames of a recording, and from them the condition of a vocoder, 400 frames a second, one hop ahead."""

    def __init__(self) -> None:
        super().__init__()
        self.mel = MelAnalysis(rate=RATE, hop=HOP, window=WINDOW, bands=BANDS, floor=1e-9)
        self.near = Conv1d(BANDS, 96, 3, lookahead=1)
        self.wide = Conv1d(96, 96, 3)
        self.parts = ConvTranspose1d(96, CONDITION, PARTS, stride=PARTS)

    def forward(self, x: Tensor) -> Tensor:
        """Return the condition `(batch, frames * PARTS, CONDITION)` of audio `(batch, samples, 1)`."""
        return self.condition(self.mel(x))

    def condition(self, frames: Tensor) -> Tensor:
        """Return the condition of mel frames `(batch, frames, BANDS)`."""
        return torch.tanh(self.parts(torch.tanh(self.wide(torch.tanh(self.near(frames * 0.2 - 1.0))))))


class Gate(Module):
    """Silence for silence: what is quieter than all that was heard in training is not left to chance."""

    def __init__(self) -> None:
        super().__init__()
        self.line = Upsample(HOP, mode="linear")

    def forward(self, frames: Tensor) -> Tensor:
        """Return a gain of 0 to 1 for each sample of mel frames, `(batch, samples, 1)`."""
        level = frames.mean(dim=-1, keepdim=True)
        return self.line(torch.clamp((level - SILENCE) / (SOUND - SILENCE), 0.0, 1.0))


def emphasised(audio: Tensor) -> Tensor:
    """Return what the networks make of a recording: its treble raised, in `(batch, samples, 1)`."""
    return GAIN * (audio - EMPHASIS * F.pad(audio, (0, 0, 1, 0))[:, :-1])


def before(x: Tensor) -> Tensor:
    """Return the sample before each."""
    return F.pad(x, (0, 0, 1, 0))[:, :-1]


class Teacher(Module):
    """WaveNet with a gaussian for the next sample."""

    def __init__(self, **sizes: Any) -> None:
        super().__init__()
        self.hearing = Hearing()
        self.voice = WaveNet(CONDITION, HOP // PARTS, floor=LEAST, temperature=COOL, **sizes)
        self.plain = LeakySum(1, EMPHASIS, LOUDER / GAIN)
        self.gate = Gate()

    def gaussian(self, x: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and logarithm of the deviation of every sample of `x`, given those before it."""
        mean, scale = torch.split(self.voice.parameters_of(x, condition), 1, dim=-1)
        return mean, scale.clamp(min=LEAST)

    def loss(self, audio: Tensor) -> Tensor:
        """Return the mean negative log likelihood, in nats a sample."""
        return self.voice.loss(emphasised(audio), self.hearing(audio))

    def forward(self, audio: Tensor) -> Tensor:
        """Say again what is heard: audio `(batch, samples, 1)` to audio."""
        frames = self.hearing.mel(audio)
        return self.plain(self.voice(self.hearing.condition(frames)) * self.gate(frames))


class Student(Module):
    """Inverse autoregressive flow: each stack scales and shifts a signal by what it says of that signal's past."""

    def __init__(self, flows: int = 2, **sizes: Any) -> None:
        super().__init__()
        self.hearing = Hearing()
        self.noise = Noise()
        self.plain = LeakySum(1, EMPHASIS, LOUDER / GAIN)
        self.gate = Gate()
        self.late = Delay(1)
        self.flows = torch.nn.ModuleList(GatedStack(CONDITION, 2, **sizes) for _ in range(flows))

    def flow(self, noise: Tensor, condition: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return sample, mean and logarithm of the deviation, which are those of a gaussian given the past noise."""
        x, mean, scale = noise, torch.zeros_like(noise), torch.zeros_like(noise)
        for stack in self.flows:
            shift, log = stack(before(x), condition).split(1, dim=-1)
            log = log.clamp(min=LEAST, max=2.0)
            x, mean, scale = x * torch.exp(log) + shift, mean * torch.exp(log) + shift, scale + log
        return x, mean, scale

    def forward(self, audio: Tensor) -> Tensor:
        """Say again what is heard: audio `(batch, samples, 1)` to audio."""
        frames = self.hearing.mel(audio)
        condition = self.hearing.condition(frames)
        x = self.noise(audio) * COOL
        for stack in self.flows:
            made = stack(self.late(x), condition)
            x = x * torch.exp(torch.clamp(made[..., 1:], LEAST, 2.0)) + made[..., :1]
        return self.plain(x * self.gate(frames))
