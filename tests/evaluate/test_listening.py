"""Listening processes, the packages they need, and what each listener makes of sounds that are known."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rtvoice.evaluate import compare, packages, probes, signals, workers
from rtvoice.evaluate.cache import Cache
from rtvoice.evaluate.signals import Signal
from speech_like import voice_like

STANDARD = probes.standard()


def need(role: str) -> probes.Probe:
    probe = STANDARD[role]
    absent = packages.missing(list(probe.packages))
    if absent:
        pytest.skip(f"{', '.join(absent)} not installed; run: rtvoice evaluate --install")
    return probe


def hear(role: str, samples: np.ndarray, rate: int = signals.RATE) -> object:
    probe = need(role)
    return probes.hear(probe.load(), probe, samples.astype(np.float32), rate)


def stored(cache: Cache, count: int) -> list[Signal]:
    return [cache.put(f"{n}", voice_like(1.0 + 0.1 * n, 120, rate=signals.RATE, seed=n)) for n in range(count)]


# ---- processes


def test_processes_share_the_work_and_leave_the_readings_in_the_cache(tmp_path: Path) -> None:
    need("pitch")
    cache = Cache(tmp_path)
    sounds = stored(cache, 5)
    told: list[float] = []
    with workers.Listeners(cache, STANDARD, "en", 2) as ears:
        ears.hear({sound: ["pitch"] for sound in sounds}, told.append)
        assert ears.failures == {}
        assert ears.made == 5
        tracks = [ears.reading(sound, "pitch") for sound in sounds]
    assert [len(track) for track in tracks] == [round(100 * sound.seconds) + 1 for sound in sounds]
    assert told == sorted(told)
    with workers.Listeners(cache, STANDARD, "en", 2) as ears:
        ears.hear({sound: ["pitch"] for sound in sounds})
        assert ears.made == 0


@pytest.fixture
def instead_of_praat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Let the processes find other lines of code under the name of the pitch tracker's package."""

    def put(code: str) -> None:
        (tmp_path / "fake").mkdir()
        (tmp_path / "fake" / "parselmouth.py").write_text(code)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path / "fake"))

    return put


def test_a_listener_that_cannot_load_is_told_of(tmp_path: Path, instead_of_praat: Callable[[str], None]) -> None:
    instead_of_praat("raise ImportError('its library is broken')")
    cache = Cache(tmp_path / "cache")
    with workers.Listeners(cache, STANDARD, "en", 1) as ears:
        ears.hear({stored(cache, 1)[0]: ["pitch"]})
        assert ears.failures == {"pitch": "ImportError: its library is broken"}


def test_a_process_that_dies_is_an_error_with_its_last_words(
    tmp_path: Path, instead_of_praat: Callable[[str], None]
) -> None:
    instead_of_praat("import os\nos.write(2, b'out of memory\\n')\nos._exit(7)")
    cache = Cache(tmp_path / "cache")
    sounds = stored(cache, 4)
    with workers.Listeners(cache, STANDARD, "en", 2) as ears, pytest.raises(RuntimeError, match="out of memory"):
        ears.hear({sound: ["pitch"] for sound in sounds})


def test_an_interruption_ends_the_processes_at_once(tmp_path: Path, instead_of_praat: Callable[[str], None]) -> None:
    instead_of_praat("import time\ntime.sleep(120)")
    cache = Cache(tmp_path / "cache")
    sounds = stored(cache, 6)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have told us to ignore it
    timer = threading.Timer(2.0, signal.pthread_kill, [threading.main_thread().ident, signal.SIGINT])
    begin = time.monotonic()
    try:
        with workers.Listeners(cache, STANDARD, "en", 2) as ears, pytest.raises(KeyboardInterrupt):
            timer.start()
            ears.hear({sound: ["pitch"] for sound in sounds})
        assert time.monotonic() - begin < 30  # each would sleep for 120 s
        assert all(process.ended for process in ears.processes)
    finally:
        timer.cancel()
        signal.signal(signal.SIGINT, before)
    assert len(ears.processes) == 2


def test_a_signal_that_is_gone_fails_by_name_and_not_the_run(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    with workers.Listeners(cache, STANDARD, "en", 1) as ears:
        ears.hear({Signal("0" * 32, tmp_path / "gone.flac", 1.0): ["pitch"]})
        assert "gone.flac" in ears.failures["pitch"]


# ---- packages


def test_missing_packages_are_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "missing", lambda modules: [m for m in modules if m in ("hama", "xls_r_sqa")])
    assert packages.reason(["hama", "torch"]) == "the package hama is missing; run: rtvoice evaluate --install"
    assert packages.reason(["torch"]) is None
    assert "xls-r-sqa" in (STANDARD["distillmos"].absent() or "")


def test_what_would_pull_another_torch_is_installed_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "missing", lambda modules: list(modules))
    ordinary, alone = packages.commands()
    assert "--no-deps" in alone
    assert "--no-deps" not in ordinary
    assert {"Resemblyzer==0.1.4", "distillmos==0.9.1", "xls-r-sqa==0.1.0"} <= set(alone)
    assert "faster-whisper>=1" in ordinary
    monkeypatch.setattr(packages, "missing", lambda modules: [])
    assert packages.commands() == []


def test_a_reading_is_kept_under_the_packages_version(monkeypatch: pytest.MonkeyPatch) -> None:
    before = STANDARD["hama"].key
    monkeypatch.setattr(packages, "version", lambda module: "99")
    assert STANDARD["hama"].key == "hama-1-99" != before


def test_a_recogniser_of_one_language_does_not_judge_another() -> None:
    assert "understands en only, not de" in (STANDARD["whisper-tiny"].absent("de") or "")


# ---- listeners on known sounds


@pytest.mark.parametrize("pitch", [90.0, 150.0, 300.0])
def test_the_pitch_of_known_pulses_is_found(pitch: float) -> None:
    time = np.arange(2 * signals.RATE) / signals.RATE
    sound = sum(np.cos(2 * np.pi * k * pitch * time) / k for k in range(1, 12))
    track = np.asarray(hear("pitch", sound))
    assert len(track) == 201
    inner = track[10:-10]
    assert np.count_nonzero(inner) > 0.98 * len(inner)
    assert np.abs(12 * np.log2(inner[inner > 0] / pitch)).max() < 0.2


def test_a_second_search_keeps_a_rough_voice_in_its_octave() -> None:
    """Every other pulse of an eighth of each second is weaker by two fifths: one search from 75 Hz halves it there."""
    rate, f0 = signals.RATE, 220.0
    time = np.arange(3 * rate) / rate
    pulses = np.flatnonzero(np.diff(np.floor(np.cumsum(f0 * (1 + 0.15 * np.sin(2 * np.pi * 0.7 * time)) / rate))))
    sound = np.zeros(len(time))
    sound[pulses] = 1.0
    weak = pulses[1::2]
    sound[weak[time[weak] % 1.0 < 0.12]] = 0.6
    ringing = np.arange(300) / rate
    sound = np.convolve(sound, np.exp(-640 * ringing) * np.sin(2 * np.pi * 600 * ringing))[: len(time)]
    known = f0 * (1 + 0.15 * np.sin(2 * np.pi * 0.7 * np.arange(301) / compare.FRAMES))

    def octave_off(role: str) -> float:
        track = np.asarray(hear(role, sound))[:301]
        voiced = track > 0
        return float(np.mean(np.abs(np.log2(track[voiced] / known[: len(track)][voiced])) > 0.4))

    assert octave_off("pitch") == 0.0
    assert octave_off("pitch_fixed") > 0.03


def test_a_pitch_track_stands_in_time() -> None:
    """Voiced from 0.5 to 1.0 s: the track says so to 20 ms."""
    time = np.arange(2 * signals.RATE) / signals.RATE
    sound = sum(np.cos(2 * np.pi * k * 150 * time) / k for k in range(1, 12)) * ((time > 0.5) & (time < 1.0))
    voiced = np.flatnonzero(np.asarray(hear("pitch", sound)) > 0) / compare.FRAMES
    assert voiced[0] == pytest.approx(0.5, abs=0.02)
    assert voiced[-1] == pytest.approx(1.0, abs=0.02)


def test_noise_and_silence_have_no_pitch() -> None:
    rng = np.random.default_rng(0)
    assert np.count_nonzero(hear("pitch", np.zeros(signals.RATE))) == 0
    assert np.count_nonzero(hear("pitch", rng.standard_normal(signals.RATE))) < 10


@pytest.mark.parametrize("gain", [1.0, 0.1])
def test_loudness_is_that_of_the_standards_tone(gain: float) -> None:
    """A sine of 997 Hz at full scale has -3.01 LUFS in one channel (BS.1770-4, annex 1)."""
    time = np.arange(3 * signals.RATE) / signals.RATE
    found = hear("loudness", gain * np.sin(2 * np.pi * 997 * time))
    assert found == pytest.approx(-3.01 + 20 * np.log10(gain), abs=0.15)
    assert hear("loudness", np.zeros(signals.RATE)) is None


def test_opinion_pieces_cover_a_clip_evenly() -> None:
    sound = np.arange(25, dtype=np.float32)
    found = probes.pieces(sound, 10)
    assert [piece[0] for piece in found] == [0, 7, 15]
    assert found[-1][-1] == 24
    assert probes.pieces(sound[:4], 10).tolist() == [[0, 1, 2, 3, 0, 0, 0, 0, 0, 0]]
    assert len(probes.pieces(sound[:10], 10)) == 1
