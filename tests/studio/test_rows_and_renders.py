"""What a session is made of: the rows of the page, and what the engine renders for it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

pytest.importorskip("rtvoice_studio.server", reason="rtvoice-studio is not installed (pip install ./studio)")

from rtvoice.render import render_file  # noqa: E402
from rtvoice_studio import command, dimensions  # noqa: E402
from rtvoice_studio.results import words  # noqa: E402
from rtvoice_studio.stats import Vote, detectable, win_share  # noqa: E402
from small_model import build_model  # noqa: E402
from speech_like import voice_like  # noqa: E402
from studio_sounds import RATE  # noqa: E402

ROOT = Path(__file__).parents[2]


def test_the_seven_rows_come_with_it() -> None:
    rows = dimensions.read_dimensions()
    assert [row.label for row in rows] == [
        "Champion",
        "Intelligibility",
        "Energy",
        "Precision",
        "Input fidelity",
        "Voice profile fidelity",
        "Heavyweight champion",
    ]
    assert [row.key for row in rows if row.weight == 2] == ["heavyweight"]
    assert [row.key for row in rows if not row.match_loudness] == ["energy"]
    assert all(row.definition and "\n" not in row.definition for row in rows)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[[dimension]", "is not TOML"),
        ("", "has no [[dimension]]"),
        ("[[dimension]]\nlabel = 'Warmth'", "key must be"),
        ("[[dimension]]\nkey = 'warmth'", "label must be"),
        ("[[dimension]]\nkey = 'abx'\nlabel = 'Same?'", "ABX test's own"),
        ("[[dimension]]\nkey = 'warmth'\nlabel = 'Warmth'\nweigth = 2", "'weigth' is unknown"),
        ("[[dimension]]\nkey = 'warmth'\nlabel = 'Warmth'\nweight = 0", "weight must be"),
        ("[[dimension]]\nkey = 'warmth'\nlabel = 'Warmth'\n" * 2, "stands twice"),
        ("[[dimension]]\nkey = 'warmth'\nlabel = '  '", "label must be"),
        ("[[dimension]]\nkey = 'warmth'\nlabel = '\u200d'", "label must be"),
        ('[[dimension]]\nkey = "warmth"\nlabel = "War\\nmth"', "label must be"),
        ('[[dimension]]\nkey = "warmth"\nlabel = "War\\u0000mth"', "label must be"),
        ('[[dimension]]\nkey = "warmth"\nlabel = "War\\u202emth"', "label must be"),
        ('[[dimension]]\nkey = "warmth"\nlabel = "Warmth"\ndefinition = "a\\nb"', "definition must be one line"),
        ("[[dimension]]\nkey = 'a'\nlabel = 'Warmth'\n[[dimension]]\nkey = 'b'\nlabel = 'warmth '", "have the label"),
        ("mode = 'abx'\n[[dimension]]\nkey = 'warmth'\nlabel = 'Warmth'", "'mode' is unknown"),
    ],
)
def test_rows_of_ones_own_are_checked(text: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match="rows.toml") as caught:
        dimensions.read_dimensions(path)
    assert told in str(caught.value)


def test_a_result_reads_as_a_sentence() -> None:
    votes = [Vote("ann", f"c{i}", "intelligibility", "b" if i < 17 else "a") for i in range(21)]
    share = win_share(votes)
    told = words(share, "Intelligibility", "old", "new", detectable(share))
    assert told.startswith("new is preferred for intelligibility (17 of 21, 95 % interval ")
    own = words(share, "F0 MOS", "old", "new", detectable(share))
    assert own.startswith("new is preferred for F0 MOS (")
    assert told.endswith("this session could only have detected a preference of 81 % or more.")


@pytest.mark.parametrize(
    ("raters", "clips", "against", "preferred", "ends"),
    [
        # Shown, and above what such a session shows four times of five.
        (6, 3, 0, True, "this session could only have detected a preference of 91 % or more."),
        # Shown, and below it: it was detected, so nobody says that it could not be.
        (3, 5, 1, True, "a session like this detects a preference of 95 % or more four times of five."),
        (3, 5, 0, True, "this session could only have detected a preference of 95 % or more."),
        (3, 3, 0, True, "this session could only have detected a preference of 97 % or more."),
        (1, 5, 0, False, "these votes could not have shown even a preference of 100 %."),
    ],
)
def test_a_sentence_does_not_deny_itself(raters: int, clips: int, against: int, preferred: bool, ends: str) -> None:
    pairs = [(r, c) for r in range(raters) for c in range(clips)]
    share = win_share([Vote(f"r{r}", f"c{c}", "champion", "ab"[i >= against]) for i, (r, c) in enumerate(pairs)])
    told = words(share, "Champion", "old", "new", detectable(share))
    assert told.startswith("new is preferred" if preferred else "No preference shown")
    assert told.endswith(ends)


def test_what_was_shown_is_not_said_to_be_beyond_the_votes() -> None:
    share = win_share([Vote("ann", f"c{i}", "champion", "b" if i < 18 else "a") for i in range(21)])
    assert words(share, "Champion", "old", "new", None).endswith("as a rule votes like these show none.")
    assert words(share, "Champion", "old", "new", 0.97).endswith("a preference of 97 % or more four times of five.")


@pytest.fixture
def models(tmp_path: Path) -> tuple[Path, Path, Path]:
    """Two models and a folder with one clip."""
    paths = [tmp_path / f"{name}.rtv" for name in ("one", "two")]
    for path in paths:
        build_model(path, name=path.stem)
    clips = tmp_path / "in"
    clips.mkdir()
    soundfile.write(clips / "clip.wav", voice_like(0.6, 140), RATE, subtype="FLOAT")
    return paths[0], paths[1], clips


def test_a_model_is_rendered_as_a_host_calls_it_in_time_and_once(
    models: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    one, two, clips = models
    store = command.Store(tmp_path / "store")
    told: list[float] = []
    session = command.add(store, str(one), str(two), clips=clips, progress=told.append, costs=False)
    assert told[-1] == 1.0
    (clip,) = store.clips(session["id"])
    render_file(clips / "clip.wav", tmp_path / "wanted.wav", one)
    wanted, _ = soundfile.read(tmp_path / "wanted.wav", dtype="float32", always_2d=True)
    got, rate = soundfile.read(
        store.folder / "audio" / f"{clip['data']['sounds']['a']}.wav", dtype="float32", always_2d=True
    )
    np.testing.assert_array_equal(got, wanted[: len(got)])
    assert (rate, len(got)) == (RATE, round(0.6 * RATE))
    renders = {path: path.stat().st_mtime_ns for path in (store.folder / "renders").iterdir()}
    command.add(store, str(one), str(two), clips=clips, costs=False)
    assert {path: path.stat().st_mtime_ns for path in (store.folder / "renders").iterdir()} == renders
    assert len(renders) == 2
    store.close()


def test_the_demo_prepares_two_tiers_of_a_shipped_skin_for_a_whole_sitting(tmp_path: Path) -> None:
    words = [sys.executable, ROOT / "scripts" / "demo_compare.py", "--store", tmp_path, "--no-serve", "--json"]
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["a"], told["b"]) == ("whisper (default)", "whisper (hq)")
    # 22 of Debian's prompts, or the pieces of the shipped recordings where those are not installed.
    assert 10 <= told["clips"] <= 22
    store = command.Store(tmp_path)
    kinds = [trial["kind"] for trial in store.trials(store.sessions()[0], "ann")]
    assert (len(kinds), kinds.count("repeat"), kinds.count("trap")) == (told["clips"] + 3, 2, 1)
    assert len(store.costs()) == 2
    store.close()


def test_the_page_is_there_before_what_its_models_cost(models: tuple[Path, Path, Path], tmp_path: Path) -> None:
    one, two, clips = models
    line = [
        Path(sys.executable).with_name("rtvoice"),
        "compare",
        one,
        two,
        "--clips",
        clips,
        "--store",
        tmp_path / "store",
    ]
    serving = subprocess.Popen([*map(str, line), "--no-browser"], stdout=subprocess.PIPE, text=True)
    with serving:
        try:
            assert serving.stdout is not None
            assert serving.stdout.readline().startswith("session ")
            store = command.Store(tmp_path / "store")
            for _ in range(600):
                if len(store.costs()) == 2:
                    break
                time.sleep(0.05)
            assert len(store.costs()) == 2
            json.dumps(store.costs(), allow_nan=False)
            store.close()
        finally:
            serving.kill()
