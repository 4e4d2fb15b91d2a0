"""rtvoice-bench: its keys, that its figures belong together, and that an allocation would be seen."""

from __future__ import annotations

import ctypes
import json
import os
import platform
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

import rtvoice
from commands import run
from rtvoice.bench import allocations, device
from rtvoice.bench.allocations import count_allocations

KEYS = {
    "model",
    "tier",
    "isa",
    "sample_rate",
    "block",
    "frames",
    "frame_us",
    "budget_us",
    "load",
    "realtime_factor",
    "latency_ms",
    "memory_bytes",
    "mac_per_second",
    "gflops",
    "allocations",
}


@pytest.mark.parametrize("program", ["rtvoice", "rtvoice-bench"])
def test_results_have_the_promised_keys(model_path: Path, program: str) -> None:
    words = ["bench"] if program == "rtvoice" else []
    done = run(*words, model_path, "--seconds", 0.5, "--block", "128,480", "--json", program=program)
    assert (done.status, done.err) == (0, "")
    results = done.json["results"]
    assert [r["block"] for r in results] == [128, 480]
    for r in results:
        assert set(r) == KEYS
        assert set(r["frame_us"]) == {"p50", "p90", "p99", "p999", "max"}
        assert set(r["latency_ms"]) == {"total", "model", "resampler", "buffering"}
        assert set(r["memory_bytes"]) == {"weights", "state", "scratch"}
        us = r["frame_us"]
        assert 0 < us["p50"] <= us["p90"] <= us["p99"] <= us["p999"] <= us["max"]
        assert r["budget_us"] == pytest.approx(1e6 * r["block"] / 48000)
        assert r["load"] == pytest.approx(us["p99"] / r["budget_us"])
        parts = r["latency_ms"]
        assert parts["total"] == pytest.approx(parts["model"] + parts["resampler"] + parts["buffering"], abs=1e-3)
        assert r["frames"] == pytest.approx(0.5 * 48000 / r["block"], abs=1)
    assert done.json["machine"]["isa"] == results[0]["isa"]


def test_cold_adds_its_figures(model_path: Path) -> None:
    done = run(model_path, "--seconds", 0.3, "--cold", "--json", program="rtvoice-bench")
    (result,) = done.json["results"]
    assert set(result) == KEYS | {"cold_us"}
    assert set(result["cold_us"]) == {"p50", "p99"}
    assert result["cold_us"]["p50"] > 0


def test_tiers_tells_which_fits(skins: Path) -> None:
    done = run("echo", "--seconds", 0.3, "--tiers", "--json", program="rtvoice-bench")
    assert [r["tier"] for r in done.json["results"]] == ["default", "hq"]
    assert [(f["model"], f["block"]) for f in done.json["fits"]] == [("echo", 480)]
    text = run("echo", "--seconds", 0.2, "--tiers", program="rtvoice-bench").out
    assert "fits" in text
    assert "nothing was run on those devices" in text


@pytest.mark.parametrize("program", ["rtvoice", "rtvoice-bench"])
def test_a_tier_can_be_named(skins: Path, program: str) -> None:
    words = ["bench"] if program == "rtvoice" else []
    done = run(*words, "echo:hq", "echo:default", "echo", "--seconds", 0.2, "--json", program=program)
    assert (done.status, done.err) == (0, "")
    assert [(r["model"], r["tier"]) for r in done.json["results"]] == [
        ("echo", "hq"),
        ("echo", "default"),
        ("echo", "default"),
    ]


@pytest.mark.parametrize("word", ["echo:low", "ecco:hq", "echo:"])
def test_a_tier_that_is_not_there_is_one_line(skins: Path, word: str) -> None:
    done = run(word, "--seconds", 0.2, "--json", program="rtvoice-bench")
    assert done.status == 1
    assert done.err.startswith("rtvoice-bench: error: ")
    assert done.err.count("\n") == 1


@pytest.mark.parametrize("extension", ["png", "svg"])
def test_plot_writes_a_picture(model_path: Path, tmp_path: Path, extension: str) -> None:
    pytest.importorskip("matplotlib")
    target = tmp_path / f"times.{extension}"
    assert run(model_path, "--seconds", 0.3, "--plot", target, program="rtvoice-bench").status == 0
    assert target.read_bytes().startswith(b"\x89PNG" if extension == "png" else b"<?xml")


def test_a_plot_that_cannot_be_drawn_is_told_before_measuring(model_path: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    (tmp_path / "dir.html").mkdir()
    told = [
        ("--plot", "x.xyz", ".png"),
        ("--plot", "no/x.png", "folder"),
        ("--profile", "/proc/x.json", "cannot be written"),
    ]
    for option, name, word in (*told, ("--plot", "dir.html", "is a folder"), ("--profile", "", "is a folder")):
        done = run(model_path, "--seconds", 1000, option, tmp_path / name, program="rtvoice-bench")
        assert (done.status, done.out, done.err.count("\n")) == (1, "", 1)
        assert word in done.err


def test_tails_go_beyond_the_promised_keys(model_path: Path) -> None:
    done = run(model_path, "--seconds", 0.5, "--block", "64,480", "--json", program="rtvoice-bench")
    for tails, r in zip(done.json["tails"], done.json["results"], strict=True):
        assert {k: tails[k] for k in ("model", "tier", "block")} == {k: r[k] for k in ("model", "tier", "block")}
        assert tails["first_call_us"] > 0 and tails["create_ms"] > 0
        for kind in ("call_us", "scheduled_us"):
            us = tails[kind]
            assert us["p9999"] is None  # 0.5 s are too few calls for one in ten thousand
            told = [us[share] for share in ("p50", "p90", "p99", "p999", "max") if us[share] is not None]
            assert told == sorted(told)
        assert tails["scheduled_us"]["max"] >= tails["call_us"]["max"] - 1e-3
        assert tails["call_us"]["max"] == pytest.approx(r["frame_us"]["max"])


def test_paced_calls_are_held_to_the_clock(model_path: Path) -> None:
    begin = time.monotonic()
    done = run(model_path, "--seconds", 1, "--block", 480, "--paced", "--json", program="rtvoice-bench")
    assert time.monotonic() - begin >= 1.0
    tails = done.json["tails"][0]
    assert tails["paced"] is True
    assert tails["scheduled_us"]["p50"] >= tails["call_us"]["p50"]  # the wake-up is part of it


def test_streams_compares_pools_with_engines(model_path: Path) -> None:
    done = run(model_path, "--seconds", 0.3, "--streams", "1,4", "--json", program="rtvoice-bench")
    assert [s["streams"] for s in done.json["streams"]] == [1, 4]
    one, four = done.json["streams"]
    assert four["memory_bytes"]["weights"] == one["memory_bytes"]["weights"]
    assert four["pool_us_per_stream"] == pytest.approx(four["pool_us"] / 4)
    text = run(model_path, "--seconds", 0.2, "--streams", "2", program="rtvoice-bench").out
    assert "streams a core" in text


def test_sliced_compares_the_schedules(model_path: Path) -> None:
    done = run(model_path, "--seconds", 0.3, "--sliced", "--json", program="rtvoice-bench")
    assert [s["block"] for s in done.json["schedules"]] == [64, 128]
    for entry in done.json["schedules"]:
        assert entry["places"] == {64: 15, 128: 15}[entry["block"]]  # a hop is 240 samples at 48 kHz
        assert entry["sliced"]["latency_ms"] == pytest.approx(entry["inline"]["latency_ms"] + 5.0)


def test_profile_is_measured_and_compared_with_what_is_known(skins: Path, tmp_path: Path) -> None:
    target = tmp_path / "here.json"
    words = ["echo", "--seconds", 0.2, "--tiers", "--profile", target, "--json"]
    report = run(*words, program="rtvoice-bench").json
    profile = json.loads(target.read_text())
    assert profile == report["profile"]
    assert profile["kind"] == "measured"
    assert set(profile["bandwidth_gbs"]) == {"l1", "l2", "l3", "dram"}
    assert profile["fma_gflops"] > 1 and profile["bandwidth_gbs"]["l1"] > profile["bandwidth_gbs"]["dram"] > 0.1
    (fit,) = report["fits"]
    assert set(fit["at"]) == {"0.05", "0.1", "0.25"}
    kinds = {d["name"]: d["kind"] for d in report["devices"]}
    assert {"measured", "estimate"} == set(kinds.values())
    assert all(e["share"] > 0 for d in report["devices"] for e in d["estimate"])


def test_every_known_number_names_its_source() -> None:
    for profile in device.known_profiles():
        assert {"fma_gflops", "bandwidth_gbs"} <= set(profile["sources"])
        if profile["kind"] == "estimate":
            assert "llvm-mca" in profile["sources"]["fma_gflops"]
            assert set(profile["sources"]["bandwidth_gbs"]) == set(profile["bandwidth_gbs"])
            assert profile["sources"]["clock_ghz"] and profile["sources"]["cache_bytes"]


def test_the_estimate_is_the_longer_of_arithmetic_and_bytes(model_path: Path) -> None:
    model = rtvoice.Model.load(model_path)
    flops = 2 * model.info["mac_per_second"] * model.hop / model.sample_rate
    weights = model.info["memory_bytes"]["weights"]
    fast = {"cache_bytes": {}, "bandwidth_gbs": {"dram": 1.0}, "fma_gflops": 1e9}
    assert device.reckon_us(model, fast) == pytest.approx(weights / 1e3)
    slow = {"cache_bytes": {"l2": 1 << 30}, "bandwidth_gbs": {"l2": 1e9, "dram": 1.0}, "fma_gflops": 2.0}
    assert device.reckon_us(model, slow) == pytest.approx(flops / 2e3)
    here = device.reckon_us(model, slow)
    assert device.estimate_share(model, slow, slow, 3 * here) == pytest.approx(
        3 * here * 1e-6 * model.sample_rate / model.hop
    )


def test_a_profile_that_is_none_is_refused(tmp_path: Path) -> None:
    for text in ("{}", "[]", "no", '{"name": 1, "kind": "guess", "fma_gflops": 1, "bandwidth_gbs": {"dram": 1}}'):
        (tmp_path / "p.json").write_text(text)
        with pytest.raises(ValueError, match="p.json"):
            device.load_profile(tmp_path / "p.json")


def test_plot_writes_an_offline_page(model_path: Path, tmp_path: Path) -> None:
    target = tmp_path / "page.html"
    done = run(model_path, "--seconds", 0.2, "--block", "128,480", "--plot", target, program="rtvoice-bench")
    assert (done.status, done.err) == (0, "")
    page = target.read_text()
    for title in (
        "Percentiles against the deadline",
        "Block sizes",
        "Warm and cold",
        "The sliced schedule",
        "With malloc",
    ):
        assert title in page
    assert page.count("<svg") == page.count("</svg>") >= 5
    assert not re.search(r"https?://|src=|@import|url\(", page)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the counter is made for glibc")
def test_malloc_mode_does_allocate(model_path: Path) -> None:
    """The comparison's own control: its calls with malloc are seen by the counter, those without are not."""
    code = (
        "import ctypes, json, sys, numpy as np\n"
        "from rtvoice import Engine, _core\n"
        "count = ctypes.CDLL(None).rtvoice_alloc_count; count.restype = ctypes.c_uint64\n"
        "e = Engine(sys.argv[1], 48000, 480, block=480); x = np.zeros((4, 480), np.float32)\n"
        "def spent(buffers, calls):\n"
        "    a = count(); _core.time_frames(e._core, x, calls, 0, None, buffers); return count() - a\n"
        "[spent(b, 10) for b in (0, 2)]\n"
        "print(json.dumps([spent(b, 1010) - spent(b, 10) for b in (0, 2)]))\n"
    )
    environment = {**os.environ, "LD_PRELOAD": str(allocations._COUNTER)}
    done = subprocess.run(
        [sys.executable, "-c", code, str(model_path)], env=environment, capture_output=True, text=True, check=True
    )
    ours, malloc = json.loads(done.stdout)
    assert abs(ours) < 50
    assert malloc == pytest.approx(4000, abs=50)


def test_an_unknown_model_is_one_line() -> None:
    done = run("nobody", program="rtvoice-bench")
    assert (done.status, done.out, done.err.count("\n")) == (1, "", 1)
    assert "nobody" in done.err


glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the counter is made for glibc")


@glibc
def test_a_planted_allocation_is_counted() -> None:
    """The measurement's own positive control, from outside: each heap call moves the counter by one."""
    code = (
        "import ctypes, json; c = ctypes.CDLL(None)\n"
        "c.malloc.restype = ctypes.c_void_p; c.free.argtypes = [ctypes.c_void_p]\n"
        "n = c.rtvoice_alloc_count; n.restype = ctypes.c_uint64; c.free(c.malloc(9)); a = n(); b = n();"
        "[c.free(c.malloc(9)) for _ in range(50)]; print(json.dumps([b - a, n() - b >= 100]))"
    )
    environment = {**os.environ, "LD_PRELOAD": str(allocations._COUNTER)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [0, True]


@glibc
@pytest.mark.parametrize("rate", [16000, 44100, 48000])
@pytest.mark.parametrize("block", [1, 64, 480])
def test_the_core_allocates_nothing(model_path: Path, rate: int, block: int) -> None:
    assert count_allocations(str(model_path), sample_rate=rate, block=block) == 0


def test_what_cannot_be_measured_is_none(model_path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(allocations, "_COUNTER", tmp_path / "missing.so")
    assert count_allocations(str(model_path), sample_rate=48000, block=480) is None


def test_without_the_counter_nothing_is_claimed() -> None:
    """In a process without the preload the counter must not be found, so that zero is never made up."""
    with pytest.raises(AttributeError):
        ctypes.CDLL(None).rtvoice_alloc_count  # noqa: B018


def test_a_plot_of_another_ending_is_refused_with_all_that_are_known() -> None:
    pytest.importorskip("matplotlib")
    from rtvoice.bench.plot import check_plot

    with pytest.raises(ValueError, match=r"x.txt: end it in .html \(a page\), .png, .svg or .pdf"):
        check_plot("x.txt")
