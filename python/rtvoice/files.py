"""Writes files whole: a target that is replaced is replaced in one step, and what is no regular file is written to."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tempfile
import threading
from pathlib import Path

#: Names that stand for open files: they are written to, never replaced.
_OPEN_FILES = ("/proc/", "/dev/fd/", "/dev/std")


class WholeFile:
    """A file in the making, as a context manager: write to :attr:`partial`; it takes the target's place at the end.

    A link's target is written, the link stays. A device, a pipe or another target that is no regular file gets the
    bytes when all of them are there. If the block raises, the target is left as it was.

    Raises
    ------
    OSError
        The target cannot be written; the message names it.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        try:
            mode: int | None = os.stat(self.path).st_mode
        except FileNotFoundError:
            mode = None
        except OSError as error:
            raise _named(error, self.path) from None
        if mode is not None and stat.S_ISDIR(mode):
            raise IsADirectoryError(f"{self.path} is a folder; name the file to write")
        self._special = mode is not None and (
            not stat.S_ISREG(mode) or os.path.abspath(self.path).startswith(_OPEN_FILES)
        )
        self._target = self.path if self._special else Path(os.path.realpath(self.path))
        if not self._special and not self._target.parent.is_dir():
            raise FileNotFoundError(f"{self.path}: the folder {self._target.parent} does not exist; make it first")
        folder = tempfile.gettempdir() if self._special else self._target.parent
        self.partial = Path(folder) / f".{_short(self.path.name)}.{os.getpid()}-{threading.get_ident() % 10**6}.part"

    def create(self) -> None:
        """Make the empty file :attr:`partial`."""
        try:
            with open(self.partial, "wb"):
                pass
        except FileNotFoundError:  # the folder is there: a file system that takes no files
            raise FileNotFoundError(f"{self.path} cannot be written: no file can be made in that folder") from None
        except OSError as error:
            raise _named(error, self.path) from None

    def finish(self) -> None:
        """Let the target be what :attr:`partial` is."""
        try:
            if self._special:
                with open(self.partial, "rb") as source, open(self._target, "wb", buffering=0) as target:
                    while block := source.read(1 << 16):
                        while block:
                            block = block[target.write(block) or 0 :]
            else:
                if len(os.fsencode(self._target.name)) > 255:
                    raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
                if self._target.exists():
                    shutil.copymode(self._target, self.partial)
                self.partial.replace(self._target)
        except OSError as error:
            raise _named(error, self.path) from None

    def discard(self) -> None:
        """Remove :attr:`partial` if it is there."""
        self.partial.unlink(missing_ok=True)

    def write(self, data: bytes) -> None:
        """Write all of ``data`` and finish."""
        try:
            self.create()
            try:
                self.partial.write_bytes(data)
            except OSError as error:
                raise _named(error, self.path) from None
            self.finish()
        finally:
            self.discard()


def write_whole(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file of ``data``; see :class:`WholeFile`."""
    WholeFile(path).write(data)


def check_writable(path: str | os.PathLike[str]) -> None:
    """Find out before long work whether :func:`write_whole` could write there; nothing is left behind.

    Raises
    ------
    OSError
        It could not; the message names the file.
    """
    file = WholeFile(path)
    try:
        file.create()
    finally:
        file.discard()


def reason(error: OSError) -> str:
    """Return why the system refused, in words."""
    if error.errno == errno.ENOSPC:
        return "the disk is full"
    return (error.strerror or str(error)).lower()


def _named(error: OSError, path: Path) -> OSError:
    """Return the same kind of error with a message that names the file."""
    if error.errno is None:
        return error
    named = type(error)(f"{_short(os.fspath(path), 300)} cannot be written: {reason(error)}")
    named.errno = error.errno
    return named


def _short(name: str, most: int = 60) -> str:
    return name if len(name) <= most else name[: most // 2] + "..." + name[-most // 4 :]
