"""The heuristics: names, what they say, and their value for a run at a share of its time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rtvoice.train.monitor.store import RunRow, Store

Floats = npt.NDArray[np.float64]

#: Shares of the planned run at which heuristics are read.
FRACTIONS = (0.05, 0.1, 0.2, 0.3, 0.5)
#: Where a heuristic is read, its latest values up to there are taken together by their median.
LATEST = 3

HEURISTICS: dict[str, str] = {
    "loss": "mean training loss since the sample before",
    "content": "mean content loss since the sample before",
    "validation": "loss on held-out data, as the trainer gave it",
    "loss_fall": "log of the loss over its first value",
    "never": "share of units never on, probe set",
    "never_worst": "the same in the worst layer",
    "never_batches": "share of units never on in the latest training batches",
    "dead_layers": "layers that pass nothing, in the probe set and in the latest training batches",
    "always": "share of units always on, probe set",
    "varies": "share of units that vary, probe set",
    "example_varies": "share of units on in some examples only",
    "flat": "share of units whose output does not vary",
    "churn": "share of units revived or newly dead since the sample before",
    "spread": "spread of unit deviations, log10 p90/p10, median layer",
    "spread_worst": "the same in the worst layer",
    "mean_drift": "mean runaway: median unit's mean against its first, in deviations, median layer",
    "mean_drift_worst": "the same in the worst layer",
    "deviation_change": "log10 of the units' deviation over its first value, median layer",
    "power_gap": "|log power of output - target| over bands, dB",
    "power_gap_worst": "the same in the worst band",
    "power_bias": "the same signed: below 0 is power loss",
    "output_drift": "mean of the output against the target's, in deviations",
    "gradient_norm": "log10 of the gradient's norm",
    "update_ratio": "log10 of the size of an update over the weight's, median tensor",
    "update_ratio_worst": "the same, largest tensor",
    "weight_norm": "log10 of the weights' norm",
    "adversary_caught": "whether the adversary has caught on",
    "adversary_evidence": "how clearly its loss breaks downwards",
    "balance": "log10 of discriminator's over generator's adversarial loss",
    "gradient_balance": "log10 of discriminator's over generator's gradient norm",
}


#: Where these were recorded and are not finite, the run has diverged: they count as infinite.
DIVERGING = frozenset({"loss", "content", "validation", "loss_fall", "gradient_norm"})


def value_at(points: Floats, fraction: float, window: float = 0.5, diverging: bool = False) -> float:
    """Return the median of the latest values of a series up to a share of the run.

    Parameters
    ----------
    points : numpy.ndarray
        `(points, 3)` of step, progress, value, by step.
    fraction : float
        Share of the run.
    window : float
        Values older than this share of `fraction` are not the run's state at that time and are not taken.
    diverging : bool
        Whether a value that is not finite counts as infinite, else as unknown.
    """
    recent = points[(points[:, 1] <= fraction + 1e-9) & (points[:, 1] >= window * fraction)]
    values = recent[-LATEST:, 2]
    values = np.where(np.isfinite(values), values, math.inf) if diverging else values[np.isfinite(values)]
    return float(np.median(values)) if values.size else math.nan


@dataclass(frozen=True)
class History:
    """What past runs showed and how they ended.

    Attributes
    ----------
    runs : list of RunRow
        Labelled runs, `n` of them.
    names : list of str
        Heuristics that at least half of the runs have.
    fractions : tuple of float
        Shares of a run.
    values : numpy.ndarray
        `(n, heuristics, fractions)`, NaN where unknown.
    bad : numpy.ndarray
        Whether the run ended otherwise than `good`, `(n,)`.
    score : numpy.ndarray
        Quality, higher is better, `(n,)`, NaN where unknown.
    seconds : numpy.ndarray
        CPU or GPU time of each whole run, `(n,)`.
    unlabelled, censored : int
        Runs left out for want of an outcome, and those among them that a rule had ended.
    """

    runs: list[RunRow]
    names: list[str]
    fractions: tuple[float, ...]
    values: Floats
    bad: npt.NDArray[np.bool_]
    score: Floats
    seconds: Floats
    unlabelled: int
    censored: int


def load_history(store: Store, project: str, fractions: Sequence[float] = FRACTIONS) -> History:
    """Read what the labelled runs of a project showed.

    A run that was killed shows only what came before, and its label would be the rule's own word: it counts only where
    it was carried on to its end, or a person labelled it.
    """
    every = store.runs(project)
    ended = [run for run in every if run.status == "killed" and run.label_source != "person"]
    runs = [run for run in every if run.label is not None and run not in ended]
    names = list(HEURISTICS)
    values = np.full((len(runs), len(names), len(fractions)), math.nan)
    for i, run in enumerate(runs):
        found = store.series(run.id)
        for j, name in enumerate(names):
            points = found.get(name)
            if points is None:
                continue
            if not np.isfinite(points[:, 1]).any():  # a run of unknown length: its last step was its end
                points = np.column_stack([points[:, 0], points[:, 0] / max(run.steps, 1), points[:, 2]])
            values[i, j] = [value_at(points, fraction, diverging=name in DIVERGING) for fraction in fractions]
    wide = [j for j in range(len(names)) if runs and (~np.isnan(values[:, j])).any(1).mean() >= 0.5]
    labels = np.array([run.label != "good" for run in runs], bool)
    return History(
        runs=runs,
        names=[names[j] for j in wide],
        fractions=tuple(fractions),
        values=values[:, wide],
        bad=labels,
        score=np.array([math.nan if run.score is None else run.score for run in runs], np.float64),
        seconds=np.array([_whole(run) for run in runs], np.float64),
        unlabelled=len(every) - len(runs),
        censored=len(ended),
    )


def _whole(run: RunRow) -> float:
    """Return the CPU seconds of the whole run, also of one that ended early by itself."""
    spent = run.cpu_seconds or run.seconds
    return spent / run.progress if run.progress and 0.02 < run.progress < 1 else spent
