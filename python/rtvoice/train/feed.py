"""Batches made ahead in a thread of their own, so that a GPU or a second core does not wait for them."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import Any

__all__ = ["Feed"]


class Feed:
    """An iterator that stays some batches ahead.

    Parameters
    ----------
    batches : iterator
        Made in the other thread: it must draw from generators of its own, never from the global ones.
    ahead : int
        Batches to hold; 0 makes each when it is asked for, in this thread.
    """

    def __init__(self, batches: Iterator[Any], ahead: int) -> None:
        self._batches = batches
        self._ended = threading.Event()
        self._queue: queue.Queue[tuple[bool, Any]] | None = None
        if ahead > 0:
            self._queue = queue.Queue(ahead)
            self._thread = threading.Thread(target=self._fill, args=(self._queue,), daemon=True)
            self._thread.start()

    def _fill(self, held: queue.Queue[tuple[bool, Any]]) -> None:
        try:
            for batch in self._batches:
                if not self._put(held, (True, batch)):
                    return
            self._put(held, (False, StopIteration()))
        except BaseException as error:
            self._put(held, (False, error))

    def _put(self, held: queue.Queue[tuple[bool, Any]], item: tuple[bool, Any]) -> bool:
        while not self._ended.is_set():
            try:
                held.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def __iter__(self) -> Feed:
        return self

    def __next__(self) -> Any:
        if self._queue is None:
            return next(self._batches)
        good, item = self._queue.get()
        if good:
            return item
        raise item

    def close(self) -> None:
        """Let the thread end."""
        self._ended.set()
        if self._queue is not None:
            self._thread.join(timeout=5.0)
