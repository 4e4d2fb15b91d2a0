"""Devices by number, name or a part of it; latency by its chirps; meters."""

from __future__ import annotations

import numpy as np
import pytest

from rtvoice.live import LiveError
from rtvoice.live.devices import Device, choose, one_clock
from rtvoice.live.latency import arrival, chirp, summarize
from rtvoice.live.terminal import meter

ALSA, JACK = "ALSA", "JACK Audio Connection Kit"


def device(index: int, name: str, api: str = ALSA, inputs: int = 1, outputs: int = 1, default: bool = False) -> Device:
    return Device(index, name, api, inputs, outputs, 48000.0, 0.01, 0.01, default, default)


FOUND = [
    device(0, "HDA Intel", inputs=2, outputs=0),
    device(1, "USB microphone", inputs=1, outputs=0),
    device(2, "USB headset", inputs=1, outputs=2, default=True),
    device(3, "USB headset pro", inputs=1, outputs=2),
]


@pytest.mark.parametrize(
    ("wanted", "kind", "index"),
    [
        (None, "input", 2),
        ("1", "input", 1),
        ("usb micro", "input", 1),
        ("HDA Intel, ALSA", "input", 0),
        ("USB headset", "output", 2),  # exact, though it is a part of another
        ("pro", "output", 3),
    ],
)
def test_a_device_is_found(wanted: str | None, kind: str, index: int) -> None:
    assert choose(wanted, kind, FOUND).index == index


@pytest.mark.parametrize(
    ("wanted", "kind", "words"),
    [
        ("usb", "input", ("several", "USB microphone", "number")),
        ("7", "input", ("--input 7", "no input device")),
        ("1", "output", ("--output 1", "USB headset")),
        ("speaker", "output", ("'speaker'", "USB headset")),
        ("²", "input", ("'²'", "no input device")),  # a digit, but no number
        (" ", "input", ("--input is empty", "USB headset")),
    ],
)
def test_what_is_not_found_is_said_with_what_there_is(wanted: str, kind: str, words: tuple[str, ...]) -> None:
    with pytest.raises(LiveError) as error:
        choose(wanted, kind, FOUND)
    assert all(word in str(error.value) for word in words)


def test_no_device_at_all_names_the_remedy() -> None:
    with pytest.raises(LiveError, match="plug in a microphone"):
        choose(None, "input", [device(0, "screen", inputs=0)])


def test_one_device_or_one_server_is_one_clock() -> None:
    assert one_clock(FOUND[2], FOUND[2])
    assert not one_clock(FOUND[1], FOUND[2])
    assert one_clock(device(0, "mic", JACK), device(1, "speaker", JACK))


@pytest.mark.parametrize("rate", [16000, 44100, 48000])
@pytest.mark.parametrize("late", [0, 333, 9000])
def test_a_chirp_is_found_to_the_sample(rate: int, late: int) -> None:
    sent = chirp(rate)
    recording = np.zeros(int(1.5 * rate), np.float32)
    recording[late : late + len(sent)] = 0.1 * sent
    assert arrival(recording, sent, rate) == late


def test_a_chirp_is_found_in_a_noisy_room_with_an_echo() -> None:
    rate, late, rng = 48000, 1500, np.random.default_rng(1)
    sent = chirp(rate)
    recording = rng.normal(0, 0.02, int(1.5 * rate)).astype(np.float32)
    recording[late : late + len(sent)] += 0.1 * sent
    recording[late + 900 : late + 900 + len(sent)] += 0.04 * sent
    assert abs((arrival(recording, sent, rate) or 0) - late) <= 1


def test_noise_alone_is_no_chirp() -> None:
    rng = np.random.default_rng(2)
    assert arrival(rng.normal(0, 0.1, 72000).astype(np.float32), chirp(48000), 48000) is None
    assert arrival(np.zeros(72000, np.float32), chirp(48000), 48000) is None


def test_the_latency_is_the_median_of_its_chirps() -> None:
    made = summarize([480, 480, 960], [960, 960, 1440], 48000)
    assert (made.device_ms, made.total_ms) == (10.0, 20.0)


def test_a_meter_is_filled_to_its_level() -> None:
    filled = [str(meter({"rms": db, "peak": db}, clip=True)).count("█") for db in (-120, -60, -30, 0)]
    assert filled[0] == filled[1] == 0
    assert filled[2] == 20
    assert filled[3] == 40
