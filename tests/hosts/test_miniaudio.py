"""The miniaudio host without a sound card: its null device, a file as the microphone, the reference bits."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import sdk
from hosts import hosts


@pytest.fixture(scope="module")
def miniaudio_host() -> Path:
    program = hosts.built("examples/hosts") / "miniaudio_host"
    if not program.exists():
        pytest.skip("miniaudio.h is missing: make hosts fetches it, or RTVOICE_MINIAUDIO_HEADERS=<folder>")
    return program


@pytest.mark.parametrize(("rate", "block"), [(48000, 128), (48000, 480), (44100, 441), (48000, 1024), (48000, 0)])
def test_a_device_without_sound_gives_the_same_bits(
    miniaudio_host: Path, tmp_path: Path, rate: int, block: int
) -> None:
    audio, expected = hosts.reference(rate, 1, 1.0)
    audio.tofile(tmp_path / "in.f32")
    words = ("1.5", str(rate), str(block), tmp_path / "in.f32", tmp_path / "out.f32")
    said = json.loads(sdk.run(miniaudio_host, hosts.MODEL, *words).stdout)
    assert said["backend"] == "Null"
    # A busy machine's device may not have played all of the second yet: what it played is compared.
    assert said["frames"] >= rate // 4
    out = hosts.read(tmp_path / "out.f32", 1)
    np.testing.assert_array_equal(out, expected[: len(out)])
    assert np.abs(out).max() > 1e-3


def test_its_callback_gives_the_same_bits_whatever_the_frames(miniaudio_host: Path, tmp_path: Path) -> None:
    hosts.check_every_pattern(miniaudio_host, tmp_path)


@pytest.mark.parametrize(("words", "status", "says"), [((), 2, "usage"), (("nowhere.rtv", "1"), 1, "nowhere.rtv")])
def test_says_what_is_wrong(miniaudio_host: Path, words: tuple[str, ...], status: int, says: str) -> None:
    done = sdk.run(miniaudio_host, *words, check=False)
    assert done.returncode == status
    assert says in done.stderr
