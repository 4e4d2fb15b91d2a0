"""The watchdog: when a stall is said, when devices are opened anew, and what happens to those that do not let go."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from rtvoice.live import LiveError, devices, watchdog
from rtvoice.live.watchdog import Watchdog


@pytest.fixture(autouse=True)
def no_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "refresh", lambda: None)
    monkeypatch.setattr(devices, "devices", list)
    monkeypatch.setattr(watchdog, "_RETRY_SECONDS", 0.01)


class Told:
    def __init__(self) -> None:
        self.kinds: list[str] = []
        self.texts: list[str] = []

    def __call__(self, kind: str, text: str) -> None:
        self.kinds.append(kind)
        self.texts.append(text)


def until(dog: Watchdog, silent: float) -> None:
    end = time.monotonic() + 5
    while not dog.look(silent):
        assert time.monotonic() < end
        time.sleep(0.005)


def failing(times: int) -> Callable[[list[devices.Device]], None]:
    left = [times]

    def reopen(found: list[devices.Device]) -> None:
        if left[0] > 0:
            left[0] -= 1
            raise LiveError("it is not there")

    return reopen


def test_nothing_is_said_while_callbacks_come() -> None:
    told = Told()
    dog = Watchdog(lambda: True, failing(0), told)
    assert not any(dog.look(0.4) for _ in range(10))
    assert not told.kinds and not dog.away and dog.outages == 0


def test_a_stall_that_ends_by_itself_opens_nothing() -> None:
    told, opened = Told(), []
    dog = Watchdog(lambda: True, opened.append, told)
    dog.look(0.6)
    assert dog.away
    assert dog.look(0.1)
    assert told.kinds == ["stall", "back"]
    assert not opened and dog.outages == 1


def test_a_device_is_tried_until_it_is_back() -> None:
    told = Told()
    dog = Watchdog(lambda: True, failing(3), told)
    dog.look(0.6)
    until(dog, 1.6)
    assert told.kinds == ["stall", "back"]
    assert not dog.away


def test_a_driver_that_does_not_let_go_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    told, left = Told(), []
    monkeypatch.setattr(devices, "abandon", lambda: left.append(True))
    dog = Watchdog(lambda: False, failing(1), told)
    dog.look(0.6)
    until(dog, 1.6)
    assert left == [True]
    assert told.kinds == ["stall", "stall", "back"]
    assert "let go" in told.texts[1]


def test_errors_of_the_library_are_said_once_and_tried_again() -> None:
    told, left = Told(), [3]

    def reopen(found: list[devices.Device]) -> None:
        if left[0]:
            left[0] -= 1
            raise RuntimeError("the server is going down")

    dog = Watchdog(lambda: True, reopen, told)
    dog.look(0.6)
    until(dog, 1.6)
    assert told.kinds == ["stall", "stall", "back"]


def test_ending_ends_the_tries() -> None:
    dog = Watchdog(lambda: True, failing(10**9), Told())
    dog.look(0.6)
    dog.look(1.6)
    start = time.monotonic()
    dog.end()
    assert time.monotonic() - start < 2
    assert dog.away
