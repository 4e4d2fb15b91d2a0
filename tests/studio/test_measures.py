"""What stands beside the votes: measures with their correlation, and what the systems cost."""

from __future__ import annotations

import json
import shutil
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

pytest.importorskip("rtvoice_studio.server", reason="rtvoice-studio is not installed (pip install ./studio)")

from rtvoice.evaluate.measures import MAIN  # noqa: E402
from rtvoice_studio import command  # noqa: E402
from rtvoice_studio.measures import WORDS  # noqa: E402
from rtvoice_studio.results import results  # noqa: E402
from rtvoice_studio.stats import spearman  # noqa: E402
from rtvoice_studio.store import Row, Store  # noqa: E402
from speech_like import listeners, voice_like  # noqa: E402
from studio_node import lacking, node  # noqa: E402
from studio_sounds import RATE  # noqa: E402

NO_BROWSER = lacking("playwright-core") or (
    None if shutil.which("chromium") else "chromium is not installed (apt-get install chromium)"
)

CLIPS = 8


def add_votes(store: Store, session: Row, rater: str, choose: Any) -> None:
    """Vote on every pair as `choose(clip)` says: a, b or both."""
    names = {clip["id"]: clip["name"] for clip in store.clips(session["id"])}
    for trial in store.trials(session, rater):
        choice = choose(names[trial["clip"]])
        side = choice if choice == "both" else "1" if choice == trial["first"] else "2"
        store.add_votes(
            [
                {
                    **{"uid": str(uuid.uuid4()), "trial": trial["id"], "dimension": "champion", "side": side},
                    **{"choice": choice, "blind": True, "mode": "rows", "plays": {}, "heard_ms": {}, "dwell_ms": 1.0},
                    **{"matched": True, "device": "", "version": ""},
                }
            ]
        )


@pytest.fixture
def session(tmp_path: Path) -> tuple[Store, Row]:
    """A is the input itself; B is muffled, the more the later the clip."""
    folders = {name: tmp_path / name for name in ("in", "clear", "muffled")}
    for folder in folders.values():
        folder.mkdir()
    for i in range(CLIPS):
        voice = voice_like(1.4, 120 + 10 * i, seed=i)
        dull = np.convolve(voice, np.ones(1 + 2 * i) / (1 + 2 * i), "same")
        for name, sound in zip(folders, (voice, voice, dull), strict=True):
            soundfile.write(folders[name] / f"<{i}> #clip@.wav", sound, RATE)
    store = command.Store(tmp_path / "store")
    options = command.Options(traps=0, repeats=0)
    return store, command.add(
        store, str(folders["clear"]), str(folders["muffled"]), clips=folders["in"], options=options
    )


def test_measures_stand_beside_the_votes_with_their_correlation(session: tuple[Store, Row]) -> None:
    store, row = session
    command.measure(store, row, listen_with=listeners())
    assert not list(store.folder.glob("measuring-*"))
    # The more a clip is muffled the fewer votes it gets, and the lower its stand-in for an opinion, its peak.
    add_votes(store, row, "ann", lambda name: "a" if int(name[1]) > 5 else "b" if int(name[1]) < 2 else "both")
    told = results(store, row)["measures"]
    json.dumps(told, allow_nan=False)
    by_name = {measure["name"]: measure for measure in told["rows"]}
    assert set(told["unavailable"]) == {"similarity_resemblyzer", "similarity_dvector"}
    assert "--target" in told["unavailable"]["similarity_dvector"]
    pitch = by_name["f0_correlation"]
    assert pitch["a"] == pitch["source"] == 1.0
    assert pitch["better"] == "a"
    assert by_name["per"]["low_is_good"]
    assert by_name["per"]["better"] is None
    opinion = by_name["distillmos"]
    found = opinion["votes"]
    assert opinion["better"] == "a"
    assert found["champion"]["clips"] == CLIPS
    assert found["champion"]["rho"] > 0.8
    assert found["champion"]["low"] > 0.3
    assert found["energy"] == {"rho": None, "low": None, "high": None, "clips": 0}
    store.close()


@pytest.mark.skipif(NO_BROWSER is not None, reason=NO_BROWSER or "")
def test_the_page_names_measures_in_words_with_their_units(session: tuple[Store, Row], tmp_path: Path) -> None:
    store, row = session
    assert set(WORDS) == set(MAIN)
    figures = {"a": 1.5, "b": 2.5, "source": 0.0, "interval_a": None, "interval_b": None, "low_is_good": True}
    rows = [{"name": name, **figures} for name in MAIN[2:]]
    store.add_measures(row["id"], {"rows": rows, "each": {}, "unavailable": {MAIN[0]: "no target"}, "clips": CLIPS})
    command.export(store, store.sessions()[0], tmp_path / "report.html")
    (text,) = node("report.mjs", tmp_path / "report.html")["texts"]
    assert all(WORDS[name] in text for name in MAIN[2:])
    assert not any(word in text for word in ("wer_delta", "wer delta", "vuv"))
    store.close()


def test_without_an_input_there_is_nothing_to_measure_against(session: tuple[Store, Row], tmp_path: Path) -> None:
    store = session[0]
    row = command.add(store, str(tmp_path / "clear"), str(tmp_path / "muffled"), clips=None)
    with pytest.raises(ValueError, match="--clips"):
        command.measure(store, row, listen_with=listeners())
    store.close()


def test_the_rank_correlation_is_spearmans_and_its_interval_covers() -> None:
    assert spearman([1, 2, 3, 4, 5, 6], [10, 20, 30, 40, 50, 70]).rho == 1.0
    # Equal values share their ranks.
    worked = spearman([1, 2, 3, 4, 5, 6], [2, 2, 1, 5, 5, 7])
    ranks = np.array([2.5, 2.5, 1, 4.5, 4.5, 6])
    assert worked.rho == pytest.approx(np.corrcoef(np.arange(1, 7), ranks)[0, 1])
    assert spearman([1, 2, 3], [1, 2, 3]).rho is None
    assert spearman([1.0] * 9, list(range(9))).rho is None
    generator = np.random.default_rng(1)
    truth = 6 / np.pi * np.arcsin(0.6 / 2)  # of two normal variables that correlate by 0.6
    hits = 0
    for _ in range(400):
        one = generator.normal(size=25)
        other = 0.6 * one + 0.8 * generator.normal(size=25)
        found = spearman(list(one), list(other))
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= truth <= found.high
    # 400 tell 95 % to 1.1 points.
    assert 0.915 <= hits / 400 <= 0.985
