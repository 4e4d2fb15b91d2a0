"""Random causal networks: streamed output against the float64 reference, every cutting bit for bit."""

from __future__ import annotations

import numpy as np
import pytest

import rtvoice
from rtvoice.reference import evaluate

from .graphs import random_graph
from .streaming import CUTTINGS, sizes, speech_like, stream

# Relative to the output's range (a tanh ends every graph). float32 gives about 3e-7.
TOLERANCE = 1e-5


@pytest.mark.parametrize("seed", range(120))
def test_streamed_equals_offline(seed: int) -> None:
    builder = random_graph(seed)
    graph, model = builder.graph(), builder.model()
    signal = speech_like(900, seed)
    name = graph.outputs[0].tensor
    expected = evaluate(graph, signal)[name][:, 0]
    first = None
    for cutting in CUTTINGS:
        engine = rtvoice.Engine(model, sample_rate=graph.sample_rate, max_frame=1024)
        out = stream(engine, signal, sizes(cutting, len(signal), graph.hop))
        if first is None:
            late = engine.latency
            assert not out[:late].any(), "silence before the first sample"
            np.testing.assert_allclose(out[late:], expected[: len(signal) - late], rtol=0, atol=TOLERANCE)
            first = out
        np.testing.assert_array_equal(out, first, err_msg=f"cut as {cutting}")
        engine.reset()
        again = stream(engine, signal, sizes(cutting, len(signal), graph.hop))
        np.testing.assert_array_equal(again, first, err_msg=f"after reset, cut as {cutting}")
