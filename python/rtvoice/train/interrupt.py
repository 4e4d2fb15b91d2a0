"""Ctrl-C, a request to end and a hang-up, taken between two steps instead of within one."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

__all__ = ["Halted", "Interrupted", "Stop"]


class Interrupted(KeyboardInterrupt):
    """The work was ended from outside, after a checkpoint; the message says where it is and how to go on."""


class Halted(RuntimeError):
    """A training was stopped by the monitor or by its own rules, after a checkpoint; the message says why."""


class Stop:
    """A context in which signals to end only set `asked`; a second Ctrl-C ends at once.

    Signals that the shell has told this process to ignore stay ignored.
    """

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Stop:
        if threading.current_thread() is threading.main_thread():
            for name in ("SIGINT", "SIGTERM", "SIGHUP"):
                number = getattr(signal, name, None)
                if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.asked = True
