#!/usr/bin/env python3
"""Writes the estimated device profiles: llvm-mca's cycles of the inner loop, clocks and bandwidths from print.

    python3 benchmarks/devices/estimate.py [--mca llvm-mca-22]

Every number in a profile names its source there. Nothing here was measured on these devices.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
ITERATIONS = 200

# One step of k in the tiles of cpp/src/simd/gemm-inl.h, as compilers write it: 6 rows by 2 AVX, or 4 NEON, vectors.
AVX2 = [
    "vmovups (%rdi), %ymm12",
    "vmovups 32(%rdi), %ymm13",
    *[
        line
        for row, at in enumerate(
            ["(%rsi)", "(%rsi,%rax)", "(%rsi,%rax,2)", "(%rsi,%rbx)", "(%rsi,%rax,4)", "(%rsi,%rcx)"]
        )
        for line in (
            f"vbroadcastss {at}, %ymm14",
            f"vfmadd231ps %ymm12, %ymm14, %ymm{2 * row}",
            f"vfmadd231ps %ymm13, %ymm14, %ymm{2 * row + 1}",
        )
    ],
    "addq $4, %rsi",
    "addq $64, %rdi",
    "cmpq %rsi, %r8",
    "jne .L0",
]
NEON = [
    "ldp q24, q25, [x1]",
    "ldp q26, q27, [x1, #32]",
    *[
        line
        for row, at in enumerate(["x2", "x2, x3", "x2, x4", "x2, x5", "x2, x6", "x2, x7"])
        for line in (
            f"ldr s{28 + row % 4}, [{at}]",
            *(f"fmla v{4 * row + j}.4s, v{24 + j}.4s, v{28 + row % 4}.s[0]" for j in range(4)),
        )
    ],
    "add x2, x2, #4",
    "add x1, x1, #256",
    "cmp x2, x8",
    "b.ne .L0",
]
FLOPS = {"AVX2": 6 * 2 * 8 * 2, "NEON": 6 * 4 * 4 * 2}

WIDTH = (
    "half of the path's width, {} B a cycle: streams reach about half of it "
    "(this was so for L2 and L3 of the measured device)"
)
SHARE = "{} of the memory's wire rate, {} GB/s ({}): assumed for one core, no figure in print was found"

DEVICES = [
    {
        "file": "laptop-apple-m1.json",
        "name": "Apple M1, a performance core",
        "class": "laptop, tablet, phone of the A14's time",
        "isa": "NEON",
        "mca": "apple-m1",  # LLVM's model of this core has 3 of its 4 multiply-add pipes
        "clock_ghz": 3.2,
        "clock": "AnandTech, 'The 2020 Mac Mini Unleashed' (anandtech.com/show/16252): 3.2 GHz on one thread",
        "cache_bytes": {"l1": 128 << 10, "l2": 12 << 20},
        "caches": "AnandTech 16252 and 17024: 128 KB L1D; 12 MB of L2, shared by four cores",
        "l1": (24.0, WIDTH.format(48)),
        "l2": (16.0, WIDTH.format(32)),
        "dram": (0.6 * 68.3, SHARE.format("60 %", 68.3, "LPDDR4X-4266, 128 bits; askgeek.io, Apple M1")),
    },
    {
        "file": "console-zen2.json",
        "name": "AMD Zen 2 at 3.5 GHz, as in the consoles of 2020",
        "class": "console",
        "isa": "AVX2",
        "mca": "znver2",
        "clock_ghz": 3.5,
        "clock": "wccftech.com, 'First PS5 die shot' (2021-02-14): 8 Zen 2 cores at 3.5 GHz",
        "cache_bytes": {"l1": 32 << 10, "l2": 512 << 10, "l3": 4 << 20},
        "caches": "AMD's optimisation guide for family 17h models 30h: 32 KB, 512 KB; tomshardware.com on the 4800S:"
        " 8 MB of L3, in two halves",
        "l1": (32.0, WIDTH.format(64)),
        "l2": (16.0, WIDTH.format(32)),
        "l3": (16.0, WIDTH.format(32)),
        "dram": (15.0, "15 GB/s assumed for one core beside a busy GPU; no figure in print was found"),
    },
    {
        "file": "desktop-skylake.json",
        "name": "Intel Core i7-6700K (Skylake, 2015)",
        "class": "older desktop",
        "isa": "AVX2",
        "mca": "skylake",
        "clock_ghz": 4.0,
        "clock": "Intel: 4.0 GHz base",
        "cache_bytes": {"l1": 32 << 10, "l2": 256 << 10, "l3": 8 << 20},
        "caches": "Intel: 32 KB, 256 KB, 8 MB",
        "l1": (32.0, WIDTH.format(64)),
        "l2": (32.0, WIDTH.format(64)),
        "l3": (16.0, WIDTH.format(32)),
        "dram": (25.4, "rigaya34589.blog135.fc2.com/blog-entry-660.html: 25.4 GB/s read by one thread, DDR4-3233"),
    },
    {
        "file": "phone-cortex-a76.json",
        "name": "Arm Cortex-A76 at 2.4 GHz",
        "class": "phone of 2019, single-board computer",
        "isa": "NEON",
        "mca": "neoverse-n1",  # LLVM has a model of the A76's server form, and none of its own for the A76
        "clock_ghz": 2.4,
        "clock": "zbotic.in, 'Raspberry Pi 5 Benchmarks': 4 Cortex-A76 at 2.4 GHz",
        "cache_bytes": {"l1": 64 << 10, "l2": 512 << 10, "l3": 2 << 20},
        "caches": "wikipedia.org, ARM Cortex-A76: 64 KB L1D, to 512 KB L2, 0.5 to 4 MB L3 (2 MB taken)",
        "l1": (16.0, WIDTH.format(32)),
        "l2": (16.0, WIDTH.format(32)),
        "l3": (8.0, WIDTH.format(16)),
        "dram": (0.6 * 17.1, SHARE.format("60 %", 17.1, "LPDDR4X-4267, 32 bits")),
    },
    {
        "file": "phone-cortex-a53.json",
        "name": "Arm Cortex-A53 at 1.4 GHz",
        "class": "cheap phone, little core",
        "isa": "NEON",
        "mca": "cortex-a53",
        "clock_ghz": 1.4,
        "clock": "1.4 GHz, the AM62P's, whose memory figure is used",
        "cache_bytes": {"l1": 32 << 10, "l2": 512 << 10},
        "caches": "Arm's Cortex-A53 manual: 8 to 64 KB, 128 KB to 2 MB (32 and 512 KB taken)",
        "l1": (8.0, WIDTH.format(16)),
        "l2": (8.0, WIDTH.format(16)),
        "dram": (
            3.9,
            "TI SPRADG0A, LMBench on the AM62P: bcopy of 8 MB at 1.957 GB/s by one core, read and written",
        ),
    },
]


def cycles_per_step(mca: str, processor: str, isa: str) -> float:
    """Return llvm-mca's cycles of one step of k in the steady state."""
    lines = AVX2 if isa == "AVX2" else NEON
    triple = "x86_64" if isa == "AVX2" else "aarch64"

    def total(iterations: int) -> int:
        command = [mca, f"-mtriple={triple}", f"-mcpu={processor}", f"-iterations={iterations}"]
        text = subprocess.run(command, input="\n".join(lines), capture_output=True, text=True, check=True).stdout
        return int(re.search(r"Total Cycles:\s+(\d+)", text)[1])  # type: ignore[index]

    return (total(2 * ITERATIONS) - total(ITERATIONS)) / ITERATIONS


def main() -> None:
    """Write one file per device."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mca", default="llvm-mca", help="the program (llvm-mca)")
    mca = parser.parse_args().mca
    version = subprocess.run([mca, "--version"], capture_output=True, text=True, check=True).stdout
    release = re.search(r"version (\S+)", version)[1]  # type: ignore[index]
    for device in DEVICES:
        cycles = cycles_per_step(mca, device["mca"], device["isa"])
        per_cycle = FLOPS[device["isa"]] / cycles
        levels = [name for name in ("l1", "l2", "l3") if name in device]
        profile = {
            "name": device["name"],
            "kind": "estimate",
            "class": device["class"],
            "isa": device["isa"],
            "clock_ghz": device["clock_ghz"],
            "fma_gflops": round(per_cycle * device["clock_ghz"], 1),
            "bandwidth_gbs": {
                **{name: round(device[name][0] * device["clock_ghz"], 1) for name in levels},
                "dram": round(device["dram"][0], 1),
            },
            "cache_bytes": device["cache_bytes"],
            "sources": {
                "fma_gflops": f"llvm-mca {release} -mcpu={device['mca']}: {cycles:.2f} cycles for one step"
                f" of the product's inner loop ({FLOPS[device['isa']]} operations, {per_cycle:.1f} a cycle),"
                " times clock_ghz",
                "clock_ghz": device["clock"],
                "cache_bytes": device["caches"],
                "bandwidth_gbs": {name: device[name][1] for name in [*levels, "dram"]},
            },
        }
        (HERE / device["file"]).write_text(json.dumps(profile, indent=2) + "\n")
        print(f"{device['name']}: {cycles:.2f} cycles, {profile['fma_gflops']} GFLOP/s")


if __name__ == "__main__":
    main()
