"""What the walk over an ONNX graph knows of a tensor: its numbers, or which stream it is and how its axes lie.

The time axis has no fixed length, so the walk follows several lengths of the input at once (the probes). Numbers that
come out of shapes are kept once per probe; whatever depends on nothing but weights is the same for all of them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .ir import Array, Emitter, IndexArray, Node
from .symbols import Symbol


@dataclass(frozen=True)
class Known:
    """Numbers known without running the model.

    Parameters
    ----------
    arrays
        One array that holds for every probe, or one array per probe.
    name
        Name of the initialiser, where it is one; layers are named after it.
    symbol
        What it is as a function of the length, where it was computed from that and not proven to stay the same.
    """

    arrays: tuple[Array, ...]
    name: str = ""
    symbol: Symbol | None = None

    def at(self, probe: int) -> Array:
        """Return the array at a probe."""
        return self.arrays[probe if len(self.arrays) > 1 else 0]

    @property
    def constant(self) -> Array | None:
        """The array, or None when it depends on the length of the input."""
        return self.arrays[0] if len(self.arrays) == 1 else None


def known(arrays: list[Array], name: str = "") -> Known:
    """Make a Known of one array per probe, once where they are all equal."""
    first = arrays[0]
    same = all(a.shape == first.shape and np.array_equal(a, first, equal_nan=a.dtype.kind == "f") for a in arrays[1:])
    return Known((first,) if same else tuple(arrays), name)


@dataclass(frozen=True)
class Stream:
    """A tensor that is a stream of frames, seen through the axes that ONNX gives it.

    Parameters
    ----------
    node
        What makes the frames.
    index
        The ONNX shape with 1 on the time axis; each entry tells which channel of `node` lies there. Transposing,
        reshaping, slicing and repeating channels only change this array.
    time
        The time axis. None for a control tensor, or for the newest frame of a stream.
    lengths
        Frames on the time axis, per probe; none where every call of the network is one frame.
    """

    node: Node
    index: IndexArray
    time: int | None
    lengths: tuple[int, ...]

    @property
    def newest(self) -> bool:
        """Whether this is the last frame of a stream, known only at its end."""
        return self.time is None and not self.node.control and len(self.lengths) > 0

    @property
    def stepped(self) -> bool:
        """Whether this is one frame of a network that is called once for each frame: no axis is time."""
        return self.time is None and not self.node.control and not self.lengths

    @property
    def brief(self) -> bool:
        """Whether these are the first frames of a recording alone: as many however long it is."""
        return self.time is not None and len(self.lengths) > 1 and len(set(self.lengths)) == 1

    @property
    def rank(self) -> int:
        """Number of axes."""
        return self.index.ndim

    @property
    def whole(self) -> bool:
        """Whether every channel of the node lies here exactly once."""
        return self.index.size == self.node.channels and len(np.unique(self.index)) == self.node.channels

    def shape(self, probe: int) -> list[int]:
        """Return the ONNX shape at a probe."""
        dims = [int(size) for size in self.index.shape]
        if self.time is not None:
            dims[self.time] = self.lengths[probe]
        return dims

    def describe(self) -> str:
        """Return the shape as text, with T for time."""
        dims = ["T" if axis == self.time else str(size) for axis, size in enumerate(self.index.shape)]
        return "(" + ", ".join(dims) + ")"

    def over(self, node: Node) -> Stream:
        """Return the same view of another node with as many channels."""
        return replace(self, node=node)


@dataclass(frozen=True)
class Refused:
    """The result of a node that cannot be imported; what reads it is not reported again.

    Parameters
    ----------
    signal
        Whether it was computed from a signal.
    parts
        Which refusals it comes from by way of reshaping and pointwise operators only.
    attention
        Whether it comes from a product of two signals in the same way: the next such product is a part of that one.
    """

    signal: bool = False
    parts: frozenset[str] = frozenset()
    attention: bool = False


@dataclass(frozen=True)
class Scores:
    """What queries and keys of an attention give, (..., time, time), on its way to the sum of values.

    Parameters
    ----------
    q
        The queries, (..., time, channels).
    k
        The keys, (..., channels, time).
    scale
        What the scores are multiplied by.
    blocked
        Which of them are masked, (time, time) for each probe; none so far where empty.
    shares
        Whether they have been through Softmax; then `back` and `ahead` tell which frames have a share.
    back, ahead
        How many frames back and ahead a query sees.
    """

    q: Stream
    k: Stream
    scale: float = 1.0
    blocked: tuple[Array, ...] = ()
    shares: bool = False
    back: int = 0
    ahead: int = 0

    @property
    def rank(self) -> int:
        """Number of axes."""
        return self.q.rank

    def shape(self, probe: int) -> list[int]:
        """Return the ONNX shape at a probe."""
        lead = np.broadcast_shapes(self.q.index.shape[:-2], self.k.index.shape[:-2])
        return [*lead, self.q.lengths[probe], self.k.lengths[probe]]


Value = Known | Stream | Scores | Refused


def in_order(stream: Stream, emit: Emitter) -> Node:
    """Return a node whose channels lie in the order of the ONNX axes."""
    return emit.take(stream.node, stream.index.ravel())


def fresh(node: Node, shape: tuple[int, ...], time: int | None, lengths: tuple[int, ...]) -> Stream:
    """Return a stream whose channels lie in order; `shape` has 1 on the time axis."""
    return Stream(node, np.arange(node.channels, dtype=np.int64).reshape(shape), time, lengths)
