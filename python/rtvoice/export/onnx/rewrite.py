"""Rewriting the lowered graph: scales and shifts into weights, crops and padding into convolutions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

from .ir import POINTWISE, Array, IndexArray, Node, count_users, may_overflow, topological

#: Ops that compute a frame from the same frame of what they read.
FRAMEWISE = POINTWISE | {"linear", "slice", "pick", "concat", "layer_norm", "rms_norm", "softmax", "channel_mean"}
Rule = Callable[[Node, "Uses"], "Node | None"]
_MAX_PASSES = 64
_MOST = float(np.finfo(np.float32).max)


class Uses:
    """How often the nodes of a graph are read."""

    def __init__(self, counts: dict[int, int]) -> None:
        self._counts = counts

    def count(self, node: Node) -> int:
        """Return how often `node` is read."""
        return self._counts.get(id(node), 1)

    def once(self, node: Node) -> bool:
        """Whether only one other node reads `node`."""
        return self.count(node) <= 1


def rewrite(outputs: list[Node], rules: list[tuple[str, Rule]]) -> tuple[list[Node], Counter[str]]:
    """Apply rules until none fits.

    Returns
    -------
    list of Node
        The outputs of the new graph.
    Counter
        How often each rule was used.
    """
    counts: Counter[str] = Counter()
    for _ in range(_MAX_PASSES):
        order = topological(outputs)
        uses = Uses(count_users(order, outputs))
        forward: dict[int, Node] = {}
        seen: dict[Any, Node] = {}
        changed = False
        for node in order:
            node.inputs = [_resolve(forward, item) for item in node.inputs]
            twin = seen.setdefault(_key(node), node)
            if twin is not node:
                forward[id(node)] = twin
                changed = True
                continue
            for name, rule in rules:
                new = rule(node, uses)
                if new is not None and new is not node:
                    new.origin, new.label = new.origin or node.origin, new.label or node.label
                    forward[id(node)] = new
                    counts[name] += 1
                    changed = True
                    break
        outputs = [_resolve(forward, node) for node in outputs]
        if not changed:
            break
    return outputs, counts


def _resolve(forward: dict[int, Node], node: Node) -> Node:
    while id(node) in forward:
        node = forward[id(node)]
    return node


def _key(node: Node) -> Any:
    """Return what makes two nodes the same computation; unique for inputs and large weights."""
    if node.op in ("input", "parameter") or sum(array.size for array in node.weights.values()) > 4096:
        return id(node)
    weights = tuple((role, array.dtype.str, array.shape, array.tobytes()) for role, array in node.weights.items())
    return (node.op, tuple(id(item) for item in node.inputs), repr(sorted(node.attrs.items())), weights, node.rate)


def copy_of(node: Node, **changes: Any) -> Node:
    """Return a node like `node` with some fields changed."""
    fields = {name: getattr(node, name) for name in Node.__dataclass_fields__}
    fields.update({name: fields[name].copy() for name in ("inputs", "attrs", "weights")})
    fields.update(changes)
    return Node(**fields)


def scale_of(node: Node) -> Array:
    """Return the scale of an affine node as float64."""
    return np.asarray(node.weights.get("scale", np.ones(1)), np.float64)


def shift_of(node: Node) -> Array:
    """Return the shift of an affine node as float64."""
    return np.asarray(node.weights.get("shift", np.zeros(1)), np.float64)


def affine_node(source: Node, scale: Array, shift: Array, like: Node) -> Node:
    """Make an affine node, leaving out what does nothing."""
    weights = {}
    if (scale != 1.0).any():
        weights["scale"] = scale
    if (shift != 0.0).any():
        weights["shift"] = shift
    return Node("affine", [source], source.channels, source.rate, {}, weights, like.origin, like.label)


def _drop_identity(node: Node, uses: Uses) -> Node | None:
    if node.op == "affine" and (scale_of(node) == 1.0).all() and (shift_of(node) == 0.0).all():
        return node.source
    if node.op in ("delay", "advance") and node.attrs["frames"] == 0:
        return node.source
    if node.op == "concat" and len(node.inputs) == 1:
        return node.source
    return None


def _join_affines(node: Node, uses: Uses) -> Node | None:
    if node.op != "affine" or node.source.op != "affine" or not uses.once(node.source):
        return None
    inner = node.source
    scale = scale_of(inner) * scale_of(node)
    shift = shift_of(inner) * scale_of(node) + shift_of(node)
    return affine_node(inner.source, scale, shift, inner)


def _per_band(vector: Array, outputs: int) -> Array | None:
    """Return what a vector over [band][channel] has for each channel, where that is the same in all bands."""
    if len(vector) == 1:
        return np.broadcast_to(vector, (outputs,))
    rows = vector.reshape(-1, outputs)
    return rows[0] if (rows == rows[0]).all() else None


def _scale_into_bands(node: Node, uses: Uses) -> Node | None:
    """Fold an affine node into the convolution over bands before it."""
    layer = node.source if node.op == "affine" else None
    if layer is None or layer.op != "conv_bands" or not uses.once(layer):
        return None
    outputs = len(layer.weights["weight"])
    scale, shift = (_per_band(vector, outputs) for vector in (scale_of(node), shift_of(node)))
    if scale is None or shift is None:
        return None
    weights = dict(layer.weights)
    if (scale != 1.0).any():
        weights["weight"] = weights["weight"].astype(np.float64) * scale[:, None, None, None]
    bias = weights.get("bias")
    weights["bias"] = (0.0 if bias is None else bias.astype(np.float64)) * scale + shift
    return copy_of(layer, weights=weights)


def _join_picks(node: Node, uses: Uses) -> Node | None:
    """Choose at once what is chosen in two steps."""
    if node.op not in ("pick", "slice") or node.source.op != "pick":
        return None
    inner = np.asarray([*node.source.attrs["index"], -1], np.int64)
    if node.op == "slice":
        index = inner[node.attrs["start"] : node.attrs["stop"]]
    else:
        index = inner[np.asarray(node.attrs["index"])]
    if np.array_equal(index, np.arange(node.source.source.channels)):
        return node.source.source
    return copy_of(node, op="pick", inputs=[node.source.source], attrs={"index": index.tolist()})


def _scale_into_weights(node: Node, uses: Uses) -> Node | None:
    """Fold an affine node (batch norm, a bias that was an Add) into the layer before it."""
    layer = node.source if node.op == "affine" else None
    if layer is None or layer.op not in ("conv1d", "conv_transpose1d", "linear") or not uses.once(layer):
        return None
    scale = np.broadcast_to(scale_of(node), (layer.channels,))
    shift = np.broadcast_to(shift_of(node), (layer.channels,))
    weights = dict(layer.weights)
    # Weights that stay as they are keep their type and every bit.
    if (scale != 1.0).any():
        weight = weights["weight"].astype(np.float64)
        if layer.op == "conv_transpose1d":
            groups = layer.attrs["groups"]
            rows = np.repeat(scale.reshape(groups, -1), len(weight) // groups, axis=0)
            weights["weight"] = weight * rows[:, :, None]
        else:
            weights["weight"] = weight * scale.reshape(-1, *(1,) * (weight.ndim - 1))
    bias = weights.get("bias")
    if bias is None and (scale == 1.0).all():
        weights["bias"] = shift.copy()
    else:
        weights["bias"] = (0.0 if bias is None else bias.astype(np.float64)) * scale + shift
    return copy_of(layer, weights=weights)


def _shift_into_weights(node: Node, uses: Uses) -> Node | None:
    """Fold an affine node into the layer before it where that leaves the layer's matrix as it is."""
    return _scale_into_weights(node, uses) if node.op == "affine" and (scale_of(node) == 1.0).all() else None


def _selection(node: Node) -> IndexArray | None:
    """Return which channel each output of a node copies (-1: zero), if it does no more."""
    if node.op == "pick":
        return np.asarray(node.attrs["index"], np.int64)
    if node.op != "linear" or "bias" in node.weights:
        return None
    weight = node.weights["weight"]
    if ((weight != 0) & (weight != 1)).any() or (np.count_nonzero(weight, axis=1) > 1).any():
        return None
    return np.where(weight.any(axis=1), weight.argmax(axis=1), -1)


def _choose_in_weights(node: Node, uses: Uses) -> Node | None:
    """Let a layer that reads a permutation of channels read the channels where they are."""
    if node.op not in ("linear", "conv1d", "gru", "lstm") or node.attrs.get("groups", 1) != 1:
        return None
    index = _selection(node.source) if uses.once(node.source) or node.source.op == "pick" else None
    if index is None or node.source.source.channels > 4 * len(index):
        return None  # few of many channels: reading them all would cost more than choosing
    if node.op in ("gru", "lstm"):
        given = node.weights["weight_ih"]
        moved = np.zeros((len(given), node.source.source.channels), given.dtype)
        if len(np.unique(index[index >= 0])) < np.count_nonzero(index >= 0):
            return None
        moved[:, index[index >= 0]] = given[:, index >= 0]
        return copy_of(node, inputs=[node.source.source], weights={**node.weights, "weight_ih": moved})
    weight = node.weights["weight"]
    repeated = len(np.unique(index[index >= 0])) < np.count_nonzero(index >= 0)
    kind = np.float64 if repeated else weight.dtype
    moved = np.zeros((weight.shape[0], node.source.source.channels, *weight.shape[2:]), kind)
    for place in np.flatnonzero(index >= 0):
        moved[:, index[place]] += weight[:, place]
    return copy_of(node, inputs=[node.source.source], weights={**node.weights, "weight": moved})


def _shift_into_next(node: Node, uses: Uses) -> Node | None:
    """Fold a delay or a crop into the padding of the convolution that follows."""
    if node.op not in ("conv1d", "avg_pool", "conv_bands") or node.source.op not in ("delay", "advance"):
        return None
    shift = node.source
    left, right = node.attrs["pads"]
    if shift.op == "delay":
        left += shift.attrs["frames"]
    elif left <= 0:
        # With padding in front, the layer would read zeros where the stream has frames that were cut off.
        left -= shift.attrs["frames"]
    else:
        return None
    return copy_of(node, inputs=[shift.source], attrs={**node.attrs, "pads": [left, right]})


def _shift_behind_choice(node: Node, uses: Uses) -> Node | None:
    """Choose channels before they are delayed or cropped: the layer that reads them can then take the shift."""
    if node.op not in ("slice", "pick") or node.source.op not in ("delay", "advance"):
        return None
    shift = node.source
    chosen = copy_of(node, inputs=[shift.source])
    return copy_of(shift, inputs=[chosen], channels=node.channels, label="")


def _shift_behind_joining(node: Node, uses: Uses) -> Node | None:
    """Join signals before they are delayed or cropped alike: the layer that reads them can then take the shift.

    What comes before the start is zero, and stays so when it is joined.
    """
    if node.op not in ("concat", "add", "sub", "mul") or len(node.inputs) < 2:
        return None
    first = node.inputs[0]
    if first.op not in ("delay", "advance") or any(
        (item.op, item.attrs) != (first.op, first.attrs) or item.rate != first.rate for item in node.inputs
    ):
        return None
    own = [item for item in node.inputs if item is not first]
    if uses.count(first) > len(node.inputs) - len(own) or not all(uses.once(item) for item in own):
        return None
    joined = copy_of(node, inputs=[item.source for item in node.inputs])
    return copy_of(first, inputs=[joined], channels=node.channels, label="")


def _crop_of_padding(node: Node, uses: Uses) -> Node | None:
    """Cut frames off before layers of single frames, where it is frames of padding that are cut off behind them."""
    if node.op != "advance" or node.source.op not in FRAMEWISE:
        return None
    return _cut_off(node.source, node.attrs["frames"], uses)


def _cut_off(node: Node, frames: int, uses: Uses) -> Node | None:
    """Return a node whose first frames are cut off, where all that it reads of the signal was delayed."""
    if node.control:
        return node
    if node.op == "delay":
        rest = node.attrs["frames"] - frames
        if rest == 0:
            return node.source
        return copy_of(node, op="delay" if rest > 0 else "advance", attrs={"frames": abs(rest)})
    if node.op not in FRAMEWISE or not uses.once(node):
        return None
    inputs = [_cut_off(item, frames, uses) for item in node.inputs]
    return None if None in inputs else copy_of(node, inputs=inputs)


def _crop_into_layer(node: Node, uses: Uses) -> Node | None:
    """Fold a crop at the start into the layer before it."""
    if node.op != "advance" or not uses.once(node.source):
        return None
    layer, frames = node.source, node.attrs["frames"]
    if layer.op in ("conv1d", "avg_pool", "conv_bands"):
        left, right = layer.attrs["pads"]
        step = layer.attrs.get("stride", 1)
        return copy_of(layer, attrs={**layer.attrs, "pads": [left - frames * step, right]})
    if layer.op == "conv_transpose1d":
        left, right = layer.attrs["crop"]
        return copy_of(layer, attrs={**layer.attrs, "crop": [left + frames, right]})
    return None


def _join_shifts(node: Node, uses: Uses) -> Node | None:
    if node.op not in ("delay", "advance") or node.source.op not in ("delay", "advance") or not uses.once(node.source):
        return None
    inner, frames = node.source, node.attrs["frames"]
    if inner.op == node.op:
        return copy_of(inner, attrs={"frames": inner.attrs["frames"] + frames})
    if node.op == "delay":
        return None  # a crop and then zeros: the frames that were cut off must stay away
    rest = inner.attrs["frames"] - frames
    return copy_of(inner, op="delay" if rest >= 0 else "advance", attrs={"frames": abs(rest)})


def _compare(node: Node, uses: Uses) -> Node | None:
    """Write `x > 0` with the model file's ops: whatever float32 holds above zero, times 3e38, is above 1."""
    if node.op != "positive":
        return None
    steep = Node("affine", [node.source], node.channels, node.rate, {}, {"scale": np.full(1, 3e38)}, node.origin, "")
    return Node("clip", [steep], node.channels, node.rate, {"min": 0.0, "max": 1.0}, {}, node.origin, node.label)


def _choose(node: Node, uses: Uses) -> Node | None:
    """Write a choice between two signals as c * a + (1 - c) * b: exact, however far apart the two are."""
    if node.op != "where":
        return None
    condition, first, second = node.inputs
    size = max(item.channels for item in node.inputs)

    def made(op: str, *inputs: Node) -> Node:
        return Node(op, list(inputs), size, node.rate, {}, {}, node.origin, node.label)

    other = affine_node(condition, np.full(1, -1.0), np.ones(1), node)
    return made("add", made("mul", condition, _held(first)), made("mul", other, _held(second)))


def _held(node: Node) -> Node:
    """Keep what may overflow within float32: 0 times infinity would be no number where it is not chosen."""
    if not may_overflow(node):
        return node
    return Node("clip", [node], node.channels, node.rate, {"min": -_MOST, "max": _MOST}, {}, node.origin, node.label)


FOLDING: list[tuple[str, Rule]] = [
    ("no-op", _drop_identity),
    ("scale and shift joined", _join_affines),
    ("channel order into weights", _choose_in_weights),
    ("padding or crop into the next layer", _shift_into_next),
    ("crop into the layer", _crop_into_layer),
    ("crop of padding", _crop_of_padding),
    ("channels chosen before a shift", _shift_behind_choice),
    ("joined before a shift", _shift_behind_joining),
    ("shifts joined", _join_shifts),
    ("choices of channels joined", _join_picks),
]
# What patterns have not taken: comparisons that are no part of an activation.
COMPARING: list[tuple[str, Rule]] = [("comparison", _compare), ("choice", _choose)]
LAST: list[tuple[str, Rule]] = [
    *FOLDING,
    ("scale or bias into weights", _scale_into_weights),
    ("scale or bias into weights", _scale_into_bands),
]
# A rounded matrix times a scale is no rounded matrix: the scale stays a node.
LAST_ROUNDED: list[tuple[str, Rule]] = [*FOLDING, ("bias into weights", _shift_into_weights)]
