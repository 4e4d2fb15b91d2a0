"""The server of the comparison page: what it keeps, what it refuses, and what it does not give away."""

from __future__ import annotations

import json
import sqlite3
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

pytest.importorskip("rtvoice_studio.server", reason="rtvoice-studio is not installed (pip install ./studio)")
pytest.importorskip("httpx", reason="httpx is not installed (the extra 'test')")

from starlette.testclient import TestClient  # noqa: E402

from rtvoice_studio import command, server  # noqa: E402
from rtvoice_studio.store import Store, as_json  # noqa: E402
from studio_sounds import RATE, make_folders  # noqa: E402

ORIGIN = {"origin": "http://127.0.0.1"}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, str]:
    root = tmp_path_factory.mktemp("compare")
    inputs, plain, hissing = make_folders(root, 8)
    store = command.Store(root / "store")
    session = command.add(store, str(plain), str(hissing), clips=inputs, options=command.Options(heard_seconds=0.5))
    return store, session["slug"]


@pytest.fixture
def client(prepared: tuple[Store, str]) -> TestClient:
    return TestClient(server.make_app(prepared[0], hosts=("127.0.0.1",)), base_url="http://127.0.0.1")


def plan(client: TestClient, slug: str, user: str) -> dict[str, Any]:
    answer = client.get(f"/api/s/{slug}", params={"user": user})
    assert answer.status_code == 200
    return answer.json()


def ballot(user: str, trial: str, **changes: Any) -> dict[str, Any]:
    vote = {"uid": str(uuid.uuid4()), "dimension": "champion", "side": "1", "matched": True}
    heard = {"1": 900.0, "2": 900.0}
    body = {"user": user, "trial": trial, "plays": {"1": 1, "2": 1}, "heardMs": heard, "dwellMs": 5, "votes": [vote]}
    return {**body, **changes}


def test_a_vote_counts_for_the_system_that_stood_there_and_once_only(
    client: TestClient, prepared: tuple[Store, str]
) -> None:
    store, slug = prepared
    trial = plan(client, slug, "ann")["trials"][0]["id"]
    body = ballot("ann", trial)
    for new in (1, 0):  # sent twice, as after a lost answer
        assert client.post(f"/api/s/{slug}/votes", json=body, headers=ORIGIN).json() == {"saved": new}
    row = client.get(f"/api/s/{slug}/votes.json").json()[-1]
    assert row["winner"] == row["first"]
    assert (row["plays_1"], row["heard_ms_2"], row["dwell_ms"]) == (1, 900, 5)
    assert isinstance(row["seed"], int)
    # A changed mind is a new row; the old one stays in the table and leaves the results.
    second = ballot("ann", trial)
    second["votes"][0]["side"] = "both"
    client.post(f"/api/s/{slug}/votes", json=second, headers=ORIGIN)
    assert len(client.get(f"/api/s/{slug}/votes.json").json()) == 2
    counted = client.get(f"/api/s/{slug}/votes.csv?counted=1").text.splitlines()
    assert len(counted) == 1 + (row["kind"] == "plain")
    told = client.get(f"/api/s/{slug}/results").json()["dimensions"][0]
    assert (told["wins_a"] + told["wins_b"], told["ties"]) == (0, 1) or row["kind"] != "plain"


def test_votes_survive_a_new_server_on_the_same_store(client: TestClient, prepared: tuple[Store, str]) -> None:
    store, slug = prepared
    trial = plan(client, slug, "eve")["trials"][0]["id"]
    client.post(f"/api/s/{slug}/votes", json=ballot("eve", trial), headers=ORIGIN)
    again = Store(store.folder)
    other = TestClient(server.make_app(again, hosts=("127.0.0.1",)), base_url="http://127.0.0.1")
    known = plan(other, slug, "eve")["trials"][0]
    assert (known["id"], known["answers"]) == (trial, {"champion": "1"})
    again.close()


def test_nothing_that_a_rater_is_sent_tells_the_systems_apart(client: TestClient, prepared: tuple[Store, str]) -> None:
    store, slug = prepared
    got = client.get(f"/api/s/{slug}", params={"user": "bob"}).text
    for word in ("walrus", "zebra", "clip0", '"first"', '"kind"', "trap", "repeat"):
        assert word not in got
    page = client.get(f"/s/{slug}")
    assert "zebra" not in page.text
    for trial in json.loads(got)["trials"]:
        one, two = (client.get(f"/audio/{trial['id']}/{side}.wav") for side in "12")
        assert one.status_code == two.status_code == 200
        assert len(one.content) == len(two.content)
        assert dict(one.headers) == dict(two.headers)
        assert "etag" not in one.headers
        assert "last-modified" not in one.headers


def test_sides_are_drawn_evenly_and_differ_between_raters(client: TestClient, prepared: tuple[Store, str]) -> None:
    store, slug = prepared
    session = store.session(slug)
    assert session is not None
    firsts = {
        user: {t["clip"]: t["first"] for t in store.trials(session, user) if t["kind"] == "plain"}
        for user in ("kim", "lee", "max")
    }
    assert all(abs(list(f.values()).count("a") - list(f.values()).count("b")) <= 1 for f in firsts.values())
    assert len({tuple(sorted(f.items())) for f in firsts.values()}) > 1
    kinds = [t["kind"] for t in store.trials(session, "kim")]
    assert (kinds.count("repeat"), kinds.count("trap")) == (2, 1)


def test_a_trap_plays_the_same_audio_twice(client: TestClient, prepared: tuple[Store, str]) -> None:
    store, slug = prepared
    session = store.session(slug)
    assert session is not None
    trap = next(t for t in store.trials(session, "kim") if t["kind"] == "trap")
    one, two = (client.get(f"/audio/{trap['id']}/{side}.wav").content for side in "12")
    assert one == two


def test_a_choice_needs_both_models_heard_and_a_skip_does_not(client: TestClient, prepared: tuple[Store, str]) -> None:
    slug = prepared[1]
    trial = plan(client, slug, "pat")["trials"][1]["id"]
    body = ballot("pat", trial, heardMs={"1": 900, "2": 0})
    answer = client.post(f"/api/s/{slug}/votes", json=body, headers=ORIGIN)
    assert answer.status_code == 409
    assert "both models" in answer.json()["error"]
    body["votes"][0]["side"] = "skip"
    assert client.post(f"/api/s/{slug}/votes", json=body, headers=ORIGIN).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/static/../server.py",
        "/static/%2e%2e%2fserver.py",
        "/static/app.js%00",
        "/audio/../../studio.db",
        "/audio/x/1.wav",
    ]
    + [f"/audio/{'0' * 24}/{name}" for name in ("1.wav", "..%2f..%2fstudio.db", "1.wav%2f..", "secret.wav")]
    + ["/s/../../etc/passwd", "/api/s/%2e%2e", "/s/nothing"],
)
def test_paths_lead_nowhere_but_to_what_is_served(path: str, client: TestClient) -> None:
    assert client.get(path).status_code == 404


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://127.0.0.1:9"}, 403),
        ({"origin": "http://127.0.0.1", "content-type": "text/plain"}, 415),
        ({"origin": "http://127.0.0.1", "host": "evil.example"}, 421),
    ],
)
def test_only_the_page_itself_may_change_something(
    headers: dict[str, str], status: int, client: TestClient, prepared: tuple[Store, str]
) -> None:
    data = json.dumps(ballot("ann", "0" * 24))
    headers = {"content-type": "application/json", **headers}
    assert client.post(f"/api/s/{prepared[1]}/votes", content=data, headers=headers).status_code == status


@pytest.mark.parametrize(
    "change",
    [
        {"votes": []},
        {"votes": "all"},
        {"votes": [{"uid": "x", "dimension": "champion", "side": "1"}]},
        {"votes": [{"uid": str(uuid.UUID(int=1)), "dimension": "beauty", "side": "1"}]},
        {"votes": [{"uid": str(uuid.UUID(int=1)), "dimension": "champion", "side": "a"}]},
        {"heardMs": {"1": float("nan"), "2": 900}},
        {"heardMs": {"1": 900}},
        {"dwellMs": -1},
        {"plays": None},
        {"user": ""},
        {"user": "x" * 61},
        {"user": "a\nb"},
    ],
)
def test_unfit_votes_are_refused_whole(change: dict[str, Any], client: TestClient, prepared: tuple[Store, str]) -> None:
    slug = prepared[1]
    trial = plan(client, slug, "zoe")["trials"][0]["id"]
    before = len(client.get(f"/api/s/{slug}/votes.json").json())
    data = json.dumps({**ballot("zoe", trial), **change})
    headers = {**ORIGIN, "content-type": "application/json"}
    answer = client.post(f"/api/s/{slug}/votes", content=data, headers=headers)
    assert answer.status_code in (400, 404)
    assert len(client.get(f"/api/s/{slug}/votes.json").json()) == before


def test_one_rater_cannot_vote_in_the_plan_of_another(client: TestClient, prepared: tuple[Store, str]) -> None:
    slug = prepared[1]
    trial = plan(client, slug, "ann")["trials"][0]["id"]
    assert client.post(f"/api/s/{slug}/votes", json=ballot("bob", trial), headers=ORIGIN).status_code == 404


def test_large_bodies_are_refused(client: TestClient, prepared: tuple[Store, str]) -> None:
    data = json.dumps({"text": "x" * 70000})
    headers = {**ORIGIN, "content-type": "application/json"}
    assert client.post(f"/api/s/{prepared[1]}/notes", content=data, headers=headers).status_code == 413


def test_notes_are_kept_as_text_and_escaped_in_the_report(
    client: TestClient, prepared: tuple[Store, str], tmp_path: Path
) -> None:
    store, slug = prepared
    session = store.session(slug)
    assert session is not None
    trial = plan(client, slug, "ann")["trials"][0]["id"]
    text = "</script><img src=x onerror=alert(1)>"
    body = {"user": "ann", "trial": trial, "uid": str(uuid.uuid4()), "side": "clip", "text": text}
    assert client.post(f"/api/s/{slug}/notes", json=body, headers=ORIGIN).json() == {"saved": 1}
    assert plan(client, slug, "ann")["trials"][0]["notes"] == {"clip": text}
    command.export(store, session, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "<img src=x" not in page
    assert "\\u003cimg src=x" in page
    assert 'src="/' not in page
    assert 'href="/static' not in page


def test_a_formula_in_a_name_is_text_in_the_csv(client: TestClient, prepared: tuple[Store, str]) -> None:
    slug = prepared[1]
    trial = plan(client, slug, "=1+1")["trials"][0]["id"]
    client.post(f"/api/s/{slug}/votes", json=ballot("=1+1", trial), headers=ORIGIN)
    assert ",'=1+1," in client.get(f"/api/s/{slug}/votes.csv").text


def test_a_flagged_clip_leaves_the_results_and_can_come_back(tmp_path: Path) -> None:
    inputs, plain, hissing = make_folders(tmp_path, 3)
    store = command.Store(tmp_path / "store")
    options = command.Options(traps=0, repeats=0, heard_seconds=0.1)
    slug = command.add(store, str(plain), str(hissing), clips=inputs, options=options)["slug"]
    client = TestClient(server.make_app(store, hosts=("127.0.0.1",)), base_url="http://127.0.0.1")
    trial = plan(client, slug, "ann")["trials"][0]["id"]
    client.post(f"/api/s/{slug}/votes", json=ballot("ann", trial), headers=ORIGIN)
    body = {"user": "ann", "trial": trial, "uid": str(uuid.uuid4()), "removed": True, "reason": "a dog barks"}
    client.post(f"/api/s/{slug}/flags", json=body, headers=ORIGIN)
    told = client.get(f"/api/s/{slug}/results").json()
    assert told["dimensions"][0]["decisive"] == 0
    assert told["removed"][0]["reason"] == "a dog barks"
    body = {**body, "uid": str(uuid.uuid4()), "removed": False, "reason": ""}
    client.post(f"/api/s/{slug}/flags", json=body, headers=ORIGIN)
    assert client.get(f"/api/s/{slug}/results").json()["dimensions"][0]["decisive"] == 1
    store.close()


def test_votes_that_were_not_blind_do_not_count(client: TestClient, prepared: tuple[Store, str]) -> None:
    slug = prepared[1]
    got = client.get(f"/api/s/{slug}", params={"user": "open", "open": "1"}).json()
    assert set(got["trials"][0]["names"].values()) <= {"walrus", "zebra"}
    before = client.get(f"/api/s/{slug}/results").json()
    client.post(f"/api/s/{slug}/votes", json=ballot("open", got["trials"][0]["id"], open=True), headers=ORIGIN)
    told = client.get(f"/api/s/{slug}/results").json()
    assert (told["votes"], told["not_blind"]) == (before["votes"], before["not_blind"] + 1)


def test_elsewhere_than_on_loopback_a_token_is_asked_for(prepared: tuple[Store, str]) -> None:
    store, slug = prepared
    client = TestClient(server.make_app(store, hosts=(), token="secret"), base_url="http://team.example")
    assert client.get(f"/s/{slug}").status_code == 401
    assert client.get(f"/s/{slug}?token=wrong").status_code == 401
    entered = client.get(f"/s/{slug}?token=secret&clip=1", follow_redirects=False)
    assert entered.headers["location"] == f"/s/{slug}?clip=1"
    assert "HttpOnly" in entered.headers["set-cookie"]
    assert client.get(f"/s/{slug}").status_code == 200


def test_the_database_writes_ahead_and_only_adds(prepared: tuple[Store, str]) -> None:
    store = prepared[0]
    with sqlite3.connect(store.folder / "studio.db") as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_declared_latency_is_taken_off_to_the_sample(tmp_path: Path) -> None:
    inputs, plain, hissing = make_folders(tmp_path, 2)
    for path in plain.iterdir():
        sound, _ = soundfile.read(path, dtype="float32")
        soundfile.write(path, np.concatenate([np.zeros(320, np.float32), sound]), RATE, subtype="FLOAT")
    (plain / "latency_ms.txt").write_text("20\n")
    store = command.Store(tmp_path / "store")
    slug = command.add(store, str(plain), str(hissing), clips=inputs)["slug"]
    session = store.session(slug)
    assert session is not None
    clip = store.clips(session["id"])[0]["data"]
    got, _ = soundfile.read(store.folder / "audio" / f"{clip['sounds']['a']}.wav", dtype="float32")
    wanted, _ = soundfile.read(inputs / f"{clip['name']}.wav", dtype="float32")
    np.testing.assert_allclose(got, 0.8 * wanted[: len(got)], atol=1e-6)
    store.close()


def test_a_late_folder_is_warned_of(tmp_path: Path) -> None:
    inputs, plain, hissing = make_folders(tmp_path, 1, seconds=1.6)
    path = next(plain.iterdir())
    sound, _ = soundfile.read(path, dtype="float32")
    soundfile.write(path, np.concatenate([np.zeros(RATE // 20, np.float32), sound]), RATE, subtype="FLOAT")
    words: list[str] = []
    store = command.Store(tmp_path / "store")
    command.add(store, str(plain), str(hissing), clips=inputs, warn=words.append)
    assert len(words) == 1
    assert any(f"{late} ms" in words[0] for late in (-49, -50, -51))
    store.close()


def test_json_in_html_closes_no_element() -> None:
    assert json.loads(as_json({"a": "</script>&"})) == {"a": "</script>&"}
    assert "<" not in as_json("</script>")
