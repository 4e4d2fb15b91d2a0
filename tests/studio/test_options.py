"""The command's options: none is taken and ignored, and a sitting is as long as it was asked for."""

from __future__ import annotations

import argparse
import itertools
import os
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

pytest.importorskip("rtvoice_studio.server", reason="rtvoice-studio is not installed (pip install ./studio)")

from commands import run  # noqa: E402
from rtvoice.audio import AudioError  # noqa: E402
from rtvoice.cli import compare, console  # noqa: E402
from rtvoice_studio import command  # noqa: E402
from rtvoice_studio.plan import make_trials  # noqa: E402
from studio_sounds import make_folders  # noqa: E402


def refused(*words: object) -> str:
    """Run the command in this process; return why it was refused."""
    parser = argparse.ArgumentParser()
    compare.configure(parser)
    with pytest.raises(console.CommandError) as caught:
        compare.run(parser.parse_args([str(word) for word in words]))
    return str(caught.value)


@pytest.mark.parametrize(
    "words",
    [
        ["--clips", "."],
        ["--target", "."],
        ["--baseline", "x"],
        ["--mode", "abx"],
        ["--dimensions", "rows.toml"],
        ["--trials", "25"],
        ["--repeats", "0"],
        ["--traps", "0"],
        ["--heard", "2"],
        ["--open"],
        ["--in-order"],
    ],
)
def test_what_belongs_to_a_new_comparison_is_refused_without_two_systems(words: list[str], tmp_path: Path) -> None:
    told = refused(*words, "--store", tmp_path)
    assert told.startswith(f"{words[0]} belongs to a new comparison: name the two systems")
    assert "leave it out" in told


def test_the_refusal_is_one_line(tmp_path: Path) -> None:
    done = run("compare", "--clips", ".", "--store", tmp_path)
    assert (done.status, done.err.count("\n")) == (2, 1), done.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["a", "b", "--session", "x"], "--session is of sessions that were prepared before"),
        (["a", "b", "--list"], "--list is of sessions that were prepared before"),
        (["--list", "--export", "report.html"], "leave --export out"),
        (["--list", "--measure"], "leave --measure out"),
    ],
)
def test_options_that_exclude_each_other_are_refused(words: list[str], told: str, tmp_path: Path) -> None:
    assert told in refused(*words, "--store", tmp_path)


@pytest.mark.parametrize(("asked", "kinds"), [(1, "plain"), (3, "plain"), (8, "plain repeat trap")])
def test_a_short_sitting_is_all_pairs_and_as_long_as_asked(asked: int, kinds: str, tmp_path: Path) -> None:
    inputs, plain, hissing = make_folders(tmp_path, 9, seconds=0.3)
    done = run("compare", plain, hissing, "--clips", inputs, "--store", tmp_path / "s", "--trials", asked, "--no-serve")
    assert done.status == 0, done.err
    store = command.Store(tmp_path / "s")
    trials = store.trials(store.sessions()[0], "ann")
    store.close()
    assert len(trials) == asked
    assert {trial["kind"] for trial in trials} == set(kinds.split())


@pytest.mark.parametrize(("clips", "kinds"), [(3, "plain"), (7, "plain"), (8, "plain repeat trap")])
def test_a_sitting_of_few_clips_is_all_pairs_unless_others_are_asked_for(
    clips: int, kinds: str, tmp_path: Path
) -> None:
    inputs, plain, hissing = make_folders(tmp_path, clips, seconds=0.3)
    store = command.Store(tmp_path / "s")
    trials = store.trials(command.add(store, str(plain), str(hissing), clips=inputs), "ann")
    assert {trial["kind"] for trial in trials} == set(kinds.split())
    assert len(trials) == clips + (3 if "trap" in kinds else 0)
    asked = command.add(store, str(plain), str(hissing), clips=inputs, options=command.Options(traps=1))
    assert [trial["kind"] for trial in store.trials(asked, "ann")].count("trap") == 1
    store.close()


def test_every_sitting_has_the_pairs_repeats_and_traps_that_were_asked_for() -> None:
    tried = 0
    for length, repeats, traps in itertools.product(range(1, 13), range(5), range(4)):
        try:
            command.Options(length=length, repeats=repeats, traps=traps).plain()
        except ValueError:
            continue
        for clips in (1, 2, 5, 30):
            trials = make_trials(range(clips), "ann", "s", b"secret", length=length, repeats=repeats, traps=traps)
            kinds = [trial.kind for trial in trials]
            assert len(trials) == min(length, clips + kinds.count("repeat") + kinds.count("trap"))
            if clips == 30:
                assert (len(trials), kinds.count("repeat"), kinds.count("trap")) == (length, repeats, traps)
            tried += 1
    assert tried > 200
    with pytest.raises(ValueError, match="too many of 6 trials"):
        command.Options(length=6, repeats=3, traps=0).plain()


@pytest.mark.skipif(os.name == "nt", reason="there, which process runs cannot be asked without ending it")
def test_what_a_killed_process_left_half_written_is_removed_at_the_next_start(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    command.Store(tmp_path).close()
    for folder in ("audio", "renders"):
        (tmp_path / folder).mkdir()
    left = [tmp_path / folder / f".a.wav.{gone.pid}-123456.part" for folder in ("audio", "renders", ".")]
    kept = [tmp_path / "audio" / f".a.wav.{os.getpid()}-123456.part", tmp_path / "audio" / "a.wav"]
    kept += [tmp_path / f"measuring-{os.getpid()}-x", tmp_path / "audio" / "of-a-person.part"]
    folder = tmp_path / f"measuring-{gone.pid}-x"
    for path in [*left, kept[0], kept[1], kept[3]]:
        path.write_bytes(b"half")
    for path in (folder / "of-a", kept[2]):
        path.mkdir(parents=True)
    command.Store(tmp_path).close()
    assert not [path for path in [*left, folder] if path.exists()]
    assert [path for path in kept if path.exists()] == kept


def test_stores_that_are_made_by_several_at_once_are_one(tmp_path: Path) -> None:
    for i in range(10):
        stores = [command.Store(tmp_path / str(i)) for _ in range(6)]
        with ThreadPoolExecutor(6) as pool:
            assert len(set(pool.map(lambda store: store.secret, stores))) == 1
        for store in stores:
            store.close()


def test_a_store_waits_for_another_that_is_being_made(tmp_path: Path) -> None:
    # SQLite does not wait here of itself: who switches to a log of writes while another writes is refused at once.
    other = sqlite3.connect(tmp_path / "studio.db", isolation_level=None, check_same_thread=False)
    other.execute("CREATE TABLE others (id INTEGER)")
    other.execute("BEGIN IMMEDIATE")
    release = threading.Timer(0.3, other.rollback)
    release.start()
    store = command.Store(tmp_path)
    assert store.secret
    release.join()
    store.close()
    other.close()


def test_a_refused_command_leaves_no_store_behind(tmp_path: Path) -> None:
    inputs, plain, hissing = make_folders(tmp_path, 1)
    store = tmp_path / "store"
    with pytest.raises(ValueError, match="are the same"):
        refused(plain, plain, "--store", store)
    with pytest.raises(ValueError, match="is neither of the two"):
        refused(plain, hissing, "--baseline", "x", "--store", store)
    (inputs / "clip00.wav").write_text("no sound")
    with pytest.raises(AudioError, match="cannot be read"):
        refused(plain, hissing, "--clips", inputs, "--store", store)
    assert "holds no session yet" in refused("--export", tmp_path / "report.html", "--store", store)
    assert "holds no session abc" in refused("--session", "abc", "--store", store)
    opened = command.Store(store)
    with pytest.raises(ValueError, match="was ever compared"):
        command.find_champion(opened, "best", "nobody", "default")
    assert command.listed(opened) == []
    opened.close()
    assert not list(store.glob("studio.db*"))
    assert run("compare", plain, hissing, "--store", store, "--no-serve").status == 0
    assert (store / "studio.db").is_file()


@pytest.mark.parametrize("words", [["--list"], ["--list", "--json"], ["--session", "abc"], []])
def test_looking_into_a_store_that_is_not_there_is_an_error_and_makes_none(words: list[str], tmp_path: Path) -> None:
    store = tmp_path / "nowhere"
    done = run("compare", *words, "--store", store)
    assert (done.status, done.err.count("\n")) == (1, 1)
    assert f"--store {store}: no such folder" in done.err
    done = run("compare", *words, RTVOICE_COMPARE=str(store))
    assert (done.status, done.err.count("\n")) == (1, 1)
    assert f"{store} holds no session yet" in done.err
    assert not store.exists()


@pytest.mark.parametrize("clips", [1, 3, 5, 6])
def test_which_system_is_model_1_once_more_is_drawn_for_each_rater(clips: int) -> None:
    firsts = []
    for rater in range(200):
        trials = make_trials(range(clips), f"r{rater}", "s", b"secret", length=25, repeats=0, traps=0)
        firsts.append(sum(trial.first == "a" for trial in trials))
    # As near to even as the number allows, and of an odd one either half: 100 of 200, five standard errors are 35.
    assert set(firsts) == {clips // 2, (clips + 1) // 2}
    assert clips % 2 == 0 or 65 <= sum(first > clips / 2 for first in firsts) <= 135
    ordered = make_trials(range(clips), "ann", "s", b"x", length=25, repeats=0, traps=0, randomise=False)
    assert {trial.first for trial in ordered} == {"a"}
