"""``rtvoice bench`` and ``rtvoice-bench``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rtvoice.cli import console
from rtvoice.files import check_writable

if TYPE_CHECKING:
    from rtvoice.bench.measure import Measurement
    from rtvoice.model import Model

HELP = "measure the time of each frame, and tell which tier fits this machine"
EXAMPLE = "rtvoice bench whisper --block 128,480 --cold --tiers"

_SWEEP = (32, 64, 128, 256, 480, 1024)


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.add_argument(
        "models",
        metavar="MODEL",
        nargs="*",
        help="skins (whisper, whisper:hq) or .rtv files (default: all, in every tier)",
    )
    parser.add_argument("--rate", metavar="HZ", type=console.whole(8000, 192000), help="of the host (48000)")
    parser.add_argument("--block", metavar="N", type=_blocks, help="samples per frame, or several: 128,480 (10 ms)")
    parser.add_argument("--seconds", metavar="S", type=console.positive, default=10.0, help="of audio for each (10)")
    parser.add_argument("--cold", action="store_true", help="measure also with the caches swept between frames")
    parser.add_argument("--paced", action="store_true", help="call at the pace of a sound card instead of back to back")
    parser.add_argument("--sweep", action="store_true", help="block sizes from 32 to 1024")
    parser.add_argument("--sliced", action="store_true", help="compare the schedules at blocks of 64 and 128")
    parser.add_argument("--streams", metavar="N", type=_streams, help="pools of so many streams: 1,4,16,64")
    parser.add_argument(
        "--from-log",
        metavar="LOG",
        help="a player's own frames: the calls of a real-time log, by default with its model",
    )
    parser.add_argument(
        "--tiers", action="store_true", help="measure every tier and tell which fits, here and elsewhere"
    )
    parser.add_argument("--profile", metavar="FILE", help="write this device's measured limits as JSON")
    parser.add_argument("--plot", metavar="FILE", help="write a page (.html) or a picture (.png, .svg) of the times")
    console.add_common(parser)


def main() -> int:
    """Run ``rtvoice-bench`` and return its exit status."""
    example = EXAMPLE.replace("rtvoice bench", "rtvoice-bench")
    parser = console.Parser(prog="rtvoice-bench", description=HELP, example=example)
    configure(parser)
    return console.guarded("rtvoice-bench", run, parser.parse_args(sys.argv[1:]))


def run(args: argparse.Namespace) -> None:
    """Measure each model at each block size, then print."""
    from rtvoice.bench.measure import cache_sweep_bytes, machine

    page = bool(args.plot) and Path(args.plot).suffix == ".html"
    for option, path in (("--plot", args.plot), ("--profile", args.profile)):
        if path and not Path(path).parent.is_dir():
            raise ValueError(f"{option} {path}: the folder {Path(path).parent} does not exist; make it first")
        if path and Path(path).is_dir():
            raise ValueError(f"{option} {path} is a folder; name the file to write")
        if path:
            check_writable(path)
    if args.plot and not page:
        from rtvoice.bench.plot import check_plot

        check_plot(args.plot)
    if args.from_log:
        _from_log(args)
        return
    args.rate = args.rate or 48000
    models = _models(args.models, args.tiers)
    blocks = list(args.block or [args.rate // 100])
    if args.sweep or (page and not args.block):
        blocks = sorted({*blocks, *_SWEEP})
    report: dict[str, Any] = {"machine": machine()}
    with console.progress_bar("measuring") as progress:
        measured = _measure(args, models, blocks, args.cold or page, progress)
        extras = _extras(args, models, page, progress)
    report["results"] = [m.result for m in measured]
    report["tails"] = [m.tails for m in measured]
    if args.cold or page:
        report["machine"]["swept_bytes"] = cache_sweep_bytes()
    malloc = extras.pop("malloc", None)
    report.update(extras)
    if args.tiers or args.profile:
        _devices(args, report, models)
    if page:
        from rtvoice.bench.page import write_page

        write_page(args.plot, measured, report["machine"], flatness=extras.get("schedules", ()), malloc=malloc)
    elif args.plot:
        from rtvoice.bench.plot import plot_times

        plot_times(measured, args.plot)
    if malloc is not None:
        report["malloc"] = {name: value for name, value in malloc.items() if not name.endswith("_curve")}
    if args.json:
        console.print_json(report)
    else:
        _print(report, args.cold or page)


def _from_log(args: argparse.Namespace) -> None:
    """Time the calls of a log, beside the times that it holds."""
    from rtvoice.bench.from_log import measure_from_log
    from rtvoice.bench.measure import machine
    from rtvoice.log import LogError, read_log
    from rtvoice.log.replay import find_models

    for option in ("rate", "block", "sweep", "cold", "sliced", "streams", "plot", "profile", "tiers"):
        if getattr(args, option):
            raise console.CommandError(f"--from-log takes the frames of the log; leave out --{option}", 2)
    log = read_log(args.from_log)
    for problem in log.problems:
        console.warn(problem)
    if args.models:
        models = _models(args.models, False)
    else:
        line = log.header.created_with[0]
        found = find_models([line.hash])
        if not found:
            raise LogError(f"the log's model {line.name!r}, tier {line.tier!r} is not here; name a model")
        models = list(found.values())
    measured = [measure_from_log(model, log, seconds=args.seconds, paced=args.paced) for model in models]
    report = {
        "machine": machine(),
        "results": [m.result for m in measured],
        "tails": [m.tails for m in measured],
    }
    if args.json:
        console.print_json(report)
        return
    told = measured[0].result["log"]
    print(
        f"{told['path']}: {measured[0].result['frames']} calls of {told['least']} to {told['most']} samples, "
        f"{told['different_sizes']} sizes, {told['channels']} channel(s)\n"
    )
    _print(report, False)
    there = measured[0].result["logged"]
    us = there["frame_us"]
    times = f"p50 {us['p50']:.1f} us, p99 {us['p99']:.1f} us, most {us['max']:.1f} us"
    print(f"\nwhere it was logged ({there['isa']}): {times}, load {there['load']:.1%}, {there['late']} late")


def _measure(
    args: argparse.Namespace,
    models: list[Model],
    blocks: list[int],
    cold: bool,
    progress: Callable[[float], None] | None,
) -> list[Measurement]:
    from rtvoice.bench.measure import measure

    measured: list[Measurement] = []
    total = len(models) * len(blocks)
    for model in models:
        for block in blocks:
            share = progress and _share(progress, len(measured), total)
            measured.append(
                measure(
                    model,
                    sample_rate=args.rate,
                    block=block,
                    seconds=args.seconds,
                    cold=cold,
                    paced=args.paced,
                    progress=share,
                )
            )
    return measured


def _extras(
    args: argparse.Namespace, models: list[Model], page: bool, progress: Callable[[float], None] | None
) -> dict[str, Any]:
    """Measure what was asked for beside the frames: pools, schedules, and for the page malloc."""
    extras: dict[str, Any] = {}
    block = (args.block or [args.rate // 100])[-1]
    if args.streams:
        from rtvoice.bench.streams import measure_streams

        extras["streams"] = [
            entry
            for i, model in enumerate(models)
            for entry in measure_streams(
                model,
                args.streams,
                sample_rate=args.rate,
                block=block,
                seconds=args.seconds,
                progress=progress and _share(progress, i, len(models)),
            )
        ]
    if args.sliced or page:
        from rtvoice.bench.flatness import measure_flatness

        extras["schedules"] = [
            entry
            for model in models
            for entry in measure_flatness(model, sample_rate=args.rate, seconds=args.seconds, progress=progress)
        ]
    if page:
        from rtvoice.bench.allocator import compare_with_malloc

        path = next((m.path for m in models if m.path is not None), None)
        if path is not None:
            extras["malloc"] = compare_with_malloc(
                str(path), sample_rate=args.rate, block=block, seconds=min(args.seconds, 10.0)
            )
    return extras


def _devices(args: argparse.Namespace, report: dict[str, Any], models: list[Model]) -> None:
    from rtvoice.bench import device

    here = device.measure_device()
    report["profile"] = here
    if args.profile:
        device.save_profile(here, args.profile)
    if not args.tiers:
        return
    report["fits"] = _fits(report["results"])
    report["devices"] = []
    results = report["results"]
    for profile in device.known_profiles():
        shares = []
        for model in models:
            own = [r for r in results if (r["model"], r["tier"]) == (model.name, model.tier)]
            if own:
                hop_us = own[0]["realtime_factor"] * 1e6 * model.hop / model.sample_rate
                share = device.estimate_share(model, profile, here, hop_us)
                shares.append({"model": model.name, "tier": model.tier, "share": share})
        report["devices"].append(
            {
                "name": profile["name"],
                "kind": profile["kind"],
                "fma_gflops": profile["fma_gflops"],
                "bandwidth_gbs": profile["bandwidth_gbs"],
                "estimate": shares,
            }
        )


def _share(progress: Callable[[float], None], done: int, total: int) -> Callable[[float], None]:
    return lambda part: progress((done + part) / total)


def _models(names: list[str], tiers: bool) -> list[Model]:
    from rtvoice.model import Model
    from rtvoice.registry import looks_like_path, models

    skins = models()
    every = tiers or not names
    if not names:
        names = list(dict.fromkeys(skin.name for skin in skins))
        if not names:
            raise console.CommandError("no skins are installed; name a .rtv file or set RTVOICE_MODELS")
    chosen: list[Model] = []
    called = {skin.name for skin in skins}
    for name in names:
        skin_name, colon, tier = name.rpartition(":")
        if colon and skin_name in called and name not in called and not looks_like_path(name):
            chosen.append(Model.load(skin_name, tier=tier))  # the one that is named, also with --tiers
            continue
        paths = [skin.path for skin in skins if skin.name == name and not looks_like_path(name)]
        chosen += [Model.load(path) for path in paths] if every and paths else [Model.load(name)]
    return chosen


def _fits(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Find each model's costliest tier whose p99 stays below each share; cold frames count where they were measured.

    ``tier`` is the one that fits half of the frame's time, the most that leaves room for a game.
    """
    from rtvoice.bench.device import SHARES
    from rtvoice.bench.measure import FITS_BELOW_LOAD

    fits = []
    for name, block in dict.fromkeys((r["model"], r["block"]) for r in results):
        rows = [r for r in results if (r["model"], r["block"]) == (name, block)]
        fit: dict[str, Any] = {"model": name, "block": block, "tier": _best(rows, FITS_BELOW_LOAD)}
        fit["at"] = {f"{share:g}": _best(rows, share) for share in SHARES}
        fits.append(fit)
    return fits


def _best(rows: list[dict[str, Any]], limit: float) -> str | None:
    able = [r for r in rows if max(r["load"], r.get("cold_us", {}).get("p99", 0.0) / r["budget_us"]) < limit]
    best = max(able, key=lambda r: float(r["mac_per_second"]), default=None)
    return None if best is None else str(best["tier"])


def _print(report: dict[str, Any], cold: bool) -> None:
    print(f"{report['machine']['cpu']}, {report['machine']['isa']}, {report['machine']['priority']} priority\n")
    tails = report["tails"]
    rows = [_row(r, t, cold) for r, t in zip(report["results"], tails, strict=True)]
    print(console.table(_head(cold), rows))
    if "streams" in report:
        print("\nmany streams in one pool, against engines one after the other")
        head = ["skin", "tier", "streams", "us a call", "us a stream", "alone", "gain", "streams a core"]
        print(console.table(head, [_stream_row(s) for s in report["streams"]]))
    if "schedules" in report:
        print("\nthe largest callback of a hop over the median one (over the mean one)")
        head = ["skin", "tier", "block", "inline", "sliced", "inline us", "sliced us"]
        print(console.table(head, [_schedule_row(s) for s in report["schedules"]]))
    if "malloc" in report:
        ours, malloc = report["malloc"]["ours_us"], report["malloc"]["malloc_us"]
        print(f"\nbeside {report['malloc']['threads']} threads that allocate: p50, p99, max us")
        print(
            console.table(
                ["", "p50", "p99", "max"],
                [_percentile_row(n, u) for n, u in (("as it is", ours), ("with malloc", malloc))],
            )
        )
    if "profile" in report:
        _print_profile(report["profile"])
    for fit in report.get("fits", []):
        at = ", ".join(f"{float(share):.0%}: {tier or 'none'}" for share, tier in fit["at"].items())
        print(f"\n{fit['model']} at {fit['block']} samples: {fit['tier'] or 'no tier'} fits; by share of a core: {at}")
    if report.get("devices"):
        _print_devices(report["devices"])


def _print_profile(profile: dict[str, Any]) -> None:
    bandwidth = ", ".join(f"{name} {value:.0f}" for name, value in profile["bandwidth_gbs"].items())
    print(f"\nthis core: {profile['fma_gflops']:.0f} GFLOP/s of multiply-adds; reads in GB/s: {bandwidth}")


def _print_devices(devices: list[dict[str, Any]]) -> None:
    names = [f"{e['model']} {e['tier']}" for e in devices[0]["estimate"]]
    print("\nshare of a core, reckoned from each device's limits and the times here; nothing was run on those devices")
    rows = [
        [d["name"], d["kind"], f"{d['fma_gflops']:.0f}", *(f"{e['share']:.1%}" for e in d["estimate"])] for d in devices
    ]
    print(console.table(["device", "limits", "GFLOP/s", *names], rows))


def _head(cold: bool) -> list[str]:
    head = ["skin", "tier", "block", "p50 us", "p99 us", "p99.99 us", "max us", "due p99.99", "first us", "budget us"]
    head += ["load", "RTF", "latency ms", "GFLOP/s"]
    return [*head, "cold p50", "cold p99", "allocations"] if cold else [*head, "allocations"]


def _row(r: dict[str, Any], tails: dict[str, Any], cold: bool) -> list[str]:
    us, latest = r["frame_us"], tails["scheduled_us"]["p9999"]
    row = [r["model"], r["tier"], str(r["block"]), f"{us['p50']:.1f}", f"{us['p99']:.1f}"]
    row += [_or_dash(tails["call_us"]["p9999"]), f"{us['max']:.1f}", _or_dash(latest), f"{tails['first_call_us']:.1f}"]
    row += [f"{r['budget_us']:.0f}", f"{r['load']:.1%}", f"{r['realtime_factor']:.4f}"]
    row += [f"{r['latency_ms']['total']:.2f}", f"{r['gflops']:.1f}"]
    if cold:
        row += [f"{r['cold_us']['p50']:.1f}", f"{r['cold_us']['p99']:.1f}"]
    return [*row, "not measured" if r["allocations"] is None else str(r["allocations"])]


def _or_dash(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _stream_row(s: dict[str, Any]) -> list[str]:
    row = [s["model"], s["tier"], str(s["streams"]), f"{s['pool_us']:.1f}", f"{s['pool_us_per_stream']:.1f}"]
    return [*row, f"{s['alone_us_per_stream']:.1f}", f"{s['gain']:.2f}", f"{s['streams_per_core']:.0f}"]


def _schedule_row(s: dict[str, Any]) -> list[str]:
    both = [f"{s[k]['max_over_median']:.1f} ({s[k]['max_over_mean']:.1f})" for k in ("inline", "sliced")]
    return [s["model"], s["tier"], str(s["block"]), *both, *(f"{s[k]['max_us']:.1f}" for k in ("inline", "sliced"))]


def _percentile_row(name: str, us: dict[str, float | None]) -> list[str]:
    return [name, *(_or_dash(us[key]) for key in ("p50", "p99", "max"))]


def _blocks(text: str) -> list[int]:
    return [console.whole(1, 65536)(part) for part in text.split(",")]


def _streams(text: str) -> list[int]:
    return [console.whole(1, 1024)(part) for part in text.split(",")]
