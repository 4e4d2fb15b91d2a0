"""What a session holds, as tables for a spreadsheet, a program and the monitor: votes, notes, flags."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from rtvoice_studio.standings import latest
from rtvoice_studio.store import Row, Store

#: Columns of the votes' table; the first six are what `rtvoice monitor votes` reads.
COLUMNS = (
    "model", "against", "row", "winner", "rater", "clip", "side", "first", "kind", "position", "seed", "blind", "mode",
    "plays_1", "plays_2", "heard_ms_1", "heard_ms_2", "dwell_ms", "matched", "removed", "device", "version", "created",
    "note_model", "note_against", "note_clip", "reason", "plays_x", "heard_ms_x", "id",
)  # fmt: skip


def counts(row: Row, clips: dict[int, Row]) -> bool:
    """Whether a vote, the last on its trial and dimension, enters shares and outcomes."""
    return bool(row["kind"] == "plain" and row["blind"] and not clips[row["clip"]]["removed"])


def run_names(session: Row) -> dict[str, str]:
    """Return what the monitor calls a session's systems: a training run by its folder, others by their names."""
    called = {side: session[f"facts_{side}"].get("run") or session[f"name_{side}"] for side in "ab"}
    # Two runs of one name would be one and the same winner.
    return called if called["a"] != called["b"] else {side: session[f"name_{side}"] for side in "ab"}


def vote_id(row: Row) -> str:
    """Return what all answers of a rater to one question on one trial have in common."""
    return f"{row['trial']}:{row['dimension']}"


def monitor_votes(store: Store) -> list[dict[str, str | None]]:
    """Return the last word on every pair ever shown, for ``rtvoice monitor votes``; one that does not count is a skip.

    The id is that of trial and dimension, so that who changes an answer, or removes a clip, changes it there too.
    """
    found: list[dict[str, str | None]] = []
    for session in store.sessions():
        clips = {row["id"]: row for row in store.clips(session["id"])}
        names = run_names(session)
        for row in latest(store.said(session["id"])[0]):
            choice = names.get(row["choice"], row["choice"]) if counts(row, clips) else "skip"
            found.append(
                {
                    **{"id": vote_id(row), "model": names["b"], "against": names["a"]},
                    **{"row": row["dimension"], "winner": choice, "rater": row["rater"]},
                    "clip": clips[row["clip"]]["key"],
                }
            )
    return found


def table(store: Store, session: Row, *, counted: bool = False) -> list[dict[str, Any]]:
    """Return every vote ever cast in a session, superseded ones too, oldest first; ``counted``: those that count."""
    clips = {row["id"]: row for row in store.clips(session["id"])}
    names = run_names(session)
    found = []
    rows, written = store.said(session["id"])
    # The last word of a trial's notes, beside each of its votes.
    notes = {(note["trial"], note["system"]): note["text"] for note in written}
    for row in latest(rows) if counted else rows:
        if counted and not counts(row, clips):
            continue
        found.append(
            {
                "model": names["b"],
                "against": names["a"],
                "row": row["dimension"],
                "winner": names.get(row["choice"], row["choice"]),
                "rater": row["rater"],
                "clip": clips[row["clip"]]["name"],
                "side": row["side"],
                "first": names[row["first"]],
                "kind": row["kind"],
                "position": row["position"],
                "seed": row["seed"],
                "blind": row["blind"],
                "mode": row["mode"],
                "plays_1": row["plays"].get("1", 0),
                "plays_2": row["plays"].get("2", 0),
                "heard_ms_1": row["heard_ms"].get("1", 0),
                "heard_ms_2": row["heard_ms"].get("2", 0),
                "dwell_ms": row["dwell_ms"],
                "matched": row["matched"],
                "removed": clips[row["clip"]]["removed"],
                "device": row["device"],
                "version": row["version"],
                "created": row["created"],
                "note_model": notes.get((row["trial"], "b"), ""),
                "note_against": notes.get((row["trial"], "a"), ""),
                "note_clip": notes.get((row["trial"], "clip"), ""),
                "reason": clips[row["clip"]]["reason"],
                "plays_x": row["plays"].get("x", 0),
                "heard_ms_x": row["heard_ms"].get("x", 0),
                # As of `monitor_votes`: the same answer, whichever way it comes to the monitor.
                "id": vote_id(row),
            }
        )
    return found


#: Columns of the table of notes and flags.
REMARKS = ("what", "clip", "about", "rater", "text", "kind", "position", "last", "created")


def remarks(store: Store, session: Row) -> list[dict[str, Any]]:
    """Return every note and flag ever made in a session, oldest first, whether or not there is a vote beside it.

    ``what`` is ``note``, ``flag`` or ``unflag``; ``about`` a system's name, or ``clip``; ``last`` whether no later note
    of that rater, trial and side, or flag of that clip, took its place.
    """
    clips = {row["id"]: row["name"] for row in store.clips(session["id"])}
    names = run_names(session)
    notes, flags = store.said(session["id"])[1], store.flags(session["id"])
    last_notes = {(note["trial"], note["side"]): note["id"] for note in notes}
    last_flags = {flag["clip"]: flag["id"] for flag in flags}
    found = [
        {
            **{"what": "note", "clip": clips[note["clip"]], "about": names.get(note["system"], "clip")},
            **{"rater": note["rater"], "text": note["text"], "kind": note["kind"], "position": note["position"]},
            **{"last": last_notes[note["trial"], note["side"]] == note["id"], "created": note["created"]},
        }
        for note in notes
    ] + [
        {
            **{"what": "flag" if flag["removed"] else "unflag", "clip": clips[flag["clip"]], "about": "clip"},
            **{"rater": flag["rater"], "text": flag["reason"], "kind": "", "position": ""},
            **{"last": last_flags[flag["clip"]] == flag["id"], "created": flag["created"]},
        }
        for flag in flags
    ]
    return sorted(found, key=lambda row: str(row["created"]))


def as_csv(rows: Sequence[dict[str, Any]], columns: Sequence[str] = COLUMNS) -> str:
    """Write a table as CSV; what a spreadsheet would take for a formula gets an apostrophe."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(columns)
    for row in rows:
        cells = [row[name] for name in columns]
        writer.writerow(
            [f"'{c}" if isinstance(c, str) and c[:1] in ("=", "+", "-", "@", "\t", "\r") else c for c in cells]
        )
    return out.getvalue()
