"""A model's local functions, written out where they are called."""

from __future__ import annotations

from typing import Any

from rtvoice.errors import ModelError

Key = tuple[str, str]


def inlined(model: Any, name: str) -> Any:
    """Return a model without local functions; refuse one that calls itself, which could not be written out."""
    from onnx.inliner import inline_local_functions

    calls = {(item.domain, item.name): _called(item.node) for item in model.functions}
    ring = _ring(calls)
    if ring:
        path = " -> ".join(f"'{function}'" for _, function in ring)
        told = "calls itself" if len(ring) == 2 else f"calls itself ({path})"
        raise ModelError(
            f"{name}: the local function '{ring[0][1]}' {told}, so that it cannot be written out; write a loop over a "
            "fixed number of layers in its place"
        )
    try:
        return inline_local_functions(model)
    except Exception as error:  # onnx has types of its own
        reason = str(error).strip().splitlines()[0][:160] if str(error).strip() else type(error).__name__
        raise ModelError(
            f"{name}: its local functions cannot be written out ({reason}); export it without them "
            "(export_modules_as_functions=False)"
        ) from None


def _called(nodes: Any) -> set[Key]:
    found: set[Key] = set()
    for node in nodes:
        found.add((node.domain, node.op_type))
        for attribute in node.attribute:
            if attribute.HasField("g"):
                found |= _called(attribute.g.node)
    return found


def _ring(calls: dict[Key, set[Key]]) -> list[Key]:
    """Return a function and what it calls until it is called again; empty where none does."""
    for start in calls:
        ways = [[start]]
        seen: set[Key] = set()
        while ways:
            way = ways.pop()
            for called in sorted(calls[way[-1]] & calls.keys()):
                if called == start:
                    return [*way, start]
                if called not in seen:
                    seen.add(called)
                    ways.append([*way, called])
    return []
