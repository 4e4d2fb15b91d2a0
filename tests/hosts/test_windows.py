"""The library cross-built for 64-bit Windows, and a C host of it under wine: every frame pattern, the same bits."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import sdk
from hosts import hosts

TOOLS = ("x86_64-w64-mingw32-g++-posix", "wine")
BUILD = sdk.ROOT / "build" / "windows"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        any(shutil.which(tool) is None for tool in TOOLS) or not (sdk.ROOT / "build" / "cross").exists(),
        reason="the cross compiler, wine or build/cross are missing: make hosts installs them",
    ),
]


@pytest.fixture(scope="module")
def game(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a Windows program and the DLL, as a game would ship them."""
    toolchain = f"-DCMAKE_TOOLCHAIN_FILE={sdk.ROOT / 'cmake' / 'x86_64-windows.cmake'}"
    cross = sdk.ROOT / "build" / "cross"
    given = (
        f"-DHIGHWAY_INCLUDE_DIR={cross / 'include'}",
        f"-DRTVOICE_NLOHMANN_JSON_INCLUDE={cross / 'include'}",
        f"-DFETCHCONTENT_SOURCE_DIR_SAMPLERATE={cross / 'libsamplerate'}",
    )
    folder = tmp_path_factory.mktemp("windows")
    sdk.run("cmake", "-S", sdk.ROOT, "-B", BUILD, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release", toolchain, *given)
    sdk.run("cmake", "--build", BUILD, "--target", "rtvoice", "rtvoice_static", "-j", "2")
    sdk.run("cmake", "--install", BUILD, "--component", "sdk", "--prefix", folder / "sdk")
    # The C host finds the installed package as it would on Windows.
    build = folder / "build"
    found = (f"-DCMAKE_PREFIX_PATH={folder / 'sdk'}", f"-Drtvoice_DIR={folder / 'sdk' / 'lib' / 'cmake' / 'rtvoice'}")
    sdk.run("cmake", "-S", sdk.ROOT / "examples" / "hosts", "-B", build, "-G", "Ninja", toolchain, *found)
    sdk.run("cmake", "--build", build, "--target", "file_host")
    (folder / "game").mkdir()
    for file in (build / "file_host.exe", *(folder / "sdk" / "bin").glob("*.dll")):
        shutil.copy(file, folder / "game")
    return folder / "game"


def wine(game: Path, *words: object, check: bool = True) -> subprocess.CompletedProcess[str]:
    environment = {"WINEPREFIX": str(game.parent / "wine"), "WINEDEBUG": "-all", "WINEDLLOVERRIDES": "mscoree,mshtml="}
    return sdk.run("timeout", "120", "wine", game / "file_host.exe", *map(str, words), env=environment, check=check)


def test_the_library_needs_only_what_windows_has(game: Path) -> None:
    library = next(game.glob("*rtvoice*.dll"))
    listing = sdk.run("x86_64-w64-mingw32-objdump", "-p", library).stdout
    needed = {line.split()[-1].lower() for line in listing.splitlines() if "DLL Name" in line}
    assert needed <= {"kernel32.dll", "msvcrt.dll"} | {name for name in needed if name.startswith("api-ms-win-crt")}


def test_the_library_exports_the_c_interface(game: Path) -> None:
    listing = sdk.run("x86_64-w64-mingw32-objdump", "-p", next(game.glob("*rtvoice*.dll"))).stdout
    exported = {word for line in listing.splitlines() for word in line.split() if word.startswith("rtv_")}
    header = (sdk.ROOT / "cpp" / "include" / "rtvoice" / "rtvoice.h").read_text()
    declared = {
        line.split("(")[0].split()[-1].lstrip("*") for line in header.splitlines() if line.startswith("RTV_API ")
    }
    assert exported == declared


@pytest.mark.parametrize("name", hosts.patterns())
def test_same_bits_whatever_the_frames(game: Path, tmp_path: Path, name: str) -> None:
    """The same bits as on Linux: one source, one summation order, and mathematics of our own."""
    source, target, sizes, expected = hosts.files(tmp_path, name, 48000, 1)
    done = wine(game, hosts.MODEL, source, target, sizes, 48000, 1)
    out = hosts.read(target, 1)
    assert "latency 907" in done.stdout
    np.testing.assert_array_equal(out, expected)


def test_one_log_at_a_time_writes_a_file(tmp_path: Path) -> None:
    """The lock is another one on Windows: a second log is refused in words, a reader is not."""
    program, rooms = tmp_path / "log_lock.exe", sdk.ROOT / "cpp"
    sources = (rooms / "src" / "log" / "file.cc", sdk.ROOT / "tests" / "hosts" / "log_lock.cc")
    flags = ("-std=c++17", "-Wall", "-Wextra", "-Werror", "-static", f"-I{rooms / 'src'}", f"-I{rooms / 'include'}")
    sdk.run(TOOLS[0], *flags, *sources, "-o", program)
    environment = {"WINEPREFIX": str(tmp_path / "wine"), "WINEDEBUG": "-all", "WINEDLLOVERRIDES": "mscoree,mshtml="}
    command = ("timeout", "120", "wine", program, tmp_path / "session.rtlog")
    done = sdk.run(*command, env=environment, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "is being written by another log" in done.stdout


def test_a_missing_model_is_an_error(game: Path, tmp_path: Path) -> None:
    source, target, sizes, _ = hosts.files(tmp_path, "fixed-480", 48000, 1)
    done = wine(game, "nowhere.rtv", source, target, sizes, 48000, 1, check=False)
    assert done.returncode == 1
    assert "nowhere.rtv" in done.stderr
