"""Instruction counts of every kernel and shipped model under callgrind, against the committed budgets.

scripts/budgets.py [--refresh] build/test/cpp/tests/perf/count_instructions

Valgrind shows a program AVX2 at most, so these are the AVX2 kernels' counts. They do not depend on how busy the machine
is: what differs by more than 1 % has changed. --refresh writes this tree's counts into benchmarks/budgets.json.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUDGETS = ROOT / "benchmarks" / "budgets.json"
TOLERANCE = 0.01
SKIPPED = 77  # ctest's SKIP_RETURN_CODE
PLANTED, PLANTED_AGAINST = "planted 2 % more", "tanh 2048"


def count(program: Path) -> dict[str, int]:
    """Return instructions per case, from one run under callgrind."""
    models = sorted(str(path) for path in (ROOT / "models").glob("*/*.rtv"))
    with tempfile.TemporaryDirectory() as folder:
        command = ["valgrind", "-q", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={folder}/out"]
        environment = {**os.environ, "RTVOICE_ISA": "AVX2"}
        done = subprocess.run([*command, str(program), *models], capture_output=True, text=True, env=environment)
        if done.returncode != 0:
            raise SystemExit(f"{program} under valgrind failed: {done.stderr.strip()[-2000:]}")
        if "isa AVX2" not in done.stdout:
            print("SKIPPED: this processor has no AVX2, which the budgets are for: instruction counts are NOT checked")
            raise SystemExit(SKIPPED)
        counts = {}
        for dump in Path(folder).iterdir():
            text = dump.read_text()
            name = re.search(r"^desc: Trigger: Client Request: (.+) x(\d+)$", text, re.M)
            total = re.search(r"^(?:summary|totals): (\d+)", text, re.M)
            if name and total:
                counts[name[1]] = round(int(total[1]) / int(name[2]))
    return counts


def compiler(program: Path) -> str:
    """Return name and major version of what built the program, from its build folder's cache."""
    for folder in program.resolve().parents:
        found = sorted(folder.glob("CMakeFiles/*/CMakeCXXCompiler.cmake"))
        if found:
            text = found[-1].read_text()
            version = re.search(r'CMAKE_CXX_COMPILER_VERSION "(\d+)', text)
            name = re.search(r'CMAKE_CXX_COMPILER_ID "(\w+)"', text)
            return f"{name[1] if name else '?'} {version[1] if version else '?'}"
    return "unknown"


def different(counted: int, budget: int) -> bool:
    """Return whether a count leaves its budget, either way."""
    return abs(counted - budget) > TOLERANCE * budget


def compare(counts: dict[str, int], budgets: dict[str, int]) -> list[str]:
    """Return one line for each case that is not as it was."""
    lines = []
    for name in sorted(counts.keys() | budgets.keys()):
        if name not in counts:
            lines.append(f"{name}: not counted any more")
        elif name not in budgets:
            lines.append(f"{name}: {counts[name]} instructions, and no budget")
        elif different(counts[name], budgets[name]):
            change = 100 * (counts[name] / budgets[name] - 1)
            lines.append(f"{name}: {counts[name]} instructions, budget {budgets[name]} ({change:+.1f} %)")
    return lines


def main() -> int:
    arguments = [a for a in sys.argv[1:] if a != "--refresh"]
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    program = Path(arguments[0])
    if shutil.which("valgrind") is None:
        print("SKIPPED: no valgrind (Debian: apt-get install valgrind): instruction counts are NOT checked")
        return SKIPPED
    built_by = compiler(program)
    kept = json.loads(BUDGETS.read_text()) if BUDGETS.exists() else {}
    refresh = "--refresh" in sys.argv
    if not refresh and kept.get("compiler") != built_by:
        print(f"SKIPPED: the budgets are for {kept.get('compiler')}, this is {built_by}: counts are NOT checked")
        return SKIPPED
    counts = count(program)
    # The comparison has to see 2 % more of one kernel's work.
    planted = counts.pop(PLANTED)
    if not different(planted, counts[PLANTED_AGAINST]):
        print(f"2 % more work was not seen: {planted} instructions against {counts[PLANTED_AGAINST]}")
        return 1
    if refresh:
        kept = {"compiler": built_by, "isa": "AVX2", "instructions": counts}
        BUDGETS.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")
        print(f"{len(counts)} budgets written to {BUDGETS.relative_to(ROOT)}")
        return 0
    lines = compare(counts, kept["instructions"])
    for line in lines:
        print(line)
    if lines:
        print(f"meant so? scripts/budgets.py --refresh {arguments[0]}, and say in the commit what it bought")
        return 1
    print(f"{len(counts)} counts within {100 * TOLERANCE:.0f} % of their budgets; 2 % more work is seen")
    return 0


if __name__ == "__main__":
    sys.exit(main())
