"""Times an engine with the calls that a player's machine made: the frame sizes, and the moments, of a real-time log."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtvoice import _core
from rtvoice.bench.histogram import Histogram, response_times
from rtvoice.bench.measure import Measurement, latency_ms, noise_frames
from rtvoice.bench.priority import audio_thread_priority
from rtvoice.engine import Engine, isa
from rtvoice.log import Log, LogError
from rtvoice.model import Model
from rtvoice.render import percentiles


def measure_from_log(model: Model, log: Log, *, seconds: float, paced: bool = False) -> Measurement:
    """Time a model with the logged calls of the first ``seconds`` of audio, in their order.

    Parameters
    ----------
    paced
        Make each call at the moment of the log, as the player's host did, instead of back to back.

    Returns
    -------
    Measurement
        ``load`` is the 99th percentile of each call's share of its own audio's time; ``result["logged"]`` holds the
        times that the log holds of the same calls.

    Raises
    ------
    LogError
        The log has no call.
    """
    header, calls = log.header, log.calls
    real = np.flatnonzero((calls.status == 0) & (calls.frames > 0))
    real = real[: int(np.searchsorted(np.cumsum(calls.frames[real]), seconds * header.sample_rate)) + 1]
    if len(real) == 0:
        raise LogError(f"{log.paths[0]}: there is no call in it to time")
    sizes = calls.frames[real]
    audio = _audio(log, real)
    block = header.block or None
    schedule = "sliced" if header.schedule else "inline"
    engine = Engine(model, header.sample_rate, header.max_frame, header.channels, block=block, schedule=schedule)
    due = np.round(1e9 * (calls.start[real] - calls.start[real[0]])).astype(np.int64)
    with audio_thread_priority():
        warm = min(len(sizes), max(10, round(0.3 * len(sizes) / max(0.3, _seconds(log, sizes)))))
        none = np.zeros(0, np.int64)
        first_ns = int(_core.time_pattern(engine._core, audio, sizes[:1], none)[0][0])
        _core.time_pattern(engine._core, audio, sizes[:warm], none)
        spent, late = _core.time_pattern(engine._core, audio, sizes, due if paced else none)
    return _measurement(model, log, engine, real, spent, late, first_ns, paced)


def _seconds(log: Log, sizes: NDArray[np.int64]) -> float:
    return float(sizes.sum()) / log.header.sample_rate


def _audio(log: Log, real: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the logged input of these calls, one after the other; noise where the log was redacted."""
    total, channels = int(log.calls.frames[real].sum()), log.header.channels
    if not log.has_audio:
        noise = noise_frames(1, min(total, 1 << 20) * channels)[0]
        return np.resize(noise, total * channels)
    wanted = set(real.tolist())
    pieces = (given for i, given, _ in log.frames_of(int(real[0]), int(real[-1]) + 1) if i in wanted)
    return np.concatenate([np.nan_to_num(piece).reshape(-1) for piece in pieces])


def _measurement(
    model: Model,
    log: Log,
    engine: Engine,
    real: NDArray[np.int64],
    spent: NDArray[np.int64],
    late: NDArray[np.int64],
    first_ns: int,
    paced: bool,
) -> Measurement:
    header, sizes = log.header, log.calls.frames[real]
    rate = header.sample_rate
    times, budgets = spent / 1000.0, 1e6 * sizes / rate
    period = 1e9 * float(sizes.mean()) / rate
    there = 1e6 * log.calls.seconds[real]
    recorded, scheduled = Histogram(), Histogram()
    recorded.record(spent)
    scheduled.record(late if paced else response_times(spent, period))
    macs, audio_time = float(model.info["mac_per_second"]), _seconds(log, sizes)
    common, counts = np.unique(sizes, return_counts=True)
    block = int(common[np.argmax(counts)])
    result: dict[str, Any] = {
        "model": model.name,
        "tier": model.tier,
        "isa": isa(),
        "sample_rate": rate,
        "block": block,
        "frames": len(times),
        "frame_us": percentiles(times),
        "budget_us": 1e6 * block / rate,
        "load": float(np.percentile(times / budgets, 99)),
        "realtime_factor": float(times.sum()) / 1e6 / audio_time,
        "latency_ms": latency_ms(engine),
        "memory_bytes": engine.memory,
        "mac_per_second": macs,
        "gflops": 2e-9 * macs * header.channels * audio_time / (float(times.sum()) / 1e6),
        "allocations": None,
        "log": {
            "path": str(log.paths[0]),
            "channels": header.channels,
            "different_sizes": len(common),
            "least": int(sizes.min()),
            "most": int(sizes.max()),
            "late": int(np.count_nonzero(times > budgets)),
        },
        "logged": {
            "isa": header.isa,
            "frame_us": percentiles(there),
            "load": float(np.percentile(there / budgets, 99)),
            "late": int(np.count_nonzero(there > budgets)),
        },
    }
    tails = {
        "model": model.name,
        "tier": model.tier,
        "block": block,
        "schedule": "sliced" if header.schedule else "inline",
        "paced": paced,
        "call_us": recorded.microseconds(),
        "scheduled_us": scheduled.microseconds(),
        "missed": int(np.count_nonzero(times > budgets)),
        "first_call_us": first_ns / 1000.0,
        "create_ms": None,
    }
    return Measurement(result, tails, times, None, recorded, scheduled)
