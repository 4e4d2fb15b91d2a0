"""Does a stream still give the same after ten minutes: the engine's against float64, window by window, from the start.

Both hear the same sound, draw the same noise and begin with the same state. Where float64 is fast enough it goes all
the way, and every sample is compared; else at windows spread over the time, if what the network remembers is proven to
be forgotten by then: from two states as far apart as can be, it must come to the same. What remembers for longer is
followed from the beginning, for as long as there is patience, and the report says how far.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from rtvoice import parity
from rtvoice.graph import Graph
from rtvoice.ops import MAX_CHANNELS
from rtvoice.parity import F32, F64, Run
from rtvoice.stretch import Given, Stretch

if TYPE_CHECKING:
    from rtvoice.model import Model

_WINDOW = 16_384  # samples at least
_WINDOWS = 24  # that are looked at where not all can be, if there is the time
_LEAST = 4
_BUSY = 3.0  # seconds of the clock to one of the processor, at most
_FORGOTTEN = 0.1  # tolerances by which two pasts may differ
ROUNDING = 3.0  # times what float32 does to a network that the engine may differ by
MOST_ROUNDING = 1e-3
_TOLD = 4  # runs in a report
FED = ("phase", "recall")  # ops whose float64 goes on from what the engine made


@dataclass
class Drift:
    """What came out of some minutes.

    Attributes
    ----------
    runs
        A few, spread over the time, and the worst.
    bad
        First hop of the window that parts; None where none does.
    hops
        Of a window.
    warm
        Hops in front of a window after which everything is forgotten; None where float64 went all the way.
    notes
        What a reader should know.
    """

    runs: list[Run] = field(default_factory=list)
    bad: int | None = None
    hops: int = 0
    warm: int | None = None
    notes: list[str] = field(default_factory=list)


class Heard:
    """The engine over a sound without end, with what it gave.

    Parameters
    ----------
    graph
        What to run, at `parity.RATE`.
    period
        Whole hops, which come again and again.
    outputs
        Nodes to be value outputs, in place of the graph's own outputs.
    """

    def __init__(self, graph: Graph, period: F32, outputs: Sequence[str] | None = None) -> None:
        from rtvoice.engine import Engine

        self.graph, self.hop, self._period = graph, graph.hop, period
        fed = {node.name: node.attrs.get("of") or node.inputs[0] for node in graph.nodes if node.op in FED}
        builder = parity.rebuilt(graph, outputs=outputs, whole=list(dict.fromkeys(fed.values())))
        model: Model = builder.model()
        self.model = model
        self.delays = {str(layer["name"]): int(layer["delay"]) for layer in model.info["layers"]}
        # What is fed to float64 is read after every hop.
        self._step = 1 if fed else max(1, parity.LONGEST_FRAME // self.hop)
        self.engine = Engine(model, parity.RATE, max_frame=self._step * self.hop, block=self.hop if fed else None)
        self.hops, self.skip, self.period_hops = 0, graph.warm_hops, len(period) // graph.hop
        self.audio = Given(1)
        self._late = self.engine.latency
        self.values: dict[str, tuple[str, list[tuple[int, F32]]]] = {}
        made = {output.name: output.tensor for output in builder.graph().outputs}
        for output in builder.graph().outputs:
            if output.kind == "value" and not output.name.startswith(parity.WHOLE):
                self.values[output.name] = (output.tensor, [])
        self.terms: dict[str, Given] = {}
        self._read: list[tuple[str, int, int, Given]] = []
        for node, source in fed.items():
            name = f"{parity.WHOLE}{source}"[:128]
            given = Given(graph.values[source].channels)
            self._read.append((name, self.delays[made[name]], graph.values[source].frames, given))
            self.terms[node] = given

    def signal(self, first: int, hops: int) -> F32:
        """Return the sound of some hops, counted from before what prewarms the network."""
        at = (np.arange(hops * self.hop) + (first - self.skip) * self.hop) % len(self._period)
        sound = self._period[at]
        sound[: max(self.skip - first, 0) * self.hop] = 0.0
        return sound

    def until(self, hop: int, *, every: bool = False) -> None:
        """Go on until a hop, counted as in `signal`; `every` reads values after each."""
        hop -= self.skip
        while self.hops < hop:
            count = min(1 if every else self._step, hop - self.hops)
            out = self.engine.process(self.signal(self.hops + self.skip, count))
            self.hops += count
            skipped = min(self._late, len(out))
            self._late -= skipped
            self.audio.append(np.array(out[skipped:], np.float32).reshape(-1, 1))
            for name, (_, rows) in self.values.items():
                rows.append((self.hops, np.array(self.engine.outputs[name], np.float32).ravel()))
            for name, delay, frames, given in self._read:
                if self.hops > delay:
                    given.append(np.array(self.engine.outputs[name], np.float32).reshape(frames, -1))

    def forget(self, hop: int) -> None:
        """Drop what came before a hop."""
        self.audio.drop((hop - self.skip) * self.hop)
        for node, given in self.terms.items():
            given.drop((hop - self.skip) * self.graph.values[node].frames - 1)
        for _, rows in self.values.values():
            rows[:] = [row for row in rows if row[0] + self.skip >= hop]


def unlike(graph: Graph) -> str:
    """Say why a graph cannot be followed; empty where it can."""
    for node in graph.nodes:
        if node.op in FED:
            source = graph.values[node.attrs.get("of") or node.inputs[0]]
            if source.channels * source.frames > MAX_CHANNELS:
                return (
                    f"'{node.name}' adds up {source.channels * source.frames} numbers a hop; {MAX_CHANNELS} can be read"
                )
            if graph.warm_hops:
                return f"'{node.name}' goes on from what was heard before the start"
    return ""


def in_float32(graph: Graph, signal: F32) -> tuple[dict[str, F64], dict[str, F64]]:
    """Return the outputs over a signal, by name, in float64 and as float32 may make them; none where it cannot be told.

    The silence that prewarms the network is left out.
    """
    if unlike(graph):
        return {}, {}
    heard = Heard(graph, np.concatenate([signal, np.zeros(-len(signal) % graph.hop, np.float32)]))
    hops = len(signal) // graph.hop + graph.warm_hops
    pair = [Stretch(graph, heard.signal, heard.terms, dtype) for dtype in (np.float64, np.float32)]
    if heard.terms:
        heard.until(hops + pair[0].context + max(heard.delays.values(), default=0) + 1)
    made = [stretch.carried(hops) for stretch in pair]
    skipped = {o.name: graph.warm_hops * graph.values[o.tensor].frames for o in graph.outputs}
    exact, rounded = ({o.name: one[o.tensor][skipped[o.name] :] for o in graph.outputs} for one in made)
    return exact, rounded


def rounding(graph: Graph, signal: F32) -> float:
    """Return how far float32 takes the outputs from float64, relative to their peaks; infinity where it overflows."""
    exact, rounded = in_float32(graph, signal)
    furthest = 0.0
    for name, made in exact.items():
        apart = float(np.abs(made - rounded[name]).max(initial=0.0)) / max(parity.peak_of(made), 1e-30)
        furthest = max(furthest, np.inf if np.isnan(apart) else apart)
    return furthest


class Follower:
    """Holds what the engine gives against float64, a window at a time."""

    def __init__(self, heard: Heard, rate: int, tolerance: float) -> None:
        self.heard, self.graph, self.rate, self.tolerance = heard, heard.graph, rate, tolerance
        self.exact = Stretch(heard.graph, heard.signal, heard.terms)
        self.peaks: dict[str, float] = {}
        self.runs: dict[str, list[Run]] = {}
        self.allowed = tolerance
        self._rounded: Stretch | None = None
        self.audio = next((output.tensor for output in self.graph.outputs if output.kind == "audio"), None)
        late = -(-heard.engine.latency // heard.hop) + max(heard.delays.values(), default=0) + 1
        self.ahead = self.exact.context + (late if heard.terms else -(-heard.engine.latency // heard.hop))

    def compare(self, found: Mapping[str, F64], first: int, hops: int) -> list[Run]:
        """Compare a window that the engine has gone through."""
        heard, runs = self.heard, []
        label = clock((first - heard.skip + hops) * heard.hop, self.rate)
        if self.audio is not None and not heard.values.keys() - {o.name for o in self.graph.outputs}:
            begin = max(first, heard.skip)
            expected = found[self.audio][(begin - first) * heard.hop :]
            got = heard.audio.take((begin - heard.skip) * heard.hop, len(expected))
            runs.append(self._run("", f"followed to {label}", got, expected))
        for name, (tensor, rows) in heard.values.items():
            frames, delay = self.graph.values[tensor].frames, heard.delays.get(tensor, 0)
            places = np.array([(hop + heard.skip - first) * frames - 1 - delay for hop, _ in rows], np.int64)
            inside = np.flatnonzero((places >= 0) & (places < len(found[tensor])))
            if len(inside):
                got = np.stack([np.asarray(rows[at][1], np.float64) for at in inside])
                expected = found[tensor][places[inside]]
                runs.append(self._run(name, f"'{name}' followed to {label}", got, expected))
        return runs

    def _run(self, key: str, label: str, got: F64, expected: F64) -> Run:
        self.peaks[key] = max(self.peaks.get(key, 0.0), parity.peak_of(expected))
        run = parity.compare(label, got, expected, self.peaks[key], self.allowed)
        self.runs.setdefault(key, []).append(run)
        return run


def clock(samples: int, rate: int) -> str:
    """Return a time in minutes and seconds."""
    seconds = samples / rate
    return f"{int(seconds // 60)} min {seconds % 60:.0f} s"


def follow(graph: Graph, period: F32, minutes: float, rate: int, tolerance: float, patience: float) -> Drift:
    """Hold the engine against float64 for some minutes.

    Parameters
    ----------
    graph
        At `parity.RATE`.
    period
        Sound of whole hops, which comes again and again.
    minutes
        How long to go on.
    rate
        Of the network, in Hz, which tells the time.
    tolerance
        Relative to the peak.
    patience
        Seconds of the processor after which to stop.
    """
    reason = unlike(graph)
    if reason:
        return Drift(notes=[f"drift was not followed: {reason}"])
    heard = Heard(graph, period)
    seen = _Seen(Follower(heard, rate, tolerance), minutes, patience)
    seen.go()
    return seen.result()


def _apart(graph: Graph, one: Mapping[str, F64], other: Mapping[str, F64], peaks: dict[str, float]) -> float:
    """Return the largest difference of the outputs, relative to their peaks, which are those of `other` so far."""
    found = 0.0
    for output in graph.outputs:
        key = "" if output.kind == "audio" else output.name
        peaks[key] = max(peaks.get(key, 0.0), parity.peak_of(other[output.tensor]))
        found = max(
            found, float(np.abs(one[output.tensor] - other[output.tensor]).max(initial=0.0)) / (peaks[key] or 1)
        )
    return found


class _Float32:
    """How far float32 alone takes a network from float64: over all of a sound at least, for one moment tells little."""

    def __init__(self, heard: Heard, hops: int) -> None:
        self._heard, self._hops = heard, hops
        self._pair: list[Stretch] = []
        self._reached, self._most = 0, 0.0
        self._peaks: dict[str, float] = {}

    def until(self, hop: int) -> float:
        """Return the largest distance, up to a hop and over one period of the sound; 0 where terms are the engine's."""
        heard = self._heard
        if heard.terms:
            return 0.0
        if not self._pair:
            self._pair = [Stretch(heard.graph, heard.signal, {}, dtype) for dtype in (np.float64, np.float32)]
        period = heard.skip + heard.period_hops
        while self._reached < max(hop if self._pair[0].recurrent else 0, period):
            exact, small = (stretch.carried(self._hops) for stretch in self._pair)
            self._most = max(self._most, _apart(heard.graph, small, exact, self._peaks))
            self._reached += self._hops
        return self._most


class _Seen:
    """The way through the minutes: all of it, or windows."""

    def __init__(self, follower: Follower, minutes: float, patience: float) -> None:
        self.follower, self.minutes, self.patience = follower, minutes, patience
        heard = follower.heard
        self.total = max(round(minutes * 60 * follower.rate / heard.hop), 1) + heard.skip
        context = follower.exact.context
        self.hops = min(max(context, -(-_WINDOW // heard.hop)), self.total)
        self.began = time.process_time(), time.monotonic()
        self.drift = Drift(hops=self.hops)
        self.reached, self.windows, self.unsure = 0, 0, 0
        self._float32 = _Float32(heard, self.hops)

    def left(self) -> float:
        """Return the seconds that are left: of the processor, or, on a busy machine, a third of those of the clock."""
        used, passed = time.process_time() - self.began[0], time.monotonic() - self.began[1]
        return min(self.patience - used, self.patience - passed / _BUSY)

    def go(self) -> None:
        place, engine, exact = 0, 0.0, 0.0
        while place < self.total and self.left() > 0:
            began = time.process_time()
            self.drift.hops = min(self.hops, self.total - place)
            self._hear(place)
            between = time.process_time()
            until = place + self.drift.hops
            if not self._judge(
                place, self.follower.exact.carried(self.drift.hops), partial(self._float32.until, until)
            ):
                return
            engine, exact = between - began, time.process_time() - between
            place += self.hops
            self.reached, self.windows = place, self.windows + 1
            self.follower.heard.forget(place - self.follower.exact.context - 1)
            left = (self.total - place) / self.hops
            if self.windows == 2 and left * (engine + exact) > self.left() and self._leap(place, engine, exact):
                return

    def _hear(self, place: int) -> None:
        self.follower.heard.until(place + self.hops + self.follower.ahead)

    def _judge(self, place: int, found: Mapping[str, F64], apart: Callable[[], float]) -> bool:
        follower = self.follower
        runs = follower.compare(found, place, self.drift.hops)
        if all(run.passed for run in runs):
            return True
        rounding = ROUNDING * apart()
        follower.allowed = max(follower.allowed, min(rounding, MOST_ROUNDING))
        for run in runs:
            if run.error <= follower.allowed:
                run.passed, run.first = True, None
        if all(run.passed for run in runs):
            return True
        if self.windows and rounding > MOST_ROUNDING and all(run.error <= rounding for run in runs):
            self._end(place, rounding)
            return False
        self.drift.bad, self.reached = place, place + self.drift.hops
        return False

    def _end(self, place: int, rounding: float) -> None:
        """Stop where nobody can tell a fault from float32: what is summed has lost its digits in any framework."""
        follower = self.follower
        for runs in follower.runs.values():
            while runs and not runs[-1].passed:
                runs.pop()
        at = clock((place - follower.heard.skip) * follower.heard.hop, follower.rate)
        self.drift.notes.append(
            f"drift was followed to {at}: from there on float32 alone takes the network {rounding / ROUNDING:.1e} of "
            "the peak from float64, in any framework; what adds up without end loses its digits"
        )
        self.reached = self.total

    def _leap(self, place: int, engine: float, exact: float) -> bool:
        """Look at windows only; False where what is remembered does not allow that."""
        follower = self.follower
        heard, stretch = follower.heard, follower.exact
        warm = 0
        if stretch.recurrent:
            found = self._forgets(place)
            if found is None:
                return False
            warm, exact = found
        end = min(self.total, place + int(0.7 * max(self.left(), 0.0) / max(engine / self.hops, 1e-9)))
        count = int((self.left() - (end - place) / self.hops * engine) / max(exact, 1e-9))
        count = min(max(count, _LEAST), _WINDOWS)
        self.drift.warm, self.drift.hops = warm, self.hops
        far = stretch.far_states(np.random.default_rng(1))
        first = max(place, stretch.context) + warm  # what came before it is dropped already
        for at in np.unique(np.linspace(first, max(end - self.hops, first), count).astype(int)):
            heard.forget(int(at) - stretch.context - warm - 1)
            self._hear(int(at))
            one = stretch.alone(int(at), self.hops, warm, far[0])
            self.reached = int(at) + self.hops
            if stretch.recurrent and self._apart(one, stretch.alone(int(at), self.hops, warm, far[1])) > 1.0:
                self.unsure += 1
                continue
            self.windows += 1

            small = Stretch(follower.graph, heard.signal, heard.terms, np.float32)

            def apart(at: int = int(at), small: Stretch = small, one: Mapping[str, F64] = one) -> float:
                return _apart(follower.graph, small.alone(at, self.hops, warm, far[0]), one, follower.peaks)

            if not self._judge(int(at), one, apart):
                return True
        return True

    def _forgets(self, place: int) -> tuple[int, float] | None:
        """Return after how many hops two far states have come to the same, and the seconds that a window then takes."""
        stretch = self.follower.exact
        warm, allowed = self.hops, self.left() / 4
        far = stretch.far_states(np.random.default_rng(1))
        spent = time.process_time()
        while time.process_time() - spent < allowed:
            at = max(place, stretch.context) + warm
            self._hear(at)
            began = time.process_time()
            one, other = (stretch.alone(at, self.hops, warm, states) for states in far)
            taken = time.process_time() - began
            if self._apart(one, other) <= 1.0:
                return warm, taken
            warm *= 2
        return None

    def _apart(self, one: Mapping[str, F64], other: Mapping[str, F64]) -> float:
        """Return how far two windows are apart, in what is forgotten."""
        return max(
            float(np.abs(one[o.tensor] - other[o.tensor]).max(initial=0.0))
            / max(parity.peak_of(one[o.tensor]) * self.follower.tolerance * _FORGOTTEN, 1e-30)
            for o in self.follower.graph.outputs
        )

    def result(self) -> Drift:
        follower, heard, notes = self.follower, self.follower.heard, self.drift.notes
        for runs in follower.runs.values():
            places = {round(place) for place in np.linspace(0, len(runs) - 1, _TOLD)}
            places.add(int(np.argmax([run.error for run in runs])))
            self.drift.runs += [runs[place] for place in sorted(places)]
        seconds = self.hops * heard.hop / follower.rate
        if self.drift.warm is not None:
            notes.append(
                f"drift was looked for in {self.windows} windows of {seconds:.1f} s, all that float64 had the time for"
            )
        if self.unsure:
            notes.append(
                f"{self.unsure} windows were left out: what the network remembers there lasts longer than elsewhere"
            )
        if follower.allowed > follower.tolerance:
            notes.append(
                f"drift was followed to {follower.allowed:.1e} of the peak: float32 alone does a third of that to this "
                "network"
            )
        if any(node.op == "recall" for node in follower.graph.nodes):
            notes.append("each frame of a loop was held by itself, from the engine's own frame before")
        if self.drift.bad is None and self.reached < self.total - self.hops:
            reached = f"{self.reached * heard.hop / follower.rate / 60:.1f} of {self.minutes:g} minutes"
            notes.append(f"drift was followed for {reached}, which took {self.patience:g} s")
        return self.drift


def parts(graph: Graph, period: F32, seen: Drift, names: Sequence[str], tolerance: float) -> dict[str, Run]:
    """Compare nodes over the window that parts.

    Parameters
    ----------
    graph, period, tolerance
        As `follow` had them.
    seen
        What it gave.
    names
        Nodes.
    """
    assert seen.bad is not None
    heard = Heard(graph, period, names)
    follower = Follower(heard, parity.RATE, tolerance)
    stretch = follower.exact
    if seen.warm is not None:
        first = max(seen.bad - stretch.context - seen.warm, 0)
        heard.until(first)
        heard.forget(first - 1)
        heard.until(seen.bad + seen.hops + follower.ahead, every=True)
        found = stretch.alone(seen.bad, seen.hops, seen.warm, stretch.far_states(np.random.default_rng(1))[0])
    else:
        first, most = 0, max(stretch.context, -(-_WINDOW // heard.hop))
        while first < seen.bad:
            hops = min(most, seen.bad - first)
            heard.until(first + hops + follower.ahead, every=first + hops + follower.ahead >= seen.bad)
            stretch.carried(hops)
            first += hops
            heard.forget(first - stretch.context - 1)
        heard.until(seen.bad + seen.hops + follower.ahead, every=True)
        found = stretch.carried(seen.hops)
    follower.compare(found, seen.bad, seen.hops)
    return {name: follower.runs[name][0] for name in names if name in follower.runs}
