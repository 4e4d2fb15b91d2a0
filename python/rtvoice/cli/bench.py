"""``rtvoice bench`` and ``rtvoice-bench``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rtvoice.cli import console

if TYPE_CHECKING:
    from rtvoice.bench.measure import Measurement
    from rtvoice.model import Model

HELP = "measure the time of each frame, and tell which tier fits this machine"
EXAMPLE = "rtvoice bench whisper --block 128,480 --cold --tiers"


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.add_argument("models", metavar="MODEL", nargs="*", help="skins or .rtv files (default: all installed)")
    parser.add_argument(
        "--rate", metavar="HZ", type=console.whole(8000, 192000), default=48000, help="of the host (48000)"
    )
    parser.add_argument("--block", metavar="N", type=_blocks, help="samples per frame, or several: 128,480 (10 ms)")
    parser.add_argument("--seconds", metavar="S", type=console.positive, default=10.0, help="of audio for each (10)")
    parser.add_argument("--cold", action="store_true", help="measure also with the caches swept between frames")
    parser.add_argument("--tiers", action="store_true", help="measure every tier and tell which fits")
    parser.add_argument("--plot", metavar="FILE", help="write a picture of the distribution (.png, .svg)")
    console.add_common(parser)


def main() -> int:
    """Run ``rtvoice-bench`` and return its exit status."""
    example = EXAMPLE.replace("rtvoice bench", "rtvoice-bench")
    parser = console.Parser(prog="rtvoice-bench", description=HELP, example=example)
    configure(parser)
    return console.guarded("rtvoice-bench", run, parser.parse_args(sys.argv[1:]))


def run(args: argparse.Namespace) -> None:
    """Measure each model at each block size, then print."""
    from rtvoice.bench.measure import FITS_BELOW_LOAD, cache_sweep_bytes, machine, measure
    from rtvoice.bench.plot import check_plot, plot_times

    if args.plot:
        check_plot(args.plot)
    models = _models(args.models, args.tiers)
    blocks = args.block or [args.rate // 100]
    measured: list[Measurement] = []
    total = len(models) * len(blocks)
    with console.progress_bar("measuring") as progress:
        for model in models:
            for block in blocks:
                share = progress and _share(progress, len(measured), total)
                measured.append(
                    measure(
                        model,
                        sample_rate=args.rate,
                        block=block,
                        seconds=args.seconds,
                        cold=args.cold,
                        progress=share,
                    )
                )
    if args.plot:
        plot_times(measured, args.plot)
    results = [m.result for m in measured]
    report: dict[str, Any] = {"machine": machine(), "results": results}
    if args.cold:
        report["machine"]["swept_bytes"] = cache_sweep_bytes()
    if args.tiers:
        report["fits"] = _fits(results, FITS_BELOW_LOAD)
    if args.json:
        console.print_json(report)
        return
    print(f"{report['machine']['cpu']}, {report['machine']['isa']}, {report['machine']['priority']} priority\n")
    print(console.table(_head(args.cold), [_row(r, args.cold) for r in results]))
    for fit in report.get("fits", []):
        tier = fit["tier"] or "no tier"
        limit = f"p99 below {FITS_BELOW_LOAD:.0%} of the frame's time"
        print(f"\n{fit['model']} at {fit['block']} samples: {tier} fits ({limit})")


def _share(progress: Callable[[float], None], done: int, total: int) -> Callable[[float], None]:
    return lambda part: progress((done + part) / total)


def _models(names: list[str], tiers: bool) -> list[Model]:
    from rtvoice.model import Model
    from rtvoice.registry import looks_like_path, models

    skins = models()
    if not names:
        names = list(dict.fromkeys(skin.name for skin in skins))
        if not names:
            raise console.CommandError("no skins are installed; name a .rtv file or set RTVOICE_MODELS")
    chosen: list[Model] = []
    for name in names:
        paths = [skin.path for skin in skins if skin.name == name and not looks_like_path(name)]
        chosen += [Model.load(path) for path in paths] if tiers and paths else [Model.load(name)]
    return chosen


def _fits(results: list[dict[str, Any]], limit: float) -> list[dict[str, Any]]:
    """Find each model's costliest tier that stays below the limit; cold frames count where they were measured."""
    fits = []
    for name, block in dict.fromkeys((r["model"], r["block"]) for r in results):
        rows = [r for r in results if (r["model"], r["block"]) == (name, block)]
        able = [r for r in rows if max(r["load"], r.get("cold_us", {}).get("p99", 0.0) / r["budget_us"]) < limit]
        best = max(able, key=lambda r: float(r["mac_per_second"]), default=None)
        fits.append({"model": name, "block": block, "tier": best and best["tier"]})
    return fits


def _head(cold: bool) -> list[str]:
    head = ["skin", "tier", "block", "p50 us", "p99 us", "max us", "budget us", "load", "RTF", "latency ms", "GFLOP/s"]
    return [*head, "cold p50", "cold p99", "allocations"] if cold else [*head, "allocations"]


def _row(r: dict[str, Any], cold: bool) -> list[str]:
    us = r["frame_us"]
    row = [r["model"], r["tier"], str(r["block"]), f"{us['p50']:.1f}", f"{us['p99']:.1f}", f"{us['max']:.1f}"]
    row += [f"{r['budget_us']:.0f}", f"{r['load']:.1%}", f"{r['realtime_factor']:.4f}"]
    row += [f"{r['latency_ms']['total']:.2f}", f"{r['gflops']:.1f}"]
    if cold:
        row += [f"{r['cold_us']['p50']:.1f}", f"{r['cold_us']['p99']:.1f}"]
    return [*row, "not measured" if r["allocations"] is None else str(r["allocations"])]


def _blocks(text: str) -> list[int]:
    return [console.whole(1, 65536)(part) for part in text.split(",")]
