"""A live session: devices, an engine between them, knobs, counters, and a watchdog that brings a lost device back."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rtvoice import _core
from rtvoice.engine import Engine
from rtvoice.errors import ModelError
from rtvoice.live import LiveError, devices, latency
from rtvoice.live.devices import Device
from rtvoice.live.session_log import SessionLog
from rtvoice.live.settings import LogOptions, Settings
from rtvoice.live.watchdog import Watchdog
from rtvoice.model import Model
from rtvoice.registry import models

#: The engine's frames where the device chooses its own: longer ones are cut.
ANY_FRAME = 1024
#: A stream that stops so soon after it was opened is opened again with a buffer three times as long, up to this.
EARLY_SECONDS = 10.0
MOST_BUFFER_MS = 150.0
_SILENCE_DB = -120.0


@dataclass(frozen=True)
class Event:
    """Something that a person should know: ``kind`` is a word for scripts, ``text`` a line for people."""

    kind: str
    text: str
    seconds: float
    warning: bool = False


@dataclass
class _Meter:
    """Turns running sums into the level since the last look."""

    squares: float = 0.0
    frames: int = 0

    def level(self, squares: float, frames: int) -> float:
        added, count = squares - self.squares, frames - self.frames
        self.squares, self.frames = squares, frames
        return decibel(math.sqrt(max(0.0, added) / count)) if count > 0 else _SILENCE_DB


def decibel(value: float) -> float:
    """Return dBFS, not below -120."""
    return 20 * math.log10(value) if value > 1e-6 else _SILENCE_DB


class Session:
    """Microphone to speaker.

    Parameters
    ----------
    settings
        What to open and how to begin.
    tell
        Is called with every event, from this thread or the watchdog's.
    measure_cpu
        Take the CPU time of every callback, by two system calls in it: for measurements, not for use.
    log
        What logs hold, where one is turned on.

    Raises
    ------
    LiveError
        A device does not exist or does not open.
    ModelError
        The model does not exist or cannot run.
    """

    def __init__(
        self,
        settings: Settings,
        tell: Callable[[Event], None] | None = None,
        *,
        measure_cpu: bool = False,
        log: LogOptions | None = None,
    ) -> None:
        self.settings = settings
        self.log = SessionLog(log or LogOptions(), lambda kind, text, warning: self._event(kind, text, warning=warning))
        self._tell = tell or (lambda event: None)
        self._measure_cpu = measure_cpu
        self._started = time.monotonic()
        found = devices.devices()
        self.input = devices.choose(settings.input, "input", found)
        self.output = devices.choose(settings.output, "output", found)
        self.two_clocks = settings.clock == "two" or (
            settings.clock == "auto" and not devices.one_clock(self.input, self.output)
        )
        self.rate = settings.rate or round(self.output.rate)
        if not 8000 <= self.rate <= 192000:
            raise LiveError(f"{self.output.name!r} runs at {self.rate} Hz, engines at 8000 to 192000; add --rate 48000")
        self.tier, self.mix, self.bypass, self.mute = settings.tier, settings.mix, settings.bypass, settings.mute
        self.gate_on, self.match_on, self.limit_on = settings.gate is not None, settings.match, settings.limiter
        self.engine = self._make_engine(settings.model, Model.load(settings.model, tier=settings.tier))
        self._heard_tier = self.engine.tier
        self.skin = settings.model
        self._native = _core.LiveStream(self.engine._core, float(self.rate), settings.limiter)
        self._behind = self._native.latency() - self.engine.latency  # the limiter's, which every engine has behind it
        self._apply()
        self.measured: latency.Latency | None = None
        self._measuring: threading.Thread | None = None
        self._in, self._out = _Meter(), _Meter()
        self._buffer_ms = settings.buffer
        self._opened = 0.0
        self._watchdog = Watchdog(self._release, self._reopen, self._event)
        self.priority = "unknown"
        self._closed = False

    # ---- Opening and closing ---------------------------------------------------------------------------------------

    def start(self) -> None:
        """Open the devices and let sound through.

        Raises
        ------
        LiveError
            They do not open; the message says what to try.
        """
        self._open()
        self._event("start", f"{self.describe()}")
        self._say_priority()

    def _open(self) -> None:
        library = devices.library()
        try:
            with devices.quiet():
                self._native.open(
                    library,
                    self._side(self.input, "input"),
                    self._side(self.output, "output"),
                    self.settings.block or 0,
                    self.two_clocks,
                    self.settings.margin,
                    self._measure_cpu,
                )
        except OSError as error:
            raise LiveError(self._why(str(error))) from None
        self._opened = time.monotonic()

    def _side(self, device: Device, kind: str) -> dict[str, Any]:
        least = device.input_latency if kind == "input" else device.output_latency
        channels = min(2, device.outputs) if kind == "output" else 1
        # Between two clocks the bridge converts: each device runs at its own rate.
        own = self.two_clocks and kind == "input" and self.settings.rate is None
        wanted = least if self._buffer_ms is None else self._buffer_ms / 1000
        return {
            "index": device.index,
            "channels": channels,
            "rate": device.rate if own else float(self.rate),
            "latency": wanted,
        }

    def _why(self, text: str) -> str:
        names = f"{self.input.name!r} and {self.output.name!r}"
        lower = text.lower()
        if "sample rate" in lower:
            return (
                f"{names} do not run at {self.rate} Hz ({text}); "
                f"leave --rate out ({self.input.rate:.0f} and {self.output.rate:.0f} Hz are their own)"
            )
        if "combination" in lower or "i/o device" in lower:
            return f"{names} do not open as one stream ({text}); add --clock two"
        if "unavailable" in lower or "busy" in lower:
            return f"{names} are in use by another program ({text}); close it, or choose others by --input and --output"
        return f"{names} do not open ({text}); choose others by --input and --output, see --list-devices"

    def describe(self) -> str:
        """Return one line on what is open."""
        clock = "two clocks" if self.two_clocks else "one clock"
        return f"{self.input.name} -> {self.skin} -> {self.output.name}, {self.rate} Hz, {clock}"

    def close(self) -> None:
        """Stop and close; safe to call twice."""
        if self._closed:
            return
        self._closed = True
        self._watchdog.end()
        if self._watchdog.away:
            devices.let_be_at_exit()
        else:
            with devices.quiet():
                self._native.close(True)
        self.log_off()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- Knobs -----------------------------------------------------------------------------------------------------

    def _make_engine(self, name: str, model: Model) -> Engine:
        """Make an engine of a skin's tier; a costly one has the default tier to fall back on when the CPU is busy."""
        try:
            engine = self._engine(model, _cheaper(name, model))
        except ModelError:  # the tiers differ in more than their cost
            engine = self._engine(model, None)
        engine.set("mix", self.mix)
        engine.bypass = self.bypass
        return engine

    def _engine(self, model: Model, fallback: Model | None) -> Engine:
        block = self.settings.block
        return Engine(
            model,
            self.rate,
            block or ANY_FRAME,
            block=block,
            seed=self.settings.seed,
            schedule="sliced" if self.settings.sliced else "inline",
            fallback=fallback,
        )

    def _apply(self) -> None:
        threshold = -45.0 if self.settings.gate is None else self.settings.gate
        self._native.gate(self.gate_on, 10 ** (threshold / 20))
        self._native.match(self.match_on)
        self._native.limit(self.limit_on)
        self._native.mute(self.mute)
        self._native.bypassed(self.bypass)

    def skins(self) -> list[str]:
        """Return the names of the skins that there are, and the one in use."""
        names = sorted({skin.name for skin in models()})
        return names if self.skin in names else [self.skin, *names]

    def set_skin(self, name: str, tier: str = "auto") -> None:
        """Cross-fade to another skin or tier; what it costs in latency is said.

        Raises
        ------
        ModelError, ValueError
            It does not exist or cannot run; the one before goes on.
        """
        model = Model.load(name, tier=tier)
        before = self.latency
        if self.engine.model.tier == model.tier == "default":
            try:
                self.engine.swap(model)
            except ModelError:  # it needs more latency than this engine has, or a swap is still under way
                self._exchange(name, model)
        else:  # another set of tiers
            self._exchange(name, model)
        self._heard_tier = self.engine.tier
        self.skin, self.tier = name, tier
        more = "" if self.latency == before else f", latency now {1000 * self.latency / self.rate:.1f} ms"
        self._event("skin", f"now {name} ({model.tier}){more}")

    def _exchange(self, name: str, model: Model) -> None:
        engine = self._make_engine(name, model)
        until = time.monotonic() + 1.0
        while not self._native.exchange(engine._core):
            if time.monotonic() > until:
                raise LiveError("the skin before is still fading in; is the device away?")
            time.sleep(0.01)
        self.engine = engine
        self.log.hand_over(engine)  # it goes on, with a swap at the sample where this engine began

    def next_tier(self) -> None:
        """Change to the skin's next tier."""
        tiers = [skin.tier for skin in models() if skin.name == self.skin]
        if len(tiers) < 2:
            raise LiveError(f"{self.skin} has one tier")
        self.set_skin(self.skin, tiers[(tiers.index(self.engine.model.tier) + 1) % len(tiers)])

    def set_bypass(self, on: bool) -> None:
        """Let the microphone through as it is, equally late."""
        self.bypass = self.engine.bypass = on
        self._native.bypassed(on)

    def set_mute(self, on: bool) -> None:
        """Silence the output."""
        self.mute = on
        self._native.mute(on)
        self.log.note_switch("mute", on)

    def set_mix(self, mix: float) -> None:
        """Set dry (0) to wet (1)."""
        self.mix = min(1.0, max(0.0, mix))
        self.engine.set("mix", self.mix)

    def set_gate(self, on: bool) -> None:
        """Switch the noise gate."""
        self.gate_on = on
        self._apply()
        self.log.note_switch("gate", on)

    def set_match(self, on: bool) -> None:
        """Switch the matching of loudness."""
        self.match_on = on
        self._native.match(on)
        self.log.note_switch("match", on)

    def set_limiter(self, on: bool) -> None:
        """Switch the limiter, where the session has one.

        Raises
        ------
        LiveError
            The session was made without: its millisecond cannot come later.
        """
        if not self.settings.limiter:
            raise LiveError("this session has no limiter: start it with --limiter (1 ms of latency)")
        self.limit_on = on
        self._native.limit(on)
        self.log.note_switch("limiter", on)

    # ---- The log ---------------------------------------------------------------------------------------------------

    @property
    def log_path(self) -> Path | None:
        """The first file of the log that is being written, or ``None``."""
        return self.log.path

    def log_on(self, folder: Path) -> Path:
        """Begin a real-time log in a folder, which is made where it is not there; return the file.

        Raises
        ------
        LiveError
            The folder or file cannot be written.
        """
        if self.log:
            return self.log.on(self.engine, folder, 0)
        path = self.log.on(self.engine, folder, self._native.counters()["xruns"])
        switches = {"mute": self.mute, "gate": self.gate_on, "match": self.match_on, "limiter": self.limit_on}
        for name in (name for name, on in switches.items() if on):
            self.log.note_switch(name, True)
        return path

    def log_off(self) -> None:
        """End the log, if there is one."""
        self.log.off(self.rate)

    # ---- Latency ---------------------------------------------------------------------------------------------------

    def measure_latency(self, chirps: int = 3) -> latency.Latency:
        """Play chirps instead of the voice, and find when they come back through the microphone.

        Raises
        ------
        LiveError
            No chirp was heard: there is no way from the speaker to the microphone.
        """
        sent = latency.chirp(self.rate)
        before = self.bypass, self.mute, self.gate_on, self.match_on
        heard: list[int] = []
        made: list[int] = []
        try:
            # As it is, and equally late: gate, skin and mute would change the chirp.
            self.set_bypass(True)
            self.set_mute(False)
            self.set_gate(False)
            self.set_match(False)
            time.sleep(0.15)
            for _ in range(chirps):
                pair = self._one_chirp(sent)
                if pair is not None:
                    heard.append(pair[0])
                    made.append(pair[1])
        finally:
            self.set_bypass(before[0])
            self.set_mute(before[1])
            self.set_gate(before[2])
            self.set_match(before[3])
        if not heard:
            raise LiveError(
                "no chirp came back: hold the microphone to the speaker, or connect output and input by a cable, "
                "and turn the volume up"
            )
        self.measured = latency.summarize(heard, made, self.rate)
        return self.measured

    def _one_chirp(self, sent: latency.Samples) -> tuple[int, int] | None:
        if not self._native.probe(sent):
            raise LiveError("a chirp is under way already")
        until = time.monotonic() + 5.0
        while (pair := self._native.probed()) is None:
            if time.monotonic() > until:
                raise LiveError("the device does not call back: nothing can be measured")
            time.sleep(0.02)
        arrivals = [latency.arrival(recording, sent, self.rate) for recording in pair]
        if arrivals[0] is None or arrivals[1] is None:
            return None
        return arrivals[0], arrivals[1]

    def measure_in_background(self) -> None:
        """Measure in a thread; the result is an event."""

        def work() -> None:
            try:
                found = self.measure_latency()
            except LiveError as error:
                self._event("latency", str(error))
            else:
                self._event(
                    "latency", f"microphone to speaker {found.total_ms:.2f} ms, of it the devices {found.device_ms:.2f}"
                )

        if self._measuring is None or not self._measuring.is_alive():
            self._measuring = threading.Thread(target=work, daemon=True)
            self._measuring.start()

    # ---- Looking ---------------------------------------------------------------------------------------------------

    @property
    def latency(self) -> int:
        """Samples from a block's input to its output: the engine's and the limiter's."""
        return self.engine.latency + self._behind

    @property
    def seconds(self) -> float:
        """Seconds since the session was made."""
        return time.monotonic() - self._started

    def snapshot(self) -> dict[str, Any]:
        """Return what there is to show now, as plain numbers and strings; levels are those since the last call."""
        self._native.exchanging()
        counters, levels, bridge = self._native.counters(), self._native.levels(), self._native.bridge()
        us = counters["us"]
        frames = counters["frames"] / counters["callbacks"] if counters["callbacks"] else 0.0
        budget = 1e6 * frames / self.rate
        engine_ms = 1000 * self._native.latency() / self.rate
        return {
            "seconds": round(self.seconds, 3),
            "state": "away" if self._watchdog.away else "running",
            "skin": self.skin,
            "tier": self.engine.tier,
            "bypass": self.bypass,
            "mute": self.mute,
            "mix": self.mix,
            "gate": {"on": self.gate_on, "open": levels["gate_open"]},
            "match": {"on": self.match_on, "gain_db": round(decibel(levels["match_gain"]), 2)},
            "limiter": {"on": self.limit_on, "gain_db": round(decibel(levels["limiter_gain"]), 2)},
            "input_db": {
                "peak": round(decibel(levels["input_peak"]), 1),
                "rms": round(self._in.level(levels["input_squares"], levels["frames"]), 1),
            },
            "output_db": {
                "peak": round(decibel(levels["output_peak"]), 1),
                "rms": round(self._out.level(levels["output_squares"], levels["frames"]), 1),
            },
            "latency_ms": {
                "engine": round(engine_ms, 3),
                "clocks": None if bridge is None else round(bridge["delay_ms"], 3),
                "device": None if self.measured is None else round(self.measured.device_ms, 3),
                "total": None if self.measured is None else round(self.measured.total_ms, 3),
            },
            "frames": counters["frames"],
            "callbacks": counters["callbacks"],
            "first_sound": levels["first_sound"],
            "block": round(frames, 1),
            "callback_us": {"p50": round(us["p50"], 1), "p99": round(us["p99"], 1), "max": round(us["max"], 1)},
            "budget_us": round(budget, 1),
            "load": round(us["p99"] / budget, 4) if budget else 0.0,
            "xruns": counters["xruns"],
            "xruns_ours": counters["xruns_ours"],
            "stalls": counters["stalls"],
            "longest_gap_ms": round(counters["longest_gap_ms"], 2),
            "outages": self._watchdog.outages,
            "cpu": {
                "max_us": round(counters["cpu_max_us"], 1),
                "overruns": counters["cpu_overruns"],
                "late": self._native.late_calls(),
            }
            if self._measure_cpu
            else None,
            "drift_ppm": None if bridge is None else round(bridge["drift_ppm"], 1),
            "bridge": None
            if bridge is None
            else {name: bridge[name] for name in ("target_ms", "underruns", "jumps", "dropped", "locked")},
            "log": self.log.state(),
        }

    def _say_priority(self) -> None:
        until = time.monotonic() + 1.0
        what, why = self._native.priority()
        while what == "unknown" and time.monotonic() < until:
            time.sleep(0.02)
            what, why = self._native.priority()
        self.priority = what
        if what == "normal":
            self._event(
                "priority",
                f"the audio thread has no real-time priority ({why.lower()}): other programs may interrupt the sound; "
                "on Linux add '@audio - rtprio 95' to /etc/security/limits.d/audio.conf, and log in anew as one of the "
                "group audio",
                warning=True,
            )
        elif what != "unknown":
            self._event("priority", f"the audio thread runs at real-time priority ({what})")

    def _event(self, kind: str, text: str, *, warning: bool = False) -> None:
        if kind not in ("log", "start", "priority"):
            self.log.note(f"{kind}: {text}")
        self._tell(Event(kind, text, round(self.seconds, 3), warning))

    # ---- Watching over it ------------------------------------------------------------------------------------------

    def watch(self) -> None:
        """Notice what has changed, and a device that is away, and bring it back; call it a few times a second."""
        if self._closed:
            return
        tier = self.engine.tier
        if tier != self._heard_tier:
            self._heard_tier = tier
            chosen = self.engine.model.tier
            why = "" if tier == chosen else f": the CPU is too busy for {chosen}"
            self._event("tier", f"now the {tier} tier{why}")
        counters = self._native.counters()
        self.log.watch(counters["xruns"])
        if self._watchdog.look(counters["silent_seconds"]):
            self._say_priority()

    def _release(self) -> bool:
        if time.monotonic() - self._opened < EARLY_SECONDS and self.settings.buffer is None:
            self._enlarge()
        with devices.quiet():
            return self._native.close(False)

    def _enlarge(self) -> None:
        """Ask for a longer buffer: a stream that stops right after it was opened mostly has one that is too short."""
        before = self._buffer_ms or 1000 * max(self.input.input_latency, self.output.output_latency)
        if before < MOST_BUFFER_MS:
            self._buffer_ms = min(MOST_BUFFER_MS, 3 * before)
            self._event("buffer", f"it stopped soon after it began: trying a buffer of {self._buffer_ms:.0f} ms")

    def _reopen(self, found: list[Device]) -> None:
        self.input = devices.choose(_same(self.input, found), "input", found)
        self.output = devices.choose(_same(self.output, found), "output", found)
        self._open()


def _cheaper(name: str, model: Model) -> Model | None:
    """Return the skin's default tier where ``model`` is a costlier one of it."""
    has_default = any((skin.name, skin.tier) == (name, "default") for skin in models())
    return Model.load(name, tier="default") if model.tier != "default" and has_default else None


def _same(device: Device, found: list[Device]) -> str:
    """Return the number that a device has now.

    Raises
    ------
    LiveError
        It is not there.
    """
    for other in found:
        if (other.name, other.host_api) == (device.name, device.host_api):
            return str(other.index)
    raise LiveError(f"{device.name!r} is not there")
