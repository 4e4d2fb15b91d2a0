"""Patterns that exporters write out in small operators: activations, gates, normalisation over channels."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from .ir import PLAIN, POINTWISE, Array, Node
from .rewrite import Rule, Uses, affine_node, scale_of, shift_of

# Far enough out to see both sides of the threshold that torch's Softplus has at 20.
_GRID = np.concatenate([np.linspace(-12.0, 12.0, 241), [-0.011, 0.013, 3.3333], np.linspace(-30.0, 30.0, 25)])
_MINUS_ONE, _LEAST = int(np.argmin(np.abs(_GRID + 1.0))), int(np.argmin(_GRID))
_erf = np.vectorize(math.erf, otypes=[np.float64])
_LARGEST_CONE = 16

_PLAIN: dict[str, Callable[[Array], Array]] = {
    "relu": lambda x: np.maximum(x, 0.0), "tanh": np.tanh, "sigmoid": lambda x: 1.0 / (1.0 + np.exp(-x)),
    "exp": np.exp, "log": np.log, "sqrt": np.sqrt, "square": np.square, "abs": np.abs, "neg": np.negative,
    "reciprocal": np.reciprocal, "sin": np.sin, "cos": np.cos, "erf": _erf, "silu": lambda x: x / (1.0 + np.exp(-x)),
    "softplus": lambda x: np.logaddexp(0.0, x), "positive": lambda x: (x > 0).astype(np.float64),
}  # fmt: skip
_ARITHMETIC: dict[str, Callable[[Array, Array], Array]] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide,
}  # fmt: skip
_TARGETS: list[tuple[str, dict[str, object], Array]] = [
    ("gelu", {"approximate": "none"}, 0.5 * _GRID * (1.0 + _erf(_GRID / math.sqrt(2.0)))),
    (
        "gelu",
        {"approximate": "tanh"},
        0.5 * _GRID * (1.0 + np.tanh(math.sqrt(2.0 / math.pi) * (_GRID + 0.044715 * _GRID**3))),
    ),
    ("silu", {}, _GRID / (1.0 + np.exp(-_GRID))),
    ("relu", {}, np.maximum(_GRID, 0.0)),
    ("softplus", {}, np.logaddexp(0.0, _GRID)),
]


def _made(op: str, source: Node, like: Node, **attrs: object) -> Node:
    return Node(op, [source], source.channels, source.rate, dict(attrs), {}, like.origin, like.label)


def _square(node: Node, uses: Uses) -> Node | None:
    if node.op == "mul" and node.inputs[0] is node.inputs[1]:
        return _made("square", node.source, node)
    return None


def _by_values(node: Node, uses: Uses) -> Node | None:
    """Recognise an activation by its values: a chain of pointwise ops of one tensor is a function of one number.

    Exporters and authors write GELU in a dozen orders; comparing the function itself needs none of them listed. Two
    functions that agree to 1e-6 over the whole grid are the same for float32.
    """
    if node.op not in ("mul", "log", "div", "affine", "softplus", "where"):
        return None
    cone = [node]
    frontier = _inputs(cone)
    while len(cone) < _LARGEST_CONE:
        if len(frontier) == 1 and len(cone) > 1:
            values = _evaluate(node, {id(frontier[0]): _GRID}, frontier[0])
            found = _match(values) if values is not None else None
            if found is not None:
                return _made(found[0], frontier[0], node, **found[1])
        inside = {id(item) for item in cone}
        grow = [item for item in frontier if item.op in POINTWISE and _only_inside(item, inside, cone, uses)]
        if not grow:
            return None
        cone.append(grow[0])
        frontier = _inputs(cone)
    return None


def _inputs(cone: list[Node]) -> list[Node]:
    inside = {id(item) for item in cone}
    found = {id(item): item for member in cone for item in member.inputs if id(item) not in inside}
    return list(found.values())


def _only_inside(item: Node, inside: set[int], cone: list[Node], uses: Uses) -> bool:
    reads = sum(source is item for member in cone for source in member.inputs)
    return uses.count(item) == reads


def _evaluate(node: Node, known: dict[int, Array], source: Node) -> Array | None:
    """Evaluate a chain on the grid; None where a step has no single number per channel or widens channels."""
    if id(node) in known:
        return known[id(node)]
    if node.channels != source.channels:
        return None
    values = [_evaluate(item, known, source) for item in node.inputs]
    if any(value is None for value in values):
        return None
    given = [value for value in values if value is not None]
    result: Array | None = None
    with np.errstate(all="ignore"):
        if node.op == "affine" and scale_of(node).size == 1 and shift_of(node).size == 1:
            result = given[0] * scale_of(node) + shift_of(node)
        elif node.op in _ARITHMETIC:
            result = _ARITHMETIC[node.op](given[0], given[1])
        elif node.op == "where":
            result = np.where(given[0] > 0, given[1], given[2])
        elif node.op == "clip":
            result = np.clip(given[0], node.attrs["min"], node.attrs["max"])
        elif node.op in _PLAIN:
            result = _PLAIN[node.op](given[0])
    if result is not None:
        known[id(node)] = result
    return result


def _match(values: Array) -> tuple[str, dict[str, object]] | None:
    if not np.isfinite(values).all():
        return None
    slope, depth = float(-values[_MINUS_ONE]), float(-values[_LEAST])
    fitted: list[tuple[str, dict[str, object], Array]] = [
        ("leaky_relu", {"alpha": slope}, np.where(_GRID > 0, _GRID, slope * _GRID)),
        ("elu", {"alpha": depth}, np.where(_GRID > 0, _GRID, depth * np.expm1(np.minimum(_GRID, 0.0)))),
    ]
    for op, attrs, target in [*_TARGETS, *fitted]:
        if (np.abs(values - target) <= 1e-6 * (1.0 + np.abs(target))).all():
            return op, attrs
    return None


def _silu(node: Node, uses: Uses) -> Node | None:
    if node.op == "mul":
        for x, gate in (node.inputs, node.inputs[::-1]):
            if gate.op == "sigmoid" and gate.source is x:
                return _made("silu", x, node)
    return None


def _snake(node: Node, uses: Uses) -> Node | None:
    """Recognise x + sin(alpha x)^2 / beta, with alpha and beta per channel or one for all."""
    if node.op != "add":
        return None
    for x, wave in (node.inputs, node.inputs[::-1]):
        outer = np.ones(1)
        if wave.op == "affine" and (shift_of(wave) == 0).all():
            outer, wave = scale_of(wave), wave.source
        if wave.op != "square" or wave.source.op != "sin":
            continue
        inner = wave.source.source
        alpha = np.ones(1)
        if inner is not x:
            if inner.op != "affine" or inner.source is not x or (shift_of(inner) != 0).any():
                continue
            alpha = scale_of(inner)
        if (outer == 0).any():
            continue
        made = _made("snake", x, node)
        made.weights["alpha"] = alpha
        # A beta that equals alpha but for rounding is alpha: one weight less to read.
        if not np.allclose(outer * alpha, 1.0, rtol=2e-7, atol=0.0):
            made.weights["beta"] = 1.0 / outer
        return made
    return None


def _deviation(node: Node) -> tuple[Node, Node, float] | None:
    """Match d / sqrt(mean(s^2) + eps); return d, s and eps."""
    if node.op == "div":
        pairs = [(node.inputs[0], node.inputs[1])]
    elif node.op == "mul":
        pairs = [(a, b.source) for a, b in (node.inputs, node.inputs[::-1]) if b.op == "reciprocal"]
    else:
        return None
    for top, root in pairs:
        if root.op != "sqrt":
            continue
        mean, eps = root.source, 0.0
        if mean.op == "affine" and (scale_of(mean) == 1.0).all() and shift_of(mean).size == 1:
            mean, eps = mean.source, float(shift_of(mean)[0])
        if mean.op == "channel_mean" and mean.source.op == "square" and 1e-20 <= eps <= 1.0:
            return top, mean.source.source, eps
    return None


def _norm(node: Node, uses: Uses) -> Node | None:
    found = _deviation(node)
    if found is None or found[0] is not found[1]:
        return None
    centred, eps = found[0], found[2]
    if centred.op == "sub" and centred.inputs[1].op == "channel_mean" and centred.inputs[1].source is centred.source:
        return _made("layer_norm", centred.source, node, eps=eps)
    return _made("rms_norm", centred, node, eps=eps)


def _weighted_norm(node: Node, uses: Uses) -> Node | None:
    """Fold the scale and shift that follow a norm into its weights."""
    if node.op != "affine" or node.source.op not in ("layer_norm", "rms_norm") or not uses.once(node.source):
        return None
    norm = node.source
    scale, shift = (np.broadcast_to(item, (norm.channels,)) for item in (scale_of(node), shift_of(node)))
    if norm.op == "rms_norm" and (shift != 0).any():
        if (scale == 1.0).all():
            return None
        return affine_node(_weighted(norm, scale, None), np.ones(1), shift.copy(), node)
    return _weighted(norm, scale, shift if norm.op == "layer_norm" else None)


def _weighted(norm: Node, scale: Array, shift: Array | None) -> Node:
    made = Node(norm.op, [norm.source], norm.channels, norm.rate, dict(norm.attrs), {}, norm.origin, norm.label)
    made.weights["weight"] = np.asarray(norm.weights.get("weight", np.ones(1)), np.float64) * scale
    if shift is not None:
        made.weights["bias"] = np.asarray(norm.weights.get("bias", np.zeros(1)), np.float64) * scale + shift
    return made


def _glu(node: Node, uses: Uses) -> Node | None:
    """Recognise a(first half) * b(second half)."""
    if node.op != "mul":
        return None
    halves = []
    for side in node.inputs:
        op, view = (side.op, side.source) if side.op in PLAIN and uses.once(side) else ("none", side)
        if view.op != "slice":
            return None
        halves.append((view.attrs["start"], view.attrs["stop"], op, view.source))
    halves.sort(key=lambda half: half[0])
    (start, middle, a, x), (middle_too, stop, b, x_too) = halves
    if x is not x_too or start != 0 or middle != middle_too or stop != x.channels or 2 * middle != stop or b == "none":
        return None
    return Node("glu", [x], middle, x.rate, {"a": a, "b": b}, {}, node.origin, node.label)


def _film(node: Node, uses: Uses) -> Node | None:
    """Recognise x * (gamma + offset) + beta with gamma and beta that a host sets."""
    if node.op != "add":
        return None
    for product, beta in (node.inputs, node.inputs[::-1]):
        if not beta.control or product.op != "mul" or product.control or not uses.once(product):
            continue
        for x, gamma in (product.inputs, product.inputs[::-1]):
            if not gamma.control or x.control or x.channels < max(gamma.channels, beta.channels):
                continue
            offset = 0.0
            if (
                gamma.op == "affine"
                and (scale_of(gamma) == 1.0).all()
                and shift_of(gamma).size == 1
                and uses.once(gamma)
            ):
                offset, gamma = float(shift_of(gamma)[0]), gamma.source
            return Node("film", [x, gamma, beta], x.channels, x.rate, {"offset": offset}, {}, node.origin, node.label)
    return None


def _linear_upsampling(node: Node, uses: Uses) -> Node | None:
    """Recognise x[i] + w * (x[j] - x[i]) with positions i + w that advance by 1 / factor."""
    if node.op != "add":
        return None
    for first, weighted in (node.inputs, node.inputs[::-1]):
        if first.op != "gather_time" or weighted.op != "mul_time" or weighted.source.op != "sub":
            continue
        second, same = weighted.source.inputs
        if second.op != "gather_time" or same is not first or second.source is not first.source:
            continue
        factor = first.rate / first.source.rate
        if factor.denominator != 1:
            continue
        for coordinates, offset in (("half_pixel", 0.5), ("asymmetric", 0.0)):
            probes = zip(
                first.attrs["frames"].arrays,
                second.attrs["frames"].arrays,
                weighted.attrs["numbers"].arrays,
                strict=True,
            )
            if all(_interpolates(*arrays, int(factor), offset) for arrays in probes):
                source = first.source
                attrs = {"factor": int(factor), "mode": "linear", "coordinates": coordinates}
                return Node("upsample", [source], source.channels, first.rate, attrs, {}, node.origin, node.label)
    return None


def _interpolates(low: Array, high: Array, weight: Array, factor: int, offset: float) -> bool:
    count = len(low) - factor  # at the end the last frame is repeated, which no stream knows yet
    if not (len(high) == len(low) == len(weight) and count > 0):
        return False
    place = np.maximum((np.arange(count) + offset) / factor - offset, 0.0)
    weight = weight[:count].astype(np.float64)
    # float32 positions: their error grows with the position, as the exporter computes them.
    near = np.abs(low[:count] + weight - place) <= 1e-6 * (1.0 + place)
    return bool(near.all() and ((high[:count] == low[:count] + 1) | (weight == 0)).all())


PATTERNS: list[tuple[str, Rule]] = [
    ("square", _square),
    ("silu", _silu),
    ("activation by its values", _by_values),
    ("linear upsampling", _linear_upsampling),
    ("snake", _snake),
    ("norm over channels", _norm),
    ("scale and shift into the norm", _weighted_norm),
    ("gate", _glu),
    ("film", _film),
]
