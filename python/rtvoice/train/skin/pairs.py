"""Reads what the master has spoken: source and answer, frame by frame, as a student's lessons."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from rtvoice import audio
from rtvoice.train.data import Augment
from rtvoice.train.data.store import mapped
from rtvoice.train.models.pitch import CENTRE
from rtvoice.train.models.student import StudentShape
from rtvoice.train.skin.render import ARRAYS, RATE, array_file, rows

LEAD = 24  # frames at a crop's start that no loss sees: the body's memory fills
TAIL = 3  # and at its end, where windows lack a neighbour


@dataclass(frozen=True)
class Lesson:
    """A batch for a student.

    Attributes
    ----------
    source, answer : torch.Tensor
        `(batch, samples)` at the student's rate, in step.
    f0, voiced : torch.Tensor
        `(batch, frames)`: Hz of the source at the end of each hop (above 0 everywhere), and 1 where voiced.
    heights : torch.Tensor
        `(batch, frames)`: log2 of the answer's Hz where the student's pulses for it are made.
    register : torch.Tensor
        `(batch,)`: the source's, in octaves above 160 Hz.
    hidden : torch.Tensor
        `(batch, frames, channels)`: the master's, at the middle of the student's frames.
    real : torch.Tensor
        `(batch, samples)`: what discriminators are told is a voice: the answer, or some recording of the target.
    """

    source: Tensor
    answer: Tensor
    real: Tensor
    f0: Tensor
    voiced: Tensor
    heights: Tensor
    register: Tensor
    hidden: Tensor


@dataclass(frozen=True)
class Pair:
    """One line of the index."""

    id: str
    speaker: str
    split: str
    unit: int
    offset: int
    frames: int
    register: float
    speed: float


class Pairs:
    """The pairs that `render` has written.

    Parameters
    ----------
    folder : Path
        Its folder.
    shape : StudentShape
        Whose lessons they are to be.
    """

    def __init__(self, folder: Path, shape: StudentShape) -> None:
        self.folder, self.shape = folder, shape
        about = json.loads((folder / "about.json").read_text())
        self.channels, self.register = int(about["hidden"]), float(about["register"])
        names = Pair.__dataclass_fields__
        self.pairs = [Pair(**{name: row[name] for name in names}) for row in rows(folder)]

    def select(self, split: str) -> list[int]:
        """Return the numbers of a split's pairs."""
        return [number for number, pair in enumerate(self.pairs) if pair.split == split]

    def frames(self, name: str, pair: Pair, start: int, stop: int) -> npt.NDArray[Any]:
        """Return frames of one array, the last one repeated where there are no more; sound is followed by silence."""
        width = {"source": RATE // 100, "answer": RATE // 100, "hidden": self.channels}.get(name, 1)
        whole = mapped(str(array_file(self.folder, name, pair.unit)), f"<{ARRAYS[name]}").reshape(-1, width)
        stop_here = min(stop, pair.frames)
        found = np.asarray(whole[pair.offset + start : pair.offset + stop_here])
        missing = stop - max(stop_here, start)
        if missing > 0:
            last = whole[pair.offset + pair.frames - 1][None] * (0 if name in ("source", "answer") else 1)
            found = np.concatenate([found, np.repeat(last.astype(found.dtype), missing, axis=0)])
        return found

    def sound(self, name: str, pair: Pair, start: int, frames: int) -> npt.NDArray[np.float32]:
        """Return `(samples,)` of source or answer at the student's rate."""
        samples = np.asarray(self.frames(name, pair, start, start + frames).reshape(-1) / 32768, np.float32)
        if self.shape.rate == RATE:
            return samples
        parts = list(audio.convert([samples[:, None]], RATE, self.shape.rate))
        return np.concatenate(parts)[: frames * self.shape.hop, 0]

    def stretch(self, name: str, number: int, at: float, frames: int) -> npt.NDArray[np.float32]:
        """Return `frames` frames of a pair's source or answer, `at` 0 (its start) to 1 (its end)."""
        pair = self.pairs[number]
        return self.sound(name, pair, self.start(number, at, frames), frames)

    def start(self, number: int, at: float, frames: int) -> int:
        """Return the first frame of such a stretch."""
        return int(at * max(0, self.pairs[number].frames - frames))

    def lesson(
        self, number: int, at: float, frames: int, augment: Augment | None, real: tuple[int, float] | None = None
    ) -> Lesson:
        """Return a stretch of a pair, `at` 0 (its start) to 1 (its end), disturbed by `augment`.

        `real`: pair and place of the recording that discriminators are shown instead of the answer, as loud as it.
        """
        pair, start = self.pairs[number], self.start(number, at, frames)
        source, answer = (self.stretch(name, number, at, frames) for name in ("source", "answer"))
        shown = answer if real is None else self.stretch("source", *real, frames)
        if augment is not None:
            source = augment(source, self.shape.rate)
            gain = np.float32(10 ** (augment.last["gain_db"] / 20))
            answer, shown = answer * gain, shown * gain
            for first, stop in augment.last.get("muted", ()):
                answer[first:stop] = shown[first:stop] = 0
        f0 = self.frames("f0", pair, start, start + frames + 2)[:, 0]
        heights = np.log2(np.abs(f0)).astype(np.float32)
        hop, shape = self.shape.hop, self.shape
        lookahead = (shape.latency - shape.fade) / hop
        middle = (0.5 * (hop + shape.fade) - shape.latency) / hop
        moved = at_frames(heights, 1.0 - lookahead, frames) - pair.register + self.register
        first = max(0, start - 1)
        hidden = self.frames("hidden", pair, first, start + frames + 2).astype(np.float32)
        if start == 0:
            hidden = np.concatenate([hidden[:1], hidden])
        return Lesson(
            source=torch.from_numpy(np.ascontiguousarray(source, np.float32))[None],
            answer=torch.from_numpy(answer)[None],
            real=torch.from_numpy(np.ascontiguousarray(shown, np.float32))[None],
            f0=torch.from_numpy(np.exp2(heights[1 : frames + 1]))[None],
            voiced=torch.from_numpy((f0[1 : frames + 1] > 0).astype(np.float32))[None],
            heights=torch.from_numpy(moved.astype(np.float32))[None],
            register=torch.tensor([pair.register - CENTRE], dtype=torch.float32),
            hidden=torch.from_numpy(at_frames(hidden, 1.0 + middle, frames))[None],
        )

    def draw(self, numbers: Sequence[int], size: int, rng: np.random.Generator) -> list[tuple[int, float, int]]:
        """Return number, place and seed of `size` random lessons, every second of speech equally likely."""
        ends = np.cumsum([self.pairs[number].frames for number in numbers])
        chosen = np.searchsorted(ends, rng.uniform(0, ends[-1], size=size))
        return [(numbers[int(k)], float(rng.uniform()), int(rng.integers(2**31))) for k in chosen]


def at_frames(values: npt.NDArray[np.float32], shift: float, frames: int) -> npt.NDArray[np.float32]:
    """Return values `shift` frames later than each of the first `frames` frames, on straight lines between frames."""
    low = math.floor(shift)
    weight = np.float32(shift - low)
    here = values[low : low + frames]
    return here if weight == 0 else (1 - weight) * here + weight * values[low + 1 : low + 1 + frames]


def stacked(lessons: Sequence[Lesson]) -> Lesson:
    """Return lessons of equal length as one batch."""
    names = Lesson.__dataclass_fields__
    return Lesson(**{name: torch.cat([getattr(lesson, name) for lesson in lessons]) for name in names})
