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
    exception: while interrupts are held the signals stay with the kernel where it can keep them, and :attr:`asked`
    tells afterwards whether one came. Those that come within a second count as one: ``timeout`` sends two, impatient
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
        self._block(False)
        for number, handler in self._kept.items():
            signal.signal(number, handler)

    def hold(self) -> None:
        """Keep interrupts back."""
        self._held = True
        self._block(True)

    def let_through(self) -> None:
        """Let interrupts be ``KeyboardInterrupt`` again; one that came before only sets :attr:`asked`."""
        self._block(False)  # what the kernel has kept comes here, and is only noted
        self._held = False

    def _block(self, on: bool) -> None:
        if self._kept and hasattr(signal, "pthread_sigmask"):
            signal.pthread_sigmask(signal.SIG_BLOCK if on else signal.SIG_UNBLOCK, self._kept)

    def _take(self, number: int, frame: FrameType | None) -> None:
        before, self._last = self._last, time.monotonic()
        if self._held:
            self.asked = True
        elif self._last - before > 1.0:
            raise KeyboardInterrupt
