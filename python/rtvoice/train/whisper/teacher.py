"""The whisper teacher: WORLD analysis, then resynthesis with noise in place of the voice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyworld
from scipy.ndimage import convolve1d

from rtvoice.nn.spectral import mel_triangles

RATE = 16000
PERIOD = 80  # samples between envelope frames
BANDS = 80
FLOOR = 1e-12  # power that counts as silence

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Whisper:
    """What the teacher says about one utterance.

    Attributes
    ----------
    audio : numpy.ndarray
        The whisper, `(samples,)`, as long as the speech.
    envelope : numpy.ndarray
        Natural log of amplitude in mel bands, `(samples / PERIOD + 1, BANDS)`, one frame centred at every PERIOD
        samples; white noise of variance 1 has 0 everywhere.
    """

    audio: Array
    envelope: Array


def whisper_shelf(frequency: Array) -> Array:
    """Return the whisper's amplitude gain over the voice's at frequencies in Hz.

    Whispered vowels lack the glottal source's strong low harmonics: their long-term spectrum is flatter. One fixed
    shelf does it: -12 dB up to 300 Hz, rising over the logarithm of frequency to +4 dB from 1500 Hz on. Formants stay
    where they are, so that the speaker stays recognisable.
    """
    octaves = np.clip(np.log(np.maximum(frequency, 1.0) / 300.0) / np.log(1500.0 / 300.0), 0.0, 1.0)
    return np.asarray(10.0 ** ((-12.0 + 16.0 * octaves) / 20.0))


def broaden_formants(power: Array) -> Array:
    """Return power spectra `(frames, bins)` smoothed over 200 Hz.

    An open glottis damps the first formant; and noise through a voice's narrow one still rings at a pitch: a pitch
    tracker finds 10 % of the voiced frames in it, and 1.5 % after broadening (with the shelf; 2.6 % at 150 Hz).
    """
    spacing = RATE / 2 / (power.shape[1] - 1)
    kernel = np.hanning(2 * round(200.0 / spacing) + 1)
    return np.asarray(convolve1d(power, kernel / kernel.sum(), axis=1, mode="nearest"))


def whisper(speech: Array) -> Whisper:
    """Turn speech into whisper, not in real time.

    Parameters
    ----------
    speech : numpy.ndarray
        `(samples,)` at 16 kHz.

    Returns
    -------
    Whisper
        The whisper and the envelope that shaped it.
    """
    speech = np.ascontiguousarray(speech, dtype=np.float64)
    period_ms = 1000.0 * PERIOD / RATE
    f0, times = pyworld.dio(speech, RATE, frame_period=period_ms)
    f0 = pyworld.stonemask(speech, f0, times, RATE)
    power = pyworld.cheaptrick(speech, f0, times, RATE)
    # WORLD looks at 6 ms of unvoiced speech at a time; 15 ms keep the plosives and halve the envelope's own noise.
    padded = np.pad(power, ((1, 1), (0, 0)), mode="edge")
    power = (padded[:-2] + padded[1:-1] + padded[2:]) / 3.0
    power = broaden_formants(power)
    power *= whisper_shelf(np.linspace(0, RATE / 2, power.shape[1])) ** 2
    audio = pyworld.synthesize(np.zeros_like(f0), power, np.ones_like(power), RATE, period_ms)
    bands = power @ mel_triangles(BANDS, power.shape[1], RATE).T
    return Whisper(audio[: speech.size], 0.5 * np.log(np.maximum(bands, FLOOR)))
