"""Reading a `.rtv` model file into a graph, through the same checks as the builder's."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from . import ops, safetensors_io
from .errors import ModelError
from .graph import Graph, GraphBuilder, Tensor, check_name
from .safetensors_io import Array

__all__ = ["load_graph", "parse_graph"]


def load_graph(path: str | os.PathLike[str]) -> Graph:
    """Read the graph of a model file; ModelError where it is damaged or unsupported."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ModelError(f"file {os.fspath(path)!r}: {error.strerror or error}; check the path") from None
    return parse_graph(data)


def parse_graph(data: bytes) -> Graph:
    """Read the graph of a model file's bytes; ModelError where it is damaged or unsupported."""
    tensors, metadata = safetensors_io.read(data)
    if "rtvoice" not in metadata:
        raise ModelError("header: __metadata__ has no 'rtvoice'; this is no model of rtvoice, try 'rtvoice import'")
    document = safetensors_io.parse_json(metadata["rtvoice"], "rtvoice")
    try:
        return _rebuild(document, tensors)
    except (ValueError, OverflowError) as error:  # overflow: an integer beyond any float
        raise ModelError(str(error)) from None


_OPTIONAL_KEYS = ("loudness", "description", "start", "prewarm", "latency", "provenance")
_METADATA_KEYS = ("name", "sample_rate", "hop", "tier", "licence", *_OPTIONAL_KEYS)


def _rebuild(document: dict[str, Any], tensors: dict[str, Array]) -> Graph:
    required = [key for key in _METADATA_KEYS if key not in _OPTIONAL_KEYS]
    _object("rtvoice", document, ["format", *required, "graph"], [*_OPTIONAL_KEYS, "parameters"])
    if type(document["format"]) is not int or document["format"] != 1:
        raise ModelError(f"format is {document['format']!r}; this version reads format 1, update rtvoice")
    for key in _OPTIONAL_KEYS:
        if key != "loudness" and key in document and document[key] is None:
            raise ModelError(f"rtvoice: {key!r} is null; leave it out")
    options = {key: document[key] for key in _METADATA_KEYS if key in document}
    builder = GraphBuilder(**options)
    graph = document["graph"]
    _object("graph", graph, ["inputs", "outputs", "nodes"], [])
    inputs, outputs, nodes = (_array(f"graph.{key}", graph[key]) for key in ("inputs", "outputs", "nodes"))
    if len(inputs) != 1:
        raise ModelError(f"graph.inputs has {len(inputs)} entries; it must have exactly one")
    _object("graph.inputs[0]", inputs[0], ["name", "tensor", "kind", "channels"], [])
    if inputs[0]["kind"] != "audio" or type(inputs[0]["channels"]) is not int or inputs[0]["channels"] != 1:
        raise ModelError("graph.inputs[0]: must be of kind 'audio' with 1 channel")
    check_name("input", inputs[0]["name"])
    values = {inputs[0]["tensor"]: builder.input(inputs[0]["tensor"])}
    for item in _array("parameters", document.get("parameters", [])):
        _object("parameter", item, ["name", "size", "default", "min", "max"], ["smoothing_ms", "description"])
        if not isinstance(item["default"], list) or len(item["default"]) != item["size"]:
            raise ModelError(f"parameter {item['name']!r}: default must be an array of {item['size']} numbers")
        if any(type(value) not in (int, float) for value in item["default"]):
            raise ModelError(f"parameter {item['name']!r}: default must hold numbers only")
        values[item["name"]] = builder.parameter(**item)
    for item in nodes:
        _object("node", item, ["op", "name", "inputs"], ["attrs", "weights"])
        values[item["name"]] = _rebuild_node(builder, item, values, tensors)
    if tensors:
        raise ModelError(f"tensor {sorted(tensors)[0]!r}: no node uses it; remove it from the file")
    for item in outputs:
        _object("output", item, ["name", "tensor", "kind"], [])
        if not isinstance(item["tensor"], str) or item["tensor"] not in values:
            raise ModelError(f"output {item['name']!r}: there is no tensor {item['tensor']!r}")
        builder.output(values[item["tensor"]], item["name"], item["kind"])
    return builder.graph()


def _rebuild_node(
    builder: GraphBuilder, item: dict[str, Any], values: Mapping[str, Tensor], tensors: dict[str, Array]
) -> Tensor:
    place = f"node {item['name']!r}"
    check_name("node", item["name"])
    row = ops.spec(item["op"])
    read = []
    for name in _array(f"{place}: inputs", item["inputs"]):
        if not isinstance(name, str) or name not in values:
            raise ModelError(f"{place}: input {name!r} is not the audio input, a parameter or an earlier node")
        read.append(values[name])
    attrs, weights = item.get("attrs", {}), item.get("weights", {})
    for what, value in (("attrs", attrs), ("weights", weights)):
        if not isinstance(value, dict):
            raise ModelError(f"{place}: {what} must be an object")
    options: dict[str, Any] = {}
    for role, tensor in weights.items():
        if role not in (weight.role for weight in row.weights):
            raise ModelError(f"{place}: {item['op']} has no weight {role!r}")
        if not isinstance(tensor, str) or tensor not in tensors:
            raise ModelError(f"{place}: weight {role!r} names tensor {tensor!r}, which is missing or used already")
        options[role] = tensors.pop(tensor)
    for key, value in attrs.items():
        if key not in row.attrs:
            raise ModelError(f"{place}: {item['op']} has no attribute {key!r}")
        if value is None or isinstance(value, (str, bool, int, float, list)):
            options[key] = value
        else:
            raise ModelError(f"{place}: attribute {key!r} is {value!r}")
    return builder.node(item["op"], *read, name=item["name"], **options)


def _object(place: str, value: Any, required: Sequence[str], optional: Sequence[str]) -> None:
    if not isinstance(value, dict):
        raise ModelError(f"{place}: must be a JSON object")
    for key in required:
        if key not in value:
            raise ModelError(f"{place}: {key!r} is missing")
    for key in value:
        if key not in required and key not in optional:
            raise ModelError(f"{place}: unknown key {key!r}; remove it or update rtvoice")


def _array(place: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ModelError(f"{place}: must be a JSON array")
    return value
