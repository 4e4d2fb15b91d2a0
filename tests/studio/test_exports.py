"""What leaves a session as CSV and JSON: votes with their notes, notes and flags also where nobody voted."""

from __future__ import annotations

import csv
import io
import uuid
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rtvoice_studio.server", reason="rtvoice-studio is not installed (pip install ./studio)")
pytest.importorskip("httpx", reason="httpx is not installed (the extra 'test')")

from rtvoice_studio import command  # noqa: E402
from studio_client import ORIGIN, ballot, client_of, plan  # noqa: E402
from studio_sounds import make_folders  # noqa: E402


@pytest.fixture
def session(tmp_path: Path) -> Any:
    inputs, plain, hissing = make_folders(tmp_path, 3)
    store = command.Store(tmp_path / "store")
    found = command.add(store, str(plain), str(hissing), clips=inputs, options=command.Options(traps=0, repeats=0))
    yield store, found["slug"], client_of(store)
    store.close()


def say(client: Any, slug: str, what: str, **body: Any) -> None:
    answer = client.post(f"/api/s/{slug}/{what}", json={"uid": str(uuid.uuid4()), **body}, headers=ORIGIN)
    assert answer.json() == {"saved": 1}


def rows(client: Any, slug: str, name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(client.get(f"/api/s/{slug}/{name}.csv").text)))


def test_exports_hold_notes_on_each_sound_and_flags_with_their_reasons(session: Any) -> None:
    store, slug, client = session
    voted, noted, flagged = (t["id"] for t in plan(client, slug, "ann")["trials"])
    heard = ballot("ann", voted, heardMs={"1": 2000, "2": 2000})
    assert client.post(f"/api/s/{slug}/votes", json=heard, headers=ORIGIN).json() == {"saved": 1}
    for side, text in (("1", "at first"), ("1", "=dull\nand soft"), ("2", "«hiss», says Ann"), ("clip", "a dog")):
        say(client, slug, "notes", user="ann", trial=voted, side=side, text=text)
    say(client, slug, "notes", user="ann", trial=noted, side="2", text="nobody voted here")
    say(client, slug, "flags", user="ann", trial=flagged, removed=True, reason="a dog barks")
    say(client, slug, "flags", user="ann", trial=voted, removed=True, reason="cut off")

    first = store.trial(voted)["first"]
    on = {"ab".index(first): "=dull\nand soft", 1 - "ab".index(first): "«hiss», says Ann"}
    (vote,) = client.get(f"/api/s/{slug}/votes.json").json()
    assert (vote["note_against"], vote["note_model"], vote["note_clip"]) == (on[0], on[1], "a dog")
    assert (vote["removed"], vote["reason"]) == (True, "cut off")
    (row,) = rows(client, slug, "votes")
    assert {row["note_model"], row["note_against"]} == {"'=dull\nand soft", "«hiss», says Ann"}
    assert row["reason"] == "cut off"

    told = client.get(f"/api/s/{slug}/remarks.json").json()
    sides = ("walrus", "zebra") if first == "a" else ("zebra", "walrus")
    assert [(r["what"], r["about"], r["text"], r["last"]) for r in told] == [
        ("note", sides[0], "at first", False),
        ("note", sides[0], "=dull\nand soft", True),
        ("note", sides[1], "«hiss», says Ann", True),
        ("note", "clip", "a dog", True),
        ("note", "walrus" if store.trial(noted)["first"] == "b" else "zebra", "nobody voted here", True),
        ("flag", "clip", "a dog barks", True),
        ("flag", "clip", "cut off", True),
    ]
    table = rows(client, slug, "remarks")
    assert [r["text"].removeprefix("'") for r in table] == [r["text"] for r in told]
    assert {r["rater"] for r in table} == {"ann"}
    assert all(r["clip"].startswith("clip0") for r in table)
