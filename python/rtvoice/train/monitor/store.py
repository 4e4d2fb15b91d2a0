"""The run store: one SQLite file that many runs write to at once and that a kill leaves whole."""

from __future__ import annotations

import json
import math
import os
import sqlite3
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rtvoice.sqlite import write_ahead

VERSION = 1
_PATIENCE = 60.0  # seconds that a write waits for another's
LABELS = ("collapse", "poor_generalisation", "poor_performance", "good")
#: Whose word on a run's outcome counts first: a person, the page's votes, measures, the trainer's own judgement.
SOURCES = ("person", "votes", "evaluate", "run")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS runs (
  id TEXT PRIMARY KEY, project TEXT NOT NULL, model TEXT NOT NULL, created REAL NOT NULL, status TEXT NOT NULL,
  steps INTEGER NOT NULL DEFAULT 0, progress REAL, seconds REAL NOT NULL DEFAULT 0, cpu_seconds REAL NOT NULL DEFAULT 0,
  planned INTEGER, survivor INTEGER NOT NULL DEFAULT 0, spared INTEGER NOT NULL DEFAULT 0,
  overhead REAL, config TEXT NOT NULL DEFAULT '{}');
CREATE TABLE IF NOT EXISTS series (
  run TEXT NOT NULL, step INTEGER NOT NULL, name TEXT NOT NULL, progress REAL, value REAL,
  PRIMARY KEY (run, name, step)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS layers (
  run TEXT NOT NULL, source TEXT NOT NULL, step INTEGER NOT NULL, layer TEXT NOT NULL, place INTEGER NOT NULL,
  kind TEXT NOT NULL, units INTEGER NOT NULL, progress REAL, measures TEXT NOT NULL, codes BLOB NOT NULL,
  PRIMARY KEY (run, source, layer, step)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS baselines (run TEXT PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS outcomes (
  run TEXT NOT NULL, source TEXT NOT NULL, label TEXT NOT NULL, score REAL, detail TEXT NOT NULL DEFAULT '{}',
  time REAL NOT NULL, PRIMARY KEY (run, source));
CREATE TABLE IF NOT EXISTS decisions (
  run TEXT NOT NULL, step INTEGER NOT NULL, progress REAL, rule TEXT NOT NULL, value REAL, action TEXT NOT NULL,
  reason TEXT NOT NULL, seconds REAL NOT NULL, time REAL NOT NULL, PRIMARY KEY (run, rule, step));
CREATE TABLE IF NOT EXISTS votes (
  id TEXT PRIMARY KEY, model TEXT NOT NULL, against TEXT, row TEXT NOT NULL, winner TEXT NOT NULL, rater TEXT NOT NULL,
  clip TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS rules (project TEXT PRIMARY KEY, learned REAL NOT NULL, data TEXT NOT NULL);
"""


class StoreError(ValueError):
    """The store cannot be read, or has no such run."""


@dataclass(frozen=True)
class RunRow:
    """One run as the store knows it; the fields are the columns of the table `runs`, and its joined outcome.

    Attributes
    ----------
    id, project, model : str
        Name, project, and the name under which `evaluate` and the comparison page know its model.
    status : str
        `running`, `finished`, `killed` or `failed`.
    steps : int
        Last step recorded.
    progress : float or None
        Share of the planned run at that step, 0 to 1.
    seconds, cpu_seconds : float
        Time of training so far: by the clock; and of all its processes' CPUs, or that their GPUs were taken.
    planned : int or None
        Planned steps.
    survivor : bool
        Whether chance spares it from kills, so that rules are judged by runs they did not end.
    spared : bool
        Whether somebody spared it by hand.
    overhead : float or None
        The monitor's own share of the time.
    config : dict
        What the caller told of the run.
    label, label_source : str or None
        The outcome that counts, and whose word it is.
    score : float or None
        Quality, higher is better.
    """

    id: str
    project: str
    model: str
    created: float
    status: str
    steps: int
    progress: float | None
    seconds: float
    cpu_seconds: float
    planned: int | None
    survivor: bool
    spared: bool
    overhead: float | None
    config: dict[str, Any]
    label: str | None
    label_source: str | None
    score: float | None


class Store:
    """A run store.

    Parameters
    ----------
    path : path-like
        The SQLite file.
    create : bool
        Whether to make it where there is none.

    Notes
    -----
    Write-ahead logging with `synchronous=NORMAL`: a killed process leaves every committed sample and nothing half
    written, and readers never wait. The file must lie on a local disk; SQLite's locks do not hold on most network ones.
    """

    def __init__(self, path: str | os.PathLike[str], *, create: bool = True) -> None:
        self.path = Path(path)
        if not create and not self.path.is_file():
            raise StoreError(
                f"{self.path}: there is no run store; name one with --store, or train with a monitor first"
            )
        if create:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._db = sqlite3.connect(self.path, timeout=_PATIENCE, isolation_level=None)
            self._db.row_factory = sqlite3.Row
            write_ahead(self._db.execute, _PATIENCE)
            self._db.execute("PRAGMA synchronous=NORMAL")
            version = int(self._db.execute("PRAGMA user_version").fetchone()[0])
            if version > VERSION:
                raise StoreError(f"{self.path}: written by a newer rtvoice (store version {version}, known {VERSION})")
            if version < VERSION:
                with self.transaction():
                    for statement in _SCHEMA.split(";"):
                        self._db.execute(statement)
                    self._db.execute(f"PRAGMA user_version={VERSION}")
        except sqlite3.DatabaseError as error:
            raise StoreError(f"{self.path}: not a run store ({error})") from None

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def __enter__(self) -> Store:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Let everything within be written together or not at all."""
        if self._db.in_transaction:
            yield
            return
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def begin(
        self,
        run: str,
        *,
        project: str = "default",
        model: str | None = None,
        planned: int | None = None,
        survivor: bool = False,
        config: Mapping[str, Any] | None = None,
        start: int = 0,
    ) -> RunRow:
        """Open a run, or go on with it from step `start`: what was recorded at later steps is taken out."""
        with self.transaction():
            self._db.execute(
                "INSERT INTO runs (id, project, model, created, status, planned, survivor, config) "
                "VALUES (?, ?, ?, ?, 'running', ?, ?, ?) ON CONFLICT(id) DO UPDATE SET status = 'running', "
                "project = excluded.project, planned = COALESCE(excluded.planned, planned)",
                (
                    run,
                    project,
                    model or run,
                    time.time(),
                    planned,
                    int(survivor),
                    json.dumps(config or {}, default=str),
                ),
            )
            for table in ("series", "layers", "decisions"):
                self._db.execute(f"DELETE FROM {table} WHERE run = ? AND step > ?", (run, start))
            if start == 0:
                self._db.execute("DELETE FROM baselines WHERE run = ?", (run,))
                self._db.execute("UPDATE runs SET seconds = 0, cpu_seconds = 0, steps = 0 WHERE id = ?", (run,))
            else:
                for name in ("seconds", "cpu_seconds"):
                    self._db.execute(
                        f"UPDATE runs SET {name} = COALESCE((SELECT value FROM series WHERE run = ? AND name = ? "
                        "ORDER BY step DESC LIMIT 1), 0) WHERE id = ?",
                        (run, name, run),
                    )
        return self.run(run)

    def record(self, run: str, step: int, progress: float | None, values: Mapping[str, float]) -> None:
        """Keep numbers of one step; what is not finite is kept as null."""
        rows = [(run, step, name, progress, value if math.isfinite(value) else None) for name, value in values.items()]
        with self.transaction():
            self._db.executemany("INSERT OR REPLACE INTO series VALUES (?, ?, ?, ?, ?)", rows)
            self._db.execute(
                "UPDATE runs SET steps = ?, progress = ?, seconds = COALESCE(?, seconds), "
                "cpu_seconds = COALESCE(?, cpu_seconds), overhead = COALESCE(?, overhead) WHERE id = ?",
                (step, progress, values.get("seconds"), values.get("cpu_seconds"), values.get("overhead"), run),
            )

    def record_layers(self, run: str, source: str, step: int, progress: float | None, layers: Iterable[Any]) -> None:
        """Keep the verdicts (`census.Layer`) on the layers at one step; `source` is `probe` or `batches`."""
        from rtvoice.train.monitor.census import MEASURES

        rows = []
        for place, layer in enumerate(layers):
            measures = {name: _rounded(getattr(layer, name)) for name in MEASURES}
            stride = -(-layer.units // 256)  # the pictures show at most 256 units of a layer
            codes = zlib.compress(layer.codes[::stride].tobytes(), 6)
            row = (run, source, step, layer.name, place, layer.kind, layer.units, progress, json.dumps(measures), codes)
            rows.append(row)
        with self.transaction():
            self._db.executemany("INSERT OR REPLACE INTO layers VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)

    def finish(self, run: str, status: str) -> None:
        """Set the status of a run."""
        self._known(run)
        self._db.execute("UPDATE runs SET status = ? WHERE id = ?", (status, run))

    def spare(self, run: str) -> None:
        """Let no rule end this run again."""
        self._known(run)
        self._db.execute("UPDATE runs SET spared = 1 WHERE id = ?", (run,))

    def decide(
        self,
        run: str,
        step: int,
        progress: float | None,
        rule: str,
        value: float,
        action: str,
        reason: str,
        seconds: float,
    ) -> None:
        """Keep what a rule decided: `kill`, `shadow` (would have) or `survivor` (spared by chance or by hand)."""
        kept = value if math.isfinite(value) else None
        with self.transaction():
            self._db.execute(
                "INSERT OR REPLACE INTO decisions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (run, step, progress, rule, kept, action, reason, seconds, time.time()),
            )

    def label(
        self, run: str, label: str, *, source: str = "person", score: float | None = None, detail: Any = None
    ) -> None:
        """Keep an outcome of a run; each source has one word."""
        if label not in LABELS:
            raise StoreError(f"{label!r} is no outcome; outcomes: {', '.join(LABELS)}")
        if source not in SOURCES:
            raise StoreError(f"{source!r} is no source of outcomes; sources: {', '.join(SOURCES)}")
        self._known(run)
        row = (run, source, label, score, json.dumps(detail or {}, default=str), time.time())
        self._db.execute("INSERT OR REPLACE INTO outcomes VALUES (?, ?, ?, ?, ?, ?)", row)

    def run(self, run: str) -> RunRow:
        """Return one run."""
        self._known(run)
        return next(row for row in self.runs() if row.id == run)

    def runs(self, project: str | None = None) -> list[RunRow]:
        """Return all runs (of one project), oldest first, each with the outcome that counts."""
        outcomes: dict[str, dict[str, sqlite3.Row]] = {}
        for row in self._db.execute("SELECT * FROM outcomes"):
            outcomes.setdefault(row["run"], {})[row["source"]] = row
        found = []
        where, values = ("WHERE project = ?", (project,)) if project else ("", ())
        for row in self._db.execute(f"SELECT * FROM runs {where} ORDER BY created, id", values):
            said = outcomes.get(row["id"], {})
            best = next((said[source] for source in SOURCES if source in said), None)
            scores = [said[source]["score"] for source in SOURCES if source in said]
            score = next((value for value in scores if value is not None), None)
            fields = {key: row[key] for key in row.keys()}  # noqa: SIM118
            fields["survivor"], fields["spared"] = bool(row["survivor"]), bool(row["spared"])
            fields["config"] = json.loads(row["config"])
            found.append(
                RunRow(
                    **fields,
                    label=None if best is None else best["label"],
                    label_source=None if best is None else best["source"],
                    score=score,
                )
            )
        return found

    def projects(self) -> list[str]:
        """Return the names of the projects."""
        return [row[0] for row in self._db.execute("SELECT DISTINCT project FROM runs ORDER BY project")]

    def series(self, run: str, name: str | None = None) -> dict[str, npt.NDArray[np.float64]]:
        """Return name -> `(points, 3)` of step, progress and value; NaN where it was not finite or not known."""
        query, values = "SELECT name, step, progress, value FROM series WHERE run = ?", [run]
        if name is not None:
            query, values = f"{query} AND name = ?", [run, name]
        lists: dict[str, list[tuple[Any, ...]]] = {}
        for row in self._db.execute(f"{query} ORDER BY name, step", values):
            lists.setdefault(row["name"], []).append((row["step"], row["progress"], row["value"]))
        return {key: np.array(rows, dtype=np.float64) for key, rows in lists.items()}

    def layers(self, run: str, source: str) -> list[dict[str, Any]]:
        """Return what was recorded of the layers, by step and place: name, kind, units, measures and codes."""
        query = "SELECT * FROM layers WHERE run = ? AND source = ? ORDER BY step, place"
        return [
            {
                "step": row["step"],
                "progress": row["progress"],
                "layer": row["layer"],
                "kind": row["kind"],
                "units": row["units"],
                "measures": json.loads(row["measures"]),
                "codes": np.frombuffer(zlib.decompress(row["codes"]), np.uint8),
            }
            for row in self._db.execute(query, (run, source))
        ]

    def decisions(self, project: str | None = None) -> list[dict[str, Any]]:
        """Return all decisions (of one project's runs), oldest first."""
        query = "SELECT decisions.* FROM decisions JOIN runs ON runs.id = decisions.run"
        where, values = (" WHERE project = ?", (project,)) if project else ("", ())
        return [dict(row) for row in self._db.execute(f"{query}{where} ORDER BY decisions.time, run", values)]

    def set_baseline(self, run: str, data: bytes) -> None:
        """Keep what a resumed run compares itself with."""
        self._db.execute("INSERT OR REPLACE INTO baselines VALUES (?, ?)", (run, data))

    def baseline(self, run: str) -> bytes | None:
        """Return what `set_baseline` kept."""
        row = self._db.execute("SELECT data FROM baselines WHERE run = ?", (run,)).fetchone()
        return None if row is None else bytes(row[0])

    def set_rules(self, project: str, rules: Any) -> None:
        """Keep a project's kill rules."""
        self._db.execute("INSERT OR REPLACE INTO rules VALUES (?, ?, ?)", (project, time.time(), json.dumps(rules)))

    def rules(self, project: str) -> Any:
        """Return a project's kill rules, `None` where none were learned."""
        row = self._db.execute("SELECT data FROM rules WHERE project = ?", (project,)).fetchone()
        return None if row is None else json.loads(row[0])

    def add_votes(self, votes: Iterable[Mapping[str, str | None]]) -> int:
        """Keep votes, each once however often it is imported, its last answer; return how many are new or changed."""
        columns = ("id", "model", "against", "row", "winner", "rater", "clip")
        rows = [tuple(vote[name] for name in columns) for vote in votes]
        with self.transaction():
            before = self._db.total_changes
            self._db.executemany(
                "INSERT INTO votes VALUES (?, ?, ?, ?, ?, ?, ?) "
                "ON CONFLICT (id) DO UPDATE SET winner = excluded.winner WHERE winner != excluded.winner",
                rows,
            )
            return self._db.total_changes - before

    def votes(self) -> list[dict[str, Any]]:
        """Return all votes."""
        return [dict(row) for row in self._db.execute("SELECT * FROM votes ORDER BY id")]

    def _known(self, run: str) -> None:
        if self._db.execute("SELECT 1 FROM runs WHERE id = ?", (run,)).fetchone() is None:
            known = [row[0] for row in self._db.execute("SELECT id FROM runs ORDER BY created DESC LIMIT 5")]
            latest = f"the latest runs: {', '.join(known)}" if known else "it has no runs"
            raise StoreError(f"{self.path}: there is no run {run!r}; {latest}")


def _rounded(value: float) -> float | None:
    return float(f"{value:.5g}") if math.isfinite(value) else None
