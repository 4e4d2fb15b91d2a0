"""The LV2 plugin in the hosts that come with lilv, and called with every frame pattern through its own C interface."""

from __future__ import annotations

import ctypes
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

import rtvoice
import sdk
from hosts import hosts

URI = "urn:rtvoice:voice"
IN, OUT, MIX, ENABLED, LATENCY = range(5)

pytestmark = pytest.mark.skipif(
    shutil.which("lv2apply") is None or not Path("/usr/include/lv2").exists(),
    reason="LV2 is missing: apt-get install lv2-dev lilv-utils",
)


@pytest.fixture(scope="module")
def bundle() -> Path:
    return hosts.built("plugins") / "rtvoice.lv2"


class Descriptor(ctypes.Structure):
    """LV2_Descriptor."""

    HANDLE = ctypes.c_void_p
    _fields_ = (
        ("uri", ctypes.c_char_p),
        ("instantiate", ctypes.CFUNCTYPE(HANDLE, HANDLE, ctypes.c_double, ctypes.c_char_p, HANDLE)),
        ("connect_port", ctypes.CFUNCTYPE(None, HANDLE, ctypes.c_uint32, HANDLE)),
        ("activate", ctypes.CFUNCTYPE(None, HANDLE)),
        ("run", ctypes.CFUNCTYPE(None, HANDLE, ctypes.c_uint32)),
        ("deactivate", HANDLE),
        ("cleanup", ctypes.CFUNCTYPE(None, HANDLE)),
        ("extension_data", HANDLE),
    )


class Plugin:
    """An instance, driven as a host would."""

    def __init__(self, bundle: Path, rate: int) -> None:
        library = ctypes.CDLL(str(bundle / "rtvoice_lv2.so"))
        library.lv2_descriptor.restype = ctypes.POINTER(Descriptor)
        assert not library.lv2_descriptor(1)
        self.descriptor = library.lv2_descriptor(0).contents
        assert self.descriptor.uri == URI.encode()
        self.handle = self.descriptor.instantiate(None, rate, f"{bundle}/".encode(), None)
        self.controls = {port: ctypes.c_float(value) for port, value in ((MIX, 1), (ENABLED, 1), (LATENCY, -1))}
        if self.handle:
            for port, value in self.controls.items():
                self.descriptor.connect_port(self.handle, port, ctypes.addressof(value))
            self.descriptor.activate(self.handle)

    def run(self, samples: np.ndarray, sizes: list[int], before: Callable[[int], None] = lambda done: None) -> None:
        """Replace mono samples by the plugin's output, in place."""
        done = turn = 0
        while done < len(samples):
            frames = min(sizes[turn % len(sizes)], len(samples) - done)
            for port in (IN, OUT):
                self.descriptor.connect_port(self.handle, port, samples.ctypes.data + 4 * done)
            before(done)
            self.descriptor.run(self.handle, frames)
            done, turn = done + frames, turn + 1

    def close(self) -> None:
        self.descriptor.cleanup(self.handle)


@pytest.mark.parametrize("name", hosts.patterns())
def test_same_bits_whatever_the_frames(bundle: Path, name: str) -> None:
    audio, expected = hosts.reference(44100, 1)
    plugin = Plugin(bundle, 44100)
    samples = audio[:, 0].copy()
    plugin.run(samples, hosts.patterns()[name])
    plugin.close()
    np.testing.assert_array_equal(samples, expected[:, 0])


def test_disabled_is_the_input_at_the_latency_it_tells(bundle: Path) -> None:
    audio, _ = hosts.reference(48000, 1)
    for control, value in ((ENABLED, 0.0), (MIX, 0.0)):
        plugin = Plugin(bundle, 48000)
        plugin.controls[control].value = value
        samples = audio[:, 0].copy()
        plugin.run(samples, [480])
        latency = int(plugin.controls[LATENCY].value)
        plugin.close()
        assert latency == rtvoice.Engine(hosts.MODEL, sample_rate=48000, max_frame=1024).latency
        settled = 9600  # past the fade
        np.testing.assert_array_equal(samples[settled:], audio[settled - latency : -latency, 0])


def test_a_missing_model_is_a_refusal(bundle: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    shutil.copy(bundle / "rtvoice_lv2.so", tmp_path)
    assert not Plugin(tmp_path, 48000).handle
    assert "voice.rtv" in capfd.readouterr().err


def test_exports_nothing_but_its_entry(bundle: Path) -> None:
    symbols = sdk.run("nm", "-D", "--defined-only", bundle / "rtvoice_lv2.so").stdout.split("\n")
    assert [line.split()[-1] for line in symbols if line] == ["lv2_descriptor"]


def test_lv2apply_gives_the_reference(bundle: Path, tmp_path: Path) -> None:
    """It calls the plugin with one sample at a time."""
    audio, expected = hosts.reference(48000, 1)
    soundfile.write(tmp_path / "in.wav", audio, 48000, subtype="FLOAT")
    words = ("lv2apply", "-i", tmp_path / "in.wav", "-o", tmp_path / "out.wav", URI)
    sdk.run(*words, env={"LV2_PATH": str(bundle.parent)})
    out, rate = soundfile.read(tmp_path / "out.wav", dtype="float32", always_2d=True)
    assert rate == 48000
    np.testing.assert_array_equal(out, expected[: len(out)])
    assert len(out) == len(expected)


@pytest.mark.parametrize("block", [64, 441, 1024])
def test_lv2bench_runs_it(bundle: Path, block: int) -> None:
    done = sdk.run("lv2bench", "-b", str(block), "-n", "96000", URI, env={"LV2_PATH": str(bundle.parent)})
    assert float(re.search(r"([\d.]+)\s+" + URI, done.stdout)[1]) > 0
