"""The C interface installed to a folder of its own, and how separate projects are built against it."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
STRICT = "-Wall -Wextra -pedantic -Werror"
NEEDED = ("cmake", "cc", "c++", "pkg-config")


def run(
    *command: str | Path, env: dict[str, str] | None = None, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run a command; when it fails, the test shows what it printed."""
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, env={**os.environ, **(env or {})}, check=False
    )
    if check and done.returncode != 0:
        pytest.fail(f"{' '.join(map(str, command))}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}")
    return done


def _build_folder() -> Path:
    """Return the build that `make test` has made, or one of our own."""
    chosen = os.environ.get("RTVOICE_BUILD_DIR")
    folder = Path(chosen) if chosen else ROOT / "build" / "test"
    if not (folder / "CMakeCache.txt").exists():
        folder = Path(tempfile.mkdtemp(prefix="rtvoice-build-"))
        generator = ("-G", "Ninja") if shutil.which("ninja") else ()
        run("cmake", "-S", ROOT, "-B", folder, *generator)
    run("cmake", "--build", folder, "--target", "rtvoice", "rtvoice_static", "-j", "2")
    return folder


@functools.lru_cache(maxsize=1)
def installed() -> Path:
    """Install the component `sdk`, then move it: nothing in it may depend on where it was made."""
    missing = [tool for tool in NEEDED if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    folder = Path(tempfile.mkdtemp(prefix="rtvoice-sdk-"))
    run("cmake", "--install", _build_folder(), "--component", "sdk", "--prefix", folder / "first")
    return (folder / "first").rename(folder / "moved to")


def library_folder() -> Path:
    """Return the folder of librtvoice.so: lib, or what the distribution prefers."""
    return next(path.parent for path in sorted(installed().rglob("librtvoice.so")))


def pkg_config(*arguments: str) -> list[str]:
    """Ask pkg-config about the installed library."""
    import shlex

    folder = str(library_folder() / "pkgconfig")
    return shlex.split(run("pkg-config", *arguments, "rtvoice", env={"PKG_CONFIG_PATH": folder}).stdout)


def build_project(source: Path, folder: Path, *options: str) -> Path:
    """Configure and build a CMake project of its own against the installed package."""
    flags = (f"-DCMAKE_C_FLAGS={STRICT}", f"-DCMAKE_CXX_FLAGS={STRICT}")
    run("cmake", "-S", source, "-B", folder, f"-DCMAKE_PREFIX_PATH={installed()}", *flags, *options)
    run("cmake", "--build", folder)
    return folder
