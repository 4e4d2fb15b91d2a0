"""Lines that the reports of all imports share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def counted(counts: Mapping[str, int]) -> str:
    """Return names with how many there are of each, the most first."""
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items(), key=lambda item: -item[1])) or "none"


def closing(
    parameters: Sequence[str], outputs: Mapping[str, str], notes: Sequence[str], parity: Mapping[str, Any] | None
) -> list[str]:
    """Return the lines that a report ends with: what can be set, what comes out, notes, parity."""
    rows = [f"settable  {', '.join(parameters)}"] if parameters else []
    rows.append("outputs   " + ", ".join(f"{name} ({kind})" for name, kind in outputs.items()))
    rows.extend(f"note      {note}" for note in notes)
    if parity is not None:
        rows.append(f"parity    {parity['text']}")
    return rows
