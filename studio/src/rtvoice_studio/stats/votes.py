"""One vote, as the statistics see it: what was chosen, never on which side it stood."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Choice = Literal["a", "b", "both", "skip"]
Side = Literal["a", "b"]
Kind = Literal["plain", "repeat", "trap", "extra"]


@dataclass(frozen=True)
class Vote:
    """What one rater said of one pair along one dimension.

    Attributes
    ----------
    choice
        ``"a"`` or ``"b"``: that system is better; ``"both"``: a tie; ``"skip"``: no answer.
    first
        The system that stood on the page as Model 1.
    kind
        ``"repeat"`` is a pair shown a second time, ``"trap"`` a pair of twice the same audio; ``"extra"`` one
        that a link led to, outside the plan; only ``"plain"`` enters a share.
    system_a, system_b
        Names of the systems, where votes of several comparisons come together.
    """

    rater: str
    clip: str
    dimension: str
    choice: Choice
    first: Side = "a"
    kind: Kind = "plain"
    system_a: str = "a"
    system_b: str = "b"
