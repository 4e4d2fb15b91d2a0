"""The PortAudio host on a sound server without a card: jackd's dummy driver, a virtual microphone and speaker."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import sdk
from hosts import hosts

PERIOD = 256

pytestmark = [
    pytest.mark.skipif(shutil.which("jackd") is None, reason="jackd is missing: apt-get install jackd2"),
    pytest.mark.skipif(
        subprocess.run(["pkg-config", "--exists", "portaudio-2.0"], check=False).returncode != 0,
        reason="PortAudio is missing: apt-get install portaudio19-dev",
    ),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Start a jackd of our own and return the environment that leads to it."""
    folder = tmp_path_factory.mktemp("jack")
    name = f"rtvoice-{os.getpid()}"
    environment = {
        "XDG_RUNTIME_DIR": str(folder),
        "JACK_DEFAULT_SERVER": name,
        "JACK_NO_AUDIO_RESERVATION": "1",
        "JACK_NO_START_SERVER": "1",
    }
    command = [
        "jackd",
        "-n",
        name,
        "-m",
        "-P",
        "60",
        "-d",
        "dummy",
        "-r",
        "48000",
        "-p",
        str(PERIOD),
        "-C",
        "1",
        "-P",
        "1",
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=log, stderr=log)
    before = dict(os.environ)
    os.environ.update(environment)
    try:
        yield environment
    finally:
        os.environ.clear()
        os.environ.update(before)
        process.terminate()
        process.wait(10)


class Bed:
    """A JACK client that is a microphone, which plays a recording, and a speaker, which keeps what it hears."""

    def __init__(self, audio: np.ndarray, seconds: float) -> None:
        jack = pytest.importorskip("jack")
        for _ in range(300):
            try:
                self.client = jack.Client("bed", no_start_server=True)
                break
            except jack.JackOpenError:
                time.sleep(0.1)
        else:
            pytest.skip("jackd does not start here")
        self.audio = audio[:, 0]
        self.heard = np.zeros(round(seconds * 48000) // PERIOD * PERIOD, np.float32)
        self.at = 0
        self.microphone = self.client.outports.register("mic")
        self.speaker = self.client.inports.register("spk")
        self.client.set_process_callback(self._called)

    def _called(self, frames: int) -> None:
        now, self.at = self.at, self.at + frames
        voice = self.audio[now : now + frames]
        out = self.microphone.get_array()
        out[: len(voice)], out[len(voice) :] = voice, 0
        kept = self.heard[now : now + frames]
        kept[:] = self.speaker.get_array()[: len(kept)]

    def __enter__(self) -> Bed:
        self.client.activate()
        return self

    def __exit__(self, *_: object) -> None:
        self.client.deactivate()
        self.client.close()


def delay_where_equal(heard: np.ndarray, expected: np.ndarray) -> int | None:
    """Return by how many samples the reference comes later in what was heard, bit for bit and whole, or None."""
    if not heard.any():
        return None
    delay = int(np.flatnonzero(heard)[0] - np.flatnonzero(expected)[0])
    part = heard[max(delay, 0) : delay + len(expected)]
    return delay if np.array_equal(part, expected) else None


def test_its_callback_gives_the_same_bits_whatever_the_frames(tmp_path: Path) -> None:
    hosts.check_every_pattern(hosts.built("examples/hosts") / "portaudio_host", tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("block", [128, 441, 0])
def test_microphone_to_speaker_is_the_reference(server: dict[str, str], model_path: Path, block: int) -> None:
    """The model has no noise and is silent in silence: its output does not depend on when the stream was opened."""
    program = hosts.built("examples/hosts") / "portaudio_host"
    silence = np.zeros((36000, 1), np.float32)  # while the host starts
    audio = hosts.speech(1.0, 48000, 1)
    # The stream has run before the voice comes, and may have started on any of the three phases of 48 to 16 kHz.
    starts = [np.zeros((4800 + phase, 1), np.float32) for phase in range(3)]
    expected = [hosts.render(np.concatenate([start, audio]), 48000, model_path)[:, 0] for start in starts]
    for _ in range(3):
        with Bed(np.concatenate([silence, audio]), 2.5) as bed:
            done = sdk.run(program, model_path, "2.2", "48000", str(block), "bed", "bed", env=server)
            heard = bed.heard.copy()
        delays = [(delay_where_equal(heard, e), phase) for phase, e in enumerate(expected)]
        found = [delay - len(silence) + 4800 + phase for delay, phase in delays if delay is not None]
        said = json.loads(done.stdout)
        # A server without real time on a machine that is busy may drop a period: heard once, not three times in a row.
        if found:
            break
    assert found, f"what the speaker heard is not the reference render; the host says {said}"
    if block:
        assert set(said["sizes"]) == {block}
    device = found[0] / 48
    assert 0 < device <= 25, f"the device takes {device} ms"
