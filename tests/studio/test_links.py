"""Links to a clip: whom they lead where, and that they tell nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rtvoice_studio.server", reason="rtvoice-studio is not installed (pip install ./studio)")
pytest.importorskip("httpx", reason="httpx is not installed (the extra 'test')")

from rtvoice_studio import command  # noqa: E402
from studio_client import ORIGIN, ballot, client_of, plan  # noqa: E402
from studio_sounds import make_folders  # noqa: E402


@pytest.fixture
def few(tmp_path: Path) -> Any:
    """A comparison of six clips, of which a sitting has three, one of them twice and one as a trap."""
    inputs, plain, hissing = make_folders(tmp_path, 6)
    store = command.Store(tmp_path / "store")
    options = command.Options(length=5, repeats=1, traps=1, heard_seconds=0.1)
    session = command.add(store, str(plain), str(hissing), clips=inputs, options=options)
    yield store, session, client_of(store)
    store.close()


def link(client: Any, slug: str, user: str, trial: str) -> str:
    key: str = client.get(f"/api/s/{slug}/share/{trial}", params={"user": user}).json()["key"]
    return key


def outside(store: Any, session: Any, client: Any) -> tuple[str, str, int]:
    """Return a link of ann's to a clip that is none of another rater's plan, that rater, and the clip."""
    plan(client, session["slug"], "ann")
    hers = [t for t in store.trials(session, "ann") if t["kind"] == "plain"]
    for i in range(50):
        plan(client, session["slug"], f"bob {i}")
        his = {t["clip"] for t in store.trials(session, f"bob {i}")}
        for trial in hers:
            if trial["clip"] not in his:
                return link(client, session["slug"], "ann", trial["id"]), f"bob {i}", trial["clip"]
    raise AssertionError("everybody has every clip")


def test_a_link_opens_a_clip_that_is_none_of_the_plan_blind_and_apart(few: Any) -> None:
    store, session, client = few
    slug = session["slug"]
    key, bob, clip = outside(store, session, client)
    before = plan(client, slug, bob)
    told = plan(client, slug, bob, clip=key)
    assert told["trials"] == before["trials"]
    assert told["start"] == told["linked"]["id"] not in {trial["id"] for trial in told["trials"]}
    assert told == plan(client, slug, bob, clip=key)
    assert set(told["linked"]) == set(told["trials"][0])  # neither names nor anything else is told of it
    row = store.trial(told["linked"]["id"])
    assert (row["clip"], row["kind"]) == (clip, "extra")
    sounds = [client.get(f"/audio/{told['start']}/{side}.wav") for side in ("1", "2", "input")]
    assert [sound.status_code for sound in sounds] == [200] * 3
    assert sounds[0].content != sounds[1].content
    # An answer to it is kept, and enters nothing.
    assert client.post(f"/api/s/{slug}/votes", json=ballot(bob, told["start"]), headers=ORIGIN).json() == {"saved": 1}
    assert [row["kind"] for row in client.get(f"/api/s/{slug}/votes.json").json()] == ["extra"]
    results = client.get(f"/api/s/{slug}/results").json()
    assert (results["votes"], results["raters"], results["dimensions"][0]["decisive"]) == (0, [], 0)
    assert [vote["winner"] for vote in command.monitor_votes(store)] == ["skip"]
    assert command.listed(store)[0]["votes"] == 0
    # Without the link it is gone; with a link of his own to it, it is there again.
    assert plan(client, slug, bob)["linked"] is None
    assert plan(client, slug, bob, clip=link(client, slug, bob, told["start"]))["start"] == told["start"]


def test_sides_of_clips_from_links_are_drawn_for_each_rater(few: Any) -> None:
    store, session, _ = few
    clip = store.clips(session["id"])[0]["id"]
    firsts = [store.extra(session, f"rater {i}", clip)["first"] for i in range(40)]
    assert 8 <= firsts.count("a") <= 32


def test_a_link_to_a_clip_of_the_plan_leads_to_it(few: Any) -> None:
    store, session, client = few
    slug = session["slug"]
    ann = plan(client, slug, "ann")
    for i in range(4):
        mine = {t["clip"]: t["id"] for t in store.trials(session, f"bob {i}") if t["kind"] == "plain"}
        for trial in store.trials(session, "ann"):
            told = plan(client, slug, f"bob {i}", clip=link(client, slug, "ann", trial["id"]))
            if trial["clip"] in mine:
                assert (told["start"], told["linked"]) == (mine[trial["clip"]], None)
    for trial in ann["trials"]:
        assert plan(client, slug, "ann", clip=link(client, slug, "ann", trial["id"]))["start"] == trial["id"]


def test_links_do_not_tell_which_pairs_are_one_clip(few: Any) -> None:
    store, session, client = few
    trials = store.trials(session, "ann")
    assert sorted(t["kind"] for t in trials) == ["plain"] * 3 + ["repeat", "trap"]
    keys = [link(client, session["slug"], "ann", trial["id"]) for trial in trials]
    assert len(set(keys)) == len(keys) == 5
    known = {clip["key"] for clip in store.clips(session["id"])} | {trial["id"][:16] for trial in trials}
    assert not known & set(keys)


@pytest.mark.parametrize("word", ["", "0" * 16, "nothing", "%00", "é"])
def test_a_link_to_nothing_leads_into_the_plan(word: str, few: Any) -> None:
    _, session, client = few
    told = plan(client, session["slug"], "ann", clip=word)
    assert (told["start"], told["linked"]) == (None, None)


def test_a_removed_clip_can_be_heard_by_its_link(few: Any) -> None:
    store, session, client = few
    slug = session["slug"]
    trial = plan(client, slug, "ann")["trials"][0]["id"]
    key = link(client, slug, "ann", trial)
    for row in store.trials(session, "ann"):
        flag = {"uid": row["id"], "clip": row["clip"], "rater": "ann", "removed": True, "reason": "a dog barks"}
        store.add_flag(flag)
    told = plan(client, slug, "eve", clip=key)
    assert told["linked"]["removed"]
    assert len(told["trials"]) == 5  # the three clips that are left, one twice, one as a trap
