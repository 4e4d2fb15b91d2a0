"""The server behind the page: sessions, sounds and votes by names that tell nothing of what is compared."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from rtvoice_studio import __version__, incoming
from rtvoice_studio.guard import Guard, refuse
from rtvoice_studio.incoming import BadRequest
from rtvoice_studio.plan import system_of
from rtvoice_studio.results import ABX, listed, results
from rtvoice_studio.standings import latest
from rtvoice_studio.store import Row, Store
from rtvoice_studio.tables import COLUMNS, REMARKS, as_csv, remarks, table

STATIC = Path(__file__).with_name("static")
_KINDS = {"app.js": "text/javascript", "style.css": "text/css"}
_SIDES = ("1", "2", "x", "input", "target")
_TRIAL = re.compile(r"[0-9a-f]{24}")


class FrontEndMissing(RuntimeError):
    """The package was built without its page."""


def make_app(store: Store, *, hosts: tuple[str, ...], token: str | None = None) -> Starlette:
    """Return the application over a store.

    Raises
    ------
    FrontEndMissing
        The package holds no page.
    """
    lacking = [name for name in ("index.html", *_KINDS) if not (STATIC / name).is_file()]
    if lacking:
        raise FrontEndMissing(
            f"this installation has no page ({lacking[0]}); run: pip install --force-reinstall rtvoice-studio"
        )
    studio = Studio(store)
    routes = [
        Route("/", studio.home),
        Route("/s/{slug}", studio.page),
        Route("/s/{slug}/results", studio.page),
        Route("/static/{name}", studio.static),
        Route("/api/sessions", studio.sessions),
        Route("/api/s/{slug}", studio.session),
        Route("/api/s/{slug}/share/{trial}", studio.share),
        Route("/api/s/{slug}/results", studio.results),
        Route("/api/s/{slug}/votes.csv", studio.votes_csv),
        Route("/api/s/{slug}/votes.json", studio.votes_json),
        Route("/api/s/{slug}/remarks.csv", studio.remarks_csv),
        Route("/api/s/{slug}/remarks.json", studio.remarks_json),
        Route("/api/s/{slug}/votes", studio.vote, methods=["POST"]),
        Route("/api/s/{slug}/notes", studio.note, methods=["POST"]),
        Route("/api/s/{slug}/flags", studio.flag, methods=["POST"]),
        Route("/audio/{trial}/{name}", studio.sound),
    ]
    app = Starlette(routes=routes)
    app.add_middleware(BaseHTTPMiddleware, dispatch=Guard(hosts, token))
    return app


class Studio:
    """The requests' answers."""

    def __init__(self, store: Store) -> None:
        self.store = store

    # ---- pages -----------------------------------------------------------------------------------------------------

    def home(self, request: Request) -> Response:
        """Lead to the only session, or list them."""
        found = self.store.sessions()
        if len(found) == 1:
            return RedirectResponse(f"/s/{found[0]['slug']}", 303)
        return FileResponse(STATIC / "index.html", media_type="text/html")

    def page(self, request: Request) -> Response:
        """Give the page; what it shows it asks for itself."""
        if self.store.session(request.path_params["slug"]) is None:
            return PlainTextResponse("There is no such comparison.", 404)
        return FileResponse(STATIC / "index.html", media_type="text/html")

    def static(self, request: Request) -> Response:
        """Give one of the page's parts, by a fixed list of names."""
        name = request.path_params["name"]
        if name not in _KINDS:
            return refuse(404, "no such file")
        return FileResponse(STATIC / name, media_type=_KINDS[name])

    # ---- reading ---------------------------------------------------------------------------------------------------

    def sessions(self, request: Request) -> Response:
        """List the sessions."""
        return JSONResponse(listed(self.store))

    def session(self, request: Request) -> Response:
        """Give a rater's plan and what he said so far; the systems' names only where the session is open."""
        try:
            session = self._session(request)
            rater = incoming.rater(request.query_params.get("user"))
        except BadRequest as error:
            return refuse(error.status, str(error))
        options = session["options"]
        trials = self.store.trials(session, rater)
        clips = {clip["id"]: clip for clip in self.store.clips(session["id"])}
        votes, notes = self.store.said(session["id"], rater)
        answers: dict[str, dict[str, str]] = {}
        for vote in latest(votes):
            answers.setdefault(vote["trial"], {})[vote["dimension"]] = vote["side"]
        written: dict[str, dict[str, str]] = {}
        for note in notes:
            written.setdefault(note["trial"], {})[note["side"]] = note["text"]
        if (
            request.query_params.get("open") == "1"
            and request.headers.get("sec-fetch-site", "same-origin") != "same-origin"
        ):
            return refuse(
                403, "only the page itself may ask which is which: from then on this rater's votes do not count"
            )
        linked = self._linked(session, rater, trials, request.query_params.get("clip"))
        opened = not options["blind"] or request.query_params.get("open") == "1"
        seen = self.store.opened(session["id"], rater)
        if opened and not seen:
            self.store.open(session["id"], rater)

        def entry(trial: Row) -> dict[str, Any]:
            data = clips[trial["clip"]]["data"]
            told = {
                "id": trial["id"],
                "seconds": data["frames"] / data["rate"],
                "rate": data["rate"],
                "clean": data["clean"],
                "removed": clips[trial["clip"]]["removed"],
                "references": [role for role in ("input", "target") if role in data["sounds"]],
                "answers": answers.get(trial["id"], {}),
                "notes": written.get(trial["id"], {}),
            }
            if opened:
                told["names"] = {
                    side: session[f"name_{system_of(side, trial['first'], trial['kind'])}"] for side in "12"
                }
                told["clip"] = data["name"]
            return told

        return JSONResponse(
            {
                "slug": session["slug"],
                "user": rater,
                "mode": options["mode"],
                "blind": not opened,
                "seen": opened or seen,
                "heardSeconds": options["heard_seconds"],
                "dimensions": options["dimensions"],
                "trials": [entry(trial) for trial in trials],
                "start": linked["id"] if linked else None,
                # A clip outside the plan: heard and noted like any other, and no part of the sitting.
                "linked": entry(linked) if linked and linked["kind"] == "extra" else None,
                "version": __version__,
            }
        )

    def share(self, request: Request) -> Response:
        """Give a word for a link to a trial's clip: one of each trial, the clip's own would tell repeats and traps."""
        query = {"user": request.query_params.get("user"), "trial": request.path_params["trial"]}
        return self._with_session(
            request, lambda s: JSONResponse({"key": self.store.link(str(self._trial(s, query)["id"]))})
        )

    def results(self, request: Request) -> Response:
        """Give what the votes say."""
        return self._with_session(request, lambda s: JSONResponse(results(self.store, s)))

    def votes_csv(self, request: Request) -> Response:
        """Give all votes as CSV."""
        counted = request.query_params.get("counted") == "1"
        return self._csv(request, "votes", lambda s: as_csv(table(self.store, s, counted=counted), COLUMNS))

    def remarks_csv(self, request: Request) -> Response:
        """Give all notes and flags as CSV."""
        return self._csv(request, "notes", lambda s: as_csv(remarks(self.store, s), REMARKS))

    def remarks_json(self, request: Request) -> Response:
        """Give all notes and flags as JSON."""
        return self._with_session(request, lambda s: JSONResponse(remarks(self.store, s)))

    def _csv(self, request: Request, name: str, write: Callable[[Row], str]) -> Response:
        def answer(session: Row) -> Response:
            headers = {"Content-Disposition": f'attachment; filename="{name}-{session["slug"]}.csv"'}
            return Response(write(session), media_type="text/csv", headers=headers)

        return self._with_session(request, answer)

    def votes_json(self, request: Request) -> Response:
        """Give all votes as JSON."""
        return self._with_session(request, lambda s: JSONResponse(table(self.store, s)))

    def sound(self, request: Request) -> Response:
        """Give a trial's sound: /audio/TRIAL/1.wav. All sides of a trial are files of one size, read the same way."""
        trial_id, name = request.path_params["trial"], request.path_params["name"]
        side, dot, kind = name.partition(".")
        if not _TRIAL.fullmatch(trial_id) or kind != "wav" or side not in _SIDES:
            return refuse(404, "no such sound")
        trial = self.store.trial(trial_id)
        if trial is None:
            return refuse(404, "no such sound")
        sounds = trial["data"]["sounds"]
        role, wanted = side, [side]
        if side in ("1", "2", "x"):
            side = trial["x_side"] if side == "x" else side
            role = system_of(side, trial["first"], trial["kind"])
            # Both models' files are read, in one order: how long it takes tells neither side nor trap.
            wanted = ["a", "b"]
        if role not in sounds:
            return refuse(404, "no such sound")
        try:
            held = {each: self._read(f"{sounds[each]}.wav") for each in wanted}
        except OSError:
            return refuse(410, "this sound is gone from the store; prepare the comparison again")
        # Bytes, not a file response: that would tell time and tag of the file, the same ones in every trial.
        return Response(held[role], media_type="audio/wav")

    def _read(self, name: str) -> bytes:
        return (self.store.folder / "audio" / name).read_bytes()

    # ---- writing ---------------------------------------------------------------------------------------------------

    async def vote(self, request: Request) -> Response:
        """Keep votes."""
        return await self._write(request, self._vote)

    async def note(self, request: Request) -> Response:
        """Keep a note."""
        return await self._write(request, self._note)

    async def flag(self, request: Request) -> Response:
        """Remove a clip, or bring it back."""
        return await self._write(request, self._flag)

    async def _write(self, request: Request, act: Callable[[Row, dict[str, Any], Request], int]) -> Response:
        try:
            session = await run_in_threadpool(self._session, request)
            body = incoming.body(await request.body())
            new = await run_in_threadpool(act, session, body, request)
        except BadRequest as error:
            return refuse(error.status, str(error), error.unknown)
        return JSONResponse({"saved": new})

    def _vote(self, session: Row, body: dict[str, Any], request: Request) -> int:
        options = session["options"]
        trial = self._trial(session, body)
        keys = [d["key"] for d in options["dimensions"]] + ([ABX] if options["mode"] == "abx" else [])
        # Who was told once which is which does not forget it by covering the names again.
        blind = bool(options["blind"]) and not self.store.opened(session["id"], trial["rater"])
        device = request.headers.get("user-agent", "")[:200]
        seconds = trial["data"]["frames"] / trial["data"]["rate"]
        # Who comes back to change an answer has heard both.
        before = any(
            v["trial"] == trial["id"] and v["side"] != "skip" for v in self.store.said(session["id"], trial["rater"])[0]
        )
        wanted = 0.0 if before else 1000 * min(options["heard_seconds"], seconds)
        rows = incoming.votes(body, keys, wanted, ("1", "2", "x") if options["mode"] == "abx" else ("1", "2"))
        for row in rows:
            side = row["side"]
            row["choice"] = system_of(side, trial["first"], trial["kind"]) if side in ("1", "2") else side
            row.update(trial=trial["id"], blind=blind, mode=options["mode"], device=device, version=__version__)
        return self.store.add_votes(rows)

    def _note(self, session: Row, body: dict[str, Any], request: Request) -> int:
        trial = self._trial(session, body)
        row = incoming.note(body)
        side = row["side"]
        row["system"] = system_of(side, trial["first"], trial["kind"]) if side in ("1", "2") else "clip"
        return self.store.add_note({**row, "trial": trial["id"]})

    def _flag(self, session: Row, body: dict[str, Any], request: Request) -> int:
        trial = self._trial(session, body)
        return self.store.add_flag({**incoming.flag(body), "clip": trial["clip"], "rater": trial["rater"]})

    # ---- finding ---------------------------------------------------------------------------------------------------

    def _session(self, request: Request) -> Row:
        session = self.store.session(request.path_params["slug"])
        if session is None:
            raise BadRequest("there is no such comparison", 404)
        return session

    def _linked(self, session: Row, rater: str, trials: Sequence[Row], link: str | None) -> Row | None:
        """Return where a link leads a rater: the pair it was made from if it is his, else his own of that clip."""
        meant = self.store.linked(session["id"], link) if link else None
        if meant is None or meant["rater"] == rater:
            return meant
        mine = next((t for t in trials if t["clip"] == meant["clip"] and t["kind"] == "plain"), None)
        return mine or self.store.extra(session, rater, meant["clip"])

    def _with_session(self, request: Request, answer: Callable[[Row], Response]) -> Response:
        try:
            return answer(self._session(request))
        except BadRequest as error:
            return refuse(error.status, str(error))

    def _trial(self, session: Row, body: dict[str, Any]) -> Row:
        name = body.get("trial")
        trial = self.store.trial(name) if isinstance(name, str) and _TRIAL.fullmatch(name) else None
        if trial is None or trial["session"] != session["id"] or trial["rater"] != incoming.rater(body.get("user")):
            raise BadRequest("there is no such trial for this user; reload the page", 404, "trial")
        return trial
