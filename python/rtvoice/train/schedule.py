"""How long a stage trains, in phases, and its learning rate over them, by steps or by time."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Length", "Phase", "duration", "lengths", "rate", "spoken"]

_UNITS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


@dataclass(frozen=True)
class Phase:
    """One part of a stage's training, such as a spectral one before an adversarial one.

    Attributes
    ----------
    name : str
        For the log.
    steps : int or None
        Length in optimiser steps: what makes two runs equal on machines of unequal speed.
    minutes : float or None
        Length in training time instead. Under a budget only the proportion between the phases counts.
    rate, adversary_rate : float
        Peak learning rates; the adversary's is `rate` where left out.
    adversarial : bool
        Whether the task's adversary takes part.
    warm_up : int
        Steps of linear rise at the phase's start, at most a tenth of the phase.
    shape : str
        How the rate falls: half a `cosine`, `linear`, not at all (`constant`), or `trapezoid`: constant for 70 %,
        then linear.
    final : float
        Where it falls to, as a share of the peak.
    batch : int or None
        Examples of a step over all processes, for the task to read.
    freeze : tuple of str
        Patterns of parameter names that stay as they are, such as `body.*`.
    rates : mapping
        Pattern to factor on the learning rate; the last pattern that matches counts.
    keep_moments : bool
        Whether the optimiser's moments live on from the phase before.
    settings : mapping
        Numbers of the task's own, such as the weights of its losses.
    """

    name: str = "train"
    steps: int | None = None
    minutes: float | None = None
    rate: float = 1e-3
    adversary_rate: float | None = None
    adversarial: bool = False
    warm_up: int = 100
    shape: Literal["cosine", "linear", "constant", "trapezoid"] = "cosine"
    final: float = 0.01
    batch: int | None = None
    freeze: tuple[str, ...] = ()
    rates: dict[str, float] = field(default_factory=dict)
    keep_moments: bool = True
    settings: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.steps is not None and self.minutes is not None:
            raise ValueError(f"steps and minutes are both given for phase {self.name!r}; keep one")
        if self.steps is not None and self.steps < 1:
            raise ValueError(f"steps = {self.steps} must be above 0")
        if self.minutes is not None and not self.minutes > 0:
            raise ValueError(f"minutes = {self.minutes} must be above 0")
        if not self.rate > 0:
            raise ValueError(f"rate = {self.rate} must be above 0")
        if self.warm_up < 0:
            raise ValueError(f"warm_up = {self.warm_up} must not be below 0")


@dataclass(frozen=True)
class Length:
    """How long one phase lasts: until `steps` of its own, or until `until` seconds of the whole training."""

    steps: int | None
    start: float
    until: float

    def progress(self, steps: int, seconds: float) -> float:
        """Return the part done, 0 to 1, after `steps` of the phase and `seconds` of the whole training."""
        if self.steps is not None:
            return min(1.0, steps / self.steps)
        return min(1.0, max(0.0, (seconds - self.start) / max(self.until - self.start, 1e-9)))


def lengths(phases: Sequence[Phase], budget: float | None = None) -> list[Length]:
    """Return the length of each phase.

    Parameters
    ----------
    phases : sequence of Phase
        In order.
    budget : float or None
        Seconds for all of them: the phases share it in proportion to their own lengths, equally where none is given.

    Raises
    ------
    ValueError
        There is no phase, a phase has no length and there is no budget, or some are in steps and some in minutes.
    """
    if not phases:
        raise ValueError("there is no phase to train; give at least one, with steps or minutes")
    if budget is None:
        for phase in phases:
            if phase.steps is None and phase.minutes is None:
                raise ValueError(f"phase {phase.name!r} has no length; give steps, minutes or a budget")
        weights = [60 * (phase.minutes or 0.0) for phase in phases]
    else:
        parts = [phase.minutes if phase.minutes is not None else phase.steps for phase in phases]
        if any(part is None for part in parts) or len({phase.steps is None for phase in phases}) > 1:
            parts = [1.0] * len(phases)
        total = sum(float(part or 0.0) for part in parts)
        weights = [budget * float(part or 0.0) / total for part in parts]
    result, at = [], 0.0
    for phase, weight in zip(phases, weights, strict=True):
        steps = phase.steps if budget is None else None
        result.append(Length(steps, at, at + weight))
        at += weight
    return result


def rate(phase: Phase, peak: float, step: int, progress: float) -> float:
    """Return the learning rate at `step` of a phase that is `progress` (0 to 1) done."""
    progress = min(max(progress, 0.0), 1.0)
    fall = {
        "cosine": 0.5 * (1 + math.cos(math.pi * progress)),
        "linear": 1 - progress,
        "constant": 1.0,
        "trapezoid": min(1.0, (1 - progress) / 0.3),
    }[phase.shape]
    # Under a short budget the rise must not eat the phase.
    rise = min(1.0, max((step + 1) / phase.warm_up, progress / 0.1)) if phase.warm_up else 1.0
    return peak * rise * (phase.final + (1 - phase.final) * fall)


def duration(text: str) -> float:
    """Return seconds of `90s`, `45m`, `2h`, `1h30m` or `1.5d`.

    Raises
    ------
    ValueError
        It is not a length of time.
    """
    parts = re.findall(r"(\d+(?:\.\d+)?)\s*(min|s|m|h|d)", text)
    if not parts or "".join(f"{n}{u}" for n, u in parts) != re.sub(r"\s", "", text):
        raise ValueError(f"{text!r} is not a length of time; write 90s, 45m, 2h or 1h30m")
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if not seconds > 0:
        raise ValueError(f"{text!r} is no time at all; write 90s, 45m, 2h or 1h30m")
    return seconds


def spoken(seconds: float) -> str:
    """Return a length of time for people: `42 s`, `7 min`, `1 h 20 min`, `2 d 3 h`."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min"
    return f"{hours // 24} d {hours % 24} h"
