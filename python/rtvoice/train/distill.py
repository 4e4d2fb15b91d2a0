"""The command `rtvoice distill`: a student by itself, a ladder of widths, pruning, rounded weights."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rtvoice.train.command import Parser, add_run_options, default_cache, default_threads, run_plan, usage_errors
from rtvoice.train.schedule import spoken

__all__ = ["main"]


def main(argv: Sequence[str], program: str = "rtvoice distill") -> int:
    """Run the command; return its exit status."""
    parser = _parser(program)
    options = parser.parse_args(list(argv))
    options.threads = options.threads or default_threads()
    with usage_errors(parser):
        return _run(options, parser, program)


def _run(options: argparse.Namespace, parser: Parser, program: str) -> int:
    if options.source.suffix == ".rtv":
        return _round(options, parser)
    if options.weights:
        parser.error("--weights goes with a model file, such as default.rtv")
    if options.ladder and options.prune:
        parser.error("give --ladder or --prune, not both")
    options.recipe = options.source
    given = {"render": options.teacher} if options.teacher else {}
    if options.ladder:
        return _ladder(options, program, given)
    if options.prune:
        return _prune(options, program, given)
    return run_plan(options, program, given=given)


def _parser(program: str) -> Parser:
    parser = Parser(
        prog=program,
        description="Train the small network that ships on what the large one makes; or make it smaller still.",
        epilog=f"example:\n  {program} models/recipes/kathleen.toml --tier default --budget 2h\n"
        f"  {program} models/recipes/kathleen.toml --ladder 64,96,128,192 --budget 4h --out build/ladder\n"
        f"  {program} models/recipes/kathleen.toml --tier hq --prune 0.5 --budget 30m\n"
        f"  {program} models/kathleen/default.rtv --weights fp16,int8 --audio speech.wav --out build/small",
    )
    parser.add_argument("source", metavar="RECIPE", type=Path, help="a recipe, or a .rtv file for --weights")
    parser.add_argument("--stage", default="student", metavar="S", help="the stage that trains the student (student)")
    parser.add_argument("--teacher", metavar="DIR", type=Path, help="folder of rendered pairs, instead of the recipe's")
    parser.add_argument("--ladder", metavar="W,W,...", type=_widths, help="students of these widths, and their front")
    parser.add_argument("--quality", metavar="KEY", default="loss", help="held-out figure of the ladder (loss)")
    parser.add_argument("--prune", metavar="SHARE", type=_share, help="keep this share of the hidden units, then train")
    parser.add_argument(
        "--weights", metavar="KIND,...", help="round weights to fp16, bf16 or int8, and measure the loss"
    )
    parser.add_argument(
        "--audio", metavar="FILE", type=Path, help="speech to measure it on (default: a synthetic voice)"
    )
    parser.add_argument(
        "--bench-seconds", metavar="S", type=float, default=5.0, help="of audio to time each student (5)"
    )
    add_run_options(parser)
    return parser


def _widths(text: str) -> list[int]:
    parts = text.split(",")
    if not all(part.isdigit() and int(part) > 0 for part in parts) or len(set(parts)) != len(parts):
        raise argparse.ArgumentTypeError(f"{text!r} is no list of widths; write 64,96,128")
    return [int(part) for part in parts]


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no share between 0 and 1")
    return value


def _one_tier(options: argparse.Namespace, recipe: Any) -> str:
    tiers = options.tier or [recipe.skin.tiers[0]]
    if len(tiers) != 1:
        raise ValueError("this is done for one tier at a time; give --tier once")
    return str(tiers[0])


def _finished(options: argparse.Namespace, changes: list[str], given: dict[str, Path]) -> Any:
    """Return the planned step of the student's stage."""
    from rtvoice.train.plan import Options, make_plan
    from rtvoice.train.recipe import graph_of, load

    recipe = load(options.recipe, [*options.set, *changes])
    tier = _one_tier(options, recipe)
    chosen = Options(
        cache=options.cache or default_cache(),
        data=options.data,
        stage=options.stage,
        tiers=(tier,),
        budget=options.budget,
        seed=options.seed,
        reuse=tuple(options.reuse.split(",")) if options.reuse else (),
        given=given,
        device=options.device,
        threads=options.threads,
    )
    return make_plan(graph_of(recipe), recipe, chosen)


def _ladder(options: argparse.Namespace, program: str, given: dict[str, Path]) -> int:
    from rtvoice.train import students
    from rtvoice.train.ladder import Rung, measure_rungs, write_ladder
    from rtvoice.train.recipe import graph_of, load

    recipe = load(options.recipe, options.set)
    graph_of(recipe)
    kind = students.find(recipe.skin.stages, options.stage)
    tier = _one_tier(options, recipe)
    share = options.budget / len(options.ladder) if options.budget else None
    rungs = []
    for width in options.ladder:
        change = f"{options.stage}.{tier}.{kind.width}={width}"
        each = argparse.Namespace(**{**vars(options), "budget": share, "tier": [tier], "json": False, "out": None})
        each.set = [*options.set, change]
        each.quiet = True
        status = run_plan(each, program, given=given)
        if status != 0:
            return status
        step = next(s for s in _finished(each, [], given).steps if s.node.stage.name == options.stage)
        told = json.loads((step.folder / "stage.json").read_text(encoding="utf-8"))["figures"]
        quality = told.get("held_out", {}).get(options.quality)
        if quality is None:
            names = ", ".join(told.get("held_out", {})) or "none"
            raise ValueError(f"--quality {options.quality}: {step.name} has no such held-out figure; it has: {names}")
        files = sorted(step.folder.glob("*.rtv"))
        if not files:
            raise ValueError(f"{step.folder} has no .rtv file to measure")
        steps, trained = int(told.get("steps", 0)), float(told.get("train_seconds", 0.0))
        rungs.append(Rung(str(width), width, str(files[0]), float(quality), steps=steps, seconds=trained))
        print(f"width {width}: {options.quality} {rungs[-1].quality:.4g}, {steps} steps", file=sys.stderr)
    rungs = measure_rungs(rungs, seconds=options.bench_seconds)
    folder = options.out or Path("ladder")
    name = f"{recipe.skin.name}, {tier}: width against {options.quality}"
    told = write_ladder(folder, rungs, title=name, measure_name=options.quality)
    if told["picture"] is None:
        print("matplotlib is not installed; no ladder.png (remedy: pip install 'rtvoice[plot]')", file=sys.stderr)
    if options.json:
        print(json.dumps(told, indent=2))
    else:
        for row in told["rungs"]:
            mark = "  on the front" if row["on_front"] else ""
            cost = f"{row['frame_us']:.1f} us, {row['cold_us']:.1f} us cold"
            print(f"{row['label']:>6}  {row['quality']:.4g}  {cost}{mark}")
        print(folder / "ladder.html")
    return 0


def _prune(options: argparse.Namespace, program: str, given: dict[str, Path]) -> int:
    """Cut units out of a finished student, train what is left on the same lessons, write it."""
    import torch

    from rtvoice.train import students
    from rtvoice.train.compress.prune import prune
    from rtvoice.train.interrupt import Halted, Interrupted
    from rtvoice.train.plan import provenance
    from rtvoice.train.runner import fit, weights
    from rtvoice.train.show import Show
    from rtvoice.train.stages import StageContext, locked

    torch.set_num_threads(options.threads)
    before = argparse.Namespace(**{**vars(options), "budget": None})
    plan = _finished(before, [], given)
    step = plan.steps[-1]
    if step.status != "cached":
        found = _finished(argparse.Namespace(**{**vars(before), "stage": None}), [], given)
        step = next((s for s in found.steps if s.name == step.name and s.status == "cached"), step)
    if step.status != "cached":
        raise ValueError(f"{step.name} is not trained yet; run '{program} {options.recipe}' first, then prune it")
    kind = students.find(plan.recipe.skin.stages, options.stage)
    folder = step.folder.with_name(f"{step.folder.name}-pruned-{options.prune:g}")
    folder.mkdir(exist_ok=True)
    network = kind.load(step.folder)
    network.train()
    report = prune(network, options.prune)
    phases = [replace(phase, adversarial=phase.adversarial) for phase in step.params.phases]
    show = Show(folder.name)
    ctx = StageContext(
        folder=folder,
        params=step.params,
        inputs=step.inputs,
        budget=options.budget,
        seed=plan.options.seed if plan.options.seed is not None else plan.recipe.skin.seed,
        tier=step.node.tier,
        recipe=plan.recipe,
        device=options.device,
        threads=options.threads,
        provenance={**provenance(plan, step), "pruned": str(report)},
        show=show,
        name=f"{step.name} pruned",
    )
    try:
        with locked(folder / ".lock", str(folder)):
            show.say(str(report))
            done = fit(kind.task(network, ctx), ctx, phases=phases)
            network.load_state_dict(weights(folder, next(iter(kind.task(network, ctx).models()))))
            path = (options.out or folder) / f"{step.node.tier}.rtv"
            path.parent.mkdir(parents=True, exist_ok=True)
            kind.write(network.eval(), path, ctx)
    except Interrupted as end:
        print(f"{program}: {end}; the same command goes on", file=sys.stderr)
        return 130
    except Halted as end:
        print(f"{program}: error: {end}", file=sys.stderr)
        return 1
    finally:
        show.close()
    told = {
        "model": str(path),
        "kept": options.prune,
        "layers": [{"layer": name, "units": was, "kept": now} for name, was, now in report.layers],
        "parameters": list(report.parameters),
        "steps": done.steps,
        "seconds": done.seconds,
        "held_out": dict(done.held_out),
        "held_out_before": json.loads((step.folder / "stage.json").read_text())["figures"].get("held_out"),
    }
    if options.json:
        print(json.dumps(told, indent=2))
    else:
        print(
            f"{report}\n{path}: held out {told['held_out']}, before {told['held_out_before']}, {spoken(done.seconds)}"
        )
    return 0


def _round(options: argparse.Namespace, parser: Parser) -> int:
    """Round a model file's weights."""
    from rtvoice.model import Model
    from rtvoice.train.compress.rounding import KINDS, load_audio, round_model

    kinds = options.weights.split(",") if options.weights else list(KINDS)
    for kind in kinds:
        if kind not in KINDS:
            parser.error(f"--weights {kind}: kinds: {', '.join(KINDS)}")
    model = Model.load(options.source)
    sound = load_audio(options.audio, model.sample_rate) if options.audio else None
    rows: list[dict[str, Any]] = []
    for kind in kinds:
        rounded = round_model(model, kind, sound)
        row: dict[str, Any] = {
            "weights": kind,
            "snr_db": None if rounded.snr == float("inf") else round(rounded.snr, 1),
            "stored_bytes": rounded.stored_bytes,
            "snr_all_db": None if rounded.snr_all == float("inf") else round(rounded.snr_all, 1),
            "kept": list(rounded.kept),
            "file": None,
        }
        if options.out:
            options.out.mkdir(parents=True, exist_ok=True)
            path = options.out / f"{options.source.stem}-{kind}.rtv"
            rounded.model.save(path)
            row["file"] = str(path)
        rows.append(row)
    if options.json:
        print(
            json.dumps(
                {"model": str(options.source), "audio": str(options.audio or "synthetic"), "rows": rows}, indent=2
            )
        )
        return 0
    for row in rows:
        loss = "same bits" if row["snr_db"] is None else f"{row['snr_db']:.1f} dB SNR"
        sizes = f"{row['stored_bytes'] / 1e6:.2f} MB stored"
        note = ""
        if row["weights"] == "int8":
            note = f", {len(row['kept'])} matrices at 16 bits"
            note += f"; {row['snr_all_db']:.1f} dB with all at 8" if row["kept"] else ""
        print(f"{row['weights']:>5}  {loss}  {sizes}{note}  {row['file'] or ''}".rstrip())
    return 0
