"""The walk over an ONNX graph: each node is folded, lowered to our ops, or refused; all refusals are told at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import Any, TypeVar

import numpy as np

from .amounts import MOST_IN_A_FRAME, SMALLER, sizes_made, too_many
from .fold import HUGE, SQUARE, fold
from .ir import Array, Emitter, Node
from .refusals import AHEAD, ATTENTION, LESS, NEVER_AHEAD, NO_LENGTH, cannot_stream, is_cause, unsupported
from .source import BROKEN, Source, first_line, require_onnx, to_array
from .standard import complaint
from .symbols import Symbol, beyond, of_shape, of_size
from .values import Known, Refused, Scores, Stream, Value, in_order, known

Result = Value | Sequence[Value]
Handler = Callable[["Call"], Result]
HANDLERS: dict[str, Handler] = {}
SCORES: dict[str, Callable[[Call], Value]] = {}  # what may be done with the scores of an attention
STEADY: dict[str, Callable[[Call], bool]] = {}  # what of constants may be a stream, which has no end
_H = TypeVar("_H", bound=Handler)


# What may be done with the first frames of a recording alone.
_ALONE = frozenset(
    {
        *("Abs", "Add", "Cast", "CastLike", "Celu", "Clip", "Cos", "Div", "Dropout", "Elu", "Erf", "Exp", "Gelu"),
        *("HardSigmoid", "HardSwish", "Identity", "LeakyRelu", "Log", "Mish", "Mul", "Neg", "PRelu", "Pow"),
        *("Reciprocal", "Relu", "Selu", "Shape", "Sigmoid", "Sin", "Size", "Softplus", "Softsign", "Sqrt", "Squeeze"),
        *("Sub", "Swish", "Tanh", "Transpose", "Unsqueeze"),
    }
)


class RefusalError(Exception):
    """A node that cannot be imported: the reason, and what to change."""

    def __init__(self, reason: str, advice: str) -> None:
        super().__init__(f"{reason}; {advice}")


def lowers(*ops: str) -> Callable[[_H], _H]:
    """Register a function as what lowers the operators `ops`."""

    def register(handler: _H) -> _H:
        for op in ops:
            HANDLERS[op] = handler
        return handler

    return register


class Call:
    """One ONNX node, as its handler sees it."""

    def __init__(self, walk: Walk, node: Any, inputs: list[Value | None]) -> None:
        self.walk = walk
        self.proto = node
        self.op: str = node.op_type
        self.inputs = inputs
        self.emit = walk.emit
        self.opset = walk.source.opset
        self.probes = len(walk.lengths)
        self._attrs = {attribute.name: attribute for attribute in node.attribute}

    def attr(self, name: str, default: Any = None) -> Any:
        """Return an attribute, or `default`."""
        if name not in self._attrs:
            return default
        value = require_onnx().helper.get_attribute_value(self._attrs[name])
        if isinstance(value, bytes):
            return value.decode()
        return [item.decode() if isinstance(item, bytes) else item for item in value] if _is_list(value) else value

    def has(self, index: int) -> bool:
        """Whether an optional input is there."""
        return index < len(self.inputs) and self.inputs[index] is not None

    def stream(self, index: int = 0) -> Stream:
        """Return an input that must be a stream."""
        value = self.inputs[index]
        if not isinstance(value, Stream):
            self.refuse(f"input {index} is a constant where a signal is expected", "rewrite this layer")
            raise AssertionError
        return value

    def array(self, index: int, what: str) -> Array | None:
        """Return an input that must be a constant; None where it is left out."""
        value = self.inputs[index] if self.has(index) else None
        if value is None:
            return None
        if not isinstance(value, Known):
            self.refuse(f"its {what} is computed from the signal", f"export with a constant {what}")
        constant = value.constant if isinstance(value, Known) else None
        if constant is None:
            told = f"takes its {what} from the length of the recording"
            self.refuse(told, f"make the {what} a number that is the same for every length")
        return constant

    def required(self, index: int, what: str) -> Array:
        """Return an input that must be there and constant."""
        array = self.array(index, what)
        if array is None:
            self.refuse(f"has no {what}", "export the model again")
            raise AssertionError
        return array

    def per_probe(self, index: int, what: str, *, remainders: bool | None = None) -> list[Array]:
        """Return an input that may depend on the length, once per probe; refuse one that longer recordings change.

        Parameters
        ----------
        index, what
            Which input, and what it is called.
        remainders
            Whether it may depend on the remainder of the length; None where the tensors' sizes decide what it is.
        """
        value = self.inputs[index] if self.has(index) else None
        if not isinstance(value, Known):
            self.refuse(f"its {what} is computed from the signal", f"export with a constant {what}")
            raise AssertionError
        if remainders is not None:
            self.followed(value, what, remainders=remainders)
        return [value.at(probe) for probe in range(self.probes)]

    def followed(self, value: Known, what: str, *, remainders: bool = False) -> None:
        """Refuse numbers that are another function of the length for longer recordings than those followed."""
        told = None if value.symbol is None else beyond(value.symbol, remainders=remainders)
        if told:
            self.refuse(f"takes its {what} from a number that {told}", NO_LENGTH)

    def refuse(self, reason: str, advice: str) -> None:
        """Refuse the node."""
        raise RefusalError(reason, advice)

    def name_after(self, index: int) -> None:
        """Name the nodes that follow after the weight at an input, which keeps the name of its module."""
        value = self.inputs[index] if self.has(index) else None
        if isinstance(value, Known) and "." in value.name:
            self.emit.label = value.name.rsplit(".", 1)[0]


class Walk:
    """Lowers a graph.

    Parameters
    ----------
    source
        The model.
    lengths
        Lengths of the audio input to follow.
    """

    def __init__(self, source: Source, lengths: tuple[int, ...]) -> None:
        self.source = source
        self.lengths = lengths
        self.emit = Emitter()
        self.values: dict[str, Value] = {name: Known((array,), name) for name, array in source.constants.items()}
        self.errors: list[str] = []
        self._causes = 0
        self.folded = 0
        self.lowered = 0
        self.heads: dict[tuple[int, ...], tuple[str, str]] = {}  # where frames were cut off, by their number
        self.stretched: list[str] = []  # what stretches time to the length of another tensor
        self.cells: list[Any] = []  # recurrent layers that are given their state
        self.loops: list[Node] = []  # what recalls give, by their number
        self.taken: dict[tuple[str, ...], str] = {}  # which branch of an If is, by the first outputs down to its own
        self._around: tuple[str, ...] = ()

    def run(self, streams: Mapping[str, Value]) -> None:
        """Walk over the whole graph, with the inputs `streams`."""
        self.values.update(streams)
        self._graph(self.source.model.graph)

    def _graph(self, graph: Any) -> None:
        for node in graph.node:
            self.emit.origin = (
                f"{node.op_type} '{node.name}'" if node.name else f"{node.op_type} making '{node.output[0]}'"
            )
            self.emit.label = _label(node)
            try:
                results = self._node(node)
            except RefusalError as error:
                results = self._refused(node, str(error))
            except BROKEN as error:
                told = f"is not as the ONNX standard has it ({first_line(error)}); export it again"
                results = self._refused(node, told)
            for name, value in zip(node.output, results, strict=False):
                if name:
                    self.values[name] = value

    def _refused(self, node: Any, told: str) -> Sequence[Value]:
        """Note a refusal. What cannot stream at all comes first, and stands for the reshaping that is a part of it."""
        inputs = [self.values.get(name) for name in node.input]
        text = f"{self.emit.origin}: {told}"
        result = _after(node, inputs)
        if SQUARE in told and any(SQUARE in error for error in self.errors):
            return [result] * len(node.output)  # both sides of a band, which is one mask
        if is_cause(node.op_type, node.domain) or ATTENTION[0] in told:
            # An exporter writes a group norm or attention as reshaping around the operator that matters.
            self.errors = [error for error in self.errors if error not in result.parts]
            self.errors.insert(self._causes, text)
            self._causes += 1
            return [Refused(result.signal, attention=ATTENTION[0] in told)] * len(node.output)
        self.errors.append(text)
        parts = result.parts | {text} if node.op_type in _RESHAPING else frozenset()
        of_scores = any(isinstance(value, Scores) for value in inputs)
        return [Refused(result.signal, parts, of_scores)] * len(node.output)

    def _node(self, node: Any) -> Sequence[Value]:
        inputs: list[Value | None] = []
        for name in node.input:
            if name and name not in self.values:
                raise RefusalError(
                    f"reads '{name}', which nothing before it makes", "the file is damaged, export it again"
                )
            inputs.append(self.values[name] if name else None)
        if any(isinstance(value, Refused) for value in inputs):
            # What cannot stream whatever it reads is named all the same: one message tells all there is to change.
            if cannot_stream(node.op_type, node.domain) and (
                node.op_type not in HANDLERS or is_cause(node.op_type, node.domain)
            ):
                raise RefusalError(*unsupported(node.op_type, node.domain))
            if node.op_type == "MatMul" and all(_is_signal(value) for value in inputs):
                if not _in_attention(inputs):
                    raise RefusalError(*ATTENTION)
                parts = _after(node, inputs).parts
                self.errors = [error for error in self.errors if error not in parts]
            return [_after(node, inputs)] * len(node.output)
        if node.op_type == "If" and isinstance(inputs[0], Known):
            return self._branch(node, inputs[0])
        if any(isinstance(value, Scores) for value in inputs) and node.domain in ("", "ai.onnx"):
            return self._of_scores(node, inputs)
        standard = node.domain in ("", "ai.onnx")
        steady = standard and node.op_type in STEADY and STEADY[node.op_type](Call(self, node, inputs))
        if standard and not steady and not any(isinstance(value, Stream) for value in inputs):
            return self._fold(node, inputs)
        if node.domain not in ("", "ai.onnx") or node.op_type not in HANDLERS:
            raise RefusalError(*unsupported(node.op_type, node.domain))
        missing = complaint(node, self.source.opset)
        if missing:
            raise RefusalError(missing, "the file is damaged, export it again")
        self._check_moments(inputs)
        self._check_brief(node.op_type, inputs)
        self.lowered += 1
        self._check_amount(node, inputs)
        result = HANDLERS[node.op_type](Call(self, node, inputs))
        if isinstance(result, Stream):
            _check_frame(result.index.shape)
        return [result] if isinstance(result, (Known, Stream, Scores, Refused)) else result

    def _check_amount(self, node: Any, inputs: list[Value | None]) -> None:
        """Refuse a node that would make more numbers of a frame than any layer reads."""
        stream = inputs[0] if inputs else None
        if not isinstance(stream, Stream):
            return
        probes = range(len(self.lengths))
        made = [
            sizes_made(node, stream.shape(at), [item.at(at) if isinstance(item, Known) else None for item in inputs])
            for at in probes
        ]
        if None in made:
            return
        rows = [row for row in made if row is not None]
        moved = None if stream.time is None else stream.time + len(rows[0]) - stream.rank
        _check_frame(
            [
                sizes[0]
                for axis, sizes in enumerate(zip(*rows, strict=True))
                if axis != moved and len(set(sizes)) == 1 and sizes[0] != self.lengths[0]
            ]
        )

    def _of_scores(self, node: Any, inputs: list[Value | None]) -> Sequence[Value]:
        """Lower what stands between the two products of an attention."""
        call = Call(self, node, inputs)
        if node.op_type in ("Shape", "Size"):
            return [_shape_of_scores(call)]
        if node.op_type not in SCORES:
            raise RefusalError(
                "works on the scores of an attention",
                "scale, mask and Softmax are all that may stand between the two products",
            )
        self.lowered += 1
        return [SCORES[node.op_type](call)]

    def _fold(self, node: Any, inputs: list[Value | None]) -> Sequence[Value]:
        if node.op_type in NEVER_AHEAD or any(attribute.HasField("g") for attribute in node.attribute):
            raise RefusalError(*unsupported(node.op_type, node.domain))
        try:
            results = fold(
                node,
                [item if isinstance(item, Known) else None for item in inputs],
                self.source.opset,
                len(self.lengths),
            )
        except ValueError as error:
            missing = complaint(node, self.source.opset)
            if missing:
                raise RefusalError(missing, "the file is damaged, export it again") from None
            advice = (
                LESS if SQUARE in str(error) else SMALLER if HUGE in str(error) else "export with this part constant"
            )
            raise RefusalError(str(error), advice) from None
        self.folded += 1
        # A reshaped or scaled weight keeps its name, so that its layer can be named after it.
        name = next((item.name for item in inputs if isinstance(item, Known) and item.name), "")
        return [replace(item, name=name) for item in results]

    def _branch(self, node: Any, condition: Known) -> Sequence[Value]:
        constant = condition.constant
        if constant is None:
            if condition.symbol is not None:
                raise RefusalError(
                    "branches on the length of the recording", "export with one branch, the same for every length"
                )
            raise RefusalError(*unsupported("If"))
        wanted = "then_branch" if bool(np.asarray(constant).ravel()[0]) else "else_branch"
        graph = next(attribute.g for attribute in node.attribute if attribute.name == wanted)
        for item in graph.initializer:
            self.values[item.name] = Known((to_array(item),), item.name)
        around = self._around
        self._around = (*around, node.output[0])
        self.taken[self._around] = wanted
        self._graph(graph)
        self._around = around
        return [self.values[item.name] for item in graph.output]

    def _check_moments(self, inputs: list[Value | None]) -> None:
        """Refuse to mix a stream with the last frame of one: it is known only when the stream ends."""
        streams = [value for value in inputs if isinstance(value, Stream)]
        if any(value.newest for value in streams) and any(value.time is not None for value in streams):
            raise RefusalError(
                "mixes a stream with the final frame or state of one, which is known only at the end",
                "use the output at each frame instead",
            )

    def _check_brief(self, op: str, inputs: list[Value | None]) -> None:
        """Refuse what cannot be done with the first frames of a recording alone, by the node that cut them off."""
        streams = [value for value in inputs if isinstance(value, Stream) and not value.node.control]
        short = [stream for stream in streams if stream.brief]
        if short and op != "Concat" and (op not in _ALONE or any(item.lengths != short[0].lengths for item in streams)):
            self.emit.origin, told = self.heads.get(short[0].lengths, (self.emit.origin, "keeps some frames alone"))
            raise RefusalError(told, AHEAD)


def result_node(stream: Stream, emit: Emitter) -> Node:
    """Return the node of an output, its channels in order."""
    return in_order(stream, emit)


def shape_of(call: Call, start: int = 0, end: int | None = None) -> Known:
    """Return the shape of a stream, or some of its axes, per probe."""
    stream = call.stream()
    return _of_sizes([stream.shape(probe)[start:end] for probe in range(call.probes)])


def size_of(call: Call) -> Known:
    """Return how many numbers a stream has, per probe."""
    stream = call.stream()
    return _of_size([prod(stream.shape(probe)) for probe in range(call.probes)])


def _of_sizes(shapes: list[list[int]]) -> Known:
    found = known([np.asarray(shape, np.int64) for shape in shapes])
    return found if len(found.arrays) == 1 else replace(found, symbol=of_shape(shapes))


def _of_size(sizes: list[int]) -> Known:
    found = known([np.asarray(size, np.int64) for size in sizes])
    return found if len(found.arrays) == 1 else replace(found, symbol=of_size(sizes))


def _shape_of_scores(call: Call) -> Known:
    table = call.inputs[0]
    assert isinstance(table, Scores)
    shapes = [list(table.shape(probe)) for probe in range(call.probes)]
    if call.op == "Size":
        return Known(tuple(np.asarray(prod(shape), np.int64) for shape in shapes), "", Symbol(None))
    start, end = call.attr("start", 0), call.attr("end", None)
    return _of_sizes([shape[start:end] for shape in shapes])


_RESHAPING = frozenset(
    {"Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten", "Expand", "Split", "Slice", "Concat"}
)
_CARRYING = _RESHAPING | {
    "Mul",
    "Div",
    "Add",
    "Sub",
    "Cast",
    "Identity",
    "Sqrt",
    "Softmax",
    "Where",
    "Dropout",
    "Gather",
}


def _check_frame(sizes: Sequence[float]) -> None:
    complaint = too_many(sizes, MOST_IN_A_FRAME, " of a frame")
    if complaint:
        raise RefusalError(complaint, SMALLER)


def _is_signal(value: Value | None) -> bool:
    return isinstance(value, (Stream, Scores)) or (isinstance(value, Refused) and value.signal)


def _in_attention(inputs: Sequence[Value | None]) -> bool:
    return any(isinstance(value, Scores) or (isinstance(value, Refused) and value.attention) for value in inputs)


def _parts(value: Value | None) -> frozenset[str]:
    return value.parts if isinstance(value, Refused) else frozenset()


def _after(node: Any, inputs: Sequence[Value | None]) -> Refused:
    """Return what becomes of a node, some of whose inputs were refused."""
    cause = node.op_type in _CARRYING or node.op_type == "MatMul" or is_cause(node.op_type, node.domain)
    parts: frozenset[str] = frozenset().union(*(_parts(value) for value in inputs)) if cause else frozenset()
    signal = node.op_type not in ("Shape", "Size") and any(_is_signal(value) for value in inputs)
    return Refused(signal, parts, node.op_type in _CARRYING and _in_attention(inputs))


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple)) or type(value).__name__ == "RepeatedScalarContainer"


def _label(node: Any) -> str:
    name = re.sub(r"^(node_|/)", "", node.name or "")
    return re.sub(r"[^\x21-\x7e]", "_", name)[:96] or node.op_type.lower()
