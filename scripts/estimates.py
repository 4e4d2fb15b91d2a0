"""Cycles that llvm-mca expects of the products' innermost loops on processors that are not here.

scripts/estimates.py > benchmarks/estimates.md

Estimates, of code whose data lies in the first-level cache: llvm-mca knows ports and latencies, no caches, no branches,
no clock. The loops are read from the objects of build/test (x86-64) and build/neon (64-bit Arm); each core's
multiply-add rate comes from the same tool, with as many independent chains as the registers hold.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from hot_loops import Loop, loops

ROOT = Path(__file__).resolve().parents[1]
OBJECTS = "cpp/src/simd/CMakeFiles/rtvoice_isa.dir"
ITERATIONS = 400
HEAD = """# Cycle estimates for processors that are not here

**Estimates (L1-resident)**, not measurements: what llvm-mca expects of the products' innermost loops when every load
hits the first-level cache. It knows ports and latencies, no caches, no branches and no clock. Per cent are of what the
same tool gives as many independent chains of multiply-adds as that core's registers hold. The loops are GCC's.
"""
NAMES = {
    "skylake-avx512": "Skylake-X",
    "znver4": "Zen 4",
    "skylake": "Skylake",
    "znver2": "Zen 2",
    "apple-m1": "Apple M1",
    "cortex-a76": "Cortex-A76",
    "cortex-a53": "Cortex-A53",
}
TILE = re.compile(r"gemm_tile<(\d+)ul, (\d+)ul, hwy::\w+::Simd<float, (\d+)ul, 0>, (float|hwy::float16_t|__fp16)>")


@dataclass(frozen=True)
class Isa:
    """One instruction set: where its object is, how llvm-mca calls it, and a loop of multiply-adds alone."""

    name: str
    build: str
    file: str
    objdump: str
    triple: str
    lanes: int
    cores: tuple[str, ...]
    fma: tuple[str, ...]


ISAS = (
    Isa(
        "AVX-512",
        "build/test",
        "kernels_avx3",
        "objdump",
        "x86_64",
        16,
        ("skylake-avx512", "znver4"),
        ("vfmadd231ps %zmm30, %zmm31, %zmm{}",),
    ),
    Isa(
        "AVX2",
        "build/test",
        "kernels_avx2",
        "objdump",
        "x86_64",
        8,
        ("skylake", "znver2"),
        ("vfmadd231ps %ymm14, %ymm15, %ymm{}",),
    ),
    Isa(
        "NEON",
        "build/neon",
        "kernels_neon",
        "aarch64-linux-gnu-objdump",
        "aarch64",
        4,
        ("apple-m1", "cortex-a76", "cortex-a53"),
        ("fmla v{}.4s, v30.4s, v31.4s", "fmla v{}.4s, v30.4s, v31.s[0]"),
    ),
)


def mca() -> str:
    """Return the newest llvm-mca on the path."""
    for name in ("llvm-mca-22", "llvm-mca-21", "llvm-mca-20", "llvm-mca"):
        if shutil.which(name):
            return name
    raise SystemExit("llvm-mca is not installed (Debian: apt-get install llvm-22)")


def cycles(tool: str, triple: str, core: str, text: str) -> float:
    """Return cycles of one pass through the instructions of `text`, in a long loop."""
    views = ["-all-views=false", "-summary-view"]
    command = [tool, f"-mtriple={triple}", f"-mcpu={core}", f"-iterations={ITERATIONS}", *views]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    total = re.search(r"Total Cycles:\s+(\d+)", done.stdout)
    if done.returncode != 0 or total is None:
        raise SystemExit(f"{tool} -mcpu={core}: {done.stderr.strip()[:500]}")
    return int(total[1]) / ITERATIONS


def assembly(loop: Loop) -> str:
    """Return a loop as llvm-mca reads it: branches to a label of its own, no comments."""
    lines = [".Ltop:"]
    for i in loop.body:
        operands = re.sub(r"[0-9a-f]+ <.*>", ".Ltop", re.sub(r"\s*(# |//).*$", "", i.operands))
        lines.append(f"{i.mnemonic} {operands}")
    return "\n".join(lines) + "\n"


def chosen(found: list[Loop], lanes: int) -> list[tuple[str, Loop]]:
    """Return the tallest tile of each width, of whole vectors and 32-bit weights; of each its largest loop."""
    tiles: dict[tuple[int, int], Loop] = {}
    for loop in found:
        tile = TILE.search(loop.function)
        if tile is None or int(tile[3]) != lanes or tile[4] != "float":
            continue
        key = (int(tile[2]), int(tile[1]))
        if key not in tiles or loop.fmas > tiles[key].fmas:
            tiles[key] = loop
    kept = []
    for vectors in sorted({v for v, _ in tiles}, reverse=True):
        rows = max(r for v, r in tiles if v == vectors)
        kept.append((f"{rows} row{'s' if rows > 1 else ''} x {vectors * lanes} columns", tiles[vectors, rows]))
    return kept


def estimate(tool: str, isa: Isa) -> None:
    """Print one instruction set's table."""
    print(f"\n## {isa.name}\n")
    path = ROOT / isa.build / OBJECTS / f"{isa.file}.cc.o"
    if not path.exists() or shutil.which(isa.objdump) is None:
        print(f"Not estimated: {path.relative_to(ROOT)} or {isa.objdump} is not here.")
        return
    count = 12 if isa.name == "AVX2" else 24
    forms = ["".join(fma.format(i) + "\n" for i in range(count)) for fma in isa.fma]
    peaks = {core: max(count / cycles(tool, isa.triple, core, form) for form in forms) for core in isa.cores}
    heads = " | ".join(f"{NAMES[core]}: cycles, % of its rate" for core in isa.cores)
    print(f"| tile | multiply-adds a pass | {heads} |")
    print("|---|---|" + "---|" * len(isa.cores))
    for title, loop in chosen(loops(path, isa.objdump, "gemm_tile"), isa.lanes):
        cells = []
        for core in isa.cores:
            spent = cycles(tool, isa.triple, core, assembly(loop))
            cells.append(f"{spent:.1f}, {100 * loop.fmas / spent / peaks[core]:.0f} %")
        print(f"| {title} | {loop.fmas} | " + " | ".join(cells) + " |")
    rates = ", ".join(f"{NAMES[core]} {peaks[core]:.1f}" for core in isa.cores)
    print(f"\nVector multiply-adds a cycle, the rate: {rates}.")


def main() -> int:
    tool = mca()
    found = re.search(r"LLVM version (\S+)", subprocess.run([tool, "--version"], capture_output=True, text=True).stdout)
    print(HEAD)
    version = found[1] if found else "?"
    print(f"`scripts/estimates.py > benchmarks/estimates.md`, {date.today().isoformat()}, llvm-mca {version}.")
    for isa in ISAS:
        estimate(tool, isa)
    return 0


if __name__ == "__main__":
    sys.exit(main())
