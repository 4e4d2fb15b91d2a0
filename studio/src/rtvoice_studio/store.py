"""Sessions and votes in SQLite: votes, notes and flags are only ever added, so nothing said is lost or rewritten."""

from __future__ import annotations

import hashlib
import hmac
import itertools
import json
import os
import re
import secrets
import shutil
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from sqlalchemy import (
    JSON,
    URL,
    Boolean,
    Column,
    Connection,
    Engine,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    distinct,
    event,
    func,
    insert,
    select,
)
from sqlalchemy.dialects.sqlite import insert as insert_new
from sqlalchemy.exc import DatabaseError
from sqlalchemy.schema import CreateIndex, CreateTable

from rtvoice.sqlite import write_ahead
from rtvoice_studio.plan import Trial, extra_trial, link_of, make_trials
from rtvoice_studio.prepare import Clip
from rtvoice_studio.systems import System, check_name

_META = MetaData()

#: Seconds that a write waits for another's.
_PATIENCE = 30.0


def _id() -> Column[int]:
    return Column("id", Integer, primary_key=True)


_SECRETS = Table("secrets", _META, _id(), Column("value", LargeBinary, nullable=False))
_SYSTEMS = Table(
    "systems",
    _META,
    _id(),
    Column("key", String(64), unique=True, nullable=False),
    Column("name", String(200), nullable=False),
    Column("facts", JSON, nullable=False),
)
_SESSIONS = Table(
    "sessions",
    _META,
    _id(),
    Column("slug", String(24), unique=True, nullable=False),
    Column("a", ForeignKey("systems.id"), nullable=False),
    Column("b", ForeignKey("systems.id"), nullable=False),
    Column("baseline", String(1)),
    Column("options", JSON, nullable=False),
    Column("created", String(32), nullable=False),
)
_CLIPS = Table(
    "clips",
    _META,
    _id(),
    Column("session", ForeignKey("sessions.id"), nullable=False),
    Column("key", String(16), nullable=False),
    Column("name", String(255), nullable=False),
    Column("data", JSON, nullable=False),
    Index("clips_of_session", "session"),
)
_TRIALS = Table(
    "trials",
    _META,
    Column("id", String(24), primary_key=True),
    Column("session", ForeignKey("sessions.id"), nullable=False),
    Column("rater", String(80), nullable=False),
    Column("clip", ForeignKey("clips.id"), nullable=False),
    Column("position", Integer, nullable=False),
    Column("first", String(1), nullable=False),
    Column("kind", String(8), nullable=False),
    Column("x_side", String(1), nullable=False),
    Column("seed", Integer, nullable=False),
    Index("trials_of_rater", "session", "rater"),
)
_VOTES = Table(
    "votes",
    _META,
    _id(),
    Column("uid", String(36), unique=True, nullable=False),
    Column("trial", ForeignKey("trials.id"), nullable=False),
    Column("dimension", String(40), nullable=False),
    Column("side", String(4), nullable=False),
    Column("choice", String(4), nullable=False),
    Column("blind", Boolean, nullable=False),
    Column("mode", String(8), nullable=False),
    Column("plays", JSON, nullable=False),
    Column("heard_ms", JSON, nullable=False),
    Column("dwell_ms", Float, nullable=False),
    Column("matched", Boolean, nullable=False),
    Column("device", String(200), nullable=False),
    Column("version", String(20), nullable=False),
    Column("created", String(32), nullable=False),
    Index("votes_of_trial", "trial"),
)
_NOTES = Table(
    "notes",
    _META,
    _id(),
    Column("uid", String(36), unique=True, nullable=False),
    Column("trial", ForeignKey("trials.id"), nullable=False),
    Column("side", String(5), nullable=False),
    Column("system", String(4), nullable=False),
    Column("text", Text, nullable=False),
    Column("created", String(32), nullable=False),
)
_FLAGS = Table(
    "flags",
    _META,
    _id(),
    Column("uid", String(36), unique=True, nullable=False),
    Column("clip", ForeignKey("clips.id"), nullable=False),
    Column("rater", String(80), nullable=False),
    Column("removed", Boolean, nullable=False),
    Column("reason", String(500), nullable=False),
    Column("created", String(32), nullable=False),
)

_OPENED = Table(
    "opened",
    _META,
    _id(),
    Column("session", ForeignKey("sessions.id"), nullable=False),
    Column("rater", String(80), nullable=False),
    Column("created", String(32), nullable=False),
)
_COSTS = Table(
    "costs",
    _META,
    _id(),
    Column("system", ForeignKey("systems.id"), nullable=False),
    Column("data", JSON, nullable=False),
    Column("created", String(32), nullable=False),
)
_MEASURES = Table(
    "measures",
    _META,
    _id(),
    Column("session", ForeignKey("sessions.id"), nullable=False),
    Column("data", JSON, nullable=False),
    Column("created", String(32), nullable=False),
)

#: A row as a plain mapping.
Row = Mapping[Any, Any]


def now() -> str:
    """Return the time as the store writes it, UTC."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


class Store:
    """The votes of a team, in one folder: ``studio.db`` and the audio beside it.

    The file is made with the first thing that is kept in it, so that a refused comparison leaves none.
    """

    def __init__(self, folder: Path) -> None:
        if folder.exists() and not folder.is_dir():
            raise ValueError(f"{folder} is a file; name a folder for sessions and votes with --store")
        check_name(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._path = folder / "studio.db"
        _sweep(folder)
        # Not as part of an address, where a folder's ? and % would mean something.
        address = URL.create("sqlite", database=str(self._path))
        self._engine: Engine = create_engine(address, connect_args={"timeout": _PATIENCE})
        event.listen(self._engine, "connect", _pragmas)
        self._secret: bytes | None = None
        self._opening = threading.Lock()
        if self._path.exists():
            self._open()
        elif not os.access(folder, os.W_OK):
            raise ValueError(f"{folder} cannot be written to; change its permissions, or name another with --store")

    @property
    def engine(self) -> Engine:
        """The database, made where it is missing."""
        self._open()
        return self._engine

    @property
    def secret(self) -> bytes:
        """What names trials: drawn when the store is made."""
        return self._open()

    @property
    def _is_new(self) -> bool:
        """Whether nothing was ever kept here."""
        return self._secret is None and not self._path.exists()

    def _open(self) -> bytes:
        with self._opening:
            if self._secret is None:
                try:
                    self._secret = self._opened()
                except DatabaseError as error:
                    self._engine.dispose()
                    raise ValueError(
                        f"{self._path} cannot be read as a store of comparisons ({error.orig}); move it away, put a "
                        "copy of it back, or name another folder with --store"
                    ) from None
            return self._secret

    def _opened(self) -> bytes:
        """Make what tables are missing; return the secret that names trials."""
        with self._engine.begin() as connection:
            # Not create_all, which looks first: two who make a store at once both see none.
            for table in _META.sorted_tables:
                connection.execute(CreateTable(table, if_not_exists=True))
                for index in table.indexes:
                    connection.execute(CreateIndex(index, if_not_exists=True))
            found = connection.execute(select(_SECRETS.c.value)).scalar()
            if found is None:
                # Two servers that start at once must agree: the first row counts.
                connection.execute(
                    insert_new(_SECRETS).values(id=1, value=secrets.token_bytes(32)).on_conflict_do_nothing()
                )
                found = connection.execute(select(_SECRETS.c.value)).scalar_one()
        return bytes(found)

    @property
    def token(self) -> str:
        """What a server bound elsewhere than to loopback asks for: the same as long as the store is."""
        return hmac.new(self.secret, b"token", hashlib.sha256).hexdigest()[:32]

    def close(self) -> None:
        """Let go of the file."""
        self._engine.dispose()

    # ---- sessions --------------------------------------------------------------------------------------------------

    def add_session(
        self, a: System, b: System, clips: Sequence[Clip], options: dict[str, Any], baseline: str | None
    ) -> str:
        """Keep a session; return its slug, a random word that names nobody."""
        slug = secrets.token_hex(5)
        with self.engine.begin() as connection:
            ids = []
            for system in (a, b):
                name = _name_of(connection, system)
                added = insert_new(_SYSTEMS).values(key=system.key, name=name, facts=system.facts)
                known = {"name": name, "facts": system.facts}
                connection.execute(added.on_conflict_do_update(index_elements=["key"], set_=known))
                ids.append(connection.execute(select(_SYSTEMS.c.id).where(_SYSTEMS.c.key == system.key)).scalar_one())
            row = connection.execute(
                insert(_SESSIONS).values(
                    slug=slug, a=ids[0], b=ids[1], baseline=baseline, options=options, created=now()
                )
            )
            assert row.inserted_primary_key is not None
            session = row.inserted_primary_key[0]
            for clip in clips:
                connection.execute(
                    insert(_CLIPS).values(session=session, key=clip.key, name=clip.name, data=asdict(clip))
                )
        return slug

    def sessions(self) -> list[Row]:
        """List sessions with the names of their systems, newest first."""
        if self._is_new:
            return []
        a, b = _SYSTEMS.alias("sa"), _SYSTEMS.alias("sb")
        query = (
            select(
                _SESSIONS,
                a.c.name.label("name_a"),
                b.c.name.label("name_b"),
                a.c.key.label("key_a"),
                b.c.key.label("key_b"),
                a.c.facts.label("facts_a"),
                b.c.facts.label("facts_b"),
            )
            .join(a, _SESSIONS.c.a == a.c.id)
            .join(b, _SESSIONS.c.b == b.c.id)
            .order_by(_SESSIONS.c.id.desc())
        )
        with self.engine.connect() as connection:
            return list[Row](connection.execute(query).mappings())

    def session(self, slug: str) -> Row | None:
        """Return one session, or ``None``."""
        return next((row for row in self.sessions() if row["slug"] == slug), None)

    def said_so_far(self) -> dict[int, tuple[int, int]]:
        """Return how many answers each session has, and by how many raters."""
        if self._is_new:
            return {}
        answers = func.count(distinct(_VOTES.c.trial + ":" + _VOTES.c.dimension))
        query = (
            select(_TRIALS.c.session, answers, func.count(distinct(_TRIALS.c.rater)))
            .join(_VOTES, _VOTES.c.trial == _TRIALS.c.id)
            .where(_TRIALS.c.kind != "extra")
            .group_by(_TRIALS.c.session)
        )
        with self.engine.connect() as connection:
            return {row[0]: (row[1], row[2]) for row in connection.execute(query)}

    def clips(self, session: int) -> list[Row]:
        """Return a session's clips, each with ``removed``: what its last flag says."""
        with self.engine.connect() as connection:
            rows = connection.execute(select(_CLIPS).where(_CLIPS.c.session == session)).mappings().all()
            flags = connection.execute(
                select(_FLAGS).join(_CLIPS).where(_CLIPS.c.session == session).order_by(_FLAGS.c.id)
            ).mappings()
            last = {flag["clip"]: flag for flag in flags}
        listed: list[Row] = []
        for row in rows:
            flag = last.get(row["id"])
            removed, reason = (flag["removed"], flag["reason"]) if flag else (False, "")
            listed.append({**row, "removed": removed, "reason": reason})
        return listed

    def flags(self, session: int) -> list[Row]:
        """Return every flag of a session's clips ever set or taken back, oldest first."""
        query = select(_FLAGS).join(_CLIPS).where(_CLIPS.c.session == session).order_by(_FLAGS.c.id)
        with self.engine.connect() as connection:
            return list[Row](connection.execute(query).mappings())

    # ---- figures beside the votes ----------------------------------------------------------------------------------

    def systems(self) -> list[Row]:
        """List every system ever compared."""
        if self._is_new:
            return []
        with self.engine.connect() as connection:
            return list[Row](connection.execute(select(_SYSTEMS)).mappings())

    def name_of(self, key: str) -> str:
        """Return the name of the system with a digest."""
        with self.engine.connect() as connection:
            found: str = connection.execute(select(_SYSTEMS.c.name).where(_SYSTEMS.c.key == key)).scalar_one()
            return found

    def add_cost(self, name: str, data: dict[str, Any]) -> None:
        """Keep what a system costs; the last word counts."""
        with self.engine.begin() as connection:
            system = connection.execute(select(_SYSTEMS.c.id).where(_SYSTEMS.c.name == name)).scalar_one()
            connection.execute(insert(_COSTS).values(system=system, data=data, created=now()))

    def costs(self) -> dict[str, list[dict[str, Any]]]:
        """Return what each system costs, by its name: the last known on each machine, the newest last."""
        if self._is_new:
            return {}
        query = select(_SYSTEMS.c.name, _COSTS.c.data).join(_SYSTEMS).order_by(_COSTS.c.id)
        with self.engine.connect() as connection:
            rows = [*connection.execute(query).mappings()]
        found: dict[str, dict[tuple[str, str], dict[str, Any]]] = {}
        for row in rows:
            of = found.setdefault(row["name"], {})
            machine = row["data"]["cpu"], row["data"]["isa"]
            of.pop(machine, None)
            of[machine] = row["data"]
        return {name: list(of.values()) for name, of in found.items()}

    def add_measures(self, session: int, data: dict[str, Any]) -> None:
        """Keep what measures say of a session's clips; the last word counts."""
        with self.engine.begin() as connection:
            connection.execute(insert(_MEASURES).values(session=session, data=data, created=now()))

    def measures(self, session: int) -> dict[str, Any] | None:
        """Return what measures say of a session's clips, or ``None``."""
        query = select(_MEASURES.c.data).where(_MEASURES.c.session == session).order_by(_MEASURES.c.id.desc())
        with self.engine.connect() as connection:
            found: dict[str, Any] | None = connection.execute(query).scalars().first()
            return found

    # ---- trials ----------------------------------------------------------------------------------------------------

    def trials(self, session: Row, rater: str) -> list[Row]:
        """Return a rater's plan, made when he first comes; it stays as it is then."""
        query = (
            select(_TRIALS)
            .where(_TRIALS.c.session == session["id"], _TRIALS.c.rater == rater, _TRIALS.c.kind != "extra")
            .order_by(_TRIALS.c.position)
        )
        with self.engine.begin() as connection:
            found: list[Row] = [*connection.execute(query).mappings()]
            if found:
                return found
        options = session["options"]
        clips = [clip["id"] for clip in self.clips(session["id"]) if not clip["removed"]]
        made = make_trials(
            clips,
            rater,
            session["slug"],
            self.secret,
            length=options["length"],
            repeats=options["repeats"],
            traps=options["traps"],
            randomise=options["randomise"],
        )
        with self.engine.begin() as connection:
            for trial in made:
                connection.execute(
                    insert_new(_TRIALS).values(_trial_row(trial, session, rater)).on_conflict_do_nothing()
                )
            return list[Row](connection.execute(query).mappings())

    def extra(self, session: Row, rater: str, clip: int) -> Row:
        """Return a rater's pair of a clip outside his plan, made when a link first leads there."""
        made = extra_trial(clip, rater, session["slug"], self.secret, randomise=session["options"]["randomise"])
        with self.engine.begin() as connection:
            connection.execute(insert_new(_TRIALS).values(_trial_row(made, session, rater)).on_conflict_do_nothing())
            return connection.execute(select(_TRIALS).where(_TRIALS.c.id == made.id)).mappings().one()

    def link(self, trial: str) -> str:
        """Return what a link calls a trial."""
        return link_of(self.secret, trial)

    def linked(self, session: int, link: str) -> Row | None:
        """Return the trial, anybody's, that a link was made from; all of a session are a few thousand digests."""
        query = select(_TRIALS).where(_TRIALS.c.session == session)
        with self.engine.connect() as connection:
            rows = connection.execute(query).mappings()
            return next((row for row in rows if link_of(self.secret, row["id"]) == link), None)

    def trial(self, name: str) -> Row | None:
        """Return one trial by its id, with its clip's data."""
        query = select(_TRIALS, _CLIPS.c.data).join(_CLIPS).where(_TRIALS.c.id == name)
        with self.engine.connect() as connection:
            return connection.execute(query).mappings().first()

    def open(self, session: int, rater: str) -> None:
        """Keep that a rater was told which is which, from now on."""
        with self.engine.begin() as connection:
            connection.execute(insert(_OPENED).values(session=session, rater=rater, created=now()))

    def opened(self, session: int, rater: str) -> bool:
        """Whether a rater was ever told which is which."""
        query = select(_OPENED.c.id).where(_OPENED.c.session == session, _OPENED.c.rater == rater).limit(1)
        with self.engine.connect() as connection:
            return connection.execute(query).first() is not None

    # ---- what raters say -------------------------------------------------------------------------------------------

    def add_votes(self, rows: Sequence[dict[str, Any]]) -> int:
        """Add votes; those whose ``uid`` is there already were sent twice and count once. Return how many are new."""
        return self._add(_VOTES, rows)

    def add_note(self, row: dict[str, Any]) -> int:
        """Add a note; the last one of a trial and side is shown."""
        return self._add(_NOTES, [row])

    def add_flag(self, row: dict[str, Any]) -> int:
        """Flag a clip as removed, or take that back."""
        return self._add(_FLAGS, [row])

    def _add(self, table: Table, rows: Sequence[dict[str, Any]]) -> int:
        new = 0
        with self.engine.begin() as connection:
            for row in rows:
                done = connection.execute(insert_new(table).values(**row, created=now()).on_conflict_do_nothing())
                new += done.rowcount
        return new

    def said(self, session: int, rater: str | None = None) -> tuple[list[Row], list[Row]]:
        """Return votes and notes of a session, oldest first, each with its trial: the last of a kind counts."""
        where = [_TRIALS.c.session == session] + ([_TRIALS.c.rater == rater] if rater is not None else [])
        columns = (
            _TRIALS.c.rater,
            _TRIALS.c.clip,
            _TRIALS.c.position,
            _TRIALS.c.first,
            _TRIALS.c.kind,
            _TRIALS.c.x_side,
            _TRIALS.c.seed,
        )
        with self.engine.connect() as connection:
            votes = connection.execute(
                select(_VOTES, *columns).join(_TRIALS).where(*where).order_by(_VOTES.c.id)
            ).mappings()
            notes = connection.execute(
                select(_NOTES, *columns).join(_TRIALS).where(*where).order_by(_NOTES.c.id)
            ).mappings()
            return list(votes), list(notes)


def _name_of(connection: Connection, system: System) -> str:
    """Return a name that no other system of the store has: two trainings of one name are two, in the league table too.

    A system keeps the name under which it is known, until a longer one is needed to tell it from its rival.
    """
    rows = connection.execute(select(_SYSTEMS)).mappings().all()
    known = next((str(row["name"]) for row in rows if row["key"] == system.key), None)
    others = {row["name"]: row["facts"].get("place") for row in rows if row["key"] != system.key}
    if known is not None and not (_ends(system.name, known) and system.name not in others):
        return known
    # A folder rendered anew lies where the old one lay: only a number, after the old one's name, tells them apart.
    places = [name for name, place in others.items() if place is not None and place == system.facts.get("place")]
    before = [re.sub(r" #\d+$", "", name) for name in places]
    name = next((name for name in before if name == system.name or _ends(name, system.name)), None)
    while name is None and system.name in others and system.around:
        system = system.longer()
    name = name or system.name
    names = (name if number == 1 else f"{name} #{number}" for number in itertools.count(1))
    return next(name for name in names if name not in others)


def _ends(longer: str, name: str) -> bool:
    """Whether a name is another one with more of the folders around it."""
    return longer.endswith((f"/{name}", f": {name}"))


def _sweep(folder: Path) -> None:
    """Remove what processes that were killed left unfinished; their numbers stand in the names."""
    for path in [*folder.glob(".*.part"), *folder.glob("*/.*.part"), *folder.glob("measuring-*")]:
        number = re.search(r"\.(\d+)-\d+\.part$|measuring-(\d+)-", path.name)
        if number is None or _alive(int(number[1] or number[2])):
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _alive(process: int) -> bool:
    if os.name == "nt":  # where the call would end it
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # another user's, or no number that a process has
        return True
    return True


def _trial_row(trial: Trial, session: Row, rater: str) -> dict[str, Any]:
    return {
        "id": trial.id,
        "session": session["id"],
        "rater": rater,
        "clip": trial.clip,
        "position": trial.position,
        "first": trial.first,
        "kind": trial.kind,
        "x_side": trial.x_side,
        "seed": trial.seed,
    }


def _pragmas(connection: Any, record: Any) -> None:
    """Readers never wait for a writer, and what was answered as saved survives a power cut."""
    cursor = connection.cursor()
    write_ahead(cursor.execute, _PATIENCE)
    for words in ("synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {words}")
    cursor.close()


def as_json(value: Any) -> str:
    """Write JSON that can stand inside HTML: no ``<``, ``>`` or ``&`` in it."""
    text = json.dumps(value, allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
