"""Storing a finished model's matrices in 16 bits: which ones, what it costs, and that the file tells."""

from __future__ import annotations

import numpy as np
import pytest

import rtvoice
from rtvoice.export.halving import halve
from rtvoice.export.native import voice_like
from rtvoice.graph import GraphBuilder
from rtvoice.graph_reader import parse_graph

RATE, HOP = 16_000, 32


@pytest.fixture
def model():
    """A recurrent layer at two frames a hop between a strided layer and its inverse, and a filter at the full rate."""
    rng = np.random.default_rng(1)

    def random(*shape: int) -> np.ndarray:
        return (rng.normal(size=shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)

    builder = GraphBuilder(name="slow", sample_rate=RATE, hop=HOP)
    low = builder.node("conv1d", builder.input("audio"), name="low", weight=random(64, 1, 16), stride=16)
    state = builder.node(
        "gru",
        low,
        name="state",
        weight_ih=random(192, 64),
        weight_hh=random(192, 64),
        bias_ih=random(192),
        bias_hh=random(192),
    )
    back = builder.node("conv_transpose1d", state, name="back", weight=random(64, 1, 16), stride=16)
    builder.output(builder.node("conv1d", back, name="filter", weight=random(1, 1, 9), pads=[8, 0]), name="audio")
    return builder.model()


def halves(model) -> set[str]:
    return {
        f"{node.name}.{role}"
        for node in parse_graph(model._bytes()).nodes
        for role, array in node.weights.items()
        if array.dtype == np.float16
    }


def signal(count: int) -> np.ndarray:
    return voice_like(count, RATE, np.random.default_rng(2))


def test_auto_takes_what_few_rows_share(model):
    made = halve(model, "auto", signal(RATE // HOP * HOP))
    assert halves(made) == {"low.weight", "state.weight_ih", "state.weight_hh", "back.weight"}
    provenance = made.metadata["provenance"]
    assert provenance["weights"] == "auto" and provenance["matrices_in_fp16"] == "4 of 5"
    assert 40 < provenance["weights_snr_db"] < 100


def test_fp16_takes_every_matrix(model):
    made = halve(model, "fp16", signal(RATE // HOP * HOP))
    assert halves(made) == {"low.weight", "state.weight_ih", "state.weight_hh", "back.weight", "filter.weight"}
    assert made.metadata["provenance"]["matrices_in_fp16"] == "5 of 5"


def test_source_changes_nothing(model):
    assert halve(model, "source", signal(HOP)) is model
    with pytest.raises(ValueError, match="'int3'"):
        halve(model, "int3", signal(HOP))


def test_export_takes_weights(tmp_path):
    torch = pytest.importorskip("torch")
    from rtvoice import nn

    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv1d(1, 96, 16, stride=16), nn.Tanh(), nn.Conv1d(96, 96, 3), nn.ConvTranspose1d(96, 1, 16, stride=16)
    )
    path = tmp_path / "net.rtv"
    rtvoice.export(module, path, sample_rate=RATE, hop=HOP, weights="auto")
    provenance = rtvoice.Model.load(path).metadata["provenance"]
    assert provenance["weights"] == "auto" and provenance["weights_snr_db"] > 40
    with pytest.raises(ValueError, match="'fp8'"):
        rtvoice.export(module, path, sample_rate=RATE, hop=HOP, weights="fp8")
