"""Other engines that PyPI offers, driven from Python; one that is not installed, or cannot take a network, says why.

Their times are of the whole process, so that no thread's work is left out, and include their Python binding: a few
microseconds, which `binding_us` of the results tells from a network that only copies its input.
"""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from onnx_form import logical, physical, to_onnx
from rtvoice.graph import Graph
from streaming import Ports, Unsupported

F32 = NDArray[np.float32]
_KEPT: list[
    Any
] = []  # OpenVINO 2026.4 crashes when its objects are destroyed: they live until the process ends at once


_EXPORT_NODES = 60


class OtherEngine(Protocol):
    ports: Ports

    def feed(self, inputs: list[F32]) -> list[F32]: ...
    def time(self, repeats: int) -> float: ...
    def close(self) -> None: ...


class _Timed:
    """Times `run` in CPU time of the whole process, after three untimed hops."""

    ports: Ports

    def run(self) -> None:
        raise NotImplementedError

    def time(self, repeats: int) -> float:
        for _ in range(3):
            self.run()
        begin = time.process_time_ns()
        for _ in range(repeats):
            self.run()
        return (time.process_time_ns() - begin) / 1000.0 / repeats

    def close(self) -> None:
        return


class Torch(_Timed):
    """PyTorch, eager, `inference_mode`."""

    def __init__(self, graph: Graph, stem: Path) -> None:
        from torch_form import TorchStream

        self.stream = TorchStream(graph)
        self.ports = self.stream.ports

    def run(self) -> None:
        self.stream.run()

    def feed(self, inputs: list[F32]) -> list[F32]:
        return self.stream.feed(inputs)


class _FromOnnx(_Timed):
    """What reads an ONNX file: rank-3 form."""

    form = "conv"

    def __init__(self, graph: Graph, stem: Path) -> None:
        data, self.ports = to_onnx(graph, self.form)
        self.file = stem.with_suffix(f".{type(self).__name__.lower()}.onnx")
        self.file.write_bytes(data)

    def _physical(self, inputs: list[F32]) -> list[F32]:
        shaped = []
        for rows in inputs:
            flat = physical(rows, self.form)
            shape = (1, flat.shape[0], 1, flat.shape[1]) if self.form == "conv2d" else (1, *flat.shape)
            shaped.append(np.ascontiguousarray(flat.reshape(shape), np.float32))
        return shaped

    def _logical(self, outputs: list[Any]) -> list[F32]:
        return [
            logical(np.asarray(out, np.float32).ravel(), channels, frames, self.form).copy()
            for out, (channels, frames) in zip(outputs, self.ports.outputs, strict=True)
        ]


class OpenVino(_FromOnnx):
    """OpenVINO, float32, one thread, one stream; states swap places between two requests without a copy."""

    def __init__(self, graph: Graph, stem: Path) -> None:
        import openvino as ov

        super().__init__(graph, stem)
        core = ov.Core()
        compiled = core.compile_model(
            core.read_model(str(self.file)),
            "CPU",
            {
                "INFERENCE_NUM_THREADS": 1,
                "NUM_STREAMS": 1,
                "PERFORMANCE_HINT": "LATENCY",
                "INFERENCE_PRECISION_HINT": "f32",
                "ENABLE_CPU_PINNING": False,
            },
        )
        self.requests = [compiled.create_infer_request() for _ in range(2)]
        _KEPT.extend((core, compiled, *self.requests))

        def tensor(shape: tuple[int, ...]) -> Any:
            made = ov.Tensor(ov.Type.f32, ov.Shape(shape))
            made.data[...] = 0.0
            _KEPT.append(made)
            return made

        shapes = {port.get_any_name(): tuple(port.shape) for port in compiled.inputs}
        out_shapes = {port.get_any_name(): tuple(port.shape) for port in compiled.outputs}
        states = {
            name: [tensor(shape) for _ in range(2)] for name, shape in shapes.items() if name.startswith("state_")
        }
        self.inputs = {name: tensor(shape) for name, shape in shapes.items() if name not in states}
        self.outputs = {name: tensor(shape) for name, shape in out_shapes.items() if not name.startswith("next_")}
        for turn, request in enumerate(self.requests):
            for name in shapes:
                request.set_tensor(name, states[name][turn] if name in states else self.inputs[name])
            for name in out_shapes:
                state = "state_" + name.removeprefix("next_")
                request.set_tensor(name, states[state][turn ^ 1] if state in states else self.outputs[name])
        self.turn = 0

    def run(self) -> None:
        request = self.requests[self.turn]
        request.start_async()
        request.wait()
        self.turn ^= 1

    def feed(self, inputs: list[F32]) -> list[F32]:
        for held, rows in zip(self.inputs.values(), self._physical(inputs), strict=True):
            held.data[...] = rows
        self.run()
        return self._logical([held.data for held in self.outputs.values()])


class Tract(_FromOnnx):
    """tract, optimised; states are handed from a run's outputs to the next one's inputs."""

    def __init__(self, graph: Graph, stem: Path) -> None:
        import tract

        super().__init__(graph, stem)
        model = tract.onnx().load(str(self.file))
        self.runnable = (
            model.into_model().into_runnable() if hasattr(model, "into_model") else model.into_tract().into_runnable()
        )
        import onnx

        proto = onnx.load(str(self.file)).graph
        self.names_in = [value.name for value in proto.input]
        self.names_out = [value.name for value in proto.output]
        self.values: dict[str, Any] = {
            value.name: np.zeros([d.dim_value for d in value.type.tensor_type.shape.dim], np.float32)
            for value in proto.input
        }
        self.results: list[Any] = []

    def run(self) -> None:
        self.results = self.runnable.run([self.values[name] for name in self.names_in])
        for name, result in zip(self.names_out, self.results, strict=True):
            if name.startswith("next_"):
                self.values["state_" + name[5:]] = result

    def feed(self, inputs: list[F32]) -> list[F32]:
        names = [name for name in self.names_in if not name.startswith("state_")]
        for name, rows in zip(names, self._physical(inputs), strict=True):
            self.values[name] = rows
        self.run()
        out = [
            result.to_numpy()
            for name, result in zip(self.names_out, self.results, strict=True)
            if not name.startswith("next_")
        ]
        return self._logical(out)


class Ncnn(_FromOnnx):
    """ncnn, float32, one thread, its file made by pnnx; an extract's result is the next hop's input."""

    def __init__(self, graph: Graph, stem: Path) -> None:
        import ncnn
        import onnx
        import pnnx

        if any(node.op in ("gru", "lstm") for node in graph.nodes):  # version 1.0.20261020
            raise Unsupported("ncnn fails, or crashes, on a recurrent layer whose state is an input")
        super().__init__(graph, stem)
        folder = stem.parent / f"{stem.name}.ncnn"
        folder.mkdir(exist_ok=True)
        file = folder / "m.onnx"
        file.write_bytes(self.file.read_bytes())
        made = subprocess.run(
            [pnnx.EXEC_PATH, file.name, "fp16=0"], cwd=folder, capture_output=True, text=True, check=False
        )
        if not (folder / "m.ncnn.bin").is_file():
            raise RuntimeError(f"pnnx makes no ncnn file of it: {(made.stderr or made.stdout).strip()[-200:]}")
        self.ncnn, self.net = ncnn, ncnn.Net()
        options = self.net.opt
        options.num_threads, options.use_vulkan_compute = 1, False
        options.use_fp16_packed = options.use_fp16_storage = options.use_fp16_arithmetic = options.use_bf16_storage = (
            False
        )
        if (
            self.net.load_param(str(folder / "m.ncnn.param")) != 0
            or self.net.load_model(str(folder / "m.ncnn.bin")) != 0
        ):
            raise RuntimeError("ncnn cannot load what pnnx made")
        proto = onnx.load(str(file)).graph
        self.names_in = [value.name for value in proto.input]
        self.names_out = [value.name for value in proto.output]
        if len(self.net.input_names()) != len(self.names_in) or len(self.net.output_names()) != len(self.names_out):
            raise RuntimeError("pnnx lost inputs or outputs on the way")
        self.values: dict[str, Any] = {}
        for value in proto.input:
            self._set(value.name, np.zeros([d.dim_value for d in value.type.tensor_type.shape.dim], np.float32))
        self.results: dict[str, Any] = {}

    def _set(self, name: str, array: F32) -> None:
        self.values[name] = self.ncnn.Mat(array, batch_index=0).clone()

    def run(self) -> None:
        extractor = self.net.create_extractor()
        for i, name in enumerate(self.names_in):
            extractor.input(f"in{i}", self.values[name])
        for i, name in enumerate(self.names_out):
            status, self.results[name] = extractor.extract(f"out{i}")
            if status != 0:
                raise RuntimeError(f"ncnn cannot compute {name}")
        for name, result in self.results.items():
            if name.startswith("next_"):
                self.values["state_" + name[5:]] = result

    def feed(self, inputs: list[F32]) -> list[F32]:
        names = [name for name in self.names_in if not name.startswith("state_")]
        for name, rows in zip(names, self._physical(inputs), strict=True):
            self._set(name, rows)
        self.run()
        return self._logical([np.array(mat) for name, mat in self.results.items() if not name.startswith("next_")])


class ExecuTorch(_Timed):
    """ExecuTorch with its XNNPACK delegate; states are handed from a run's outputs to the next one's inputs."""

    def __init__(self, graph: Graph, stem: Path) -> None:
        import torch
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
        from executorch.exir import to_edge_transform_and_lower
        from executorch.runtime import Runtime

        from torch_form import TorchStream

        if len(graph.nodes) > _EXPORT_NODES:
            raise Unsupported(f"left out: exporting more than {_EXPORT_NODES} nodes takes minutes")
        stream = TorchStream(graph)
        self.ports = stream.ports
        module = stream.as_module()
        self.inputs = [stream.values[slot] for slot in stream.input_slots]
        self.states = [stream.values[state] for state, _ in stream.kept]
        with torch.no_grad():
            exported = torch.export.export(module, (*self.inputs, *self.states))
            program = to_edge_transform_and_lower(exported, partitioner=[XnnpackPartitioner()]).to_executorch()
        self.program = Runtime.get().load_program(program.buffer)
        self.method = self.program.load_method("forward")
        self.outputs: list[Any] = []

    def run(self) -> None:
        results = self.method.execute([*self.inputs, *self.states])
        self.outputs = results[: len(self.ports.outputs)]
        self.states = [state.clone() for state in results[len(self.ports.outputs) :]]

    def feed(self, inputs: list[F32]) -> list[F32]:
        import torch

        self.inputs = [torch.from_numpy(np.ascontiguousarray(rows.T)[None]) for rows in inputs]
        self.run()
        return [out[0].numpy().T.copy() for out in self.outputs]


class LiteRt(_Timed):
    """LiteRT with its XNNPACK delegate, one thread, its file made by litert-torch; states are copied between hops."""

    def __init__(self, graph: Graph, stem: Path) -> None:
        import litert_torch
        import torch
        from ai_edge_litert.interpreter import Interpreter

        from torch_form import TorchStream

        if len(graph.nodes) > _EXPORT_NODES:
            raise Unsupported(f"left out: exporting more than {_EXPORT_NODES} nodes takes minutes")
        stream = TorchStream(graph)
        self.ports = stream.ports
        given = [stream.values[slot] for slot in (*stream.input_slots, *(state for state, _ in stream.kept))]
        file = stem.with_suffix(".tflite")
        with torch.no_grad():
            litert_torch.convert(stream.as_module(), tuple(given)).export(str(file))
        self.interpreter = Interpreter(str(file), num_threads=1)
        self.interpreter.allocate_tensors()
        self.into = self._by_number(self.interpreter.get_input_details(), "args_")
        self.out_of = self._by_number(self.interpreter.get_output_details(), "output_")
        for index, value in zip(self.into, given, strict=True):
            self.interpreter.set_tensor(index, value.numpy())

    @staticmethod
    def _by_number(details: list[Any], word: str) -> list[int]:
        """Return the tensors' indices in the order of the traced arguments; their names hold it."""
        return [d["index"] for d in sorted(details, key=lambda d: int(d["name"].split(word)[1].split("_")[0]))]

    def run(self) -> None:
        self.interpreter.invoke()
        count = len(self.ports.outputs)
        for source, target in zip(self.out_of[count:], self.into[len(self.ports.inputs) :], strict=True):
            np.copyto(self.interpreter.tensor(target)(), self.interpreter.tensor(source)())

    def feed(self, inputs: list[F32]) -> list[F32]:
        for index, rows in zip(self.into, inputs, strict=False):
            self.interpreter.set_tensor(index, np.ascontiguousarray(rows.T)[None])
        self.run()
        return [self.interpreter.get_tensor(index)[0].T.copy() for index in self.out_of[: len(self.ports.outputs)]]


ENGINES: dict[str, Any] = {
    "torch": Torch,
    "openvino": OpenVino,
    "tract": Tract,
    "ncnn": Ncnn,
    "executorch": ExecuTorch,
    "litert": LiteRt,
}
