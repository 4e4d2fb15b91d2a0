"""What a stage's result depends on, as one hash: settings, source files, data, the keys of its inputs."""

from __future__ import annotations

import ast
import dataclasses
import hashlib
import importlib.util
import json
import os
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["folder_digest", "json_digest", "settings", "source_digest"]


def json_digest(value: Any) -> str:
    """Return the SHA-256 of a plain value."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def settings(params: Any) -> Any:
    """Return a dataclass as plain values, without the fields that only say how to run (`recipe.free`).

    A field that came later than its table (`recipe.later`) counts once it is not its default.
    """
    if dataclasses.is_dataclass(params) and not isinstance(params, type):
        fields = [f for f in dataclasses.fields(params) if _counts(f, getattr(params, f.name))]
        return {f.name: settings(getattr(params, f.name)) for f in fields}
    if isinstance(params, Mapping):
        return {str(key): settings(value) for key, value in params.items()}
    if isinstance(params, list | tuple):
        return [settings(value) for value in params]
    return _contents(params) if isinstance(params, Path) else params


def _counts(field: dataclasses.Field[Any], value: Any) -> bool:
    counts = field.metadata.get("key", True)
    return bool(value != field.default if counts == "changed" else counts)


def _contents(path: Path) -> str:
    """Return what a path leads to: the key of a stage's folder, the hash of a file, else the path itself."""
    told = path / "stage.json"
    if told.is_file():
        return str(json.loads(told.read_text(encoding="utf-8"))["key"])
    if path.is_file():
        return _hash(path)
    return str(path)


def _hash(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def source_digest(modules: Iterable[str]) -> str:
    """Return a hash of what Python modules do; of a package, of all its files.

    Comments, docstrings and layout do not count: hours of training are not thrown away for a sentence.

    Raises
    ------
    ValueError
        A module is not there, or has no source.
    """
    digest = hashlib.sha256()
    for name in sorted(set(modules)):
        for path in _files(name):
            digest.update(f"{name}:{path.name}:".encode())
            digest.update(_meaning(str(path), os.stat(path).st_mtime_ns).encode())
    return digest.hexdigest()


def folder_digest(folder: Path, patterns: Iterable[str] = ("**/*",)) -> str:
    """Return a hash of the names and sizes of the files of a folder: the same on every machine that has a copy."""
    found = sorted(
        {
            (path.relative_to(folder).as_posix(), path.stat().st_size)
            for pattern in patterns
            for path in folder.glob(pattern)
            if path.is_file()
        }
    )
    return json_digest(found)


def _files(name: str) -> list[Path]:
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError:
        spec = None
    if spec is None or spec.origin is None:
        raise ValueError(f"the module {name!r}, named as source of a stage, is not there")
    if spec.submodule_search_locations:
        return sorted(path for place in spec.submodule_search_locations for path in Path(place).rglob("*.py"))
    return [Path(spec.origin)]


@cache
def _meaning(path: str, mtime: int) -> str:
    """Return a hash of a file's syntax tree without docstrings, the same in every version of Python."""
    tree = ast.parse(Path(path).read_bytes())
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and (
            ast.get_docstring(node, clean=False) is not None
        ):
            node.body = node.body[1:]
    return json_digest(_plain(tree))


def _plain(node: Any) -> Any:
    """Return a syntax tree as plain values; fields that are empty are left out, as newer versions have more of them."""
    if isinstance(node, ast.AST):
        values = [(name, _plain(value)) for name, value in ast.iter_fields(node) if value is not None and value != []]
        return [type(node).__name__, *(pair for pair in values if pair[0] not in ("ctx", "kind", "type_comment"))]
    if isinstance(node, list):
        return [_plain(value) for value in node]
    return repr(node)
