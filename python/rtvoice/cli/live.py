"""``rtvoice live``: microphone to speaker."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rtvoice.cli import console
from rtvoice.live.interrupts import Interrupts
from rtvoice.registry import DEFAULT_SKIN

if TYPE_CHECKING:
    from rtvoice.live.session import Event, Session
    from rtvoice.live.settings import LogOptions, Settings

HELP = "microphone to speaker through a skin, with meters and keys"
EXAMPLE = "rtvoice live --model whisper --block 128"
_EPILOG = """keys:
  s next skin    t next tier    b bypass    m mute    - + dry, wet    g noise gate    v match loudness
  i limiter      c measure latency          l log on, off             h help          q or Ctrl-C end
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.epilog = (
        f"{_EPILOG}\nexamples:\n  {EXAMPLE}\n  rtvoice live --measure-latency\n  rtvoice live --list-devices"
    )
    device = parser.add_argument_group("devices")
    device.add_argument("--list-devices", action="store_true", help="list the devices and leave")
    device.add_argument("--input", metavar="D", help="microphone: number, name or part of it (default: the system's)")
    device.add_argument("--output", metavar="D", help="speaker: number, name or part of it (default: the system's)")
    device.add_argument(
        "--rate", metavar="HZ", type=console.whole(8000, 192000), help="sample rate (default: the device's own)"
    )
    device.add_argument(
        "--block", metavar="N", type=console.whole(1, 8192), help="samples of a callback (default: as the device likes)"
    )
    device.add_argument(
        "--clock",
        choices=("auto", "one", "two"),
        help="one stream for both devices, or a stream each with drift compensation (auto: by the devices)",
    )
    device.add_argument(
        "--buffer", metavar="MS", type=_within(0, 2000), help="buffer asked of the devices (default: their least)"
    )
    device.add_argument(
        "--margin", metavar="MS", type=_within(0, 100), help="for late callbacks between two clocks (2)"
    )
    sound = parser.add_argument_group("sound")
    sound.add_argument("--model", metavar="M", help=f"a skin or a .rtv file (default: {DEFAULT_SKIN})")
    sound.add_argument("--tier", choices=("auto", "default", "hq"), help="how much of the CPU to spend (auto: default)")
    sound.add_argument("--mix", metavar="X", type=_within(0, 1), help="0 dry to 1 wet (1)")
    sound.add_argument(
        "--gate", metavar="DB", type=_within(-120, 0), help="noise gate before the skin, e.g. -45 (default: none)"
    )
    sound.add_argument(
        "--limiter", action="store_const", const=True, help="limiter at -1 dBFS behind it; 1 ms of latency"
    )
    sound.add_argument(
        "--match", action="store_const", const=True, help="bring the output to the loudness of the input"
    )
    sound.add_argument("--bypass", action="store_const", const=True, help="begin with the voice as it is, equally late")
    sound.add_argument("--mute", action="store_const", const=True, help="begin in silence")
    sound.add_argument(
        "--sliced",
        action="store_const",
        const=True,
        help="spread a hop's work over the callbacks: a flat load for small blocks, one hop more latency",
    )
    sound.add_argument("--seed", metavar="S", type=console.whole(0, 2**63), help="of the model's noise (0)")
    run_group = parser.add_argument_group("session")
    run_group.add_argument("--preset", metavar="NAME", help="settings from the file of presets; options go over them")
    run_group.add_argument(
        "--presets",
        metavar="FILE",
        type=Path,
        help="the file of presets (default: rtvoice/live.toml of the user's settings)",
    )
    run_group.add_argument("--seconds", metavar="N", type=console.positive, help="end after N seconds")
    run_group.add_argument(
        "--measure-latency", action="store_true", help="play chirps, find them in the microphone, and leave"
    )
    run_group.add_argument(
        "--json-lines",
        action="store_true",
        help="no terminal: one JSON object a second, events as they come, a summary",
    )
    run_group.add_argument(
        "--interval", metavar="S", type=console.positive, default=1.0, help="seconds between two JSON lines (1)"
    )
    run_group.add_argument(
        "--cpu-time", action="store_true", help="also take each callback's CPU time (two system calls in it): for tests"
    )
    _configure_log(parser)
    console.add_common(parser)


def _configure_log(parser: argparse.ArgumentParser) -> None:
    log = parser.add_argument_group("log")
    log.add_argument(
        "--log", metavar="DIR", type=_folder, help="write a real-time log of input, output and timing there"
    )
    log.add_argument("--redact", action="store_true", help="timing and events only, no audio")
    log.add_argument("--pcm16", action="store_true", help="audio in 16 bits, half the bytes (default: float32)")
    log.add_argument(
        "--retention-days", metavar="N", type=console.whole(1, 36500), help="tell in its head when it is to be deleted"
    )
    log.add_argument("--rotate-mb", metavar="MB", type=_within(0.001, 1e6), help="begin another file at this size")
    log.add_argument("--rotate-minutes", metavar="M", type=_within(0.001, 1e6), help="begin another file at this age")
    log.add_argument(
        "--keep-files", metavar="N", type=console.whole(1, 10**6), help="delete all but the newest of those"
    )


def _folder(text: str) -> Path:
    if not text:  # an empty variable of a script would otherwise record a voice into the current folder
        raise argparse.ArgumentTypeError("no folder is named; write . for the current one")
    return Path(text)


def _within(low: float, high: float) -> Any:
    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text} is not within {low:g} to {high:g}")
        return value

    return parse


def run(args: argparse.Namespace) -> None:
    """Run a session until it is ended."""
    from rtvoice.live import LiveError

    try:
        if args.list_devices:
            _list(args)
        else:
            with Interrupts() as stop:
                _run(args, stop)
    except LiveError as error:
        raise console.CommandError(str(error)) from None


def _settings(args: argparse.Namespace) -> Settings:
    from rtvoice.live.settings import Settings, resolve

    given = {name: getattr(args, name, None) for name in Settings.__dataclass_fields__}
    return resolve(args.preset, args.presets, {name: value for name, value in given.items() if value is not None})


def _log_options(args: argparse.Namespace) -> LogOptions:
    from rtvoice.live.settings import LogOptions

    given = {
        "redact": args.redact or None,
        "audio": "pcm16" if args.pcm16 else None,
        "retention_days": args.retention_days,
        "rotate_mb": args.rotate_mb,
        "rotate_minutes": args.rotate_minutes,
        "keep_files": args.keep_files,
    }
    given = {name: value for name, value in given.items() if value is not None}
    if given and args.log is None:
        option = "pcm16" if "audio" in given else next(iter(given)).replace("_", "-")
        raise console.CommandError(f"--{option} is of a log: give --log DIR, too", 2)
    if args.keep_files is not None and args.rotate_mb is None and args.rotate_minutes is None:
        raise console.CommandError(
            "--keep-files counts files of a rotation: give --rotate-mb or --rotate-minutes, too", 2
        )
    return LogOptions(**given)


def _list(args: argparse.Namespace) -> None:
    from rtvoice.live import LiveError, devices

    found = devices.devices()
    if args.json or args.json_lines:
        (_line if args.json_lines else console.print_json)({"devices": [device.as_dict() for device in found]})
        return
    if not found:
        raise LiveError(
            "there are no sound devices; plug one in or start the sound server (JACK, PipeWire, PulseAudio)"
        )
    rows = [
        [
            str(d.index),
            d.name,
            d.host_api,
            str(d.inputs),
            str(d.outputs),
            f"{d.rate:.0f}",
            " ".join(word for word, is_it in (("input", d.default_input), ("output", d.default_output)) if is_it),
        ]
        for d in found
    ]
    print(console.table(["number", "name", "host API", "in", "out", "Hz", "default"], rows))


def _run(args: argparse.Namespace, stop: Interrupts) -> None:
    from rtvoice.live.session import Session
    from rtvoice.live.session_log import oldest_of

    settings, view, options = _settings(args), _view(args), _log_options(args)
    with Session(settings, view.tell, measure_cpu=args.cpu_time, log=options) as session:
        if args.log is not None:
            session.log_on(args.log)
        session.start()
        view.begin(session)
        stop.let_through()
        if args.measure_latency:
            if stop.asked:
                raise KeyboardInterrupt
            _measure(args, session)
            return
        if not stop.asked:
            with contextlib.suppress(KeyboardInterrupt):
                view.run(session, args.seconds)
        stop.hold()  # what is open is closed whole, and summed up
        last = session.snapshot()
        first = session.log.path
    # Its last file may have begun, and one have been deleted for it, as it ended.
    view.end(session, last, None if first is None else oldest_of(first))


def _measure(args: argparse.Namespace, session: Session) -> None:
    found = session.measure_latency()
    now = session.snapshot()
    if args.json or args.json_lines:
        values = {
            "total_ms": found.total_ms,
            "device_ms": found.device_ms,
            "engine_ms": now["latency_ms"]["engine"],
            "total_samples": found.total_samples,
            "device_samples": found.device_samples,
            "sample_rate": session.rate,
            "input": session.input.name,
            "output": session.output.name,
        }
        if args.json_lines:
            _line({"type": "latency", **values})
        else:
            console.print_json(values)
        return
    print(
        console.facts(
            [
                (
                    "microphone to speaker",
                    f"{found.total_ms:.2f} ms ({len(found.total_samples)} chirps: {found.total_samples} samples)",
                ),
                ("of it the devices", f"{found.device_ms:.2f} ms"),
                ("of it the engine", f"{now['latency_ms']['engine']:.2f} ms"),
            ]
        )
    )


class _Lines:
    """A session without a terminal: lines of text, or of JSON."""

    def __init__(self, as_json: bool, interval: float, *, only_summary: bool = False) -> None:
        self._json, self._interval, self._quiet = as_json, interval, only_summary

    def tell(self, event: Event) -> None:
        if self._json:
            _line({"type": "event", "seconds": event.seconds, "kind": event.kind, "text": event.text})
        else:
            print(f"{event.seconds:8.1f} s  {event.text}", file=sys.stderr, flush=True)

    def begin(self, session: Session) -> None:
        if self._json:
            _line({"type": "start", **_facts(session)})

    def run(self, session: Session, seconds: float | None) -> None:
        due = time.monotonic() + self._interval
        begun = session.seconds  # not counting what opening took
        while seconds is None or session.seconds - begun < seconds:
            time.sleep(min(0.05, self._interval))
            session.watch()
            if time.monotonic() >= due:
                due += self._interval
                if self._json:
                    _line({"type": "status", **console.finite(session.snapshot())})

    def end(self, session: Session, last: dict[str, Any], logged: Path | None) -> None:
        _end(session, last, logged, as_json=self._json, lines=True)


class _Screen:
    """A session on a terminal."""

    def __init__(self, log_folder: Path | None) -> None:
        self._log_folder = log_folder
        self._early: list[Event] = []
        self._terminal: Any = None

    def tell(self, event: Event) -> None:
        if self._terminal is None:
            self._early.append(event)
        else:
            self._terminal.tell(event)

    def begin(self, session: Session) -> None:
        from rtvoice.live.terminal import Terminal

        self._terminal = Terminal(session, self._log_folder)
        for event in self._early:
            self._terminal.tell(event)

    def run(self, session: Session, seconds: float | None) -> None:
        self._terminal.run(seconds)

    def end(self, session: Session, last: dict[str, Any], logged: Path | None) -> None:
        _end(session, last, logged, as_json=False, lines=False)


def _view(args: argparse.Namespace) -> Any:
    if args.json_lines:
        return _Lines(True, args.interval)
    if args.json or args.measure_latency or not sys.stdout.isatty():
        return _Quiet(args.json) if args.json else _Lines(False, args.interval)
    return _Screen(args.log)


class _Quiet(_Lines):
    """Only the summary, as one JSON object."""

    def __init__(self, as_json: bool) -> None:
        super().__init__(False, 1.0)

    def tell(self, event: Event) -> None:
        if event.warning or event.kind in ("stall", "back"):
            console.warn(event.text)

    def end(self, session: Session, last: dict[str, Any], logged: Path | None) -> None:
        _end(session, last, logged, as_json=True, lines=False)


def _facts(session: Session) -> dict[str, Any]:
    return {
        "input": session.input.name,
        "output": session.output.name,
        "host_api": session.output.host_api,
        "sample_rate": session.rate,
        "two_clocks": session.two_clocks,
        "block": session.settings.block,
        "skin": session.skin,
        "tier": session.engine.tier,
        "latency_samples": session.latency,
        "priority": session.priority,
    }


def _end(session: Session, last: dict[str, Any], logged: Path | None, *, as_json: bool, lines: bool) -> None:
    if as_json:
        summary = {
            "type": "summary",
            **_facts(session),
            **console.finite(last),
            "log": None if logged is None else str(logged),
        }
        if lines:
            _line(summary)
        else:
            console.print_json({name: value for name, value in summary.items() if name != "type"})
        return
    us, ms = last["callback_us"], last["latency_ms"]
    whole = "whole not measured" if ms["total"] is None else f"whole {ms['total']:.2f} ms, measured"
    calls = f"{last['callbacks']} callbacks of {last['block']:.0f} samples at {session.rate} Hz"
    times = f"p50 {us['p50']:.0f} us, p99 {us['p99']:.0f} us, max {us['max']:.0f} us of {last['budget_us']:.0f} us"
    late = f"{last['stalls']} late callbacks, longest gap {last['longest_gap_ms']:.0f} ms"
    pairs = [
        ("session", f"{last['seconds']:.1f} s, {calls}"),
        ("skin", f"{last['skin']} ({last['tier']})"),
        ("callback", times),
        ("latency", f"engine {ms['engine']:.2f} ms, {whole}"),
        ("xruns", f"{last['xruns']}, of them {last['xruns_ours']} by too much work here; {late}"),
    ]
    if last["drift_ppm"] is not None:
        bridge = last["bridge"]
        gaps = f"{bridge['underruns']} gaps, {bridge['jumps']} jumps"
        pairs.append(("clocks", f"{last['drift_ppm']:+.1f} ppm apart; {gaps}"))
    if last["outages"]:
        pairs.append(("outages", f"{last['outages']} times no callback for half a second"))
    if logged is not None:
        pairs.append(("log", str(logged)))
    print(console.facts(pairs))


def _line(value: dict[str, Any]) -> None:
    print(json.dumps(value, allow_nan=False), flush=True)
