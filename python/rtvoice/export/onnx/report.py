"""What an import did, for people and as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class ImportReport:
    """What was read, fused and written.

    Attributes
    ----------
    source
        Name of the file.
    sha256
        Of its bytes.
    producer, opset
        As the file says.
    onnx_nodes
        Nodes of the ONNX graph.
    folded
        Of them, how many were constant and were computed ahead.
    nodes
        Nodes of the model file.
    fused
        How often each rewriting was used.
    ops
        How often each op of the model file occurs.
    hop
        Streaming quantum in samples.
    latency
        Samples from an input to its output inside the network; None before the plan has told.
    parameters
        Names of the inputs that a host sets.
    outputs
        Kind by name.
    static_length
        Length that the time axis was exported for; None where it is free.
    notes
        What a reader should know.
    parity
        The parity check, where it ran.
    """

    source: str
    sha256: str
    producer: str
    opset: int
    onnx_nodes: int = 0
    folded: int = 0
    nodes: int = 0
    fused: dict[str, int] = field(default_factory=dict)
    ops: dict[str, int] = field(default_factory=dict)
    hop: int = 1
    latency: int | None = None
    parameters: list[str] = field(default_factory=list)
    outputs: dict[str, str] = field(default_factory=dict)
    static_length: int | None = None
    notes: list[str] = field(default_factory=list)
    parity: dict[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain values."""
        return asdict(self)

    def text(self) -> str:
        """Return the report in lines for a terminal."""
        rows = [
            f"{self.source}  opset {self.opset}, {self.producer}",
            f"nodes     {self.onnx_nodes} -> {self.nodes} ({self.folded} constant)",
            f"ops       {_counts(self.ops)}",
        ]
        if self.fused:
            rows.append(f"fused     {_counts(self.fused)}")
        latency = "not known yet" if self.latency is None else f"{self.latency} samples"
        rows.append(f"hop       {self.hop} samples, latency {latency}")
        if self.parameters:
            rows.append(f"settable  {', '.join(self.parameters)}")
        rows.append("outputs   " + ", ".join(f"{name} ({kind})" for name, kind in self.outputs.items()))
        rows.extend(f"note      {note}" for note in self.notes)
        if self.parity is not None:
            rows.append(f"parity    {self.parity['text']}")
        return "\n".join(rows)


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items(), key=lambda item: -item[1])) or "none"
