"""F0 of prepared speech, by Praat's autocorrelation on the grid that everything else is on."""

from __future__ import annotations

import math

import numpy as np

from rtvoice.train.data.measure import HOP, RATE, Floats

LOWEST, HIGHEST = 60.0, 600.0


def track_f0(audio: Floats) -> Floats:
    """Return F0 in Hz every HOP samples, 0 where unvoiced: `(samples // HOP,)`, frame n centred on sample n * HOP.

    Two passes, as D. Hirst ("A Praat plugin for Momel and INTSINT", 2007) proposes against octave errors: the first
    finds the speaker's range in this clip, the second searches from 0.7 of its lower to twice its upper quartile.

    Parameters
    ----------
    audio : numpy.ndarray
        `(samples,)` at 24 kHz.
    """
    wide = _praat(audio, LOWEST, HIGHEST)
    voiced = wide[wide > 0]
    if voiced.size < 30:
        return wide
    low, high = np.percentile(voiced, [25, 75])
    return _praat(audio, max(LOWEST, 0.7 * float(low)), min(HIGHEST, max(2.0 * float(high), 150.0)))


def _praat(audio: Floats, floor: float, ceiling: float) -> Floats:
    import parselmouth

    frames = audio.size // HOP
    # Praat centres its frames in the sound and drops those whose window (3 periods of the floor) sticks out. So the
    # padding ahead is chosen such that they fall on our grid.
    lead = 12 * HOP
    size = frames * HOP + 2 * lead + HOP
    if not 0.1 < ((size - 3.0 / floor * RATE) / HOP) % 1.0 < 0.9:
        size += HOP // 2  # a count on the edge of a whole number may be rounded either way
    inner = math.floor((size - 3.0 / floor * RATE) / HOP)
    ahead = lead + round(0.5 * (size - inner * HOP)) % HOP
    padded = np.zeros(size)
    padded[ahead : ahead + frames * HOP] = audio[: frames * HOP]
    pitch = parselmouth.Sound(padded, RATE).to_pitch_ac(time_step=HOP / RATE, pitch_floor=floor, pitch_ceiling=ceiling)
    first = round((pitch.x1 * RATE - ahead) / HOP)
    found = pitch.selected_array["frequency"]
    out = np.zeros(frames, np.float32)
    index = np.arange(found.size) + first
    inside = (index >= 0) & (index < frames)
    out[index[inside]] = found[inside]
    return out
