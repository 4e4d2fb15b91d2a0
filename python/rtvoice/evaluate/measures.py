"""From readings to figures: what one clip shows, and what all of them say over speakers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtvoice.evaluate import compare, intervals
from rtvoice.evaluate.intervals import Figure

#: Measure that can be asked for -> what has to be listened for.
ROLES: dict[str, tuple[str, ...]] = {
    "similarity_resemblyzer": ("resemblyzer",),
    "similarity_dvector": ("dvector",),
    "wer_delta": ("whisper-base",),
    "wer_delta_tiny": ("whisper-tiny",),
    "per": ("hama",),
    "distillmos": ("distillmos",),
    "f0_correlation": ("pitch",),
    "f0_correlation_fixed": ("pitch_fixed",),
    "vuv_error": ("pitch",),
    "f0_median": ("pitch",),
    "loudness": ("loudness",),
    "streaming": ("plcmos",),
}
#: Measures of a result that stand at its top.
MAIN = (
    "similarity_resemblyzer",
    "similarity_dvector",
    "wer_delta",
    "per",
    "distillmos",
    "f0_correlation",
    "vuv_error",
)
#: Which end of a measure is the bad one, for the list of worst clips.
HIGH_IS_BAD = {"wer_delta", "per", "vuv_error"}
#: Rates in percent over all words, phones or clips -> (errors, counted in); the others are medians over speakers.
RATES = {
    "wer": ("word_errors", "words"),
    "wer_delta": ("extra_word_errors", "words"),
    "wer_tiny": ("word_errors_tiny", "words_tiny"),
    "wer_delta_tiny": ("extra_word_errors_tiny", "words_tiny"),
    "per": ("phone_errors", "phones"),
    "nearer_target_resemblyzer": ("nearer_resemblyzer", "one"),
    "nearer_target_dvector": ("nearer_dvector", "one"),
}
MEDIANS = (
    "similarity_resemblyzer",
    "similarity_dvector",
    "similarity_source_resemblyzer",
    "similarity_source_dvector",
    "distillmos",
    "f0_correlation",
    "f0_correlation_fixed",
    "vuv_error",
    "f0_median",
    "f0_semitones_from_target",
    "delay_ms",
    "loudness",
    "loudness_change",
)

Read = Callable[[str], Any]
Row = dict[str, float | None]


@dataclass
class Target:
    """Whom a skin is to sound like: centroids by embedding, median F0 in Hz."""

    centroids: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    f0_median: float | None = None


def roles(measures: Sequence[str]) -> list[str]:
    """Return what has to be listened for, each once."""
    return list(dict.fromkeys(role for measure in measures for role in ROLES[measure]))


def row(heard: Read, source: Read, target: Target, text: str | None = None) -> Row:
    """Return the figures of one clip; error rates are in percent.

    Parameters
    ----------
    heard, source
        Give the reading of a role in the judged signal and in the clean source; None where there is none.
    target
        Whom it is to sound like.
    text
        What was said. Without it the source's own transcript, by the same recogniser, stands for it.
    """
    found: Row = {"one": 1.0}
    for role in ("resemblyzer", "dvector"):
        found |= _similarity(role, heard(role), source(role), target.centroids.get(role))
    found |= _words("", heard("whisper-base"), source("whisper-base"), text)
    found |= _words("_tiny", heard("whisper-tiny"), source("whisper-tiny"), text)
    phones, wanted = heard("hama"), source("hama")
    if phones is not None and wanted:
        found |= {"phone_errors": float(compare.edit_distance(wanted, phones)), "phones": float(len(wanted))}
        found["per"] = 100.0 * (found["phone_errors"] or 0.0) / len(wanted)
    found |= {name: heard(name) for name in ("distillmos", "loudness")}
    before = source("loudness")
    if found["loudness"] is not None and before is not None:
        found["loudness_change"] = found["loudness"] - before
    found |= _pitch(heard("pitch"), source("pitch"), target.f0_median)
    once, before = heard("pitch_fixed"), source("pitch_fixed")
    if once is not None and before is not None and len(before):
        found["f0_correlation_fixed"] = compare.follow(before, once).correlation
    return found


def _similarity(role: str, heard: Any, source: Any, centroid: NDArray[np.float64] | None) -> Row:
    found: Row = {}
    if heard is None:
        return found
    if source is not None:
        found[f"similarity_source_{role}"] = compare.cosine(heard, source)
    if centroid is not None:
        found[f"similarity_{role}"] = compare.cosine(heard, centroid)
        if source is not None:
            nearer = compare.cosine(heard, centroid) > compare.cosine(heard, source)
            found[f"nearer_{role}"] = float(nearer)
    return found


def _words(suffix: str, heard: Any, source: Any, text: str | None) -> Row:
    if heard is None or source is None:
        return {}
    wanted = compare.words(text) if text else source
    if not wanted:
        return {}
    errors = compare.edit_distance(wanted, heard)
    own = compare.edit_distance(wanted, source)
    return {
        f"words{suffix}": float(len(wanted)),
        f"word_errors{suffix}": float(errors),
        f"extra_word_errors{suffix}": float(errors - own),
        f"wer_delta{suffix}": 100.0 * (errors - own) / len(wanted),
    }


def _pitch(heard: Any, source: Any, target: float | None) -> Row:
    found: Row = {}
    if heard is None:
        return found
    found["f0_median"] = compare.median_f0(heard)
    if found["f0_median"] is not None and target is not None:
        found["f0_semitones_from_target"] = compare.semitones(found["f0_median"], target)
    if source is not None and len(source):
        way = compare.follow(source, heard)
        found["f0_correlation"], found["vuv_error"] = way.correlation, 100.0 * way.vuv_error
        found["delay_ms"] = 1000.0 * way.delay / compare.FRAMES
    return found


def figures(rows: Sequence[Row], speakers: Sequence[str]) -> dict[str, Figure]:
    """Return every figure over speakers: error rates over all words or phones, medians of the rest."""
    found = {name: intervals.median([row.get(name) for row in rows], speakers) for name in MEDIANS}
    for name, (part, whole) in RATES.items():
        parts = [None if (value := row.get(part)) is None else 100.0 * value for row in rows]
        found[name] = intervals.pooled(parts, [row.get(whole) for row in rows], speakers)
    return found


def values(found: Mapping[str, Figure], names: Sequence[str] | None = None) -> dict[str, float | None]:
    """Return the figures' values, rounded, by name."""
    return {name: rounded(found[name].value) for name in (names or found)}


def rounded(value: float | None) -> float | None:
    """Return a figure to four digits after the point: none of the measures has more to say."""
    return None if value is None else round(float(value), 4)
