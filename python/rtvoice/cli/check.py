"""``rtvoice check``: does the stream give what the framework gave offline."""

from __future__ import annotations

import argparse

from rtvoice.cli import console

HELP = "compare the streaming output with the offline output, over several ways of cutting the input"
EXAMPLE = "rtvoice check denoiser.rtv --against denoiser.onnx"


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.add_argument("model", metavar="MODEL", help="a skin's name or a .rtv file")
    parser.add_argument("--against", metavar="SRC", help="what it was imported from (default: a float64 reference)")
    parser.add_argument("--layers", action="store_true", help="report every layer, not only when the outputs part")
    parser.add_argument(
        "--minutes", metavar="M", type=_minutes, default=10.0, help="of a repeated recording, for drift (default: 10)"
    )
    parser.add_argument("--seed", metavar="S", type=console.whole(0, 2**32 - 1), default=0, help="of the test signal")
    console.add_tier(parser)
    console.add_common(parser)


def _minutes(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= 10_000.0:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of minutes from 0 to 10000")
    return value


def run(args: argparse.Namespace) -> int:
    """Check, print the differences, and fail where they are too large."""
    from rtvoice.check import check
    from rtvoice.registry import resolve

    model = resolve(args.model, args.tier)
    with console.progress_bar("checking"):
        report = check(model, args.against, tier=args.tier, seed=args.seed, layers=args.layers, minutes=args.minutes)
    if args.json:
        console.print_json(console.finite(report.to_json()))
    else:
        print(report.text())
    return 0 if report.passed else 1
