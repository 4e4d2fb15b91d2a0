"""Patterns that exporters write out in small operators: activations, gates, normalisation over channels."""

from __future__ import annotations

import numpy as np

from .activations import activation
from .ir import PLAIN, Array, Node
from .rewrite import Rule, Uses, affine_node, scale_of, shift_of


def _made(op: str, source: Node, like: Node, **attrs: object) -> Node:
    return Node(op, [source], source.channels, source.rate, dict(attrs), {}, like.origin, like.label)


def _square(node: Node, uses: Uses) -> Node | None:
    if node.op == "mul" and node.inputs[0] is node.inputs[1]:
        return _made("square", node.source, node)
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
    ("activation by its values", activation),
    ("linear upsampling", _linear_upsampling),
    ("snake", _snake),
    ("norm over channels", _norm),
    ("scale and shift into the norm", _weighted_norm),
    ("gate", _glu),
    ("film", _film),
]
