"""Which source a run was trained by."""

from __future__ import annotations

import subprocess
from pathlib import Path

#: Where this package lies in its repository.
_PLACE = Path("python", "rtvoice", "train")


def commit(folder: Path | None = None) -> str | None:
    """Return the commit of the trainer's source tree, `None` outside its repository.

    A package installed into an environment that lies within some other repository has no commit of its own.

    Parameters
    ----------
    folder : Path or None
        The trainer's folder; `None`: this one.
    """
    folder = (folder or Path(__file__).parent).resolve()
    try:
        root, head = _git(folder, "--show-toplevel"), _git(folder, "HEAD")
        tracked = _run("git", "-C", str(folder), "ls-files", "__init__.py")
    except (OSError, subprocess.CalledProcessError):
        return None
    return head if tracked and Path(root).resolve() / _PLACE == folder else None


def _git(folder: Path, what: str) -> str:
    return _run("git", "-C", str(folder), "rev-parse", what)


def _run(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
