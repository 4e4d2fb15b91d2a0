"""The C# binding and its Unity filter under mono, of Unity's runtime family: the reference bits, their contracts."""

from __future__ import annotations

import re
import shutil
import subprocess
import xml.etree.ElementTree as xml
from pathlib import Path

import numpy as np
import pytest

import sdk
from hosts import hosts

BINDING = sdk.ROOT / "bindings" / "csharp"
RUNTIME = sorted((BINDING / "Runtime").glob("*.cs"))
CHECKS = sdk.ROOT / "tests" / "hosts" / "csharp"

pytestmark = pytest.mark.skipif(
    shutil.which("mono") is None or shutil.which("mcs") is None,
    reason="mono is missing: apt-get install mono-runtime mono-mcs",
)


def compiled(folder: Path, name: str, *sources: Path) -> Path:
    """Compile a program in the C# that Unity 2018 knows, every warning an error."""
    program = folder / name
    sdk.run("mcs", "-langversion:7", "-warn:4", "-warnaserror", f"-out:{program}", *sources)
    return program


@pytest.fixture(scope="module")
def file_host(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = sdk.ROOT / "examples" / "csharp" / "FileHost.cs"
    return compiled(tmp_path_factory.mktemp("csharp"), "FileHost.exe", source, *RUNTIME)


@pytest.fixture(scope="module")
def checks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sources = (*sorted(CHECKS.glob("*.cs")), BINDING / "Unity" / "AudioFilter.cs", *RUNTIME)
    return compiled(tmp_path_factory.mktemp("checks"), "Checks.exe", *sources)


def mono(program: Path, *words: object, check: bool = True) -> subprocess.CompletedProcess[str]:
    return sdk.run("mono", program, *map(str, words), env={"LD_LIBRARY_PATH": str(sdk.library_folder())}, check=check)


@pytest.mark.parametrize("name", hosts.patterns())
def test_same_bits_whatever_the_frames(file_host: Path, tmp_path: Path, name: str) -> None:
    source, target, sizes, expected = hosts.files(tmp_path, name, 48000, 2)
    mono(file_host, hosts.MODEL, source, target, sizes, 48000, 2)
    np.testing.assert_array_equal(hosts.read(target, 2), expected)


@pytest.mark.parametrize("name", hosts.patterns())
def test_unity_filter_gives_the_same_bits(checks: Path, tmp_path: Path, name: str) -> None:
    source, target, sizes, expected = hosts.files(tmp_path, name, 44100, 2)
    mono(checks, "filter", hosts.MODEL, source, target, sizes, 44100, 2)
    np.testing.assert_array_equal(hosts.read(target, 2), expected)


def test_contract(checks: Path) -> None:
    done = mono(checks, "contract", hosts.MODEL, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "FAILED" not in done.stdout
    assert done.stdout.count("ok ") >= 25


def test_says_what_is_wrong(file_host: Path, tmp_path: Path) -> None:
    source, target, sizes, _ = hosts.files(tmp_path, "fixed-480", 48000, 1)
    for words, status, says in (
        ((), 2, "usage"),
        (("nowhere.rtv", source, target, sizes, 48000, 1), 1, "nowhere.rtv"),
        ((hosts.MODEL, source, target, sizes, 48000, 0), 1, "Channels"),
    ):
        done = mono(file_host, *words, check=False)
        assert done.returncode == status
        assert says in done.stderr


def test_every_native_name_is_in_the_header() -> None:
    header = (sdk.ROOT / "cpp" / "include" / "rtvoice" / "rtvoice.h").read_text()
    names = set(re.findall(r"extern \w+ (rtv_\w+)\(", (BINDING / "Runtime" / "NativeMethods.cs").read_text()))
    assert len(names) > 15
    assert all(f"{name}(" in header for name in names)


def test_every_public_name_is_documented(tmp_path: Path) -> None:
    """The compiler makes a missing comment a warning, and -warnaserror an error; here we see that it looked."""
    library = tmp_path / "Rtvoice.dll"
    sdk.run(
        "mcs", "-target:library", "-warnaserror", "-warn:4", f"-doc:{tmp_path / 'doc.xml'}", f"-out:{library}", *RUNTIME
    )
    members = {member.get("name") for member in xml.parse(tmp_path / "doc.xml").iter("member")}
    assert {"T:Rtvoice.Engine", "M:Rtvoice.Engine.Process(System.Single[])", "P:Rtvoice.Engine.Latency"} <= members
