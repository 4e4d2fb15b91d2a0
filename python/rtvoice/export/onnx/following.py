"""Following constants as functions of the length: what each operator makes of symbols (`symbols.py`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np

from .ir import Array
from .source import require_onnx
from .symbols import (
    LENGTH,
    UNITS,
    Cell,
    Form,
    LostError,
    Symbol,
    added,
    chosen,
    compared,
    constant,
    crosses,
    extreme,
    joined,
    remainder_of,
    rounded,
    scaled,
    sizes_of,
    through,
    variable,
    whole,
)

_FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "Exp": np.exp, "Log": np.log, "Sqrt": np.sqrt, "Sin": np.sin, "Cos": np.cos, "Tanh": np.tanh, "Sign": np.sign,
    "Reciprocal": np.reciprocal, "Not": np.logical_not, "IsNaN": np.isnan, "IsInf": np.isinf,
    "Sigmoid": lambda x: 1.0 / (1.0 + np.exp(-x)),
}  # fmt: skip
_PAIRS: dict[str, Callable[[Any, Any], Any]] = {
    "And": np.logical_and, "Or": np.logical_or, "Xor": np.logical_xor, "Pow": np.power, "Div": np.divide,
    "Mul": np.multiply,
}  # fmt: skip
_COMPARING = ("Less", "LessOrEqual", "Greater", "GreaterOrEqual", "Equal")
_ROUNDING = ("Floor", "Ceil", "Round")
_BOOL, _FLOATS = 9, (1, 10, 11, 16)


def follow(node: Any, inputs: Sequence[Symbol | None], results: Sequence[Sequence[Array]]) -> list[Symbol]:
    """Return the outputs of a node that is computed ahead.

    Parameters
    ----------
    node
        The ONNX node.
    inputs
        What it reads; None for what is left out.
    results
        What it gives, for each output and each length followed.
    """
    made = []
    for arrays in results:
        symbol = Symbol(None)
        try:
            sizes = sizes_of([array.shape for array in arrays])
            symbol = Symbol(None, sizes, _rows(node.op_type, inputs, sizes))
            if len(results) == 1:
                cells = _Step(node, inputs, sizes, arrays).cells()
                symbol = Symbol(cells, sizes) if cells.size <= 1 << 16 else symbol
        except (LostError, ValueError, IndexError, ZeroDivisionError, OverflowError, TypeError, AttributeError):
            pass  # what contradicts itself is refused where it is computed
        made.append(symbol)
    return made


def _rows(op: str, inputs: Sequence[Symbol | None], sizes: tuple[Form, ...]) -> Symbol | None:
    """Return what lies behind one another in an array of one row or column, as it was before."""
    given = inputs[0] if inputs else None
    if given is None or op not in ("Reshape", "Flatten", "Transpose", "Unsqueeze", "Squeeze", "Identity", "Cast"):
        return None
    if sum(size != Form((), Fraction(1)) for size in sizes) != 1:
        return None
    return given.rows or (given if op in ("Reshape", "Flatten") else None)


class _Step:
    """One node on its way."""

    def __init__(
        self, node: Any, inputs: Sequence[Symbol | None], sizes: tuple[Form, ...], arrays: Sequence[Array]
    ) -> None:
        self.op: str = node.op_type
        self.inputs = inputs
        self.sizes = sizes
        self.arrays = arrays
        helper = require_onnx().helper
        self.attrs = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}

    def cells(self) -> Array:
        """Return the cells of the output."""
        handler = getattr(self, f"on_{self.op.lower()}", None)
        if handler is not None:
            return handler()  # type: ignore[no-any-return]
        return self._pointwise()

    def _given(self, index: int = 0) -> Symbol:
        symbol = self.inputs[index] if index < len(self.inputs) else None
        if symbol is None or symbol.cells is None:
            raise LostError
        return symbol

    def _of(self, index: int = 0) -> Array:
        cells = self._given(index).cells
        assert cells is not None
        return cells

    def _has(self, index: int) -> bool:
        return index < len(self.inputs) and self.inputs[index] is not None

    def _numbers(self, index: int, name: str) -> list[int] | None:
        """Return an attribute or an input as integers."""
        if name in self.attrs:
            return [int(item) for item in np.ravel(self.attrs[name])]
        if not self._has(index):
            return None
        whole_size = [size.shift for size in self._given(index).sizes]
        cells = np.broadcast_to(self._of(index), [int(size) for size in whole_size])
        return [int(_number(cell)) for cell in cells.ravel()]

    def _pointwise(self) -> Array:
        return _each(self._cell, *(self._of(index) for index in range(len(self.inputs))))

    def _cell(self, *cells: Cell) -> Cell:
        op, sizes = self.op, self.sizes
        if op in ("Identity", "Cast", "CastLike"):
            return self._cast(cells[0])
        if op in ("Add", "Sum"):
            total = cells[0]
            for cell in cells[1:]:
                total = added(total, cell, sizes)
            return total
        if op == "Sub":
            return added(cells[0], scaled(cells[1], -1.0, sizes), sizes)
        if op == "Neg":
            return scaled(cells[0], -1.0, sizes)
        if op in _COMPARING:
            return compared(op, cells[0], cells[1], sizes)
        if op in _ROUNDING:
            return rounded(op, cells[0], sizes)
        if op in ("Max", "Min"):
            found = cells[0]
            for cell in cells[1:]:
                found = extreme(op, found, cell, sizes)
            return found
        if op == "Relu":
            return extreme("Max", cells[0], constant(0.0), sizes)
        if op == "Abs":
            return extreme("Max", cells[0], scaled(cells[0], -1.0, sizes), sizes)
        if op == "Clip":
            return self._limited(list(cells))
        if op == "Where":
            return chosen(*cells)
        if op == "Mul" and cells[0].number is not None and np.isfinite(cells[0].number):
            return scaled(cells[1], _exact(cells[0]), sizes)
        if op == "Mul" and cells[1].number is not None and np.isfinite(cells[1].number):
            return scaled(cells[0], _exact(cells[1]), sizes)
        if op == "Div" and cells[1].number:
            quotient = scaled(cells[0], Fraction(1) / Fraction(cells[1].number), sizes)
            return rounded("Cast", quotient, sizes) if self._integers() else quotient
        if op == "Div" and not self._integers():
            return _ratio(*cells)
        if op == "Mod":
            if self.attrs.get("fmod", 0) and cells[0].low < 0:
                raise LostError
            return remainder_of(cells[0], _number(cells[1]), sizes)
        if op in _FUNCTIONS:
            return _mapped(_FUNCTIONS[op], cells)
        if op in _PAIRS:
            for cell in cells:  # one side may decide
                if cell.number is not None and bool(cell.number) == (op == "Or") and op in ("And", "Or"):
                    return constant(float(op == "Or"))
            return _mapped(_PAIRS[op], cells)
        raise LostError

    def _integers(self) -> bool:
        return self.arrays[0].dtype.kind in "iu"

    def _cast(self, cell: Cell) -> Cell:
        if self.op == "Identity" or self.arrays[0].dtype.kind == "f":
            return cell
        if self.arrays[0].dtype.kind == "b":
            same = compared("Equal", cell, constant(0.0), self.sizes)
            return _mapped(np.logical_not, [same])
        return rounded("Cast", cell, self.sizes)

    def _limited(self, cells: list[Cell]) -> Cell:
        found = cells[0]
        if len(cells) == 1 and ("min" in self.attrs or "max" in self.attrs):
            cells = [
                found,
                constant(float(self.attrs.get("min", -np.inf))),
                constant(float(self.attrs.get("max", np.inf))),
            ]
        if len(cells) > 1:
            found = extreme("Max", found, cells[1], self.sizes)
        return extreme("Min", found, cells[2], self.sizes) if len(cells) > 2 else found

    def on_clip(self) -> Array:
        if len(self.inputs) == 3 and self.inputs[1] is None:
            return _each(lambda cell, high: extreme("Min", cell, high, self.sizes), self._of(0), self._of(2))
        self.inputs = [item for item in self.inputs if item is not None]
        return self._pointwise()

    def on_range(self) -> Array:
        start, step = (self._of(index).ravel()[0] for index in (0, 2))
        if start.form is None or start.remainder:
            raise LostError
        form = start.form + variable(-1).times(Fraction(_number(step)))
        return _single(whole(form, self.sizes), 1)

    def on_constantofshape(self) -> Array:
        value = self.attrs.get("value")
        number = 0.0 if value is None else float(require_onnx().numpy_helper.to_array(value).ravel()[0])
        return _single(constant(number), len(self.sizes))

    def on_shape(self) -> Array:
        firsts = [[int(array[place]) for array in self.arrays] for place in range(self.arrays[0].size)]
        cells = np.empty(len(firsts), object)
        for place, pair in enumerate(firsts):
            cells[place] = whole(through(*pair), ())
        return cells

    def on_expand(self) -> Array:
        given = self._of(0)
        return given.reshape((1,) * (len(self.sizes) - given.ndim) + given.shape)

    def on_tile(self) -> Array:
        given = self._given(0)
        for axis, (before, after) in enumerate(zip(given.sizes, self.sizes, strict=True)):
            if before != after and (self._of(0).shape[axis] != 1 or before != Form((), Fraction(1))):
                raise LostError
        return self._of(0)

    def on_reshape(self) -> Array:
        return self._refit()

    on_squeeze = on_unsqueeze = on_flatten = on_reshape

    def _refit(self) -> Array:
        """Bring cells into the new shape: axes of 1 come and go, or all of them are held one by one."""
        given = self._given(0)
        cells = self._of(0)
        one = Form((), Fraction(1))
        before = [axis for axis, size in enumerate(given.sizes) if size != one]
        after = [axis for axis, size in enumerate(self.sizes) if size != one]
        if [given.sizes[axis] for axis in before] == [self.sizes[axis] for axis in after]:
            shape = [1] * len(self.sizes)
            moved = {}
            for old, new in zip(before, after, strict=True):
                shape[new] = cells.shape[old]
                moved[old - len(given.sizes)] = new - len(self.sizes)
            return _renamed(cells.reshape(shape), moved)
        if any(size.factors for size in (*given.sizes, *self.sizes)) or _indexed(cells):
            raise LostError
        spread = np.broadcast_to(cells, [int(size.shift) for size in given.sizes])
        return spread.reshape([int(size.shift) for size in self.sizes])

    def on_transpose(self) -> Array:
        cells = self._of(0)
        order = list(self.attrs.get("perm", reversed(range(cells.ndim))))
        moved = {old - cells.ndim: new - cells.ndim for new, old in enumerate(order)}
        return _renamed(cells.transpose(order), moved)

    def on_slice(self) -> Array:
        given, cells = self._given(0), self._of(0)
        starts = np.broadcast_to(self._of(1), [int(size.shift) for size in self._given(1).sizes]).ravel()
        axes = self._numbers(3, "axes") or list(range(len(starts)))
        steps = self._numbers(4, "steps") or [1] * len(starts)
        ends = np.broadcast_to(self._of(2), [int(size.shift) for size in self._given(2).sizes])
        for place, (start, axis, step) in enumerate(zip(starts, axes, steps, strict=True)):
            axis = axis % cells.ndim
            back = axis - cells.ndim
            form = start.form
            if form is None or start.remainder:
                raise LostError
            if start.high < 0:
                form = form + given.sizes[axis]
            elif start.low < 0:
                raise LostError
            if self._ends_far(ends.ravel()[place], given.sizes[axis]) or self._ends_far(start, given.sizes[axis]):
                raise LostError
            if step < 0 and (form.factors or given.sizes[axis].factors):
                raise LostError
            if step < 0:  # from the last one on, where a start lies beyond it
                form = Form((), min(form.shift, given.sizes[axis].shift - 1))
            if cells.shape[axis] > 1:
                if form.factors or given.sizes[axis].factors or self.sizes[axis].factors:
                    raise LostError
                count = int(self.sizes[axis].shift)
                first = int(form.shift)
                cells = cells.take(range(first, first + count * step, step), axis)
            else:
                cells = _placed(cells, {back: form + variable(back).times(Fraction(step))})
        return cells

    @staticmethod
    def _ends_far(bound: Cell, size: Form) -> bool:
        """Tell whether a bound, a number, is beyond the lengths followed."""
        number = bound.number
        grown = [int(size.put({LENGTH: Form((), Fraction(units))}).shift) for units in UNITS]
        return number is not None and crosses([int(number)] * len(grown), grown)

    def on_gather(self) -> Array:
        given, cells, index = self._given(0), self._of(0), self._of(1)
        axis = int(self.attrs.get("axis", 0)) % cells.ndim
        back = axis - cells.ndim
        rank = len(self._given(1).sizes)
        if rank > 1 and cells.shape == (1,) and min(cell.low for cell in index.ravel()) >= 0:
            return _each(lambda cell: _composed(cells[0], cell), index)
        if rank > 1:
            raise LostError
        size = given.sizes[axis]
        if cells.shape[axis] > 1 or not size.factors:
            count = int(size.shift)
            spread = np.broadcast_to(cells, [*cells.shape[:axis], count, *cells.shape[axis + 1 :]])
            if _indexed(cells, back):
                raise LostError
            picks = np.asarray([int(_number(cell)) % count for cell in index.ravel()])
            if rank and len(picks) != int(self._given(1).sizes[0].shift):
                raise LostError
            taken = spread.take(picks, axis)
            taken = taken if rank else taken.squeeze(axis)
            return _renamed(taken, _dropped(cells.ndim, axis) if not rank else {})
        if index.size != 1:
            raise LostError
        cell = index.ravel()[0]
        form = cell.form
        if form is None or cell.remainder or (cell.low < 0 <= cell.high):
            raise LostError
        if cell.high < 0:
            form = form + size
        if not rank:
            return _renamed(_placed(cells, {back: form}).squeeze(axis), _dropped(cells.ndim, axis))
        return _placed(cells, {back: form.put({-1: variable(back)})})

    def on_concat(self) -> Array:
        axis = int(self.attrs["axis"])
        parts = []
        for index in range(len(self.inputs)):
            given, cells = self._given(index), self._of(index)
            place = axis % cells.ndim
            size = given.sizes[place]
            if size.factors or _indexed(cells, place - cells.ndim):
                raise LostError
            shape = list(cells.shape)
            shape[place] = int(size.shift)
            parts.append(np.broadcast_to(cells, shape))
        rest = [tuple(n for at, n in enumerate(part.shape) if at != axis % part.ndim) for part in parts]
        shape = list(np.broadcast_shapes(*rest))
        whole_parts = []
        for part in parts:
            place = axis % part.ndim
            whole_parts.append(np.broadcast_to(part, [*shape[:place], part.shape[place], *shape[place:]]))
        return np.concatenate(whole_parts, axis)

    def on_trilu(self) -> Array:
        shift = self._numbers(1, "k") or [0]
        apart = variable(-1).minus(variable(-2))
        op = "GreaterOrEqual" if self.attrs.get("upper", 1) else "LessOrEqual"
        inside = compared(op, whole(apart, self.sizes), constant(float(shift[0])), self.sizes)
        return _each(lambda cell: chosen(inside, cell, constant(0.0)), self._of(0))

    def on_eyelike(self) -> Array:
        apart = variable(-1).minus(variable(-2))
        shift = constant(float(self.attrs.get("k", 0)))
        return _single(compared("Equal", whole(apart, self.sizes), shift, self.sizes), 2)

    def on_cumsum(self) -> Array:
        cells = self._of(0)
        axis = self._numbers(1, "axis")
        if axis is None or self.attrs.get("reverse", 0) or cells.shape[axis[0]] != 1:
            raise LostError
        back = axis[0] % cells.ndim - cells.ndim
        counted = variable(back) + Form((), Fraction(0 if self.attrs.get("exclusive", 0) else 1))
        return _each(lambda cell: whole(counted.times(Fraction(_number(cell))), self.sizes), cells)

    def _reduced(self) -> Array:
        """Reduce what is held one by one, and one dimension, as shapes are."""
        given, cells = self._given(0), self._of(0)
        if len(given.sizes) != 1 or given.sizes[0].factors or _indexed(cells):
            raise LostError
        items = list(np.broadcast_to(cells, [int(given.sizes[0].shift)]).ravel())
        total = items[0]
        for item in items[1:]:
            total = self._both(total, item)
        return _single(total, len(self.sizes))

    on_reduceprod = on_reducesum = on_reducemax = on_reducemin = _reduced

    def _both(self, a: Cell, b: Cell) -> Cell:
        if self.op == "ReduceSum":
            return added(a, b, ())
        if self.op in ("ReduceMax", "ReduceMin"):
            return extreme(self.op[6:], a, b, ())
        return scaled(a, _number(b), ()) if b.number is not None else scaled(b, _number(a), ())


def _each(function: Callable[..., Cell], *parts: Array) -> Array:
    """Apply a function to cells, element by element."""
    spread = np.broadcast_arrays(*parts)
    found = np.empty(spread[0].size, object)
    for place, cells in enumerate(zip(*(part.ravel().tolist() for part in spread), strict=True)):
        found[place] = function(*cells)
    return found.reshape(spread[0].shape)


def _composed(cell: Cell, index: Cell) -> Cell:
    """Return a number that depends on one index, at a place that is a number itself."""
    form, place = cell.form, index.form
    if form is None or place is None or index.remainder or index.breaks or cell.breaks:
        raise LostError
    return replace(cell, pieces=frozenset([form.put({-1: place})]))


def _ratio(above: Cell, below: Cell) -> Cell:
    """Divide two forms, one of which is a multiple of the other: `frames / (frames * 4)` is 1/4 for every length."""
    over, under = above.form, below.form
    if over is None or under is None or above.remainder or below.remainder or not under.factors:
        raise LostError
    axis, slope = under.factors[0]
    share = over.of(axis) / slope
    if over != under.times(share):
        raise LostError
    return constant(share)


def _exact(cell: Cell) -> Fraction:
    (piece,) = cell.pieces
    return piece.shift if isinstance(piece, Form) else Fraction(piece)


def _number(cell: Cell) -> float:
    if cell.number is None:
        raise LostError
    return cell.number


def _single(cell: Cell, rank: int) -> Array:
    cells = np.empty((1,) * rank, object)
    cells[(0,) * rank] = cell
    return cells


def _mapped(function: Callable[..., Any], cells: Sequence[Cell]) -> Cell:
    """Apply a function to what is constant piece by piece."""
    pieces: set[Form | float] = set()
    if any(cell.slack for cell in cells):
        raise LostError
    for chosen_pieces in product(*(cell.pieces for cell in cells)):
        numbers = []
        for piece in chosen_pieces:
            if isinstance(piece, Form) and piece.factors:
                raise LostError
            numbers.append(float(piece.shift) if isinstance(piece, Form) else piece)
        with np.errstate(all="ignore"):
            value = float(function(*numbers))
        pieces.add(Form((), Fraction(value)) if np.isfinite(value) else value)
    return joined(cells, pieces)


def _placed(cells: Array, places: dict[int, Form]) -> Array:
    """Put forms in place of indices."""

    def put(cell: Cell) -> Cell:
        moved = {piece.put(places) if isinstance(piece, Form) else piece for piece in cell.pieces}
        breaks = frozenset((form.put(places), slack) for form, slack in cell.breaks)
        return replace(cell, pieces=frozenset(moved), breaks=breaks)

    return _each(put, cells)


def _renamed(cells: Array, axes: dict[int, int]) -> Array:
    return _placed(cells, {old: variable(new) for old, new in axes.items() if old != new})


def _dropped(rank: int, axis: int) -> dict[int, int]:
    """Return where the axes before a removed one are found."""
    return {place - rank: place - rank + 1 for place in range(axis)}


def _indexed(cells: Array, axis: int | None = None) -> bool:
    """Tell whether cells depend on an index, or on that along one axis."""
    for cell in cells.ravel():
        forms = [piece for piece in cell.pieces if isinstance(piece, Form)] + [form for form, _ in cell.breaks]
        for form in forms:
            if any(one == axis or (axis is None and one != LENGTH) for one, _ in form.factors):
                return True
    return False
