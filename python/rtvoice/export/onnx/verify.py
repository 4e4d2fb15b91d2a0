"""The gate of an import: what does not stream what the source computes is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rtvoice.errors import ModelError

from .importer import Imported

_SECOND = 2_000  # samples: the reference implementation is slow
_STEEPEST = 1e-3  # beyond, float32 says nothing about a network

if TYPE_CHECKING:
    from rtvoice.check import CheckReport
    from rtvoice.model import Model


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
    if not verify:
        report.notes.append("the parity check was left out")
        return model
    exact = imported.exact()
    try:
        result = check(exact.builder.model(), exact, locate=False)
    except ModelError as error:
        if "pip install onnxruntime" not in str(error):
            raise ModelError(f"{report.source}: {error}") from None
        report.notes.append("the source was not run, so only the stream was checked: onnxruntime is not installed")
        result = check(model)
    if not result.passed and not result.fault:
        result = _second_opinion(exact, result)
    if not result.passed and result.against != "its float64 reference":
        result = check(exact.builder.model(), exact)  # once more, to locate the difference
    report.notes += [note for note in result.notes if "float32" in note]
    report.parity = {**result.to_json(), "text": f"{result.verdict()} against {result.against}"}
    if not result.passed:
        raise ModelError(f"{report.source}: {_complaint(result)}")
    if exact is not imported:
        model = _rounded(imported, model)
    return model


def _second_opinion(exact: Imported, first: CheckReport) -> CheckReport:
    """Ask the reference implementation in float64: onnxruntime's float32 is not always within the tolerance itself.

    Its Resize, for one, computes positions in float32, so that its error grows with the length of the recording. And a
    network can be so steep (large activations into a tanh) that float32 is not good for 1e-5 at all; then the stream
    may be as far from float64 as onnxruntime is, within a factor of 3, and the report says so.
    """
    from rtvoice.check import check

    model = exact.builder.model()
    try:
        second = check(model, exact, samples=_SECOND, oracle="onnx", locate=False)
        rounding = _rounding(exact)
        if not (second.passed or second.fault) and second.error <= 3.0 * rounding < _STEEPEST:
            second = check(model, exact, samples=_SECOND, oracle="onnx", tolerance=3.0 * rounding)
            second.notes.append(f"{second.tolerance:.1e} was allowed: the source's own float32 is {rounding:.1e} off")
    except Exception:  # whatever the reference implementation raises: the first opinion stands
        return first
    if not second.passed:
        return first
    second.notes.append(f"onnxruntime's float32 output is {rounding:.1e} of the peak away from float64")
    return second


def _rounding(exact: Imported) -> float:
    """Return how far the source's float32 output is from its float64 output, relative to the peak."""
    from rtvoice.parity import probe_signal

    from .oracle import Oracle

    hop = exact.report.hop
    count = exact.reading.length or -(-_SECOND // hop) * hop
    signal = probe_signal(count, np.random.default_rng(0))
    single, double = (Oracle(exact, runner).run(signal) for runner in ("onnxruntime", "onnx"))
    return max(
        float(np.abs(single[name] - double[name]).max()) / max(float(np.abs(double[name]).max()), 1e-30)
        for name in double
    )


def _complaint(result: CheckReport) -> str:
    if result.fault:
        return f"{result.advice()}. Nothing was written"
    worst = max(result.runs, key=lambda run: run.error) if result.runs else None
    what = "nothing could be compared" if worst is None else f"{worst.name}: error {worst.error:.1e} of the peak"
    notes = "".join(f"; {note}" for note in result.notes)
    return (
        f"the stream differs from what the source computes ({what}; allowed {result.tolerance:g}); "
        f"{result.advice()}{notes}. Nothing was written; please report the model"
    )


def _rounded(imported: Imported, model: Model) -> Model:
    """Check a model of rounded weights as a stream, and tell what the rounding cost."""
    from rtvoice.check import check

    own = check(model)
    if not own.passed:
        raise ModelError(f"{imported.report.source}: {_complaint(own)}")
    cost = _cost(imported)
    imported.report.notes.append(f"weights rounded to float16: output {cost:.1f} dB above the difference it makes")
    metadata = imported.builder.metadata
    metadata["provenance"] = {**metadata["provenance"], "weights": "fp16", "weights_snr_db": round(cost, 1)}
    return imported.builder.model()


def _cost(imported: Imported) -> float:
    """Return the ratio of the exact output to what rounding changes, in dB."""
    from rtvoice.parity import probe_signal
    from rtvoice.reference import evaluate

    signal = probe_signal(16_000, np.random.default_rng(1))
    graphs = [imported.exact().builder.graph(), imported.builder.graph()]
    runs = []
    for graph in graphs:
        tensors = evaluate(graph, signal)
        runs.append(np.concatenate([tensors[output.tensor].ravel() for output in graph.outputs]))
    noise = float(np.square(runs[0] - runs[1]).sum())
    power = float(np.square(runs[0]).sum())
    return 200.0 if noise == 0 or power == 0 else min(200.0, 10.0 * float(np.log10(power / noise)))
