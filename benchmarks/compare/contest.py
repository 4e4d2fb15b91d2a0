"""One row's contenders: opened, held against the float64 reference, then timed in turns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines import ENGINES, OtherEngine
from native import Contender, Native
from onnx_form import FORMS, logical, physical, to_onnx
from rtvoice import Model, reference
from rtvoice.bench.priority import audio_thread_priority
from rtvoice.graph import Graph
from streaming import Ports, Unsupported

F32 = NDArray[np.float32]
TOLERANCE = 1e-4  # of the reference's peak
#: A running phase keeps the rounding of its terms, and a harmonic multiplies it (docs/model-format.md, Phase).
PHASE_TOLERANCE = 2e-2
_SAMPLE_US = 250.0  # one timed sample lasts about so long


#: How many bytes are read to learn a cache's speed.
LEVELS = {"L2": 512 << 10, "L3": 6 << 20, "DRAM": 128 << 20}


@dataclass
class Limits:
    """Limits of this core, one list entry a round: GFLOP/s, and GB/s read by level."""

    peaks: list[float] = field(default_factory=list)
    read: dict[str, list[float]] = field(default_factory=lambda: {level: [] for level in LEVELS})


@dataclass
class Contest:
    """A network and everyone who runs it; times in microseconds of a hop, one list entry a round."""

    name: str
    graph: Graph
    weight_bytes: int
    macs: int
    contenders: dict[str, Contender | OtherEngine] = field(default_factory=dict)
    repeats: dict[str, int] = field(default_factory=dict)
    errors: dict[str, float] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    times: dict[str, list[float]] = field(default_factory=dict)
    read: list[float] = field(default_factory=list)
    peaks: list[float] = field(default_factory=list)  # GFLOP/s, timed beside this network

    def add(self, who: str, contender: Contender | OtherEngine) -> None:
        """Take someone in, timed for about as long as everyone else."""
        self.contenders[who] = contender
        contender.time(1)
        us = min(contender.time(1) for _ in range(3))
        self.repeats[who] = max(1, min(4000, round(_SAMPLE_US / max(us, 0.05))))

    def sample(self, who: str) -> float:
        return self.contenders[who].time(self.repeats[who])

    def onnxruntime_forms(self) -> list[str]:
        return [who for who in self.contenders if who.startswith("onnxruntime")]

    def close(self) -> None:
        for contender in self.contenders.values():
            contender.close()


def weight_bytes(graph: Graph) -> int:
    """Count the bytes of weights as the file stores them."""
    return sum(array.nbytes for node in graph.nodes for array in node.weights.values() if hasattr(array, "nbytes"))


def open_contest(
    name: str, rtv: bytes, graph: Graph, native: Native, folder: Path, others: tuple[str, ...] = ()
) -> Contest:
    """Open a network in every engine and check that all give the reference's output."""
    file = folder / f"{name}.rtv"
    file.write_bytes(rtv)
    ours = native.open("plan", file)
    contest = Contest(name, graph, weight_bytes(graph), ours.macs, {"rtvoice": ours})
    real = graph.nodes[0].op != "time_to_depth"  # a hop of samples, not of frames dressed as samples
    if real and any(output.kind == "audio" for output in graph.outputs):
        contest.contenders["rtvoice engine"] = native.open("engine", file)
    check = _Check(contest, Model.from_bytes(rtv).latency)
    check.ours()
    for form in FORMS:
        who = f"onnxruntime {form}"
        try:
            data, ports = to_onnx(graph, form)
            onnx_file = folder / f"{name}.{form}.onnx"
            onnx_file.write_bytes(data)
            check.native(who, native.open("onnxruntime", onnx_file), ports, form)
        except (Unsupported, RuntimeError) as error:
            contest.refused[who] = str(error)
    for who in others:
        try:
            check.other(who, ENGINES[who](graph, folder / name))
        except Exception as error:  # noqa: BLE001 -- an engine that cannot run a network is a result, not a failure
            contest.refused[who] = f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else ''}"
    for who, contender in list(contest.contenders.items()):
        contest.add(who, contender)
    return contest


class _Check:
    """Feeds everyone the same hops and compares with the float64 reference."""

    def __init__(self, contest: Contest, latency: int) -> None:
        self.contest, self.graph, self.latency = contest, contest.graph, latency
        self.hops = 12
        rng = np.random.default_rng(7)
        self.audio = rng.uniform(-0.5, 0.5, self.hops * self.graph.hop).astype(np.float32)
        self.reference = reference.evaluate(self.graph, self.audio)
        self.tolerance = PHASE_TOLERANCE if any(node.op == "phase" for node in self.graph.nodes) else TOLERANCE

    def _compare(self, who: str, contender: Contender | OtherEngine, got: list[list[F32]], delays: list[int]) -> None:
        """`got`: per hop, per output, (frames, channels), `delay` frames behind the reference."""
        worst = 0.0
        audio = any(output.kind == "audio" for output in self.graph.outputs)
        for i, output in enumerate(self.graph.outputs):
            if audio and output.kind != "audio":  # a reading beside the sound, of its own lateness
                continue
            frames = np.concatenate([hop[i] for hop in got]).astype(np.float64)
            offline = self.reference[output.tensor]
            if frames.shape[1] != offline.shape[1]:  # frames in place of samples
                offline = offline.reshape(-1, frames.shape[1])
            per_hop = len(offline) // self.hops
            if len(frames) != len(offline):  # only the newest frame of each hop
                offline, delay = offline[per_hop - 1 :: per_hop], 0
            else:
                delay = delays[i]
            wanted, have = offline[: len(offline) - delay], frames[delay:]
            peak = max(float(np.abs(wanted).max()), 1e-9)
            worst = max(worst, float(np.abs(wanted - have).max()) / peak)
        self.contest.errors[who] = worst
        if not worst <= self.tolerance:
            contender.close()
            self.contest.contenders.pop(who, None)
            raise RuntimeError(f"its output is {worst:.1e} of the peak away from the reference; not timed")
        self.contest.contenders[who] = contender

    def ours(self) -> None:
        """Check the plan, and the engine where the network makes audio."""
        for who in ("rtvoice", "rtvoice engine"):
            contender = self.contest.contenders.get(who)
            if contender is None:
                continue
            assert isinstance(contender, Contender)
            got = []
            for hop in self.audio.reshape(self.hops, -1):
                flat, at, parts = contender.feed(hop), 0, []
                for output in self.graph.outputs:
                    tensor = self.graph.values[output.tensor]
                    size = tensor.channels * (tensor.frames if output.kind == "audio" else 1)
                    parts.append(flat[at : at + size].reshape(-1, tensor.channels))
                    at += size
                got.append(parts)
            self._compare(who, contender, got, [self.latency] * len(self.graph.outputs))

    def _inputs(self, ports: Ports, hop: int) -> list[F32]:
        channels, frames = ports.inputs[0]
        audio = self.audio.reshape(self.hops, frames, channels)[hop]
        noises = [
            reference.noise(node, frames, start=hop * frames).astype(np.float32)
            for node, (_, frames) in zip(ports.noises, ports.inputs[1:], strict=True)
        ]
        return [audio, *noises]

    def native(self, who: str, contender: Contender, ports: Ports, form: str) -> None:
        got = []
        for hop in range(self.hops):
            flat = np.concatenate([physical(rows, form).ravel() for rows in self._inputs(ports, hop)])
            out, at, parts = contender.feed(flat), 0, []
            for channels, frames in ports.outputs:
                parts.append(logical(out[at : at + channels * frames], channels, frames, form))
                at += channels * frames
            got.append(parts)
        self._compare(who, contender, got, ports.delays)

    def other(self, who: str, engine: OtherEngine) -> None:
        got = [engine.feed(self._inputs(engine.ports, hop)) for hop in range(self.hops)]
        self._compare(who, engine, got, engine.ports.delays)


def run_rounds(
    contests: list[Contest], native: Native, rounds: int, progress: Callable[[int], None] | None = None
) -> Limits:
    """Time everyone once a round, at an audio thread's priority; return the limits of each round."""
    with audio_thread_priority():
        return _rounds(contests, native, rounds, progress)


def _rounds(contests: list[Contest], native: Native, rounds: int, progress: Callable[[int], None] | None) -> Limits:
    limits = Limits()
    for index in range(rounds):
        limits.peaks.append(native.lib.peers_peak())
        for level, count in LEVELS.items():
            us = native.lib.peers_read(count, max(1, (4 << 20) // count))
            limits.read[level].append(1e-3 * count / us)
        for contest in contests:
            contest.peaks.append(native.lib.peers_peak())
            per_read = max(1, min(4000, int(_SAMPLE_US * 3e4 / max(contest.weight_bytes, 1))))
            contest.read.append(native.lib.peers_read(contest.weight_bytes, per_read))
            for who in contest.contenders:
                contest.times.setdefault(who, []).append(contest.sample(who))
        if progress is not None:
            progress(index)
    return limits
