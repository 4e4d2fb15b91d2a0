"""What is computed from the length of the recording or from a time index, followed as a function of them.

The walk computes such numbers for two lengths. That proves nothing for a longer recording: `arange(T) < 200000` is all
ones in both. So each of them is also followed as pieces that are affine in the length and in the indices, with the
places where one piece follows another. Where the two lengths have seen every such place, they have seen all there is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import product
from math import ceil, floor, inf, isfinite
from typing import Any

import numpy as np

from .ir import Array

LENGTH = 0  # the variable that stands for the length, in units of which the lengths followed are 2 and 3
UNITS = (2, 3)
_MOST = 16  # pieces, and more than enough for what exporters write
UNSEEN = "as far as"
_NO_END = (1 << 31) - 1  # what exporters write for an end that is left open, or more
_LARGEST = 4096  # numbers of a constant that are followed one by one
_PARTS = 4096  # the largest denominator of a fraction that exporters write as a float


@dataclass(frozen=True)
class Form:
    """A sum of variables times numbers: the length, and the index along each axis, counted from the last (-1)."""

    factors: tuple[tuple[int, Fraction], ...] = ()
    shift: Fraction = Fraction(0)

    def __add__(self, other: Form) -> Form:
        factors = dict(self.factors)
        for variable, factor in other.factors:
            factors[variable] = factors.get(variable, Fraction(0)) + factor
        return _form(factors, self.shift + other.shift)

    def times(self, factor: Fraction) -> Form:
        """Return the form times a number."""
        return _form({variable: own * factor for variable, own in self.factors}, self.shift * factor)

    def minus(self, other: Form) -> Form:
        """Return the difference of two forms."""
        return self + other.times(Fraction(-1))

    def of(self, variable: int) -> Fraction:
        """Return the factor of a variable."""
        return dict(self.factors).get(variable, Fraction(0))

    def put(self, places: Mapping[int, Form]) -> Form:
        """Return the form with other forms in place of variables."""
        result = Form((), self.shift)
        for variable, factor in self.factors:
            result += places.get(variable, Form(((variable, Fraction(1)),))).times(factor)
        return result


def _form(factors: Mapping[int, Fraction], shift: Fraction) -> Form:
    return Form(tuple(sorted((variable, factor) for variable, factor in factors.items() if factor)), shift)


def variable(axis: int) -> Form:
    """Return the form that is the index along an axis, counted from the last."""
    return Form(((axis, Fraction(1)),))


@dataclass(frozen=True)
class Cell:
    """A number as a function of the length and the indices: one of several pieces.

    Parameters
    ----------
    pieces
        The forms that it may have; floats where it is infinite or NaN.
    low, high
        Between what it lies.
    breaks
        Forms, and how far off they may be, at whose zero one piece follows another.
    slack
        How far it may be from the piece: rounding to integers.
    periods
        After how many frames rounding repeats, by axis.
    remainder
        Whether it depends on the remainder of the length, which the lengths followed do not show.
    """

    pieces: frozenset[Form | float]
    low: float
    high: float
    breaks: frozenset[tuple[Form, float]] = frozenset()
    slack: float = 0.0
    periods: frozenset[int] = frozenset()
    remainder: bool = False

    @property
    def number(self) -> float | None:
        """The one number that it is everywhere, or None."""
        if len(self.pieces) != 1 or self.slack or self.remainder:
            return None
        (piece,) = self.pieces
        if isinstance(piece, float):
            return piece
        return None if piece.factors else float(piece.shift)

    @property
    def form(self) -> Form | None:
        """The one form that it is everywhere, or None."""
        if len(self.pieces) != 1 or self.slack:
            return None
        (piece,) = self.pieces
        return piece if isinstance(piece, Form) else None


@dataclass(frozen=True)
class Symbol:
    """An array as a function of the length: its cells, one for all of an axis that has none of its own.

    Parameters
    ----------
    cells
        The numbers; None where they cannot be followed.
    sizes
        The shape, each axis a form.
    rows
        What its numbers were before they were put behind one another in one row.
    """

    cells: Array | None
    sizes: tuple[Form, ...] = field(default_factory=tuple)
    rows: Symbol | None = None


class LostError(Exception):
    """Something that cannot be followed."""


def sizes_of(shapes: Sequence[Sequence[int]]) -> tuple[Form, ...]:
    """Return a shape as forms of the length."""
    if len({len(shape) for shape in shapes}) != 1:
        raise LostError
    return tuple(through(*pair) for pair in zip(*shapes, strict=True))


def through(first: int, second: int) -> Form:
    """Return the form that has these values for the two lengths followed."""
    slope = Fraction(second - first)
    return _form({LENGTH: slope}, first - UNITS[0] * slope)


def of_shape(shapes: Sequence[Sequence[int]]) -> Symbol:
    """Return the shape of a stream, one per length followed, as a symbol."""
    cells = np.empty(len(shapes[0]), object)
    for place, form in enumerate(sizes_of(shapes)):
        cells[place] = whole(form, ())
    return Symbol(cells, (Form((), Fraction(len(cells))),))


def of_size(sizes: Sequence[int]) -> Symbol:
    """Return one number for each length followed as a symbol."""
    cells = np.empty((), object)
    cells[()] = whole(through(*sizes), ())
    return Symbol(cells)


def of_array(array: Array) -> Symbol:
    """Return a constant as a symbol."""
    sizes = tuple(Form((), Fraction(size)) for size in array.shape)
    if array.size > 1 and (array == array.ravel()[0]).all():
        array = array.ravel()[:1].reshape((1,) * array.ndim)
    if array.size > _LARGEST or array.dtype.kind not in "biuf":
        return Symbol(None, sizes)
    cells = np.empty(array.shape, object)
    for place in np.ndindex(array.shape):
        cells[place] = constant(_meant(array[place]))
    return Symbol(cells, sizes)


def constant(number: float | Fraction) -> Cell:
    """Return a number as a cell."""
    at = float(number)
    return Cell(frozenset([Form((), Fraction(number)) if isfinite(at) else at]), at, at)


def _meant(number: Any) -> float | Fraction:
    """Return the fraction that a float stands for: steps of 1/3 come back to whole frames, of 0.33333334 never."""
    at = float(number)
    if not isfinite(at) or at.is_integer():
        return at
    near = Fraction(at).limit_denominator(_PARTS)
    return near if type(number)(float(near)) == number else at


def whole(form: Form, sizes: Sequence[Form]) -> Cell:
    """Return a form as a cell of an array of this shape."""
    return Cell(frozenset([form]), *bounds(form, sizes))


def bounds(form: Form, sizes: Sequence[Form]) -> tuple[float, float]:
    """Return between what a form lies: every index within its axis, the length at least the shorter one followed."""
    ends = []
    for sign in (1, -1):
        end = form.times(Fraction(sign))
        for axis, factor in form.factors:
            if axis != LENGTH:
                last = sizes[axis] + Form((), Fraction(-1)) if len(sizes) >= -axis else Form()
                end = end.put({axis: last if factor * sign > 0 else Form()})
        slope = end.of(LENGTH)
        ends.append(sign * (inf if slope > 0 else float(end.shift + slope * UNITS[0])))
    return ends[1], ends[0]


def joined(cells: Sequence[Cell], pieces: set[Form | float], **changes: object) -> Cell:
    """Return a cell of other pieces that has the breaks of `cells`."""
    if not pieces or len(pieces) > _MOST:
        raise LostError
    numbers = {piece if isinstance(piece, float) else float(piece.shift) for piece in pieces if not _moves(piece)}
    moving = any(_moves(piece) for piece in pieces)
    known = {0.0} if not numbers else {number for number in numbers if number == number} or {0.0}
    cell = Cell(
        frozenset(pieces),
        -inf if moving else min(known),
        inf if moving else max(known),
        frozenset().union(*(cell.breaks for cell in cells)),
        0.0,
        frozenset().union(*(cell.periods for cell in cells)),
        any(cell.remainder for cell in cells),
    )
    return replace(cell, **changes)  # type: ignore[arg-type]


def _moves(piece: Form | float) -> bool:
    return isinstance(piece, Form) and bool(piece.factors)


def pairs(a: Cell, b: Cell) -> list[tuple[Form | float, Form | float]]:
    """Return the pieces of two cells that may meet."""
    if len(a.pieces) * len(b.pieces) > _MOST * _MOST:
        raise LostError
    return list(product(a.pieces, b.pieces))


def added(a: Cell, b: Cell, sizes: Sequence[Form]) -> Cell:
    """Add two cells."""
    pieces: set[Form | float] = set()
    for one, other in pairs(a, b):
        if isinstance(one, Form) and isinstance(other, Form):
            pieces.add(one + other)
        else:
            pieces.add(_number(one) + _number(other))
    slack = a.slack + b.slack
    return _bounded(joined((a, b), pieces, slack=slack), a.low + b.low, a.high + b.high, sizes)


def scaled(cell: Cell, factor: float | Fraction, sizes: Sequence[Form]) -> Cell:
    """Multiply a cell by a number."""
    if not isfinite(factor):
        raise LostError
    pieces: set[Form | float] = {
        piece.times(Fraction(factor)) if isinstance(piece, Form) else piece * float(factor) for piece in cell.pieces
    }
    steep = float(factor)
    ends = sorted((cell.low * steep, cell.high * steep)) if factor else [0.0, 0.0]
    return _bounded(joined([cell], pieces, slack=cell.slack * abs(float(factor))), ends[0], ends[1], sizes)


def _number(piece: Form | float) -> float:
    if isinstance(piece, float):
        return piece
    if piece.factors:
        raise LostError
    return float(piece.shift)


def _bounded(cell: Cell, low: float, high: float, sizes: Sequence[Form]) -> Cell:
    """Give a cell the narrowest of the bounds known: those of the operands, and those of its pieces."""
    own = [bounds(piece, sizes) if isinstance(piece, Form) else (piece, piece) for piece in cell.pieces]
    low = max([end for end in (low, min(pair[0] for pair in own) - cell.slack) if end == end] or [-inf])
    high = min([end for end in (high, max(pair[1] for pair in own) + cell.slack) if end == end] or [inf])
    return replace(cell, low=low, high=high)


def settled(a: Cell, b: Cell, sizes: Sequence[Form]) -> tuple[Cell, frozenset[tuple[Form, float]]]:
    """Return the difference of two cells, and where it passes zero."""
    apart = added(a, scaled(b, -1.0, sizes), sizes) if _finite(a) and _finite(b) else None
    if apart is None:  # an infinite number is on one side of all others
        low, high = a.low - b.high, a.high - b.low
        return Cell(frozenset([0.0]), -inf if low != low else low, inf if high != high else high), frozenset()
    return apart, frozenset((piece, apart.slack) for piece in apart.pieces if isinstance(piece, Form) and piece.factors)


def _finite(cell: Cell) -> bool:
    return all(isinstance(piece, Form) for piece in cell.pieces)


def compared(op: str, a: Cell, b: Cell, sizes: Sequence[Form]) -> Cell:
    """Compare two cells: 1 where `op` holds."""
    if op in ("Greater", "GreaterOrEqual"):
        return compared({"Greater": "Less", "GreaterOrEqual": "LessOrEqual"}[op], b, a, sizes)
    apart, places = settled(a, b, sizes)
    always = {
        "Less": apart.high < 0,
        "LessOrEqual": apart.high <= 0,
        "Equal": apart.low == apart.high == 0,
    }[op]
    never = {"Less": apart.low >= 0, "LessOrEqual": apart.low > 0, "Equal": apart.low > 0 or apart.high < 0}[op]
    if always or never:
        return replace(constant(float(always)), remainder=apart.remainder)
    if not (_finite(a) and _finite(b)):
        raise LostError
    one, nought = Form((), Fraction(1)), Form()
    return joined((a, b), {one, nought}, breaks=a.breaks | b.breaks | places)


def chosen(condition: Cell, a: Cell, b: Cell) -> Cell:
    """Return `a` where the condition holds, else `b`."""
    number = condition.number
    if number is not None:
        return a if number else b
    cell = joined((condition, a, b), set(a.pieces | b.pieces), slack=max(a.slack, b.slack))
    return replace(cell, low=min(a.low, b.low), high=max(a.high, b.high))


def extreme(op: str, a: Cell, b: Cell, sizes: Sequence[Form]) -> Cell:
    """Return the greater or the smaller of two cells."""
    apart, places = settled(a, b, sizes)
    if apart.low >= 0 and not apart.remainder:
        return a if op == "Max" else b
    if apart.high <= 0 and not apart.remainder:
        return b if op == "Max" else a
    cell = joined((a, b), set(a.pieces | b.pieces), slack=max(a.slack, b.slack))
    pick = max if op == "Max" else min
    return replace(cell, breaks=cell.breaks | places, low=pick(a.low, b.low), high=pick(a.high, b.high))


def rounded(op: str, cell: Cell, sizes: Sequence[Form]) -> Cell:
    """Round a cell to integers, by floor, ceil, round, or towards zero."""
    pieces: set[Form | float] = set()
    periods, slack, remainder = set(cell.periods), cell.slack, cell.remainder
    for piece in cell.pieces:
        if not isinstance(piece, Form):
            raise LostError
        steps = [(axis, factor) for axis, factor in piece.factors if factor.denominator != 1]
        if cell.slack or steps:
            slack, remainder = cell.slack + 1.0, remainder or any(axis == LENGTH for axis, _ in steps)
            periods |= {ceil(1 / abs(factor)) for axis, factor in steps if axis != LENGTH}
            pieces.add(piece)
        else:
            low, high = bounds(piece, sizes)
            if op == "Cast" and low < 0 < high and piece.shift.denominator != 1:
                slack = 1.0
            up = op == "Ceil" or (op == "Cast" and high <= 0)
            near = round(piece.shift) if op == "Round" else ceil(piece.shift) if up else floor(piece.shift)
            pieces.add(Form(piece.factors, Fraction(near)))
    made = joined([cell], pieces, slack=slack, periods=frozenset(periods), remainder=remainder)
    return _bounded(made, cell.low - 1.0, cell.high + 1.0, sizes)


def remainder_of(cell: Cell, by: float, sizes: Sequence[Form]) -> Cell:
    """Return a cell modulo a number above 0, as Python counts it."""
    form, step = cell.form, Fraction(by)
    if form is None or by <= 0:
        raise LostError
    moving = [(axis, factor) for axis, factor in form.factors if (factor / step).denominator != 1]
    spread = any(axis != LENGTH for axis, _ in form.factors)
    counted = any(axis == LENGTH for axis, _ in form.factors)
    if not moving and not spread:
        rest = form.shift % step
        return replace(constant(float(rest)), remainder=cell.remainder or counted)
    periods = frozenset(ceil(abs(step / factor)) for axis, factor in moving if axis != LENGTH)
    made = joined([cell], {Form()}, slack=by, periods=cell.periods | periods, remainder=cell.remainder or counted)
    return replace(made, low=0.0, high=by)


def beyond(symbol: Symbol, *, remainders: bool) -> str | None:
    """Tell why the two lengths followed have not seen all that an array can be; None where they have.

    Parameters
    ----------
    symbol
        The array.
    remainders
        Whether it may depend on the remainder of the length, which the comparison of the stream sees.
    """
    if symbol.cells is None:
        return "is computed from the length or the time index in a way that cannot be followed beyond the export"
    for cell in symbol.cells.ravel():
        if cell.remainder and not remainders:
            return "depends on the remainder of the length"
        if cell.number is None:
            told = _unseen(cell, symbol.sizes)
            if told:
                return told
    return None


def _unseen(cell: Cell, sizes: Sequence[Form]) -> str | None:
    near = far = across = 0.0
    for form, slack in cell.breaks:
        axes = [axis for axis, _ in form.factors if axis != LENGTH]
        grows = form.of(LENGTH)
        if not form.factors:
            continue
        if not axes:
            units = float(-form.shift / grows) + slack / float(abs(grows))
            if units >= UNITS[0]:
                return f"changes when the recording is {_long(units)} as long as what was followed"
            continue
        slope = form.of(axes[0])
        place, moves = -form.shift / slope, -grows / slope
        late = float(abs(place)) + slack / float(abs(slope))
        if len(axes) == 2 and form.of(axes[1]) == -slope and not grows:
            across = max(across, late)
        elif len(axes) == 1 and not grows:
            near = max(near, late)
            if late > _shortest(sizes):
                return f"changes at frame {ceil(place)}"
        elif len(axes) == 1 and len(sizes) >= -axes[0] and moves == sizes[axes[0]].of(LENGTH):
            far = max(far, late + float(abs(sizes[axes[0]].shift)))
        else:
            return "changes at a frame that moves with the length of the recording"
    needed = near + far + across + 2.0 * max(cell.periods, default=0)
    if needed >= _shortest(sizes) - 1:
        return f"changes {UNSEEN} {ceil(needed)} frames from the start, from the end or from frame to frame"
    return None


def crosses(bounds: Sequence[int], sizes: Sequence[int]) -> bool:
    """Tell whether a bound of a slice comes on another side of an end of its axis for a longer recording.

    Where both lengths followed are shorter than `x[..., :144000]` leaves, that cut does nothing in either. A bound that
    grows by a twentieth less than its axis, or more, is taken to do so for ever; rounding to whole frames is less.
    """
    grown = sizes[1] - sizes[0]
    if grown <= 0 or all(abs(bound) >= _NO_END for bound in bounds):
        return False
    sides = [bounds] if min(bounds) >= 0 else []
    sides.append([bound - size for bound, size in zip(bounds, sizes, strict=True)])
    if max(bounds) < 0:
        sides = [[bound + size for bound, size in zip(bounds, sizes, strict=True)]]
    for first, second in sides:
        steep = 20 * abs(second - first) > grown
        if steep and ((second < 0) == (second > first) or (first < 0) != (second < 0)):
            return True
    return False


def _shortest(sizes: Sequence[Form]) -> float:
    """Return the frames of the shortest axis that grows, for the shorter length followed."""
    grown = [float(size.shift + UNITS[0] * size.of(LENGTH)) for size in sizes if size.of(LENGTH)]
    return min(grown, default=inf)


def _long(units: float) -> str:
    return f"{units / UNITS[0]:.3g} times"
