"""What a session's votes say, in figures and in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rtvoice_studio.dimensions import in_sentence
from rtvoice_studio.measures import beside
from rtvoice_studio.prepare import resampled
from rtvoice_studio.standings import as_votes, latest, league_table
from rtvoice_studio.stats import (
    Share,
    agreement,
    detectable,
    order_bias,
    self_consistency,
    sign_test,
    traps,
    win_share,
)
from rtvoice_studio.store import Row, Store

#: The ABX test's name among the dimensions.
ABX = "abx"


def results(store: Store, session: Row, *, with_league: bool = True) -> dict[str, Any]:
    """Return everything that the results page shows, as JSON holds it."""
    clips = {row["id"]: row for row in store.clips(session["id"])}
    rows, notes = store.said(session["id"])
    rows = [row for row in rows if row["kind"] != "extra"]
    votes = as_votes(session, clips, rows)
    a, b = session["name_a"], session["name_b"]
    dimensions, shares = [], []
    for dimension in session["options"]["dimensions"]:
        mine = [vote for vote in votes if vote.dimension == dimension["key"]]
        shares.append(share := win_share(mine))
        dimensions.append({**dimension, **_told(share, dimension, a, b)})
    rated = [vote for vote in votes if vote.dimension != ABX]
    order = order_bias(rated)
    last = latest(rows)
    abx = _abx(last, clips)
    costs = store.costs()
    measured = store.measures(session["id"])
    return {
        "session": session["slug"],
        "created": session["created"],
        "a": {"name": a, **_facts(session["facts_a"]), "costs": costs.get(a, [])},
        "b": {"name": b, **_facts(session["facts_b"]), "costs": costs.get(b, [])},
        "mode": session["options"]["mode"],
        "baseline": session["baseline"],
        "clips": len(clips),
        "resampled": resampled([clip["data"] for clip in clips.values()], a, b),
        "removed": [{"name": c["name"], "reason": c["reason"]} for c in clips.values() if c["removed"]],
        "raters": sorted({vote.rater for vote in votes}),
        "votes": len(votes),
        # Which the table leaves out; of ABX, whose repeats count, only traps.
        "for_checks": sum(v.kind == "trap" or (v.kind == "repeat" and v.dimension != ABX) for v in votes),
        "not_blind": sum(not row["blind"] for row in last),
        "words": _in_words(dimensions, abx, session["options"]["mode"]),
        "dimensions": dimensions,
        "whom": whom(shares),
        "order": _share(order),
        "order_words": order_words(order, None if session["options"]["randomise"] else a),
        "consistency": {**asdict(c := self_consistency(rated)), "share": c.share},
        "agreement": asdict(agreement(rated)),
        "traps": {**asdict(t := traps(rated)), "share": t.share},
        "abx": abx,
        "measures": beside(rated, session["options"]["dimensions"], measured) if measured else None,
        "league": league_table(store) if with_league else None,
        "notes": _notes(notes, clips, session),
    }


def listed(store: Store) -> list[dict[str, Any]]:
    """Return the store's sessions, newest first, with how far they are and which training queued them."""
    said = store.said_so_far()
    return [
        {
            "slug": session["slug"],
            "a": session["name_a"],
            "b": session["name_b"],
            "created": session["created"],
            "queued_by": session["options"].get("queued_by"),
            "votes": said.get(session["id"], (0, 0))[0],
            "raters": said.get(session["id"], (0, 0))[1],
        }
        for session in store.sessions()
    ]


def _facts(facts: dict[str, Any]) -> dict[str, Any]:
    """Leave out where the file lies: a report may be given away."""
    return {name: value for name, value in facts.items() if name not in ("path", "place")}


def _share(share: Share) -> dict[str, Any]:
    return {**asdict(share), "decisive": share.decisive}


def _told(share: Share, dimension: dict[str, Any], a: str, b: str) -> dict[str, Any]:
    least = detectable(share)
    weight = dimension["weight"]
    return {
        **_share(share),
        "p_sign": sign_test(share.wins_b, share.decisive),
        "detectable": least,
        "score_b": weight * (share.wins_b - share.wins_a),
        "words": words(share, dimension["label"], a, b, least),
        "interval": interval(share, a, b),
    }


def _in_words(dimensions: Sequence[Row], abx: Row, mode: str) -> list[str]:
    """Return the sentences that a meeting reads out, what was asked first; in an ABX test no row is asked about."""
    rows = [row["words"] for row in dimensions if mode != "abx" or row["decisive"]]
    return [abx["words"], *rows] if mode == "abx" else rows


def _leader(share: Share, a: str, b: str) -> tuple[str, int, float, float]:
    """Return who has more of the decisive votes, how many, and the interval of that share."""
    assert share.share is not None
    assert share.low is not None
    assert share.high is not None
    if share.share < 0.5:
        return a, share.wins_a, 1 - share.high, 1 - share.low
    return b, share.wins_b, share.low, share.high


def interval(share: Share, a: str, b: str) -> str | None:
    """Say whose share lies where, as the sentence does."""
    if share.share is None:
        return None
    better, _, low, high = _leader(share, a, b)
    return f"{better}: {100 * low:.0f} to {100 * high:.0f} %"


def words(share: Share, label: str, a: str, b: str, least: float | None) -> str:
    """Say a dimension's result in a sentence that a meeting can read out."""
    if share.share is None:
        return f"{label}: no decisive vote yet."
    better, wins, low, high = _leader(share, a, b)
    figures = f"{wins} of {share.decisive}, 95 % interval {100 * low:.0f} to {100 * high:.0f} %"
    shown, lead = low > 0.5, max(share.share, 1 - share.share)
    if shown:
        told = f"{better} is preferred for {in_sentence(label)} ({figures})"
    else:
        told = f"No preference shown for {in_sentence(label)} ({better} won {figures})"
    if least is None:
        power = (
            "as a rule votes like these show none"
            if shown
            else "these votes could not have shown even a preference of 100 %"
        )
    elif shown == (round(100 * lead) >= round(100 * least)):
        power = f"this session could only have detected a preference of {100 * least:.0f} % or more"
    else:
        # Four times of five is no promise: what was shown was detected, and what was not shown was there.
        power = f"a session like this detects a preference of {100 * least:.0f} % or more four times of five"
    return f"{told}; {power}."


def whom(shares: Sequence[Share]) -> str | None:
    """Say whom the intervals speak of, where that is not raters at large."""
    if not any(share.generalises == "clips" and share.decisive for share in shares):
        return None
    return (
        "Where one or two raters gave all votes, or nearly all, an interval is of these raters only: it holds their "
        "share of all clips in 96 of 100 sessions, that of raters at large in 89. Three raters or more tell about "
        "others."
    )


def order_words(share: Share, always_first: str | None = None) -> str:
    """Say whether raters favour a side; ``always_first``: the system that was Model 1 where sides were not drawn."""
    if share.share is None or share.low is None or share.high is None:
        return "No decisive vote yet."
    figures = f"{share.wins_b} of {share.decisive}, 95 % interval {100 * share.low:.0f} to {100 * share.high:.0f} %"
    if always_first is not None:
        return (
            f"Sides were not drawn: Model 1 was {always_first} in every pair and got {figures}. A bias for a side "
            "cannot be told from a preference here, neither in this line nor in any other."
        )
    if share.low <= 0.5 <= share.high:
        return f"No bias for a side shows: Model 1 got {figures}."
    side = "Model 1" if share.share > 0.5 else "Model 2"
    lean = "Sides are drawn evenly, so shares lean towards one half."
    return f"Raters favour {side}, whatever plays there: Model 1 got {figures}. {lean}"


def _abx(rows: Sequence[Row], clips: dict[int, Row]) -> dict[str, Any]:
    answers = [r for r in rows if r["dimension"] == ABX and r["side"] in "12" and r["kind"] != "trap"]
    answers = [r for r in answers if not clips[r["clip"]]["removed"]]
    right = sum(row["side"] == row["x_side"] for row in answers)
    p = sign_test(right, len(answers)) if right * 2 > len(answers) else 1.0
    return {"trials": len(answers), "right": right, "p": p, "words": abx_words(right, len(answers), p)}


def abx_words(right: int, trials: int, p: float) -> str:
    """Say whether the two were told apart."""
    if not trials:
        return "ABX: no answer yet."
    told = "they can be told apart" if p <= 0.05 else "this does not show that they can be told apart"
    return f"ABX: X was named rightly {right} of {trials} times (p = {p:.2g}): {told}."


def _notes(rows: Sequence[Row], clips: dict[int, Row], session: Row) -> list[dict[str, str]]:
    last = {(row["trial"], row["side"]): row for row in rows}
    names = {"a": session["name_a"], "b": session["name_b"]}
    return [
        {
            "rater": row["rater"],
            "clip": clips[row["clip"]]["name"],
            "about": names.get(row["system"], "the clip"),
            "text": row["text"],
        }
        for row in last.values()
        if row["text"]
    ]
