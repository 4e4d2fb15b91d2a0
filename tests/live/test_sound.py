"""Microphone to speaker, end to end, without a sound card: `rtvoice live` as a person starts it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from commands import run
from live import bed
from live.bed import RATE, Bed, Server
from live.xruns import Stolen, busy, ours, verdict
from rtvoice import audio
from rtvoice.log import read_log
from rtvoice.model import Model

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(bed.missing()), reason=bed.missing())]
SPEECH = Path("/usr/share/sounds/alsa")
#: Keys, and what is shown once they are pressed, in this order.
PRESSED = (
    ("b", "BYPASS"),
    ("m", "MUTE"),
    ("-", "95 % wet"),
    ("g", "gate closed"),
    ("h", "measured by chirps"),
    ("l", "no folder for logs"),
    ("t", "whisper (hq)"),
)
IMPATIENT = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <time.h>
int pthread_cond_timedwait(pthread_cond_t* cond, pthread_mutex_t* mutex, const struct timespec* until) {
  int (*wait)(pthread_cond_t*, pthread_mutex_t*, const struct timespec*);
  struct timespec now, end = *until;
  *(void**)&wait = dlsym(RTLD_NEXT, "pthread_cond_timedwait");
  clock_gettime(CLOCK_REALTIME, &now);
  if (end.tv_sec - now.tv_sec > 300) end.tv_sec = now.tv_sec + 5;
  return wait(cond, mutex, &end);
}
"""
#: A session that changes its skin twice while it logs: to another set of tiers, and to another latency and back.
EXCHANGES = """
import json, sys, time
from pathlib import Path
from rtvoice.live.session import Session
from rtvoice.live.settings import Settings
latencies, told = [], []
settings = Settings(model="whisper", input="bed", output="bed", block=128, limiter=True)
with Session(settings, lambda event: told.append(event.text)) as session:
    path = session.log_on(Path(sys.argv[1]))
    session.start()
    for name, tier in (("whisper", "default"), ("whisper", "hq"), ("heart", "default")):
        if latencies:
            session.set_skin(name, tier)
            session.set_mix(0.9)
        latencies.append(session.engine.latency)
        time.sleep(0.5)
        if len(latencies) > 1:
            now = f"latency now {session.snapshot()['latency_ms']['engine']:.1f} ms"
            assert any(text.endswith(now) for text in told), (now, told)
    assert session.log_path == path, "the log goes on"
print(json.dumps(latencies))
"""
CLIPS = ("Front_Center", "Rear_Left", "Side_Right")


class Live:
    """``rtvoice live --json-lines`` in a process of its own; its lines as they come."""

    def __init__(self, *words: object, **environment: str) -> None:
        command = [str(Path(sys.executable).with_name("rtvoice")), "live", "--json-lines", *map(str, words)]
        self._process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            env={**os.environ, **environment},
        )
        self.lines: list[dict[str, Any]] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(json.loads(line))

    def wait_for(self, seconds: float = 20.0, **wanted: Any) -> dict[str, Any]:
        """Return the first line that has these values."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for line in list(self.lines):
                if all(line.get(name) == value for name, value in wanted.items()):
                    return line
            if self._process.poll() is not None and not self._reader.is_alive():
                break
            time.sleep(0.02)
        assert self._process.stderr is not None
        ended = self._process.poll() is not None
        raise AssertionError(f"no line with {wanted}: {self.lines} {self._process.stderr.read() if ended else ''}")

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def end(self) -> dict[str, Any]:
        """Wait for the summary and an exit of 0."""
        try:
            status = self._process.wait(30)
        finally:
            self._process.kill()
        self._reader.join(5)
        assert self._process.stderr is not None
        assert status == 0, self._process.stderr.read()
        assert self.lines[-1]["type"] == "summary"
        return self.lines[-1]

    def __enter__(self) -> Live:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait(10)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with bed.server(128) as made:
        yield made


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    """Return recorded speech at 48 kHz."""
    files = [SPEECH / f"{name}.wav" for name in CLIPS]
    if not all(file.is_file() for file in files):
        pytest.skip(f"no recorded speech in {SPEECH} (apt-get install alsa-utils): real speech is NOT compared")
    clips = [audio.read(file) for file in files]
    assert all(rate == RATE for _, rate in clips)
    return np.concatenate([clip[:, 0] for clip, _ in clips])


def lag(heard: np.ndarray, made: np.ndarray) -> int:
    """Return how many samples later ``made`` is in ``heard``: the peak of their correlation."""
    size = 1 << int(np.ceil(np.log2(len(heard) + len(made))))
    product = np.fft.rfft(heard, size) * np.conj(np.fft.rfft(made, size))
    return int(np.fft.irfft(product, size)[: len(heard)].argmax())


def rendered(given: np.ndarray, block: int, folder: Path) -> np.ndarray:
    """Return what ``rtvoice render`` makes of a microphone's samples, as late as it comes."""
    path = folder / "in.wav"
    with audio.Writer(path, RATE, 1, "FLOAT") as writer:
        writer.write(given)
    done = run("render", path, folder / "out.wav", "--model", "whisper", "--block", block, "--raw-latency")
    assert done.status == 0, done.err
    return audio.read(folder / "out.wav")[0][: len(given), 0]


def stretches(heard: np.ndarray, made: np.ndarray, period: int) -> list[tuple[int, int, int]]:
    """Return where the speaker heard what was made: (first sample heard, samples, how much later), stall by stall.

    A stall of the machine loses whole periods, or plays silence in their place, and moves what follows.
    """
    there: dict[bytes, int] = {}
    for at in range(0, len(made) - period + 1, period):
        there.setdefault(made[at : at + period].tobytes(), at)
    found: list[tuple[int, int, int]] = []
    for at in range(0, len(heard) - period + 1, period):
        piece = heard[at : at + period]
        if not piece.any() or (origin := there.get(piece.tobytes())) is None:
            continue
        if found and found[-1][2] == at - origin and found[-1][0] + found[-1][1] == at:
            found[-1] = (found[-1][0], found[-1][1] + period, found[-1][2])
        else:
            found.append((at, period, at - origin))
    return found


def test_real_speech_comes_out_as_render_makes_it_at_the_devices_latency(
    server: Server, speech: np.ndarray, tmp_path: Path
) -> None:
    for number in range(3):  # a stall of this machine loses a period: another run may have none
        folder = tmp_path / str(number)
        words = ("--input", "bed", "--output", "bed", "--block", 128, "--log", folder)
        with Bed(speech, seconds=20) as card, Live(*words) as live:
            start = live.wait_for(type="start")
            time.sleep(0.5)
            card.play()
            time.sleep(len(speech) / RATE + 0.5)
            live.signal(signal.SIGINT)
            summary = live.end()
        clean = summary["xruns"] == 0 and card.xruns == 0
        if clean:
            break
    assert card.played_at is not None
    # What the microphone gave is in the log, whatever stalled: all that was made of it is what render makes of it.
    log = read_log(summary["log"])
    assert log.gaps == [] and log.frames % server.period == 0
    given, made = (track[:, 0] for track in log.audio(0, log.frames))
    assert np.array_equal(made, rendered(given, 128, tmp_path)), "the same bits, all of them"
    parts = stretches(card.heard[: card.at], made, server.period)
    print(f"{summary['xruns']} xruns, {card.xruns} of the server, {log.frames} samples in {len(parts)} stretches")
    assert sum(length for _, length, _ in parts) > 0.5 * np.count_nonzero(speech)
    if clean:
        first = int(np.flatnonzero(speech)[0])
        lead = summary["first_sound"] - first
        assert np.array_equal(given[lead : lead + len(speech)], speech)
        device = lag(card.heard, made[lead : lead + len(speech)]) - card.played_at
        # Two periods of the server: what JACK and PortAudio add to a callback of the server's own size.
        assert device == 2 * server.period
        total = 1000 * (device + start["latency_samples"]) / RATE
        assert total <= 30
        got = card.heard[card.played_at + device :][: len(speech)]
        assert np.array_equal(got, made[lead : lead + len(speech)]), "the same bits"


def test_stretches_are_found_between_stalls() -> None:
    made = np.random.default_rng(3).standard_normal(1280).astype(np.float32)
    heard = np.concatenate([np.zeros(256, np.float32), made[:512], made[640:], np.zeros(128, np.float32)])
    assert stretches(heard, made, 128) == [(256, 512, 256), (768, 640, 128)]
    spoiled = np.where(np.arange(len(heard)) == 300, np.float32(9), heard)
    assert stretches(spoiled, made, 128)[0] == (384, 384, 256)


@pytest.mark.parametrize("clock", ["one", "two"])
def test_chirps_measure_device_and_engine_exactly(server: Server, clock: str) -> None:
    words = ["--input", "bed", "--output", "bed", "--block", 128, "--clock", clock]
    for _ in range(3):  # a stall of this machine moves a chirp by a period: another run may have none
        with Bed(loop=True) as card:
            done = run("live", *words, "--measure-latency", "--json")
        assert done.status == 0, done.err
        found = done.json
        if card.xruns == 0:
            break
    engine = Model.load("whisper")
    late = round(found["engine_ms"] * RATE / 1000)
    assert engine.name == "whisper"
    assert found["total_samples"] == [heard + late for heard in found["device_samples"]]
    if card.xruns != 0:
        pytest.skip(f"{card.xruns} xruns of the server in three runs: that each chirp is as late is NOT shown")
    # Between two clocks the chirps may come a sample earlier or later: the delay is steered.
    assert max(found["device_samples"]) - min(found["device_samples"]) <= (0 if clock == "one" else 4)
    if clock == "one":
        assert found["device_samples"][0] == 2 * server.period
    assert found["total_ms"] <= 30


def test_no_loop_is_said(server: Server) -> None:
    with Bed():
        done = run("live", "--input", "bed", "--output", "bed", "--measure-latency")
    assert done.status == 1
    assert "no chirp came back" in done.err


def test_two_streams_stay_in_step_and_sound_like_one(server: Server, speech: np.ndarray) -> None:
    with (
        Bed(speech, seconds=20) as card,
        Live("--input", "bed", "--output", "bed", "--block", 128, "--clock", "two", "--bypass") as live,
    ):
        live.wait_for(type="start")
        time.sleep(2.5)
        card.play()
        time.sleep(len(speech) / RATE + 0.5)
        live.signal(signal.SIGINT)
        summary = live.end()
    assert summary["two_clocks"]
    assert abs(summary["drift_ppm"]) < 60
    assert abs(summary["latency_ms"]["clocks"] - summary["bridge"]["target_ms"]) < 1.0
    assert card.played_at is not None
    at = lag(card.heard, speech)
    got = card.heard[at : at + len(speech)]
    # A resampler lies between: the same sound below 19 kHz, not the same bits.
    snr = 10 * np.log10(np.sum(speech**2) / np.sum((got - speech) ** 2))
    if summary["xruns"] == 0 and summary["bridge"]["underruns"] + summary["bridge"]["jumps"] == 0:
        assert snr > 20, f"{snr:.1f} dB"


def impatient(folder: Path) -> dict[str, str]:
    """Return an environment in which PortAudio waits five seconds where it waits ten minutes."""
    if shutil.which("cc") is None:
        return {}
    (folder / "impatient.c").write_text(IMPATIENT)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", "impatient.so", "impatient.c", "-ldl"], cwd=folder, check=True)
    return {"LD_PRELOAD": str(folder / "impatient.so")}


def test_a_server_that_dies_is_said_and_found_again(tmp_path: Path) -> None:
    environment = impatient(tmp_path)
    with bed.server(480) as server, Live("--input", "system", "--output", "system", **environment) as live:
        live.wait_for(type="start")
        time.sleep(0.5)
        server.stop(kill=True)
        stall = live.wait_for(kind="stall")
        assert "no callback" in stall["text"]
        time.sleep(1.0)
        server.start()
        live.wait_for(kind="back")
        callbacks = live.lines[-1].get("callbacks", 0)
        time.sleep(4.5 if environment else 1.5)  # and when the library has given the dead stream up
        for _ in range(3):
            live.signal(signal.SIGINT)
        summary = live.end()
    assert summary["outages"] == 1
    assert summary["state"] == "running"
    assert summary["callbacks"] > callbacks + 50


def test_seconds_end_it_and_the_figures_are_there(server: Server, tmp_path: Path) -> None:
    words: list[object] = ["--input", "bed", "--output", "bed", "--limiter", "--gate", -40]
    words += ["--log", tmp_path / "lögs", "--redact", "--retention-days", 30, "--rotate-mb", 0.01, "--keep-files", 2]
    with Bed():
        done = run("live", *words, "--seconds", 1.5, "--json")
    assert done.status == 0, done.err
    assert "real-time priority (" not in done.err, "what is well is no warning"
    figures = done.json
    log = read_log(figures["log"])
    assert log.header.audio == "none" and log.header.retention_days == 30
    assert "timing and events only" in log.header.line and len(log.paths) <= 2
    assert log.frames > 0
    assert figures["callbacks"] > 100
    assert figures["block"] == 128  # as the server likes
    assert figures["callback_us"]["p50"] <= figures["callback_us"]["p99"] <= figures["budget_us"]
    assert figures["latency_ms"]["total"] is None  # nobody measured it: it is not made up
    assert figures["first_sound"] is None
    assert figures["gate"] == {"on": True, "open": False}


def test_the_summary_names_a_file_that_rotation_has_left(server: Server, tmp_path: Path) -> None:
    words = ["--input", "bed", "--output", "bed", "--log", tmp_path, "--rotate-mb", 0.02, "--keep-files", 1]
    with Bed():
        done = run("live", *words, "--seconds", 1.5)
    assert done.status == 0, done.err
    (left,) = tmp_path.iterdir()
    assert ".0" in left.name, "it was rotated"
    (line,) = [line for line in done.out.splitlines() if line.startswith("log ")]
    assert line.split()[-1] == str(left)
    assert f"log ended: {left}" in done.err
    assert read_log(left).ended


def test_devices_are_listed(server: Server) -> None:
    with Bed():
        done = run("live", "--list-devices", "--json")
        table = run("live", "--list-devices")
    assert "bed" in [device["name"] for device in done.json["devices"]]
    assert "bed" in table.out and "default" in table.out


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--input", "nobody"), "nobody"),
        (("--input", "bed", "--output", "bed", "--rate", "44100"), "--rate"),
        (("--input", "bed", "--output", "bed", "--model", "nobody"), "nobody"),
        (("--input", "bed", "--output", "bed", "--log", __file__), "is no folder"),
    ],
)
def test_what_does_not_open_is_one_line_with_the_remedy(server: Server, words: tuple[str, ...], expected: str) -> None:
    with Bed():
        done = run("live", *words, "--seconds", 1)
    assert done.status == 1
    assert expected in done.err
    assert done.err.count("\n") == 1
    assert "Traceback" not in done.err


def test_without_any_device_the_remedy_is_named(tmp_path: Path) -> None:
    done = run("live", "--seconds", 1, JACK_DEFAULT_SERVER="nothing-there", JACK_NO_START_SERVER="1")
    if done.status == 0:
        pytest.skip("this machine has a sound device")
    assert done.status == 1
    assert "--list-devices" in done.err
    assert done.err.count("\n") == 1


def test_no_xrun_is_ours_with_every_core_busy(server: Server) -> None:
    """The short form: seconds. ``make soak`` runs ten minutes of it (tests/live/xruns.py)."""
    stolen = Stolen()
    with Bed(loop=True) as card, busy(), stolen.watching(), Live(*words_of_the_run(), "--seconds", 6) as live:
        summary = live.end()
    print(verdict(summary, card.xruns, stolen))
    assert ours(summary, stolen) == 0
    assert summary["cpu"]["max_us"] > 0


def words_of_the_run() -> list[object]:
    return ["--input", "bed", "--output", "bed", "--block", 128, "--cpu-time"]


def test_the_log_holds_what_was_heard_and_where_the_sound_broke(server: Server, tmp_path: Path) -> None:
    noise = (0.1 * np.random.default_rng(1).standard_normal(RATE)).astype(np.float32)
    words = ["--input", "bed", "--output", "bed", "--block", 128, "--log", tmp_path / "logs"]
    with Bed(noise, seconds=10) as card, Live(*words) as live:
        live.wait_for(type="start")
        time.sleep(0.3)
        card.play()
        time.sleep(1.8)
        live.signal(signal.SIGINT)
        summary = live.end()
    (file,) = (tmp_path / "logs").iterdir()
    assert str(file) == summary["log"]
    log = read_log(file)
    heard, made = log.audio(0, log.frames)
    first = summary["first_sound"]
    assert np.array_equal(heard[first : first + len(noise), 0], noise), "what the microphone gave, by its position"
    assert card.played_at is not None
    at = card.played_at + 2 * server.period
    if summary["xruns"] == 0 and card.xruns == 0:
        assert np.array_equal(made[first : first + len(noise), 0], card.heard[at : at + len(noise)])


def test_a_skin_of_another_latency_goes_on_in_the_same_log(server: Server, tmp_path: Path) -> None:
    noise = (0.1 * np.random.default_rng(1).standard_normal(6 * RATE)).astype(np.float32)
    with Bed(noise, seconds=10) as card:
        card.play()
        command = [sys.executable, "-c", EXCHANGES, str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    latencies = json.loads(done.stdout)
    assert latencies[0] != latencies[1] != latencies[2]
    (file,) = tmp_path.iterdir()
    log = read_log(file)
    assert log.ended and log.problems == [] and log.gaps == []
    swaps = [event for event in log.events if event.kind == "swap"]
    assert [(e.values["name"], e.values["tier_name"]) for e in swaps] == [("whisper", "hq"), ("heart", "default")]
    assert [log.header.latency, *(e.values["latency"] for e in swaps)] == latencies
    hashes = [
        str(Model.load(name, tier=tier)._info["hash"]) for name, tier in (("whisper", "hq"), ("heart", "default"))
    ]
    assert [e.values["hash"] for e in swaps] == hashes
    assert 0 < swaps[0].index < swaps[1].index < log.frames
    shown = run("log", "show", file)
    assert f"latency {latencies[1]} samples from here" in shown.out and "2 swap(s)" in shown.out
    replayed = run("log", "replay", file)
    assert "bit-identical" in replayed.out, replayed
    assert "whisper (default), whisper (hq), heart (default)" in replayed.out


def test_the_log_tells_the_switches_around_the_engine(server: Server, tmp_path: Path) -> None:
    with Bed(seconds=4), Live("--input", "bed", "--output", "bed", "--mute", "--gate", -45, "--log", tmp_path) as live:
        live.wait_for(type="start")
        time.sleep(0.5)
        live.signal(signal.SIGINT)
        live.end()
    (file,) = tmp_path.iterdir()
    notes = [event.values["text"] for event in read_log(file).events if event.kind == "note"]
    assert [note for note in notes if note.endswith(" on")] == ["mute on", "gate on"]


def test_keys_turn_the_knobs_on_a_terminal(server: Server) -> None:
    import pty

    leader, follower = pty.openpty()
    command = [str(Path(sys.executable).with_name("rtvoice")), "live", "--input", "bed", "--output", "bed"]
    with Bed():
        process = subprocess.Popen(
            command,
            stdin=follower,
            stdout=follower,
            stderr=follower,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "120"},
        )
        os.close(follower)
        shown = bytearray()

        def reading() -> None:
            with contextlib.suppress(OSError):
                while piece := os.read(leader, 65536):
                    shown.extend(piece)

        reader = threading.Thread(target=reading, daemon=True)
        reader.start()

        def until(text: str, seconds: float = 15.0) -> None:
            begin, end = len(shown), time.monotonic() + seconds
            while text.encode() not in shown[begin:]:
                assert time.monotonic() < end, f"{text!r} is not shown: {bytes(shown[-3000:])!r}"
                time.sleep(0.05)

        try:
            until("whisper (default)")
            for key, text in PRESSED:
                os.write(leader, key.encode())
                until(text)
            os.write(leader, b"q")
            assert process.wait(15) == 0
            reader.join(2)
            assert b"callbacks of" in shown
        finally:
            process.kill()
