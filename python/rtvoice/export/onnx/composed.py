"""Functions of one number that no op computes by itself, but a few together."""

from __future__ import annotations

from .pointwise import affine, arithmetic, choice, pointwise
from .values import Stream, Value
from .walk import Call, lowers

# Up to where the odd power series below stand for the function, and their terms: within 1e-7 of it there. The formulas
# take a number near 1 from another, and keep nothing of what is quiet: 3 % of it was wrong at an amplitude of 1e-6.
_SERIES = {
    "Sinh": (0.5, (1.0, 1 / 6, 1 / 120, 1 / 5040)),
    "Asinh": (0.25, (1.0, -1 / 6, 3 / 40, -15 / 336, 105 / 3456)),
    "Atanh": (0.2, (1.0, 1 / 3, 1 / 5, 1 / 7, 1 / 9)),
}


def _near_zero(call: Call, stream: Stream, formula: Stream) -> Stream:
    """Return the formula's result, and that of the series where the number is small."""
    limit, terms = _SERIES[call.op]
    square = pointwise(call, stream, "square")
    rest = affine(call, square, terms[-1], terms[-2])
    for term in terms[-3:0:-1]:
        rest = affine(call, arithmetic(call, "mul", rest, square), None, term)
    cube = arithmetic(call, "mul", stream, square)
    series = arithmetic(call, "add", stream, arithmetic(call, "mul", cube, rest))
    small = pointwise(call, affine(call, pointwise(call, stream, "abs"), -1.0, limit), "positive")
    return choice(call, small, series, formula)


def _beyond(call: Call, stream: Stream, limit: float, least: float) -> Stream:
    """Return what lies above `limit`, counted from `limit - least`; 0 for what does not."""
    over = affine(call, stream, None, -limit)
    rest = pointwise(call, over, "relu")
    if least == 0.0:
        return rest
    return arithmetic(call, "add", rest, affine(call, pointwise(call, over, "positive"), least))


def _sign_of(call: Call, stream: Stream) -> Stream:
    above = pointwise(call, stream, "positive")
    return arithmetic(call, "sub", above, pointwise(call, affine(call, stream, -1.0), "positive"))


@lowers("Sign")
def _sign(call: Call) -> Value:
    return _sign_of(call, call.stream())


@lowers("ThresholdedRelu")
def _thresholded(call: Call) -> Value:
    limit = float(call.attr("alpha", 1.0))
    return _beyond(call, call.stream(), limit, limit)


@lowers("Shrink")
def _shrink(call: Call) -> Value:
    limit, bias = float(call.attr("lambd", 0.5)), float(call.attr("bias", 0.0))
    if limit < 0.0:
        call.refuse(f"has lambd={limit:g}, so that its two sides overlap", "choose a lambd of at least 0")
    stream = call.stream()
    above = _beyond(call, stream, limit, limit - bias)
    return arithmetic(call, "sub", above, _beyond(call, affine(call, stream, -1.0), limit, limit - bias))


@lowers("Sinh", "Cosh")
def _hyperbolic(call: Call) -> Value:
    stream = call.stream()
    rising = pointwise(call, stream, "exp")
    falling = pointwise(call, affine(call, stream, -1.0), "exp")
    both = arithmetic(call, "add" if call.op == "Cosh" else "sub", rising, falling)
    both = affine(call, both, 0.5)
    return _near_zero(call, stream, both) if call.op == "Sinh" else both


@lowers("Tan")
def _tan(call: Call) -> Value:
    stream = call.stream()
    return arithmetic(call, "div", pointwise(call, stream, "sin"), pointwise(call, stream, "cos"))


@lowers("Asinh", "Acosh")
def _inverse_hyperbolic(call: Call) -> Value:
    stream = call.stream()
    # Of a negative number the sum below would lose its digits: the size first, then the sign.
    size = pointwise(call, stream, "abs") if call.op == "Asinh" else stream
    square = affine(call, pointwise(call, size, "square"), None, 1.0 if call.op == "Asinh" else -1.0)
    made = pointwise(call, arithmetic(call, "add", size, pointwise(call, square, "sqrt")), "log")
    if call.op == "Acosh":
        return made
    return _near_zero(call, stream, arithmetic(call, "mul", _sign_of(call, stream), made))


@lowers("Atanh")
def _atanh(call: Call) -> Value:
    stream = call.stream()
    above = pointwise(call, affine(call, stream, None, 1.0), "log")
    below = pointwise(call, affine(call, stream, -1.0, 1.0), "log")
    return _near_zero(call, stream, affine(call, arithmetic(call, "sub", above, below), 0.5))


@lowers("Xor")
def _xor(call: Call) -> Value:
    first, second = call.inputs[0], call.inputs[1]
    both = arithmetic(call, "mul", first, second)
    return arithmetic(call, "sub", arithmetic(call, "add", first, second), affine(call, both, 2.0))
