"""The parts of a comparison, each one process of its own: what a part gives is JSON."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from contest import Contest, open_contest, run_rounds
from native import ROOT, Contender, Native
from rows import ALLOCATIONS, COLD, ROWS, TAIL, Row
from rtvoice.bench.measure import cache_sweep_bytes
from rtvoice.bench.priority import audio_thread_priority
from rtvoice.graph_reader import load_graph

Json = dict[str, Any]
_BY_NAME = {row.name: row for row in ROWS}
_OTHERS = ("torch", "openvino", "tract", "ncnn", "executorch", "litert")
_TEN_MEGABYTES = (256, 13)  # channels and layers of the model whose loading is timed


def _median(values: list[float]) -> float:
    return statistics.median(values)


def _ratio(numerator: list[float], denominator: list[float]) -> float:
    """Return the median of the rounds' ratios."""
    return _median([a / b for a, b in zip(numerator, denominator, strict=True)])


def _open(row: Row, native: Native, folder: Path, others: tuple[str, ...]) -> Contest:
    net = row.build()
    return open_contest(row.name, net.to_bytes(), net.b.graph(), native, folder, others)


def summary(contest: Contest) -> Json:
    """Reduce a contest's rounds to medians: times, ratios to ours, shares of both limits."""
    ours = contest.times["rtvoice"]
    flops, peaks = 2e-3 * contest.macs, contest.peaks
    forms = contest.onnxruntime_forms()
    best = min(forms, key=lambda who: _median(contest.times[who]), default=None)
    result: Json = {
        "macs": contest.macs,
        "weight_bytes": contest.weight_bytes,
        "us": {who: _median(times) for who, times in contest.times.items()},
        "ratio": {who: _ratio(times, ours) for who, times in contest.times.items()},
        "baseline": best,
        "percent_of_peak": 100 * _ratio([flops / us for us in ours], peaks),
        "percent_of_read": 100 * _ratio(contest.read, ours),
        "read_gb_s": 1e-3 * contest.weight_bytes / _median(contest.read),
        "weights_gb_s": 1e-3 * contest.weight_bytes / _median(ours),
        "error": contest.errors,
        "refused": contest.refused,
    }
    if best is not None:
        result["baseline_percent_of_peak"] = 100 * _ratio([flops / us for us in contest.times[best]], peaks)
        result["baseline_percent_of_read"] = 100 * _ratio(contest.read, contest.times[best])
    return result


def networks(options: Json, folder: Path) -> Json:
    """Every row, everyone in turns."""
    native = Native()
    if options.get("avx2"):
        native.hold_to_avx2(folder)
    rows = [row for row in ROWS if not options["rows"] or row.name in options["rows"]]
    if options.get("avx2"):
        rows = [row for row in rows if row.avx2]
    result: Json = {"isa": native.isa, "onnxruntime": native.onnxruntime_version(), "rounds": options["rounds"]}
    contests = []
    for row in rows:
        others: tuple[str, ...] = _OTHERS if row.peers else ("torch",)
        contests.append(_open(row, native, folder, () if options.get("avx2") or options["quick"] else others))
    limits = run_rounds(contests, native, options["rounds"])
    result["peak_gflops"] = _median(limits.peaks)
    result["read_gb_s"] = {level: _median(values) for level, values in limits.read.items()}
    result["masked_queries"] = native.lib.peers_masked_queries()
    result["rows"] = {contest.name: summary(contest) for contest in contests}
    return result


def avx2(options: Json, folder: Path) -> Json:
    """Our AVX2 kernels and onnxruntime without AVX-512 (the parent set RTVOICE_ISA)."""
    return networks({**options, "avx2": True}, folder)


def skins(options: Json, folder: Path) -> Json:
    """Time the shipped skins, as networks and as a 48 kHz host calls them, warm and with swept caches."""
    native, result = Native(), {}
    files = sorted((ROOT / "models").glob("*/*.rtv"))
    contests = []
    for file in files:
        name = f"{file.parent.name}-{file.stem}"
        graph = load_graph(file)
        others = () if options["quick"] else _OTHERS
        try:
            contest = open_contest(name, file.read_bytes(), graph, native, folder, others)
        except (RuntimeError, ValueError) as error:
            result[name] = {"not_run": str(error)}
            continue
        with contextlib.suppress(RuntimeError):
            contest.add("rtvoice host", native.open("host", file))
        contests.append(contest)
    run_rounds(contests, native, options["rounds"])
    cold = _cold_rounds(contests, native, options["rounds"])
    for contest in contests:
        hop_us = 1e6 * contest.graph.hop / contest.graph.sample_rate
        result[contest.name] = {**summary(contest), "hop_us": hop_us, "cold_us": cold[contest.name]["us"]}
    return {"skins": result}


def _cold_rounds(contests: list[Contest], native: Native, rounds: int) -> Json:
    sweep = cache_sweep_bytes()
    times: dict[str, dict[str, list[float]]] = {contest.name: {} for contest in contests}
    reads: dict[str, list[float]] = {contest.name: [] for contest in contests}
    with audio_thread_priority():
        for _, contest in itertools.product(range(rounds), contests):
            reads[contest.name].append(native.lib.peers_read_cold(contest.weight_bytes, sweep))
            for who, contender in contest.contenders.items():
                if isinstance(contender, Contender):
                    times[contest.name].setdefault(who, []).append(contender.time_cold(sweep))
    return {
        name: {
            "us": {who: _median(values) for who, values in each.items()},
            "p99_us": {who: float(np.percentile(values, 99)) for who, values in each.items()},
            "ratio": {who: _ratio(values, each["rtvoice"]) for who, values in each.items()},
            "percent_of_read": 100 * _ratio(reads[name], each["rtvoice"]),
            "read_us": _median(reads[name]),
        }
        for name, each in times.items()
    }


def cold(options: Json, folder: Path) -> Json:
    """Time a hop whose caches other work has swept, beside the warm one, in turns."""
    native = Native()
    contests = [_open(_BY_NAME[name], native, folder, ()) for name in COLD]
    run_rounds(contests, native, options["rounds"])
    swept = _cold_rounds(contests, native, options["rounds"])
    for contest in contests:
        warm = summary(contest)
        swept[contest.name].update(
            warm_us=warm["us"],
            weight_bytes=contest.weight_bytes,
            over_warm={who: swept[contest.name]["us"][who] / warm["us"][who] for who in warm["us"]},
            read_gb_s=1e-3 * contest.weight_bytes / swept[contest.name]["read_us"],
        )
    return {"sweep_bytes": cache_sweep_bytes(), "cold": swept}


@contextlib.contextmanager
def _load_on_every_core() -> Iterator[None]:
    """Keep each core busy at normal priority, with arithmetic and with memory."""
    work = "import numpy as np\na = np.ones(1 << 22)\nwhile True: a = a * 1.0000001 + 1e-9"
    cores = sorted(os.sched_getaffinity(0))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    busy = [
        subprocess.Popen(["taskset", "-c", str(core), sys.executable, "-c", work], env=environment) for core in cores
    ]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


REGISTERS = "registers only"


def tail(options: Json, folder: Path) -> Json:
    """Hops 10 ms apart under SCHED_FIFO while every core is loaded; the yardstick is the warm median without load."""
    native = Native()
    contest = _open(_BY_NAME[TAIL], native, folder, ())
    contenders = {who: c for who, c in contest.contenders.items() if who in ("rtvoice", "onnxruntime conv2d")}
    contenders[REGISTERS] = native.open("registers", folder)
    hops = 200 if options["quick"] else 1500
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(80))
    except OSError as error:
        return {"tail": {}, "tail_not_run": f"SCHED_FIFO is not allowed here ({error.strerror})"}
    result: Json = {}
    for who, contender in contenders.items():
        assert isinstance(contender, Contender)
        contender.paced(50, 0.0)
        warm = contender.paced(400, 0.0)
        with _load_on_every_core():
            contender.paced(20, 10_000.0)
            us = contender.paced(hops, 10_000.0)
        p50 = float(np.percentile(warm, 50))
        result[who] = {
            "hops": hops,
            "warm_p50_us": p50,
            "p99_over_warm_p50": float(np.percentile(us, 99)) / p50,
            **{f"p{q:g}_us": float(np.percentile(us, q)) for q in (50, 99, 99.9)},
            "max_us": float(us.max()),
        }
    return {"tail": result}


def allocations(options: Json, folder: Path) -> Json:
    """Heap calls a hop (the parent preloaded the counter)."""
    native, result, hops = Native(), {}, 200
    for name in ALLOCATIONS:
        contest = _open(_BY_NAME[name], native, folder, ())
        calls = {who: c.heap_calls(hops) for who, c in contest.contenders.items() if isinstance(c, Contender)}
        if min(calls.values()) < 0:
            return {"allocations": {}, "allocations_not_run": "the heap counter could not be preloaded"}
        result[name] = {who: count / 2 / hops for who, count in calls.items()}  # each malloc has its free
        contest.close()
    return {"allocations": result}


def size(options: Json, folder: Path) -> Json:
    """Measure the library stripped, and how long a 10 MB model takes from its file to an engine that can be called."""
    import networks as n
    from onnx_form import to_onnx

    native = Native()
    result: Json = {}
    built = sorted(ROOT.glob("build/bench/librtvoice.so*")) + sorted(ROOT.glob("build/test/librtvoice.so*"))
    library = next((path for path in built if not path.is_symlink()), None)
    if library is not None and shutil.which("strip"):
        copy = folder / "librtvoice.stripped.so"
        subprocess.run(["strip", "-o", str(copy), str(library)], check=True)
        result["library_bytes"] = copy.stat().st_size
    result["onnxruntime_bytes"] = Path(native.onnxruntime.decode()).stat().st_size
    net = n.low_rate(*_TEN_MEGABYTES, 1)
    file, onnx_file = folder / "ten.rtv", folder / "ten.onnx"
    file.write_bytes(net.to_bytes())
    onnx_file.write_bytes(to_onnx(net.b.graph(), "conv2d")[0])
    times: dict[str, list[float]] = {"rtvoice": [], "onnxruntime": []}
    for _ in range(3 if options["quick"] else 15):
        times["rtvoice"].append(native.lib.peers_load_ms(str(file).encode()))
        times["onnxruntime"].append(native.lib.peers_onnxruntime_load_ms(native.onnxruntime, str(onnx_file).encode()))
    result["model_bytes"] = file.stat().st_size
    result["load_ms"] = {who: _median(values) for who, values in times.items()}
    return {"size": result}


PARTS: dict[str, Callable[[Json, Path], Json]] = {
    "networks": networks,
    "avx2": avx2,
    "skins": skins,
    "cold": cold,
    "tail": tail,
    "allocations": allocations,
    "size": size,
}


def run_part(name: str, options: Json, folder: Path, out: Path) -> None:
    """Run a part in this process and write its JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(PARTS[name](options, folder), indent=1))
