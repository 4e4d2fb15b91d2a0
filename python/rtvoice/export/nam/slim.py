"""Narrower forms of a slimmable WaveNet: the first channels of every layer."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rtvoice.export.fields import refuse

from .spec import Conv, Film, Layer, LayerArray, Reading, WaveNet

F32 = NDArray[np.float32]


def slim_arrays(net: WaveNet, reading: Reading, place: str) -> None:
    """Slim a network's layer arrays to the size that was asked for."""
    if not any(array.allowed for array in net.arrays):
        return
    size = 1.0 if reading.size is None else reading.size
    widths = [_width(array, size) for array in net.arrays]
    steps = sorted({index / len(array.allowed) for array in net.arrays for index in range(1, len(array.allowed))})
    full = all(width == array.channels for width, array in zip(widths, net.arrays, strict=True))
    reading.note(
        f"{place}the model is slimmable, from size 0 to 1 with steps at {', '.join(f'{step:.3g}' for step in steps)}; "
        f"this is size {size:g}, with {', '.join(str(width) for width in widths)} channels"
    )
    if full:
        return
    if net.head:
        refuse(f"{place}head", "stands behind slimmable layers, which the format cannot slim; import size 1")
    for array in net.arrays:
        _check(array)
    for index, array in enumerate(net.arrays):
        inputs = array.rechannel.weight.shape[1] if index == 0 else widths[index - 1]
        outputs = array.head.out if index + 1 == len(widths) else widths[index + 1]
        _slim(array, int(inputs), widths[index], int(outputs))


def _width(array: LayerArray, size: float) -> int:
    if not array.allowed:
        return array.channels
    return array.allowed[min(int(size * len(array.allowed)), len(array.allowed) - 1)]


def _check(array: LayerArray) -> None:
    """Refuse what the format's slicing leaves open."""
    advice = "import size 1"
    if array.head.weight.shape[2] != 1:
        refuse(
            f"{array.place}.head",
            f"has a kernel of {array.head.weight.shape[2]}, which the format cannot slim; {advice}",
        )
    for index, layer in enumerate(array.layers):
        place = f"{array.place}.layer {index}"
        convs = [layer.conv, layer.mixin, layer.layer1x1, layer.head1x1, *(film.conv for film in layer.films.values())]
        if any(conv is not None and conv.groups > 1 for conv in convs):
            refuse(place, f"has groups, which the format cannot slim; {advice}")
        if layer.gating != "none" or any(film.shift for film in layer.films.values()):
            refuse(
                place,
                "is gated or has FiLM shifts: NeuralAmpModelerCore and the trainer slim those in different ways; "
                + advice,
            )


def _cut(conv: Conv, outputs: int, inputs: int) -> Conv:
    bias = None if conv.bias is None else conv.bias[:outputs]
    return Conv(conv.weight[:outputs, :inputs], bias, conv.dilation, conv.groups)


def _slim(array: LayerArray, inputs: int, width: int, outputs: int) -> None:
    array.rechannel = _cut(array.rechannel, width, inputs)
    for layer in array.layers:
        _slim_layer(layer, array.channels, width)
    first = array.layers[0]
    array.head_in = first.bottleneck if first.head1x1 is None else first.head1x1.out
    array.head = _cut(array.head, outputs, array.head_in)
    array.channels = width


def _slim_layer(layer: Layer, full: int, width: int) -> None:
    narrow = width if layer.layer1x1 is None else max(1, layer.bottleneck * width // full)
    conditions = layer.mixin.weight.shape[1]
    layer.conv = _cut(layer.conv, narrow, width)
    layer.mixin = _cut(layer.mixin, narrow, conditions)
    if layer.layer1x1 is not None:
        layer.layer1x1 = _cut(layer.layer1x1, width, narrow)
    if layer.head1x1 is not None:
        layer.head1x1 = _cut(layer.head1x1, layer.head1x1.out, narrow)
    sizes = {
        "conv_pre_film": width,
        "conv_post_film": narrow,
        "input_mixin_post_film": narrow,
        "activation_pre_film": narrow,
        "activation_post_film": narrow,
        "layer1x1_post_film": width,
    }
    for key, film in layer.films.items():
        if key in sizes:
            layer.films[key] = Film(_cut(film.conv, sizes[key], conditions), film.shift)
    layer.bottleneck = narrow
