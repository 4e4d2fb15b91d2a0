"""The log of a training: `log.jsonl` always, TensorBoard where it is installed."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

__all__ = ["Board", "finite", "read_log"]


class Board:
    """Writes the log of one training.

    Parameters
    ----------
    folder : Path
        Gets `log.jsonl`, and TensorBoard's files under `board`.
    say : callable
        Told in one line if TensorBoard is not there.
    step, size : int
        Where a resumed training goes on: the step, and the bytes of `log.jsonl` at its checkpoint. What a killed run
        wrote after that is taken away, since it is written again.
    """

    def __init__(self, folder: Path, say: Callable[[str], None], step: int = 0, size: int = 0) -> None:
        self.path = folder / "log.jsonl"
        with self.path.open("ab") as file:
            file.truncate(min(size, file.tell()))
        self._writer: Any = None
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            say("tensorboard is not installed; the log is in log.jsonl only (remedy: pip install tensorboard)")
        else:
            self._writer = SummaryWriter(str(folder / "board"), purge_step=step or None)

    def write(self, line: Mapping[str, Any]) -> None:
        """Write one line: plain values, and tables of figures within it."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(finite(dict(line)), allow_nan=False) + "\n")
        if self._writer is not None:
            for name, value in _flat(line):
                if name != "step":
                    self._writer.add_scalar(name, value, line["step"])

    @property
    def size(self) -> int:
        """Bytes of `log.jsonl`."""
        return self.path.stat().st_size if self.path.exists() else 0

    def close(self) -> None:
        """Write out what is held back."""
        if self._writer is not None:
            self._writer.close()


def read_log(folder: Path) -> list[dict[str, Any]]:
    """Return the lines of a training's log; a last line that a kill cut short is left out."""
    path = folder / "log.jsonl"
    if not path.is_file():
        return []
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            lines.append(json.loads(text))
        except json.JSONDecodeError:
            continue
    return lines


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, float]]:
    found: list[tuple[str, float]] = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            found += _flat(value, f"{prefix}{name}/")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found.append((prefix + name, float(value)))
    return found


def finite(value: Any) -> Any:
    """Return plain values with null for infinity and NaN, which JSON has no word for."""
    if isinstance(value, dict):
        return {key: finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
