"""Ctrl-C and requests to end, kept from what must not be cut in the middle: devices that open and close."""

from __future__ import annotations

import math
import signal
import threading
import time
from types import FrameType, TracebackType
from typing import Any


class Interrupts:
    """Holds interrupts back from its start on, until :meth:`let_through`; a context manager of the main thread.

    Sound libraries that open a device do not bear an interrupted system call, nor do half-loaded modules bear an
    exception: while interrupts are held system calls begin anew after a signal, and :attr:`asked` tells afterwards
    whether one came. They are not blocked: the threads that a library starts would inherit that, and JACK's client then
    never came back from a dead server. Those that come within a second count as one: ``timeout`` sends two, impatient
    people more.
    """

    def __init__(self) -> None:
        #: Whether an interrupt came while they were held.
        self.asked = False
        self._held = True
        self._last = -math.inf
        self._kept: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            numbers = [n for n in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(n) not in (signal.SIG_IGN, None)]
            self._kept = {number: signal.signal(number, self._take) for number in numbers}
            self.hold()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._kept.items():
            signal.signal(number, handler)

    def hold(self) -> None:
        """Keep interrupts back."""
        self._held = True
        self._restart(True)

    def let_through(self) -> None:
        """Let interrupts be ``KeyboardInterrupt`` again; one that came before only sets :attr:`asked`."""
        self._restart(False)
        self._held = False

    def _restart(self, on: bool) -> None:
        if hasattr(signal, "siginterrupt"):
            for number in self._kept:
                signal.siginterrupt(number, not on)

    def _take(self, number: int, frame: FrameType | None) -> None:
        before, self._last = self._last, time.monotonic()
        if self._held:
            self.asked = True
        elif self._last - before > 1.0:
            raise KeyboardInterrupt
