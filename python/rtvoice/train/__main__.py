"""The command: `python -m rtvoice.train whisper | export-whisper | evaluate-whisper`."""

from __future__ import annotations

import argparse
from pathlib import Path

from rtvoice.train.loop import Run, train


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m rtvoice.train",
        description="Train, export and evaluate skins.",
        epilog="example: python -m rtvoice.train whisper --data speech --noise noise --out build/train/whisper",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    whisper = commands.add_parser("whisper", help="train the whisper skin, or go on where a run was ended")
    whisper.add_argument("--data", type=Path, required=True, help="folder of training speech")
    whisper.add_argument("--noise", type=Path, required=True, help="folder of noises and room responses")
    whisper.add_argument("--out", type=Path, required=True, help="folder for checkpoints, log and teacher's cache")
    whisper.add_argument("--tier", choices=["default", "hq"], default="default")
    whisper.add_argument("--minutes", type=float, default=25.0, help="time to train (default 25)")
    whisper.add_argument("--steps", type=int, help="length in steps instead of minutes")
    whisper.add_argument("--seed", type=int, default=0)
    whisper.add_argument("--threads", type=int, default=1)
    whisper.add_argument("--workers", type=int, default=1, help="processes that render the teacher (default 1)")
    options = parser.parse_args(arguments)
    train(
        Run(
            speech=options.data,
            noise=options.noise,
            out=options.out,
            tier=options.tier,
            minutes=options.minutes,
            steps=options.steps,
            seed=options.seed,
            threads=options.threads,
            workers=options.workers,
        )
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
