"""From an RTNeural JSON file to a graph of our ops."""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

import numpy as np

from rtvoice.errors import ModelError
from rtvoice.export.fields import Fields, array, read_json, refuse
from rtvoice.export.foreign import F64, Foreign, ForeignReport, finished, rounded, rounds
from rtvoice.graph import GraphBuilder

from .definition import evaluate_keras, evaluate_torch
from .read import read_chain, told_rate
from .spec import Chain
from .state_dict import is_state_dict, modules, read_state_dict
from .write import write_chain

_AMP_LAYERS = ["rec", "lin"]
_MOST_DB = 200
_MATRICES = {"dense": 1, "time-distributed-dense": 1, "conv1d": 1, "conv2d": 1, "gru": 2, "lstm": 2}


def import_rtneural(
    src: str | os.PathLike[str] | bytes,
    *,
    sample_rate: int | None = None,
    hop: int | None = None,
    name: str | None = None,
    licence: str = "",
    description: str = "",
    tier: str = "default",
    weights: str = "source",
    layers: Sequence[str] | None = None,
    parameters: Mapping[str, Mapping[str, Any]] | None = None,
) -> Foreign:
    """Read an RTNeural JSON file and write its layers in the model file's ops.

    Parameters
    ----------
    src
        Path or bytes: a Keras model as RTNeural's script saves it, or a PyTorch state dict.
    sample_rate
        In Hz; needed where the file does not tell.
    hop
        Streaming quantum in samples, 1 where left out: no layer has a stride over time.
    name, licence, description, tier
        For the model file; the name is the file's where left out.
    weights
        ``"source"`` keeps every bit, ``"fp16"`` rounds matrices to 16 bits, ``"auto"`` where they are more than a
        first-level cache holds.
    layers
        Of a state dict, which does not tell them: modules and activations in order, options behind colons, as in
        ``["conv1:dilation=4", "tanh", "gru", "dense"]``.
    parameters
        ``min``, ``max``, ``default``, ``smoothing_ms``, ``description`` of the inputs behind the audio, by names that
        they get in this order; ``input1`` and on, from 0 to 1, where left out.

    Raises
    ------
    ModelError
        The file is damaged, has what cannot be brought in, or what RTNeural itself would load wrongly: the layer, why,
        and what to change.
    """
    document, file, digest = read_json(src)
    try:
        told = told_rate(document)
    except ModelError as error:
        raise ModelError(f"{file}: {error}") from None
    if told is not None and sample_rate is not None and told != sample_rate:
        raise ModelError(f"{file}: is of {told} Hz, not {sample_rate}; leave the rate out, the engine converts to any")
    rate = told if told is not None else sample_rate
    options = {
        "hop": hop,
        "name": name,
        "licence": licence,
        "description": description,
        "tier": tier,
        "weights": weights,
    }
    try:
        return _import(document, file, digest, rate, options, layers, parameters or {})
    except ModelError as error:
        raise ModelError(f"{file}: " + re.sub(r"[\x00-\x1f\x7f]+", " ", str(error))) from None


def _import(
    document: dict[str, Any],
    file: str,
    digest: str,
    rate: int | None,
    options: Mapping[str, Any],
    layers: Sequence[str] | None,
    parameters: Mapping[str, Mapping[str, Any]],
) -> Foreign:
    torch = is_state_dict(document)
    if not torch and layers is not None:
        raise ValueError("layers is for PyTorch state dicts; this file tells its layers, leave it out")
    notes: list[str] = []
    chain = _read(document, torch, layers, notes)
    if rate is None:
        raise ValueError("sample_rate is needed: the file does not tell it (rtvoice import: --rate HZ)")
    exact = None
    if rounds(options["weights"], chain.count()) and chain.count():
        exact = _offline(document, torch, layers, chain)
        document = _rounded(document, torch)
        chain = _read(document, torch, layers, [])
    if chain.inputs - 1 < len(parameters):
        raise ValueError(f"parameters names {len(parameters)} inputs, the file has {chain.inputs - 1} beside the audio")
    kind = "PyTorch" if torch else "Keras"
    builder = GraphBuilder(
        name=_line(options["name"] or PurePath(file).stem)[:64] or "imported",
        sample_rate=rate,
        hop=1 if options["hop"] is None else int(options["hop"]),
        licence=options["licence"],
        tier=options["tier"],
        description=options["description"],
        provenance={
            "source": file,
            "sha256": digest,
            "producer": f"RTNeural JSON, {kind}",
            "format": "rtneural",
            "weights": options["weights"] if exact is not None else "source",
            **({} if layers is None else {"layers": list(layers)}),
        },
    )
    try:
        out = write_chain(builder, chain, parameters)
        audio = out.channels == 1
        builder.output(out, name="audio" if audio else "output", kind="audio" if audio else "value")
    except ValueError as error:
        raise ModelError(str(error)) from None
    if not audio:
        notes.append(
            f"the last layer makes {out.channels} channels; a host reads its newest frame as the value 'output'"
        )
    report = ForeignReport(file, digest, f"RTNeural JSON, {kind}", layers=_lines(chain), notes=notes)
    imported = Foreign(builder, report, _offline(document, torch, layers, chain), exact)
    finished(imported)
    return imported


def _line(text: str) -> str:
    return re.sub(r"[\x00-\x1f\x7f]+", " ", str(text)).strip()


def _read(document: dict[str, Any], torch: bool, layers: Sequence[str] | None, notes: list[str]) -> Chain:
    if torch:
        return read_state_dict(document, layers, notes)
    chain = read_chain(document, notes)
    fields = Fields(document, "the file")
    skip = fields.integer("in_skip", 0, low=0) if fields.has("in_skip") else 0
    if skip > 1:
        refuse("'in_skip'", f"is {skip}; only 0 and 1, which adds the audio input, are known")
    if skip and chain.outputs != 1:
        refuse("'in_skip'", f"adds the audio input to {chain.outputs} channels; it needs one")
    chain.skip = skip == 1
    for key, side in (("in_gain", "gain_in"), ("out_gain", "gain")):
        level = fields.number(key, 0.0)
        if abs(level) > _MOST_DB:
            refuse(f"{key!r}", f"is {level:g} dB; a gain lies in -{_MOST_DB}..{_MOST_DB} dB")
        setattr(chain, side, 10.0 ** (level / 20.0))
        if level:
            notes.append(f"{key} of {level:g} dB is applied, as players of amp models do")
    return chain


def _offline(document: Mapping[str, Any], torch: bool, layers: Sequence[str] | None, chain: Chain) -> Any:
    def run(signal: F64, parameters: Mapping[str, F64]) -> F64:
        columns = [np.asarray(signal, np.float64) * np.float64(np.float32(chain.gain_in))]
        columns += [np.full(len(signal), float(value[0])) for value in parameters.values()]
        x = np.stack(columns, axis=1)
        names = layers or _AMP_LAYERS
        out = evaluate_torch(modules(document), names, x) if torch else evaluate_keras(document, x)
        return np.asarray((out + x[:, :1] if chain.skip else out) * np.float64(np.float32(chain.gain)))

    return run


def _rounded(document: Mapping[str, Any], torch: bool) -> dict[str, Any]:
    """Return a copy whose matrices are numbers that float16 holds."""
    made = copy.copy(dict(document))
    if torch:
        inner = dict(document.get("state_dict", document))
        for key, value in inner.items():
            if key.endswith(("weight",)) or ".weight_" in key:
                found = array(value, key)
                inner[key] = rounded(found, key) if found.ndim > 1 else value
        return {**made, "state_dict": inner} if "state_dict" in document else inner
    made["layers"] = []
    for index, layer in enumerate(document["layers"]):
        count = _MATRICES.get(layer["type"], 0)
        weights = [
            rounded(array(item, "weights"), f"layer {index}") if place < count else item
            for place, item in enumerate(layer.get("weights") or [])
        ]
        made["layers"].append({**layer, "weights": weights})
    return made


def _lines(chain: Chain) -> list[str]:
    first = "audio" if chain.inputs == 1 else f"audio and {chain.inputs - 1} settable"
    rows = [first]
    for layer in chain.layers:
        if layer.kind in ("dense", "gru", "lstm"):
            rows.append(f"{layer.kind} {layer.outputs}")
        elif layer.kind == "conv1d":
            taps = layer.weights["weight"].shape[2]
            groups = f", {layer.groups} groups" if layer.groups > 1 else ""
            rows.append(f"conv {layer.outputs}, kernel {taps}, dilation {layer.dilation}{groups}")
        else:
            rows.append({"affine": "batch norm"}.get(layer.kind, layer.kind))
    if chain.skip:
        rows.append("plus the input")
    return [" -> ".join(rows)]
