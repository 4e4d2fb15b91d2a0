"""``rtvoice monitor``: what past runs showed, which rules they teach, and how they ended."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rtvoice.cli import console

if TYPE_CHECKING:
    from rtvoice.train.monitor.store import Store

HELP = "watch training runs: report, kill rules, outcomes, votes, a sweep"
EXAMPLE = "rtvoice monitor report --store runs.db --html report.html"


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    commands = parser.add_subparsers(
        dest="action", metavar="ACTION", title="actions", parser_class=console.Parser, required=True
    )

    def add(name: str, words: str, example: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=words, description=words, example=f"rtvoice monitor {example}")
        sub.set_defaults(act=globals()[f"_{name}"])
        return sub

    report = add("report", "tell which heuristic predicts what, and draw it", "report --html report.html")
    _add_store(report)
    _add_precision(report)
    report.add_argument("--html", metavar="FILE", type=Path, help="write one HTML file that needs no network")
    report.add_argument("--picture", metavar="FILE", type=Path, help="draw table and strips (.png, .svg; needs 'plot')")
    report.add_argument("--pictures", metavar="N", type=console.whole(0, 1000), default=24, help="runs drawn (24)")

    rules = add("rules", "show the kill rules that past runs support", "rules --learn --precision 0.9")
    _add_store(rules)
    _add_precision(rules)
    rules.add_argument("--learn", action="store_true", help="keep them in the store: new runs of the project use them")
    rules.add_argument("--forget", action="store_true", help="remove the project's rules from the store")
    rules.add_argument("--out", metavar="FILE", type=Path, help="write them as JSON, for Monitor(rules=FILE)")

    runs = add("runs", "list runs and their outcomes", "runs --project kathleen")
    _add_store(runs)

    label = add("label", "say how a run ended: by hand, or from measures", "label run-7 poor_performance --score 0.4")
    _add_store(label)
    label.add_argument("named", metavar="RUN", nargs="?", help="the run (with --evaluate: default by the model's name)")
    label.add_argument(
        "label", metavar="LABEL", nargs="?", help="collapse, poor_generalisation, poor_performance or good"
    )
    label.add_argument("--score", metavar="X", type=float, help="quality, higher is better")
    label.add_argument("--evaluate", metavar="FILE", help="take it from 'rtvoice evaluate --json'")
    label.add_argument("--run-json", metavar="FILE", help="take it from the trainer's run.json, or the folder it is in")

    votes = add(
        "votes",
        "import votes of the comparison page, and label the runs they decide on",
        "votes ~/.local/share/rtvoice/compare",
    )
    _add_store(votes)
    votes.add_argument(
        "file",
        metavar="FILE",
        help="the page's store (its folder), or CSV or JSON with model, row, winner (a model, both or skip), rater, "
        "clip, against",
    )

    spare = add("spare", "let no rule end this run again, so that it can be resumed", "spare run-7")
    _add_store(spare)
    spare.add_argument("named", metavar="RUN", help="the run")

    sweep = add(
        "sweep",
        "train many small students, good and bad ones, to learn rules from; go on where it was ended",
        "sweep --teacher build/train/whisper/teacher --runs 60",
    )
    _add_store(sweep, project="sweep")
    sweep.add_argument("--teacher", metavar="DIR", required=True, help="OUT/teacher of 'rtvoice train whisper'")
    sweep.add_argument("--runs", metavar="N", type=console.whole(1, 100_000), default=60, help="in all (60)")
    sweep.add_argument("--steps", metavar="N", type=console.whole(8, 10**7), default=200, help="of each run (200)")
    sweep.add_argument("--minutes-per-run", metavar="M", type=console.positive, help="CPU minutes instead of steps")
    sweep.add_argument("--seed", metavar="S", type=console.whole(0, 2**31), default=0, help="of the settings (0)")
    sweep.add_argument("--kill", action="store_true", help="let the project's rules end runs")

    overhead = add("overhead", "measure what the monitor costs on this machine", "overhead --steps 300")
    overhead.add_argument(
        "--steps", metavar="N", type=console.whole(10, 100_000), default=300, help="of both runs (300)"
    )
    overhead.add_argument("--tier", choices=("default", "hq"), default="default", help="of the student (default)")
    console.add_common(overhead)


def _add_store(parser: argparse.ArgumentParser, project: str | None = None) -> None:
    parser.add_argument("--store", metavar="DB", default="runs.db", help="the run store (runs.db)")
    words = f"({project})" if project else "(default: the only one)"
    parser.add_argument("--project", metavar="P", default=project, help=f"whose runs {words}")
    console.add_common(parser)


def _add_precision(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--precision", metavar="P", type=_share, default=0.95, help="that a kill rule must be known to have (0.95)"
    )
    parser.add_argument("--confidence", metavar="C", type=_share, default=0.95, help="of that knowledge (0.95)")


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


def run(args: argparse.Namespace) -> int | None:
    """Do one of the actions."""
    status: int | None = args.act(args)
    return status


def _open(args: argparse.Namespace) -> Store:
    from rtvoice.train.monitor.store import Store

    return Store(args.store, create=False)


def _project(store: Store, args: argparse.Namespace) -> str:
    names = store.projects()
    if args.project is None:
        if len(names) != 1:
            told = f"it has {', '.join(names)}; name one with --project" if names else "it has no runs"
            raise console.CommandError(f"{args.store}: {told}")
        return names[0]
    if args.project not in names:
        raise console.CommandError(f"{args.store}: there is no project {args.project!r}; projects: {', '.join(names)}")
    return str(args.project)


def _report(args: argparse.Namespace) -> None:
    from rtvoice.files import write_whole
    from rtvoice.train.monitor.analysis import analyse
    from rtvoice.train.monitor.page import page

    if args.picture and args.picture.suffix not in (".png", ".svg", ".pdf"):
        raise console.CommandError(f"--picture {args.picture}: end it in .png, .svg or .pdf", 2)
    with _open(args) as store, console.progress_bar("reading runs"):
        report = analyse(store, _project(store, args), args.precision, args.confidence)
        if args.html:
            write_whole(args.html, page(store, report, pictures=args.pictures).encode())
        if args.picture:
            from rtvoice.train.monitor.picture import draw_report

            draw_report(store, report, args.picture)
    if args.json:
        console.print_json(console.finite(report))
        return
    _print_report(report)
    for made in (args.html, args.picture):
        if made:
            print(f"\n{made}")


def _print_report(report: dict[str, Any]) -> None:
    outcomes = ", ".join(f"{n} {label.replace('_', ' ')}" for label, n in report["outcomes"].items())
    print(f"{report['project']}: {report['runs']} runs, {report['labelled']} with an outcome: {outcomes}\n")
    best: dict[str, dict[str, Any]] = {}
    for row in report["table"]:
        known = best.get(row["heuristic"])
        if row["auc"] == row["auc"] and (known is None or abs(row["auc"] - 0.5) > abs(known["auc"] - 0.5)):
            best[row["heuristic"]] = row
    rows = [
        [
            r["heuristic"],
            f"{r['fraction']:.0%}",
            f"{r['auc']:.2f}",
            _interval(r["interval"], ".2f"),
            _known(r["spearman"], ".2f"),
            str(r["n"]),
            _known(r["q"], ".2g"),
            _gain_words(r.get("gain_over_loss")),
        ]
        for r in sorted(best.values(), key=lambda r: -abs(r["auc"] - 0.5))
    ]
    head = ["heuristic", "at", "AUC", "95 %", "rho", "n", "q", "gain over loss"]
    print(console.table(head, rows) if rows else _no_table(report))
    print()
    _print_rules(report["rules"])


def _no_table(report: dict[str, Any]) -> str:
    if not report["labelled"]:
        return "no run has an outcome yet: 'rtvoice monitor label' gives one"
    return "no heuristic can be held against outcomes before runs have ended well and badly: label more of both"


def _gain_words(gain: dict[str, Any] | None) -> str:
    if gain is None:
        return ""
    return f"{gain['gain']:+.2f} ({_interval(gain['interval'], '+.2f')})"


def _known(value: float | None, form: str) -> str:
    """Return a number, or a dash where too few runs tell it."""
    return "-" if value is None or not math.isfinite(value) else format(value, form)


def _interval(ends: Sequence[float], form: str) -> str:
    low, high = (_known(end, form) for end in ends)
    return "-" if "-" in (low, high) else f"{low} to {high}"


def _print_rules(learned: dict[str, Any]) -> None:
    asked = f"precision {learned['precision']:g} at confidence {learned['confidence']:g}"
    if not learned["rules"]:
        print(f"no kill rule has a {asked}")
        for finding in sorted(learned["findings"], key=lambda f: -f["reached"])[:3]:
            print(f"  {finding['heuristic']}: {finding['verdict']}")
        return
    print(f"kill rules with a {asked}; figures on runs left out:")
    rows = []
    for finding in learned["findings"]:
        if finding["accepted"]:
            t = finding["leave_one_out"]
            rows.append([finding["verdict"], "yes" if finding["used"] else "no", *_trial_row(t)])
    rows.append(["those in use, together", "", *_trial_row(learned["together"])])
    print(console.table(["rule", "in use", "bad / flagged", "recall", "hours saved", "good lost", "net hours"], rows))


def _trial_row(t: dict[str, Any]) -> list[str]:
    return [
        f"{t['hits']}/{t['flagged']}",
        f"{t['recall']:.2f}",
        f"{t['saved_hours']:.3f}",
        str(t["good_lost"]),
        f"{t['net_hours']:.3f}",
    ]


def _rules(args: argparse.Namespace) -> None:
    import json

    from rtvoice.files import write_whole
    from rtvoice.train.monitor.analysis import rules_json
    from rtvoice.train.monitor.heuristics import load_history
    from rtvoice.train.monitor.rules import learn_rules

    if args.learn and args.forget:
        raise console.CommandError("--learn and --forget are both given; keep one", 2)
    with _open(args) as store:
        project = _project(store, args)
        if args.forget:
            store.set_rules(project, [])
        learned = rules_json(learn_rules(load_history(store, project), args.precision, args.confidence))
        if args.learn:
            store.set_rules(project, learned["rules"])
        kept = store.rules(project) or []
    if args.out:
        write_whole(args.out, (json.dumps(console.finite({"project": project, **learned}), indent=1) + "\n").encode())
    if args.json:
        console.print_json(console.finite({"project": project, "in_use": kept, **learned}))
        return
    _print_rules(learned)
    print(f"\nin use for new runs of {project}: {len(kept)}" + ("" if kept or args.learn else "; --learn keeps them"))


def _runs(args: argparse.Namespace) -> None:
    from dataclasses import asdict

    with _open(args) as store:
        runs = store.runs(args.project)
    if args.json:
        console.print_json(console.finite({"runs": [asdict(run) for run in runs]}))
        return
    rows = [
        [
            run.id,
            run.project,
            run.status,
            str(run.steps),
            f"{run.seconds:.0f}",
            "-" if run.overhead is None else f"{run.overhead:.2%}",
            run.label or "-",
            run.label_source or "-",
            "-" if run.score is None else f"{run.score:.3f}",
        ]
        for run in runs
    ]
    head = ["run", "project", "status", "steps", "seconds", "monitor", "outcome", "by", "score"]
    print(console.table(head, rows) if rows else f"{args.store} has no runs")


def _label(args: argparse.Namespace) -> None:
    from rtvoice.train.monitor.outcomes import join_evaluation, join_run

    files = [name for name in (args.evaluate, args.run_json) if name]
    if len(files) > 1 or bool(files) == bool(args.label):
        raise console.CommandError("give a run and a label, or one of --evaluate and --run-json", 2)
    with _open(args) as store:
        if args.evaluate:
            told = join_evaluation(store, args.evaluate, args.named)
        elif args.run_json:
            told = join_run(store, args.run_json, args.named)
        else:
            store.label(args.named, args.label, score=args.score)
            told = {args.named: args.label}
    if args.json:
        console.print_json({"labels": told})
        return
    for name, label in told.items():
        print(f"{name}: {label}")
    if not told:
        print("no run of this store was labelled: no model of that name, or its gates were not measured")


def _votes(args: argparse.Namespace) -> None:
    from rtvoice.train.monitor.outcomes import join_votes, read_votes

    votes = read_votes(args.file)
    with _open(args) as store:
        new = store.add_votes(votes)
        told = join_votes(store)
    if args.json:
        console.print_json({"votes": len(votes), "new": new, "labels": told})
        return
    print(f"{len(votes)} votes, {new} of them new; {len(told)} runs are decided on")
    for name, label in told.items():
        print(f"{name}: {label}")


def _spare(args: argparse.Namespace) -> None:
    with _open(args) as store:
        store.spare(args.named)
    if args.json:
        console.print_json({"run": args.named, "spared": True})
    else:
        print(f"{args.named}: no rule ends it again; resume its training as usual")


def _sweep(args: argparse.Namespace) -> None:
    import sys

    import torch

    from rtvoice.train.monitor.store import Store
    from rtvoice.train.monitor.sweep import Sweep

    torch.set_num_threads(1)
    sweep = Sweep(
        args.teacher,
        args.store,
        steps=args.steps,
        minutes=args.minutes_per_run,
        seed=args.seed,
        project=args.project,
        kill=args.kill,
    )
    with console.progress_bar("sweeping") as progress:

        def tell(line: str, part: float) -> None:
            if progress:
                progress(part)
            elif not args.json:
                print(line, flush=True)

        done = sweep.run(args.runs, tell)
    with Store(args.store) as store:
        runs = store.runs(args.project)
    counts: dict[str, int] = {}
    for run in runs:
        counts[run.label or run.status] = counts.get(run.label or run.status, 0) + 1
    if args.json:
        console.print_json({"project": args.project, "ran": done, "runs": len(runs), "outcomes": counts})
        return
    print(f"{len(done)} runs now, {len(runs)} in all: " + ", ".join(f"{n} {label}" for label, n in counts.items()))
    print(
        f"next: rtvoice monitor report --store {args.store} --project {args.project} --html report.html",
        file=sys.stderr,
    )


def _overhead(args: argparse.Namespace) -> None:
    import torch

    from rtvoice.train.monitor.overhead import measure

    torch.set_num_threads(1)
    with console.progress_bar("training twice"):
        found = measure(steps=args.steps, tier=args.tier)
    if args.json:
        console.print_json(console.finite(found))
        return
    print(
        console.facts(
            [
                ("overhead", f"{found['overhead']:.2%} of the CPU time ({found['overhead_own']:.2%} by its own clock)"),
                ("of it once", f"{1000 * found['set_up_seconds']:.0f} ms at the first step"),
                ("samples", f"{found['samples']} of {found['steps']} steps, {found['probes']} with the probe set"),
                ("a step", f"{found['step_ms']:.1f} ms without the monitor, {found['threads']} thread"),
                ("training", "the same to the bit" if found["same_weights"] else "not the same"),
            ]
        )
    )
