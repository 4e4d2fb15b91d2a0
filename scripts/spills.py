"""Products' innermost loops keep their vectors in registers.

scripts/spills.py [--objdump PROGRAM] [--planted OBJECT] OBJECT...

One accumulator that goes to the stack and back in each step costs two thirds of a kernel's speed. More than one access
to 8 multiply-adds fails; rarer ones are counted (a vector of weights that an unrolled loop puts aside once in 40), and
so are distances of rows that are fetched: tall, narrow tiles read more rows than there are registers for them.
--planted names an object with a loop that spills, which must be found.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from hot_loops import Loop, loops

TILES = r"gemm_(tile|rows)"
FMAS_PER_SPILL = 8
SKIPPED = 77  # ctest's SKIP_RETURN_CODE


def too_often(loop: Loop) -> bool:
    """Return whether a loop moves vectors to or from the stack more often than it may."""
    return len(loop.spills) * FMAS_PER_SPILL > loop.fmas


def check(path: Path, objdump: str) -> bool:
    """Print what one object's loops do; False where one spills too often, or none was found."""
    hot = loops(path, objdump, TILES)
    largest = max((loop.fmas for loop in hot), default=0)
    fetched = sum(1 for loop in hot if loop.stack)
    spilling = [loop for loop in hot if loop.spills]
    bad = [loop for loop in spilling if too_often(loop)]
    print(
        f"{path.name}: {len(hot)} innermost loops, up to {largest} multiply-adds; "
        f"{fetched} fetch distances, {len(spilling)} spill, {len(bad)} too often"
    )
    for loop in bad:
        first = loop.spills[0]
        share = f"{len(loop.spills)} of {len(loop.body)} instructions"
        print(f"  {loop.function}: {share}: {first.mnemonic} {first.operands}")
    if not hot:
        print(f"  no loop of a function called {TILES} was found: nothing is shown")
    return bool(hot) and not bad


def main() -> int:
    arguments, objdump, planted = sys.argv[1:], "objdump", None
    while len(arguments) > 1 and arguments[0] in ("--objdump", "--planted"):
        option, value, *arguments = arguments
        if option == "--objdump":
            objdump = value
        else:
            planted = Path(value)
    if not arguments or arguments[0].startswith("--"):
        print(__doc__, file=sys.stderr)
        return 2
    if shutil.which(objdump) is None:
        print(f"SKIPPED: {objdump} is not installed (Debian: apt-get install binutils): spills are NOT checked")
        return SKIPPED
    if planted is not None and not any(too_often(loop) for loop in loops(planted, objdump)):
        print(f"the planted spill in {planted} was not found")
        return 1
    good = [check(Path(name), objdump) for name in arguments]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
