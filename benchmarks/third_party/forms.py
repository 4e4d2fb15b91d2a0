"""Third-party ONNX files as onnxruntime streams them fastest: one frame a call, every state an input and an output.

The native contender (benchmarks/native) swaps inputs called `state_*` with outputs called `next_*` and copies nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def one_frame(
    model: Any, shapes: Mapping[str, tuple[int, ...]], states: Mapping[str, str], constants: Mapping[str, Any]
) -> bytes:
    """Fix the shapes of a model that is given its states, and rename those.

    Parameters
    ----------
    model
        An ONNX model; it is changed.
    shapes
        Of the inputs, by name.
    states
        Inputs that are states -> the outputs that set them.
    constants
        Inputs that become constants.
    """
    graph = model.graph
    for name, value in constants.items():
        graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    kept = [item for item in graph.input if item.name not in constants]
    del graph.input[:]
    names: dict[str, str] = {}
    for place, (before, after) in enumerate(states.items()):
        names[before], names[after] = f"state_{place}", f"next_{place}"
    for item in kept:
        shape = shapes[item.name]
        graph.input.append(helper.make_tensor_value_info(names.get(item.name, item.name), TensorProto.FLOAT, shape))
    _rename(graph, names)
    sizes = {f"next_{place}": shapes[before] for place, before in enumerate(states)}
    for item in graph.output:
        item.name = names.get(item.name, item.name)
    return _with_outputs(model, sizes)


def _rename(graph: Any, names: Mapping[str, str]) -> None:
    """Rename values, in the branches of conditions as well."""
    for node in graph.node:
        for field in (node.input, node.output):
            for index, name in enumerate(field):
                field[index] = names.get(name, name)
        for attribute in node.attribute:
            if attribute.HasField("g"):
                _rename(attribute.g, names)


def with_states(model: Any, shapes: Mapping[str, tuple[int, ...]]) -> bytes:
    """Let a model of whole recordings run on one frame: padding in front becomes a buffer, GRUs keep their state.

    Parameters
    ----------
    model
        An ONNX model; it is changed.
    shapes
        Of its inputs for one frame.
    """
    graph = model.graph
    known = _values(model, shapes)
    sizes: dict[str, tuple[int, ...]] = {}
    made: list[Any] = []
    count = 0
    for node in graph.node:
        if node.op_type == "Pad":
            pads = known[node.input[1]]
            rank = len(pads) // 2
            (axis,) = np.flatnonzero(pads)
            assert axis < rank, "padding behind a frame"
            shape = list(_shape(known, node.input[0]))
            shape[axis] = int(pads[axis])
            state, after = f"state_{count}", f"next_{count}"
            graph.input.append(helper.make_tensor_value_info(state, TensorProto.FLOAT, shape))
            made.append(helper.make_node("Concat", [state, node.input[0]], [node.output[0]], axis=int(axis)))
            start, stop, along = (f"{after}_{part}" for part in ("start", "stop", "axis"))
            for name, number in ((start, -int(pads[axis])), (stop, 2**31), (along, int(axis))):
                graph.initializer.append(numpy_helper.from_array(np.array([number], np.int64), name))
            made.append(helper.make_node("Slice", [node.output[0], start, stop, along], [after]))
            sizes[after] = tuple(shape)
            count += 1
        elif node.op_type == "GRU":
            state, after = f"state_{count}", f"next_{count}"
            shape = [1, 1, helper.get_node_attr_value(node, "hidden_size")]
            graph.input.append(helper.make_tensor_value_info(state, TensorProto.FLOAT, shape))
            node.input[5] = state
            while len(node.output) < 2:
                node.output.append("")
            node.output[1] = after
            made.append(node)
            sizes[after] = tuple(shape)
            count += 1
        else:
            made.append(node)
    copies = [helper.make_node(node.op_type, [], []) for node in made]
    for copy, node in zip(copies, made, strict=True):
        copy.CopyFrom(node)
    del graph.node[:]
    graph.node.extend(copies)
    for item in graph.input:
        if item.name in shapes:
            item.CopyFrom(helper.make_tensor_value_info(item.name, TensorProto.FLOAT, shapes[item.name]))
    for name in sizes:
        graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, sizes[name]))
    return _with_outputs(model, sizes)


def _values(model: Any, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """Return every value of one run on zeros."""
    from onnx.reference import ReferenceEvaluator

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    named = [name for node in copy.graph.node for name in node.output if name]
    del copy.graph.output[:]
    copy.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in named)
    feeds = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    found = dict(zip(named, ReferenceEvaluator(copy).run(None, feeds), strict=True))
    return {**found, **feeds}


def _shape(known: Mapping[str, Any], name: str) -> tuple[int, ...]:
    return tuple(np.shape(known[name]))


def _with_outputs(model: Any, sizes: Mapping[str, tuple[int, ...]]) -> bytes:
    """Give every output a fixed shape: the contender binds memory of its own."""
    import onnxruntime

    for item in model.graph.output:
        if item.name in sizes:
            item.CopyFrom(helper.make_tensor_value_info(item.name, TensorProto.FLOAT, sizes[item.name]))
        else:
            item.type.tensor_type.ClearField("shape")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    feeds = {item.name: np.zeros(item.shape, np.float32) for item in session.get_inputs()}
    names = [item.name for item in model.graph.output]
    for item, array in zip(model.graph.output, session.run(names, feeds), strict=True):
        item.CopyFrom(helper.make_tensor_value_info(item.name, TensorProto.FLOAT, array.shape))
    return bytes(model.SerializeToString())
