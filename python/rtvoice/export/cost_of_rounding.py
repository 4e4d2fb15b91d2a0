"""What rounded weights change of a model's output, and the bound that this has to meet."""

from __future__ import annotations

import math

import numpy as np

from rtvoice import parity
from rtvoice.graph_reader import parse_graph
from rtvoice.model import Model
from rtvoice.parity import F32
from rtvoice.reference import evaluate

__all__ = ["BOUND", "rounding_snr"]

#: Least signal-to-noise ratio in dB of a model with rounded weights against itself before, on its calibration audio.
#: A matrix of 16 bits gives 60 to 80, one of 8 bits about 40: below 30 a layer cannot bear its numbers' steps.
BOUND = 30.0


def rounding_snr(given: Model, rounded: Model, signal: F32) -> float | None:
    """Return the power of a model's output over that of what rounding changes of it, in dB; None where either is 0.

    Oscillators sum up their frequency without end: a thousandth of a semitone is another phase after some seconds,
    which says nothing of how it sounds and 10 dB of the waveform. So both sides are fed with the unrounded model's
    phases (and, where a loop draws, its draws), as `rtvoice check` does, and the rest is compared in float64.
    """
    graph, other = (parse_graph(model._bytes()) for model in (given, rounded))
    if not any(node.op in ("phase", "recall") for node in graph.nodes):
        sizes = [given.hop] * (len(signal) // given.hop)
        (before, late), (after, _) = (
            parity.stream_audio(parity.rebuilt(one).model(), signal, sizes) for one in (graph, other)
        )
        wanted, changed = before[late:].astype(np.float64), after[late:].astype(np.float64)
    else:
        skip = graph.warm_hops * graph.hop
        whole = np.concatenate([np.zeros(skip, np.float32), signal])
        turns, recalled = parity.phase_terms(graph, whole), parity.recalled_terms(graph, whole)
        output = next(one.tensor for one in graph.outputs if one.kind == "audio")
        wanted, changed = (
            evaluate(one, whole, turns=turns, recalled=recalled)[output][skip:, 0] for one in (graph, other)
        )
    power, lost = float(np.square(wanted).sum()), float(np.square(wanted - changed).sum())
    return 10.0 * math.log10(power / lost) if power > 0 and lost > 0 else None
