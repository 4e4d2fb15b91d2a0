"""What ``rtvoice compare`` does: prepare a session, serve the page, or write the report."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import sys
import threading
import webbrowser
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import uvicorn

from rtvoice import files, registry
from rtvoice_studio.costs import check_costs, measure_costs, read_costs
from rtvoice_studio.dimensions import SHIPPED, read_dimensions
from rtvoice_studio.guard import LOOPBACK
from rtvoice_studio.measures import measure
from rtvoice_studio.prepare import prepare, store_folder
from rtvoice_studio.results import listed, results
from rtvoice_studio.server import STATIC, FrontEndMissing, make_app
from rtvoice_studio.standings import league_table
from rtvoice_studio.store import Row, Store, as_json
from rtvoice_studio.systems import System, find_system, recordings, some, told_apart
from rtvoice_studio.tables import monitor_votes

Progress = Callable[[float], None]

#: A sitting of fewer pairs is all pairs: of seven, three that are none would be nearly half.
_SHORT = 8


@dataclass(frozen=True)
class Options:
    """How a session runs; the defaults are a sitting of fifteen minutes.

    ``repeats`` and ``traps`` are 2 and 1 where nothing else is said, and none of a sitting that has fewer than eight
    clips or pairs.
    """

    mode: str = "rows"
    length: int = 25
    repeats: int | None = None
    traps: int | None = None
    blind: bool = True
    randomise: bool = True
    heard_seconds: float = 2.0
    dimensions: Path | None = None
    queued_by: str | None = None

    def plain(self, clips: int | None = None) -> dict[str, Any]:
        """Return them as the store keeps them.

        Parameters
        ----------
        clips
            How many there are; ``None``: enough.

        Raises
        ------
        ValueError
            Repeats and traps leave no pair of a sitting.
        """
        short = min(self.length, self.length if clips is None else clips) < _SHORT
        repeats = (0 if short else 2) if self.repeats is None else self.repeats
        traps = (0 if short else 1) if self.traps is None else self.traps
        if repeats + traps >= self.length:
            raise ValueError(
                f"{repeats} repeats and {traps} traps leave nothing of {self.length} trials; "
                "ask for fewer, or for more trials"
            )
        if repeats > (self.length - traps) // 3 or repeats + 2 * traps > self.length:
            raise ValueError(
                f"{repeats} repeats and {traps} traps are too many of {self.length} trials: a repeat needs "
                "two pairs before it, a trap one; ask for fewer, or for more trials"
            )
        rows = read_dimensions(self.dimensions or SHIPPED)
        return {
            "mode": self.mode,
            "length": self.length,
            "repeats": repeats,
            "traps": traps,
            "blind": self.blind,
            "randomise": self.randomise,
            "heard_seconds": self.heard_seconds,
            "dimensions": [row.plain() for row in rows],
            "queued_by": self.queued_by,
        }


def add(
    store: Store,
    a: str | System,
    b: str | System,
    *,
    clips: Path | None,
    target: Path | None = None,
    baseline: str | System | None = None,
    options: Options | None = None,
    progress: Progress | None = None,
    warn: Callable[[str], None] = lambda words: None,
    costs: bool = True,
) -> Row:
    """Prepare a session of A against B and keep it; return it.

    Parameters
    ----------
    costs
        Measure what its models cost as well; ``False``: :func:`add_costs` does it later, when the page is there.

    Raises
    ------
    ValueError, ModelError, AudioError
        A system, a clip or an option is unfit.
    """
    wanted = options or Options()
    wanted.plain()  # what cannot be is refused before anything is rendered
    one, two = (system if isinstance(system, System) else find_system(system) for system in (a, b))
    if one.key == two.key:
        raise ValueError(f"{one.name} and {two.name} are the same; name two systems that differ")
    bare = (one.name, two.name)
    one, two = told_apart(one, two)
    side = None
    if baseline is not None:
        # What was typed for a side means that side, and so does a name that is its alone.
        typed = [s for s, word in (("a", a), ("b", b)) if baseline == word]
        called = [s for s, names in (("a", (one.name, bare[0])), ("b", (two.name, bare[1]))) if baseline in names]
        fits = typed or called
        if len(fits) != 1:
            why = "fits both" if fits else "is neither of the two"
            raise ValueError(f"--baseline {baseline} {why}; name {one.name} or {two.name}")
        side = fits[0]
    found = prepare(one, two, clips, store.folder, target=target, progress=progress, warn=warn)
    slug = store.add_session(one, two, found, wanted.plain(len(found)), side)
    session = store.session(slug)
    assert session is not None
    if costs:
        add_costs(store, session)
    return session


def add_costs(store: Store, session: Row) -> None:
    """Measure what a session's models cost on this machine, those whose files are what was compared."""
    paths = [(session[f"facts_{side}"].get("path"), session[f"key_{side}"]) for side in "ab"]
    found = [(find_system(path), key) for path, key in paths if path and Path(path).is_file()]
    measure_costs(store, [system for system, key in found if system.key == key])


def find_champion(store: Store, word: str, skin: str, tier: str) -> System:
    """Return the model to beat: what a word names, of the tier if it has it; ``best``: the league's first of the skin.

    Raises
    ------
    ValueError, ModelError
        There is none; the message says what was looked for.
    """
    if word != "best":
        tiered = any(found.name == word for found in registry.models()) or Path(word).is_dir()
        return find_system(f"{word}:{tier}" if tiered else word)
    known = {system["name"]: system for system in store.systems()}
    for standing in (league_table(store) or {"standings": []})["standings"]:
        system = known[standing["system"]]
        facts = system["facts"]
        if (facts.get("model"), facts.get("tier")) == (skin, tier) and Path(facts.get("path", "")).is_file():
            found = find_system(facts["path"])
            # What was voted on, not what has been written there since.
            if found.key == system["key"]:
                return replace(found, name=system["name"], facts=facts, around=())
    if any(found.name == skin for found in registry.models()):
        return find_system(f"{skin}:{tier}")
    raise ValueError(f"no {tier} model of {skin} was ever compared, and no skin of that name is here; name one")


def queue_run(
    store: Store, folder: Path, champion: str, skin: str, *, clips: Path, target: Path | None = None
) -> dict[str, Any]:
    """Prepare the comparison of a finished training with the champion, for when somebody has time to listen.

    Raises
    ------
    ValueError, ModelError, AudioError
        As of :func:`add`, or the run is the champion itself.
    """
    run = find_system(str(folder))
    best = find_champion(store, champion, skin, run.facts["tier"])
    options = Options(queued_by=folder.resolve().name)
    session = add(store, best, run, clips=clips, target=target, baseline=best, options=options)
    return {"session": session["slug"], "a": session["name_a"], "b": session["name_b"], "store": str(store.folder)}


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
    meanwhile: Callable[[], None] = lambda: None,
) -> None:
    """Serve the page until the process is asked to end; ``ready`` is told its address, ``meanwhile`` runs beside it.

    Bound elsewhere than to loopback it asks everyone for a token, which the address carries: the store's own, so that
    who entered once is let in by the next server on it as well.
    """
    local = is_loopback(host)
    token = None if local else store.token
    app = make_app(store, hosts=(*LOOPBACK, host) if local else (), token=token)
    listening = _listen(host, port) if port else _listen_again(host, store.folder)
    number = listening.getsockname()[1]
    shown = host if host not in ("0.0.0.0", "::") else socket.gethostname()
    shown = f"[{shown}]" if ":" in shown else shown
    address = f"http://{shown}:{number}{path}" + (f"?token={token}" if token else "")
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, server_header=False, timeout_graceful_shutdown=2
    )
    beside = threading.Thread(target=meanwhile)

    def up() -> None:
        ready(address)
        sys.stdout.flush()
        if browser:
            threading.Timer(0.5, webbrowser.open, [address]).start()
        beside.start()

    # To be asked to end is how a server ends: nothing went wrong, and nothing is left half-written.
    server = _Server(config)
    server.up = up
    with contextlib.suppress(KeyboardInterrupt):
        try:
            server.run(sockets=[listening])
        finally:
            if beside.ident is not None:
                beside.join()


class _Server(uvicorn.Server):
    """One that tells when it is up: it then ends well when asked to, which before that it does not hear."""

    up: Callable[[], None]

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.up()


def is_loopback(host: str) -> bool:
    """Whether a host name stands for this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _listen_again(host: str, folder: Path) -> socket.socket:
    """Take a port that is the store's own where it is free: what a browser still keeps belongs to an address."""
    try:
        return _listen(host, 49152 + zlib.crc32(str(folder.resolve()).encode()) % 16000)
    except ValueError:
        return _listen(host, 0)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        why = (error.strerror or str(error)).lower()
        raise ValueError(f"{host} port {port} cannot be had ({why}); choose another with --host or --port") from None
    return listening


__all__ = [
    "FrontEndMissing",
    "Options",
    "Store",
    "add",
    "add_costs",
    "check_costs",
    "export",
    "find_champion",
    "listed",
    "measure",
    "monitor_votes",
    "queue_run",
    "read_costs",
    "recordings",
    "results",
    "serve",
    "some",
    "store_folder",
]
