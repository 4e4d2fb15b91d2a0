"""Writing the rewritten graph with the model file's own builder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import lcm
from typing import Any

import numpy as np

from rtvoice.errors import ModelError
from rtvoice.graph import MAX_NODES, GraphBuilder, Tensor

from .inputs import clean
from .ir import Array, Node, topological
from .refusals import ADVICE
from .rounding import halved

_RANGE = 1e6  # of a parameter whose file says nothing about it


_LEFT_OVER = {
    "erf": "; ".join(ADVICE["Erf"]),
    "gather_time": "picks frames in an order that no stream has; use slices with a constant step, or Resize",
    "cell": "gives its cell state to another layer; use the output at each frame instead",
    "mul_time": "uses a constant that changes along the recording; make it an input, or remove it",
}


@dataclass(frozen=True)
class Out:
    """An output: its name, its name in the ONNX file, its node, and how its axes lie there."""

    name: str
    source: str
    node: Node
    kind: str
    time: int | None


def quantum(outputs: Sequence[Node]) -> int:
    """Return the fewest samples that give every tensor a whole number of frames."""
    return lcm(*(node.rate.denominator for node in topological(outputs)))


def write(
    builder: GraphBuilder,
    outputs: Sequence[Out],
    loops: Sequence[Node],
    parameters: Mapping[str, Mapping[str, Any]],
    *,
    half: bool,
) -> None:
    """Write the nodes that the outputs need.

    Parameters
    ----------
    builder
        An empty builder.
    outputs
        What to write.
    loops
        What each recall gives of the frame before.
    parameters
        Options of `GraphBuilder.parameter` by name.
    half
        Whether matrices whose numbers float16 holds are stored so.
    """
    try:
        _write(builder, outputs, loops, parameters, half)
    except ValueError as error:
        raise ModelError(str(error)) from None


def _write(
    builder: GraphBuilder,
    outputs: Sequence[Out],
    loops: Sequence[Node],
    parameters: Mapping[str, Mapping[str, Any]],
    half: bool,
) -> None:
    tensors: dict[int, Tensor] = {}
    taken: dict[str, int] = {"audio": 1}
    order = topological([*(out.node for out in outputs), *loops])
    sources = [node for node in order if node.op in ("input", "parameter")]
    if not any(node.op == "input" for node in sources):
        raise ModelError("no output depends on the audio input; name the right one with audio_input=")
    settable = [node.label for node in sources if node.op == "parameter"]
    for name in parameters:
        if name not in settable:
            raise ModelError(f"parameters: no input is called {name!r}; there is: {', '.join(settable) or 'none'}")
    for node in sources:
        if node.op == "input":
            tensors[id(node)] = builder.input("audio")
            continue
        options: dict[str, Any] = {"min": -_RANGE, "max": _RANGE, **parameters.get(node.label, {})}
        taken[node.label] = 1
        tensors[id(node)] = builder.parameter(node.label, size=node.channels, **options)
    left = [f"{node.origin}: {_LEFT_OVER[node.op]}" for node in order if node.op in _LEFT_OVER]
    if left:
        raise ModelError(left[0] if len(left) == 1 else f"{len(left)} nodes cannot be imported. " + " | ".join(left))
    count = len(order) - len(sources)
    if count > MAX_NODES:
        raise ModelError(
            f"needs {count} nodes, with all joined that can be, and a model file holds at most {MAX_NODES}; use fewer "
            "layers, or cut the network in two models, one engine behind the other"
        )
    names = {
        id(node): _free(clean(node.label or node.op), taken) for node in order if node.op not in ("input", "parameter")
    }
    for node in order:
        if node.op in ("input", "parameter"):
            continue
        op, options = _row(node)
        if op == "recall":
            of, frames = names[id(loops[options["slot"]])], int(node.rate * builder.metadata["hop"])
            options = {"of": of, "channels": node.channels, "frames": frames}
        weights = {role: _storable(array, half) for role, array in options.items() if isinstance(array, np.ndarray)}
        try:
            inputs = [tensors[id(item)] for item in node.inputs]
            tensors[id(node)] = builder.node(op, *inputs, name=names[id(node)], **{**options, **weights})
        except ValueError as error:
            raise ModelError(f"{node.origin}: {error}") from None
    for out in outputs:
        builder.output(tensors[id(out.node)], name=out.name, kind=out.kind)


def _row(node: Node) -> tuple[str, dict[str, Any]]:
    """Return op, weights and attributes as the model file has them."""
    if node.op == "channel_mean":
        channels = node.source.channels
        return "linear", {"weight": np.full((1, channels), 1.0 / channels)}
    return node.op, {**node.attrs, **node.weights}


def _storable(array: Array, half: bool) -> Array:
    """Return a weight as it is stored: float16 and float32 keep every bit, computed ones are rounded here."""
    if array.dtype == np.float16:
        return array
    single: Array = array.astype(np.float32)
    short = halved(single) if half and single.ndim > 1 else None
    return single if short is None else short


def _free(label: str, taken: dict[str, int]) -> str:
    """Return a name that no node has: the label, or that with a number; `taken` holds where counting goes on."""
    name, count = label, taken.get(label, 1)
    while name in taken:
        count += 1
        name = f"{label}_{count}"
    taken[label] = count
    taken[name] = 1
    return name
