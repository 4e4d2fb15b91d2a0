"""Sounds that have what the measures look for: voices of known pitch, and listeners that are cheap and known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile

from rtvoice.evaluate.probes import Probe

RATE = 16000


def voice_like(seconds: float, pitch: float, *, rate: int = RATE, seed: int = 0) -> np.ndarray:
    """Return pulses of a gliding pitch through two resonances, with pauses, and faint noise."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * rate)) / rate
    glide = pitch * 2 ** (0.25 * np.sin(2 * np.pi * 0.7 * time + seed))
    phase = 2 * np.pi * np.cumsum(glide) / rate
    pulses = sum(np.cos(k * phase) / k for k in range(1, int(3500 / pitch)))
    loud = np.sin(2 * np.pi * 1.5 * time + seed) > -0.5
    return (0.05 * pulses * loud + 1e-4 * rng.standard_normal(len(time))).astype(np.float32)


def write_speakers(folder: Path, speakers: int = 4, clips: int = 2, seconds: float = 1.5) -> Path:
    """Write a folder with a folder for each speaker, whose pitches differ."""
    for speaker in range(speakers):
        (folder / f"s{speaker:02d}").mkdir(parents=True)
        for clip in range(clips):
            sound = voice_like(seconds, 100 + 20 * speaker, seed=10 * speaker + clip)
            soundfile.write(folder / f"s{speaker:02d}" / f"s{speaker:02d}_{clip:03d}.wav", sound, RATE)
    return folder


class Counter:
    """Counts what its listeners heard."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def probe(self, role: str, listen: Callable[[np.ndarray], object], **more: object) -> Probe:
        def load() -> Callable[[np.ndarray], object]:
            def counted(samples: np.ndarray) -> object:
                self.heard.append(role)
                return listen(samples)

            return counted

        return Probe(role, 1, more.pop("packages", ()), load, **more)  # type: ignore[arg-type]


def bands(samples: np.ndarray) -> list[float]:
    """Return an embedding: the shape of the spectrum in 16 bands."""
    power = np.abs(np.fft.rfft(samples)) ** 2
    return [float(np.log10(part.sum() + 1e-9) + 9) for part in np.array_split(power, 16)]


def loud_words(samples: np.ndarray) -> list[str]:
    """Return a word for each quarter second by how loud it is: a recogniser that hears level alone."""
    levels = [float(np.std(part)) for part in np.array_split(samples, max(1, len(samples) // 4000))]
    return ["loud" if level > 0.02 else "soft" for level in levels]


def zero_crossings(samples: np.ndarray) -> list[float]:
    """Return a pitch track, 100 a second, by zero crossings of each 30 ms; good enough for plumbing."""
    track = []
    for centre in range(0, len(samples) + 1, 160):
        part = samples[max(0, centre - 240) : centre + 240]
        crossings = np.count_nonzero(np.diff(np.signbit(part)))
        track.append(float(crossings / 2 / 0.03) if len(part) and np.std(part) > 0.005 else 0.0)
    return track


def listeners(counter: Counter | None = None) -> dict[str, Probe]:
    """Return cheap listeners for every role."""
    count = counter or Counter()
    return {
        "resemblyzer": count.probe("resemblyzer", bands),
        "dvector": count.probe("dvector", bands),
        "whisper-base": count.probe("whisper-base", loud_words),
        "whisper-tiny": count.probe("whisper-tiny", loud_words),
        "hama": count.probe("hama", loud_words),
        "distillmos": count.probe("distillmos", lambda samples: 1.0 + float(np.abs(samples).max())),
        "plcmos": count.probe("plcmos", lambda samples: 4.0),
        "pitch": count.probe("pitch", zero_crossings),
        "pitch_fixed": count.probe("pitch_fixed", zero_crossings),
        "loudness": count.probe("loudness", lambda samples: float(20 * np.log10(np.std(samples) + 1e-9)), level=True),
    }
