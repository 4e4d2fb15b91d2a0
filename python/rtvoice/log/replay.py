"""Runs a log's input through an engine again and compares: bit by bit where that is promised, else where they part."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtvoice.engine import Engine, isa
from rtvoice.log.reader import Event, Log
from rtvoice.log.records import LogError, ModelLine
from rtvoice.model import Model
from rtvoice.registry import models

Frames = NDArray[np.float32]

_RESAMPLERS = ("auto", "fir", "fastest", "medium", "best", "fir-short")


@dataclass
class Segment:
    """A stretch that was replayed from one place on.

    ``exact``: it begins where the stream's whole state is known, so that the bits must be the same. ``divergence``: the
    first sample that differs, or ``None``.
    """

    start: int
    stop: int
    calls: int = 0
    exact: bool = True
    identical: bool = True
    most_difference: float = 0.0
    divergence: dict[str, Any] | None = None


@dataclass
class Replay:
    """What a replay found.

    ``models``: all that ran, each with its tier, in the order in which they came in. ``promised``: float32, the same
    instruction set and the logged models: every exact segment must be identical.
    """

    log: str
    model: str
    models: list[str]
    isa: str
    logged_isa: str
    promised: bool
    identical: bool
    frames: int
    compared: int
    first_divergence: dict[str, Any] | None
    reasons: list[str]
    segments: list[Segment] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def find_models(wanted: Iterable[str], given: Iterable[str | os.PathLike[str]] = ()) -> dict[str, Model]:
    """Return models by the hash that a log names them with, of the files ``given`` and the skins that are found."""
    missing, found = set(wanted), {}
    paths = [*given, *(skin.path for skin in models())]
    for path in paths:
        if not missing:
            break
        model = Model.load(path)
        number = str(model._info["hash"])
        if number in missing:
            missing.discard(number)
            found[number] = model
    return found


def replay_log(
    log: Log,
    *,
    model: Model | None = None,
    files: Iterable[str | os.PathLike[str]] = (),
    on_output: Callable[[int, Frames], None] | None = None,
    progress: Callable[[float], None] | None = None,
) -> Replay:
    """Run the logged input through the logged models, or through another one, call by call as the player made them.

    Parameters
    ----------
    model
        Another model, instead of all that the log names. Its output differs, of course; by how much is told.
    files
        ``.rtv`` files to look for the logged models in, besides the skins that are found.
    on_output
        Is given each call's sample index and its new output, ``(frames, channels)``.

    Raises
    ------
    LogError
        The log was redacted, or a model that it names is not found.
    """
    if not log.has_audio:
        raise LogError(f"{log.paths[0]} was redacted: there is no audio to replay")
    return _Player(log, model, files, on_output, progress).run()


class _Player:
    def __init__(
        self,
        log: Log,
        model: Model | None,
        files: Iterable[str | os.PathLike[str]],
        on_output: Callable[[int, Frames], None] | None,
        progress: Callable[[float], None] | None,
    ) -> None:
        self._log, self._other, self._on_output, self._progress = log, model, on_output, progress
        self._segments: list[Segment] = []
        self._engine: Engine | None = None
        self._running: list[str] = []
        self._created = [line.hash for line in log.header.created_with]
        self._latency = log.header.latency
        self._handed = False
        self._found: dict[str, Model] = {}
        if model is None:
            names = {line.hash: line for line in log.header.created_with}
            for event in log.events:
                if event.kind in ("model", "swap"):
                    v = event.values
                    names.setdefault(v["hash"], ModelLine(v["name"], v["tier_name"], v["hash"]))
            self._found = find_models(names, files)
            for number, line in names.items():
                if number not in self._found:
                    raise LogError(
                        f"the log's model {line.name!r}, tier {line.tier!r} (hash {number}) is not here; "
                        "name its file with --find, or another model with --model"
                    )

    def run(self) -> Replay:
        log, header = self._log, self._log.header
        events, at = log.events, 0
        segment: Segment | None = None
        done = 0
        for number, given, logged in log.frames_of(0, len(log.calls.index)):
            while at < len(events) and events[at].call <= number:
                at, segment = self._event(events, at, segment)
            if segment is None:  # behind a gap: only a reset brings the state back
                continue
            index, frames = int(log.calls.index[number]), int(log.calls.frames[number])
            engine = self._engine
            assert engine is not None
            budget = frames / header.sample_rate * header.ticks_per_second
            engine._core.pretend_load(int(log.calls.ticks[number]) / budget)
            flat = np.ascontiguousarray(given[:, 0] if header.channels == 1 else given)
            out = engine.process(flat).reshape(frames, header.channels)
            self._compare(segment, index, logged, out)
            if self._on_output is not None:
                self._on_output(index, out)
            done += frames
            if self._progress is not None and number % 256 == 0:
                self._progress(done / max(1, log.frames))
        return self._report()

    def _event(self, events: list[Event], at: int, segment: Segment | None) -> tuple[int, Segment | None]:
        event = events[at]
        if event.kind in ("start", "fresh start", "reset"):
            state = events[at + 1 : at + 1 + int(event.values["records"])]
            return at + 1 + len(state), self._begin(event, state)
        if event.kind == "gap":
            return at + 1, None
        if event.kind == "swap" and "latency" in event.values:  # another engine, whose mark follows
            self._latency, self._handed = int(event.values["latency"]), True
            return at + 1, None
        if segment is not None and not event.told:
            self._apply(event)
        return at + 1, segment

    def _begin(self, mark: Event, state: list[Event]) -> Segment:
        """Bring an engine to the state of a mark."""
        lines = [e for e in state if e.kind in ("model", "swap") and not e.values["incoming"]]
        wanted = [str(e.values["hash"]) for e in lines]
        if self._handed:
            self._created, self._handed = wanted, False
            if self._other is None:
                self._engine = None
        if self._engine is None or (wanted != self._running and self._other is None):
            self._engine = self._make(self._created)
            if wanted and wanted != self._created and self._other is None:
                self._engine._core.swap(self._found[wanted[0]]._core)
            self._running = wanted or self._created
        for event in state:
            if event.kind not in ("model", "swap"):
                self._apply(event)
        self._engine.reset()
        segment = Segment(mark.index, mark.index, exact=mark.kind != "start")
        self._segments.append(segment)
        return segment

    def _make(self, hashes: list[str]) -> Engine:
        header = self._log.header
        tiers = [self._other] if self._other is not None else [self._found[number] for number in hashes]
        engine = Engine(
            tiers[0],
            header.sample_rate,
            header.max_frame,
            header.channels,
            block=header.block or None,
            schedule="sliced" if header.schedule else "inline",
            seed=header.seed,
            resampler=_RESAMPLERS[header.resampler],
            fallback=tiers[1:] or None,
            overload="dry" if header.overload else "silence",
            fade_ms=header.fade_ms,
        )
        if self._other is None and engine.latency != self._latency:
            raise LogError(
                f"the log's engine had a latency of {self._latency} samples, the same models give {engine.latency} "
                "here; replay it with the version that wrote it"
            )
        return engine

    def _apply(self, event: Event) -> None:
        engine, values = self._engine, event.values
        assert engine is not None
        if event.kind == "parameter":
            sizes = engine.model.parameter_sizes if self._other is not None else None
            if sizes is None or sizes.get(values["name"]) == len(values["values"]):
                engine._core.set(values["name"], np.array(values["values"], np.float32))
        elif event.kind == "mix":
            engine._core.set("mix", np.array([values["mix"]], np.float32))
            engine._core.bypass = values["bypass"]
        elif event.kind == "tier held" and self._other is None:
            engine._core.hold_tier(values["tier"])
        elif event.kind == "swap" and self._other is None:
            engine._core.swap(self._found[values["hash"]]._core)
            self._running = [values["hash"]]

    def _compare(self, segment: Segment, index: int, logged: Frames, out: Frames) -> None:
        segment.calls += 1
        segment.stop = index + len(out)
        same = logged.view(np.uint32) == out.view(np.uint32)
        if same.all():
            return
        segment.identical = False
        with np.errstate(all="ignore"):
            difference = np.abs(logged.astype(np.float64) - out)
        segment.most_difference = max(segment.most_difference, float(np.nanmax(difference)))
        if segment.divergence is None:
            frame, channel = np.unravel_index(int(np.argmin(same)), same.shape)
            position = index + int(frame)
            segment.divergence = {
                "index": position,
                "seconds": self._log.seconds_of(position),
                "channel": int(channel),
                "logged": float(logged[frame, channel]),
                "replayed": float(out[frame, channel]),
            }

    def _names(self) -> list[str]:
        """Return the models that ran, in order, each once."""
        if self._other is not None:
            return [f"{self._other.name} ({self._other.tier})"]
        lines = [(line.name, line.tier) for line in self._log.header.created_with]
        lines += [(e.values["name"], e.values["tier_name"]) for e in self._log.events if e.kind in ("model", "swap")]
        return list(dict.fromkeys(f"{name} ({tier})" for name, tier in lines))

    def _report(self) -> Replay:
        header = self._log.header
        reasons = []
        if header.audio != "float32":
            reasons.append("the log holds 16-bit audio")
        if header.isa != isa():
            reasons.append(f"it was made with {header.isa}, this is {isa()}")
        if self._other is not None:
            reasons.append("another model was asked for")
        exact = [s for s in self._segments if s.exact and s.calls]
        if not exact:
            reasons.append(
                "it has no place where the whole state is known: begin a log before the first frame, or reset"
            )
        identical = bool(exact) and all(s.identical for s in exact)
        compared = exact if exact and self._other is None else self._segments
        first = min((s.divergence for s in compared if s.divergence), key=lambda d: int(d["index"]), default=None)
        names = self._names()
        return Replay(
            log=str(self._log.paths[0]),
            model=self._other.name if self._other is not None else header.created_with[0].name,
            models=names,
            isa=isa(),
            logged_isa=header.isa,
            promised=not reasons,
            identical=identical,
            frames=self._log.frames,
            compared=sum(s.stop - s.start for s in compared),
            first_divergence=first,
            reasons=reasons,
            segments=[s for s in self._segments if s.calls],
        )
