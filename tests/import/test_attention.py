"""Attention over a bounded past and other products of two signals, as exporters write them."""

from __future__ import annotations

import numpy as np
import pytest


def projected(net, x, heads=2, size=3):
    """Return (1, heads, T, size) of (1, channels, T)."""
    y = net.conv(x, 6, heads * size)
    return net("Transpose", net("Reshape", y, net.ints(1, heads, size, -1)), perm=[0, 1, 3, 2])


def distance(net, x):
    """Return j - i for all frames i and j of (1, channels, T), as floats."""
    count = net("Cast", net("Squeeze", net("Slice", net("Shape", x), net.ints(2), net.ints(3))), to=1)
    places = net("Range", np.float32(0), count, np.float32(1))
    return net("Sub", net("Unsqueeze", places, net.ints(0)), net("Unsqueeze", places, net.ints(1)))


def inside(net, x, back, ahead):
    """Return where -back <= j - i <= ahead."""
    apart = distance(net, x)
    return net("And", net("LessOrEqual", apart, np.float32(ahead)), net("GreaterOrEqual", apart, np.float32(-back)))


def attended(net, mask, finish=None, kind="matmul"):
    """Return a network with attention at a sixteenth of the rate, `mask` bringing the scores to what Softmax gets."""
    low = net.conv(net.x, 1, 6, 16, strides=[16])
    q, k, v = (projected(net, low) for _ in range(3))
    if kind == "einsum":
        table = net("Einsum", q, k, equation="bhid,bhjd->bhij", name="scores")
    else:
        table = net("MatMul", q, net("Transpose", k, perm=[0, 1, 3, 2]), name="scores")
    table = net("Softmax", mask(net, table, low), axis=-1, name="shares")
    table = finish(net, table) if finish else table
    if kind == "einsum":
        y = net("Einsum", table, v, equation="bhij,bhjd->bihd")
        y = net("Transpose", net("Reshape", y, net.ints(1, -1, 6)), perm=[0, 2, 1])
    else:
        y = net("Transpose", net("MatMul", table, v), perm=[0, 1, 3, 2])
        y = net("Reshape", y, net.ints(1, 6, -1))
    y = net("Add", low, y)
    return net.model(net("ConvTranspose", y, net.random(6, 1, 16), strides=[16]))


def added(back, ahead=0, low=-np.inf):
    def mask(net, table, x):
        table = net("Mul", table, np.float32(0.4))
        return net("Add", table, net("Where", inside(net, x, back, ahead), np.float32(0), np.float32(low)))

    return mask


def filled(back, ahead=0):
    def mask(net, table, x):
        shut = net("Not", inside(net, x, back, ahead))
        return net("Where", shut, np.float32(-1e9), net("Div", table, np.float32(1.7)))

    return mask


def never_empty(net, table):
    """The guard that exporters put behind Softmax."""
    return net("Where", net("IsNaN", table), np.float32(0), table)


@pytest.mark.parametrize(
    ("mask", "finish", "kind"),
    [(added(4), None, "matmul"), (added(4, low=-1e9), never_empty, "matmul"), (filled(9), None, "einsum")],
    ids=["sum", "guarded", "einsum"],
)
def test_a_bounded_past_becomes_attention(mask, finish, kind, make_net, imported):
    report = imported(attended(make_net(), mask, finish, kind))
    assert report.ops["attention"] == 1 and report.latency == 0


def test_a_mask_that_is_a_number_holds_at_the_levels_of_sound(make_net, imported):
    """As networks in 16 bits are trained: 10,000 times as loud its scores reach past -1e4, which no sound does."""
    report = imported(attended(make_net(), added(4, low=-1e4)))
    assert report.ops["attention"] == 1
    assert any("may reach past its mask" in note for note in report.parity["notes"])


def test_frames_ahead_cost_latency(make_net, imported):
    report = imported(attended(make_net(), filled(3, 2)))
    assert report.ops["attention"] == 1 and report.latency == 2 * 16


def test_keys_of_one_head_serve_all(make_net, imported):
    net = make_net()
    low = net.conv(net.x, 1, 6, 16, strides=[16])
    q, k, v = projected(net, low), projected(net, low, 1), projected(net, low, 1)
    table = added(5)(net, net("MatMul", q, net("Transpose", k, perm=[0, 1, 3, 2])), low)
    y = net("MatMul", net("Softmax", table, axis=-1), v)
    y = net("Reshape", net("Transpose", y, perm=[0, 1, 3, 2]), net.ints(1, 6, -1))
    assert imported(net.model(net("ConvTranspose", y, net.random(6, 1, 16), strides=[16]))).ops["attention"] == 1


def nothing(net, table, x):
    return table


def biased(net, table, x):
    return net("Add", added(4)(net, table, x), net("Mul", distance(net, x), np.float32(0.1)))


def causal(net, table, x):
    return net("Where", net("Greater", distance(net, x), np.float32(0)), np.float32(-np.inf), table)


def holed(net, table, x):
    odd = net("Equal", net("Mod", net("Cast", distance(net, x), to=7), np.int64(2)), np.int64(0))
    return net("Where", net("And", odd, inside(net, x, 4, 0)), table, np.float32(-np.inf))


def frozen(net, table, x):
    return net("Add", table, np.zeros((300, 300), np.float32))


def by_signal(net, table, x):
    return net("Mul", table, net("ReduceMean", x, net.ints(1, 2)))


@pytest.mark.parametrize(
    ("mask", "node", "reason", "advice"),
    [
        (nothing, "'shares'", "whole recording", "j <= i - N"),
        (causal, "'shares'", "without bound", "j <= i - N"),
        (holed, "'shares'", "no band", "j <= i - N"),
        (biased, "Add", "position bias", "0 and -inf"),
        (frozen, "Add", "masks (300, 300) scores", "as long as the recording"),
    ],
    ids=["all", "causal", "holes", "bias", "frozen"],
)
def test_other_masks_are_refused(mask, node, reason, advice, make_net, refused):
    message = refused(attended(make_net(opset=18), mask))
    assert reason in message and advice in message and node in message
    assert "nodes cannot" not in message, "the second product is a part of the first"


def test_a_filter_that_the_network_makes(make_net, imported):
    """Each frame multiplied by a matrix that another branch makes of the same frame."""
    net = make_net()
    x = net.wide()
    rows = net("Transpose", net("Reshape", x, net.ints(1, 2, 3, -1)), perm=[0, 3, 1, 2])
    matrix = net("Reshape", net("Transpose", net("Tanh", net.conv(x, 6, 12)), perm=[0, 2, 1]), net.ints(1, -1, 3, 4))
    y = net("Reshape", net("MatMul", rows, matrix), net.ints(1, -1, 8))
    imported(net.model(net.narrow(net("Transpose", y, perm=[0, 2, 1]), 8)))


def test_a_cache_of_keys_and_values_outside(make_net, imported):
    """One frame a call: the keys and values of the last 7 frames come in, and go out with the newest behind them."""
    net = make_net(shape=(1, 6))
    caches = [net.input(name, (1, 2, 7, 3)) for name in ("keys_in", "values_in")]
    heads = [net("Reshape", net("Gemm", net.x, net.random(6, 6)), net.ints(1, 2, 1, 3)) for _ in range(3)]
    wholes = []
    for cache, new, name in zip(caches, heads[1:], ("keys_out", "values_out"), strict=True):
        whole = net("Concat", cache, new, axis=2)
        net("Slice", whole, net.ints(1), net.ints(99), net.ints(2))
        net.nodes[-1].output[0] = name
        wholes.append(whole)
    table = net("MatMul", heads[0], net("Transpose", wholes[0], perm=[0, 1, 3, 2]))
    y = net("MatMul", net("Softmax", net("Mul", table, np.float32(0.6)), axis=-1), wholes[1])
    y = net("Reshape", net("Transpose", y, perm=[0, 2, 1, 3]), net.ints(1, 6))
    report = imported(net.model(net("Tanh", y), "keys_out", "values_out"))
    assert report.ops["softmax"] == 2 and report.ops["delay"] <= 14


@pytest.mark.parametrize("hop", [2, 64])
def test_at_any_rate(hop, make_net, imported):
    """At the audio's rate a mask of time by time is large: the first lengths followed are short ones."""
    net = make_net()
    low = net.conv(net.x, 1, 6, hop, strides=[hop])
    q, k, v = (projected(net, low) for _ in range(3))
    table = added(5)(net, net("MatMul", q, net("Transpose", k, perm=[0, 1, 3, 2])), low)
    y = net("Transpose", net("MatMul", net("Softmax", table, axis=-1), v), perm=[0, 1, 3, 2])
    y = net("Add", low, net("Reshape", y, net.ints(1, 6, -1)))
    assert imported(net.model(net("ConvTranspose", y, net.random(6, 1, hop), strides=[hop]))).ops["attention"] == 1


def test_a_window_longer_than_what_is_followed(make_net, refused):
    net = make_net()
    x = net("Transpose", net.conv(net.x, 1, 6, 2, strides=[2]), perm=[0, 2, 1])
    table = net("MatMul", x, net("Transpose", x, perm=[0, 2, 1]))
    table = added(6000)(net, table, net("Transpose", x, perm=[0, 2, 1]))
    y = net("Transpose", net("MatMul", net("Softmax", table, axis=-1), x), perm=[0, 2, 1])
    message = refused(net.model(net("ConvTranspose", y, net.random(6, 1, 2), strides=[2])))
    assert "by 14400 frames" in message and "fewer frames" in message and "lower rate" in message
    assert "two signals" not in message
