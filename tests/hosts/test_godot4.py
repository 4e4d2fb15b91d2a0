"""The GDExtension of Godot 4 builds against Godot's header. Godot 4 is in no package: nothing here runs it."""

from __future__ import annotations

import ctypes
from pathlib import Path

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
