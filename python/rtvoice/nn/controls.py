"""What a host steers: parameters of the engine as layers of the network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from rtvoice.nn.module import Builder, Handle, Module


class Parameter(Module):
    """A value that a host sets by name while the stream runs, and that training may draw at random.

    Called with any stream, it gives the value for each of its batch, `(batch, 1, size)`, which arithmetic, `FiLM`,
    `Linear`, `Warp` and `rtvoice.nn.concat` spread over time. In the engine a change ramps over `smoothing_ms`.

    Parameters
    ----------
    name : str
        By which the host knows it.
    default : float or sequence of float
        Before the host sets anything.
    min, max : float
        Range.
    size : int
        How many numbers.
    smoothing_ms : float
        Time of a change, 0 to 1000.
    description : str
        One line, for the host.

    Attributes
    ----------
    value : torch.Tensor or None
        `(batch, size)` or `(size,)`: what `forward` uses instead of the default.

    Examples
    --------
    >>> class Louder(Module):
    ...     def __init__(self) -> None:
    ...         super().__init__()
    ...         self.gain = Parameter("gain", 1.0, min=0.0, max=4.0)
    ...
    ...     def forward(self, x):
    ...         return x * self.gain(x)
    """

    def __init__(
        self,
        name: str,
        default: float | Sequence[float] = 0.0,
        *,
        min: float = 0.0,
        max: float = 1.0,
        size: int = 1,
        smoothing_ms: float = 20.0,
        description: str = "",
    ) -> None:
        super().__init__()
        self.name, self.min, self.max, self.size = name, min, max, size
        self.smoothing_ms, self.description = smoothing_ms, description
        start = torch.as_tensor(default, dtype=torch.float32).reshape(-1)
        if len(start) not in (1, size):
            raise ValueError(f"parameter {name!r}: default has {len(start)} numbers; it must have {size}")
        if not bool(((start >= min) & (start <= max)).all()):
            raise ValueError(f"parameter {name!r}: default must lie between min={min:g} and max={max:g}")
        self.default = tuple(start.expand(size).tolist())
        self.value: Tensor | None = None
        self._handles: WeakKeyDictionary[Any, Handle] = WeakKeyDictionary()

    def draw(self, batch: int, generator: torch.Generator | None = None) -> Tensor:
        """Set a value for each of a batch, drawn evenly over the range; return it, `(batch, size)`."""
        share = torch.rand(batch, self.size, generator=generator)
        self.value = self.min + (self.max - self.min) * share
        return self.value

    def forward(self, like: Tensor) -> Tensor:
        """Return the value for the batch of `like`, `(batch, 1, size)`."""
        kind = like.dtype if like.dtype.is_floating_point else torch.float32
        value = torch.tensor(self.default) if self.value is None else self.value
        value = value.to(device=like.device, dtype=kind)
        if value.ndim == 1:
            value = value.expand(like.shape[0], -1)
        if value.shape != (like.shape[0], self.size):
            raise ValueError(
                f"parameter {self.name!r}: value is {tuple(value.shape)}; it must be ({like.shape[0]}, {self.size})"
            )
        return value[:, None, :]

    def emit(self, builder: Builder, like: Handle, name: str = "") -> Handle:
        """Write the parameter, once per graph, and return its control."""
        if builder not in self._handles:
            self._handles[builder] = builder.parameter(
                self.name,
                size=self.size,
                default=list(self.default),
                min=self.min,
                max=self.max,
                smoothing_ms=self.smoothing_ms,
                description=self.description,
            )
        return self._handles[builder]

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the handles: they belong to this process."""
        return {**self.__dict__, "_handles": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Start without handles."""
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self._handles = WeakKeyDictionary()


def draw_parameters(module: torch.nn.Module, batch: int, generator: torch.Generator | None = None) -> dict[str, Tensor]:
    """Draw every parameter of a network for a batch; return what each was given, by name, `(batch, size)`."""
    found = [layer for layer in module.modules() if isinstance(layer, Parameter)]
    return {parameter.name: parameter.draw(batch, generator) for parameter in found}


def reset_parameters(module: torch.nn.Module) -> None:
    """Let every parameter of a network have its default again."""
    for layer in module.modules():
        if isinstance(layer, Parameter):
            layer.value = None
