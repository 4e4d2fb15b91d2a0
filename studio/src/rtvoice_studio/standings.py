"""Which votes count, and the league table of all systems ever compared that they make, as it is and as it grew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rtvoice_studio.stats import League, Vote, league, strengths
from rtvoice_studio.stats.league import Standing
from rtvoice_studio.stats.shares import ENOUGH_RATERS
from rtvoice_studio.store import Row, Store
from rtvoice_studio.systems import some

#: Log odds; a wider interval places a system nowhere. One vote gives 40, three that agree 9: it would lead the table.
_WIDEST = 10.0
#: Days of the table's history: a page's width of them.
_DAYS = 30


def latest(rows: Sequence[Row]) -> list[Row]:
    """Return the last word on each trial and dimension."""
    found = {(row["trial"], row["dimension"]): row for row in rows}
    return list(found.values())


def as_votes(session: Row, clips: dict[int, Row], rows: Sequence[Row]) -> list[Vote]:
    """Return the votes that count: blind, on clips that nobody removed."""
    return [
        Vote(
            row["rater"],
            clips[row["clip"]]["key"],
            row["dimension"],
            row["choice"],
            row["first"],
            row["kind"],
            session["name_a"],
            session["name_b"],
        )
        for row in latest(rows)
        if row["blind"] and row["kind"] != "extra" and not clips[row["clip"]]["removed"]
    ]


def league_table(store: Store) -> dict[str, Any] | None:
    """Return the standing of all systems ever compared, along the first dimension of each session, and its history."""
    said = _said(store)
    costs = store.costs()
    table = league(_until(said, None))
    if not table.standings:
        return None
    standings = [{**asdict(s), "placed": placed(s), "costs": costs.get(s.system, [])} for s in table.standings]
    return {
        "standings": sorted(standings, key=lambda standing: not standing["placed"]),
        "tie": table.tie,
        "groups": [list(group) for group in table.groups],
        "whom": whom(table),
        "history": _history(said),
    }


def placed(standing: Standing) -> bool:
    """Whether a system's votes are enough to stand somewhere among the others."""
    return standing.high - standing.low <= _WIDEST


def whom(table: League) -> str | None:
    """Say whom the table's intervals speak of, where that is not raters at large."""
    few = [standing.system for standing in table.standings if standing.raters < ENOUGH_RATERS]
    if not few:
        return None
    those = "all systems" if len(few) == len(table.standings) else some(few)
    return (
        f"One or two raters voted on {those}: the interval there is of these raters only. It holds the strength among "
        "raters at large in 85 to 96 of 100 sessions, and in 93 to 96 where three or more voted."
    )


#: A session with its clips and the rows of its first dimension.
_Said = list[tuple[Row, dict[int, Row], list[Row]]]


def _said(store: Store) -> _Said:
    found: _Said = []
    for session in store.sessions():
        clips = {row["id"]: row for row in store.clips(session["id"])}
        first = session["options"]["dimensions"][0]["key"]
        rows = [row for row in store.said(session["id"])[0] if row["dimension"] == first]
        found.append((session, clips, rows))
    return found


def _until(said: _Said, day: str | None) -> list[Vote]:
    """Return the votes that counted at the end of a day, ``None``: now."""
    return [
        vote
        for session, clips, rows in said
        for vote in as_votes(session, clips, [row for row in rows if day is None or _day(row) <= day])
    ]


def _day(row: Row) -> str:
    return str(row["created"])[:10]


def _history(said: _Said) -> list[dict[str, Any]]:
    """Return the strengths at the end of each day, in UTC, on which votes were cast that count; the last days of many.

    A clip that was removed since is out of all days: they tell what is known now of what was known then.
    """
    days = sorted({_day(row) for _, clips, rows in said for row in rows if not clips[row["clip"]]["removed"]})
    found: list[dict[str, Any]] = []
    for day in days[-_DAYS:]:
        votes = _until(said, day)
        if found_then := strengths(votes):
            played = sum(vote.kind == "plain" and vote.choice != "skip" for vote in votes)
            found.append({"day": day, "votes": played, "strengths": found_then})
    return found
