"""Every host that can run here, and the table of what was run.

scripts/hosts.py [NAME...] runs the tests of tests/hosts and of the installed package, and writes benchmarks/hosts.md.
A host whose tools or headers are missing is written down as not run, with what is missing; never as passed. With names
(test_clap) only those are run, and the other rows stay.

scripts/hosts.py --of REPORT.xml runs nothing: it says in one line which hosts a run of pytest has run.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import xml.etree.ElementTree as xml
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "benchmarks" / "hosts.md"
RESULTS = ROOT / "build" / "hosts.xml"

HOSTS = {
    "test_cmake_install": ("CMake and pkg-config projects", "cmake --version", "the installed package, in C and C++"),
    "test_file_host": ("C program", "cc --version", "every frame pattern at 48 and 44.1 kHz, bit for bit"),
    "test_sdl": (
        "SDL2",
        "sdl2-config --version",
        "every frame pattern; disk driver, blocks of 64 to 4096; bit for bit; dummy driver",
    ),
    "test_portaudio": (
        "PortAudio",
        "jackd --version",
        "every frame pattern; virtual microphone and speaker; bit for bit",
    ),
    "test_miniaudio": ("miniaudio", "", "every frame pattern; its null device at five block sizes; bit for bit"),
    "test_csharp": ("C#, Unity's filter", "mono --version", "every frame pattern, bit for bit; allocations; disposal"),
    "test_lv2": ("LV2", "lv2apply --version", "every frame pattern, lv2apply, lv2bench, bit for bit"),
    "test_clap": ("CLAP", "", "every frame pattern and events at their sample in our mini host, bit for bit"),
    "test_godot3": ("Godot 3, GDNative", "godot3-server --version", "every frame pattern in the engine, bit for bit"),
    "test_godot4": ("Godot 4, GDExtension", "", "every frame pattern through a stand-in for Godot, bit for bit"),
    "test_windows": ("Windows x64, C program", "wine --version", "every frame pattern under wine, bit for bit"),
    "test_macos": ("macOS, 64-bit Arm", "python-zig version", "linked only: install name, exports, dependencies"),
    "test_wheel": ("Linux wheel", "", "tag, libsamplerate inside, a new virtual environment, bit for bit"),
    "test_abi": ("C interface's gate", "abidiff --version", "the committed interface; seven planted breaks found"),
}
NOT_RUN = (
    ("Godot 4 itself", "plugins/godot4", "the extension ran under a stand-in for Godot's side of the interface"),
    ("Unity, IL2CPP", "bindings/csharp", "the filter ran under mono with stand-ins for Unity's names"),
    ("Unreal Engine", "plugins/unreal", "source only; never built"),
    ("FMOD", "plugins/fmod", "source only; never built"),
    ("Wwise", "plugins/wwise", "source only; never built"),
    ("macOS", "cmake/zig.cmake", "the library was built and linked; nothing here can run it"),
    ("iOS, Android, consoles", "", "never built"),
)


@dataclass
class Result:
    """What one file of tests came to."""

    outcomes: Counter[str] = field(default_factory=Counter)
    reasons: set[str] = field(default_factory=set)
    seconds: float = 0.0


def path_of(name: str) -> str:
    """Return where a file of tests lies."""
    return f"tests/{name}.py" if (ROOT / "tests" / f"{name}.py").exists() else f"tests/hosts/{name}.py"


def run(names: list[str]) -> dict[str, Result]:
    """Run the tests; return their results by file."""
    files = [path_of(name) for name in names]
    RESULTS.parent.mkdir(exist_ok=True)
    subprocess.run([sys.executable, "-m", "pytest", "-q", f"--junitxml={RESULTS}", *files], cwd=ROOT, check=False)
    return results_in(RESULTS)


def results_in(report: Path) -> dict[str, Result]:
    """Return what a report of pytest's (--junitxml) says, by file of tests."""
    found: dict[str, Result] = defaultdict(Result)
    for case in xml.parse(report).iter("testcase"):
        result = found[case.get("classname", "").split(".")[-1]]
        result.seconds += float(case.get("time", 0))
        skipped = case.find("skipped")
        if skipped is not None:
            result.outcomes["skipped"] += 1
            result.reasons.add(skipped.get("message", ""))
        elif case.find("failure") is not None or case.find("error") is not None:
            result.outcomes["failed"] += 1
        else:
            result.outcomes["passed"] += 1
    return found


def version(command: str) -> str:
    """Return the first line that names a version, or nothing."""
    words = command.split()
    own = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"  # where pip puts its commands
    if not words or (program := shutil.which(words[0], path=own)) is None:
        return ""
    done = subprocess.run([program, *words[1:]], capture_output=True, text=True, check=False)
    lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if any(c.isdigit() for c in line)]
    return lines[0][:60] if lines else ""


def verdict(result: Result) -> str:
    """Return what a row says."""
    counts = result.outcomes
    if counts["failed"]:
        return f"**{counts['failed']} failed**, {counts['passed']} passed"
    if counts["skipped"] and not counts["passed"]:
        return "not run: " + "; ".join(sorted(result.reasons))
    skipped = f", {counts['skipped']} skipped" if counts["skipped"] else ""
    return f"{counts['passed']} passed{skipped}"


def in_one_line(found: dict[str, Result]) -> str:
    """Return which hosts ran, and why the others did not."""
    ran = [name for name in HOSTS if name in found and set(found[name].outcomes) - {"skipped"}]
    failed = [HOSTS[name][0] for name in ran if found[name].outcomes["failed"]]
    missing = [
        f"{HOSTS[name][0]} ({'; '.join(sorted(found[name].reasons)) if name in found else 'no test of it ran'})"
        for name in HOSTS
        if name not in ran
    ]
    line = f"hosts: {len(ran)} of {len(HOSTS)} run"
    line += f"; FAILED: {', '.join(failed)}" if failed else ""
    return line + (f"; not run: {', '.join(missing)}" if missing else "")


def kept_rows() -> dict[str, str]:
    """Return the rows of the table that is there, by host."""
    lines = TABLE.read_text().splitlines() if TABLE.exists() else []
    return {line.split(" | ")[0][2:]: line for line in lines if line.startswith("| ") and "`pytest " in line}


def main() -> None:
    if sys.argv[1:2] == ["--of"] and len(sys.argv) == 3:
        print(in_one_line(results_in(Path(sys.argv[2]))))
        return
    names = sys.argv[1:] or list(HOSTS)
    if unknown := [name for name in names if name not in HOSTS]:
        raise SystemExit(f"{unknown[0]} is no host's test; there are {', '.join(HOSTS)}")
    found, kept = run(names), kept_rows()
    lines = [
        "# Hosts that were run",
        "",
        f"`make hosts` (`scripts/hosts.py`) on {platform.system()} {platform.machine()}. What each is, and how to add",
        "it to a game: [docs/games.md](../docs/games.md). Outputs are compared with one reference render of `whisper`,",
        "over the frame sizes of [tests/hosts/frames.txt](../tests/hosts/frames.txt).",
        "",
        "| host | with | what runs | result | seconds | day | command |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, (host, command, what) in HOSTS.items():
        if name not in names:
            lines += [kept[host]] if host in kept else []
            continue
        result = found.get(name, Result())
        words = (host, version(command), what, verdict(result), f"{result.seconds:.0f}", str(date.today()))
        lines.append("| " + " | ".join((*words, f"`pytest {path_of(name)}`")) + " |")
    lines += ["", "Never run:", "", "| host | where | state |", "|---|---|---|"]
    lines += [f"| {host} | {f'`{where}`' if where else ''} | {state} |" for host, where, state in NOT_RUN]
    TABLE.write_text("\n".join(lines) + "\n")
    print(TABLE.read_text())
    if any(result.outcomes["failed"] for result in found.values()):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
