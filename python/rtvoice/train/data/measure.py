"""What a recording's samples tell: level, noise, clipping, bandwidth, loudness."""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt

RATE = 24000
HOP = 240
WINDOW = 600  # 25 ms
FLOOR_DB = -100.0

Floats = npt.NDArray[np.float32]


def frame_energy(audio: Floats, frames: int | None = None) -> Floats:
    """Return the mean square in dB of the 25 ms around every HOP-th sample, ``(frames,)``, -100 at least.

    Parameters
    ----------
    audio : numpy.ndarray
        `(samples,)` at 24 kHz; outside it is silence.
    frames : int or None
        How many; `None`: ``samples // HOP``. Frame n is centred on sample ``n * HOP``.
    """
    count = audio.size // HOP if frames is None else frames
    total = np.concatenate([[0.0], np.cumsum(np.square(audio, dtype=np.float64))])
    centre = np.arange(count) * HOP
    first = np.clip(centre - WINDOW // 2, 0, audio.size)
    last = np.clip(centre + WINDOW // 2, 0, audio.size)
    power = (total[last] - total[first]) / WINDOW
    return np.asarray(np.maximum(10 * np.log10(np.maximum(power, 1e-12)), FLOOR_DB), np.float32)


def active_level(energy: Floats) -> float:
    """Return the level in dB of the frames within 30 dB of the loudest: pauses must not count."""
    if energy.size == 0:
        return FLOOR_DB
    power = 10 ** (energy.astype(np.float64) / 10)
    return float(10 * np.log10(power[power > power.max() * 1e-3].mean()))


def signal_to_noise(energy: Floats) -> float:
    """Return the estimated SNR in dB: level of the active frames over the quietest 5 %, 80 at most.

    A recording without pauses reads low, digital silence in the pauses reads 80.
    """
    if energy.size == 0:
        return 0.0
    return float(np.clip(active_level(energy) - np.percentile(energy, 5), 0.0, 80.0))


def clipped_share(audio: Floats) -> float:
    """Return the share (0 to 1) of samples in runs of three or more that stand at the recording's own peak.

    A run within 0.1 % of the peak is a flat top, at whatever level it was written. The crest of a low tone (under 1 %
    of the rate) is as flat, but only the highest of all crests stands at the peak: a few samples in a recording.
    """
    peak = float(np.abs(audio).max(initial=0.0))
    if peak < 1e-4:
        return 0.0
    flat = 0
    for side in (audio >= peak * 0.999, audio <= -peak * 0.999):
        edges = np.flatnonzero(np.diff(np.concatenate([[0], side.astype(np.int8), [0]])))
        lengths = edges[1::2] - edges[::2]
        flat += int(lengths[lengths >= 3].sum())
    return flat / audio.size


def bandwidth(audio: Floats, rate: int = RATE) -> float:
    """Return the frequency in Hz up to which there is speech: where its spectrum last stands over -70 dB.

    Of each bin the level counts that 2 % of the frames pass: sibilants reach highest, and are few and soft.

    Parameters
    ----------
    audio : numpy.ndarray
        `(samples,)`.
    rate : int
        In Hz. The answer is in steps of 234 Hz at 24 kHz and at most ``rate / 2``.
    """
    size = 1024
    if audio.size < size:
        return rate / 2
    frames = np.lib.stride_tricks.sliding_window_view(audio, size)[:: size // 2]
    frames = frames[:: max(1, len(frames) // 400)]
    power = np.percentile(np.abs(np.fft.rfft(frames * np.hanning(size).astype(np.float32))) ** 2, 98, axis=0)
    width = 250 * size // rate
    bands = power[: power.size // width * width].reshape(-1, width).mean(axis=1)
    over = np.flatnonzero(bands > bands.max() * 1e-7)
    return float(min(rate / 2, (over[-1] + 1) * width * rate / size)) if bands.max() > 0 else rate / 2


def loudness(audio: Floats, rate: int = RATE) -> float:
    """Return the integrated loudness in LUFS (ITU-R BS.1770-4), by the active frames' RMS under 0.4 s.

    The fall-back reads -0.69 LUFS for a level of 0 dB, as the standard does for a 1 kHz sine's mean square.
    """
    if audio.size >= 0.4 * rate:
        import pyloudnorm

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = float(pyloudnorm.Meter(rate).integrated_loudness(audio.astype(np.float64)))
        if np.isfinite(value):
            return value
    return active_level(frame_energy(audio, max(1, audio.size // HOP))) - 0.69
