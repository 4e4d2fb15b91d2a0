"""``python -m rtvoice`` and the commands ``rtvoice`` and ``rtvoice-bench``."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command line and return its exit status."""
    try:
        from rtvoice.cli import run

        return run(sys.argv[1:])
    except KeyboardInterrupt:
        return _interrupted("rtvoice")


def bench() -> int:
    """Run ``rtvoice-bench`` and return its exit status."""
    try:
        from rtvoice.cli.bench import main as run_bench

        return run_bench()
    except KeyboardInterrupt:
        return _interrupted("rtvoice-bench")


def _interrupted(program: str) -> int:
    """Say so here: the commands, which have words for it, may not be there yet."""
    print(f"{program}: error: interrupted; nothing was left half-written", file=sys.stderr)
    return 130


if __name__ == "__main__":
    sys.exit(main())
