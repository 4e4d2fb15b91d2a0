"""A new skin from a folder of recordings: what is looked at, the consent it needs, the recipe it gets."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

for package in ("torch", "soundfile"):
    pytest.importorskip(package, reason="the train extra is not installed")

import soundfile  # noqa: E402

from rtvoice.train import newskin  # noqa: E402
from rtvoice.train.newskin import UsageError, measure_recordings, write_recipe  # noqa: E402
from rtvoice.train.recipe import RecipeError, load  # noqa: E402
from trainer import environment, run_here  # noqa: E402

CONSENT = 'I, "Ann" Lee, agree that a model of my voice is made for this test.'
TEMPLATE = """\
# $minutes minutes, costs $$5
[skin]
name = $name
consent = $consent
data = $target
stages = "tiny_stages"
tiers = ["default"]
[prepare]
examples = 64
[master]
phases = [{ steps = 3 }]
[student]
phases = [{ steps = 3 }]
"""


@pytest.fixture
def voice(tmp_path: Path) -> Path:
    """Two minutes in two formats and rates, one file that is no sound, one that does not try to be."""
    folder = tmp_path / "voice"
    (folder / "more").mkdir(parents=True)
    noise = np.random.default_rng(0).normal(0, 0.1, 60 * 16000)
    soundfile.write(folder / "a.wav", noise, 16000)
    soundfile.write(folder / "more" / "b.flac", noise[: 60 * 8000], 8000)
    (folder / "broken.wav").write_bytes(b"RIFF no")
    (folder / "notes.txt").write_text("no sound")
    return folder


def test_any_rate_and_format_counts_and_what_cannot_be_read_is_named(voice: Path) -> None:
    found = measure_recordings(voice)
    assert (found.files, found.seconds) == (2, 120.0)
    assert [path for path, _ in found.rejected] == ["broken.wav"]


def test_the_recipe_holds_the_statement_word_for_word(voice: Path, tmp_path: Path) -> None:
    path = write_recipe(voice, "ann", CONSENT, template=TEMPLATE, folder=tmp_path)
    recipe = load(path)
    assert (recipe.skin.name, recipe.skin.consent, recipe.skin.data) == ("ann", CONSENT, str(voice))
    assert recipe.text.startswith('# "2.0" minutes, costs $5')
    assert write_recipe(voice, "ann", CONSENT, template=TEMPLATE, folder=tmp_path) == path  # the same again: kept
    path.write_text(path.read_text().replace("examples = 64", "examples = 65"))
    with pytest.raises(RecipeError, match="is there already"):
        write_recipe(voice, "ann", CONSENT, template=TEMPLATE, folder=tmp_path)


@pytest.mark.parametrize("consent", [None, "", "  ", "yes"])
def test_there_is_no_skin_without_consent(voice: Path, tmp_path: Path, consent: str | None) -> None:
    with pytest.raises(UsageError, match="only with the speaker's consent"):
        write_recipe(voice, "ann", consent, template=TEMPLATE, folder=tmp_path)
    assert not (tmp_path / "ann.toml").exists()


def test_the_statement_may_lie_with_the_recordings(voice: Path, tmp_path: Path) -> None:
    (voice / "consent.txt").write_text(CONSENT + "\n")
    assert load(write_recipe(voice, "ann", None, template=TEMPLATE, folder=tmp_path)).skin.consent == CONSENT


def test_too_little_sound_is_refused_and_little_is_warned_of(
    voice: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_recipe(voice, "ann", CONSENT, template=TEMPLATE, folder=tmp_path)
    assert "worse than with 10 to 60 minutes" in capsys.readouterr().err
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(RecipeError, match="0 recordings of 0 s in all; a skin needs 10 to 60 minutes"):
        write_recipe(empty, "ann", CONSENT, template=TEMPLATE, folder=tmp_path)
    with pytest.raises(RecipeError, match="no such folder"):
        write_recipe(tmp_path / "none", "ann", CONSENT, template=TEMPLATE)


def test_one_command_trains_it_and_the_consent_reaches_the_stages(
    voice: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(newskin, "_template", lambda: TEMPLATE)
    words = ("--target", voice, "--name", "ann", "--cache", tmp_path / "cache", "--out", tmp_path / "out")
    assert run_here(*words) == 2
    assert "--consent" in capsys.readouterr().err
    assert run_here(*words, "--consent", CONSENT, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["skin"] == "ann" and told["products"] == [str(tmp_path / "out" / "ann" / "default.txt")]
    assert load(tmp_path / "ann.toml").skin.consent == CONSENT


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_a_terminal_is_asked_for_consent_and_shown_a_bar(voice: Path, tmp_path: Path, recipe: Path) -> None:
    import pty

    pytest.importorskip("rich")
    (tmp_path / "run.py").write_text(
        "import sys\nfrom rtvoice.train import newskin\nfrom rtvoice.cli import run\n"
        f"newskin._template = lambda: {TEMPLATE!r}\nsys.exit(run(sys.argv[1:]))\n"
    )
    pid, terminal = pty.fork()
    if pid == 0:  # pragma: no cover
        os.chdir(tmp_path)
        words = ["train", "--target", str(voice), "--name", "ann", "--cache", str(tmp_path / "cache")]
        env = {**environment(TINY_SLEEP="0.1"), "TERM": "xterm", "COLUMNS": "100"}
        os.execve(sys.executable, [sys.executable, str(tmp_path / "run.py"), *words], env)
    shown = b""
    answered = False
    while True:
        try:
            block = os.read(terminal, 4096)
        except OSError:
            break
        if not block:
            break
        shown += block
        if not answered and b"> " in shown:
            os.write(terminal, CONSENT.encode() + b"\n")
            answered = True
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert status == 0, shown.decode(errors="replace")
    assert answered and b"do they agree that it is imitated" in shown
    assert b"master" in shown and b"100 %" in shown
    assert load(tmp_path / "ann.toml").skin.consent == CONSENT


def test_the_model_is_not_told_where_the_recordings_lie(voice: Path, tmp_path: Path) -> None:
    skin = load(write_recipe(voice, "ann", CONSENT, folder=tmp_path)).skin
    assert skin.data == "2 recordings of one speaker, 2.0 minutes"
