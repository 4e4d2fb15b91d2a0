"""Running a model as a stream, cut in many ways, and holding what comes out against an offline output."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rtvoice.graph import Graph, GraphBuilder
from rtvoice.model import Model
from rtvoice.ops import MAX_CHANNELS
from rtvoice.reference import evaluate

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

RATE = 48_000  # a network knows no rate; at this one no resampler comes between
LONGEST_FRAME = 8192
_PRIMES = (7, 61, 127, 509)
_LONGEST_BY_SAMPLE = 6_000
WHOLE = "whole "  # begins the names of outputs that hold a whole hop
_NOISE_ATTRS = {"gaussian": ("low", "high"), "uniform": ("mean", "std")}


@dataclass
class Run:
    """One comparison.

    Attributes
    ----------
    name
        How the input was cut, or which output was read.
    samples
        How many values were compared.
    error
        Largest difference, relative to the peak of the offline output.
    passed
        Whether it is within the tolerance.
    first
        Index of the first value beyond the tolerance; None where there is none.
    level
        What the sound was multiplied by.
    """

    name: str
    samples: int
    error: float
    passed: bool
    first: int | None = None
    level: float = 1.0


def probe_signal(count: int, rng: np.random.Generator) -> F32:
    """Return a test signal: noise of changing level, a stretch of silence and one of denormal numbers."""
    level = 0.02 + 0.6 * np.abs(np.sin(np.arange(count) * (9.0 / max(count, 1))))
    signal = rng.normal(size=count) * level
    signal[count // 2 : count // 2 + count // 16] = 0.0
    signal[count * 5 // 8 : count * 5 // 8 + count // 16] *= 1e-39
    return np.asarray(signal, np.float32)


def flushed(signal: F32) -> F32:
    """Return a signal whose denormal numbers are 0, as they are to the engine: a source takes their sign for one."""
    return np.where(np.abs(signal) < np.finfo(np.float32).tiny, np.float32(0), signal)


def rebuilt(
    graph: Graph,
    *,
    defaults: Mapping[str, ArrayLike] | None = None,
    outputs: Sequence[str] | None = None,
    whole: Sequence[str] = (),
) -> GraphBuilder:
    """Return a copy of a graph at `RATE`.

    Parameters
    ----------
    graph
        What to copy.
    defaults
        Other values of parameters, by name.
    outputs
        Nodes to be value outputs, in place of the graph's own outputs.
    whole
        Values of which one more value output, of that name, has all frames of a hop side by side.
    """
    start = str(graph.metadata.get("start", "zero"))
    prewarm = graph.metadata.get("prewarm")
    builder = GraphBuilder(name="copy", sample_rate=RATE, hop=graph.hop, start=start, prewarm=prewarm)
    tensors = {graph.input_name: builder.input(graph.input_name)}
    for p in graph.parameters:
        value = (defaults or {}).get(p.name, p.default)
        tensors[p.name] = builder.parameter(p.name, size=len(p.default), default=value, min=p.min, max=p.max)
    for node in graph.nodes:
        unused = _NOISE_ATTRS[node.attrs["distribution"]] if node.op == "noise" else ()
        attrs = {key: value for key, value in node.attrs.items() if key not in unused}
        inputs = [tensors[name] for name in node.inputs]
        tensors[node.name] = builder.node(node.op, *inputs, name=node.name, **attrs, **node.weights)
    if outputs is None:
        for output in graph.outputs:
            builder.output(tensors[output.tensor], name=output.name, kind=output.kind)
    else:
        for name in outputs:
            builder.output(tensors[name], name=name, kind="value")
    for name in whole:
        folded = builder.node("time_to_depth", tensors[name], factor=graph.values[name].frames, order="time")
        builder.output(folded, name=f"{WHOLE}{name}"[:128], kind="value")
    return builder


def prewarmed(graph: Graph, signal: F32) -> F32:
    """Return a signal after the silence that the network hears before it."""
    return np.concatenate([np.zeros(graph.warm_hops * graph.hop, np.float32), signal])


def tensors(graph: Graph, signal: F32, outputs: Sequence[str] | None = None) -> dict[str, F64]:
    """Evaluate a graph in float64; its phases add up what they do in an engine whose outputs are these.

    The frames of the silence ahead are in it: `graph.warm_hops` hops.
    """
    whole = prewarmed(graph, signal)
    terms = phase_terms(graph, whole, outputs=outputs)
    return evaluate(graph, whole, turns=terms, recalled=recalled_terms(graph, whole, outputs=outputs))


def agreed(short: F64, long: F64, tolerance: float) -> int:
    """Return how many frames of a recording are the same when it goes on."""
    same = min(len(short), len(long))
    difference = np.abs(short[:same] - long[:same]).max(axis=1)
    off = ~(difference <= tolerance * max(peak_of(long), 1e-30))
    return int(np.flatnonzero(off)[0]) if off.any() else same


def phase_terms(
    graph: Graph,
    signal: F32,
    parameters: Mapping[str, ArrayLike] | None = None,
    outputs: Sequence[str] | None = None,
) -> dict[str, NDArray[np.float32]]:
    """Return what the engine's `phase` nodes add up over a signal, by node, ``(frames, channels)``, delays taken away.

    A sum without end keeps the rounding of its terms for ever, so that a comparison must feed both sums with the same.
    What is an output decides what is fused, and with it the last bits: `outputs` are as in `rebuilt`.
    """
    phases = [node for node in graph.nodes if node.op == "phase"]
    folds = [n for n in phases if graph.values[n.name].channels * graph.values[n.name].frames <= MAX_CHANNELS]
    if not folds:
        return {}
    sources = list(dict.fromkeys(node.inputs[0] for node in folds))
    builder = rebuilt(graph, defaults=parameters, outputs=outputs, whole=sources)
    model = builder.model()
    delays = {str(layer["name"]): int(layer["delay"]) for layer in model.info["layers"]}
    made = {output.name: output.tensor for output in builder.graph().outputs}
    names = [f"{WHOLE}{name}"[:128] for name in sources]
    rows = stream_values(model, signal, names, graph.hop)
    late = {source: rows[name][delays[made[name]] :] for source, name in zip(sources, names, strict=True)}
    return {
        node.name: np.ascontiguousarray(late[node.inputs[0]].reshape(-1, graph.values[node.name].channels), np.float32)
        for node in folds
    }


def recalled_terms(
    graph: Graph,
    signal: F32,
    parameters: Mapping[str, ArrayLike] | None = None,
    outputs: Sequence[str] | None = None,
) -> dict[str, F32]:
    """Return what the engine's `recall` nodes gave over a signal, by node, ``(frames, channels)``, delays taken away.

    A loop that draws from what it drew keeps the rounding of every frame, so that a comparison goes on from the
    engine's own draws, and holds each by itself against what was to be drawn then.
    """
    recalls = [node for node in graph.nodes if node.op == "recall"]
    if not recalls:
        return {}
    sources = list(dict.fromkeys(node.attrs["of"] for node in recalls))
    builder = rebuilt(graph, defaults=parameters, outputs=outputs, whole=sources)
    model = builder.model()
    delays = {str(layer["name"]): int(layer["delay"]) for layer in model.info["layers"]}
    rows = stream_values(model, signal, [f"{WHOLE}{name}"[:128] for name in sources], graph.hop)
    found: dict[str, F32] = {}
    for node in recalls:
        flat = rows[f"{WHOLE}{node.attrs['of']}"[:128]].reshape(-1, node.attrs["channels"])
        # Frames are folded by hops, whose delay is rounded up: the rest is in the delay of what folds them.
        made = {o.name: o.tensor for o in builder.graph().outputs}[f"{WHOLE}{node.attrs['of']}"[:128]]
        drawn = flat[delays[made] * graph.values[node.attrs["of"]].frames :]
        found[node.name] = np.ascontiguousarray(np.concatenate([np.zeros((1, flat.shape[1])), drawn[:-1]]), np.float32)
    return found


def cuttings(hop: int, count: int, rng: np.random.Generator) -> Iterator[tuple[str, list[int], bool]]:
    """Return ways to cut a stream: a name, the sizes of the frames, and whether the engine is used and reset first."""
    short = min(count, _LONGEST_BY_SAMPLE)
    yield "whole", _equal(count, LONGEST_FRAME), False
    yield "samples one by one", _equal(short, 1), False
    for prime in _PRIMES:
        if prime < count:
            yield f"frames of {prime}", _equal(count, prime), False
    if hop > 1:
        yield f"frames of a hop, {hop}", _equal(count, min(hop, LONGEST_FRAME)), False
        yield f"frames of {hop + 1}", _equal(count, min(hop + 1, LONGEST_FRAME)), False
    yield "random frames, with empty ones", _random(count, rng), False
    yield "random frames, after a reset", _random(count, rng), True


def _equal(count: int, size: int) -> list[int]:
    return [min(size, count - start) for start in range(0, count, size)]


def _random(count: int, rng: np.random.Generator) -> list[int]:
    sizes: list[int] = []
    left = count
    while left:
        size = min(left, int(rng.integers(0, int(rng.choice([4, 64, 700, 2048])))))
        sizes.append(size)
        left -= size
    return sizes


def shortened(sizes: Sequence[int], count: int) -> list[int]:
    """Return the frames that lie within `count` samples."""
    out: list[int] = []
    left = count
    for size in sizes:
        out.append(min(size, left))
        left -= out[-1]
        if not left:
            break
    return out


def stream_audio(model: Model, signal: F32, sizes: Sequence[int], *, dirty: bool = False) -> tuple[F32, int]:
    """Run the engine over a signal in frames of `sizes`; return what came out and how many samples late it is."""
    from rtvoice.engine import Engine

    engine = Engine(model, RATE, max_frame=max(*sizes, LONGEST_FRAME))
    if dirty:
        engine.process(np.full(LONGEST_FRAME, 0.7, np.float32))
        engine.process(np.ones(13, np.float32))
        engine.reset()
    out = np.empty(sum(sizes), np.float32)
    place = 0
    for size in sizes:
        out[place : place + size] = engine.process(signal[place : place + size])
        place += size
    return out, engine.latency


def stream_values(model: Model, signal: F32, names: Sequence[str], hop: int) -> dict[str, F64]:
    """Run the engine hop by hop; return for each value output what it held after each hop, ``(hops, channels)``."""
    from rtvoice.engine import Engine

    engine = Engine(model, RATE, max_frame=max(hop, 1), block=hop)
    hops = len(signal) // hop
    rows: dict[str, list[F32]] = {name: [] for name in names}
    outputs = engine.outputs
    for index in range(hops):
        engine.process(signal[index * hop : (index + 1) * hop])
        for name in names:
            rows[name].append(np.array(outputs[name], copy=True).ravel())
    return {name: np.asarray(values, np.float64) for name, values in rows.items()}


def compare(
    name: str, got: ArrayLike, expected: ArrayLike, peak: float, tolerance: float, *, finite: bool = True
) -> Run:
    """Compare two arrays of one shape. A value that is not finite, on either side, is an infinite error.

    Parameters
    ----------
    name
        Of the comparison.
    got, expected
        What came out, and what should have.
    peak
        What the error is relative to.
    tolerance
        Largest relative error allowed.
    finite
        False lets values that are not finite pass where both sides hold the same.
    """
    a, b = np.asarray(got, np.float64), np.asarray(expected, np.float64)
    if not a.size:
        return Run(name, 0, 0.0, True)
    with np.errstate(invalid="ignore"):
        difference = np.abs(a - b)
    if not finite:
        difference = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0.0, difference)
    difference = np.where(np.isfinite(difference), difference, np.inf).reshape(len(a), -1)
    relative = difference.max(axis=1, initial=0.0)
    relative = np.where(np.isfinite(relative), relative / (peak if 1e-30 < peak < np.inf else 1e-30), np.inf)
    over = np.flatnonzero(~(relative <= tolerance))
    return Run(
        name,
        int(a.size),
        float(relative.max(initial=0.0)),
        not len(over),
        int(over[0]) if len(over) else None,
    )


def peak_of(values: ArrayLike) -> float:
    """Return the largest magnitude among the finite values."""
    array = np.abs(np.asarray(values, np.float64))
    return float(array[np.isfinite(array)].max(initial=0.0))


def first_not_finite(values: ArrayLike) -> int | None:
    """Return the first frame that holds a NaN or an infinity, or None."""
    array = np.asarray(values, np.float64)
    if not array.size:
        return None
    bad = np.flatnonzero(~np.isfinite(array.reshape(len(array), -1)).all(axis=1))
    return int(bad[0]) if len(bad) else None


def newest_frames(hops: int, per_hop: int, delay: int) -> NDArray[np.int64]:
    """Return which offline frame a value output holds after each hop; negative before the first."""
    frames: NDArray[np.int64] = np.arange(1, hops + 1, dtype=np.int64) * per_hop - 1 - delay
    return frames
