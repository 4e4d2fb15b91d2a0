"""What a server must refuse in a line, whatever is sent: half characters, huge numbers, hosts that are none."""

from __future__ import annotations

import json
import socket
import threading
import uuid
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rtvoice_studio.server", reason="rtvoice-studio is not installed (pip install ./studio)")
pytest.importorskip("httpx", reason="httpx is not installed (the extra 'test')")

import uvicorn  # noqa: E402
from starlette.testclient import TestClient  # noqa: E402

from rtvoice_studio import command, server  # noqa: E402
from studio_client import ORIGIN, ballot, client_of, plan  # noqa: E402
from studio_sounds import make_folders  # noqa: E402


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Any:
    root = tmp_path_factory.mktemp("refusals")
    inputs, plain, hissing = make_folders(root, 2)
    store = command.Store(root / "store")
    options = command.Options(traps=0, repeats=0, heard_seconds=0.1)
    session = command.add(store, str(plain), str(hissing), clips=inputs, options=options)
    client = client_of(store)
    # An error of the server's own comes as an answer, as it does outside.
    client = TestClient(client.app, base_url="http://127.0.0.1", raise_server_exceptions=False)
    yield store, session["slug"], client, plan(client, session["slug"], "ann")["trials"][0]["id"]
    store.close()


def refused(answer: Any) -> bool:
    words = answer.json()["error"]
    return 400 <= answer.status_code < 500 and words != "" and "\n" not in words


HALF = "\\ud800"
HUGE = "9" * 400


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("notes", {"text": HALF}),
        ("notes", {"text": f"ends in {HALF}"}),
        ("notes", {"user": HALF}),
        ("notes", {"side": HALF}),
        ("notes", {"trial": HALF}),
        ("flags", {"reason": HALF}),
        ("flags", {"removed": HALF}),
        ("votes", {"user": HALF}),
        ("votes", {"dwellMs": int(HUGE)}),
        ("votes", {"dwellMs": -int(HUGE)}),
        ("votes", {"heardMs": {"1": int(HUGE), "2": 900}}),
        ("votes", {"plays": {"1": 1, "2": int(HUGE)}}),
        ("votes", {"dwellMs": float("inf")}),
        ("votes", {"votes": [{"uid": HALF, "dimension": "champion", "side": "1"}]}),
        ("votes", {"votes": [{"uid": str(uuid.UUID(int=1)), "dimension": HALF, "side": "1"}]}),
        ("votes", {"votes": [{"uid": str(uuid.UUID(int=1)), "dimension": "champion", "side": HALF}]}),
        ("votes", {"votes": [{"uid": str(uuid.UUID(int=1)), "dimension": ["champion"], "side": {}}]}),
    ],
)
def test_what_cannot_be_kept_is_refused(what: str, change: dict[str, Any], served: Any) -> None:
    _, slug, client, trial = served
    before = client.get(f"/api/s/{slug}/remarks.json").json()
    note = {"user": "ann", "trial": trial, "uid": str(uuid.uuid4()), "side": "1", "text": "", "removed": True}
    body = {**(ballot("ann", trial) if what == "votes" else {**note, "reason": "a dog"}), **change}
    # As JSON writes it: half a character as an escape, a number with all its digits.
    data = json.dumps(body).replace("\\\\ud800", "\\ud800")
    answer = client.post(f"/api/s/{slug}/{what}", content=data, headers={**ORIGIN, "content-type": "application/json"})
    assert refused(answer), answer.text
    assert client.get(f"/api/s/{slug}/remarks.json").json() == before
    assert client.get(f"/api/s/{slug}/votes.json").json() == []


@pytest.mark.parametrize("data", [b"\xff\xfe", b"[" * 30000, b"9" * 5000, b"null", b'{"votes": 1e999}', b""])
def test_a_body_that_is_no_object_is_refused(data: bytes, served: Any) -> None:
    _, slug, client, _ = served
    headers = {**ORIGIN, "content-type": "application/json"}
    assert refused(client.post(f"/api/s/{slug}/votes", content=data, headers=headers))


@pytest.mark.parametrize("token", [None, "secret"])
@pytest.mark.parametrize(
    "host",
    [
        "[",
        "]",
        "[::1",
        "::1",
        "a b",
        "127.0.0.1:port",
        "127.0.0.1:123456",
        "user@127.0.0.1",
        "127.0.0.1/x",
        "[v1.x]",
        "",
    ]
    + ["\u00e4".encode(), b"\xff"],
)
def test_a_host_that_is_none_is_refused(host: str | bytes, token: str | None, served: Any) -> None:
    app = server.make_app(served[0], hosts=() if token else ("127.0.0.1",), token=token)
    client = TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False)
    for path in ("/", "/?token=secret"):
        answer = client.get(path, headers={"host": host}, follow_redirects=False)
        assert answer.status_code == 400
        assert refused(answer)


@pytest.mark.parametrize(
    "origin", ["http://[", "http://127.0.0.1@", "//127.0.0.1", "http://127.0.0.1/", "[", "\u00e4".encode()]
)
def test_an_origin_that_is_none_is_refused(origin: str | bytes, served: Any) -> None:
    _, slug, client, trial = served
    answer = client.post(f"/api/s/{slug}/votes", json=ballot("ann", trial), headers={"origin": origin})
    assert (answer.status_code, refused(answer)) == (403, True)


def test_who_enters_is_led_to_no_other_host(served: Any) -> None:
    client = TestClient(server.make_app(served[0], hosts=(), token="secret"), base_url="http://team.example")
    answer = client.get("http://team.example//evil.example/?token=secret", follow_redirects=False)
    assert answer.headers["location"] == "/evil.example/"


def test_two_servers_on_one_host_do_not_take_each_others_cookie(tmp_path: Path) -> None:
    stores = [command.Store(tmp_path / name) for name in ("one", "two")]
    tokens = [store.token for store in stores]
    assert len(set(tokens)) == 2
    cookies: dict[str, str] = {}
    for store, token in zip(stores, tokens, strict=True):
        client = TestClient(server.make_app(store, hosts=(), token=token), base_url="http://team.example")
        entered = client.get(f"/?token={token}", follow_redirects=False)
        cookies |= {name: each.value for name, each in SimpleCookie(entered.headers["set-cookie"]).items()}
    # As a browser, which sends all of a host's cookies to any of its ports.
    for store, token in zip(stores, tokens, strict=True):
        client = TestClient(server.make_app(store, hosts=(), token=token), base_url="http://team.example")
        header = "; ".join(f"{name}={value}" for name, value in cookies.items())
        assert client.get("/api/sessions", headers={"cookie": header}).status_code == 200
        assert client.get("/api/sessions", headers={"cookie": f"{next(iter(cookies))}=other"}).status_code == 401
        store.close()


def test_who_entered_is_let_in_by_the_next_server_on_the_store(tmp_path: Path) -> None:
    store = command.Store(tmp_path)
    client = TestClient(server.make_app(store, hosts=(), token=store.token), base_url="http://team.example")
    client.get(f"/?token={store.token}")
    cookies = dict(client.cookies)
    store.close()
    again = command.Store(tmp_path)
    client = TestClient(
        server.make_app(again, hosts=(), token=again.token), base_url="http://team.example", cookies=cookies
    )
    assert client.get("/api/sessions").status_code == 200
    again.close()


def test_a_server_tells_its_refusals_over_a_socket_too(served: Any) -> None:
    """What a client library would not send: bytes as they are."""
    store, slug, _, _ = served
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(server.make_app(store, hosts=("127.0.0.1",)), log_level="critical", access_log=False)
    running = uvicorn.Server(config)
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listening]})
    thread.start()
    host = f"Host: 127.0.0.1:{listening.getsockname()[1]}\r\nConnection: close\r\n"
    try:
        for line in (
            f"GET /api/s/%ed%a0%80?user=ann HTTP/1.1\r\n{host}",
            f"GET /api/s/{slug}?user=%ed%a0%80 HTTP/1.1\r\n{host}",
            f"GET /api/s/{slug}?user=%00 HTTP/1.1\r\n{host}",
            f"GET /audio/%00/1.wav HTTP/1.1\r\n{host}",
            "GET / HTTP/1.1\r\nHost: [\r\nConnection: close\r\n",
            f"POST /api/s/{slug}/votes HTTP/1.1\r\n{host}Origin: http://x\r\nContent-Length: \u00b2\r\n",
            f"POST /api/s/{slug}/votes HTTP/1.1\r\n{host}Content-Length: {'9' * 30}\r\n",
        ):
            with socket.create_connection(listening.getsockname(), timeout=10) as talk:
                talk.sendall(f"{line}\r\n".encode("latin-1"))
                answer = b""
                while block := talk.recv(65536):
                    answer += block
            status = int(answer.split()[1])
            # A name of what stands for a broken character is a name.
            assert status in ((200, 400) if "user=%ed" in line else range(400, 500)), (line, answer[:200])
    finally:
        running.should_exit = True
        thread.join()
