"""What a person sees and presses while a session runs: meters, latency, load, and one key for each knob."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from rtvoice.errors import ModelError
from rtvoice.live import LiveError
from rtvoice.live.keys import Keys
from rtvoice.live.session import Event, Session

#: Key, what it does, for the help and the line at the bottom.
KEYS = (
    ("s", "next skin"),
    ("t", "next tier"),
    ("b", "bypass"),
    ("m", "mute"),
    ("- +", "dry, wet"),
    ("g", "noise gate"),
    ("v", "match loudness"),
    ("i", "limiter"),
    ("c", "latency, measured by chirps"),
    ("l", "log on, off"),
    ("h", "help"),
    ("q", "end"),
)
_METER_DB = 60.0
_METER_CELLS = 40


class Terminal:
    """Shows a session on a terminal and turns its knobs by keys."""

    def __init__(self, session: Session, log_folder: Path | None) -> None:
        self._session = session
        self._log_folder = log_folder
        self._events: deque[Event] = deque(maxlen=5)
        self._help = False
        self._ended = False
        self._actions: dict[str, Callable[[], None]] = {
            "s": self._next_skin,
            "t": session.next_tier,
            "b": lambda: session.set_bypass(not session.bypass),
            "m": lambda: session.set_mute(not session.mute),
            "+": lambda: session.set_mix(session.mix + 0.05),
            "=": lambda: session.set_mix(session.mix + 0.05),
            "up": lambda: session.set_mix(session.mix + 0.05),
            "-": lambda: session.set_mix(session.mix - 0.05),
            "down": lambda: session.set_mix(session.mix - 0.05),
            "g": lambda: session.set_gate(not session.gate_on),
            "v": lambda: session.set_match(not session.match_on),
            "i": lambda: session.set_limiter(not session.limit_on),
            "c": session.measure_in_background,
            "l": self._toggle_log,
            "h": self._toggle_help,
            "?": self._toggle_help,
            "q": self._end,
        }

    def tell(self, event: Event) -> None:
        """Show an event."""
        self._events.append(event)

    def run(self, seconds: float | None) -> None:
        """Show and listen until ``q``, Ctrl-C or the time is over."""
        console = Console(stderr=False)
        begun = self._session.seconds  # not counting what opening took
        with Keys() as keys, Live(console=console, auto_refresh=False, transient=True) as live:
            while not self._ended and (seconds is None or self._session.seconds - begun < seconds):
                self._session.watch()
                live.update(self.picture(self._session.snapshot()), refresh=True)
                key = keys.wait(0.1)
                if key is not None:
                    self.press(key)

    def press(self, key: str) -> None:
        """Do what a key says; what cannot be done is an event."""
        action = self._actions.get(key if len(key) > 1 else key.lower())
        if action is None:
            return
        try:
            action()
        except (LiveError, ModelError, ValueError, OSError) as error:
            self.tell(Event("refused", str(error), self._session.seconds))

    def _next_skin(self) -> None:
        names = self._session.skins()
        self._session.set_skin(names[(names.index(self._session.skin) + 1) % len(names)])

    def _toggle_log(self) -> None:
        if self._session.log_path is not None:
            self._session.log_off()
        elif self._log_folder is None:
            raise LiveError("no folder for logs: start with --log DIR")
        else:
            self._session.log_on(self._log_folder)

    def _toggle_help(self) -> None:
        self._help = not self._help

    def _end(self) -> None:
        self._ended = True

    # ---- The picture -----------------------------------------------------------------------------------------------

    def picture(self, now: dict[str, Any]) -> RenderableType:
        """Return what is shown for a snapshot."""
        table = Table.grid(padding=(0, 2))
        table.add_column(style="bold")
        table.add_column()
        table.add_row("in", meter(now["input_db"], clip=True))
        table.add_row("out", meter(now["output_db"], clip=True))
        table.add_row("skin", _skin(now))
        table.add_row("sound", _switches(now))
        table.add_row("latency", _latency(now))
        table.add_row("load", _load(now))
        table.add_row("xruns", _xruns(now))
        if now["drift_ppm"] is not None:
            table.add_row("clocks", _clocks(now))
        if now["log"] is not None:
            table.add_row("log", _log(now["log"]))
        lines: list[RenderableType] = [table]
        lines += [Text(f"{event.seconds:7.1f} s  {event.text}", style=_style(event)) for event in self._events]
        if self._help:
            lines.append(Text("\n".join(f"  {key:4} {what}" for key, what in KEYS)))
        else:
            lines.append(Text("  ".join(f"{key} {what.split(',')[0]}" for key, what in KEYS), style="dim"))
        title = f"rtvoice live: {self._session.input.name} -> {self._session.output.name}"
        return Panel(Group(*lines), title=Text(title), title_align="left")


def meter(level: dict[str, float], *, clip: bool) -> Text:
    """Return a bar from -60 to 0 dBFS: the loudness filled, the peak as a line."""

    def cell(db: float) -> int:
        return min(_METER_CELLS, max(0, round((db + _METER_DB) / _METER_DB * _METER_CELLS)))

    filled, peak = cell(level["rms"]), cell(level["peak"])
    bar = Text()
    for i in range(_METER_CELLS):
        style = "red" if i >= _METER_CELLS * 0.95 else "yellow" if i >= _METER_CELLS * 0.8 else "green"
        bar.append(
            "█" if i < filled else "│" if i == peak - 1 else "·", style=style if i < max(filled, peak) else "dim"
        )
    loud = level["peak"] > -0.1
    bar.append(f" {level['rms']:6.1f} dB, peak {level['peak']:6.1f}", style="bold red" if clip and loud else "")
    return bar


def _skin(now: dict[str, Any]) -> Text:
    text = Text(f"{now['skin']} ({now['tier']}), {100 * now['mix']:.0f} % wet")
    if now["bypass"]:
        text.append("  BYPASS: your own voice", style="bold yellow")
    if now["mute"]:
        text.append("  MUTE", style="bold red")
    if now["state"] != "running":
        text.append("  NO SOUND: waiting for the device", style="bold red")
    return text


def _switches(now: dict[str, Any]) -> str:
    gate = "off" if not now["gate"]["on"] else "open" if now["gate"]["open"] else "closed"
    match = f"{now['match']['gain_db']:+.1f} dB" if now["match"]["on"] else "off"
    limiter = f"{now['limiter']['gain_db']:.1f} dB" if now["limiter"]["on"] else "off"
    quiet = "  (the microphone gives digital silence: is it muted?)" if now["first_sound"] is None else ""
    return f"gate {gate}, loudness match {match}, limiter {limiter}{quiet}"


def _latency(now: dict[str, Any]) -> str:
    ms = now["latency_ms"]
    if ms["total"] is None:
        clocks = "" if ms["clocks"] is None else f" + {ms['clocks']:.1f} between the clocks"
        return f"engine {ms['engine']:.1f} ms{clocks} + the devices' (c measures the whole)"
    return f"{ms['total']:.1f} ms from microphone to speaker, measured (engine {ms['engine']:.1f})"


def _load(now: dict[str, Any]) -> str:
    us = now["callback_us"]
    return f"p50 {us['p50']:.0f} us, p99 {us['p99']:.0f} us of {now['budget_us']:.0f} ({100 * now['load']:.1f} %)"


def _xruns(now: dict[str, Any]) -> Text:
    ours, all_of_them = now["xruns_ours"], now["xruns"]
    text = f"{all_of_them} ({ours} by too much work here), {now['stalls']} late callbacks, longest gap "
    return Text(f"{text}{now['longest_gap_ms']:.0f} ms", style="bold red" if all_of_them else "")


def _clocks(now: dict[str, Any]) -> str:
    bridge = now["bridge"]
    state = "in step" if bridge["locked"] else "finding the rate"
    return f"{now['drift_ppm']:+.1f} ppm, {state}; {bridge['underruns']} gaps, {bridge['jumps']} jumps"


def _log(log: dict[str, Any]) -> Text:
    lost = f", {log['frames_lost']} samples lost" if log["frames_lost"] else ""
    text = Text(f"{log['path']}{lost}")
    if log["failing"]:
        text.append("  THE DISK TAKES NOTHING", style="bold red")
    return text


def _style(event: Event) -> str:
    return {"stall": "bold red", "refused": "yellow", "back": "bold green", "priority": "dim"}.get(event.kind, "")
