"""Small ONNX models, written node by node, and what to ask of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

try:
    import onnx
    import onnxruntime  # noqa: F401

    MISSING = ""
except ImportError as error:
    MISSING = f"{error.name} is not installed (the extra 'onnx'): imports are not tested"

HERE = Path(__file__).parent
RATE = 16_000


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if MISSING:
        for item in items:
            if HERE in item.path.parents:
                item.add_marker(pytest.mark.skip(reason=MISSING))


class Net:
    """Writes an ONNX graph: `net("Conv", x, weight, pads=[2, 0])` adds a node and returns its output's name.

    Arrays become initialisers; a list of names is returned where `outputs` asks for several.
    """

    def __init__(self, opset: int = 17, shape: tuple[Any, ...] = (1, 1, "T"), dtype: Any = np.float32) -> None:
        self.opset = opset
        self.dtype = dtype
        self.rng = np.random.default_rng(7)
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self.inputs: list[Any] = []
        self.x = self.input("x", shape)

    def input(self, name: str, shape: tuple[Any, ...] | None, dtype: Any = None) -> str:
        kind = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype or self.dtype))
        self.inputs.append(onnx.helper.make_tensor_value_info(name, kind, shape))
        return name

    def array(self, value: Any, name: str = "") -> str:
        value = np.asarray(value)
        name = name or f"w{len(self.initializers)}"
        self.initializers.append(onnx.numpy_helper.from_array(value, name))
        return name

    def ints(self, *values: int) -> np.ndarray:
        return np.array(values, np.int64)

    def random(self, *shape: int, scale: float = 0.5) -> np.ndarray:
        return (self.rng.normal(size=shape) * scale).astype(self.dtype)

    def __call__(self, op: str, *inputs: Any, outputs: int = 1, name: str = "", domain: str = "", **attrs: Any) -> Any:
        names = [item if isinstance(item, str) else self.array(item) for item in inputs]
        made = [f"t{len(self.nodes)}_{index}" for index in range(outputs)]
        self.nodes.append(onnx.helper.make_node(op, names, made, name=name, domain=domain, **attrs))
        return made[0] if outputs == 1 else made

    def conv(self, x: str, channels_in: int, channels_out: int, taps: int = 1, **attrs: Any) -> str:
        inputs = channels_in // attrs.get("group", 1)
        weight = self.random(channels_out, inputs, taps, scale=1.2 / np.sqrt(taps * inputs))
        return str(self("Conv", x, weight, self.random(channels_out, scale=0.1), **attrs))

    def wide(self, channels: int = 6) -> str:
        """Bring the input to some channels."""
        return self.conv(self.x, 1, channels, 3, pads=[2, 0])

    def narrow(self, x: str, channels: int = 6) -> str:
        """Bring channels to the audio output."""
        return self.conv(x, channels, 1)

    def model(self, *outputs: str) -> bytes:
        kind = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(self.dtype))
        infos = [onnx.helper.make_tensor_value_info(name, kind, None) for name in outputs]
        graph = onnx.helper.make_graph(self.nodes, "net", self.inputs, infos, self.initializers)
        opsets = [onnx.helper.make_opsetid("", self.opset), onnx.helper.make_opsetid("com.microsoft", 1)]
        model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8)
        return bytes(model.SerializeToString())


@pytest.fixture
def net() -> Net:
    return Net()


@pytest.fixture(scope="session")
def make_net() -> type[Net]:
    return Net


@pytest.fixture
def imported() -> Callable[..., Any]:
    """Import a model through the whole gate; returns its report."""
    from rtvoice.export import import_with_report

    def run(model: bytes, **options: Any) -> Any:
        report = import_with_report(model, sample_rate=RATE, **options)[1]
        assert report.parity is not None and report.parity["passed"]
        assert report.parity["against"].startswith("model.onnx by onnx")
        return report

    return run


@pytest.fixture
def refused() -> Callable[..., str]:
    """Import a model that must be refused; returns the message."""
    from rtvoice import ModelError
    from rtvoice.export import import_model

    def run(model: bytes, **options: Any) -> str:
        with pytest.raises(ModelError) as caught:
            import_model(model, sample_rate=RATE, **options)
        message = str(caught.value)
        assert "\n" not in message
        return message

    return run
