"""Does the stream give what was trained: the engine's output against an offline one, cut in many ways, node by node.

>>> from rtvoice.check import check
>>> print(check("denoiser.rtv", "denoiser.onnx").text())  # doctest: +SKIP
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rtvoice import parity
from rtvoice.divergence import (
    MOST_OUTPUTS,
    Layer,
    delays_of,
    from_float64,
    from_import,
    from_source,
    not_finite,
)
from rtvoice.drift import MOST_ROUNDING, ROUNDING, Drift, follow, parts, rounding
from rtvoice.errors import ModelError
from rtvoice.graph import Graph
from rtvoice.graph_reader import parse_graph
from rtvoice.loud import loud_runs
from rtvoice.model import Model
from rtvoice.parity import F32, F64, Run
from rtvoice.quiet import quiet_runs

if TYPE_CHECKING:
    from rtvoice.export.foreign import Foreign
    from rtvoice.export.onnx.importer import Imported
    from rtvoice.export.onnx.oracle import Oracle

__all__ = ["CheckReport", "Layer", "Run", "check"]

TOLERANCE = 1e-5
#: What the nodes of a report are held against.
ENGINE = "the engine against float64"
IMPORT = "the file against its source imported anew, in float64"
SOURCE = "the import in float64 against each tensor of its source"
_PARTS = {
    ENGINE: "the engine parts from float64",
    IMPORT: "the file parts from what its source gives today",
    SOURCE: "the import parts from its source",
}
_PERIOD = 7  # seconds of sound that come again and again in a long stream
_SECOND = 2_000  # samples of a second opinion: the reference implementation is slow
_PATIENCE = 2.0  # seconds for one way of cutting
# The end of a recording: it must be no multiple of any stride, and leave something to compare.
_ODD = 37


@dataclass
class CheckReport:
    """What the comparison found.

    Attributes
    ----------
    model, against
        What was compared with what.
    passed
        Whether every run is within the tolerance.
    tolerance
        Relative to the output's peak.
    latency
        Samples inside the network by which the offline output was shifted.
    lengths
        Lengths of the recordings, in samples.
    runs
        One for each way of cutting, and each value output.
    loud
        Runs at more than any audio's level, where float32 may be far from float64 on either side: their errors are in
        no other figure.
    quiet
        Runs in digital silence and far below speech, each relative to its own peak: likewise.
    layers
        One for each node, where a run failed or they were asked for.
    beside
        What each of these nodes was held against.
    rounding
        How far float32 alone takes the network from float64, where a run failed and the nodes were compared.
    notes
        What a reader should know.
    fault
        What is wrong with the offline output itself, so that nothing can be held against it; empty where it is sound.
    """

    model: str
    against: str
    passed: bool
    tolerance: float
    latency: int
    lengths: list[int] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    loud: list[Run] = field(default_factory=list)
    quiet: list[Run] = field(default_factory=list)
    layers: list[Layer] = field(default_factory=list)
    beside: str = ENGINE
    rounding: float = 0.0
    notes: list[str] = field(default_factory=list)
    fault: str = ""

    @property
    def error(self) -> float:
        """Largest relative error of all runs."""
        return max((run.error for run in self.runs), default=0.0)

    @property
    def levels(self) -> list[Run]:
        """The runs at other levels than those of audio."""
        return [*self.loud, *self.quiet]

    @property
    def culprit(self) -> str:
        """The first node that parts from the reference, or an empty string."""
        return next((layer.name for layer in self.layers if not layer.passed), "")

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain values."""
        return {**asdict(self), "error": self.error, "culprit": self.culprit}

    def text(self) -> str:
        """Return the report in lines for a terminal."""
        lines = [f"{self.model} against {self.against}: {self.verdict()}"]
        for run in (*self.runs, *self.levels):
            where = "" if run.first is None else f"  from {run.first} of {run.samples} on"
            lines.append(f"  {_mark(run.passed)} {run.error:8.1e}  {run.name}{where}")
        if self.layers:
            lines.append(f"  nodes, {self.beside}:")
            lines += [f"  {_mark(layer.passed)} {layer.error:8.1e}  {layer.name} ({layer.op})" for layer in self.layers]
        if not self.passed:
            lines.append(f"  {self.advice()}")
        return "\n".join(lines + [f"  note: {note}" for note in self.notes])

    def verdict(self) -> str:
        """Return the result in a few words."""
        if self.fault:
            return "FAILED, the offline output is not finite"
        if not self.runs:
            return "FAILED, nothing could be compared"
        word = "passed" if self.passed else "FAILED"
        worst = max((run for run in self.levels if not run.passed), key=lambda run: run.error, default=None)
        also = "" if worst is None else f", and {worst.error:.1e} {worst.name}"
        return f"{word}, largest error {self.error:.1e} of the peak in {len(self.runs)} runs{also}"

    def advice(self) -> str:
        """Return where to look after a failure."""
        if self.fault:
            where = f"; '{self.culprit}' is the first node that makes them" if self.culprit else ""
            return f"{self.fault}{where}. {_CLIP}"
        if self.culprit:
            return f"{_PARTS[self.beside]} at '{self.culprit}' first"
        if self.beside == SOURCE:
            return "every tensor agrees where it is an output itself, so layers were joined wrongly: report the model"
        return "every node agrees with float64: the graph itself differs from its source"


_CLIP = "Clip before the operation, as in log(max(x, eps)), sqrt(max(x, 0)) or a / max(b, eps)"


def _mark(passed: bool) -> str:
    return "ok  " if passed else "FAIL"


@dataclass
class _Offline:
    """The offline outputs of a signal, with how many frames of each do not depend on where it ended.

    The signal has denormal numbers, which the engine takes for 0; they are 0 to what gave the outputs.
    """

    signal: F32
    outputs: dict[str, F64]
    valid: dict[str, int]
    again: Callable[[F32], dict[str, F64]] | None = None  # the same of another signal of that length


def check(
    model: str | os.PathLike[str] | Model,
    against: str | os.PathLike[str] | Imported | Foreign | None = None,
    *,
    tier: str = "auto",
    tolerance: float = TOLERANCE,
    samples: int | None = None,
    seed: int = 0,
    layers: bool = False,
    locate: bool = True,
    minutes: float = 0.0,
    patience: float = 60.0,
    oracle: str = "onnxruntime",
    strict: bool = False,
) -> CheckReport:
    """Compare the streaming engine with an offline output.

    Parameters
    ----------
    model
        A skin's name, the path of a ``.rtv`` file, or a model.
    against
        The file that the model was imported from; the float64 reference of its own graph where left out.
    tier
        As in `Model.load`.
    tolerance
        Largest difference allowed, relative to the peak of the offline output.
    samples
        Length of the recording; chosen from the receptive field where left out.
    seed
        Of the recording, the parameters' values and the random cuttings.
    layers
        Compare every node as well.
    locate
        Compare every node when a run fails.
    minutes
        How long the stream is followed after that, to see whether what it remembers drifts; with it denormal
        numbers are streamed for as long as the network remembers.
    patience
        Seconds of the processor that this may take.
    oracle
        What runs an ONNX source: ``"onnxruntime"``, or ``"onnx"`` for the slow reference implementation in float64.
    strict
        Hold the stream to the tolerance of a source, whatever float32 does to the network on either side.

    Returns
    -------
    CheckReport
        Figures, `text()` for people, `to_json()` for programs.
    """
    if not isinstance(model, Model):
        model = Model.load(model, tier=tier)
    graph = parse_graph(model._bytes())
    rng = np.random.default_rng(seed)
    values = {p.name: np.clip(rng.normal(size=len(p.default)), p.min, p.max) for p in graph.parameters}
    builder = parity.rebuilt(graph, defaults=values)
    graph, copy = builder.graph(), builder.model()
    field_of_view = copy.info.get("receptive_field") or 4000
    least = 3 * copy.latency + 4 * graph.hop
    count = samples or int(np.clip(2 * field_of_view + least + 4 * graph.hop, 4000, max(48_000, least)))
    report = CheckReport(model.name, "its float64 reference", True, tolerance, copy.latency)
    if against is None:
        offline = _reference(graph, parity.probe_signal(count, rng))
        report.lengths = [count]
        _check_finite(report, [offline.outputs], "the float64 reference")
    else:
        provenance = model.metadata.get("provenance") or {}
        if isinstance(against, (str, os.PathLike)):
            against = _reimported(against, provenance, graph.hop, model.sample_rate)
            if provenance.get("weights") in ("fp16", "auto"):
                cost = provenance.get("weights_snr_db")
                told = f" ({cost} dB SNR)" if isinstance(cost, (int, float)) else ""
                report.notes.append(f"the weights were rounded to float16{told}: the source has the same rounded ones")
        offline = _source(against, oracle, count, graph.hop, values, rng, report)
    if not report.fault:  # else there is nothing to hold the stream against
        _check_audio(report, graph, copy, offline, rng)
        _check_values(report, graph, copy, offline)
        if not (strict and against is not None) and not all(run.passed for run in report.runs):
            tolerance = _allow_rounding(report, graph, offline, sides=1 if against is None else 2)
        _check_levels(report, graph, copy, offline, sides=1 if against is None else 2)
        if against is not None and not strict and not all(run.passed for run in report.quiet):
            _ask_float64(report, model, against)
    parted = None
    if minutes > 0 and not report.fault:
        _check_denormals(report, graph, copy, rng)
        parted = _check_drift(report, graph, copy, minutes, model.sample_rate, patience, rng)
    if not report.runs:
        report.notes.append(_why_nothing(graph, offline))
    report.passed = bool(report.runs) and all(run.passed for run in (*report.runs, *report.levels))
    heard = parity.flushed(offline.signal)
    if all(run.passed for run in report.runs):
        heard = heard * np.float32(next((run.level for run in report.levels if not run.passed), 1.0))
    if locate and not report.fault and not all(run.passed for run in report.runs):
        report.rounding = rounding(graph, heard)
    if layers or (locate and not report.passed):
        report.layers = not_finite(graph, offline.signal) if report.fault else []
        if parted is not None and all(run.passed for run in report.runs if _FOLLOWED not in run.name):
            report.layers = _layers_late(graph, *parted, tolerance)
        elif all(layer.passed for layer in report.layers):  # float64 may hold what float32 does not
            report.layers = from_float64(graph, heard, tolerance, finite=bool(report.fault))
        if against is not None and not report.passed and not report.fault and not report.culprit:
            _locate_in_source(report, graph, against, heard, values, oracle)
    return report


def _locate_in_source(
    report: CheckReport,
    graph: Graph,
    against: Imported | Foreign,
    signal: F32,
    values: Mapping[str, NDArray[np.float64]],
    oracle: str,
) -> None:
    """Find where the file parts from its source, since the engine does what the file says."""
    from rtvoice.export.onnx.importer import Imported

    fresh = parity.rebuilt(against.builder.graph(), defaults=values).graph()
    found = from_import(graph, fresh, signal, report.tolerance)
    if any(not layer.passed for layer in found):
        report.layers, report.beside = found, IMPORT
    elif isinstance(against, Imported):  # the tensors inside an ONNX graph can be read
        found = from_source(against, signal, report.lengths, values, oracle)
        if found:
            report.layers, report.beside = found, SOURCE


def _check_finite(report: CheckReport, runs: Sequence[Mapping[str, F64]], whose: str) -> None:
    """Fail where the offline output holds a NaN or an infinity: nothing differs from those."""
    for outputs in runs:
        for name, array in outputs.items():
            first = parity.first_not_finite(array)
            if first is None or report.fault:
                continue
            report.runs.append(Run(f"output '{name}' is finite", len(array), float("inf"), False, first))
            report.fault = (
                f"{whose} itself gives values that are not finite for ordinary audio (noise, silence): "
                f"output '{name}', first at {first} of {len(array)}"
            )


def _why_nothing(graph: Graph, offline: _Offline) -> str:
    if not any(output.name in offline.outputs for output in graph.outputs):
        return f"nothing could be compared: the source has no output called {graph.outputs[0].name!r}"
    return (
        "nothing could be compared: the recording is shorter than the latency; export with a longer example or a free "
        "time axis"
    )


def _reference(graph: Graph, signal: F32) -> _Offline:
    tensors = parity.tensors(graph, parity.flushed(signal))
    skip = graph.warm_hops
    found = {o.name: tensors[o.tensor][skip * graph.values[o.tensor].frames :] for o in graph.outputs}
    return _Offline(
        signal, found, {name: len(array) for name, array in found.items()}, lambda loud: _reference(graph, loud).outputs
    )


def _reimported(
    against: str | os.PathLike[str], provenance: Mapping[str, Any], hop: int, rate: int
) -> Imported | Foreign:
    from rtvoice.export import SUFFIXES, deepfilter, foreign_like
    from rtvoice.export.onnx.importer import import_onnx

    path = Path(against)
    if provenance.get("producer") == deepfilter.FORMAT:  # a folder or an archive
        return foreign_like(path, provenance, rate)
    if path.suffix.lower() not in SUFFIXES:
        raise ModelError(
            f"{path}: the source must be an {', '.join(SUFFIXES)} file; leave --against out for the float64 reference"
        )
    if path.suffix.lower() != ".onnx":
        return foreign_like(path, provenance, rate)
    audio_input = provenance.get("audio_input")
    told = {key: provenance[key] for key in ("frames", "states", "constants") if provenance.get(key)}
    return import_onnx(
        path,
        **told,
        audio_input=audio_input if isinstance(audio_input, str) else None,
        hop=hop if provenance.get("weights") == "auto" or "frames" in told else None,  # rounding depends on it
        weights=str(provenance["weights"]) if provenance.get("weights") in ("fp16", "auto") else "source",
    )


def _source(
    imported: Imported | Foreign,
    runner: str,
    count: int,
    hop: int,
    values: Mapping[str, NDArray[np.float64]],
    rng: np.random.Generator,
    report: CheckReport,
) -> _Offline:
    """Run the source at three lengths, each the beginning of the next; the stream is held against the middle one.

    What depends on where a recording ends (the final lookahead, padding at the end) differs between two lengths and is
    left out: how long that part is, is measured, not assumed. It may change with the length, where there are strides.
    """
    from rtvoice.export.foreign import Foreign, ForeignOracle

    oracle = imported.oracle(runner)
    stretched = [] if isinstance(imported, Foreign) else imported.stretched
    if isinstance(oracle, ForeignOracle):  # causal by its definition: no sample depends on where a recording ends
        report.against = f"{imported.report.source} by {oracle.name}"
        signal = parity.probe_signal(count, rng)
        outputs = oracle.run(parity.flushed(signal), values)
        report.lengths = [count]
        _check_finite(report, [outputs], "the source")
        valid = {name: len(array) for name, array in outputs.items()}
        return _Offline(signal, outputs, valid, lambda loud: oracle.run(loud, values))
    report.against = f"{imported.report.source} by {oracle.name}"
    if oracle.length is not None:
        signal = parity.probe_signal(oracle.length, rng)
        outputs = oracle.run(parity.flushed(signal), values)
        report.lengths = [oracle.length]
        _check_finite(report, [outputs], "the source")
        report.notes.append(f"the source runs at one length only, {oracle.length} samples")
        valid = {name: len(array) for name, array in outputs.items()}
        return _Offline(signal, outputs, valid, lambda loud: oracle.run(loud, values))
    whole, more = count - count % hop, max(4 * hop, 256)
    lengths = [whole + min(_ODD, hop - 1), whole + more + 4 * _ODD, whole + 2 * more + 7 * _ODD]
    try:
        signal, runs = _runs(oracle, lengths, values, rng)
        partial = bool(stretched) and not all(_goes_on(runs, name, report.tolerance) for name in runs[1])
        told = f"{', '.join(stretched)}: the length to stretch to is a whole factor only for recordings of"
    except ModelError:  # branches of different strides meet only where all have whole frames
        partial, told = True, "the source runs at"
    if partial:
        lengths = [whole, whole + hop * -(-256 // hop), whole + 2 * hop * -(-256 // hop)]
        signal, runs = _runs(oracle, lengths, values, rng)
        report.notes.append(f"{told} multiples of {hop} samples" + (" only" if told.endswith("at") else ""))
    report.lengths = lengths[:2]
    _check_finite(report, runs, "the source")
    if report.fault:
        return _Offline(signal[: lengths[1]], runs[1], {name: 0 for name in runs[1]})
    valid = {}
    for name, array in runs[1].items():
        agreed = _agreed(runs, name, report.tolerance)
        valid[name] = agreed[1]
        if not _goes_on(runs, name, report.tolerance):
            report.runs.append(
                Run(f"output '{name}' against its own beginning", len(array), float("inf"), False, agreed[1])
            )
            report.notes.append(f"output '{name}' of the source depends on all of the recording, which cannot stream")
    return _Offline(signal[: lengths[1]], runs[1], valid, lambda loud: oracle.run(loud, values))


def _agreed(runs: Sequence[Mapping[str, F64]], name: str, tolerance: float) -> list[int]:
    """Return for how many frames an output of each recording is that of the next longer one."""
    pairs = zip(runs, runs[1:], strict=False)
    return [parity.agreed(short[name], long[name], tolerance) for short, long in pairs]


def _goes_on(runs: Sequence[Mapping[str, F64]], name: str, tolerance: float) -> bool:
    """Tell whether an output of a longer recording begins with that of a shorter one, as a stream's does."""
    agreed = _agreed(runs, name, tolerance)
    return len(runs[1][name]) <= 1 or all(
        count >= len(run[name]) // 4 for count, run in zip(agreed, runs, strict=False)
    )


def _runs(
    oracle: Oracle, lengths: list[int], values: Mapping[str, NDArray[np.float64]], rng: np.random.Generator
) -> tuple[F32, list[dict[str, F64]]]:
    signal = parity.probe_signal(lengths[-1], rng)
    return signal, [oracle.run(parity.flushed(signal[:length]), values) for length in lengths]


def _check_audio(report: CheckReport, graph: Graph, model: Model, offline: _Offline, rng: np.random.Generator) -> None:
    output = next((o for o in graph.outputs if o.kind == "audio"), None)
    if output is None or output.name not in offline.outputs:
        return
    expected = offline.outputs[output.name][:, 0]
    peak = parity.peak_of(expected)
    valid = min(len(expected), offline.valid[output.name])
    signal = offline.signal
    for name, sizes, dirty in parity.cuttings(graph.hop, len(signal), rng):
        began = time.perf_counter()
        sizes = parity.shortened(sizes, len(signal))
        got, latency = parity.stream_audio(model, signal, sizes, dirty=dirty)
        taken = time.perf_counter() - began
        if taken > _PATIENCE:  # a costly network: the other cuttings take a part of the recording
            least = min(len(signal), 2 * latency + 4 * graph.hop + 2000)
            signal = signal[: max(least, int(len(signal) * _PATIENCE / taken))]
        if got[:latency].any():
            report.runs.append(Run(f"{name}: silence before the first sample", latency, float("inf"), False, 0))
        count = min(len(got) - latency, valid)
        if count > 0:
            run = parity.compare(name, got[latency : latency + count], expected[:count], peak, report.tolerance)
            report.runs.append(run)


def _check_levels(report: CheckReport, graph: Graph, model: Model, offline: _Offline, sides: int) -> None:
    """Let the network hear more and less than audio, where what is held against it is sound at ordinary levels."""
    if offline.again is None or not all(run.passed for run in report.runs):
        return
    signal, again, valid = parity.flushed(offline.signal), offline.again, offline.valid
    report.loud, notes = loud_runs(graph, model, signal, again, valid, report.tolerance, sides)
    report.notes += notes
    report.quiet, notes = quiet_runs(graph, model, signal, again, offline.outputs, valid, report.tolerance, sides)
    report.notes += notes


def _ask_float64(report: CheckReport, model: Model, against: Imported | Foreign) -> None:
    """Let the source in float64 decide on quiet sound, of which float32 may lose all digits to a bias."""
    from rtvoice.export.foreign import Foreign

    if isinstance(against, Foreign):
        return
    try:
        second = check(
            model, against, tolerance=report.tolerance, samples=_SECOND, oracle="onnx", locate=False, strict=True
        )
    except ModelError:
        return
    if second.passed and second.quiet:
        report.quiet = second.quiet
        report.notes.append("quiet sound was held against the source in float64: in float32 it loses its digits there")


def _allow_rounding(report: CheckReport, graph: Graph, offline: _Offline, sides: int) -> float:
    """Let the runs differ by three times what float32 alone does to a network, on one side or on both of them.

    Returns what is then allowed.
    """
    apart = rounding(graph, parity.flushed(offline.signal))
    allowed = min(sides * ROUNDING * apart, MOST_ROUNDING)
    if allowed <= report.tolerance:
        return report.tolerance
    for run in report.runs:
        if run.error <= allowed:
            run.passed, run.first = True, None
    report.notes.append(
        f"float32 alone takes this network {apart:.1e} of the peak from float64: {allowed:.1e} was allowed"
    )
    return allowed


def _check_values(report: CheckReport, graph: Graph, model: Model, offline: _Offline) -> None:
    outputs = [o for o in graph.outputs if o.kind == "value" and o.name in offline.outputs]
    if not outputs:
        return
    delays = delays_of(model)
    got = parity.stream_values(model, offline.signal, [o.name for o in outputs], graph.hop)
    for output in outputs:
        expected, streamed = offline.outputs[output.name], got[output.name]
        tensor = graph.values[output.tensor]
        frames = parity.newest_frames(len(streamed), tensor.frames, delays.get(output.tensor, 0))
        if len(expected) == 1 and len(streamed) > 1:
            # A final state: the newest frame of a recording of whole hops.
            if len(offline.signal) % graph.hop or delays.get(output.tensor, 0):
                report.notes.append(f"output '{output.name}' is a final state and was not compared")
                continue
            streamed, known = streamed[-1:], np.zeros(1, np.int64)
        else:
            inside = (frames >= 0) & (frames < min(len(expected), offline.valid[output.name]))
            streamed, known = streamed[inside], frames[inside]
        if len(known):
            peak = parity.peak_of(expected)
            name = f"value '{output.name}' after each hop"
            report.runs.append(parity.compare(name, streamed, expected[known], peak, report.tolerance))


_FOLLOWED = "followed to "


def _check_denormals(report: CheckReport, graph: Graph, model: Model, rng: np.random.Generator) -> None:
    """Let sound end in denormal numbers and begin again: what comes out must be what silence in their place gives."""
    if not any(output.kind == "audio" for output in graph.outputs):
        return
    size = max(2_000 // graph.hop, 4) * graph.hop + model.latency
    signal = (rng.normal(size=4 * size) * 0.3).astype(np.float32)
    silent = signal.copy()
    signal[size : 3 * size] *= np.float32(1e-39)
    silent[size : 3 * size] = 0.0
    got, _ = parity.stream_audio(model, signal, [size] * 4)
    expected, _ = parity.stream_audio(model, silent, [size] * 4)
    name = "denormal numbers, as silence, and sound again"
    report.runs.append(parity.compare(name, got, expected, parity.peak_of(expected), report.tolerance))


def _check_drift(
    report: CheckReport,
    graph: Graph,
    model: Model,
    minutes: float,
    rate: int,
    patience: float,
    rng: np.random.Generator,
) -> tuple[F32, Drift] | None:
    """Follow the stream for some minutes; return what it heard and what was found, where it parts."""
    size = graph.hop * -(-max(rate * _PERIOD, 2 * (model.latency + graph.hop)) // graph.hop)
    period = parity.flushed(parity.probe_signal(size, rng))
    seen = follow(graph, period, minutes, rate, report.tolerance, patience)
    report.runs += seen.runs
    report.notes += seen.notes
    return None if seen.bad is None else (period, seen)


def _layers_late(graph: Graph, period: F32, seen: Drift, tolerance: float) -> list[Layer]:
    """Compare every node with float64 over the window in which a long stream parts."""
    layers = []
    for start in range(0, len(graph.nodes), MOST_OUTPUTS):
        names = [node.name for node in graph.nodes[start : start + MOST_OUTPUTS]]
        runs = parts(graph, period, seen, names, tolerance)
        ops = {node.name: node.op for node in graph.nodes}
        layers += [Layer(name, ops[name], run.error, run.passed) for name, run in runs.items()]
    return layers
