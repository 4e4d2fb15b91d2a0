"""Which parameters train, how fast, and their running average."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor

__all__ = ["Average", "approach", "freeze", "groups", "move_moments"]


def _matches(name: str, pattern: str) -> bool:
    """Match a pattern to `model.parameter`, or to the parameter's own name."""
    return fnmatchcase(name, pattern) or fnmatchcase(name.partition(".")[2], pattern)


def _named(models: Mapping[str, torch.nn.Module]) -> list[tuple[str, torch.nn.Parameter]]:
    return [(f"{key}.{name}", p) for key, model in models.items() for name, p in model.named_parameters()]


def freeze(models: Mapping[str, torch.nn.Module], patterns: Sequence[str], fixed: set[str]) -> list[str]:
    """Let exactly the parameters outside `patterns` train; return the names of those that do.

    Parameters
    ----------
    models : mapping
        Models by name; a pattern may begin with the name or leave it out.
    patterns : sequence of str
        Of names that stay as they are.
    fixed : set of str
        Names that never train, whatever the phase.

    Raises
    ------
    ValueError
        A pattern matches nothing.
    """
    named = _named(models)
    for pattern in patterns:
        if not any(_matches(name, pattern) for name, _ in named):
            raise ValueError(f"freeze: {pattern!r} matches no parameter; names look like {named[0][0]!r}")
    trained = []
    for name, parameter in named:
        keep = name in fixed or any(_matches(name, pattern) for pattern in patterns)
        parameter.requires_grad_(not keep)
        if not keep:
            trained.append(name)
    return trained


def groups(
    models: Mapping[str, torch.nn.Module], rates: Mapping[str, float], decay: float
) -> tuple[list[dict[str, Any]], list[str]]:
    """Return an optimiser's groups, each with its `factor` on the learning rate, and the parameters' names in order.

    Vectors (biases, norms) get no weight decay.

    Raises
    ------
    ValueError
        A pattern of `rates` matches nothing.
    """
    named = [(name, p) for name, p in _named(models) if p.requires_grad]
    for pattern in rates:
        if not any(_matches(name, pattern) for name, _ in named):
            raise ValueError(f"rates: {pattern!r} matches no parameter that trains")
    sorted_out: dict[tuple[float, float], list[tuple[str, torch.nn.Parameter]]] = {}
    for name, parameter in named:
        factor = next((f for pattern, f in reversed(list(rates.items())) if _matches(name, pattern)), 1.0)
        sorted_out.setdefault((factor, decay if parameter.ndim > 1 else 0.0), []).append((name, parameter))
    result = [
        {"params": [p for _, p in members], "factor": factor, "weight_decay": weight}
        for (factor, weight), members in sorted_out.items()
    ]
    return result, [name for members in sorted_out.values() for name, _ in members]


def move_moments(
    old: torch.optim.Optimizer, old_names: Sequence[str], new: torch.optim.Optimizer, new_names: Sequence[str]
) -> None:
    """Give an optimiser the moments that another holds for the same parameters."""
    parameters = [p for group in old.param_groups for p in group["params"]]
    state = {name: old.state.get(p) for name, p in zip(old_names, parameters, strict=True)}
    for name, p in zip(new_names, (p for group in new.param_groups for p in group["params"]), strict=True):
        if state.get(name):
            new.state[p] = state[name]


def _kept(decay: float, step: int) -> float:
    """Return the share of the old average that a step keeps: less at the start, to forget the first weights."""
    return min(decay, step / (step + 9))


@torch.no_grad()
def approach(average: torch.nn.Module, model: torch.nn.Module, decay: float, step: int) -> None:
    """Let the parameters of `average` take in those of `model` after `step` steps, as `Average` does."""
    for ours, theirs in zip(average.parameters(), model.parameters(), strict=True):
        ours.lerp_(theirs, 1 - _kept(decay, step))


class Average:
    """Running average of models' weights, which is what ships.

    Parameters
    ----------
    models : mapping
        Models by name.
    decay : float
        Share of the old average that each step keeps, less at the start; 0 keeps the newest weights.
    """

    def __init__(self, models: Mapping[str, torch.nn.Module], decay: float) -> None:
        self.models, self.decay = dict(models), decay
        self.state = {key: {n: t.detach().clone() for n, t in m.state_dict().items()} for key, m in models.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after `step` steps."""
        decay = _kept(self.decay, step) if self.decay > 0 else 0.0
        for key, model in self.models.items():
            floats: tuple[list[Tensor], list[Tensor]] = ([], [])
            for name, tensor in model.state_dict().items():
                ours = self.state[key][name]
                if ours.is_floating_point():
                    floats[0].append(ours)
                    floats[1].append(tensor)
                else:
                    ours.copy_(tensor)
            if floats[0]:
                torch._foreach_lerp_(floats[0], floats[1], 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Let the models have the averaged weights, in eval mode, inside the block."""
        training = {key: model.training for key, model in self.models.items()}
        newest = {key: {n: t.clone() for n, t in m.state_dict().items()} for key, m in self.models.items()}
        try:
            for key, model in self.models.items():
                model.load_state_dict(self.state[key])
                model.eval()
            yield
        finally:
            for key, model in self.models.items():
                model.load_state_dict(newest[key])
                model.train(training[key])
