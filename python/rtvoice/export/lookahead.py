"""Where a model's latency comes from: the layers that wait for later frames, one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from rtvoice.model import Model

_WHY = {
    "conv1d": "its kernel reaches beyond its padding in front",
    "conv_bands": "its kernel reaches beyond its padding in front",
    "avg_pool": "its window reaches beyond its padding in front",
    "conv_transpose1d": "it crops the start of its output",
    "upsample": "it waits for the frame to interpolate to",
    "advance": "the start of the recording is cut off",
    "time_to_depth": "it waits until what comes late fills a frame",
}


@dataclass(frozen=True)
class Wait:
    """A layer that waits.

    Attributes
    ----------
    layer, op
        Its name and op.
    samples
        By how many samples it makes the output later.
    latency
        Of its output, in samples.
    why
        What in it looks ahead.
    """

    layer: str
    op: str
    samples: float
    latency: float
    why: str


def lookahead(model: Model, output: str | None = None) -> list[Wait]:
    """Follow the latency of an output back to the layers that it comes from, the first one first.

    Branches that meet are aligned to the latest, so there is one chain of layers that decides; others wait for it.

    Parameters
    ----------
    model
        The model.
    output
        Name of an output; the audio, else the latest value, where left out.
    """
    layers = {str(layer["name"]): layer for layer in model.info["layers"]}
    graph = model.metadata["graph"]
    tensors = [o["tensor"] for o in graph["outputs"] if output in (None, o["name"])]
    audio = [o["tensor"] for o in graph["outputs"] if output is None and o["kind"] == "audio"]

    def late(name: str) -> Fraction:
        layer = layers.get(name)
        return Fraction(0) if layer is None else Fraction(int(layer["delay"]) * model.hop, int(layer["frames"]))

    chain: list[Wait] = []
    at = max(audio or [name for name in tensors if name in layers], key=late, default=None)
    while at in layers:
        layer = layers[at]
        inputs: Sequence[str] = layer["inputs"]
        before = max(inputs, key=late, default=None)
        added = late(at) - (late(before) if before is not None else 0)
        if added > 0:
            why = _WHY.get(str(layer["op"]), "it looks ahead")
            chain.append(Wait(str(at), str(layer["op"]), float(added), float(late(at)), why))
        at = before
    return chain[::-1]


def lookahead_text(model: Model) -> str:
    """Return the layers as lines for a terminal."""
    found = lookahead(model)
    if not found:
        return "lookahead none: every output comes with its newest input"
    rate = model.sample_rate
    rows = [f"lookahead {found[-1].latency:g} samples ({1000 * found[-1].latency / rate:.2f} ms), layer by layer"]
    wide = max(len(wait.layer) for wait in found)
    rows += [f"  {wait.layer:<{wide}}  {wait.op:<16} +{wait.samples:g}  {wait.why}" for wait in found]
    return "\n".join(rows)
