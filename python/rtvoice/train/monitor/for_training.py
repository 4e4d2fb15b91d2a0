"""The monitor as `rtvoice.train.runner.fit` asks for it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from rtvoice.train.monitor.monitor import Monitor


def watched(
    store: str | os.PathLike[str],
    *,
    project: str = "default",
    run: str | None = None,
    name: str | None = None,
    kill: bool = False,
    config: Mapping[str, Any] | None = None,
    **options: Any,
) -> Callable[[Mapping[str, torch.nn.Module], int, int | None, Path], Monitor]:
    """Return what makes the monitor of a training, for `StageContext.monitor`.

    Parameters
    ----------
    store : path-like
        The run store.
    project : str
        Runs of one project share rules: give each stage and tier its own.
    run, name : str or None
        See `Monitor`; the training's folder names the run where `None`.
    kill : bool
        Whether rules end the training.
    config : mapping or None
        What to remember of the run.
    **options
        Of `Monitor`.
    """

    def make(models: Mapping[str, torch.nn.Module], step: int, total: int | None, folder: Path) -> Monitor:
        trained = {key.replace(".", "-"): model for key, model in models.items() if key != "adversary"}
        single = next(iter(trained.values())) if len(trained) == 1 else torch.nn.ModuleDict(trained)
        return Monitor(
            single,
            run=run or Path(folder).name,
            store=store,
            project=project,
            name=name,
            total=total,
            start=step,
            adversary=models.get("adversary"),
            kill=kill,
            folder=folder,
            config=config,
            **options,
        )

    return make
