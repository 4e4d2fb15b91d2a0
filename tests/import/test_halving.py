"""Storing a finished model's matrices in 16 bits: which ones, what it costs, and that the file tells."""

from __future__ import annotations

import numpy as np
import pytest

import rtvoice
from rtvoice.errors import ModelError
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


def oscillating():
    """A tone whose frequency is a matrix's business, through a small filter: its phase runs away with any rounding."""
    rng = np.random.default_rng(3)
    builder = GraphBuilder(name="tone", sample_rate=RATE, hop=HOP)
    low = builder.node("conv1d", builder.input("audio"), name="low", weight=np.full((1, 1, 32), 0.7) / 32, stride=32)
    turns = builder.node(
        "conv1d", low, name="turns", weight=np.full((1, 1, 1), 0.0337, np.float32), bias=np.float32([0.0213])
    )
    angle = builder.node("phase", builder.node("upsample", turns, name="held", factor=32, mode="nearest"), name="angle")
    tone = builder.node("sin", angle, name="tone")
    weight = (rng.normal(size=(1, 1, 9)) / 3).astype(np.float32)
    builder.output(builder.node("conv1d", tone, name="filter", weight=weight, pads=[8, 0]), name="audio")
    return builder.model()


def test_an_oscillators_drift_is_no_loss_of_its_weights():
    made = halve(oscillating(), "fp16", signal(4 * RATE))
    provenance = made.metadata["provenance"]
    assert provenance["weights_snr_db"] > 55 and provenance["weights_bound_db"] == 30


def test_what_misses_the_bound_is_refused_or_left_in_float32(model):
    sound = signal(RATE // HOP * HOP)
    reached = halve(model, "fp16", sound).metadata["provenance"]["weights_snr_db"]
    with pytest.raises(ModelError, match=r"dB from itself, and .* are asked for; use weights='auto'"):
        halve(model, "fp16", sound, bound=reached + 3)
    made = halve(model, "auto", sound, bound=reached + 3)
    assert 0 < len(halves(made)) < 4
    provenance = made.metadata["provenance"]
    assert provenance["weights_snr_db"] >= provenance["weights_bound_db"] == reached + 3
