"""Times an engine frame by frame, as a host's callback would."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtvoice import _core
from rtvoice.bench.allocations import count_allocations
from rtvoice.bench.histogram import Histogram, response_times
from rtvoice.bench.priority import audio_thread_priority
from rtvoice.engine import Engine, isa
from rtvoice.model import Model
from rtvoice.render import percentiles

#: A tier fits when its p99 leaves half of the frame's time to the game and to slower moments of the machine.
FITS_BELOW_LOAD = 0.5

_COLD_FRAMES = 200
_CHUNK = 256  # calls between two words on the progress


@dataclass(frozen=True)
class Measurement:
    """One model at one block size.

    Attributes
    ----------
    result
        By the keys that ``--json`` promises.
    tails
        What goes beyond them: times against the schedule, first calls, what making the engine took.
    times_us, cold_times_us
        Every frame's time in microseconds.
    spent, scheduled
        Histograms of each call's time, and of its end after the moment it was due.
    """

    result: dict[str, Any]
    tails: dict[str, Any]
    times_us: NDArray[np.float64]
    cold_times_us: NDArray[np.float64] | None
    spent: Histogram
    scheduled: Histogram


def measure(
    model: Model,
    *,
    sample_rate: int = 48000,
    block: int = 480,
    seconds: float = 10.0,
    cold: bool = False,
    paced: bool = False,
    schedule: str = "inline",
    count: bool = True,
    progress: Callable[[float], None] | None = None,
) -> Measurement:
    """Run ``seconds`` of noise at -20 dBFS through an engine and time each frame of ``block`` samples.

    Parameters
    ----------
    cold
        Time also frames between which other work has swept the caches, as a game does.
    paced
        Make a call only when it is due, as a sound card does, and record when it ended after that moment. Without it
        calls follow one another, and that moment is reckoned from their times: see :func:`response_times`.
    schedule
        As of :class:`rtvoice.Engine`.
    count
        Count the allocations, in a process of its own.
    """
    begin = time.perf_counter()
    engine = Engine(model, sample_rate, block, block=block, schedule=schedule)
    create_ms = 1000 * (time.perf_counter() - begin)
    frames = max(1, round(seconds * sample_rate / block))
    noise = noise_frames(min(frames, 512), block)
    period = 1e9 * block / sample_rate
    part = 0.5 if cold else 1.0
    cold_times = None
    with audio_thread_priority():
        first_ns = int(_core.time_frames(engine._core, noise, 1)[0][0])
        _core.time_frames(engine._core, noise, max(10, round(0.3 * sample_rate / block)))
        spent, late = _timed(engine, noise, frames, period if paced else 0, None, part_of(progress, 0.0, part))
        if cold:
            sweep = np.zeros(cache_sweep_bytes() // 8, np.float64)
            cold_progress = part_of(progress, 0.5, 0.5)
            cold_times = _timed(engine, noise, min(frames, _COLD_FRAMES), 0, sweep, cold_progress)[0] / 1000.0
    calls, scheduled = Histogram(), Histogram()
    calls.record(spent)
    scheduled.record(late if paced else response_times(spent, period))
    times = spent / 1000.0
    result = _result(
        model, engine, block, times, cold_times, _allocations(model, sample_rate, block) if count else None
    )
    tails = {
        **{name: result[name] for name in ("model", "tier", "block")},
        "schedule": schedule,
        "paced": paced,
        "call_us": calls.microseconds(),
        "scheduled_us": scheduled.microseconds(),
        "missed": int(np.count_nonzero((late if paced else response_times(spent, period)) > period)),
        "first_call_us": first_ns / 1000.0,
        "create_ms": create_ms,
    }
    return Measurement(result, tails, times, cold_times, calls, scheduled)


def noise_frames(rows: int, block: int) -> NDArray[np.float32]:
    """Return ``(rows, block)`` of white noise at -20 dBFS, the same each time."""
    return np.random.default_rng(0).standard_normal((rows, block)).astype(np.float32) * np.float32(0.1)


def part_of(progress: Callable[[float], None] | None, start: float, share: float) -> Callable[[float], None] | None:
    """Return what to tell the part done of a share of the work, which begins at ``start``."""
    return progress and (lambda done: progress(start + share * done))


def _timed(
    engine: Engine,
    noise: NDArray[np.float32],
    frames: int,
    period: float,
    sweep: NDArray[np.float64] | None,
    progress: Callable[[float], None] | None,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    # A schedule must not stop for a progress bar.
    chunk = frames if period or progress is None else (8 if sweep is not None else _CHUNK)
    spent, late = [], []
    for done in range(0, frames, chunk):
        calls = min(chunk, frames - done)
        part = _core.time_frames(engine._core, noise, calls, round(period), sweep)
        spent.append(part[0])
        late.append(part[1])
        if progress is not None:
            progress((done + calls) / frames)
    return np.concatenate(spent), np.concatenate(late)


def _result(
    model: Model,
    engine: Engine,
    block: int,
    times: NDArray[np.float64],
    cold: NDArray[np.float64] | None,
    allocations: int | None,
) -> dict[str, Any]:
    rate = engine.sample_rate
    budget = 1e6 * block / rate
    spent = float(times.sum()) / 1e6
    audio = len(times) * block / rate
    frame_us = percentiles(times)
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
        "latency_ms": latency_ms(engine),
        "memory_bytes": engine.memory,
        "mac_per_second": macs,
        "gflops": 2e-9 * macs * audio / spent,
        "allocations": allocations,
    }
    if cold is not None:
        figures = percentiles(cold)
        result["cold_us"] = {"p50": figures["p50"], "p99": figures["p99"]}
    return result


def latency_ms(engine: Engine) -> dict[str, float]:
    """Return the whole latency of an engine and its parts, in milliseconds."""
    parts = {"total": float(engine.latency), **engine.latency_parts}
    return {name: 1000 * parts[name] / engine.sample_rate for name in ("total", "model", "resampler", "buffering")}


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
