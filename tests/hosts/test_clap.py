"""The CLAP plugin in a host of our own: a host's contract, and every frame pattern to the reference render's bits."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import rtvoice
import sdk
from hosts import hosts


@pytest.fixture(scope="module")
def folder() -> Path:
    made = hosts.built("plugins")
    if not (made / "clap-plugin").exists():
        pytest.skip("CLAP's headers are neither installed nor can they be fetched: RTVOICE_CLAP_HEADERS=<folder>")
    return made


def run(folder: Path, tmp_path: Path, name: str, rate: int, channels: int, *event: str) -> np.ndarray:
    source, target, sizes, _ = hosts.files(tmp_path, name, rate, channels)
    plugin = f"rtvoice.voice.{'mono' if channels == 1 else 'stereo'}"
    paths = (folder / "clap-plugin" / "rtvoice.clap", plugin, source, target, sizes)
    sdk.run(folder / "clap" / "clap_host", *paths, str(rate), str(channels), *event)
    return hosts.read(target, channels)


@pytest.mark.parametrize("name", hosts.patterns())
def test_mono_gives_the_same_bits(folder: Path, tmp_path: Path, name: str) -> None:
    np.testing.assert_array_equal(run(folder, tmp_path, name, 48000, 1), hosts.reference(48000, 1)[1])


@pytest.mark.parametrize("name", ["alternating-441-440", "random-1-to-2048", "jumbo"])
def test_stereo_gives_the_same_bits(folder: Path, tmp_path: Path, name: str) -> None:
    np.testing.assert_array_equal(run(folder, tmp_path, name, 44100, 2), hosts.reference(44100, 2)[1])


@pytest.mark.parametrize("name", ["fixed-64", "random-1-to-2048", "jumbo"])
def test_an_event_acts_at_its_sample(folder: Path, tmp_path: Path, name: str) -> None:
    """Bypass at sample 30000, in the middle of most blocks, is that of an engine asked at just that sample."""
    audio, _ = hosts.reference(48000, 1)
    engine = rtvoice.Engine(hosts.MODEL, sample_rate=48000, max_frame=65536, tier="default")
    before = engine.process(audio[:30000, 0].copy())
    engine.bypass = True
    after = np.concatenate([engine.process(part) for part in np.split(audio[30000:, 0].copy(), 2)])
    heard = run(folder, tmp_path, name, 48000, 1, "1", "1", "30000")[:, 0]
    np.testing.assert_array_equal(heard, np.concatenate([before, after]))


def test_a_missing_model_is_a_refusal(folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "clap-plugin" / "rtvoice.clap", tmp_path)
    source, target, sizes, _ = hosts.files(tmp_path, "fixed-480", 48000, 1)
    words = (tmp_path / "rtvoice.clap", "rtvoice.voice.mono", source, target, sizes, "48000", "1")
    done = sdk.run(folder / "clap" / "clap_host", *words, check=False)
    assert done.returncode == 1
    assert "rtvoice.rtv" in done.stderr


def test_exports_nothing_but_its_entry(folder: Path) -> None:
    symbols = sdk.run("nm", "-D", "--defined-only", folder / "clap-plugin" / "rtvoice.clap").stdout.split("\n")
    assert [line.split()[-1] for line in symbols if line] == ["clap_entry"]
