"""The layers: causal, time-major, each able to write itself into a graph."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

# The builder and its tensor handles live in `rtvoice.graph`; nothing here needs more of them than `.node` and
# `.channels`, so that a graph can also be written into a stand-in under test.
Builder = Any
Handle = Any


def array(tensor: Tensor) -> npt.NDArray[np.float32]:
    """Return a torch tensor as the float32 array that a `.rtv` file stores."""
    return np.ascontiguousarray(tensor.detach().cpu().numpy(), dtype=np.float32)


class Module(torch.nn.Module):
    """A torch module of time-major tensors `(batch, frames, channels)` that can be streamed."""

    @abstractmethod
    def emit(self, builder: Builder, x: Handle, name: str = "") -> Handle:
        """Add this computation to `builder`, reading `x`, with nodes named after `name`; return the result."""

    def __call__(self, x: Tensor) -> Tensor:
        """Compute offline, on the whole signal at once."""
        return cast(Tensor, super().__call__(x))


class Sequential(Module):
    """Modules one after the other.

    Parameters
    ----------
    *modules : Module
        Applied in order.
    """

    def __init__(self, *modules: Module) -> None:
        super().__init__()
        self.items = torch.nn.ModuleList(modules)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the modules to `(batch, frames, channels)`."""
        for module in self.items:
            x = module(x)
        return x

    def emit(self, builder: Builder, x: Handle, name: str = "") -> Handle:
        """Write the modules in order."""
        for index, module in enumerate(self.items):
            x = cast(Module, module).emit(builder, x, f"{name}.{index}")
        return x


class Conv1d(Module):
    """A causal convolution over frames: the newest tap meets the newest frame.

    Parameters
    ----------
    channels_in, channels_out, kernel : int
        Sizes.
    stride, dilation, groups : int
        As in `torch.nn.Conv1d`.
    bias : bool
        Whether to add a bias.

    Notes
    -----
    With stride `s`, output frame `n` ends at input frame `s*n + s - 1`: it waits for its whole hop, and looks at
    nothing beyond it.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__()
        conv = torch.nn.Conv1d(
            channels_in, channels_out, kernel, stride=stride, dilation=dilation, groups=groups, bias=bias
        )
        self.weight, self.bias = conv.weight, conv.bias
        self.stride, self.dilation, self.groups = stride, dilation, groups
        self.left = dilation * (kernel - 1) + 1 - stride

    def forward(self, x: Tensor) -> Tensor:
        """Convolve `(batch, frames, channels_in)` to `(batch, frames / stride, channels_out)`."""
        padded = F.pad(x.transpose(1, 2), (self.left, 0))
        y = F.conv1d(padded, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)
        return y.transpose(1, 2)

    def emit(self, builder: Builder, x: Handle, name: str = "") -> Handle:
        """Write one `conv1d` node."""
        weights = {"weight": array(self.weight)}
        if self.bias is not None:
            weights["bias"] = array(self.bias)
        attributes = {"stride": self.stride, "dilation": self.dilation, "groups": self.groups, "pads": [self.left, 0]}
        return builder.node("conv1d", x, **weights, **attributes, name=name)


class ConvTranspose1d(Module):
    """A transposed convolution: overlap-add of one kernel per input frame.

    Parameters
    ----------
    channels_in, channels_out, kernel, stride : int
        Sizes.
    crop : int
        Output frames dropped at the start, which lets a kernel begin before its frame's own time; this is the
        latency of the layer, in output frames.
    bias : bool
        Whether to add a bias.
    """

    def __init__(
        self, channels_in: int, channels_out: int, kernel: int, *, stride: int, crop: int = 0, bias: bool = True
    ) -> None:
        super().__init__()
        conv = torch.nn.ConvTranspose1d(channels_in, channels_out, kernel, stride=stride, bias=bias)
        self.weight, self.bias = conv.weight, conv.bias
        self.stride, self.crop = stride, crop

    def forward(self, x: Tensor) -> Tensor:
        """Expand `(batch, frames, channels_in)` to `(batch, frames * stride, channels_out)`."""
        full = F.conv_transpose1d(x.transpose(1, 2), self.weight, self.bias, self.stride)
        length = x.shape[1] * self.stride
        y = full[..., self.crop : self.crop + length]
        return F.pad(y, (0, length - y.shape[-1])).transpose(1, 2)

    def emit(self, builder: Builder, x: Handle, name: str = "") -> Handle:
        """Write one `conv_transpose1d` node."""
        weights = {"weight": array(self.weight)}
        if self.bias is not None:
            weights["bias"] = array(self.bias)
        return builder.node("conv_transpose1d", x, **weights, stride=self.stride, crop=[self.crop, 0], name=name)


class Linear(Module):
    """A matrix over channels, the same at every frame.

    Parameters
    ----------
    channels_in, channels_out : int
        Sizes.
    bias : bool
        Whether to add a bias.
    """

    def __init__(self, channels_in: int, channels_out: int, *, bias: bool = True) -> None:
        super().__init__()
        linear = torch.nn.Linear(channels_in, channels_out, bias=bias)
        self.weight, self.bias = linear.weight, linear.bias

    @classmethod
    def fixed(cls, weight: npt.ArrayLike) -> Linear:
        """Return a layer without bias whose matrix `(channels_out, channels_in)` is not trained."""
        matrix = torch.as_tensor(np.asarray(weight, dtype=np.float32))
        layer = cls(matrix.shape[1], matrix.shape[0], bias=False)
        layer.weight = torch.nn.Parameter(matrix, requires_grad=False)
        return layer

    def forward(self, x: Tensor) -> Tensor:
        """Map `(batch, frames, channels_in)` to `(batch, frames, channels_out)`."""
        return F.linear(x, self.weight, self.bias)

    def emit(self, builder: Builder, x: Handle, name: str = "") -> Handle:
        """Write one `linear` node."""
        weights = {"weight": array(self.weight)}
        if self.bias is not None:
            weights["bias"] = array(self.bias)
        return builder.node("linear", x, **weights, name=name)


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


class GRU(Module):
    """A gated recurrent layer, PyTorch's form, starting at 0.

    Parameters
    ----------
    channels_in, channels_out : int
        Sizes.
    """

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.cell = torch.nn.GRU(channels_in, channels_out, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        """Run over the frames of `(batch, frames, channels_in)`."""
        y: Tensor = self.cell(x)[0]
        return y

    def emit(self, builder: Builder, x: Handle, name: str = "") -> Handle:
        """Write one `gru` node."""
        roles = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        weights = {role: array(getattr(self.cell, f"{role}_l0")) for role in roles}
        return builder.node("gru", x, **weights, linear_before_reset=True, name=name)


class Pointwise(Module):
    """A function of each number alone, written as the op of the same meaning."""

    op: str

    def emit(self, builder: Builder, x: Handle, name: str = "") -> Handle:
        """Write one node."""
        return builder.node(self.op, x, name=name)


class ReLU(Pointwise):
    """`max(x, 0)`."""

    op = "relu"

    def forward(self, x: Tensor) -> Tensor:
        """Apply to any tensor."""
        return F.relu(x)


class SiLU(Pointwise):
    """`x * sigmoid(x)`."""

    op = "silu"

    def forward(self, x: Tensor) -> Tensor:
        """Apply to any tensor."""
        return F.silu(x)


class GELU(Pointwise):
    """`x * Phi(x)`, exact."""

    op = "gelu"

    def forward(self, x: Tensor) -> Tensor:
        """Apply to any tensor."""
        return F.gelu(x)


class Tanh(Pointwise):
    """`tanh(x)`."""

    op = "tanh"

    def forward(self, x: Tensor) -> Tensor:
        """Apply to any tensor."""
        return torch.tanh(x)


class Sigmoid(Pointwise):
    """`1 / (1 + exp(-x))`."""

    op = "sigmoid"

    def forward(self, x: Tensor) -> Tensor:
        """Apply to any tensor."""
        return torch.sigmoid(x)


class Exp(Pointwise):
    """`exp(x)`."""

    op = "exp"

    def forward(self, x: Tensor) -> Tensor:
        """Apply to any tensor."""
        return torch.exp(x)


class Log(Pointwise):
    """`log(x)`, for positive x."""

    op = "log"

    def forward(self, x: Tensor) -> Tensor:
        """Apply to any tensor."""
        return torch.log(x)


class Clip(Module):
    """Limit to a range.

    Parameters
    ----------
    low, high : float
        The range.
    """

    def __init__(self, low: float, high: float) -> None:
        super().__init__()
        self.low, self.high = low, high

    def forward(self, x: Tensor) -> Tensor:
        """Apply to any tensor."""
        return x.clamp(self.low, self.high)

    def emit(self, builder: Builder, x: Handle, name: str = "") -> Handle:
        """Write one node."""
        return builder.node("clip", x, min=self.low, max=self.high, name=name)
