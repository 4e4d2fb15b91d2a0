"""The counter-based noise of the `.rtv` format, in numpy and as modules."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from rtvoice.nn.module import Builder, Handle, Module

Words = npt.NDArray[np.uint32]


def _mix(x: Words) -> Words:
    x = x ^ (x >> np.uint32(16))
    x = x * np.uint32(0x21F0AAAD)
    x = x ^ (x >> np.uint32(15))
    x = x * np.uint32(0xD35A2D97)
    return x ^ (x >> np.uint32(15))


def _words(index: npt.NDArray[np.uint64], seed: int, stream: int) -> Words:
    """Return the random 32-bit word of each 64-bit counter."""
    with np.errstate(over="ignore"):
        low = np.array([seed & 0xFFFFFFFF], np.uint32) + np.uint32(0x9E3779B9) * np.array([stream], np.uint32)
        high = np.array([seed >> 32], np.uint32) + np.uint32(0x85EBCA6B)
        key = _mix(low) ^ _mix(high)
        index_low = (index & np.uint64(0xFFFFFFFF)).astype(np.uint32)
        index_high = (index >> np.uint64(32)).astype(np.uint32)
        return _mix(_mix(index_low ^ key) + index_high * np.uint32(0x9E3779B9) + key)


def counted_words(seed: int, stream: int) -> Callable[[npt.NDArray[np.uint64]], Words]:
    """Return the function from counters to random words of an engine's seed and a node's stream."""
    return lambda index: _words(index, seed, stream)


def gaussian_noise(
    frames: int, channels: int, *, seed: int = 0, stream: int = 0, start: int = 0
) -> npt.NDArray[np.float32]:
    """Return the gaussian noise that an engine's noise node makes.

    Parameters
    ----------
    frames, channels : int
        Size of the result.
    seed : int
        The engine's 64-bit seed.
    stream : int
        The node's 32-bit stream.
    start : int
        First frame.

    Returns
    -------
    numpy.ndarray
        `(frames, channels)`, mean 0, standard deviation 1.
    """
    count = np.arange(frames * channels, dtype=np.uint64) + np.uint64(start * channels)
    scale = 2.0**-24
    first = ((_words(count * np.uint64(2), seed, stream) >> np.uint32(8)) + np.uint32(1)).astype(np.float64) * scale
    second = (_words(count * np.uint64(2) + np.uint64(1), seed, stream) >> np.uint32(8)).astype(np.float64) * scale
    values = np.sqrt(-2.0 * np.log(first)) * np.cos(2.0 * np.pi * second)
    return values.reshape(frames, channels).astype(np.float32)


class GaussianNoise(torch.nn.Module):
    """Gaussian noise, one frame for each frame of the graph.

    While training it is torch's own generator (fast, different at every step); in `eval` mode it is the stream that
    an engine with the same seed makes, so that offline and streamed output agree.

    Parameters
    ----------
    channels : int
        Channels of the noise.
    stream : int
        Told apart from other noise nodes of one graph by this number.
    """

    def __init__(self, channels: int, *, stream: int = 0) -> None:
        super().__init__()
        self.channels, self.stream, self.seed = channels, stream, 0

    def forward(self, batch: int, frames: int) -> Tensor:
        """Return noise `(batch, frames, channels)`."""
        if self.training:
            return torch.randn(batch, frames, self.channels)
        noise = torch.from_numpy(gaussian_noise(frames, self.channels, seed=self.seed, stream=self.stream))
        return noise.expand(batch, -1, -1)

    def emit(self, builder: Builder, name: str = "") -> Handle:
        """Write one `noise` node with one frame per hop."""
        return builder.node("noise", channels=self.channels, frames=1, stream=self.stream, name=name)


class Noise(Module):
    """Gaussian noise in step with another stream: one frame for each of its frames.

    While training it is torch's own generator; in `eval` mode the stream that an engine with the same seed makes.

    Parameters
    ----------
    channels : int
        Channels of the noise.
    stream : int
        Told apart from other noise nodes of one graph by this number.

    Attributes
    ----------
    seed : int
        The engine's 64-bit seed, of `eval` mode.
    """

    def __init__(self, channels: int = 1, *, stream: int = 0) -> None:
        super().__init__()
        self.channels, self.stream, self.seed = channels, stream, 0

    def forward(self, like: Tensor) -> Tensor:
        """Return noise `(batch, frames, channels)` for a stream `(batch, frames, any)`."""
        batch, frames = like.shape[0], like.shape[1]
        if self.training:
            return torch.randn(batch, frames, self.channels, device=like.device)
        noise = torch.from_numpy(gaussian_noise(frames, self.channels, seed=self.seed, stream=self.stream))
        return noise.to(like.device).expand(batch, -1, -1)

    def emit(self, builder: Builder, like: Handle, name: str = "") -> Handle:
        """Write one `noise` node of the stream's rate."""
        return builder.node("noise", channels=self.channels, frames=like.frames, stream=self.stream, name=name)
