"""From a trained vocoder to a model file, proved before it is written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

import rtvoice
from rtvoice.export import native
from rtvoice.export.halving import halve
from rtvoice.parity import F32
from rtvoice.train import source
from rtvoice.train.vocoder.loop import load
from rtvoice.train.vocoder.networks import HOP, RATE

DESCRIPTIONS = {
    "wavenet": "Kathleen's voice from mel frames, drawn sample by sample",
    "flow": "Kathleen's voice from mel frames, in one pass",
}


def export(checkpoint: Path, to: Path) -> rtvoice.Model:
    """Write a trained network as a model file, its matrices in 16 bits where it bears that.

    Parameters
    ----------
    checkpoint
        Made by `rtvoice.train.vocoder.loop.train`.
    to
        The ``.rtv`` file.

    Raises
    ------
    ModelError
        Its stream is not its offline output.
    """
    state = torch.load(checkpoint, weights_only=True)
    network = state["network"]
    module = load(checkpoint)
    metadata = {
        "description": DESCRIPTIONS[network],
        "tier": network,
        "licence": "CC0-1.0",
        "provenance": {
            "steps": state["step"],
            "seconds": round(state["seconds"]),
            "commit": state.get("commit") or source.commit(),
            "data": "Kathleen (CC0 1.0, rhasspy/dataset-voice-kathleen)",
            "consent": "recorded by the speaker for public-domain synthetic voices, released by her under CC0 1.0",
        },
    }
    builder = native.write(module, sample_rate=RATE, hop=HOP, name="vocoder", metadata=metadata)
    native.prove(module, builder.graph())
    signal = native.voice_like(50 * HOP, RATE, np.random.default_rng(3))
    model = _smaller(builder.model(), signal)
    to.parent.mkdir(parents=True, exist_ok=True)
    model.save(to)
    return model


def _smaller(model: rtvoice.Model, signal: F32) -> rtvoice.Model:
    """Return the model with as many matrices in 16 bits as it bears: a flow that is sure amplifies rounding."""
    for weights in ("fp16", "auto"):
        try:
            return halve(model, weights, signal)
        except rtvoice.ModelError:
            continue
    return model
