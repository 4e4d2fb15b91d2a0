"""Attention over a bounded past, and what else transformers are made of."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from rtvoice.nn.layers import Conv1d, Linear
from rtvoice.nn.module import Builder, Handle, Module


class Attend(Module):
    """Every frame's weighted mean of the newest `window` frames, its own among them: softmax(q.k / sqrt(depth)) v.

    Parameters
    ----------
    heads : int
        Heads, which divide the channels among them.
    window : int
        Frames. Those before a stream's start do not count.
    """

    def __init__(self, heads: int, window: int) -> None:
        super().__init__()
        if heads < 1 or window < 1:
            raise ValueError(f"heads is {heads} and window {window}; both must be 1 or more")
        self.heads, self.window = heads, window

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attend from `(batch, frames, channels)` to keys and values; values may have channels of their own."""

        def split(x: Tensor) -> Tensor:
            return x.reshape(*x.shape[:2], self.heads, -1).transpose(1, 2)

        at = torch.arange(q.shape[1], device=q.device)
        age = at[:, None] - at[None, :]
        near = (age >= 0) & (age < self.window)
        made = F.scaled_dot_product_attention(split(q), split(k), split(v), attn_mask=near)
        return made.transpose(1, 2).flatten(2)

    def emit(self, builder: Builder, q: Handle, k: Handle, v: Handle, name: str = "") -> Handle:
        """Write one `attention` node."""
        return builder.node("attention", q, k, v, heads=self.heads, window=self.window, name=name)


class Attention(Module):
    """Multi-head attention over a bounded past.

    Parameters
    ----------
    channels : int
        That come in and go out.
    heads, window : int
        As in `Attend`.
    context : int or None
        Channels of the stream that is attended to; `None`: the input itself.
    """

    def __init__(self, channels: int, heads: int, window: int, *, context: int | None = None) -> None:
        super().__init__()
        if channels % heads:
            raise ValueError(f"heads={heads} does not divide {channels} channels")
        other = channels if context is None else context
        self.query, self.key, self.value = Linear(channels, channels), Linear(other, channels), Linear(other, channels)
        self.attend, self.leave = Attend(heads, window), Linear(channels, channels)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Attend from `(batch, frames, channels)` to itself or to a context of the same rate."""
        seen = x if context is None else context
        return self.leave(self.attend(self.query(x), self.key(seen), self.value(seen)))


class GroupedLinear(Module):
    """A matrix for each group of channels.

    Parameters
    ----------
    channels_in, channels_out, groups : int
        Sizes; `groups` divides both.
    bias : bool
        Whether to add a bias.
    """

    def __init__(self, channels_in: int, channels_out: int, groups: int, *, bias: bool = True) -> None:
        super().__init__()
        self.conv = Conv1d(channels_in, channels_out, 1, groups=groups, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(batch, frames, channels_in)` to `(batch, frames, channels_out)`."""
        return self.conv(x)


class Embedding(Module):
    """A vector for each number from 0 to `count - 1`; between two numbers, the line between their vectors.

    Parameters
    ----------
    count, channels : int
        Vectors, and their size.

    Notes
    -----
    It is a matrix on a one-hot frame: `count * channels` multiply-adds.
    """

    def __init__(self, count: int, channels: int) -> None:
        super().__init__()
        self.count = count
        steps = torch.arange(count, dtype=torch.float32)
        self.near = Linear.fixed(torch.ones(count, 1))
        self.near.bias = torch.nn.Parameter(-steps, requires_grad=False)
        self.table = Linear(count, channels, bias=False)
        torch.nn.init.normal_(self.table.weight, std=1 / math.sqrt(channels))

    def forward(self, index: Tensor) -> Tensor:
        """Look up `(batch, frames, 1)`: a stream, or a parameter."""
        return self.table(torch.relu(1.0 - torch.abs(self.near(index))))
