"""The limits of the machine, measured; other machines' from their profiles; and what a model would take there."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from rtvoice import _core, files
from rtvoice.bench.measure import machine
from rtvoice.bench.priority import audio_thread_priority
from rtvoice.model import Model

#: Shares of one core that ``--tiers`` tells about.
SHARES = (0.05, 0.10, 0.25)

_SIZES = {"l1": 24 << 10, "l2": 384 << 10, "l3": 6 << 20, "dram": 192 << 20}


def measure_device(seconds: float = 2.0) -> dict[str, Any]:
    """Measure one core's multiply-add peak and what reading gives from each level of the caches and from memory.

    Returns
    -------
    dict
        ``name, kind`` (``"measured"``)``, isa, clock_ghz`` (null: not told)``, fma_gflops, bandwidth_gbs {l1, l2, l3,
        dram}, cache_bytes {l1, l2, l3}, sources``.
    """
    here = machine()
    caches = cache_bytes()
    sizes = dict(_SIZES)
    for level, part in (("l1", 2 / 3), ("l2", 1 / 2), ("l3", 1 / 4)):
        if caches.get(level):
            sizes[level] = int(part * caches[level])
    if caches.get("l3"):
        sizes["dram"] = min(max(4 * caches["l3"], _SIZES["dram"]), 512 << 20)
    each = seconds / 6
    with audio_thread_priority():
        peak = _core.peak_gflops(each)
        bandwidth = {level: _core.read_bandwidth(size, each) for level, size in sizes.items()}
    return {
        "name": here["cpu"],
        "kind": "measured",
        "isa": here["isa"],
        "clock_ghz": None,
        "fma_gflops": peak,
        "bandwidth_gbs": bandwidth,
        "cache_bytes": caches,
        "read_bytes": sizes,
        "sources": {
            "fma_gflops": "rtvoice-bench: the best of short runs of a loop of multiply-adds in registers",
            "bandwidth_gbs": "rtvoice-bench: the best of short runs of a loop that reads and adds, at read_bytes",
        },
    }


def cache_bytes() -> dict[str, int]:
    """Return the sizes of this core's data caches, as far as the system tells."""
    found: dict[str, int] = {}
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        try:
            kind, level = (index / "type").read_text().strip(), (index / "level").read_text().strip()
            text = (index / "size").read_text().strip()
        except OSError:
            continue
        unit = {"K": 1 << 10, "M": 1 << 20}.get(text[-1:])
        if kind != "Instruction" and unit and text[:-1].isdigit():
            found[f"l{level}"] = int(text[:-1]) * unit
    return found


class ProfileError(ValueError):
    """A device profile that cannot be used."""


def save_profile(profile: dict[str, Any], path: str | os.PathLike[str]) -> None:
    """Write a profile as JSON."""
    files.write_whole(path, (json.dumps(profile, indent=2) + "\n").encode())


def load_profile(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a profile and check what estimates need.

    Raises
    ------
    ProfileError
        It is no profile; the message names the file and what is missing.
    """
    try:
        profile = json.loads(Path(path).read_text())
        wanted = [profile["name"], profile["kind"], profile["fma_gflops"], profile["bandwidth_gbs"]["dram"]]
    except (ValueError, KeyError, TypeError) as error:
        raise ProfileError(f"{path}: no device profile ({error}); rtvoice-bench --profile FILE writes one") from None
    if profile["kind"] not in ("measured", "estimate") or not all(float(w) > 0 for w in wanted[2:]):
        raise ProfileError(f"{path}: kind must be 'measured' or 'estimate', and its figures above 0")
    checked: dict[str, Any] = profile
    return checked


def known_profiles() -> list[dict[str, Any]]:
    """Return the profiles that came with the package, by name."""
    here = Path(__file__).resolve().parent
    folders = [here / "devices", *(parent / "benchmarks" / "devices" for parent in here.parents[2:4])]
    folder = next((f for f in folders if f.is_dir()), None)
    found = [] if folder is None else [load_profile(path) for path in sorted(folder.glob("*.json"))]
    return sorted(found, key=lambda profile: -float(profile["fma_gflops"]))


def reckon_us(model: Model, profile: dict[str, Any]) -> float:
    """Reckon the time of one hop: all multiply-adds at the peak, or all weights from where they fit, the longer one.

    It leaves out everything else that a hop does: resampling, activations, what overlaps badly. Compare it with a
    measurement on one machine before believing it on another: see :func:`estimate_share`.
    """
    info = model.info
    hop_seconds = model.hop / model.sample_rate
    flops = 2.0 * float(info["mac_per_second"]) * hop_seconds
    memory = info["memory_bytes"]
    needed = int(memory["weights"]) + int(memory["state"]) + int(memory["scratch"])
    level = next((n for n in ("l1", "l2", "l3") if needed <= 0.75 * (profile["cache_bytes"].get(n) or 0)), "dram")
    bandwidth = float(profile["bandwidth_gbs"].get(level) or profile["bandwidth_gbs"]["dram"])
    return max(flops / (1e3 * float(profile["fma_gflops"])), int(memory["weights"]) / (1e3 * bandwidth))


def estimate_share(model: Model, profile: dict[str, Any], here: dict[str, Any], measured_us: float) -> float:
    """Estimate the share of one core there from a hop's measured time here.

    What was measured here over what is reckoned for here carries over: activations and the like cost there what they
    cost here, beside the same arithmetic.
    """
    carried = max(1.0, measured_us / reckon_us(model, here))
    return carried * reckon_us(model, profile) * 1e-6 * model.sample_rate / model.hop
