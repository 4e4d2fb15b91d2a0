"""What the store says about heuristics, rules and saved time, as plain values: the content of the report."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import asdict
from typing import Any

import numpy as np

from rtvoice.train.monitor.heuristics import HEURISTICS, History, load_history
from rtvoice.train.monitor.pruning import UNCONDITIONAL
from rtvoice.train.monitor.rules import (
    CONFIDENCE,
    LOSSES,
    TARGET,
    Learned,
    Trial,
    learn_rules,
    median_pruning,
    to_json,
    trial,
)
from rtvoice.train.monitor.statistics import auc, auc_p_value, bootstrap_auc, false_discovery, spearman
from rtvoice.train.monitor.store import LABELS, Store

#: At these precisions the report also shows what rules would do, where the one asked for has too little evidence.
ALSO = (0.9, 0.8, 0.7)


def analyse(store: Store, project: str, target: float = TARGET, confidence: float = CONFIDENCE) -> dict[str, Any]:
    """Return everything the report shows of a project.

    Parameters
    ----------
    store : Store
        The runs.
    project : str
        Which of them.
    target, confidence : float
        Precision that a kill rule must reach, at this confidence.

    Returns
    -------
    dict
        `runs`, `outcomes`, `table` (heuristic x time), `rules`, `others` (rules at lower precisions), `plain` (median
        pruning by loss), `unconditional`, `ledger`.
    """
    history = load_history(store, project)
    learned = learn_rules(history, target, confidence)
    runs = store.runs(project)
    labelled = Counter(run.label for run in runs if run.label)
    overheads = [run.overhead for run in runs if run.overhead is not None]
    return {
        "project": project,
        "runs": len(runs),
        "labelled": len(history.runs),
        "unlabelled": history.unlabelled,
        "censored": history.censored,
        "outcomes": {label: labelled.get(label, 0) for label in LABELS},
        "overhead": {"median": float(np.median(overheads)), "worst": max(overheads)} if overheads else None,
        "hours": float(history.seconds.sum()) / 3600,
        "table": correlation_table(history),
        "rules": rules_json(learned),
        "others": [rules_json(learn_rules(history, other, confidence)) for other in ALSO if other < target],
        "plain": plain_pruning(history),
        "unconditional": unconditional(store, history),
        "ledger": ledger(store, project),
    }


def correlation_table(history: History) -> list[dict[str, Any]]:
    """Return a row for each heuristic at each time: Spearman with the score, AUC for a bad outcome, n, interval, q.

    AUC above one half: high values are bad. `gain_over_loss` compares, on the same runs, how far the AUC is from one
    half with how far the loss's is, in percent points of AUC, with the interval of that difference over paired draws.
    """
    rows: list[dict[str, Any]] = []
    for j, name in enumerate(history.names):
        for at, fraction in enumerate(history.fractions):
            values = history.values[:, j, at]
            known = ~np.isnan(values)
            x, bad, score = values[known], history.bad[known], history.score[known]
            area = auc(x, bad)
            low, high = bootstrap_auc(x, bad)
            scored = np.isfinite(score)
            row: dict[str, Any] = {
                "heuristic": name,
                "meaning": HEURISTICS[name],
                "fraction": fraction,
                "n": int(known.sum()),
                "bad": int(bad.sum()),
                "auc": area,
                "interval": [low, high],
                "spearman": spearman(x[scored], score[scored]) if scored.sum() > 2 else math.nan,
                "p": auc_p_value(x, bad),
            }
            for loss in LOSSES:
                row[f"gain_over_{loss}"] = _gain(history, values, loss, at) if name != loss else None
            rows.append(row)
    for row, q in zip(rows, false_discovery([row["p"] for row in rows]), strict=True):
        row["q"] = float(q)
    return rows


def _gain(history: History, values: np.ndarray[Any, Any], loss: str, at: int) -> dict[str, Any] | None:
    if loss not in history.names:
        return None
    other = history.values[:, history.names.index(loss), at]
    both = ~np.isnan(values) & ~np.isnan(other)
    bad = history.bad[both]
    x, y = values[both], other[both]
    ours, theirs = auc(x, bad), auc(y, bad)
    if math.isnan(ours) or math.isnan(theirs):
        return None
    # Each in the direction in which it tells more, so that an AUC of .1 is as good as one of .9.
    x, y = (x if ours >= 0.5 else -x), (y if theirs >= 0.5 else -y)
    low, high = bootstrap_auc(x, bad, other=y)
    return {"gain": abs(ours - 0.5) - abs(theirs - 0.5), "interval": [low, high], "n": int(both.sum())}


def trial_json(result: Trial) -> dict[str, Any]:
    """Return a trial as plain values, times in hours."""
    plain = asdict(result)
    for name in ("saved", "good"):
        plain[f"{name}_hours"] = plain.pop(f"{name}_seconds") / 3600
    return {**plain, "net_hours": result.net_seconds / 3600}


def rules_json(learned: Learned) -> dict[str, Any]:
    """Return what was learned as plain values."""
    return {
        "precision": learned.target,
        "confidence": learned.confidence,
        "rules": to_json(learned.rules),
        "findings": [
            {
                "heuristic": finding.heuristic,
                "verdict": finding.verdict,
                "accepted": finding.accepted,
                "used": finding.used,
                "reached": finding.reached,
                "rule": to_json([finding.rule])[0] if finding.rule else None,
                "leave_one_out": trial_json(finding.trial),
                "beyond_loss": {"bad": finding.beyond_loss[0], "good": finding.beyond_loss[1]},
            }
            for finding in learned.findings
        ],
        "together": trial_json(learned.together),
    }


def plain_pruning(history: History) -> list[dict[str, Any]]:
    """Return what ending every run whose loss is above the others' median would have done, at each time."""
    found = []
    for loss in LOSSES:
        for fraction in history.fractions:
            result = median_pruning(history, loss, fraction)
            if result is not None:
                found.append({"heuristic": loss, "fraction": fraction, **trial_json(result)})
    return found


def unconditional(store: Store, history: History) -> list[dict[str, Any]]:
    """Return what the three unconditional rules would have done: the patience is that of a run's own monitor."""
    found = []
    for name, words in UNCONDITIONAL.items():
        ended = np.full(len(history.runs), math.nan)
        for i, run in enumerate(history.runs):
            points = store.series(run.id, name).get(name)
            if points is None:
                continue
            needed = 1 if name == "nonfinite" else 3  # as `pruning.Pruner` has it
            met = 0
            for _, progress, value in points:
                met = met + 1 if value > 0 else 0
                if met >= needed and (progress >= 0.03 or name == "nonfinite"):
                    ended[i] = progress
                    break
        found.append({"rule": name, "meaning": words, **trial_json(trial(history, ended))})
    return found


def ledger(store: Store, project: str) -> dict[str, Any]:
    """Return what rules did and would have done to runs of this project, against how those ended.

    Hours are of CPU time: what a run still had before it when a rule was met (for a run that went on, what it
    then took). A run that was really ended has no outcome; the precision is that of the runs that went on.
    """
    runs = {run.id: run for run in store.runs(project)}
    seen: set[tuple[str, str]] = set()
    lines: list[dict[str, Any]] = []
    totals: dict[str, dict[str, float]] = {}
    for decision in store.decisions(project):
        run = runs[decision["run"]]
        done = decision["progress"]
        spent = run.cpu_seconds or run.seconds
        whole = spent / run.progress if run.progress else spent
        rest = max(0.0, whole * (1 - done)) if done is not None else 0.0
        bad = None if run.label is None or run.status == "killed" else run.label != "good"
        line = {
            "run": run.id,
            "rule": decision["rule"],
            "action": decision["action"],
            "progress": done,
            "rest_hours": rest / 3600,
            "label": run.label,
            "bad": bad,
            "reason": decision["reason"],
        }
        lines.append(line)
        if (run.id, decision["action"]) in seen:  # later rules on the same run save nothing more
            continue
        seen.add((run.id, decision["action"]))
        sums = totals.setdefault(
            decision["action"], {"runs": 0, "bad": 0, "good": 0, "unknown": 0, "saved_hours": 0.0, "good_hours": 0.0}
        )
        sums["runs"] += 1
        sums["unknown" if bad is None else "bad" if bad else "good"] += 1
        if bad is not False:
            sums["saved_hours"] += rest / 3600
        else:
            sums["good_hours"] += whole / 3600
    return {"decisions": lines, "totals": totals}
