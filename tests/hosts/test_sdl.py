"""The SDL2 host between two files (the driver `disk`), and with the driver that has no device (`dummy`)."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import sdk
from hosts import hosts


@pytest.fixture(scope="module")
def sdl_host() -> Path:
    if shutil.which("sdl2-config") is None:
        pytest.skip("SDL2 is missing: apt-get install libsdl2-dev")
    return hosts.built("examples/hosts") / "sdl_host"


def gaps(played: np.ndarray, expected: np.ndarray) -> int:
    """Follow the reference through what was played; count the silent blocks inside it, all that is allowed there."""
    at = found = 0
    for heard in played:
        if at == len(expected):
            break
        if np.array_equal(heard, expected[at]):
            at += 1
        else:
            assert not heard.any(), f"block {at} of the reference came out changed"
            found += bool(expected[:at].any())
    assert at == len(expected), f"the output ends after {at} blocks of {len(expected)}"
    return found


@pytest.mark.parametrize("block", [64, 480, 512, 1024, 4096])
def test_file_to_file_is_the_reference(sdl_host: Path, tmp_path: Path, block: int) -> None:
    audio, expected = hosts.reference(48000, 1)
    audio.tofile(tmp_path / "in.f32")
    environment = {
        "SDL_AUDIODRIVER": "disk",
        "SDL_DISKAUDIOFILEIN": str(tmp_path / "in.f32"),
        "SDL_DISKAUDIOFILE": str(tmp_path / "out.f32"),
        "SDL_DISKAUDIODELAY": str(max(1, block // 256)),  # about a fifth of a block's length
    }
    words = (str(len(audio) / 48000), "48000", str(block), str(16384 // block))
    said = json.loads(sdk.run(sdl_host, hosts.MODEL, *words, env=environment).stdout)
    assert (said["driver"], said["dropped_blocks"]) == ("disk", 0)
    whole = len(expected) // block * block
    out = hosts.read(tmp_path / "out.f32", 1)
    # Both devices run on threads of their own: one that the machine lets wait is a gap, told, and all there may be.
    assert gaps(out.reshape(-1, block), expected[:whole].reshape(-1, block)) <= said["missing_blocks"]


def test_its_callbacks_give_the_same_bits_whatever_the_frames(sdl_host: Path, tmp_path: Path) -> None:
    hosts.check_every_pattern(sdl_host, tmp_path)


def test_without_a_device(sdl_host: Path) -> None:
    done = sdk.run(sdl_host, hosts.MODEL, "0.3", "44100", env={"SDL_AUDIODRIVER": "dummy"})
    said = json.loads(done.stdout)
    assert said["frames"] >= 0.3 * 44100
    assert said["dropped_blocks"] == 0


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [((), 2, "usage"), (("nowhere.rtv", "1"), 1, "nowhere.rtv"), (("{model}", "1", "48000", "1"), 2, "usage")],
)
def test_says_what_is_wrong(sdl_host: Path, words: tuple[str, ...], status: int, says: str) -> None:
    done = sdk.run(sdl_host, *(word.format(model=hosts.MODEL) for word in words), check=False)
    assert done.returncode == status
    assert says in done.stderr
