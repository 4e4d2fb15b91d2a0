"""``rtvoice log``: look at real-time logs, take their audio out, replay them."""

from __future__ import annotations

import argparse
import os
import time
from typing import TYPE_CHECKING, Any

from rtvoice.cli import console

if TYPE_CHECKING:
    from rtvoice.log import Log

HELP = "look at real-time logs, extract their audio, replay them"
EXAMPLE = "rtvoice log show session.rtlog --html session.html"

_MOST_LINES = 40


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the actions and their arguments."""
    actions = parser.add_subparsers(
        dest="action", metavar="ACTION", title="actions", parser_class=console.Parser, required=True
    )
    show = _action(actions, "show", "what is in a log: lengths, times, events, gaps", EXAMPLE)
    show.add_argument("--html", metavar="FILE", help="write one offline page: waveform, spectrogram, timing, events")
    show.add_argument("--events", action="store_true", help="list every event, not only the first ones")
    console.add_common(show)
    extract = _action(actions, "extract", "write a log's audio", "rtvoice log extract session.rtlog session.wav")
    extract.add_argument("output", metavar="OUT", help="sound file to write (.wav; beyond 4 GB as RF64)")
    extract.add_argument(
        "--track",
        choices=("both", "input", "output"),
        default="both",
        help="both (default): the input's channels, then the output's; what was lost is silence in either",
    )
    extract.add_argument("--from", dest="start", metavar="S", type=_seconds, help="begin at this second of the stream")
    extract.add_argument("--to", dest="stop", metavar="S", type=_seconds, help="end at this second")
    console.add_common(extract)
    replay = _action(
        actions, "replay", "run a log's input through the engine again and compare", "rtvoice log replay session.rtlog"
    )
    replay.add_argument("--model", metavar="M", help="another model: a skin's name or a .rtv file")
    replay.add_argument("--tier", choices=("auto", "default", "hq"), help="of that model (auto: default)")
    replay.add_argument(
        "--find", metavar="FILE", action="append", default=[], help="look for the log's models in this .rtv file, too"
    )
    replay.add_argument("--out", metavar="FILE", help="write the new output, in time with the logged one")
    console.add_common(replay)


def _action(actions: Any, name: str, told: str, example: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = actions.add_parser(name, help=told, description=told, example=example)
    parser.add_argument("log", metavar="LOG", help="the log's (first) file; those that follow it are read with it")
    return parser


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds") from None
    if not 0 <= value < 1e9:
        raise argparse.ArgumentTypeError(f"{text} is not 0 or more seconds")
    return value


def run(args: argparse.Namespace) -> int | None:
    """Run one action."""
    from rtvoice.log import read_log

    if getattr(args, "tier", None) is not None and args.model is None:
        raise console.CommandError("--tier is of another model: give --model, too; the log names its own tier", 2)
    log = read_log(args.log)
    for option, name in (("--html", "html"), ("OUT", "output"), ("--out", "out")):
        _spare(log, option, getattr(args, name, None))
    for problem in log.problems:
        console.warn(problem)
    actions = {"show": _show, "extract": _extract, "replay": _replay}
    return actions[args.action](args, log)


def _spare(log: Log, option: str, target: str | None) -> None:
    """Refuse a target that is the log itself."""
    if target is not None and any(os.path.exists(target) and os.path.samefile(target, path) for path in log.paths):
        raise console.CommandError(f"{option} {target} is the log itself; name another file")


def _show(args: argparse.Namespace, log: Log) -> None:
    from rtvoice.log.summary import happenings, summarise

    told = summarise(log)
    if args.html:
        from rtvoice.log.page import write_page

        with console.progress_bar("drawing") as progress:
            write_page(log, args.html, progress)
    events = happenings(log)
    if args.json:
        console.print_json(console.finite({**told, "events": events, "html": args.html}))
        return
    print(console.facts(_facts(log, told)))
    deadline = log.header.unix_time + 86400 * log.header.retention_days
    if log.header.retention_days and deadline < time.time():
        console.warn(f"{log.paths[0]} was to be deleted by {time.strftime('%Y-%m-%d', time.gmtime(deadline))}")
    if events:
        shown = events if args.events else events[:_MOST_LINES]
        rows = [[f"{e['seconds']:.3f}", str(e["index"]), e["what"], e["text"]] for e in shown]
        print("\n" + console.table(["second", "sample", "what", ""], rows))
        if len(shown) < len(events):
            print(f"and {len(events) - len(shown)} more; --events lists them all")


def _facts(log: Log, told: dict[str, Any]) -> list[tuple[str, str]]:
    us = told["call_us"]
    sizes = ", ".join(f"{s['frames']} ({s['calls']}x)" for s in told["frame_sizes"][:6])
    more = told["different_sizes"] - min(6, len(told["frame_sizes"]))
    ended = "as it should" if told["ended"] else "cut off, or still being written"
    times = f"p50 {us['p50']:.0f} us, p99 {us['p99']:.0f} us, most {us['max']:.0f} us" if us else "-"
    return [
        ("log", ", ".join(told["files"])),
        ("head", log.header.line),
        ("ended", ended),
        ("model", f"{told['model']['name']} ({told['model']['tier']}), {told['isa']}"),
        (
            "stream",
            f"{told['seconds']:.3f} s, {told['sample_rate']} Hz, {told['channels']} channel(s), {told['audio']}",
        ),
        ("latency", f"{told['latency']} samples"),
        ("calls", f"{told['calls']}, {told['empty_calls']} empty, {told['refused_calls']} refused"),
        ("frames", (sizes or "-") + (f", {more} other sizes" if more > 0 else "")),
        ("call", times),
        ("load", f"{100 * told['load']:.1f} % of the audio's time at p99" if told["load"] is not None else "-"),
        ("overruns", str(told["overruns"])),
        ("lost", f"{told['lost_frames']} samples in {len(told['gaps'])} gap(s)"),
        ("pauses", f"{len(told['pauses'])}, {sum(p['length'] for p in told['pauses']):.2f} s in which no call came"),
        ("changes", f"{told['resets']} reset(s), {told['swaps']} swap(s), {told['tier_changes']} of tier"),
    ]


def _extract(args: argparse.Namespace, log: Log) -> None:
    from rtvoice.log.extract import extract

    rate = log.header.sample_rate
    start, stop = (None if s is None else round(s * rate) for s in (args.start, args.stop))
    with console.progress_bar("extracting") as progress:
        frames = extract(log, args.output, track=args.track, start=start, stop=stop, progress=progress)
    first = log.first if start is None else max(start, log.first)
    gaps = [g for g in log.gaps if g.index < first + frames and g.index + g.values["frames"] > first]
    lost = sum(int(g.values["frames"]) for g in gaps)
    if args.json:
        told = {"output": args.output, "track": args.track, "frames": frames, "sample_rate": rate, "first_index": first}
        console.print_json({**told, "gaps": len(gaps), "lost_frames": lost})
        return
    print(f"{args.output}: {frames / rate:.3f} s ({frames} samples), {args.track}")
    if gaps:
        print(f"{lost} samples in {len(gaps)} gap(s) were lost; they are silence")


def _replay(args: argparse.Namespace, log: Log) -> int:
    from rtvoice import audio
    from rtvoice.log.replay import Frames, replay_log
    from rtvoice.model import Model

    header = log.header
    # Not the tier that suits this machine: a replay tells the same anywhere.
    model = None if args.model is None else Model.load(args.model, tier=args.tier or "auto")
    with console.progress_bar("replaying") as progress:
        if args.out:
            with audio.Writer(args.out, header.sample_rate, header.channels, "FLOAT") as writer:
                behind = log.first

                def take(index: int, out: Frames) -> None:
                    nonlocal behind
                    while behind < index:
                        silence = min(index - behind, 1 << 16)
                        writer.write(_silence(silence, header.channels))
                        behind += silence
                    writer.write(out)
                    behind = index + len(out)

                done = replay_log(log, model=model, files=args.find, on_output=take, progress=progress)
        else:
            done = replay_log(log, model=model, files=args.find, progress=progress)
    failed = done.promised and not done.identical
    if args.json:
        console.print_json(console.finite(done.as_dict()))
        return 1 if failed else 0
    verdict = (
        "nothing to compare"
        if done.compared == 0
        else "bit-identical"
        if done.identical
        else "NOT identical"
        if done.promised
        else "not the same bits"
    )
    rows = [
        ("log", done.log),
        ("model" if len(done.models) == 1 else "models", ", ".join(done.models)),
        ("compared", f"{done.compared / header.sample_rate:.3f} s of {done.frames / header.sample_rate:.3f} s"),
        ("result", verdict + (f" (none were promised: {'; '.join(done.reasons)})" if done.reasons else "")),
    ]
    if done.first_divergence is not None:
        d = done.first_divergence
        where = f"sample {d['index']} ({d['seconds']:.4f} s), channel {d['channel']}"
        rows.append(("first divergence", f"{where}: {d['logged']:.9g} in the log, {d['replayed']:.9g} now"))
        most = max(s.most_difference for s in done.segments)
        rows.append(("most difference", f"{most:.3g}"))
    print(console.facts(rows))
    return 1 if failed else 0


def _silence(frames: int, channels: int) -> Any:
    import numpy as np

    return np.zeros((frames, channels), np.float32)
