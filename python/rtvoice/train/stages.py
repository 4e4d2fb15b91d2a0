"""Stages and the graph they form: what each needs, what its result depends on, what it is given when it runs."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rtvoice.train import digest
from rtvoice.train.recipe import Recipe

__all__ = ["Graph", "Node", "Nothing", "Stage", "StageContext"]


@dataclass(frozen=True)
class Nothing:
    """The settings of a stage that has none."""


@dataclass(frozen=True)
class Stage:
    """One stage: a function that fills a folder.

    Attributes
    ----------
    name : str
        Of the stage and of its table in the recipe.
    run : callable
        `run(ctx)` fills `ctx.folder`. It may be called again in the same folder after a kill, and goes on there.
    inputs : tuple of str
        Names of the stages whose folders it reads.
    params : type
        Dataclass of its table.
    sources : tuple of str
        Modules and packages whose code decides its result, beside the one of `run`.
    tiered : bool
        Whether it is run once for each tier of the skin.
    training : bool
        Whether it trains: it takes part in `--budget`, and its key holds the seed.
    optional : bool
        Left out where the recipe has no table for it.
    data : callable or None
        `data(params, folder)` returns a text that says which of `--data` it read, such as `digest.folder_digest`; a
        stage with it cannot run without `--data`.
    shards : bool
        Whether `ctx.shard` is heeded: several processes or machines each do their part in the same folder.
    merge : callable or None
        `merge(ctx)` is called once, after the last shard.
    products : tuple of str
        Patterns of files in its folder that `--out` receives.
    weight : float
        Share of a `--budget` that covers several training stages.
    """

    name: str
    run: Callable[[StageContext], None]
    inputs: tuple[str, ...] = ()
    params: type[Any] = Nothing
    sources: tuple[str, ...] = ()
    tiered: bool = False
    training: bool = False
    optional: bool = False
    data: Callable[[Any, Path], str] | None = None
    shards: bool = False
    merge: Callable[[StageContext], None] | None = None
    products: tuple[str, ...] = ()
    weight: float = 1.0

    def source(self) -> str:
        """Return the hash of the code that decides the result."""
        return digest.source_digest((self.run.__module__, *self.sources))


@dataclass(frozen=True)
class Node:
    """A stage of one recipe: of one tier where the stage is run for each.

    Attributes
    ----------
    stage : Stage
        Which.
    tier : str or None
        Of what tier.
    grows : str or None
        The tier whose result of the same stage this one begins as, its input `grown_from`.
    """

    stage: Stage
    tier: str | None = None
    grows: str | None = None

    @property
    def name(self) -> str:
        """Name, such as `master` or `student.hq`."""
        return f"{self.stage.name}.{self.tier}" if self.tier else self.stage.name


class Graph:
    """Stages in an order in which each comes after its inputs.

    Parameters
    ----------
    stages : iterable of Stage
        In such an order.

    Raises
    ------
    ValueError
        A name comes twice, or an input is not among the stages before.
    """

    def __init__(self, stages: Iterable[Stage]) -> None:
        self.stages: dict[str, Stage] = {}
        for stage in stages:
            if stage.name in self.stages:
                raise ValueError(f"two stages are named {stage.name!r}")
            for name in stage.inputs:
                if name not in self.stages:
                    raise ValueError(f"stage {stage.name!r} reads {name!r}, which is not among the stages before it")
            self.stages[stage.name] = stage

    @property
    def names(self) -> list[str]:
        """Names of the stages, in order."""
        return list(self.stages)

    def nodes(self, recipe: Recipe, tiers: Iterable[str] | None = None) -> list[Node]:
        """Return what a recipe asks for, in order, of some tiers or all."""
        chosen = list(recipe.skin.tiers if tiers is None else tiers)
        result: list[Node] = []
        for stage in self.stages.values():
            if stage.optional and stage.name not in recipe.tables:
                continue
            result += self._tiers(stage, recipe, chosen) if stage.tiered else [Node(stage)]
        return result

    def _tiers(self, stage: Stage, recipe: Recipe, chosen: list[str]) -> list[Node]:
        grows = {tier: recipe.grown_from(stage.name, tier) for tier in recipe.skin.tiers}
        made: list[Node] = []
        for tier in recipe.skin.tiers:
            below = grows[tier]
            if tier in chosen or tier in (grows[other] for other in chosen):
                made.append(Node(stage, tier, below))
        return made

    def inputs(self, node: Node, nodes: Iterable[Node]) -> dict[str, Node]:
        """Return the nodes that `node` reads, by the names it knows them by.

        A tiered stage reads its own tier of a tiered input, as `student`; another stage reads all, as `student.hq`.
        """
        found: dict[str, Node] = {}
        for other in nodes:
            if other.stage.name in node.stage.inputs:
                if other.tier is None or other.tier == node.tier:
                    found[other.stage.name] = other
                elif node.tier is None:
                    found[other.name] = other
            elif node.grows is not None and (other.stage.name, other.tier) == (node.stage.name, node.grows):
                found["grown_from"] = other
        return found

    def before(self, wanted: Iterable[Node], nodes: list[Node]) -> list[Node]:
        """Return `wanted` and all that they need, in order."""
        needed = {node.name for node in wanted}
        for node in reversed(nodes):
            if node.name in needed:
                needed |= {other.name for other in self.inputs(node, nodes).values()}
        return [node for node in nodes if node.name in needed]


@dataclass
class StageContext:
    """What a stage is given.

    Attributes
    ----------
    folder : Path
        Where it writes; what it wrote before a kill is still there.
    params : object
        Its table, as its dataclass.
    inputs : mapping
        Folders of its inputs by name.
    data : Path or None
        The user's `--data`.
    budget : float or None
        Seconds of training, over all resumptions.
    seed : int
        Of everything random; torch, numpy and Python have been seeded with it.
    shard : (int, int)
        This process's part, and how many parts there are.
    tier : str or None
        Of a stage that is run for each.
    recipe : Recipe or None
        The whole recipe.
    device : str
        `auto`, `cpu` or `cuda`.
    threads : int
        Threads and processes a stage may use.
    provenance : mapping
        What a model file says about how it was made: recipe, licence, data, consent, keys of the stages, commits.
    figures : dict
        Plain figures for `stage.json`: the stage adds to it.
    monitor : object or None
        Watches the training; see `rtvoice.train.runner.Monitor`.
    world : object or None
        The processes of this training, `rtvoice.train.distributed.World`; `None`: one alone.
    """

    folder: Path
    params: Any = field(default_factory=Nothing)
    inputs: Mapping[str, Path] = field(default_factory=dict)
    data: Path | None = None
    budget: float | None = None
    seed: int = 0
    shard: tuple[int, int] = (0, 1)
    tier: str | None = None
    recipe: Recipe | None = None
    device: str = "auto"
    threads: int = 1
    provenance: Mapping[str, Any] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)
    monitor: Any = None
    world: Any = None
    show: Any = None
    name: str = ""

    def progress(self, done: float, total: float, told: str = "") -> None:
        """Show how much is done."""
        if self.show is not None:
            self.show.update(done / total if total else 1.0, told)

    def say(self, line: str) -> None:
        """Show one line, such as what is left out and why."""
        if self.show is not None:
            self.show.say(line)

    def mine(self, name: str) -> bool:
        """Return whether an item is of this shard: by a stable hash of its name, the same on every machine."""
        index, count = self.shard
        return int(hashlib.sha256(name.encode()).hexdigest()[:12], 16) % count == index


@contextlib.contextmanager
def locked(path: Path, what: str) -> Iterator[None]:
    """Hold a lock that ends with this process, however it ends.

    Raises
    ------
    BlockingIOError
        Another process holds it.
    """
    try:
        import fcntl
    except ImportError:  # a system without it: one user, one command
        yield
        return
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BlockingIOError(f"another command is at work on {what}; wait for it or end it") from None
        try:
            yield
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)
