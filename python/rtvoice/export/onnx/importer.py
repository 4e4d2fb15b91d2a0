"""From an ONNX file to a graph of our ops."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from rtvoice.errors import ModelError
from rtvoice.graph import GraphBuilder

from . import composed, dense, layout, norms, overlap, pointwise, recurrent, spectra, timeline  # noqa: F401  (they register what they lower)
from .attention import TOO_SHORT
from .branches import without_branches
from .inputs import Asked, Reading, clean, like_states, open_inputs, readings
from .ir import Emitter, Node
from .patterns import PATTERNS
from .refusals import AHEAD
from .report import ImportReport
from .rewrite import COMPARING, FOLDING, LAST, LAST_ROUNDED, rewrite
from .rounding import read_by_few_rows, rounded
from .source import Source, damage_of, read, require_onnx, to_array
from .states import States
from .symbols import UNSEEN
from .values import Refused, Scores, Stream, in_order
from .walk import Walk
from .write import Out, quantum, write

if TYPE_CHECKING:
    from .oracle import Oracle


@dataclass
class Imported:
    """An ONNX model brought in, before the parity check.

    Attributes
    ----------
    builder
        The graph, in the model file's ops.
    report
        What was done.
    source
        The ONNX model; where weights were rounded, with the rounded ones.
    reading
        How its inputs lie.
    outputs
        Its outputs, in the model file's order.
    options
        What was asked for.
    original
        The ONNX model as it was read.
    stretched
        Nodes that stretch time to a length of another tensor, which is a whole factor for some lengths only.
    """

    builder: GraphBuilder
    report: ImportReport
    source: Source
    reading: Reading
    outputs: list[Out]
    options: dict[str, Any]
    original: Source
    stretched: list[str] = field(default_factory=list)

    def oracle(self, runner: str = "onnxruntime") -> Oracle:
        """Return what runs the source offline: ``"onnxruntime"`` or ``"onnx"``."""
        from .oracle import Oracle

        return Oracle(self, runner)

    def exact(self) -> Imported:
        """Return the same import with the source's own weights; this one where nothing was rounded."""
        if self.options["weights"] == "source":
            return self
        return _import(self.original, {**self.options, "weights": "source"})

    def unbranched(self) -> Imported:
        """Return the same import with the nodes of branches in place of their `If`, where their tensors can be read."""
        walk, _ = _walk(self.source, self._settled())
        if not walk.taken:
            return self
        source = replace(self.source, model=without_branches(self.source.model, walk.taken))
        source.constants = {item.name: to_array(item) for item in source.model.graph.initializer}
        return _import(source, self._settled())

    def streams(self) -> list[str]:
        """Return the names of the source's tensors whose frames can be read one by one, in its nodes' order."""
        walk, _ = _walk(self.source, self._settled())
        found = []
        for name, value in walk.values.items():
            if not isinstance(value, Stream) or value.node.control or value.newest:
                continue
            if value.node.channels > 1 or value.node.rate <= 1 or value.time is None:
                found.append(name)
        return found

    def opened(self, names: Sequence[str]) -> Imported:
        """Return the same import with more outputs: these tensors of the source, after its own.

        Raises
        ------
        ModelError
            One of them cannot be an output.
        """
        model = require_onnx().ModelProto()
        model.CopyFrom(self.source.model)
        more = [name for name in names if name not in self.source.outputs]
        for name in more:
            model.graph.output.add().name = name
        source = replace(self.source, model=model, outputs=[*self.source.outputs, *more])
        return _import(source, self._settled())

    def _settled(self) -> dict[str, Any]:
        """Return the options with what was found in place of what was left open."""
        known = {"audio_input": self.reading.audio.name, "states": self.reading.states}
        return {**self.options, **known, "constants": self.reading.constants, "weights": "source"}


def import_onnx(
    src: str | os.PathLike[str] | bytes,
    *,
    sample_rate: int = 48_000,
    hop: int | None = None,
    name: str | None = None,
    licence: str = "",
    description: str = "",
    tier: str = "default",
    weights: str = "source",
    audio_input: str | None = None,
    parameters: Mapping[str, Mapping[str, Any]] | None = None,
    frames: int | bool = False,
    states: Mapping[str, str] | None = None,
    constants: Mapping[str, int] | None = None,
) -> Imported:
    """Read an ONNX file and bring its graph into the model file's ops; needs only onnx and numpy.

    Parameters
    ----------
    src
        Path or bytes.
    sample_rate
        Rate that the network works at, in Hz.
    hop
        Streaming quantum in samples, a multiple of the one that the strides ask for; that one where left out.
    name, licence, description, tier
        For the model file; the name is the file's where left out.
    weights
        ``"source"`` keeps every bit, ``"fp16"`` rounds matrices to 16 bits, ``"auto"`` those that the engine waits for:
        where at most 4 rows of a hop share a matrix, and they do not all fit a first-level cache.
    audio_input
        Name of the input that is the audio, where there are several.
    parameters
        ``default``, ``min``, ``max``, ``smoothing_ms``, ``description`` of the other inputs, by name.
    frames
        True for a network that reads frames of numbers, and not audio sample by sample; their size where its inputs
        leave that open. `hop` is then how many samples lie between two frames.
    states
        Inputs that are states, and the outputs that set them; found by their names where left out.
    constants
        Numbers of inputs that stay the same for ever; a sample rate is known.

    Raises
    ------
    ModelError
        Something cannot be read, is not supported or cannot stream: every such node by name, why, and what to change.
    """
    if weights not in ("source", "fp16", "auto"):
        raise ValueError(f"weights is {weights!r}; it must be 'source', 'fp16' or 'auto'")
    options = {
        "sample_rate": sample_rate,
        "hop": hop,
        "name": name,
        "licence": licence,
        "description": description,
        "tier": tier,
        "weights": weights,
        "audio_input": audio_input,
        "parameters": parameters or {},
        "frames": frames,
        "states": dict(states or {}),
        "constants": dict(constants or {}),
    }
    try:
        return _import(read(src), options)
    except ModelError as error:  # names in a damaged file may hold anything; a message is one line
        raise ModelError(re.sub(r"[\x00-\x1f\x7f]+", " ", str(error))) from None


def _import(original: Source, options: dict[str, Any]) -> Imported:
    source, half = original, options["weights"] != "source"
    label = str(source.provenance["source"])
    with damage_of(label):
        try:
            walk, reading = _walk(source, options)
            if half:  # before anything is compared: the source is given the weights that the file holds
                chosen = None
                if options["weights"] == "auto":
                    outs, _ = _outputs(walk, source, reading, label)
                    found, _ = _rewritten([*(out.node for out in outs), *walk.loops], keep_matrices=True)
                    chosen = read_by_few_rows(source, walk.values, options["hop"] or quantum(found))
                source = rounded(source, walk.values, chosen)
                half = half and (chosen is None or source is not original)
                walk, reading = _walk(source, options)
        except ModelError as error:
            raise ModelError(f"{label}: {error}") from None
        outs, notes = _outputs(walk, source, reading, label)
        nodes, fused = _rewritten([*(out.node for out in outs), *walk.loops], keep_matrices=half)
    loops = nodes[len(outs) :]
    outs = [replace(out, node=node) for out, node in zip(outs, nodes, strict=False)]
    steps = quantum(nodes)
    hop = steps if options["hop"] is None else int(options["hop"])
    if hop < 1 or hop % steps:
        raise ValueError(f"hop is {hop}; the strides of {label} ask for a multiple of {steps}")
    try:
        builder = GraphBuilder(
            name=(options["name"] or PurePath(label).stem)[:64] or "imported",
            sample_rate=options["sample_rate"],
            hop=hop,
            licence=options["licence"],
            tier=options["tier"],
            description=options["description"],
            provenance={
                **source.provenance,
                "audio_input": reading.audio.name,
                **_told(options, reading),
                "weights": options["weights"] if half or options["weights"] == "fp16" else "source",
            },
        )
        write(builder, outs, loops, options["parameters"], half=half)
    except ModelError as error:
        raise ModelError(f"{label}: {error}") from None
    report = _report(walk, reading, builder, fused, notes)
    return Imported(builder, report, source, reading, outs, options, original, walk.stretched)


def _told(options: dict[str, Any], reading: Reading) -> dict[str, Any]:
    """Return what a later check must be told to read the source in the same way."""
    known = {"frames": options["frames"], "states": reading.states, "constants": reading.constants}
    return {key: value for key, value in known.items() if value}


def _walk(source: Source, options: dict[str, Any]) -> tuple[Walk, Reading]:
    """Walk over the graph in the most likely reading of the inputs that works."""
    failed: list[Walk] = []
    asked = Asked(
        options["audio_input"],
        options["frames"],
        options["hop"],
        options["states"],
        options["constants"],
        options["sample_rate"],
    )
    for reading in readings(source, asked):
        attempts = reading.attempts(source)
        for probes in attempts:
            walk = Walk(source, probes)
            walk.run(open_inputs(source, reading, probes))
            if not walk.errors:
                return walk, reading
            longer = any(told in error for error in walk.errors for told in (TOO_SHORT, UNSEEN, "together may read"))
            if not longer and not (len(attempts) > 2 and probes is attempts[0]):  # which many strides do not divide
                break
        failed.append(walk)
    errors = min(failed, key=lambda walk: len(walk.errors)).errors
    if len(errors) == 1:
        raise ModelError(errors[0])
    raise ModelError(f"{len(errors)} nodes cannot be imported. " + " | ".join(errors))


def _outputs(walk: Walk, source: Source, reading: Reading, label: str) -> tuple[list[Out], list[str]]:
    """Choose the audio output; the others become values."""
    outs: list[Out] = []
    notes: list[str] = []
    audio = False
    emit = Emitter()
    stepped = reading.frames is not None and not reading.frames.timed
    states = States(walk, reading.states) if stepped else None
    for name, output in reading.states.items():
        notes.append(f"'{name}' and '{output}' are a state, which the stream keeps")
    notes += [f"'{name}' is always {number}" for name, number in reading.constants.items()]
    notes += like_states(source, reading)
    for name in source.outputs:
        value = walk.values.get(name)
        if name in reading.states.values():
            continue
        if not isinstance(value, Stream):
            what = "a final state" if isinstance(value, Refused) else "a constant"
            what = "a table of scores" if isinstance(value, Scores) else what
            notes.append(f"output '{name}' is {what} and was left out")
            continue
        if value.brief:
            origin, told = walk.heads.get(value.lengths, (f"output '{name}'", "is some frames alone"))
            raise ModelError(f"{label}: {origin}: {told}; {AHEAD}")
        if value.node.control:
            notes.append(f"output '{name}' depends on no audio and was left out")
            continue
        emit.label = name
        node = in_order(value, emit)
        if states is not None:
            node = states.without(node)
        is_audio = not audio and value.time is not None and node.channels == 1 and node.rate == 1
        if not is_audio and value.time is not None and node.channels == 1 and node.rate > 1:
            raise ModelError(
                f"{label}: output '{name}' has {node.rate} samples for each input sample; the audio output must have "
                "the input's rate, so resample inside or after the model"
            )
        if not is_audio and value.time is not None and node.rate == 1 and node.channels <= 8:
            notes.append(
                f"output '{name}' has {node.channels} channels at the audio's rate; only its newest frame can be read"
            )
        missing = walk.lengths[0] - value.lengths[0] if value.lengths else 0
        if is_audio and missing > 0:
            notes.append(
                f"the network does not pad: its output is {missing} samples shorter than its input, and late by as many"
            )
        audio = audio or is_audio
        outs.append(Out(clean(name), name, node, "audio" if is_audio else "value", value.time))
    walk.loops = [] if states is None else states.loops()
    if not outs:
        raise ModelError(f"{label}: has no output that depends on its input; export it again")
    return outs, notes


def _rewritten(nodes: list[Node], *, keep_matrices: bool) -> tuple[list[Node], Counter[str]]:
    """Find patterns first, while they stand as they were written; then fold what is left into the layers."""
    nodes, patterns = rewrite(nodes, [*PATTERNS, *FOLDING])
    nodes, folded = rewrite(nodes, [*PATTERNS, *(LAST_ROUNDED if keep_matrices else LAST)])
    nodes, compared = rewrite(nodes, COMPARING)
    return nodes, patterns + folded + compared


def _rounded_signals(walk: Walk) -> list[str]:
    """Tell of signals that the source rounds to 16 bits: the stream, and what it is compared with, do not."""
    types = require_onnx().TensorProto
    for node in walk.source.model.graph.node:
        to = next((attribute.i for attribute in node.attribute if attribute.name == "to"), None)
        if node.op_type == "Cast" and to == types.FLOAT16 and isinstance(walk.values.get(node.output[0]), Stream):
            return [
                f"'{node.name or node.output[0]}' rounds a signal to float16; the stream and what it is compared with "
                "keep float32, up to 5e-4 of it away: export without .half() and autocast for the same numbers"
            ]
    return []


def _report(walk: Walk, reading: Reading, builder: GraphBuilder, fused: Counter[str], notes: list[str]) -> ImportReport:
    graph = builder.graph()
    origin = walk.source.provenance
    notes += _rounded_signals(walk)
    if reading.length is not None:
        notes.append(f"was exported for {reading.length} samples; it is taken to work alike at any length")
    return ImportReport(
        source=str(origin["source"]),
        sha256=str(origin["sha256"]),
        producer=str(origin["producer"]),
        opset=walk.source.opset,
        onnx_nodes=len(walk.source.model.graph.node),
        folded=walk.folded,
        nodes=len(graph.nodes),
        fused=dict(fused),
        ops=dict(Counter(node.op for node in graph.nodes)),
        hop=graph.hop,
        parameters=[parameter.name for parameter in graph.parameters],
        outputs={output.name: output.kind for output in graph.outputs},
        static_length=reading.length,
        notes=notes,
    )
