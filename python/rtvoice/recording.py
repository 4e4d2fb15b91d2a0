"""An engine's real-time log while it is being written."""

from __future__ import annotations

import getpass
import math
import os
import warnings
from types import TracebackType
from typing import NamedTuple

from rtvoice import _core


class LogStatus(NamedTuple):
    """How a log is doing, or did.

    Attributes
    ----------
    active
        Whether it is being written.
    frames, frames_lost, gaps
        Samples per channel written; those lost; in how many gaps.
    bytes, files
        Written in all; files begun.
    failing, error
        Whether the disk takes nothing now (the log tries again), and its last failure in one line, or ``""``.
    """

    active: bool
    frames: int
    frames_lost: int
    gaps: int
    bytes: int
    files: int
    failing: bool
    error: str


class EngineLog:
    """A log that :meth:`rtvoice.Engine.log` began. It ends with :meth:`stop`, the ``with`` block, or the engine."""

    def __init__(
        self,
        core: _core.Engine,
        path: str | os.PathLike[str],
        *,
        who: str | None,
        audio: str,
        redact: bool,
        retention_days: int,
        rotate_mb: float,
        rotate_minutes: float,
        keep_files: int,
        ring_ms: int,
        flush_ms: int,
    ) -> None:
        if audio not in ("float32", "pcm16"):
            raise ValueError(f"audio must be 'float32' or 'pcm16', not {audio!r}")
        if who is not None and not isinstance(who, str):
            raise ValueError(f"who must be a text, not {type(who).__name__}")
        self._core = core
        self._path = os.fsdecode(os.fspath(path))
        if not _is_text(self._path):
            raise ValueError(f"{self._path}: a log's path must be text in UTF-8; name another folder or file")
        self._last: LogStatus | None = None
        core.begin_log(
            self._path,
            pcm16=audio == "pcm16",
            redact=bool(redact),
            retention_days=_count("retention_days", retention_days, 36500),
            who=who or _user(),
            rotate_bytes=round(_amount("rotate_mb", rotate_mb) * 1e6),
            rotate_seconds=_amount("rotate_minutes", rotate_minutes) * 60,
            keep_files=_count("keep_files", keep_files, 10**6),
            ring_ms=_count("ring_ms", ring_ms, 60000),
            flush_ms=_count("flush_ms", flush_ms, 60000),
        )

    @property
    def path(self) -> str:
        """The first file."""
        return self._path

    def status(self) -> LogStatus:
        """Return what was written and what was lost, and how the disk is doing."""
        return self._last or LogStatus(**self._core.log_status())

    def note(self, text: str) -> None:
        """Write a line of text at about the current position: an xrun, a device that was unplugged.

        Raises
        ------
        ValueError
            The log has ended.
        """
        if self._last is not None:
            raise ValueError(f"{self._path}: this log has ended; begin another one")
        self._core.log_note(" ".join(text.split()))

    def carry_over(self, core: _core.Engine) -> None:
        """Follow the log to the engine that has inherited it (``LiveStream.exchange``)."""
        self._core = core

    def stop(self) -> LogStatus:
        """Write what is left and end; warn where something was lost. The second time it only returns the status."""
        if self._last is None:
            self._core.end_log()
            self._last = LogStatus(**self._core.log_status())
            if self._last.frames_lost:
                why = f" ({self._last.error})" if self._last.error else ""
                warnings.warn(
                    f"{self._path}: {self._last.frames_lost} samples in {self._last.gaps} gap(s) were not logged{why}",
                    RuntimeWarning,
                    stacklevel=2,
                )
        return self._last

    def __enter__(self) -> EngineLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<rtvoice.EngineLog {self._path!r}, {'ended' if self._last else 'being written'}>"


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _user() -> str:
    """Return this user's name, also where the environment does not tell it; ``""`` where nothing does."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return ""


def _count(name: str, value: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise ValueError(f"{name} must be a whole number from 0 to {most}, not {value!r}")
    return value


def _amount(name: str, value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise ValueError(f"{name} must be a number from 0 up, not {value!r}")
    return float(value)
