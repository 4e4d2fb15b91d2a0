"""The gate of an import: what does not stream what the source computes is refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from rtvoice.divergence import CHANGING
from rtvoice.drift import ROUNDING
from rtvoice.errors import ModelError

from .importer import Imported
from .refusals import NO_LENGTH

_SECOND = 2_000  # samples: the reference implementation is slow
_ALL = "depends on all of the recording"
_STEEPEST = 1e-3  # beyond, float32 says nothing about a network

if TYPE_CHECKING:
    from rtvoice.check import CheckReport
    from rtvoice.model import Model
    from rtvoice.parity import F32, F64

    from .report import ImportReport


def verified(imported: Imported, *, verify: bool) -> Model:
    """Return the model of an import after the parity check, whose result goes into the report.

    Parameters
    ----------
    imported
        The import.
    verify
        Whether to check.

    Raises
    ------
    ModelError
        The stream differs from the source's offline output.
    """
    from rtvoice.check import check

    model = imported.builder.model()
    report = imported.report
    report.latency = model.latency
    _looks_around(report)
    report.notes += _late(model)
    if not verify:
        report.notes.append("the parity check was left out")
        return _with_cost(imported, model)
    try:
        result = check(model, imported, locate=False, strict=True)
    except ModelError as error:
        if "needs onnxruntime" not in str(error):
            raise ModelError(f"{report.source}: {error}") from None
        report.notes.append("the source was not run, so only the stream was checked: onnxruntime is not installed")
        result = check(model)
    if not result.passed and not result.fault:
        result = _second_opinion(imported, result)
    if not result.passed and result.against != "its float64 reference":
        result = check(model, imported, strict=True)  # once more, to locate the difference
    report.notes += [
        note for note in result.notes if any(word in note for word in ("float32", "whole factor", "past its mask"))
    ]
    report.parity = {**result.to_json(), "text": f"{result.verdict()} against {result.against}"}
    if not result.passed:
        raise ModelError(f"{report.source}: {_complaint(result)}")
    return _with_cost(imported, model)


def _looks_around(report: ImportReport) -> None:
    """Refuse a graph of a frozen length whose output looks ahead by most of it: `torch.roll` came in as a shift by -3.

    There a cut at `length - 3` is a number as any other, and only three samples were left to compare.
    """
    length, late = report.static_length, report.latency
    if length is not None and late is not None and 2 * late > length:
        raise ModelError(
            f"{report.source}: was exported for {length} samples, and its output would be {late} of them late; so few "
            "are left to compare that what wraps around the recording (torch.roll) looks like lookahead: export it "
            f"with a dynamic time axis, or from a longer example ({4 * late} samples or more)"
        )


def _late(model: Model) -> list[str]:
    """Tell which values come later than their newest input, where no audio output tells the latency."""
    outputs = model.metadata["graph"]["outputs"]
    if any(output["kind"] == "audio" for output in outputs):
        return []
    layers = {str(layer["name"]): layer for layer in model.info["layers"]}
    late = {o["name"]: int(layers[o["tensor"]]["delay"]) for o in outputs if o["tensor"] in layers}
    return [
        f"value '{name}' is {frames} frames late: the network looks ahead" for name, frames in late.items() if frames
    ]


def _second_opinion(imported: Imported, first: CheckReport) -> CheckReport:
    """Ask the reference implementation in float64: onnxruntime's float32 is not always within the tolerance itself.

    Its Resize, for one, computes positions in float32, so that its error grows with the length of the recording. And a
    network can be so steep (large activations into a tanh) that float32 is not good for 1e-5 at all; then the stream
    may be as far from float64 as onnxruntime is, within a factor of 3, and the report says so.
    """
    from rtvoice.check import check

    model = imported.builder.model()
    try:
        second = check(model, imported, samples=_SECOND, oracle="onnx", locate=False, strict=True)
        rounding = _rounding(imported)
        if not (second.passed or second.fault) and second.error <= 3.0 * rounding < _STEEPEST:
            second = check(model, imported, samples=_SECOND, oracle="onnx", tolerance=3.0 * rounding, strict=True)
            second.notes.append(f"{second.tolerance:.1e} was allowed: the source's own float32 is {rounding:.1e} off")
    except Exception:  # whatever the reference implementation raises: the first opinion stands
        return first
    if not second.passed:
        return first
    second.notes.append(f"onnxruntime's float32 output is {rounding:.1e} of the peak away from float64")
    return second


def _rounding(imported: Imported) -> float:
    """Return how far the source's float32 output is from its float64 output, relative to the peak."""
    from rtvoice.parity import probe_signal

    from .oracle import Oracle

    hop = imported.report.hop
    count = imported.reading.length or -(-_SECOND // hop) * hop
    signal = probe_signal(count, np.random.default_rng(0))
    single, double = (Oracle(imported, runner).run(signal) for runner in ("onnxruntime", "onnx"))
    errors = [
        float(np.abs(single[name] - double[name]).max()) / max(float(np.abs(double[name]).max()), 1e-30)
        for name in double
    ]
    return float(np.max(errors))  # a NaN stays one, and is within no tolerance


def _complaint(result: CheckReport) -> str:
    if result.fault:
        return f"{result.advice()}. Nothing was written"
    failed = [run for run in (*result.runs, *result.levels) if not run.passed]
    worst = max(failed, key=lambda run: run.error) if failed else None
    what = "nothing could be compared" if worst is None else f"{worst.name}: error {worst.error:.1e} of the peak"
    notes = "".join(f"; {note}" for note in result.notes)
    if any(_ALL in note for note in result.notes):
        changing = (layer for layer in result.layers if CHANGING in layer.op)
        named = [f"{layer.op.removesuffix(CHANGING)} '{layer.name}'" for layer in changing]
        who = named[0] if named else next(note.split(" of the source")[0] for note in result.notes if _ALL in note)
        return (
            f"{who}: what it gives does not begin as what it gives for a shorter recording, so it depends on all of "
            f"it or on its length; {NO_LENGTH}; reduce over channels, or over a fixed window. Nothing was written"
        )
    apart = result.rounding
    if worst is not None and worst in result.runs and worst.error <= 2 * ROUNDING * apart:
        where = f" at '{result.culprit}'" if result.culprit else ""
        return (
            f"float32 alone takes this network {apart:.1e} of the peak from float64{where}, in any framework: {what}, "
            f"and {result.tolerance:g} is allowed. Keep away from where it is without end, as in a / max(b, eps), "
            "1 / max(x, eps) or tan(clip(x, -1.5, 1.5)). Nothing was written"
        )
    return (
        f"the stream differs from what the source computes ({what}; allowed {result.tolerance:g}); "
        f"{result.advice()}{notes}. Nothing was written; please report the model"
    )


def _with_cost(imported: Imported, model: Model) -> Model:
    """Tell in the report and in the model what the rounding of weights cost; `model` itself where nothing was."""
    if imported.original is imported.source:
        return model
    cost = _cost(imported)
    auto = imported.options["weights"] == "auto"
    matrices = [
        array
        for node in imported.builder.graph().nodes
        for array in node.weights.values()
        if isinstance(array, np.ndarray) and array.ndim > 1
    ]
    halves = f"{sum(array.dtype == np.float16 for array in matrices)} of {len(matrices)}"
    kept = [
        node.name
        for node in imported.builder.graph().nodes
        if any(
            isinstance(array, np.ndarray) and array.ndim > 1 and array.dtype != np.float16
            for array in node.weights.values()
        )
    ]
    notes = imported.report.notes
    if cost is not None:
        what = f"{halves} matrices" if auto else "matrices"
        notes.append(f"{what} rounded to float16 before the check: {cost:.1f} dB SNR against the unrounded source")
    if kept and not auto:
        notes.append(f"float16 does not hold all numbers of {', '.join(kept)}: kept in float32")
    if cost is not None:
        metadata = imported.builder.metadata
        metadata["provenance"] = {**metadata["provenance"], "weights_snr_db": round(cost, 1)}
        if auto:
            metadata["provenance"]["matrices_in_fp16"] = halves
    return imported.builder.model()


def _cost(imported: Imported) -> float | None:
    """Return the ratio of the unrounded source's output to what rounding changes of it, in dB; None for silence."""
    from rtvoice.parity import probe_signal

    rng = np.random.default_rng(1)
    graph = imported.builder.graph()
    hop = imported.report.hop
    signal = probe_signal(imported.reading.length or -(-16_000 // hop) * hop, rng)
    values = {p.name: np.clip(rng.normal(size=len(p.default)), p.min, p.max) for p in graph.parameters}
    exact, changed = (_outputs(one, signal, values) for one in (imported.exact(), imported))
    noise, power = float(np.square(exact - changed).sum()), float(np.square(exact).sum())
    if not (0.0 < power < np.inf and noise < np.inf):
        return None
    return 200.0 if noise == 0 else min(200.0, 10.0 * float(np.log10(power / noise)))


def _outputs(imported: Imported, signal: F32, values: Mapping[str, F64]) -> F64:
    """Return all outputs of a source in one row; by our own float64 reference where onnxruntime is not installed."""
    from rtvoice.parity import rebuilt
    from rtvoice.reference import evaluate

    from .oracle import Oracle

    try:
        found = Oracle(imported).run(signal, values)
    except ModelError:
        graph = rebuilt(imported.builder.graph(), defaults=values).graph()
        tensors = evaluate(graph, signal)
        found = {output.name: tensors[output.tensor] for output in graph.outputs}
    return np.concatenate([array.ravel() for array in found.values()])
