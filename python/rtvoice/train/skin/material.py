"""The stages that read recordings: prepared clips of the target and of those who may speak with its voice."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from rtvoice.train import digest
from rtvoice.train.data import Clip, Limits, Prepared, find_recordings, prepare, report
from rtvoice.train.data.corpus import DataError, Recording
from rtvoice.train.data.features import extract
from rtvoice.train.data.prepare import fingerprint
from rtvoice.train.recipe import free
from rtvoice.train.stages import StageContext

SKIN = "skin"
"""The speaker's and the collection's name of a target that is a folder of its own."""


@dataclass(frozen=True)
class PrepareParams:
    """The table `[prepare]`.

    Attributes
    ----------
    target : str
        Collection of `--data` with the target's voice, or an absolute folder of recordings of one person.
    also : tuple of str
        Further collections of `--data`, each with one person's voice that the same master learns to speak with. Recipes
        that differ only in `[render] voice` share everything up to their master.
    sources : tuple of str
        Collections of `--data` with other voices, from whom the networks learn to listen. They are never imitated.
    others : str
        Absolute folder of other people's recordings, instead of collections of `--data`; empty: none.
    noisiest : float
        Least SNR in dB of a recording.
    workers : int
        Processes.
    contents : str
        Of the folders named here, so that a changed recording is noticed; made, not given.
    """

    target: str = "kathleen"
    also: tuple[str, ...] = ()
    sources: tuple[str, ...] = ("librispeech", "picovoice")
    others: str = ""
    noisiest: float = 10.0
    workers: int = free(1)
    contents: str = field(init=False, default="")

    def __post_init__(self) -> None:
        named = [Path(name) for name in (self.target, self.others) if Path(name).is_absolute() and Path(name).is_dir()]
        object.__setattr__(self, "contents", " ".join(digest.folder_digest(folder) for folder in named))

    @property
    def own(self) -> bool:
        """Whether the target is a folder of its own."""
        return Path(self.target).is_absolute()

    @property
    def collections(self) -> tuple[str, ...]:
        """What is read of `--data`."""
        return (*self.also, *self.sources) if self.own else (self.target, *self.also, *self.sources)

    @property
    def voices(self) -> tuple[str, ...]:
        """Return the names of all voices that are learned: collections, or `SKIN` for a folder of its own."""
        return (SKIN if self.own else self.target, *self.also)


def recordings(params: PrepareParams, data: Path | None) -> list[Recording]:
    """Return the recordings of target and sources."""
    found: list[Recording] = []
    if params.own:
        found += find_recordings(Path(params.target), speaker=SKIN)
    if params.others:
        found += find_recordings(Path(params.others))
    if params.collections:
        if data is None:
            raise DataError(f"the collections {', '.join(params.collections)} are to be read; name --data DIR")
        found += find_recordings(data, collections=params.collections)
    return found


def data_digest(params: PrepareParams, data: Path) -> str:
    """Return which recordings were read."""
    return fingerprint(recordings(params, data))


def prepare_run(ctx: StageContext) -> None:
    """Find, cut and measure recordings."""
    params: PrepareParams = ctx.params
    prepare(
        recordings(params, ctx.data),
        ctx.folder,
        limits=Limits(noisiest=params.noisiest),
        workers=max(params.workers, ctx.threads),
        shard=ctx.shard,
        progress=ctx.progress,
    )


def prepare_merge(ctx: StageContext) -> None:
    """Tell what there is, in figures and as the page `data.html`."""
    report(ctx.folder, ctx.folder / "data.html")
    prepared = Prepared(ctx.folder)
    for name in sorted({clip.collection for clip in prepared.clips}):
        minutes = sum(clip.seconds for clip in prepared.clips if clip.collection == name) / 60
        ctx.figures[f"minutes_{name}"] = round(minutes, 1)


@dataclass(frozen=True)
class ContentParams:
    """The table `[content]`.

    Attributes
    ----------
    extractor : str
        `whisper-base` or `hama`.
    weights : str
        Folder or file of its weights where they are not in an installed package.
    workers : int
        Processes.
    """

    extractor: str = "whisper-base"
    weights: str = free("")
    workers: int = free(1)


def content_run(ctx: StageContext) -> None:
    """Describe what is said in every prepared clip."""
    params: ContentParams = ctx.params
    extract(
        Prepared(ctx.inputs["prepare"]),
        ctx.folder,
        extractor=params.extractor,
        weights=Path(params.weights) if params.weights else None,
        workers=max(params.workers, ctx.threads),
        shard=ctx.shard,
        progress=ctx.progress,
    )


def voice_of(clip: Clip, params: PrepareParams) -> str | None:
    """Return which of the voices to be learned a clip is spoken with; `None`: someone else's."""
    if params.own and clip.speaker == SKIN:
        return SKIN
    return clip.collection if clip.collection in params.voices else None


def clips_of(prepared: Prepared, split: str, params: PrepareParams) -> dict[str, list[int]]:
    """Return the clips of a split by the voice to be learned that speaks them."""
    found: dict[str, list[int]] = {name: [] for name in params.voices}
    for number in prepared.select(split=split):
        name = voice_of(prepared.clip(number), params)
        if name is not None:
            found[name].append(number)
    return found
