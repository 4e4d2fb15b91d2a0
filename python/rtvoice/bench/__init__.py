"""``rtvoice-bench``: latency per frame, and which tier fits this machine."""

from __future__ import annotations

import sys


def main() -> int:
    """Run ``rtvoice-bench`` and return its exit status."""
    from rtvoice.cli import bench, guarded
    from rtvoice.cli.console import Parser

    example = bench.EXAMPLE.replace("rtvoice bench", "rtvoice-bench")
    parser = Parser(prog="rtvoice-bench", description=bench.HELP, example=example)
    bench.configure(parser)
    args = parser.parse_args(sys.argv[1:])
    return guarded("rtvoice-bench", bench.run, args)
