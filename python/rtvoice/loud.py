"""Passages far louder than audio: what saturates inside a network is met, wherever its limits lie.

A tone of ordinary loudness reaches a bin of a long transform ten or a hundred times as strongly as noise does, so that
a limit which noise never meets is one that music does. Noise of a hundred and of ten thousand times the level goes past
whatever audio can.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rtvoice import parity
from rtvoice.drift import MOST_ROUNDING, ROUNDING, rounding
from rtvoice.graph import Graph
from rtvoice.parity import F32, F64, Run

if TYPE_CHECKING:
    from rtvoice.model import Model

__all__ = ["LEVELS", "Pair", "loud_runs", "streamed"]

LEVELS = (100.0, 10_000.0)
_PATIENCE = 4.0  # seconds of the processor for one level, beyond which the next is left out


def loud_runs(
    graph: Graph,
    model: Model,
    signal: F32,
    offline: Callable[[F32], Mapping[str, F64]],
    valid: Mapping[str, int],
    tolerance: float,
    sides: int,
) -> tuple[list[Run], list[str]]:
    """Hold the engine against an offline output, louder and louder.

    Parameters
    ----------
    graph, model
        What is streamed, at `parity.RATE`.
    signal
        Sound of ordinary level.
    offline
        Returns the outputs for such a sound.
    valid
        Frames of each output that do not depend on where the sound ends.
    tolerance
        Relative to the peak.
    sides
        How many of the two compute in float32.

    Returns
    -------
    tuple
        The runs, and what a reader should know: levels at which nothing could be compared. Those are where the offline
        output is not finite, and where float32 alone takes it further from float64 than can be told from a fault.
    """
    runs: list[Run] = []
    notes: list[str] = []
    for level in LEVELS:
        began = time.process_time()
        loud = (signal * np.float32(level)).astype(np.float32)
        outputs = offline(loud)
        with np.errstate(over="ignore"):  # of a source that is run in float64
            single = [array.astype(np.float32) for array in outputs.values()]
        if any(parity.first_not_finite(array) is not None for array in single):
            notes.append(f"{level:g} times as loud the offline output is not finite, and was not compared")
            break
        found = [
            parity.compare(pair.name, pair.got, pair.expected, parity.peak_of(pair.expected), tolerance)
            for pair in streamed(graph, model, loud, outputs, valid)
        ]
        if not all(run.passed for run in found):
            apart = rounding(graph, loud)
            allowed = sides * ROUNDING * apart
            if sides > 1 and allowed < MOST_ROUNDING and _graph_agrees(graph, loud, outputs, valid, tolerance):
                allowed = MOST_ROUNDING  # the rest is float32 in the engine, which one draw may have guessed short
            if allowed > MOST_ROUNDING:
                notes.append(
                    f"{level:g} times as loud float32 alone is {apart:.1e} of the peak from float64: not compared"
                )
                continue
            for run in found:
                if run.error <= allowed:
                    run.passed, run.first = True, None
            if sides > 1 and not all(run.passed for run in found) and _attends(graph):
                # Scores grow with the square of the level: a mask of -1e4 is one at ordinary levels, and none at 1e8.
                notes.append(
                    f"{level:g} times as loud the source's attention may reach past its mask, if that is a number and "
                    "no -inf: not compared"
                )
                continue
        for run in found:
            run.name, run.level = f"{level:g} times as loud, {run.name}", level
        runs += found
        if time.process_time() - began > _PATIENCE:
            break
    return runs, notes


def _attends(graph: Graph) -> bool:
    return any(node.op == "attention" for node in graph.nodes)


def _graph_agrees(
    graph: Graph, loud: F32, outputs: Mapping[str, F64], valid: Mapping[str, int], tolerance: float
) -> bool:
    """Whether the graph in float64 gives what the source does: then nothing of it was lost on the way."""
    made = parity.tensors(graph, loud[: len(loud) // graph.hop * graph.hop])
    for output in graph.outputs:
        expected = outputs.get(output.name)
        if expected is None or len(expected) <= 1:
            continue
        found = made[output.tensor][graph.warm_hops * graph.values[output.tensor].frames :]
        count = min(len(found), len(expected), valid[output.name])
        if (
            count
            and not parity.compare(
                output.name, found[:count], expected[:count], parity.peak_of(expected[:count]), tolerance
            ).passed
        ):
            return False
    return True


@dataclass
class Pair:
    """An output of the engine and what it is held against, of the same frames.

    Attributes
    ----------
    name, output
        For a reader, and in the graph.
    got, expected
        Rows.
    frames
        Which frame of the offline output each row is.
    samples
        Of the input, to a frame.
    ahead
        How many frames further than its own a frame may have seen.
    """

    name: str
    output: str
    got: NDArray[Any]
    expected: F64
    frames: NDArray[np.int64]
    samples: float
    ahead: int

    def between(self, first: int, last: int) -> NDArray[np.bool_]:
        """Tell which rows belong to some samples of the input, and hear none after them."""
        return (self.frames * self.samples >= first) & ((self.frames + 1 + self.ahead) * self.samples <= last)


def streamed(
    graph: Graph, model: Model, signal: F32, outputs: Mapping[str, F64], valid: Mapping[str, int]
) -> list[Pair]:
    """Run the engine over a signal; return each output that can be compared beside the offline one."""
    held = []
    audio = next((output for output in graph.outputs if output.kind == "audio"), None)
    if audio is not None and audio.name in outputs:
        sizes = parity.shortened([parity.LONGEST_FRAME] * (len(signal) // parity.LONGEST_FRAME + 1), len(signal))
        got, latency = parity.stream_audio(model, signal, sizes)
        expected = outputs[audio.name][:, 0]
        count = min(len(got) - latency, valid[audio.name], len(expected))
        if count > 0:
            frames = np.arange(count)
            held.append(
                Pair("audio", audio.name, got[latency : latency + count], expected[:count], frames, 1.0, latency)
            )
    values = [output for output in graph.outputs if output.kind == "value" and len(outputs.get(output.name, ())) > 1]
    if values:
        delays = {str(layer["name"]): int(layer["delay"]) for layer in model.info["layers"]}
        found = parity.stream_values(model, signal, [output.name for output in values], graph.hop)
        for output in values:
            expected, made = outputs[output.name], found[output.name]
            per_hop, delay = graph.values[output.tensor].frames, delays.get(output.tensor, 0)
            frames = parity.newest_frames(len(made), per_hop, delay)
            inside = (frames >= 0) & (frames < min(len(expected), valid[output.name]))
            if inside.any():
                frames, name = frames[inside], f"value '{output.name}'"
                held.append(Pair(name, output.name, made[inside], expected[frames], frames, graph.hop / per_hop, delay))
    return held
