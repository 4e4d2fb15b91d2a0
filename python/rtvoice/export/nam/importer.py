"""From a `.nam` file to a graph of our ops, with what the file says about itself."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

import numpy as np

from rtvoice.errors import ModelError
from rtvoice.export.fields import read_json, refuse
from rtvoice.export.foreign import F64, Foreign, ForeignReport, finished, rounds
from rtvoice.graph import GraphBuilder

from .definition import evaluate
from .read import UNTOLD_RATE, read_network, told_rate
from .spec import ConvNet, Linear, Lstm, Network, Reading, WaveNet, prewarm_samples, recurrent
from .weights import Weights
from .write import write_network

_LOUDEST, _QUIETEST = 200.0, -200.0
_MOST_METADATA = 64 * 1024


def import_nam(
    src: str | os.PathLike[str] | bytes,
    *,
    sample_rate: int | None = None,
    hop: int | None = None,
    name: str | None = None,
    licence: str = "",
    description: str = "",
    tier: str = "default",
    weights: str = "source",
    size: float | None = None,
    follow: str = "core",
) -> Foreign:
    """Read a `.nam` file and write its network in the model file's ops.

    Parameters
    ----------
    src
        Path or bytes.
    sample_rate
        In Hz; the file's where left out, 48000 where it does not tell. Another one than the file's is refused.
    hop
        Streaming quantum in samples, 1 where left out: no layer has a stride.
    name, licence, description, tier
        For the model file; the name is the one in the file's metadata, or the file's.
    weights
        ``"source"`` keeps every bit, ``"fp16"`` rounds matrices to 16 bits, ``"auto"`` where they are more than a
        first-level cache holds.
    size
        Of a slimmable model, 0 to 1; the full one where left out.
    follow
        NeuralAmpModelerCore, which plays the files (``"core"``), and the trainer, which writes them (``"trainer"``),
        compute different things for a few options; this says whose. A note tells where a file has one.

    Raises
    ------
    ModelError
        The file is damaged, or has what cannot be brought in: the layer, why, and what to change.
    """
    if follow not in ("core", "trainer"):
        raise ValueError(f"follow is {follow!r}; it must be 'core' or 'trainer'")
    if size is not None and not 0.0 <= size <= 1.0:
        raise ValueError(f"size is {size!r}; it must lie between 0 and 1")
    document, file, digest = read_json(src)
    try:
        return _import(
            document, file, digest,
            {"sample_rate": sample_rate, "hop": hop, "name": name, "licence": licence, "description": description,
             "tier": tier, "weights": weights, "size": size, "follow": follow},
        )  # fmt: skip
    except ModelError as error:
        raise ModelError(f"{file}: {_line(str(error))}") from None


def _import(document: dict[str, Any], file: str, digest: str, options: dict[str, Any]) -> Foreign:
    notes: list[str] = []
    rate = _rate(document, options["sample_rate"], notes)
    reading = Reading(options["follow"], options["size"], rate, notes)
    network, weights = read_network(document, reading, "")
    if network.outputs != 1:
        refuse("the network", f"makes {network.outputs} channels; an audio output has 1: train it mono")
    chosen = _chosen(document, options["size"])
    if options["size"] is not None and not notes_slimmable(notes):
        raise ValueError(f"size is {options['size']}, but {file} holds one size only; leave it out")
    exact = None
    if rounds(options["weights"], weights.count()) and weights.matrices:
        exact = _offline(_plain(chosen, network, weights), reading)
        weights.round()
    metadata = _metadata(document, chosen, notes)
    loudness = metadata.get("loudness")
    version = str(document.get("version", "")) or "unknown"
    start: dict[str, Any] = {} if isinstance(network, Linear) else {"start": "prewarmed"}
    if recurrent(network):
        start["prewarm"] = prewarm_samples(network, rate)
    builder = GraphBuilder(
        name=_name(options["name"] or metadata.get("name") or PurePath(file).stem),
        sample_rate=rate,
        hop=1 if options["hop"] is None else int(options["hop"]),
        licence=options["licence"],
        tier=options["tier"],
        description=options["description"],
        loudness=_level(loudness),
        provenance={
            "source": file,
            "sha256": digest,
            "producer": f"Neural Amp Modeler {version}",
            "format": "nam",
            "architecture": str(chosen["architecture"]),
            "weights": options["weights"] if exact is not None else "source",
            "follow": options["follow"],
            **({} if options["size"] is None else {"size": options["size"]}),
            **({"nam": metadata} if metadata else {}),
        },
        **start,
    )
    try:
        out = write_network(builder, builder.input(), network, reading)
        builder.output(out)
    except ValueError as error:
        raise ModelError(str(error)) from None
    if not isinstance(network, Linear):
        notes.append("starts as NeuralAmpModelerCore does: silence has run through before the first sample")
    report = ForeignReport(
        file, digest, f"Neural Amp Modeler {version}, {chosen['architecture']}", layers=_lines(network), notes=notes
    )
    imported = Foreign(builder, report, _offline(_plain(chosen, network, weights), reading), exact)
    finished(imported)
    return imported


def notes_slimmable(notes: list[str]) -> bool:
    """Tell whether a file that was read comes in several sizes."""
    return any("slimmable" in note or "submodel" in note for note in notes)


def _offline(document: dict[str, Any], reading: Reading) -> Any:
    def run(signal: F64, parameters: Mapping[str, F64]) -> F64:
        return evaluate(document, signal, rate=reading.rate, follow=reading.follow)

    return run


def _chosen(document: dict[str, Any], size: float | None) -> dict[str, Any]:
    """Return the model that a container's size means; the file's own object where it is no container."""
    while document.get("architecture") == "SlimmableContainer":
        parts = document["config"]["submodels"]
        want = 1.0 if size is None else size
        document = next((part for part in parts if want < part["max_value"]), parts[-1])["model"]
        size = None
    return document


def _plain(chosen: dict[str, Any], network: Network, weights: Weights) -> dict[str, Any]:
    """Return a file's object with the weights as they are used: rounded, and of a slimmed network its own."""
    document = {**chosen, "weights": weights.values.copy()}
    config = dict(_whole(chosen["config"]))
    inner = config.get("condition_dsp")
    if isinstance(network, WaveNet) and inner:
        assert network.condition is not None
        config["condition_dsp"] = _plain(_chosen(inner, None), network.condition, weights.inner[0])
    if isinstance(network, WaveNet) and any(array.allowed for array in network.arrays):
        from .narrow import narrowed

        config["layers"], document["weights"] = narrowed(network, config, document["weights"])
    return {**document, "config": config}


def _whole(value: Any) -> Any:
    """Return settings with 3.0 as 3, as the format's own reader takes it where a whole number is meant."""
    if isinstance(value, Mapping):
        return {key: item if key == "weights" else _whole(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_whole(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _rate(document: dict[str, Any], asked: int | None, notes: list[str]) -> int:
    told = told_rate(document)
    if told is not None and asked is not None and told != asked:
        refuse(
            "'sample_rate'", f"the file is of {told} Hz, not {asked}; leave the rate out, the engine converts to any"
        )
    if told is None and asked is None:
        notes.append(f"the file does not tell its sample rate; {UNTOLD_RATE} Hz is taken, as its trainer worked at")
    rate = told if told is not None else (asked if asked is not None else UNTOLD_RATE)
    if not 4000 <= rate <= 384_000:
        refuse("'sample_rate'", f"is {rate}; a model's rate lies in 4000..384000 Hz")
    return int(rate)


def _metadata(document: dict[str, Any], chosen: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    """Return what the file says about itself: a chosen submodel's where the file has none."""
    for holder in (document, chosen):
        given = holder.get("metadata")
        if isinstance(given, dict) and given:
            kept = _finite(given)
            if len(json.dumps(kept)) > _MOST_METADATA:
                notes.append(
                    f"the file's metadata is longer than {_MOST_METADATA} characters; only its numbers were kept"
                )
                kept = {key: value for key, value in kept.items() if isinstance(value, (int, float))}
            return dict(kept)
    return {}


def _finite(value: Any, depth: int = 0) -> Any:
    """Return a JSON value without what a model file cannot hold: numbers that are not finite, deep nesting."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if depth > 8:
        return None
    if isinstance(value, dict):
        return {_line(str(key))[:128]: _finite(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item, depth + 1) for item in value]
    return value


def _level(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(np.clip(value, _QUIETEST, _LOUDEST))


def _line(text: str) -> str:
    return re.sub(r"[\x00-\x1f\x7f]+", " ", text)


def _name(text: Any) -> str:
    return _line(str(text)).strip()[:64] or "imported"


def _lines(network: Network, prefix: str = "") -> list[str]:
    """Return the layers of a network, one line each."""
    if isinstance(network, Linear):
        return [f"{prefix}impulse response of {len(network.taps)} samples"]
    if isinstance(network, Lstm):
        return [f"{prefix}{len(network.cells)} LSTM of {network.cells[0].weight_hh.shape[1]}, linear head"]
    if isinstance(network, ConvNet):
        norm = ", batch norm" if network.blocks[0][1] is not None else ""
        reach = ", ".join(str(conv.dilation) for conv, _ in network.blocks)
        return [f"{prefix}{network.blocks[0][0].out} channels, dilations {reach}{norm}, {network.activation.kind}"]
    rows = [] if network.condition is None else _lines(network.condition, f"{prefix}condition: ")
    for index, array in enumerate(network.arrays):
        first = array.layers[0]
        kinds = "/".join(dict.fromkeys(layer.activation.kind for layer in array.layers))
        modes = "/".join(dict.fromkeys(layer.gating for layer in array.layers if layer.gating != "none"))
        taps = "/".join(dict.fromkeys(str(layer.conv.weight.shape[2]) for layer in array.layers))
        films = f", {len(first.films)} FiLM" if first.films else ""
        rows.append(
            f"{prefix}array {index}: {len(array.layers)} layers of {array.channels} channels, kernel {taps}, dilations "
            f"to {max(layer.conv.dilation for layer in array.layers)}, {kinds}{f', {modes}' if modes else ''}{films}"
        )
    if network.head:
        rows.append(f"{prefix}head: {len(network.head)} convolutions")
    return rows
