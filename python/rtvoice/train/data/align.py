"""Finds where each phone of a known text is, and which moment of one reading is which of another."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rtvoice.train.data.corpus import DataError
from rtvoice.train.data.features import SPEECH_RATE, to_speech_rate
from rtvoice.train.data.measure import Floats
from rtvoice.train.data.prepare import Progress, run_each, write_whole
from rtvoice.train.data.pronounce import sound_out, spoken_words
from rtvoice.train.data.store import Prepared

VERSION = 1
SILENCE = "SIL"
_FILLERS = frozenset({"SIL", "+SPN+", "+NSN+"})


@dataclass(frozen=True)
class Phone:
    """One phone: ARPAbet name without stress (``SIL``: pause), first frame and length, in 10 ms."""

    name: str
    start: int
    length: int


class Aligner:
    """Forced alignment by pocketsphinx (D. Huggins-Daines et al., 2006) and its US English model, both BSD licensed.

    A tenth of real time on one core. Words that its dictionary lacks are sounded out. Where the search ends outside
    the text, which happens when speech begins or ends at the very edge, it is tried again with 0.3 s of faint noise at
    both ends.

    Raises
    ------
    DataError
        The package is missing.
    """

    def __init__(self) -> None:
        try:
            from pocketsphinx import Decoder
        except ImportError as error:
            raise DataError(
                f"alignment needs the package pocketsphinx ({error}); run: pip install 'rtvoice[align]'"
            ) from None
        self._decoder: Any = Decoder(samprate=SPEECH_RATE, lm=None, loglevel="FATAL", bestpath=False)

    def __call__(self, speech: Floats, text: str) -> list[Phone] | None:
        """Return the phones of 16 kHz speech `(samples,)`, in order and without gaps; `None` if the text does not fit.

        Parameters
        ----------
        speech : numpy.ndarray
            16 kHz, -1 to 1.
        text : str
            What is said, in English.
        """
        words = spoken_words(text)
        if not words or speech.size < SPEECH_RATE // 5:
            return None
        for word in words:
            if self._decoder.lookup_word(word) is None:
                self._decoder.add_word(word, sound_out(word, self._decoder.lookup_word), True)
        frames = speech.size // (SPEECH_RATE // 100)
        for lead in (0, 30):
            phones = self._once(speech, " ".join(words), lead)
            if phones:
                return _within(phones, lead, frames)
        return None

    def _once(self, speech: Floats, text: str, lead: int) -> list[Phone] | None:
        if lead:
            noise = np.random.default_rng(0).normal(0, 3e-4, size=(2, lead * SPEECH_RATE // 100)).astype(np.float32)
            speech = np.concatenate([noise[0], speech, noise[1]])
        raw = (np.clip(speech, -1, 1) * 32767).astype("<i2").tobytes()
        try:
            self._decoder.set_align_text(text)
            self._decode(raw)
            if self._decoder.hyp() is None:
                return None
            self._decoder.set_alignment()
            self._decode(raw)
            words = self._decoder.get_alignment()
            if words is None:
                return None
            return [
                Phone(SILENCE if phone.name in _FILLERS else str(phone.name), phone.start, phone.duration)
                for word in words
                for phone in word
            ]
        except RuntimeError:  # the search has left the text
            return None

    def _decode(self, raw: bytes) -> None:
        self._decoder.start_utt()
        self._decoder.process_raw(raw, full_utt=True)
        self._decoder.end_utt()


def _within(phones: list[Phone], lead: int, frames: int) -> list[Phone] | None:
    """Shift phones by the padding, cut them to the speech, and let the last one reach its end."""
    out = []
    for phone in phones:
        start, stop = max(0, phone.start - lead), min(frames, phone.start + phone.length - lead)
        if stop > start:
            out.append(Phone(phone.name, start, stop - start))
    if not out or all(phone.name == SILENCE for phone in out):
        return None
    last = out[-1]
    out[-1] = Phone(last.name, last.start, frames - last.start)
    return out


def align(
    prepared: Prepared,
    folder: Path,
    *,
    clips: Sequence[int] | None = None,
    workers: int = 1,
    shard: tuple[int, int] = (0, 1),
    progress: Progress | None = None,
) -> bool:
    """Align all clips that have a text, into `folder`, readable by `Alignments`.

    Each hundred clips are kept when they are done, by a hash of their audio and text, so runs go on where they were
    ended, and clips that come in later cost only themselves.

    Parameters
    ----------
    prepared : Prepared
        The clips; those without a text are left out.
    folder : Path
        Output; made where missing.
    clips : sequence of int or None
        Only these; `None`: all.
    workers, shard, progress
        As in `rtvoice.train.data.prepare.prepare`.

    Returns
    -------
    bool
        Whether all is written: false where other shards are not done yet.
    """
    _loaded()  # a missing package is told before any worker starts
    folder.mkdir(parents=True, exist_ok=True)
    wanted = [i for i in (range(len(prepared)) if clips is None else clips) if prepared.clip(i).text]
    groups = [_group(prepared, wanted[i : i + 100]) for i in range(0, len(wanted), 100)]
    mine = groups[shard[0] :: shard[1]]
    missing = [group for group in mine if not (folder / f"phones-{group[0]}.json").is_file()]
    done = len(mine) - len(missing)
    report = progress or (lambda done, total: None)
    report(done, len(mine))
    for _ in run_each(partial(_align_group, source=prepared.folder, folder=folder), missing, workers):
        done += 1
        report(done, len(mine))
    files = [folder / f"phones-{key}.json" for key, _ in groups]
    if not all(file.is_file() for file in files):
        return False
    found: dict[str, Any] = {}
    for file in files:
        found |= json.loads(file.read_text())
    write_whole(folder / "phones.json", json.dumps(found).encode())
    return True


class Alignments:
    """Phones by clip id, as `align` wrote them; clips that could not be aligned are not in it."""

    def __init__(self, folder: Path | str) -> None:
        rows = json.loads((Path(folder) / "phones.json").read_text())
        self._rows: dict[str, list[list[Any]]] = {key: row for key, row in rows.items() if row}
        self.failed = sorted(key for key, row in rows.items() if not row)

    def __contains__(self, clip_id: str) -> bool:
        return clip_id in self._rows

    def __len__(self) -> int:
        return len(self._rows)

    def phones(self, clip_id: str) -> list[Phone]:
        """Return the phones of a clip, in order; KeyError where it has none."""
        return [Phone(*row) for row in self._rows[clip_id]]


@lru_cache(maxsize=1)
def _loaded() -> Aligner:
    return Aligner()


def _group(prepared: Prepared, numbers: Sequence[int]) -> tuple[str, tuple[int, ...]]:
    digest = hashlib.sha256(str(VERSION).encode())
    for i in numbers:
        clip = prepared.clip(i)
        digest.update(json.dumps([clip.id, clip.text]).encode())
        digest.update((prepared.audio(i, 0, 24000) * 32768).astype("<i2").tobytes())
    return digest.hexdigest()[:16], tuple(numbers)


def _align_group(group: tuple[str, tuple[int, ...]], source: Path, folder: Path) -> None:
    key, numbers = group
    prepared, aligner = Prepared(source), _loaded()
    rows = {}
    for i in numbers:
        clip = prepared.clip(i)
        phones = aligner(to_speech_rate(prepared.audio(i)), clip.text or "")
        rows[clip.id] = [list(asdict(phone).values()) for phone in phones or []]
    write_whole(folder / f"phones-{key}.json", json.dumps(rows).encode())


@dataclass(frozen=True)
class Warp:
    """Which moment of a source is which of a target.

    Attributes
    ----------
    source : numpy.ndarray
        Position in the source, in frames of 10 ms with fractions, of each target frame: `(target frames,)`, rising.
    matched : numpy.ndarray
        Whether that frame lies in a phone (not a pause) that both readings have: `(target frames,)` bool.
    """

    source: npt.NDArray[np.float32]
    matched: npt.NDArray[np.bool_]


def warp(source: Sequence[Phone], target: Sequence[Phone]) -> Warp:
    """Map each frame of a target reading to its place in a source reading of the same text.

    The phone sequences are matched with the fewest insertions, deletions and changes (readers differ in pauses and in
    the variants they choose), and inside a matched phone time runs evenly; between matched phones too.

    Parameters
    ----------
    source, target : sequence of Phone
        Without gaps, as `Aligner` gives them.

    Raises
    ------
    ValueError
        One of them is empty.
    """
    if not source or not target:
        raise ValueError("a warp needs phones on both sides")
    frames = target[-1].start + target[-1].length
    end = source[-1].start + source[-1].length
    pairs = _match([phone.name for phone in source], [phone.name for phone in target])
    knots: list[tuple[float, float]] = [(0.0, 0.0)]
    matched = np.zeros(frames, bool)
    for i, j in pairs:
        a, b = source[i], target[j]
        knots += [(b.start, a.start), (b.start + b.length, a.start + a.length)]
        if b.name != SILENCE:
            matched[b.start : b.start + b.length] = True
    knots.append((frames, end))
    times, places = np.array(knots).T
    # A pause that only the source has gives two knots at one time: it is jumped over. Asking at the frames' middles
    # never asks at a knot.
    position = np.interp(np.arange(frames) + 0.5, times, places) - 0.5
    return Warp(np.clip(np.maximum.accumulate(position), 0, end - 1).astype(np.float32), matched)


def _match(source: Sequence[str], target: Sequence[str]) -> list[tuple[int, int]]:
    """Return pairs of equal entries on the path of least edit distance."""
    rows, columns = len(source) + 1, len(target) + 1
    # Leaving a pause out costs less than leaving a sound out: readers breathe where they like. A change costs more than
    # leaving out a pause and a sound, so that a pause never stands for a phone. Eighths add up without rounding.
    out = [0.25 if name == SILENCE else 1.0 for name in source]
    into = [0.25 if name == SILENCE else 1.0 for name in target]
    cost = np.zeros((rows, columns))
    cost[1:, 0], cost[0, 1:] = np.cumsum(out), np.cumsum(into)
    for i in range(1, rows):
        for j in range(1, columns):
            change = 0.0 if source[i - 1] == target[j - 1] else 1.5
            cost[i, j] = min(cost[i - 1, j - 1] + change, cost[i - 1, j] + out[i - 1], cost[i, j - 1] + into[j - 1])
    pairs = []
    i, j = rows - 1, columns - 1
    while i and j:
        if source[i - 1] == target[j - 1] and cost[i, j] == cost[i - 1, j - 1]:
            pairs.append((i - 1, j - 1))
            i, j = i - 1, j - 1
        elif source[i - 1] != target[j - 1] and cost[i, j] == cost[i - 1, j - 1] + 1.5:
            i, j = i - 1, j - 1
        elif cost[i, j] == cost[i - 1, j] + out[i - 1]:
            i -= 1
        else:
            j -= 1
    return pairs[::-1]
