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
    console.add_tier(parser)
    console.add_common(parser)


def run(args: argparse.Namespace) -> None:
    """Check and print the differences."""
    raise NotImplementedError
