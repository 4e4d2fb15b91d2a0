"""PyTorch module -> model file: layers of `rtvoice.nn` write themselves, any other module goes through ONNX."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rtvoice.errors import ModelError
from rtvoice.export import native
from rtvoice.export.halving import WEIGHTS, halve

if TYPE_CHECKING:
    import torch

    from rtvoice.model import Model

__all__ = ["export"]


def export(
    module: torch.nn.Module,
    path: str | os.PathLike[str],
    *,
    example: torch.Tensor | None = None,
    sample_rate: int,
    hop: int | None = None,
    name: str | None = None,
    tier: str = "default",
    licence: str = "",
    description: str = "",
    provenance: Mapping[str, Any] | None = None,
    loudness: float | None = None,
    weights: str = "source",
) -> Model:
    """Write a trained module as a ``.rtv`` file, after proving that its stream is its offline output.

    Parameters
    ----------
    module
        A module of `rtvoice.nn` (anything with ``emit``), over ``(1, samples, 1)``, whose result is the audio, or a
        dictionary of outputs of which ``audio`` is the audio and the others are values that a host reads; or any other
        module that is causal or has a finite lookahead, over what `example` shows.
    path
        The file to write.
    example
        An input: ``(1, samples, 1)`` for `rtvoice.nn`, where it is optional; ``(1, 1, samples)``, ``(1, samples)`` or
        another layout with one time axis, the longest, for other modules.
    sample_rate
        Hz.
    hop
        Streaming quantum in samples; for `rtvoice.nn` 10 ms where left out, else what the strides ask for.
    name, tier, licence, description, provenance, loudness
        Metadata of the file; the name is the file's where left out.
    weights
        ``"source"`` keeps float32. ``"fp16"`` rounds the matrices to 16 bits, ``"auto"`` those that the engine waits
        for: where at most 4 rows of a hop share a matrix, and they do not all fit a first-level cache. What it costs,
        in dB of `example` or of a synthetic voice, goes into the file, and ``rtvoice info`` shows it beside the bound
        of 30 dB: below it ``"fp16"`` is refused, and ``"auto"`` leaves what costs most in float32.

    Returns
    -------
    Model
        The model that was written.

    Raises
    ------
    ModelError
        The module cannot stream, or streams something else than it computes; nothing has been written.
    ValueError
        An option is missing or out of range.
    """
    if weights not in WEIGHTS:
        raise ValueError(f"weights is {weights!r}; it must be one of {', '.join(map(repr, WEIGHTS))}")
    target = Path(path)
    label = name or target.stem
    if hasattr(module, "emit"):
        model = _export_native(
            module,
            example,
            sample_rate,
            hop or sample_rate // 100,
            label,
            {
                "tier": tier,
                "licence": licence,
                "description": description,
                "provenance": provenance,
                "loudness": loudness,
            },
            weights,
        )
    elif any(hasattr(layer, "emit") for layer in module.modules()):
        raise ModelError(
            f"{type(module).__name__} has layers of rtvoice.nn but is none itself; derive it from rtvoice.nn.Module"
        )
    else:
        if provenance is not None or loudness is not None:
            raise ValueError("provenance and loudness are written for modules of rtvoice.nn only; leave them out")
        model = _export_by_onnx(module, example, sample_rate, hop, label, tier, licence, description, weights)
    model.save(target)
    return model


def _export_native(
    module: Any,
    example: torch.Tensor | None,
    sample_rate: int,
    hop: int,
    name: str,
    metadata: Mapping[str, Any],
    weights: str,
) -> Model:
    try:
        builder = native.write(module, sample_rate=sample_rate, hop=hop, name=name, metadata=metadata)
    except (ModelError, ValueError) as error:
        raise ModelError(f"{type(module).__name__} cannot be written: {error}") from None
    model = builder.model()
    native.prove(module, builder.graph(), example)
    if weights == "source":
        return model
    if example is None:
        signal = native.voice_like(2 * sample_rate // hop * hop, sample_rate, np.random.default_rng(0))
    else:
        signal = np.ascontiguousarray(example.detach().cpu().numpy().reshape(-1), np.float32)
    return halve(model, weights, signal)


def _export_by_onnx(
    module: torch.nn.Module,
    example: torch.Tensor | None,
    sample_rate: int,
    hop: int | None,
    name: str,
    tier: str,
    licence: str,
    description: str,
    weights: str,
) -> Model:
    import torch

    from rtvoice.export import import_model

    if example is None:
        raise ValueError(
            "example is needed for a module that is not of rtvoice.nn: an input such as torch.zeros(1, 1, 16000)"
        )
    if example.ndim not in (2, 3):
        raise ValueError(f"example has shape {tuple(example.shape)}; it must be (1, 1, samples), (1, samples) or alike")
    time_axis = int(np.argmax(example.shape))
    with torch.no_grad():
        output = module(example)
    if not isinstance(output, torch.Tensor):
        raise ModelError(
            f"{type(module).__name__} returns {type(output).__name__}; wrap it so that it returns one tensor"
        )
    buffer: Any = io.BytesIO()  # the older exporter takes an open file, the signature knows only paths
    was_training = module.training
    try:
        with warnings.catch_warnings():
            # The older exporter: the newer one freezes the time axis behind recurrent layers.
            warnings.simplefilter("ignore")
            torch.onnx.export(
                module.eval(),
                (example,),
                buffer,
                dynamo=False,
                opset_version=17,
                input_names=["audio"],
                output_names=["output"],
                dynamic_axes={"audio": {time_axis: "time"}, "output": {int(np.argmax(output.shape)): "frames"}},
            )
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(f"{type(module).__name__} cannot be exported to ONNX: {reason}") from error
    finally:
        module.train(was_training)
    return import_model(
        buffer.getvalue(),
        sample_rate=sample_rate,
        hop=hop,
        name=name,
        tier=tier,
        licence=licence,
        description=description,
        weights=weights,
    )
