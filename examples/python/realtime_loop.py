"""Calls the engine as an audio callback would, and watches it: realtime_loop.py [MODEL]."""

from __future__ import annotations

import sys

import numpy as np

import rtvoice

RATE, FRAME = 48000, 480


def main() -> None:
    model = rtvoice.Model.load(sys.argv[1] if len(sys.argv) > 1 else "whisper")
    engine = rtvoice.Engine(model, sample_rate=RATE, max_frame=FRAME, block=FRAME)
    print(f"{model.name}: {1000 * engine.latency / RATE:.1f} ms latency, {rtvoice.isa()}")
    frame = np.empty(FRAME, np.float32)
    noise = np.random.default_rng(0)
    for _ in range(500):  # five seconds
        frame[:] = 0.1 * noise.standard_normal(FRAME)  # here the microphone would fill it
        engine.process(frame, out=frame)
    engine.bypass = True  # cross-fades, at equal latency
    stats = engine.stats()
    print(f"p50 {stats['us']['p50']:.0f} us, p99 {stats['us']['p99']:.0f} us of {1e6 * FRAME / RATE:.0f} us")


if __name__ == "__main__":
    main()
