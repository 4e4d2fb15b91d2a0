"""What an RTNeural file describes: layers as plain data, in PyTorch's order of gates and axes."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]


@dataclass
class Layer:
    """One layer.

    Attributes
    ----------
    kind
        ``dense``, ``conv1d``, ``gru``, ``lstm``, ``prelu``, ``affine`` (batch norm), or an activation.
    name
        As messages and nodes have it.
    outputs
        Channels.
    weights
        By the roles of our ops.
    dilation, groups, stride
        Of a convolution.
    """

    kind: str
    name: str
    outputs: int
    weights: dict[str, F32] = field(default_factory=dict)
    dilation: int = 1
    groups: int = 1
    stride: int = 1


@dataclass
class Chain:
    """Layers in a row.

    Attributes
    ----------
    inputs
        Channels of the first layer's input: the audio, then what a host sets.
    layers
        In order.
    skip
        Whether the audio input is added to the output.
    gain_in, gain
        Of the audio input, which what is added to the output has as well, and of the output.
    """

    inputs: int
    layers: list[Layer]
    skip: bool = False
    gain_in: float = 1.0
    gain: float = 1.0

    @property
    def outputs(self) -> int:
        """Channels of the output."""
        return self.layers[-1].outputs if self.layers else self.inputs

    def count(self) -> int:
        """Return how many numbers the matrices hold."""
        return sum(array.size for layer in self.layers for array in layer.weights.values() if array.ndim > 1)
