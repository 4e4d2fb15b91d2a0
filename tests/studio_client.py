"""What tests of the comparison page's server share: a client, a rater's plan, a ballot."""

from __future__ import annotations

import uuid
from typing import Any

ORIGIN = {"origin": "http://127.0.0.1"}


def client_of(store: Any) -> Any:
    """Return a client of a server over a store, as the page on this machine is one."""
    from starlette.testclient import TestClient

    from rtvoice_studio import server

    return TestClient(server.make_app(store, hosts=("127.0.0.1",)), base_url="http://127.0.0.1")


def plan(client: Any, slug: str, user: str, **query: str) -> dict[str, Any]:
    answer = client.get(f"/api/s/{slug}", params={"user": user, **query})
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def ballot(user: str, trial: str, **changes: Any) -> dict[str, Any]:
    vote = {"uid": str(uuid.uuid4()), "dimension": "champion", "side": "1", "matched": True}
    heard = {"1": 900.0, "2": 900.0}
    body = {"user": user, "trial": trial, "plays": {"1": 1, "2": 1}, "heardMs": heard, "dwellMs": 5, "votes": [vote]}
    return {**body, **changes}
