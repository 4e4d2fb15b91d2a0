"""Signals as they are judged: mono, 24 kHz, 16 bits; read from files, mixed with noise, brought to one level."""

from __future__ import annotations

import hashlib
import math
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rtvoice import audio

Floats = NDArray[np.float32]

#: All that is judged passes through this rate: above any measure's own band (they hear 8 kHz) and what players take.
RATE = 24000
#: What the measures hear.
HEARD_RATE = 16000
#: Level at which the measures hear everything, RMS of the active frames: half of them depend on level otherwise.
HEARD_LEVEL = 0.05

#: Where the band falls off in a conversion downwards, of the new Nyquist frequency; silence that keeps its ends apart.
_BAND, _SETTLE = (0.913, 0.985), 4096


@dataclass(frozen=True)
class Signal:
    """One stored signal: the hash of its samples, the file that holds them, its length."""

    digest: str
    path: Path
    seconds: float


def ended_at_pause(samples: Floats) -> Floats:
    """Return speech at `RATE` that was cut at any place, shortened to where its last quarter is quietest for 60 ms.

    Half a word at the end sets a recogniser guessing: whisper-base then said "I'm sorry" 56 times.
    """
    size = RATE * 6 // 100
    count = len(samples) // 4 // size
    if count < 2:
        return samples
    tail = samples[len(samples) - count * size :].reshape(count, size).astype(np.float64)
    quietest = int(np.square(tail).mean(axis=1).argmin())
    return samples[: len(samples) - count * size + quietest * size + size // 2]


def convert(samples: Floats, source: int, target: int) -> Floats:
    """Return mono samples ``(n,)`` at another rate, without delay.

    By Fourier transform of the whole recording. Going down, the band falls off from 0.913 to 0.985 of the new Nyquist
    frequency, as common converters do: DistillMOS hears the difference (a target's own speech has 4.0 so, 3.7 with
    a band that ends abruptly, 3.8 with one that reaches into its mirror image).
    """
    if source == target or not len(samples):
        return samples
    up, down = target // math.gcd(source, target), source // math.gcd(source, target)
    blocks = -(-(len(samples) + _SETTLE) // (down * 1024)) * 1024  # a size that transforms fast
    spectrum = np.fft.rfft(samples, blocks * down)
    made = np.zeros(blocks * up // 2 + 1, np.complex128)
    kept = min(len(spectrum), len(made))
    made[:kept] = spectrum[:kept]
    if target < source:
        place = (np.linspace(0, 1, len(made)) - _BAND[0]) / (_BAND[1] - _BAND[0])
        made *= 0.5 + 0.5 * np.cos(np.pi * np.clip(place, 0, 1))
    wanted = -(-len(samples) * up // down)
    return np.asarray(np.fft.irfft(made, blocks * up)[:wanted] * (up / down), np.float32)


def read(path: str | os.PathLike[str], start: float = 0.0, seconds: float | None = None) -> Floats:
    """Return a stretch of a file, mono at `RATE`.

    Parameters
    ----------
    path
        Any format that libsndfile reads, any rate; channels are averaged.
    start, seconds
        The stretch, in seconds; all of the file where left out.
    """
    found, rate = audio.read(path)
    first = round(start * rate)
    last = len(found) if seconds is None else first + round(seconds * rate)
    return convert(np.ascontiguousarray(found[first:last].mean(axis=1)), rate, RATE)


def fitted(samples: Floats, count: int) -> Floats:
    """Return samples cut, or filled up with silence, to `count`."""
    return np.asarray(np.pad(samples[:count], (0, max(0, count - len(samples)))), np.float32)


def quantised(samples: Floats) -> NDArray[np.int16]:
    """Return samples as 16 bits; what exceeds full scale is clipped as a sound card would, what is no number is 0."""
    whole = np.nan_to_num(np.asarray(samples, np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    return np.clip(np.round(whole * 32768), -32768, 32767).astype(np.int16)


def digest(samples: NDArray[np.int16]) -> str:
    """Return the name of a signal: a hash of what it sounds like and nothing else."""
    return hashlib.sha256(samples.tobytes()).hexdigest()[:32]


def active_level(samples: Floats, rate: int) -> float:
    """Return the RMS of the 25 ms frames within 30 dB of the loudest tenth: pauses must not count."""
    size = max(1, rate // 40)
    count = len(samples) // size
    if not count:
        return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))) if len(samples) else 0.0
    power = np.mean(np.square(samples[: count * size].reshape(count, size), dtype=np.float64), axis=1)
    return float(np.sqrt(power[power >= np.percentile(power, 90) * 1e-3].mean()))


def heard(samples: Floats, rate: int = RATE) -> Floats:
    """Return what a measure hears: 16 kHz, at one level, within full scale."""
    quiet = convert(np.asarray(samples, np.float32), rate, HEARD_RATE)
    level = active_level(quiet, HEARD_RATE)
    if level < 1e-7:
        return np.zeros_like(quiet)
    gain = min(HEARD_LEVEL / level, 0.99 / float(np.abs(quiet).max()))
    return np.asarray(quiet * np.float32(gain), np.float32)


def with_noise(speech: Floats, noise: Floats, snr_db: float) -> Floats:
    """Return speech with noise of its own length added, active speech against the noise's RMS."""
    repeated = np.resize(noise, len(speech)) if len(noise) else np.zeros_like(speech)
    level = float(np.sqrt(np.mean(np.square(repeated, dtype=np.float64)))) if len(repeated) else 0.0
    if level == 0.0:
        return speech
    gain = active_level(speech, RATE) * 10 ** (-snr_db / 20) / level
    return np.asarray(speech + np.float32(gain) * repeated, np.float32)
