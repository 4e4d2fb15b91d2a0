"""Puts the figures together: each model's, the source's, the target's, the master's, the anchors', with the gates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rtvoice.evaluate import anchors as known
from rtvoice.evaluate import compare, gates, measures
from rtvoice.evaluate.clips import LEAST_SPEAKERS, Clip
from rtvoice.evaluate.intervals import Figure
from rtvoice.evaluate.material import CLEAN, Material
from rtvoice.evaluate.measures import MAIN, Row, Target, rounded
from rtvoice.evaluate.signals import Signal
from rtvoice.evaluate.voices import EngineVoice, Voice
from rtvoice.evaluate.workers import Listeners

#: Median F0 above which a speaker is taken for a woman where no table says: between the modes of adults' voices.
HIGH_VOICE = 165.0
#: Files left out of a folder that are named; the others are counted.
TOLD = 5

_UNITS = {
    "similarity_*": "cosine, 1 is the same voice",
    "wer_delta, wer, per, vuv_error, nearer_target_*": "percent",
    "distillmos, plcmos": "opinion, 1 to 5",
    "f0_median": "Hz",
    "loudness": "LUFS",
}


def build(
    material: Material,
    voices: Sequence[Voice],
    master: Voice | None,
    wanted: Sequence[str],
    unavailable: dict[str, str],
    ears: Listeners,
    *,
    target: Target,
    taught_by: str | None,
) -> dict[str, Any]:
    """Return all figures, ready for JSON.

    Parameters
    ----------
    material, ears
        The signals and what was heard in them.
    voices, master
        Whose conversions they are; the master's come last.
    wanted, unavailable
        Measures that were made, and why others were not.
    target, taught_by
        As in `rtvoice.evaluate.judge.judge`.
    """
    table = _Table(material, ears, target)
    for role, why in ears.failures.items():
        for name in wanted:
            if role in measures.ROLES[name]:
                unavailable.setdefault(name, f"{role} failed: {why}")
    source = _own(table, material)
    shared: dict[str, Any] = {
        "clips": len(material.clips),
        "speakers": len({clip.speaker for clip in material.clips}),
        "seconds": round(sum(signal.seconds for signal in material.sources[CLEAN]), 1),
        "text": _text_basis(material.clips),
        "units": _UNITS,
        "unavailable": unavailable,
        "unreadable": {folder: {"count": len(why), "first": why[:TOLD]} for folder, why in material.unreadable.items()},
        "notes": _notes(material),
        "anchors": _anchors(table, material, source),
    }
    beside = {"source": source, "target": _held_out(table, material)}
    if master is not None:
        beside["master"] = _voice(table, material, len(voices), master, None)["figures"]
    models = []
    for index, voice in enumerate(voices):
        found = _voice(table, material, index, voice, taught_by)
        flat = found.pop("figures")
        models.append(voice.facts() | {name: flat.pop(name) for name in MAIN} | {"more": flat} | found | beside)
    if len(models) == 1:
        return models[0] | shared
    return {"models": models} | shared


class _Table:
    """Rows of figures, clip by clip."""

    def __init__(self, material: Material, ears: Listeners, target: Target) -> None:
        self.ears = ears
        self.target = target
        self._material = material
        self._pitch: dict[str, float | None] = {}

    def reader(self, signal: Signal | None) -> Callable[[str], Any]:
        return lambda role: self.ears.reading(signal, role)

    def rows(self, made: Sequence[Signal | None], sources: Sequence[Signal], clips: Sequence[Clip]) -> list[Row | None]:
        return [
            None if signal is None else measures.row(self.reader(signal), self.reader(source), self.target, clip.text)
            for signal, source, clip in zip(made, sources, clips, strict=False)
        ]

    def genders(self) -> tuple[dict[str, str], str]:
        """Return each speaker's gender and what it rests on."""
        told = {clip.speaker: clip.gender for clip in self._material.clips if clip.gender}
        found: dict[str, str] = {}
        for clip, signal in zip(self._material.clips, self._material.sources[CLEAN], strict=True):
            if clip.speaker in found:
                continue
            pitch = compare.median_f0(self.ears.reading(signal, "pitch") or [])
            guess = None if pitch is None else "female" if pitch >= HIGH_VOICE else "male"
            gender = told.get(clip.speaker) or guess
            if gender:
                found[clip.speaker] = gender
        guessed = sum(speaker not in told for speaker in found)
        basis = f"told for {len(told)} speakers, by median F0 ({HIGH_VOICE:g} Hz) for {guessed}"
        return found, basis


def _kept(rows: Sequence[Row | None], clips: Sequence[Clip]) -> tuple[list[Row], list[str]]:
    pairs = [(row, clip.speaker) for row, clip in zip(rows, clips, strict=False) if row is not None]
    return [row for row, _ in pairs], [speaker for _, speaker in pairs]


def _figures(rows: Sequence[Row | None], clips: Sequence[Clip]) -> dict[str, Figure]:
    return measures.figures(*_kept(rows, clips))


def _intervals(found: Mapping[str, Figure]) -> dict[str, list[float] | None]:
    return {
        name: None if figure.interval is None else [round(figure.interval[0], 4), round(figure.interval[1], 4)]
        for name, figure in found.items()
    }


def _voice(table: _Table, material: Material, index: int, voice: Voice, taught_by: str | None) -> dict[str, Any]:
    """Return one voice's figures: in all, by gender, by noise, clip by clip."""
    clips, sources = material.clips, material.sources[CLEAN]
    rows = table.rows(material.converted[index][CLEAN], sources, clips)
    found = _figures(rows, clips)
    streaming = _streaming(table, material, index)
    speakers = len({clip.speaker for row, clip in zip(rows, clips, strict=True) if row is not None})
    judged = measures.values(found) | {
        "streaming_bit_equal": None if streaming is None else float(streaming["bit_equal"]),
        "plcmos_loss": None if streaming is None else streaming["plcmos_loss"],
    }
    if taught_by is None:
        taught_by = _taught_by(voice)
    return {
        "figures": measures.values(found),
        "intervals": _intervals(found),
        "streaming": streaming,
        "by_gender": _by_gender(table, rows, clips),
        "by_noise": {
            level: {
                "clips": len(made),
                **_main(_figures(table.rows(made, sources, clips), clips)),
                "source": _main(_figures(table.rows(material.sources[level], sources, clips), clips)),
            }
            for level, made in material.converted[index].items()
            if any(signal is not None for signal in made)
        },
        "gates": gates.judge(judged, speakers, taught_by),
        "missing_clips": sum(row is None for row in rows),
        "each": [
            {"clip": clip.name, "speaker": clip.speaker, "seconds": round(clip.seconds, 2)}
            | {name: rounded(row.get(name)) for name in MAIN}
            for clip, row in zip(clips, rows, strict=True)
            if row is not None
        ],
    }


def _main(found: Mapping[str, Figure]) -> dict[str, float | None]:
    return measures.values(found, [*MAIN, "f0_semitones_from_target", "loudness"])


def _taught_by(voice: Voice) -> str:
    if not isinstance(voice, EngineVoice):
        return ""
    provenance = voice.model.metadata.get("provenance")
    return str(provenance.get("content", "")) if isinstance(provenance, dict) else ""


def _by_gender(table: _Table, rows: Sequence[Row | None], clips: Sequence[Clip]) -> dict[str, Any]:
    genders, basis = table.genders()
    found: dict[str, Any] = {"basis": basis}
    for gender in ("female", "male"):
        ours = [(row, clip) for row, clip in zip(rows, clips, strict=True) if genders.get(clip.speaker) == gender]
        count = len({clip.speaker for _, clip in ours})
        found[gender] = {"speakers": count, **_main(_figures([r for r, _ in ours], [c for _, c in ours]))}
    return found


def _streaming(table: _Table, material: Material, index: int) -> dict[str, Any] | None:
    bits = material.bits[index]
    if bits is None:
        return None
    pairs = [
        (a, b)
        for streamed, offline in material.streamed[index]
        if (a := table.ears.reading(streamed, "plcmos")) is not None
        and (b := table.ears.reading(offline, "plcmos")) is not None
    ]
    means = [sum(column) / len(pairs) for column in zip(*pairs, strict=True)] if pairs else [None, None]
    loss = None if means[0] is None or means[1] is None else rounded(means[1] - means[0])
    return {
        **bits,
        "plcmos_streamed": rounded(means[0]),
        "plcmos_offline": rounded(means[1]),
        "plcmos_loss": loss,
    }


def _own(table: _Table, material: Material) -> dict[str, float | None]:
    """Return the source's own scores: what a voice that changes nothing would get."""
    sources = material.sources[CLEAN]
    return _against_itself(_figures(table.rows(sources, sources, material.clips), material.clips))


def _against_itself(found: Mapping[str, Figure]) -> dict[str, float | None]:
    """Return figures of what was compared with itself: that it resembles itself says nothing."""
    told = measures.values(found)
    return {name: None if name.startswith(("nearer_", "similarity_source_")) else told[name] for name in told}


def _held_out(table: _Table, material: Material) -> dict[str, float | None]:
    """Return the target's own scores, on utterances that are not in the centroid; each stands for itself."""
    clips = [_alone(clip) for clip in material.held_out_clips]
    return _against_itself(_figures(table.rows(material.held_out, material.held_out, clips), clips))


def _alone(clip: Clip) -> Clip:
    return Clip(clip.name, clip.name, clip.path, clip.text, clip.gender, clip.start, clip.seconds)


def _anchors(table: _Table, material: Material, source: Mapping[str, float | None]) -> dict[str, Any]:
    names = [*MAIN, "wer", "wer_delta_tiny", "f0_median", "loudness"]
    found: dict[str, Any] = {"other_speakers": {name: source.get(name) for name in names}}
    if material.held_out:
        clips = [_alone(clip) for clip in material.held_out_clips]
        kinds = {"target": material.held_out, **material.anchors}
        for kind, made in kinds.items():
            found[kind] = measures.values(_figures(table.rows(made, material.held_out, clips), clips), names)
    checks = known.checks(found)
    return {**found, "utterances": len(material.held_out), "checks": checks, "ok": all(row["ok"] for row in checks)}


def _text_basis(clips: Sequence[Clip]) -> str:
    told = sum(clip.text is not None for clip in clips)
    return f"{told} clips against their text, {len(clips) - told} against the source's own transcript"


def _notes(material: Material) -> list[str]:
    notes = [
        f"{len(why)} file{'s' if len(why) > 1 else ''} of --{folder} cannot be read and "
        f"{'are' if len(why) > 1 else 'is'} left out: {'; '.join(why[:TOLD])}{'; ...' if len(why) > TOLD else ''}"
        for folder, why in material.unreadable.items()
        if why
    ]
    speakers = len({clip.speaker for clip in material.clips})
    if speakers < LEAST_SPEAKERS:
        notes.append(f"{speakers} speakers are too few to pass a gate; {LEAST_SPEAKERS} are needed")
    if material.held_out_clips == [] and material.enrolment:
        notes.append("the target has too few utterances to hold any out: it has no scores of its own")
    return notes
