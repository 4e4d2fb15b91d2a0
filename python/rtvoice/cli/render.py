"""``rtvoice render``: a file through the streaming engine."""

from __future__ import annotations

import argparse

from rtvoice.cli import console
from rtvoice.registry import DEFAULT_SKIN

HELP = "run the streaming engine over an audio file, as a host would"
EXAMPLE = "rtvoice render speech.wav whisper.flac --model whisper --block 480"


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.add_argument("input", metavar="IN", help="audio file: wav, flac, ogg, mp3, ...")
    parser.add_argument("output", metavar="OUT", help="audio file to write; the extension tells the format")
    parser.add_argument(
        "--model", metavar="M", default=DEFAULT_SKIN, help=f"a skin or a .rtv file (default: {DEFAULT_SKIN})"
    )
    console.add_tier(parser)
    parser.add_argument(
        "--rate", metavar="HZ", type=console.whole(8000, 192000), help="rate of the host; the file is converted to it"
    )
    parser.add_argument(
        "--block",
        metavar="N",
        type=console.whole(1, 65536),
        help="call the engine with exactly N samples each time (default: 10 ms, and any size allowed)",
    )
    parser.add_argument("--seed", metavar="S", type=console.whole(0, 2**64 - 1), default=0, help="of the model's noise")
    parser.add_argument("--raw-latency", action="store_true", help="leave the output as late as the engine gives it")
    console.add_common(parser)


def run(args: argparse.Namespace) -> None:
    """Render, then print what it took."""
    from rtvoice import audio
    from rtvoice.render import render_file

    info = audio.probe(args.input)
    if args.rate is None and not 8000 <= info.sample_rate <= 192000:
        raise console.CommandError(
            f"{args.input} is at {info.sample_rate} Hz, engines run at 8000 to 192000; add --rate 48000"
        )
    if info.channels > 32:
        raise console.CommandError(
            f"{args.input} has {info.channels} channels, engines take 1 to 32; split the file first"
        )
    with console.progress_bar("rendering") as progress:
        report = render_file(
            args.input,
            args.output,
            args.model,
            tier=args.tier,
            sample_rate=args.rate,
            block=args.block,
            seed=args.seed,
            raw_latency=args.raw_latency,
            progress=progress,
        )
    if report.missing:
        there = max(info.declared - report.missing, 0)
        console.warn(f"{args.input} is cut short: the file says {info.declared} frames, {there} are there")
    elif info.cut_short:
        console.warn(f"{args.input} is cut short: its end is missing, {info.frames} frames are there")
    if report.nonfinite:
        console.warn(f"{args.input}: {report.nonfinite} samples or hops were not finite and were replaced by silence")
    if report.clipped:
        console.warn(f"{args.output}: {report.clipped} samples were above full scale and were clipped")
    if args.json:
        console.print_json(report.as_dict())
        return
    us = report.frame_us
    speed = f"{report.realtime_factor:.4f} ({1 / report.realtime_factor:.0f}x faster than real time)"
    times = f"p50 {us['p50']:.0f} us, p99 {us['p99']:.0f} us of {report.budget_us:.0f} us"
    print(
        console.facts(
            [
                ("input", report.input),
                ("output", report.output),
                ("skin", f"{report.model} ({report.tier})"),
                ("audio", f"{report.seconds:.2f} s, {report.sample_rate} Hz, {report.channels} channel(s)"),
                ("real-time factor", speed),
                ("latency", f"{report.latency_ms:.2f} ms ({report.latency_samples} samples)"),
                ("frame", f"{report.block} samples: {times}"),
            ]
        )
    )
