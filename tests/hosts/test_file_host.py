"""Every frame pattern through the C host of examples/hosts: the reference render's bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import sdk
from hosts import hosts


@pytest.mark.parametrize("name", hosts.patterns())
@pytest.mark.parametrize(("rate", "channels"), [(48000, 1), (44100, 2)])
def test_same_bits_whatever_the_frames(tmp_path: Path, name: str, rate: int, channels: int) -> None:
    source, target, sizes, expected = hosts.files(tmp_path, name, rate, channels)
    program = hosts.built("examples/hosts") / "file_host"
    sdk.run(program, hosts.MODEL, source, target, sizes, str(rate), str(channels))
    np.testing.assert_array_equal(hosts.read(target, channels), expected)


def test_the_patterns_are_those_of_real_hosts() -> None:
    found = hosts.patterns()
    for size in (64, 128, 256, 480, 512, 1024):
        assert found[f"fixed-{size}"] == [size]
    assert found["alternating-441-440"] == [441, 440]
    assert min(found["random-1-to-2048"]) >= 1
    assert 1024 < max(found["random-1-to-2048"]) <= 2048
    assert 0 in found["zero-length"]
    assert max(found["jumbo"]) > 8 * 1024


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        ((), 2, "usage"),
        (("nowhere.rtv", "{in}", "{out}", "{sizes}", "48000", "1"), 1, "nowhere.rtv"),
        (("{model}", "nowhere.f32", "{out}", "{sizes}", "48000", "1"), 1, "nowhere.f32"),
        (("{model}", "{in}", "{out}", "{in}", "48000", "1"), 1, "holds no frame sizes"),
        (("{model}", "{in}", "{out}", "{sizes}", "1", "1"), 1, "sample_rate"),
    ],
)
def test_says_what_is_wrong(tmp_path: Path, words: tuple[str, ...], status: int, says: str) -> None:
    source, target, sizes, _ = hosts.files(tmp_path, "fixed-480", 48000, 1)
    places = {"model": hosts.MODEL, "in": source, "out": target, "sizes": sizes}
    done = sdk.run(hosts.built("examples/hosts") / "file_host", *(word.format(**places) for word in words), check=False)
    assert done.returncode == status
    assert says in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
