"""What ``rtvoice evaluate`` measures in a session's own clips, and how it agrees with the votes."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rtvoice_studio.stats import Vote, with_votes
from rtvoice_studio.store import Row, Store

#: What the results page calls the measures, with their units.
WORDS = {
    "similarity_resemblyzer": "similarity to the target, Resemblyzer (cosine)",
    "similarity_dvector": "similarity to the target, d-vector (cosine)",
    "wer_delta": "word errors beyond the input's (% of words)",
    "per": "phone errors (% of phones)",
    "distillmos": "naturalness, DistillMOS (1 to 5)",
    "f0_correlation": "pitch contour against the input's (correlation)",
    "vuv_error": "voicing errors (% of frames)",
}


def measure(
    store: Store,
    session: Row,
    *,
    progress: Callable[[float], None] | None = None,
    listen_with: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Measure both systems on the clips that are heard, and keep the figures with the session; return them.

    Parameters
    ----------
    listen_with
        Other probes, as of :func:`rtvoice.evaluate.judge`.

    Raises
    ------
    ValueError
        The session has no input to measure against, or what measures is not installed.
    """
    from rtvoice.evaluate import judge
    from rtvoice.evaluate.measures import HIGH_IS_BAD, MAIN, ROLES
    from rtvoice.evaluate.probes import standard
    from rtvoice.evaluate.voices import FolderVoice

    clips = store.clips(session["id"])
    if not all("input" in clip["data"]["sounds"] for clip in clips):
        raise ValueError("measures hold the output against the input; name the inputs with --clips")
    listeners = dict(listen_with or standard("en"))
    unavailable = {}
    for name in MAIN:
        why = next((words for role in ROLES[name] if (words := listeners[role].absent("en")) is not None), None)
        if name.startswith("similarity") and "target" not in clips[0]["data"]["sounds"]:
            why = "there is no target voice; name its recordings with --target"
        if why is not None:
            unavailable[name] = why
    wanted = [name for name in MAIN if name not in unavailable]
    if not wanted:
        raise ValueError(f"nothing can be measured here; {MAIN[-1]}: {unavailable[MAIN[-1]]}")
    with tempfile.TemporaryDirectory(dir=store.folder, prefix=f"measuring-{os.getpid()}-") as place:
        folders = _laid_out(clips, store.folder / "audio", Path(place))
        found = judge(
            [FolderVoice(folders[role], role) for role in "ab"],
            speech=folders["input"],
            target=folders.get("target"),
            clips=len(clips),
            speakers=None,
            longest=60.0,
            measure=wanted,
            anchors=False,
            listen_with=listen_with,
            cache=store.folder / "readings",
            progress=progress,
        ).figures
    a, b = found["models"]
    keys = {f"c{i:04d}": clip["key"] for i, clip in enumerate(clips)}
    each: dict[str, dict[str, list[float]]] = {}
    for one, two in zip(a["each"], b["each"], strict=True):
        pairs = {name: [one[name], two[name]] for name in MAIN if one[name] is not None and two[name] is not None}
        each[keys[one["clip"]]] = pairs
    unavailable |= found["unavailable"]
    rows = [
        {
            "name": name,
            "low_is_good": name in HIGH_IS_BAD,
            "a": a[name],
            "b": b[name],
            "source": a["source"].get(name),
            "interval_a": a["intervals"].get(name),
            "interval_b": b["intervals"].get(name),
        }
        for name in MAIN
        if a[name] is not None and b[name] is not None
    ]
    data = {"rows": rows, "each": each, "unavailable": unavailable, "clips": len(each)}
    store.add_measures(session["id"], data)
    return data


def _laid_out(clips: Sequence[Row], audio: Path, place: Path) -> dict[str, Path]:
    """Copy the clips' sounds into folders by role, under numbers: a name may tell a speaker, or hold anything."""
    folders: dict[str, Path] = {}
    for i, clip in enumerate(clips):
        for role, digest in clip["data"]["sounds"].items():
            if role not in folders:
                # Not "target": a folder of that name is left out of the speech.
                folders[role] = place / f"of-{role}"
                folders[role].mkdir()
            shutil.copyfile(audio / f"{digest}.wav", folders[role] / f"c{i:04d}.wav")
    return folders


def beside(votes: Sequence[Vote], dimensions: Sequence[Mapping[str, Any]], data: Mapping[str, Any]) -> dict[str, Any]:
    """Return measures with which system they favour, and their correlation with the votes of each dimension."""
    rows = []
    for row in data["rows"]:
        sign = -1.0 if row["low_is_good"] else 1.0
        lead = sign * (row["b"] - row["a"])
        by_clip = {
            clip: sign * (pairs[row["name"]][1] - pairs[row["name"]][0])
            for clip, pairs in data["each"].items()
            if row["name"] in pairs
        }
        found = {
            str(d["key"]): asdict(with_votes([v for v in votes if v.dimension == d["key"]], by_clip))
            for d in dimensions
        }
        rows.append({**row, "better": "b" if lead > 0 else "a" if lead < 0 else None, "votes": found})
    return {"rows": rows, "unavailable": data["unavailable"], "clips": data["clips"], "words": WORDS}
