"""Models of formats that bring no runtime of their own: the import, its report, and the gate that it must pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rtvoice.errors import ModelError
from rtvoice.export.report_lines import closing, counted
from rtvoice.graph import GraphBuilder

if TYPE_CHECKING:
    from rtvoice.model import Model

F64 = NDArray[np.float64]
Offline = Callable[[F64, Mapping[str, F64]], F64]

_FITS_L1 = 32 * 1024  # bytes: what a first-level cache holds needs no rounding


@dataclass
class ForeignReport:
    """What was read and written.

    Attributes
    ----------
    source
        Name of the file.
    sha256
        Of its bytes.
    producer
        Format, version and architecture.
    layers
        The layers of the source, one line each.
    nodes
        Nodes of the model file.
    ops
        How often each op of the model file occurs.
    hop
        Streaming quantum in samples.
    latency
        Samples from an input to its output inside the network; None before the plan has told.
    start
        What the first sample follows.
    parameters
        Names of the inputs that a host sets.
    outputs
        Kind by name.
    notes
        What a reader should know.
    parity
        The parity check, where it ran.
    fused
        Nothing: layers are fused by the plan alone.
    """

    source: str
    sha256: str
    producer: str
    layers: list[str] = field(default_factory=list)
    nodes: int = 0
    ops: dict[str, int] = field(default_factory=dict)
    hop: int = 1
    latency: int | None = None
    start: str = "zero"
    parameters: list[str] = field(default_factory=list)
    outputs: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    parity: dict[str, Any] | None = None
    fused: dict[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain values."""
        return asdict(self)

    def text(self) -> str:
        """Return the report in lines for a terminal."""
        rows = [f"{self.source}  {self.producer}"]
        rows += [f"layer     {line}" for line in self.layers]
        rows.append(f"nodes     {self.nodes}: {counted(self.ops)}")
        latency = "not known yet" if self.latency is None else f"{self.latency} samples"
        rows.append(f"hop       {self.hop} samples, latency {latency}, start {self.start}")
        return "\n".join(rows + closing(self.parameters, self.outputs, self.notes, self.parity))


@dataclass
class Foreign:
    """A model brought in, before the parity check.

    Attributes
    ----------
    builder
        The graph, in the model file's ops.
    report
        What was done.
    offline
        What the source computes for a signal and values of the parameters, in float64, straight from its own format.
    exact
        The same with the source's own weights, where some were rounded.
    """

    builder: GraphBuilder
    report: ForeignReport
    offline: Offline
    exact: Offline | None = None

    def oracle(self, runner: str = "float64") -> ForeignOracle:
        """Return what runs the source; there is one way."""
        return ForeignOracle(self)


class ForeignOracle:
    """Runs the source offline."""

    name = "the format's definition in float64"
    length: int | None = None

    def __init__(self, imported: Foreign) -> None:
        self._offline = imported.offline
        graph = imported.builder.graph()
        self._output = graph.outputs[0].name
        self._sizes = {p.name: (len(p.default), p.default) for p in graph.parameters}

    def run(self, signal: ArrayLike, parameters: Mapping[str, ArrayLike] | None = None) -> dict[str, F64]:
        """Return the output by its name as ``(frames, channels)``."""
        given = parameters or {}
        values = {
            name: np.broadcast_to(np.asarray(given.get(name, default), np.float64).ravel(), (size,))
            for name, (size, default) in self._sizes.items()
        }
        with np.errstate(all="ignore"):
            return {self._output: self._offline(np.asarray(signal, np.float64).ravel(), values)}


def finished(imported: Foreign) -> None:
    """Store rounded matrices in 16 bits, and fill in what the graph tells."""
    graph, report = imported.builder.graph(), imported.report
    for node in graph.nodes if imported.exact is not None else ():
        for role, weight in node.weights.items():
            if isinstance(weight, np.ndarray) and weight.ndim > 1:
                half = weight.astype(np.float16)
                if np.array_equal(half.astype(np.float32), weight):
                    node.weights[role] = half
    report.nodes = len(graph.nodes)
    for node in graph.nodes:
        report.ops[node.op] = report.ops.get(node.op, 0) + 1
    report.hop = graph.hop
    report.start = str(graph.metadata.get("start", "zero"))
    if "prewarm" in graph.metadata:
        report.start += f" by {graph.metadata['prewarm']} samples"
    report.parameters = [parameter.name for parameter in graph.parameters]
    report.outputs = {output.name: output.kind for output in graph.outputs}


def rounds(weights: str, count: int) -> bool:
    """Tell whether matrices of so many numbers become 16 bits wide, by the option `weights`."""
    if weights not in ("source", "fp16", "auto"):
        raise ValueError(f"weights is {weights!r}; it must be 'source', 'fp16' or 'auto'")
    return weights == "fp16" or (weights == "auto" and 4 * count > _FITS_L1)


def rounded(values: NDArray[np.float32], place: str) -> NDArray[np.float32]:
    """Return numbers that float16 holds; refuse those beyond its range."""
    with np.errstate(over="ignore"):
        half = values.astype(np.float16)
    if not np.isfinite(half).all():
        raise ModelError(f"{place}: has a weight beyond the range of float16; import it without weights='fp16'")
    return half.astype(np.float32)


def verified(imported: Foreign, *, verify: bool) -> Model:
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
        The stream differs from what the source computes.
    """
    from rtvoice.check import check

    try:
        model = imported.builder.model()
    except ModelError as error:
        raise ModelError(f"{imported.report.source}: {error}") from None
    report = imported.report
    report.latency = model.latency
    if not verify:
        report.notes.append("the parity check was left out")
    else:
        result = check(model, imported, strict=True)
        report.parity = {**result.to_json(), "text": f"{result.verdict()} against {result.against}"}
        if not result.passed:
            failed = [run for run in (*result.runs, *result.levels) if not run.passed]
            worst = max(failed, key=lambda run: run.error) if failed else None
            what = (
                "nothing could be compared" if worst is None else f"{worst.name}: error {worst.error:.1e} of the peak"
            )
            raise ModelError(
                f"{report.source}: the stream differs from what the source computes ({what}; allowed "
                f"{result.tolerance:g}); {result.advice()}. Nothing was written"
            )
    if imported.exact is None:
        return model
    cost = _cost(imported)
    if cost is not None:
        report.notes.append(f"matrices rounded to float16 before the check: {cost:.1f} dB SNR against the source")
        metadata = imported.builder.metadata
        metadata["provenance"] = {**metadata["provenance"], "weights_snr_db": round(cost, 1)}
    return imported.builder.model()


def _cost(imported: Foreign) -> float | None:
    """Return the ratio of the source's output to what rounding its weights changes of it, in dB; None for silence."""
    from rtvoice.parity import probe_signal

    signal = np.asarray(probe_signal(8_000, np.random.default_rng(1)), np.float64)
    values = {p.name: np.asarray(p.default, np.float64) for p in imported.builder.graph().parameters}
    assert imported.exact is not None
    exact, changed = imported.exact(signal, values), imported.offline(signal, values)
    noise, power = float(np.square(exact - changed).sum()), float(np.square(exact).sum())
    if not (0.0 < power < np.inf and noise < np.inf):
        return None
    return 200.0 if noise == 0 else min(200.0, 10.0 * float(np.log10(power / noise)))
