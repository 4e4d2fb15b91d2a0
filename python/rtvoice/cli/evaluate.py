"""``rtvoice evaluate``: how good is a skin, by every measure, on speakers that it was never trained on."""

from __future__ import annotations

import argparse
from typing import Any

from rtvoice.cli import console

HELP = "judge skins by measures: similarity, words, naturalness, intonation, streaming"
EXAMPLE = "rtvoice evaluate kathleen --speech recordings --target kathleen/wav --html report.html"


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.add_argument("models", metavar="MODEL", nargs="*", help="a skin or a .rtv file; several are compared")
    parser.add_argument("--speech", metavar="DIR", help="recordings to convert, of 20 speakers or more")
    parser.add_argument("--target", metavar="DIR", help="recordings of the voice that the skin is to have")
    parser.add_argument("--master", metavar="DIR", help="the same recordings converted by the master, to compare with")
    parser.add_argument("--noise", metavar="DIR", help="noises: also judge at 20 and 10 dB of signal to noise")
    parser.add_argument("--clips", metavar="N", type=console.whole(1, 100000), default=60, help="at most (default: 60)")
    parser.add_argument(
        "--speakers", metavar="N", type=console.whole(1, 100000), default=40, help="at most (default: 40)"
    )
    parser.add_argument(
        "--seconds", metavar="S", type=console.positive, default=20.0, help="of each clip that are used (default: 20)"
    )
    parser.add_argument(
        "--held-out",
        metavar="FILE",
        help="use these speakers only: a text file with one a line, or the index.jsonl of prepared training data",
    )
    parser.add_argument("--measures", metavar="A,B,...", help="only these; see docs/evaluate.md (default: all)")
    parser.add_argument("--no-anchors", action="store_true", help="leave out the known good and bad speech")
    parser.add_argument("--language", metavar="CODE", default="en", help="of the speech (default: en)")
    parser.add_argument(
        "--taught-by", metavar="NAMES", help="recognisers that trained the model (whisper, hama): no gate is theirs"
    )
    parser.add_argument("--html", metavar="FILE", help="write a page with tables, pictures and the worst clips")
    parser.add_argument("--cache", metavar="DIR", help="where readings are kept (default: ~/.cache/rtvoice/evaluate)")
    parser.add_argument(
        "--jobs", metavar="N", type=console.whole(1, 256), help="listening processes (default: one a core, 8 at most)"
    )
    parser.add_argument("--install", action="store_true", help="install the packages whose weights measure, and leave")
    console.add_tier(parser)
    console.add_common(parser)


def run(args: argparse.Namespace) -> None:
    """Judge, then print the figures."""
    if args.install:
        _install()
        return
    if not args.models:
        raise console.CommandError("name a skin or a .rtv file to judge", 2)
    if args.speech is None:
        raise console.CommandError("name the recordings to convert: --speech DIR", 2)
    from rtvoice.evaluate import NotMeasurable, evaluate

    with console.progress_bar("evaluating") as progress:
        try:
            found = evaluate(
                args.models,
                speech=args.speech,
                target=args.target,
                master=args.master,
                noise=args.noise,
                clips=args.clips,
                speakers=args.speakers,
                only=args.held_out,
                longest=args.seconds,
                tier=args.tier,
                measure=_names(args.measures),
                anchors=not args.no_anchors,
                language=args.language,
                taught_by=args.taught_by,
                jobs=args.jobs,
                cache=args.cache,
                html=args.html,
                progress=progress,
            )
        except NotMeasurable as error:
            unknown = str(error).startswith("there is no measure")
            raise console.CommandError(str(error), 2 if unknown else 1) from None
    for name, why in found["unavailable"].items():
        if not args.json:
            console.warn(f"{name} was not measured: {why}")
    for row in found["anchors"]["checks"]:
        if not row["ok"]:
            console.warn(
                f"anchor {row['anchor']}: {row['measure']} is {row['value']}, expected {row['low']} to {row['high']}; "
                "do not trust this run's figures of that measure"
            )
    if args.json:
        for note in found["notes"][: sum(left["count"] > 0 for left in found["unreadable"].values())]:
            console.warn(note)
        console.print_json(console.finite(found))
        return
    for model in found.get("models", [found]):
        print(_report(model))
    print(f"{found['clips']} clips, {found['seconds']:.0f} s, {found['speakers']} speakers; {found['text']}")
    for note in found["notes"]:
        console.warn(note)


def _names(text: str | None) -> list[str] | None:
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]


def _install() -> None:
    from rtvoice.evaluate import packages

    if not packages.commands():
        print("every package is here")
        return
    left = packages.install()
    if left:
        raise console.CommandError(f"pip could not install: {', '.join(left)}; see its messages above")
    print("every package is here now")


_SHOWN = (
    "similarity_resemblyzer",
    "similarity_dvector",
    "nearer_target_resemblyzer",
    "nearer_target_dvector",
    "wer_delta",
    "wer_delta_tiny",
    "per",
    "distillmos",
    "f0_correlation",
    "vuv_error",
    "f0_median",
    "loudness",
    "streaming_bit_equal",
    "plcmos_loss",
)


def _report(model: dict[str, Any]) -> str:
    """Return one model's figures as a table."""
    flat = {**model, **model["more"]}
    streaming = model["streaming"] or {}
    flat |= {
        "streaming_bit_equal": None if not streaming else float(streaming["bit_equal"]),
        "plcmos_loss": streaming.get("plcmos_loss"),
    }
    beside = [who for who in ("source", "master", "target") if any(v is not None for v in model.get(who, {}).values())]
    rows = []
    for name in _SHOWN:
        span = model["intervals"].get(name)
        rows.append(
            [
                name,
                _figure(flat.get(name)),
                "-" if span is None else f"{_figure(span[0])} to {_figure(span[1])}",
                *(_gate(model["gates"][tier]["measures"].get(name)) for tier in ("default", "hq")),
                *(_figure(model[who].get(name)) for who in beside),
            ]
        )
    head = ["measure", "value", "95 %", "gate default", "gate hq", *beside]
    verdict = {True: "passed", False: "FAILED", None: "undecided"}
    gates = ", ".join(f"{tier} {verdict[model['gates'][tier]['passed']]}" for tier in ("default", "hq"))
    name = f"{model['model']} ({model['tier']})" if "tier" in model else str(model["model"])
    return f"{name}: gates {gates}\n{console.table(head, rows)}\n"


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{round(value, 3) + 0.0:.3f}"  # no -0.000


def _gate(row: dict[str, Any] | None) -> str:
    if row is None:
        return ""
    sign, limit = (">=", row["at_least"]) if "at_least" in row else ("<=", row["at_most"])
    mark = {True: "ok", False: "FAIL", None: "-"}[row["passed"]]
    return f"{sign} {limit:g} {mark}{'' if row['judged'] else ' (taught)'}"
