"""Switches SQLite files that several processes share to write-ahead logging."""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Callable

__all__ = ["write_ahead"]


def write_ahead(execute: Callable[[str], object], patience: float) -> None:
    """Let readers never wait for a writer (`PRAGMA journal_mode=WAL`), in a file that others may be making just now.

    SQLite refuses this switch at once, whatever its timeout, while another connection writes in the old mode: of six
    processes that made a file together one in 75 was refused so.

    Parameters
    ----------
    execute : callable
        Runs a statement on the connection.
    patience : float
        Seconds to go on trying.

    Raises
    ------
    sqlite3.OperationalError
        The file was locked all the time, or the switch fails otherwise.
    """
    until = time.monotonic() + patience
    while True:
        try:
            execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(random.uniform(0.001, 0.02))
