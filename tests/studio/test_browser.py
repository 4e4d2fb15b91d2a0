"""The comparison page in a real browser: Debian's Chromium, driven from Node."""

from __future__ import annotations

import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

pytest.importorskip("httpx", reason="httpx is not installed (the extra 'test')")
pytest.importorskip("rtvoice_studio.server", reason="rtvoice-studio is not installed (pip install ./studio)")

from commands import run  # noqa: E402
from rtvoice_studio.command import Options, add, export  # noqa: E402
from rtvoice_studio.stats import sign_test  # noqa: E402
from rtvoice_studio.store import Store  # noqa: E402
from studio_client import ORIGIN, ballot, client_of, plan  # noqa: E402
from studio_node import lacking, node  # noqa: E402
from studio_sounds import full, make_folders  # noqa: E402

MISSING = lacking("playwright-core") or (
    None if shutil.which("chromium") else "chromium is not installed (apt-get install chromium)"
)
pytestmark = pytest.mark.skipif(MISSING is not None, reason=MISSING or "")


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def served(store: Path, script: str, *words: object) -> Any:
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


def sit(tmp_path: Path, clips: int, seconds: float) -> Any:
    """Two raters' whole sessions of ``clips`` pairs, the server killed in the middle."""
    inputs, one, other = make_folders(tmp_path, clips - 2)
    store = tmp_path / "store"
    words = ["--clips", inputs, "--store", store, "--trials", clips, "--repeats", 1, "--traps", 1, "--heard", 0.2]
    assert run("compare", one, other, *words, "--no-serve").status == 0
    port = free_port()
    command = Path(sys.executable).with_name("rtvoice")
    serving = [command, "compare", "--store", store, "--port", port, "--no-browser"]
    return node("session.mjs", clips, port, "walrus,zebra,clip0,clip1", *serving, seconds=seconds)


def test_equal_audio_stays_equal_through_any_switch() -> None:
    told = node("graph.mjs")
    assert max(told["same"], told["hasty"]) <= 1e-6
    assert {"11025", "22050", "44100"} <= set(told["off"])
    assert max(told["off"].values()) <= 1e-6


def test_no_vote_is_lost_to_reloads_and_a_killed_server(tmp_path: Path) -> None:
    told = sit(tmp_path, 4, 280)
    del told["waited"]
    assert told == {"answers": 2 * 4 * 7, "lost": 0, "leaks": 0}


@pytest.mark.slow
@full
def test_whole_sessions_of_25_clips_by_keyboard_in_two_browsers(tmp_path: Path) -> None:
    told = sit(tmp_path, 25, 1500)
    waited = told.pop("waited")
    assert told == {"answers": 2 * 25 * 7, "lost": 0, "leaks": 0}
    # Which model's sound comes sooner is a toss: 999 of 1000 sessions pass, whatever the machine does besides.
    print(f"\nof {waited['pairs']} pairs the one model's sound came first {waited['first']} times")
    assert waited["pairs"] >= 40
    assert sign_test(waited["first"], waited["pairs"]) > 0.001


def test_abx_passes_every_key_own_files_flags_notes_links_and_the_report_work(tmp_path: Path) -> None:
    inputs, one, other = make_folders(tmp_path, 3)
    store = tmp_path / "store"
    slugs = []
    for mode in ("abx", "passes"):
        words = ["--clips", inputs, "--store", store, "--mode", mode, "--repeats", 0, "--traps", 0, "--heard", 0.2]
        slugs.append(run("compare", one, other, *words, "--no-serve", "--json").json["session"])
    assert run("compare", "--store", store, "--export", tmp_path / "report.html").status == 0
    own = next(other.iterdir())
    sound, rate = soundfile.read(own)
    # A tone at the end of a file four times as long.
    tone = 0.3 * np.sin(2 * np.pi * 1000 * np.arange(len(sound)) / rate)
    soundfile.write(tmp_path / "long.wav", np.concatenate([np.zeros(3 * len(sound)), tone]), rate)
    soundfile.write(tmp_path / "hours.flac", np.zeros(301 * 8000), 8000)
    files = [tmp_path / name for name in ("report.html", own, "long.wav", "hours.flac")]
    told = served(store, "modes.mjs", *slugs, *files)
    assert told == {"abx": 1}


def test_every_view_is_accessible_in_light_and_dark_and_fits_a_phone(tmp_path: Path) -> None:
    inputs, one, other = make_folders(tmp_path, 3)
    one, other = (
        folder.rename(tmp_path / f"{folder.name}-of-a-run-with-a-name-as-long-as-they-get") for folder in (one, other)
    )
    store = tmp_path / "store"
    words = ["--clips", inputs, "--store", store, "--repeats", 0, "--traps", 0, "--heard", 0.2, "--no-serve", "--json"]
    slug = run("compare", one, other, *words).json["session"]
    run("compare", one, other, *words)  # a second one, so that there is a list
    voted_before(store, slug)
    told = served(store, "access.mjs", slug)
    assert told["rules"] > 20
    assert told["texts"] > 100
    assert told["stops"] > 20


def test_twenty_rows_of_long_labels_fit_a_phone_and_none_is_answered_by_itself(tmp_path: Path) -> None:
    inputs, one, other = make_folders(tmp_path, 1)
    keys = [f"row{i}" for i in range(19)] + ["constructor"]
    rows = tmp_path / "rows.toml"
    rows.write_text("".join(f"[[dimension]]\nkey = '{k}'\nlabel = '{chr(65 + i) * 60}'\n" for i, k in enumerate(keys)))
    words = ["--clips", inputs, "--store", tmp_path / "store", "--dimensions", rows, "--heard", 0.2]
    slug = run("compare", one, other, *words, "--no-serve", "--json").json["session"]
    assert served(tmp_path / "store", "rows.mjs", slug) == {"rows": 20}


def test_a_link_to_a_clip_outside_the_sitting_is_heard_blind_and_apart(tmp_path: Path) -> None:
    inputs, one, other = make_folders(tmp_path, 6)
    store = tmp_path / "store"
    words = ["--clips", inputs, "--store", store, "--trials", 3, "--repeats", 0, "--traps", 0, "--heard", 0.2]
    slug = run("compare", one, other, *words, "--no-serve", "--json").json["session"]
    assert served(store, "links.mjs", slug) == {"kept": 1}


def test_the_edges_of_a_sitting(tmp_path: Path) -> None:
    inputs, one, other = make_folders(tmp_path, 3)
    store = tmp_path / "store"
    words = ["--clips", inputs, "--store", store, "--repeats", 0, "--traps", 0, "--heard", 0.2]
    voice = tmp_path / "voice"
    voice.mkdir()
    sound, rate = soundfile.read(inputs / "clip00.wav")
    soundfile.write(voice / "voice.wav", np.tile(sound, 2), rate)
    slug = run("compare", one, other, *words, "--target", voice, "--no-serve", "--json").json["session"]
    voted_before(store, slug)
    assert served(store, "edges.mjs", slug) == {"edges": True}


def voted_before(folder: Path, slug: str) -> None:
    """Let two people have voted, the one of them on an earlier day."""
    store = Store(folder)
    client = client_of(store)
    for user in ("early", "late one"):
        for trial in plan(client, slug, user)["trials"]:
            assert (
                client.post(f"/api/s/{slug}/votes", json=ballot(user, trial["id"]), headers=ORIGIN).status_code == 200
            )
        with sqlite3.connect(folder / "studio.db") as database:
            if user == "early":
                database.execute("UPDATE votes SET created = '2026-01-02T10:00:00.000+00:00'")
        database.close()
    store.close()


def test_the_results_page_says_what_was_resampled(tmp_path: Path) -> None:
    _, one, other = make_folders(tmp_path, 2)
    sound, _ = soundfile.read(other / "clip00.wav", dtype="float32")
    soundfile.write(other / "clip00.wav", sound[::2], 8000)
    report = tmp_path / "report.html"
    options = ["--store", tmp_path / "store", "--trials", 2, "--no-serve"]
    done = run("compare", one, other, *options)
    assert done.err.count("zebra from 8 to 16 kHz in 1 of 2 clips") == 1
    assert run("compare", "--store", tmp_path / "store", "--export", report).status == 0
    told = node("report.mjs", report)
    assert (
        "Recordings were resampled, so that all of a clip plays at its highest rate: zebra from 8 to"
        in told["texts"][0]
    )


def test_the_results_page_counts_what_there_is_and_says_what_was_asked(tmp_path: Path) -> None:
    inputs, one, other = make_folders(tmp_path, 8, seconds=0.4)
    store = Store(tmp_path / "store")
    client = client_of(store)
    reports = []

    def sitting(options: Options, raters: int, choice: str, rows: tuple[str, ...]) -> str:
        session = add(store, str(one), str(other), clips=inputs, options=options)
        for user in [f"r{i}" for i in range(raters)]:
            for trial in plan(client, session["slug"], user)["trials"]:
                known = store.trial(trial["id"])
                assert known is not None
                side = "both" if known["kind"] == "trap" else "1" if known["first"] == choice else "2"
                side = known["x_side"] if rows == ("abx",) else side
                heard = {"1": 900, "2": 900, **({"x": 900} if rows == ("abx",) else {})}
                body = ballot(user, trial["id"], heardMs=heard, plays=dict.fromkeys(heard, 1))
                body["votes"] = [
                    {**body["votes"][0], "uid": str(uuid.uuid4()), "dimension": r, "side": side} for r in rows
                ]
                answer = client.post(f"/api/s/{session['slug']}/votes", json=body, headers=ORIGIN)
                assert answer.status_code == 200, answer.text
        reports.append(tmp_path / f"{len(reports)}.html")
        export(store, session, reports[-1])
        return str(session["slug"])

    rows = ("champion", "intelligibility")
    sitting(Options(repeats=1, traps=1, length=8), 3, "a", rows)
    sitting(Options(repeats=0, traps=0, length=1, blind=False), 2, "a", rows)
    sitting(Options(repeats=0, traps=0, length=6, mode="abx"), 1, "a", ("abx",))
    sitting(Options(repeats=0, traps=0, length=1), 1, "b", ("champion",))
    store.close()
    agreed, opened, abx, single = node("report.mjs", *reports)["texts"]
    assert "48 votes by 3 raters on 8 clips" in agreed
    assert (
        "; 12 of these 48, on pairs shown twice or of twice the same audio, are checks and count in no share" in agreed
    )
    # Six pairs a rater, one of them twice and one a trap, two rows each.
    assert "3 pairs shown twice: 6 of 6 answers the same (100 %; by chance 100 %)." in agreed
    assert "3 pairs of twice the same audio: 6 of 6 answers found both equal." in agreed
    assert "every answer is the same, so Krippendorff's alpha has no chance to compare with" in agreed
    assert "rated by two yet" not in agreed
    # One interval, that of the sentence, beside its owner's name.
    interval = re.search(r"walrus is preferred for intelligibility \(18 of 18, 95 % interval (\d+ to 100 %)\)", agreed)
    assert interval is not None
    assert f"walrus: {interval[1]}" in agreed
    assert "0 votes by 0 raters" in opened
    assert "4 answers given while the models' names showed, which do not count." in opened
    lines = [line for line in abx.splitlines() if line]
    assert lines[lines.index("In words") + 1].startswith(
        "ABX: X was named rightly 6 of 6 times (p = 0.031): they can be"
    )
    assert "no decisive vote yet" not in abx
    assert "Win share" not in abx
    assert "1 vote by 1 rater on 8 clips" in single
    # Two raters and fewer are warned of beside the table too.
    assert "One or two raters voted" not in agreed
