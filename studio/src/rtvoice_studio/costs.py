"""What systems cost: the figures of ``rtvoice-bench``, measured here or read from its output on another machine."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rtvoice.bench.measure import machine, measure
from rtvoice_studio.store import Store
from rtvoice_studio.systems import System, find_system, some

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


#: A file's machine (processor, instruction set), and what each model and tier costs on it.
_File = tuple[tuple[str, str], list[tuple[str, str, dict[str, Any]]]]


def read_costs(store: Store, path: Path) -> tuple[str, list[str], list[str]]:
    """Keep the figures of a file that ``rtvoice-bench --json`` printed.

    Returns
    -------
    The machine that it tells of, the systems that it tells of, and the store's models of which nothing is known there.

    Raises
    ------
    ValueError
        The file is something else, holds a figure that no measurement gives, or tells of none of the store's systems.
    """
    machine, costs = _read(path)
    known = store.systems()
    told = _told(path, costs, [(str(system["name"]), system["facts"]) for system in known])
    for name, cost in told:
        store.add_cost(name, cost)
    there = {name for name, each in store.costs().items() if any((c["cpu"], c["isa"]) == machine for c in each)}
    models = [str(system["name"]) for system in known if "model" in system["facts"]]
    found = list(dict.fromkeys(name for name, _ in told))
    return f"{machine[0]} ({machine[1]})", found, [name for name in models if name not in there]


def check_costs(store: Store, path: Path, words: Sequence[str]) -> None:
    """Refuse a file as :func:`read_costs` will once the systems that ``words`` name are in the store; keep nothing.

    Raises
    ------
    ValueError, ModelError
        As of :func:`read_costs`, or there is no such system.
    """
    _, costs = _read(path)
    known = [(str(system["name"]), system["facts"]) for system in store.systems()]
    _told(path, costs, [*known, *((system.name, system.facts) for system in map(find_system, words))])


def _read(path: Path) -> _File:
    try:
        told = json.loads(path.read_text("utf-8"))
        machine = told["machine"]["cpu"], told["machine"]["isa"]
        rows = [(str(r["model"]), str(r["tier"]), r["block"] / r["sample_rate"], r) for r in told["results"]]
        costs = [(model, tier, _cost(r, told["machine"])) for model, tier, s, r in rows if abs(s - 0.01) <= 1e-4]
    except (ValueError, KeyError, TypeError, ArithmeticError, AttributeError):
        raise ValueError(f"{path} is not what 'rtvoice-bench --json' prints") from None
    if not all(isinstance(word, str) for word in machine):
        raise ValueError(
            f"{path} does not say on which processor it was measured; write it with 'rtvoice-bench --json'"
        )
    for model, tier, cost in costs:
        if unfit := _unfit(cost):
            raise ValueError(f"{path}: {model} ({tier}) has {unfit}; measure it again with 'rtvoice-bench --json'")
    return machine, costs


def _told(
    path: Path, costs: Sequence[tuple[str, str, dict[str, Any]]], known: Sequence[tuple[str, dict[str, Any]]]
) -> list[tuple[str, dict[str, Any]]]:
    """Return what a file tells of which system."""
    found = [
        (name, cost)
        for model, tier, cost in costs
        for name, facts in known
        if (facts.get("model"), facts.get("tier")) == (model, tier) or name == f"{model} ({tier})"
    ]
    if not found:
        raise ValueError(
            f"{path} tells of no system that was compared, in blocks of 10 ms; compared: "
            + (some(list(dict.fromkeys(name for name, _ in known))) or "none")
        )
    return found


def _unfit(cost: dict[str, Any]) -> str | None:
    """Say which figure no measurement gives."""
    for name, low in (("p50_us", 1e-3), ("p99_us", cost["p50_us"]), ("load", 0.0)):
        if not low <= cost[name] < 1e9:
            return f"{name.replace('_us', '')} {cost[name]:g}{' µs' if name != 'load' else ''}"
    return None


def _cost(result: dict[str, Any], where: dict[str, Any]) -> dict[str, Any]:
    return {
        "p50_us": float(result["frame_us"]["p50"]),
        "p99_us": float(result["frame_us"]["p99"]),
        "load": float(result["load"]),
        "cpu": str(where["cpu"]),
        "isa": str(where["isa"]),
    }
