"""Whether votes can be trusted: sides, repeats, pairs of twice the same audio, raters among themselves."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from rtvoice_studio.stats.shares import Share, wilson
from rtvoice_studio.stats.student import quantile
from rtvoice_studio.stats.votes import Vote


def order_bias(votes: Iterable[Vote], *, level: float = 0.95) -> Share:
    """Return the share of decisive votes for Model 1, whichever system that was: ``wins_b`` counts them.

    Sides are drawn for each pair that a rater hears, so without a bias it is one half, whatever raters and clips are
    like, and an interval without one half tells of a bias of these raters. What was drawn is the unit, not the vote:
    the variance is that of sums over pairs, so that seven rows which all say the same weigh as much as one of them.
    """
    plain = [vote for vote in votes if vote.kind == "plain"]
    for_one: Counter[tuple[str, str, str, str]] = Counter()
    of: Counter[tuple[str, str, str, str]] = Counter()
    for vote in plain:
        if vote.choice in ("a", "b"):
            pair = (vote.rater, vote.clip, vote.system_a, vote.system_b)
            of[pair] += 1
            for_one[pair] += vote.choice == vote.first
    total, wins = sum(of.values()), sum(for_one.values())
    ties, skips = (sum(vote.choice == choice for vote in plain) for choice in ("both", "skip"))
    if not total:
        return Share(0, 0, ties, skips, 0, 0, None, None, None, 1.0, "sides", level)
    share = wins / total
    alone = total * share * (1 - share)
    # Where all votes are for one side, as far as they could depend on each other: wholly.
    effect = sum(n * n for n in of.values()) / total
    if alone:
        effect = max(1.0, sum((for_one[pair] - share * n) ** 2 for pair, n in of.items()) / alone)
    low, high = wilson(share, total / effect, quantile(level, float(len(of) - 1)))
    raters, clips = len({pair[0] for pair in of}), len({pair[1] for pair in of})
    return Share(total - wins, wins, ties, skips, raters, clips, share, low, high, effect, "sides", level)


@dataclass(frozen=True)
class Consistency:
    """Pairs that a rater saw twice, answers to both showings, how many are the same, and how many would by chance."""

    pairs: int
    answers: int
    same: int
    by_chance: float | None

    @property
    def share(self) -> float | None:
        """Part of the answers that are the same."""
        return self.same / self.answers if self.answers else None


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
    known = [(key, firsts[key], choice) for key, choice in repeats if key in firsts]
    total = sum(answers.values())
    chance = sum((n / total) ** 2 for n in answers.values()) if total else None
    pairs = {(rater, clip, *systems) for (rater, clip, _, *systems), _, _ in known}
    return Consistency(len(pairs), len(known), sum(a == b for _, a, b in known), chance)


@dataclass(frozen=True)
class Traps:
    """Pairs of twice the same audio, and the answers to them: only "both" is right."""

    pairs: int
    answers: int
    right: int
    failed_by: tuple[str, ...]

    @property
    def share(self) -> float | None:
        """Part answered rightly."""
        return self.right / self.answers if self.answers else None


def traps(votes: Iterable[Vote]) -> Traps:
    """Count what was said of identical pairs; ``failed_by`` names raters who were wrong more often than right."""
    by_rater: dict[str, list[bool]] = defaultdict(list)
    pairs = set()
    for vote in votes:
        if vote.kind == "trap" and vote.choice != "skip":
            by_rater[vote.rater].append(vote.choice == "both")
            pairs.add((vote.rater, vote.clip, vote.system_a, vote.system_b))
    answers = [answer for found in by_rater.values() for answer in found]
    failed = tuple(sorted(name for name, found in by_rater.items() if sum(found) * 2 < len(found)))
    return Traps(len(pairs), len(answers), sum(answers), failed)


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
