"""Bringing trained models in: finished files of other frameworks, and PyTorch modules.

`import_model` reads files; the package itself is callable, as ``rtvoice.export(module, path)`` is the name of both.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import types
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rtvoice.errors import ModelError
from rtvoice.registry import ModelNotFoundError

if TYPE_CHECKING:
    from rtvoice.export.onnx.report import ImportReport
    from rtvoice.model import Model

__all__ = ["import_model", "import_with_report"]


def import_model(
    src: str | os.PathLike[str] | bytes,
    *,
    sample_rate: int | None = None,
    hop: int | None = None,
    name: str | None = None,
    weights: str = "source",
    **options: Any,
) -> Model:
    """Bring a trained model in, and prove that it streams what it computes offline.

    Parameters
    ----------
    src
        Path of an ``.onnx`` file, or its bytes.
    sample_rate
        Rate that the network works at, in Hz; needed where the file does not tell, as ONNX files do not.
    hop
        Streaming quantum in samples, a multiple of what the strides ask for.
    name
        Of the model; the file's where left out.
    weights
        ``"source"`` keeps every bit of the weights, ``"fp16"`` rounds the matrices to 16 bits, ``"auto"`` those that
        the engine waits for: where at most 4 rows of a hop share a matrix, and they do not all fit a first-level cache.
    **options
        ``licence``, ``description``, ``tier``, ``audio_input``, ``parameters``, ``frames``, ``states``, ``constants``
        as in `import_onnx`; ``verify=False`` leaves the parity check out.

    Raises
    ------
    ModelError
        The file is missing (also a ``FileNotFoundError``), damaged, uses what is not supported or cannot stream, or
        streams something else than it computes.
    """
    return import_with_report(src, sample_rate=sample_rate, hop=hop, name=name, weights=weights, **options)[0]


def import_with_report(
    src: str | os.PathLike[str] | bytes,
    *,
    sample_rate: int | None = None,
    hop: int | None = None,
    name: str | None = None,
    weights: str = "source",
    verify: bool = True,
    licence: str = "",
    description: str = "",
    tier: str = "default",
    audio_input: str | None = None,
    parameters: Mapping[str, Mapping[str, Any]] | None = None,
    frames: int | bool = False,
    states: Mapping[str, str] | None = None,
    constants: Mapping[str, int] | None = None,
) -> tuple[Model, ImportReport]:
    """Do what `import_model` does, and tell what was fused, the latency found, and the parity check's result."""
    _check_format(src)
    if sample_rate is None:
        raise ValueError("sample_rate is needed: an ONNX file does not tell it (rtvoice import: --rate HZ)")
    from rtvoice.export.onnx.importer import import_onnx
    from rtvoice.export.onnx.verify import verified

    imported = import_onnx(
        src,
        sample_rate=sample_rate,
        hop=hop,
        name=name,
        licence=licence,
        description=description,
        tier=tier,
        weights=weights,
        audio_input=audio_input,
        parameters=parameters,
        frames=frames,
        states=states,
        constants=constants,
    )
    return verified(imported, verify=verify), imported.report


def _check_format(src: str | os.PathLike[str] | bytes) -> None:
    if isinstance(src, (bytes, bytearray, memoryview)):
        return
    path = Path(src)
    suffix = path.suffix.lower()
    if path.is_dir():
        raise ModelError(f"{path} is a folder; name an .onnx file")
    if suffix == ".onnx":
        if not path.is_file():
            raise ModelNotFoundError(f"{path}: no such file; give the path of an .onnx file")
        return
    if suffix in (".nam", ".json"):
        raise ModelError(f"{path}: importing {suffix} files is not in this release; export the network to .onnx")
    raise ModelError(f"{path}: is of no known format; rtvoice imports .onnx")


class _Callable(types.ModuleType):
    """A package that exports when it is called: see `rtvoice.export.torch_module.export`."""

    def __call__(self, *args: Any, **options: Any) -> Model:
        if importlib.util.find_spec("torch") is None:
            raise ImportError("rtvoice.export needs PyTorch: pip install 'rtvoice[train]'")
        from rtvoice.export.torch_module import export

        return export(*args, **options)


sys.modules[__name__].__class__ = _Callable
