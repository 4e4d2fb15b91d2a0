"""The same calls with their frames in blocks from malloc, while other threads allocate: what an allocation can cost.

Runs in a process of its own, where all threads share one heap (as with ``MALLOC_ARENA_MAX=1``, a common setting for
programs whose heaps must not grow), so that a call can meet a thread that holds the heap's lock.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import numpy as np

from rtvoice import _core
from rtvoice.bench.histogram import Histogram
from rtvoice.bench.measure import noise_frames
from rtvoice.bench.priority import audio_thread_priority
from rtvoice.engine import Engine

_BUFFERS = 2  # in and out
_THREADS = 3


def compare_with_malloc(
    model: str, *, sample_rate: int = 48000, block: int = 480, seconds: float = 4.0
) -> dict[str, Any] | None:
    """Time calls as they are and calls with malloc, turn by turn; ``None`` where the process fails.

    Parameters
    ----------
    model
        Path of a ``.rtv`` file.

    Returns
    -------
    dict
        ``ours_us, malloc_us`` (percentiles)``, ours_curve, malloc_curve, calls, buffers, threads``.
    """
    done = subprocess.run(
        [sys.executable, "-m", "rtvoice.bench.allocator", json.dumps([model, sample_rate, block, seconds])],
        env={**os.environ, "MALLOC_ARENA_MAX": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        return None
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _measure(model: str, rate: int, block: int, seconds: float) -> dict[str, Any]:
    engine = Engine(model, rate, block, block=block)
    noise = noise_frames(64, block)
    kinds = {"ours": 0, "malloc": _BUFFERS}
    histograms = {kind: Histogram() for kind in kinds}
    _core.time_frames(engine._core, noise, 64)
    one = float(np.median(_core.time_frames(engine._core, noise, 64)[0])) / 1e9
    others = _core.Allocators(_THREADS)
    # Calls are a quarter of the time apart, as callbacks are: the other threads run in between.
    period = round(4e9 * one)
    rounds = max(4, round(seconds / (2 * 64 * 4 * one)))
    try:
        with audio_thread_priority():
            for _ in range(rounds):
                for kind, buffers in kinds.items():
                    histograms[kind].record(_core.time_frames(engine._core, noise, 64, period, None, buffers)[0])
    finally:
        others.stop()
    found: dict[str, Any] = {
        "calls": histograms["ours"].count,
        "buffers": _BUFFERS,
        "threads": _THREADS,
        "block": block,
    }
    for kind, histogram in histograms.items():
        found[f"{kind}_us"] = histogram.microseconds()
        found[f"{kind}_curve"] = histogram.curve()
    return found


if __name__ == "__main__":
    print(json.dumps(_measure(*json.loads(sys.argv[1]))))
