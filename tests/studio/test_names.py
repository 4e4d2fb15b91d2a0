"""Systems of one name: two folders called wav, two runs called out, one folder rendered twice."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import soundfile

pytest.importorskip("rtvoice_studio.server", reason="rtvoice-studio is not installed (pip install ./studio)")

from commands import run  # noqa: E402
from rtvoice_studio import command  # noqa: E402
from rtvoice_studio.tables import monitor_votes  # noqa: E402
from small_model import build_model  # noqa: E402
from studio_client import ORIGIN, ballot, client_of, plan  # noqa: E402
from studio_sounds import make_folders  # noqa: E402


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path, Path]:
    """Inputs, ``x/wav`` with three recordings and ``y/wav`` with five."""
    inputs, plain, hissing = make_folders(tmp_path, 5, seconds=0.3)
    for place in ("x", "y"):
        (tmp_path / place).mkdir()
    one, other = plain.rename(tmp_path / "x" / "wav"), hissing.rename(tmp_path / "y" / "wav")
    for name in ("clip03", "clip04"):
        (one / f"{name}.wav").unlink()
    return inputs, one, other


@pytest.mark.parametrize("turned", [False, True])
def test_two_folders_of_one_name_pair_by_what_is_in_each_and_are_told_apart(
    turned: bool, folders: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    one, other = (folders[2], folders[1]) if turned else folders[1:]
    done = run("compare", one, other, "--store", tmp_path / "store", "--no-serve", "--json")
    assert done.status == 0, done.err
    names = ("y/wav", "x/wav") if turned else ("x/wav", "y/wav")
    assert (done.json["a"], done.json["b"], done.json["clips"]) == (*names, 3)
    assert "2 of 5 clips are left out: x/wav lacks clip03, clip04" in done.err


def test_folders_around_are_named_as_far_as_they_differ(folders: tuple[Path, Path, Path], tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    (tmp_path / "q").mkdir()
    one = folders[1].parent.rename(tmp_path / "p" / "x") / "wav"
    shutil.copytree(folders[2], tmp_path / "q" / "x" / "wav")
    store = command.Store(tmp_path / "store")
    session = command.add(store, str(one), str(tmp_path / "q" / "x" / "wav"), clips=None)
    assert (session["name_a"], session["name_b"]) == ("p/x/wav", "q/x/wav")
    # A third one has a short name as long as that is enough; what is known keeps the name that it has.
    other = str(folders[2])
    assert command.add(store, other, str(folders[0]), clips=None)["name_a"] == "wav"
    session = command.add(store, other, str(one), clips=None)
    assert (session["name_a"], session["name_b"]) == ("y/wav", "p/x/wav")
    # Rendered anew, a folder is another system at the old place: where it lies tells nothing, a number does.
    for number, samples in ((2, 4700), (3, 4600)):
        sound, rate = soundfile.read(one / "clip00.wav")
        soundfile.write(one / "clip00.wav", sound[:samples], rate)
        assert command.add(store, str(one), str(folders[0]), clips=None)["name_a"] == f"p/x/wav #{number}"
    store.close()


def test_a_baseline_that_fits_both_is_refused_and_one_that_fits_is_taken(
    folders: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    _, one, other = folders
    words = ["compare", one, other, "--store", tmp_path / "store", "--no-serve", "--json", "--baseline"]
    done = run(*words, "wav")
    assert (done.status, done.err.count("\n")) == (1, 1)
    assert "--baseline wav fits both; name x/wav or y/wav" in done.err
    assert not list((tmp_path / "store").glob("studio.db*"))
    store = command.Store(tmp_path / "store")
    for named, side in (("y/wav", "b"), ("x/wav", "a"), (other, "b")):
        slug = run(*words, named).json["session"]
        session: Any = store.session(slug)
        assert session["baseline"] == side
    store.close()


def test_runs_and_files_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    inputs = make_folders(tmp_path, 2, seconds=0.3)[0]
    for i, place in enumerate(("first", "second")):
        out = tmp_path / place / "out"
        out.mkdir(parents=True)
        build_model(out / "default.rtv", name="small", gain=1 + i)
        (out / "run.json").write_text("{}")
    store = command.Store(tmp_path / "store")
    runs = [tmp_path / place / "out" for place in ("first", "second")]
    session = command.add(store, *map(str, runs), clips=inputs, costs=False)
    assert (session["name_a"], session["name_b"]) == ("first/out (default)", "second/out (default)")
    # The monitor's votes know which of the two won, too.
    client = client_of(store)
    trial = plan(client, session["slug"], "ann")["trials"][0]["id"]
    address = f"/api/s/{session['slug']}/votes"
    assert client.post(address, json=ballot("ann", trial), headers=ORIGIN).json() == {"saved": 1}
    (told,) = monitor_votes(store)
    assert told["winner"] in (told["model"], told["against"], "skip")
    assert told["model"] != told["against"]
    # Where it lies is nobody's business who gets a report.
    assert str(tmp_path) not in str(command.results(store, session))
    files = [tmp_path / f"{name}.rtv" for name in ("old", "new")]
    for i, path in enumerate(files):
        build_model(path, name="small", gain=3 + i)
    session = command.add(store, *map(str, files), clips=inputs, costs=False)
    assert (session["name_a"], session["name_b"]) == ("old.rtv: small (default)", "new.rtv: small (default)")
    store.close()
