"""What a network costs as a stream: latency, arithmetic and memory, by the engine's own count."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch

from rtvoice.errors import ModelError
from rtvoice.export import native
from rtvoice.graph import Graph, GraphBuilder
from rtvoice.model import Model
from rtvoice.nn import trace


@dataclass(frozen=True)
class LayerCost:
    """One node of the graph.

    Attributes
    ----------
    name, op : str
        The node, named after the path of its module, and its op.
    channels, frames : int
        What it makes: channels, and frames per hop.
    latency_ms : float
        How late it is.
    macs_per_second, parameters : int
        Its share.
    fused : str
        The node in whose step it runs; empty where it has one of its own.
    """

    name: str
    op: str
    channels: int
    frames: int
    latency_ms: float
    macs_per_second: int
    parameters: int
    fused: str


@dataclass(frozen=True)
class Cost:
    """What a network costs as a stream.

    Attributes
    ----------
    sample_rate, hop : int
        Hz, and samples of the streaming quantum.
    latency : int
        Samples from an input to its output inside the network.
    latency_ms : float
        The same in milliseconds.
    buffered_ms : float
        With the samples that arbitrary cutting gathers to a hop, `hop - 1`.
    macs_per_second : int
        Multiply-accumulates of matrices, convolutions and filters.
    parameters : int
        Numbers in the file.
    weight_bytes : dict
        `fp32`, and `fp16` where matrices have 16 bits and vectors 32.
    engine_bytes : dict
        What the engine takes: packed `weights`, shared by all streams; `state` and `scratch` of each.
    receptive_field : int or None
        Samples of input that an output depends on; None behind recurrent layers and phases: all of them.
    layers : list of LayerCost
        In order.
    """

    sample_rate: int
    hop: int
    latency: int
    latency_ms: float
    buffered_ms: float
    macs_per_second: int
    parameters: int
    weight_bytes: dict[str, int]
    engine_bytes: dict[str, int]
    receptive_field: int | None
    layers: list[LayerCost] = field(default_factory=list, repr=False)

    def to_json(self) -> dict[str, Any]:
        """Return the figures as plain values."""
        return asdict(self)

    def by_module(self, depth: int = 1) -> dict[str, int]:
        """Return multiply-accumulates per second by the first `depth` parts of the modules' paths."""
        out: dict[str, int] = {}
        for layer in self.layers:
            path = ".".join(layer.name.split(".")[:depth])
            out[path] = out.get(path, 0) + layer.macs_per_second
        return out

    def __str__(self) -> str:
        """Return a table of all layers that do arithmetic, under the totals."""
        field_of_view = "all of the past" if self.receptive_field is None else f"{self.receptive_field} samples"
        lines = [
            f"{self.sample_rate} Hz, hop {self.hop}, latency {self.latency} samples ({self.latency_ms:.1f} ms, "
            f"{self.buffered_ms:.1f} ms with the gathering of a hop), sees {field_of_view}",
            f"{self.macs_per_second / 1e6:.1f} MMAC/s, {self.parameters} parameters, "
            f"{_size(self.weight_bytes['fp32'])} in fp32, {_size(self.weight_bytes['fp16'])} in fp16; "
            f"in the engine {_size(self.engine_bytes['weights'])} of weights and "
            f"{_size(self.engine_bytes['state'] + self.engine_bytes['scratch'])} a stream",
            "",
        ]
        head = ("layer", "op", "channels", "Hz", "ms late", "kMAC/s", "parameters")
        rows = [
            (
                layer.name,
                layer.op,
                str(layer.channels),
                f"{layer.frames * self.sample_rate / self.hop:g}",
                f"{layer.latency_ms:.2f}",
                f"{layer.macs_per_second / 1e3:.0f}",
                str(layer.parameters),
            )
            for layer in self.layers
            if layer.macs_per_second or layer.parameters
        ]
        widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
        for row in [head, *rows]:
            cells = (c.ljust(w) if i < 2 else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True)))
            lines.append("  ".join(cells).rstrip())
        return "\n".join(lines)


def _size(count: int) -> str:
    return f"{count / 1e3:.1f} kB" if count < 1_000_000 else f"{count / 1e6:.2f} MB"


def written(module: torch.nn.Module, *, sample_rate: int, hop: int | None = None, name: str = "net") -> GraphBuilder:
    """Write a module of one audio input into a graph of its own.

    Parameters
    ----------
    module : torch.nn.Module
        Its result is audio, or a dictionary of outputs of which `audio` is the audio.
    sample_rate : int
        Hz.
    hop : int, optional
        Samples; 10 ms where left out.
    name : str
        Of the graph.

    Returns
    -------
    rtvoice.GraphBuilder
        The graph, with its outputs.

    Raises
    ------
    CannotStream
        Something in it has no streaming form; the message begins with its path.
    """

    def emit(builder: GraphBuilder, audio: Any, name: str) -> Any:
        return trace.write(module, builder, (audio,), "")  # a plain torch module around modules of ours

    try:
        return native.write(
            module,
            sample_rate=sample_rate,
            hop=hop or sample_rate // 100,
            name=name,
            emit=None if hasattr(module, "emit") else emit,
        )
    except ModelError:
        raise
    except ValueError as error:
        raise trace.CannotStream("", str(error)) from None


def cost(module: torch.nn.Module, *, sample_rate: int, hop: int | None = None) -> Cost:
    """Return what a module costs as a stream: of the graph that it writes and the plan that the engine makes of it.

    Parameters
    ----------
    module : torch.nn.Module
        A network of `rtvoice.nn`, over `(batch, samples, 1)`; trained or not.
    sample_rate : int
        Hz.
    hop : int, optional
        Samples; 10 ms where left out.

    Returns
    -------
    Cost
        The figures; `print` shows them as a table.
    """
    builder = written(module, sample_rate=sample_rate, hop=hop)
    return of_graph(builder.graph(), builder.model())


def of_graph(graph: Graph, model: Model) -> Cost:
    """Return the cost of a graph, given the model that was made of it."""
    info = model.info
    rate, hop = graph.sample_rate, graph.hop
    sizes = {node.name: [np.shape(weight) for weight in node.weights.values()] for node in graph.nodes}
    shapes = [shape for several in sizes.values() for shape in several]
    per_second = rate / hop
    layers = [
        LayerCost(
            name=layer["name"],
            op=layer["op"],
            channels=int(layer["channels"]),
            frames=int(layer["frames"]),
            latency_ms=1e3 * int(layer["delay"]) / (int(layer["frames"]) * per_second),
            macs_per_second=round(int(layer["macs"]) * per_second),
            parameters=sum(math.prod(shape) for shape in sizes[layer["name"]]),
            fused=layer["fused"] or "",
        )
        for layer in info["layers"]
    ]
    field_of_view = info["receptive_field"]
    return Cost(
        sample_rate=rate,
        hop=hop,
        latency=model.latency,
        latency_ms=1e3 * model.latency / rate,
        buffered_ms=1e3 * (model.latency + hop - 1) / rate,
        macs_per_second=round(info["mac_per_second"]),
        parameters=int(info["parameter_count"]),
        weight_bytes={
            "fp32": sum(4 * math.prod(shape) for shape in shapes),
            "fp16": sum((2 if len(shape) > 1 else 4) * math.prod(shape) for shape in shapes),
        },
        engine_bytes={key: int(info["memory_bytes"][key]) for key in ("weights", "state", "scratch")},
        receptive_field=None if field_of_view is None else int(field_of_view),
        layers=layers,
    )
