"""What counts as on, for each kind of unit, and along which axis a layer's units lie.

A unit is on in a frame when signal *and* gradient can pass through it there: where the slope of its function is at
least 5 % of the largest. For a ReLU that is the sign of what comes in; for the others this page gives the number.

| kind | on where | never on means |
|---|---|---|
| `relu` (ReLU, ReLU6, Threshold) | input > 0 | dead: neither output nor gradient |
| `leaky` (LeakyReLU, PReLU, RReLU) | input > 0 | only ever on its weak side: a linear unit; dead only if also flat |
| `gelu`, `silu`, `mish`, `elu` | input above -2.4, -4.1, -4, -3 | closed: under 5 % slope |
| `softplus`, `hardswish` | input above -2.94, -3 | closed: under 5 % slope |
| `tanh`, `sigmoid`, `hardtanh`, `softsign` | input within 2.18, 4.36, 1, 3.47 of 0 | saturated: no gradient |
| `gate` (GLU) | gate's input > -2.94, so that over 5 % passes | gate closed |
| `snake` | any finite input | (has no off side: dead only if flat) |
| `recurrent` (GRU, LSTM, RNN) | output within 0.98 of 0 | saturated |

Besides, for every kind, a unit whose output does not vary (standard deviation below 1e-4 of its layer's median, or
below 1e-7) is *flat*: it carries no information, whatever its side.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Kind:
    """How one kind of unit is judged.

    Attributes
    ----------
    name : str
        As in the table above.
    on : callable
        From the tensor that goes in (for `recurrent`: that comes out) to a boolean tensor of the same shape.
    from_output : bool
        Whether `on` reads the output.
    never_is_dead : bool
        Whether a unit that is never on carries neither signal nor gradient.
    """

    name: str
    on: Callable[[Tensor], Tensor]
    from_output: bool = False
    never_is_dead: bool = True


def _above(edge: float) -> Callable[[Tensor], Tensor]:
    return lambda x: x > edge


def _within(edge: float) -> Callable[[Tensor], Tensor]:
    return lambda x: x.abs() < edge


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("relu", _above(0.0)),
        Kind("leaky", _above(0.0), never_is_dead=False),
        Kind("gelu", _above(-2.4)),
        Kind("silu", _above(-4.1)),
        Kind("mish", _above(-4.0)),
        Kind("elu", _above(-3.0)),
        Kind("softplus", _above(-2.94)),
        Kind("hardswish", _above(-3.0)),
        Kind("tanh", _within(2.18)),
        Kind("sigmoid", _within(4.36)),
        Kind("hardtanh", _within(1.0)),
        Kind("softsign", _within(3.47)),
        Kind("gate", _above(-2.94)),
        Kind("snake", torch.isfinite),
        Kind("recurrent", _within(0.98), from_output=True),
    )
}

#: Class name of a module -> kind; `rtvoice.nn` and `torch.nn` use the same names.
CLASSES: dict[str, str] = {
    "ReLU": "relu",
    "ReLU6": "relu",
    "Threshold": "relu",
    "LeakyReLU": "leaky",
    "PReLU": "leaky",
    "RReLU": "leaky",
    "GELU": "gelu",
    "SiLU": "silu",
    "Swish": "silu",
    "Mish": "mish",
    "ELU": "elu",
    "CELU": "elu",
    "SELU": "elu",
    "Softplus": "softplus",
    "Hardswish": "hardswish",
    "Tanh": "tanh",
    "Sigmoid": "sigmoid",
    "Hardtanh": "hardtanh",
    "Softsign": "softsign",
    "GLU": "gate",
    "Snake": "snake",
    "SnakeBeta": "snake",
    "GRU": "recurrent",
    "LSTM": "recurrent",
    "RNN": "recurrent",
}

#: Functions that a network may call without a module.
FUNCTIONS: dict[Callable[..., object], str] = {
    F.relu: "relu",
    F.relu_: "relu",
    F.relu6: "relu",
    torch.relu: "relu",
    torch.relu_: "relu",
    Tensor.relu: "relu",
    Tensor.relu_: "relu",
    F.leaky_relu: "leaky",
    F.leaky_relu_: "leaky",
    F.prelu: "leaky",
    F.gelu: "gelu",
    F.silu: "silu",
    F.mish: "mish",
    F.elu: "elu",
    F.softplus: "softplus",
    F.hardswish: "hardswish",
    torch.tanh: "tanh",
    Tensor.tanh: "tanh",
    torch.sigmoid: "sigmoid",
    Tensor.sigmoid: "sigmoid",
    F.glu: "gate",
}


def kind_of(module: torch.nn.Module, extra: Mapping[str, str] | None = None) -> Kind | None:
    """Return how a module's units are judged, `None` for a module that has none.

    Parameters
    ----------
    module : torch.nn.Module
        Any module.
    extra : mapping or None
        Class names of the caller's own activations -> one of `KINDS`.
    """
    name = type(module).__name__
    found = (extra or {}).get(name) or CLASSES.get(name)
    # rtvoice.nn.GRU wraps torch's own, which is then the one that is watched.
    if found is None or (found == "recurrent" and any(kind_of(child) for child in module.children())):
        return None
    return KINDS[found]


def is_producer(module: torch.nn.Module) -> bool:
    """Tell whether a module computes the inputs of activations: it owns a weight."""
    return isinstance(module._parameters.get("weight"), Tensor) and CLASSES.get(type(module).__name__) is None


_CHANNELS_SECOND = (
    torch.nn.modules.conv._ConvNd,
    torch.nn.modules.batchnorm._NormBase,
    torch.nn.GroupNorm,
)


def unit_axis(module: torch.nn.Module | None, shape: torch.Size, producer: torch.nn.Module | None, units: int) -> int:
    """Return the axis of a tensor that counts units.

    `rtvoice.nn` is time-major, `(batch, frames, channels)`; convolutions and batch norms of `torch.nn` have channels
    second; linear layers, layer norms and recurrent ones last. An activation follows whatever computed its input.

    Parameters
    ----------
    module : torch.nn.Module or None
        The activation, `None` for a function.
    shape : torch.Size
        Of the tensor.
    producer : torch.nn.Module or None
        The module with a weight that ran last.
    units : int
        How many units the producer has; 0 unknown.
    """
    last = len(shape) - 1
    if last < 2 or isinstance(module, torch.nn.RNNBase):
        return last
    if producer is not None and (shape[1] == units) != (shape[last] == units):
        return 1 if shape[1] == units else last  # also right where the caller transposed in between
    nearest = module if producer is None else producer
    if nearest is not None and type(nearest).__module__.startswith("rtvoice."):
        return last
    return 1 if producer is None or isinstance(producer, _CHANNELS_SECOND) else last
