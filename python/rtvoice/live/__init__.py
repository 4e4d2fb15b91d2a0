"""Microphone to speaker: devices, the session, latency as it is, and what a person sees of it.

The audio path is native (``cpp/src/live``): PortAudio calls C++, and this package opens devices, turns knobs and reads
counters.
"""

from __future__ import annotations


class LiveError(RuntimeError):
    """A device or a session that does not work; the message is one line with the remedy."""
