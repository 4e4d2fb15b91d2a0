"""Every proof in its full form, and the table of what they showed.

scripts/proof.py [LABEL...] writes benchmarks/proof/proof.md

Labels: rt-static rt-rtsan rt-guard det fuzz perf tsan asan+ubsan neon; without one, all. What a tool is missing for is
written down as skipped, never as passed. A run of some labels keeps the other rows of the table.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as xml
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "benchmarks" / "proof" / "proof.md"
JOBS = os.environ.get("JOBS", "2")
# perf's two fail unless they find what is planted first: 2 % more work, and a loop that spills.
PLANTED = re.compile(r"[Pp]lanted|SelfTest|^perf\.(instructions|spills)$")
CASES = os.environ.get("RTVOICE_FUZZ_CASES", "100000")


@dataclass
class Row:
    """One line of the table."""

    label: str
    result: str
    figures: str
    planted: int
    command: str
    day: str
    minutes: float


class Failed(Exception):
    """A build or a run that did not come to its end."""


def call(*command: str) -> str:
    """Run a command in the repository's root and return all that it printed; Failed when it ends badly."""
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        print(done.stdout[-6000:])
        raise Failed(f"{' '.join(command)} ended with {done.returncode}")
    return done.stdout


def build(folder: str, *options: str, targets: tuple[str, ...] = ("all",)) -> None:
    """Configure and build one folder under build/."""
    call("cmake", "-S", ".", "-B", f"build/{folder}", "-G", "Ninja", "-DRTVOICE_BUILD_TESTS=ON", *options)
    call("cmake", "--build", f"build/{folder}", "-j", JOBS, "--target", *targets)


@dataclass
class Tests:
    """What ctest ran; `planted` counts those that passed and had a fault to find."""

    passed: int
    skipped: int
    failed: list[str]
    planted: int
    output: str

    def result(self) -> str:
        """Return one word for the table, and what is missing."""
        if self.failed:
            return f"**failed**: {', '.join(self.failed[:4])}"
        if self.passed == 0:
            reason = re.search(r"SKIPPED: (.*)", self.output)
            return f"**skipped**: {reason[1] if reason else 'nothing ran'}"
        return "passed" + (f", {self.skipped} skipped" if self.skipped else "")

    def with_those_of(self, other: Tests) -> Tests:
        """Return both runs' tests as one's."""
        return Tests(
            self.passed + other.passed,
            self.skipped + other.skipped,
            self.failed + other.failed,
            self.planted + other.planted,
            self.output + other.output,
        )


def read_junit(path: Path) -> Tests:
    """Read one of ctest's reports."""
    tests = Tests(0, 0, [], 0, "")
    for case in xml.parse(path).getroot().iter("testcase"):
        name, status = case.get("name", ""), case.get("status", "")
        out = case.findtext("system-out") or ""
        tests.output += out + "\n"
        if case.find("failure") is not None or status == "fail":
            tests.failed.append(name)
        elif case.find("skipped") is not None or status in ("notrun", "disabled") or "[  SKIPPED ]" in out:
            tests.skipped += 1
        else:
            tests.passed += 1
            tests.planted += PLANTED.search(name) is not None
    return tests


def ctest(folder: str, label: str, *options: str, **environment: str) -> Tests:
    """Run the tests of one label."""
    report = ROOT / "build" / f"proof-{folder}.xml"
    report.unlink(missing_ok=True)
    command = ["ctest", "--test-dir", f"build/{folder}", "-L", f"^{label}$", "-j", JOBS, "--output-junit", str(report)]
    command += ["--test-output-size-passed", "1000000", *options]
    subprocess.run(command, cwd=ROOT, env={**os.environ, **environment}, stdout=subprocess.DEVNULL, check=False)
    if not report.exists():
        raise Failed(f"ctest -L {label} in build/{folder} left no report")
    return read_junit(report)


def total(pattern: str, text: str) -> int:
    """Return the sum of a pattern's first group over all that was printed."""
    return sum(int(value) for value in re.findall(pattern, text))


def ordinary(*targets: str) -> None:
    """Configure the release build, and build what a label needs of it."""
    build("test", "-DRTVOICE_BUILD_BENCH=ON", "-DRTVOICE_FUZZ_CASES=5000", targets=targets)


def rt_static() -> tuple[Tests, str]:
    ordinary("rtvoice")
    tests = ctest("test", "rt-static")
    files = tests.passed - tests.planted
    return tests, f"{files} files of the process path, kernel and step tables included: no call that may block"


def rt_guard() -> tuple[Tests, str]:
    ordinary("rt_guard_test")
    tests = ctest("test", "rt-guard", "-j", "1", RTVOICE_RT_LONG="10")
    frames = total(r"rt-guard \w+ \(\w+\): (\d+) frames", tests.output)
    turns = total(r"(\d+) turns of the other", tests.output)
    swaps = total(r"(\d+) swaps: alloc", tests.output)
    watched = "" if "NOT watched" not in tests.output else "; system calls NOT watched by this kernel"
    return tests, (
        f"{frames:,} frames of the release build beside {turns:,} turns and {swaps:,} swaps of another thread: "
        f"no allocation, lock, clock, throw, system call, page fault or wait{watched}"
    )


def rt_rtsan() -> tuple[Tests, str]:
    ordinary("rtsan_test")
    tests = ctest("test", "rt-rtsan", RTVOICE_RT_LONG="1")
    calls = total(r"refused\), (\d+) calls", tests.output)
    engines = total(r"rt-rtsan \w+: (\d+) engines", tests.output)
    figures = (
        f"{engines:,} engines of every skin and made model x rate x resampler x block x schedule x overload policy, "
        f"{calls:,} calls of the release build"
    )
    names = ("clang++-22", "clang++-21", "clang++-20")
    compiler = next((name for name in names if shutil.which(name)), None)
    if compiler is not None and tests.passed != 0:
        compilers = (f"-DCMAKE_CXX_COMPILER={compiler}", f"-DCMAKE_C_COMPILER={compiler.replace('++', '')}")
        kind = ("-DCMAKE_BUILD_TYPE=RelWithDebInfo", "-DRTVOICE_SANITIZE=realtime", "-DRTVOICE_ISAS=AVX2")
        build("rtsan", *compilers, *kind, targets=("rtsan_test", "c_api_test", "tiers_test"))
        watched = ctest("rtsan", "rt-rtsan")
        figures += f"; {watched.passed} tests more with every RTV_NONBLOCKING function watched"
        tests = tests.with_those_of(watched)
    return tests, figures


def det() -> tuple[Tests, str]:
    ordinary("all")
    tests = ctest("test", "det")
    kernels = len(re.findall(r"^det ulp (?!SCALAR)", tests.output, re.M))
    return tests, (
        f"{tests.passed} tests of the same bits in every cutting, block and schedule; {kernels} kernel comparisons: "
        "other instruction sets within 0 to 6 ULP of portable C++"
    )


def perf() -> tuple[Tests, str]:
    ordinary("count_instructions", "planted_spill")
    tests = ctest("test", "perf", "-j", "1")
    lines = re.findall(r"\d+ counts within .*|kernels_\w+.*", tests.output)
    return tests, "; ".join(line.strip() for line in lines)


def tsan() -> tuple[Tests, str]:
    kind = ("-DCMAKE_BUILD_TYPE=RelWithDebInfo", "-DRTVOICE_SANITIZE=thread", "-DRTVOICE_ISAS=SCALAR")
    build("tsan", *kind, targets=("c_api_test", "tiers_test", "live_test", "sanitizer_planted_test"))
    between_threads = "Thread|Swap|Control|Tiers|Governor|Pool|Planted"
    tests = ctest("tsan", "tsan", "-R", between_threads, RTVOICE_TEST_SHORT="1")
    return tests, f"{tests.passed} tests of parameters, swaps, statistics and tiers between threads: no race"


def asan() -> tuple[Tests, str]:
    kind = ("-DCMAKE_BUILD_TYPE=RelWithDebInfo", "-DRTVOICE_SANITIZE=address,undefined", "-DRTVOICE_ISAS=AVX2")
    build("asan", *kind, f"-DRTVOICE_FUZZ_CASES={CASES}")
    tests = ctest("asan", "asan.ubsan", "--timeout", "7200")
    return tests, f"{tests.passed} tests; {mutations(tests.output)}"


def mutations(output: str) -> str:
    """Return what the mutators say of themselves."""
    files = total(r"(\d+) cases: \d+ refused", output)
    found = re.search(r"(\d+) cases, (\d+) calls", output)
    hosts, calls = (int(found[1]), int(found[2])) if found else (0, 0)
    return (
        f"{files:,} damaged model files, {hosts:,} hostile hosts with {calls:,} calls: no crash, hang or broken promise"
    )


def fuzz() -> tuple[Tests, str]:
    options = ("-DRTVOICE_BUILD_BENCH=ON", f"-DRTVOICE_FUZZ_CASES={CASES}")
    build("test", *options, targets=("model_mutate", "config_mutate"))
    tests = ctest("test", "fuzz")
    few = str(max(400, int(CASES) // 10))
    pytest = ("-m", "pytest", "-q", "-s", "tests/log/test_robust.py", "-k", "fuzz")
    logs = total(r"fuzz logs: (\d+) files", call("env", f"RTVOICE_FUZZ_CASES={few}", sys.executable, *pytest))
    return tests, f"{mutations(tests.output)}; {logs:,} damaged logs, read as far as they go or refused in one line"


def neon() -> tuple[Tests, str]:
    for old in (ROOT / "build").glob("neon-*.xml"):
        old.unlink()
    output = call("scripts/neon.sh", "--full")
    tests, processors = Tests(0, 0, [], 0, output), []
    for report in sorted((ROOT / "build").glob("neon-*.xml")):
        one = read_junit(report)
        processors.append(f"{one.passed} on {report.stem.removeprefix('neon-')}")
        tests = tests.with_those_of(one)
    return tests, f"the C++ tests on 64-bit Arm under qemu, with the same tolerances: {', '.join(processors)}"


PROOFS: dict[str, Callable[[], tuple[Tests, str]]] = {
    "rt-static": rt_static,
    "rt-rtsan": rt_rtsan,
    "rt-guard": rt_guard,
    "det": det,
    "perf": perf,
    "fuzz": fuzz,
    "tsan": tsan,
    "asan+ubsan": asan,
    "neon": neon,
}


def machine() -> str:
    """Return processor, system and compiler in one line."""
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    model = re.search(r"model name\s*:\s*(.*)", info)
    compiler = call("c++", "--version").splitlines()[0]
    processor, system = model[1] if model else platform.machine(), platform.release().split("-")[0]
    return f"{processor}, {os.cpu_count()} cores, Linux {system}, {compiler}"


def write(rows: dict[str, Row]) -> None:
    """Write the table; its data stands in a comment behind it, so that a run of some labels keeps the others."""
    lines = [
        "# What the proofs showed",
        "",
        "Written by `make proof` (`scripts/proof.py`). What each label means, and what it cannot see, stands in",
        "[docs/proof.md](../../docs/proof.md).",
        "",
        f"Machine: {machine()}.",
        "",
        "| label | result | what was shown | planted faults found | date, command | minutes |",
        "|---|---|---|---|---|---|",
    ]
    for label in PROOFS:
        row = rows.get(label)
        if row is None:
            lines.append(f"| `{label}` | **not run yet** | | | | |")
            continue
        when = f"{row.day}, `{row.command}`"
        lines.append(f"| `{label}` | {row.result} | {row.figures} | {row.planted} | {when} | {row.minutes:.1f} |")
    data = json.dumps({label: asdict(row) for label, row in rows.items()})
    lines += ["", f"<!-- {data} -->", ""]
    TABLE.parent.mkdir(parents=True, exist_ok=True)
    TABLE.write_text("\n".join(lines))


def main() -> int:
    labels = sys.argv[1:] or list(PROOFS)
    unknown = [label for label in labels if label not in PROOFS]
    if unknown:
        print(f"no proof is called {unknown[0]}; there are {', '.join(PROOFS)}", file=sys.stderr)
        return 2
    kept = re.search(r"<!-- (\{.*\}) -->", TABLE.read_text()) if TABLE.exists() else None
    rows = {label: Row(**row) for label, row in json.loads(kept[1]).items()} if kept else {}
    good = True
    for label in labels:
        print(f"== {label}", flush=True)
        start, planted, figures = time.monotonic(), 0, ""
        try:
            tests, shown = PROOFS[label]()
            result, planted, figures = tests.result(), tests.planted, shown if tests.passed else ""
            for name in tests.failed:
                print(name)
        except Failed as error:
            result = f"**failed**: {error}"
        good = good and "failed" not in result
        command = "make proof" if not sys.argv[1:] else f"scripts/proof.py {label}"
        minutes = (time.monotonic() - start) / 60
        rows[label] = Row(label, result, figures, planted, command, date.today().isoformat(), minutes)
        print(f"{label}: {result}; {figures}", flush=True)
        write(rows)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
