"""Crops of prepared speech as the batches a master is trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from rtvoice.train.data import Content, Prepared
from rtvoice.train.models.master import Said, carried, to_frames
from rtvoice.train.skin.vary import Varied

HOP = 240


@dataclass(frozen=True)
class Scale:
    """What standardises content features after the utterance's mean is gone.

    Attributes
    ----------
    deviation : torch.Tensor
        `(channels,)`: standard deviation over the training speech.
    """

    deviation: Tensor

    @classmethod
    def of(cls, content: Content, clips: Sequence[int], most: int = 300) -> Scale:
        """Measure on up to `most` clips, evenly chosen."""
        chosen = [clips[int(i)] for i in np.linspace(0, len(clips) - 1, min(most, len(clips)))]
        total, count = np.zeros(content.dimensions), 0
        for clip in chosen:
            frames = content.features(clip).astype(np.float64)
            total += ((frames - frames.mean(axis=0)) ** 2).sum(axis=0)
            count += len(frames)
        return cls(torch.as_tensor(np.sqrt(total / max(count, 1)) + 1e-4, dtype=torch.float32))

    def apply(self, features: Tensor) -> Tensor:
        """Centre `(frames, channels)` on its own mean and divide."""
        return (features - features.mean(dim=0)) / self.deviation


@dataclass(frozen=True)
class Register:
    """Where a voice speaks: mean and standard deviation of log2 F0 over its voiced frames."""

    mean: float
    deviation: float

    @classmethod
    def of(cls, f0: npt.NDArray[np.float32]) -> Register:
        """Measure `(frames,)` in Hz; 0 is unvoiced. A voice never heard is put at 160 Hz."""
        heights = np.log2(f0[f0 > 0])
        if len(heights) < 10:
            return cls(float(np.log2(160.0)), 0.25)
        middle = np.median(heights)
        near = heights[np.abs(heights - middle) < 0.75]  # octave errors are no intonation
        return cls(float(near.mean()), float(max(near.std(), 0.05)))

    def moved(self, f0: Tensor, to: Register) -> Tensor:
        """Return F0 in Hz, spoken in this register, moved to another: transposed, the melody as it was.

        Nothing is stretched: a stream cannot know how lively a voice is before it has heard it, and student and master
        must agree.
        """
        return torch.exp2(torch.log2(f0) - self.mean + to.mean).clamp(40.0, 900.0)


@dataclass(frozen=True)
class Batch:
    """Crops to speak again.

    Attributes
    ----------
    said : Said
        What the master is told.
    audio : torch.Tensor
        `(batch, samples)`: what it should say.
    """

    said: Said
    audio: Tensor


class Speech:
    """Prepared speech together with its content features.

    Parameters
    ----------
    prepared, content : Prepared, Content
        Of the same clips.
    scale : Scale
        Of the content features.
    speakers : sequence of str
        The voices, in the order of their numbers.
    varied : Varied or None
        Features of the same clips played at other speeds.
    """

    def __init__(
        self,
        prepared: Prepared,
        content: Content,
        scale: Scale,
        speakers: Sequence[str],
        varied: Varied | None = None,
    ) -> None:
        content.check_matches(prepared)
        self.prepared, self.content, self.scale, self.varied = prepared, content, scale, varied
        self.number = {name: index for index, name in enumerate(speakers)}
        self._features: dict[tuple[int, float], Tensor] = {}
        self._ends: dict[int, npt.NDArray[np.float64]] = {}

    def ends(self, clips: Sequence[int]) -> npt.NDArray[np.float64]:
        """Return where each clip ends, in seconds, if they were played one after the other; kept by the list."""
        if id(clips) not in self._ends:
            self._ends[id(clips)] = np.cumsum([self.prepared.clip(clip).seconds for clip in clips])
        return self._ends[id(clips)]

    def features(self, clip: int, speed: float = 1.0) -> Tensor:
        """Return the standardised features of a clip at 100 Hz `(frames, channels)`, kept in 16 bits."""
        if (clip, speed) not in self._features:
            told = self.content.features(clip) if speed == 1.0 or not self.varied else self.varied.features(clip, speed)
            frames = self.prepared.clip(clip).frames
            kept = to_frames(self.scale.apply(torch.from_numpy(told.astype(np.float32))), frames).half()
            self._features[clip, speed] = kept
        return self._features[clip, speed]

    def said(
        self, clip: int, start: int = 0, stop: int | None = None, *, speaker: int | None = None, speed: float = 1.0
    ) -> Said:
        """Return what a clip says, a batch of one.

        `speaker` other than its own where given; features as if it were played at another `speed`, in its own time.
        """
        f0 = torch.from_numpy(self.prepared.f0(clip))
        height = carried(f0)[start:stop]
        number = self.number[self.prepared.clip(clip).speaker] if speaker is None else speaker
        return Said(
            content=self.features(clip, speed)[start:stop].float()[None],
            f0=height[None],
            voiced=(f0 > 0).float()[start:stop][None],
            energy=torch.from_numpy(self.prepared.energy(clip)[start:stop]).clamp(min=-90.0)[None],
            speaker=torch.tensor([number]),
        )

    def crop(self, clip: int, frames: int, at: float, speed: float = 1.0) -> Batch:
        """Return a stretch of a clip, `at` 0 (its start) to 1 (its end); a shorter clip is followed by silence."""
        length = self.prepared.clip(clip).frames
        start = int(at * max(0, length - frames))
        said = self.said(clip, start, start + frames, speed=speed)
        audio = torch.from_numpy(self.prepared.audio(clip, start * HOP, (start + frames) * HOP))[None]
        missing = frames - said.f0.shape[1]
        if missing > 0:
            said = Said(
                content=torch.nn.functional.pad(said.content, (0, 0, 0, missing)),
                f0=torch.cat([said.f0, said.f0[:, -1:].expand(-1, missing)], dim=1),
                voiced=torch.nn.functional.pad(said.voiced, (0, missing)),
                energy=torch.nn.functional.pad(said.energy, (0, missing), value=-90.0),
                speaker=said.speaker,
            )
            audio = torch.nn.functional.pad(audio, (0, missing * HOP))
        return Batch(said, audio)


def stacked(crops: Sequence[Batch]) -> Batch:
    """Return crops of equal length as one batch."""
    said = Said(
        *(
            torch.cat([getattr(crop.said, name) for crop in crops])
            for name in ("content", "f0", "voiced", "energy", "speaker")
        )
    )
    return Batch(said, torch.cat([crop.audio for crop in crops]))


def draw(
    pools: Sequence[tuple[Speech, Sequence[int], float, float]], size: int, rng: np.random.Generator
) -> list[tuple[Speech, int, float, float]]:
    """Return the speech, clip, place and speed of `size` random crops.

    Parameters
    ----------
    pools : sequence of (Speech, clips, share, varied)
        Where crops come from, and which share of them is given with features of another speed; within a pool each
        second of speech is equally likely.
    size : int
        How many.
    rng : numpy.random.Generator
        Of all choices.
    """
    shares = np.array([share for _, _, share, _ in pools])
    chosen = []
    for pool in rng.choice(len(pools), size=size, p=shares / shares.sum()):
        speech, clips, _, varied = pools[pool]
        ends = speech.ends(clips)
        clip, at = clips[int(np.searchsorted(ends, rng.uniform(0, ends[-1])))], float(rng.uniform())
        other = rng.uniform() < varied and speech.varied is not None
        speed = float(rng.choice(speech.varied.speeds)) if other and speech.varied is not None else 1.0
        chosen.append((speech, clip, at, speed))
    return chosen
