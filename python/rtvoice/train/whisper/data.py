"""Speech, teacher's answers and augmentation: what a training step is fed with."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from multiprocessing import Pool
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import torch
from scipy.signal import resample_poly

from rtvoice.train.whisper.teacher import BANDS, PERIOD, RATE, whisper

HOP = 160
# One in eleven speakers is never trained on: by their order, so that the split needs no list and never moves.
HELD_OUT_EVERY = 11
SETS = {"librispeech": "source_librispeech_trainclean", "picovoice": "source_picovoice_barista"}

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Utterance:
    """One recording: where it is, who speaks, what is said.

    Attributes
    ----------
    name, speaker, text : str
        As in the collection's own table; `text` may come from a recogniser.
    path : str
        The sound file.
    held_out : bool
        Whether its speaker is kept for evaluation.
    """

    name: str
    speaker: str
    text: str
    path: str
    held_out: bool


@dataclass(frozen=True)
class Batch:
    """Tensors of one training step; level is the speech's RMS, `(batch, 1, 1)`.

    Attributes
    ----------
    source, target : torch.Tensor
        Audio `(batch, samples, 1)`.
    envelope : torch.Tensor
        The teacher's log amplitudes `(batch, samples / PERIOD, BANDS)`.
    level : torch.Tensor
        `(batch, 1, 1)`.
    """

    source: torch.Tensor
    target: torch.Tensor
    envelope: torch.Tensor
    level: torch.Tensor


def read_audio(path: Path | str, rate: int = RATE) -> Floats:
    """Read a sound file as mono float32 at `rate`."""
    data, file_rate = soundfile.read(path, dtype="float64", always_2d=True)
    mono = data.mean(axis=1)
    if file_rate != rate:
        divisor = int(np.gcd(file_rate, rate))
        mono = resample_poly(mono, rate // divisor, file_rate // divisor)
    return np.asarray(mono, dtype=np.float32)


def list_speech(root: Path) -> list[Utterance]:
    """List the source recordings under `root`, held-out speakers marked."""
    rows: list[tuple[str, str, str, str]] = []
    for name, folder in SETS.items():
        with (root / folder / "metadata.csv").open(newline="") as table:
            for row in csv.DictReader(table, delimiter="|", quoting=csv.QUOTE_NONE):
                speaker = f"{name}-{row.get('speaker') or row.get('pseudo_speaker')}"
                path = root / folder / "opus" / f"{row['utt']}.opus"
                rows.append((row["utt"], speaker, row["machine_transcript"], str(path)))
    order = {speaker: index for index, speaker in enumerate(sorted({row[1] for row in rows}))}
    return [Utterance(*row, held_out=order[row[1]] % HELD_OUT_EVERY == 0) for row in sorted(rows)]


def _render(utterance: Utterance) -> tuple[Floats, Floats, npt.NDArray[np.float16]]:
    speech = read_audio(utterance.path)
    speech = speech[: speech.size // HOP * HOP]
    answer = whisper(speech.astype(np.float64))
    frames = speech.size // PERIOD
    return speech, answer.audio.astype(np.float32), answer.envelope[:frames].astype(np.float16)


def render_teacher(speech_root: Path, cache: Path, workers: int = 1) -> None:
    """Run the teacher over all source speech once; later calls find the cache and return at once."""
    if (cache / "index.json").exists():
        return
    cache.mkdir(parents=True, exist_ok=True)
    utterances = list_speech(speech_root)
    with Pool(workers) as pool:
        rendered = list(pool.imap(_render, utterances, chunksize=8))
    starts = np.cumsum([0] + [speech.size for speech, _, _ in rendered])
    np.save(cache / "source.npy", np.concatenate([speech for speech, _, _ in rendered]).astype(np.float16))
    np.save(cache / "target.npy", np.concatenate([audio for _, audio, _ in rendered]).astype(np.float16))
    np.save(cache / "envelope.npy", np.concatenate([envelope for _, _, envelope in rendered]))
    index = [
        asdict(utterance) | {"start": int(start), "samples": speech.size, "level": speech_level(speech)}
        for utterance, start, (speech, _, _) in zip(utterances, starts, rendered, strict=False)
    ]
    (cache / "index.json").write_text(json.dumps(index, indent=1))


def speech_level(speech: Floats) -> float:
    """Return the RMS of the frames within 30 dB of the loudest: pauses must not count."""
    frames = speech[: speech.size // HOP * HOP].reshape(-1, HOP).astype(np.float64)
    power = (frames**2).mean(axis=1)
    return float(np.sqrt(power[power > power.max() * 1e-3].mean() + 1e-12))


class Augment:
    """What happens to speech before a microphone's samples reach a game.

    Parameters
    ----------
    noise_root : Path
        Folder of noises and room responses; rooms are in `rir_sim`.
    rng : numpy.random.Generator
        Source of all chance.
    """

    def __init__(self, noise_root: Path, rng: np.random.Generator) -> None:
        self.rng = rng
        noises = sorted(path for path in noise_root.rglob("*") if path.suffix in {".ogg", ".opus"})
        self.noises = [noise for noise in map(read_audio, noises) if np.abs(noise).max() > 1e-4]
        self.rooms = []
        for path in sorted((noise_root / "rir_sim").glob("*.flac")):
            room = read_audio(path)
            direct = int(np.abs(room).argmax())
            # The direct sound is moved to time 0 and unit gain: the teacher's answer stays in place and in level.
            self.rooms.append(room[direct : direct + RATE // 2] / room[direct])

    def __call__(self, speech: Floats, level: float) -> Floats:
        """Return `speech` of RMS `level` as a microphone may give it, of the same length."""
        rng = self.rng
        size = speech.size
        if rng.random() < 0.7:
            length = size + RATE // 2
            spectrum = np.fft.rfft(speech, length)
            if rng.random() < 0.4:
                spectrum *= np.fft.rfft(self.rooms[rng.integers(len(self.rooms))], length)
            spectrum *= self._colour(spectrum.size)
            speech = np.fft.irfft(spectrum, length)[:size].astype(np.float32)
        if rng.random() < 0.5:
            noise = self._noise(size)
            snr = 10 ** (rng.uniform(5, 45) / 20)
            speech = speech + noise * np.float32(level / snr / (np.sqrt(np.mean(noise**2)) + 1e-6))
        if rng.random() < 0.04:
            limit = level * rng.uniform(1.5, 4)
            speech = np.clip(speech, -limit, limit)
        return speech

    def _colour(self, bins: int) -> npt.NDArray[np.float64]:
        """Return a smooth random response, within a few dB: a microphone's."""
        knots = self.rng.normal(0, 2.0, size=8)
        edges = np.array([0, 150, 400, 1000, 2000, 4000, 6000, 8000]) / 8000 * (bins - 1)
        return np.asarray(10 ** (np.interp(np.arange(bins), edges, knots) / 20))

    def _noise(self, size: int) -> Floats:
        if self.rng.random() < 0.3:
            white = np.fft.rfft(self.rng.normal(size=size))
            tilt = np.maximum(np.arange(white.size), 20.0) ** -self.rng.uniform(0, 1)
            return np.fft.irfft(white * tilt, size).astype(np.float32)
        noise = self.noises[self.rng.integers(len(self.noises))]
        start = int(self.rng.integers(noise.size))
        return np.resize(np.roll(noise, -start)[:size], size)


class Crops:
    """Endless random crops of the cached speech.

    Parameters
    ----------
    cache : Path
        Made by `render_teacher`.
    held_out : bool
        Which side of the split.
    augment : Augment or None
        None leaves the recordings as they are.
    rng : numpy.random.Generator
        Source of all chance.
    """

    def __init__(self, cache: Path, held_out: bool, augment: Augment | None, rng: np.random.Generator) -> None:
        index = json.loads((cache / "index.json").read_text())
        self.items = [item for item in index if item["held_out"] == held_out]
        self.source = np.load(cache / "source.npy", mmap_mode="r")
        self.target = np.load(cache / "target.npy", mmap_mode="r")
        self.envelope = np.load(cache / "envelope.npy", mmap_mode="r")
        self.augment, self.rng = augment, rng
        samples = np.array([item["samples"] for item in self.items], dtype=np.float64)
        self.weights = samples / samples.sum()

    def crop(self, samples: int) -> tuple[Floats, Floats, Floats, float]:
        """Return source, target, envelope and level of one crop of `samples`."""
        item = self.items[int(self.rng.choice(len(self.items), p=self.weights))]
        take = min(samples, item["samples"])
        offset = HOP * int(self.rng.integers((item["samples"] - take) // HOP + 1))
        where = item["start"] + offset
        source, target = np.zeros(samples, np.float32), np.zeros(samples, np.float32)
        envelope = np.full((samples // PERIOD, BANDS), np.log(1e-6), np.float32)
        source[:take] = self.source[where : where + take]
        target[:take] = self.target[where : where + take]
        envelope[: take // PERIOD] = self.envelope[where // PERIOD : (where + take) // PERIOD]
        level = item["level"]
        if self.augment is None:
            return source, target, envelope, level
        gain = np.float32(10 ** (self.rng.uniform(-45, -8) / 20) / level)
        source, target, level = source * gain, target * gain, level * float(gain)
        envelope = np.maximum(envelope + np.log(gain), np.float32(np.log(1e-6)))
        source = self.augment(source, level)
        if self.rng.random() < 0.1:  # digital silence, as a muted microphone gives
            start, stop = sorted(HOP * self.rng.integers(0, samples // HOP, size=2))
            source[start:stop] = target[start:stop] = 0
            envelope[start // PERIOD : stop // PERIOD] = np.log(1e-6)
        return source, target, envelope, level

    def batches(self, size: int, samples: int) -> Iterator[Batch]:
        """Yield batches of `size` crops of `samples` for ever."""
        while True:
            crops = [self.crop(samples) for _ in range(size)]
            source, target, envelope = (
                torch.from_numpy(np.stack([np.asarray(crop[part], np.float32) for crop in crops])) for part in range(3)
            )
            level = torch.tensor([crop[3] for crop in crops], dtype=torch.float32)[:, None, None]
            yield Batch(source[..., None], target[..., None], envelope, level)
