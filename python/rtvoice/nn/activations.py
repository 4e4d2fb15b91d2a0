"""Functions of each number alone, of each channel with its own parameter, and over the channels of a frame."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from rtvoice.nn.module import Builder, Handle, Module, array


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


class Softmax(Pointwise):
    """`exp(x)` over the sum of the frame's channels."""

    op = "softmax"

    def forward(self, x: Tensor) -> Tensor:
        """Apply over the channels of `(batch, frames, channels)`."""
        return torch.softmax(x, dim=-1)


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


class LeakyReLU(Module):
    """`x` above 0, `alpha * x` below.

    Parameters
    ----------
    alpha : float
        Slope below 0.
    """

    def __init__(self, alpha: float = 0.01) -> None:
        super().__init__()
        self.alpha = alpha

    def forward(self, x: Tensor) -> Tensor:
        """Apply to any tensor."""
        return F.leaky_relu(x, self.alpha)

    def emit(self, builder: Builder, x: Handle, name: str = "") -> Handle:
        """Write one node."""
        return builder.node("leaky_relu", x, alpha=self.alpha, name=name)


class ELU(Module):
    """`x` above 0, `alpha * (exp(x) - 1)` below.

    Parameters
    ----------
    alpha : float
        How far below 0 it goes.
    """

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        self.alpha = alpha

    def forward(self, x: Tensor) -> Tensor:
        """Apply to any tensor."""
        return F.elu(x, self.alpha)

    def emit(self, builder: Builder, x: Handle, name: str = "") -> Handle:
        """Write one node."""
        return builder.node("elu", x, alpha=self.alpha, name=name)


class Softplus(Module):
    """`log(1 + exp(beta x)) / beta`.

    Parameters
    ----------
    beta : float
        Sharpness of the bend at 0, 1e-6 to 1e6.
    """

    def __init__(self, beta: float = 1.0) -> None:
        super().__init__()
        self.beta = beta

    def forward(self, x: Tensor) -> Tensor:
        """Apply to any tensor."""
        return F.softplus(x, self.beta, threshold=20.0)

    def emit(self, builder: Builder, x: Handle, name: str = "") -> Handle:
        """Write one node."""
        return builder.node("softplus", x, beta=self.beta, name=name)


class PReLU(Module):
    """`x` above 0, a trained slope per channel below.

    Parameters
    ----------
    channels : int
        Size; 1 for one slope for all.
    slope : float
        At the start.
    """

    def __init__(self, channels: int, slope: float = 0.25) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.full((channels,), slope))

    def forward(self, x: Tensor) -> Tensor:
        """Apply to `(batch, frames, channels)`."""
        return torch.where(x >= 0, x, self.weight * x)

    def emit(self, builder: Builder, x: Handle, name: str = "") -> Handle:
        """Write one `prelu` node."""
        return builder.node("prelu", x, weight=array(self.weight), name=name)


class Snake(Module):
    """`x + sin(alpha x)^2 / beta`: passes periods on (Ziyin and others, 2020; with its own beta, BigVGAN, 2022).

    Parameters
    ----------
    channels : int
        Size.
    alpha : float
        At the start, for every channel; trained as its logarithm, so that it stays above 0.
    beta : bool
        Whether the height has a parameter of its own; else it is alpha.
    """

    def __init__(self, channels: int, alpha: float = 1.0, *, beta: bool = False) -> None:
        super().__init__()
        start = torch.full((channels,), alpha).log()
        self.log_alpha = torch.nn.Parameter(start)
        self.log_beta = torch.nn.Parameter(start.clone()) if beta else None

    def forward(self, x: Tensor) -> Tensor:
        """Apply to `(batch, frames, channels)`."""
        alpha = self.log_alpha.exp()
        beta = alpha if self.log_beta is None else self.log_beta.exp()
        return x + torch.sin(alpha * x).square() / beta

    def emit(self, builder: Builder, x: Handle, name: str = "") -> Handle:
        """Write one `snake` node."""
        beta = {} if self.log_beta is None else {"beta": array(self.log_beta.exp())}
        return builder.node("snake", x, alpha=array(self.log_alpha.exp()), **beta, name=name)


class GLU(Module):
    """`a(x[:C/2]) * b(x[C/2:])`: half of the channels, gated by the other half.

    Parameters
    ----------
    a : str
        `none`, or the name of a function of the first half.
    b : str
        Of the second: `sigmoid`, `tanh`, `relu`, `silu`.
    """

    def __init__(self, a: str = "none", b: str = "sigmoid") -> None:
        super().__init__()
        known = {"none": lambda x: x, "sigmoid": torch.sigmoid, "tanh": torch.tanh, "relu": F.relu, "silu": F.silu}
        for name in (a, b):
            if name not in known or (name == "none" and name is not a):
                raise ValueError(f"GLU: {name!r} is not one of {', '.join(known)}")
        self.a, self.b = a, b
        self.functions = (known[a], known[b])

    def forward(self, x: Tensor) -> Tensor:
        """Gate `(batch, frames, channels)` to half as many channels."""
        first, second = x.chunk(2, dim=-1)
        y: Tensor = self.functions[0](first) * self.functions[1](second)
        return y

    def emit(self, builder: Builder, x: Handle, name: str = "") -> Handle:
        """Write one `glu` node."""
        return builder.node("glu", x, a=self.a, b=self.b, name=name)
