"""One optimiser step: the adversary's half and the models' half, over accumulated batches, in all processes."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from rtvoice.train import schedule
from rtvoice.train.distributed import World
from rtvoice.train.parameters import freeze, groups, move_moments
from rtvoice.train.precision import Precision
from rtvoice.train.schedule import Phase
from rtvoice.train.task import ADVERSARY, Task, Training

__all__ = ["Optimise", "to_device"]


class _Call(torch.nn.Module):
    """A task's loss as a module's forward pass, so that DistributedDataParallel sees it begin."""

    def __init__(self, models: Mapping[str, torch.nn.Module], function: Any) -> None:
        super().__init__()
        self.models = torch.nn.ModuleDict(dict(models))
        self.function = function

    def forward(self, batch: Any) -> Any:
        return self.function(batch)


@dataclass
class _Side:
    """What one optimiser trains: the models, or the adversary."""

    optimizer: torch.optim.AdamW
    names: list[str]
    call: torch.nn.Module
    clip: float
    prefix: str

    @property
    def parameters(self) -> list[torch.nn.Parameter]:
        return [p for group in self.optimizer.param_groups for p in group["params"]]


class Optimise:
    """The optimisers of a training.

    Parameters
    ----------
    task, models, training, world, precision
        What is trained, and how.

    Attributes
    ----------
    broken : int
        Steps in a row whose gradient was not finite; such a step changes nothing.
    """

    def __init__(
        self,
        task: Task,
        models: Mapping[str, torch.nn.Module],
        training: Training,
        world: World,
        precision: Precision,
    ) -> None:
        self.task, self.models, self.training = task, dict(models), training
        self.world, self.precision = world, precision
        self.broken = 0
        self._sides: dict[str, _Side] = {}
        # What a model holds fixed from the start, such as a filter bank, stays so in every phase.
        self._fixed = {
            f"{key}.{name}"
            for key, model in self.models.items()
            for name, p in model.named_parameters()
            if not p.requires_grad
        }

    def begin(self, phase: Phase, *, moments: bool) -> None:
        """Make the optimisers of a phase; `moments`: with those of the phase before, as the phase wishes.

        Raises
        ------
        ValueError
            The phase freezes everything, or a pattern matches nothing.
        """
        old, self._sides, t = self._sides, {}, self.training
        trained = freeze(self.models, phase.freeze, self._fixed)
        if all(name.startswith(f"{ADVERSARY}.") for name in trained):
            raise ValueError(f"phase {phase.name!r} freezes every parameter; nothing is left to train")
        main = {name: model for name, model in self.models.items() if name != ADVERSARY}
        self._add("main", main, self.task.loss, phase, t.betas, t.clip)
        if phase.adversarial:
            loss = self.task.adversary_loss  # type: ignore[attr-defined]
            critic = {ADVERSARY: self.models[ADVERSARY]}
            self._add(ADVERSARY, critic, loss, phase, t.adversary_betas, t.adversary_clip)
        for name, side in self._sides.items():
            if moments and phase.keep_moments and name in old:
                move_moments(old[name].optimizer, old[name].names, side.optimizer, side.names)

    def _add(
        self,
        name: str,
        models: Mapping[str, torch.nn.Module],
        function: Any,
        phase: Phase,
        betas: tuple[float, float],
        clip: float,
    ) -> None:
        made, names = groups(models, phase.rates if name == "main" else {}, self.training.weight_decay)
        optimizer = torch.optim.AdamW(made, lr=phase.rate, betas=betas)
        call: torch.nn.Module = _Call(models, function)
        if self.world.size > 1:
            call = DistributedDataParallel(call, broadcast_buffers=False, find_unused_parameters=True)
        self._sides[name] = _Side(optimizer, names, call, clip, "" if name == "main" else f"{ADVERSARY}_")

    def set_rates(self, phase: Phase, step: int, progress: float) -> float:
        """Set the learning rates at `step` of a phase, `progress` through it; return the models' own."""
        for name, side in self._sides.items():
            peak = phase.rate if name == "main" or phase.adversary_rate is None else phase.adversary_rate
            for group in side.optimizer.param_groups:
                group["lr"] = schedule.rate(phase, peak, step, progress) * group["factor"]
        return schedule.rate(phase, phase.rate, step, progress)

    def step(self, batches: list[Any]) -> dict[str, Any]:
        """Take one step over batches; return its figures, means over them."""
        figures: dict[str, Any] = {}
        if ADVERSARY in self._sides:
            self._half(self._sides[ADVERSARY], batches, figures)
        adversary = self.models.get(ADVERSARY)
        learning = [p for p in adversary.parameters() if p.requires_grad] if adversary is not None else []
        for p in learning:  # its gradients are not wanted in the models' half, and would cost a third of it
            p.requires_grad_(False)
        try:
            self._half(self._sides["main"], batches, figures)
        finally:
            for p in learning:
                p.requires_grad_(True)
        self.precision.scaler.update()
        self.broken = self.broken + 1 if figures.get("skipped") else 0
        return figures

    def _half(self, side: _Side, batches: list[Any], figures: dict[str, Any]) -> None:
        side.optimizer.zero_grad(set_to_none=True)
        scaler = self.precision.scaler
        for index, batch in enumerate(batches):
            alone = isinstance(side.call, DistributedDataParallel) and index + 1 < len(batches)
            with side.call.no_sync() if alone else contextlib.nullcontext():  # type: ignore[operator]
                with self.precision.context():
                    loss, parts = side.call(batch)
                scaler.scale(loss / len(batches)).backward()
            for name, value in {f"{side.prefix}loss": loss, **parts}.items():
                number = value.detach() if isinstance(value, Tensor) else torch.tensor(float(value))
                figures[name] = figures.get(name, 0.0) + number / len(batches)
        scaler.unscale_(side.optimizer)
        norm = torch.nn.utils.clip_grad_norm_(side.parameters, side.clip if side.clip > 0 else math.inf)
        if bool(torch.isfinite(norm)):
            figures[f"{side.prefix}gradient_norm"] = norm.detach()
            scaler.step(side.optimizer)
            return
        figures["skipped"] = figures.get("skipped", 0.0) + 1.0
        if scaler.is_enabled():
            scaler.step(side.optimizer)  # it found the infinities as well, leaves the weights, and scales less

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint must hold."""
        sides = {name: side.optimizer.state_dict() for name, side in self._sides.items()}
        return {"sides": sides, "scaler": self.precision.scaler.state_dict(), "broken": self.broken}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go back to a state; the phase must have begun."""
        for name, side in self._sides.items():
            side.optimizer.load_state_dict(state["sides"][name])
        if self.precision.scaler.is_enabled() and state["scaler"]:
            self.precision.scaler.load_state_dict(state["scaler"])
        self.broken = int(state["broken"])


def to_device(value: Any, device: torch.device) -> Any:
    """Return a batch with its tensors on a device: of tuples, lists, dicts and dataclasses."""
    if isinstance(value, Tensor):
        return value if value.device == device else value.to(device, non_blocking=True)
    if isinstance(value, dict):
        return {key: to_device(inner, device) for key, inner in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(to_device(inner, device) for inner in value))
    if isinstance(value, list | tuple):
        return type(value)(to_device(inner, device) for inner in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        moved = {f.name: to_device(getattr(value, f.name), device) for f in dataclasses.fields(value) if f.init}
        return dataclasses.replace(value, **moved)
    return value
