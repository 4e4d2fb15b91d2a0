"""The command `rtvoice train RECIPE`: plan, show, run, tell; and `rtvoice train label`."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from rtvoice.audio import AudioError
from rtvoice.errors import ModelError
from rtvoice.train.interrupt import Halted, Interrupted
from rtvoice.train.recipe import UsageError
from rtvoice.train.schedule import duration, spoken

__all__ = ["add_run_options", "default_cache", "run_label", "run_recipe"]


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        kwargs.setdefault("allow_abbrev", False)
        super().__init__(*args, **kwargs)

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and where the help is; exit 2."""
        self.exit(2, f"{self.prog}: error: {' '.join(message.split())}; see '{self.prog} --help'\n")


def default_cache() -> Path:
    """Return where stages' results are kept unless `--cache` or `$RTVOICE_CACHE` says so."""
    named = os.environ.get("RTVOICE_CACHE")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rtvoice" / "train"


def default_threads() -> int:
    """Return how many threads to use: `$OMP_NUM_THREADS`, else this process's share of the cores."""
    named = os.environ.get("OMP_NUM_THREADS", "")
    if named.isdigit() and int(named) > 0:
        return int(named)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Add what says how a recipe is run."""
    parser.add_argument("--tier", action="append", help="only this tier (may be given again; default: the recipe's)")
    parser.add_argument(
        "--budget",
        metavar="TIME",
        type=_duration,
        help="of the trainings in all, such as 90s, 45m, 2h; render and other stages take their own time beside it",
    )
    parser.add_argument("--resume", action="store_true", help="go on with a training that was ended")
    parser.add_argument("--restart", action="store_true", help="throw a training that was ended away, and begin again")
    parser.add_argument("--data", metavar="DIR", type=Path, help="folder of recordings")
    parser.add_argument("--cache", metavar="DIR", type=Path, help=f"results of the stages ({default_cache()})")
    parser.add_argument("--out", metavar="DIR", type=Path, help="folder that gets the finished skin (--target: skins)")
    parser.add_argument("--reuse", metavar="STAGES", help="take these although their source has changed: a,b or all")
    parser.add_argument(
        "--set", metavar="KEY=VALUE", action="append", default=[], help="change the recipe: stage.key=1"
    )
    parser.add_argument("--seed", type=int, help="instead of the recipe's")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (auto)")
    parser.add_argument("--threads", type=_count, help="of torch, and processes of preparation (one for each core)")
    parser.add_argument("--runs", metavar="FILE", type=Path, help="the monitor's run store (CACHE/runs.db)")
    parser.add_argument("--no-monitor", action="store_true", help="train unwatched")
    parser.add_argument("--kill", action="store_true", help="let the monitor's learned rules end a hopeless training")
    parser.add_argument(
        "--compare",
        metavar="CHAMPION",
        help="queue a comparison by ear with this model, or with 'best' (also: [compare] in the recipe)",
    )
    parser.add_argument("--compare-clips", metavar="DIR", type=Path, help="recordings to compare them on")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")


def recipe_parser(program: str) -> Parser:
    """Return the parser of `rtvoice train RECIPE`."""
    parser = Parser(
        prog=program,
        description="Train a skin by its recipe. Results of stages are kept; only what changed is made again.",
        epilog=f"example:\n  {program} whisper --data speech --noise noise --out build/train/whisper\n"
        f"  {program} models/recipes/kathleen.toml --data speech --budget 2h --resume\n"
        f"  {program} --target my-voice --name mine --consent 'I, ..., agree that ...'\n\n"
        "other commands:\n"
        f"  {program} label RUN LABEL     say what became of a run\n"
        f"  {program} whisper             train the whisper skin; export-whisper, evaluate-whisper\n\n"
        "several processes: torchrun --nproc-per-node 2 -m rtvoice train RECIPE ...\n"
        "training needs the extra 'train': pip install 'rtvoice[train]'",
    )
    parser.add_argument("recipe", metavar="RECIPE", type=Path, nargs="?", help="a TOML file")
    parser.add_argument("--stage", metavar="S", help="only this stage and what it needs")
    parser.add_argument("--shard", metavar="I/N", type=_shard, default=(0, 1), help="do part I (from 0) of N")
    parser.add_argument(
        "--given",
        metavar="STAGE=DIR",
        type=_given,
        action="append",
        default=[],
        help="take this folder for a stage's result, such as master=models/voices (may be given again)",
    )
    parser.add_argument("--dry-run", action="store_true", help="show what is there, what would run, and how long")
    add_run_options(parser)
    new = parser.add_argument_group("a new skin from recordings of a consenting voice")
    new.add_argument("--target", metavar="DIR", type=Path, help="10 to 60 minutes of one voice, any format and rate")
    new.add_argument("--name", help="of the skin: small letters, digits, hyphens")
    new.add_argument(
        "--consent", metavar="TEXT", help="the speaker's own statement, written into the model (or consent.txt in DIR)"
    )
    return parser


def _given(text: str) -> tuple[str, Path]:
    stage, equals, folder = text.partition("=")
    if not (stage and equals and folder):
        raise argparse.ArgumentTypeError(f"{text!r}: write it as STAGE=DIR, such as master=models/voices")
    return stage, Path(folder)


def run_recipe(argv: Sequence[str], program: str) -> int:
    """Run `rtvoice train RECIPE`; return the exit status."""
    parser = recipe_parser(program)
    options = parser.parse_args(list(argv))
    with usage_errors(parser):
        return _run_recipe(options, parser, program)


@contextlib.contextmanager
def usage_errors(parser: argparse.ArgumentParser) -> Iterator[None]:
    """Tell wrong usage that is found late as the parser does: one line, exit 2."""
    try:
        yield
    except UsageError as error:
        parser.error(str(error))


def _run_recipe(options: argparse.Namespace, parser: argparse.ArgumentParser, program: str) -> int:
    if options.target is not None:
        if options.recipe is not None:
            parser.error("give a recipe or --target, not both")
        from rtvoice.train.newskin import write_recipe

        options.recipe = write_recipe(options.target, options.name, options.consent)
        options.data = options.data or options.target
        options.out = options.out or Path("skins")
    elif options.name or options.consent:
        parser.error("--name and --consent go with --target")
    if options.recipe is None:
        parser.error("name a recipe, or --target DIR --name NAME for a new skin")
    return run_plan(options, program, given=dict(options.given))


def run_plan(
    options: argparse.Namespace, program: str, given: dict[str, Path] | None = None, stage: str | None = None
) -> int:
    """Plan and run a recipe by its parsed options; return the exit status."""
    import torch

    from rtvoice.train.comparison import find_comparison, finished
    from rtvoice.train.distributed import World
    from rtvoice.train.plan import Options, execute, make_plan, outside_budget
    from rtvoice.train.recipe import graph_of, load
    from rtvoice.train.watch import tell_outcome, watcher

    options.threads = options.threads or default_threads()
    recipe = load(options.recipe, options.set)
    comparison = find_comparison(recipe, options.compare, options.compare_clips, options.tier)
    torch.set_num_threads(options.threads)
    cache = options.cache or default_cache()
    monitor = None if options.no_monitor else watcher(options.runs or cache / "runs.db", kill=options.kill)
    chosen = Options(
        cache=cache,
        data=options.data,
        stage=stage or getattr(options, "stage", None),
        tiers=tuple(options.tier) if options.tier else None,
        budget=options.budget,
        seed=options.seed,
        shard=getattr(options, "shard", (0, 1)),
        resume=options.resume,
        restart=options.restart,
        reuse=tuple(options.reuse.split(",")) if options.reuse else (),
        given=given or {},
        device=options.device,
        threads=options.threads,
        monitor=monitor,
    )
    plan = make_plan(graph_of(recipe), recipe, chosen)
    if getattr(options, "dry_run", False):
        print(json.dumps(plan.plain(), indent=2) if options.json else _table(plan))
        return 0
    world = World.start(options.device)
    beside = outside_budget(plan)
    if beside and world.main:
        print(beside, file=sys.stderr)
    try:
        world.barrier()
        execute(plan, world)
    except Interrupted as end:
        if world.main:
            print(f"{program}: {end}; --resume goes on", file=sys.stderr)
        return 130
    except Halted as end:
        if world.main:
            print(f"{program}: error: {end}; --resume goes on all the same", file=sys.stderr)
        return 1
    finally:
        world.close()
    if not world.main:
        return 0
    for step in plan.to_run:
        if step.node.stage.training and (step.folder / "run.json").is_file():
            tell_outcome(options.runs or cache / "runs.db", step.folder)
    if getattr(options, "quiet", False):
        return 0
    after = make_plan(graph_of(recipe), recipe, chosen)
    products = _products(after, options.out) if options.out else []
    ran = [step.name for step in plan.to_run]
    queued = _queued(comparison, recipe.skin.name, finished(after.steps, ran), program) if comparison else []
    if options.json:
        told = {**after.plain(), "ran": ran, "products": [str(p) for p in products], "comparisons": queued}
        print(json.dumps(told, indent=2))
    else:
        print(_table(after))
        for product in products:
            print(product)
        if products:
            print(f"to use it: rtvoice render IN OUT --model {products[-1]}")
        for row in queued:
            print(f"to hear {row['b']} against {row['a']}: rtvoice compare --session {row['session']}")
    return 0


def _queued(comparison: Any, skin: str, folders: Sequence[Path], program: str) -> list[dict[str, Any]]:
    """Queue the comparisons; the training is done, whatever becomes of them."""
    from rtvoice.train.comparison import queue

    try:
        return queue(comparison, skin, folders)
    except (ModelError, AudioError, ValueError, OSError) as error:
        again = f"rtvoice compare {comparison.champion} {folders[0]} --clips {comparison.clips}"
        print(f"{program}: warning: no comparison is queued: {error}; run: {again}", file=sys.stderr)
        return []


def run_label(argv: Sequence[str], program: str) -> int:
    """Run `rtvoice train label RUN [LABEL]`; return the exit status."""
    from rtvoice.train.outcome import LABELS, label, read_run, reconsider
    from rtvoice.train.watch import tell_outcome

    parser = Parser(
        prog=f"{program} label",
        description="Say what became of a run, or let the rules say it anew with the figures of 'rtvoice evaluate'.",
        epilog=f"example:\n  {program} label build/train/cache/student.default-1f2e3d4c5b6a poor_performance\n"
        f"  {program} label build/train/cache/student.default-1f2e3d4c5b6a --figures figures.json",
    )
    parser.add_argument("run", metavar="RUN", type=Path, help="the folder of a training stage")
    parser.add_argument("label", metavar="LABEL", nargs="?", choices=LABELS, help=", ".join(LABELS))
    parser.add_argument("--figures", metavar="FILE", type=Path, help="what 'rtvoice evaluate --json' printed")
    parser.add_argument("--note", default="", help="why")
    parser.add_argument("--runs", metavar="FILE", type=Path, help="the monitor's run store (runs.db beside the run)")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    options = parser.parse_args(list(argv))
    folder = options.run.parent if options.run.is_file() else options.run
    if options.label and options.figures:
        parser.error("give a label, or --figures, not both")
    if options.label:
        run = label(folder, options.label, options.note)
    elif options.figures:
        try:
            figures = json.loads(options.figures.read_text(encoding="utf-8"))
        except (json.JSONDecodeError, UnicodeDecodeError):
            raise ValueError(f"{options.figures} is not what 'rtvoice evaluate --json' prints") from None
        run = reconsider(folder, figures)
    else:
        run = read_run(folder)
    tell_outcome(options.runs or folder.parent / "runs.db", folder)
    outcome = run.get("outcome") or {"label": None, "reasons": [], "by": None}
    if options.json:
        print(json.dumps({"run": str(folder), "outcome": outcome}))
    else:
        reasons = "; ".join(outcome["reasons"])
        print(f"{folder}: {outcome['label'] or 'no label yet'}" + (f" ({reasons})" if reasons else ""))
    return 0


def _products(plan: Any, out: Path) -> list[Path]:
    """Copy what the stages offer into a folder named after the skin; a later stage's file replaces an earlier one's."""
    folder = out / plan.recipe.skin.name
    made: dict[Path, None] = {}
    for step in plan.steps:
        for pattern in step.node.stage.products:
            for path in sorted(step.folder.glob(pattern)):
                folder.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, folder / f".{path.name}.part")
                (folder / f".{path.name}.part").replace(folder / path.name)
                made[folder / path.name] = None
    return list(made)


def _table(plan: Any) -> str:
    """Lay a plan out for people."""
    rows = [("stage", "status", "time", "folder", "")]
    for step in plan.steps:
        if step.status == "cached":
            time = f"took {spoken(step.seconds)}" if step.seconds is not None else ""
        else:
            time = f"about {spoken(step.estimate)}" if step.estimate is not None else ""
        rows.append((step.name, step.status, time, step.folder.name, step.why))
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    lines = [
        "  ".join([*(cell.ljust(w) for cell, w in zip(row, widths, strict=False)), row[4]]).rstrip() for row in rows
    ]
    told = plan.plain()
    if plan.to_run and told["seconds_with_cache"] is not None:
        both = (spoken(told["seconds_with_cache"]), spoken(told["seconds_without_cache"]))
        lines.append(f"to run: about {both[0]}; without the results that are there: about {both[1]}")
    return "\n".join(lines)


def _duration(text: str) -> float:
    try:
        return duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def _shard(text: str) -> tuple[int, int]:
    index, slash, count = text.partition("/")
    if not (slash and index.isdigit() and count.isdigit() and int(index) < int(count)):
        raise argparse.ArgumentTypeError(f"{text!r} is no part; write I/N with I from 0 to N-1, such as 0/4")
    return int(index), int(count)
