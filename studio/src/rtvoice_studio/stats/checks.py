"""Whether votes can be trusted: sides, repeats, pairs of twice the same audio, raters among themselves."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from rtvoice_studio.stats.shares import Share, win_share
from rtvoice_studio.stats.votes import Vote


def order_bias(votes: Sequence[Vote], *, level: float = 0.95, seed: int = 0) -> Share:
    """Return the share of decisive votes for Model 1, whichever system that was: ``wins_b`` counts them.

    Sides are drawn at random, so without a bias it is one half; an interval without one half tells of one.
    """
    return win_share([replace(v, choice=_by_side(v)) for v in votes], level=level, seed=seed)  # type: ignore[arg-type]


def _by_side(vote: Vote) -> str:
    if vote.choice not in ("a", "b"):
        return vote.choice
    return "b" if vote.choice == vote.first else "a"


@dataclass(frozen=True)
class Consistency:
    """Pairs that a rater saw twice, how many got the same answer, and how many would by chance."""

    pairs: int
    same: int
    by_chance: float | None

    @property
    def share(self) -> float | None:
        """Part of the pairs with the same answer."""
        return self.same / self.pairs if self.pairs else None


def self_consistency(votes: Iterable[Vote]) -> Consistency:
    """Compare each repeat with the first answer of the same rater, clip and dimension; skips are left out."""
    firsts: dict[tuple[str, str, str, str, str], str] = {}
    repeats: list[tuple[tuple[str, str, str, str, str], str]] = []
    answers: Counter[str] = Counter()
    for vote in votes:
        if vote.choice == "skip" or vote.kind == "trap":
            continue
        key = (vote.rater, vote.clip, vote.dimension, vote.system_a, vote.system_b)
        if vote.kind == "plain":
            firsts[key] = vote.choice
            answers[vote.choice] += 1
        else:
            repeats.append((key, vote.choice))
    known = [(firsts[key], choice) for key, choice in repeats if key in firsts]
    total = sum(answers.values())
    chance = sum((n / total) ** 2 for n in answers.values()) if total else None
    return Consistency(len(known), sum(a == b for a, b in known), chance)


@dataclass(frozen=True)
class Traps:
    """Answers to pairs of twice the same audio: only "both" is right."""

    shown: int
    right: int
    failed_by: tuple[str, ...]

    @property
    def share(self) -> float | None:
        """Part answered rightly."""
        return self.right / self.shown if self.shown else None


def traps(votes: Iterable[Vote]) -> Traps:
    """Count what was said of identical pairs; ``failed_by`` names raters who were wrong more often than right."""
    by_rater: dict[str, list[bool]] = defaultdict(list)
    for vote in votes:
        if vote.kind == "trap" and vote.choice != "skip":
            by_rater[vote.rater].append(vote.choice == "both")
    answers = [answer for found in by_rater.values() for answer in found]
    failed = tuple(sorted(name for name, found in by_rater.items() if sum(found) * 2 < len(found)))
    return Traps(len(answers), sum(answers), failed)


@dataclass(frozen=True)
class Agreement:
    """Krippendorff's alpha over the clips that several raters judged: 1 agreement, 0 chance."""

    alpha: float | None
    clips: int
    raters: int


def agreement(votes: Iterable[Vote]) -> Agreement:
    """Return Krippendorff's alpha of nominal answers (a, b, both) by clip and dimension; skips are missing values."""
    units: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    for vote in votes:
        if vote.kind == "plain" and vote.choice != "skip":
            units[vote.clip, vote.dimension][vote.rater] = vote.choice
    shared = [list(found.values()) for found in units.values() if len(found) > 1]
    raters = {name for found in units.values() if len(found) > 1 for name in found}
    total = sum(map(len, shared))
    if total == 0:
        return Agreement(None, 0, 0)
    observed = 0.0
    answers: Counter[str] = Counter()
    for found in shared:
        counts = Counter(found)
        answers.update(counts)
        observed += sum(n * (len(found) - n) for n in counts.values()) / (len(found) - 1)
    expected = sum(n * (total - n) for n in answers.values()) / (total - 1)
    alpha = 1 - observed / expected if expected else None
    return Agreement(alpha, len({clip for (clip, _), found in units.items() if len(found) > 1}), len(raters))
