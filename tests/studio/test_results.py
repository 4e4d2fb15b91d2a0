"""What the results say in words, where it matters how the votes were come by."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("rtvoice_studio.server", reason="rtvoice-studio is not installed (pip install ./studio)")
pytest.importorskip("httpx", reason="httpx is not installed (the extra 'test')")

from commands import run  # noqa: E402
from rtvoice_studio import command  # noqa: E402
from rtvoice_studio.results import abx_words, order_words  # noqa: E402
from rtvoice_studio.standings import placed, whom  # noqa: E402
from rtvoice_studio.stats import Vote, league, order_bias  # noqa: E402
from studio_client import ORIGIN, ballot, client_of, plan  # noqa: E402
from studio_sounds import make_folders  # noqa: E402


def test_where_sides_were_not_drawn_a_bias_is_not_told_from_a_preference(tmp_path: Path) -> None:
    inputs, plain, hissing = make_folders(tmp_path, 9, seconds=0.3)
    store = command.Store(tmp_path / "store")
    client = client_of(store)
    told = {}
    for randomise in (False, True):
        options = command.Options(randomise=randomise, repeats=0, traps=0, heard_seconds=0.1)
        slug = command.add(store, str(plain), str(hissing), clips=inputs, options=options)["slug"]
        for user in ("ann", "bob"):
            for trial in plan(client, slug, user)["trials"]:
                client.post(f"/api/s/{slug}/votes", json=ballot(user, trial["id"]), headers=ORIGIN)
        told[randomise] = client.get(f"/api/s/{slug}/results").json()["order_words"]
    store.close()
    assert told[False].startswith("Sides were not drawn: Model 1 was walrus in every pair and got 18 of 18")
    assert "cannot be told from a preference" in told[False]
    assert "drawn evenly" not in told[False]
    assert told[True].startswith("Raters favour Model 1, whatever plays there: Model 1 got 18 of 18")
    assert told[True].endswith("Sides are drawn evenly, so shares lean towards one half.")
    assert order_words(order_bias([]), "walrus") == "No decisive vote yet."


def test_one_vote_places_a_system_nowhere() -> None:
    """It won its only pair: the table would have it first, of all that have been compared for hours."""
    others = [
        Vote(f"r{r}", f"c{c}", "d", "ab"[(c + r) % 2], system_a="p", system_b="q") for r in range(3) for c in range(9)
    ]
    told = league([*others, Vote("r0", "c0", "d", "a", system_a="r", system_b="q")])
    assert [(s.system, placed(s)) for s in told.standings if s.system == "r"] == [("r", False)]
    unanimous = league([Vote("r0", f"c{c}", "d", "a", system_a="p", system_b="q") for c in range(9)])
    assert all(placed(s) for s in told.standings if s.system != "r") and all(map(placed, unanimous.standings))


def test_a_league_of_one_or_two_raters_is_told_with_whom_it_speaks_of() -> None:
    def votes(raters: int, a: str, b: str) -> list[Vote]:
        return [
            Vote(f"r{r}", f"c{c}", "d", "ab"[c % 2], system_a=a, system_b=b) for r in range(raters) for c in range(4)
        ]

    assert whom(league(votes(3, "p", "q"))) is None
    alone = whom(league(votes(2, "p", "q")))
    assert alone is not None
    assert alone.startswith("One or two raters voted on all systems: the interval there is of these raters only.")
    mixed = whom(league(votes(3, "p", "q") + votes(1, "r", "q")))
    assert mixed is not None
    assert mixed.startswith("One or two raters voted on r: ")


def test_an_abx_test_says_whether_the_two_are_told_apart() -> None:
    assert abx_words(0, 0, 1.0) == "ABX: no answer yet."
    assert abx_words(6, 6, 0.03125) == "ABX: X was named rightly 6 of 6 times (p = 0.031): they can be told apart."
    assert "does not show that they can" in abx_words(4, 6, 0.6875)


def test_the_command_leads_with_the_abx_test(tmp_path: Path) -> None:
    inputs, plain, hissing = make_folders(tmp_path, 2, seconds=0.3)
    words = ["--clips", inputs, "--store", tmp_path / "store", "--mode", "abx", "--export", tmp_path / "r.html"]
    done = run("compare", plain, hissing, *words)
    assert done.out.splitlines()[0] == "ABX: no answer yet."
    assert "no decisive vote" not in done.out


@pytest.mark.skipif(sys.platform == "win32", reason="there a process cannot be asked to end")
@pytest.mark.parametrize("number", ["SIGTERM", "SIGINT"])
def test_a_server_that_is_asked_to_end_ends_without_a_word(number: str, tmp_path: Path) -> None:
    _, plain, hissing = make_folders(tmp_path, 1, seconds=0.3)
    store = tmp_path / "store"
    assert run("compare", plain, hissing, "--store", store, "--no-serve").status == 0
    words = [Path(sys.executable).with_name("rtvoice"), "compare", "--store", store, "--no-browser"]
    with subprocess.Popen(
        [str(word) for word in words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as serving:
        assert serving.stdout is not None
        assert serving.stderr is not None
        assert serving.stdout.readline().startswith("session ")
        assert serving.stdout.readline().startswith("open http://")
        serving.send_signal(getattr(signal, number))
        said = serving.stderr.read()
        assert serving.wait(60) == 0
    assert said == ""


@pytest.mark.skipif(sys.platform == "win32", reason="there a process cannot be asked to end")
def test_a_server_answers_by_the_time_it_tells_its_address(tmp_path: Path) -> None:
    # Asked to end at that moment it ends as at any other: told before it ran, it ended with a warning, or killed.
    script = """
import os, signal, sys
from pathlib import Path
from rtvoice_studio.command import Store, serve
signal.signal(signal.SIGINT, lambda *_: sys.exit("not yet running"))
def ready(address):
    assert signal.getsignal(signal.SIGINT).__name__ == "handle_exit", "not yet running"
    os.kill(os.getpid(), signal.SIGINT)
    print(address)
try:
    serve(Store(Path(sys.argv[1])), ready=ready)
except SystemExit:
    print("ended")
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("http://")
