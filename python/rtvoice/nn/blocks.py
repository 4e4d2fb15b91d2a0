"""Layers put together: residual and parallel branches, conditioning, the ConvNeXt block."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor

from rtvoice.nn.activations import GELU
from rtvoice.nn.layers import DepthwiseConv1d, Linear
from rtvoice.nn.module import Builder, Handle, Module, Sequential
from rtvoice.nn.norms import LayerNorm
from rtvoice.nn.trace import concat


class Residual(Module):
    """The input plus what modules make of it; where they are late, the engine delays the input by as much.

    Parameters
    ----------
    *modules : Module
        Applied in order.
    """

    def __init__(self, *modules: Module) -> None:
        super().__init__()
        self.body = Sequential(*modules)

    def forward(self, x: Tensor) -> Tensor:
        """Apply to `(batch, frames, channels)`."""
        return x + self.body(x)


class Parallel(Module):
    """Modules side by side on one input.

    Parameters
    ----------
    *modules : Module
        Each reads the same input.
    join : str
        `add`, or `concat` of the channels.
    """

    def __init__(self, *modules: Module, join: str = "add") -> None:
        super().__init__()
        if join not in ("add", "concat"):
            raise ValueError(f"join is {join!r}; it must be 'add' or 'concat'")
        self.branches = torch.nn.ModuleList(modules)
        self.join = join

    def forward(self, x: Tensor) -> Tensor:
        """Apply to `(batch, frames, channels)`."""
        made = [cast(Tensor, branch(x)) for branch in self.branches]
        if self.join == "concat":
            return concat(*made)
        total = made[0]
        for other in made[1:]:
            total = total + other
        return total


class FiLM(Module):
    """Scale and shift of each channel, made from a condition (Perez and others, 2018).

    The condition is another stream of the same rate, or a `Parameter` and what comes of it: the engine then ramps
    within a hop, so that a change makes no click.

    Parameters
    ----------
    channels, condition : int
        Channels of the stream and of its condition.
    """

    def __init__(self, channels: int, condition: int) -> None:
        super().__init__()
        self.gamma, self.beta = Linear(condition, channels), Linear(condition, channels)
        for layer in (self.gamma, self.beta):  # it starts by changing nothing
            torch.nn.init.zeros_(layer.weight)
            torch.nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Return `x * (1 + gamma) + beta` for `(batch, frames, channels)`."""
        return x * (1.0 + self.gamma(condition)) + self.beta(condition)

    def emit(self, builder: Builder, x: Handle, condition: Handle, name: str = "") -> Handle:
        """Write two matrices and one `film` node."""
        gamma = self.gamma.emit(builder, condition, f"{name}.gamma")
        beta = self.beta.emit(builder, condition, f"{name}.beta")
        return builder.node("film", x, gamma, beta, offset=1.0, name=name)


class Scale(Module):
    """A trained factor per channel.

    Parameters
    ----------
    channels : int
        Size.
    value : float
        At the start.
    """

    def __init__(self, channels: int, value: float = 1.0) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.full((channels,), value))

    def forward(self, x: Tensor) -> Tensor:
        """Apply to `(batch, frames, channels)`."""
        return x * self.weight


class ConvNeXtBlock(Module):
    """Depthwise convolution, norm, two matrices with a GELU between, added to the input (Liu and others, 2022).

    Parameters
    ----------
    channels : int
        Size.
    kernel, dilation, lookahead : int
        Of the depthwise convolution.
    expansion : float
        Channels between the matrices, in multiples of `channels`.
    scale : float or None
        Start of a trained factor per channel on the branch; None leaves it out.
    """

    def __init__(
        self,
        channels: int,
        kernel: int = 7,
        *,
        dilation: int = 1,
        lookahead: int = 0,
        expansion: float = 3.0,
        scale: float | None = 0.1,
    ) -> None:
        super().__init__()
        wide = round(channels * expansion)
        self.depthwise = DepthwiseConv1d(channels, kernel, dilation=dilation, lookahead=lookahead)
        self.norm = LayerNorm(channels)
        self.wide, self.activation, self.narrow = Linear(channels, wide), GELU(), Linear(wide, channels)
        self.scale: Scale | None = None if scale is None else Scale(channels, scale)

    def forward(self, x: Tensor) -> Tensor:
        """Apply to `(batch, frames, channels)`."""
        y = self.narrow(self.activation(self.wide(self.norm(self.depthwise(x)))))
        return x + (y if self.scale is None else self.scale(y))
