"""Resize along another axis than time, as along frequency in the decoder of a U-Net: sums of picked channels.

What it gives is, along each axis for itself, a fixed matrix times what it reads. The matrix is what the operator's own
reference implementation makes of single ones.
"""

from __future__ import annotations

import numpy as np

from .ir import Array
from .source import require_onnx
from .values import Stream, fresh
from .walk import Call

_MOST_TAPS = 16
_OWN = ("axes", "keep_aspect_ratio_policy")  # the rest of the operator's attributes says how to interpolate


def resized(call: Call, stream: Stream, axis: int, factor: float, size: int) -> Stream:
    """Return a stream with another size along `axis`, which is not time."""
    matrix = _matrix(call, int(stream.index.shape[axis]), factor, size)
    taps = int(np.count_nonzero(matrix, axis=1).max(initial=1))
    if taps > _MOST_TAPS:
        call.refuse(f"gathers {taps} values into one", "resize by a smaller factor, or by a convolution with a stride")
    order = np.argsort(matrix == 0, axis=1, kind="stable")[:, :taps]
    shape = [1] * stream.rank
    shape[axis] = len(matrix)
    lengths, time = stream.lengths, stream.time
    if taps == 1 and (matrix.max(axis=1) == 1).all():
        return Stream(stream.node, np.take(stream.index, order[:, 0], axis=axis), time, lengths)
    total = None
    for tap in range(taps):
        places = order[:, tap]
        index = np.take(stream.index, places, axis=axis)
        scale = np.broadcast_to(np.take_along_axis(matrix, places[:, None], axis=1).reshape(shape), index.shape).ravel()
        part = call.emit.affine(call.emit.take(stream.node, index), scale=scale.copy())
        total = part if total is None else call.emit.node("add", total, part)
    assert total is not None
    full = [int(count) for count in stream.index.shape]
    full[axis] = len(matrix)
    return fresh(total, tuple(full), time, lengths)


def _matrix(call: Call, count: int, factor: float, size: int) -> Array:
    """Return what the operator does along an axis of `count` values, `(size, count)`."""
    onnx = require_onnx()
    helper, types = onnx.helper, onnx.TensorProto
    if call.op == "Resize":
        attributes = {
            item.name: helper.get_attribute_value(item) for item in call.proto.attribute if item.name not in _OWN
        }
    else:
        attributes = {"mode": call.attr("mode", "nearest"), "coordinate_transformation_mode": "asymmetric"}
        attributes["nearest_mode"] = "floor"
    if "crop" in str(attributes.get("coordinate_transformation_mode", "")):
        call.refuse("crops while it resizes", "slice before it")
    scales = call.op != "Resize" or call.has(2) and not call.has(3)
    inputs = ["x", "", "scales"] if scales else ["x", "", "", "sizes"]
    given = (
        helper.make_tensor("scales", types.FLOAT, [2], [1.0, factor])
        if scales
        else helper.make_tensor("sizes", types.INT64, [2], [count, size])
    )
    graph = helper.make_graph(
        [helper.make_node("Resize", inputs, ["y"], **attributes)],
        "resize",
        [helper.make_tensor_value_info("x", types.DOUBLE, [count, count])],
        [helper.make_tensor_value_info("y", types.DOUBLE, None)],
        [given],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    found = onnx.reference.ReferenceEvaluator(model).run(None, {"x": np.eye(count)})[0]
    return np.asarray(found, np.float64).T
