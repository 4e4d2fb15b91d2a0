"""Storing a finished model's matrices in 16 bits, all of them or those that the engine waits for."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import numpy as np

from rtvoice import safetensors_io
from rtvoice.check import check
from rtvoice.errors import ModelError
from rtvoice.export.cost_of_rounding import BOUND, rounding_snr
from rtvoice.model import Model
from rtvoice.parity import F32
from rtvoice.safetensors_io import BFloat16, Int8

__all__ = ["NEAR_BYTES", "SHARED_ROWS", "WEIGHTS", "halve"]

#: What can be asked for.
WEIGHTS = ("source", "fp16", "auto")
#: Rows per hop up to which the engine keeps 16 bits in memory: with more, widening them anew costs more than reading.
SHARED_ROWS = 4
#: Bytes of float32 that a first-level cache holds: matrices that fit there all together are not waited for.
NEAR_BYTES = 32 * 1024


def halve(model: Model, weights: str, signal: F32, *, bound: float = BOUND) -> Model:
    """Return the model with matrices rounded to float16, after holding its stream against its float64 reference.

    Parameters
    ----------
    model
        As trained.
    weights
        ``"source"`` returns it as it is, ``"fp16"`` rounds every matrix whose numbers float16 holds, ``"auto"`` those
        that at most `SHARED_ROWS` rows of a hop share, unless they all fit a first-level cache.
    signal
        What the loss is measured with, `(samples,)` at the model's rate.
    bound
        dB that the rounded model must reach against itself before. `"auto"` leaves matrices in float32 until it does,
        those first that cost most by themselves; `"fp16"` is refused.

    Raises
    ------
    ModelError
        The rounded model does not stream what it computes, or misses the bound.
    ValueError
        `weights` is unknown.
    """
    if weights not in WEIGHTS:
        raise ValueError(f"weights is {weights!r}; it must be one of {', '.join(map(repr, WEIGHTS))}")
    if weights == "source":
        return model
    tensors, metadata = safetensors_io.read(model._bytes())
    matrices = {
        name: np.asarray(tensor, np.float32)
        for name, tensor in tensors.items()
        if not isinstance(tensor, (BFloat16, Int8)) and len(tensor.shape) > 1 and 0 not in tensor.shape
    }
    chosen = set(matrices)
    if weights == "auto":
        rows = _rows(model)
        chosen = {name for name in matrices if rows.get(name, SHARED_ROWS + 1) <= SHARED_ROWS}
        if sum(4 * matrices[name].size for name in chosen) <= NEAR_BYTES:
            return model
    halves: dict[str, Any] = {}
    for name in sorted(chosen):
        with np.errstate(over="ignore"):
            half = matrices[name].astype(np.float16)
        if np.isfinite(half).all():
            halves[name] = half
    told = model.metadata
    provenance = {**(told.get("provenance") or {}), "weights": weights}

    def loss(names: Iterable[str]) -> float | None:
        part = {**tensors, **{name: halves[name] for name in names}}
        return rounding_snr(model, _model(part, metadata, told), signal)

    snr = loss(halves)
    if snr is not None and snr < bound and weights == "fp16":
        raise ModelError(
            f"with weights='fp16' the model is {snr:.1f} dB from itself, and {bound:g} are asked for; "
            "use weights='auto', which leaves what cannot bear it in float32, or 'source'"
        )
    if snr is not None and snr < bound:
        alone = {name: loss([name]) for name in halves}
        for name in sorted(halves, key=lambda name: alone[name] or np.inf):
            del halves[name]
            snr = loss(halves)
            if snr is None or snr >= bound:
                break
    provenance["matrices_in_fp16"] = f"{len(halves)} of {len(matrices)}"
    if snr is not None:
        provenance |= {"weights_snr_db": round(snr, 1), "weights_bound_db": bound}
    found = _model({**tensors, **halves}, metadata, {**told, "provenance": provenance})
    result = check(found, locate=False)
    if not result.passed:
        raise ModelError(f"with weights={weights!r} the stream is not what the model computes: {result.verdict()}")
    return found


def _model(tensors: dict[str, Any], metadata: dict[str, str], told: dict[str, Any]) -> Model:
    return Model.from_bytes(safetensors_io.write(tensors, {**metadata, "rtvoice": json.dumps(told)}))


def _rows(model: Model) -> dict[str, int]:
    """Return how many rows of a hop share each matrix: a recurrent state's has one."""
    frames = {str(layer["name"]): int(layer["frames"]) for layer in model.info["layers"]}
    rows: dict[str, int] = {}
    for node in model.metadata["graph"]["nodes"]:
        own = frames[node["name"]]
        if node["op"] == "conv_transpose1d":
            own //= int((node.get("attrs") or {}).get("stride", 1))
        for role, tensor in (node.get("weights") or {}).items():
            # A tensor that several nodes read is as widely shared as the widest makes it.
            rows[tensor] = max(rows.get(tensor, 0), 1 if role == "weight_hh" else own)
    return rows
