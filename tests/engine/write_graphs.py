"""Write these tests' networks as model files, for the native programs: ``python -m engine.write_graphs FOLDER``."""

from __future__ import annotations

import sys
from pathlib import Path

from .graphs import around, random_graph
from .test_ops import CASES

RANDOM, WIDTHS = 100, (1, 5, 65)


def main(folder: Path) -> None:
    """Write random networks and one per op and width."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(RANDOM):
        random_graph(seed).save(folder / f"random-{seed}.rtv")
    for case, make in CASES.items():
        for channels in WIDTHS:
            around(make, channels=channels).save(folder / f"{case}-{channels}.rtv")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
