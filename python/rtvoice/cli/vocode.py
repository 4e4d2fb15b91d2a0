"""``rtvoice vocode``: a recording's mel frames back to speech, by a neural vocoder."""

from __future__ import annotations

import argparse

from rtvoice.cli import console

HELP = "turn a recording into mel frames and those back into speech, with a neural vocoder"
EXAMPLE = "rtvoice vocode speech.wav spoken.wav --network flow"
NETWORKS = ("wavenet", "flow")


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.add_argument("input", metavar="IN", help="audio file that is heard as mel frames: wav, flac, ogg, mp3, ...")
    parser.add_argument("output", metavar="OUT", help="audio file to write, mono at 16 kHz, as long as the input")
    parser.add_argument(
        "--network",
        choices=NETWORKS,
        default="wavenet",
        help="wavenet draws sample by sample, flow makes all in one pass (default: wavenet)",
    )
    parser.add_argument("--model", metavar="M", help="another vocoder's .rtv file")
    parser.add_argument("--seed", metavar="S", type=console.whole(0, 2**64 - 1), default=0, help="of the draws")
    console.add_common(parser)


def run(args: argparse.Namespace) -> None:
    """Vocode, then print what it took."""
    from rtvoice.vocoding import vocode_file

    with console.progress_bar("vocoding") as progress:
        report = vocode_file(args.input, args.output, args.model or args.network, seed=args.seed, progress=progress)
    if report.clipped:
        console.warn(f"{args.output}: {report.clipped} samples were above full scale and were clipped")
    if report.nonfinite:
        console.warn(f"{args.input}: {report.nonfinite} samples were not finite and were heard as silence")
    if args.json:
        console.print_json(report.as_dict())
        return
    apart = report.log_spectral_distance_db
    print(
        console.facts(
            [
                ("input", report.input),
                ("output", report.output),
                ("vocoder", report.model),
                ("audio", f"{report.seconds:.2f} s, {report.sample_rate} Hz"),
                ("real-time factor", f"{report.realtime_factor:.4f} ({1 / report.realtime_factor:.0f}x real time)"),
                (
                    "a sample",
                    f"{report.sample_us:.2f} us of the thread's own time, {report.macs_per_sample:,} multiply-adds",
                ),
                ("latency", f"{report.latency_ms:.1f} ms"),
                (
                    "log-spectral distance",
                    "too short for one" if apart is None else f"{apart:.2f} dB to what was heard",
                ),
            ]
        )
    )
