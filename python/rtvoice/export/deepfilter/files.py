"""The files of a DeepFilterNet model, from the published archive or a folder, and its three graphs joined to one."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rtvoice.errors import ModelError
from rtvoice.export.onnx.source import require_onnx
from rtvoice.registry import ModelNotFoundError

from .settings import Settings, read_settings

GRAPHS = ("enc", "erb_dec", "df_dec")
NAMES = (*(f"{name}.onnx" for name in GRAPHS), "config.ini")
_MOST_BYTES = 256 * 2**20
#: What the encoder hands to the two decoders.
_HANDED = {"erb_dec": ("emb", "e3", "e2", "e1", "e0"), "df_dec": ("emb", "c0")}


@dataclass
class Files:
    """What was read.

    Attributes
    ----------
    name
        Of the archive or the folder.
    contents
        Bytes by file name.
    settings
        Of `config.ini`.
    """

    name: str
    contents: dict[str, bytes]
    settings: Settings

    @property
    def sha256(self) -> str:
        """Of all files, in the order of `NAMES`."""
        whole = hashlib.sha256()
        for name in NAMES:
            whole.update(self.contents[name])
        return whole.hexdigest()


def read_files(src: str | os.PathLike[str]) -> Files:
    """Read an archive (`.tar.gz`, `.tar`) or a folder that holds the files in `NAMES`.

    Raises
    ------
    ModelError
        A file is missing, too large or damaged, or the model is another one.
    """
    path = Path(src)
    if path.is_dir():
        contents = {name: _bytes_of(path / name) for name in NAMES if (path / name).is_file()}
    elif path.is_file():
        contents = _unpacked(path)
    else:
        raise ModelNotFoundError(
            f"{path}: no such file or folder; give DeepFilterNet3_onnx.tar.gz, or where it was unpacked"
        )
    missing = [name for name in NAMES if name not in contents]
    if missing:
        raise ModelError(
            f"{path}: has no {', '.join(missing)}; a model is {', '.join(NAMES)}, as in DeepFilterNet3_onnx.tar.gz"
        )
    text = contents["config.ini"].decode("utf-8", "replace")
    return Files(path.name, contents, read_settings(text, f"{path.name}: config.ini"))


def _bytes_of(path: Path) -> bytes:
    if path.stat().st_size > _MOST_BYTES:
        raise ModelError(f"{path}: has more than {_MOST_BYTES} bytes, which is the limit")
    return path.read_bytes()


def _unpacked(path: Path) -> dict[str, bytes]:
    """Return the archive's files by their last name; nothing is written to disk."""
    contents: dict[str, bytes] = {}
    left = _MOST_BYTES
    try:
        with tarfile.open(path, "r:*") as archive:
            for member in archive:
                name = member.name.rsplit("/", 1)[-1]
                if name not in NAMES or not member.isfile():
                    continue
                if member.size > left or name in contents:
                    raise ModelError(f"{path}: {name} is there twice, or larger than {left} bytes; fetch it again")
                left -= member.size
                opened = archive.extractfile(member)
                contents[name] = opened.read() if opened is not None else b""
    except (tarfile.TarError, OSError, EOFError) as error:
        raise ModelError(f"{path}: is no .tar.gz archive ({error}); fetch it again, or give a folder") from None
    return contents


def joined(files: Files) -> bytes:
    """Return one ONNX model of all three graphs: features in; `m`, `coefs` and `lsnr` out."""
    onnx = require_onnx()
    parts: dict[str, Any] = {}
    for name in GRAPHS:
        try:
            part = onnx.load_model(io.BytesIO(files.contents[f"{name}.onnx"]))
            del part.graph.value_info[:]
            keeps = name == "enc"
            parts[name] = onnx.compose.add_prefix(part, f"{name}/", rename_inputs=not keeps, rename_outputs=not keeps)
        except Exception as error:  # protobuf's own types
            raise ModelError(f"{files.name}: {name}.onnx is damaged ({type(error).__name__}); fetch it again") from None
    opsets = {name: {item.domain: item.version for item in part.opset_import} for name, part in parts.items()}
    if any(opset != opsets["enc"] for opset in opsets.values()):
        raise ModelError(f"{files.name}: the three graphs are of different opsets; export them together")
    whole = parts["enc"].graph
    wanted = ["lsnr"]
    for name, own in (("erb_dec", "m"), ("df_dec", "coefs")):
        wanted.append(f"{name}/{own}")
        handed = [(item, f"{name}/{item}") for item in _HANDED[name]]
        given = {item.name for item in parts[name].graph.input}
        kept = [*wanted, *(_HANDED["df_dec"] if name == "erb_dec" else ())]
        made = {item.name for item in (*whole.output, *parts[name].graph.output)}
        reads = {item.removeprefix(f"{name}/") for item in given}
        if reads != set(_HANDED[name]):
            raise ModelError(
                f"{files.name}: {name}.onnx must read {', '.join(_HANDED[name])}; it reads {', '.join(sorted(reads))}; "
                "give the three graphs of one export"
            )
        missing = [item for item in (*kept, *_HANDED[name]) if item not in made]
        if missing:
            which = name if missing[0].startswith(f"{name}/") else "enc"
            raise ModelError(
                f"{files.name}: {which}.onnx must make {missing[0].removeprefix(f'{name}/')}, which it does not; give "
                "the three graphs of one export"
            )
        try:
            whole = onnx.compose.merge_graphs(whole, parts[name].graph, io_map=handed, outputs=kept)
        except ValueError as error:
            raise ModelError(f"{files.name}: {name}.onnx does not fit enc.onnx: {str(error)[:200]}") from None
    model = onnx.helper.make_model(whole, opset_imports=list(parts["enc"].opset_import), producer_name=files.name)
    model.ir_version = parts["enc"].ir_version
    return bytes(model.SerializeToString())
