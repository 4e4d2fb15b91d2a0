"""What many streams cost in one pool, against as many engines one after the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rtvoice.bench.measure import noise_frames, part_of
from rtvoice.bench.priority import audio_thread_priority
from rtvoice.engine import Engine
from rtvoice.model import Model
from rtvoice.pool import EnginePool


def measure_streams(
    model: Model,
    counts: Sequence[int],
    *,
    sample_rate: int = 48000,
    block: int = 480,
    seconds: float = 10.0,
    progress: Callable[[float], None] | None = None,
) -> list[dict[str, Any]]:
    """Time a pool and as many engines alone, turn by turn, for each number of streams.

    Returns
    -------
    list of dict
        ``model, tier, block, streams, rounds, pool_us`` (median of a call)``, pool_us_per_stream, alone_us_per_stream,
        gain`` (median ratio of the two in one round)``, streams_per_core`` (that one core keeps up with)``,
        memory_bytes``.
    """
    found = []
    for done, count in enumerate(counts):
        part = part_of(progress, done / len(counts), 1.0 / len(counts))
        found.append(_one(model, count, sample_rate, block, seconds / len(counts), part))
    return found


def _one(
    model: Model, count: int, rate: int, block: int, seconds: float, progress: Callable[[float], None] | None
) -> dict[str, Any]:
    pool = EnginePool(model, count, rate, block, block=block)
    engines = [Engine(model, rate, block, block=block) for _ in range(count)]
    noise = noise_frames(64, block)
    out, single = np.empty((count, block), np.float32), np.empty(block, np.float32)
    frames = [np.ascontiguousarray(np.broadcast_to(row, (count, block))) for row in noise]
    process, alone = pool._core.process, [engine._core.process for engine in engines]
    clock = time.perf_counter_ns
    together_ns, alone_ns = [], []
    with audio_thread_priority():
        end = time.monotonic() + seconds
        for i in range(100_000):
            frame, row = frames[i % len(frames)], noise[i % len(frames)]
            begin = clock()
            process(frame, out)
            middle = clock()
            for one in alone:
                one(row, single)
            stop = clock()
            if i >= 4:
                together_ns.append(middle - begin)
                alone_ns.append(stop - middle)
            now = time.monotonic()
            if progress is not None and i % 16 == 0:
                progress(max(0.0, 1.0 - (end - now) / seconds))
            if now > end and len(together_ns) >= 20:
                break
    if not np.array_equal(out[-1], single):
        raise AssertionError("a pool's stream differs from an engine's alone; this is a bug, please report it")
    pool_us = float(np.median(together_ns)) / 1000.0
    ratio = np.median(np.asarray(alone_ns, np.float64) / np.asarray(together_ns, np.float64))
    return {
        "model": model.name,
        "tier": model.tier,
        "block": block,
        "streams": count,
        "rounds": len(together_ns),
        "pool_us": pool_us,
        "pool_us_per_stream": pool_us / count,
        "alone_us_per_stream": float(np.median(alone_ns)) / 1000.0 / count,
        "gain": float(ratio),
        "streams_per_core": 1e6 * block / rate / (pool_us / count),
        "memory_bytes": pool.memory,
    }
