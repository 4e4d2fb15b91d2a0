"""The Linux wheel: its tag, the libsamplerate that it carries, and its running in a new virtual environment."""

from __future__ import annotations

import importlib.util
import os
import platform
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

import sdk
from hosts import hosts

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(platform.system() != "Linux", reason="a manylinux wheel is made on Linux"),
    pytest.mark.skipif(
        importlib.util.find_spec("auditwheel") is None, reason="auditwheel is missing: make hosts installs it"
    ),
]

PROGRAM = """
import sys
import numpy as np
import rtvoice
audio = np.fromfile(sys.argv[1], np.float32)
engine = rtvoice.Engine("whisper", sample_rate=48000, max_frame=1024, tier="default")
out = [engine.process(audio[i:i + 1024]) for i in range(0, len(audio), 1024)]
np.concatenate(out).tofile(sys.argv[2])
other = rtvoice.Engine("whisper", sample_rate=37000, max_frame=1024)  # a ratio that is libsamplerate's
assert other.process(np.ones(1024, np.float32)).shape == (1024,)
print(rtvoice.__file__)
print([line.split()[-1] for line in open("/proc/self/maps") if "samplerate" in line][0])
"""


@pytest.fixture(scope="module")
def wheel() -> Path:
    sdk.run(sdk.ROOT / "scripts" / "wheel.sh", env={"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"})
    found = list((sdk.ROOT / "dist").glob("rtvoice-*.whl"))
    assert len(found) == 1
    return found[0]


def test_the_tag_says_on_which_systems_it_runs(wheel: Path) -> None:
    tags = wheel.stem.split("-")[-1].split(".")
    assert tags
    assert all(tag.startswith("manylinux_2_") for tag in tags)


def test_it_carries_libsamplerate_and_its_licence(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert [name for name in names if name.startswith("rtvoice.libs/libsamplerate")]
    assert [name for name in names if name.endswith("THIRD_PARTY_NOTICES.md")]


def test_it_runs_in_a_new_environment(wheel: Path, tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    sdk.run(sys.executable, "-m", "venv", venv)
    sdk.run(venv / "bin" / "python", "-m", "pip", "install", "-q", "--disable-pip-version-check", wheel)
    audio, expected = hosts.reference(48000, 1)
    audio.tofile(tmp_path / "in.f32")
    words = (venv / "bin" / "python", "-I", "-c", PROGRAM, tmp_path / "in.f32", tmp_path / "out.f32")
    package, samplerate = sdk.run(*words).stdout.split()
    np.testing.assert_array_equal(np.fromfile(tmp_path / "out.f32", np.float32), expected[:, 0])
    assert package.startswith(str(venv))
    assert samplerate.startswith(str(venv))
    said = sdk.run(venv / "bin" / "rtvoice", "models").stdout
    assert "whisper" in said
