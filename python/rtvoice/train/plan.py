"""What is to be done for a recipe: which stages are there already, which will run; and the running of them."""

from __future__ import annotations

import dataclasses
import json
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rtvoice.files import write_whole
from rtvoice.train import digest, source
from rtvoice.train.board import finite
from rtvoice.train.recipe import Recipe, UsageError
from rtvoice.train.schedule import spoken
from rtvoice.train.show import Show
from rtvoice.train.stages import Graph, Node, StageContext, locked

__all__ = ["Options", "Plan", "Step", "execute", "make_plan", "outside_budget"]


@dataclass(frozen=True)
class Options:
    """How a recipe is run.

    Attributes
    ----------
    cache : Path
        Holds a folder for each stage's result.
    data : Path or None
        The user's recordings.
    stage : str or None
        Only this one and what it needs; `None`: all.
    tiers : tuple of str or None
        Only these; `None`: the recipe's.
    budget : float or None
        Seconds of training for all that is trained.
    seed : int or None
        Instead of the recipe's.
    shard : (int, int)
        This command's part of stages that can be shared, and how many parts there are.
    resume, restart : bool
        Go on with, or throw away, a training that was ended.
    reuse : tuple of str
        Stages whose newest finished result counts although their source has changed since; `all`: each.
    given : mapping
        Folders that stand in for stages, by name.
    device, threads, monitor
        For the stages; see `StageContext`.
    """

    cache: Path
    data: Path | None = None
    stage: str | None = None
    tiers: tuple[str, ...] | None = None
    budget: float | None = None
    seed: int | None = None
    shard: tuple[int, int] = (0, 1)
    resume: bool = False
    restart: bool = False
    reuse: tuple[str, ...] = ()
    given: Mapping[str, Path] = field(default_factory=dict)
    device: str = "auto"
    threads: int = 1
    monitor: Callable[[Step, str], Any] | None = None


@dataclass
class Step:
    """One stage in a plan.

    Attributes
    ----------
    node : Node
        The stage and its tier.
    params : object
        Its settings.
    key : str
        Hash of all its result depends on.
    folder : Path
        Where the result is or will be.
    status : str
        `cached`, `run`, `resume` or `given`.
    why : str
        In words, where there is something to say.
    seconds : float or None
        What a cached result took.
    estimate : float or None
        What running it may take.
    start : Path or None
        Folder of the same training under another budget, to go on from.
    """

    node: Node
    params: Any
    key: str
    folder: Path
    status: str
    inputs: dict[str, Path]
    parts: dict[str, Any]
    why: str = ""
    seconds: float | None = None
    estimate: float | None = None
    start: Path | None = None

    @property
    def name(self) -> str:
        """Name of the node."""
        return self.node.name

    def plain(self) -> dict[str, Any]:
        """Return it for `--json`."""
        return {
            "stage": self.name,
            "status": self.status,
            "key": self.key[:12],
            "folder": str(self.folder),
            "seconds": self.seconds,
            "estimate_seconds": self.estimate,
            "why": self.why or None,
        }


@dataclass
class Plan:
    """The stages of a recipe, in order."""

    recipe: Recipe
    options: Options
    steps: list[Step]

    @property
    def to_run(self) -> list[Step]:
        """Those that are not there yet."""
        return [step for step in self.steps if step.status in ("run", "resume")]

    def plain(self) -> dict[str, Any]:
        """Return it for `--json`: the time with the cache, and without."""
        spent = [step.seconds for step in self.steps if step.status == "cached"]
        left = [step.estimate for step in self.to_run]
        with_cache = None if None in left else sum(x for x in left if x is not None)
        saved = sum(x for x in spent if x is not None)
        return {
            "recipe": str(self.recipe.path),
            "skin": self.recipe.skin.name,
            "cache": str(self.options.cache),
            "stages": [step.plain() for step in self.steps],
            "seconds_with_cache": with_cache,
            "seconds_without_cache": None if with_cache is None else with_cache + saved,
        }


def make_plan(graph: Graph, recipe: Recipe, options: Options) -> Plan:
    """Work out what is there and what is to be done; nothing is changed.

    Raises
    ------
    RecipeError
        The recipe does not fit its stages.
    UsageError
        The stage or tier asked for is not in it.
    ValueError
        `--data` is needed.
    """
    recipe.check_tables(graph.names)
    if options.tiers is not None:
        for tier in options.tiers:
            if tier not in recipe.skin.tiers:
                raise UsageError(f"{recipe.path}: there is no tier {tier!r}; tiers: {', '.join(recipe.skin.tiers)}")
    nodes = graph.nodes(recipe, options.tiers)
    known = {node.name for node in nodes} | {node.stage.name for node in nodes}
    for name, folder in options.given.items():
        if name not in known:
            raise UsageError(f"there is no stage {name!r} to take {folder} for; stages: {', '.join(sorted(known))}")
    wanted = nodes
    if options.stage is not None:
        wanted = [node for node in nodes if options.stage in (node.stage.name, node.name)]
        if not wanted:
            raise UsageError(
                f"{recipe.path}: there is no stage {options.stage!r}; stages: {', '.join(node.name for node in nodes)}"
            )
    nodes = graph.before(wanted, nodes)
    explicit = {node.name for node in wanted} if options.stage is not None else set()
    done = _Finished(options.cache)
    steps: dict[str, Step] = {}
    for node in nodes:
        inputs = {name: steps[other.name] for name, other in graph.inputs(node, nodes).items()}
        steps[node.name] = _step(node, recipe, options, inputs, done, node.name in explicit)
    plan = Plan(recipe, options, _needed(graph, list(steps.values()), wanted))
    _estimate(plan, done)
    return plan


def _needed(graph: Graph, steps: list[Step], wanted: list[Node]) -> list[Step]:
    """Leave out what only stages need that are given."""
    by_name = {step.name: step for step in steps}
    nodes = [step.node for step in steps]
    needed: set[str] = set()

    def need(node: Node) -> None:
        if node.name in needed:
            return
        needed.add(node.name)
        if by_name[node.name].status != "given":
            for other in graph.inputs(node, nodes).values():
                need(other)

    for node in wanted:
        need(node)
    return [step for step in steps if step.name in needed]


class _Finished:
    """The finished results in a cache, newest last."""

    def __init__(self, cache: Path) -> None:
        self.stages: list[tuple[Path, dict[str, Any]]] = []
        for path in sorted(cache.glob("*/stage.json")) if cache.is_dir() else []:
            try:
                self.stages.append((path.parent, json.loads(path.read_text(encoding="utf-8"))))
            except (json.JSONDecodeError, UnicodeDecodeError):
                continue
        self.stages.sort(key=lambda pair: float(pair[1].get("ended", 0.0)))
        self.begun = [(path.parent, _work(path.parent)) for path in cache.glob("*/work.json")] if cache.is_dir() else []

    def begun_like(self, parts: Mapping[str, Any]) -> tuple[Path, dict[str, Any]] | None:
        """Return the newest training that was begun, not ended, and that only its source tells from `parts`."""
        found = [
            (float(told.get("began", 0.0)), folder, told)
            for folder, told in self.begun
            if (folder / "checkpoint.pt").is_file()
            and not (folder / "stage.json").is_file()
            and {**told.get("parts", {}), "source": None} == {**parts, "source": None}
        ]
        return max(found, key=lambda one: one[0])[1:] if found else None

    def shorter(self, parts: Mapping[str, Any]) -> Path | None:
        """Return the folder of the longest training, ended or not, that only its budget tells from `parts`."""
        found = [
            (float(told["parts"].get("budget") or 0.0), folder)
            for folder, told in self.begun
            if (folder / "checkpoint.pt").is_file()
            and {**told.get("parts", {}), "budget": None} == {**parts, "budget": None}
        ]
        return max(found)[1] if found else None

    def like(self, parts: Mapping[str, Any], names: Iterable[str]) -> list[tuple[Path, dict[str, Any]]]:
        """Return those whose parts of the key agree in `names`."""
        chosen = list(names)
        return [
            (folder, told)
            for folder, told in self.stages
            if all(told.get("parts", {}).get(name) == parts.get(name) for name in chosen)
        ]


def _step(
    node: Node, recipe: Recipe, options: Options, inputs: dict[str, Step], done: _Finished, explicit: bool
) -> Step:
    stage = node.stage
    params = recipe.params(stage.name, stage.params, node.tier)
    folders = {name: step.folder for name, step in inputs.items()}
    given = options.given.get(node.name, options.given.get(stage.name))
    if given is not None:
        key = _given_key(given)
        return Step(node, params, key, given, "given", folders, {}, "the folder that was named")
    seed = options.seed if options.seed is not None else recipe.skin.seed
    parts: dict[str, Any] = {
        "stage": node.name,
        "params": digest.json_digest(digest.settings(params)),
        "source": stage.source(),
        "inputs": {name: step.key for name, step in sorted(inputs.items())},
        "seed": seed if stage.training else None,
        "data": None,
        "budget": options.budget if stage.training else None,
    }
    alike = ["stage", "params", "source", "inputs", "seed", "data", "budget"]
    if stage.data is not None:
        if options.data is not None:
            parts["data"] = stage.data(params, options.data)
        else:
            alike.remove("data")  # any copy of the data that was prepared before will do
    reuse = bool({"all", stage.name, node.name} & set(options.reuse))
    found = done.like(parts, alike)
    why = ""
    if not found and reuse:
        found = done.like(parts, [name for name in alike if name != "source"])
        why = "made by other source, reused as asked"
    if not found and stage.training and not explicit:
        # An input trained under another budget serves as well: the longest.
        names = [name for name in alike if name not in ("budget", *(("source",) if reuse else ()))]
        found = sorted(done.like(parts, names), key=lambda pair: float(pair[1].get("seconds", 0.0)))
        budget = found[-1][1].get("parts", {}).get("budget") if found else None
        if found:
            why = f"trained under a budget of {budget / 3600:.3g} h" if budget else "trained to the recipe's own length"
    if found:
        folder, told = found[-1]
        return Step(
            node, params, str(told["key"]), folder, "cached", folders, dict(told["parts"]), why, told.get("seconds")
        )
    if stage.data is not None and options.data is None:
        raise UsageError(f"stage {stage.name!r} has to read recordings; name their folder by --data DIR")
    begun_by_other = done.begun_like(parts) if reuse and stage.training and options.resume else None
    if begun_by_other is not None:
        folder, told = begun_by_other
        why = "begun by other source, gone on with as asked"
        return Step(node, params, str(told["key"]), folder, "resume", folders, dict(told["parts"]), why)
    key = digest.json_digest(parts)
    folder = options.cache / f"{node.name}-{key[:12]}"
    begun = (folder / "checkpoint.pt").is_file() if stage.training else folder.is_dir()
    step = Step(node, params, key, folder, "resume" if begun else "run", folders, parts)
    if stage.training and options.resume and not begun:
        step.start = done.shorter(parts)
        step.why = f"goes on from {step.start.name}" if step.start else ""
    return step


def _given_key(folder: Path) -> str:
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder")
    told = folder / "stage.json"
    if told.is_file():
        return str(json.loads(told.read_text(encoding="utf-8"))["key"])
    return digest.folder_digest(folder)


def _estimate(plan: Plan, done: _Finished) -> None:
    """Say what each stage to run may take: its share of the budget, its own length, or what it took before."""
    shares = budget_shares(plan)
    for step in plan.to_run:
        before = [told for _, told in done.stages if told.get("parts", {}).get("stage") == step.name]
        phases = getattr(step.params, "phases", ())
        minutes = [phase.minutes for phase in phases]
        if step.name in shares:
            step.estimate = shares[step.name]
        elif minutes and None not in minutes:
            step.estimate = 60.0 * sum(m for m in minutes if m is not None)
        elif before:
            step.estimate = before[-1].get("seconds")


def budget_shares(plan: Plan) -> dict[str, float]:
    """Return the seconds of training of each stage to run, under a budget; a training begun before keeps its own."""
    if plan.options.budget is None:
        return {}
    training = [step for step in plan.to_run if step.node.stage.training]
    fixed = {step.name: _work(step.folder).get("budget") for step in training}
    shares = {name: float(seconds) for name, seconds in fixed.items() if seconds is not None}
    others = [step for step in training if step.name not in shares]
    total = sum(step.node.stage.weight for step in others)
    left = max(plan.options.budget - sum(shares.values()), 0.0) if shares else plan.options.budget
    for step in others:
        shares[step.name] = (left or plan.options.budget) * step.node.stage.weight / total
    return shares


def outside_budget(plan: Plan) -> str | None:
    """Return a line on the stages to run that a budget does not bound, with what they took before; None without any."""
    beside = [step for step in plan.to_run if not step.node.stage.training]
    if plan.options.budget is None or not beside:
        return None
    told = [
        f"{step.name} {'(never run here: unknown)' if step.estimate is None else f'about {spoken(step.estimate)}'}"
        for step in beside
    ]
    known = [step.estimate for step in beside if step.estimate is not None]
    total = f"; in all about {spoken(plan.options.budget + sum(known))}" if len(known) == len(beside) else ""
    return f"the budget of {spoken(plan.options.budget)} is for the trainings; beside it: {', '.join(told)}{total}"


def _work(folder: Path) -> dict[str, Any]:
    """Return what is known of a stage that has not ended."""
    path = folder / "work.json"
    if not path.is_file():
        return {}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (json.JSONDecodeError, UnicodeDecodeError):
        return {}


def execute(plan: Plan, world: Any = None) -> list[Step]:
    """Run what is not there yet; return the steps that ran.

    Parameters
    ----------
    plan : Plan
        Made by `make_plan`.
    world : World or None
        The processes of this command, where torchrun started several.

    Raises
    ------
    ValueError
        A training that was ended is in the way: it must be resumed or restarted.
    Exception
        What a stage raises; it goes on there at the next run.
    """
    options = plan.options
    main = world is None or world.main
    for step in plan.to_run:
        if step.status == "resume" and step.node.stage.training and not (options.resume or options.restart):
            raise UsageError(
                f"{step.name} was begun before ({step.folder}); --resume goes on with it, --restart throws it away"
            )
    shares = budget_shares(plan)
    options.cache.mkdir(parents=True, exist_ok=True)
    ran = []
    for step in plan.to_run:
        stage = step.node.stage
        if main:
            if options.restart and stage.training and step.folder.exists():
                shutil.rmtree(step.folder)
            step.folder.mkdir(parents=True, exist_ok=True)
            if step.start is not None and not (step.folder / "checkpoint.pt").is_file():
                for name in ("log.jsonl", "checkpoint.pt"):  # the checkpoint last: it tells that all is there
                    shutil.copyfile(step.start / name, step.folder / f".{name}.start")
                    (step.folder / f".{name}.start").replace(step.folder / name)
        if world is not None:
            world.barrier()
        alone = not stage.training and not stage.shards
        if main or not alone:
            _run_step(plan, step, shares.get(step.name), world)
        if world is not None:
            world.barrier()
        ran.append(step)
        if not (step.folder / "stage.json").is_file():
            break  # other shards are still at work on it
    return ran


def _run_step(plan: Plan, step: Step, budget: float | None, world: Any) -> None:
    options, stage = plan.options, step.node.stage
    rank, size = (world.rank, world.size) if world is not None else (0, 1)
    index, count = options.shard
    shard = (index * size + rank, count * size) if stage.shards else (0, 1)
    part = f"{shard[0]}-of-{shard[1]}"
    lock = step.folder / (f".lock-{part}" if stage.shards else f".lock-{rank}")
    with locked(lock, str(step.folder)):
        if rank == 0:
            _begin(plan, step, budget)
        show = Show(step.name, quiet=rank > 0)
        ctx = StageContext(
            folder=step.folder,
            params=step.params,
            inputs=step.inputs,
            data=options.data,
            budget=budget,
            seed=options.seed if options.seed is not None else plan.recipe.skin.seed,
            shard=shard,
            tier=step.node.tier,
            recipe=plan.recipe,
            device=options.device,
            threads=options.threads,
            provenance=provenance(plan, step),
            monitor=options.monitor(step, plan.recipe.skin.name) if options.monitor and stage.training else None,
            world=world,
            show=show,
            name=step.name,
        )
        began = time.monotonic()
        _seed(ctx.seed)
        try:
            stage.run(ctx)
        finally:
            show.close()
            _spend(step.folder, part, time.monotonic() - began)
        write_whole(step.folder / f".done-{part}", json.dumps(finite(ctx.figures), default=str).encode())
    if stage.training and world is not None:
        world.barrier()
    if rank == 0 or stage.shards:
        _end(step, ctx, shard)


def _seed(seed: int) -> None:
    try:
        from rtvoice.train.checkpoint import seed_all
    except ImportError:  # a stage without torch
        return
    seed_all(seed)


def _begin(plan: Plan, step: Step, budget: float | None) -> None:
    work = _work(step.folder)
    if work.get("key") == step.key:
        return
    work = {
        "key": step.key,
        "stage": step.name,
        "skin": plan.recipe.skin.name,
        "parts": step.parts,
        "params": dataclasses.asdict(step.params),
        "budget": budget,
        "inputs": {name: str(path) for name, path in step.inputs.items()},
        "began": time.time(),
        "commit": source.commit(),
    }
    write_whole(step.folder / "work.json", (json.dumps(work, indent=2, default=str) + "\n").encode())


def _spend(folder: Path, part: str, seconds: float) -> None:
    """Add up the time that each part has taken, over all resumptions."""
    path = folder / f".seconds-{part}"
    before = float(path.read_text()) if path.is_file() else 0.0
    write_whole(path, f"{before + seconds:.3f}".encode())


def _end(step: Step, ctx: StageContext, shard: tuple[int, int]) -> None:
    """Write `stage.json`, which says that the result is whole, once every shard is done."""
    folder = step.folder
    parts = [f"{i}-of-{shard[1]}" for i in range(shard[1])]
    if not all((folder / f".done-{part}").is_file() for part in parts):
        return
    try:
        lock = locked(folder / ".lock-end", str(folder))
        with lock:
            if (folder / "stage.json").is_file():
                return
            figures = dict(ctx.figures)
            if step.node.stage.merge is not None:
                began = time.monotonic()
                ctx.figures = figures
                step.node.stage.merge(ctx)
                _spend(folder, "merge", time.monotonic() - began)
            spent = sum(float(path.read_text()) for path in folder.glob(".seconds-*"))
            told = {**_work(folder), "seconds": round(spent, 3), "ended": time.time(), "shards": shard[1]}
            told["figures"] = ctx.figures
            write_whole(
                folder / "stage.json",
                (json.dumps(finite(told), indent=2, default=str, allow_nan=False) + "\n").encode(),
            )
            step.seconds = round(spent, 3)
    except BlockingIOError:
        return  # another shard ends it


def provenance(plan: Plan, step: Step) -> dict[str, Any]:
    """Return what a model file says about how it was made."""
    skin = plan.recipe.skin
    told = {
        "skin": skin.name,
        "stage": step.name,
        "recipe": plan.recipe.path.name,
        "recipe_sha256": digest.json_digest([plan.recipe.below, plan.recipe.text, plan.recipe.changed])[:16],
        "data": skin.data,
        "consent": skin.consent,
        "seed": plan.options.seed if plan.options.seed is not None else skin.seed,
        "stages": {other.name: other.key[:12] for other in plan.steps if other.name != step.name},
        "key": step.key[:12],
        "git_commit": source.commit(),
    }
    return {name: value for name, value in told.items() if value not in (None, "", {})}
