"""F0 by Praat's autocorrelation (P. Boersma, 1993) on a grid of whole frames: one search, and the range of a second."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

__all__ = ["HIGHEST", "LOWEST", "search", "speakers_range"]

F32 = npt.NDArray[np.float32]
LOWEST, HIGHEST = 60.0, 600.0


def speakers_range(wide: npt.ArrayLike) -> tuple[float, float] | None:
    """Return where the second pass searches, in Hz, or None where the first found too little to tell.

    Parameters
    ----------
    wide : array_like
        F0 of the first pass in Hz, searched from LOWEST to HIGHEST, 0 where unvoiced.
    """
    track = np.asarray(wide, np.float64)
    voiced = track[track > 0]
    if voiced.size < 30:
        return None
    low, high = np.percentile(voiced, [25, 75])
    return max(LOWEST, 0.7 * float(low)), min(HIGHEST, max(2.0 * float(high), 150.0))


def search(audio: npt.ArrayLike, floor: float, ceiling: float, *, rate: int, hop: int) -> F32:
    """Return F0 in Hz by one search of Praat's: `(samples // hop,)`, frame n around sample n * hop, 0 where unvoiced.

    Parameters
    ----------
    audio : array_like
        `(samples,)`.
    floor, ceiling : float
        Range in Hz.
    rate, hop : int
        Samples a second, samples a frame.
    """
    import parselmouth

    sound = np.asarray(audio, np.float64)
    frames = sound.size // hop
    # Praat centres its frames in the sound and drops those whose window (3 periods of the floor) sticks out. So the
    # padding ahead is chosen such that they fall on our grid.
    lead = 12 * hop
    size = frames * hop + 2 * lead + hop
    if not 0.1 < ((size - 3.0 / floor * rate) / hop) % 1.0 < 0.9:
        size += hop // 2  # a count on the edge of a whole number may be rounded either way
    inner = math.floor((size - 3.0 / floor * rate) / hop)
    ahead = lead + round(0.5 * (size - inner * hop)) % hop
    padded = np.zeros(size)
    padded[ahead : ahead + frames * hop] = sound[: frames * hop]
    pitch = parselmouth.Sound(padded, rate).to_pitch_ac(time_step=hop / rate, pitch_floor=floor, pitch_ceiling=ceiling)
    first = round((pitch.x1 * rate - ahead) / hop)
    found = pitch.selected_array["frequency"]
    out = np.zeros(frames, np.float32)
    index = np.arange(found.size) + first
    inside = (index >= 0) & (index < frames)
    out[index[inside]] = found[inside]
    return out
