"""Where a stream parts: the engine from float64, a file from a fresh import, an import from its ONNX graph."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rtvoice import parity
from rtvoice.errors import ModelError
from rtvoice.graph import Graph, Node
from rtvoice.parity import F32, F64
from rtvoice.reference import evaluate
from rtvoice.safetensors_io import Array, widened

if TYPE_CHECKING:
    from rtvoice.export.onnx.importer import Imported
    from rtvoice.export.onnx.oracle import Oracle
    from rtvoice.model import Model

__all__ = ["Layer", "delays_of", "from_float64", "from_import", "from_source", "not_finite"]

MOST_OUTPUTS = 200  # values that are read at once when nodes are compared
_MOST_HOPS = 1_500
# An inner tensor of a source that runs in float32 is further from float64 than the output: sums that cancel later.
INNER_TOLERANCE = 1e-4
# Said of what does not begin as it does for a shorter recording.
CHANGING = ", which changes with the length of the recording"


@dataclass
class Layer:
    """The difference at one node, relative to the node's own peak."""

    name: str
    op: str
    error: float
    passed: bool


def delays_of(model: Model) -> dict[str, int]:
    """Return by how many frames each value of a model is late."""
    return {str(layer["name"]): int(layer["delay"]) for layer in model.info["layers"]}


def not_finite(graph: Graph, signal: F32) -> list[Layer]:
    """Tell which nodes give values that are not finite in float64."""
    tensors = evaluate(graph, parity.prewarmed(graph, signal))
    sound = {node.name: parity.first_not_finite(tensors[node.name]) is None for node in graph.nodes}
    return [
        Layer(node.name, node.op, 0.0 if sound[node.name] else float("inf"), sound[node.name]) for node in graph.nodes
    ]


def from_float64(graph: Graph, signal: F32, tolerance: float, *, finite: bool) -> list[Layer]:
    """Compare every node of a graph with float64: the nodes become value outputs, a few hundred at a time.

    Inside a graph an infinity may be right (the log of silence, clipped by the next), unless `finite` is asked for.
    """
    signal = signal[: min(len(signal) // graph.hop, _MOST_HOPS) * graph.hop]
    phases = any(node.op == "phase" for node in graph.nodes)
    tensors = {} if phases else parity.tensors(graph, signal)
    layers = []
    for start in range(0, len(graph.nodes), MOST_OUTPUTS):
        nodes = graph.nodes[start : start + MOST_OUTPUTS]
        names = [node.name for node in nodes]
        model = parity.rebuilt(graph, outputs=names).model()
        if phases:
            tensors = parity.tensors(graph, signal, names)
        delays = delays_of(model)
        got = parity.stream_values(model, signal, names, graph.hop)
        for node in nodes:
            made = graph.values[node.name]
            expected = tensors[node.name][graph.warm_hops * made.frames :]
            frames = parity.newest_frames(len(got[node.name]), made.frames, delays.get(node.name, 0))
            inside = (frames >= 0) & (frames < len(expected))
            peak = parity.peak_of(expected)
            run = parity.compare(
                node.name, got[node.name][inside], expected[frames[inside]], peak, tolerance, finite=finite
            )
            layers.append(Layer(node.name, node.op, run.error, run.passed))
    return layers


def from_import(graph: Graph, fresh: Graph, signal: F32, tolerance: float) -> list[Layer]:
    """Hold every node of a file, in float64, against the node of that name that its source gives when imported anew.

    Parameters
    ----------
    graph, fresh
        Of the file and of the import, with the same values of parameters.
    signal
        What both hear.
    tolerance
        Relative to the peak of the fresh node. A node whose op, attributes or weights differ fails in any case.
    """
    mine, theirs = (parity.tensors(each, signal[: len(signal) // each.hop * each.hop]) for each in (graph, fresh))
    known = {node.name: node for node in fresh.nodes}
    layers = []
    for node in graph.nodes:
        other = known.get(node.name)
        if other is None:
            layers.append(Layer(node.name, f"{node.op}, which its source does not give", float("inf"), False))
            continue
        here = mine[node.name][graph.warm_hops * graph.values[node.name].frames :]
        there = theirs[node.name][fresh.warm_hops * fresh.values[node.name].frames :]
        error, passed = float("inf"), False
        if here.shape[1:] == there.shape[1:]:
            count = min(len(here), len(there))
            run = parity.compare(node.name, here[:count], there[:count], parity.peak_of(there), tolerance)
            error, passed = run.error, run.passed
        apart = _unlike(node, other)
        layers.append(Layer(node.name, node.op + apart, error, passed and not apart))
    return layers


def _unlike(node: Node, other: Node) -> str:
    if node.op != other.op:
        return f", in its source {other.op}"
    for key in sorted(node.attrs.keys() | other.attrs.keys()):
        here, there = (json.dumps(each.attrs.get(key), default=str) for each in (node, other))
        if here != there:
            return f", {key} {here}, in its source {there}"
    for role in sorted(node.weights.keys() | other.weights.keys()):
        if not _equal(node.weights.get(role), other.weights.get(role)):
            return f", whose {role} is not its source's"
    return "" if node.inputs == other.inputs else f", after {node.inputs}, in its source after {other.inputs}"


def _equal(here: Array | None, there: Array | None) -> bool:
    return here is not None and there is not None and np.array_equal(widened(here), widened(there))


def from_source(
    imported: Imported,
    signal: F32,
    lengths: Sequence[int],
    values: Mapping[str, NDArray[np.float64]],
    runner: str = "onnxruntime",
) -> list[Layer]:
    """Hold every tensor of an ONNX graph that is a stream against what the import makes of it, in float64.

    Parameters
    ----------
    imported
        The import.
    signal, lengths
        What both hear, and the lengths at which the source runs: what differs between two lengths depends on where a
        recording ends, and is left out.
    values
        Of the parameters.
    runner
        What runs the source, as in `check`.

    Returns
    -------
    list of Layer
        In the order of the source's nodes, by their names and operators.
    """
    imported = imported.unbranched()
    nodes = {node.output[0]: node for node in imported.source.model.graph.node if node.output}
    opened = _opened(imported, [name for name in imported.streams() if name in nodes])
    if opened is None:
        return []
    oracle = opened.oracle(runner)
    runs = [oracle.run(signal[:length], values) for length in lengths]
    shorter = runs[:-1] + _shortened(oracle, signal[: lengths[-1] - 1], values)
    graph = parity.rebuilt(opened.builder.graph(), defaults=values).graph()
    heard = signal[: lengths[-1] // graph.hop * graph.hop]
    made = parity.tensors(graph, heard)
    places = {output.name: output.tensor for output in graph.outputs}
    layers = []
    for out in opened.outputs:
        if out.source not in nodes:
            continue
        expected, tensor = runs[-1][out.name], places[out.name]
        count = parity.agreed(runs[0][out.name], expected, INNER_TOLERANCE) if len(runs) > 1 else len(expected)
        node = nodes[out.source]
        if len(expected) > 1 and any(_changes(run[out.name], expected) for run in shorter):
            layers.append(Layer(node.name or out.source, node.op_type + CHANGING, float("inf"), False))
            continue
        found = made[tensor][graph.warm_hops * graph.values[tensor].frames :]
        count = min(count, len(found))
        if not count:
            continue
        peak = parity.peak_of(expected)
        run = parity.compare(out.name, found[:count], expected[:count], peak, INNER_TOLERANCE)
        layers.append(Layer(node.name or out.source, node.op_type, run.error, run.passed))
    order = {node.name or name: place for place, (name, node) in enumerate(nodes.items())}
    return sorted(layers, key=lambda layer: order[layer.name])


def _shortened(oracle: Oracle, signal: F32, values: Mapping[str, NDArray[np.float64]]) -> list[dict[str, F64]]:
    """Run a source for one sample less, where it runs at any length: some depend on whether that is odd."""
    try:
        return [oracle.run(signal, values)] if oracle.length is None else []
    except ModelError:
        return []


def _changes(short: F64, long: F64) -> bool:
    return parity.agreed(short, long, INNER_TOLERANCE) < len(short) // 4


def _opened(imported: Imported, names: list[str]) -> Imported | None:
    """Return the import with more outputs: all of these tensors that can be, None where none can."""
    if not names:
        return None
    try:
        return imported.opened(names)
    except ModelError:
        if len(names) == 1:
            return None
    halves = [names[: len(names) // 2], names[len(names) // 2 :]]
    kept = [
        out.source
        for half in halves
        if (found := _opened(imported, half)) is not None
        for out in found.outputs
        if out.source in half
    ]
    return _opened(imported, kept) if 0 < len(kept) < len(names) else None
