"""What a shipped skin has to reach, per tier, on speakers that it was never trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rtvoice.evaluate.clips import LEAST_SPEAKERS

#: Loss of PLCMOS that its own raters' spread hides.
INAUDIBLE = 0.1


@dataclass(frozen=True)
class Gate:
    """A threshold per tier, error rates in percent; ``at_least`` says on which side of it a skin has to be."""

    measure: str
    at_least: bool
    default: float
    hq: float


GATES = (
    Gate("similarity_resemblyzer", True, 0.80, 0.84),
    Gate("similarity_dvector", True, 0.80, 0.84),
    Gate("nearer_target_resemblyzer", True, 95.0, 95.0),
    Gate("nearer_target_dvector", True, 95.0, 95.0),
    Gate("wer_delta", False, 8.0, 5.0),
    Gate("per", False, 25.0, 20.0),
    Gate("distillmos", True, 3.4, 3.8),
    Gate("f0_correlation", True, 0.85, 0.90),
    Gate("vuv_error", False, 12.0, 10.0),
    Gate("streaming_bit_equal", True, 1.0, 1.0),
    Gate("plcmos_loss", False, INAUDIBLE, INAUDIBLE),
)

#: Recogniser that a content teacher spoils as a judge -> the measure that it judges.
JUDGES = {"whisper": "wer_delta", "hama": "per"}


def judge(figures: Mapping[str, float | None], speakers: int, taught_by: str = "") -> dict[str, Any]:
    """Hold figures against the gates of both tiers.

    Parameters
    ----------
    figures
        By name of the measure; None where not measured, which passes nothing.
    speakers
        How many speakers they rest on.
    taught_by
        Names of the recognisers whose features trained the model: what they measure is reported, not judged by.

    Returns
    -------
    dict
        Per tier ``passed`` (None where a measure is missing and none failed), ``measures`` {name: {value, threshold,
        passed}}, and ``enough_speakers``.
    """
    spoiled = {measure for name, measure in JUDGES.items() if name in taught_by.lower()}
    if spoiled == set(JUDGES.values()):
        spoiled = set()  # both teach: neither is a clean judge, so both are kept
    tiers: dict[str, Any] = {}
    for tier in ("default", "hq"):
        rows = {}
        for gate in GATES:
            value = figures.get(gate.measure)
            threshold = gate.default if tier == "default" else gate.hq
            passed = None if value is None else (value >= threshold if gate.at_least else value <= threshold)
            rows[gate.measure] = {
                "value": value,
                "at_least" if gate.at_least else "at_most": threshold,
                "passed": passed,
                "judged": gate.measure not in spoiled,
            }
        verdicts = [row["passed"] for row in rows.values() if row["judged"]]
        passed = False if False in verdicts else None if None in verdicts else speakers >= LEAST_SPEAKERS
        tiers[tier] = {"passed": passed, "measures": rows}
    return {**tiers, "enough_speakers": speakers >= LEAST_SPEAKERS, "speakers": speakers}
