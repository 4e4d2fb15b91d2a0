"""The server of the comparison page: what it keeps, what it refuses, and what it does not give away."""

from __future__ import annotations

import json
import shlex
import sqlite3
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
import soundfile

pytest.importorskip("rtvoice_studio.server", reason="rtvoice-studio is not installed (pip install ./studio)")
httpx = pytest.importorskip("httpx", reason="httpx is not installed (the extra 'test')")

from starlette.testclient import TestClient  # noqa: E402

from commands import run  # noqa: E402
from rtvoice.audio import AudioError  # noqa: E402
from rtvoice_studio import command, server  # noqa: E402
from rtvoice_studio.store import Store, as_json  # noqa: E402
from studio_client import ORIGIN, ballot, client_of, plan  # noqa: E402
from studio_sounds import RATE, make_folders  # noqa: E402


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, str]:
    root = tmp_path_factory.mktemp("compare")
    inputs, plain, hissing = make_folders(root, 8)
    store = command.Store(root / "store")
    session = command.add(store, str(plain), str(hissing), clips=inputs, options=command.Options(heard_seconds=0.5))
    return store, session["slug"]


@pytest.fixture
def client(prepared: tuple[Store, str]) -> TestClient:
    return client_of(prepared[0])


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


def test_but_for_the_samples_all_that_is_sent_is_the_same_whichever_system_stands_there(
    client: TestClient, prepared: tuple[Store, str]
) -> None:
    store, slug = prepared

    def everything() -> list[Any]:
        got = client.get(f"/api/s/{slug}", params={"user": "sue"})
        told: list[Any] = [got.text, dict(got.headers)]
        for trial in got.json()["trials"]:
            for side in ("1", "2", "input"):
                sound = client.get(f"/audio/{trial['id']}/{side}.wav")
                start = sound.content.index(b"data") + 8
                told += [dict(sound.headers), len(sound.content), sound.content[:start]]
        return told

    # All clips of one rater, then the same with the two systems' sounds exchanged: a number that tells them changes.
    before = everything()
    with sqlite3.connect(store.folder / "studio.db") as database:
        exchange = "json_set(data, '$.sounds.a', data->>'$.sounds.b', '$.sounds.b', data->>'$.sounds.a')"
        database.execute(f"UPDATE clips SET data = {exchange}")
        database.commit()
        after = everything()
        database.execute(f"UPDATE clips SET data = {exchange}")
    database.close()
    assert before == after


def test_whichever_side_is_asked_for_the_server_does_the_same_work(
    client: TestClient, prepared: tuple[Store, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, slug = prepared
    session = store.session(slug)
    assert session is not None
    sounds = {clip["id"]: clip["data"]["sounds"] for clip in store.clips(session["id"])}
    read: list[str] = []
    work = server.Studio._read
    monkeypatch.setattr(server.Studio, "_read", lambda self, name: read.append(name) or work(self, name))
    # Traps among them, which play one file twice: else the second would come from memory, and sooner.
    for trial in store.trials(session, "tim"):
        for side in ("1", "2", "x"):
            read.clear()
            assert client.get(f"/audio/{trial['id']}/{side}.wav").status_code == 200
            assert read == [f"{sounds[trial['clip']][system]}.wav" for system in "ab"]


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


def test_an_answer_in_an_abx_test_needs_x_heard_as_well(tmp_path: Path) -> None:
    inputs, plain, hissing = make_folders(tmp_path, 1)
    store = command.Store(tmp_path / "store")
    options = command.Options(mode="abx", length=4, repeats=0, traps=0, heard_seconds=0.5)
    slug = command.add(store, str(plain), str(hissing), clips=inputs, options=options)["slug"]
    client = client_of(store)
    trial = plan(client, slug, "ann")["trials"][0]["id"]

    def send(side: str, plays: dict[str, int], heard: dict[str, int]) -> Any:
        body = ballot("ann", trial, plays=plays, heardMs=heard)
        body["votes"][0].update(dimension="abx", side=side)
        return client.post(f"/api/s/{slug}/votes", json=body, headers=ORIGIN)

    once, long = {"1": 1, "2": 1, "x": 1}, {"1": 900, "2": 900, "x": 900}
    for plays, heard in ((once, {**long, "x": 0}), ({**once, "x": 0}, long)):
        answer = send("1", plays, heard)
        assert (answer.status_code, answer.json()["error"]) == (409, "listen to both models and to X before you choose")
    assert send("1", {"1": 1, "2": 1}, {"1": 900, "2": 900}).status_code == 400
    assert send("skip", once, {**long, "x": 0}).json() == {"saved": 1}
    assert send("1", once, long).json() == {"saved": 1}
    assert client.get(f"/api/s/{slug}/votes.json").json()[-1]["heard_ms_x"] == 900
    store.close()


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
    answer = client.post(f"/api/s/{slug}/votes", json=ballot("bob", trial), headers=ORIGIN)
    # The page sets such a vote aside; what is of a comparison unknown here waits for another server.
    assert (answer.status_code, answer.json()["unknown"]) == (404, "trial")
    answer = client.post("/api/s/nothing/votes", json=ballot("ann", trial), headers=ORIGIN)
    assert (answer.status_code, "unknown" in answer.json()) == (404, False)


def test_another_site_cannot_open_what_is_blind(client: TestClient, prepared: tuple[Store, str]) -> None:
    address = f"/api/s/{prepared[1]}?user=ann&open=1"
    for site in ("cross-site", "same-site", "none"):
        assert client.get(address, headers={"sec-fetch-site": site}).status_code == 403
    assert not plan(client, prepared[1], "ann")["seen"]
    assert client.get(address, headers={"sec-fetch-site": "same-origin"}).json()["seen"]


@pytest.mark.parametrize("name", ["مریم\u200cخانی", "\U0001f469\u200d\U0001f4bb", "Ann\u00a0Lee"])
def test_names_of_any_script_are_taken(name: str, client: TestClient, prepared: tuple[Store, str]) -> None:
    assert plan(client, prepared[1], name)["user"] == name


@pytest.mark.parametrize("name", ["", "  ", "\u200c\u200d", "a\x07b", "a\nb", "x" * 61])
def test_what_is_no_name_is_refused(name: str, client: TestClient, prepared: tuple[Store, str]) -> None:
    assert client.get(f"/api/s/{prepared[1]}", params={"user": name}).status_code == 400


def test_a_store_is_served_at_an_address_of_its_own(tmp_path: Path) -> None:
    with command._listen_again("127.0.0.1", tmp_path) as first:
        port = first.getsockname()[1]
        first.listen()
        with command._listen_again("127.0.0.1", tmp_path) as second:  # taken: another is found
            assert second.getsockname()[1] != port
    with command._listen_again("127.0.0.1", tmp_path) as again:
        assert again.getsockname()[1] == port


def test_repeats_and_traps_leave_pairs_to_rate() -> None:
    with pytest.raises(ValueError, match="nothing of 25 trials"):
        command.Options(length=25, repeats=24, traps=1).plain()


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
    client.post(f"/api/s/{slug}/votes", json=ballot("open", got["trials"][0]["id"]), headers=ORIGIN)
    told = client.get(f"/api/s/{slug}/results").json()
    assert (told["votes"], told["not_blind"]) == (before["votes"], before["not_blind"] + 1)
    # Covering the names again makes nobody forget them.
    covered = client.get(f"/api/s/{slug}", params={"user": "open"}).json()
    assert (covered["blind"], covered["seen"], "names" in covered["trials"][0]) == (True, True, False)
    client.post(f"/api/s/{slug}/votes", json=ballot("open", got["trials"][1]["id"]), headers=ORIGIN)
    assert client.get(f"/api/s/{slug}/results").json()["not_blind"] == before["not_blind"] + 2


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


def refused(tmp_path: Path, change: Any, *, error: type[Exception] = AudioError) -> str:
    """Prepare a comparison of folders in which something was changed; return why that is refused."""
    inputs, plain, hissing = make_folders(tmp_path, 1)
    change(inputs, plain, hissing)
    store = command.Store(tmp_path / "store")
    with pytest.raises(error) as caught:
        command.add(store, str(plain), str(hissing), clips=inputs)
    assert store.sessions() == []
    store.close()
    return str(caught.value)


@pytest.mark.parametrize(
    ("shape", "rate", "words"),
    [
        ((61 * 8000, 1), 8000, "is 61 s long; a clip takes at most 60 s"),
        ((800, 6), 16000, "has 6 channels; a clip takes one or two"),
        ((800, 1), 4000, "has 4000 samples a second; a clip takes 8000 to 192000"),
        ((1600, 1), 16000, "clip00 is shorter than 0.25 s"),
    ],
)
def test_a_recording_that_is_no_clip_is_named(shape: tuple[int, int], rate: int, words: str, tmp_path: Path) -> None:
    def change(inputs: Path, plain: Path, hissing: Path) -> None:
        soundfile.write(plain / "clip00.wav", np.full(shape, 0.1, np.float32), rate)

    assert words in refused(tmp_path, change, error=(AudioError, ValueError))  # type: ignore[arg-type]


def test_what_is_no_audio_is_not_taken(tmp_path: Path) -> None:
    def no_audio(inputs: Path, plain: Path, hissing: Path) -> None:
        (hissing / "clip00.wav").write_text("<html>not a sound</html>")
        (hissing / "readme.txt").write_text("of another type, and left alone")

    assert "clip00.wav cannot be read as audio" in refused(tmp_path, no_audio)


def test_clips_of_other_rates_lengths_and_channels_become_one_without_loss(tmp_path: Path) -> None:
    inputs, plain, hissing = make_folders(tmp_path / "räume & 50 % what?", 2)
    sound, _ = soundfile.read(plain / "clip00.wav", dtype="float32")
    time = np.arange(round(44100 * 0.7)) / 44100
    stereo = np.stack([np.sin(2 * np.pi * 15000 * time), np.zeros_like(time)], axis=1) / 4
    soundfile.write(hissing / "clip00.wav", stereo.astype(np.float32), 44100)  # more of everything, but shorter
    store = command.Store(tmp_path / "räume & 50 % what?" / "store")
    slug = command.add(store, str(plain), str(hissing), clips=inputs)["slug"]
    assert (store.folder / "studio.db").is_file()
    session = store.session(slug)
    assert session is not None
    clip = next(c["data"] for c in store.clips(session["id"]) if c["name"] == "clip00")
    kept = {role: soundfile.read(store.folder / "audio" / f"{name}.wav") for role, name in clip["sounds"].items()}
    assert {(part.shape, rate) for part, rate in kept.values()} == {((round(44100 * 0.7), 2), 44100)}
    np.testing.assert_allclose(kept["b"][0], stereo, atol=1e-4)  # 15 kHz, which 16000 samples a second do not hold
    np.testing.assert_array_equal(kept["a"][0][:, 0], kept["a"][0][:, 1])
    assert np.abs(kept["a"][0]).max() == pytest.approx(np.abs(sound[: round(RATE * 0.7)]).max(), rel=0.05)
    store.close()


def test_what_was_prepared_is_served_by_the_words_that_were_printed(tmp_path: Path) -> None:
    inputs, plain, hissing = make_folders(tmp_path, 2)
    store = tmp_path / "a store"
    done = run("compare", plain, hissing, "--clips", inputs, "--store", store, "--no-serve")
    words = shlex.split(done.out.splitlines()[-1].removeprefix("serve it with: rtvoice "))
    assert run(*words, "--no-serve").out.splitlines()[0] == done.out.splitlines()[0]
    (tmp_path / "empty").mkdir()
    done = run("compare", plain, hissing, "--clips", tmp_path / "empty", "--store", store, "--no-serve")
    assert "empty holds no recordings" in done.err
    done = run("compare", plain, hissing, "--clips", inputs, "--store", inputs / "clip00.wav", "--no-serve")
    assert "clip00.wav is a file; name a folder" in done.err


@pytest.mark.parametrize("damage", ["no database at all, but long enough to look like one" * 100, None])
def test_a_damaged_store_is_told_in_one_line(damage: str | None, tmp_path: Path) -> None:
    store = command.Store(tmp_path)
    assert store.token  # drawn with the store, so there is one now
    store.close()
    path = tmp_path / "studio.db"
    if damage is None:
        data = bytearray(path.read_bytes())
        data[100:2000] = bytes(1900)  # the head holds, the first page does not
        path.write_bytes(data)
    else:
        path.write_text(damage)
    done = run("compare", "--store", tmp_path, "--list")
    assert done.status == 1
    assert done.err.count("\n") == 1
    assert "studio.db cannot be read as a store of comparisons" in done.err


def test_a_second_rater_of_the_same_name_goes_on_in_the_same_plan(
    client: TestClient, prepared: tuple[Store, str]
) -> None:
    slug = prepared[1]
    first, second = plan(client, slug, "Zoë"), plan(client, slug, " Zoe\u0308 ")  # one name, written in two ways
    assert first == second
    trial = first["trials"][0]["id"]
    other = ballot("Zoë", trial)
    other["votes"][0]["side"] = "2"
    client.post(f"/api/s/{slug}/votes", json=ballot("Zoë", trial), headers=ORIGIN)
    client.post(f"/api/s/{slug}/votes", json=other, headers=ORIGIN)
    mine = [row for row in client.get(f"/api/s/{slug}/votes.json").json() if row["rater"] == "Zoë"]
    assert [row["side"] for row in mine] == ["1", "2"]  # both are kept, the later one counts
    assert plan(client, slug, "Zoë")["trials"][0]["answers"] == {"champion": "2"}


def test_raters_who_come_at_once_have_whole_plans_and_all_their_votes(prepared: tuple[Store, str]) -> None:
    store, slug = prepared
    app = server.make_app(store, hosts=("127.0.0.1",))

    def sit(user: str) -> int:
        client = TestClient(app, base_url="http://127.0.0.1")
        trials = plan(client, slug, user)["trials"]
        for trial in trials:
            saved = client.post(f"/api/s/{slug}/votes", json=ballot(user, trial["id"]), headers=ORIGIN).json()
            assert saved == {"saved": 1}
        return len(trials)

    with ThreadPoolExecutor(6) as pool:
        counts = list(pool.map(sit, [f"together {i // 2}" for i in range(6)]))  # each name twice
    assert len(set(counts)) == 1
    rows = [r for r in store.said(store.session(slug)["id"])[0] if r["rater"].startswith("together")]  # type: ignore[index]
    assert len(rows) == sum(counts)


def test_bound_elsewhere_the_address_that_is_printed_carries_the_token(prepared: tuple[Store, str]) -> None:
    words = ["compare", "--store", prepared[0].folder, "--host", "0.0.0.0", "--no-browser"]
    command_line = [str(word) for word in (Path(sys.executable).with_name("rtvoice"), *words)]
    with subprocess.Popen(command_line, stdout=subprocess.PIPE, text=True) as serving:
        try:
            assert serving.stdout is not None
            address = urlsplit(
                next(word for line in serving.stdout for word in line.split() if word.startswith("http:"))
            )
            token = address.query.removeprefix("token=")
            assert len(token) == 32
            with httpx.Client(base_url=f"http://127.0.0.1:{address.port}") as client:
                assert client.get("/api/sessions").status_code == 401
                assert client.get("/static/app.js").status_code == 401
                assert client.get(f"/?token={token}").status_code == 303
                assert client.get("/api/sessions").status_code == 200
        finally:
            serving.kill()
