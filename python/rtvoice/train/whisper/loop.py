"""The training loop: one file to read, one command to run, any kill to resume from."""

from __future__ import annotations

import json
import math
import time
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rtvoice.train import source
from rtvoice.train.parameters import approach
from rtvoice.train.whisper.data import Augment, Batch, Crops, render_teacher
from rtvoice.train.whisper.grow import grow
from rtvoice.train.whisper.losses import StftLoss, whisper_loss
from rtvoice.train.whisper.student import TIERS, WhisperStudent

CROP = 32000  # samples of a training example, 2 s: five times the body's memory
WARM_UP = 200  # steps
AVERAGE = 0.998  # decay of the averaged weights, which are the ones exported
EVERY = 100  # steps between a line in the log and a checkpoint


@dataclass(frozen=True)
class Run:
    """One training run.

    Attributes
    ----------
    speech, noise, out : Path
        Training speech, noises and rooms, and where checkpoints, log and the teacher's cache go.
    tier : str
        `default` or `hq`.
    minutes : float
        Time to train, over all resumptions; the learning rate falls to zero by its end.
    steps : int or None
        Length in steps instead: what makes two runs equal on machines of unequal speed.
    seed : int
        Of weights, crops and augmentation.
    start : Path or None
        Checkpoint of a smaller tier that a new run grows out of.
    threads, workers : int
        Threads of torch; processes that render the teacher.
    """

    speech: Path
    noise: Path
    out: Path
    tier: str = "default"
    minutes: float = 25.0
    steps: int | None = None
    seed: int = 0
    start: Path | None = None
    threads: int = 1
    workers: int = 1


def learning_rate(peak: float, step: int, progress: float) -> float:
    """Return the rate at `step`, `progress` (0 to 1) through the run: linear warm-up, then half a cosine."""
    return peak * min(1.0, (step + 1) / WARM_UP) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0))))


def batch_loss(model: WhisperStudent, batch: Batch, stft: StftLoss) -> torch.Tensor:
    """Return the loss of one batch."""
    log_amplitude = model.log_amplitude(batch.source)
    audio = model.synthesis(model.exp(log_amplitude))
    return whisper_loss(audio, log_amplitude, batch, model.teacher_frames(batch.envelope), stft)


def save(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint so that a kill at any moment leaves the old one or the new one."""
    partial = path.with_suffix(".partial")
    try:
        torch.save(state, partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def load_student(checkpoint: Path) -> WhisperStudent:
    """Return the averaged student of a checkpoint, in eval mode."""
    state = torch.load(checkpoint, weights_only=True)
    model = WhisperStudent(TIERS[state["tier"]])
    model.load_state_dict(state["average"])
    return model.eval()


def train(run: Run) -> Path:
    """Train one tier, or go on with it; return its checkpoint."""
    folder = run.out / run.tier
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / "checkpoint.pt"
    render_teacher(run.speech, run.out / "teacher", run.workers)
    torch.set_num_threads(run.threads)
    torch.manual_seed(run.seed)
    tier = TIERS[run.tier]
    model = WhisperStudent(tier)
    if run.start:
        grow(load_student(run.start), model, run.seed)
    average = deepcopy(model).requires_grad_(False)
    optimizer = torch.optim.AdamW(
        [p for p in model.parameters() if p.requires_grad], lr=tier.rate, betas=(0.9, 0.98), weight_decay=0.01
    )
    step, spent = 0, 0.0
    commits: list[str] = []
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(state["model"])
        average.load_state_dict(state["average"])
        optimizer.load_state_dict(state["optimizer"])
        step, spent = state["step"], state["seconds"]
        commits = state.get("commits", [])
        torch.manual_seed(run.seed + step)
    began_by = source.commit()
    if began_by and commits[-1:] != [began_by] and (step == 0 or commits):  # a run begun without one stays without
        commits = [*commits, began_by]
    # The data's seed holds the step, so that a resumed run sees new crops, and the same ones each time.
    rng = np.random.default_rng([run.seed, step])
    batches = Crops(run.out / "teacher", False, Augment(run.noise, rng), rng).batches(tier.batch, CROP)
    held_out = Crops(run.out / "teacher", True, None, np.random.default_rng(1)).batches(32, CROP)
    probe = next(held_out)
    stft = StftLoss()
    began = time.monotonic() - spent
    losses: list[float] = []
    while True:
        seconds = time.monotonic() - began
        progress = step / run.steps if run.steps else seconds / (60 * run.minutes)
        if step % EVERY == 0 or progress >= 1:
            average.eval()
            with torch.no_grad():
                probe_loss = batch_loss(average, probe, stft).item()
            line = {
                "step": step,
                "seconds": round(seconds),
                "loss": float(np.mean(losses)) if losses else None,
                "held_out": probe_loss,
            }
            with (folder / "log.jsonl").open("a") as log:
                log.write(json.dumps(line) + "\n")
            print(json.dumps(line), flush=True)
            losses = []
            state = {
                "tier": run.tier,
                "run": {key: str(value) for key, value in asdict(run).items()},
                "model": model.state_dict(),
                "average": average.state_dict(),
                "optimizer": optimizer.state_dict(),
                "step": step,
                "seconds": seconds,
                "commits": commits,
            }
            save(checkpoint, state)
        if progress >= 1:
            return checkpoint
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(tier.rate, step, progress)
        loss = batch_loss(model, next(batches), stft)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
        step += 1
        approach(average, model, AVERAGE, step)
