"""GRU and LSTM over time: one direction, from a constant state, with ONNX's gate order brought to ours.

Several sequences at once, as the frequencies of a dual-path network, are as many layers with the same weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .ir import Array
from .values import Known, Stream, Value, fresh
from .walk import Call, lowers
from .within import is_within, written_out


@dataclass(frozen=True)
class Cell:
    """A recurrent layer of a network that is called once for each frame: what it starts from and ends with."""

    origin: str
    starts: list[Stream | None]
    ends: list[Value]


_STATE = "export the network without its state as inputs and outputs: rtvoice keeps the state itself"
_COMPUTED = "starts from a state that is computed from {}, and a stream begins only once"
_INSTEAD = (
    "start from a constant state (zeros, or trained numbers), and give the layer {} at every frame, beside its input"
)


@lowers("GRU")
def _gru(call: Call) -> list[Value]:
    _plain(call, ["Sigmoid", "Tanh"])
    if is_within(call):
        return written_out(call, "gru")
    weights = _weights(call, 3)
    # ONNX has update, reset, hidden; we have reset, update, hidden.
    node = _cell(call, "gru", weights, [1, 0, 2], linear_before_reset=bool(call.attr("linear_before_reset", 0)))
    return _results(call, node, [5])


@lowers("LSTM")
def _lstm(call: Call) -> list[Value]:
    if call.attr("input_forget", 0):
        call.refuse("couples input and forget gate", "train with input_forget=0")
    if call.has(7) and call.required(7, "peephole weights").any():
        call.refuse("has peephole weights", "train without them")
    _plain(call, ["Sigmoid", "Tanh", "Tanh"])
    if is_within(call):
        return written_out(call, "lstm")
    weights = _weights(call, 4)
    # ONNX has input, output, forget, cell; we have input, forget, cell, output.
    return _results(call, _cell(call, "lstm", weights, [0, 2, 3, 1]), [5, 6])


def _plain(call: Call, activations: list[str]) -> None:
    """Refuse gates of another kind."""
    count = 2 if call.attr("direction", "forward") == "bidirectional" else 1
    given = call.attr("activations")
    if given is not None and [name.lower() for name in given] != [name.lower() for name in activations] * count:
        call.refuse(f"has the activations {', '.join(given)}", f"use the standard ones: {', '.join(activations)}")
    if call.attr("clip") is not None:
        call.refuse("clips its gates", "train without clip")


def _weights(call: Call, gates: int) -> list[Array | None]:
    direction = call.attr("direction", "forward")
    if direction != "forward":
        call.refuse(
            f"runs {direction}: it needs the end of the recording first",
            "train with one direction (bidirectional=False)",
        )
    if call.has(4) and not _covers(call):
        call.refuse("has sequence lengths", "export for one recording without lengths")
    call.name_after(1)
    weight, recurrent = call.required(1, "weight"), call.required(2, "recurrent weight")
    hidden = recurrent.shape[-1]
    if weight.shape[:2] != (1, gates * hidden) or recurrent.shape[:2] != (1, gates * hidden):
        call.refuse(f"has weights of shape {weight.shape} and {recurrent.shape}", "export it again")
    bias = call.array(3, "bias")
    halves: list[Array | None] = [None, None] if bias is None else [half for half in np.split(bias[0], 2)]
    return [weight[0], recurrent[0], *halves]


def _covers(call: Call) -> bool:
    """Tell whether the sequence lengths are those of the whole recording."""
    stream = call.stream()
    if stream.stepped:
        return all((value == 1).all() for value in call.per_probe(4, "sequence lengths"))
    values = call.per_probe(4, "sequence lengths")
    return all((value == length).all() for value, length in zip(values, stream.lengths, strict=True))


def _initial(call: Call, index: int) -> Stream | None:
    """Return the state that a call starts from, where it is given one; None for a constant."""
    value = call.inputs[index] if call.has(index) else None
    if value is None or isinstance(value, Known):
        return None
    if isinstance(value, Stream) and value.stepped:
        return value
    control = isinstance(value, Stream) and value.node.control
    what = "an input that is constant over a stream" if control else "the signal"
    call.refuse(_COMPUTED.format(what), _INSTEAD.format("that input" if control else "it"))
    return None


def _constant(call: Call, index: int, batch: int, hidden: int, stepped: bool) -> list[Array | None]:
    """Return the constant states that a call starts from, one for each sequence; None for zeros."""
    value = call.inputs[index] if call.has(index) else None
    if not isinstance(value, Known) or not any(array.any() for array in value.arrays):
        return [None] * batch
    if stepped:
        call.refuse("starts every frame from the same state, which is not zero", "hand its own final state on")
    array = call.required(index, "initial state")
    if array.shape != ((batch, 1, hidden) if call.attr("layout", 0) else (1, batch, hidden)):
        sizes = "export with a batch of 1" if batch == 1 else f"give it one for each of its {batch} sequences"
        call.refuse(f"has an initial state of shape {array.shape}", f"{sizes}: (1, {batch}, {hidden})")
    return list(array.reshape(batch, hidden))


def _cell(call: Call, op: str, weights: list[Array | None], order: list[int], **attrs: Any) -> Stream:
    stream = call.stream()
    layout = call.attr("layout", 0)
    if stream.stepped:
        if stream.rank != 3 or stream.index.shape[:2] != (1, 1):
            call.refuse(f"runs over {stream.describe()} within one call", "give it one frame, (1, 1, channels), a call")
    elif stream.time is None:
        call.refuse("runs over something without a time axis", "give it the frames of the signal")
    elif stream.rank != 3 or stream.time != (1 if layout else 0):
        call.refuse(f"runs over {stream.describe()} along another axis than time", "give it (time, batch, channels)")
    parts = dict(zip(("weight_ih", "weight_hh", "bias_ih", "bias_hh"), weights, strict=True))
    reordered = {role: None if array is None else _gates(array, order) for role, array in parts.items()}
    hidden = reordered["weight_hh"].shape[-1]  # type: ignore[union-attr]
    batch = int(stream.index.shape[0 if layout else 1])
    roles = ("initial_h", "initial_c")[: 2 if op == "lstm" else 1]
    starts = [_constant(call, 5 + place, batch, hidden, stream.stepped) for place in range(len(roles))]
    nodes = []
    for sequence in range(batch):
        own = {role: start[sequence] for role, start in zip(roles, starts, strict=True)}
        one = np.take(stream.index, sequence, axis=0 if layout else 1).ravel()
        heard = call.emit.take(stream.node, one)
        nodes.append(call.emit.node(op, heard, channels=hidden, weights={**reordered, **own}, **attrs))
    node = nodes[0] if batch == 1 else call.emit.node("concat", *nodes, channels=batch * hidden)
    # (time, directions, batch, hidden), or (batch, time, directions, hidden)
    shape = (batch, 1, 1, hidden) if layout else (1, 1, batch, hidden)
    return fresh(node, shape, None if stream.stepped else 1 if layout else 0, stream.lengths)


def _gates(array: Array, order: list[int]) -> Array:
    return np.concatenate([np.split(array, len(order))[gate] for gate in order])


def _results(call: Call, output: Stream, initial: list[int]) -> list[Value]:
    """Return Y and the final states, which are the newest frame; the cell state is not a tensor of ours."""
    from .values import Refused

    starts = [_initial(call, index) for index in initial]
    batch = output.index.size // output.index.shape[-1]
    ends = (batch, 1, output.index.shape[-1]) if call.attr("layout", 0) else (1, batch, output.index.shape[-1])
    last: list[Value] = [fresh(output.node, ends, None, output.lengths)]
    if output.stepped:
        if len(starts) == 2:
            cell = call.emit.node("cell", output.node)
            last.append(fresh(cell, (1, 1, cell.channels), None, ()))
        call.walk.cells.append(Cell(call.emit.origin, starts, last))
        return [output, *last]
    if len(starts) == 2:
        used = {name for node in call.walk.source.model.graph.node for name in node.input}
        names = call.proto.output
        if len(names) > 2 and names[2] in used:
            call.refuse("gives its final cell state to another layer", "use the output at each frame instead")
        last.append(Refused())
    return [output, *last]
