"""Side by side with other engines.

    python benchmarks/compare measure [--rounds N] [--rows A,B] [--parts networks,cold] [--quick] [--out FILE]
    python benchmarks/compare report [FILE] [--out RESULTS.md]

`measure` runs each part in a process of its own and writes one JSON file; `report` writes the page from it.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
RESULTS = HERE.parent / "results"
PARTS = ("networks", "avx2", "skins", "cold", "tail", "allocations", "size")
VERSIONS = (
    "rtvoice",
    "onnxruntime",
    "torch",
    "openvino",
    "ncnn",
    "tract",
    "executorch",
    "ai-edge-litert",
    "litert-torch",
    "numpy",
)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python benchmarks/compare", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    measure = commands.add_parser("measure", help="run the comparison and write its JSON")
    measure.add_argument("--rounds", type=int, default=40)
    measure.add_argument("--rows", default="", help="only these rows, by name, with commas")
    measure.add_argument("--parts", default=",".join(PARTS), help="only these parts, with commas")
    measure.add_argument("--quick", action="store_true", help="few hops, and no engine but onnxruntime")
    measure.add_argument("--out", type=Path, default=RESULTS / "comparison.json")
    page = commands.add_parser("report", help="write the page from a measured JSON file")
    page.add_argument("file", type=Path, nargs="?", default=RESULTS / "comparison.json")
    page.add_argument("--out", type=Path, default=HERE.parent / "RESULTS.md")
    part = commands.add_parser("part")  # what `measure` starts
    part.add_argument("name")
    part.add_argument("options")
    part.add_argument("out", type=Path)
    part.add_argument("folder", type=Path)
    options = parser.parse_args(arguments)
    if options.command == "part":
        return _part(options)
    if options.command == "report":
        from report import page_of

        options.out.write_text(page_of(json.loads(options.file.read_text())))
        print(f"wrote {options.out}")
        return 0
    return _measure(options, arguments)


def _part(options: argparse.Namespace) -> int:
    from native import Missing
    from parts import run_part

    try:
        run_part(options.name, json.loads(options.options), options.folder, options.out)
    except Missing as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    sys.stdout.flush()
    os._exit(0)  # some engines crash when the interpreter takes their objects apart


def _measure(options: argparse.Namespace, arguments: list[str]) -> int:
    wanted = options.parts.split(",")
    unknown = [name for name in wanted if name not in PARTS]
    if unknown:
        print(f"error: no such part: {', '.join(unknown)}; there are {', '.join(PARTS)}", file=sys.stderr)
        return 2
    given = {"rounds": options.rounds, "rows": [r for r in options.rows.split(",") if r], "quick": options.quick}
    result: dict[str, Any] = {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "command": "python benchmarks/compare " + shlex.join(arguments),
        "machine": _machine(),
        "versions": {name: version for name in VERSIONS if (version := _version(name))},
        "commit": _git("rev-parse", "--short", "HEAD"),
        "parts": {},
    }
    folder = ROOT / "build" / "compare"
    folder.mkdir(parents=True, exist_ok=True)
    failed = False
    for name in wanted:
        print(f"== {name}", flush=True)
        with tempfile.TemporaryDirectory() as scratch:
            out = Path(scratch) / "part.json"
            done = subprocess.run(
                [sys.executable, str(HERE), "part", name, json.dumps(given), str(out), str(folder)],
                env=_environment(name),
                stdout=sys.stderr,
                check=False,
            )
            if done.returncode != 0 or not out.is_file():
                print(f"part {name} failed (exit {done.returncode})", file=sys.stderr)
                result["parts"][name] = {"not_run": f"failed with exit status {done.returncode}"}
                failed = True
                continue
            result["parts"][name] = json.loads(out.read_text())
    result["load_average"] = os.getloadavg()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    print(f"wrote {options.out}")
    return 1 if failed else 0


def _environment(part: str) -> dict[str, str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    if part == "avx2":
        environment["RTVOICE_ISA"] = "AVX2"
    if part == "allocations":
        import rtvoice.bench

        counter = Path(rtvoice.bench.__file__).with_name("alloc_count.so")
        environment["LD_PRELOAD"] = f"{counter} {environment.get('LD_PRELOAD', '')}".strip()
    return environment


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _machine() -> dict[str, Any]:
    from rtvoice.bench.measure import machine

    caches = {}
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        kind = (index / "type").read_text().strip()
        if kind != "Instruction":
            caches[f"L{(index / 'level').read_text().strip()}"] = (index / "size").read_text().strip()
    facts = _cpu_facts()
    return {**machine(), "caches": caches, **facts}


def _cpu_facts() -> dict[str, Any]:
    """Family and model: a virtual machine's name often says only the maker's."""
    info = Path("/proc/cpuinfo")
    if not info.is_file():
        return {}
    pairs = (line.partition(":") for line in info.read_text().split("\n\n")[0].splitlines())
    known = {key.strip(): value.strip() for key, _, value in pairs}
    return {key.replace(" ", "_"): known[key] for key in ("cpu family", "model") if key in known}


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()


if __name__ == "__main__":
    sys.path.insert(0, str(HERE))
    sys.exit(main(sys.argv[1:]))
