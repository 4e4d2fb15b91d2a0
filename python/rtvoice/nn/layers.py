"""The layers with weights: convolutions, matrices, recurrence; causal, time-major, able to write themselves."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from rtvoice.nn.module import Builder as Builder
from rtvoice.nn.module import Handle as Handle
from rtvoice.nn.module import Module as Module
from rtvoice.nn.module import array


class Conv1d(Module):
    """A causal convolution over frames: the newest tap meets the newest frame.

    Parameters
    ----------
    channels_in, channels_out, kernel : int
        Sizes.
    stride, dilation, groups : int
        As in `torch.nn.Conv1d`.
    lookahead : int
        Frames that the newest tap is ahead of the newest frame; a stream waits for them.
    bias : bool
        Whether to add a bias.

    Notes
    -----
    With stride `s`, output frame `n` ends at input frame `s*n + s - 1`: it waits for its whole hop, and looks at
    nothing beyond it but `lookahead`.
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
        lookahead: int = 0,
        bias: bool = True,
    ) -> None:
        super().__init__()
        conv = torch.nn.Conv1d(
            channels_in, channels_out, kernel, stride=stride, dilation=dilation, groups=groups, bias=bias
        )
        self.weight, self.bias = conv.weight, conv.bias
        self.stride, self.dilation, self.groups, self.lookahead = stride, dilation, groups, lookahead
        self.left = dilation * (kernel - 1) + 1 - stride - lookahead

    @classmethod
    def fixed(cls, kernels: npt.ArrayLike, *, stride: int = 1) -> Conv1d:
        """Return a layer on one channel whose kernels `(channels_out, kernel)` are not trained."""
        matrix = torch.as_tensor(np.asarray(kernels, dtype=np.float32))
        layer = cls(1, matrix.shape[0], matrix.shape[1], stride=stride, bias=False)
        layer.weight = torch.nn.Parameter(matrix[:, None, :], requires_grad=False)
        return layer

    def forward(self, x: Tensor) -> Tensor:
        """Convolve `(batch, frames, channels_in)` to `(batch, frames / stride, channels_out)`."""
        padded = F.pad(x.transpose(1, 2), (self.left, self.lookahead))
        y = F.conv1d(padded, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)
        return y.transpose(1, 2)

    def emit(self, builder: Builder, x: Handle, name: str = "") -> Handle:
        """Write one `conv1d` node."""
        weights = {"weight": array(self.weight)}
        if self.bias is not None:
            weights["bias"] = array(self.bias)
        pads = [self.left, self.lookahead]
        attributes = {"stride": self.stride, "dilation": self.dilation, "groups": self.groups, "pads": pads}
        return builder.node("conv1d", x, **weights, **attributes, name=name)


class DepthwiseConv1d(Conv1d):
    """A causal convolution of each channel by itself.

    Parameters
    ----------
    channels, kernel : int
        Sizes.
    stride, dilation, lookahead, bias
        As in `Conv1d`.
    """

    def __init__(
        self,
        channels: int,
        kernel: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        lookahead: int = 0,
        bias: bool = True,
    ) -> None:
        super().__init__(
            channels,
            channels,
            kernel,
            stride=stride,
            dilation=dilation,
            groups=channels,
            lookahead=lookahead,
            bias=bias,
        )


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

    @classmethod
    def fixed(cls, kernels: npt.ArrayLike, *, stride: int, crop: int = 0) -> ConvTranspose1d:
        """Return a layer to one channel whose kernels `(channels_in, kernel)` are not trained."""
        matrix = torch.as_tensor(np.asarray(kernels, dtype=np.float32))
        layer = cls(matrix.shape[0], 1, matrix.shape[1], stride=stride, crop=crop, bias=False)
        layer.weight = torch.nn.Parameter(matrix[:, None, :], requires_grad=False)
        return layer

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
        return builder.node("gru", x, **_recurrent_weights(self.cell), linear_before_reset=True, name=name)


class LSTM(Module):
    """A long short-term memory layer, PyTorch's form, starting at 0.

    Parameters
    ----------
    channels_in, channels_out : int
        Sizes.
    """

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.cell = torch.nn.LSTM(channels_in, channels_out, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        """Run over the frames of `(batch, frames, channels_in)`."""
        y: Tensor = self.cell(x)[0]
        return y

    def emit(self, builder: Builder, x: Handle, name: str = "") -> Handle:
        """Write one `lstm` node."""
        return builder.node("lstm", x, **_recurrent_weights(self.cell), name=name)


def _recurrent_weights(cell: torch.nn.RNNBase) -> dict[str, npt.NDArray[np.float32]]:
    return {role: array(getattr(cell, f"{role}_l0")) for role in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}
