"""Kills processes that log, at random moments, and reads what they left: crash.py FOLDER COUNT prints JSON."""

from __future__ import annotations

import json
import os
import random
import select
import signal
import sys
import time
from pathlib import Path

import numpy as np

import rtvoice
from rtvoice.log import read_log


def signal_at(start: int, frames: int) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """Return samples that tell their own position."""
    return (np.arange(start, start + frames) % 65536).astype(np.float32) * np.float32(1e-5)


def log_until_killed(model: rtvoice.Model, path: Path, pipe: int) -> None:
    """Process for ever, and tell now and then how much is in the file."""
    engine = rtvoice.Engine(model, 48000, 512)
    sizes = np.random.default_rng(0).integers(0, 513, 10**6)
    index = 0
    log = engine.log(path, flush_ms=2, rotate_mb=0.5)
    for call, size in enumerate(sizes.tolist()):
        engine.process(signal_at(index, size))
        index += size
        if call % 20 == 0:
            os.write(pipe, b"%020d" % log.status().frames)
            time.sleep(0.001)


def killed_once(model: rtvoice.Model, path: Path, pause: float) -> dict[str, object]:
    """Let a child log, kill it after ``pause`` seconds of logging, and check what is there."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            log_until_killed(model, path, writing)
        finally:
            os._exit(1)
    os.close(writing)
    select.select([reading], [], [], 60)
    time.sleep(pause)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    told = b""
    while part := os.read(reading, 65536):
        told += part
    os.close(reading)
    flushed = int(told[-20:])
    log = read_log(path)
    given = log.audio(0, log.frames)[0][:, 0]
    right = bool(np.array_equal(given, signal_at(0, log.frames)))
    return {"right": right, "flushed": flushed, "read": log.frames, "gaps": len(log.gaps), "ended": log.ended}


def main() -> None:
    """Print one JSON list."""
    folder, count = Path(sys.argv[1]), int(sys.argv[2])
    model = rtvoice.Model.load(sys.argv[3])
    random.seed(1)
    print(json.dumps([killed_once(model, folder / f"{i}.rtlog", random.uniform(0.0, 0.08)) for i in range(count)]))


if __name__ == "__main__":
    main()
