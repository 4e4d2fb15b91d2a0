"""What became of a run: collapse, poor generalisation, poor performance or good, by rules that are written down."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rtvoice.files import write_whole
from rtvoice.train.board import finite, read_log

__all__ = ["LABELS", "Outcome", "judge", "label", "read_run", "reconsider", "write_run"]

LABELS = ("collapse", "poor_generalisation", "poor_performance", "good")

#: The held-out loss must fall by this share of its start, or nothing was learnt.
LEARNT = 0.05
#: A training that goes on with trained weights may not end this share above where it began.
WORSE = 0.25
#: A held-out loss this share above its own best is worse than noise in it; over-fitting if training still went down.
RISEN = 0.10


@dataclass(frozen=True)
class Outcome:
    """A run's label and why.

    Attributes
    ----------
    label : str or None
        One of `LABELS`; `None` where the training was too short to say.
    reasons : tuple of str
        What decided.
    by : str
        `rules`, or `person` where someone overrode them.
    """

    label: str | None
    reasons: tuple[str, ...] = ()
    by: str = "rules"
    note: str = ""
    figures: Mapping[str, Any] = field(default_factory=dict)


def judge(
    log: Sequence[Mapping[str, Any]],
    *,
    measure: str = "loss",
    halted: str | None = None,
    figures: Mapping[str, Any] | None = None,
    tier: str = "default",
    begun: bool = False,
    shortest: int = 0,
) -> Outcome:
    """Label a run by its log and, where there are any, by the figures of `rtvoice evaluate`.

    In this order: *collapse* if its loss stopped being a number or the held-out loss did not fall by 5 % of its start
    (of a training that began with trained weights: ended 25 % above it); *poor generalisation* if the held-out loss
    ends more than 10 % above its own best while the training loss still fell; *poor performance* if a gate is missed;
    else *good*. A phase's losses are compared only with their own phase, since a later one may add terms.

    Parameters
    ----------
    log : sequence of mapping
        Lines of `log.jsonl`.
    measure : str
        The held-out figure to go by; smaller is better.
    halted : str or None
        Why the run was stopped, if it was because its numbers broke.
    figures : mapping or None
        Of `rtvoice evaluate --json`, by key.
    tier : str
        Whose gates count.
    begun : bool
        Whether the training went on with weights that were trained before.
    shortest : int
        Steps up to which nothing is said: the learning rate's rise.
    """
    if halted:
        return Outcome("collapse", (halted,))
    held = [(line.get("phase"), (line.get("held_out") or {}).get(measure)) for line in log if line.get("held_out")]
    if any(value is None or not math.isfinite(value) for _, value in held):
        return Outcome("collapse", (f"the held-out {measure} is not a number",))
    values = [float(value) for _, value in held if value is not None]
    facts = {"start": values[0], "best": min(values), "end": values[-1]} if values else {}
    if log and int(log[-1].get("step", 0)) <= shortest:
        return Outcome(None, (f"too short to say: {log[-1]['step']} steps",), figures=facts)
    first = [value for (phase, _), value in zip(held, values, strict=True) if phase == held[0][0]] if held else []
    if begun and values and values[-1] > values[0] + WORSE * abs(values[0]):
        reason = f"the held-out {measure} rose from {values[0]:.4g}, trained before, to {values[-1]:.4g}"
        return Outcome("collapse", (reason,), figures=facts)
    if not begun and len(first) > 1 and min(first[1:]) > first[0] - LEARNT * abs(first[0]):
        reason = f"the held-out {measure} began at {first[0]:.4g} and never fell below {min(first[1:]):.4g}"
        return Outcome("collapse", (reason,), figures=facts)
    if held:
        last = held[-1][0]
        ours = [value for (phase, _), value in zip(held, values, strict=True) if phase == last]
        trained = [line["loss"] for line in log if line.get("phase") == last and line.get("loss") is not None]
        best = min(ours)
        third = max(1, len(trained) // 3)
        falling = len(trained) > 1 and sum(trained[-third:]) / third < sum(trained[:third]) / third
        if ours[-1] > best + RISEN * abs(best) and falling:
            reason = f"the held-out {measure} rose from {best:.4g} to {ours[-1]:.4g} while the training loss fell"
            return Outcome("poor_generalisation", (reason,), figures=facts)
    missed = missed_gates(figures or {}, tier)
    if missed:
        return Outcome("poor_performance", tuple(missed), figures=facts)
    told = "every gate that was measured is met" if figures else "by its curves alone; not evaluated yet"
    return Outcome("good", (told,), figures=facts)


def missed_gates(figures: Mapping[str, Any], tier: str) -> list[str]:
    """Return the gates that the figures of `rtvoice evaluate --json` miss, in words."""
    if not figures:
        return []
    held = figures.get("gates")
    if not isinstance(held, Mapping):
        from rtvoice.evaluate.gates import judge as against

        numbers = {name: value for name, value in figures.items() if isinstance(value, int | float)}
        held = against(numbers, int(figures.get("speakers", 0) or 0))
    rows = held.get(tier, held["default"])["measures"]
    missed = []
    for name, row in rows.items():
        if row["passed"] is False and row.get("judged", True):
            wanted = f">= {row['at_least']:g}" if "at_least" in row else f"<= {row['at_most']:g}"
            missed.append(f"{name} {row['value']:.3g}, wanted {wanted}")
    return missed


def reconsider(run: Path, figures: Mapping[str, Any]) -> dict[str, Any]:
    """Label a run anew by the rules, with the figures of `rtvoice evaluate --json`; return its `run.json`.

    Raises
    ------
    ValueError
        The folder is no run, or the figures are of several models.
    """
    if "models" in figures:
        raise ValueError("the figures are of several models; evaluate the run's own by itself")
    folder = run.parent if run.is_file() else run
    told = read_run(folder)
    tier = str(told.get("stage") or "").rpartition(".")[2] or "default"
    measure = (told.get("training") or {}).get("measure", "loss")
    judged = judge(read_log(folder), measure=measure, figures=figures, tier=tier, begun=bool(told.get("begun_trained")))
    return write_run(folder, outcome=asdict(judged))


def read_run(folder: Path) -> dict[str, Any]:
    """Return a run's `run.json`.

    Raises
    ------
    ValueError
        The folder is no run.
    """
    path = folder if folder.is_file() else folder / "run.json"
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise ValueError(f"{folder} is no training run: it has no run.json") from None
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise ValueError(f"{path} is damaged: it is not JSON") from None


def write_run(folder: Path, **values: Any) -> dict[str, Any]:
    """Change values of a run's `run.json`, which need not be there yet; return it.

    An outcome that a person gave is not replaced by the rules'.
    """
    path = folder / "run.json"
    run = read_run(folder) if path.is_file() else {}
    before = run.get("outcome")
    run.update(values)
    ours = values.get("outcome")
    if before and before.get("by") == "person" and ours and ours.get("by") == "rules":
        run["outcome"] = before
    write_whole(path, (json.dumps(finite(run), indent=2, default=str, allow_nan=False) + "\n").encode())
    return run


def label(run: Path, word: str, note: str = "") -> dict[str, Any]:
    """Give a run its label by hand; return its `run.json`.

    Raises
    ------
    ValueError
        The label is not one of `LABELS`, or the folder is no run.
    """
    if word not in LABELS:
        raise ValueError(f"{word!r} is no label; labels: {', '.join(LABELS)}")
    folder = run.parent if run.is_file() else run
    before = read_run(folder).get("outcome")
    outcome = {**asdict(Outcome(word, (), "person", note)), "before": before}
    return write_run(folder, outcome=outcome)
