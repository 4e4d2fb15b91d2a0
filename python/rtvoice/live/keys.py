"""Single keys from a terminal, without waiting for them."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any


class Keys:
    """The terminal's keys as they are pressed, as a context manager; none where standard input is no terminal."""

    def __init__(self) -> None:
        self._saved: list[Any] | None = None

    def __enter__(self) -> Keys:
        if sys.platform != "win32" and sys.stdin is not None and sys.stdin.isatty():
            import termios
            import tty

            self._saved = termios.tcgetattr(sys.stdin)
            tty.setcbreak(sys.stdin)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._saved is not None:
            import termios

            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._saved)

    def wait(self, seconds: float) -> str | None:
        """Return the next key within ``seconds`` (an arrow is ``"up"``, ``"down"``, ...), or ``None``."""
        if sys.platform == "win32":
            return _windows(seconds)
        if self._saved is None:
            time.sleep(seconds)
            return None
        import os
        import select

        if not select.select([sys.stdin], [], [], seconds)[0]:
            return None
        # Past Python's buffer: an arrow is three bytes at once, and none may stay behind.
        data = os.read(sys.stdin.fileno(), 8).decode(errors="ignore")
        arrows = {"\x1b[A": "up", "\x1b[B": "down", "\x1b[C": "right", "\x1b[D": "left"}
        return arrows.get(data, data[:1] or None)


if sys.platform == "win32":

    def _windows(seconds: float) -> str | None:
        import msvcrt

        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if msvcrt.kbhit():
                return msvcrt.getwch()
            time.sleep(0.01)
        return None
