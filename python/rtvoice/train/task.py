"""What the trainer asks of a task and of a monitor, and how a stage trains."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from rtvoice.train.recipe import free, later

__all__ = ["ADVERSARY", "Monitor", "Start", "Task", "Training", "part", "step_rng"]

#: The name in `Task.models` of what takes part in adversarial phases only, and has an optimiser of its own.
ADVERSARY = "adversary"


@dataclass(frozen=True)
class Start:
    """Weights that a training starts from, instead of chance: the table `[STAGE.training.start]`.

    Attributes
    ----------
    path : Path
        Folder of a finished training.
    rename : tuple of (str, str)
        Regular expression and replacement, applied to the names there.
    only : tuple of str
        Patterns of names here to load.
    allow : tuple of str
        Patterns of names that may be missing, left over or of another shape; anything else is refused.
    adversary : bool
        Whether the discriminators go on too, as its checkpoint left them; else they begin from chance.
    """

    path: Path
    rename: tuple[tuple[str, str], ...] = ()
    only: tuple[str, ...] = ("*",)
    allow: tuple[str, ...] = ()
    adversary: bool = later(False)


@dataclass(frozen=True)
class Training:
    """How a stage trains, the same in all its phases.

    Attributes
    ----------
    average : float
        Decay of the averaged weights, which are validated and shipped; 0: the newest weights.
    clip, adversary_clip : float
        Largest gradient norm; 0: any.
    accumulate : int
        Batches whose gradients make one step.
    precision : str
        `auto` (bfloat16 on a GPU that has it, else float32), `float32`, `bfloat16` or `float16`.
    compile : bool
        Whether to compile the models; training goes on without where that fails.
    weight_decay : float
        Of AdamW, for matrices.
    betas, adversary_betas : (float, float)
        Of AdamW.
    keep : str
        Which averaged weights are the result: the `last`, or the `best` by the held-out figure `measure`.
    measure : str
        A figure of `Task.validate`, smaller is better.
    validate_every : int
        Steps between two validations.
    every : int
        Steps between two lines of the log.
    checkpoint_minutes : float
        Between two checkpoints.
    prefetch : int
        Batches made ahead in a thread of their own; they must not draw from the global generators.
    start : Start or None
        Weights to start from.
    deterministic : bool
        Whether a GPU is held to algorithms that give the same bits each time.
    """

    average: float = 0.998
    clip: float = 1.0
    adversary_clip: float = 1.0
    accumulate: int = 1
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    compile: bool = False
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.98)
    adversary_betas: tuple[float, float] = (0.8, 0.99)
    keep: Literal["last", "best"] = "last"
    measure: str = "loss"
    validate_every: int = 500
    every: int = free(50)
    checkpoint_minutes: float = free(2.0)
    prefetch: int = free(0)
    start: Start | None = None
    deterministic: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.average < 1:
            raise ValueError(f"average = {self.average} is not within 0 and 1")
        for name in ("accumulate", "validate_every", "every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)} must be above 0")


@runtime_checkable
class Task(Protocol):
    """What is trained.

    Optional methods are called where they are there:

    - `begin(phase)`: a phase begins, or a training is resumed in it; `phase.batch` and `phase.settings` are for it.
    - `adversary_loss(batch) -> (loss, figures)`: in an adversarial phase, before `loss` of the same batch.
    - `state() -> dict`, `load_state(dict)`: what else a checkpoint must hold: tensors and plain values.
    - `heard() -> (outputs, targets)`: what the last `loss` compared, for the monitor's sampled steps.
    - `watched() -> models`: what the monitor watches instead of the models: the parts that `loss` calls, by name, where
      it never calls a whole model.
    - `trained`: an attribute: whether the models come from a training before, which their outcome is judged by.
    - `monitor`: an attribute, see `Monitor`; `ctx.monitor` goes before it: a monitor, or a function
      `monitor(models, step, total, folder)` that makes one.
    """

    def models(self) -> Mapping[str, torch.nn.Module]:
        """Return the models by name; the name `adversary` is for what `adversary_loss` trains."""

    def batches(self, step: int, rank: int, world: int) -> Iterator[Any]:
        """Return the batches from optimiser step `step` on, of process `rank` out of `world`.

        Each step takes `accumulate` of them. They must be a function of the seed, the step and the rank alone (draw
        from `step_rng`), so that a resumed training sees what an uninterrupted one does. Tensors in tuples, lists,
        dicts and dataclasses are moved to the device.
        """

    def loss(self, batch: Any) -> tuple[Tensor, Mapping[str, Any]]:
        """Return the loss of a batch and its parts, for the log."""

    def validate(self) -> Mapping[str, float]:
        """Return held-out figures, smaller is better for `loss`; the models have the averaged weights, in eval mode."""


class Monitor(Protocol):
    """What watches a training, such as `rtvoice.train.monitor.Monitor`.

    Where it has them, `state_dict` and `load_state_dict` keep its state in the checkpoint, and `finish(status)` is
    called at the end.
    """

    @property
    def should_stop(self) -> bool:
        """Whether the training is to end; `reason`, where there is one, says why."""

    def step(
        self,
        *,
        loss: Any,
        outputs: Any,
        targets: Any,
        discriminator: Any,
        validation: Any,
        gradient: Any,
        progress: Any,
    ) -> None:
        """Take in one optimiser step, after it."""


def step_rng(seed: int, step: int, rank: int = 0) -> np.random.Generator:
    """Return the generator of one step's draws: the same after a resumption."""
    return np.random.default_rng([seed, step, rank])


def part(items: Sequence[Any], rank: int, world: int) -> Sequence[Any]:
    """Return one process's share of a step's items, so that all shares together are the whole batch.

    Raises
    ------
    ValueError
        The shares would not be equal, and so the mean of their gradients not that of the whole.
    """
    if len(items) % world:
        raise ValueError(f"a batch of {len(items)} cannot be shared by {world} processes; make it a multiple")
    return items[rank::world]
