"""Passages far quieter than speech, and digital silence: each is held against its own peak.

An eps that was dropped, a gate, the log of a small number: at ordinary levels they are lost in what is ten thousand
times as large. One recording has all of them, the quietest first, so that none hears what is left of a louder one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rtvoice import parity
from rtvoice.drift import FED, MOST_ROUNDING, ROUNDING, in_float32
from rtvoice.graph import Graph
from rtvoice.loud import streamed
from rtvoice.parity import F32, F64, Run
from rtvoice.recurrence import RECURRENT

if TYPE_CHECKING:
    from rtvoice.model import Model

__all__ = ["LEVELS", "quiet_runs"]

LEVELS = (0.0, 1e-4, 1e-2)
_NAMES = ("in digital silence", "1/10,000 as loud", "1/100 as loud")
# Of the peak at ordinary level, times the level: what is less than this is nothing. The cube of a signal is more.
_NOTHING = 1e-9


def quiet_signal(signal: F32) -> F32:
    """Return a sound in thirds, at each of `LEVELS`."""
    quiet = signal.copy()
    for level, third in zip(LEVELS, _thirds(len(signal)), strict=True):
        quiet[third] *= np.float32(level)
    return quiet


def _thirds(count: int) -> list[slice]:
    edges = [count * part // len(LEVELS) for part in range(len(LEVELS) + 1)]
    return [slice(first, last) for first, last in zip(edges, edges[1:], strict=False)]


def quiet_runs(
    graph: Graph,
    model: Model,
    signal: F32,
    offline: Callable[[F32], Mapping[str, F64]],
    ordinary: Mapping[str, F64],
    valid: Mapping[str, int],
    tolerance: float,
    sides: int,
) -> tuple[list[Run], list[str]]:
    """Hold the engine against an offline output in silence and at two low levels, each relative to its own peak.

    Parameters
    ----------
    graph, model
        What is streamed, at `parity.RATE`.
    signal
        Sound of ordinary level.
    offline
        Returns the outputs for a sound of that length.
    ordinary
        The outputs for the sound itself.
    valid
        Frames of each output that do not depend on where the sound ends.
    tolerance
        Relative to the peak.
    sides
        How many of the two compute in float32.

    Returns
    -------
    tuple
        The runs, and what a reader should know: levels at which nothing could be compared.
    """
    quiet = quiet_signal(signal)
    outputs = offline(quiet)
    held = streamed(graph, model, quiet, outputs, valid)
    floors = {name: parity.peak_of(array) * _NOTHING for name, array in ordinary.items()}
    rounded: tuple[Mapping[str, F64], Mapping[str, F64]] | None = None
    ops = {node.op for node in graph.nodes}
    remembers, loops = bool(ops.intersection(RECURRENT)), bool(ops.intersection(FED))
    runs: list[Run] = []
    notes: list[str] = []
    for level, label, third in zip(LEVELS, _NAMES, _thirds(len(quiet)), strict=True):
        for pair in held:
            rows = pair.between(third.start, third.stop)
            if not rows.any():
                continue
            expected, frames = pair.expected[rows], pair.frames[rows]
            if parity.first_not_finite(expected) is not None:
                return runs, [*notes, f"{label} the offline output is not finite, and was not compared"]
            peak = max(parity.peak_of(expected), floors.get(pair.output, 0.0) * (level or 1.0))
            run = parity.compare(f"{label}, {pair.name}", pair.got[rows], expected, peak, tolerance)
            run.level = level
            if not run.passed:
                rounded = rounded or in_float32(graph, quiet)
                apart, agrees = _apart(*rounded, pair.output, frames, expected, peak)
                allowed = sides * ROUNDING * apart
                # Where the source is as near to the graph in float64 as float32 lets it be, nothing of it was lost: the
                # rest is float32 in the engine, which one draw may have guessed short: ten times, where an LSTM
                # amplifies what tanh is off, up to 13 units in the last place. A loop, whose float64 goes on from what
                # the engine made, adds it up: near zero tanh(h + x) is a sum without end, 3e-5 off in 4000 frames.
                if loops or ((sides > 1 or remembers) and agrees <= max(tolerance, ROUNDING * apart)):
                    allowed = max(allowed, MOST_ROUNDING)
                if allowed > MOST_ROUNDING:
                    notes.append(f"{label} float32 alone is {apart:.1e} of the peak from float64: not compared")
                    continue
                if run.error <= allowed:
                    run.passed, run.first = True, None
            runs.append(run)
    return runs, notes


def _apart(
    exact: Mapping[str, F64],
    rounded: Mapping[str, F64],
    output: str,
    frames: NDArray[np.int64],
    expected: F64,
    peak: float,
) -> tuple[float, float]:
    """Return how far float32 alone, and how far what is expected, lies from the graph in float64."""
    if output not in exact:
        return 0.0, np.inf
    known = frames < len(exact[output])
    frames = frames[known]
    if not len(frames) or not peak:
        return 0.0, np.inf
    made = exact[output][frames].reshape(len(frames), -1)
    small, wanted = rounded[output][frames].reshape(made.shape), expected[known].reshape(made.shape)
    return float(np.abs(small - made).max() / peak), float(np.abs(wanted - made).max() / peak)
