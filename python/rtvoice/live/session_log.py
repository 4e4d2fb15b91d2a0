"""A live session's real-time log: on and off, what is told in it besides the sound, and how it is doing."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from rtvoice.engine import Engine
from rtvoice.live import LiveError
from rtvoice.live.settings import LogOptions
from rtvoice.log.reader import files_of
from rtvoice.recording import EngineLog


def oldest_of(first: Path) -> Path:
    """Return the oldest file that is there of the log that began with ``first``."""
    return next(iter(files_of(first)), first)


class SessionLog:
    """The log of whichever engine is heard.

    Parameters
    ----------
    options
        What logs hold, where one is turned on.
    tell
        Is given a kind, a text, and whether it is a warning.
    """

    def __init__(self, options: LogOptions, tell: Callable[[str, str, bool], None]) -> None:
        self.options = options
        self._tell = tell
        self._log: EngineLog | None = None
        self._failing = False
        self._xruns = 0
        #: The first file of the log that is written, or ``None``. Rotation may have deleted it: see :meth:`file`.
        self.path: Path | None = None

    def __bool__(self) -> bool:
        return self._log is not None

    def on(self, engine: Engine, folder: Path, xruns: int) -> Path:
        """Begin one in a folder, which is made where it is not there; return its first file.

        Raises
        ------
        LiveError
            The folder or file cannot be written.
        """
        if self._log is not None and self.path is not None:
            return self.path
        path = folder / f"live-{datetime.now():%Y%m%d-%H%M%S-%f}.rtlog"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._log = engine.log(path, **asdict(self.options))
        except FileExistsError:
            raise LiveError(f"--log {folder} is no folder; name one, logs get names of their own in it") from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None)
            raise LiveError(f"{folder} cannot be written: {reason.lower()}" if reason else str(error)) from None
        self.path, self._failing, self._xruns = path, False, xruns
        what = "timing and events, no audio," if self.options.redact else "input and output"
        self._tell("log", f"logging {what} to {path}", False)
        return path

    def off(self, rate: int) -> None:
        """End it, if there is one."""
        if self._log is None:
            return
        log, self._log = self._log, None
        with warnings.catch_warnings():  # what was lost is said here
            warnings.simplefilter("ignore", RuntimeWarning)
            status = log.stop()
        lost = f", {1000 * status.frames_lost / rate:.0f} ms lost in {status.gaps} gaps" if status.gaps else ""
        self._tell("log", f"log ended: {self.file()}{lost}", False)
        self.path = None

    def file(self) -> Path | None:
        """Return the oldest of its files that is there: rotation deletes what ``keep_files`` does not keep."""
        return None if self.path is None else oldest_of(self.path)

    def hand_over(self, engine: Engine) -> None:
        """Follow it to the engine that has taken another's place, and its log."""
        if self._log is not None:
            self._log.carry_over(engine._core)

    def note(self, text: str) -> None:
        """Write a line at about the current position."""
        if self._log is not None:
            self._log.note(text)

    def note_switch(self, name: str, on: bool) -> None:
        """Tell a switch in words: what lies around the engine is not in the log's audio."""
        self.note(f"{name} {'on' if on else 'off'}")

    def watch(self, xruns: int) -> None:
        """Let the log tell where the sound broke, and people when the log does not get to the disk."""
        if self._log is None:
            return
        if xruns != self._xruns:
            self._log.note(f"xrun: {xruns - self._xruns} more")
            self._xruns = xruns
        status = self._log.status()
        if bool(status.failing) != self._failing:
            self._failing = bool(status.failing)
            text = f"the log fails: {status.error}" if self._failing else "the log is written again"
            self._tell("log", text, self._failing)

    def state(self) -> dict[str, Any] | None:
        """Return how it is doing, as plain values, or ``None`` where nothing is logged."""
        if self._log is None:
            return None
        status = self._log.status()
        return {
            "path": str(self.file()),
            "frames": status.frames,
            "frames_lost": status.frames_lost,
            "failing": bool(status.failing),
        }
