"""F0 of prepared speech, by Praat's autocorrelation on the grid that everything else is on."""

from __future__ import annotations

from rtvoice.evaluate import f0
from rtvoice.train.data.measure import HOP, RATE, Floats


def track_f0(audio: Floats) -> Floats:
    """Return F0 in Hz every HOP samples, 0 where unvoiced: `(samples // HOP,)`, frame n centred on sample n * HOP.

    Two passes, as D. Hirst ("A Praat plugin for Momel and INTSINT", 2007) proposes against octave errors: the first
    finds the speaker's range in this clip, the second searches from 0.7 of its lower to twice its upper quartile.

    Parameters
    ----------
    audio : numpy.ndarray
        `(samples,)` at 24 kHz.
    """
    wide = f0.search(audio, f0.LOWEST, f0.HIGHEST, rate=RATE, hop=HOP)
    within = f0.speakers_range(wide)
    return wide if within is None else f0.search(audio, *within, rate=RATE, hop=HOP)
