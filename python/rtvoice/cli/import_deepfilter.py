"""``rtvoice import-deepfilter``: DeepFilterNet 3 as published becomes one streaming noise suppressor."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from rtvoice.cli import console

HELP = "bring in DeepFilterNet 3, a noise suppressor for speech at 48 kHz, as one model"
EXAMPLE = "rtvoice import-deepfilter DeepFilterNet3_onnx.tar.gz -o denoise.rtv"


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.add_argument("source", metavar="SRC", help="DeepFilterNet3_onnx.tar.gz, or a folder with what is in it")
    console.add_imported(parser, name="DeepFilterNet3", licence="MIT OR Apache-2.0")
    console.add_common(parser)


def run(args: argparse.Namespace) -> None:
    """Import, check that the stream is what the source computes, save, and print what was found."""
    from rtvoice.export.deepfilter.importer import import_with_report
    from rtvoice.export.lookahead import lookahead, lookahead_text

    console.check_output(args.output, "import-deepfilter")
    with console.progress_bar("importing"):
        model, report = import_with_report(
            args.source,
            hop=args.hop,
            name=args.name,
            tier=args.tier,
            licence=args.licence,
            weights=args.weights,
        )
        model.save(args.output)
    if args.json:
        told = {"output": args.output, "sample_rate": model.sample_rate, **report.to_json()}
        told["lookahead"] = [asdict(wait) for wait in lookahead(model)]
        console.print_json(console.finite(told))
        return
    print(report.text())
    if args.lookahead:
        print(lookahead_text(model))
    print(f"written   {args.output}")
