"""How evenly a hop's work lies over short host blocks: inline against sliced."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtvoice import _core
from rtvoice.bench.measure import noise_frames
from rtvoice.bench.priority import audio_thread_priority
from rtvoice.engine import Engine
from rtvoice.model import Model


def measure_flatness(
    model: Model,
    blocks: Sequence[int] = (64, 128),
    *,
    sample_rate: int = 48000,
    seconds: float = 10.0,
    progress: Callable[[float], None] | None = None,
) -> list[dict[str, Any]]:
    """Time callbacks of both schedules, turn by turn.

    The costs repeat with the smallest time that holds whole hops and whole blocks. The cost of a callback is the
    median of all callbacks at its place in that time, so that what the system does now and then does not count; the
    figure is the largest place's cost over the median place's.

    Returns
    -------
    list of dict
        ``model, tier, block, places, inline, sliced``; each of the two ``{median_us, max_us, max_over_median,
        latency_ms}``.
    """
    found = []
    for done, block in enumerate(blocks):
        hop = model.hop * sample_rate // model.sample_rate if model.hop * sample_rate % model.sample_rate == 0 else 0
        places = int(np.lcm(hop, block) // block) if hop else 1
        rounds = max(12, round(seconds / len(blocks) * sample_rate / block / places / 8))
        noise = noise_frames(places, block)
        engines = {name: Engine(model, sample_rate, block, schedule=name) for name in ("inline", "sliced")}
        times: dict[str, list[NDArray[np.int64]]] = {name: [] for name in engines}
        with audio_thread_priority():
            for i in range(rounds + 2):
                for name, engine in engines.items():
                    spent = _core.time_frames(engine._core, np.ascontiguousarray(np.tile(noise, (8, 1))), 8 * places)[0]
                    if i >= 2:
                        times[name].append(spent.reshape(8, places))
                if progress is not None:
                    progress((done + i / (rounds + 2)) / len(blocks))
        entry: dict[str, Any] = {"model": model.name, "tier": model.tier, "block": block, "places": places}
        for name, engine in engines.items():
            cost = np.median(np.concatenate(times[name]), axis=0) / 1000.0
            entry[name] = {
                "median_us": float(np.median(cost)),
                "mean_us": float(np.mean(cost)),
                "max_us": float(np.max(cost)),
                "max_over_median": float(np.max(cost) / np.median(cost)),
                "max_over_mean": float(np.max(cost) / np.mean(cost)),
                "latency_ms": 1000.0 * engine.latency / sample_rate,
            }
        found.append(entry)
    return found
