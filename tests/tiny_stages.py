"""A small regression problem with real stages and a real adversary, for the tests of the trainer."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rtvoice.train import runner
from rtvoice.train.recipe import free
from rtvoice.train.runner import Training
from rtvoice.train.schedule import Phase
from rtvoice.train.stages import Graph, Nothing, Stage, StageContext

SIZE = 8


@dataclass(frozen=True)
class DataParams:
    """Settings of the data stage."""

    examples: int = 256
    noise: float = 0.05
    workers: int = free(1)


@dataclass(frozen=True)
class FitParams:
    """Settings of a training stage."""

    width: int = 16
    dropout: float = 0.1
    grown_from: str = free("")
    phases: tuple[Phase, ...] = (Phase(steps=30, rate=1e-2, batch=16, warm_up=5),)
    training: Training = field(default_factory=lambda: Training(every=1, validate_every=10, average=0.9))


class Tiny:
    """Learn `y = sin(W x)` from noisy examples, with an adversary that tells made from true."""

    def __init__(self, data: Path, params: FitParams, seed: int) -> None:
        with np.load(data) as arrays:
            self.x, self.y = torch.from_numpy(arrays["x"]), torch.from_numpy(arrays["y"])
        self.seed = seed
        self.net = torch.nn.Sequential(
            torch.nn.Linear(SIZE, params.width),
            torch.nn.Tanh(),
            torch.nn.Dropout(params.dropout),
            torch.nn.Linear(params.width, SIZE),
        )
        self.critic = torch.nn.Sequential(
            torch.nn.Linear(SIZE, params.width), torch.nn.LeakyReLU(0.1), torch.nn.Linear(params.width, 1)
        )
        self.batch, self.weight = 16, 0.0
        self.held = slice(len(self.x) * 3 // 4, None)
        self.trained = len(self.x) * 3 // 4

    def models(self) -> dict[str, torch.nn.Module]:
        return {"net": self.net, "adversary": self.critic}

    def begin(self, phase: Phase) -> None:
        self.batch, self.weight = phase.batch or 16, phase.settings.get("adversary", 0.05)
        self.adversarial = phase.adversarial

    def batches(self, step: int, rank: int, world: int) -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            rows = runner.step_rng(self.seed, step).integers(0, self.trained, self.batch)
            mine = runner.part(rows, rank, world)
            yield self.x[mine], self.y[mine]
            step += 1

    def loss(self, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Mapping[str, Any]]:
        x, y = batch
        made = self.net(x)
        error = (made - y).square().mean()
        if not self.adversarial:
            return error, {"error": error}
        fooled = -self.critic(made).mean()
        return error + self.weight * fooled, {"error": error, "fooled": fooled}

    def adversary_loss(self, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Mapping[str, Any]]:
        x, y = batch
        with torch.no_grad():
            made = self.net(x)
        loss = torch.relu(1 - self.critic(y)).mean() + torch.relu(1 + self.critic(made)).mean()
        return loss, {"caught": (self.critic(y) > self.critic(made)).float().mean()}

    def validate(self) -> dict[str, float]:
        torch.rand(3)  # what a validation draws must not change the training
        return {"loss": float((self.net(self.x[self.held]) - self.y[self.held]).square().mean())}


def make_data(ctx: StageContext) -> None:
    """Write the examples."""
    rng = np.random.default_rng(ctx.seed)
    x = rng.normal(size=(ctx.params.examples, SIZE)).astype(np.float32)
    y = np.sin(x @ rng.normal(size=(SIZE, SIZE)).astype(np.float32) * 0.3).astype(np.float32)
    np.savez(ctx.folder / "data.npz", x=x, y=y + rng.normal(0, ctx.params.noise, y.shape).astype(np.float32))
    ctx.figures["examples"] = len(x)


class Slow(Tiny):
    """The same, at a pace at which it can be ended in the middle."""

    def loss(self, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Mapping[str, Any]]:
        time.sleep(float(os.environ.get("TINY_SLEEP", "0")))
        return super().loss(batch)

    def batches(self, step: int, rank: int, world: int) -> Iterator[tuple[Tensor, Tensor]]:
        kill_at = int(os.environ.get("TINY_KILL_AT", "-1"))
        for at, batch in enumerate(super().batches(step, rank, world), step):
            if at == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            yield batch


def train_tiny(ctx: StageContext) -> None:
    """Train it."""
    runner.fit(Slow(ctx.inputs["prepare"] / "data.npz", ctx.params, ctx.seed), ctx)
    (ctx.folder / "model.txt").write_text(f"{ctx.tier} {ctx.provenance['skin']}\n")


def render_tiny(ctx: StageContext) -> None:
    """Answer every example with the master's output, each shard its own part."""
    state = runner.weights(ctx.inputs["master"], "net")
    with np.load(ctx.inputs["prepare"] / "data.npz") as arrays:
        x = torch.from_numpy(arrays["x"])
    with torch.no_grad():
        y = torch.tanh(x @ state["0.weight"].T + state["0.bias"]) @ state["3.weight"].T + state["3.bias"]
    mine = [i for i in range(len(x)) if ctx.mine(str(i))]
    np.savez(ctx.folder / f"part-{ctx.shard[0]}.npz", index=mine, y=y[mine].numpy())


def merge_tiny(ctx: StageContext) -> None:
    """Put the parts together."""
    with np.load(ctx.inputs["prepare"] / "data.npz") as arrays:
        x = arrays["x"]
    y = np.full_like(x, np.nan)
    for path in ctx.folder.glob("part-*.npz"):
        with np.load(path) as arrays:
            y[arrays["index"]] = arrays["y"]
    assert np.isfinite(y).all()
    np.savez(ctx.folder / "data.npz", x=x, y=y)
    ctx.figures["pairs"] = len(x)


def distil_tiny(ctx: StageContext) -> None:
    """Train on the master's answers."""
    runner.fit(Slow(ctx.inputs["render"] / "data.npz", ctx.params, ctx.seed), ctx)
    (ctx.folder / f"{ctx.tier}.txt").write_text(str(ctx.figures["held_out"]["loss"]))


def fingerprint(params: Nothing, data: Path) -> str:
    """Return which recordings were read."""
    from rtvoice.train.digest import folder_digest

    return folder_digest(data)


GRAPH = Graph(
    [
        Stage("prepare", make_data, params=DataParams),
        Stage("master", train_tiny, ("prepare",), FitParams, training=True, weight=2.0),
        Stage("render", render_tiny, ("prepare", "master"), shards=True, merge=merge_tiny),
        Stage("student", distil_tiny, ("render",), FitParams, tiered=True, training=True, products=("*.txt",)),
    ]
)
