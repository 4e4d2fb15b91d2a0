"""LSTM cells that exporters write out: four gates of one sum, and a state that is handed from frame to frame."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .ir import Array, Emitter, Node
from .rewrite import scale_of, shift_of

Origin = tuple[Node | None, int]  # a channel of a node; None for zero
Was = Callable[[Node | None, int], Origin]


def origin_of(node: Node, channel: int) -> Origin:
    """Follow a channel through what only chooses and joins channels."""
    while True:
        if node.op == "slice":
            channel += node.attrs["start"]
        elif node.op == "pick":
            channel = node.attrs["index"][channel]
            if channel < 0:
                return None, 0
        elif node.op == "concat":
            for item in node.inputs:
                if channel < item.channels:
                    break
                channel -= item.channels
            node = item
            continue
        else:
            return node, channel
        node = node.source


@dataclass(frozen=True)
class Written:
    """A cell: what it reads, one after another, its weights, and the node that is its cell state."""

    inputs: list[Node]
    weights: dict[str, Array]
    state: Node


def _whole(node: Node) -> Node:
    """Return the node of which `node` is all channels in order."""
    found = [origin_of(node, channel) for channel in range(node.channels)]
    first = found[0][0]
    if first is None or first.channels != node.channels:
        return node
    return first if all(item is first and place == channel for place, (item, channel) in enumerate(found)) else node


def _is_own(node: Node, of: Node, was: Was) -> bool:
    """Tell whether a node is what `of` was one frame ago."""
    if node.channels != of.channels:
        return False
    return all(was(*origin_of(node, channel)) == (of, channel) for channel in range(of.channels))


def _gate(node: Node, op: str) -> list[Origin] | None:
    """Return what an activation is taken of, channel by channel; None where it is another operation."""
    found = []
    for channel in range(node.channels):
        item, place = origin_of(node, channel)
        if item is None or item.op != op:
            return None
        found.append(origin_of(item.source, place))
    return found


def _pairs(node: Node, op: str) -> list[tuple[Node, Node]]:
    node = _whole(node)
    if node.op != op or len(node.inputs) != 2:
        return []
    a, b = (_whole(item) for item in node.inputs)
    return [(a, b), (b, a)]


def written_cell(node: Node, was: Was) -> Written | None:
    """Recognise h = sigmoid(o) tanh(c), c = sigmoid(f) c' + sigmoid(i) tanh(g), the gates linear in x and h'."""
    for opened, squashed in _pairs(node, "mul"):
        out = _gate(opened, "sigmoid")
        if out is None or squashed.op != "tanh":
            continue
        state = _whole(squashed.source)
        for kept, added in _pairs(state, "add"):
            for forgetting, before in _pairs(kept, "mul"):
                for entering, candidate in _pairs(added, "mul"):
                    gates = [_gate(entering, "sigmoid"), _gate(forgetting, "sigmoid"), _gate(candidate, "tanh"), out]
                    if all(gate is not None for gate in gates) and _is_own(before, state, was):
                        return _cell(node, state, [gate for gate in gates if gate is not None], was)
    return None


def _cell(node: Node, state: Node, gates: list[list[Origin]], was: Was) -> Written | None:
    """Gather the rows of all gates: which sums they are, of which inputs."""
    rows = [origin for gate in gates for origin in gate]
    hidden = node.channels
    if len(rows) != 4 * hidden or any(item is None for item, _ in rows):
        return None
    inputs: list[Node] = []
    blocks: list[Array] = []
    recurrent, bias = np.zeros((len(rows), hidden)), np.zeros(len(rows))
    for source in {id(item): item for item, _ in rows if item is not None}.values():
        places = [place for place, (item, _) in enumerate(rows) if item is source]
        channels = [rows[place][1] for place in places]
        parts = _terms(source)
        if parts is None:
            return None
        for weight, shift, read in parts:
            bias[places] += shift[channels]
            if read is None:
                continue
            before = [was(*origin_of(read, column)) for column in range(read.channels)]
            mine = weight[channels].astype(np.float64)
            for column, (item, channel) in enumerate(before):
                if item is node:
                    recurrent[places, channel] += mine[:, column]
            given = np.array([column for column, (item, _) in enumerate(before) if item is not node], np.int64)
            if not len(given):
                continue
            block = np.zeros((len(rows), len(given)))
            block[places] = mine[:, given]
            inputs.append(Emitter().take(read, given))
            blocks.append(block)
    if not inputs or not recurrent.any():
        return None
    weights = {"weight_ih": np.concatenate(blocks, axis=1), "weight_hh": recurrent, "bias_ih": bias}
    return Written(inputs, weights, state)


def _terms(node: Node) -> list[tuple[Array, Array, Node | None]] | None:
    """Return a sum of layers as (matrix, bias, input) each."""
    if node.op == "add" and all(item.channels == node.channels for item in node.inputs):
        parts = [_terms(_whole(item)) for item in node.inputs]
        return None if any(part is None for part in parts) else [term for part in parts if part for term in part]
    if node.op == "affine" and (scale_of(node) == 1.0).all():
        inner = _terms(_whole(node.source))
        more = np.broadcast_to(shift_of(node), (node.channels,))
        return None if inner is None else [*inner, (np.zeros((node.channels, 0)), more, None)]
    if node.op == "linear":
        shift = node.weights.get("bias")
        given = np.zeros(node.channels) if shift is None else np.asarray(shift, np.float64)
        return [(node.weights["weight"], given, node.source)]
    return None
