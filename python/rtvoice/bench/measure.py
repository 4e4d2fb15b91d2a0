"""Times an engine frame by frame, as its caller sees it."""

from __future__ import annotations

import gc
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtvoice.bench.allocations import count_allocations
from rtvoice.bench.priority import audio_thread_priority
from rtvoice.engine import Engine, isa
from rtvoice.model import Model
from rtvoice.render import percentiles

#: A tier fits when its p99 leaves half of the frame's time to the game and to slower moments of the machine.
FITS_BELOW_LOAD = 0.5

_COLD_FRAMES = 200


@dataclass(frozen=True)
class Measurement:
    """One model at one block size: the result by its JSON keys, and every frame's time in microseconds."""

    result: dict[str, Any]
    times_us: NDArray[np.float64]
    cold_times_us: NDArray[np.float64] | None


def measure(
    model: Model,
    *,
    sample_rate: int = 48000,
    block: int = 480,
    seconds: float = 10.0,
    cold: bool = False,
    progress: Callable[[float], None] | None = None,
) -> Measurement:
    """Run ``seconds`` of noise at -20 dBFS through an engine and time each frame of ``block`` samples.

    The times include the Python binding (about 1 us a call). ``cold`` adds frames between which other work has swept
    the caches, as a game does.
    """
    engine = Engine(model, sample_rate, block, block=block)
    frames = max(1, round(seconds * sample_rate / block))
    noise = np.random.default_rng(0).standard_normal((min(frames, 512), block)).astype(np.float32) * np.float32(0.1)
    out = np.empty(block, np.float32)
    part = 0.5 if cold else 1.0
    cold_times = None
    with audio_thread_priority():
        _timed(engine, noise, out, max(10, round(0.3 * sample_rate / block)), None, None)
        times = _timed(engine, noise, out, frames, None, progress and (lambda done: progress(part * done)))
        if cold:
            sweep = np.zeros(cache_sweep_bytes() // 8, np.float64)
            cold_frames = min(frames, _COLD_FRAMES)
            cold_progress = progress and (lambda done: progress(0.5 + 0.5 * done))
            cold_times = _timed(engine, noise, out, cold_frames, sweep, cold_progress)
    return Measurement(_result(model, engine, block, times, cold_times), times, cold_times)


def _timed(
    engine: Engine,
    noise: NDArray[np.float32],
    out: NDArray[np.float32],
    frames: int,
    sweep: NDArray[np.float64] | None,
    progress: Callable[[float], None] | None,
) -> NDArray[np.float64]:
    process, clock = engine._core.process, time.perf_counter_ns
    times = np.empty(frames, np.int64)
    rows = list(noise)
    collecting = gc.isenabled()
    gc.disable()
    try:
        for i in range(frames):
            frame = rows[i % len(rows)]
            if sweep is not None:
                sweep += 1.0
            begin = clock()
            process(frame, out)
            times[i] = clock() - begin
            if progress is not None and i % 1024 == 0:
                progress(i / frames)
    finally:
        if collecting:
            gc.enable()
    return times / 1000.0


def _result(
    model: Model, engine: Engine, block: int, times: NDArray[np.float64], cold: NDArray[np.float64] | None
) -> dict[str, Any]:
    rate = engine.sample_rate
    budget = 1e6 * block / rate
    spent = float(times.sum()) / 1e6
    audio = len(times) * block / rate
    frame_us = percentiles(times)
    parts = engine.latency_parts
    macs = float(model.info["mac_per_second"])
    result: dict[str, Any] = {
        "model": model.name,
        "tier": model.tier,
        "isa": isa(),
        "sample_rate": rate,
        "block": block,
        "frames": len(times),
        "frame_us": frame_us,
        "budget_us": budget,
        "load": frame_us["p99"] / budget,
        "realtime_factor": spent / audio,
        "latency_ms": {
            "total": 1000 * engine.latency / rate,
            "model": 1000 * parts["model"] / rate,
            "resampler": 1000 * parts["resampler"] / rate,
            "buffering": 1000 * parts["buffering"] / rate,
        },
        "memory_bytes": engine.memory,
        "mac_per_second": macs,
        "gflops": 2e-9 * macs * audio / spent,
        "allocations": _allocations(model, rate, block),
    }
    if cold is not None:
        figures = percentiles(cold)
        result["cold_us"] = {"p50": figures["p50"], "p99": figures["p99"]}
    return result


def _allocations(model: Model, rate: int, block: int) -> int | None:
    return None if model.path is None else count_allocations(str(model.path), sample_rate=rate, block=block)


def cache_sweep_bytes() -> int:
    """Twice the last-level cache, within 32 to 256 MB; 64 MB where the system does not tell."""
    sizes = []
    for path in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size"):
        text = path.read_text().strip()
        unit = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}.get(text[-1:], 0)
        if unit and text[:-1].isdigit():
            sizes.append(int(text[:-1]) * unit)
    return min(max(2 * max(sizes, default=32 << 20), 32 << 20), 256 << 20)


def machine() -> dict[str, Any]:
    """Describe what the figures were measured on."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        lines = (line.partition(":") for line in cpuinfo.read_text().splitlines())
        name = next((value.strip() for key, _, value in lines if key.strip() == "model name"), name)
    cores, system, python = os.cpu_count(), platform.system(), platform.python_version()
    with audio_thread_priority() as held:
        priority = "real-time" if held else "normal"
    return {"cpu": name, "cores": cores, "isa": isa(), "system": system, "python": python, "priority": priority}
