"""A small student of `rtvoice.nn` that learns a filter, with a stage graph and a registered kind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rtvoice import nn
from rtvoice.graph import GraphBuilder
from rtvoice.nn.layers import Builder, Handle
from rtvoice.train import checkpoint, runner, students
from rtvoice.train.compress.prune import fit_shapes
from rtvoice.train.runner import Training
from rtvoice.train.schedule import Phase
from rtvoice.train.stages import Graph, Nothing, Stage, StageContext

RATE, HOP = 16000, 160


@dataclass(frozen=True)
class Shape:
    """Sizes."""

    channels: int = 32
    widen: int = 4


class Block(nn.Module):
    """Widen, narrow, add."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.wide, self.act = nn.Linear(shape.channels, shape.widen * shape.channels), nn.SiLU()
        self.narrow = nn.Linear(shape.widen * shape.channels, shape.channels)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.narrow(self.act(self.wide(x)))

    def emit(self, builder: Builder, x: Handle, name: str = "") -> Handle:
        y = x
        for part, label in ((self.wide, "wide"), (self.act, "act"), (self.narrow, "narrow")):
            y = part.emit(builder, y, f"{name}.{label}")
        return builder.node("add", x, y, name=f"{name}.sum")


def network(shape: Shape) -> nn.Sequential:
    """Return a student: frames, two blocks, samples."""
    return nn.Sequential(
        nn.Conv1d(1, shape.channels, HOP, stride=HOP),
        Block(shape),
        Block(shape),
        nn.ConvTranspose1d(shape.channels, 1, HOP, stride=HOP),
    )


@dataclass(frozen=True)
class Params:
    """Settings."""

    channels: int = 0
    phases: tuple[Phase, ...] = (Phase(steps=40, rate=3e-3, warm_up=5),)
    training: Training = Training(every=10, validate_every=20, average=0.9)


class Task:
    """Learn what the teacher made of noise."""

    def __init__(self, net: torch.nn.Module, data: Path, seed: int) -> None:
        with np.load(data) as arrays:
            self.x, self.y = torch.from_numpy(arrays["x"])[..., None], torch.from_numpy(arrays["y"])[..., None]
        self.net, self.seed = net, seed

    def models(self) -> dict[str, torch.nn.Module]:
        return {"student": self.net}

    def batches(self, step: int, rank: int, world: int) -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            rows = runner.part(runner.step_rng(self.seed, step).integers(0, 24, 8), rank, world)
            yield self.x[rows], self.y[rows]
            step += 1

    def loss(self, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Mapping[str, Any]]:
        return (self.net(batch[0]) - batch[1]).square().mean(), {}

    def validate(self) -> dict[str, float]:
        error = float((self.net(self.x[24:]) - self.y[24:]).square().mean())
        return {"loss": error, "decibels": 10 * float(np.log10(error))}


def render(ctx: StageContext) -> None:
    """Let a teacher, a softly clipping filter within the hop, answer noise."""
    rng = np.random.default_rng(7)
    basis = rng.normal(size=(HOP, 6)) / np.sqrt(HOP)
    frames = rng.normal(size=(32, 10, HOP)) * 0.5
    answer = np.tanh(frames @ basis) @ basis.T
    pairs = {"x": frames.reshape(32, -1).astype(np.float32), "y": answer.reshape(32, -1).astype(np.float32)}
    np.savez(ctx.folder / "pairs.npz", **pairs)


TIERS = {"default": Shape(), "hq": Shape(channels=48)}


def load(folder: Path) -> nn.Sequential:
    """Return the network of a finished stage."""
    net = network(Shape(**checkpoint.load(folder / "shape.pt")["shape"]))
    fit_shapes(net, runner.weights(folder))
    net.load_state_dict(runner.weights(folder))
    return net


def write(net: nn.Module, path: Path, ctx: StageContext) -> None:
    """Write it."""
    builder = GraphBuilder(name="tiny", sample_rate=RATE, hop=HOP, tier=ctx.tier, provenance=dict(ctx.provenance))
    builder.output(net.emit(builder, builder.input(), "net"))
    builder.save(str(path))


def train(ctx: StageContext) -> None:
    """Train the student."""
    tier = ctx.tier or "default"
    shape = Shape(ctx.params.channels) if ctx.params.channels else TIERS[tier]
    checkpoint.save(ctx.folder / "shape.pt", {"shape": asdict(shape)})
    runner.fit(Task(network(shape), ctx.inputs["render"] / "pairs.npz", ctx.seed), ctx)
    write(load(ctx.folder), ctx.folder / f"{tier}.rtv", ctx)


GRAPH = Graph(
    [
        Stage("render", render, params=Nothing),
        Stage("student", train, ("render",), Params, tiered=True, training=True, products=("*.rtv",)),
    ]
)

students.register(
    students.StudentKind(
        name="tiny",
        stages="tiny_student",
        stage="student",
        build=network,
        tiers=TIERS,
        width="channels",
        load=load,
        task=lambda net, ctx: Task(net, ctx.inputs["render"] / "pairs.npz", ctx.seed),
        write=write,
    )
)
