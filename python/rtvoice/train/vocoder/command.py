"""The command `rtvoice train vocoder`: train a vocoder, or go on with it, and write its model file."""

from __future__ import annotations

import argparse
from pathlib import Path


def main(arguments: list[str], program: str) -> int:
    """Train and export; return the exit status."""
    parser = argparse.ArgumentParser(
        prog=program,
        description="Train a vocoder of one speaker: the WaveNet first, then the flow, which learns from it.",
        epilog=f"example:\n  {program} --data recordings --out build/vocoder --network wavenet --to wavenet.rtv",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of one speaker's recordings")
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoints and logs")
    parser.add_argument("--network", choices=["wavenet", "flow"], default="wavenet")
    parser.add_argument("--minutes", type=float, default=60.0, help="time to train, over all resumptions (default 60)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--to", type=Path, help="the .rtv file to write at the end")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    options = parser.parse_args(arguments)
    from rtvoice.train.vocoder.export import export
    from rtvoice.train.vocoder.loop import Run, train

    checkpoint = train(
        Run(options.data, options.out, options.network, options.minutes, seed=options.seed, threads=options.threads)
    )
    if options.to:
        export(checkpoint, options.to)
    return 0
