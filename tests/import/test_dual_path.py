"""Recurrent layers of dual-path networks: along frequency within a frame, and along time for each frequency."""

from __future__ import annotations

import numpy as np
import pytest

GATES = {"GRU": 3, "LSTM": 4}
BANDS, SIZE, HIDDEN = 3, 2, 5


def layer(net, op, x, directions, batch, state, layout, **attrs):
    gates = GATES[op] * HIDDEN
    inputs = [x, net.random(directions, gates, SIZE), net.random(directions, gates, HIDDEN)]
    inputs.append(net.random(directions, 2 * gates))
    if state is not None:
        inputs += ["", *(state for _ in range(len(GATES) if op == "LSTM" else 1))]
    if op == "GRU":
        attrs["linear_before_reset"] = attrs.get("linear_before_reset", 1)
    outputs = 2 if op == "GRU" else 3
    return net(op, *inputs, outputs=outputs, hidden_size=HIDDEN, layout=layout, **attrs)


def bands_of(net, *order):
    """Six channels as three bands of two, with axes in an order of (band, time, size)."""
    x = net("Reshape", net.wide(), net.ints(BANDS, SIZE, -1))
    x = net("Transpose", x, perm=[0, 2, 1])  # band, time, size
    return net("Transpose", x, perm=list(order)) if order else x


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("layout", [0, 1])
@pytest.mark.parametrize(("op", "linear_before_reset"), [("GRU", 1), ("GRU", 0), ("LSTM", None)])
def test_along_frequency(op, linear_before_reset, layout, direction, net, imported):
    attrs = {} if linear_before_reset is None else {"linear_before_reset": linear_before_reset}
    x = bands_of(net, *((1, 0, 2) if layout else ()))
    directions = 2 if direction == "bidirectional" else 1
    y, last = layer(net, op, x, directions, None, None, layout, direction=direction, **attrs)[:2]
    # (band, direction, time, hidden) and (direction, time, hidden), or the time in front of both
    y = net("Transpose", y, perm=[1, 2, 3, 0] if layout else [0, 1, 3, 2])
    y = net("Reshape", y, net.ints(1, BANDS * directions * HIDDEN, -1))
    last = net("Transpose", last, perm=[1, 2, 0] if layout else [0, 2, 1])
    last = net("Reshape", last, net.ints(1, directions * HIDDEN, -1))
    report = imported(net.model(net.narrow(net("Concat", y, last, axis=1), (BANDS + 1) * directions * HIDDEN)))
    assert report.latency == 0 and not {"gru", "lstm", "delay"} & set(report.ops)


@pytest.mark.parametrize("op", ["GRU", "LSTM"])
def test_along_frequency_from_a_trained_state(op, make_net, imported):
    net = make_net(opset=17)
    x = bands_of(net)
    frames = net("Slice", net("Shape", x), net.ints(1), net.ints(2))
    state = net("Expand", net.array(net.random(1, 1, HIDDEN)), net("Concat", net.ints(1), frames, net.ints(1), axis=0))
    y = layer(net, op, x, 1, None, state, 0)[0]
    y = net("Reshape", net("Transpose", y, perm=[0, 1, 3, 2]), net.ints(1, BANDS * HIDDEN, -1))
    assert imported(net.model(net.narrow(y, BANDS * HIDDEN))).latency == 0


@pytest.mark.parametrize("state", [None, "zeros", "trained"])
@pytest.mark.parametrize("layout", [0, 1])
@pytest.mark.parametrize("op", ["GRU", "LSTM"])
def test_along_time_for_each_frequency(op, layout, state, net, imported):
    if state is not None:
        shape = (BANDS, 1, HIDDEN) if layout else (1, BANDS, HIDDEN)
        state = np.zeros(shape, np.float32) if state == "zeros" else net.random(*shape)
    x = bands_of(net, *((0, 1, 2) if layout else (1, 0, 2)))
    y = layer(net, op, x, 1, BANDS, state, layout)[0]
    y = net("Transpose", y, perm=[0, 2, 3, 1] if layout else [1, 2, 3, 0])
    y = net("Reshape", y, net.ints(1, BANDS * HIDDEN, -1))
    report = imported(net.model(net.narrow(y, BANDS * HIDDEN)))
    assert report.ops[op.lower()] == BANDS


def test_backwards_along_time_is_refused_for_each_frequency_too(net, refused):
    y = layer(net, "GRU", bands_of(net, 1, 0, 2), 2, BANDS, None, 0, direction="bidirectional")[0]
    y = net("Reshape", net("Transpose", y, perm=[1, 2, 3, 0]), net.ints(1, 2 * BANDS * HIDDEN, -1))
    assert "runs bidirectional" in refused(net.model(net.narrow(y, 2 * BANDS * HIDDEN)))
