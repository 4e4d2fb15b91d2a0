"""Sound without a card: JACK's dummy device, a virtual microphone that plays and a virtual speaker that records.

The server's clock is a timer. Whoever asks PortAudio for devices while it runs finds the bed as one.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]
RATE = 48000


def missing() -> str:
    """Say what is not here, or nothing."""
    if shutil.which("jackd") is None:
        return "jackd is not here (apt-get install jackd2): the sound of 'rtvoice live' is NOT tested end to end"
    try:
        import jack  # noqa: F401
    except (ImportError, OSError) as error:
        return f"JACK-Client is not here ({error}): the sound of 'rtvoice live' is NOT tested end to end"
    try:
        import sounddevice  # noqa: F401
    except (ImportError, OSError) as error:
        return (
            f"PortAudio is not here (apt-get install libportaudio2; {error}): 'rtvoice live' is NOT tested end to end"
        )
    return ""


def _client(name: str, server: subprocess.Popen[bytes] | None = None) -> Any:
    """Open a client of the server, which may still be starting."""
    import jack

    until = time.monotonic() + 30
    while True:
        try:
            return jack.Client(name, no_start_server=True)
        except jack.JackOpenError:
            if time.monotonic() > until or (server is not None and server.poll() is not None):
                raise
            time.sleep(0.1)


class Server:
    """``jackd -d dummy`` under a name of its own."""

    def __init__(self, period: int) -> None:
        self.name = f"rtvoice-{os.getpid()}-{period}-{time.monotonic_ns() % 100000}"
        self.period = period
        self._folder = tempfile.mkdtemp(prefix="rtvoice-jack-")
        self._process: subprocess.Popen[bytes] | None = None
        self.environment = {
            "JACK_DEFAULT_SERVER": self.name,
            "JACK_NO_AUDIO_RESERVATION": "1",
            "JACK_NO_START_SERVER": "1",
            "XDG_RUNTIME_DIR": self._folder,
        }

    def start(self) -> None:
        words = ["jackd", "-n", self.name, "-m"]
        words += ["-P", "60"] if _may_be_real_time() else ["-r"]
        words += ["-d", "dummy", "-r", str(RATE), "-p", str(self.period), "-C", "1", "-P", "1"]
        with open(Path(self._folder) / "jackd.log", "ab") as log:
            self._process = subprocess.Popen(
                words, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env={**os.environ, **self.environment}
            )
        _client("knock", self._process).close()

    def stop(self, *, kill: bool = False) -> None:
        if self._process is None:
            return
        if kill:
            self._process.kill()
        else:
            self._process.terminate()
        self._process.wait(10)
        self._process = None

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)


def _may_be_real_time() -> bool:
    try:
        before = os.sched_getscheduler(0), os.sched_getparam(0)
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        os.sched_setscheduler(0, *before)
    except OSError:
        return False
    return True


class Bed:
    """The virtual microphone plays ``sound`` once the speaker's port has a source; the speaker keeps what it hears.

    With ``loop`` the microphone hears the speaker instead, a JACK period later.
    """

    def __init__(self, sound: Samples | None = None, *, seconds: float = 30.0, loop: bool = False) -> None:
        self._client = _client("bed")
        self._mic = self._client.outports.register("mic")
        self._spk = self._client.inports.register("spk")
        self._sound = np.zeros(0, np.float32) if sound is None else sound
        self.heard = np.zeros(int(seconds * RATE), np.float32)
        self.played_at: int | None = None
        self.at = 0
        self.xruns = 0
        self._wanted = False
        self._loop = loop
        self._client.set_process_callback(self._process)
        self._client.set_xrun_callback(self._count)

    def __enter__(self) -> Bed:
        self._client.activate()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(Exception):
            self._client.deactivate()
            self._client.close()

    def play(self) -> None:
        """Play the sound from the next period on."""
        self._wanted = True

    def _count(self, delay: float) -> None:
        self.xruns += 1

    def _process(self, frames: int) -> None:
        mic, spk = self._mic.get_array(), self._spk.get_array()
        end = min(self.at + frames, len(self.heard))
        if self.at < end:
            self.heard[self.at : end] = spk[: end - self.at]
        if self._loop:
            mic[:] = spk
        else:
            mic[:] = 0
            if self._wanted:
                if self.played_at is None:
                    self.played_at = self.at
                start = self.at - self.played_at
                piece = self._sound[start : start + frames]
                mic[: len(piece)] = piece
        self.at += frames


@contextlib.contextmanager
def server(period: int) -> Iterator[Server]:
    """Run a server for the block, and name it to whoever starts in it."""
    made = Server(period)
    before = {name: os.environ.get(name) for name in made.environment}
    os.environ.update(made.environment)
    try:
        made.start()
        yield made
    finally:
        made.remove()
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
