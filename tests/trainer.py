"""The trainer's small problem as a recipe, and its command: in this process, or in one of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]

RECIPE = """\
[skin]
name = "tiny"
stages = "tiny_stages"
tiers = ["default", "hq"]
consent = "made of random numbers"

[prepare]
examples = 256

[master]
width = 16

[[master.phases]]
name = "spectral"
steps = 20
rate = 1e-2
batch = 16
warm_up = 5

[[master.phases]]
name = "adversarial"
steps = 20
adversarial = true
rate = 5e-3

[student]
width = 8

[student.hq]
width = 12
"""


def run_here(*words: Any) -> int:
    """Run `rtvoice train ...` in this process; return its exit status."""
    from rtvoice.cli import run

    try:
        return run(["train", *map(str, words)])
    except SystemExit as end:
        return int(end.code or 0)


def _default_interrupt() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell may have told its background programs to ignore it


def environment(**extra: str) -> dict[str, str]:
    import rtvoice

    places = [str(Path(rtvoice.__file__).parents[1]), str(ROOT / "tests")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(places), "OMP_NUM_THREADS": "1", **extra}


def start(*words: Any, **extra: str) -> subprocess.Popen[str]:
    """Start `python -m rtvoice train ...` in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "rtvoice", "train", *map(str, words)],
        env=environment(**extra),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_default_interrupt,
    )
