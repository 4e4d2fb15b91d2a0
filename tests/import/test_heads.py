"""The first frames of a recording apart from the rest: joined in front of it again they stream, alone they do not."""

from __future__ import annotations

import numpy as np
import pytest

END = 2**40


def cut(net, x, start, end=END, **attrs):
    return net("Slice", x, net.ints(start), net.ints(end), net.ints(2), **attrs)


def difference(net, x, frames=1, factor=0.97):
    """Return x[t] - a x[t - 1], which begins with the second frame."""
    return net("Sub", cut(net, x, frames), net("Mul", cut(net, x, 0, -frames), np.float32(factor)))


@pytest.mark.parametrize("frames", [1, 3])
def test_a_difference_that_begins_with_the_frame_itself(frames, net, imported):
    """Before the first sample lie zeros, so the head is what the rest is there: no more than a delay is needed."""
    y = net("Concat", cut(net, net.x, 0, frames), difference(net, net.x, frames), axis=2)
    report = imported(net.model(y))
    assert report.latency == 0 and "mul" not in report.ops and report.ops["delay"] == 1


def test_of_features(net, imported):
    x = net.wide()
    y = net("Concat", cut(net, x, 0, 1), difference(net, x, factor=1.0), axis=2)
    assert imported(net.model(net.narrow(net("Concat", x, y, axis=1), 12))).latency == 0


def test_at_a_fixed_length(make_net, imported):
    net = make_net(shape=(1, 1, 960))
    y = net("Concat", cut(net, net.x, 0, 1), difference(net, net.x), axis=2)
    assert imported(net.model(y)).latency == 0


@pytest.mark.parametrize(
    ("build", "latency"),
    [
        (lambda n, x: n("Concat", n("Mul", cut(n, x, 0, 100), np.float32(2)), cut(n, x, 100), axis=2), 0),
        (lambda n, x: n("Concat", n("Mul", cut(n, x, 0, 1), np.float32(0)), difference(n, x), axis=2), 0),
        (lambda n, x: n("Concat", cut(n, x, 5, 8), x, axis=2), 5),
        (lambda n, x: n("Concat", cut(n, x, 0, 2), np.zeros((1, 6, 3), np.float32), cut(n, x, 0, 2), x, axis=2), 0),
        (lambda n, x: n("Concat", cut(n, x, 0, 1), n("Exp", difference(n, x)), axis=2), 0),
        (lambda n, x: n("Concat", cut(n, x, 0, 1), n("Log", n("Exp", difference(n, x))), axis=2), 1),
        (lambda n, x: n("Concat", cut(n, x, 0, 1), n.conv(x, 6, 6, 2), axis=2), 0),
        (lambda n, x: n("Concat", n("Gather", x, n.ints(0, 1), axis=2), cut(n, x, 2), axis=2), 0),
    ],
    ids=["scaled", "zeros", "later frames", "several", "bias", "log", "convolution", "gather"],
)
def test_heads_in_front_of_a_stream(build, latency, net, imported):
    assert imported(net.model(net.narrow(build(net, net.wide())))).latency <= latency


ALONE = {"name": "block/cut"}


@pytest.mark.parametrize(
    ("build", "told"),
    [
        (lambda n, x: cut(n, x, 0, 100, **ALONE), "the first 100 frames of (1, 6, T) alone"),
        (lambda n, x: n("Mul", x, cut(n, x, 0, 1, **ALONE)), "the first frame of"),
        (lambda n, x: n("Sub", x, n("ReduceMean", cut(n, x, 7, 9, **ALONE), axes=[2])), "frames 7 to 8 of"),
        (lambda n, x: cut(n, x, -1000, **ALONE), "the newest 1000 frames alone"),
        (lambda n, x: n("Gather", x, n.ints(0, 1, 2), axis=2, **ALONE), "the first 3 frames"),
        (lambda n, x: n("Gather", x, n.ints(0, 2, 5), axis=2, **ALONE), "3 single frames"),
        (lambda n, x: n("Concat", cut(n, x, 5), cut(n, x, 0, 5), axis=2, **ALONE), "behind its end"),
    ],
    ids=["first", "spread", "mean", "newest", "picked", "scattered", "rolled"],
)
def test_frames_alone_are_refused_by_what_cut_them_off(build, told, net, refused):
    message = refused(net.model(net.narrow(build(net, net.wide()))))
    assert told in message and "'block/cut'" in message and "keep all" in message or "in front" in message
    assert "was frozen" not in message


def test_an_output_of_the_first_frames(net, refused):
    assert "Slice 'block/cut': keeps the first 9 frames" in refused(net.model(cut(net, net.x, 0, 9, **ALONE)))
