"""Joins outcomes to runs: from `rtvoice evaluate`, from the trainer's `run.json`, and from comparison-page votes.

Votes are a CSV file with a header, or a JSON list of objects (or an object with such a list under `votes`), with

| column | meaning |
|---|---|
| `model` | one of the two models that were heard |
| `row` | what was asked: a row of the page, such as `naturalness` |
| `winner` | name of the model that was preferred; `both` for a tie; `skip` for no answer |
| `rater` | who voted |
| `clip` | what was heard |
| `against` | the other model (may be left out: then only `model` is judged) |
| `id` | of the vote (may be left out: then all columns together are) |

A run's model is the one whose name it has (`Monitor(name=...)`, else the run's own).
"""

from __future__ import annotations

import csv
import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rtvoice.train.monitor.store import LABELS, Store, StoreError

COLUMNS = ("model", "row", "winner", "rater", "clip")
TIE, SKIP = "both", "skip"
#: From here on nothing is understood any more, whatever gates are missed.
COLLAPSED = {"wer_delta": 0.6, "per": 0.8}


def read_votes(path: str | os.PathLike[str]) -> list[dict[str, str | None]]:
    """Read votes: from such a file, or from the comparison page's own store (its folder, or `studio.db` in it).

    Raises
    ------
    StoreError
        The file is no list of votes; the message names the line and the column.
    """
    if Path(path).is_dir() or Path(path).name == "studio.db":
        return _page_votes(Path(path))
    text = Path(path).read_text(encoding="utf-8-sig")
    rows: list[Any]
    if text.lstrip()[:1] in ("[", "{"):
        try:
            data = json.loads(text)
        except json.JSONDecodeError as error:
            raise StoreError(f"{path}: not JSON ({error})") from None
        rows = data.get("votes", []) if isinstance(data, dict) else data
    else:
        rows = list(csv.DictReader(text.splitlines()))
    votes: list[dict[str, str | None]] = []
    for number, row in enumerate(rows, 1):
        if not isinstance(row, Mapping):
            raise StoreError(f"{path}: vote {number} is no object with the columns {', '.join(COLUMNS)}")
        missing = [name for name in COLUMNS if not row.get(name)]
        if missing:
            raise StoreError(f"{path}: vote {number} has no {missing[0]!r}; columns: {', '.join(COLUMNS)}")
        vote: dict[str, str | None] = {name: str(row[name]) for name in COLUMNS}
        vote["against"] = str(row["against"]) if row.get("against") else None
        named = {vote["model"], vote["against"], TIE, SKIP}
        if vote["against"] is not None and vote["winner"] not in named:
            raise StoreError(
                f"{path}: vote {number}: the winner {vote['winner']!r} is neither model, nor {TIE} nor {SKIP}"
            )
        word = "\x1f".join(str(vote[name]) for name in (*COLUMNS, "against"))
        vote["id"] = str(row["id"]) if row.get("id") else hashlib.sha256(word.encode()).hexdigest()[:32]
        votes.append(vote)
    if not votes:
        raise StoreError(f"{path}: there are no votes; columns: {', '.join(COLUMNS)}")
    return votes


def _page_votes(path: Path) -> list[dict[str, str | None]]:
    folder = path if path.is_dir() else path.parent
    if not (folder / "studio.db").is_file():
        raise StoreError(f"{folder} is no store of the comparison page: it has no studio.db")
    try:
        from rtvoice_studio import command
    except ImportError:
        raise StoreError("reading the page's store needs it; run: pip install 'rtvoice[compare]'") from None
    store = command.Store(folder)
    try:
        votes: list[dict[str, str | None]] = command.monitor_votes(store)
    finally:
        store.close()
    if not votes:
        raise StoreError(f"{folder}: nobody has voted yet")
    return votes


def win_share(votes: Sequence[Mapping[str, Any]], model: str, draws: int = 1000) -> tuple[float, float, float, int]:
    """Return a model's share of wins (ties count half), its 95 % interval, and the number of votes with an answer.

    Raters hear many clips and clips have many raters, so votes are not independent: the interval draws raters anew and
    clips anew, and counts each vote as often as both of them were drawn.
    """
    ours = [v for v in votes if model in (v["model"], v["against"]) and v["winner"] != SKIP]
    if not ours:
        return math.nan, math.nan, math.nan, 0
    won = np.array([0.5 if v["winner"] == TIE else float(v["winner"] == model) for v in ours])
    raters, rater = np.unique([v["rater"] for v in ours], return_inverse=True)
    clips, clip = np.unique([v["clip"] for v in ours], return_inverse=True)
    rng = np.random.default_rng(0)
    by_rater = rng.multinomial(raters.size, np.full(raters.size, 1 / raters.size), draws)
    by_clip = rng.multinomial(clips.size, np.full(clips.size, 1 / clips.size), draws)
    weights = (by_rater[:, rater] * by_clip[:, clip]).astype(np.float64)
    total = weights.sum(1)
    shares = (weights @ won)[total > 0] / total[total > 0]
    low, high = np.percentile(shares, [2.5, 97.5])
    return float(won.mean()), float(low), float(high), len(ours)


def join_votes(store: Store) -> dict[str, str]:
    """Label the runs whose models were voted on, where the votes decide; return run -> label.

    `good` if a model is preferred, `poor_performance` if the other one is: its interval lies above or below one half.
    Votes that decide nothing label nothing.
    """
    votes = store.votes()
    told: dict[str, str] = {}
    for run in store.runs():
        share, low, high, count = win_share(votes, run.model)
        if not count or low <= 0.5 <= high:
            continue
        told[run.id] = "good" if low > 0.5 else "poor_performance"
        detail = {"win_share": share, "interval": [low, high], "votes": count}
        store.label(run.id, told[run.id], source="votes", score=share, detail=detail)
    return told


def join_evaluation(store: Store, path: str | os.PathLike[str], run: str | None = None) -> dict[str, str]:
    """Label runs by the figures of `rtvoice evaluate --json`; return run -> label.

    All gates of the model's tier passed: `good`. Words gone (WER 60 points above the source's own, or PER 80 %):
    `collapse`. A gate missed: `poor_performance`. Gates not measured: no label.

    Parameters
    ----------
    store : Store
        Of the runs.
    path : path-like
        The JSON file.
    run : str or None
        The run it belongs to; `None` finds it by the model's name.
    """
    told: dict[str, str] = {}
    for figures in _models(_read_json(path), path):
        rows = [store.run(run)] if run else [row for row in store.runs() if row.model == figures["model"]]
        for row in rows:
            tier = str(figures.get("tier") or row.config.get("tier") or "default")
            gates = figures["gates"].get(tier, figures["gates"].get("default", {}))
            measures = {name: gate for name, gate in gates.get("measures", {}).items() if gate.get("judged", True)}
            lost = [name for name, edge in COLLAPSED.items() if (measures.get(name, {}).get("value") or 0.0) >= edge]
            if gates.get("passed") is None and not lost:
                continue
            label = "collapse" if lost else "good" if gates["passed"] else "poor_performance"
            detail = {name: gate.get("value") for name, gate in measures.items()}
            store.label(row.id, label, source="evaluate", score=_margin(measures), detail=detail)
            told[row.id] = label
    return told


def _margin(measures: Mapping[str, Any]) -> float | None:
    """Return the mean distance from the gates, as shares of them, each within -1 to 1; above 0 is beyond."""
    margins = []
    for gate in measures.values():
        edge = gate.get("at_least", gate.get("at_most"))
        value = gate.get("value")
        if isinstance(value, int | float) and edge:
            sign = 1.0 if "at_least" in gate else -1.0
            margins.append(min(1.0, max(-1.0, sign * (value - edge) / abs(edge))))
    return float(np.mean(margins)) if margins else None


def _models(data: Any, path: object) -> Iterator[dict[str, Any]]:
    """Find the models in an evaluation, wherever they stand."""
    found = False
    pending = [data]
    while pending:
        item = pending.pop(0)
        if isinstance(item, dict):
            if isinstance(item.get("model"), str) and isinstance(item.get("gates"), dict):
                found = True
                yield item
            else:
                pending += list(item.values())
        elif isinstance(item, list):
            pending += item
    if not found:
        raise StoreError(f"{path}: no model with gates in it; make it with 'rtvoice evaluate MODEL ... --json'")


def join_run(store: Store, path: str | os.PathLike[str], run: str | None = None) -> dict[str, str]:
    """Label a run by the trainer's own `run.json`; return run -> label.

    A label that a person gave there counts as a person's.

    Parameters
    ----------
    store : Store
        Of the runs.
    path : path-like
        `run.json`, or the folder that holds it; the run is the one with the folder's name.
    run : str or None
        The run it belongs to, where that is another.
    """
    file = Path(path)
    file = file / "run.json" if file.is_dir() else file
    data = _read_json(file)
    name = run or file.resolve().parent.name
    outcome = data.get("outcome") if isinstance(data, dict) else None
    if isinstance(outcome, str):
        outcome = {"label": outcome}
    if not isinstance(outcome, dict) or outcome.get("label") not in LABELS:
        raise StoreError(f"{file}: it has no outcome; the trainer writes one when a run ends")
    held_out = data.get("held_out") or {}
    loss = held_out.get("loss") if isinstance(held_out, dict) else None
    source = "person" if outcome.get("by") == "person" else "run"
    score = -float(loss) if isinstance(loss, int | float) else None
    store.label(name, outcome["label"], source=source, score=score, detail=outcome)
    return {name: str(outcome["label"])}


def _read_json(path: str | os.PathLike[str]) -> Any:
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise StoreError(f"{path}: not JSON ({error})") from None
