"""Excitation: phases that never drift, the pulse trains of a voice, and filters whose taps change."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from rtvoice.nn.module import Builder, Handle, Module, full
from rtvoice.nn.timing import Upsample


def _turns(x: Tensor) -> Tensor:
    """Return `trunc(x * 2^64)` modulo 2^64 as int64; what is not finite counts as 0."""
    part = torch.fmod(torch.where(torch.isfinite(x), x, 0.0).double(), 1.0) * 2.0**32
    high = torch.trunc(part)
    low = torch.trunc((part - high) * 2.0**32)
    return (high.to(torch.int64) << 32) + low.to(torch.int64)


class _Phase(torch.autograd.Function):
    """The fraction of a sum over time; its gradient is the sum's, as if nothing were ever taken away."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = torch.cumsum(_turns(x), dim=1)  # wraps, as the format's accumulator does
        if x.dtype == torch.float64:
            return ((total >> 11) & (2**53 - 1)).double() * 2.0**-53
        return ((total >> 40) & (2**24 - 1)).to(torch.float32) * 2.0**-24

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        grad = grads[0]
        return grad.double().flip(1).cumsum(1).flip(1).to(grad.dtype)


class Phase(Module):
    """`frac(x[0] + ... + x[n])`: the phase of an oscillator, in turns, 0 to 1.

    The sum is one of integers, the format's own: it is exact for any length, and the same offline and streamed where
    its terms are. The gradient is that of the sum.

    Parameters
    ----------
    random_start : bool
        While training every channel starts at a phase of its own; a network then cannot learn one.

    Attributes
    ----------
    node_name : str
        Of the node that `emit` wrote last.
    forced : torch.Tensor or None
        `(frames, channels)`: terms to add up instead of the input's, frame by frame. Two computations of a frequency
        that differ in the last bit part for ever; a comparison feeds both sums with the same terms.
    """

    def __init__(self, *, random_start: bool = False) -> None:
        super().__init__()
        self.random_start = random_start
        self.node_name = ""
        self.forced: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Add up `(batch, frames, channels)` of turns per frame."""
        if self.forced is not None:
            given = self.forced[: x.shape[1]].to(x)
            x = torch.cat([given.expand(len(x), -1, -1), x[:, len(given) :]], dim=1)
        if x.dtype not in (torch.float32, torch.float64):
            x = x.float()
        phase: Tensor = _Phase.apply(x)  # type: ignore[no-untyped-call]
        if self.training and self.random_start:
            start = torch.rand(x.shape[0], 1, x.shape[2], device=x.device, dtype=phase.dtype)
            phase = torch.remainder(phase + start, 1.0)
        return phase

    def emit(self, builder: Builder, x: Handle, name: str = "") -> Handle:
        """Write one `phase` node."""
        made = builder.node("phase", x, name=name)
        self.node_name = made.name
        return made


class Harmonics(Module):
    """The pulse train of a phase: cosines of all harmonics below a limit, of unit power together.

    `sqrt(2/h) * sum over k of clip(h - k + 1, 0, 1) cos(2 pi k phase)` with `h = min(limit / frequency - 1, count)`:
    the last harmonic fades in as the pitch falls, nothing lies above the limit. In closed form, so that its cost does
    not grow with the number of harmonics.

    Parameters
    ----------
    count : int
        The most harmonics.
    limit : float
        Turns per frame, up to 0.5, half the frame rate.
    """

    def __init__(self, count: int, *, limit: float = 0.5) -> None:
        super().__init__()
        self.count, self.limit = count, limit

    def forward(self, phase: Tensor, frequency: Tensor) -> Tensor:
        """Return the pulses of a phase in turns and its frequency in turns per frame, `(batch, frames, 1)` each."""
        kind = torch.promote_types(phase.dtype, frequency.dtype)
        f, p = frequency.double(), phase.double()
        sounds = f > 0
        room = self.limit / torch.where(sounds, f, 1.0) - 1.0
        h = room.clamp(max=float(self.count)).clamp(min=1e-12)
        whole = torch.floor(h).detach()
        if phase.dtype != torch.float64:
            p = p + (torch.round(p * 2.0**24) * 2.0**-24 - p).detach()
        p = p - torch.round(p).detach()
        bottom = torch.sin(torch.pi * p)
        peak = bottom == 0
        kernel = torch.sin(torch.pi * (2.0 * whole + 1.0) * p) / torch.where(peak, 1.0, bottom)
        kernel = torch.where(peak, 2.0 * whole + 1.0, kernel)
        total = 0.5 * (kernel - 1.0) + (h - whole) * torch.cos(2.0 * torch.pi * (whole + 1.0) * p)
        return torch.where(sounds, total * torch.sqrt(2.0 / h), 0.0).to(kind)

    def emit(self, builder: Builder, phase: Handle, frequency: Handle, name: str = "") -> Handle:
        """Write one `harmonics` node."""
        return builder.node("harmonics", phase, frequency, count=self.count, limit=self.limit, name=name)


class HarmonicSource(Module):
    """A voice's excitation from its pitch: pulses without aliasing, of unit power, whose phase never drifts.

    The frequency moves in a straight line from the last frame's value to this frame's, which it reaches at the end of
    the frame's hop: no sample waits for a later frame.

    Parameters
    ----------
    rate, hop : int
        Sample rate in Hz, and samples between frames of pitch.
    lowest : float
        Hz, below which no harmonics are added: `rate / 2 / lowest` are the most.
    random_start : bool
        While training the phase starts anywhere.
    """

    def __init__(self, *, rate: int, hop: int, lowest: float = 40.0, random_start: bool = True) -> None:
        super().__init__()
        self.rate, self.hop = rate, hop
        self.upsample = Upsample(hop, mode="linear")
        self.phase = Phase(random_start=random_start)
        self.harmonics = Harmonics(max(int(0.5 * rate / lowest), 1))

    def forward(self, f0: Tensor) -> Tensor:
        """Turn F0 in Hz `(batch, frames, 1)` into pulses `(batch, frames * hop, 1)`; silence where it is 0 or less."""
        turns = self.upsample(full(f0) * (1.0 / self.rate))
        return self.harmonics(self.phase(turns), turns)


class FIR(Module):
    """A filter with new taps in every frame: `y[n] = sum over k of taps[n // r][k] x[n - k]`.

    Parameters
    ----------
    interpolate : bool
        Whether the output moves from the last frame's filter to this frame's, which it reaches at the frame's last
        sample; else filters change at once.
    """

    def __init__(self, *, interpolate: bool = False) -> None:
        super().__init__()
        self.interpolate = interpolate

    def forward(self, x: Tensor, taps: Tensor) -> Tensor:
        """Filter `(batch, samples, 1)` by `(batch, frames, taps)`; samples are a multiple of frames."""
        x, taps = full(x), full(taps)  # transforms of 16 bits are few, and coarse
        samples, frames, count = x.shape[1], taps.shape[1], taps.shape[2]
        if x.shape[2] != 1 or samples % frames:
            raise ValueError(
                f"fir: x is {tuple(x.shape)}, taps {tuple(taps.shape)}; x has 1 channel and r frames a tap's"
            )
        r = samples // frames
        padded = F.pad(x[..., 0], (count - 1, 0))
        windows = padded.unfold(1, r + count - 1, r)  # (batch, frames, r + count - 1), the newest last
        size = r + 2 * count - 2
        spectrum = torch.fft.rfft(windows, size)

        def filtered(taps: Tensor) -> Tensor:
            whole: Tensor = torch.fft.irfft(spectrum * torch.fft.rfft(taps, size), size)
            return whole[..., count - 1 : count - 1 + r]

        y = filtered(taps)
        if self.interpolate:
            before = filtered(F.pad(taps, (0, 0, 1, 0))[:, :-1])
            y = before + (y - before) * (torch.arange(1, r + 1, device=x.device, dtype=x.dtype) / r)
        return y.flatten(1)[..., None]

    def emit(self, builder: Builder, x: Handle, taps: Handle, name: str = "") -> Handle:
        """Write one `fir` node."""
        return builder.node("fir", x, taps, interpolate=self.interpolate, name=name)


class Warp(Module):
    """Channels moved along themselves: `y[c] = x[c * ratio]`, linearly between channels, the last one beyond the end.

    Over the bins of a spectral envelope a ratio below 1 moves formants up, above 1 down.
    """

    def forward(self, x: Tensor, ratio: Tensor) -> Tensor:
        """Warp `(batch, frames, channels)` by `(batch, frames or 1, 1)`."""
        last = x.shape[-1] - 1
        position = torch.arange(last + 1, device=x.device, dtype=torch.float64) * ratio.double()
        position = torch.nan_to_num(position, nan=0.0).clamp(0.0, float(last)).expand(x.shape[0], x.shape[1], -1)
        lower = torch.floor(position).long()
        share = (position - lower).to(x.dtype)
        low, high = x.gather(-1, lower), x.gather(-1, (lower + 1).clamp(max=last))
        return low + (high - low) * share

    def emit(self, builder: Builder, x: Handle, ratio: Handle, name: str = "") -> Handle:
        """Write one `warp` node."""
        return builder.node("warp", x, ratio, name=name)
