"""The evaluation itself: what is converted, what is listened to, and what is made of it.

>>> from rtvoice.evaluate import evaluate
>>> found = evaluate("whisper", speech="recordings")  # doctest: +SKIP
>>> found["per"], found["intervals"]["per"]  # doctest: +SKIP
(8.4, [5.9, 12.4])
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rtvoice.evaluate import compare, material, measures, probes, result
from rtvoice.evaluate.cache import Cache, default_folder
from rtvoice.evaluate.clips import LONGEST, Clip, choose, find, held_out, stretches
from rtvoice.evaluate.material import Material
from rtvoice.evaluate.measures import Target
from rtvoice.evaluate.probes import Probe
from rtvoice.evaluate.voices import Callback, FolderVoice, Voice, voice
from rtvoice.evaluate.workers import Listeners, default_jobs
from rtvoice.model import Model

Judged = str | os.PathLike[str] | Model | Callback | Voice

#: What `quick` measures: no word recogniser, which takes half of the time.
QUICK = (
    "similarity_resemblyzer",
    "similarity_dvector",
    "per",
    "distillmos",
    "f0_correlation",
    "vuv_error",
    "f0_median",
)


class NotMeasurable(ValueError):
    """A measure that was asked for cannot be made here; the message names the package."""


@dataclass
class Judgement:
    """What an evaluation gives.

    Attributes
    ----------
    figures
        Ready for JSON.
    material
        The signals that were judged, for the page.
    """

    figures: dict[str, Any]
    material: Material = field(repr=False)


def evaluate(
    model: Judged | Sequence[Judged],
    *,
    speech: str | os.PathLike[str],
    target: str | os.PathLike[str] | None = None,
    master: str | os.PathLike[str] | None = None,
    noise: str | os.PathLike[str] | None = None,
    clips: int = 60,
    speakers: int | None = 40,
    only: str | os.PathLike[str] | None = None,
    longest: float = LONGEST,
    tier: str = "auto",
    measure: Sequence[str] | None = None,
    anchors: bool = True,
    language: str = "en",
    taught_by: str | None = None,
    jobs: int | None = None,
    cache: str | os.PathLike[str] | None = None,
    html: str | os.PathLike[str] | None = None,
    progress: Callable[[float], None] | None = None,
) -> dict[str, Any]:
    """Judge voices on recordings; see :func:`judge` for the arguments, and docs/evaluate.md for the figures.

    Parameters
    ----------
    html
        File for a page with tables, pictures and the worst clips to listen to.

    Returns
    -------
    dict
        The figures. With one model they stand at the top; with several, ``models`` is the list of them.
    """
    done = judge(
        model,
        speech=speech,
        target=target,
        master=master,
        noise=noise,
        clips=clips,
        speakers=speakers,
        only=only,
        longest=longest,
        tier=tier,
        measure=measure,
        anchors=anchors,
        language=language,
        taught_by=taught_by,
        jobs=jobs,
        cache=cache,
        progress=progress,
    )
    if html is not None:
        from rtvoice.evaluate import page

        page.write(done, html)
    return done.figures


def quick(model: Judged, *, speech: str | os.PathLike[str], **options: Any) -> dict[str, Any]:
    """Judge by 20 clips of 6 seconds at most, without words and anchors: half a minute for a new model.

    Parameters
    ----------
    model, speech, options
        As of :func:`evaluate`.
    """
    chosen: dict[str, Any] = {"clips": 20, "speakers": 20, "longest": 6.0, "measure": QUICK, "anchors": False}
    return evaluate(model, speech=speech, **{**chosen, **options})


def judge(
    model: Judged | Sequence[Judged],
    *,
    speech: str | os.PathLike[str],
    target: str | os.PathLike[str] | None = None,
    master: str | os.PathLike[str] | None = None,
    noise: str | os.PathLike[str] | None = None,
    clips: int = 60,
    speakers: int | None = 40,
    only: str | os.PathLike[str] | None = None,
    longest: float = LONGEST,
    tier: str = "auto",
    measure: Sequence[str] | None = None,
    anchors: bool = True,
    language: str = "en",
    taught_by: str | None = None,
    jobs: int | None = None,
    cache: str | os.PathLike[str] | None = None,
    progress: Callable[[float], None] | None = None,
    listen_with: Mapping[str, Probe] | None = None,
) -> Judgement:
    """Judge voices on recordings.

    Parameters
    ----------
    model
        A skin's name, a ``.rtv`` file, a `Model`, or a function ``(audio (n,), rate) -> (audio, rate)`` of whole
        recordings; or several of these.
    speech
        Folder of recordings to convert; see `rtvoice.evaluate.clips.find` for how speakers are told apart.
    target
        Folder of the voice that the skin is to have. Without it there is no similarity.
    master
        Folder of the same recordings converted by the master, files of the clips' names.
    noise
        Folder of noises: then a third of the speakers are also judged at 20 and 10 dB of signal to noise.
    clips, speakers
        At most; every speaker gives one clip before any gives a second.
    only
        File that names the speakers to use, as `rtvoice.evaluate.clips.held_out` reads it.
    longest
        Seconds of a clip that are used.
    measure
        Names out of `rtvoice.evaluate.measures.ROLES`; all that can be made where left out.
    anchors
        Measure known good and bad speech beside (needs a target).
    language
        Of the speech, for the recognisers.
    taught_by
        Recognisers whose features trained the model ("whisper", "hama"): theirs is then no gate. Where left out the
        model file's provenance tells, under ``content``.
    jobs
        Listening processes.
    cache
        Folder for what was rendered and heard; ``~/.cache/rtvoice/evaluate`` where left out.
    progress
        Is told the part done, 0 to 1.
    listen_with
        Other probes, by role; they listen in this process.

    Raises
    ------
    NotMeasurable
        A measure of `measure` cannot be made.
    AudioError, ModelError, ValueError
        A folder, a model or an argument is unfit.
    """
    told = progress or (lambda part: None)
    several: Sequence[Any] = model if isinstance(model, list | tuple) else [model]
    voices = [voice(one, tier) for one in several]
    listeners = dict(listen_with or probes.standard(language))
    wanted, unavailable = _possible(measure, listeners, language, target is not None)
    store = Cache(cache if cache is not None else default_folder())
    count = default_jobs() if jobs is None else max(1, jobs)
    refused: dict[str, list[str]] = {"speech": [], "target": []}
    chosen = _chosen(Path(speech), [target, master, noise], clips, speakers, only, longest, refused["speech"])
    targets = stretches(Path(target), unreadable=refused["target"]) if target is not None else []
    beside = [FolderVoice(Path(master))] if master is not None else []
    gathered = material.prepare(
        store,
        chosen,
        [*voices, *beside],
        targets,
        refused=refused,
        noises=Path(noise) if noise is not None else None,
        with_anchors=anchors,
        with_streaming="streaming" in wanted,
        jobs=count,
        progress=lambda part: told(0.2 * part),
    )
    with Listeners(store, listeners, language, 0 if listen_with is not None else count) as ears:
        ears.hear(gathered.wanted(measures.roles(wanted)), lambda part: told(0.2 + 0.8 * part))
        found = result.build(
            gathered,
            voices,
            beside[0] if beside else None,
            wanted,
            unavailable,
            ears,
            target=_target(gathered, ears),
            taught_by=taught_by,
        )
    return Judgement(found, gathered)


def _possible(
    asked: Sequence[str] | None, listeners: Mapping[str, Probe], language: str, has_target: bool
) -> tuple[list[str], dict[str, str]]:
    """Return the measures to make, and why the others are not made."""
    if asked is not None:
        unknown = [name for name in asked if name not in measures.ROLES]
        if unknown:
            raise NotMeasurable(f"there is no measure {unknown[0]!r}; measures: {', '.join(measures.ROLES)}")
    wanted, unavailable = [], {}
    for name, needed in measures.ROLES.items():
        if asked is not None and name not in asked:
            continue
        why = next((w for role in needed if (w := listeners[role].absent(language)) is not None), None)
        if name.startswith("similarity") and not has_target:
            why = "no target was given; name its folder with --target"
        if why is None or name == "streaming":  # the bits can be compared without PLCMOS
            wanted.append(name)
        if why is not None:
            unavailable[name if name != "streaming" else "plcmos_loss"] = why
            if asked is not None:
                raise NotMeasurable(f"{name} cannot be measured: {why}")
    return wanted, unavailable


def _chosen(
    root: Path,
    others: Sequence[str | os.PathLike[str] | None],
    count: int,
    speakers: int | None,
    only: str | os.PathLike[str] | None,
    longest: float,
    refused: list[str],
) -> list[Clip]:
    found = find(root, [Path(folder) for folder in others if folder is not None])
    if only is not None:
        found = held_out(found, Path(only))
    chosen = choose(found, count, speakers, longest, refused)
    if not chosen and len(refused) == len(found):
        raise ValueError(f"{root} has no recording that can be read: {refused[0]}")
    if not chosen:
        raise ValueError(f"{root} has no recording of a second or more")
    return chosen


def _target(gathered: Material, ears: Listeners) -> Target:
    centroids = {}
    for role in ("resemblyzer", "dvector"):
        found = [value for s in gathered.enrolment if (value := ears.reading(s, role)) is not None]
        if found:
            centroids[role] = compare.centroid(found)
    tracks: list[float] = []
    for signal in gathered.enrolment:
        tracks += ears.reading(signal, "pitch") or []
    return Target(centroids, compare.median_f0(tracks))
