"""The package and its page: without the page there is no package, and with it none needs Node."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("hatchling", reason="hatchling is not installed (the extra 'test')")

SOURCE = Path(__file__).parents[2] / "studio"
PARTS = ("app.js", "style.css", "index.html")


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """The sources as a checkout has them: without what npm made."""
    leave = shutil.ignore_patterns("node_modules", "static", "__pycache__", "tests")
    return Path(shutil.copytree(SOURCE, tmp_path / "studio", ignore=leave))


def build(package: Path, programs: Path) -> subprocess.CompletedProcess[str]:
    """Build the wheel with these programs and no others."""
    return subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(package / "dist")],
        cwd=package,
        env={**os.environ, "PATH": str(programs)},
        capture_output=True,
        text=True,
        check=False,
    )


def put(folder: Path, text: str) -> None:
    (folder / "node_modules" / "esbuild").mkdir(parents=True)  # so that nothing has to be fetched
    npm = folder / "bin" / "npm"
    npm.parent.mkdir()
    npm.write_text(f"#!/bin/sh\n{text}\n")
    npm.chmod(0o755)


def test_without_npm_there_is_no_package(package: Path, tmp_path: Path) -> None:
    done = build(package, tmp_path)
    assert done.returncode != 0
    assert "needs Node >= 18 with npm" in done.stderr
    assert not list(package.glob("dist/*.whl"))


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("exit 0", "the front end is not built (app.js, style.css, index.html)"),
        ("echo no such module >&2; exit 3", "no such module"),
    ],
)
def test_a_page_that_does_not_come_out_is_an_error(script: str, words: str, package: Path) -> None:
    put(package / "web", script)
    done = build(package, package / "web" / "bin")
    assert done.returncode != 0
    assert words in done.stderr
    assert not list(package.glob("dist/*.whl"))


def test_a_page_that_is_built_goes_into_the_wheel_without_npm(package: Path, tmp_path: Path) -> None:
    static = package / "src" / "rtvoice_studio" / "static"
    static.mkdir()
    for name in PARTS:
        (static / name).write_text("built")
    done = build(package, tmp_path)
    assert done.returncode == 0, done.stderr
    (wheel,) = package.glob("dist/*.whl")
    held = zipfile.ZipFile(wheel).namelist()
    assert {f"rtvoice_studio/static/{name}" for name in PARTS} <= set(held)
    assert wheel.name.endswith("-py3-none-any.whl")
    # A source that is newer than the page asks for npm again.
    later = (static / "app.js").stat().st_mtime + 5
    os.utime(package / "web" / "src" / "rate.ts", (later, later))
    assert "needs Node" in build(package, tmp_path).stderr


def test_an_installation_without_its_page_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = pytest.importorskip(
        "rtvoice_studio.server", reason="rtvoice-studio is not installed (pip install ./studio)"
    )
    from rtvoice_studio.store import Store

    monkeypatch.setattr(server, "STATIC", tmp_path)
    store = Store(tmp_path / "store")
    with pytest.raises(server.FrontEndMissing, match="reinstall rtvoice-studio"):
        server.make_app(store, hosts=())
    store.close()
