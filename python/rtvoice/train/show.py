"""What a training shows while it runs: a bar on a terminal, a line now and then elsewhere, with the time left."""

from __future__ import annotations

import sys
import time
from typing import Any

from rtvoice.train.schedule import spoken

__all__ = ["Show"]

_BETWEEN = 30.0  # seconds between two lines where nobody looks


class Show:
    """Progress of one stage, on standard error.

    Parameters
    ----------
    name : str
        Of the stage.
    quiet : bool
        Show nothing: for all processes but the first.
    """

    def __init__(self, name: str, quiet: bool = False) -> None:
        self.name, self.quiet = name, quiet
        self._began = time.monotonic()
        self._last = self._began
        self._first_part: float | None = None
        self._bar: Any = None
        self._task: Any = None
        if not quiet and sys.stderr.isatty():
            try:
                from rich.console import Console
                from rich.progress import BarColumn, Progress, TextColumn
            except ImportError:
                return
            columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
            self._bar = Progress(*columns, TextColumn("{task.fields[told]}"), console=Console(stderr=True))
            self._task = self._bar.add_task(name, total=1.0, told="")
            self._bar.start()

    def say(self, line: str) -> None:
        """Show a line of its own."""
        if self.quiet:
            return
        if self._bar is not None:
            self._bar.console.print(f"{self.name}: {line}", markup=False, highlight=False)
        else:
            print(f"{self.name}: {line}", file=sys.stderr, flush=True)

    def update(self, part: float, told: str = "", left: float | None = None) -> None:
        """Show the part done (0 to 1) and the time left, reckoned from the speed so far where not given."""
        if self.quiet:
            return
        now = time.monotonic()
        if self._first_part is None:
            self._first_part, self._began = part, now
        if left is None and part > self._first_part and now - self._began > 1:
            left = (now - self._began) * (1 - part) / (part - self._first_part)
        words = ", ".join(word for word in (told, f"{spoken(left)} left" if left is not None else "") if word)
        if self._bar is not None:
            self._bar.update(self._task, completed=part, told=words)
        elif now - self._last >= _BETWEEN:
            self._last = now
            print(f"{self.name}: {100 * part:.0f} %" + (f", {words}" if words else ""), file=sys.stderr, flush=True)

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
