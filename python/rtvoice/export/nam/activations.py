"""The activations of the `.nam` format: reading their names and options, and writing them in our ops."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rtvoice.export.fields import Fields, number, refuse
from rtvoice.graph import GraphBuilder, Tensor

if TYPE_CHECKING:
    from .spec import Reading

_PLAIN = {"Tanh": "tanh", "ReLU": "relu", "Sigmoid": "sigmoid", "SiLU": "silu"}
KINDS = (
    "Tanh", "Hardtanh", "Fasttanh", "ReLU", "LeakyReLU", "PReLU", "Sigmoid", "SiLU", "Hardswish", "LeakyHardtanh",
    "Softsign", "Softsigmoid",
)  # fmt: skip
_SPELLINGS = {"LeakyHardTanh": "LeakyHardtanh", "HardTanh": "Hardtanh"}
_OPTIONS = {
    "LeakyReLU": ("negative_slope",),
    "PReLU": ("negative_slope", "negative_slopes", "num_parameters"),
    "Hardtanh": ("min_val", "max_val"),
    "LeakyHardtanh": ("min_val", "max_val", "min_slope", "max_slope"),
}
# Coefficients of the rational function that the format calls Fasttanh.
_FAST = (2.45550750702956, 0.893229853513558, 0.821226666969744, 2.44506634652299, 0.814642734961073)


@dataclass(frozen=True)
class Activation:
    """One activation.

    Attributes
    ----------
    kind
        One of `KINDS`.
    slopes
        Of LeakyReLU and PReLU below 0, one for all channels or one each.
    low, high
        Of the two hard ones: where the line ends.
    low_slope, high_slope
        Beyond its ends.
    """

    kind: str
    slopes: tuple[float, ...] = ()
    low: float = -1.0
    high: float = 1.0
    low_slope: float = 0.0
    high_slope: float = 0.0

    @property
    def op(self) -> str:
        """Our op without attributes that does the same; empty where there is none."""
        return _PLAIN.get(self.kind, "")


def read_activation(value: Any, place: str, reading: Reading | None = None) -> Activation:
    """Read an activation: a name, or an object with its type and options.

    The player knows no ends of a Hardtanh, and of two kinds of slopes takes the single one.
    """
    if isinstance(value, str):
        value = {"type": value}
    fields = Fields(value, place)
    key = "type" if fields.has("type") else "name"
    name = fields.text(key).lstrip("_")
    kind = _SPELLINGS.get(name, name)
    if kind not in KINDS:
        refuse(
            place, f"activation {name[:40]!r} is not of the format; it has {', '.join(KINDS)}: train with one of them"
        )
    fields.only(("type", "name", *_OPTIONS.get(kind, ())))
    if kind == "LeakyReLU":
        return Activation(kind, (fields.number("negative_slope", 0.01),))
    if kind == "PReLU":
        if fields.has("negative_slopes") and not fields.has("negative_slope"):
            slopes = [number(item, f"{place}: 'negative_slopes'") for item in fields.items("negative_slopes")]
            return Activation(kind, tuple(slopes))
        return Activation(kind, (fields.number("negative_slope", 0.01),))
    if kind in ("Hardtanh", "LeakyHardtanh"):
        low, high = fields.number("min_val", -1.0), fields.number("max_val", 1.0)
        if low > high:
            refuse(place, f"min_val={low:g} is above max_val={high:g}; swap them")
        if kind == "Hardtanh" and (low, high) != (-1.0, 1.0):
            trained = reading is not None and reading.follow == "trainer"
            if reading is not None:
                reading.note(
                    f"{place}: NeuralAmpModelerCore clips Hardtanh at -1 and 1, the trainer at the file's {low:g} and "
                    f"{high:g}; read as by the {'trainer' if trained else 'player'} (follow='core' or 'trainer')"
                )
            low, high = (low, high) if trained else (-1.0, 1.0)
        leak = 0.01 if kind == "LeakyHardtanh" else 0.0
        return Activation(kind, (), low, high, fields.number("min_slope", leak), fields.number("max_slope", leak))
    return Activation(kind)


def check_channels(activation: Activation, channels: int, place: str) -> None:
    """Refuse a PReLU whose slopes are of another number of channels."""
    if len(activation.slopes) not in (0, 1, channels):
        refuse(place, f"PReLU has {len(activation.slopes)} slopes for {channels} channels; give one for each, or one")


def write_activation(b: GraphBuilder, x: Tensor, activation: Activation, name: str) -> Tensor:
    """Write an activation behind `x`; `name` is the first of its nodes' names."""
    kind = activation.kind
    if activation.op:
        return b.node(activation.op, x, name=name)
    if kind == "LeakyReLU":
        return b.node("leaky_relu", x, alpha=activation.slopes[0], name=name)
    if kind == "PReLU":
        return b.node("prelu", x, weight=np.array(activation.slopes, np.float32), name=name)
    if kind in ("Hardtanh", "LeakyHardtanh"):
        return _hard(b, x, activation, name)
    if kind == "Hardswish":
        shifted = b.node("affine", x, shift=np.array([3.0], np.float32), name=f"{name}.shifted")
        gate = b.node("clip", shifted, min=0.0, max=6.0, name=f"{name}.clipped")
        sixth = b.node("affine", gate, scale=np.array([1.0 / 6.0], np.float32), name=f"{name}.gate")
        return b.node("mul", x, sixth, name=name)
    if kind == "Fasttanh":
        return _fast_tanh(b, x, name)
    size = b.node(
        "affine", b.node("abs", x, name=f"{name}.abs"), shift=np.array([1.0], np.float32), name=f"{name}.size"
    )
    if kind == "Softsign":
        return b.node("div", x, size, name=name)
    half = b.node("div", x, size, name=f"{name}.sign")
    return b.node("affine", half, scale=np.array([0.5], np.float32), shift=np.array([0.5], np.float32), name=name)


def _hard(b: GraphBuilder, x: Tensor, activation: Activation, name: str) -> Tensor:
    """Write the line between `low` and `high`, and its slopes beyond, which act on what the clipping took away."""
    leaks = activation.low_slope != 0.0 or activation.high_slope != 0.0
    out = b.node("clip", x, min=activation.low, max=activation.high, name=f"{name}.clip" if leaks else name)
    if not leaks:
        return out
    rest = b.node("sub", x, out, name=f"{name}.rest")
    above = b.node("relu", rest, name=f"{name}.above")
    below = b.node("sub", rest, above, name=f"{name}.below")
    for part, slope, side in ((above, activation.high_slope, "high"), (below, activation.low_slope, "low")):
        scaled = b.node("affine", part, scale=np.array([slope], np.float32), name=f"{name}.{side}_leak")
        out = b.node("add", out, scaled, name=name if side == "low" else f"{name}.with_{side}")
    return out


def _fast_tanh(b: GraphBuilder, x: Tensor, name: str) -> Tensor:
    """Write the format's rational tanh: x (a + a|x| + b x^2 + c|x|^3) / (d + (d + x^2) |x| (1 + e|x|))."""
    a, second, third, d, e = _FAST

    def affine(value: Tensor, scale: float, shift: float, part: str) -> Tensor:
        return b.node(
            "affine",
            value,
            scale=np.array([scale], np.float32),
            shift=np.array([shift], np.float32),
            name=f"{name}.{part}",
        )

    def mul(left: Tensor, right: Tensor, part: str) -> Tensor:
        return b.node("mul", left, right, name=f"{name}.{part}")

    size = b.node("abs", x, name=f"{name}.abs")
    top = mul(affine(size, third, second, "top3"), size, "top2")
    top = mul(affine(top, 1.0, a, "top1"), size, "top0")
    top = mul(affine(top, 1.0, a, "top"), x, "numerator")
    square = affine(b.node("square", x, name=f"{name}.square"), 1.0, d, "low2")
    low = mul(mul(affine(size, e, 1.0, "low1"), size, "low0"), square, "low")
    return b.node("div", top, affine(low, 1.0, d, "denominator"), name=name)
