"""The library cross-built for 64-bit Arm macOS with zig: it links, names itself and exports the C interface.

Nothing here can run it.
"""

from __future__ import annotations

import importlib.util
import os
import struct
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import sdk

BUILD = sdk.ROOT / "build" / "macos"
CROSS = sdk.ROOT / "build" / "cross"
#: Mach-O: a 64-bit file, the processor, a dynamic library; load commands.
MAGIC, ARM64, DYLIB = 0xFEEDFACF, 0x0100000C, 6
SYMTAB, LOAD_DYLIB, ID_DYLIB, BUILD_VERSION = 0x2, 0xC, 0xD, 0x32

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("ziglang") is None or not CROSS.exists(),
        reason="zig (PyPI: ziglang) or build/cross are missing: make hosts installs them",
    ),
]


@dataclass
class Library:
    """What a Mach-O file says of itself."""

    head: tuple[int, ...]
    name: str = ""
    needs: list[str] = field(default_factory=list)
    exported: set[str] = field(default_factory=set)
    platform: int = 0


def text_at(data: bytes, start: int) -> str:
    return data[start : data.index(b"\0", start)].decode()


def read(data: bytes) -> Library:
    """Read the load commands and the symbols that others may bind to."""
    library, at = Library(struct.unpack_from("<4I", data)), 32
    for _ in range(struct.unpack_from("<I", data, 16)[0]):
        command, size = struct.unpack_from("<2I", data, at)
        if command in (LOAD_DYLIB, ID_DYLIB):
            path = text_at(data, at + struct.unpack_from("<I", data, at + 8)[0])
            if command == ID_DYLIB:
                library.name = path
            else:
                library.needs.append(path)
        elif command == BUILD_VERSION:
            library.platform = struct.unpack_from("<I", data, at + 8)[0]
        elif command == SYMTAB:  # entries of 16 bytes, whose names lie elsewhere
            symbols, count, names = struct.unpack_from("<3I", data, at + 8)
            for entry in range(symbols, symbols + 16 * count, 16):
                name, kind, section = struct.unpack_from("<IBB", data, entry)
                if kind & 0x1F == 0x0F and section:  # external, not private, and defined in a section here
                    library.exported.add(text_at(data, names + name))
        at += size
    return library


@pytest.fixture(scope="module")
def library() -> Library:
    found = importlib.util.find_spec("ziglang")
    assert found is not None and found.origin is not None
    options = (
        "-DCMAKE_BUILD_TYPE=Release",
        f"-DCMAKE_TOOLCHAIN_FILE={sdk.ROOT / 'cmake' / 'zig.cmake'}",
        "-DZIG_TARGET=aarch64-macos",
        f"-DRTVOICE_ZIG={Path(found.origin).parent / 'zig'}",
        f"-DHIGHWAY_INCLUDE_DIR={CROSS / 'include'}",
        f"-DRTVOICE_NLOHMANN_JSON_INCLUDE={CROSS / 'include'}",
        f"-DFETCHCONTENT_SOURCE_DIR_SAMPLERATE={CROSS / 'libsamplerate'}",
    )
    # zig builds its C++ library once, which takes it a minute: beside the build, where the next run finds it.
    cache = {"ZIG_GLOBAL_CACHE_DIR": os.environ.get("ZIG_GLOBAL_CACHE_DIR", str(sdk.ROOT / "build" / "zig"))}
    sdk.run("cmake", "-S", sdk.ROOT, "-B", BUILD, "-G", "Ninja", *options, env=cache)
    sdk.run("cmake", "--build", BUILD, "--target", "rtvoice", "-j", "2", env=cache)
    return read(next(BUILD.glob("librtvoice.*.*.*.dylib")).read_bytes())


def test_is_a_library_for_arm_macs(library: Library) -> None:
    magic, processor, _, kind = library.head
    assert (magic, processor, kind, library.platform) == (MAGIC, ARM64, DYLIB, 1)


def test_is_found_beside_the_program(library: Library) -> None:
    assert library.name == "@rpath/librtvoice.0.dylib"


def test_needs_only_what_macos_has(library: Library) -> None:
    system = {"/usr/lib/libSystem.B.dylib", "/usr/lib/libc++.1.dylib"}
    assert "/usr/lib/libSystem.B.dylib" in library.needs
    assert set(library.needs) <= system


def test_exports_the_c_interface(library: Library) -> None:
    """Apple's linker is told to export nothing else; zig's takes that option and exports what it linked in as well."""
    # The C++ library's new and delete, libsamplerate, the linker's own.
    others = ("__Zn", "__Zd", "_src_", "___dso_handle", "__mh_dylib_header")
    header = (sdk.ROOT / "cpp" / "include" / "rtvoice" / "rtvoice.h").read_text()
    declared = {
        line.split("(")[0].split()[-1].lstrip("*") for line in header.splitlines() if line.startswith("RTV_API ")
    }
    assert len(declared) > 20
    assert {name for name in library.exported if not name.startswith(others)} == {f"_{name}" for name in declared}
