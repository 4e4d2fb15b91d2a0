"""The op table of the model file: inputs, weights, attributes and shape rules of every op (docs/model-format.md).

One row per op. `infer` applies a row to a node; the graph builder and the reader both go through it. The C++ core has
the same table (cpp/src/model/op_table.cc) and the last word.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .attributes import MAX_CHANNELS as MAX_CHANNELS
from .attributes import MAX_FLOAT as MAX_FLOAT
from .attributes import Attribute, checked

MAX_TAPS = 65_536
MAX_STEP = 65_536  # stride, dilation, factor
MAX_FRAMES = 1_048_576  # delay, pads, reach of a kernel, frames per hop

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Weight:
    """A weight: its role, and its shape in terms of the node's sizes, e.g. ``("Cout", "C/groups", "K")``."""

    role: str
    shape: tuple[str, ...]
    required: bool = True


@dataclass(frozen=True)
class Stream:
    """The shape of a value: channels, frames per hop, and whether it comes from parameters only."""

    channels: int
    frames: int
    control: bool = False


@dataclass
class Context:
    """What a shape rule sees of a node, and where it leaves what it finds."""

    inputs: Sequence[Stream]
    attrs: Mapping[str, Any]
    sizes: dict[str, int]  # C, groups and what the weights' shapes bind: Cout, K, H
    channels: int = 0
    frames: int = 0


@dataclass(frozen=True)
class OpSpec:
    """A row of the table."""

    inputs: tuple[int, int]  # least and most
    weights: tuple[Weight, ...] = ()
    attrs: Mapping[str, Attribute] = field(default_factory=dict)
    rule: Callable[[Context], None] = lambda context: None
    own_rates: bool = False  # its inputs may have different rates: the rule says which


def _fail(message: str) -> None:
    raise ValueError(message)


def _divide(frames: int, divisor: int, what: str) -> int:
    if frames % divisor:
        _fail(f"{what} {divisor} does not divide the {frames} input frames per hop; use a hop that is a multiple")
    return frames // divisor


def _check_reach(ctx: Context) -> None:
    taps = ctx.sizes["K"]
    if taps > MAX_TAPS:
        _fail(f"has {taps} taps; the limit is {MAX_TAPS}")
    reach = (taps - 1) * int(ctx.attrs["dilation"])
    if reach > MAX_FRAMES:
        _fail(f"a kernel of {taps} taps reaches over {reach} frames; the limit is {MAX_FRAMES}")


def _grouped(ctx: Context) -> None:
    groups, channels = ctx.sizes["groups"], ctx.sizes["Cout"]
    if channels % groups:
        _fail(f"groups={groups} does not divide {channels} output channels")


def _conv1d(ctx: Context) -> None:
    ctx.channels = ctx.sizes["Cout"]
    _grouped(ctx)
    ctx.frames = _divide(ctx.frames, ctx.attrs["stride"], "stride")
    _check_reach(ctx)


def _conv_transpose1d(ctx: Context) -> None:
    ctx.channels = ctx.sizes["Cout"]
    _grouped(ctx)
    ctx.frames *= ctx.attrs["stride"]
    _check_reach(ctx)


def _linear(ctx: Context) -> None:
    ctx.channels = ctx.sizes["Cout"]


def _recurrent(ctx: Context) -> None:
    ctx.channels = ctx.sizes["H"]


def _clip(ctx: Context) -> None:
    if ctx.attrs["min"] > ctx.attrs["max"]:
        _fail(f"min={ctx.attrs['min']} is above max={ctx.attrs['max']}")


def _arithmetic(ctx: Context) -> None:
    a, b = (stream.channels for stream in ctx.inputs)
    if a != b and 1 not in (a, b):
        _fail(f"inputs have {a} and {b} channels; they must be equal, or one of them 1")
    ctx.channels = max(a, b)


def _film(ctx: Context) -> None:
    for stream, what in zip(ctx.inputs[1:], ("gamma", "beta"), strict=True):
        if stream.channels not in (1, ctx.channels):
            _fail(f"{what} has {stream.channels} channels; it must have {ctx.channels} as the input has, or 1")


def _glu(ctx: Context) -> None:
    if ctx.channels % 2:
        _fail(f"needs an even number of channels, the input has {ctx.channels}")
    ctx.channels //= 2


def _concat(ctx: Context) -> None:
    ctx.channels = sum(stream.channels for stream in ctx.inputs)


def _slice(ctx: Context) -> None:
    start, stop = ctx.attrs["start"], ctx.attrs["stop"]
    if not 0 <= start < stop <= ctx.channels:
        _fail(f"start={start}, stop={stop} is not a range within {ctx.channels} channels")
    ctx.channels = stop - start


def _upsample(ctx: Context) -> None:
    ctx.frames *= ctx.attrs["factor"]


def _avg_pool(ctx: Context) -> None:
    ctx.frames = _divide(ctx.frames, ctx.attrs["stride"], "stride")


def _depth_to_time(ctx: Context) -> None:
    factor = ctx.attrs["factor"]
    if ctx.channels % factor:
        _fail(f"factor {factor} does not divide {ctx.channels} channels")
    ctx.channels //= factor
    ctx.frames *= factor


def _time_to_depth(ctx: Context) -> None:
    factor = ctx.attrs["factor"]
    ctx.frames = _divide(ctx.frames, factor, "factor")
    ctx.channels *= factor


_NOISE_ATTRS = {"gaussian": ("mean", "std"), "uniform": ("low", "high")}


def _noise(ctx: Context) -> None:
    if ctx.attrs["low"] > ctx.attrs["high"]:
        _fail(f"low={ctx.attrs['low']} is above high={ctx.attrs['high']}")
    ctx.channels, ctx.frames = ctx.attrs["channels"], ctx.attrs["frames"]


def _harmonics(ctx: Context) -> None:
    for stream, what in zip(ctx.inputs, ("phase", "frequency"), strict=True):
        if stream.channels != 1:
            _fail(f"{what} has {stream.channels} channels; it must have 1")


def _warp(ctx: Context) -> None:
    if ctx.inputs[1].channels != 1:
        _fail(f"ratio has {ctx.inputs[1].channels} channels; it must have 1")


def _fir(ctx: Context) -> None:
    x, taps = ctx.inputs
    if x.channels != 1:
        _fail(f"x has {x.channels} channels; it must have 1")
    if x.frames % taps.frames:
        _fail(f"the taps' {taps.frames} frames per hop do not divide x's {x.frames}")
    per_frame = x.frames // taps.frames
    if per_frame > MAX_STEP:
        _fail(f"one frame of taps serves {per_frame} frames of x; the limit is {MAX_STEP}")
    ctx.channels, ctx.frames = 1, x.frames


def _recall(ctx: Context) -> None:
    ctx.channels, ctx.frames = ctx.attrs["channels"], ctx.attrs["frames"]


def _sample(ctx: Context) -> None:
    kind, count = ctx.attrs["distribution"], ctx.channels
    if kind == "gaussian" and count != 2:
        _fail(f"has {count} channels; it must have 2 for gaussian: mean, logarithm of the deviation")
    if kind == "logistic" and count % 3:
        _fail(f"has {count} channels; it must have 3 a component: logits, means, logarithms of the scales")
    if kind == "categorical" and count < 2:
        _fail(f"has {count} channels; it must have 2 or more classes for categorical")
    ctx.channels = 1


def _attention(ctx: Context) -> None:
    q, k, v = ctx.inputs
    if q.channels != k.channels:
        _fail(f"q has {q.channels} channels and k {k.channels}; they must be equal")
    if q.channels % ctx.attrs["heads"] or v.channels % ctx.attrs["heads"]:
        _fail(f"heads={ctx.attrs['heads']} does not divide the channels of q, k and v")
    ctx.channels = v.channels


def _conv_bands(ctx: Context) -> None:
    a, cout, taps = ctx.attrs, ctx.sizes["Cout"], ctx.sizes["B"]
    _grouped(ctx)
    _check_reach(ctx)
    width = a["bands"] + sum(a["band_pads"])
    reach = (taps - 1) * a["band_dilation"] + 1
    if taps > MAX_TAPS or reach > width:
        _fail(
            f"a kernel that reaches over {reach} bands does not fit into {a['bands']} bands and their padding, "
            f"together {width}"
        )
    ctx.channels = ((width - reach) // a["band_stride"] + 1) * cout


def _pick(ctx: Context) -> None:
    for channel in ctx.attrs["index"]:
        if channel >= ctx.channels:
            _fail(f"index holds {channel}, the input has {ctx.channels} channels, counted from 0")
    ctx.channels = len(ctx.attrs["index"])


PLAIN = (
    "relu", "silu", "tanh", "sigmoid", "exp", "log", "sqrt", "square", "abs", "neg", "reciprocal", "sin", "cos",
)  # fmt: skip
"""Pointwise ops without attributes."""

_STEP = Attribute("int", 1, 1, MAX_STEP)
_GROUPS = Attribute("int", 1, 1, MAX_CHANNELS)
_PADS = Attribute("pair", [0, 0], -MAX_FRAMES, MAX_FRAMES)
_EPS = Attribute("number", 1e-5, 1e-20, 1.0)
_FACTOR = Attribute("int", None, 1, MAX_STEP)
_SHIFT = Attribute("int", None, 0, MAX_FRAMES)
_ORDER = Attribute("choice", "channel", choices=("channel", "time"))
_CHANNEL = Attribute("int", None, 0, MAX_CHANNELS)


def _recurrent_weights(gates: int) -> tuple[Weight, ...]:
    rows = f"{gates}H"
    return (
        Weight("weight_ih", (rows, "C")),
        Weight("weight_hh", (rows, "H")),
        Weight("bias_ih", (rows,), required=False),
        Weight("bias_hh", (rows,), required=False),
        Weight("initial_h", ("H",), required=False),
        *((Weight("initial_c", ("H",), required=False),) if gates == 4 else ()),
    )


def _per_channel(*roles: str, required: bool = False) -> tuple[Weight, ...]:
    return tuple(Weight(role, ("C|1",), required) for role in roles)


_BIAS = Weight("bias", ("Cout",), required=False)

OPS: dict[str, OpSpec] = {
    "conv1d": OpSpec(
        (1, 1),
        (Weight("weight", ("Cout", "C/groups", "K")), _BIAS),
        {"stride": _STEP, "dilation": _STEP, "groups": _GROUPS, "pads": _PADS},
        _conv1d,
    ),
    "conv_transpose1d": OpSpec(
        (1, 1),
        (Weight("weight", ("C", "Cout/groups", "K")), _BIAS),
        {"stride": _STEP, "dilation": _STEP, "groups": _GROUPS, "crop": _PADS},
        _conv_transpose1d,
    ),
    "linear": OpSpec((1, 1), (Weight("weight", ("Cout", "C")), _BIAS), {}, _linear),
    "affine": OpSpec((1, 1), _per_channel("scale", "shift")),
    "gru": OpSpec((1, 1), _recurrent_weights(3), {"linear_before_reset": Attribute("bool", True)}, _recurrent),
    "lstm": OpSpec((1, 1), _recurrent_weights(4), {}, _recurrent),
    "layer_norm": OpSpec((1, 1), (Weight("weight", ("C",), False), Weight("bias", ("C",), False)), {"eps": _EPS}),
    "rms_norm": OpSpec((1, 1), (Weight("weight", ("C",), False),), {"eps": _EPS}),
    **{name: OpSpec((1, 1)) for name in PLAIN},
    "leaky_relu": OpSpec((1, 1), (), {"alpha": Attribute("number", 0.01)}),
    "elu": OpSpec((1, 1), (), {"alpha": Attribute("number", 1.0)}),
    "gelu": OpSpec((1, 1), (), {"approximate": Attribute("choice", "none", choices=("none", "tanh"))}),
    "softplus": OpSpec((1, 1), (), {"beta": Attribute("number", 1.0, 1e-6, 1e6)}),
    "clip": OpSpec((1, 1), (), {"min": Attribute("number"), "max": Attribute("number")}, _clip),
    "prelu": OpSpec((1, 1), _per_channel("weight", required=True)),
    "snake": OpSpec((1, 1), (Weight("alpha", ("C|1",)), Weight("beta", ("C|1",), False))),
    **{name: OpSpec((2, 2), (), {}, _arithmetic) for name in ("add", "sub", "mul", "div")},
    "film": OpSpec((3, 3), (), {"offset": Attribute("number", 0.0)}, _film),
    "glu": OpSpec(
        (1, 1),
        (),
        {
            "a": Attribute("choice", "none", choices=("none", *PLAIN)),
            "b": Attribute("choice", "sigmoid", choices=PLAIN),
        },
        _glu,
    ),
    "concat": OpSpec((2, MAX_CHANNELS), (), {}, _concat),
    "slice": OpSpec((1, 1), (), {"start": _CHANNEL, "stop": _CHANNEL}, _slice),
    "delay": OpSpec((1, 1), (), {"frames": _SHIFT}),
    "advance": OpSpec((1, 1), (), {"frames": _SHIFT}),
    "upsample": OpSpec(
        (1, 1),
        (),
        {
            "factor": _FACTOR,
            "mode": Attribute("choice", "nearest", choices=("nearest", "linear")),
            "coordinates": Attribute("choice", "half_pixel", choices=("half_pixel", "asymmetric")),
        },
        _upsample,
    ),
    "avg_pool": OpSpec(
        (1, 1),
        (),
        {
            "kernel": Attribute("int", None, 1, MAX_TAPS),
            "stride": Attribute("int", "kernel", 1, MAX_STEP),
            "pads": _PADS,
        },
        _avg_pool,
    ),
    "depth_to_time": OpSpec((1, 1), (), {"factor": _FACTOR, "order": _ORDER}, _depth_to_time),
    "time_to_depth": OpSpec((1, 1), (), {"factor": _FACTOR, "order": _ORDER}, _time_to_depth),
    "noise": OpSpec(
        (0, 0),
        (),
        {
            "channels": Attribute("int", None, 1, MAX_CHANNELS),
            "frames": Attribute("int", None, 1, MAX_FRAMES),
            "distribution": Attribute("choice", "gaussian", choices=("gaussian", "uniform")),
            "mean": Attribute("number", 0.0),
            "std": Attribute("number", 1.0, 0.0),
            "low": Attribute("number", -1.0),
            "high": Attribute("number", 1.0),
            "stream": Attribute("int", 0, 0, 2**32 - 1),
        },
        _noise,
    ),
    "softmax": OpSpec((1, 1)),
    "phase": OpSpec((1, 1)),
    "harmonics": OpSpec(
        (2, 2),
        (),
        {"count": Attribute("int", None, 1, MAX_STEP), "limit": Attribute("number", 0.5, 1e-6, 0.5)},
        _harmonics,
    ),
    "warp": OpSpec((2, 2), (), {}, _warp),
    "fir": OpSpec((2, 2), (), {"interpolate": Attribute("bool", False)}, _fir, own_rates=True),
    "conv_bands": OpSpec(
        (1, 1),
        (Weight("weight", ("Cout", "C/groups", "K", "B")), _BIAS),
        {
            "bands": Attribute("int", None, 1, MAX_CHANNELS),
            "dilation": _STEP,
            "groups": _GROUPS,
            "pads": _PADS,
            "band_stride": _STEP,
            "band_dilation": _STEP,
            "band_pads": Attribute("pair", [0, 0], 0, MAX_CHANNELS),
        },
        _conv_bands,
    ),
    "pick": OpSpec((1, 1), (), {"index": Attribute("list", None, -1, MAX_CHANNELS - 1)}, _pick),
    "leaky_sum": OpSpec((1, 1), (Weight("decay", ("C|1",)), Weight("start", ("C|1",), False))),
    "recall": OpSpec(
        (0, 0),
        (),
        {
            "of": Attribute("name"),
            "channels": Attribute("int", None, 1, MAX_CHANNELS),
            "frames": Attribute("int", None, 1, MAX_FRAMES),
        },
        _recall,
    ),
    "sample": OpSpec(
        (1, 1),
        (),
        {
            "distribution": Attribute("choice", "gaussian", choices=("gaussian", "logistic", "categorical")),
            "floor": Attribute("number", -9.0, -40.0, 10.0),
            "limit": Attribute("number", 1.0, 1e-6, 1e6),
            "stream": Attribute("int", 0, 0, 2**32 - 1),
        },
        _sample,
    ),
    "attention": OpSpec(
        (3, 3),
        (),
        {
            "heads": Attribute("int", None, 1, MAX_CHANNELS),
            "window": Attribute("int", None, 1, MAX_TAPS),
            "scale": Attribute("number", 0.0, 0.0, 1e6),
        },
        _attention,
    ),
}

STREAM_ONLY = frozenset(
    ("conv1d", "conv_transpose1d", "gru", "lstm", "delay", "advance", "upsample", "avg_pool")
    + ("depth_to_time", "time_to_depth", "phase", "harmonics", "fir", "conv_bands", "leaky_sum", "sample", "attention")
)
"""Ops over time, which a control tensor cannot go through."""


def spec(op: str) -> OpSpec:
    """Return the row of `op`; ValueError for an unknown op."""
    if not isinstance(op, str) or op not in OPS:
        raise ValueError(f"unknown op {op!r}; the ops are: {', '.join(OPS)}")
    return OPS[op]


def complete_attributes(op: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Check the attributes of a node and fill in the defaults.

    Parameters
    ----------
    op
        Name of an op of the table.
    given
        Attributes by name; numpy scalars are taken as their Python values.

    Returns
    -------
    dict
        Every attribute of the op, in the table's order.
    """
    known = spec(op).attrs
    for name in given:
        if name not in known:
            raise ValueError(f"{op} has no attribute or weight {name!r}; it has: {_names(op)}")
    out: dict[str, Any] = {}
    for name, attribute in known.items():
        if name in given:
            out[name] = checked(name, given[name], attribute)
        elif attribute.default is None:
            raise ValueError(f"attribute {name!r} is missing")
        elif attribute.default == "kernel" and attribute.kind == "int":
            out[name] = out["kernel"]
        else:
            out[name] = list(attribute.default) if attribute.kind == "pair" else attribute.default
    if op == "noise":
        other = "uniform" if out["distribution"] == "gaussian" else "gaussian"
        for name in _NOISE_ATTRS[other]:
            if name in given:
                raise ValueError(
                    f"attribute {name!r} belongs to {other} noise, the distribution is {out['distribution']!r}"
                )
    if op == "conv_transpose1d" and out["crop"][0] < 0:
        raise ValueError(f"crop[0]={out['crop'][0]} is negative; use a delay node after it")
    return out


def is_default(op: str, name: str, value: Any) -> bool:
    """Tell whether `value` is what the attribute has when it is left out."""
    return bool(OPS[op].attrs[name].default == value)


def _names(op: str) -> str:
    row = OPS[op]
    return ", ".join([*(weight.role for weight in row.weights), *row.attrs]) or "none"


def _expected(term: str, size: int, sizes: dict[str, int], role: str) -> str | None:
    """Match one dimension of a weight with its term; bind a free size. Return what was expected on a mismatch."""
    if term == "C|1":
        return None if size in (1, sizes["C"]) else f"{sizes['C']} or 1"
    if term.endswith("/groups"):
        name, groups = term[: -len("/groups")], sizes["groups"]
        if name in sizes:
            if sizes[name] % groups:
                raise ValueError(f"groups={groups} does not divide {sizes[name]} input channels")
            return None if size * groups == sizes[name] else str(sizes[name] // groups)
        sizes[name] = size * groups
        return None
    factor = int(term[:-1]) if term[0].isdigit() else 1
    name = term[1:] if term[0].isdigit() else term
    if name in sizes:
        return None if size == factor * sizes[name] else str(factor * sizes[name])
    if size % factor:
        return f"a multiple of {factor}"
    sizes[name] = size // factor
    return None


def _match_weights(op: str, shapes: Mapping[str, Shape], sizes: dict[str, int]) -> None:
    for weight in OPS[op].weights:
        if weight.role not in shapes:
            if weight.required:
                raise ValueError(f"weight {weight.role!r} is missing")
            continue
        shape = shapes[weight.role]
        template = "[" + ", ".join(weight.shape) + "]"
        if len(shape) != len(weight.shape):
            raise ValueError(f"weight {weight.role!r} has shape {list(shape)}; it must be {template}")
        for axis, (term, size) in enumerate(zip(weight.shape, shape, strict=True)):
            expected = "1 or more" if size < 1 else _expected(term, size, sizes, weight.role)
            if expected:
                raise ValueError(
                    f"weight {weight.role!r} has shape {list(shape)}; it must be {template}: axis {axis} is {size} "
                    f"where the input asks for {expected}"
                )
    for name in shapes:
        if name not in (weight.role for weight in OPS[op].weights):
            raise ValueError(f"{op} has no weight {name!r}; it has: {_names(op)}")


def infer(op: str, inputs: Sequence[Stream], attrs: Mapping[str, Any], shapes: Mapping[str, Shape]) -> Stream:
    """Infer what a node makes; ValueError where its inputs, attributes or weights do not fit.

    Parameters
    ----------
    op
        Name of an op of the table.
    inputs
        The values that it reads.
    attrs
        Its complete attributes, from `complete_attributes`.
    shapes
        Shapes of its weights by role.
    """
    row = spec(op)
    least, most = row.inputs
    if not least <= len(inputs) <= most:
        count = str(least) if least == most else f"at least {least}"
        raise ValueError(f"{op} has {len(inputs)} inputs; it takes {count}")
    control = bool(inputs) and all(stream.control for stream in inputs)
    if any(stream.control for stream in inputs) and op in STREAM_ONLY:
        raise ValueError(f"{op} reads a control tensor, which has no time axis; it needs a stream")
    rates = {stream.frames for stream in inputs if not stream.control}
    if len(rates) > 1 and not row.own_rates:
        listed = ", ".join(str(stream.frames) for stream in inputs)
        raise ValueError(f"inputs have different rates ({listed} frames per hop); bring them to one rate first")
    sizes = {"groups": int(attrs.get("groups", 1))}
    if inputs:
        sizes["C"] = inputs[0].channels
    if op == "conv_bands":  # its weights know the channels of one band
        if sizes["C"] % attrs["bands"]:
            raise ValueError(f"bands={attrs['bands']} does not divide {sizes['C']} input channels")
        sizes["C"] //= attrs["bands"]
    _match_weights(op, shapes, sizes)
    ctx = Context(inputs, attrs, sizes, sizes.get("C", 0), max(rates, default=1))
    row.rule(ctx)
    if not 1 <= ctx.channels <= MAX_CHANNELS:
        raise ValueError(f"makes {ctx.channels} channels; the limit is {MAX_CHANNELS}")
    if not 1 <= ctx.frames <= MAX_FRAMES:
        raise ValueError(f"makes {ctx.frames} frames per hop; the limit is {MAX_FRAMES}")
    return Stream(ctx.channels, ctx.frames, control)
