"""The league table over time: what all votes until the end of a day said."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

pytest.importorskip("rtvoice_studio.server", reason="rtvoice-studio is not installed (pip install ./studio)")
pytest.importorskip("httpx", reason="httpx is not installed (the extra 'test')")

from rtvoice_studio import command  # noqa: E402
from rtvoice_studio.standings import league_table  # noqa: E402
from rtvoice_studio.stats import Vote, league  # noqa: E402
from studio_client import ORIGIN, ballot, client_of, plan  # noqa: E402
from studio_sounds import make_folders  # noqa: E402


def test_each_day_has_the_strengths_of_all_votes_until_then(tmp_path: Path) -> None:
    inputs, plain, hissing = make_folders(tmp_path, 4, seconds=0.3)
    store = command.Store(tmp_path / "store")
    options = command.Options(traps=0, repeats=0, heard_seconds=0.1)
    session = command.add(store, str(plain), str(hissing), clips=inputs, options=options)
    slug, client = session["slug"], client_of(store)
    plan(client, slug, "ann")
    trials = store.trials(session, "ann")

    def vote(trial: int, system: str, day: str) -> None:
        body = ballot("ann", trials[trial]["id"])
        body["votes"][0]["side"] = "1" if trials[trial]["first"] == system else "2"
        assert client.post(f"/api/s/{slug}/votes", json=body, headers=ORIGIN).json() == {"saved": 1}
        with sqlite3.connect(store.folder / "studio.db") as database:
            change = "UPDATE votes SET created = ? WHERE id = (SELECT max(id) FROM votes)"
            database.execute(change, (f"{day}T23:59:59.000+00:00",))
        database.close()

    vote(0, "a", "2026-03-01")
    vote(1, "a", "2026-03-01")
    vote(1, "b", "2026-03-05")  # a changed mind changes nothing before
    vote(2, "b", "2026-03-05")
    vote(3, "b", "2026-04-01")
    told = league_table(store)
    assert told is not None
    wins = {"2026-03-01": "aa", "2026-03-05": "abb", "2026-04-01": "abbb"}
    assert [day["day"] for day in told["history"]] == list(wins)
    for day, choices in zip(told["history"], wins.values(), strict=True):
        votes = [Vote("ann", str(i), "champion", c, system_a="walrus", system_b="zebra") for i, c in enumerate(choices)]
        wanted = {s.system: s.strength for s in league(votes).standings}
        assert day["votes"] == len(choices)
        assert day["strengths"] == pytest.approx(wanted, abs=1e-6)
    assert told["history"][-1]["strengths"] == pytest.approx({s["system"]: s["strength"] for s in told["standings"]})
    store.close()
