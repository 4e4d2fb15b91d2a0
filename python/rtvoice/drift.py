"""Does a stream still give the same after ten minutes: one recording again and again, against its first repetitions.

A network forgets. Once what it remembers repeats itself, every later repetition must come out as that one did offline;
what grows in between (a sum that rounds, a counter, a state) is drift. No offline output of ten minutes is needed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rtvoice import parity
from rtvoice.model import Model
from rtvoice.parity import F32, F64, Run

_SETTLED = (3, 6, 12, 40)  # repetitions after which the offline output may repeat itself
_FORGOTTEN = 100.0  # tolerances by which repetitions may differ for drift to be told at all
_THOUGHT = 8.0  # seconds of offline output beyond which no longer one is tried
_TOLD = 4  # runs in a report
Offline = Callable[[F32], dict[str, F64]]


@dataclass
class Drift:
    """What came out of many repetitions.

    Attributes
    ----------
    runs
        A few, spread over the time, and the worst.
    bad
        The first repetition that parts, from 0; None where none does.
    heard
        Samples that were streamed.
    """

    runs: list[Run]
    bad: int | None
    heard: int


@dataclass
class Settled:
    """What offline outputs end up repeating.

    Attributes
    ----------
    rows
        One repetition of each output, the audio under the empty name.
    first
        Its number, from 0.
    apart
        How far the repetition before is from it, relative to the peak: what the network still remembers.
    """

    rows: dict[str, F64]
    first: int
    apart: float


def settled(offline: Offline, period: F32, tolerance: float) -> Settled | None:
    """Return the repetition that offline outputs end up repeating; None where they never do.

    Parameters
    ----------
    offline
        The offline outputs of a signal by name, ``(samples or repetitions, channels)``: as many for each repetition.
    period
        The recording.
    tolerance
        Of the check; repetitions that agree to a tenth of it end the search, others may be a hundred times as far.
    """
    began = time.perf_counter()
    best: Settled | None = None
    for count in _SETTLED:
        if time.perf_counter() - began > _THOUGHT:
            break
        # One more: a network that looks ahead hears how the recording goes on.
        rows = {name: np.array_split(out, count + 1) for name, out in offline(np.tile(period, count + 1)).items()}
        last = {name: parts[count - 1] for name, parts in rows.items()}
        apart = max(
            float(np.abs(part - rows[name][count - 2]).max() / max(parity.peak_of(part), 1e-30))
            for name, part in last.items()
        )
        if apart <= _FORGOTTEN * tolerance:
            best = Settled(last, count - 1, apart)
        if apart <= 0.1 * tolerance:
            break
    return best


def drift(
    model: Model, period: F32, offline: Settled, samples: int, tolerance: float, patience: float, rate: int
) -> Drift:
    """Stream a recording again and again, and hold every repetition against the offline one.

    Parameters
    ----------
    model
        At `parity.RATE`.
    period
        The recording: whole hops, longer than the latency.
    offline
        What `settled` gave: of the audio output all samples, of values their last frame.
    samples
        How long to go on.
    tolerance
        Relative to the peak.
    patience
        Seconds after which to stop.
    rate
        Of the network, in Hz, which tells the time.
    """
    from rtvoice.engine import Engine

    engine = Engine(model, parity.RATE, max_frame=parity.LONGEST_FRAME)
    size, latency, expected, first = len(period), engine.latency, offline.rows, offline.first
    peaks = {name: parity.peak_of(rows) for name, rows in expected.items()}
    late = np.zeros(0, np.float32)
    kept: dict[str, list[Run]] = {name: [] for name in expected}
    began, turn = time.perf_counter(), 0
    while turn < max(samples // size, first + 2) and time.perf_counter() - began < patience:
        starts = range(0, size, parity.LONGEST_FRAME)
        parts = [engine.process(period[at : at + parity.LONGEST_FRAME]) for at in starts]
        turn += 1
        late = np.concatenate([late, *parts])
        if turn == 1:
            late = late[latency:]
        done, late = (late[:size], late[size:]) if len(late) >= size else (late[:0], late)
        number = turn - (2 if latency else 1)
        for name, rows in expected.items():
            got = done if not name else np.array(engine.outputs[name], copy=True).reshape(1, -1)
            if (number if not name else turn - 1) < first or not len(got):
                continue
            what = f"'{name}' at the end of" if name else "repeated to"
            label = f"{what} {_clock(turn * size, rate)}"
            kept[name].append(parity.compare(label, got, rows.reshape(got.shape), peaks[name], tolerance))
        if any(runs and not runs[-1].passed for runs in kept.values()):
            return Drift(_told(kept), turn - 1, turn * size)
    return Drift(_told(kept), None, turn * size)


def _clock(samples: int, rate: int) -> str:
    seconds = samples / rate
    return f"{int(seconds // 60)} min {seconds % 60:.0f} s"


def _told(kept: Mapping[str, Sequence[Run]]) -> list[Run]:
    """Choose the runs of each output that a report shows: spread over the time, the last, and the worst."""
    told: list[Run] = []
    for runs in kept.values():
        places = {round(place) for place in np.linspace(0, len(runs) - 1, _TOLD)} if runs else set()
        if runs:
            places.add(int(np.argmax([run.error for run in runs])))
        told += [runs[place] for place in sorted(places)]
    return told


def hop_by_hop(model: Model, period: F32, names: Sequence[str], hop: int, before: int) -> dict[str, F64]:
    """Return what value outputs hold after each hop of a repetition that `before` others went before."""
    from rtvoice.engine import Engine

    engine = Engine(model, parity.RATE, max_frame=parity.LONGEST_FRAME)
    for _ in range(before):
        for at in range(0, len(period), parity.LONGEST_FRAME):
            engine.process(period[at : at + parity.LONGEST_FRAME])
    rows: dict[str, list[F32]] = {name: [] for name in names}
    for at in range(0, len(period) - hop + 1, hop):
        engine.process(period[at : at + hop])
        for name in names:
            rows[name].append(np.array(engine.outputs[name], copy=True).ravel())
    return {name: np.asarray(values, np.float64) for name, values in rows.items()}
