"""Layers of time: delay, lookahead, and changes of the frame rate without weights."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from rtvoice.nn.module import Builder, Handle, Module


class Delay(Module):
    """`x[n - frames]`, zero before the start.

    Parameters
    ----------
    frames : int
        How far back.
    """

    def __init__(self, frames: int) -> None:
        super().__init__()
        self.frames = frames

    def forward(self, x: Tensor) -> Tensor:
        """Delay `(batch, frames, channels)`."""
        return F.pad(x, (0, 0, self.frames, 0))[:, : x.shape[1]]

    def emit(self, builder: Builder, x: Handle, name: str = "") -> Handle:
        """Write one `delay` node."""
        return builder.node("delay", x, frames=self.frames, name=name)


class Lookahead(Module):
    """`x[n + frames]`: what follows sees the future, and a stream waits for it.

    Parameters
    ----------
    frames : int
        How far ahead.
    """

    def __init__(self, frames: int) -> None:
        super().__init__()
        self.frames = frames

    def forward(self, x: Tensor) -> Tensor:
        """Advance `(batch, frames, channels)`; the end is filled up with zeros."""
        return F.pad(x, (0, 0, 0, self.frames))[:, self.frames :]

    def emit(self, builder: Builder, x: Handle, name: str = "") -> Handle:
        """Write one `advance` node."""
        return builder.node("advance", x, frames=self.frames, name=name)


class Upsample(Module):
    """More frames without weights.

    Parameters
    ----------
    factor : int
        Frames made of each.
    mode : str
        `nearest` repeats. `linear` moves in a straight line from the last frame to this one, which it reaches at the
        last of its `factor` frames, so that nothing waits; the first `factor - 1` frames of a stream are zero.
    """

    def __init__(self, factor: int, *, mode: str = "nearest") -> None:
        super().__init__()
        if mode not in ("nearest", "linear"):
            raise ValueError(f"mode is {mode!r}; it must be 'nearest' or 'linear'")
        self.factor, self.mode = factor, mode

    def forward(self, x: Tensor) -> Tensor:
        """Expand `(batch, frames, channels)` to `(batch, frames * factor, channels)`."""
        if self.mode == "nearest":
            return x.repeat_interleave(self.factor, dim=1)
        before = F.pad(x, (0, 0, 1, 0))[:, :-1]
        share = torch.arange(1, self.factor + 1, device=x.device, dtype=x.dtype)[:, None] / self.factor
        y = (before[:, :, None] + (x - before)[:, :, None] * share).flatten(1, 2)
        return F.pad(y[:, self.factor - 1 :], (0, 0, self.factor - 1, 0))

    def emit(self, builder: Builder, x: Handle, name: str = "") -> Handle:
        """Write one `upsample` node; the linear one reads ahead, which a `delay` takes back."""
        if self.mode == "nearest":
            return builder.node("upsample", x, factor=self.factor, name=name)
        line = builder.node(
            "upsample", x, factor=self.factor, mode="linear", coordinates="asymmetric", name=f"{name}.line"
        )
        return builder.node("delay", line, frames=self.factor - 1, name=name)


class AveragePool(Module):
    """The mean of the last frames.

    Parameters
    ----------
    kernel : int
        Frames.
    stride : int
        Frames between outputs; `kernel` where left out.
    """

    def __init__(self, kernel: int, stride: int | None = None) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, kernel if stride is None else stride
        if not 1 <= self.stride <= kernel:
            raise ValueError(f"stride is {self.stride}; it must lie in 1 to kernel={kernel}")

    def forward(self, x: Tensor) -> Tensor:
        """Average `(batch, frames, channels)` to `(batch, frames / stride, channels)`."""
        padded = F.pad(x.transpose(1, 2), (self.kernel - self.stride, 0))
        return F.avg_pool1d(padded, self.kernel, self.stride).transpose(1, 2)

    def emit(self, builder: Builder, x: Handle, name: str = "") -> Handle:
        """Write one `avg_pool` node."""
        pads = [self.kernel - self.stride, 0]
        return builder.node("avg_pool", x, kernel=self.kernel, stride=self.stride, pads=pads, name=name)


class TimeToDepth(Module):
    """Frames side by side: `factor` of them become one of as many times the channels, the oldest first.

    Parameters
    ----------
    factor : int
        Frames put together.
    """

    def __init__(self, factor: int) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        """Fold `(batch, frames, channels)` to `(batch, frames / factor, channels * factor)`."""
        return x.reshape(x.shape[0], x.shape[1] // self.factor, -1)

    def emit(self, builder: Builder, x: Handle, name: str = "") -> Handle:
        """Write one `time_to_depth` node."""
        return builder.node("time_to_depth", x, factor=self.factor, order="time", name=name)


class DepthToTime(Module):
    """The inverse of `TimeToDepth`.

    Parameters
    ----------
    factor : int
        Frames made of each.
    """

    def __init__(self, factor: int) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        """Unfold `(batch, frames, channels)` to `(batch, frames * factor, channels / factor)`."""
        return x.reshape(x.shape[0], x.shape[1] * self.factor, -1)

    def emit(self, builder: Builder, x: Handle, name: str = "") -> Handle:
        """Write one `depth_to_time` node."""
        return builder.node("depth_to_time", x, factor=self.factor, order="time", name=name)
