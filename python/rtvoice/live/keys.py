"""Single keys from a terminal, without waiting for them."""

from __future__ import annotations

import re
import sys
import time
from collections import deque
from types import TracebackType
from typing import Any

_ARROWS = {"A": "up", "B": "down", "C": "right", "D": "left"}
#: One key: an arrow (in either of a terminal's modes), another key's escape sequence whole, or a character.
_ONE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|O.)|.", re.DOTALL)


def split(text: str) -> list[str]:
    r"""Return the keys of what a terminal sent at once: an arrow is ``"up"``, ...; other sequences are none.

    >>> split("sb\x1b[A-")
    ['s', 'b', 'up', '-']
    """
    keys = []
    for key in _ONE.findall(text):
        if len(key) == 1:
            keys.append(key)
        elif key[:-1] in ("\x1b[", "\x1bO") and key[-1] in _ARROWS:
            keys.append(_ARROWS[key[-1]])
    return keys


class Keys:
    """The terminal's keys as they are pressed, as a context manager; none where standard input is no terminal."""

    def __init__(self) -> None:
        self._saved: list[Any] | None = None
        #: Keys that came together with one that was returned: pressed while a slow one was done.
        self._more: deque[str] = deque()

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
        if self._more:
            return self._more.popleft()
        import os
        import select

        if not select.select([sys.stdin], [], [], seconds)[0]:
            return None
        # Past Python's buffer: an arrow is three bytes at once, and none may stay behind.
        self._more.extend(split(os.read(sys.stdin.fileno(), 1024).decode(errors="ignore")))
        return self._more.popleft() if self._more else None


if sys.platform == "win32":

    def _windows(seconds: float) -> str | None:
        import msvcrt

        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if msvcrt.kbhit():
                return msvcrt.getwch()
            time.sleep(0.01)
        return None
