"""What ``rtvoice compare`` does: prepare a session, serve the page, or write the report."""

from __future__ import annotations

import ipaddress
import secrets
import socket
import sys
import threading
import webbrowser
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from rtvoice import files
from rtvoice_studio.costs import measure_costs, read_costs
from rtvoice_studio.dimensions import SHIPPED, read_dimensions
from rtvoice_studio.guard import LOOPBACK
from rtvoice_studio.measures import measure
from rtvoice_studio.prepare import prepare, store_folder
from rtvoice_studio.results import results
from rtvoice_studio.server import STATIC, FrontEndMissing, make_app
from rtvoice_studio.store import Row, Store, as_json
from rtvoice_studio.systems import find_system

Progress = Callable[[float], None]


@dataclass(frozen=True)
class Options:
    """How a session runs; the defaults are a sitting of fifteen minutes."""

    mode: str = "rows"
    length: int = 25
    repeats: int = 2
    traps: int = 1
    blind: bool = True
    randomise: bool = True
    heard_seconds: float = 2.0
    dimensions: Path | None = None

    def plain(self) -> dict[str, Any]:
        """Return them as the store keeps them."""
        rows = read_dimensions(self.dimensions or SHIPPED)
        return {
            "mode": self.mode,
            "length": self.length,
            "repeats": self.repeats,
            "traps": self.traps,
            "blind": self.blind,
            "randomise": self.randomise,
            "heard_seconds": self.heard_seconds,
            "dimensions": [row.plain() for row in rows],
        }


def add(
    store: Store,
    a: str,
    b: str,
    *,
    clips: Path | None,
    target: Path | None = None,
    baseline: str | None = None,
    options: Options | None = None,
    progress: Progress | None = None,
    warn: Callable[[str], None] = lambda words: None,
) -> Row:
    """Prepare a session of A against B and keep it; return it.

    Raises
    ------
    ValueError, ModelError, AudioError
        A system, a clip or an option is unfit.
    """
    settings = (options or Options()).plain()
    one, two = find_system(a), find_system(b)
    if one.key == two.key:
        raise ValueError(f"{a} and {b} are the same; name two systems that differ")
    side = None
    if baseline is not None:
        if baseline not in (a, b, one.name, two.name):
            raise ValueError(f"--baseline {baseline} is neither of the two; name {a} or {b}")
        side = "a" if baseline in (a, one.name) else "b"
    found = prepare(one, two, clips, store.folder, target=target, progress=progress, warn=warn)
    slug = store.add_session(one, two, found, settings, side)
    measure_costs(store, (one, two))
    session = store.session(slug)
    assert session is not None
    return session


def export(store: Store, session: Row, path: Path) -> None:
    """Write the results as one HTML file that needs no server and no network.

    Raises
    ------
    FrontEndMissing, OSError
        The page is not in the package, or the file cannot be written.
    """
    try:
        page = (STATIC / "index.html").read_text("utf-8")
        script, style = (STATIC / "app.js").read_text("utf-8"), (STATIC / "style.css").read_text("utf-8")
    except FileNotFoundError as error:
        raise FrontEndMissing(f"the page is missing from this installation ({error.filename})") from None
    data = f'<script type="application/json" id="report">{as_json(results(store, session))}</script>'
    page = page.replace('<link rel="stylesheet" href="/static/style.css">', f"<style>{style}</style>")
    script = script.replace("</script", "<\\/script")
    page = page.replace('<script src="/static/app.js" defer></script>', "").replace(
        "</body>", f"{data}<script>{script}</script></body>"
    )
    files.write_whole(path, page.encode())


def serve(
    store: Store,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    ready: Callable[[str], None],
    browser: bool = False,
    path: str = "/",
) -> None:
    """Serve the page until the process is asked to end; ``ready`` is told its address.

    Bound elsewhere than to loopback it asks everyone for a token, which the address carries.
    """
    local = is_loopback(host)
    token = None if local else secrets.token_urlsafe(24)
    app = make_app(store, hosts=(*LOOPBACK, host) if local else (), token=token)
    listening = _listen(host, port)
    number = listening.getsockname()[1]
    shown = host if host not in ("0.0.0.0", "::") else socket.gethostname()
    shown = f"[{shown}]" if ":" in shown else shown
    address = f"http://{shown}:{number}{path}" + (f"?token={token}" if token else "")
    ready(address)
    sys.stdout.flush()
    if browser:
        threading.Timer(0.5, webbrowser.open, [address]).start()
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, server_header=False, timeout_graceful_shutdown=2
    )
    uvicorn.Server(config).run(sockets=[listening])


def is_loopback(host: str) -> bool:
    """Whether a host name stands for this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise ValueError(
            f"{host} port {port} cannot be had ({(error.strerror or str(error)).lower()}); choose another with --port"
        ) from None
    return listening


__all__ = [
    "FrontEndMissing",
    "Options",
    "Store",
    "add",
    "export",
    "measure",
    "read_costs",
    "results",
    "serve",
    "store_folder",
]
