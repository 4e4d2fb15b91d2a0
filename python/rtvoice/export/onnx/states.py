"""States that a network is given and hands back: recurrent layers keep theirs, buffers of the past become delays.

A network that is called once for each frame has its memory outside. Where a recurrent layer starts from what it ended
with, the op's own state is that memory. Everything else that comes back unchanged is a buffer: its channel `j` of this
frame is some signal of one, two, ... frames ago. A state that is computed from itself is a loop, which `recall` closes.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from rtvoice.errors import ModelError

from .cells import Origin, origin_of, written_cell
from .ir import Emitter, Node, topological
from .values import Stream, Value
from .walk import Walk

_LONGEST = 1 << 16


def _origins(value: Value | None) -> list[Origin]:
    if not isinstance(value, Stream):
        return []
    return [origin_of(value.node, int(channel)) for channel in value.index.ravel()]


def _shows_state(node: Node) -> bool:
    """Tell whether a choice of channels, or what it chooses from, has a state among what was joined."""
    if node.op == "state":
        return True
    return node.op in ("slice", "pick", "concat") and any(_shows_state(item) for item in node.inputs)


class States:
    """The states of a walk whose every call is one frame.

    Parameters
    ----------
    walk
        The walk.
    paired
        Inputs that are states, and the outputs that set them.
    """

    def __init__(self, walk: Walk, paired: Mapping[str, str]) -> None:
        self._walk = walk
        self._made: dict[str, list[Origin]] = {}
        for name, output in paired.items():
            value = walk.values.get(output)
            entry = walk.values.get(name)
            size = entry.index.size if isinstance(entry, Stream) else 0
            found = _origins(value)
            if len(found) != size:
                raise ModelError(
                    f"state '{name}': output '{output}' has {len(found)} numbers that depend on the signal, the state "
                    f"has {size}; name the right output with --state {name}=OUTPUT"
                )
            self._made[name] = found
        self._emit = Emitter()
        self._done: dict[int, Node] = {}
        self._open: set[int] = set()
        self._late: dict[tuple[int, int], Node] = {}
        self._looped: list[Node] = []  # what a recall gives, as it stood before
        self._check_cells()
        for name in self._made:
            for node in {id(node): node for node, _ in self._made[name] if node is not None}.values():
                self._take_cell(node)

    def _was(self, node: Node | None, channel: int) -> Origin:
        """Return what a channel of a state was one frame ago; (None, -1) for what is no state."""
        return self._made[node.label][channel] if node is not None and node.op == "state" else (None, -1)

    def _take_cell(self, node: Node) -> None:
        """Replace an LSTM cell that is written out, where `node` is what it hands on as its output."""
        cell = written_cell(node, self._was)
        if cell is None or id(node) in self._done:
            return
        self._open.add(id(node))
        inputs = [self._rebuild(item) for item in cell.inputs]
        self._open.discard(id(node))
        joined = inputs[0]
        if len(inputs) > 1:
            joined = self._emit.node("concat", *inputs, channels=sum(item.channels for item in inputs))
        self._emit.origin, self._emit.label = node.origin, node.label
        made = self._emit.node("lstm", joined, channels=node.channels, weights=cell.weights)
        self._done[id(node)] = made
        self._done[id(cell.state)] = self._emit.node("cell", made)

    def _check_cells(self) -> None:
        for cell in self._walk.cells:
            for start, end in zip(cell.starts, cell.ends, strict=True):
                if start is None:
                    raise ModelError(
                        f"{cell.origin}: starts every frame from zero; give it the state of the frame before"
                    )
                for (node, channel), made in zip(_origins(start), _origins(end), strict=True):
                    if node is None or node.op != "state" or self._made[node.label][channel] != made:
                        what = f"'{node.label}'" if node is not None and node.op == "state" else "a computed state"
                        raise ModelError(
                            f"{cell.origin}: starts from {what}, which is not set to what the layer ends with; "
                            "hand each layer's own final state on"
                        )

    def without(self, node: Node) -> Node:
        """Return a node that computes the same with no state as an input."""
        for item in topological([node]):
            self._rebuild(item)
        return self._rebuild(node)

    def loops(self) -> list[Node]:
        """Return what each recall gives of the frame before, by the number that it has."""
        return [self._rebuild(node) for node in self._looped]

    def _rebuild(self, node: Node) -> Node:
        if id(node) in self._done:
            return self._done[id(node)]
        self._open.add(id(node))
        made = node
        if _shows_state(node):
            found = [origin_of(node, channel) for channel in range(node.channels)]
            made = self._join([self._past(item, channel) for item, channel in found])
        if made is node:
            inputs = [self._rebuild(item) for item in node.inputs]
            if any(a is not b for a, b in zip(inputs, node.inputs, strict=True)):
                made = Node(
                    node.op, inputs, node.channels, node.rate, node.attrs, node.weights, node.origin, node.label
                )
        self._open.discard(id(node))
        self._done[id(node)] = made
        return made

    def _past(self, node: Node | None, channel: int) -> tuple[Node | None, int, int]:
        """Return a channel of the past as a node, its channel and how many frames ago."""
        back = 0
        while node is not None and node.op == "state":
            seen = (node, channel)
            node, channel = self._made[node.label][channel]
            back += 1
            if (node, channel) == seen or back > _LONGEST:
                return None, 0, 0  # it keeps the zero that it starts from
        return node, channel, back

    def _before(self, node: Node, back: int) -> Node:
        """Return a node as it was some frames ago; what is being computed itself closes a loop."""
        if back == 0:
            return self._rebuild(node)
        if id(node) in self._open and id(node) not in self._done:
            key = (id(node), 1)
            if key not in self._late:
                self._emit.origin, self._emit.label = node.origin, node.label
                self._late[key] = self._emit.node(
                    "recall", channels=node.channels, rate=node.rate, slot=len(self._looped)
                )
                self._looped.append(node)
        key = (id(node), back)
        if key not in self._late:
            near = max((age for of, age in self._late if of == id(node) and age < back), default=0)
            source = self._late[(id(node), near)] if near else self._rebuild(node)
            self._late[key] = self._emit.node("delay", source, frames=back - near)
        return self._late[key]

    def _join(self, found: list[tuple[Node | None, int, int]]) -> Node:
        """Make a node of channels of several nodes, each some frames ago."""
        parts: list[Node] = []
        first: dict[tuple[int, int], int] = {}
        index = []
        # The newest first: what is older is then a delay of what is a little less old.
        for node, _, back in sorted(found, key=lambda item: item[2]):
            if node is not None:
                self._before(node, back)
        for node, channel, back in found:
            if node is None:
                index.append(-1)
                continue
            key = (id(node), back)
            if key not in first:
                first[key] = sum(part.channels for part in parts)
                parts.append(self._before(node, back))
            index.append(first[key] + channel)
        if not parts:
            raise ModelError("a state that is never set stays zero; remove it")
        whole = (
            parts[0] if len(parts) == 1 else self._emit.node("concat", *parts, channels=sum(p.channels for p in parts))
        )
        return self._emit.take(whole, np.asarray(index))
