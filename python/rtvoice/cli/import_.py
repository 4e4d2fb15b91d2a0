"""``rtvoice import``: a trained model of another framework becomes a ``.rtv`` file."""

from __future__ import annotations

import argparse
import os
from dataclasses import asdict
from typing import Any

from rtvoice.cli import console

HELP = "bring a trained model in (.onnx, .nam, RTNeural .json)"
EXAMPLE = "rtvoice import denoiser.onnx -o denoiser.rtv --rate 48000"

_RATE_UNTOLD = 48000


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.add_argument("source", metavar="SRC", help="the trained model, an .onnx, .nam or RTNeural .json file")
    console.add_imported(parser, name="the file's")
    parser.add_argument(
        "--rate",
        metavar="HZ",
        type=console.whole(4000, 384000),
        help="the network's rate, where the file does not tell",
    )
    parser.add_argument(
        "--frames",
        metavar="N",
        nargs="?",
        const=True,
        default=False,
        type=console.whole(1, 16384),
        help="the network reads frames of numbers, not samples; N where its inputs leave the size open. --hop is then "
        "from one frame to the next",
    )
    parser.add_argument(
        "--state",
        metavar="IN=OUT",
        action="append",
        default=[],
        help="an input that is a state, and the output that sets it (default: found by their names)",
    )
    parser.add_argument(
        "--constant", metavar="IN=NUMBER", action="append", default=[], help="an input that is always the same number"
    )
    parser.add_argument(
        "--size", metavar="X", type=_share, help="of a slimmable .nam model, 0 to 1 (default: 1, the full one)"
    )
    parser.add_argument(
        "--follow",
        choices=("core", "trainer"),
        help="where NAM's player and its trainer differ: whom to follow (default: core, the player)",
    )
    parser.add_argument(
        "--layers",
        metavar="NAMES",
        help="of a PyTorch state dict in .json: modules and activations in order, as in conv:dilation=4,tanh,gru,dense",
    )
    console.add_common(parser)


def _pairs(option: str, given: list[str], *, numbers: bool = False) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for item in given:
        name, sign, value = item.partition("=")
        wrong = not (name and sign and value) or (numbers and not value.lstrip("-").isdigit())
        if wrong:
            form = "IN=NUMBER" if numbers else "IN=OUT"
            raise console.CommandError(f"{option} {item}: it must be {form}; see 'rtvoice import --help'", 2)
        found[name] = int(value) if numbers else value
    return found


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= 1.0:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0 to 1")
    return value


def run(args: argparse.Namespace) -> None:
    """Import, check that the stream is what the source computes, save, and print what was found."""
    from rtvoice.export import SUFFIXES, import_with_report, told_rate
    from rtvoice.export.lookahead import lookahead, lookahead_text

    console.check_output(args.output, "import")
    if args.source.lower().endswith(SUFFIXES) and not os.path.exists(args.source):
        raise console.CommandError(f"{args.source}: no such file; give the path of an {', '.join(SUFFIXES)} file")
    rate = args.rate
    if rate is None and told_rate(args.source) is None:
        rate = _RATE_UNTOLD
        console.warn(
            f"{args.source} does not tell its sample rate; {rate} Hz is taken, give --rate HZ if that is wrong"
        )
    options: dict[str, Any] = {
        "frames": args.frames,
        "states": _pairs("--state", args.state),
        "constants": _pairs("--constant", args.constant, numbers=True),
    }
    options = {key: value for key, value in options.items() if value}
    with console.progress_bar("importing"):
        model, report = import_with_report(
            args.source,
            sample_rate=rate,
            hop=args.hop,
            name=args.name,
            tier=args.tier,
            licence=args.licence,
            weights=args.weights,
            **options,
            size=args.size,
            follow=args.follow or "core",
            layers=None if args.layers is None else args.layers.split(","),
        )
        model.save(args.output)
    plan = [{"layer": layer["name"], "into": layer["fused"]} for layer in model.info["layers"] if layer["fused"]]
    if args.json:
        waits = [asdict(wait) for wait in lookahead(model)]
        told = {"output": args.output, "sample_rate": model.sample_rate, **report.to_json(), "plan_fused": plan}
        told["lookahead"] = waits
        console.print_json(console.finite(told))
    else:
        print(report.text())
        print(f"plan      {len(plan)} of {len(model.info['layers'])} layers fused into another{_some(plan)}")
        if args.lookahead:
            print(lookahead_text(model))
        print(f"written   {args.output}")


def _some(plan: list[dict[str, str]]) -> str:
    if not plan:
        return ""
    few = ", ".join(f"{step['layer']} into {step['into']}" for step in plan[:4])
    return f": {few}{', ...' if len(plan) > 4 else ''}"
