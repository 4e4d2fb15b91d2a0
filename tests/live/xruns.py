"""Xruns of `rtvoice live` with every core busy, each judged: python tests/live/xruns.py [SECONDS].

An xrun is ours where the callback before it used more CPU time than its block lasts. Where it met that deadline, the
machine did not run the thread, or the server, in time: a stall, which is counted apart. A callback that missed it is
excused in one case only: the hypervisor took that callback's own core away while it ran, for at least as long as it was
late, in the records of a watcher that looked just before and just after. Time stolen at any other moment excuses
nothing; nor does a callback that no record covers.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from live import bed

#: A loop that keeps a core busy, a little behind whatever else the machine is for.
SPIN = "import os\nos.nice(5)\nwhile True: pass"
#: The system counts stolen time in steps, in seconds.
STEP = 1.0 / os.sysconf("SC_CLK_TCK")
#: Records further away than this from a callback's start or end are not of its time, in seconds.
NEAR = 0.05


@contextlib.contextmanager
def busy() -> Iterator[None]:
    """Keep every core busy for the block."""
    loops = [subprocess.Popen([sys.executable, "-c", SPIN]) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


@dataclass
class Stolen:
    """What a hypervisor took of each core, by the steady clock: a record about every 10 ms."""

    times: list[float] = field(default_factory=list)
    cores: list[dict[int, int]] = field(default_factory=list)

    def look(self) -> None:
        """Take a record."""
        try:
            lines = [line.split() for line in Path("/proc/stat").read_text().splitlines() if line.startswith("cpu")]
        except OSError:
            lines = []
        self.times.append(time.monotonic())
        self.cores.append({int(line[0][3:]): int(line[8]) for line in lines if line[0] != "cpu" and len(line) > 8})

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Take records for the block."""
        stop = threading.Event()

        def watch() -> None:
            while not stop.wait(STEP):
                self.look()

        self.look()
        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
            self.look()

    def total(self) -> float:
        """Return the seconds taken of all cores between the first record and the last."""
        return (sum(self.cores[-1].values()) - sum(self.cores[0].values())) * STEP if self.cores else 0.0

    def during(self, start: float, end: float, core: int) -> float | None:
        """Return the seconds taken of ``core`` around this time; None where no records are near enough to tell."""
        before, after = bisect_right(self.times, start) - 1, bisect_left(self.times, end)
        if before < 0 or after >= len(self.times) or core not in self.cores[before] or core not in self.cores[after]:
            return None
        if start - self.times[before] > NEAR or self.times[after] - end > NEAR:
            return None
        return (self.cores[after][core] - self.cores[before][core]) * STEP


def excused(call: dict[str, Any], budget_us: float, stolen: Stolen) -> bool:
    """Tell whether the hypervisor took at least what a callback was late by, less one step of its counter."""
    end = call["at"] + call["wall_us"] * 1e-6
    taken = stolen.during(call["at"], end, call["core"])
    late = (call["cpu_us"] - budget_us) * 1e-6
    return taken is not None and taken >= STEP / 2 and taken >= late - STEP


def ours(summary: dict[str, Any], stolen: Stolen) -> int:
    """Return the xruns that nothing but a callback's own work explains."""
    calls = [call for call in summary["cpu"]["late"] if call["xrun"]]
    explained = sum(excused(call, summary["budget_us"], stolen) for call in calls)
    return int(summary["xruns_ours"]) - explained


def verdict(summary: dict[str, Any], server_xruns: int, stolen: Stolen) -> str:
    """Return one line on a session."""
    us, cpu, own = summary["callback_us"], summary["cpu"], ours(summary, stolen)
    stalls, taken = summary["xruns"] - summary["xruns_ours"], summary["xruns_ours"] - own
    late = "; ".join(
        f"{call['cpu_us']:.0f} us of CPU time in {call['wall_us']:.0f} on the wall"
        f"{', an xrun' if call['xrun'] else ''}{', stolen' if excused(call, summary['budget_us'], stolen) else ''}"
        for call in cpu["late"][:5]
    )
    return (
        f"{summary['seconds']:.0f} s, {summary['callbacks']} callbacks of {summary['block']:.0f} samples, "
        f"{summary['priority']}, every core busy: {own} xruns of our own, {taken} while the hypervisor had the core, "
        f"{stalls} by stalls of the machine, the callback before having met its deadline "
        f"({server_xruns} counted by the server, longest gap {summary['longest_gap_ms']:.1f} ms; "
        f"{1000 * stolen.total():.0f} ms taken by the hypervisor in all); {cpu['overruns']} callbacks missed it"
        f"{f' ({late})' if late else ''}; CPU time of a callback at most {cpu['max_us']:.0f} us of "
        f"{summary['budget_us']:.0f}, p99 on the wall {us['p99']:.0f} us"
    )


def main() -> int:
    """Run, print the verdict, and fail where an xrun is ours."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 600.0
    why = bed.missing()
    if why:
        print(f"SKIPPED: {why}")
        return 77
    command = [str(Path(sys.executable).with_name("rtvoice")), "live", "--json", "--cpu-time"]
    command += ["--input", "bed", "--output", "bed", "--block", "128", "--seconds", str(seconds)]
    stolen = Stolen()
    with bed.server(128), bed.Bed(loop=True, seconds=1) as card:
        time.sleep(0.5)
        with busy(), stolen.watching():
            done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        print(done.stderr)
        return 1
    summary = json.loads(done.stdout)
    print(verdict(summary, card.xruns, stolen))
    return 0 if ours(summary, stolen) == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
