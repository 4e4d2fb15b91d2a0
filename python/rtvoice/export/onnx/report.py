"""What an import did, for people and as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from rtvoice.export.report_lines import closing, counted


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
            f"ops       {counted(self.ops)}",
        ]
        if self.fused:
            rows.append(f"fused     {counted(self.fused)}")
        latency = "not known yet" if self.latency is None else f"{self.latency} samples"
        rows.append(f"hop       {self.hop} samples, latency {latency}")
        return "\n".join(rows + closing(self.parameters, self.outputs, self.notes, self.parity))
