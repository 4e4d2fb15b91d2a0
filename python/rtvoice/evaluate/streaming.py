"""Does streaming cost anything: the same bits however the input is cut, no audible loss against the offline output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rtvoice.evaluate import signals
from rtvoice.evaluate.signals import RATE, Floats
from rtvoice.evaluate.voices import BLOCK, HOST_RATE, stream
from rtvoice.graph_reader import parse_graph
from rtvoice.model import Model
from rtvoice.parity import LONGEST_FRAME
from rtvoice.reference import evaluate

#: Clips and seconds of each that are streamed in many ways: the float64 reference runs at about real time.
CLIPS, SECONDS = 3, 4.0


def cuttings() -> dict[str, list[int]]:
    """Return ways to cut a stream; sizes are taken in turn."""
    rng = np.random.default_rng(0)
    return {
        "10 ms": [BLOCK],
        "64": [64],
        "441": [441],
        "longest": [LONGEST_FRAME],
        "random": [int(size) for size in rng.integers(1, 2000, 64)],
    }


def compare(model: Model, clips: Sequence[Floats]) -> dict[str, Any]:
    """Stream clips, ``(n,)`` at `RATE`, in every way of cutting; return which of them differ from the first.

    Returns
    -------
    dict
        ``bit_equal``, ``cuttings`` (their names), ``clips``, ``differing`` (names).
    """
    ways = cuttings()
    first = next(iter(ways))
    differing = set()
    for clip in clips:
        host = signals.convert(clip, RATE, HOST_RATE)
        made = {name: stream(model, host, sizes, HOST_RATE) for name, sizes in ways.items()}
        differing |= {name for name, samples in made.items() if samples.tobytes() != made[first].tobytes()}
    return {
        "bit_equal": not differing,
        "cuttings": list(ways),
        "differing": sorted(differing),
        "clips": len(clips),
    }


def both(model: Model, clip: Floats) -> tuple[Floats, Floats]:
    """Return a clip streamed and by the offline float64 reference, both at the model's rate and then at `RATE`."""
    rate = model.sample_rate
    speech = signals.convert(clip, RATE, rate)
    graph = parse_graph(model._bytes())
    output = next(output for output in graph.outputs if output.kind == "audio")
    padded = np.concatenate([speech, np.zeros(model.latency, np.float32)])
    warm = np.zeros(graph.warm_hops * graph.hop, np.float32)
    offline = evaluate(graph, np.concatenate([warm, padded]))[output.tensor][:, 0]
    offline = offline[len(warm) : len(warm) + len(speech)]
    streamed = stream(model, speech, [max(1, rate // 100)], rate)
    return signals.convert(streamed, rate, RATE), signals.convert(np.asarray(offline, np.float32), rate, RATE)
