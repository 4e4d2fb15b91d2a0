"""`rtvoice vocode`: a recording through a shipped vocoder, in step with it, the same for the same seed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from commands import run
from speech_like import voice_like

KEYS = {"model", "sample_rate", "seconds", "realtime_factor", "latency_ms", "log_spectral_distance_db", "clipped"}


@pytest.fixture
def spoken(tmp_path: Path) -> Path:
    """A third of a second at another rate than the vocoders', on two channels."""
    signal = 0.3 * voice_like(0.35, 150.0, rate=24000)
    soundfile.write(tmp_path / "in.wav", np.stack([signal, signal], axis=1).astype(np.float32), 24000, subtype="FLOAT")
    return tmp_path / "in.wav"


@pytest.mark.parametrize("network", ["wavenet", "flow"])
def test_a_recording_comes_back_as_long_and_by_its_seed(network: str, spoken: Path, tmp_path: Path) -> None:
    made = []
    for index, seed in enumerate((1, 1, 2)):
        out = tmp_path / f"{index}.wav"
        done = run("vocode", spoken, out, "--network", network, "--seed", seed, "--json")
        assert (done.status, done.err) == (0, "")
        signal, rate = soundfile.read(out, dtype="float32")
        assert rate == 16000 == done.json["sample_rate"] and signal.shape == (5600,)
        assert set(done.json) >= KEYS and done.json["clipped"] == 0
        made.append(signal)
    np.testing.assert_array_equal(made[0], made[1])
    assert np.isfinite(made[2]).all() and not np.array_equal(made[0], made[2])


@pytest.mark.parametrize(
    ("words", "status", "named"),
    [
        (["missing.wav", "out.wav"], 1, "missing.wav"),
        (["in.wav", "out.wav", "--model", "missing.rtv"], 1, "missing.rtv"),
        (["in.wav", "out.wav", "--network", "griffin"], 2, "griffin"),
        (["in.wav", "out.wav", "--seed", "-1"], 2, "--seed"),
    ],
)
def test_errors_are_one_line(words: list[str], status: int, named: str, spoken: Path, tmp_path: Path) -> None:
    paths = [tmp_path / word if word.endswith((".wav", ".rtv")) else word for word in words]
    done = run("vocode", *paths)
    assert done.status == status and done.out == ""
    assert done.err.count("\n") == 1 and named in done.err, done.err
