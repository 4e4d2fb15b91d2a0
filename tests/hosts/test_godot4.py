"""The GDExtension of Godot 4, built against Godot's header and called by a stand-in; Godot 4 is in no package."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

import numpy as np
import pytest

import sdk
from hosts import hosts


@pytest.fixture(scope="module")
def library() -> Path:
    made = hosts.built("plugins") / "godot4-plugin" / "rtvoice" / "librtvoice_godot.so"
    if not made.exists():
        pytest.skip("GDExtension's header is neither installed nor can it be fetched: RTVOICE_GODOT4_HEADERS=<folder>")
    return made


def test_exports_the_entry_that_its_description_names(library: Path) -> None:
    symbols = sdk.run("nm", "-D", "--defined-only", library).stdout.split("\n")
    assert [line.split()[-1] for line in symbols if line] == ["rtvoice_godot4_init"]
    assert 'entry_symbol = "rtvoice_godot4_init"' in (library.parent / "rtvoice.gdextension").read_text()


def test_refuses_a_godot_without_what_it_needs(library: Path) -> None:
    get = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_char_p)(lambda name: None)
    entry = ctypes.CDLL(str(library)).rtvoice_godot4_init
    entry.restype = ctypes.c_uint8
    assert entry(get, None, ctypes.create_string_buffer(64)) == 0


@pytest.fixture(scope="module")
def stand_in(library: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compile what plays Godot's side, with the header that the extension was built with."""
    cache = (hosts.built("plugins") / "CMakeCache.txt").read_text()
    given = os.environ.get("RTVOICE_GODOT4_HEADERS")
    found = [line.split("=")[1] for line in cache.splitlines() if line.startswith("RTVOICE_GODOT4_FOUND:")]
    headers = [given, *found, str(hosts.built("plugins") / "headers" / "godot4")]
    folder = next(path for path in headers if path and (Path(path) / "gdextension_interface.h").exists())
    program = tmp_path_factory.mktemp("godot4") / "stand_in"
    source = sdk.ROOT / "tests" / "hosts" / "godot4" / "stand_in.cc"
    sdk.run("c++", "-std=c++17", "-O1", "-Wall", "-Wextra", f"-isystem{folder}", source, "-o", program, "-ldl")
    return program


@pytest.mark.parametrize("name", hosts.patterns())
def test_gives_the_same_bits_to_a_stand_in(stand_in: Path, library: Path, tmp_path: Path, name: str) -> None:
    source, target, sizes, expected = hosts.files(tmp_path, name, 44100, 2)
    done = sdk.run(stand_in, library, library.parent / "voice.rtv", source, target, sizes, "44100")
    assert done.stdout == "latency 834\n"
    np.testing.assert_array_equal(hosts.read(target, 2), expected)
