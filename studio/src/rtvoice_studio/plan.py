"""What a rater hears and when: clips in random order, sides drawn evenly, a few twice, a few that are no pairs."""

from __future__ import annotations

import hashlib
import hmac
import random
from collections.abc import Sequence
from dataclasses import dataclass

from rtvoice_studio.stats.votes import Kind, Side


@dataclass(frozen=True)
class Trial:
    """One pair as one rater gets it.

    Attributes
    ----------
    id
        What the browser knows it by; made with the store's secret, so that it tells nothing.
    first
        The system that stands as Model 1. In a trap both sides are this system.
    x_side
        In an ABX test, the side that X is.
    """

    id: str
    clip: int
    position: int
    first: Side
    kind: Kind
    x_side: str
    seed: int


def make_trials(
    clips: Sequence[int],
    rater: str,
    session: str,
    secret: bytes,
    *,
    length: int,
    repeats: int,
    traps: int,
    randomise: bool = True,
) -> list[Trial]:
    """Plan a rater's session of at most ``length`` pairs, the same each time for the same rater.

    Repeats come as far behind their first showing as the session allows.
    """
    digest = hmac.new(secret, f"{session}\0{rater}".encode(), hashlib.sha256).digest()
    seed = int.from_bytes(digest[:4], "big")
    chance = random.Random(digest)
    order = list(clips)
    if randomise:
        chance.shuffle(order)
    # A trap is made of a pair that is there as well, and only the first half of the pairs comes again, far behind.
    traps = min(traps, length // 2, len(order))
    repeats = min(repeats, (length - traps) // 3, length - 2 * traps, len(order) // 2)
    order = order[: length - repeats - traps]
    firsts: list[Side] = ["a"] * len(order)
    if randomise:
        # Of an odd number of pairs one system is Model 1 once more than the other: which one is drawn, too.
        more = chance.randrange(2)
        firsts = [("a", "b")[(i + more) % 2] for i in range(len(order))]
        chance.shuffle(firsts)
    shown: list[tuple[int, Side, Kind]] = [(clip, first, "plain") for clip, first in zip(order, firsts, strict=True)]
    early = list(range(max(1, len(order) // 2)))
    again = chance.sample(early, min(repeats, len(early)))
    for index in sorted(again):
        clip, first, _ = shown[index]
        # The other side first: a rater who favours a side contradicts himself.
        turned: Side = ("b" if first == "a" else "a") if randomise else first
        shown.append((clip, turned, "repeat"))
    for clip in chance.sample(order, traps):
        shown.insert(chance.randrange(1, len(shown) + 1), (clip, chance.choice(("a", "b")), "trap"))
    return [
        Trial(_name(secret, session, rater, i), clip, i, first, kind, chance.choice("12"), seed)
        for i, (clip, first, kind) in enumerate(shown)
    ]


def extra_trial(clip: int, rater: str, session: str, secret: bytes, *, randomise: bool = True) -> Trial:
    """Return the pair of a clip that is none of a rater's plan, for when a link leads there; the same each time."""
    digest = hmac.new(secret, f"extra\0{session}\0{rater}\0{clip}".encode(), hashlib.sha256).digest()
    chance = random.Random(digest)
    first: Side = chance.choice(("a", "b")) if randomise else "a"
    # Behind every position of a plan, which is of 500 pairs at most.
    return Trial(
        digest.hex()[:24], clip, 1000 + clip, first, "extra", chance.choice("12"), int.from_bytes(digest[-4:], "big")
    )


def link_of(secret: bytes, trial: str) -> str:
    """Return what a link calls a trial: each has a word of its own, so that repeats and traps are not told by it."""
    return hmac.new(secret, f"link\0{trial}".encode(), hashlib.sha256).hexdigest()[:16]


def _name(secret: bytes, session: str, rater: str, position: int) -> str:
    return hmac.new(secret, f"trial\0{session}\0{rater}\0{position}".encode(), hashlib.sha256).hexdigest()[:24]


def system_of(side: str, first: Side, kind: Kind) -> Side:
    """Return the system that stands on ``side`` (``"1"`` or ``"2"``)."""
    if side == "1" or kind == "trap":
        return first
    return "b" if first == "a" else "a"
