"""The comparison page in a real browser: Debian's Chromium, driven from Node."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rtvoice_studio.server", reason="rtvoice-studio is not installed (pip install ./studio)")

from commands import run  # noqa: E402
from studio_sounds import full, make_folders  # noqa: E402

WEB = Path(__file__).parents[2] / "studio" / "web"


def _missing() -> str | None:
    if shutil.which("chromium") is None:
        return "chromium is not installed (apt-get install chromium)"
    if shutil.which("node") is None:
        return "node is not installed (apt-get install nodejs)"
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout
    if int(version.lstrip("v").partition(".")[0]) < 20:
        return f"node is {version.strip()}; playwright-core needs 20"
    if not (WEB / "node_modules" / "playwright-core").is_dir():
        return "playwright-core is not installed (cd studio/web && npm ci)"
    return None


pytestmark = pytest.mark.skipif(_missing() is not None, reason=_missing() or "")


def node(script: str, *words: object, seconds: float = 280) -> dict[str, Any]:
    done = subprocess.run(
        ["node", str(WEB / "tests" / script), *map(str, words)],
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def served(store: Path, script: str, *words: object) -> dict[str, Any]:
    """Run a script against a server over a store: it gets the server's address first."""
    port = free_port()
    command = [Path(sys.executable).with_name("rtvoice"), "compare", "--store", store, "--port", port, "--no-browser"]
    with subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, text=True) as serving:
        try:
            assert serving.stdout is not None
            assert serving.stdout.readline().startswith("session ")
            return node(script, f"http://127.0.0.1:{port}", *words)
        finally:
            serving.kill()


def sit(tmp_path: Path, clips: int, seconds: float) -> dict[str, Any]:
    """Two raters' whole sessions of ``clips`` pairs, the server killed in the middle."""
    inputs, one, other = make_folders(tmp_path, clips - 2)
    store = tmp_path / "store"
    words = ["--clips", inputs, "--store", store, "--trials", clips, "--repeats", 1, "--heard", 0.2, "--no-serve"]
    assert run("compare", one, other, *words).status == 0
    port = free_port()
    command = Path(sys.executable).with_name("rtvoice")
    serving = [command, "compare", "--store", store, "--port", port, "--no-browser"]
    return node("session.mjs", clips, port, "walrus,zebra,clip0,clip1", *serving, seconds=seconds)


def test_equal_audio_stays_equal_through_any_switch() -> None:
    told = node("graph.mjs")
    assert max(told["same"], told["hasty"]) <= 1e-6


def test_no_vote_is_lost_to_reloads_and_a_killed_server(tmp_path: Path) -> None:
    told = sit(tmp_path, 4, 280)
    assert told == {"answers": 2 * 4 * 7, "lost": 0, "leaks": 0}


@pytest.mark.slow
@full
def test_whole_sessions_of_25_clips_by_keyboard_in_two_browsers(tmp_path: Path) -> None:
    assert sit(tmp_path, 25, 1500) == {"answers": 2 * 25 * 7, "lost": 0, "leaks": 0}


def test_abx_passes_flags_notes_links_and_the_report_work(tmp_path: Path) -> None:
    inputs, one, other = make_folders(tmp_path, 3)
    store = tmp_path / "store"
    slugs = []
    for mode in ("abx", "passes"):
        words = ["--clips", inputs, "--store", store, "--mode", mode, "--repeats", 0, "--traps", 0, "--heard", 0.2]
        slugs.append(run("compare", one, other, *words, "--no-serve", "--json").json["session"])
    assert run("compare", "--store", store, "--export", tmp_path / "report.html").status == 0
    assert served(store, "modes.mjs", *slugs, tmp_path / "report.html") == {"abx": 1}


def test_every_view_is_accessible_in_light_and_dark_and_fits_a_phone(tmp_path: Path) -> None:
    inputs, one, other = make_folders(tmp_path, 3)
    one, other = (
        folder.rename(tmp_path / f"{folder.name}-of-a-run-with-a-name-as-long-as-they-get") for folder in (one, other)
    )
    store = tmp_path / "store"
    words = ["--clips", inputs, "--store", store, "--repeats", 0, "--traps", 0, "--heard", 0.2, "--no-serve", "--json"]
    slug = run("compare", one, other, *words).json["session"]
    run("compare", one, other, *words)  # a second one, so that there is a list
    told = served(store, "access.mjs", slug)
    assert told["rules"] > 20
    assert told["texts"] > 100
    assert told["stops"] > 20
