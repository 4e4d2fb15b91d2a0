"""rtvoice-bench: its keys, that its figures belong together, and that an allocation would be seen."""

from __future__ import annotations

import ctypes
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from commands import run
from rtvoice.bench import allocations
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
    text = run("echo", "--seconds", 0.3, "--tiers", program="rtvoice-bench").out
    assert "fits" in text


@pytest.mark.parametrize("extension", ["png", "svg"])
def test_plot_writes_a_picture(model_path: Path, tmp_path: Path, extension: str) -> None:
    pytest.importorskip("matplotlib")
    target = tmp_path / f"times.{extension}"
    assert run(model_path, "--seconds", 0.3, "--plot", target, program="rtvoice-bench").status == 0
    assert target.read_bytes().startswith(b"\x89PNG" if extension == "png" else b"<?xml")


def test_a_plot_that_cannot_be_drawn_is_told_before_measuring(model_path: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    for target, word in ((tmp_path / "x.xyz", ".png"), (tmp_path / "no" / "x.png", "folder")):
        done = run(model_path, "--seconds", 1000, "--plot", target, program="rtvoice-bench")
        assert (done.status, done.out, done.err.count("\n")) == (1, "", 1)
        assert word in done.err


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
