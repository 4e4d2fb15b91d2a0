"""What every layer is: a torch module that can write itself into a graph, by hand or from its own `forward`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from rtvoice.nn import trace

# The builder and its tensor handles live in `rtvoice.graph`; nothing here needs more of them than `.node` and
# `.channels`, so that a graph can also be written into a stand-in under test.
Builder = Any
Handle = Any


def array(tensor: Tensor) -> npt.NDArray[np.float32]:
    """Return a torch tensor as the float32 array that a `.rtv` file stores."""
    return np.ascontiguousarray(tensor.detach().cpu().numpy(), dtype=np.float32)


def precise(x: Tensor) -> contextlib.AbstractContextManager[Any]:
    """Return a context in which mixed precision does not touch what `x` goes through.

    16 bits are enough for weights, not for Fourier sums and frequencies: an F0 of 8 bits is off by 7 cents.
    """
    return torch.autocast(x.device.type, enabled=False) if has_autocast(x) else contextlib.nullcontext()


def has_autocast(x: Tensor) -> bool:
    """Return whether mixed precision can touch `x`: a tensor, on a device that has it; not while a graph is traced."""
    return isinstance(x, Tensor) and torch.amp.is_autocast_available(x.device.type)


def full(x: Tensor) -> Tensor:
    """Return a tensor of at least 32 bits."""
    return x.float() if isinstance(x, Tensor) and x.dtype in (torch.float16, torch.bfloat16) else x


def _emit(self: Module, builder: Builder, *inputs: Any, name: str = "") -> Any:
    """Add this computation to a graph, by running `forward` over symbols.

    Parameters
    ----------
    builder : rtvoice.GraphBuilder
        The graph to be.
    *inputs : rtvoice.graph.Tensor
        What `forward` takes, as handles of that builder. A name may follow them.
    name : str
        Nodes are named after it and the path of the module that they belong to.

    Returns
    -------
    rtvoice.graph.Tensor
        The result; where `forward` returns a dictionary, a dictionary of results.
    """
    if inputs and isinstance(inputs[-1], str):
        inputs, name = inputs[:-1], inputs[-1]
    return trace.write(self, builder, inputs, name)


class Module(torch.nn.Module):
    """A torch module of time-major tensors `(batch, frames, channels)` that can be streamed.

    Write `forward` of other modules of `rtvoice.nn`, arithmetic, slices of channels and `rtvoice.nn.concat`, and the
    module streams: `emit` runs the same `forward` over symbols that write nodes. Only a layer of its own kind writes
    its nodes by hand, in an `emit` of its own.

    Examples
    --------
    >>> class Gate(Module):
    ...     def __init__(self, channels: int) -> None:
    ...         super().__init__()
    ...         self.gate = Linear(channels, channels)
    ...
    ...     def forward(self, x):
    ...         return x * torch.sigmoid(self.gate(x))
    """

    emit: Callable[..., Any] = _emit

    @property
    def written_by_hand(self) -> bool:
        """Whether the module has an `emit` of its own."""
        return type(self).emit is not _emit

    def __call__(self, *inputs: Any, **options: Any) -> Tensor:
        """Compute offline, on the whole signal at once; of symbols, write nodes."""
        if any(isinstance(item, trace.Symbol) for item in inputs):
            return cast(Tensor, trace.called(self, inputs, options))
        return cast(Tensor, super().__call__(*inputs, **options))


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

    def __getitem__(self, index: int) -> Module:
        """Return one of the modules."""
        return cast(Module, self.items[index])

    def __len__(self) -> int:
        """Return how many modules there are."""
        return len(self.items)
