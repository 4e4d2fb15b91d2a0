"""Signals with known pitch, pauses and level, made on the spot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

Floats = npt.NDArray[np.float32]


def make_voice(
    seconds: float,
    rate: int,
    f0: float = 140.0,
    seed: int = 0,
    noise: float = 1e-3,
    level: float = 0.1,
    edge: float = 0.3,
) -> Floats:
    """Vowel-like bursts of 0.25 s, one every 0.35 s, `f0` rising by a tenth; `edge` s of near silence at both ends."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * rate)) / rate
    pitch = f0 * (1 + 0.1 * time / seconds)
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    voice = np.zeros(time.size)
    for harmonic in range(1, int(min(5000, rate * 0.45) / (f0 * 1.1))):
        gain = harmonic**-1.0 * (1 + 4 * np.exp(-(((harmonic * f0 - 700) / 200) ** 2)))
        voice += gain * np.sin(harmonic * phase)
    gate = np.clip(np.sin(np.pi * np.minimum((time % 0.35) / 0.25, 1.0)) * 4, 0, 1)
    gate[(time < edge) | (time > seconds - edge)] = 0
    voice *= gate
    voice *= level / (np.sqrt(np.mean(voice[gate > 0.5] ** 2)) + 1e-9)
    return (voice + noise * rng.standard_normal(time.size)).astype(np.float32)


@pytest.fixture(autouse=True)
def extras() -> None:
    for package in ("scipy", "parselmouth", "pyloudnorm"):
        pytest.importorskip(package, reason=f"{package} of the extra 'train' is not installed")


@pytest.fixture(scope="session")
def voice() -> Callable[..., Floats]:
    return make_voice


@pytest.fixture
def recordings_folder(tmp_path: Path) -> Path:
    """Two speakers' recordings of several rates, channels and formats, one of them with its text."""
    import soundfile

    folder = tmp_path / "my speech"
    for speaker, f0 in (("ann", 210.0), ("bob", 110.0)):
        (folder / speaker / "session 1").mkdir(parents=True)
        for number, (rate, channels, suffix) in enumerate(
            [(48000, 1, "wav"), (44100, 2, "flac"), (16000, 1, "ogg"), (22050, 1, "aiff")]
        ):
            audio = make_voice(2.5 + 0.2 * number, rate, f0, seed=number)
            soundfile.write(
                folder / speaker / "session 1" / f"take {number}.{suffix}", np.tile(audio[:, None], channels), rate
            )
    (folder / "ann" / "session 1" / "take 0.txt").write_text("Hello,\n  world.\n")
    return folder
