"""Content features of the targets as other people would have given them: played slower and faster.

A master that has only heard its target's own features speaks worse when given anyone else's. Played at 0.8 of its speed
a woman's voice is a man's, as far as a recogniser can tell; what it said is still known frame by frame.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rtvoice import audio
from rtvoice.files import write_whole
from rtvoice.train.data import Prepared
from rtvoice.train.data.features import loaded, to_speech_rate
from rtvoice.train.data.measure import RATE
from rtvoice.train.data.store import mapped
from rtvoice.train.recipe import free
from rtvoice.train.skin.material import PrepareParams, clips_of
from rtvoice.train.stages import StageContext

UNIT = 64  # clips written together


@dataclass(frozen=True)
class VaryParams:
    """The table `[vary]`; without it the master hears the target only as it is.

    Attributes
    ----------
    speeds : tuple of float
        At which the target's clips are played.
    extractor, weights : str
        As in `[content]`.
    """

    speeds: tuple[float, ...] = (0.75, 0.8, 0.9, 1.125)
    extractor: str = "whisper-base"
    weights: str = free("")


class Varied:
    """The features that `vary` has written.

    Parameters
    ----------
    folder : Path
        Its folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        about = json.loads((folder / "about.json").read_text())
        self.dimensions, self.speeds = int(about["dimensions"]), tuple(about["speeds"])
        self.places = {tuple(key): tuple(place) for key, place in about["places"]}

    def features(self, clip: int, speed: float) -> npt.NDArray[np.float16]:
        """Return `(frames, dimensions)` at 50 Hz of the clip's own time."""
        unit, offset, frames = self.places[clip, speed]
        raw = mapped(str(self.folder / f"varied-{unit:03d}.f16"), "<f2").reshape(-1, self.dimensions)
        return np.array(raw[offset : offset + frames])


def played(samples: npt.NDArray[np.float32], speed: float) -> npt.NDArray[np.float32]:
    """Return 24 kHz audio played at a speed: higher and shorter above 1."""
    parts = list(audio.convert([samples[:, None]], round(RATE * speed), RATE))
    return np.asarray(np.concatenate(parts)[:, 0], np.float32)


def in_own_time(features: npt.NDArray[np.float32], speed: float, frames: int) -> npt.NDArray[np.float32]:
    """Return features of what was played at a speed at the times of what was recorded, on straight lines."""
    at = np.clip(np.arange(frames) / speed, 0, len(features) - 1)
    low = np.floor(at).astype(int)
    weight = (at - low)[:, None].astype(np.float32)
    high = np.minimum(low + 1, len(features) - 1)
    return np.asarray((1 - weight) * features[low] + weight * features[high], np.float32)


def run(ctx: StageContext) -> None:
    """Describe this shard's clips at every speed."""
    params: VaryParams = ctx.params
    material = ctx.recipe.params("prepare", PrepareParams) if ctx.recipe else PrepareParams()
    prepared = Prepared(ctx.inputs["prepare"])
    describe = loaded(params.extractor, Path(params.weights) if params.weights else None)
    mine = sorted(clip for clips in clips_of(prepared, "train", material).values() for clip in clips)
    units = [(k, mine[k * UNIT : (k + 1) * UNIT]) for k in range(-(-len(mine) // UNIT))]
    units = [(k, clips) for k, clips in units if ctx.mine(f"unit {k}")]
    for done, (number, clips) in enumerate(units):
        ctx.progress(done, len(units), "listening")
        if (ctx.folder / f"unit-{number:03d}.json").is_file():
            continue
        parts: list[npt.NDArray[np.float16]] = []
        places: list[Any] = []
        offset = 0
        for clip in clips:
            frames = (prepared.clip(clip).frames + 1) // 2
            for speed in params.speeds:
                features = describe(to_speech_rate(played(prepared.audio(clip), speed)))
                parts.append(in_own_time(features, speed, frames).astype("<f2"))
                places.append([[clip, speed], [number, offset, frames]])
                offset += frames
        write_whole(ctx.folder / f"varied-{number:03d}.f16", np.concatenate(parts).tobytes())
        write_whole(ctx.folder / f"unit-{number:03d}.json", json.dumps(places).encode())


def merge(ctx: StageContext) -> None:
    """Write the index, once all shards are done."""
    params: VaryParams = ctx.params
    describe = loaded(params.extractor, Path(params.weights) if params.weights else None)
    places: list[Any] = []
    for path in sorted(ctx.folder.glob("unit-*.json")):
        places += json.loads(path.read_text())
    about = {"dimensions": describe.dimensions, "speeds": list(params.speeds), "places": places}
    write_whole(ctx.folder / "about.json", json.dumps(about).encode())
