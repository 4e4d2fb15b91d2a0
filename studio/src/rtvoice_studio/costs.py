"""What systems cost: the figures of ``rtvoice-bench``, measured here or read from its output on another machine."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rtvoice.bench.measure import machine, measure
from rtvoice_studio.store import Store
from rtvoice_studio.systems import System

#: Times that each model is measured, all in turn, and seconds of audio each time: other work on the machine only ever
#: adds time, so each keeps its fastest. A default tier takes 10 ms a round, an HQ tier 0.1 s.
_ROUNDS, _SECONDS = 3, 2.0


def measure_costs(store: Store, systems: Sequence[System]) -> None:
    """Measure the models among the systems, as ``rtvoice-bench`` does, and keep what a 10 ms frame takes."""
    models = [(system, system.model) for system in systems if system.model is not None]
    rounds = [[measure(model, seconds=_SECONDS, count=False).result for _, model in models] for _ in range(_ROUNDS)]
    here = machine()
    for (system, _), results in zip(models, zip(*rounds, strict=True), strict=True):
        best = min(results, key=lambda result: float(result["frame_us"]["p50"]))
        store.add_cost(store.name_of(system.key), _cost(best, here))


def read_costs(store: Store, path: Path) -> list[str]:
    """Keep the figures of a file that ``rtvoice-bench --json`` printed; return the systems they belong to.

    Raises
    ------
    ValueError
        The file is something else, or tells of none of the store's systems.
    """
    try:
        told = json.loads(path.read_text("utf-8"))
        rows = [
            (str(r["model"]), str(r["tier"]), r["block"] / r["sample_rate"], _cost(r, told["machine"]))
            for r in told["results"]
        ]
    except (ValueError, KeyError, TypeError, ZeroDivisionError):
        raise ValueError(f"{path} is not what 'rtvoice-bench --json' prints") from None
    known = store.systems()
    found = []
    for model, tier, seconds, cost in rows:
        if abs(seconds - 0.01) > 1e-4:
            continue
        for system in known:
            facts = system["facts"]
            if (facts.get("model"), facts.get("tier")) == (model, tier) or system["name"] == f"{model} ({tier})":
                store.add_cost(system["name"], cost)
                found.append(str(system["name"]))
    if not found:
        raise ValueError(
            f"{path} tells of no system that was compared, in blocks of 10 ms; compared: "
            + (", ".join(str(system["name"]) for system in known) or "none")
        )
    return found


def _cost(result: dict[str, Any], where: dict[str, Any]) -> dict[str, Any]:
    return {
        "p50_us": float(result["frame_us"]["p50"]),
        "p99_us": float(result["frame_us"]["p99"]),
        "load": float(result["load"]),
        "cpu": str(where["cpu"]),
        "isa": str(where["isa"]),
    }
