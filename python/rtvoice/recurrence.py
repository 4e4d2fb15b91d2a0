"""The ops that remember for ever, in float64 or as float32 would: GRU, LSTM, running sums and phase, from any state on.

A state goes in and the next one comes out, so that a long signal can be evaluated a window at a time.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .graph import Node
from .safetensors_io import Array, widened

__all__ = ["RECURRENT", "Real", "first_state", "phase", "recur", "sigmoid", "wide"]

Real = NDArray[np.floating[Any]]
U64 = NDArray[np.uint64]
RECURRENT = ("gru", "lstm", "leaky_sum")


def sigmoid(x: Any) -> Any:
    """Return the logistic function, without overflow."""
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, np.ones_like(small), small) / (1 + small)


def wide(array: Array) -> NDArray[np.float64]:
    """Return a weight in float64."""
    return widened(array).astype(np.float64)


def first_state(node: Node, channels: int) -> NDArray[np.float64]:
    """Return the state that a node begins with, one row; an LSTM's hidden state, then its cell."""
    if node.op == "leaky_sum":
        start = wide(node.weights["start"]) if "start" in node.weights else np.zeros(1)
        return np.broadcast_to(start, (channels,)).copy()
    size = node.weights["weight_hh"].shape[1]
    roles = ("initial_h", "initial_c") if node.op == "lstm" else ("initial_h",)
    return np.concatenate([wide(node.weights[role]) if role in node.weights else np.zeros(size) for role in roles])


def recur(node: Node, x: Real, state: Real | None = None, dtype: type = np.float64) -> tuple[Real, Real]:
    """Evaluate a node of `RECURRENT`.

    Parameters
    ----------
    node
        A node.
    x
        Its input, ``(frames, channels)``.
    state
        What it remembers, as `first_state` has it, which is the default.
    dtype
        What is computed in.

    Returns
    -------
    tuple
        The output, ``(frames, channels)``, and the state behind it.
    """
    state = (first_state(node, x.shape[1]) if state is None else state).astype(dtype)
    x = x.astype(dtype)
    if node.op == "leaky_sum":
        return _leaky_sum(node, x, state)
    given = x @ wide(node.weights["weight_ih"]).astype(dtype).T
    matrix: Real = wide(node.weights["weight_hh"]).astype(dtype)
    if "bias_ih" in node.weights:
        given = given + wide(node.weights["bias_ih"]).astype(dtype)
    bias: Real = np.zeros(len(matrix), dtype)
    if "bias_hh" in node.weights:
        bias = wide(node.weights["bias_hh"]).astype(dtype)
    return (_lstm if node.op == "lstm" else _gru)(node, given, matrix, bias, state)


def _gru(node: Node, given: Real, matrix: Real, bias: Real, state: Real) -> tuple[Real, Real]:
    size = matrix.shape[1]
    out = np.empty((len(given), size), given.dtype)
    for t in range(len(given)):
        gates = sigmoid(given[t, : 2 * size] + matrix[: 2 * size] @ state + bias[: 2 * size])
        reset, update = gates[:size], gates[size:]
        if node.attrs["linear_before_reset"]:
            inner = reset * (matrix[2 * size :] @ state + bias[2 * size :])
        else:
            inner = matrix[2 * size :] @ (reset * state) + bias[2 * size :]
        new = np.tanh(given[t, 2 * size :] + inner)
        state = (1 - update) * new + update * state
        out[t] = state
    return out, state


def _lstm(node: Node, given: Real, matrix: Real, bias: Real, state: Real) -> tuple[Real, Real]:
    size = matrix.shape[1]
    hidden, cell = state[:size], state[size:]
    out = np.empty((len(given), size), given.dtype)
    for t in range(len(given)):
        gates = given[t] + matrix @ hidden + bias
        i, f, o = (sigmoid(gates[k * size : (k + 1) * size]) for k in (0, 1, 3))
        cell = f * cell + i * np.tanh(gates[2 * size : 3 * size])
        hidden = o * np.tanh(cell)
        out[t] = hidden
    return out, np.concatenate([hidden, cell])


def _leaky_sum(node: Node, x: Real, total: Real) -> tuple[Real, Real]:
    decay = wide(node.weights["decay"]).astype(x.dtype)
    out = np.empty_like(x)
    for n, frame in enumerate(x):
        total = decay * total + frame
        out[n] = total
    return out, total


def phase(x: ArrayLike, total: U64 | None = None) -> tuple[NDArray[np.float64], U64]:
    """Add up turns as integers; return the phases, ``(frames, channels)``, and the sum behind them."""
    given = np.asarray(x, np.float64)
    part = np.fmod(np.where(np.isfinite(given), given, 0.0), 1.0) * 2.0**32
    high = np.trunc(part)
    low = np.trunc((part - high) * 2.0**32)
    turns = (high.astype(np.int64) << np.int64(32)) + low.astype(np.int64)
    before = np.zeros(given.shape[1], np.uint64) if total is None else total
    sums = np.cumsum(turns.view(np.uint64), axis=0, dtype=np.uint64) + before
    return (sums >> np.uint64(40)).astype(np.float64) * 2.0**-24, sums[-1] if len(sums) else before
