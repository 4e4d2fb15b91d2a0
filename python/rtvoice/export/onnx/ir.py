"""The graph between ONNX and the model file: the ops of docs/model-format.md, and a few that rewriting must remove.

`channel_mean` becomes a `linear` layer when no pattern has used it. The others are refused when they are left over:
`erf`, `positive` (x > 0) and `where` occur in activations that exporters write out, `gather_time` and `mul_time`
(frames picked and weighted by position) in linear upsampling.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtvoice import ops

Array = NDArray[Any]
IndexArray = NDArray[np.int64]

# Ops that compute a frame of the output from the same frame of the inputs, each channel for itself.
PLAIN = frozenset(ops.PLAIN)
POINTWISE = PLAIN | {
    "leaky_relu",
    "elu",
    "gelu",
    "softplus",
    "clip",
    "prelu",
    "snake",
    "affine",
    "erf",
    "positive",
    "where",
    "add",
    "sub",
    "mul",
    "div",
}

# Of them, those that make an infinity of ordinary numbers.
OVERFLOWING = ("exp", "log", "reciprocal", "div", "square", "mul")
_CARRYING = ("affine", "neg", "abs", "add", "sub", "linear", "pick", "concat", "slice")


class Course:
    """Numbers along time, one array per probe. Compared by identity, as nodes are."""

    def __init__(self, arrays: Sequence[Array]) -> None:
        self.arrays = tuple(arrays)


@dataclass(eq=False)
class Node:
    """One operation, which makes one tensor.

    Parameters
    ----------
    op
        Name of an op of the model file, ``input``, ``parameter``, or one of the extra ops.
    inputs
        The nodes that it reads.
    channels
        Channels that it makes.
    rate
        Frames per input sample; 0 for a control tensor.
    attrs, weights
        As in the model file. Weights that were computed may be float64; they are rounded once, at the end.
    origin
        The ONNX node that asked for it, for messages.
    label
        What the node should be named after.
    """

    op: str
    inputs: list[Node]
    channels: int
    rate: Fraction
    attrs: dict[str, Any] = field(default_factory=dict)
    weights: dict[str, Array] = field(default_factory=dict)
    origin: str = ""
    label: str = ""

    @property
    def control(self) -> bool:
        """Whether the tensor is computed from parameters only."""
        return self.rate == 0

    @property
    def source(self) -> Node:
        """The first input."""
        return self.inputs[0]


def topological(outputs: Iterable[Node]) -> list[Node]:
    """Return every node that `outputs` need, each after its inputs."""
    order: list[Node] = []
    done: set[int] = set()
    stack: list[tuple[Node, bool]] = [(node, False) for node in reversed(list(outputs))]
    while stack:
        node, ready = stack.pop()
        if id(node) in done:
            continue
        if ready:
            done.add(id(node))
            order.append(node)
        else:
            stack.append((node, True))
            stack.extend((item, False) for item in reversed(node.inputs) if id(item) not in done)
    return order


def count_users(order: Sequence[Node], outputs: Iterable[Node]) -> dict[int, int]:
    """Return how often each node, by its id, is read; being an output counts once."""
    users = {id(node): 0 for node in order}
    for node in order:
        for item in node.inputs:
            users[id(item)] += 1
    for node in outputs:
        users[id(node)] += 1
    return users


class Emitter:
    """Makes nodes, with the shape rules of the few facts that the importer needs: channels and rate."""

    def __init__(self) -> None:
        self.origin = ""
        self.label = ""

    def node(
        self,
        op: str,
        *inputs: Node,
        channels: int | None = None,
        rate: Fraction | None = None,
        weights: Mapping[str, Array | None] | None = None,
        **attrs: Any,
    ) -> Node:
        """Make a node; channels and rate are those of the inputs where they are not given."""
        if channels is None:
            channels = max(item.channels for item in inputs)
        if rate is None:
            rate = max((item.rate for item in inputs), default=Fraction(1))
        kept = {role: array for role, array in (weights or {}).items() if array is not None}
        return Node(op, list(inputs), channels, rate, attrs, kept, self.origin, self.label)

    def affine(self, x: Node, *, scale: Array | None = None, shift: Array | None = None) -> Node:
        """Make ``x * scale + shift`` with vectors of one value or one per channel."""
        return self.node("affine", x, weights={"scale": _shrunk(scale), "shift": _shrunk(shift)})

    def linear(self, x: Node, weight: Array, bias: Array | None = None) -> Node:
        """Make a matrix product with `weight` of shape (outputs, inputs) on each frame."""
        return self.node("linear", x, channels=len(weight), weights={"weight": weight, "bias": bias})

    def take(self, x: Node, index: IndexArray) -> Node:
        """Make the channels `index` of `x`, in that order; -1 stands for a channel of zeros."""
        index = np.asarray(index, np.int64).ravel()
        if np.array_equal(index, np.arange(x.channels)):
            return x
        if x.op == "slice" and (index >= 0).all():
            return self.take(x.source, index + x.attrs["start"])
        runs = _runs(index)
        if (index >= 0).all() and len(runs) <= 4:
            parts = [self._slice(x, start, stop) for start, stop in runs]
            if len(parts) == 1:
                return parts[0]
            return self.node("concat", *parts, channels=len(index))
        if x.op == "pick":
            inner = np.asarray([*x.attrs["index"], -1], np.int64)
            return self.take(x.source, inner[index])
        return self.node("pick", x, channels=len(index), index=index.tolist())

    def _slice(self, x: Node, start: int, stop: int) -> Node:
        if (start, stop) == (0, x.channels):
            return x
        return self.node("slice", x, channels=stop - start, start=start, stop=stop)


def _runs(index: IndexArray) -> list[tuple[int, int]]:
    breaks = np.flatnonzero(np.diff(index) != 1) + 1
    return [(int(run[0]), int(run[-1]) + 1) for run in np.split(index, breaks) if len(run)]


def _shrunk(vector: Array | None) -> Array | None:
    if vector is None:
        return None
    vector = np.atleast_1d(np.asarray(vector)).ravel()
    return vector[:1] if len(vector) > 1 and (vector == vector[0]).all() else vector


def may_overflow(node: Node) -> bool:
    """Whether ordinary audio may make this infinite: by its op, or by one behind it that sums and scales hand on."""
    seen: set[int] = set()
    left = [node]
    while left:
        one = left.pop()
        if one.op in OVERFLOWING:
            return True
        if one.op in _CARRYING and id(one) not in seen:
            seen.add(id(one))
            left += one.inputs
    return False
