"""Real-time logs: read, look at, extract, replay. docs/log.md describes the file."""

from __future__ import annotations

from rtvoice.log.reader import Calls as Calls
from rtvoice.log.reader import Event as Event
from rtvoice.log.reader import Log as Log
from rtvoice.log.reader import read_log as read_log
from rtvoice.log.records import Header as Header
from rtvoice.log.records import LogError as LogError

__all__ = ["Calls", "Event", "Header", "Log", "LogError", "read_log"]
