"""The package as installed: its names, types, contents, and the order of its rooms."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from importlib.metadata import files
from pathlib import Path

import pytest

import rtvoice
from rtvoice import _core

PACKAGE = Path(rtvoice.__file__).parent


def test_every_public_name_is_there() -> None:
    for name in rtvoice.__all__:
        assert getattr(rtvoice, name) is not None
    assert set(rtvoice.__all__) <= set(dir(rtvoice))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        rtvoice.nonsense  # noqa: B018


def test_the_package_is_typed_and_carries_its_skins() -> None:
    assert (PACKAGE / "py.typed").exists()
    assert (PACKAGE / "_core.pyi").exists()
    installed = {str(path) for path in files("rtvoice") or []}
    for name in ("default.rtv", "hq.rtv", "README.md"):
        assert f"rtvoice/models/whisper/{name}" in installed


def test_the_package_carries_its_licence_and_those_of_what_it_is_built_from() -> None:
    installed = {str(path) for path in files("rtvoice") or []}
    assert {name for name in installed if name.endswith("licenses/LICENSE")}
    notices = [path for path in files("rtvoice") or [] if path.name == "THIRD_PARTY_NOTICES.md"]
    assert notices
    text = notices[0].read_text()
    for component in ("libsamplerate", "Highway", "JSON for Modern C++", "pybind11"):
        assert f"\n## {component}\n" in text


def test_the_engine_needs_numpy_alone() -> None:
    """Neither files nor the terminal: no import of soundfile or rich, and none of the heavy extras."""
    code = (
        "import sys\n"
        "for name in 'soundfile rich onnx onnxruntime torch matplotlib scipy'.split(): sys.modules[name] = None\n"
        "import numpy, rtvoice\n"
        "engine = rtvoice.Engine('whisper', 48000, 480)\n"
        "engine.process(numpy.zeros(480, numpy.float32))\n"
        "rtvoice.models(); rtvoice.isa()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_stub_tells_what_the_native_module_has() -> None:
    stub = ast.parse((PACKAGE / "_core.pyi").read_text())
    for node in stub.body:
        if isinstance(node, ast.FunctionDef):
            assert callable(getattr(_core, node.name))
    for name, native in (("Model", _core.Model), ("Engine", _core.Engine)):
        (described,) = [n for n in stub.body if isinstance(n, ast.ClassDef) and n.name == name]
        told = {n.name for n in described.body if isinstance(n, ast.FunctionDef)} - {"__init__"}
        there = {n for n, _ in inspect.getmembers(native) if not n.startswith("_") and n in vars(native)}
        assert told == there


@pytest.mark.parametrize("rooms", ["lint-imports"])
def test_rooms_know_only_those_below_them(rooms: str) -> None:
    pytest.importorskip("importlinter")
    root = Path(__file__).parents[1]
    command = [str(Path(sys.executable).with_name(rooms)), "--config", str(root / "pyproject.toml"), "--no-cache"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
