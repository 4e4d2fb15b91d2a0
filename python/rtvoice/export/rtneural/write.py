"""Writing a chain of layers as a graph of our ops."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rtvoice.graph import GraphBuilder, Tensor

from .spec import Chain, Layer

_OPS = {"dense": "linear", "affine": "affine", "prelu": "prelu"}


def write_chain(b: GraphBuilder, chain: Chain, parameters: Mapping[str, Mapping[str, Any]]) -> Tensor:
    """Write the layers; inputs beyond the first become parameters.

    Parameters
    ----------
    b
        Takes the nodes.
    chain
        What to write.
    parameters
        ``min``, ``max``, ``default``, ``smoothing_ms``, ``description`` of ``input1`` and on, or other names in order.
    """
    audio = b.input()
    if chain.gain_in != 1.0:
        audio = b.node("affine", audio, scale=np.array([chain.gain_in], np.float32), name="in_gain")
    x = audio
    if chain.inputs > 1:
        names = [*parameters, *(f"input{index}" for index in range(1, chain.inputs))]
        names = list(dict.fromkeys(names))[: chain.inputs - 1]
        controls = [b.parameter(name, **parameters.get(name, {})) for name in names]
        x = b.node("concat", audio, *controls, name="inputs")
    for layer in chain.layers:
        x = _layer(b, x, layer)
    if chain.skip:
        x = b.node("add", x, audio, name="skip")
    if chain.gain != 1.0:
        x = b.node("affine", x, scale=np.array([chain.gain], np.float32), name="gain")
    return x


def _layer(b: GraphBuilder, x: Tensor, layer: Layer) -> Tensor:
    if layer.kind == "conv1d":
        reach = (layer.weights["weight"].shape[2] - 1) * layer.dilation
        return b.node(
            "conv1d", x, dilation=layer.dilation, groups=layer.groups, pads=[reach, 0], name=layer.name, **layer.weights
        )
    return b.node(_OPS.get(layer.kind, layer.kind), x, name=layer.name, **layer.weights)
