"""GRU and LSTM that run within a frame, as over its frequencies: written out step by step, in either direction.

A frame is there as a whole when it comes, so that such a layer needs no state, and may run backwards as well: the half
of a dual-path network (Luo et al., 2020) that looks along frequency.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .ir import Array, Emitter, Node
from .values import Known, Stream, Value, fresh
from .walk import Call


@dataclass(frozen=True)
class Direction:
    """The weights of one direction, with ONNX's order of gates; the state before its first step."""

    weight: Array
    recurrent: Array
    bias: Array
    recurrent_bias: Array
    start: list[Array]

    @property
    def hidden(self) -> int:
        """Channels of the state."""
        return int(self.recurrent.shape[-1])


def is_within(call: Call) -> bool:
    """Whether a layer's steps lie within a frame: another axis than that of its steps is time, or none is."""
    stream = call.stream()
    layout = call.attr("layout", 0)
    if stream.rank != 3 or stream.node.control or any(isinstance(value, Stream) for value in call.inputs[5:]):
        return False
    steps, batch = stream.index.shape[1 if layout else 0], stream.index.shape[0 if layout else 1]
    if stream.stepped:
        return bool(steps > 1 and batch == 1)
    return bool(stream.time == (0 if layout else 1))


def written_out(call: Call, kind: str) -> list[Value]:
    """Return Y and the final states of a `gru` or `lstm` whose steps lie within a frame."""
    stream = call.stream()
    layout = call.attr("layout", 0)
    axis = 1 if layout else 0
    steps = int(stream.index.shape[axis])
    index = np.moveaxis(stream.index, axis, 0).reshape(steps, -1)
    if call.has(4) and not all((value == steps).all() for value in call.per_probe(4, "sequence lengths")):
        call.refuse("has sequence lengths", "run it over all of a frame")
    call.name_after(1)
    frames = [call.emit.take(stream.node, row) for row in index]
    step = _gru if kind == "gru" else _lstm
    linear_first = bool(call.attr("linear_before_reset", 0))
    found: list[list[list[Node]]] = []  # by direction, by step: the hidden state, and the cell's
    for number, one in enumerate(_directions(call, kind)):
        backwards = call.attr("direction", "forward") == "reverse" or number == 1
        states: list[list[Node]] = []
        for frame in reversed(frames) if backwards else frames:
            states.append(step(call.emit, one, frame, states[-1] if states else None, linear_first))
        found.append(states[::-1] if backwards else states)
    hidden, count = found[0][0][0].channels, len(found)
    every = _joined(call.emit, [states[n][0] for n in range(steps) for states in found])
    # (steps, directions, batch, hidden), or (batch, steps, directions, hidden)
    shape = (1, steps, count, hidden) if layout else (steps, count, 1, hidden)
    time = None if stream.time is None else 0 if layout else 2
    ends = [states[0 if _ends_first(call, number) else -1] for number, states in enumerate(found)]
    last: list[Value] = []
    for which in range(len(ends[0])):
        node = _joined(call.emit, [end[which] for end in ends])
        last_shape = (1, count, hidden) if layout else (count, 1, hidden)
        last.append(fresh(node, last_shape, None if time is None else axis ^ 1, stream.lengths))
    return [fresh(every, shape, time, stream.lengths), *last]


def _ends_first(call: Call, number: int) -> bool:
    return call.attr("direction", "forward") == "reverse" or number == 1


def _joined(emit: Emitter, nodes: list[Node]) -> Node:
    return nodes[0] if len(nodes) == 1 else emit.node("concat", *nodes, channels=sum(node.channels for node in nodes))


def _directions(call: Call, kind: str) -> list[Direction]:
    weight, recurrent = call.required(1, "weight"), call.required(2, "recurrent weight")
    hidden, gates = recurrent.shape[-1], 3 if kind == "gru" else 4
    count = 2 if call.attr("direction", "forward") == "bidirectional" else 1
    if weight.shape[:2] != (count, gates * hidden) or recurrent.shape[:2] != (count, gates * hidden):
        call.refuse(f"has weights of shape {weight.shape} and {recurrent.shape}", "export it again")
    bias = call.array(3, "bias")
    halves = np.zeros((count, 2 * gates * hidden), weight.dtype) if bias is None else bias
    starts = [_start(call, place, count, hidden) for place in ((5,) if kind == "gru" else (5, 6))]
    found = []
    for n in range(count):
        own, told = np.split(halves[n], 2)
        found.append(Direction(weight[n], recurrent[n], own, told, [start[n] for start in starts]))
    return found


def _start(call: Call, place: int, count: int, hidden: int) -> Array:
    """Return the state before the first step, `(directions, hidden)`, which every frame starts from."""
    value = call.inputs[place] if call.has(place) else None
    if value is None:
        return np.zeros((count, hidden))
    if not isinstance(value, Known):
        call.refuse("starts from a state that is computed from the signal", "start from zeros, or trained numbers")
        raise AssertionError
    given = [np.moveaxis(array, 1 if call.attr("layout", 0) else 0, 0) for array in value.arrays]
    rows = np.concatenate(given, axis=1)
    if (rows != rows[:, :1]).any():
        call.refuse("starts each frame from a state of its own", "start all from the same")
    return np.asarray(rows[:, 0], np.float64)


def _part(emit: Emitter, node: Node, number: int, hidden: int, count: int = 1) -> Node:
    return emit.take(node, np.arange(number * hidden, (number + count) * hidden))


def _gru(emit: Emitter, one: Direction, x: Node, state: list[Node] | None, linear_first: bool) -> list[Node]:
    """Return the state after a step: gates for update, reset, hidden, in this order."""
    size = one.hidden
    heard = emit.linear(x, one.weight, one.bias)
    both, new = _part(emit, heard, 0, size, 2), _part(emit, heard, 2, size)
    inner, inner_bias = one.recurrent[2 * size :], one.recurrent_bias[2 * size :]
    if state is None:
        start = one.start[0]
        told = one.recurrent.astype(np.float64) @ start + one.recurrent_bias
        gates = emit.node("sigmoid", emit.affine(both, shift=told[: 2 * size]))
        update, reset = _part(emit, gates, 0, size), _part(emit, gates, 1, size)
        if linear_first:
            added = emit.affine(reset, scale=told[2 * size :])
        else:
            added = emit.linear(emit.affine(reset, scale=start), inner, inner_bias)
        fresh_state = emit.node("tanh", emit.node("add", new, added))
        away = emit.affine(fresh_state, scale=np.full(1, -1.0), shift=start)
    else:
        hidden = state[0]
        told_gates = emit.linear(hidden, one.recurrent[: 2 * size], one.recurrent_bias[: 2 * size])
        gates = emit.node("sigmoid", emit.node("add", both, told_gates))
        update, reset = _part(emit, gates, 0, size), _part(emit, gates, 1, size)
        if linear_first:
            added = emit.node("mul", reset, emit.linear(hidden, inner, inner_bias))
        else:
            added = emit.linear(emit.node("mul", reset, hidden), inner, inner_bias)
        fresh_state = emit.node("tanh", emit.node("add", new, added))
        away = emit.node("sub", hidden, fresh_state)
    return [emit.node("add", fresh_state, emit.node("mul", update, away))]


def _lstm(emit: Emitter, one: Direction, x: Node, state: list[Node] | None, linear_first: bool) -> list[Node]:
    """Return hidden and cell state after a step: gates for input, output, forget, cell, in this order."""
    size = one.hidden
    heard = emit.linear(x, one.weight, one.bias)
    if state is None:
        told = one.recurrent.astype(np.float64) @ one.start[0] + one.recurrent_bias
        heard = emit.affine(heard, shift=told)
    else:
        heard = emit.node("add", heard, emit.linear(state[0], one.recurrent, one.recurrent_bias))
    gates = emit.node("sigmoid", _part(emit, heard, 0, size, 3))
    let_in, let_out, keep = (_part(emit, gates, number, size) for number in range(3))
    new = emit.node("mul", let_in, emit.node("tanh", _part(emit, heard, 3, size)))
    old = emit.affine(keep, scale=one.start[1]) if state is None else emit.node("mul", keep, state[1])
    cell = emit.node("add", old, new)
    return [emit.node("mul", let_out, emit.node("tanh", cell)), cell]
