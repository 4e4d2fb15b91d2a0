"""Products of two signals: within a frame, number by number; over time as the scores of an attention."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .attention import mixed, scores
from .ir import Array, Node
from .layout import padded_rank
from .refusals import ADVICE, ATTENTION
from .values import Known, Scores, Stream, Value, fresh
from .walk import SCORES, Call, RefusalError

_MOST = 16_384  # numbers that a tensor's frame may have


def of_two(call: Call, a: Stream, b: Stream) -> Stream | Scores:
    """Multiply two streams as MatMul does."""
    if a.rank < 2 or b.rank < 2:
        raise RefusalError("multiplies a vector with the signal", "write it as Mul and ReduceSum over channels")
    rank = max(a.rank, b.rank)
    a, b = padded_rank(a, rank), padded_rank(b, rank)
    if a.time == rank - 2 and b.time == rank - 1:
        return scores(a, b)
    if a.time == rank - 1 or b.time == rank - 2 or {a.time, b.time} == {rank - 2, rank - 1}:
        raise RefusalError(*ATTENTION)
    times = {item.time for item in (a, b) if item.time is not None}
    if len(times) > 1:
        raise RefusalError(
            f"multiplies {a.describe()} with {b.describe()}: time lies on different axes", "transpose one of them"
        )
    if a.index.shape[-1] != b.index.shape[-2]:
        raise RefusalError(f"multiplies {a.describe()} with {b.describe()}", "export it again")
    lead = np.broadcast_shapes(a.index.shape[:-2], b.index.shape[:-2])
    rows, inner, columns = a.index.shape[-2], a.index.shape[-1], b.index.shape[-1]
    shape = (*lead, rows, columns, inner)
    left = np.broadcast_to(a.index[..., :, None, :], shape)
    right = np.broadcast_to(np.swapaxes(b.index, -1, -2)[..., None, :, :], shape)
    node = _summed(call, a.node, b.node, left.reshape(-1, inner), right.reshape(-1, inner))
    first = a if a.time is not None or b.time is None else b
    return Stream(node, np.arange(node.channels).reshape(shape[:-1]), first.time, first.lengths)


def _summed(call: Call, a: Node, b: Node, left: Array, right: Array) -> Node:
    """Return the sums of products of channels, one for each row of `left` and `right`."""
    if not a.control and not b.control and a.rate != b.rate:
        raise RefusalError("multiplies streams of different frame rates", "bring them to one rate first")
    if left.size > _MOST:
        raise RefusalError(
            f"multiplies {left.size} pairs of numbers in each frame; {_MOST} are the most", "use fewer, or attention"
        )
    product = call.emit.node("mul", call.emit.take(a, left), call.emit.take(b, right), channels=left.size)
    count, inner = left.shape
    if inner == 1:
        return product
    if count == 1 or product.control:
        return call.emit.linear(product, np.kron(np.eye(count), np.ones((1, inner))).astype(np.float32))
    return call.emit.node(
        "conv1d",
        product,
        channels=count,
        weights={"weight": np.ones((count, inner, 1), np.float32)},
        stride=1,
        dilation=1,
        groups=count,
        pads=[0, 0],
    )


def einsum(call: Call, letters: list[str], out: str) -> Value:
    """Multiply two streams as an Einsum over one letter says: the letters of both that remain are kept in front."""
    first, second = letters
    a, b = call.inputs[0], call.inputs[1]
    assert isinstance(a, Stream) and isinstance(b, Stream)
    lead, rows, inner, columns = _roles(call, first, second, out)
    if len(first) != a.rank or len(second) != b.rank:
        call.refuse(*ADVICE["Einsum"])
    times = {names[item.time] for item, names in ((a, first), (b, second)) if item.time is not None}
    if len(times) == 1 and not times & {*inner}:
        return _spread(call, (first, second), (lead, rows, columns, inner), out)
    if len(inner) != 1 or len(rows) > 1 or len(columns) > 1:
        call.refuse(*ADVICE["Einsum"])
    left = _ordered(a, first, [*lead, *(rows or "*"), *inner])
    right = _ordered(b, second, [*lead, *inner, *(columns or "*")])
    return _back(call, of_two(call, left, right), [*lead, *(rows or "*"), *(columns or "*")], out)


def _spread(call: Call, letters: tuple[str, str], roles: tuple[list[str], ...], out: str) -> Stream:
    """Multiply two streams within each frame: every letter of the result against every letter summed over."""
    lead, rows, columns, inner = roles
    a, b = call.stream(0), call.stream(1)
    left = _ordered(a, letters[0], [*lead, *rows, *inner]).index
    right = _ordered(b, letters[1], [*lead, *columns, *inner]).index
    left = np.expand_dims(left, tuple(range(len(lead) + len(rows), len(lead) + len(rows) + len(columns))))
    right = np.expand_dims(right, tuple(range(len(lead), len(lead) + len(rows))))
    left, right = np.broadcast_arrays(left, right)
    kept = [*lead, *rows, *columns]
    width = int(np.prod(left.shape[len(kept) :], dtype=np.int64))
    node = _summed(call, a.node, b.node, left.reshape(-1, width), right.reshape(-1, width))
    timed, names = (a, letters[0]) if a.time is not None else (b, letters[1])
    index = np.arange(node.channels).reshape(left.shape[: len(kept)])
    assert timed.time is not None
    order = [kept.index(letter) for letter in out]
    return Stream(node, index.transpose(order), out.index(names[timed.time]), timed.lengths)


def equation(call: Call) -> tuple[list[str], str]:
    """Return the letters of the operands and of the result, those of an ellipsis written out."""
    left, arrow, out = call.attr("equation").replace(" ", "").partition("->")
    letters = left.split(",")
    ranks = [value.rank if isinstance(value, (Stream, Scores)) else _rank(call, value) for value in call.inputs]
    if not arrow:  # what occurs once, in the order of the alphabet
        single = [letter for letter in sorted(set(left) - {",", "."}) if left.count(letter) == 1]
        out = ("..." if "..." in left else "") + "".join(single)
    if len(letters) != len(ranks):
        call.refuse(
            "has another number of tensors than of names for their axes", "the file is damaged; export it again"
        )
    if "..." in left:
        widest = max(rank - len(item) + 3 for rank, item in zip(ranks, letters, strict=True) if "..." in item)
        spare = [chr(code) for code in range(0x3B1, 0x3B1 + widest)]
        for place, (rank, item) in enumerate(zip(ranks, letters, strict=True)):
            hidden = spare[widest - (rank - len(item) + 3) :] if "..." in item else []
            letters[place] = item.replace("...", "".join(hidden))
        out = out.replace("...", "".join(spare))
    return letters, out


def _rank(call: Call, value: Value | None) -> int:
    if not isinstance(value, Known):
        call.refuse(*ADVICE["Einsum"])
    assert isinstance(value, Known)
    return value.arrays[0].ndim


def without_lone(call: Call, place: int, letters: list[str], out: str) -> str:
    """Sum a stream over the axes that neither the result nor another operand has; return the letters left."""
    stream, mine = call.stream(place), letters[place]
    others = "".join(item for number, item in enumerate(letters) if number != place) + out
    lone = [axis for axis, letter in enumerate(mine) if letter not in others]
    if len(mine) != stream.rank:
        call.refuse(*ADVICE["Einsum"])
    if stream.time in lone:
        call.refuse("sums over all time", ADVICE["GlobalAveragePool"][1])
    if lone:
        moved = np.moveaxis(stream.index, lone, range(-len(lone), 0))
        shape = moved.shape[: -len(lone)]
        count = int(np.prod(moved.shape[-len(lone) :], dtype=np.int64))
        source = call.emit.take(stream.node, moved.ravel())
        node = call.emit.linear(source, np.kron(np.eye(moved.size // count), np.ones((1, count))))
        time = None if stream.time is None else stream.time - sum(axis < stream.time for axis in lone)
        call.inputs[place] = fresh(node, shape, time, stream.lengths)
    return "".join(letter for axis, letter in enumerate(mine) if axis not in lone)


def _einsum_of_scores(call: Call) -> Value:
    left, _, out = call.attr("equation").replace(" ", "").partition("->")
    table, v = call.inputs[0], call.inputs[1]
    letters = left.split(",")
    if not isinstance(table, Scores) or not isinstance(v, Stream) or "." in left or not table.shares:
        call.refuse("multiplies scores otherwise than Softmax(scores) with values", ADVICE["Einsum"][1])
    assert isinstance(table, Scores) and isinstance(v, Stream)
    lead, rows, inner, columns = _roles(call, letters[0], letters[1], out)
    if list(letters[0]) != [*lead, *rows, *inner] or len(columns) > 1 or len(rows) != 1 or len(inner) != 1:
        call.refuse(*ADVICE["Einsum"])
    right = _ordered(v, letters[1], [*lead, *inner, *(columns or "*")])
    return _back(call, mixed(call, table, right), [*lead, *rows, *(columns or "*")], out)


SCORES["Einsum"] = _einsum_of_scores


def _roles(call: Call, first: str, second: str, out: str) -> tuple[list[str], list[str], list[str], list[str]]:
    """Return the letters of both that are kept, of the first only, summed over, and of the second only."""
    lead = [letter for letter in first if letter in second and letter in out]
    inner = [letter for letter in first if letter in second and letter not in out]
    rows = [letter for letter in first if letter not in second]
    columns = [letter for letter in second if letter not in first]
    if sorted(out) != sorted([*lead, *rows, *columns]):
        call.refuse(*ADVICE["Einsum"])
    return lead, rows, inner, columns


def _ordered(stream: Stream, letters: str, wanted: list[str]) -> Stream:
    """Bring the axes of a stream into an order; ``*`` is a new one."""
    order = [letters.index(letter) for letter in wanted if letter != "*"]
    index = stream.index.transpose(order)
    names = [letter for letter in wanted if letter != "*"]
    time = None if stream.time is None else names.index(letters[stream.time])
    if "*" in wanted:
        place = wanted.index("*")
        index = np.expand_dims(index, place)
        time = time + 1 if time is not None and time >= place else time
    return replace(stream, index=index, time=time)


def _back(call: Call, result: Stream | Scores, names: list[str], out: str) -> Value:
    if isinstance(result, Scores):
        if [name for name in names if name != "*"] != list(out):
            call.refuse("transposes the scores of an attention", "keep queries before keys")
        return result
    places = [place for place, name in enumerate(names) if name == "*"]
    time = result.time
    if time is not None:
        time -= sum(place < time for place in places)
    index = result.index.squeeze(tuple(places)) if places else result.index
    kept = [name for name in names if name != "*"]
    order = [kept.index(letter) for letter in out]
    return replace(result, index=index.transpose(order), time=None if time is None else order.index(time))
