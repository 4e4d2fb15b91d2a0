"""Notices a device that does not call back, says so, and brings it back, while the session goes on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from rtvoice.live import LiveError, devices
from rtvoice.live.devices import Device

#: No callback for so many seconds is a stall that is said; after so many, the devices are opened anew.
STALL_SECONDS = 0.5
REOPEN_SECONDS = 1.5
_RETRY_SECONDS = 0.5


class Watchdog:
    """Watches over a stream.

    Parameters
    ----------
    release
        Closes what is left of the stream; false where a dead device does not let go.
    reopen
        Opens it again with the devices of a fresh list.
    tell
        Takes a kind and a text of what happens.
    """

    def __init__(
        self,
        release: Callable[[], bool],
        reopen: Callable[[list[Device]], None],
        tell: Callable[[str, str], None],
    ) -> None:
        self._release, self._reopen, self._tell = release, reopen, tell
        self._since: float | None = None
        self._thread: threading.Thread | None = None
        self._ended = threading.Event()
        self.outages = 0

    @property
    def away(self) -> bool:
        """Whether a device is away."""
        return self._since is not None

    def look(self, silent: float) -> bool:
        """Take how many seconds ago the last callback was; return whether the sound has just come back."""
        if self._since is None:
            if silent > STALL_SECONDS:
                self._since = time.monotonic() - silent
                self.outages += 1
                self._tell("stall", f"no callback for {1000 * silent:.0f} ms: is a device unplugged? waiting for it")
            return False
        if self._thread is None and silent > REOPEN_SECONDS:
            self._thread = threading.Thread(target=self._bring_back, daemon=True)
            self._thread.start()
        back = silent < STALL_SECONDS if self._thread is None else not self._thread.is_alive()
        if back:
            gone = time.monotonic() - self._since
            self._since = self._thread = None
            self._tell("back", f"the sound is back after {gone:.1f} s")
        return back

    def end(self) -> None:
        """Try no more."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(timeout=5.0)

    def _bring_back(self) -> None:
        """Close what is left, and open the same devices until they are back."""
        if not self._release():
            self._tell("stall", "the device does not let go; going on without it")
            try:
                devices.abandon()
            except LiveError as error:
                self._tell("stall", str(error))
                self._ended.wait()
                return
        said = False
        while not self._ended.is_set():
            try:
                devices.refresh()
                self._reopen(devices.devices())
                return
            except LiveError:
                pass
            except Exception as error:  # PortAudio's own, of a server that is going down or coming up
                if not said:
                    said = True
                    self._tell("stall", f"still away: {error}")
            self._ended.wait(_RETRY_SECONDS)
