"""The master speaks everything once: pairs of source and answer that every student learns from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from rtvoice.files import write_whole
from rtvoice.train.data import Content, Prepared
from rtvoice.train.data.features import loaded, to_speech_rate
from rtvoice.train.models.master import Said, carried, to_frames
from rtvoice.train.skin.crops import HOP, Register, Speech
from rtvoice.train.skin.vary import played
from rtvoice.train.skin.voice import Voice, load_master
from rtvoice.train.stages import StageContext

RATE = 24000
UNIT = 48  # clips that are written together, and done again where one was killed
ARRAYS = {"source": "i2", "answer": "i2", "f0": "f4", "hidden": "f2"}
INDEX = "index.jsonl"


@dataclass(frozen=True)
class RenderParams:
    """The table `[render]`.

    Attributes
    ----------
    speeds : tuple of float
        Every clip is spoken once as it is and, where this is not empty, once more played at one of these speeds: voices
        higher and lower than anyone recorded.
    voice : str
        Which of the voices that the master has learned answers, by the name of its collection; empty: the target.
    weights : str
        Of the content features, as in `[content]`.
    """

    speeds: tuple[float, ...] = (0.8, 0.9, 1.125, 1.25)
    voice: str = ""
    weights: str = ""


@dataclass(frozen=True)
class Item:
    """A clip at a speed."""

    clip: int
    speed: float


def plan(prepared: Prepared, params: RenderParams) -> list[Item]:
    """Return what is to be spoken, clip by clip."""
    items = []
    for number in range(len(prepared)):
        items.append(Item(number, 1.0))
        if params.speeds:
            items.append(Item(number, params.speeds[number % len(params.speeds)]))
    return items


def sped(
    speech: Speech, voice: Voice, number: int, item: Item, weights: Path | None
) -> tuple[npt.NDArray[np.float32], Said, Register]:
    """Return a clip at its speed, what it says with its own F0, and its register."""
    samples, f0 = speech.prepared.audio(item.clip), speech.prepared.f0(item.clip)
    if item.speed == 1.0:
        return samples, speech.said(item.clip, speaker=number), Register.of(f0)
    samples = played(samples, item.speed)
    frames = len(samples) // HOP
    samples = samples[: frames * HOP]
    raw = torch.from_numpy(loaded(voice.extractor, weights)(to_speech_rate(samples)).astype(np.float32))
    at = np.minimum(np.round(np.arange(frames) * item.speed).astype(int), len(f0) - 1)
    f0 = f0[at] * np.float32(item.speed)
    said = Said(
        content=to_frames(voice.scale.apply(raw), frames)[None],
        f0=carried(torch.from_numpy(f0))[None],
        voiced=torch.from_numpy(f0 > 0).float()[None],
        energy=torch.from_numpy(speech.prepared.energy(item.clip)[at]).clamp(min=-90.0)[None],
        speaker=torch.tensor([number]),
    )
    return samples, said, Register.of(f0)


def run(ctx: StageContext) -> None:
    """Speak this shard's clips."""
    params: RenderParams = ctx.params
    weights = Path(params.weights) if params.weights else None
    prepared, content = Prepared(ctx.inputs["prepare"]), Content(ctx.inputs["content"])
    master, voice = load_master(ctx.inputs["master"])
    answering = voice.of(params.voice)
    speech = Speech(prepared, content, voice.scale, voice.speakers)
    items = plan(prepared, params)
    units = [(k, items[k * UNIT : (k + 1) * UNIT]) for k in range(-(-len(items) // UNIT))]
    mine = [(k, part) for k, part in units if ctx.mine(f"unit {k}")]
    for done, (number, part) in enumerate(mine):
        ctx.progress(done, len(mine), "speaking")
        if not listing(ctx.folder, number).is_file():
            arrays: dict[str, list[Any]] = {name: [] for name in ARRAYS}
            rows, offset = [], 0
            for item in part:
                samples, said, own = sped(speech, voice, answering.number, item, weights)
                answered = replace(said, f0=own.moved(said.f0, answering.register))
                with torch.no_grad():
                    hidden = master.hidden(answered)[-1]
                    seeded = torch.Generator().manual_seed(item.clip)
                    answer = master.synthesis(answered.f0, answered.voiced, *master.filters(hidden), generator=seeded)
                frames = said.f0.shape[1]
                voiced = said.voiced[0].numpy() > 0
                arrays["source"].append(pcm(samples[: frames * HOP]))
                arrays["answer"].append(pcm(answer[0].numpy()))
                arrays["f0"].append(np.where(voiced, said.f0[0].numpy(), -said.f0[0].numpy()).astype("<f4"))
                arrays["hidden"].append(hidden[0].numpy().astype("<f2"))
                clip = prepared.clip(item.clip)
                rows.append(
                    {"id": clip.id, "speaker": clip.speaker, "split": clip.split, "speed": item.speed, "unit": number}
                    | {"offset": offset, "frames": frames, "register": own.mean}
                )
                offset += frames
            for name, made in arrays.items():
                write_whole(array_file(ctx.folder, name, number), np.concatenate(made).tobytes())
            write_whole(listing(ctx.folder, number), json.dumps(rows).encode())


def merge(ctx: StageContext) -> None:
    """Write the index, once all shards are done."""
    rows: list[dict[str, Any]] = []
    number = 0
    while listing(ctx.folder, number).is_file():
        rows += json.loads(listing(ctx.folder, number).read_text())
        number += 1
    params: RenderParams = ctx.params
    voice = Voice.read(ctx.inputs["master"])
    about = {"hidden": voice.shape.channels, "register": voice.of(params.voice).register.mean}
    write_whole(ctx.folder / "about.json", json.dumps(about).encode())
    write_whole(ctx.folder / INDEX, "".join(json.dumps(row) + "\n" for row in rows).encode())
    ctx.figures["pairs"] = len(rows)
    ctx.figures["hours"] = round(sum(row["frames"] for row in rows) / 360000, 2)


def pcm(samples: npt.NDArray[np.float32]) -> npt.NDArray[np.int16]:
    """Return 16-bit samples."""
    return np.round(np.clip(samples, -1, 1) * 32767).astype("<i2")


def listing(folder: Path, unit: int) -> Path:
    """Return the file that says what a unit holds, written last."""
    return folder / f"unit-{unit:04d}.json"


def array_file(folder: Path, name: str, unit: int) -> Path:
    """Return the file of one of a unit's arrays."""
    return folder / f"{name}-{unit:04d}.{ARRAYS[name]}"


def rows(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the lines of the index."""
    with (folder / INDEX).open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)
