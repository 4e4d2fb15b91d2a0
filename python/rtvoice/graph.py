"""Building the graph of a `.rtv` model file (docs/model-format.md), with numpy alone."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from . import files, ops, safetensors_io
from .ops import Stream
from .safetensors_io import Array, BFloat16, Int8

if TYPE_CHECKING:
    from .model import Model

__all__ = ["BFloat16", "Graph", "GraphBuilder", "Node", "Output", "Parameter", "Tensor"]

MAX_NODES = 4_096
MAX_PARAMETERS = 256
MAX_PARAMETER_SIZE = 4_096
MAX_OUTPUTS = 256
_NAME = re.compile(r"[\x20-\x7e]{1,128}\Z")
_TIER = re.compile(r"[A-Za-z0-9_.-]{1,32}\Z")
_CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True)
class Tensor:
    """A value of a graph: the audio input, a parameter or what a node makes.

    Attributes
    ----------
    name
        Unique within the graph.
    channels
        Number of channels.
    frames
        Frames per hop; a control tensor has one.
    control
        True where it is computed from parameters only.
    """

    name: str
    channels: int
    frames: int
    control: bool = False
    owner: int = field(default=0, repr=False, compare=False)


@dataclass(frozen=True, eq=False)
class Node:
    """A node: `attrs` holds every attribute of its op, `weights` its arrays by role."""

    op: str
    name: str
    inputs: tuple[str, ...]
    attrs: dict[str, Any]
    weights: dict[str, Array]


@dataclass(frozen=True)
class Parameter:
    """An input that a host sets by name; changes ramp over `smoothing_ms`."""

    name: str
    default: tuple[float, ...]
    min: float
    max: float
    smoothing_ms: float = 20.0
    description: str = ""


@dataclass(frozen=True)
class Output:
    """An output: `kind` is ``"audio"`` or ``"value"``."""

    name: str
    tensor: str
    kind: str = "audio"


@dataclass(frozen=True, eq=False)
class Graph:
    """A checked graph.

    Attributes
    ----------
    metadata
        The `rtvoice` object of the file without its graph and parameters.
    input_name
        Name of the audio input's tensor.
    values
        Every tensor by name, in order of execution.
    """

    metadata: dict[str, Any]
    input_name: str
    parameters: tuple[Parameter, ...]
    nodes: tuple[Node, ...]
    outputs: tuple[Output, ...]
    values: dict[str, Tensor]

    @property
    def sample_rate(self) -> int:
        """Rate of the audio input and output in Hz."""
        return int(self.metadata["sample_rate"])

    @property
    def hop(self) -> int:
        """Samples that the plan takes at once."""
        return int(self.metadata["hop"])

    @property
    def warm_hops(self) -> int:
        """Hops of silence that stand for a prewarmed start; a second reaches through any receptive field there is."""
        if self.metadata.get("start") != "prewarmed":
            return 0
        return -(-int(self.metadata.get("prewarm", 48_000)) // self.hop)


class GraphBuilder:
    """Writes a model file node by node; shapes and rates are checked as they come.

    Parameters
    ----------
    name
        Name of the model, 1 to 64 characters.
    sample_rate
        Rate of its audio input and output in Hz, 4000 to 384000.
    hop
        Streaming quantum in samples, 1 to 65536.
    licence
        SPDX identifier, where there is one.
    tier
        ``"default"``, ``"hq"`` or another word.
    description
        One line.
    loudness
        Typical output loudness in LUFS.
    provenance
        Where it comes from; anything that JSON can hold.
    start
        ``"zero"``, or ``"prewarmed"``: silence runs through the receptive field first.
    prewarm
        Samples of silence that run through a prewarmed model first, instead of the receptive field; a recurrent layer
        has none.
    latency
        Samples from an input to its output within the network. It must equal what the plan infers; leave it out and
        the plan tells.

    Examples
    --------
    >>> b = GraphBuilder(name="gain", sample_rate=16000, hop=160, licence="CC0-1.0")
    >>> x = b.input()
    >>> gain = b.parameter("gain", default=[1.0], min=0.0, max=4.0)
    >>> b.output(b.node("mul", x, gain))
    >>> b.save("gain.rtv")  # doctest: +SKIP
    """

    def __init__(
        self,
        *,
        name: str,
        sample_rate: int,
        hop: int,
        licence: str = "",
        tier: str = "default",
        description: str = "",
        loudness: float | None = None,
        provenance: Mapping[str, Any] | None = None,
        start: str = "zero",
        latency: int | None = None,
        prewarm: int | None = None,
    ) -> None:
        _text("name", name, 1, 64)
        _text("licence", licence, 0, 128)
        _text("description", description, 0, 1024)
        if not isinstance(tier, str) or not _TIER.match(tier):
            raise ValueError(f"tier is {tier!r}; it must be a word of 1 to 32 letters, digits, '_', '-' or '.'")
        if start not in ("zero", "prewarmed"):
            raise ValueError(f"start is {start!r}; it must be 'zero' or 'prewarmed'")
        self.metadata: dict[str, Any] = {
            "format": 1,
            "name": name,
            "sample_rate": _integer("sample_rate", sample_rate, 4000, 384_000),
            "hop": _integer("hop", hop, 1, 65_536),
            "tier": tier,
            "licence": licence,
            "loudness": None if loudness is None else _number("loudness", loudness, -200.0, 200.0),
        }
        if description:
            self.metadata["description"] = description
        if start != "zero":
            self.metadata["start"] = start
        if prewarm is not None:
            self.metadata["prewarm"] = _integer("prewarm", prewarm, 1, ops.MAX_FRAMES * 16)
            if start != "prewarmed":
                raise ValueError("prewarm belongs to start='prewarmed'; leave it out, or set start")
        if latency is not None:
            self.metadata["latency"] = _integer("latency", latency, 0, ops.MAX_FRAMES * 16)
        if provenance is not None:
            if not isinstance(provenance, Mapping):
                raise ValueError(f"provenance is {type(provenance).__name__}; it must be a mapping")
            self.metadata["provenance"] = _plain(dict(provenance))
        self._input: Tensor | None = None
        self._values: dict[str, Tensor] = {}
        self._parameters: list[Parameter] = []
        self._nodes: list[Node] = []
        self._outputs: list[Output] = []

    def input(self, name: str = "audio") -> Tensor:
        """Add the audio input: 1 channel, `hop` frames per hop."""
        if self._input is not None:
            raise ValueError(f"the graph has its audio input {self._input.name!r} already; it takes one")
        self._input = self._add(name, "input", Stream(1, self.metadata["hop"]))
        return self._input

    def parameter(
        self,
        name: str,
        *,
        size: int = 1,
        default: ArrayLike | None = None,
        min: float = 0.0,
        max: float = 1.0,
        smoothing_ms: float = 20.0,
        description: str = "",
    ) -> Tensor:
        """Add an input that a host sets by name: a control tensor.

        Parameters
        ----------
        name
            Unique among parameters, inputs and nodes.
        size
            Number of channels, 1 to 4096.
        default
            `size` numbers, or one for all; 0 where left out (or the nearest end of the range).
        min, max
            Range of every number.
        smoothing_ms
            A change ramps over this time, 0 to 1000.
        description
            One line.
        """
        place = f"parameter {name!r}"
        if name == "mix":
            raise ValueError(
                f"{place}: every engine has 'mix' (dry to wet) of its own; give the parameter another name"
            )
        size = _integer(f"{place}: size", size, 1, MAX_PARAMETER_SIZE)
        low = _number(f"{place}: min", min, -ops.MAX_FLOAT, ops.MAX_FLOAT)
        high = _number(f"{place}: max", max, -ops.MAX_FLOAT, ops.MAX_FLOAT)
        if low > high:
            raise ValueError(f"{place}: min={low:g} is above max={high:g}")
        if default is None:
            default = np.clip(0.0, low, high)
        values = np.asarray(default, dtype=np.float64)
        if values.shape not in ((), (1,), (size,)):
            raise ValueError(f"{place}: default has shape {values.shape}; it must have {size} numbers")
        values = np.broadcast_to(values, (size,))
        if not np.isfinite(values).all() or (values < low).any() or (values > high).any():
            raise ValueError(f"{place}: default must lie between min={low:g} and max={high:g}")
        smoothing = _number(f"{place}: smoothing_ms", smoothing_ms, 0.0, 1000.0)
        _text(f"{place}: description", description, 0, 1024)
        if len(self._parameters) >= MAX_PARAMETERS:
            raise ValueError(f"{place}: the graph has {MAX_PARAMETERS} parameters, which is the limit")
        tensor = self._add(name, "parameter", Stream(size, 1, control=True))
        self._parameters.append(Parameter(name, tuple(values.tolist()), low, high, smoothing, description))
        return tensor

    def node(self, op: str, *inputs: Tensor, name: str = "", **options: Any) -> Tensor:
        """Add a node.

        Parameters
        ----------
        op
            A name of the op table.
        *inputs
            What it reads: handles that this builder gave.
        name
            Made up from the op where left out.
        **options
            Its weights by role (float32, float16, `BFloat16` or `Int8` arrays; others are taken as float32) and its
            attributes.

        Returns
        -------
        Tensor
            What it makes.
        """
        row = ops.spec(op)
        name = name or self._free_name(op)
        if len(self._nodes) >= MAX_NODES:
            raise ValueError(f"node {name!r}: the graph has {MAX_NODES} nodes, which is the limit")
        try:
            roles = [weight.role for weight in row.weights]
            weights = {role: _weight(role, options[role]) for role in roles if options.get(role) is not None}
            attrs = ops.complete_attributes(op, {key: value for key, value in options.items() if key not in roles})
            read = [self._own(tensor) for tensor in inputs]
            streams = [Stream(tensor.channels, tensor.frames, tensor.control) for tensor in read]
            made = ops.infer(op, streams, attrs, {role: tuple(array.shape) for role, array in weights.items()})
        except ValueError as error:
            raise ValueError(f"node {name!r} ({op}): {error}") from None
        tensor = self._add(name, "node", made)
        self._nodes.append(Node(op, name, tuple(item.name for item in read), attrs, weights))
        return tensor

    def output(self, tensor: Tensor, name: str = "audio", kind: str = "audio") -> None:
        """Add an output: the audio (1 channel, `hop` frames per hop), or a value that the host reads by name."""
        place = f"output {name!r}"
        check_name("output", name)
        self._own(tensor)
        if kind not in ("audio", "value"):
            raise ValueError(f"{place}: kind is {kind!r}; it must be 'audio' or 'value'")
        if any(output.name == name for output in self._outputs):
            raise ValueError(f"{place}: the name is taken; choose another")
        if len(self._outputs) >= MAX_OUTPUTS:
            raise ValueError(f"{place}: the graph has {MAX_OUTPUTS} outputs, which is the limit")
        if kind == "audio":
            if any(output.kind == "audio" for output in self._outputs):
                raise ValueError(f"{place}: the graph has an audio output already; use kind='value' for others")
            hop = self.metadata["hop"]
            if tensor.channels != 1 or tensor.frames != hop or tensor.control:
                raise ValueError(
                    f"{place}: tensor {tensor.name!r} has {tensor.channels} channels and {tensor.frames} frames per hop"
                    f"{' and is a control' if tensor.control else ''}; an audio output has 1 and {hop}"
                )
        self._outputs.append(Output(name, tensor.name, kind))

    def graph(self) -> Graph:
        """Return the finished graph; ValueError where something is missing."""
        if self._input is None:
            raise ValueError("the graph has no audio input; call input()")
        if not self._outputs:
            raise ValueError("the graph has no output; call output(tensor)")
        for index, node in enumerate(self._nodes):
            if node.op == "recall":
                self._check_recall(node, {later.name for later in self._nodes[index + 1 :]})
        made = Graph(
            dict(self.metadata),
            self._input.name,
            tuple(self._parameters),
            tuple(self._nodes),
            tuple(self._outputs),
            dict(self._values),
        )
        if any(node.op == "recall" for node in self._nodes):
            from .generation import check_loop

            check_loop(made)
        return made

    def to_bytes(self) -> bytes:
        """Return the file; equal graphs give equal bytes."""
        graph = self.graph()
        document = dict(graph.metadata)
        if graph.parameters:
            document["parameters"] = [_parameter_object(parameter) for parameter in graph.parameters]
        document["graph"] = {
            "inputs": [{"name": graph.input_name, "tensor": graph.input_name, "kind": "audio", "channels": 1}],
            "outputs": [{"name": o.name, "tensor": o.tensor, "kind": o.kind} for o in graph.outputs],
            "nodes": [_node_object(node) for node in graph.nodes],
        }
        text = json.dumps(document, separators=(",", ":"), allow_nan=False)
        tensors = {_weight_name(node, role): array for node in graph.nodes for role, array in node.weights.items()}
        if len(tensors) != sum(len(node.weights) for node in graph.nodes):
            raise ValueError("two weights have the same name 'node.role'; rename one of the nodes")
        return safetensors_io.write(tensors, {"rtvoice": text})

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the file; a file that is there is replaced at once or not at all."""
        files.write_whole(path, self.to_bytes())

    def model(self) -> Model:
        """Return the graph as a checked `rtvoice.Model` that engines run."""
        from .model import Model

        return Model.from_bytes(self.to_bytes())

    def _check_recall(self, node: Node, later: set[str]) -> None:
        of, a = node.attrs["of"], node.attrs
        if of not in later:
            raise ValueError(f"node {node.name!r} (recall): 'of' is {of!r}, which is no later node; name one")
        made = self._values[of]
        if made.control or (made.channels, made.frames) != (a["channels"], a["frames"]):
            raise ValueError(
                f"node {node.name!r} (recall): node {of!r} has {made.channels} channels and {made.frames} frames per "
                f"hop{', and is a control' if made.control else ''}; 'channels' and 'frames' must be those of a stream"
            )

    def _own(self, tensor: Tensor) -> Tensor:
        if not isinstance(tensor, Tensor):
            raise ValueError(f"input is {type(tensor).__name__}; it must be a tensor handle of this builder")
        if tensor.owner != id(self):
            raise ValueError(f"input {tensor.name!r} belongs to another builder; use this one's handles")
        return tensor

    def _add(self, name: str, what: str, stream: Stream) -> Tensor:
        check_name(what, name)
        if name in self._values:
            raise ValueError(f"{what} {name!r}: the name is taken; choose another")
        tensor = Tensor(name, stream.channels, stream.frames, stream.control, id(self))
        self._values[name] = tensor
        return tensor

    def _free_name(self, op: str) -> str:
        index = len(self._nodes)
        while f"{op}_{index}" in self._values:
            index += 1
        return f"{op}_{index}"


def check_name(what: str, name: Any) -> None:
    """Refuse a name that is not 1 to 128 printable ASCII characters."""
    if not isinstance(name, str) or not _NAME.match(name):
        raise ValueError(f"{what} {name!r}: a name has 1 to 128 printable ASCII characters")


def _text(what: str, value: Any, least: int, most: int) -> None:
    if not isinstance(value, str) or not least <= len(value) <= most or _CONTROL_CHARACTER.search(value):
        raise ValueError(f"{what} is {value!r}; it must be one line of {least} to {most} characters")


def _integer(what: str, value: Any, low: int, high: int) -> int:
    if isinstance(value, np.integer):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ValueError(f"{what} is {value!r}; it must be an integer in {low}..{high}")
    return value


def _number(what: str, value: Any, low: float, high: float) -> float:
    if isinstance(value, (np.integer, np.floating)):
        value = float(value)
    finite = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if not finite or not low <= value <= high:
        raise ValueError(f"{what} is {value!r}; it must be a finite number in {low:g}..{high:g}")
    return float(value)


def _plain(value: Any) -> Any:
    """Return a JSON value as it will be read back; ValueError where it is none."""
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ValueError(f"provenance cannot be written as JSON: {error}") from None


def _weight(role: str, value: Any) -> Array:
    """Return a weight as an array of a storable type; finite, and at least one axis."""
    if isinstance(value, (BFloat16, Int8)):
        if not np.isfinite(value.widen()).all():
            raise ValueError(f"weight {role!r} has values that are not finite")
        return value
    array = np.asarray(value)
    if array.dtype not in (np.float32, np.float16):
        if array.dtype.kind not in "fiu":
            raise ValueError(f"weight {role!r} has type {array.dtype}; it must be float32, float16, BFloat16 or Int8")
        with np.errstate(over="ignore"):
            array = array.astype(np.float32)
    if not np.isfinite(array).all():
        raise ValueError(f"weight {role!r} has values that are not finite")
    return array.reshape(1) if array.ndim == 0 else array


def _weight_name(node: Node, role: str) -> str:
    return f"{node.name}.{role}"


def _node_object(node: Node) -> dict[str, Any]:
    out: dict[str, Any] = {"op": node.op, "name": node.name, "inputs": list(node.inputs)}
    defaults = dict(node.attrs)
    attrs = {key: value for key, value in node.attrs.items() if not _left_out(node.op, key, value, defaults)}
    if attrs:
        out["attrs"] = attrs
    if node.weights:
        out["weights"] = {role: _weight_name(node, role) for role in node.weights}
    return out


def _left_out(op: str, key: str, value: Any, attrs: Mapping[str, Any]) -> bool:
    if op == "avg_pool" and key == "stride":
        return bool(value == attrs["kernel"])
    return ops.is_default(op, key, value)


def _parameter_object(parameter: Parameter) -> dict[str, Any]:
    out: dict[str, Any] = {
        "name": parameter.name,
        "size": len(parameter.default),
        "default": list(parameter.default),
        "min": parameter.min,
        "max": parameter.max,
        "smoothing_ms": parameter.smoothing_ms,
    }
    if parameter.description:
        out["description"] = parameter.description
    return out
