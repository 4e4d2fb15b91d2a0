"""What a `.nam` file describes: networks as plain data, read and checked, with their weights as arrays."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtvoice.export.fields import refuse

from .activations import Activation
from .weights import Weights

F32 = NDArray[np.float32]


@dataclass
class Conv:
    """A causal convolution: `weight` is ``(out, in / groups, taps)``."""

    weight: F32
    bias: F32 | None = None
    dilation: int = 1
    groups: int = 1

    @property
    def out(self) -> int:
        """Output channels."""
        return int(self.weight.shape[0])

    @property
    def reach(self) -> int:
        """Samples of history."""
        return int((self.weight.shape[2] - 1) * self.dilation)


def take_conv(
    weights: Weights,
    of: str,
    *,
    inputs: int,
    outputs: int,
    taps: int = 1,
    bias: bool,
    dilation: int = 1,
    groups: int = 1,
) -> Conv:
    """Take a convolution's weights; groups that do not divide its channels are refused."""
    for channels, side in ((inputs, "input"), (outputs, "output")):
        if channels % groups:
            refuse(of, f"groups={groups} does not divide its {channels} {side} channels; choose a divisor")
    weight = weights.take(outputs, inputs // groups, taps, of=of)
    return Conv(weight, weights.take(outputs, of=of) if bias else None, dilation, groups)


@dataclass
class Film:
    """A modulation by the condition: `conv` makes the scales, and behind them the shifts where there are any."""

    conv: Conv
    shift: bool


@dataclass
class Layer:
    """One layer of a WaveNet."""

    conv: Conv
    mixin: Conv
    activation: Activation
    gating: str
    second: Activation
    bottleneck: int
    layer1x1: Conv | None = None
    head1x1: Conv | None = None
    films: dict[str, Film] = field(default_factory=dict)


@dataclass
class LayerArray:
    """Layers of one width, with what brings the input to it and their sum to the head."""

    place: str
    rechannel: Conv
    layers: list[Layer]
    head: Conv
    head_in: int
    channels: int
    head_bias: bool = False
    allowed: tuple[int, ...] = ()


@dataclass
class WaveNet:
    """A stack of layer arrays."""

    arrays: list[LayerArray]
    scale: float
    head: list[tuple[Activation, Conv]] = field(default_factory=list)
    condition: Network | None = None

    @property
    def outputs(self) -> int:
        """Output channels."""
        return self.head[-1][1].out if self.head else self.arrays[-1].head.out


@dataclass
class ConvNet:
    """Blocks of a convolution, batch norm as a scale and a shift, and an activation; then a linear head."""

    blocks: list[tuple[Conv, tuple[F32, F32] | None]]
    activation: Activation
    head: Conv

    @property
    def outputs(self) -> int:
        """Output channels."""
        return self.head.out


@dataclass
class LstmCell:
    """One LSTM: gates i, f, g, o, and the state it starts from."""

    weight_ih: F32
    weight_hh: F32
    bias: F32
    initial_h: F32
    initial_c: F32


@dataclass
class Lstm:
    """LSTMs in a row and a linear head."""

    cells: list[LstmCell]
    head_weight: F32
    head_bias: F32

    @property
    def outputs(self) -> int:
        """Output channels."""
        return len(self.head_weight)


@dataclass
class Linear:
    """An impulse response, newest sample first, and a bias."""

    taps: F32
    bias: F32 | None
    outputs: int = 1


Network = WaveNet | ConvNet | Lstm | Linear


@dataclass(frozen=True)
class Reading:
    """How a file is read.

    Attributes
    ----------
    follow
        ``"core"`` where NeuralAmpModelerCore and the trainer compute different things, or ``"trainer"``.
    size
        Of a slimmable model, 0 to 1; None for the full one.
    rate
        Sample rate in Hz.
    notes
        What a reader should know is added here.
    """

    follow: str
    size: float | None
    rate: int
    notes: list[str]

    def note(self, text: str) -> None:
        """Add a note, once."""
        if text not in self.notes:
            self.notes.append(text)


def prewarm_samples(network: Network, rate: int) -> int:
    """Return how many zeros NeuralAmpModelerCore runs through a network before its first sample."""
    if isinstance(network, Lstm):
        return max(rate // 2, 1)
    if isinstance(network, ConvNet):
        return 1 + sum(conv.reach for conv, _ in network.blocks)
    if isinstance(network, Linear):
        return 0
    first = 1 if network.condition is None else prewarm_samples(network.condition, rate)
    arrays = sum(sum(layer.conv.reach for layer in array.layers) + array.head.reach for array in network.arrays)
    return first + arrays + sum(conv.reach for _, conv in network.head)


def recurrent(network: Network) -> bool:
    """Tell whether a network remembers without end."""
    if isinstance(network, WaveNet):
        return network.condition is not None and recurrent(network.condition)
    return isinstance(network, Lstm)


def count_of(value: Any) -> int:
    """Return the length of a list, 0 for anything else."""
    return len(value) if isinstance(value, list) else 0
