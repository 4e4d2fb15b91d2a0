"""What the ONNX standard asks of a node: how many inputs, and which attributes."""

from __future__ import annotations

from typing import Any

from .source import require_onnx

_WORDS = {
    "auto_pad": (b"NOTSET", b"SAME_UPPER", b"SAME_LOWER", b"VALID"),
    "direction": (b"forward", b"reverse", b"bidirectional", b"LEFT", b"RIGHT"),
}


def complaint(node: Any, opset: int) -> str:
    """Tell what a node of the standard's lacks, by the standard's names; empty where nothing is missing."""
    onnx = require_onnx()
    try:
        schema = onnx.defs.get_schema(node.op_type, opset, "")
    except Exception:  # onnx has a type of its own: no such operator in this opset
        return ""
    formal = onnx.defs.OpSchema.FormalParameterOption
    for index in range(schema.min_input):
        place = min(index, len(schema.inputs) - 1)
        needed = schema.inputs[place].option in (formal.Single, formal.Variadic)
        if needed and (index >= len(node.input) or not node.input[index]):
            return f"has no input '{schema.inputs[place].name}', which the standard asks for"
    given = {attribute.name: attribute for attribute in node.attribute}
    for name, attribute in schema.attributes.items():
        if attribute.required and name not in given:
            return f"has no attribute '{name}', which the standard asks for"
        if name in given and given[name].type != int(attribute.type.value):
            kind = onnx.AttributeProto.AttributeType.Name(given[name].type)
            return f"has an attribute '{name}' of type {kind}, where the standard asks for {attribute.type.name}"
        text = given[name].s if name in given and attribute.type.name == "STRING" else b""
        if name in _WORDS and text and text not in _WORDS[name]:
            return (
                f"has an attribute '{name}' of '{text.decode(errors='replace')[:40]}', which the standard does not know"
            )
    return ""
