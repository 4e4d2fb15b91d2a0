"""Reading a WaveNet of the `.nam` format: A1, and A2 with its gating, FiLM, groups, heads, bottlenecks and slimming."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rtvoice.export.fields import Fields, brief, refuse

from .activations import Activation, check_channels, read_activation
from .slim import slim_arrays
from .spec import Film, Layer, LayerArray, Network, Reading, WaveNet, count_of, take_conv
from .weights import Weights

_FILMS = (
    "conv_pre_film", "conv_post_film", "input_mixin_pre_film", "input_mixin_post_film", "activation_pre_film",
    "activation_post_film", "layer1x1_post_film", "head1x1_post_film",
)  # fmt: skip
_LAYER_KEYS = (
    "input_size", "condition_size", "head_size", "head_bias", "head", "channels", "bottleneck", "kernel_size",
    "kernel_sizes", "dilations", "activation", "gated", "gating_mode", "secondary_activation", "groups_input",
    "groups_input_mixin", "layer1x1", "head1x1", "slimmable", "notes", *_FILMS,
)  # fmt: skip
_CONFIG_KEYS = ("layers", "head", "head_scale", "condition_dsp", "in_channels", "notes", "sample_rate")
_SLICING = "slice_channels_uniform"


def read_wavenet(
    config: Fields, weights: Weights, reading: Reading, inputs: int, nested: Callable[[Any, str], Network]
) -> WaveNet:
    """Read a WaveNet's config and take its weights.

    Parameters
    ----------
    config
        The file's config.
    weights
        Its list of weights.
    reading
        How the file is read.
    inputs
        Channels of what the network gets.
    nested
        What reads the model that computes the condition.
    """
    config.only(_CONFIG_KEYS)
    if config.integer("in_channels", 1) != inputs:
        refuse(
            config.place,
            f"in_channels is {config.integer('in_channels', 1)}; the audio input has {inputs}: train it mono",
        )
    condition = nested(config.get("condition_dsp"), "condition_dsp") if config.has("condition_dsp") else None
    conditions = inputs if condition is None else condition.outputs
    arrays: list[LayerArray] = []
    for index, item in enumerate(config.items("layers")):
        fields = Fields(item, f"{weights.place}layers[{index}]")
        arrays.append(_read_array(fields, weights, reading, arrays[-1] if arrays else None, inputs, conditions))
    net = WaveNet(arrays, 1.0, condition=condition)
    if config.has("head"):
        head = Fields(config.get("head"), f"{weights.place}head")
        net.head = _read_head(head, weights, arrays[-1].head.out, reading)
    config.number("head_scale", 1.0)
    net.scale = float(weights.take(1, of=f"{weights.place}head_scale")[0])
    weights.finish()
    slim_arrays(net, reading, weights.place)
    return net


def _read_array(
    fields: Fields, weights: Weights, reading: Reading, before: LayerArray | None, inputs: int, conditions: int
) -> LayerArray:
    fields.only(_LAYER_KEYS)
    place, channels = fields.place, fields.integer("channels")
    wanted = inputs if before is None else before.channels
    if fields.integer("input_size") != wanted:
        refuse(place, f"input_size is {fields.get('input_size')}; what comes in has {wanted} channels: export it again")
    if fields.integer("condition_size") != conditions:
        refuse(
            place,
            f"condition_size is {fields.get('condition_size')}; the condition has {conditions}: export it again",
        )
    head_out, head_taps, head_dilation, head_bias = _head_shape(fields)
    dilations = fields.integers("dilations")
    taps = _taps(fields, len(dilations))
    bottleneck = fields.integer("bottleneck", channels)
    rechannel = take_conv(weights, f"{place}.rechannel", inputs=wanted, outputs=channels, bias=False)
    layers = []
    for index, (dilation, kernel) in enumerate(zip(dilations, taps, strict=True)):
        layer = _read_layer(
            fields, weights, index, len(dilations), channels, bottleneck, kernel, dilation, conditions, reading
        )
        _tell_differences(layer, reading, place)
        layers.append(layer)
    head_in = layers[0].head1x1.out if layers[0].head1x1 is not None else bottleneck
    if before is not None and before.head.out != head_in:
        refuse(
            place,
            f"adds {head_in} channels to the head that comes from the array before, which has {before.head.out}; make "
            "them equal and train again",
        )
    head = take_conv(
        weights,
        f"{place}.head",
        inputs=head_in,
        outputs=head_out,
        taps=head_taps,
        bias=head_bias,
        dilation=head_dilation,
    )
    return LayerArray(place, rechannel, layers, head, head_in, channels, head_bias, _allowed(fields, channels))


def _head_shape(fields: Fields) -> tuple[int, int, int, bool]:
    if fields.has("head"):
        head = Fields(fields.get("head"), f"{fields.place}.head")
        head.only(("out_channels", "kernel_size", "bias", "head_dilation"))
        return (
            head.integer("out_channels"),
            head.integer("kernel_size"),
            head.integer("head_dilation", 1),
            head.flag("bias"),
        )
    return fields.integer("head_size"), 1, 1, fields.flag("head_bias")


def _taps(fields: Fields, count: int) -> list[int]:
    if fields.has("kernel_size") and fields.has("kernel_sizes"):
        refuse(fields.place, "has both kernel_size and kernel_sizes; keep the one that is meant")
    key = "kernel_sizes" if fields.has("kernel_sizes") else "kernel_size"
    if not isinstance(fields.get(key), list):
        return [fields.integer(key)] * count
    taps = fields.integers(key)
    if len(taps) != count:
        refuse(fields.place, f"{key} has {len(taps)} entries for {count} dilations; give one for each layer")
    return taps


def _each(fields: Fields, key: str, index: int, count: int, default: Any) -> Any:
    """Return one layer's entry of an option that may be a list, one for each layer."""
    value = fields.value.get(key, default)
    if not isinstance(value, list):
        return value
    if len(value) != count:
        refuse(fields.place, f"{key!r} has {len(value)} entries for {count} dilations; give one for each layer")
    return value[index]


def _gating(fields: Fields, index: int, count: int) -> str:
    if not fields.has("gating_mode"):
        return "gated" if fields.flag("gated", False) else "none"
    mode = _each(fields, "gating_mode", index, count, "none")
    if mode not in ("none", "gated", "blended"):
        refuse(fields.place, f"gating_mode {brief(mode)} is not of the format; it has none, gated, blended")
    return str(mode)


def _read_layer(
    fields: Fields,
    weights: Weights,
    index: int,
    count: int,
    channels: int,
    bottleneck: int,
    taps: int,
    dilation: int,
    conditions: int,
    reading: Reading,
) -> Layer:
    place = f"{fields.place}.layer {index}"
    if "activation" not in fields.value:
        refuse(fields.place, "'activation' is missing; the file is damaged or of another format")
    activation = read_activation(_each(fields, "activation", index, count, None), f"{place}: activation", reading)
    gating = _gating(fields, index, count)
    second = Activation("Sigmoid")
    if gating != "none":
        # Beside the first generation's 'gated' it is not read: that gate is a sigmoid.
        given = _each(fields, "secondary_activation", index, count, None) if fields.has("gating_mode") else None
        if given not in (None, ""):
            second = read_activation(given, f"{place}: secondary_activation", reading)
        check_channels(second, bottleneck, place)
    check_channels(activation, bottleneck, place)
    middle = bottleneck if gating == "none" else 2 * bottleneck
    conv = take_conv(
        weights, f"{place}.conv", inputs=channels, outputs=middle, taps=taps, bias=True, dilation=dilation,
        groups=fields.integer("groups_input", 1),
    )  # fmt: skip
    mixin = take_conv(
        weights, f"{place}.input_mixin", inputs=conditions, outputs=middle, bias=False,
        groups=fields.integer("groups_input_mixin", 1),
    )  # fmt: skip
    layer = Layer(conv, mixin, activation, gating, second, bottleneck)
    one = Fields(fields.get("layer1x1", {}), f"{fields.place}.layer1x1")
    one.only(("active", "groups"))
    if one.flag("active", True):
        groups = one.integer("groups", 1)
        layer.layer1x1 = take_conv(
            weights, f"{place}.layer1x1", inputs=bottleneck, outputs=channels, bias=True, groups=groups
        )
    elif bottleneck != channels:
        refuse(place, f"has no layer1x1, so its bottleneck ({bottleneck}) must equal its channels ({channels})")
    head = Fields(fields.get("head1x1", {"active": False}), f"{fields.place}.head1x1")
    head.only(("active", "out_channels", "groups"))
    if head.flag("active"):
        outputs, groups = head.integer("out_channels"), head.integer("groups", 1)
        layer.head1x1 = take_conv(
            weights, f"{place}.head1x1", inputs=bottleneck, outputs=outputs, bias=True, groups=groups
        )
    sizes = {
        "conv_pre_film": channels,
        "conv_post_film": middle,
        "input_mixin_pre_film": conditions,
        "input_mixin_post_film": middle,
        "activation_pre_film": middle,
        "activation_post_film": bottleneck,
        "layer1x1_post_film": channels if layer.layer1x1 is not None else 0,
        "head1x1_post_film": 0 if layer.head1x1 is None else layer.head1x1.out,
    }
    for key in _FILMS:
        film = _read_film(fields, key, weights, place, sizes[key], conditions)
        if film is not None:
            layer.films[key] = film
    return layer


def _read_film(fields: Fields, key: str, weights: Weights, place: str, size: int, conditions: int) -> Film | None:
    value = fields.value.get(key)
    if value is None or value is False:
        return None
    options = Fields(value, f"{fields.place}.{key}")
    options.only(("active", "shift", "groups"))
    if not options.flag("active", True):
        return None
    if size == 0:
        refuse(
            place,
            f"{key} is active, but there is no {key.removesuffix('_post_film')} before it; turn both on or off",
        )
    shift, groups = options.flag("shift", True), options.integer("groups", 1)
    outputs = 2 * size if shift else size
    return Film(
        take_conv(weights, f"{place}.{key}", inputs=conditions, outputs=outputs, bias=True, groups=groups), shift
    )


def _tell_differences(layer: Layer, reading: Reading, place: str) -> None:
    """Note where NeuralAmpModelerCore and the trainer compute different things."""
    told = "follow='trainer' takes the trainer's" if reading.follow == "core" else "follow='core' takes the player's"
    if "layer1x1_post_film" in layer.films and layer.gating != "blended":
        reading.note(
            f"{place}: NeuralAmpModelerCore leaves layer1x1_post_film out where the gating is not blended, the trainer "
            f"applies it; read as by the {'player' if reading.follow == 'core' else 'trainer'} ({told})"
        )
    if layer.layer1x1 is None:
        reading.note(
            f"{place}: without layer1x1, NeuralAmpModelerCore passes the layer's input on, the trainer adds the "
            f"activations to it; read as by the {'player' if reading.follow == 'core' else 'trainer'} ({told})"
        )


def _allowed(fields: Fields, channels: int) -> tuple[int, ...]:
    """Return the widths that a layer array may be slimmed to; none where it may not."""
    if not fields.has("slimmable"):
        return ()
    options = Fields(fields.get("slimmable"), f"{fields.place}.slimmable")
    options.only(("method", "kwargs"))
    method = options.text("method", "")
    if not method:
        return ()
    if method != _SLICING:
        refuse(options.place, f"method {method[:40]!r} is not of the format; it has {_SLICING}")
    kwargs = Fields(options.get("kwargs", {}), f"{options.place}.kwargs")
    kwargs.only(("allowed_channels", "boosting", "init_strategy"))  # the latter two matter to the training alone
    if not kwargs.has("allowed_channels"):
        return tuple(range(1, channels + 1))
    if not count_of(kwargs.get("allowed_channels")):
        return ()
    allowed = kwargs.integers("allowed_channels")
    if allowed != sorted(set(allowed)) or allowed[-1] != channels:
        refuse(kwargs.place, f"allowed_channels is {brief(allowed)}; they must rise, and end with {channels}")
    return tuple(allowed)


def _read_head(fields: Fields, weights: Weights, inputs: int, reading: Reading) -> list[tuple[Activation, Any]]:
    """Read what stands behind the layer arrays: an activation and a convolution, as often as there are kernel sizes."""
    fields.only(("in_channels", "channels", "out_channels", "kernel_sizes", "activation"))
    if fields.integer("in_channels", inputs) != inputs:
        refuse(
            fields.place,
            f"in_channels is {fields.get('in_channels')}; the last layer array makes {inputs}: export it again",
        )
    channels, outputs, taps = (
        fields.integer("channels"),
        fields.integer("out_channels"),
        fields.integers("kernel_sizes"),
    )
    activation = read_activation(fields.get("activation"), f"{fields.place}: activation", reading)
    blocks = []
    for index, kernel in enumerate(taps):
        size = outputs if index + 1 == len(taps) else channels
        check_channels(activation, inputs, f"{fields.place}[{index}]")
        conv = take_conv(weights, f"{fields.place}[{index}]", inputs=inputs, outputs=size, taps=kernel, bias=True)
        blocks.append((activation, conv))
        inputs = size
    return blocks
