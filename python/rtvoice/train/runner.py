"""The training loop: phases, checkpoints, exact resume, averaged weights, several processes; `fit(task, ctx)`."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from rtvoice.files import write_whole
from rtvoice.train import checkpoint, outcome, schedule, source
from rtvoice.train.board import Board, read_log
from rtvoice.train.distributed import World
from rtvoice.train.feed import Feed
from rtvoice.train.interrupt import Halted, Interrupted, Stop
from rtvoice.train.optimise import Optimise, to_device
from rtvoice.train.parameters import Average
from rtvoice.train.precision import Precision, compile_models, uncompile
from rtvoice.train.schedule import Phase, spoken
from rtvoice.train.stages import StageContext
from rtvoice.train.task import ADVERSARY, Monitor, Start, Task, Training, part, step_rng

__all__ = ["Fit", "Monitor", "Task", "Training", "fit", "part", "step_rng", "weights"]

T = TypeVar("T")
#: Steps in a row without a finite gradient after which a training counts as collapsed.
BROKEN = 20


@dataclass(frozen=True)
class Fit:
    """What a training came to.

    Attributes
    ----------
    steps : int
        Optimiser steps.
    seconds : float
        Of training, over all resumptions.
    held_out : mapping
        The last validation's figures.
    outcome : str
        The run's label by the rules.
    weights : Path
        The averaged weights; see `weights`.
    """

    steps: int
    seconds: float
    held_out: Mapping[str, float]
    outcome: str
    weights: Path


def weights(folder: Path, name: str | None = None) -> dict[str, Tensor]:
    """Return the averaged weights that a training made.

    Parameters
    ----------
    folder : Path
        The stage's folder.
    name : str or None
        Of the model; `None` where there is one.

    Raises
    ------
    ValueError
        The training has no such model.
    """
    path = folder / "weights.pt"
    if not path.is_file():
        raise ValueError(f"{folder} has no weights.pt: no training has ended there")
    models = checkpoint.load(path)["models"]
    if name is None and len(models) == 1:
        return dict(next(iter(models.values())))
    if name not in models:
        raise ValueError(f"{path} holds {', '.join(models)}; there is no model {name!r}")
    return dict(models[name])


def fit(task: Task, ctx: StageContext, training: Training | None = None, phases: Sequence[Phase] | None = None) -> Fit:
    """Train, or go on from the checkpoint in `ctx.folder`.

    Parameters
    ----------
    task : Task
        What is trained.
    ctx : StageContext
        Where, for how long, from which seed; see there.
    training, phases
        How; `ctx.params.training` and `ctx.params.phases` where left out.

    Returns
    -------
    Fit
        What it came to; `weights(ctx.folder)` are the averaged weights.

    Raises
    ------
    Interrupted
        It was ended from outside, after a checkpoint.
    Halted
        The monitor stopped it, or its numbers broke, after a checkpoint; `ctx.folder/stopped.json` says why.
    ValueError
        The task, the phases and the checkpoint do not fit each other.
    """
    training = training if training is not None else getattr(ctx.params, "training", Training())
    phases = phases if phases is not None else getattr(ctx.params, "phases", ())
    run = _Run(task, ctx, training, list(phases))
    try:
        with Stop() as stop:
            return run.go(stop)
    finally:
        run.close_feed()
        run.board.close()


class _Run:
    """The state of one training."""

    def __init__(self, task: Task, ctx: StageContext, training: Training, phases: list[Phase]) -> None:
        self.task, self.ctx, self.training, self.phases = task, ctx, training, phases
        self.world: World = ctx.world if ctx.world is not None else World.start(ctx.device)
        self.models = {name: model.to(self.world.device) for name, model in task.models().items()}
        if not any(name != ADVERSARY for name in self.models):
            raise ValueError("the task has no model to train besides its adversary")
        if any(phase.adversarial for phase in phases) and (
            ADVERSARY not in self.models or not hasattr(task, "adversary_loss")
        ):
            raise ValueError("a phase is adversarial, but the task has no model 'adversary' or no adversary_loss")
        self.main = {name: model for name, model in self.models.items() if name != ADVERSARY}
        self.lengths = schedule.lengths(phases, ctx.budget)
        self.precision = Precision(training.precision, self.world.device, self.say)
        self.average = Average(self.main, training.average)
        self.monitor = ctx.monitor if ctx.monitor is not None else getattr(task, "monitor", None)
        self.watched = self.monitor is not None
        self.compiled = training.compile
        if self.compiled:
            compile_models(self.models.values())
        if training.deterministic and self.world.device.type == "cuda":
            torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
        self.optimise = Optimise(task, self.models, training, self.world, self.precision)
        self.at, self.step, self.phase_start, self.spent = 0, 0, 0, 0.0
        self.sums: dict[str, float] = {}
        self.counts: dict[str, int] = {}
        self.logged, self.validated = -1, -1
        self.held_out: dict[str, float] = {}
        # An adversarial phase never comes first but for what has learnt to speak before.
        trained = bool(getattr(task, "trained", False)) or training.start is not None
        self.begun_trained = trained or bool(phases and phases[0].adversarial)
        self.best = math.inf
        self.feed: Feed | None = None
        self.rate: float | None = None
        self.began: float | None = None
        self.told_at = time.monotonic()
        self.saved_at = time.monotonic()
        self.closing = 0.0  # seconds that a validation and a checkpoint take, kept free at the end of a budget
        self.commits: list[str] = []
        log_size = self._load()
        self.board = (
            Board(ctx.folder, self.say, self.step, log_size) if self.world.main else _SilentBoard(ctx.folder, self.say)
        )

    def say(self, line: str) -> None:
        """Show one line."""
        if self.world.main:
            self.ctx.say(line)

    # -- checkpoints

    @property
    def path(self) -> Path:
        return self.ctx.folder / "checkpoint.pt"

    def _load(self) -> int:
        """Take up the checkpoint if there is one; return the size of the log that belongs to it."""
        found = bool(self.world.agree([float(self.path.is_file())])[0])
        if not found:
            self._start_from()
            self._begin_phase(moments=False)
            self._note_commit()
            self._attach(None)
            if self.world.rank > 0:  # all had to make the same models; from here on each draws its own dropout
                checkpoint.seed_all(self.ctx.seed + 1000003 * self.world.rank)
            return 0
        state = checkpoint.load(self.path)
        phases = [asdict(phase) for phase in self.phases]
        if [phase["name"] for phase in state["phases"]] != [phase["name"] for phase in phases]:
            raise ValueError(f"{self.path} was made with other phases; remove the folder to start over")
        for name, model in self.models.items():
            model.load_state_dict(state["models"][name])
        for name, tensors in state["average"].items():
            for key, tensor in tensors.items():
                self.average.state[name][key].copy_(tensor)
        for key in ("at", "step", "phase_start", "logged", "validated"):
            setattr(self, key, int(state[key]))
        self.spent, self.best = float(state["seconds"]), float(state["best"])
        self.sums, self.counts, self.held_out = dict(state["sums"]), dict(state["counts"]), dict(state["held_out"])
        self.commits, self.rate = list(state["commits"]), state["rate"]
        self._begin_phase(moments=False)
        self.optimise.load_state_dict(state["optimise"])
        if state["task"] is not None:
            self.task.load_state(state["task"])  # type: ignore[attr-defined]
        self._note_commit()
        self._attach(state["monitor"])
        random = state["rng"]
        if len(random) == self.world.size:
            checkpoint.restore_rng(random[self.world.rank])
        else:
            self.say(f"the checkpoint is of {len(random)} processes, this is {self.world.size}: new random draws")
            checkpoint.seed_all(self.ctx.seed + 1000003 * self.step + self.world.rank)
        self.say(f"going on from step {self.step}, after {spoken(self.spent)} of training")
        return int(state["log_size"])

    def _start_from(self) -> None:
        """Take up the weights that the training is to start from."""
        start = self.training.start
        if start is None:
            return
        for name, model in self.main.items():
            report = checkpoint.load_partial(
                model, weights(start.path, name), rename=start.rename, only=start.only, allow=start.allow
            )
            self.say(f"{name} starts from {start.path}: {report}")
        if start.adversary:
            self._start_adversary(start)
        self.average = Average(self.main, self.training.average)

    def _start_adversary(self, start: Start) -> None:
        """Take up the discriminators as that training left them.

        From chance they need about 600 steps until they tell anything apart, six minutes of a core.
        """
        path = start.path / "checkpoint.pt"
        if ADVERSARY not in self.models:
            raise ValueError("training.start.adversary: this stage has no discriminators; leave it out")
        state = checkpoint.load(path) if path.is_file() else {"models": {}}
        if ADVERSARY not in state["models"]:
            raise ValueError(f"training.start.adversary: {start.path} has no discriminators; leave it out")
        report = checkpoint.load_partial(self.models[ADVERSARY], state["models"][ADVERSARY], allow=start.allow)
        self.say(f"{ADVERSARY} goes on from {start.path}: {report}")

    def _attach(self, state: Any) -> None:
        if callable(self.monitor) and not hasattr(self.monitor, "step"):
            steps = [length.steps for length in self.lengths]
            total = None if None in steps else sum(steps)  # type: ignore[arg-type]
            make, self.monitor = self.monitor, None
            with self._unharmed("start"):
                watched = dict(self.task.watched()) if hasattr(self.task, "watched") else self.main
                adversary = {name: model for name, model in self.models.items() if name == ADVERSARY}
                self.monitor = make({**watched, **adversary}, self.step, total, self.ctx.folder)
        restore = getattr(self.monitor, "load_state_dict", None)
        if state is not None and restore is not None:
            restore(state)

    @contextlib.contextmanager
    def _unharmed(self, doing: str) -> Iterator[None]:
        """Go on unwatched where the monitor itself fails: it must never cost a training."""
        try:
            yield
        except Exception as error:
            self.monitor = None
            self.say(f"the monitor failed to {doing} ({type(error).__name__}: {error}); going on without it")

    def _note_commit(self) -> None:
        commit = source.commit()
        if commit and self.commits[-1:] != [commit] and (self.step == 0 or self.commits):
            self.commits.append(commit)

    def save(self) -> None:
        """Write the checkpoint; every process must call it."""
        random = self.world.gather(checkpoint.rng_state())
        if not self.world.main:
            return
        began = time.monotonic()
        has_state = hasattr(self.task, "state")
        watched = getattr(self.monitor, "state_dict", None)
        state = {
            "models": {name: model.state_dict() for name, model in self.models.items()},
            "average": self.average.state,
            "optimise": self.optimise.state_dict(),
            "phases": [asdict(phase) for phase in self.phases],
            **{key: getattr(self, key) for key in ("at", "step", "phase_start", "logged", "validated")},
            "seconds": self.seconds,
            "best": self.best,
            "rate": self.rate,
            "sums": self.sums,
            "counts": self.counts,
            "held_out": self.held_out,
            "commits": self.commits,
            "task": self.task.state() if has_state else None,  # type: ignore[attr-defined]
            "monitor": watched() if watched is not None else None,
            "rng": random,
            "log_size": self.board.size,
        }
        checkpoint.save(self.path, state)
        self.saved_at = time.monotonic()
        self.closing = max(self.closing, self.saved_at - began)

    def _write_weights(self, name: str = "weights.pt") -> None:
        if self.world.main:
            state = {"models": self.average.state, "step": self.step, "held_out": self.held_out}
            checkpoint.save(self.ctx.folder / name, state)

    # -- phases

    @property
    def phase(self) -> Phase:
        return self.phases[self.at]

    @property
    def seconds(self) -> float:
        return self.spent + (time.monotonic() - self.began if self.began is not None else 0.0)

    def _begin_phase(self, *, moments: bool) -> None:
        self.optimise.begin(self.phase, moments=moments)
        if hasattr(self.task, "begin"):
            self.task.begin(self.phase)

    # -- the loop

    def go(self, stop: Stop) -> Fit:
        """Train to the end."""
        self.began = self.saved_at = time.monotonic()
        stopped = self.ctx.folder / "stopped.json"
        if self.world.main:
            stopped.unlink(missing_ok=True)
            self._describe(ended=None)
        while True:
            due = time.monotonic() - self.saved_at >= 60 * self.training.checkpoint_minutes
            seconds, must_save = self.world.agree([self.seconds, float(due)])
            asked = self.world.most([float(stop.asked)])[0]
            ended = self._progress(seconds) >= 1
            if self.step != self.logged and (self.step % self.training.every == 0 or ended):
                self._log(seconds, ended)
            if asked:
                self.save()
                self._describe(ended="interrupted")
                self._close_monitor("interrupted")
                raise Interrupted(f"ended at step {self.step}; the checkpoint is in {self.ctx.folder}")
            if ended and self.at + 1 == len(self.phases):
                return self._finish()
            if ended:
                self._next_phase()
                continue
            if must_save:
                self.save()
            self._watch(self._one_step(seconds), seconds)

    def _next_phase(self) -> None:
        self.close_feed()
        self.at, self.phase_start = self.at + 1, self.step
        self._begin_phase(moments=True)
        self.save()

    def close_feed(self) -> None:
        """Let what makes batches ahead end."""
        if self.feed is not None:
            self.feed.close()
            self.feed = None

    def _progress(self, seconds: float) -> float:
        length = self.lengths[self.at]
        # A budget is a promise: the last validation and checkpoint must fit in as well.
        reserve = min(1.5 * self.closing, 0.1 * max(length.until - length.start, 0.0))
        return length.progress(self.step - self.phase_start, seconds + (reserve if length.steps is None else 0.0))

    def _whole_progress(self, seconds: float) -> float:
        """Return the part done of all phases: by steps where all are counted, by time where all are timed."""
        steps = [length.steps for length in self.lengths]
        if None not in steps:
            return min(1.0, self.step / sum(steps))  # type: ignore[arg-type]
        if any(steps):
            return min(1.0, (self.at + self._progress(seconds)) / len(self.phases))
        return min(1.0, seconds / self.lengths[-1].until)

    def _one_step(self, seconds: float) -> dict[str, Any]:
        if self.feed is None:
            batches = iter(self.task.batches(self.step, self.world.rank, self.world.size))
            self.feed = Feed(batches, self.training.prefetch)
        try:
            taken = [to_device(next(self.feed), self.world.device) for _ in range(self.training.accumulate)]
        except StopIteration:
            raise ValueError("the task's batches came to an end; they must go on for ever") from None
        self.rate = self.optimise.set_rates(self.phase, self.step - self.phase_start, self._progress(seconds))
        figures = self._or_uncompiled(lambda: self.optimise.step(taken))
        self.step += 1
        if time.monotonic() - self.told_at > 1.0:
            self._tell(seconds, {name: self.sums[name] / self.counts[name] for name in self.sums})
        self.average.update(self.step)
        for name, value in figures.items():
            number = float(value.detach() if isinstance(value, Tensor) else value)
            self.sums[name] = self.sums.get(name, 0.0) + number
            self.counts[name] = self.counts.get(name, 0) + 1
        return figures

    def _or_uncompiled(self, compute: Callable[[], T]) -> T:
        """Compute; where compiled models cannot, say so, take the compilation back and compute again."""
        try:
            return compute()
        except Exception as error:
            if not self.compiled:
                raise
            lines = str(error).strip().splitlines()
            self.say(f"torch.compile failed ({lines[0] if lines else type(error).__name__}); going on without it")
            uncompile(self.models.values())
            self.compiled = False
            return compute()

    def _watch(self, figures: Mapping[str, Any], seconds: float) -> None:
        if self.optimise.broken >= BROKEN:
            self._halt(f"{BROKEN} steps in a row had a gradient that is not a number", collapsed=True)
        if self.monitor is not None:
            stop, reason = 0.0, ""
            with self._unharmed("watch"):
                self._show_monitor(self.monitor, figures, seconds)
                stop, reason = float(bool(self.monitor.should_stop)), str(getattr(self.monitor, "reason", ""))
            # A process whose monitor failed must still take part in the question.
            if self.world.most([stop])[0]:
                self._halt(reason or "the monitor said so", collapsed=False)
        elif self.watched and self.world.most([0.0])[0]:
            self._halt("the monitor of another process said so", collapsed=False)

    def _show_monitor(self, monitor: Monitor, figures: Mapping[str, Any], seconds: float) -> None:
        heard = (self.task.heard() if hasattr(self.task, "heard") else None) or (None, None)
        judged = self.held_out.get(self.training.measure) if self.validated == self.step - 1 else None
        monitor.step(
            loss=figures["loss"],
            outputs=heard[0],
            targets=heard[1],
            discriminator=figures.get(f"{ADVERSARY}_loss"),
            validation=judged,
            gradient=figures.get("gradient_norm"),
            progress=self._whole_progress(seconds),
        )

    def _halt(self, reason: str, collapsed: bool) -> None:
        self.save()
        if self.world.main:
            told = {
                "step": self.step,
                "seconds": self.seconds,
                "reason": reason,
                "by": "rule" if collapsed else "monitor",
            }
            write_whole(self.ctx.folder / "stopped.json", (json.dumps(told, indent=2) + "\n").encode())
            ours = outcome.judge(read_log(self.ctx.folder), measure=self.training.measure, halted=reason)
            self._describe(ended=f"stopped: {reason}", label=ours if collapsed else None)
        self._close_monitor("failed" if collapsed else "finished")
        raise Halted(f"stopped at step {self.step}: {reason}; the checkpoint is in {self.ctx.folder}")

    def _close_monitor(self, status: str) -> None:
        if self.monitor is not None and hasattr(self.monitor, "finish"):
            with self._unharmed("finish"):
                self.monitor.finish(status)

    # -- the log

    def _log(self, seconds: float, ended: bool) -> None:
        names = sorted(self.sums)
        values = self.world.mean([self.sums[name] / self.counts[name] for name in names])
        means = dict(zip(names, values, strict=True))
        self.sums, self.counts = {}, {}
        line: dict[str, Any] = {"step": self.step, "phase": self.phase.name, "seconds": round(seconds, 1)}
        if self.rate is not None:
            line["rate"] = self.rate
        line.update(means)
        if (self.step % self.training.validate_every == 0 or ended) and self.step != self.validated:
            self._validate()
            line["held_out"] = self.held_out
        self.logged = self.step
        self.board.write(line)
        if self.world.main:
            self._tell(seconds, means)

    def _validate(self) -> None:
        began = time.monotonic()
        figures: Mapping[str, float] = {}
        if self.world.main:
            with self.average.applied():
                figures = self._or_uncompiled(self._held_out)
        self.held_out = {name: float(value) for name, value in self.world.share(dict(figures)).items()}
        self.validated = self.step
        judged = self.held_out.get(self.training.measure, math.inf)
        if self.training.keep == "best" and judged < self.best:
            self.best = judged
            self._write_weights("best.pt")
        self.closing = max(self.closing, time.monotonic() - began)

    def _held_out(self) -> Mapping[str, float]:
        with checkpoint.preserved_rng(self.ctx.seed), torch.no_grad():
            return self.task.validate()

    def _tell(self, seconds: float, means: Mapping[str, float]) -> None:
        show, self.told_at = self.ctx.show, time.monotonic()
        if show is None or not self.world.main:
            return
        words = [f"step {self.step}", *([self.phase.name] if len(self.phases) > 1 else [])]
        words += [f"loss {means['loss']:.4g}"] if "loss" in means else []
        words += [f"held out {self.held_out['loss']:.4g}"] if "loss" in self.held_out else []
        done = self._whole_progress(seconds)
        timed = self.lengths[-1].until if all(length.steps is None for length in self.lengths) else None
        left = max(0.0, timed - seconds) if timed is not None else seconds * (1 - done) / done if done > 0 else None
        show.update(done, ", ".join(words), left)

    def _finish(self) -> Fit:
        self.save()
        if self.training.keep == "best" and (self.ctx.folder / "best.pt").is_file():
            if self.world.main:
                checkpoint.save(self.ctx.folder / "weights.pt", checkpoint.load(self.ctx.folder / "best.pt"))
        else:
            self._write_weights()
        label = ""
        if self.world.main:
            judged = outcome.judge(
                read_log(self.ctx.folder),
                measure=self.training.measure,
                tier=self.ctx.tier or "default",
                begun=self.begun_trained,
                shortest=min(self.phases[0].warm_up, 100),
            )
            label = judged.label or ""
            self._describe(ended="done", label=judged)
        self._close_monitor("finished")
        self.world.barrier()
        figures = {"steps": self.step, "train_seconds": round(self.seconds, 1), "held_out": self.held_out}
        self.ctx.figures.update(figures, outcome=self.world.share(label))
        return Fit(self.step, self.seconds, self.held_out, self.ctx.figures["outcome"], self.ctx.folder / "weights.pt")

    def _describe(self, ended: str | None, label: outcome.Outcome | None = None) -> None:
        """Write `run.json`, which the monitor's run store reads."""
        if not self.world.main:
            return
        params = self.ctx.params
        values: dict[str, Any] = {
            "stage": self.ctx.name or None,
            "recipe": self.ctx.recipe.skin.name if self.ctx.recipe else None,
            "params": asdict(params) if dataclasses.is_dataclass(params) and not isinstance(params, type) else None,
            "phases": [asdict(phase) for phase in self.phases],
            "training": asdict(self.training),
            "seed": self.ctx.seed,
            "budget": self.ctx.budget,
            "begun_trained": self.begun_trained,
            "processes": self.world.size,
            "device": self.world.device.type,
            "precision": self.precision.name,
            "commits": self.commits,
            "steps": self.step,
            "seconds": round(self.seconds, 1),
            "ended": ended,
            "held_out": self.held_out,
        }
        if label is not None:
            values["outcome"] = asdict(label)
        outcome.write_run(self.ctx.folder, **values)


class _SilentBoard(Board):
    """The log of a process that is not the first: nothing."""

    def __init__(self, folder: Path, say: Any) -> None:
        self.path = folder / "log.jsonl"
        self._writer = None

    def write(self, line: Mapping[str, Any]) -> None:
        """Write nothing."""
