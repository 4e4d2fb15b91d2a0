"""PyTorch module of `rtvoice.nn` -> graph, and the proof that its stream is its offline output.

A module is known here by what it can do, not by its class: `emit` writes it. In its tree, a layer with `node_name` and
`forced` is a phase, one with `node_name` and `recalled` a loop, one with `name`, `value` and `default` a parameter of
the host; all are set for the comparison and put back.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from rtvoice import parity
from rtvoice.errors import ModelError
from rtvoice.graph import Graph, GraphBuilder
from rtvoice.parity import F32, F64

if TYPE_CHECKING:
    import torch

    from rtvoice.model import Model

__all__ = ["TOLERANCE", "offline", "prove", "voice_like", "write"]

TOLERANCE = 1e-5  # of the output's peak, as everywhere
_HOPS = 40
_SEED = 7  # of the random values of parameters


def write(
    module: Any,
    *,
    sample_rate: int,
    hop: int,
    name: str = "net",
    metadata: Mapping[str, Any] | None = None,
    emit: Callable[..., Any] | None = None,
) -> GraphBuilder:
    """Write a module into a graph with its outputs: audio, or what a dictionary names.

    Parameters
    ----------
    module : torch.nn.Module
        It is written as it is used, in `eval` mode.
    sample_rate, hop, name, metadata
        Of the graph.
    emit : callable, optional
        What writes it, where that is not its own `emit`.

    Returns
    -------
    GraphBuilder
        The graph.

    Raises
    ------
    ModelError, ValueError
        It cannot be written.
    """
    builder = GraphBuilder(name=name, sample_rate=sample_rate, hop=hop, **(metadata or {}))
    was_training = module.training
    module.eval()
    try:
        # Nodes are named after the paths of modules; an emit by hand wants a name to put in front of its own.
        prefix = "net" if getattr(module, "written_by_hand", True) else ""
        made = (emit or module.emit)(builder, builder.input(), name=prefix)
        for key, handle in (made if isinstance(made, dict) else {"audio": made}).items():
            if isinstance(handle, tuple):
                raise ModelError(
                    f"{type(module).__name__}.forward returns several values; name them: return a dictionary, with the "
                    "audio as 'audio'"
                )
            builder.output(handle, name=key, kind="audio" if key == "audio" else "value")
    finally:
        module.train(was_training)
    return builder


def voice_like(count: int, rate: int, rng: np.random.Generator) -> F32:
    """Return a test signal with a pitch: pulses that glide from 100 to 300 Hz over noise, of changing level."""
    at = np.arange(count)
    turns = np.cumsum(np.linspace(100.0, 300.0, count)) / rate
    pulses = 1.0 - 2.0 * (turns % 1.0)
    level = 0.1 + 0.4 * np.abs(np.sin(at * (5.0 / max(count, 1))))
    return np.asarray(level * (0.5 * pulses + 0.3 * rng.normal(size=count)), np.float32)


def prove(module: Any, graph: Graph, example: torch.Tensor | None = None, tolerance: float = TOLERANCE) -> float:
    """Compare the streamed outputs of a graph with the offline outputs of the module that wrote it.

    Noise is the same counter-based one on both sides. What a phase adds up is taken from the engine for both sums,
    after it was compared by itself: two frequencies that differ in the last bit part for ever.

    Parameters
    ----------
    module : torch.nn.Module
        Over `(1, samples, 1)`.
    graph : Graph
        What it wrote.
    example : torch.Tensor, optional
        An input, `(1, samples, 1)`.
    tolerance : float
        Of each output's peak.

    Returns
    -------
    float
        The largest difference, of the peak.

    Raises
    ------
    ModelError
        They part.
    """
    rng = np.random.default_rng(0)
    if example is None:
        signal = voice_like(_HOPS * graph.hop, graph.sample_rate, rng)
    else:
        if example.ndim != 3 or example.shape[0] != 1 or example.shape[2] != 1:
            raise ValueError(f"example has shape {tuple(example.shape)}; for rtvoice.nn it must be (1, samples, 1)")
        flat = example.detach().cpu().numpy().reshape(-1)
        signal = np.ascontiguousarray(flat[: len(flat) // graph.hop * graph.hop], np.float32)
    settings: list[dict[str, F64]] = [{}]
    if graph.parameters:
        draw = np.random.default_rng(_SEED)
        values = {p.name: draw.uniform(p.min, p.max, len(p.default)).astype(np.float32) for p in graph.parameters}
        settings.append({name: value.astype(np.float64) for name, value in values.items()})
    return max(_compare(module, graph, signal, values, tolerance, rng) for values in settings)


def _compare(
    module: Any, graph: Graph, signal: F32, values: Mapping[str, F64], tolerance: float, rng: np.random.Generator
) -> float:
    model = parity.rebuilt(graph, defaults=values).model()
    terms = parity.phase_terms(graph, signal, values)
    recalled = parity.recalled_terms(graph, signal, values)
    expected, computed = offline(module, signal, values, terms, recalled)
    worst = 0.0
    for name, array in computed.items():
        common = min(len(array), len(terms[name]))
        peak = parity.peak_of(array)
        run = parity.compare(f"the input of phase '{name}'", terms[name][:common], array[:common], peak, tolerance)
        worst = max(worst, _passed(module, run, tolerance))
    for name, got, wanted in _outputs(graph, model, signal, expected, rng):
        run = parity.compare(f"output '{name}'", got, wanted, max(parity.peak_of(expected[name]), 1e-9), tolerance)
        worst = max(worst, _passed(module, run, tolerance))
    return worst


def _passed(module: Any, run: parity.Run, tolerance: float) -> float:
    if not run.passed:
        raise ModelError(
            f"{type(module).__name__}: its stream differs from its offline output by {run.error:.1e} of the peak, more "
            f"than {tolerance:.0e} ({run.name}, from {run.first} of {run.samples} on); a layer's emit() does not write "
            "what its forward() computes"
        )
    return run.error


def offline(
    module: Any,
    signal: F32,
    values: Mapping[str, F64],
    terms: Mapping[str, F32],
    recalled: Mapping[str, F32] | None = None,
) -> tuple[dict[str, F64], dict[str, F64]]:
    """Run the module on the whole signal; return its outputs, and what its phases would have added up by themselves.

    Layers that draw from what they drew go on from `recalled`, by the name of their `recall` node.
    """
    import torch

    computed: dict[str, F64] = {}
    with _prepared(module, values, terms, recalled or {}, computed), torch.no_grad():
        made = module(torch.from_numpy(signal).reshape(1, -1, 1))
    outputs = made if isinstance(made, dict) else {"audio": made}
    arrays = {name: np.asarray(tensor.double().cpu().numpy()[0], np.float64) for name, tensor in outputs.items()}
    return arrays, computed


@contextlib.contextmanager
def _prepared(
    module: Any,
    values: Mapping[str, F64],
    terms: Mapping[str, F32],
    recalled: Mapping[str, F32],
    computed: dict[str, F64],
) -> Iterator[None]:
    import torch

    layers = list(module.modules())
    parameters = [m for m in layers if hasattr(m, "value") and getattr(m, "name", None) in values]
    phases = [m for m in layers if hasattr(m, "forced") and getattr(m, "node_name", None) in terms]
    loops = [m for m in layers if hasattr(m, "recalled") and getattr(m, "node_name", None) in recalled]
    before = [m.value for m in parameters]
    was_training, hooks = module.training, []
    module.eval()
    try:
        for parameter in parameters:
            parameter.value = torch.tensor(values[parameter.name], dtype=torch.float32)
        for loop in loops:
            loop.recalled = torch.from_numpy(recalled[loop.node_name])
        for phase in phases:
            phase.forced = torch.from_numpy(terms[phase.node_name])

            def keep(layer: Any, args: Any) -> None:
                computed[layer.node_name] = np.asarray(args[0][0].double().cpu().numpy(), np.float64)

            hooks.append(phase.register_forward_pre_hook(keep))
        yield
    finally:
        for parameter, value in zip(parameters, before, strict=True):
            parameter.value = value
        for loop in loops:
            loop.recalled = None
        for phase in phases:
            phase.forced = None
        for hook in hooks:
            hook.remove()
        module.train(was_training)


def _outputs(
    graph: Graph, model: Model, signal: F32, offline: Mapping[str, F64], rng: np.random.Generator
) -> Iterator[tuple[str, F64, F64]]:
    """Yield each output's name, what was streamed of it, and what was to be."""
    delays = {str(layer["name"]): int(layer["delay"]) for layer in model.info["layers"]}
    names = [output.name for output in graph.outputs if output.kind == "value"]
    streamed = parity.stream_values(model, signal, names, graph.hop) if names else {}
    for output in graph.outputs:
        expected = offline.get(output.name)
        if expected is None:
            raise ModelError(f"the module's forward gives no output {output.name!r}, which its graph has")
        if output.kind == "value":
            tensor = graph.values[output.tensor]
            if tensor.control:
                yield output.name, streamed[output.name][-1:], expected[-1:]
                continue
            frames = parity.newest_frames(len(streamed[output.name]), tensor.frames, delays.get(output.tensor, 0))
            inside = (frames >= 0) & (frames < len(expected))
            yield output.name, streamed[output.name][inside], expected[frames[inside]]
            continue
        sizes = {name: sizes for name, sizes, dirty in parity.cuttings(graph.hop, len(signal), rng) if not dirty}
        first: F32 | None = None
        for cut in (f"frames of a hop, {graph.hop}", "random frames, with empty ones"):
            if cut not in sizes:
                continue
            out, late = parity.stream_audio(model, signal, sizes[cut])
            if first is not None and not np.array_equal(out, first):
                raise ModelError(f"output {output.name!r} depends on how the input is cut; report it")
            first = out
        assert first is not None
        common = min(len(expected), len(signal)) - late
        yield output.name, np.asarray(first[late : late + common], np.float64), expected[:common, 0]
