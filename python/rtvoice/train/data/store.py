"""Reads prepared speech and content features: an index of clips over raw arrays that are mapped, not loaded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rtvoice.train.data.corpus import DataError
from rtvoice.train.data.measure import HOP

INDEX = "index.jsonl"


@dataclass(frozen=True)
class Clip:
    """One line of a prepared folder's index.

    Attributes
    ----------
    id, collection, speaker, split : str
        `id` is unique; `split` is ``"train"`` or ``"held_out"``.
    seconds : float
        Length.
    samples : int
        Length at 24 kHz, a multiple of 240: `frames` is ``samples // 240``.
    text : str or None
        What is said; `None` where unknown and where a take was cut.
    source : str
        The sound file, relative to the data folder.
    start : float
        Second of the source at which the clip begins.
    f0_median : float
        Hz over voiced frames, 0 where there are none.
    voiced : float
        Share of voiced frames.
    snr_db : float
        Estimate; see `rtvoice.train.data.measure.signal_to_noise`.
    loudness_lufs : float
        Before normalisation.
    gain_db : float
        What normalisation added.
    bandwidth_hz : float
        Up to where the source has content; 8000 for telephone-like 16 kHz sources.
    shard, offset : int
        Number of the array file, and first sample in it, a multiple of 240: its frames begin at ``offset // 240``.
    """

    id: str
    collection: str
    speaker: str
    split: str
    seconds: float
    samples: int
    text: str | None
    source: str
    start: float
    f0_median: float
    voiced: float
    snr_db: float
    loudness_lufs: float
    gain_db: float
    bandwidth_hz: float
    shard: int
    offset: int

    @property
    def frames(self) -> int:
        """Length in frames of 10 ms."""
        return self.samples // HOP


class Prepared:
    """Clips that `prepare` has written.

    Only the index is in memory; audio, F0 and energy are read through memory maps that every process opens for itself,
    so an instance may be forked, pickled and shared by data loaders.

    Parameters
    ----------
    folder : Path
        The stage's output.

    Raises
    ------
    DataError
        The folder has no whole index.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        names = [field.name for field in fields(Clip)]
        self.clips = [Clip(**{name: row[name] for name in names}) for row in read_index(self.folder)]
        self._by_id: dict[str, int] | None = None

    def __len__(self) -> int:
        return len(self.clips)

    def clip(self, i: int) -> Clip:
        """Return what is known of clip `i`."""
        return self.clips[i]

    def index(self, clip_id: str) -> int:
        """Return the number of the clip of that id; KeyError where there is none."""
        if self._by_id is None:
            self._by_id = {clip.id: number for number, clip in enumerate(self.clips)}
        return self._by_id[clip_id]

    def audio(self, i: int, start: int = 0, stop: int | None = None) -> npt.NDArray[np.float32]:
        """Return samples `start` to `stop` of clip `i` as float32 in -1 to 1, 24 kHz: `(samples,)`."""
        clip = self.clips[i]
        first, last = _within(start, stop, clip.samples)
        raw = self._array("audio", clip.shard)[clip.offset + first : clip.offset + last]
        return np.asarray(raw, np.float32) * np.float32(1 / 32768)

    def f0(self, i: int, start: int = 0, stop: int | None = None) -> npt.NDArray[np.float32]:
        """Return F0 in Hz of frames `start` to `stop` of clip `i`, 0 where unvoiced: `(frames,)` at 100 Hz."""
        return self._frames("f0", i, start, stop)

    def energy(self, i: int, start: int = 0, stop: int | None = None) -> npt.NDArray[np.float32]:
        """Return the level in dB of frames `start` to `stop` of clip `i`: `(frames,)` at 100 Hz."""
        return self._frames("energy", i, start, stop)

    def select(
        self,
        *,
        collection: str | tuple[str, ...] | None = None,
        speaker: str | tuple[str, ...] | None = None,
        split: str | None = None,
    ) -> list[int]:
        """Return the numbers of the clips that are all of what is given."""
        wanted = ((_names(collection), "collection"), (_names(speaker), "speaker"), (_names(split), "split"))
        return [
            number
            for number, clip in enumerate(self.clips)
            if all(names is None or getattr(clip, field) in names for names, field in wanted)
        ]

    def _frames(self, name: str, i: int, start: int, stop: int | None) -> npt.NDArray[np.float32]:
        clip = self.clips[i]
        first, last = _within(start, stop, clip.frames)
        offset = clip.offset // HOP
        return np.array(self._array(name, clip.shard)[offset + first : offset + last], np.float32)

    def _array(self, name: str, shard: int) -> npt.NDArray[Any]:
        suffix, dtype = ("i16", "<i2") if name == "audio" else ("f32", "<f4")
        return mapped(str(self.folder / f"{name}-{shard:03d}.{suffix}"), dtype)


class Content:
    """Content features that `rtvoice.train.data.features.extract` has written: one entry per prepared clip.

    Parameters
    ----------
    folder : Path
        The stage's output; `features(i)` belongs to clip `i` of the `Prepared` that it was made from.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        about = json.loads((self.folder / "about.json").read_text())
        self.dimensions: int = about["dimensions"]
        self.rate: float = about["frames_per_second"]
        rows = list(read_index(self.folder))
        self.ids = [str(row["id"]) for row in rows]
        self._places = [(int(row["shard"]), int(row["offset"]), int(row["frames"])) for row in rows]

    def __len__(self) -> int:
        return len(self.ids)

    def features(self, i: int, start: int = 0, stop: int | None = None) -> npt.NDArray[np.float16]:
        """Return frames `start` to `stop` of clip `i`: `(frames, dimensions)`, at `rate` frames per second."""
        shard, offset, frames = self._places[i]
        first, last = _within(start, stop, frames)
        raw = mapped(str(self.folder / f"content-{shard:03d}.f16"), "<f2").reshape(-1, self.dimensions)
        return np.array(raw[offset + first : offset + last])

    def check_matches(self, prepared: Prepared) -> None:
        """Raise DataError unless every clip of `prepared` has its features here, under the same number."""
        if self.ids != [clip.id for clip in prepared.clips]:
            raise DataError(f"{self.folder} holds the features of other clips than {prepared.folder}; make them anew")


def read_index(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the lines of a folder's index."""
    path = folder / INDEX
    if not path.is_file():
        raise DataError(f"{folder} has no {INDEX}: preparation has not ended there; run it to its end")
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


@lru_cache(maxsize=512)
def mapped(path: str, dtype: str) -> npt.NDArray[Any]:
    """Return a raw file as a read-only array without loading it; a file of nothing is an empty array."""
    if Path(path).stat().st_size == 0:
        return np.empty(0, dtype)
    return np.memmap(path, dtype=dtype, mode="r")


def _within(start: int, stop: int | None, size: int) -> tuple[int, int]:
    first, last, _ = slice(start, stop).indices(size)
    return first, max(first, last)


def _names(wanted: str | tuple[str, ...] | None) -> frozenset[str] | None:
    if wanted is None:
        return None
    return frozenset((wanted,)) if isinstance(wanted, str) else frozenset(wanted)
