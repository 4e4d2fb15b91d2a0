"""Ctrl-C while devices open, and keys that come at once."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from live.bed import Bed, missing, server
from rtvoice.live.keys import Keys

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and terminals of POSIX")

# Interrupts itself where the library is about to open the devices.
INTERRUPTED = """
import signal, sys
from rtvoice import cli
from rtvoice.live import devices
library = devices.library
def interrupted():
    signal.raise_signal(signal.SIGINT)
    return library()
devices.library = interrupted
sys.exit(cli.run(["live", "--input", "bed", "--output", "bed", "--json-lines"]))
"""


def test_an_interrupt_while_it_is_held_is_told_afterwards() -> None:
    from rtvoice.live.interrupts import Interrupts

    before = signal.getsignal(signal.SIGINT)
    with Interrupts() as stop:
        assert not stop.asked
        signal.raise_signal(signal.SIGINT)
        assert stop.asked
        assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, []), "threads would inherit it"
        stop.let_through()
        signal.raise_signal(signal.SIGINT)  # of the same press
        stop._last -= 2
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        stop.hold()
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGINT) == before
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


@pytest.mark.skipif(bool(missing()), reason=missing())
def test_an_interrupt_while_devices_open_ends_with_the_summary() -> None:
    with server(128), Bed():
        done = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["type"] == "summary"


def test_keys_that_come_at_once_are_each_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    import pty

    leader, follower = pty.openpty()
    with os.fdopen(follower, "r") as terminal, contextlib.closing(os.fdopen(leader, "wb", 0)) as typist:
        monkeypatch.setattr(sys, "stdin", terminal)
        with Keys() as keys:
            typist.write(b"sbm---\x1b[A\x1bOB\x1b[3~+q")
            found = [keys.wait(0.2) for _ in range(11)]
    assert found == ["s", "b", "m", "-", "-", "-", "up", "down", "+", "q", None]


def test_a_measured_latency_is_one_json_line(capsys: Any) -> None:
    from rtvoice.cli.live import _measure

    found = SimpleNamespace(total_ms=23.5, device_ms=5.25, total_samples=[1128], device_samples=[252])
    session: Any = SimpleNamespace(
        measure_latency=lambda: found,
        snapshot=lambda: {"latency_ms": {"engine": 18.25}},
        rate=48000,
        input=SimpleNamespace(name="in"),
        output=SimpleNamespace(name="out"),
    )
    _measure(argparse.Namespace(json=False, json_lines=True), session)
    (line,) = capsys.readouterr().out.splitlines()
    told = json.loads(line)
    assert (told["type"], told["total_ms"], told["input"]) == ("latency", 23.5, "in")
