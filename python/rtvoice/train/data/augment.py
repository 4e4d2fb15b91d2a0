"""Disturbs clean speech as microphones, rooms, networks and other people do, drawn from one generator."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rtvoice import audio
from rtvoice.train.data import effects
from rtvoice.train.data.corpus import SOUNDS, DataError
from rtvoice.train.data.measure import Floats


@dataclass(frozen=True)
class Chances:
    """How often each thing happens (0 to 1), and how strongly: ranges are drawn from evenly.

    Attributes
    ----------
    room, colour, band, noise, laughter, level, leveller, clip, codec, dropout, mute : float
        Chance of each; `laughter` is someone else's, as noise is.
    snr_db : (float, float)
        Of noise and laughter.
    level_db : (float, float)
        Level of the active frames after `level`, dBFS.
    clipped : (float, float)
        Share of samples, drawn evenly over its logarithm.
    """

    room: float = 0.35
    colour: float = 0.6
    band: float = 0.05
    noise: float = 0.5
    laughter: float = 0.02
    level: float = 0.8
    leveller: float = 0.1
    clip: float = 0.06
    codec: float = 0.1
    dropout: float = 0.03
    mute: float = 0.03
    snr_db: tuple[float, float] = (3.0, 45.0)
    level_db: tuple[float, float] = (-45.0, -10.0)
    clipped: tuple[float, float] = (0.001, 0.1)


#: Nothing happens: to be changed one by one, as tests and ablations do.
NOTHING = Chances(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)


class Augment:
    """Speech in, the same speech as a program may get it; never moved in time.

    After each call `last` says what was done: ``gain_db`` of the speech, ``snr_db`` where noise came in, ``muted``
    spans of samples, the names of room, noise and codec. So what a target must follow (gain, muting) can be told from
    what it must not.

    Parameters
    ----------
    noise_folder : Path or None
        Sound files anywhere below are noises, those in a folder `rir_sim` or `rooms` are room responses. `None`, or
        none of a kind: coloured noise only, no rooms. Files are read when first drawn, and kept.
    rng : numpy.random.Generator
        Source of all chance: the same generator state gives the same samples.
    chances : Chances
        What happens how often.

    Raises
    ------
    DataError
        There is no such folder.
    """

    def __init__(
        self, noise_folder: Path | str | None, rng: np.random.Generator, chances: Chances | None = None
    ) -> None:
        self.rng = rng
        self.chances = chances or Chances()
        self.last: dict[str, Any] = {}
        files: list[Path] = []
        if noise_folder is not None:
            if not Path(noise_folder).is_dir():
                raise DataError(f"{noise_folder} is no folder of noises; give one, or none")
            files = sorted(path for path in Path(noise_folder).rglob("*") if path.suffix.lower() in SOUNDS)
        self._rooms = [path for path in files if path.parent.name in {"rir_sim", "rooms"}]
        self._noises = [path for path in files if path.parent.name not in {"rir_sim", "rooms"}]
        self._kept: dict[tuple[Path, int], Floats] = {}

    def __call__(self, speech: Floats, rate: int) -> Floats:
        """Return a disturbed copy of speech `(samples,)`, as long, float32."""
        chances, rng = self.chances, self.rng
        self.last = {"gain_db": 0.0}
        out = np.asarray(speech, np.float32)
        if out.size == 0:
            return out
        if self._happens(chances.room) and self._rooms:
            room = self._pick("room", self._rooms)
            out = effects.reverberate(out, effects.direct_first(self._read(room, rate), rate))
        if self._happens(chances.colour):
            out = effects.colour(out, rng.normal(0.0, 3.0, size=7), rate)
        if self._happens(chances.band):
            low, high = rng.uniform(50, 300), rng.uniform(3000, 5000)
            self.last["band_hz"] = (low, high)
            out = effects.band_pass(out, low, high, rate)
        if self._happens(chances.noise):
            out = self._with_noise(out, self._noise(out.size, rate), rate)
        if self._happens(chances.laughter):
            self.last["laughter"] = True
            out = self._with_noise(out, effects.laughter(rng, out.size / rate + 0.01, rate)[: out.size], rate)
        if self._happens(chances.leveller):
            out = effects.automatic_gain(out, float(rng.uniform(0.3, 1.0)), rate)
        if self._happens(chances.level):
            out = self._at_level(out, speech, rate)
        if self._happens(chances.clip):
            share = float(np.exp(rng.uniform(*np.log(chances.clipped))))
            self.last["clipped"] = share
            out = effects.clip_share(out, share)
        if self._happens(chances.codec):
            codec = str(rng.choice(effects.CODECS))
            self.last["codec"] = codec
            out = effects.through_codec(out, codec, float(rng.uniform(0, 0.8)), rate)
        if self._happens(chances.dropout):
            out = effects.drop_out(out, self._spans(out.size, rate, 1, 6, 0.01, 0.06))
        if self._happens(chances.mute):
            self.last["muted"] = self._spans(out.size, rate, 1, 1, 0.1, 1.0)
            out = effects.drop_out(out, self.last["muted"])
        return np.asarray(out, np.float32)

    def _happens(self, chance: float) -> bool:
        # Drawn even at chance 0, so that switching one thing off leaves the others as they were drawn.
        return bool(self.rng.random() < chance)

    def _at_level(self, out: Floats, speech: Floats, rate: int) -> Floats:
        power = effects.speech_power(np.asarray(speech, np.float32), rate)
        wanted = self.rng.uniform(*self.chances.level_db)
        if power < 1e-10:
            return out
        gain = wanted - 10 * np.log10(power)
        self.last["gain_db"] = float(gain)
        return out * np.float32(10 ** (gain / 20))

    def _with_noise(self, speech: Floats, noise: Floats, rate: int) -> Floats:
        snr = float(self.rng.uniform(*self.chances.snr_db))
        self.last["snr_db"] = min(snr, self.last.get("snr_db", snr))
        return effects.add_noise(speech, noise, snr, rate)

    def _noise(self, size: int, rate: int) -> Floats:
        if not self._noises or self.rng.random() < 0.25:
            return effects.coloured_noise(size, float(self.rng.uniform(0, 2)), self.rng)
        noise = self._read(self._pick("noise", self._noises), rate)
        start = int(self.rng.integers(noise.size))
        return np.resize(np.roll(noise, -start)[:size], size)

    def _spans(
        self, size: int, rate: int, least: int, most: int, shortest: float, longest: float
    ) -> list[tuple[int, int]]:
        """Draw spans of samples; seconds are those of the span, and none passes the end."""
        spans = []
        for _ in range(int(self.rng.integers(least, most + 1))):
            length = int(self.rng.uniform(shortest, longest) * rate)
            first = int(self.rng.integers(max(1, size - length)))
            spans.append((first, min(size, first + length)))
        return spans

    def _pick(self, kind: str, files: list[Path]) -> Path:
        path = files[int(self.rng.integers(len(files)))]
        self.last[kind] = path.stem
        return path

    def _read(self, path: Path, rate: int) -> Floats:
        key = (path, rate)
        if key not in self._kept:
            try:
                samples = audio.read(path, sample_rate=rate)[0].mean(axis=1, dtype=np.float32)
            except audio.AudioError as error:
                raise DataError(f"a noise cannot be used: {error}; remove the file") from None
            if np.abs(samples).max(initial=0.0) < 1e-5:
                samples = np.full(1, 1e-5, np.float32)  # a silent file adds nothing, and must not stop a training
            self._kept[key] = samples
        return self._kept[key]
