"""Kill rules learned from past runs: one heuristic, one threshold, one time; with the evidence for each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from rtvoice.train.monitor.heuristics import History
from rtvoice.train.monitor.statistics import lower_bound, runs_needed

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

#: Plain loss pruning goes by one of these.
LOSSES = ("loss", "validation")
TARGET = 0.95
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Rule:
    """End a run whose heuristic at a share of its time lies beyond a threshold.

    Attributes
    ----------
    heuristic : str
        One of `heuristics.HEURISTICS`.
    fraction : float
        Share of the planned run, 0 to 1.
    threshold : float
        In the heuristic's unit.
    above : bool
        Whether values above the threshold are bad, else those below.
    runs, bad : int
        Past runs that had the heuristic, and those of them that ended badly.
    flagged, hits : int
        Past runs that the rule flags, and those of them that ended badly.
    bound : float
        Lower bound of the precision (Clopper and Pearson, one-sided).
    """

    heuristic: str
    fraction: float
    threshold: float
    above: bool
    runs: int
    bad: int
    flagged: int
    hits: int
    bound: float

    @property
    def name(self) -> str:
        """The rule in one line."""
        return f"{self.heuristic} {'>' if self.above else '<'} {self.threshold:.4g} at {self.fraction:.0%}"

    def flags(self, value: float) -> bool:
        """Tell whether a value is beyond the threshold; NaN never is."""
        return value > self.threshold if self.above else value < self.threshold


@lru_cache(maxsize=64)
def _needed(runs: int, target: float, confidence: float) -> npt.NDArray[np.int64]:
    """Return for k = 0..runs flagged runs how many must be bad for the target (k + 1: impossible)."""
    needed = np.arange(1, runs + 2)
    hits = 0
    for flagged in range(1, runs + 1):
        while hits <= flagged and lower_bound(hits, flagged, confidence) < target:
            hits += 1
        needed[flagged] = hits
    return needed


def _cuts(values: Floats, above: bool) -> tuple[npt.NDArray[np.int64], Floats]:
    """Return the order of runs from the worst, and the threshold that flags the first k = 1..n of them (NaN: a tie)."""
    known = np.flatnonzero(~np.isnan(values))
    order = known[np.argsort(-values[known] if above else values[known], kind="stable")]
    x = values[order]
    following = np.append(x[1:], np.nan)
    with np.errstate(invalid="ignore"):
        middle = np.where(np.isfinite(x + following), (x + following) / 2, following)
    # Flagging everything is no rule, and a cut within a tie flags nobody in particular.
    return order, np.where(x == following, np.nan, middle)


def learn(
    history: History,
    heuristic: int,
    among: Bools,
    target: float = TARGET,
    confidence: float = CONFIDENCE,
) -> Rule | None:
    """Return the rule on one heuristic that saves most among past runs, `None` where the evidence is not enough.

    Parameters
    ----------
    history : History
        Past runs.
    heuristic : int
        Index into `history.names`.
    among : numpy.ndarray
        Which runs to learn from, `(n,)`.
    target, confidence : float
        The precision whose lower bound at this confidence must be reached.
    """
    best: tuple[float, Rule] | None = None
    for at, fraction in enumerate(history.fractions):
        values = np.where(among, history.values[:, heuristic, at], np.nan)
        for above in (True, False):
            order, thresholds = _cuts(values, above)
            if order.size < 2:
                continue
            bad = history.bad[order]
            hits, flagged = np.cumsum(bad), np.arange(1, order.size + 1)
            able = (hits >= _needed(order.size, target, confidence)[flagged]) & ~np.isnan(thresholds)
            if not able.any():
                continue
            saved = (1 - fraction) * np.cumsum(np.where(bad, 1.0, -1.0) * history.seconds[order])
            pick = int(np.argmax(np.where(able, saved, -np.inf)))
            if best is None or saved[pick] > best[0]:
                caught, count = int(hits[pick]), pick + 1
                bound = lower_bound(caught, count, confidence)
                numbers = (int(order.size), int(bad.sum()), count, caught, bound)
                best = (
                    float(saved[pick]),
                    Rule(history.names[heuristic], fraction, float(thresholds[pick]), above, *numbers),
                )
    return best and best[1]


def best_bound(history: History, heuristic: int, confidence: float = CONFIDENCE) -> float:
    """Return the highest lower bound of precision that any cut of a heuristic reaches."""
    found = 0.0
    for at in range(len(history.fractions)):
        for above in (True, False):
            order, thresholds = _cuts(history.values[:, heuristic, at], above)
            hits = np.cumsum(history.bad[order])
            for k in np.flatnonzero(~np.isnan(thresholds)):
                found = max(found, lower_bound(int(hits[k]), int(k) + 1, confidence))
    return found


@dataclass(frozen=True)
class Trial:
    """How a way of ending runs would have done on runs it had not learned from.

    Attributes
    ----------
    flagged, hits : int
        Runs ended, and those of them that were bad.
    bad : int
        Bad runs in all.
    precision, bound, recall : float
        Shares; NaN where nothing was flagged.
    saved_seconds : float
        CPU or GPU time of the bad runs' rest that would not have been spent.
    good_lost : int
        Good runs ended.
    good_seconds : float
        The whole time of those: to get them back they must be trained again.
    """

    flagged: int
    hits: int
    bad: int
    precision: float
    bound: float
    recall: float
    saved_seconds: float
    good_lost: int
    good_seconds: float

    @property
    def net_seconds(self) -> float:
        """Time saved less the good runs' time."""
        return self.saved_seconds - self.good_seconds


def trial(history: History, ended_at: Floats, confidence: float = CONFIDENCE) -> Trial:
    """Sum up what ending each run at a share of its time (NaN: not at all) would have saved and cost."""
    flagged = ~np.isnan(ended_at)
    hits, lost = flagged & history.bad, flagged & ~history.bad
    count, caught, bad = int(flagged.sum()), int(hits.sum()), int(history.bad.sum())
    return Trial(
        flagged=count,
        hits=caught,
        bad=bad,
        precision=caught / count if count else math.nan,
        bound=lower_bound(caught, count, confidence) if count else math.nan,
        recall=caught / bad if bad else math.nan,
        saved_seconds=float(((1 - ended_at[hits]) * history.seconds[hits]).sum()),
        good_lost=int(lost.sum()),
        good_seconds=float(history.seconds[lost].sum()),
    )


def leave_one_out(history: History, target: float = TARGET, confidence: float = CONFIDENCE) -> Floats:
    """Let each heuristic's rule judge each run, learned from all the others: threshold, direction and time anew.

    Returns
    -------
    numpy.ndarray
        Share of its time at which a run is ended, NaN where it is not: `(heuristics, runs)`.
    """
    n = len(history.runs)
    ended = np.full((len(history.names), n), math.nan)
    for i in range(n):
        among = np.arange(n) != i
        for j in range(len(history.names)):
            rule = learn(history, j, among, target, confidence)
            if rule is None:
                continue
            at = history.fractions.index(rule.fraction)
            if rule.flags(float(history.values[i, j, at])):
                ended[j, i] = rule.fraction
    return ended


def first_of(ended: Floats) -> Floats:
    """Return when the first of several rules ends each run, `(runs,)`; NaN where none does."""
    first = np.min(np.where(np.isnan(ended), np.inf, ended), axis=0, initial=np.inf)
    return np.where(np.isinf(first), math.nan, first)


def median_pruning(history: History, name: str, fraction: float, confidence: float = CONFIDENCE) -> Trial | None:
    """Judge the plainest pruning there is: end a run whose loss is above the median of the others' at that time."""
    if name not in history.names or fraction not in history.fractions:
        return None
    values = history.values[:, history.names.index(name), history.fractions.index(fraction)]
    ended = np.full(values.shape, math.nan)
    for i, value in enumerate(values):
        others = np.delete(values, i)
        others = others[~np.isnan(others)]
        if others.size and value > np.median(others):
            ended[i] = fraction
    return trial(history, ended, confidence)


@dataclass(frozen=True)
class Finding:
    """What is known of one heuristic as a rule: the rule if there is one, else why not.

    Attributes
    ----------
    heuristic : str
        Its name.
    rule : Rule or None
        Learned from all runs.
    trial : Trial
        Leave-one-run-out.
    accepted : bool
        Whether the rule reaches the target: its bound does, and its precision on runs left out.
    used : bool
        Whether it is among the rules that may end runs: together they must reach the target too, since each adds its
        own false alarms.
    beyond_loss : tuple of int
        Bad and good runs that it flags, left out, and the rule on the loss does not.
    reached : float
        Highest lower bound of precision that any threshold reaches.
    verdict : str
        In words.
    """

    heuristic: str
    rule: Rule | None
    trial: Trial
    accepted: bool
    used: bool
    beyond_loss: tuple[int, int]
    reached: float
    verdict: str


@dataclass(frozen=True)
class Learned:
    """All that a project's past says about ending runs early.

    Attributes
    ----------
    target, confidence : float
        What was asked for.
    findings : list of Finding
        One for each heuristic.
    together : Trial
        The rules in use as one, leave-one-run-out.
    """

    target: float
    confidence: float
    findings: list[Finding]
    together: Trial

    @property
    def rules(self) -> list[Rule]:
        """The rules that may end runs."""
        return [finding.rule for finding in self.findings if finding.used and finding.rule]


def learn_rules(history: History, target: float = TARGET, confidence: float = CONFIDENCE) -> Learned:
    """Learn every heuristic's rule and judge it on runs left out.

    Raises
    ------
    ValueError
        Target or confidence is not between 0 and 1.
    """
    for name, value in (("precision", target), ("confidence", confidence)):
        if not 0 < value < 1:
            raise ValueError(f"a {name} of {value:g} is not between 0 and 1")
    ended = leave_one_out(history, target, confidence)
    losses = [history.names.index(name) for name in LOSSES if name in history.names]
    by_loss = ~np.isnan(ended[losses]).all(0) if losses else np.zeros(len(history.runs), bool)
    everything = np.ones(len(history.runs), bool)
    findings = []
    for j, name in enumerate(history.names):
        rule = learn(history, j, everything, target, confidence)
        outside = trial(history, ended[j], confidence)
        more = ~np.isnan(ended[j]) & ~by_loss
        beyond = (int((more & history.bad).sum()), int((more & ~history.bad).sum()))
        known = int((~np.isnan(history.values[:, j])).any(1).sum())
        reached = best_bound(history, j, confidence)
        if rule is None:
            verdict = (
                f"not enough evidence (n={known}, {int(history.bad.sum())} bad): the precision is known to be "
                f"{reached:.2f} at best, {target:.2f} is asked for, which takes "
                f"{runs_needed(target, confidence)} flagged runs without a false alarm"
            )
            accepted = False
        elif not outside.precision >= target:
            shown = "flags none" if math.isnan(outside.precision) else f"precision {outside.precision:.2f}"
            verdict = f"not enough evidence (n={known}): {shown} on runs left out, {target:.2f} is asked for"
            accepted = False
        else:
            verdict, accepted = rule.name, True
        findings.append(Finding(name, rule, outside, accepted, False, beyond, reached, verdict))
    used = _together(history, ended, findings, target)
    findings = [replace(finding, used=j in used) for j, finding in enumerate(findings)]
    return Learned(target, confidence, findings, trial(history, first_of(ended[used]), confidence))


def _together(history: History, ended: Floats, findings: Sequence[Finding], target: float) -> list[int]:
    """Choose rules one by one, the most useful first, as long as together they keep to the target and save more."""
    used: list[int] = []
    saved = 0.0
    accepted = [j for j, finding in enumerate(findings) if finding.accepted]
    for j in sorted(accepted, key=lambda j: -findings[j].trial.net_seconds):
        with_it = trial(history, first_of(ended[[*used, j]]))
        if with_it.precision >= target and with_it.net_seconds > saved:
            used.append(j)
            saved = with_it.net_seconds
    return used


def to_json(rules: Sequence[Rule]) -> list[dict[str, Any]]:
    """Return rules as plain values."""
    return [asdict(rule) for rule in rules]


def from_json(data: Any) -> list[Rule]:
    """Read rules back.

    Raises
    ------
    ValueError
        The data are no rules.
    """
    try:
        return [Rule(**item) for item in data or []]
    except TypeError as error:
        raise ValueError(f"these are no kill rules: {error}") from None
