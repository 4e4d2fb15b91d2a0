"""Einsum in all forms that are sums and products within a frame."""

from __future__ import annotations

import numpy as np
import pytest


def part(net, *sizes):
    """Return a stream of shape (1, *sizes, T)."""
    count = int(np.prod(sizes))
    return net("Reshape", net.conv(net.x, 1, count, 3, pads=[2, 0]), net.ints(1, *sizes, -1))


def brought_down(net, y, channels):
    return net.model(net.narrow(net("Reshape", y, net.ints(1, channels, -1)), channels))


@pytest.mark.parametrize(
    ("equation", "shapes", "channels"),
    [
        ("bgit->bit", [(2, 3)], 3),
        ("bgit->bt", [(2, 3)], 1),
        ("bgit->bigt", [(2, 3)], 6),
        ("b...t->b...t", [(2, 3)], 6),
        ("bgit", [(2, 3)], 6),
        ("bit,bjt->bijt", [(2,), (3,)], 6),
        ("bit,bjt->bjit", [(2,), (3,)], 6),
        ("bit,bit->bit", [(3,), (3,)], 3),
        ("bit,bit->bt", [(3,), (3,)], 1),
        ("bijt,bijt->bt", [(2, 3), (2, 3)], 1),
        ("bijt,bjkt->bikt", [(2, 3), (3, 2)], 4),
        ("bijt,bklt->bikt", [(2, 3), (2, 2)], 4),
        ("bijt,bkt->bkijt", [(2, 3), (2,)], 12),
        ("b...t,b...t->b...t", [(2, 3), (2, 3)], 6),
        ("...it,...it->...t", [(3,), (3,)], 1),
    ],
)
def test_of_streams(equation, shapes, channels, net, imported):
    y = net("Einsum", *(part(net, *sizes) for sizes in shapes), equation=equation)
    assert imported(brought_down(net, y, channels)).latency == 0


@pytest.mark.parametrize(
    ("equation", "sizes", "matrix", "channels"),
    [
        ("bit,j->bijt", (3,), (2,), 6),
        ("bgit,io->bot", (2, 3), (3, 4), 4),
        ("b...t,...->b...t", (2, 3), (2, 3), 6),
        ("...it,io->...ot", (2, 3), (3, 4), 8),
    ],
)
def test_with_a_constant(equation, sizes, matrix, channels, net, imported):
    y = net("Einsum", part(net, *sizes), net.random(*matrix), equation=equation)
    assert imported(brought_down(net, y, channels)).latency == 0


@pytest.mark.parametrize(
    ("equation", "count", "told"),
    [
        ("bit->bi", 1, "sums over all time"),
        ("bit,bjt->bij", 2, "two signals"),
        ("bit,bit,bit->bit", 3, "a.unsqueeze(2) * b.unsqueeze(1)"),
        ("iit->it", 1, "steps of two tensors"),
    ],
)
def test_what_is_more_is_refused(equation, count, told, net, refused):
    net("Einsum", *(part(net, 3) for _ in range(count)), equation=equation, name="block/sum")
    message = refused(net.model(net.narrow(net.nodes[-1].output[0], 3)))
    assert told in message and "'block/sum'" in message
