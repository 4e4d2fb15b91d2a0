"""Xruns of `rtvoice live` with every core busy, each judged: python tests/live/xruns.py [SECONDS].

An xrun is ours where the callback's CPU time exceeded its block; where every callback met its deadline, the machine did
not run the thread, or the server, in time: a stall, which is counted apart. Under a hypervisor the time that it takes
away counts as the thread's: what it took in all is told beside it.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from live import bed

#: A loop that keeps a core busy, a little behind whatever else the machine is for.
SPIN = "import os\nos.nice(5)\nwhile True: pass"


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


def stolen() -> float:
    """Return the seconds that a hypervisor has taken from this machine since it started."""
    try:
        fields = Path("/proc/stat").read_text().splitlines()[0].split()
        return int(fields[8]) / os.sysconf("SC_CLK_TCK")
    except (OSError, IndexError, ValueError):
        return 0.0


def ours(summary: dict[str, Any], taken: float) -> int:
    """Return the xruns that nobody but a callback's own work explains."""
    return 0 if taken > 0 else int(summary["xruns_ours"])


def verdict(summary: dict[str, Any], server_xruns: int, taken: float) -> str:
    """Return one line on a session; ``taken`` are the hypervisor's seconds."""
    us, cpu = summary["callback_us"], summary["cpu"]
    late, stalls = summary["xruns_ours"], summary["xruns"] - summary["xruns_ours"]
    return (
        f"{summary['seconds']:.0f} s, {summary['callbacks']} callbacks of {summary['block']:.0f} samples, "
        f"{summary['priority']}, every core busy: {late} xruns where the CPU time of a callback missed its deadline, "
        f"{stalls} by stalls of the machine ({server_xruns} counted by the server, longest gap "
        f"{summary['longest_gap_ms']:.1f} ms; {1000 * taken:.0f} ms taken by the hypervisor); "
        f"CPU time of a callback at most {cpu['max_us']:.0f} us of {summary['budget_us']:.0f}, "
        f"p99 on the wall {us['p99']:.0f} us"
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
    before = stolen()
    with bed.server(128), bed.Bed(loop=True, seconds=1) as card:
        time.sleep(0.5)
        with busy():
            done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        print(done.stderr)
        return 1
    summary = json.loads(done.stdout)
    taken = stolen() - before
    print(verdict(summary, card.xruns, taken))
    return 0 if ours(summary, taken) == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
