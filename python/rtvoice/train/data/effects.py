"""What happens to speech on its way to a program: one function for each thing, deterministic from its arguments."""

from __future__ import annotations

import io
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from rtvoice.train.data.measure import Floats

Array = npt.NDArray[np.float64]

#: Codecs that `through_codec` knows, with their bit rates' names.
CODECS = ("g711", "mp3", "vorbis", "opus", "pcm8")


def speech_power(audio: Floats, rate: int) -> float:
    """Return the mean square of the 20 ms frames within 30 dB of the loudest."""
    size = max(1, rate // 50)
    whole = audio.size // size * size
    if whole == 0:
        return float(np.mean(np.square(audio, dtype=np.float64))) if audio.size else 0.0
    power = np.square(audio[:whole], dtype=np.float64).reshape(-1, size).mean(axis=1)
    return float(power[power >= power.max() * 1e-3].mean())


def add_noise(speech: Floats, noise: Floats, snr_db: float, rate: int) -> Floats:
    """Return speech with noise `snr_db` under its active frames' level; noise `(samples,)` as long as speech."""
    power = float(np.mean(np.square(noise, dtype=np.float64)))
    if power < 1e-14:
        return speech
    gain = np.sqrt(speech_power(speech, rate) / power) * 10 ** (-snr_db / 20)
    return np.asarray(speech + noise * gain, np.float32)


def coloured_noise(size: int, slope: float, rng: np.random.Generator) -> Floats:
    """Return Gaussian noise whose power falls by ``slope * 3`` dB an octave: 0 white, 1 pink, 2 brown."""
    spectrum = np.fft.rfft(rng.standard_normal(size))
    spectrum *= np.maximum(np.arange(spectrum.size), max(1.0, size / 2000)) ** (-slope / 2)
    noise = np.fft.irfft(spectrum, size)
    return np.asarray(noise / (np.sqrt(np.mean(noise**2)) + 1e-12), np.float32)


def direct_first(room: Floats, rate: int, seconds: float = 1.0) -> Floats:
    """Return a room response from its direct sound on, at unit gain: speech in it stays in place and in level."""
    direct = int(np.abs(room).argmax())
    return np.asarray(room[direct : direct + int(seconds * rate)] / room[direct], np.float32)


def reverberate(speech: Floats, room: Floats) -> Floats:
    """Return speech in a room, as long as the speech; see `direct_first`."""
    size = speech.size + room.size - 1
    length = 1 << (size - 1).bit_length()
    wet = np.fft.irfft(np.fft.rfft(speech, length) * np.fft.rfft(room, length), length)
    return wet[: speech.size].astype(np.float32)


def colour(speech: Floats, gains_db: npt.NDArray[np.float64], rate: int) -> Floats:
    """Return speech through a smooth response: gains in dB at 60, 150, 400, 1000, 2500, 5000 and 10000 Hz.

    Between them the response is linear in dB over log frequency; the phase is zero. It is a microphone's, or a hand's
    over it.
    """
    length = speech.size + rate // 10
    frequency = np.maximum(np.fft.rfftfreq(length, 1 / rate), 1.0)
    response = np.interp(np.log(frequency), np.log([60, 150, 400, 1000, 2500, 5000, 10000]), gains_db)
    wet = np.fft.irfft(np.fft.rfft(speech, length) * 10 ** (response / 20), length)
    return wet[: speech.size].astype(np.float32)


def band_pass(speech: Floats, low: float, high: float, rate: int) -> Floats:
    """Return speech between two frequencies in Hz: a telephone passes 300 to 3400; zero phase, 24 dB an octave."""
    from scipy.signal import butter, sosfiltfilt

    edges = (max(low, 1.0) / rate * 2, min(high / rate * 2, 0.999))
    sections = butter(2, edges, "bandpass", output="sos")
    return np.asarray(sosfiltfilt(sections, speech, padlen=min(15, speech.size - 1)), np.float32)


def clip_share(speech: Floats, share: float) -> Floats:
    """Return speech cut off at the level that `share` (0 to 1) of its samples pass: an overloaded input."""
    if speech.size == 0 or share <= 0:
        return speech
    limit = float(np.quantile(np.abs(speech), 1 - share))
    return np.asarray(np.clip(speech, -limit, limit), np.float32)


def drop_out(speech: Floats, spans: list[tuple[int, int]]) -> Floats:
    """Return speech with zeros in the given spans of samples: lost packets, a muted microphone."""
    out = speech.copy()
    for first, stop in spans:
        out[first:stop] = 0
    return out


def automatic_gain(speech: Floats, strength: float, rate: int) -> Floats:
    """Return speech through a slow leveller: `strength` 0 leaves it, 1 brings every half second to one level."""
    size = max(1, rate // 50)
    frames = -(-speech.size // size)
    power = np.square(np.pad(speech, (0, frames * size - speech.size)), dtype=np.float64).reshape(frames, size)
    smooth = np.convolve(np.pad(power.mean(axis=1), 12, mode="edge"), np.ones(25) / 25, "valid")
    reference = smooth.mean() + 1e-12
    gain = ((reference + 1e-12) / (smooth + reference * 0.01)) ** (strength / 2)
    centres = (np.arange(frames) + 0.5) * size
    return np.asarray(speech * np.interp(np.arange(speech.size), centres, gain), np.float32)


def mu_law(speech: Floats) -> Floats:
    """Return speech (within -1 to 1) rounded on mu-law's scale to 8 bits a sample, as ITU-T G.711 does; 0 stays 0."""
    pressed = np.sign(speech) * np.log1p(255 * np.minimum(np.abs(speech), 1)) / np.log(256)
    pressed = np.round(pressed * 127) / 127
    return np.asarray(np.sign(pressed) * (256 ** np.abs(pressed) - 1) / 255, np.float32)


def through_codec(speech: Floats, codec: str, quality: float, rate: int) -> Floats:
    """Return speech coded and decoded, in place (the codec's delay taken off) and as long as before.

    Parameters
    ----------
    speech : numpy.ndarray
        `(samples,)` within -1 to 1; what passes that is clipped, as every codec's input is.
    codec : str
        ``"g711"``: 8 kHz, mu-law; ``"pcm8"``: 8 linear bits; ``"mp3"``, ``"vorbis"``, ``"opus"``: as libsndfile has.
    quality : float
        0 (worst) to 1, for those that have a bit rate.
    rate : int
        In Hz.
    """
    if codec not in CODECS:
        raise ValueError(f"there is no codec {codec!r}; there are {', '.join(CODECS)}")
    speech = np.clip(speech, -1.0, 1.0)
    if codec == "pcm8":
        return (np.round(speech * 127) / 127).astype(np.float32)
    if codec == "g711":
        narrow = band_pass(speech, 50, 3400, rate)
        low = resample(narrow, rate, 8000)
        return resample(mu_law(low), 8000, rate)[: speech.size]
    quality = round(float(quality), 1)
    delay = _delay(codec, quality, rate)
    # Codecs give the end away late: silence after it, then a cut to the old length.
    decoded = _round_trip(np.pad(speech, (0, delay + rate // 10)), codec, quality, rate)
    return np.pad(decoded[delay : delay + speech.size], (0, max(0, speech.size + delay - decoded.size)))


def resample(audio: Floats, source: int, target: int) -> Floats:
    """Return audio `(samples,)` at another rate, ``ceil(samples * target / source)`` long."""
    if source == target:
        return audio
    from rtvoice import audio as files

    return np.concatenate([part[:, 0] for part in files.convert([audio[:, None]], source, target)])


@lru_cache(maxsize=64)
def _delay(codec: str, quality: float, rate: int) -> int:
    """Measure a codec's delay in samples, by correlation over a burst of noise: encoders keep no one rule."""
    burst = np.zeros(rate // 2, np.float32)
    burst[rate // 8 : rate // 4] = 0.2 * np.random.default_rng(0).standard_normal(rate // 4 - rate // 8)
    burst = band_pass(burst, 200, 3000, rate)
    decoded = _round_trip(burst, codec, quality, rate)
    length = 1 << (2 * max(burst.size, decoded.size) - 1).bit_length()
    lags = np.fft.irfft(np.fft.rfft(decoded, length) * np.conj(np.fft.rfft(burst, length)), length)
    return int(lags[: rate // 4].argmax())


def _round_trip(speech: Floats, codec: str, quality: float, rate: int) -> Floats:
    import soundfile

    kind, subtype = {"mp3": ("MP3", "MPEG_LAYER_III"), "vorbis": ("OGG", "VORBIS"), "opus": ("OGG", "OPUS")}[codec]
    # Opus takes 8, 12, 16, 24 and 48 kHz, MP3 those and a few more.
    inner = rate if rate in (8000, 12000, 16000, 24000, 48000) else 24000
    memory = io.BytesIO()
    with soundfile.SoundFile(
        memory, "w", inner, 1, format=kind, subtype=subtype, compression_level=min(0.99, 1 - quality)
    ) as file:
        file.write(resample(speech, rate, inner))
    memory.seek(0)
    decoded, got = soundfile.read(memory, dtype="float32", always_2d=True)
    return resample(np.ascontiguousarray(decoded[:, 0]), got, rate)


def laughter(rng: np.random.Generator, seconds: float, rate: int) -> Floats:
    """Return laughter-like sound, RMS 0.1: breathy voiced calls of 0.1 s some five times a second, falling in pitch.

    Rates, durations and the rise of F0 over speech are those that J.-A. Bachorowski, M. Smoski and M. Owren ("The
    acoustic features of human laughter", 2001) measured. It is a disturbance for training, no one's laughter.
    """
    size = int(seconds * rate)
    time = np.arange(size) / rate
    calls_per_second = rng.uniform(4.2, 5.6)
    phase_in_call = (time * calls_per_second) % 1.0
    envelope = np.clip(np.sin(np.pi * np.minimum(phase_in_call / 0.55, 1.0)), 0, 1) ** 1.5
    bout = np.interp((time / rng.uniform(1.0, 2.5)) % 1.0, [0, 0.1, 0.7, 0.8, 1.0], [0.4, 1, 0.4, 0, 0])
    start = rng.uniform(180, 450)
    f0 = start * (1 - 0.3 * phase_in_call) * (1 + 0.02 * np.sin(2 * np.pi * 6 * time))
    cycles = np.cumsum(f0) / rate
    voice = np.zeros(size)
    for harmonic in range(1, int(min(30, rate / 2 / start))):
        amplitude = harmonic**-1.2 * (1 + 2 * np.exp(-(((harmonic * start - 650) / 300) ** 2)))
        voice += amplitude * np.sin(2 * np.pi * harmonic * cycles)
    breath = colour(rng.standard_normal(size).astype(np.float32), np.array([-20, -12, -4, 0, 0, -4, -12.0]), rate)
    sound = envelope * bout * (voice + rng.uniform(0.3, 1.5) * breath) + 0.05 * bout * breath
    return np.asarray(0.1 * sound / (np.sqrt(np.mean(sound**2)) + 1e-12), np.float32)
