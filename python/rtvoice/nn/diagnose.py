"""Can this network stream, what does it cost, and does its stream compute what it computes: before it is trained.

>>> from rtvoice.nn.diagnose import diagnose
>>> print(diagnose(module, sample_rate=16000).text())  # doctest: +SKIP
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from rtvoice import parity
from rtvoice.errors import ModelError
from rtvoice.export import native
from rtvoice.graph import Graph
from rtvoice.nn import trace
from rtvoice.nn.cost import Cost, of_graph, written
from rtvoice.nn.module import Module
from rtvoice.parity import F32

_MOST_OUTPUTS = 200
_HOPS = 40


@dataclass(frozen=True)
class Diagnosis:
    """What was found.

    Attributes
    ----------
    model : str
        The module's class.
    passed : bool
        Whether it streams.
    module : str
        Path of the offending module; empty where it passed, or where the whole is at fault.
    problem : str
        What is wrong and what to do; empty where it passed.
    error : float or None
        Largest difference between stream and offline output, of the peak; None where it was not reached.
    parameters, outputs : list of str
        What a host sets, and what it reads beside the audio.
    cost : Cost or None
        None where no graph could be written.
    """

    model: str
    passed: bool
    module: str = ""
    problem: str = ""
    error: float | None = None
    parameters: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    cost: Cost | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the findings as plain values."""
        return {
            "model": self.model,
            "passed": self.passed,
            "module": self.module,
            "problem": self.problem,
            "error": self.error,
            "parameters": list(self.parameters),
            "outputs": list(self.outputs),
            "cost": None if self.cost is None else self.cost.to_json(),
        }

    def text(self) -> str:
        """Return the findings in lines for a terminal."""
        lines = [] if self.cost is None else [str(self.cost), ""]
        if self.parameters:
            lines.append(f"parameters: {', '.join(self.parameters)}")
        if self.outputs:
            lines.append(f"values: {', '.join(self.outputs)}")
        if self.passed:
            assert self.error is not None
            lines.append(f"{self.model} streams: random weights, largest error {self.error:.1e} of the peak")
        else:
            where = f"{self.module}: " if self.module else ""
            lines.append(f"{self.model} cannot stream: {where}{self.problem}")
        return "\n".join(lines)


def randomised(module: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """Return a copy whose weights hide nothing: what starts at zero or one would let a wrong layer pass."""
    made = copy.deepcopy(module)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.requires_grad:
                spread = float(parameter.double().std()) if parameter.numel() > 1 else 0.0
                noise = torch.randn(parameter.shape, generator=generator)
                parameter.add_(noise.to(parameter) * max(0.2 * spread, 0.02))
        for layer in made.modules():
            if isinstance(layer, torch.nn.BatchNorm1d) and layer.running_mean is not None:
                layer.running_mean.normal_(std=0.2, generator=generator)
                assert layer.running_var is not None
                layer.running_var.uniform_(0.5, 2.0, generator=generator)
    return made


def diagnose(
    module: torch.nn.Module, *, sample_rate: int, hop: int | None = None, tolerance: float = native.TOLERANCE
) -> Diagnosis:
    """Write, plan and run a module with random weights, as a stream and offline.

    Parameters
    ----------
    module : torch.nn.Module
        A network of `rtvoice.nn` over `(batch, samples, 1)`; it is left as it is.
    sample_rate : int
        Hz.
    hop : int, optional
        Samples; 10 ms where left out.
    tolerance : float
        Largest difference, of each output's peak.

    Returns
    -------
    Diagnosis
        With the offending module where it does not stream.
    """
    kind = type(module).__name__
    trial = randomised(module)
    try:
        builder = written(trial, sample_rate=sample_rate, hop=hop)
        graph = builder.graph()
        model = builder.model()
    except trace.CannotStream as error:
        return Diagnosis(kind, False, error.path, error.told)
    except (ModelError, ValueError) as error:
        return Diagnosis(kind, False, "", str(error))
    known: dict[str, Any] = {
        "parameters": tuple(parameter.name for parameter in graph.parameters),
        "outputs": tuple(output.name for output in graph.outputs if output.kind == "value"),
        "cost": of_graph(graph, model),
    }
    signal = native.voice_like(_HOPS * graph.hop, graph.sample_rate, np.random.default_rng(0))
    try:
        with torch.no_grad():
            trial.eval()(torch.from_numpy(signal).reshape(1, -1, 1))
    except Exception as error:
        told = f"forward fails on (1, {len(signal)}, 1): {type(error).__name__}: {error}"
        return Diagnosis(kind, False, "", told, **known)
    try:
        return Diagnosis(kind, True, error=native.prove(trial, graph, tolerance=tolerance), **known)
    except ModelError as error:
        path, told = _first_apart(trial, graph, signal, tolerance)
        return Diagnosis(kind, False, path, told or str(error), **known)


def _first_apart(module: torch.nn.Module, graph: Graph, signal: F32, tolerance: float) -> tuple[str, str]:
    """Find the first layer whose node gives something else than its `forward`: its path, and what to say."""
    by_path = {path: layer for layer, path in _layers(module)}
    nodes = [node.name for node in graph.nodes if node.name in by_path][:_MOST_OUTPUTS]
    given: dict[str, Any] = {}
    hooks = [by_path[name].register_forward_hook(_keeper(given, name)) for name in nodes]
    terms = parity.phase_terms(graph, signal, outputs=nodes)
    try:
        native.offline(module, signal, {}, terms)
    finally:
        for hook in hooks:
            hook.remove()
    model = parity.rebuilt(graph, outputs=nodes).model() if nodes else None
    if model is None:
        return "", ""
    delays = {str(layer["name"]): int(layer["delay"]) for layer in model.info["layers"]}
    streamed = parity.stream_values(model, signal, nodes, graph.hop)
    for name in nodes:
        expected = given.get(name)
        tensor = graph.values[name]
        if expected is None or tensor.control:
            continue
        frames = parity.newest_frames(len(streamed[name]), tensor.frames, delays.get(name, 0))
        inside = (frames >= 0) & (frames < len(expected))
        peak = max(parity.peak_of(expected), 1e-9)
        run = parity.compare(name, streamed[name][inside], expected[frames[inside]], peak, tolerance)
        if not run.passed:
            layer = type(by_path[name]).__name__
            return name, (
                f"the stream of this {layer} is the first to differ from its forward(), by {run.error:.1e} of the peak"
                "; its emit() does not write what its forward() computes, or it changes its input in place"
            )
    return "", ""


def _layers(module: torch.nn.Module) -> list[tuple[Module, str]]:
    known = trace.paths(module)
    layers = (layer for layer in module.modules() if isinstance(layer, Module) and layer.written_by_hand)
    return [(layer, known[id(layer)]) for layer in layers]


def _keeper(given: dict[str, Any], name: str) -> Any:
    def keep(layer: Any, args: Any, result: Any) -> None:
        if name not in given and isinstance(result, torch.Tensor):  # of several calls the first has the plain name
            given[name] = result.double().cpu().numpy()[0]

    return keep
