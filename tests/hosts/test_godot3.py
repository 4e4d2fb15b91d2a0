"""The GDNative library in a real Godot 3 without a screen, godot3-server: every frame pattern, the reference's bits."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import sdk
from hosts import hosts

pytestmark = pytest.mark.skipif(
    shutil.which("godot3-server") is None, reason="Godot is missing: apt-get install godot3-server (make hosts does)"
)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    library = hosts.built("plugins") / "godot3-plugin"
    if not library.exists():
        pytest.skip("GDNative's headers are neither installed nor can they be fetched: RTVOICE_GODOT3_HEADERS=<folder>")
    folder = tmp_path_factory.mktemp("godot") / "project"
    shutil.copytree(sdk.ROOT / "tests" / "hosts" / "godot3", folder)
    shutil.copytree(library / "rtvoice", folder / "rtvoice")
    return folder


def run(project: Path, tmp_path: Path, name: str, rate: int, channels: int) -> np.ndarray:
    source, target, sizes, _ = hosts.files(tmp_path, name, rate, channels)
    words = ("--path", project, "-s", "run.gd", source, target, sizes, str(rate), str(channels))
    home = {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path)}
    done = sdk.run("timeout", "60", "godot3-server", *words, env=home)
    assert "FAILED" not in done.stdout, done.stdout
    assert done.stdout.count("ok ") == 11
    return hosts.read(target, channels)


@pytest.mark.parametrize("name", hosts.patterns())
def test_mono_gives_the_same_bits(project: Path, tmp_path: Path, name: str) -> None:
    np.testing.assert_array_equal(run(project, tmp_path, name, 44100, 1), hosts.reference(44100, 1)[1])


def test_stereo_gives_the_same_bits(project: Path, tmp_path: Path) -> None:
    out = run(project, tmp_path, "random-1-to-2048", 48000, 2)
    np.testing.assert_array_equal(out, hosts.reference(48000, 2)[1])
