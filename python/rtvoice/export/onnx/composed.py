"""Functions of one number that no op computes by itself, but a few together."""

from __future__ import annotations

from .pointwise import affine, arithmetic, pointwise
from .values import Stream, Value
from .walk import Call, lowers


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
    return affine(call, both, 0.5)


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
    return arithmetic(call, "mul", _sign_of(call, stream), made) if call.op == "Asinh" else made


@lowers("Atanh")
def _atanh(call: Call) -> Value:
    stream = call.stream()
    above = pointwise(call, affine(call, stream, None, 1.0), "log")
    below = pointwise(call, affine(call, stream, -1.0, 1.0), "log")
    return affine(call, arithmetic(call, "sub", above, below), 0.5)


@lowers("Xor")
def _xor(call: Call) -> Value:
    first, second = call.inputs[0], call.inputs[1]
    both = arithmetic(call, "mul", first, second)
    return arithmetic(call, "sub", arithmetic(call, "add", first, second), affine(call, both, 2.0))
