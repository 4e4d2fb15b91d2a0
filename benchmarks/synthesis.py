"""Both families of synthesis and the attention network, timed in turns in one run: ``python benchmarks/synthesis.py``.

The WaveNet as it ships draws sample by sample in the engine; the same stack is stepped through onnxruntime, one call
a sample, its state and its steering fed by hand (all times are those of the thread, so that a busy machine does not
count); the parallel student runs hop by hop as it ships, and once more with random weights and as many multiply-adds
as the WaveNet. The network in LLVC's style runs in chunks of 13 ms, here and in torch's streaming loop, each held
against the float64 reference first.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(Path(__file__).resolve().parent / "compare"))

import onnxruntime  # noqa: E402
import torch  # noqa: E402

import networks  # noqa: E402
import rtvoice  # noqa: E402
from onnx_form import FORMS, to_onnx  # noqa: E402
from rtvoice.export.native import write  # noqa: E402
from rtvoice.graph import Graph, GraphBuilder  # noqa: E402
from rtvoice.graph_reader import parse_graph  # noqa: E402
from rtvoice.reference import evaluate  # noqa: E402
from streaming import Unsupported  # noqa: E402
from torch_form import TorchStream  # noqa: E402

F32 = NDArray[np.float32]
RATE, HOP = 16000, 160
BUDGET_US = 1e6 / RATE


class Ours:
    """A model in the engine, in frames of its hop; time in microseconds a sample."""

    def __init__(self, model: rtvoice.Model) -> None:
        self.hop, self.model = model.hop, model
        self.engine = rtvoice.Engine(model, model.sample_rate, max_frame=model.hop, block=model.hop)
        self.signal = (np.random.default_rng(0).standard_normal(model.hop) * 0.05).astype(np.float32)
        self.out = np.empty_like(self.signal)

    def __call__(self) -> float:
        began = time.thread_time()
        for _ in range(4):
            self.engine.process(self.signal, out=self.out)
        return (time.thread_time() - began) * 1e6 / (4 * self.hop)

    def macs(self) -> float:
        """Return multiply-adds a sample."""
        return sum(int(layer["macs"]) for layer in self.model.info["layers"]) / self.hop


def step_graph(graph: Graph) -> Graph:
    """Return a WaveNet's loop as a graph of one sample a hop: what was drawn is the input, steering stands still."""
    loop_begins = next(node for node in graph.nodes if node.op == "recall")
    draw = next(node for node in graph.nodes if node.op == "sample")
    b = GraphBuilder(name="step", sample_rate=RATE, hop=1)
    made = {loop_begins.name: b.input()}
    rng = np.random.default_rng(1)
    inside = {loop_begins.name}
    for node in graph.nodes:
        if not inside.intersection(node.inputs) or node is draw:
            continue
        inside.add(node.name)
        for name in node.inputs:
            if name not in made:  # steering
                size = graph.values[name].channels
                made[name] = b.parameter(
                    name.replace(".", "_"), size=size, default=rng.normal(0, 0.3, size), min=-9, max=9
                )
        wide = {role: np.asarray(array, np.float32) for role, array in node.weights.items()}
        made[node.name] = b.node(node.op, *(made[name] for name in node.inputs), name=node.name, **node.attrs, **wide)
        if draw.inputs[0] == node.name:
            break
    b.output(b.node("slice", made[draw.inputs[0]], start=0, stop=1))
    return b.graph()


class Stepped:
    """The same loop through onnxruntime: one call a sample with its states bound in place; the faster form."""

    def __init__(self, graph: Graph, form: str) -> None:
        data, _ = to_onnx(graph, form)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        self.sets = []
        inputs, outputs = self.session.get_inputs(), self.session.get_outputs()
        held = {
            port.name: onnxruntime.OrtValue.ortvalue_from_numpy(np.zeros(port.shape, np.float32))
            for port in [*inputs, *outputs]
        }
        for turn in range(2):  # what one call writes the next one reads
            binding = self.session.io_binding()
            for port in [*inputs, *outputs]:
                name = port.name
                if turn == 1 and name.startswith("state_"):
                    name = name.replace("state_", "next_")
                elif turn == 1 and name.startswith("next_"):
                    name = name.replace("next_", "state_")
                bind = binding.bind_ortvalue_input if port in inputs else binding.bind_ortvalue_output
                bind(port.name, held[name])
            self.sets.append(binding)
        self.input, self.output = held["x"], held["y0"]

    def step(self, turn: int) -> None:
        self.session.run_with_iobinding(self.sets[turn % 2])

    def check(self, graph: Graph) -> float:
        """Return the largest difference from the reference over 80 samples, of its peak."""
        signal = np.random.default_rng(2).standard_normal(80).astype(np.float32) * 0.1
        wanted = evaluate(graph, signal)[graph.outputs[0].tensor][:, 0]
        got = []
        for turn, sample in enumerate(signal):
            self.input.update_inplace(np.full(self.input.shape(), sample, np.float32))
            self.step(turn)
            got.append(float(self.output.numpy().ravel()[0]))
        return float(np.abs(np.asarray(got) - wanted).max() / np.abs(wanted).max())

    def __call__(self) -> float:
        began = time.thread_time()
        for turn in range(32):
            self.step(turn)
        return (time.thread_time() - began) * 1e6 / 32


class Torch:
    """A graph in torch's streaming loop; time in microseconds a sample."""

    def __init__(self, graph: Graph) -> None:
        self.stream, self.hop = TorchStream(graph), graph.hop

    def check(self, graph: Graph) -> float:
        """Return the largest difference from the reference over 6 hops, of its peak."""
        signal = np.random.default_rng(2).standard_normal(6 * self.hop).astype(np.float32) * 0.1
        name = graph.outputs[0].tensor
        wanted = evaluate(graph, signal)[name]
        got = np.concatenate([self.stream.feed([hop[:, None]])[0] for hop in signal.reshape(-1, self.hop)])
        return float(np.abs(got - wanted[: len(got)]).max() / np.abs(wanted).max())

    def __call__(self) -> float:
        began = time.thread_time()
        self.stream.run()
        return (time.thread_time() - began) * 1e6 / self.hop


def contenders() -> tuple[dict[str, Callable[[], float]], dict[str, Any]]:
    """Return who runs, and what is known of them."""
    from rtvoice.train.vocoder.networks import Student

    folder = ROOT / "models" / "vocoder"
    wavenet, flow = (rtvoice.Model.load(folder / f"{name}.rtv") for name in ("wavenet", "flow"))
    torch.manual_seed(0)
    equal = write(
        Student(flows=2, channels=32, skip=32, head=32, layers=10, cycle=10), sample_rate=RATE, hop=HOP
    ).model()
    graph = parse_graph(wavenet._bytes())
    steps = step_graph(graph)
    runs: dict[str, Callable[[], float]] = {
        "wavenet": Ours(wavenet), "flow": Ours(flow), "flow, as many MACs as wavenet": Ours(equal),
    }  # fmt: skip
    known: dict[str, Any] = {name: {"macs": run.macs()} for name, run in runs.items() if isinstance(run, Ours)}
    for form in FORMS:
        try:
            stepped = Stepped(steps, form)
        except (Unsupported, onnxruntime.capi.onnxruntime_pybind11_state.Fail):
            continue
        name = f"wavenet, onnxruntime {form}"
        known[name] = {"error": stepped.check(steps)}
        runs[name] = stepped
    llvc = networks.llvc_like()
    graph = parse_graph(llvc.to_bytes())
    model = rtvoice.Model.from_bytes(llvc.to_bytes())
    other = Torch(graph)
    runs["llvc-like"], runs["llvc-like, torch"] = Ours(model), other
    known["llvc-like"] = {"macs": runs["llvc-like"].macs()}  # type: ignore[attr-defined]
    known["llvc-like, torch"] = {"error": other.check(graph)}
    return runs, known


def main() -> None:
    """Time all in turns; print a table or write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--out", type=Path, help="file for the figures")
    args = parser.parse_args()
    runs, known = contenders()
    times: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        for _ in range(3):
            run()
    for _ in range(args.rounds):
        for name, run in runs.items():
            times[name].append(run())
    rows = {
        name: {"us_per_sample": float(np.median(taken)), "least_us": float(np.min(taken)), **known.get(name, {})}
        for name, taken in times.items()
    }
    stepped = min((name for name in rows if name.startswith("wavenet, onnx")), key=lambda n: rows[n]["us_per_sample"])

    def ratio(slow: str, fast: str) -> float:
        return float(np.median(np.asarray(times[slow]) / np.asarray(times[fast])))

    found = {
        "rows": rows,
        "stepped_form": stepped,
        "wavenet_share_of_core": rows["wavenet"]["us_per_sample"] / BUDGET_US,
        "wavenet_least_share_of_core": rows["wavenet"]["least_us"] / BUDGET_US,
        "wavenet_over_onnxruntime": ratio(stepped, "wavenet"),
        "flow_over_onnxruntime_wavenet": ratio(stepped, "flow"),
        "flow_over_wavenet": ratio("wavenet", "flow"),
        "flow_over_wavenet_equal_macs": ratio("wavenet", "flow, as many MACs as wavenet"),
        "llvc_over_torch": ratio("llvc-like, torch", "llvc-like"),
    }
    text = json.dumps(found, indent=1)
    if args.out:
        args.out.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
