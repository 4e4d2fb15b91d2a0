"""What votes tell: shares with intervals, their checks, the smallest difference a session could see, a league table."""

from rtvoice_studio.stats.checks import Agreement, Consistency, Traps, agreement, order_bias, self_consistency, traps
from rtvoice_studio.stats.correlation import Correlation, spearman, with_votes
from rtvoice_studio.stats.league import League, league, strengths
from rtvoice_studio.stats.power import detectable, power, sign_test
from rtvoice_studio.stats.shares import Share, win_share
from rtvoice_studio.stats.votes import Vote

__all__ = [
    "Agreement",
    "Consistency",
    "Correlation",
    "League",
    "Share",
    "Traps",
    "Vote",
    "agreement",
    "detectable",
    "league",
    "order_bias",
    "power",
    "self_consistency",
    "sign_test",
    "spearman",
    "strengths",
    "traps",
    "win_share",
    "with_votes",
]
