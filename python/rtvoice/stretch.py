"""The meaning of a graph in float64 over minutes: a window at a time, what is remembered carried from one to the next.

A window is evaluated with as many hops in front of it and behind it as its convolutions, delays and lookahead reach;
what a GRU, an LSTM or a sum remembers is handed on. Phases and loops are fed with what the engine itself made.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from .float32 import rounded_value
from .graph import Graph, Node
from .recurrence import RECURRENT, Real, first_state, phase, recur
from .reference import control_values, node_value

__all__ = ["Given", "Stretch", "context"]

F64 = NDArray[np.float64]


class Given:
    """What a node of the engine gave, from its first frame on; the sum of those that were dropped is kept.

    Parameters
    ----------
    channels
        Of a frame.
    """

    def __init__(self, channels: int) -> None:
        self.first = 0
        self.total = np.zeros(channels, np.uint64)
        self._rows: list[NDArray[np.float32]] = []
        self._channels = channels

    @property
    def end(self) -> int:
        """Frames that have come."""
        return self.first + sum(len(part) for part in self._rows)

    def append(self, rows: NDArray[np.float32]) -> None:
        """Add frames, ``(frames, channels)``."""
        self._rows.append(rows)

    def take(self, first: int, count: int) -> F64:
        """Return frames; those before 0 are zero, and there are fewer where no more have come."""
        whole = np.concatenate(self._rows or [np.zeros((0, self._channels), np.float32)])
        self._rows = [whole]
        kept = whole[max(first - self.first, 0) : max(first + count - self.first, 0)]
        return np.concatenate([np.zeros((min(max(-first, 0), count), self._channels)), kept])

    def drop(self, first: int) -> None:
        """Forget the frames before `first`, which are added up as phases are."""
        count = min(max(first, self.first), self.end) - self.first
        _, self.total = phase(self.take(self.first, count), self.total)
        self._rows = [self._rows[0][count:]]
        self.first += count


def _span(graph: Graph, node: Node) -> tuple[float, float]:
    """Return how many hops a node reaches back, and ahead: no less than it does."""
    a = node.attrs
    if node.op in ("noise", "recall") or not node.inputs:
        return 0.0, 0.0
    frames = graph.values[node.inputs[0]].frames
    ramp = 1.0 if any(graph.values[name].control for name in node.inputs) else 0.0
    back, ahead = 0.0, 0.0
    if node.op in ("conv1d", "conv_bands"):
        back = max(a["pads"][0], 0)
        ahead = max((node.weights["weight"].shape[2] - 1) * a["dilation"] - a["pads"][0], 0)
    elif node.op == "conv_transpose1d":
        back = (node.weights["weight"].shape[2] - 1) * a["dilation"] / a["stride"] + 1
        ahead = a["crop"][0] / a["stride"] + 1
    elif node.op == "avg_pool":
        back, ahead = max(a["pads"][0], 0), max(a["kernel"] - a["pads"][0], 0)
    elif node.op == "delay":
        back = a["frames"]
    elif node.op == "advance":
        ahead = a["frames"]
    elif node.op == "attention":
        back = a["window"]
    elif node.op in ("upsample", "depth_to_time"):
        back, ahead = 1, 1
    elif node.op == "time_to_depth":
        back, ahead = a["factor"], a["factor"]
    elif node.op == "fir":
        back = graph.values[node.inputs[1]].channels
        ramp += 1.0 / graph.values[node.inputs[1]].frames
    return ramp + back / frames, ahead / frames


def context(graph: Graph) -> int:
    """Return how many hops around a window decide what is in it, where what is remembered is known."""
    spans = {name: (0.0, 0.0) for name in graph.values}
    for node in graph.nodes:
        back, ahead = _span(graph, node)
        before = [spans[name] for name in node.inputs] or [(0.0, 0.0)]
        spans[node.name] = back + max(span[0] for span in before), ahead + max(span[1] for span in before)
    return math.ceil(max(max(span) for span in spans.values())) + 1


class Stretch:
    """A graph that is evaluated window by window.

    Parameters
    ----------
    graph
        A graph.
    signal
        Returns samples of the audio input: of how many hops, from which hop on.
    terms
        What the engine's phases added up, and its recalls gave, by node; empty where there are none.
    dtype
        Float32 shows what rounding alone does: recurrent nodes are computed in it, the others as `float32` says.
    """

    def __init__(
        self,
        graph: Graph,
        signal: Callable[[int, int], NDArray[np.float32]],
        terms: Mapping[str, Given],
        dtype: type = np.float64,
    ) -> None:
        self._graph, self._signal, self._terms, self._dtype = graph, signal, terms, dtype
        self.context = context(graph)
        self.recurrent = [node for node in graph.nodes if node.op in RECURRENT]
        self._next = 0
        self._states: dict[str, Real] = {}
        self._tails: dict[str, Real] = {}

    def carried(self, hops: int) -> dict[str, F64]:
        """Return every value over the next hops, ``(frames, channels)``, by name."""
        begin = max(self._next - self.context, 0)
        states: dict[str, Real] = {}
        tails: dict[str, Real] = {}

        def remembered(node: Node, x: F64) -> F64:
            frames = self._graph.values[node.name].frames
            known, until = (self._next - begin) * frames, (self._next + hops - begin) * frames
            tail = self._tails.get(node.name)
            done, state = recur(node, x[known:until], self._states.get(node.name), self._dtype)
            ahead, _ = recur(node, x[until:], state, self._dtype)
            out = np.concatenate([*([] if tail is None else [tail[len(tail) - known :]]), done, ahead])
            keep = min(self.context, self._next + hops) * frames
            states[node.name], tails[node.name] = state, out[until - keep : until]
            return np.asarray(out, np.float64)

        found = self._window(begin, self._next, hops, remembered)
        self._states, self._tails = states, tails
        self._next += hops
        return found

    def alone(self, first: int, hops: int, warm: int = 0, states: Mapping[str, Real] | None = None) -> dict[str, F64]:
        """Return every value over hops anywhere, what is remembered being taken from `states` `warm` hops before."""

        def remembered(node: Node, x: F64) -> F64:
            return np.asarray(recur(node, x, (states or {}).get(node.name), self._dtype)[0], np.float64)

        return self._window(max(first - self.context - warm, 0), first, hops, remembered)

    def far_states(self, rng: np.random.Generator) -> tuple[dict[str, Real], dict[str, Real]]:
        """Return two states as far apart as what is remembered ever gets."""
        one: dict[str, Real] = {}
        for node in self.recurrent:
            size = len(first_state(node, self._graph.values[node.inputs[0]].channels))
            reach = np.ones(size)
            kept = self._states.get(node.name)
            if node.op != "gru" and kept is not None:  # a GRU's lies between -1 and 1
                reach += 4 * np.abs(kept)
            one[node.name] = reach * rng.choice([-1.0, 1.0], size)
        return one, {name: -state for name, state in one.items()}

    def _window(self, begin: int, first: int, hops: int, remembered: Callable[[Node, F64], F64]) -> dict[str, F64]:
        """Evaluate from hop `begin` on to as many behind the window as it takes; return the window."""
        graph, count = self._graph, first + hops + self.context - begin
        values: dict[str, F64] = {
            graph.input_name: np.asarray(self._signal(begin, count), np.float64).reshape(-1, 1),
            **control_values(graph, {}, count),
        }
        for node in graph.nodes:
            frames = graph.values[node.name].frames
            if node.op == "recall":
                values[node.name] = self._terms[node.name].take(begin * frames - 1, count * frames)
            elif node.op == "phase":
                x = values[node.inputs[0]]
                given = self._terms[node.name]
                _, total = phase(given.take(given.first, begin * frames - given.first), given.total)
                own = given.take(begin * frames, len(x))
                values[node.name] = phase(np.concatenate([own, x[len(own) :]]), total)[0]
            elif node.op in RECURRENT:
                values[node.name] = remembered(node, values[node.inputs[0]])
            else:
                with np.errstate(all="ignore"):
                    if self._dtype == np.float32:
                        values[node.name] = rounded_value(graph, node, values, count, begin)
                    else:
                        values[node.name] = node_value(graph, node, values, count, 0, begin)
        found = {}
        for name, tensor in graph.values.items():
            rows = values[name][(first - begin) * tensor.frames :]
            found[name] = rows[: hops * tensor.frames]
        return found
