"""What a log tells at a glance: lengths, times, what was late, lost and changed."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from rtvoice.log.reader import Event, Log

#: Seconds without a call, beyond what the samples in between account for, that are a pause: as long as a live
#: session waits until it says that a device is away.
PAUSE = 0.5


def summarise(log: Log) -> dict[str, Any]:
    """Return plain values for a table or JSON."""
    header, calls = log.header, log.calls
    real = (calls.frames > 0) & (calls.status == 0)
    sizes = Counter(calls.frames[real].tolist())
    us = 1e6 * calls.seconds[real]
    budget = 1e6 * calls.frames[real] / header.sample_rate
    gaps = log.gaps
    return {
        "files": [str(path) for path in log.paths],
        "turned_on_by": header.turned_on_by,
        "unix_time": header.unix_time,
        "retention_days": header.retention_days,
        "session": header.session,
        "audio": header.audio,
        "ended": log.ended,
        "problems": log.problems,
        "model": first_model(log),
        "isa": header.isa,
        "sample_rate": header.sample_rate,
        "channels": header.channels,
        "latency": header.latency,
        "first_index": log.first,
        "frames": log.frames,
        "seconds": log.frames / header.sample_rate,
        "calls": int(np.count_nonzero(real)),
        "empty_calls": int(np.count_nonzero((calls.frames == 0) & (calls.status == 0))),
        "refused_calls": int(np.count_nonzero(calls.status)),
        "frame_sizes": [{"frames": n, "calls": c} for n, c in sizes.most_common(12)],
        "different_sizes": len(sizes),
        "call_us": _percentiles(us),
        "load": float(np.percentile(us / budget, 99)) if len(us) else None,
        "overruns": int(np.count_nonzero(calls.overrun)),
        "nonfinite": int(calls.nonfinite.sum()),
        "lost_frames": sum(int(gap.values["frames"]) for gap in gaps),
        "gaps": [{"index": g.index, "seconds": log.seconds_of(g.index), **g.values} for g in gaps],
        "pauses": [{"index": e.index, "seconds": log.seconds_of(e.index), **e.values} for e in pauses(log)],
        "resets": sum(event.kind == "reset" for event in log.events),
        "swaps": sum(event.kind == "swap" for event in log.events),
        "tier_changes": len(tier_changes(log)),
        "notes": sum(event.kind == "note" for event in log.events),
    }


def _percentiles(us: Any) -> dict[str, float] | None:
    if not len(us):
        return None
    values = np.percentile(us, [50, 90, 99, 99.9, 100])
    return dict(zip(("p50", "p90", "p99", "p999", "max"), map(float, values), strict=True))


def first_model(log: Log) -> dict[str, str]:
    """Return name and tier of the model with which the log begins: the head has the one the engine was made with."""
    header = log.header.created_with[0]
    found = {"name": header.name, "tier": header.tier}
    for event in log.events:
        if event.call > 0 or event.kind in ("swap", "gap"):
            break
        if event.kind == "model" and event.told and event.values["tier"] == 0:
            found = {"name": str(event.values["name"]), "tier": str(event.values["tier_name"])}
    return found


def pauses(log: Log) -> list[Event]:
    """Return where no call came for :data:`PAUSE` and more: samples do not count it, the calls' own clock does."""
    calls = log.calls
    more = np.diff(calls.start) - np.maximum(np.diff(calls.index) / log.header.sample_rate, calls.seconds[:-1])
    found = np.flatnonzero(more >= PAUSE) + 1
    return [Event("pause", int(calls.index[i]), int(i), values={"length": float(more[i - 1])}) for i in found]


def tier_changes(log: Log) -> list[Event]:
    """Return where another tier began to be heard."""
    tier = log.calls.tier
    found = np.flatnonzero(np.diff(tier)) + 1
    return [Event("tier", int(log.calls.index[i]), int(i), values={"tier": int(tier[i])}) for i in found]


def happenings(log: Log) -> list[dict[str, Any]]:
    """Return all that changed, in order: events, tiers, late and refused calls, as position and words."""
    rows: list[tuple[int, int, str, str]] = []
    for event in [*log.events, *tier_changes(log), *pauses(log)]:
        if not event.told and event.kind != "model":
            rows.append((event.index, event.call, event.kind, describe(event)))
    calls = log.calls
    for i in np.flatnonzero(calls.overrun):
        budget = calls.frames[i] / log.header.sample_rate
        text = f"{1e3 * calls.seconds[i]:.2f} ms for {1e3 * budget:.2f} ms of audio"
        rows.append((int(calls.index[i]), int(i), "overrun", text))
    for i in np.flatnonzero(calls.status):
        rows.append((int(calls.index[i]), int(i), "refused", f"{int(calls.frames[i])} samples"))
    rows.sort(key=lambda row: row[:2])
    return [
        {"index": index, "seconds": log.seconds_of(index), "what": what, "text": text} for index, _, what, text in rows
    ]


def describe(event: Event) -> str:
    """Return an event's values in words."""
    v = event.values
    if event.kind == "parameter":
        values = ", ".join(f"{value:g}" for value in v["values"][:6])
        more = f", ... ({len(v['values'])} numbers)" if len(v["values"]) > 6 else ""
        return f"{v['name']} = {values}{more}"
    if event.kind == "mix":
        return f"mix {v['mix']:g}, bypass {'on' if v['bypass'] else 'off'}"
    if event.kind == "tier held":
        return "as the load allows" if v["tier"] < 0 else f"tier {v['tier']}"
    if event.kind == "tier":
        return f"tier {v['tier']} is heard"
    if event.kind in ("model", "swap"):
        late = f", in an engine of its own, latency {v['latency']} samples from here" if "latency" in v else ""
        return f"{v['name']} ({v['tier_name']}), hash {v['hash']}{late}"
    if event.kind == "gap":
        calls = f" in {v['calls']} call(s)" if v["calls"] else ""
        return f"{v['frames']} samples{calls} lost: {v['reason']}"
    if event.kind == "pause":
        return f"no call for {v['length']:.2f} s, by the calls' clock; seconds here count samples"
    if event.kind == "note":
        return str(v["text"])
    return ""
