"""Reading RTNeural's JSON, as Keras models are saved: each layer with its shape, and weights in Keras's order.

What RTNeural takes without a word and then computes wrongly is refused: a shape that is not the weights', an activation
it does not know, a bias that is missing, a layer that it skips, an option that it does not read.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtvoice.export.fields import Fields, array, brief, refuse, shown, whole

from .conv2d import expanded
from .spec import Chain, Layer

F32 = NDArray[np.float32]
ACTIVATIONS = ("tanh", "relu", "sigmoid", "softmax", "elu")
LAYERS = (
    "dense", "time-distributed-dense", "conv1d", "conv2d", "gru", "lstm", "prelu", "batchnorm", "batchnorm2d",
    "activation",
)  # fmt: skip
_COMMON = ("type", "activation", "shape", "weights", "name")
_NOTHING = ("", "linear", None)
_TELLING = ("model_data", "metadata")  # parts of amp models that may tell the rate; the latter is asked first
_IDLE = ("dropout", "flatten", "input", "inputlayer", "reshape", "unknown")
MOST_INPUTS = 9


def told_rate(document: Any) -> int | None:
    """Return the sample rate that a file tells, as some trainers write it, or None."""
    holders = [document] if isinstance(document, dict) else []
    holders += [part for part in (holder.get(key) for holder in holders for key in _TELLING) if isinstance(part, dict)]
    for key in ("samplerate", "sample_rate"):
        value = next((holder[key] for holder in reversed(holders) if holder.get(key) is not None), None)
        if value is None:
            continue
        try:
            rate = float(value)
        except (TypeError, ValueError):
            refuse(f"{key!r}", f"is {brief(value)}; it must be a number of hertz")
        if not math.isfinite(rate) or rate != int(rate) or not 4000 <= rate <= 384_000:
            refuse(f"{key!r}", f"is {brief(value)}; a model's rate is a whole number of hertz in 4000..384000")
        return int(rate)
    return None


def read_chain(document: dict[str, Any], notes: list[str]) -> Chain:
    """Read the layers of a file."""
    fields = Fields(document, "the file")
    shape = fields.items("in_shape")
    inputs = _channels(shape, "'in_shape'")
    if inputs > (1 if len(shape) == 4 else MOST_INPUTS):
        refuse(
            "'in_shape'",
            f"asks for {inputs} values a frame; rtvoice gives one sample, and what a host sets up to {MOST_INPUTS - 1} "
            "more: compute the features inside the network, and export that to .onnx",
        )
    size, layers = inputs, []
    for index, item in enumerate(fields.items("layers")):
        one = Fields(item, f"layer {index}")
        kind = one.text("type")
        one.place = f"layer {index} ({kind[:40]})"
        if kind not in LAYERS:
            idle = "remove the layer if it does nothing after training (Dropout, Flatten), else replace it"
            refuse(
                one.place,
                f"is of a type that RTNeural skips in silence; it has {', '.join(LAYERS)}: "
                + (idle if kind.lower() in _IDLE else "replace the layer"),
            )
        made = _READERS[kind](one, size, f"layer{index}")
        declared = _channels(one.items("shape"), f"{one.place}: 'shape'")
        if made is not None:
            if made.outputs != declared:
                refuse(
                    one.place,
                    f"'shape' says {declared} channels, the weights make {made.outputs}; RTNeural would fill up or "
                    "cut: export it again",
                )
            layers.append(made)
        elif declared != size:
            refuse(one.place, f"'shape' says {declared} channels, {size} come in; export it again")
        size = declared
        active = _activation(one, kind, size, f"layer{index}")
        if active is not None:
            layers.append(active)
    return Chain(inputs, layers)


def _channels(shape: Any, place: str) -> int:
    """Return the channels of a Keras shape: its last axis; of a picture's, features times filters."""
    if not isinstance(shape, list) or not shape:
        refuse(place, f"is {brief(shape)}; it must be a list of sizes")
    last = [whole(size, place) for size in (shape[2:] if len(shape) == 4 else shape[-1:])]
    return int(np.prod(last))


def _activation(fields: Fields, kind: str, size: int, name: str) -> Layer | None:
    """Return the activation behind a layer, or None. RTNeural has those of recurrent layers built in."""
    given = fields.value.get("activation", "")
    if kind in ("gru", "lstm"):
        if given not in (*_NOTHING, "tanh"):
            refuse(fields.place, f"has the activation {brief(given)}, for which RTNeural puts tanh; train it with tanh")
        gates = fields.value.get("recurrent_activation", "sigmoid")
        if gates != "sigmoid":
            refuse(fields.place, f"has gates of {brief(gates)}, for which RTNeural puts sigmoid; train it with sigmoid")
        return None
    if given in _NOTHING:
        if kind == "activation":
            refuse(
                fields.place, "has no 'activation', so RTNeural leaves it out; name one of " + ", ".join(ACTIVATIONS)
            )
        return None
    if given not in ACTIVATIONS:
        refuse(
            fields.place,
            f"activation {brief(given)} is not among RTNeural's: {', '.join(ACTIVATIONS)}; use one of them",
        )
    shape = fields.items("shape")
    if given == "softmax" and len(shape) == 4 and shape[2] != 1:
        refuse(
            fields.place,
            f"has a softmax, which Keras takes over the {shape[3]} filters of each feature and RTNeural over all "
            f"{size} channels; use another activation",
        )
    if kind in ("prelu", "batchnorm", "batchnorm2d"):
        refuse(
            fields.place,
            f"has the activation {given!r}, which RTNeural does not read here; add a layer of type 'activation'",
        )
    return Layer(str(given), f"{name}.{given}", size)


def _arrays(fields: Fields, *shapes: tuple[str, tuple[int, ...]], optional: int = 0) -> list[F32]:
    """Return a layer's weights, checked against the shapes that they must have; the last `optional` may be missing."""
    given = fields.get("weights")
    names = ", ".join(f"{name} {shown(shape)}" for name, shape in shapes)
    if not isinstance(given, list) or not len(shapes) - optional <= len(given) <= len(shapes):
        count = len(given) if isinstance(given, list) else 0
        missing = shapes[count][0] if count < len(shapes) else ""
        what = f"the {missing} is missing" if missing else "there are more"
        refuse(fields.place, f"'weights' has {count} arrays where it needs {names}; {what}: export it again")
    out = []
    for value, (name, shape) in zip(given, shapes, strict=False):
        found = array(value, f"{fields.place}: the {name}")
        if found.shape != shape:
            refuse(
                fields.place,
                f"the {name} has shape {shown(found.shape)}; what comes in and its 'shape' ask for {shown(shape)}: "
                "RTNeural would fill up with zeros or fail, export it again",
            )
        out.append(found)
    return out


def _rows(fields: Fields) -> int:
    return _channels(fields.items("shape"), f"{fields.place}: 'shape'")


def _one(fields: Fields, key: str, default: Any = None) -> int:
    """Return a size that stands alone or at the end of a list, as Keras writes them."""
    value = fields.get(key) if default is None else fields.get(key, default)
    if isinstance(value, list) and value:
        value = value[-1]
    return whole(value, f"{fields.place}: {key!r}")


def _dense(fields: Fields, size: int, name: str) -> Layer:
    fields.only(_COMMON)
    rows = _rows(fields)
    found = _arrays(fields, ("kernel", (size, rows)), ("bias", (rows,)), optional=1)
    weights = {"weight": found[0].T.copy()}
    if len(found) > 1:
        weights["bias"] = found[1]
    return Layer("dense", name, rows, weights)


def _conv1d(fields: Fields, size: int, name: str) -> Layer:
    fields.only((*_COMMON, "kernel_size", "dilation", "groups", "strides", "padding"))
    taps, dilation, groups = _one(fields, "kernel_size"), _one(fields, "dilation"), _one(fields, "groups", 1)
    if _one(fields, "strides", 1) != 1:
        refuse(
            fields.place,
            f"strides is {fields.get('strides')}, which RTNeural does not read: it would run without a stride; use "
            "strides=1, or export the network to .onnx",
        )
    padding = fields.value.get("padding", "causal")
    if padding not in ("causal", "valid", None):
        refuse(
            fields.place,
            f"padding is {brief(padding)}, for which RTNeural pads causally; train it with padding='causal'",
        )
    rows = _rows(fields)
    for channels, side in ((size, "input"), (rows, "output")):
        if channels % groups:
            refuse(fields.place, f"groups={groups} does not divide its {channels} {side} channels; choose a divisor")
    kernel, bias = _arrays(fields, ("kernel", (taps, size // groups, rows)), ("bias", (rows,)))
    weights = {"weight": kernel.transpose(2, 1, 0).copy(), "bias": bias}
    return Layer("conv1d", name, rows, weights, dilation, groups)


def _conv2d(fields: Fields, size: int, name: str) -> Layer:
    fields.only(
        (
            *_COMMON,
            "kernel_size_time",
            "kernel_size_feature",
            "dilation",
            "strides",
            "num_filters_in",
            "num_features_in",
        )
        + ("num_filters_out", "padding")
    )
    keys = ("kernel_size_time", "kernel_size_feature", "dilation", "strides", "num_filters_in", "num_features_in")
    taps, width, dilation, stride, filters, features = (_one(fields, key) for key in keys)
    made = _one(fields, "num_filters_out")
    padding = fields.text("padding")
    if padding not in ("valid", "same"):
        refuse(fields.place, f"padding is {brief(padding)}; RTNeural has 'valid' and 'same' over the features")
    if filters * features != size:
        refuse(
            fields.place,
            f"reads {features} features of {filters} filters, but {size} channels come in; export it again",
        )
    if padding == "valid" and width > features:
        refuse(fields.place, f"has a kernel of {width} over {features} features; make it smaller, or padding 'same'")
    kernel, bias = _arrays(fields, ("kernel", (taps, width, filters, made)), ("bias", (made,)))
    weight, wide = expanded(kernel, bias, features, stride, padding == "valid")
    return Layer("conv1d", name, len(wide), {"weight": weight, "bias": wide}, dilation)


def _swapped(gates: F32, hidden: int) -> F32:
    """Return update, reset, candidate (Keras) as reset, update, candidate along the first axis."""
    return np.concatenate([gates[hidden : 2 * hidden], gates[:hidden], gates[2 * hidden :]])


def _gru(fields: Fields, size: int, name: str) -> Layer:
    fields.only((*_COMMON, "recurrent_activation"))
    hidden = _rows(fields)
    given = fields.get("weights")
    bias = given[2] if isinstance(given, list) and len(given) == 3 else None
    if isinstance(bias, list) and bias and not isinstance(bias[0], list):
        refuse(
            fields.place,
            "has one bias, as of reset_after=False, which RTNeural does not compute; train it with reset_after=True, "
            "Keras's default",
        )
    kernel, recurrent, bias = _arrays(
        fields, ("kernel", (size, 3 * hidden)), ("recurrent kernel", (hidden, 3 * hidden)), ("bias", (2, 3 * hidden))
    )
    weights = {
        "weight_ih": _swapped(kernel.T, hidden),
        "weight_hh": _swapped(recurrent.T, hidden),
        "bias_ih": _swapped(bias[0], hidden),
        "bias_hh": _swapped(bias[1], hidden),
    }
    return Layer("gru", name, hidden, weights)


def _lstm(fields: Fields, size: int, name: str) -> Layer:
    fields.only((*_COMMON, "recurrent_activation"))
    hidden = _rows(fields)
    kernel, recurrent, bias = _arrays(
        fields, ("kernel", (size, 4 * hidden)), ("recurrent kernel", (hidden, 4 * hidden)), ("bias", (4 * hidden,))
    )
    return Layer("lstm", name, hidden, {"weight_ih": kernel.T.copy(), "weight_hh": recurrent.T.copy(), "bias_ih": bias})


def _prelu(fields: Fields, size: int, name: str) -> Layer:
    fields.only(_COMMON)
    given = fields.items("weights")
    slopes = array(given[0], f"{fields.place}: the slopes") if len(given) == 1 else np.zeros(0, np.float32)
    if slopes.ndim < 2 or any(axis != 1 for axis in slopes.shape[:-1]) or slopes.shape[-1] not in (1, size):
        refuse(
            fields.place,
            f"the slopes have shape {shown(slopes.shape)}; RTNeural reads [1, {size}] or [1, 1]: share the time axis "
            "(shared_axes=[1])",
        )
    return Layer("prelu", name, size, {"weight": slopes.reshape(-1)})


def _norm(fields: Fields, filters: int, features: int, name: str) -> Layer:
    eps = fields.number("epsilon")
    count = len(fields.items("weights"))
    if count not in (2, 4):
        refuse(
            fields.place,
            f"'weights' has {count} arrays; it takes mean and variance, or scale, shift, mean and variance",
        )
    names = ("scale", "shift", "mean", "variance")[4 - count :]
    parts = [part.astype(np.float64) for part in _arrays(fields, *((part, (filters,)) for part in names))]
    scale, shift = (np.ones(filters), np.zeros(filters)) if count == 2 else (parts[0], parts[1])
    mean, variance = parts[-2:]
    if (variance + eps <= 0.0).any():
        refuse(fields.place, "has a variance that is not above 0; the file is damaged, export it again")
    gain = scale / np.sqrt(variance + eps)
    # A row holds the filters of the first feature, then those of the second.
    whole_scale, whole_shift = np.tile(gain, features), np.tile(shift - mean * gain, features)
    weights = {"scale": whole_scale.astype(np.float32), "shift": whole_shift.astype(np.float32)}
    return Layer("affine", name, filters * features, weights)


def _batchnorm(fields: Fields, size: int, name: str) -> Layer:
    fields.only((*_COMMON, "epsilon"))
    return _norm(fields, size, 1, name)


def _batchnorm2d(fields: Fields, size: int, name: str) -> Layer:
    fields.only((*_COMMON, "epsilon", "num_filters_in", "num_features_in"))
    filters, features = _one(fields, "num_filters_in"), _one(fields, "num_features_in")
    if filters * features != size:
        refuse(
            fields.place,
            f"reads {features} features of {filters} filters, but {size} channels come in; export it again",
        )
    return _norm(fields, filters, features, name)


def _nothing(fields: Fields, size: int, name: str) -> None:
    fields.only(_COMMON)
    given = fields.value.get("weights")
    if given not in (None, []):
        refuse(fields.place, "has weights, which RTNeural does not read; remove them or export it again")


_READERS: dict[str, Callable[[Fields, int, str], Layer | None]] = {
    "dense": _dense,
    "time-distributed-dense": _dense,
    "conv1d": _conv1d,
    "conv2d": _conv2d,
    "gru": _gru,
    "lstm": _lstm,
    "prelu": _prelu,
    "batchnorm": _batchnorm,
    "batchnorm2d": _batchnorm2d,
    "activation": _nothing,
}
