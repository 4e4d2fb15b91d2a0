"""Lets a measurement run at the priority that an audio thread has."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator


@contextlib.contextmanager
def audio_thread_priority() -> Iterator[bool]:
    """Run the block at a low real-time priority where the system allows it; give whether it does.

    Without it, frames that wait for the CPU while other work has it count as slow frames.
    """
    try:
        before = os.sched_getscheduler(0), os.sched_getparam(0)
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(os.sched_get_priority_min(os.SCHED_FIFO)))
    except (AttributeError, OSError):
        yield False
        return
    try:
        yield True
    finally:
        os.sched_setscheduler(0, *before)
