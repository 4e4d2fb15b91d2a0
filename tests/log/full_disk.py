"""Logs into a file that may not grow beyond a limit, then may again: full_disk.py MODEL PATH short|long prints JSON."""

from __future__ import annotations

import json
import resource
import signal
import sys
import time

import numpy as np

import rtvoice

LIMIT = 300_000


def main() -> None:
    """Process through the outage and print what the status said."""
    model, path, outage = sys.argv[1:]
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # Python ignores it; a host need not
    engine = rtvoice.Engine(model, 48000, 480)
    random = np.random.default_rng(0)
    log = engine.log(path, ring_ms=60000, flush_ms=5)
    calls = 0

    def process(count: int) -> None:
        nonlocal calls
        for _ in range(count):
            out = engine.process((random.standard_normal(480) * 0.1).astype(np.float32))
            assert np.isfinite(out).all()
            calls += 1

    process(20)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, resource.RLIM_INFINITY))
    process(200)
    until = time.monotonic() + 60
    while not log.status().failing and time.monotonic() < until:
        time.sleep(0.01)
    during = log.status()
    if outage == "long":  # more than what waits in memory
        process(2000)
        while log.status().frames_lost == 0 and time.monotonic() < until:
            time.sleep(0.01)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    while log.status().failing and time.monotonic() < until:
        time.sleep(0.01)
    process(100)
    time.sleep(0.1)
    import warnings

    warnings.simplefilter("ignore")
    after = log.stop()
    print(json.dumps({"during": during._asdict(), "after": after._asdict(), "frames": 480 * calls}))


if __name__ == "__main__":
    main()
