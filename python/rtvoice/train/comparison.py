"""A finished training's own comparison with the champion, queued on the comparison page."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rtvoice.audio import AudioError
from rtvoice.errors import ModelError
from rtvoice.train.recipe import Recipe, UsageError

__all__ = ["Comparison", "find_comparison", "finished", "queue"]


@dataclass(frozen=True)
class Comparison:
    """What is to be compared with what: the recipe's table `[compare]`, options over it.

    Attributes
    ----------
    champion : str
        A skin, a `.rtv` file, a folder with one in it; `best`: the strongest model of the skin and tier on the
        page's league table, or the skin of that name that is installed.
    clips, target : str
        Folders of recordings, as of `rtvoice compare`.
    store : str
        Where the page keeps its sessions.
    """

    champion: str
    clips: str
    target: str = ""
    store: str = ""


def find_comparison(
    recipe: Recipe, champion: str | None, clips: Path | None, tiers: Sequence[str] | None = None
) -> Comparison | None:
    """Return what a recipe and the options ask for, checked before hours are spent on the training.

    Raises
    ------
    UsageError
        Half of it is missing, there is no champion, a folder holds no recording, or the page is not installed.
    """
    found = recipe.compare(Comparison, champion=champion, clips=str(clips) if clips else None)
    if found is None:
        return None
    if importlib.util.find_spec("rtvoice_studio") is None:
        raise UsageError("comparing needs the comparison page; run: pip install 'rtvoice[compare]'")
    from rtvoice_studio.command import Store, find_champion, recordings, store_folder

    for name, folder in (("clips", found.clips), ("target", found.target)):
        if folder and not (Path(folder).is_dir() and recordings(Path(folder))):
            raise UsageError(f"[compare] {name}: {folder} is no folder of recordings")
    store = Store(store_folder(found.store or None))
    try:
        for tier in tiers or recipe.skin.tiers:
            find_champion(store, found.champion, recipe.skin.name, tier)
    except (ModelError, AudioError, ValueError, OSError) as error:
        raise UsageError(f"[compare] champion: {error}") from None
    finally:
        store.close()
    # The training may change folders, and nothing of it may depend on that.
    return replace(found, clips=str(Path(found.clips).resolve()))


def finished(steps: Sequence[Any], ran: Sequence[str]) -> list[Path]:
    """Return the folders whose model file is what the plan makes last under that name, of the steps that ran now."""
    last: dict[str, Any] = {}
    for step in steps:
        for pattern in step.node.stage.products:
            last |= {path.name: step for path in sorted(step.folder.glob(pattern)) if path.suffix == ".rtv"}
    return list({step.name: step.folder for step in last.values() if step.name in ran}.values())


def queue(comparison: Comparison, skin: str, folders: Sequence[Path]) -> list[dict[str, Any]]:
    """Prepare a session for each model against the champion of its tier; return what the page calls them.

    Raises
    ------
    ValueError, ModelError, AudioError, OSError
        A model or a clip is unfit, or the store cannot be written.
    """
    from rtvoice_studio.command import Store, queue_run, store_folder

    store = Store(store_folder(comparison.store or None))
    target = Path(comparison.target) if comparison.target else None
    try:
        return [
            queue_run(store, folder, comparison.champion, skin, clips=Path(comparison.clips), target=target)
            for folder in folders
        ]
    finally:
        store.close()
