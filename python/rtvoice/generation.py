"""The meaning of `recall` and `sample` in float64: what is drawn, and the loop that feeds it back."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from .graph import Graph, Node

__all__ = ["draw", "looped", "mu_law_classes", "settle"]

F64 = NDArray[np.float64]
_STEP = 2.0**-24


def mu_law_classes(count: int) -> F64:
    """Return the numbers that the classes of mu-law stand for, from -1 to 1."""
    mu = count - 1.0
    v = 2.0 * np.arange(count) / mu - 1.0
    return np.asarray(np.sign(v) * np.expm1(np.abs(v) * np.log1p(mu)) / mu, np.float64)


def draw(node: Node, x: F64, words: Callable[[NDArray[np.uint64]], NDArray[np.uint32]], start: int = 0) -> F64:
    """Draw a sample for every frame.

    Parameters
    ----------
    node
        A node of op ``sample``.
    x
        Its input, ``(frames, channels)``.
    words
        Returns the random 32-bit word of each 64-bit counter.
    start
        Number of the first frame.

    Returns
    -------
    ndarray
        ``(frames, 1)``.
    """
    a = node.attrs
    n = np.arange(start, start + len(x), dtype=np.uint64)
    first, second = ((words(n * np.uint64(2) + np.uint64(k)) >> np.uint32(8)).astype(np.float64) for k in (0, 1))
    if a["distribution"] == "gaussian":
        normal = np.sqrt(-2.0 * np.log((first + 1.0) * _STEP)) * np.cos(2.0 * np.pi * second * _STEP)
        y = x[:, 0] + np.exp(np.maximum(x[:, 1], a["floor"])) * normal
    elif a["distribution"] == "logistic":
        logits, means, scales = np.split(x, 3, axis=1)
        k = _choose(logits, first * _STEP)
        u = (second + 0.5) * _STEP
        at = np.arange(len(x))
        y = means[at, k] + np.exp(np.maximum(scales[at, k], a["floor"])) * (np.log(u) - np.log1p(-u))
    else:
        u = (words(n) >> np.uint32(8)).astype(np.float64) * _STEP
        y = mu_law_classes(x.shape[1])[_choose(x, u)]
    return np.asarray(np.clip(y, -a["limit"], a["limit"]), np.float64)[:, None]


def _choose(logits: F64, u: F64) -> NDArray[np.int64]:
    """Return the first class whose cumulative share exceeds `u`."""
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    total = np.cumsum(shares, axis=1)
    chosen: NDArray[np.int64] = np.minimum((total <= u[:, None] * total[:, -1:]).sum(axis=1), logits.shape[1] - 1)
    return chosen


def looped(graph: Graph) -> tuple[list[Node], list[Node]]:
    """Return the recalls of a graph and the nodes of its loop, both in order."""
    recalls = [node for node in graph.nodes if node.op == "recall"]
    behind = {node.name for node in recalls}
    for node in graph.nodes:
        if behind.intersection(node.inputs):
            behind.add(node.name)
    before = {node.attrs["of"] for node in recalls}
    for node in reversed(graph.nodes):
        if node.name in before:
            before.update(node.inputs)
    return recalls, [node for node in graph.nodes if node.name in behind and node.name in before]


def settle(
    graph: Graph, values: dict[str, F64], frames: int, compute: Callable[[Node, Mapping[str, F64]], F64]
) -> None:
    """Fill in the values of a graph's loop, all else in front of it being known.

    The loop is run over the whole signal again and again, each time with what it made the time before. A frame depends
    on earlier ones only, so that run number n makes frame n right, and it is done when nothing changes any more.

    Parameters
    ----------
    graph
        With a recall.
    values
        Of what is in front of the loop; the loop's are added.
    frames
        How many frames of the loop are wanted.
    compute
        Computes a node from values.
    """
    recalls, inside = looped(graph)
    for node in recalls:
        values[node.name] = np.zeros((frames, node.attrs["channels"]))
    for _ in range(frames + 1):
        for node in inside:
            if node.op != "recall":
                values[node.name] = compute(node, values)
        changed = False
        for node in recalls:
            made = values[node.attrs["of"]][: frames - 1]
            late = np.zeros((frames, node.attrs["channels"]))
            late[1 : 1 + len(made)] = made
            changed = changed or not np.array_equal(late, values[node.name], equal_nan=True)
            values[node.name] = late
        if not changed:
            return


_OUTSIDE = ("upsample", "depth_to_time", "time_to_depth", "fir")


def check_loop(graph: Graph) -> None:
    """Refuse a loop that cannot run frame by frame; ValueError names the node, as the core does."""
    recalls, inside = looped(graph)
    names = {node.name for node in inside}
    for node in recalls:
        if node.name not in names or node.attrs["of"] not in names or not _depends(graph, node):
            raise ValueError(
                f"node {node.name!r} (recall): node {node.attrs['of']!r} does not depend on it; use a delay"
            )
    for node in inside:
        place = f"node {node.name!r} ({node.op})"
        if node.op in _OUTSIDE:
            raise ValueError(
                f"{place}: cannot run in the loop that a recall closes; bring it before or behind the loop"
            )
        if graph.values[node.name].frames != graph.values[recalls[-1].name].frames:
            raise ValueError(f"{place}: has a rate of its own in a loop; all of a loop runs at one rate")
        if _ahead(node) > 0:
            raise ValueError(f"{place}: looks ahead in the loop that a recall closes, where nothing has come yet")


def _depends(graph: Graph, recall: Node) -> bool:
    behind = {node.name for node in graph.nodes if node.op == "recall"}
    for node in graph.nodes:
        if behind.intersection(node.inputs):
            behind.add(node.name)
    return recall.attrs["of"] in behind


def _ahead(node: Node) -> int:
    """Return how many frames a node looks ahead."""
    a = node.attrs
    if node.op == "advance":
        return int(a["frames"])
    if node.op == "conv_transpose1d":
        return int(a["crop"][0])
    if node.op == "avg_pool":
        return int(a["kernel"] - a["stride"] - a["pads"][0])
    if node.op in ("conv1d", "conv_bands"):
        reach = (node.weights["weight"].shape[2] - 1) * a["dilation"]
        return int(reach + 1 - a.get("stride", 1) - a["pads"][0])
    return 0
