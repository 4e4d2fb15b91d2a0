"""Bringing trained models in: finished files of other frameworks, and PyTorch modules.

`import_model` reads files; the package itself is callable, as ``rtvoice.export(module, path)`` is the name of both.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rtvoice.errors import ModelError
from rtvoice.export import deepfilter
from rtvoice.registry import ModelNotFoundError

if TYPE_CHECKING:
    from rtvoice.export.foreign import Foreign, ForeignReport
    from rtvoice.export.onnx.report import ImportReport
    from rtvoice.model import Model

__all__ = ["SUFFIXES", "foreign_like", "import_model", "import_with_report", "told_rate"]

SUFFIXES = (".onnx", ".nam", ".json")


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
        Path of an ``.onnx`` file, a Neural Amp Modeler ``.nam`` file or an RTNeural ``.json`` file, or its bytes.
    sample_rate
        Rate that the network works at, in Hz; needed where the file does not tell, as ONNX files and most of RTNeural's
        do not.
    hop
        Streaming quantum in samples, a multiple of what the strides ask for.
    name
        Of the model; the file's where left out.
    weights
        ``"source"`` keeps every bit of the weights, ``"fp16"`` rounds the matrices to 16 bits, ``"auto"`` those that
        the engine waits for: where at most 4 rows of a hop share a matrix, and they do not all fit a first-level cache.
    **options
        ``licence``, ``description``, ``tier``; ``audio_input``, ``frames``, ``states``, ``constants`` as in
        `import_onnx`; ``parameters`` as there and in `import_rtneural`; ``size`` and ``follow`` as in `import_nam`;
        ``layers`` as in `import_rtneural`; ``verify=False`` leaves the parity check out.

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
    size: float | None = None,
    follow: str = "core",
    layers: Sequence[str] | None = None,
) -> tuple[Model, ImportReport | ForeignReport]:
    """Do what `import_model` does, and tell what was fused, the latency found, and the parity check's result."""
    kind = _kind(src)
    own: dict[str, Any] = {"audio_input": audio_input, "frames": frames, "states": states, "constants": constants}
    _check_options(kind, **own, parameters=parameters, size=size, follow=follow, layers=layers)
    common: dict[str, Any] = {
        "hop": hop,
        "name": name,
        "licence": licence,
        "description": description,
        "tier": tier,
        "weights": weights,
    }
    if kind == "onnx":
        if sample_rate is None:
            raise ValueError("sample_rate is needed: an ONNX file does not tell it (rtvoice import: --rate HZ)")
        from rtvoice.export.onnx.importer import import_onnx
        from rtvoice.export.onnx.verify import verified

        imported = import_onnx(src, sample_rate=sample_rate, parameters=parameters, **own, **common)
        return verified(imported, verify=verify), imported.report
    from rtvoice.export import foreign

    if kind == "nam":
        from rtvoice.export.nam.importer import import_nam

        made = import_nam(src, sample_rate=sample_rate, size=size, follow=follow, **common)
    else:
        from rtvoice.export.rtneural.importer import import_rtneural

        made = import_rtneural(src, sample_rate=sample_rate, layers=layers, parameters=parameters, **common)
    return foreign.verified(made, verify=verify), made.report


def told_rate(src: str | os.PathLike[str]) -> int | None:
    """Return the sample rate that a file tells, or that goes without saying in its format; None where neither does."""
    if _kind(src) == "onnx":
        return None
    from rtvoice.export.fields import read_json

    document, name, _ = read_json(src)
    try:
        if _kind(src) == "nam":
            from rtvoice.export.nam import read

            return read.told_rate(document) or read.UNTOLD_RATE
        from rtvoice.export.rtneural.read import told_rate as rtneural_rate

        return rtneural_rate(document)
    except ModelError as error:
        raise ModelError(f"{name}: {error}") from None


def foreign_like(path: Path, provenance: Mapping[str, Any], rate: int) -> Foreign:
    """Read a `.nam`, RTNeural or DeepFilterNet file once more, as a model file's provenance says that it was read."""
    weights = str(provenance.get("weights", "source"))
    if provenance.get("producer") == deepfilter.FORMAT:
        from rtvoice.export.deepfilter.importer import import_deepfilter

        return import_deepfilter(path, weights=weights, verify=False)
    if _kind(path) == "nam":
        from rtvoice.export.nam.importer import import_nam

        size = provenance.get("size")
        return import_nam(
            path,
            sample_rate=rate,
            weights=weights,
            size=float(size) if isinstance(size, (int, float)) else None,
            follow=str(provenance.get("follow", "core")),
        )
    from rtvoice.export.rtneural.importer import import_rtneural

    layers = provenance.get("layers")
    return import_rtneural(path, sample_rate=rate, weights=weights, layers=layers if isinstance(layers, list) else None)


def _check_options(kind: str, **options: Any) -> None:
    """Refuse an option that the format does not have, rather than leave it out."""
    known = {
        "onnx": ("audio_input", "parameters", "frames", "states", "constants"),
        "nam": ("size", "follow"),
        "rtneural": ("parameters", "layers"),
    }[kind]
    for key, value in options.items():
        if key not in known and value not in (None, False, "core"):
            raise ValueError(f"{key} is no option of this format; it has: {', '.join(known)}")


def _kind(src: str | os.PathLike[str] | bytes) -> str:
    """Return ``"onnx"``, ``"nam"`` or ``"rtneural"``: by the file's name, and for JSON by what stands in it."""
    if isinstance(src, (bytes, bytearray, memoryview)):
        begin = bytes(src[:64]).lstrip(b"\xef\xbb\xbf \t\r\n")
        return _kind_of_json(src) if begin.startswith(b"{") else "onnx"
    path = Path(src)
    suffix = path.suffix.lower()
    if path.is_dir():
        raise ModelError(f"{path} is a folder; name an .onnx, .nam or .json file")
    if suffix not in SUFFIXES:
        raise ModelError(f"{path}: is of no known format; rtvoice imports {', '.join(SUFFIXES)}")
    if path.exists() and not path.is_file():
        raise ModelError(f"{path}: is no file that can be read more than once; save the model to one")
    if not path.is_file():
        raise ModelNotFoundError(f"{path}: no such file; give the path of an {', '.join(SUFFIXES)} file")
    return {".onnx": "onnx", ".nam": "nam"}.get(suffix) or _kind_of_json(path)


def _kind_of_json(src: str | os.PathLike[str] | bytes) -> str:
    from rtvoice.export.fields import read_json

    document = read_json(src)[0]
    return "nam" if "architecture" in document and "config" in document else "rtneural"


class _Callable(types.ModuleType):
    """A package that exports when it is called: see `rtvoice.export.torch_module.export`."""

    def __call__(self, *args: Any, **options: Any) -> Model:
        if importlib.util.find_spec("torch") is None:
            raise ImportError("rtvoice.export needs PyTorch: pip install 'rtvoice[train]'")
        from rtvoice.export.torch_module import export

        return export(*args, **options)


sys.modules[__name__].__class__ = _Callable
