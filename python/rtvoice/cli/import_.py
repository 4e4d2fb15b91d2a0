"""``rtvoice import``: a trained model of another framework becomes a ``.rtv`` file."""

from __future__ import annotations

import argparse

from rtvoice.cli import console

HELP = "bring a trained model in (.onnx)"
EXAMPLE = "rtvoice import denoiser.onnx -o denoiser.rtv --rate 48000"


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.add_argument("source", metavar="SRC", help="the trained model")
    parser.add_argument("-o", "--output", metavar="OUT.rtv", required=True, help="the file to write")
    parser.add_argument("--rate", metavar="HZ", type=console.whole(1000, 384000), help="where the format does not tell")
    console.add_common(parser)


def run(args: argparse.Namespace) -> None:
    """Import, save, and print what was found."""
    raise NotImplementedError
