"""Training of the vocoders: one file to read, one command to run, any kill to resume from."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rtvoice.nn import Module
from rtvoice.train import source
from rtvoice.train.parameters import approach
from rtvoice.train.vocoder.data import cached, crops
from rtvoice.train.vocoder.networks import Student, Teacher

SAMPLES = 8000  # of a crop, half a second: four times the stack's memory
BATCH = 1  # steps are worth more than crops where an hour of one core is all there is
WARM_UP = 100  # steps
EVERY = 100  # steps between a line in the log and a checkpoint
AVERAGE = 0.995  # decay of the averaged weights, which are the ones exported
SIZES: dict[str, dict[str, Any]] = {
    "wavenet": {"channels": 32, "skip": 32, "head": 32, "layers": 20, "cycle": 10},
    "flow": {"channels": 32, "skip": 32, "head": 32, "layers": 8, "cycle": 8},
}


@dataclass(frozen=True)
class Run:
    """One training run.

    Attributes
    ----------
    data, out : Path
        The speaker's recordings; where checkpoints and log go.
    network : str
        `wavenet` or `flow`; the latter learns from the former, trained before in the same folder.
    minutes : float
        Time to train, over all resumptions; the learning rate falls to nothing by its end.
    rate : float
        Learning rate at its highest.
    seed, threads : int
        Of weights and crops; of torch.
    """

    data: Path
    out: Path
    network: str = "wavenet"
    minutes: float = 30.0
    rate: float = 1e-3
    seed: int = 0
    threads: int = 1


def make(network: str) -> Module:
    """Return an untrained network of a name."""
    return Teacher(**SIZES["wavenet"]) if network == "wavenet" else Student(**SIZES["flow"])


def load(checkpoint: Path) -> Module:
    """Return the averaged network of a checkpoint, in eval mode."""
    if not checkpoint.exists():
        raise ValueError(f"{checkpoint}: does not exist; train that network first, with the same --out")
    state = torch.load(checkpoint, weights_only=True)
    model = make(state["network"])
    model.load_state_dict(state["average"])
    return model.eval()


def objective(run: Run, model: Module) -> Callable[[Tensor], Tensor]:
    """Return what is made smaller, as a function of a batch of speech."""
    if isinstance(model, Teacher):
        return model.loss
    from rtvoice.train.vocoder.distil import Distillation

    teacher = load(run.out / "wavenet" / "checkpoint.pt")
    assert isinstance(teacher, Teacher) and isinstance(model, Student)
    return Distillation(teacher, model)


def save(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint so that a kill at any moment leaves the old one or the new one."""
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(path)


def train(run: Run) -> Path:
    """Train a network, or go on with it; return its checkpoint."""
    folder = run.out / run.network
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / "checkpoint.pt"
    speech, held_out = cached(run.data, run.out / "speech")
    torch.set_num_threads(run.threads)
    torch.manual_seed(run.seed)
    model = make(run.network)
    loss_of = objective(run, model)
    average = deepcopy(model).requires_grad_(False)
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(weights, lr=run.rate, betas=(0.9, 0.98))
    step, spent = 0, 0.0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(state["model"])
        average.load_state_dict(state["average"])
        optimizer.load_state_dict(state["optimizer"])
        step, spent = state["step"], state["seconds"]
        torch.manual_seed(run.seed + step)
    rng = np.random.default_rng([run.seed, step])
    probe = crops(held_out, 8, SAMPLES, np.random.default_rng(1), gain=False)
    probed = objective(run, average)
    began, losses = time.monotonic() - spent, [0.0][:0]
    while True:
        seconds = time.monotonic() - began
        progress = min(1.0, seconds / (60 * run.minutes))
        if step % EVERY == 0 or progress >= 1:
            with torch.no_grad():
                line = {
                    "step": step,
                    "seconds": round(seconds),
                    "loss": round(float(np.mean(losses)), 4) if losses else None,
                    "held_out": round(probed(probe).item(), 4),
                }
            with (folder / "log.jsonl").open("a") as log:
                log.write(json.dumps(line) + "\n")
            print(json.dumps(line), flush=True)
            losses = []
            save(
                checkpoint,
                {
                    "network": run.network,
                    "model": model.state_dict(),
                    "average": average.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "step": step,
                    "seconds": seconds,
                    "commit": source.commit(),
                },
            )
        if progress >= 1:
            return checkpoint
        for group in optimizer.param_groups:
            group["lr"] = run.rate * min(1.0, (step + 1) / WARM_UP) * (0.5 + 0.5 * math.cos(math.pi * progress))
        loss = loss_of(crops(speech, BATCH, SAMPLES, rng))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        losses.append(loss.item())
        step += 1
        approach(average, model, AVERAGE, step)
