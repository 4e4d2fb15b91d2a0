"""Normalisations that stream: over the channels of one frame, or by statistics that training has fixed."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from rtvoice.nn.module import Builder, Handle, Module, array


class LayerNorm(Module):
    """Normalisation over the channels of one frame.

    Parameters
    ----------
    channels : int
        Size.
    eps : float
        Added to the variance.
    """

    def __init__(self, channels: int, *, eps: float = 1e-5) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(channels))
        self.bias = torch.nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Normalise each frame of `(batch, frames, channels)`."""
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, self.eps)

    def emit(self, builder: Builder, x: Handle, name: str = "") -> Handle:
        """Write one `layer_norm` node."""
        return builder.node("layer_norm", x, weight=array(self.weight), bias=array(self.bias), eps=self.eps, name=name)


class RMSNorm(Module):
    """Each frame over the root of its mean square.

    Parameters
    ----------
    channels : int
        Size.
    eps : float
        Added to the mean square.
    """

    def __init__(self, channels: int, *, eps: float = 1e-5) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(channels))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Normalise each frame of `(batch, frames, channels)`."""
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.eps) * self.weight

    def emit(self, builder: Builder, x: Handle, name: str = "") -> Handle:
        """Write one `rms_norm` node."""
        return builder.node("rms_norm", x, weight=array(self.weight), eps=self.eps, name=name)


class BatchNorm(Module):
    """Normalisation of each channel over batch and time while training; a scale and a shift afterwards.

    The engine folds it into a convolution or matrix in front of it, so that it costs nothing.

    Parameters
    ----------
    channels : int
        Size.
    eps : float
        Added to the variance.
    momentum : float
        Share of a new batch in the running statistics.
    """

    def __init__(self, channels: int, *, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__()
        self.statistics = torch.nn.BatchNorm1d(channels, eps=eps, momentum=momentum)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise `(batch, frames, channels)`."""
        y: Tensor = self.statistics(x.transpose(1, 2)).transpose(1, 2)
        return y

    def emit(self, builder: Builder, x: Handle, name: str = "") -> Handle:
        """Write one `affine` node."""
        norm = self.statistics
        assert norm.running_mean is not None and norm.running_var is not None
        scale = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
        shift = norm.bias.double() - norm.running_mean.double() * scale
        return builder.node("affine", x, scale=array(scale), shift=array(shift), name=name)
