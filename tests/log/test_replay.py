"""Replays: the same bits from where the whole state is known, whatever was set, swapped or moved meanwhile."""

from __future__ import annotations

import threading
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rtvoice
from rtvoice.log import LogError, read_log
from rtvoice.log.replay import replay_log
from rtvoice.log.summary import summarise
from small_model import build_model

RATE = 48000


def noise(frames: int, seed: int = 0) -> np.ndarray[Any, np.dtype[np.float32]]:
    return (np.random.default_rng(seed).standard_normal(frames) * 0.1).astype(np.float32)


def sizes(count: int, most: int, seed: int = 1) -> list[int]:
    return [int(n) for n in np.random.default_rng(seed).integers(0, most + 1, count)]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"channels": 2, "seed": 7},
        {"sample_rate": 44100, "schedule": "sliced"},
        {"sample_rate": 44100, "resampler": "fastest"},
        {"block": 480, "max_frame": 480},
    ],
    ids=["plain", "stereo with a seed", "44.1 kHz sliced", "libsamplerate", "promised blocks"],
)
def test_the_same_bits_with_parameters_mix_bypass_and_resets(
    model: rtvoice.Model, tmp_path: Path, options: dict[str, Any]
) -> None:
    given = {"sample_rate": RATE, "max_frame": 512, **options}
    engine = rtvoice.Engine(model, **given)
    random = np.random.default_rng(3)
    shape = (lambda n: (n,)) if engine.channels == 1 else (lambda n: (n, engine.channels))
    with engine.log(tmp_path / "a.rtlog"):
        for call in range(300):
            if call % 7 == 3:
                engine.set("gain", float(random.uniform(0, 4)))
                engine.set("hiss", float(random.uniform(0, 1)))
            if call % 41 == 40:
                engine.set("mix", float(random.uniform(0, 1)))
            if call % 60 == 50:
                engine.bypass = not engine.bypass
            if call == 150:
                engine.reset()
            n = given.get("block") or int(random.integers(0, 513))
            engine.process((random.standard_normal(shape(n)) * 0.1).astype(np.float32))
    done = replay_log(read_log(tmp_path / "a.rtlog"), files=[model.path or ""])
    assert done.promised and done.identical, done
    assert done.compared == done.frames and len(done.segments) == 2


def test_parameters_set_by_another_thread_fall_into_the_same_calls(model: rtvoice.Model, tmp_path: Path) -> None:
    engine = rtvoice.Engine(model, RATE, 512)
    stop = threading.Event()

    def meddle() -> None:
        random = np.random.default_rng(5)
        while not stop.is_set():
            engine.set("gain", float(random.uniform(0, 4)))
            engine.set("mix", float(random.uniform(0, 1)))

    thread = threading.Thread(target=meddle)
    thread.start()
    with engine.log(tmp_path / "a.rtlog", ring_ms=20000):
        for call, size in enumerate(sizes(1500, 512)):
            engine.process(noise(size))
            if call % 10 == 9:
                time.sleep(0.0005)
    stop.set()
    thread.join()
    log = read_log(tmp_path / "a.rtlog")
    assert sum(event.kind == "parameter" for event in log.events) > 20
    done = replay_log(log, files=[model.path or ""])
    assert done.promised and done.identical, done.first_divergence


def test_swaps_come_in_at_their_sample(skins: Path, tmp_path: Path) -> None:
    engine = rtvoice.Engine("echo", RATE, 512, tier="default", fade_ms=3)
    names = ["loud", "echo", "loud"]
    with engine.log(tmp_path / "a.rtlog"):
        for call, size in enumerate(sizes(400, 512)):
            if call % 100 == 50 and names:
                engine.set("gain", 0.5 + 0.3 * len(names))
                engine.swap(names.pop(), tier="default")
                engine.set("hiss", 0.1 * len(names))
            if call == 330:
                engine.reset()
            engine.process(noise(size, call))
    log = read_log(tmp_path / "a.rtlog")
    assert sum(event.kind == "swap" for event in log.events) == 3
    assert not any("latency" in event.values for event in log.events), "it is the same engine"
    done = replay_log(log)
    assert done.promised and done.identical, done.first_divergence
    assert len(done.segments) == 2
    assert done.models == ["echo (default)", "loud (default)"]


def test_a_log_begun_after_a_swap_replays_from_its_reset(skins: Path, tmp_path: Path) -> None:
    engine = rtvoice.Engine("echo", RATE, 512, tier="default", fade_ms=3)
    engine.swap("loud")
    for call in range(20):
        engine.process(noise(512, call))
    with engine.log(tmp_path / "a.rtlog"):
        for call in range(20):
            engine.process(noise(512, call))
        engine.reset()
        for call in range(20):
            engine.process(noise(512, call))
    log = read_log(tmp_path / "a.rtlog")
    assert summarise(log)["model"] == {"name": "loud", "tier": "default"}, "the one that is heard, not the head's"
    done = replay_log(log)
    assert done.promised and done.identical, done.first_divergence
    assert done.compared == 20 * 512


@pytest.mark.parametrize("late", [False, True], ids=["held by hand", "moved by the load"])
def test_tiers_move_where_they_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, late: bool) -> None:
    folder = tmp_path / "skins" / "echo"
    folder.mkdir(parents=True)
    build_model(folder / "hq.rtv", tier="hq", gain=1.5)
    build_model(folder / "default.rtv", tier="default")
    monkeypatch.setenv("RTVOICE_MODELS", str(tmp_path / "skins"))
    engine = rtvoice.Engine("echo", RATE, 512, tier="hq", fallback="default", fade_ms=3)
    engine.log(tmp_path / "b.rtlog").stop()
    ticks = int(10 * 512 / RATE * read_log(tmp_path / "b.rtlog").header.ticks_per_second)
    budget = 512 / RATE * read_log(tmp_path / "b.rtlog").header.ticks_per_second
    held = ["default", "hq", "auto", "default"]
    with engine.log(tmp_path / "a.rtlog"):
        for call in range(240):
            if not late and call % 60 == 30:
                engine.tier = held.pop()
            if late:  # no machine can be made late on demand
                engine._core.pretend_load(ticks / budget if 60 <= call <= 70 else 0.0)
            engine.process(noise(512, call))
    if late:
        rewrite_ticks(tmp_path / "a.rtlog", {call: ticks if 60 <= call <= 70 else 0 for call in range(240)})
    log = read_log(tmp_path / "a.rtlog")
    assert len(set(log.calls.tier.tolist())) == 2
    done = replay_log(log)
    assert done.promised and done.identical, done.first_divergence
    if late:
        rewrite_ticks(tmp_path / "a.rtlog", dict.fromkeys(range(240), 0))
        never_late = replay_log(read_log(tmp_path / "a.rtlog"))
        assert not never_late.identical and never_late.first_divergence is not None
        assert never_late.first_divergence["index"] >= 60 * 512


def rewrite_ticks(path: Path, ticks: dict[int, int]) -> None:
    """Let calls have taken so long, checksums and all."""
    raw = bytearray(path.read_bytes())
    log = read_log(path)
    for call, value in ticks.items():
        at = int(log.calls.offset[call]) - 24
        raw[at : at + 8] = value.to_bytes(8, "little")
    at = raw.index(b"RLCK")
    while at < len(raw):
        size = int.from_bytes(raw[at + 4 : at + 8], "little")
        raw[at + 24 : at + 28] = zlib.crc32(raw[at + 32 : at + 32 + size]).to_bytes(4, "little")
        raw[at + 28 : at + 32] = zlib.crc32(raw[at : at + 28]).to_bytes(4, "little")
        at += 32 + size
    path.write_bytes(raw)


def test_behind_a_gap_it_goes_on_at_the_next_reset(model: rtvoice.Model, tmp_path: Path) -> None:
    engine = rtvoice.Engine(model, RATE, 4096)
    with pytest.warns(RuntimeWarning, match="were not logged"), engine.log(tmp_path / "a.rtlog", ring_ms=0) as log:
        for call in range(3):
            engine.process(noise(100, call))
        while log.status().gaps == 0:
            for call in range(200):
                engine.process(noise(4096, call))
        while log.status().frames == 0:
            pass
        threading.Event().wait(0.1)
        engine.reset()
        engine.process(noise(4096))
        threading.Event().wait(0.1)
    done = replay_log(read_log(tmp_path / "a.rtlog"), files=[model.path or ""])
    assert done.promised and done.identical, done.first_divergence
    assert len(done.segments) == 2 and 4396 <= done.compared < done.frames


def test_sixteen_bits_and_other_models_promise_nothing_and_tell_how_far_they_are(
    model: rtvoice.Model, skins: Path, tmp_path: Path
) -> None:
    engine = rtvoice.Engine(model, RATE, 512)
    with engine.log(tmp_path / "a.rtlog", audio="pcm16"):
        for call in range(50):
            engine.process(noise(512, call))
    coarse = replay_log(read_log(tmp_path / "a.rtlog"), files=[model.path or ""])
    assert not coarse.promised and not coarse.identical
    assert coarse.segments[0].most_difference < 0.01
    other = replay_log(read_log(tmp_path / "a.rtlog"), model=rtvoice.Model.load("loud"))
    assert not other.promised and other.first_divergence is not None
    assert other.segments[0].most_difference > 0.01


def test_a_model_that_is_not_here_is_named(model: rtvoice.Model, tmp_path: Path) -> None:
    engine = rtvoice.Engine(model, RATE, 512)
    with engine.log(tmp_path / "a.rtlog"):
        engine.process(noise(512))
    with pytest.raises(LogError, match="'echo'.*--find"):
        replay_log(read_log(tmp_path / "a.rtlog"))


def test_a_changed_sample_is_found_where_it_is(model: rtvoice.Model, tmp_path: Path) -> None:
    engine = rtvoice.Engine(model, RATE, 512)
    with engine.log(tmp_path / "a.rtlog"):
        for call in range(50):
            engine.process(noise(512, call))
    log = read_log(tmp_path / "a.rtlog")
    outputs: list[Any] = []
    clean = replay_log(log, files=[model.path or ""], on_output=lambda index, out: outputs.append(out))
    assert clean.identical and np.array_equal(np.concatenate(outputs), log.audio(0, log.frames)[1])
    original = log.frames_of

    def spoiled(first: int, stop: int) -> Any:
        for number, given, made in original(first, stop):
            if number == 20:
                made = made.copy()
                made[33, 0] = np.nextafter(made[33, 0], np.float32(1))
            yield number, given, made

    log.frames_of = spoiled  # type: ignore[method-assign]
    done = replay_log(log, files=[model.path or ""])
    assert not done.identical and done.first_divergence is not None
    assert done.first_divergence["index"] == 20 * 512 + 33
