"""Reading an ONNX file: what it holds, without what it tells about the machine that wrote it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rtvoice.errors import ModelError
from rtvoice.export.kinds import as_text, what_else

from .functions import inlined
from .ir import Array
from .refusals import BFLOAT16

if TYPE_CHECKING:
    import onnx

OLDEST_OPSET, NEWEST_OPSET = 11, 23
_STANDARD = ("", "ai.onnx")


@dataclass(frozen=True)
class Port:
    """An input or output of the graph: its name and dimensions; None where a dimension is free."""

    name: str
    dims: tuple[int | None, ...] | None
    floating: bool
    wide: bool = False

    def describe(self) -> str:
        """Return the name with its shape."""
        if self.dims is None:
            return f"'{self.name}' (no shape)"
        return f"'{self.name}' ({', '.join('?' if size is None else str(size) for size in self.dims)})"


@dataclass
class Source:
    """A model as it was read.

    Attributes
    ----------
    model
        The file's contents, functions inlined, metadata removed.
    opset
        Version of the standard operators.
    constants
        Initialisers by name.
    inputs
        Inputs that are not initialisers.
    outputs
        Names of the outputs.
    results
        The outputs with their dimensions.
    provenance
        File name, SHA-256, producer and opset.
    """

    model: onnx.ModelProto
    opset: int
    constants: dict[str, Array]
    inputs: list[Port]
    outputs: list[str]
    provenance: dict[str, Any] = field(default_factory=dict)
    results: list[Port] = field(default_factory=list)


# What numpy, protobuf and onnx raise for names, attributes and shapes that contradict the standard or each other.
BROKEN = (
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    AssertionError,
    ArithmeticError,
    MemoryError,
    RecursionError,
    OSError,
    RuntimeError,
)


def first_line(error: BaseException) -> str:
    """Return what an error says, in one line."""
    text = str(error).strip()
    if isinstance(error, IndexError) and text.endswith("index out of range"):
        return "one of its inputs or attributes holds fewer numbers than there are axes"
    return text.splitlines()[0][:160] if text else type(error).__name__


@contextmanager
def damage_of(name: str) -> Iterator[None]:
    """Turn what a damaged file raises anywhere into a ModelError of one line."""
    try:
        yield
    except BROKEN as error:
        raise ModelError(
            f"{name}: is damaged, or not as the ONNX standard has it ({first_line(error)}); export it again"
        ) from None


def require_onnx() -> Any:
    """Return the onnx package, or say in one line that it is missing."""
    try:
        import onnx
        import onnx.helper
        import onnx.numpy_helper
        import onnx.reference
    except ImportError:
        raise ModelError(
            "importing ONNX needs the package 'onnx', which is not installed; pip install 'rtvoice[onnx]'"
        ) from None
    return onnx


def read(src: str | os.PathLike[str] | bytes) -> Source:
    """Read a file or its bytes; ModelError where it is no usable ONNX model."""
    onnx = require_onnx()
    model, name, digest = _load(onnx, src)
    with damage_of(name):
        return _read(onnx, model, name, digest)


def _read(onnx: Any, model: Any, name: str, digest: str) -> Source:
    opset = _opset(model, name)
    if model.functions:
        model = inlined(model, name)
    strip_metadata(model)
    graph = model.graph
    if graph.sparse_initializer:
        raise ModelError(f"{name}: has sparse initialisers; store the weights densely")
    if not graph.node:
        raise ModelError(f"{name}: the graph has no nodes; export it again")
    if any(item.data_location == onnx.TensorProto.EXTERNAL for item in graph.initializer):
        raise ModelError(f"{name}: keeps its weights in another file; give the path of the .onnx file beside it")
    _check_names(graph, name)
    constants = {item.name: _weight(item, name) for item in graph.initializer}
    ports = [_port(onnx, item, name) for item in graph.input if item.name not in constants]
    producer = " ".join(part for part in (model.producer_name, model.producer_version) if part)
    provenance = {
        "source": name,
        "sha256": digest,
        "format": "onnx",
        "opset": opset,
        "producer": producer or "unknown",
        "exporter": "dynamo" if any(node.name.startswith("node_") for node in graph.node) else "other",
    }
    results = [_port(onnx, item, name) for item in graph.output]
    return Source(model, opset, constants, ports, [item.name for item in graph.output], provenance, results)


def _check_names(graph: Any, name: str) -> None:
    """Refuse a file in which a name is written twice: which of the two is meant, no reader can tell."""
    graphs = [graph]
    while graphs:
        graph = graphs.pop()
        given = {item.name for item in (*graph.input, *graph.initializer)}
        for node in graph.node:
            if not node.output:
                raise ModelError(
                    f"{name}: {node.op_type} '{node.name}' makes nothing; the file is damaged, export it again"
                )
            for output in node.output:
                if output and output in given:
                    raise ModelError(
                        f"{name}: {node.op_type} '{node.name}' writes '{output}', which something else makes already; "
                        "the file is damaged, export it again"
                    )
                given.add(output)
            graphs.extend(attribute.g for attribute in node.attribute if attribute.HasField("g"))


def _weight(tensor: Any, name: str) -> Array:
    try:
        return to_array(tensor)
    except BROKEN as error:
        raise ModelError(
            f"{name}: the weight '{tensor.name}' is damaged, or of a type that is not known ({first_line(error)}); "
            "export it again"
        ) from None


def to_array(tensor: Any) -> Array:
    """Return a TensorProto as an array."""
    array: Array = np.asarray(require_onnx().numpy_helper.to_array(tensor))
    return array


def strip_metadata(model: Any) -> None:
    """Remove names of source files, code lines and notes; exporters leave them at every node."""
    model.doc_string = ""
    del model.metadata_props[:]
    graphs = [model.graph]
    while graphs:
        graph = graphs.pop()
        graph.doc_string = ""
        del graph.metadata_props[:]
        for item in (*graph.node, *graph.initializer, *graph.value_info, *graph.input, *graph.output):
            item.doc_string = ""
            if hasattr(item, "metadata_props"):
                del item.metadata_props[:]
        graphs.extend(attribute.g for node in graph.node for attribute in node.attribute if attribute.HasField("g"))


def _load(onnx: Any, src: str | os.PathLike[str] | bytes) -> tuple[Any, str, str]:
    if isinstance(src, (bytes, bytearray, memoryview)):
        data, name, folder = bytes(src), "model.onnx", None
    else:
        path = Path(src)
        name, folder = path.name, path.parent
        try:
            data = path.read_bytes()
        except OSError as error:
            raise ModelError(f"{path}: cannot be read ({error.strerror}); give the path of an .onnx file") from None
    digest = hashlib.sha256(data).hexdigest()
    other, text = what_else(data), as_text(data)
    if other or text:
        raise ModelError(
            f"{name}: " + (other or f"is a text ({text!r}...), not a model; give the path of an .onnx file")
        )
    try:
        model = onnx.load_from_string(data)
    except Exception as error:  # protobuf and onnx raise types of their own
        raise ModelError(
            f"{name}: is no ONNX model, or was cut or damaged ({first_line(error)}); fetch or export it again"
        ) from None
    if not model.HasField("graph"):
        raise ModelError(f"{name}: is no ONNX model (it has no graph); give the path of an .onnx file")
    if folder is not None:
        _load_external(onnx, model, name, folder)
    return model, name, digest


def _load_external(onnx: Any, model: Any, name: str, folder: Path) -> None:
    """Read the weights that a model keeps in other files, which must lie beside it, as long as it says."""
    for tensor in model.graph.initializer:
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        told = {entry.key: entry.value for entry in tensor.external_data}
        where = told.get("location", "")
        try:
            size = (folder / where).stat().st_size if where else 0
        except (OSError, ValueError):
            raise ModelError(
                f"{name}: keeps its weights in {where[:100]!r}, which is not beside it; put it there, or save the "
                "model with its weights inside (onnx.save without external data)"
            ) from None
        count = [int(told[key]) if str(told.get(key, "")).isdigit() else 0 for key in ("offset", "length")]
        if sum(count) > size:
            raise ModelError(
                f"{name}: reads {sum(count)} bytes of {where[:100]!r}, which has {size}; it was cut, fetch or export "
                "both files again"
            )
    try:
        onnx.load_external_data_for_model(model, str(folder))
    except Exception as error:
        raise ModelError(
            f"{name}: its weights in other files cannot be read ({first_line(error)}); save the model with its weights "
            "inside (onnx.save without external data)"
        ) from None


def _opset(model: Any, name: str) -> int:
    versions = [int(item.version) for item in model.opset_import if item.domain in _STANDARD]
    if not versions:
        raise ModelError(f"{name}: names no ONNX opset; export it again with opset {OLDEST_OPSET} to {NEWEST_OPSET}")
    if not OLDEST_OPSET <= versions[0] <= NEWEST_OPSET:
        raise ModelError(
            f"{name}: is of opset {versions[0]}; export it again with opset {OLDEST_OPSET} to {NEWEST_OPSET}"
        )
    return versions[0]


def _port(onnx: Any, item: Any, name: str) -> Port:
    tensor = item.type.tensor_type
    if tensor.elem_type == onnx.TensorProto.BFLOAT16:
        raise ModelError(f"{name}: '{item.name}' is in bfloat16, and a stream's numbers are float32; {BFLOAT16[1]}")
    floats = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE)
    floating = item.type.HasField("tensor_type") and tensor.elem_type in floats
    if not tensor.HasField("shape"):
        return Port(item.name, None, floating, tensor.elem_type == onnx.TensorProto.DOUBLE)
    dims = [int(dim.dim_value) if dim.HasField("dim_value") and dim.dim_value > 0 else None for dim in tensor.shape.dim]
    return Port(item.name, tuple(dims), floating, tensor.elem_type == onnx.TensorProto.DOUBLE)
