"""Writing the networks of the `.nam` format as graphs of our ops."""

from __future__ import annotations

from functools import reduce

import numpy as np

from rtvoice.graph import GraphBuilder, Tensor

from .activations import Activation, write_activation
from .spec import Conv, ConvNet, Film, Layer, LayerArray, Linear, Lstm, Network, Reading, WaveNet


def write_network(b: GraphBuilder, x: Tensor, network: Network, reading: Reading, prefix: str = "") -> Tensor:
    """Write a network behind `x`; `prefix` begins its nodes' names."""
    if isinstance(network, WaveNet):
        return _wavenet(b, x, network, reading, prefix)
    if isinstance(network, ConvNet):
        return _convnet(b, x, network, prefix)
    if isinstance(network, Lstm):
        return _lstm(b, x, network, prefix)
    return _linear(b, x, network, prefix)


def _conv(b: GraphBuilder, x: Tensor, conv: Conv, name: str) -> Tensor:
    taps = conv.weight.shape[2]
    if taps == 1 and conv.groups == 1:
        return b.node("linear", x, weight=conv.weight[:, :, 0], bias=conv.bias, name=name)
    return b.node(
        "conv1d", x, weight=conv.weight, bias=conv.bias, dilation=conv.dilation, groups=conv.groups,
        pads=[conv.reach, 0], name=name,
    )  # fmt: skip


def _part(b: GraphBuilder, x: Tensor, start: int, stop: int, name: str) -> Tensor:
    return x if (start, stop) == (0, x.channels) else b.node("slice", x, start=start, stop=stop, name=name)


def _film(b: GraphBuilder, x: Tensor, condition: Tensor, film: Film | None, name: str) -> Tensor:
    if film is None:
        return x
    made = _conv(b, condition, film.conv, f"{name}.condition")
    if not film.shift:
        return b.node("mul", x, made, name=name)
    size = x.channels
    scale = _part(b, made, 0, size, f"{name}.scale")
    return b.node("film", x, scale, _part(b, made, size, 2 * size, f"{name}.shift"), name=name)


def _paired(b: GraphBuilder, z: Tensor, layer: Layer, name: str) -> Tensor:
    """Write the two halves of a gated or blended layer."""
    first, second, size = layer.activation, layer.second, layer.bottleneck
    if layer.gating == "gated" and first.op and second.op:
        return b.node("glu", z, a=first.op, b=second.op, name=name)
    upper = _part(b, z, 0, size, f"{name}.first")
    gate = _activated(b, _part(b, z, size, 2 * size, f"{name}.second"), second, f"{name}.gate")
    active = _activated(b, upper, first, f"{name}.active")
    if layer.gating == "gated":
        return b.node("mul", active, gate, name=name)
    change = b.node("sub", active, upper, name=f"{name}.change")
    return b.node("add", upper, b.node("mul", gate, change, name=f"{name}.blend"), name=name)


def _activated(b: GraphBuilder, x: Tensor, activation: Activation, name: str) -> Tensor:
    return write_activation(b, x, activation, name)


def _layer(
    b: GraphBuilder, x: Tensor, condition: Tensor, layer: Layer, reading: Reading, name: str
) -> tuple[Tensor, Tensor]:
    """Write a layer; return what goes to the next one and what goes to the head."""
    films = layer.films.get
    z = _conv(b, _film(b, x, condition, films("conv_pre_film"), f"{name}.conv_pre_film"), layer.conv, f"{name}.conv")
    z = _film(b, z, condition, films("conv_post_film"), f"{name}.conv_post_film")
    given = _film(b, condition, condition, films("input_mixin_pre_film"), f"{name}.input_mixin_pre_film")
    mixed = _conv(b, given, layer.mixin, f"{name}.input_mixin")
    mixed = _film(b, mixed, condition, films("input_mixin_post_film"), f"{name}.input_mixin_post_film")
    z = b.node("add", z, mixed, name=f"{name}.sum")
    z = _film(b, z, condition, films("activation_pre_film"), f"{name}.activation_pre_film")
    if layer.gating == "none":
        z = write_activation(b, z, layer.activation, f"{name}.activation")
    else:
        z = _paired(b, z, layer, f"{name}.activation")
    z = _film(b, z, condition, films("activation_post_film"), f"{name}.activation_post_film")
    head = z
    if layer.head1x1 is not None:
        head = _conv(b, z, layer.head1x1, f"{name}.head1x1")
        head = _film(b, head, condition, films("head1x1_post_film"), f"{name}.head1x1_post_film")
    trained = reading.follow == "trainer"
    if layer.layer1x1 is None:
        return (b.node("add", x, z, name=f"{name}.residual") if trained else x), head
    added = _conv(b, z, layer.layer1x1, f"{name}.layer1x1")
    if trained or layer.gating == "blended":
        added = _film(b, added, condition, films("layer1x1_post_film"), f"{name}.layer1x1_post_film")
    return b.node("add", x, added, name=f"{name}.residual"), head


def _array(
    b: GraphBuilder, x: Tensor, condition: Tensor, head: Tensor | None, array: LayerArray, reading: Reading, name: str
) -> tuple[Tensor, Tensor]:
    x = _conv(b, x, array.rechannel, f"{name}.rechannel")
    parts = [] if head is None else [head]
    for index, layer in enumerate(array.layers):
        x, part = _layer(b, x, condition, layer, reading, f"{name}.layer{index}")
        parts.append(part)
    sums = iter(range(1, len(parts)))
    total = reduce(lambda a, c: b.node("add", a, c, name=f"{name}.head_sum{next(sums)}"), parts)
    return x, _conv(b, total, array.head, f"{name}.head")


def _wavenet(b: GraphBuilder, x: Tensor, net: WaveNet, reading: Reading, prefix: str) -> Tensor:
    condition = x
    if net.condition is not None:
        condition = write_network(b, x, net.condition, reading, f"{prefix}condition.")
    head: Tensor | None = None
    for index, array in enumerate(net.arrays):
        x, head = _array(b, x, condition, head, array, reading, f"{prefix}array{index}")
    assert head is not None
    out = b.node("affine", head, scale=np.array([net.scale], np.float32), name=f"{prefix}head_scale")
    for index, (activation, conv) in enumerate(net.head):
        out = write_activation(b, out, activation, f"{prefix}head{index}.activation")
        out = _conv(b, out, conv, f"{prefix}head{index}.conv")
    return out


def _convnet(b: GraphBuilder, x: Tensor, net: ConvNet, prefix: str) -> Tensor:
    for index, (conv, norm) in enumerate(net.blocks):
        name = f"{prefix}block{index}"
        x = _conv(b, x, conv, f"{name}.conv")
        if norm is not None:
            x = b.node("affine", x, scale=norm[0], shift=norm[1], name=f"{name}.batchnorm")
        x = write_activation(b, x, net.activation, f"{name}.activation")
    return _conv(b, x, net.head, f"{prefix}head")


def _lstm(b: GraphBuilder, x: Tensor, net: Lstm, prefix: str) -> Tensor:
    for index, cell in enumerate(net.cells):
        x = b.node(
            "lstm", x, weight_ih=cell.weight_ih, weight_hh=cell.weight_hh, bias_ih=cell.bias, initial_h=cell.initial_h,
            initial_c=cell.initial_c, name=f"{prefix}lstm{index}",
        )  # fmt: skip
    return b.node("linear", x, weight=net.head_weight, bias=net.head_bias, name=f"{prefix}head")


def _linear(b: GraphBuilder, x: Tensor, net: Linear, prefix: str) -> Tensor:
    # The convolution's last tap meets the newest sample.
    weight = np.ascontiguousarray(net.taps[::-1]).reshape(1, 1, -1)
    return b.node("conv1d", x, weight=weight, bias=net.bias, pads=[len(net.taps) - 1, 0], name=f"{prefix}response")
