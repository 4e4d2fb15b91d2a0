"""Counts the heap calls of ``Engine.process``, in a process of its own with the counter preloaded.

A call with an empty frame does nothing in the core and everything in the binding, so the difference between full and
empty frames is the core's. A planted allocation must be seen first; else nothing was measured, and ``None`` says so.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

_COUNTER = Path(__file__).with_name("alloc_count.so")
_CALLS = 2000


def count_allocations(model: str, *, sample_rate: int, block: int, channels: int = 1) -> int | None:
    """Return the heap calls (malloc, free and kin) of 2000 frames in the core, ``None`` where they cannot be counted.

    Parameters
    ----------
    model
        Path of a ``.rtv`` file.
    """
    if not _COUNTER.is_file():
        return None
    preload = os.environ.get("LD_PRELOAD", "")
    environment = {**os.environ, "LD_PRELOAD": f"{_COUNTER} {preload}".strip()}
    task = json.dumps([model, sample_rate, block, channels])
    done = subprocess.run(
        [sys.executable, "-m", "rtvoice.bench.allocations", task],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        return None
    result: int | None = json.loads(done.stdout)
    return result


def _measure(model: str, sample_rate: int, block: int, channels: int) -> int | None:
    from rtvoice.engine import Engine

    try:
        counter = ctypes.CDLL(None).rtvoice_alloc_count
    except (AttributeError, OSError):
        return None
    counter.restype = ctypes.c_uint64
    if not _sees_an_allocation(counter):
        return None
    engine = Engine(model, sample_rate, block, channels, block=block)
    shape = (block,) if channels == 1 else (block, channels)
    frame = (0.1 * np.random.default_rng(0).standard_normal(shape)).astype(np.float32)
    out = np.empty_like(frame)
    process = engine._core.process

    def spent(frame: np.ndarray, out: np.ndarray) -> int:
        before = counter()
        for _ in range(_CALLS):
            process(frame, out)
        return int(counter()) - int(before)

    empty, empty_out = frame[:0], out[:0]
    spent(frame, out)  # the interpreter's own caches fill here
    spent(empty, empty_out)
    return max(0, spent(frame, out) - spent(empty, empty_out))


def _sees_an_allocation(counter: Callable[[], int]) -> bool:
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    libc.free.argtypes = [ctypes.c_void_p]
    libc.free(libc.malloc(64))
    before = counter()
    libc.free(libc.malloc(64))
    return int(counter()) - int(before) == 2


if __name__ == "__main__":
    print(json.dumps(_measure(*json.loads(sys.argv[1]))))
