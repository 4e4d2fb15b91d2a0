"""Activations that exporters and authors write out, recognised as the function of one number that they are.

A chain of pointwise ops of one tensor is first held against each activation at a few hundred places, which nearly all
chains fail. What is left is held against it over all of float32: at every decade of both signs, and around every place
where something in the chain switches or is zero, found by bisection however narrow it is. What differs anywhere by more
than the rounding of the chain in float32 stays as it was written: a saturation at 100 is no matter of taste, for a bin
of a transform of ordinary speech goes beyond.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from .ir import POINTWISE, Node
from .rewrite import Uses, scale_of, shift_of

F64 = NDArray[np.float64]
Function = Callable[[F64], F64]

_LARGEST_CONE = 16
_ULP = 2.0**-23
_MOST = float(np.finfo(np.float32).max)
_SMALLEST = float(np.finfo(np.float32).tiny)  # what is less is flushed
_NOTHING = 1e-30
_NEAR = 1e-6  # 8 roundings: what the engine's own functions, and a chain's order, may be off by
_BISECTIONS = 40
_ASIDE = (1.0, 2.0, 16.0, 4096.0)  # ulps from a place where something switches
_erf = np.vectorize(math.erf, otypes=[np.float64])

# Far enough out to see both sides of the threshold that torch's Softplus has at 20.
_FEW = np.concatenate([np.linspace(-12.0, 12.0, 241), [-0.011, 0.013, 3.3333], np.linspace(-30.0, 30.0, 25)])
_MINUS_ONE, _DEEPEST = int(np.argmin(np.abs(_FEW + 1.0))), int(np.argmin(_FEW))

_UNARY: dict[str, Function] = {
    "relu": lambda x: np.maximum(x, 0.0), "tanh": np.tanh, "sigmoid": lambda x: 1.0 / (1.0 + np.exp(-x)),
    "exp": np.exp, "log": np.log, "sqrt": np.sqrt, "square": np.square, "abs": np.abs, "neg": np.negative,
    "reciprocal": np.reciprocal, "erf": _erf, "silu": lambda x: x / (1.0 + np.exp(-x)),
    "softplus": lambda x: np.logaddexp(0.0, x), "positive": lambda x: (x > 0).astype(np.float64),
}  # fmt: skip
_BINARY: dict[str, Callable[[F64, F64], F64]] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide,
}  # fmt: skip


@dataclass(frozen=True)
class _Activation:
    op: str
    attrs: dict[str, object]
    function: Function


_KNOWN = [
    _Activation("gelu", {"approximate": "none"}, lambda x: 0.5 * x * (1.0 + _erf(x / math.sqrt(2.0)))),
    _Activation(
        "gelu",
        {"approximate": "tanh"},
        lambda x: 0.5 * x * (1.0 + np.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3))),
    ),
    _Activation("silu", {}, _UNARY["silu"]),
    _Activation("relu", {}, _UNARY["relu"]),
    _Activation("softplus", {}, _UNARY["softplus"]),
]


def _fitted(values: F64) -> Iterator[_Activation]:
    """Yield the activations with a number of their own, which values at `_FEW` tell."""
    slope, depth = float(-values[_MINUS_ONE]), float(-values[_DEEPEST])
    yield _Activation("leaky_relu", {"alpha": slope}, lambda x: np.where(x > 0, x, slope * x))
    yield _Activation("elu", {"alpha": depth}, lambda x: np.where(x > 0, x, depth * np.expm1(np.minimum(x, 0.0))))


def activation(node: Node, uses: Uses) -> Node | None:
    """Replace a chain of pointwise ops by the activation that it is for every float32 number."""
    if node.op not in ("mul", "log", "div", "affine", "softplus", "where"):
        return None
    cone = [node]
    frontier = _inputs(cone)
    while len(cone) < _LARGEST_CONE:
        if len(frontier) == 1 and len(cone) > 1:
            source = frontier[0]
            found = _matched(node, source)
            if found is not None:
                return Node(
                    found.op, [source], source.channels, source.rate, dict(found.attrs), {}, node.origin, node.label
                )
        inside = {id(item) for item in cone}
        grow = [item for item in frontier if item.op in POINTWISE and _only_inside(item, inside, cone, uses)]
        if not grow:
            return None
        cone.append(grow[0])
        frontier = _inputs(cone)
    return None


def _inputs(cone: list[Node]) -> list[Node]:
    inside = {id(item) for item in cone}
    found = {id(item): item for member in cone for item in member.inputs if id(item) not in inside}
    return list(found.values())


def _only_inside(item: Node, inside: set[int], cone: list[Node], uses: Uses) -> bool:
    reads = sum(source is item for member in cone for source in member.inputs)
    return uses.count(item) == reads


def _matched(node: Node, source: Node) -> _Activation | None:
    steps = _steps(node, source)
    if steps is None or all(step.op == "affine" for step in steps):  # no activation is a straight line
        return None
    return _recognised(steps)


@dataclass(frozen=True)
class _Step:
    """One op of a chain.

    Attributes
    ----------
    op
        Its name.
    numbers
        Scale and shift of an affine op, the ends of a clip.
    reads
        Which steps it reads; -1 is the number that the chain is a function of.
    """

    op: str
    numbers: tuple[float, ...]
    reads: tuple[int, ...]

    def __call__(self, given: list[F64]) -> F64:
        if self.op == "affine":
            made = given[0] * self.numbers[0] + self.numbers[1]
        elif self.op == "where":
            made = np.where(given[0] > 0, given[1], given[2])
        elif self.op == "clip":
            made = np.clip(given[0], self.numbers[0], self.numbers[1])
        else:
            made = _BINARY[self.op](given[0], given[1]) if self.op in _BINARY else _UNARY[self.op](given[0])
        return np.where(np.abs(made) > _MOST, np.copysign(np.inf, made), made)  # as float32 would


def _steps(node: Node, source: Node) -> tuple[_Step, ...] | None:
    """Return the way from `source` to `node`; None where a step is no function of one number for all channels."""
    steps: list[_Step] = []
    place = {id(source): -1}

    def visit(item: Node) -> bool:
        if id(item) in place:
            return True
        numbers = _numbers(item)
        if numbers is None or item.channels != source.channels or not all(map(visit, item.inputs)):
            return False
        steps.append(_Step(item.op, numbers, tuple(place[id(read)] for read in item.inputs)))
        place[id(item)] = len(steps) - 1
        return True

    return tuple(steps) if visit(node) else None


def _numbers(node: Node) -> tuple[float, ...] | None:
    """Return the numbers of an op that can be evaluated; None for others."""
    if node.op == "affine":
        scale, shift = scale_of(node), shift_of(node)
        return (float(scale[0]), float(shift[0])) if scale.size == shift.size == 1 else None
    if node.op == "clip":
        return float(node.attrs["min"]), float(node.attrs["max"])
    if node.op == "softplus" and node.attrs.get("beta", 1.0) != 1.0:
        return None
    return () if node.op in _UNARY or node.op in _BINARY or node.op == "where" else None


@lru_cache(maxsize=1024)
def _recognised(steps: tuple[_Step, ...]) -> _Activation | None:
    with np.errstate(all="ignore"):
        values = _values(steps, _FEW)[-1]
        if not np.isfinite(values).all():
            return None
        likely = [
            item
            for item in (*_KNOWN, *_fitted(values))
            if (np.abs(values - item.function(_FEW)) <= _NEAR * (1.0 + np.abs(values))).all()
        ]
        places = _places(steps) if likely else np.empty(0)
        return next((item for item in likely if _agrees(steps, item.function, places)), None)


def _values(steps: tuple[_Step, ...], x: F64) -> list[F64]:
    """Return what each step makes of numbers."""
    made: list[F64] = []
    for step in steps:
        made.append(step([x if at < 0 else made[at] for at in step.reads]))
    return made


def _agrees(steps: tuple[_Step, ...], function: Function, places: F64) -> bool:
    """Tell whether a chain is a function wherever it is finite, but for the chain's own rounding in float32."""
    made = _values(steps, places)
    errors: list[F64] = []
    for step, value in zip(steps, made, strict=True):
        given = [places if at < 0 else made[at] for at in step.reads]
        error = np.zeros_like(value) if step.op == "positive" else 0.5 * _ULP * np.abs(value) + _SMALLEST
        for number, at in enumerate(step.reads):
            if at >= 0:
                moved = [
                    np.abs(step([*given[:number], given[number] + side, *given[number + 1 :]]) - value)
                    for side in (-errors[at], errors[at])
                ]
                error = error + np.nan_to_num(np.maximum(*moved), nan=0.0, posinf=_MOST)
        errors.append(error)
    wanted, got = function(places), made[-1]
    size = np.abs(wanted)
    allowed = np.minimum(_NEAR * size + errors[-1] + _NOTHING, _NEAR * (1.0 + size))
    return bool((~np.isfinite(got) | (np.abs(got - wanted) <= allowed)).all())


def _places(steps: tuple[_Step, ...]) -> F64:
    """Return numbers that tell a chain from every other: all decades, and around whatever happens in it."""
    decades = np.logspace(math.log10(_SMALLEST), math.log10(_MOST), 1800)
    grid = np.concatenate([[0.0], decades, -decades, np.linspace(-32.0, 32.0, 1281)])
    written = np.array([number for step in steps for number in step.numbers])
    marks = np.concatenate([[0.0], written, -written])
    x = _around(grid, marks)
    for index, step in enumerate(steps):
        switches = [(step.reads[0], level) for level in step.numbers] if step.op == "clip" else []
        for at, level in [*switches, (index, 0.0)]:
            marks = np.unique(np.concatenate([marks, _crossings(steps[: at + 1], x, level)]))
            x = _around(grid, marks)
    return x


def _around(grid: F64, marks: F64) -> F64:
    """Return the numbers of a grid, some marks, their neighbours, and what lies between two marks; as float32."""
    marks = np.unique(np.clip(marks, -_MOST, _MOST))
    aside = [marks * (1.0 + side * ulps * _ULP) for ulps in _ASIDE for side in (-1.0, 1.0)]
    x = np.concatenate([grid, marks, *aside, _middle(marks[:-1], marks[1:])])
    return np.unique(np.clip(x, -_MOST, _MOST).astype(np.float32)).astype(np.float64)


def _crossings(steps: tuple[_Step, ...], x: F64, level: float) -> F64:
    """Return where a chain passes a level between two of `x`, or comes nearest to it and turns back."""

    def above(place: F64) -> F64:
        return (_values(steps, place)[-1] if steps else place) - level

    values, found = above(x), []
    sign, size = np.sign(values), np.abs(values)
    cells = np.flatnonzero((sign[:-1] != sign[1:]) & np.isfinite(sign[:-1]) & np.isfinite(sign[1:]))
    if len(cells):
        low, high, before = x[cells], x[cells + 1], sign[cells]
        for _ in range(_BISECTIONS):
            middle = _middle(low, high)
            same = np.sign(above(middle)) == before
            low, high = np.where(same, middle, low), np.where(same, high, middle)
        found += [low, high]
    most = np.maximum(size[:-2], size[2:])
    turns = 1 + np.flatnonzero((size[1:-1] <= size[:-2]) & (size[1:-1] <= size[2:]) & (size[1:-1] < most))
    if len(turns):
        low, high = x[turns - 1], x[turns + 1]
        for _ in range(_BISECTIONS):
            middle = _middle(low, high)
            places = [low, _middle(low, middle), middle, _middle(middle, high), high]
            sizes = np.stack([np.abs(above(place)) for place in places[1:4]])
            best = np.argmin(np.where(np.isnan(sizes), np.inf, sizes), axis=0)
            low, high = np.choose(best, places[:3]), np.choose(best, places[2:])
        found.append(_middle(low, high))
    return np.concatenate(found) if found else np.empty(0)


def _middle(low: F64, high: F64) -> F64:
    """Return a number between two: by their exponents, where they are of one sign and far apart."""
    far = (low * high > 0) & (np.maximum(np.abs(low), np.abs(high)) > 4.0 * np.minimum(np.abs(low), np.abs(high)))
    return np.where(far, np.sign(low) * np.sqrt(np.abs(low)) * np.sqrt(np.abs(high)), 0.5 * low + 0.5 * high)
