"""A graph without its branches: the nodes of those that are taken stand among the others, and can be read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .source import require_onnx

Place = tuple[str, ...]  # the first outputs of the Ifs around a node, and its own


def without_branches(model: Any, taken: Mapping[Place, str]) -> Any:
    """Return a copy of a model in which the nodes of branches stand in place of their `If`.

    Parameters
    ----------
    model
        The model.
    taken
        Which attribute of each `If` holds the branch that is taken; an `If` that is not there stays.
    """
    copy = require_onnx().ModelProto()
    copy.CopyFrom(model)
    used = _names(copy.graph)
    nodes, weights = _flat(copy.graph, taken, (), used)
    del copy.graph.node[:]
    copy.graph.node.extend(nodes)
    copy.graph.initializer.extend(weights)
    return copy


def _flat(graph: Any, taken: Mapping[Place, str], around: Place, used: dict[str, int]) -> tuple[list[Any], list[Any]]:
    """Return the nodes of a graph with those of its branches among them, and the branches' own weights."""
    nodes: list[Any] = []
    weights: list[Any] = []
    for node in graph.node:
        place = (*around, node.output[0] if node.output else "")
        if node.op_type != "If" or place not in taken:
            nodes.append(node)
            continue
        branch = next(attribute.g for attribute in node.attribute if attribute.name == taken[place])
        inner, own = _flat(branch, taken, place, used)
        own += list(branch.initializer)
        _lift(branch, node, inner, own, used)
        nodes += inner
        weights += own
    return nodes, weights


def _lift(branch: Any, node: Any, inner: list[Any], weights: list[Any], used: dict[str, int]) -> None:
    """Give what a branch makes names that are free outside, its results those of its `If`."""
    made = {name for item in inner for name in item.output if name}
    names: dict[str, str] = {}
    for result, name in zip(branch.output, node.output, strict=False):
        if result.name in made and result.name not in names:
            names[result.name] = name
        else:  # a tensor from outside, a weight, or the same once more
            inner.append(require_onnx().helper.make_node("Identity", [result.name], [name]))
    for name in (*made, *(item.name for item in weights)):
        if name not in names and used.get(name, 0) > 1:
            names[name] = _free(f"{node.output[0]}/{name}", used)
    for item in weights:
        item.name = names.get(item.name, item.name)
    _rename(inner, names)


def _rename(nodes: list[Any], names: Mapping[str, str]) -> None:
    for node in nodes:
        for places in (node.input, node.output):
            for at, name in enumerate(places):
                places[at] = names.get(name, name)
        for attribute in node.attribute:
            if attribute.HasField("g"):
                _rename(list(attribute.g.node), names)
                for result in attribute.g.output:
                    result.name = names.get(result.name, result.name)


def _names(graph: Any) -> dict[str, int]:
    """Return how often each name is made in a graph and in the graphs inside it."""
    used: dict[str, int] = {}
    graphs = [graph]
    while graphs:
        graph = graphs.pop()
        for name in (
            *(item.name for item in (*graph.input, *graph.initializer)),
            *(name for node in graph.node for name in node.output),
        ):
            used[name] = used.get(name, 0) + 1
        graphs.extend(attribute.g for node in graph.node for attribute in node.attribute if attribute.HasField("g"))
    return used


def _free(name: str, used: dict[str, int]) -> str:
    while name in used:
        name += "_"
    used[name] = 1
    return name
