"""The monitor of a training that `rtvoice train` runs: one run store for a cache, shadow mode unless told otherwise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rtvoice.train import digest

__all__ = ["tell_outcome", "watcher"]


def watcher(store: Path, *, kill: bool) -> Callable[[Any, str], Any]:
    """Return what makes the monitor of a planned step: `watcher(...)(step, skin)(models, start, total, folder)`.

    Parameters
    ----------
    store : Path
        The run store, an SQLite file.
    kill : bool
        Whether learned rules end a hopeless run; else they only note that they would have.
    """

    def of_step(step: Any, skin: str) -> Any:
        def make(models: Mapping[str, Any], start: int, total: int | None, folder: Path) -> Any:
            import torch

            from rtvoice.train.monitor import Monitor

            mine = {name: model for name, model in models.items() if name != "adversary"}
            return Monitor(
                next(iter(mine.values())) if len(mine) == 1 else torch.nn.ModuleDict(mine),
                run=folder.name,
                store=store,
                project=f"{skin}/{step.node.stage.name}",
                total=total,
                start=start,
                adversary=models.get("adversary"),
                kill=kill,
                folder=folder,
                config=_flat(digest.settings(step.params)),
            )

        return make

    return of_step


def tell_outcome(store: Path, folder: Path) -> None:
    """Give the run store the outcome in a run's `run.json`, if the store knows the run.

    Parameters
    ----------
    store : Path
        The run store; nothing happens where there is none.
    folder : Path
        The run's folder.
    """
    from rtvoice.train.monitor import Store, StoreError
    from rtvoice.train.outcome import read_run

    said = read_run(folder).get("outcome")
    if not store.is_file() or not said or said["label"] is None:
        return
    source = "person" if said["by"] == "person" else "run"
    try:
        with Store(store, create=False) as runs:
            runs.label(folder.name, said["label"], source=source, detail={"reasons": said["reasons"]})
    except StoreError:
        return  # trained unwatched


def _flat(value: Any, name: str = "") -> dict[str, Any]:
    """Return nested settings as names with dots."""
    if isinstance(value, Mapping):
        pairs = list(value.items())
    elif isinstance(value, list) and value and isinstance(value[0], Mapping):
        pairs = [(str(i), inner) for i, inner in enumerate(value)]
    else:
        return {name: value}
    found: dict[str, Any] = {}
    for key, inner in pairs:
        found |= _flat(inner, f"{name}.{key}" if name else str(key))
    return found
