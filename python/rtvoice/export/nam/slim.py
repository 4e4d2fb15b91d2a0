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
        _check(array, reading)
    for index, array in enumerate(net.arrays):
        inputs = array.rechannel.weight.shape[1] if index == 0 else widths[index - 1]
        outputs = array.head.out if index + 1 == len(widths) else widths[index + 1]
        _slim(array, int(inputs), widths[index], int(outputs))


def _width(array: LayerArray, size: float) -> int:
    if not array.allowed:
        return array.channels
    return array.allowed[min(int(size * len(array.allowed)), len(array.allowed) - 1)]


def _check(array: LayerArray, reading: Reading) -> None:
    """Refuse what the format's slicing leaves open, and what the trainer, where it is followed, cannot slim."""
    advice = "import size 1"
    trained = reading.follow == "trainer"
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
        if any(len(active.slopes) > 1 for active in (layer.activation, layer.second)):
            refuse(place, f"has a PReLU with a slope for each channel, which the format cannot slim; {advice}")
        if trained and (layer.films or layer.bottleneck != array.channels):
            what = "FiLM" if layer.films else "a bottleneck of another width than its channels"
            refuse(place, f"has {what}, which the trainer cannot slim; {advice}, or follow the player (follow='core')")


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
    # Of a gated layer, too, the first rows are kept: those of the narrow gate come out of the wide layer's first half.
    middle = narrow if layer.gating == "none" else 2 * narrow
    conditions = layer.mixin.weight.shape[1]
    layer.conv = _cut(layer.conv, middle, width)
    layer.mixin = _cut(layer.mixin, middle, conditions)
    if layer.layer1x1 is not None:
        layer.layer1x1 = _cut(layer.layer1x1, width, narrow)
    if layer.head1x1 is not None:
        layer.head1x1 = _cut(layer.head1x1, layer.head1x1.out, narrow)
    sizes = {
        "conv_pre_film": width,
        "conv_post_film": middle,
        "input_mixin_post_film": middle,
        "activation_pre_film": middle,
        "activation_post_film": narrow,
        "layer1x1_post_film": width,
    }
    for key, film in layer.films.items():
        if key in sizes:
            # Scales and shifts are sliced as one: NeuralAmpModelerCore, whose way it is, does not keep them apart.
            rows = sizes[key] * (2 if film.shift else 1)
            layer.films[key] = Film(_cut(film.conv, rows, conditions), film.shift)
    layer.bottleneck = narrow
