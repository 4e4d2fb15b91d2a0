"""The data report has the material's figures, and its page stands alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import soundfile

from rtvoice.train.data import find_recordings, prepare, report


class Page(HTMLParser):
    """Collects what a page refers to, and whether its elements close."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.open: list[str] = []
        self.bars = 0

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attributes if name in {"src", "href"}]
        self.bars += tag == "rect"
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture
def prepared_folder(recordings_folder: Path, tmp_path: Path, voice: Callable[..., np.ndarray]) -> Path:
    soundfile.write(recordings_folder / "ann" / "silent <b>.wav", np.zeros(48000), 16000)
    soundfile.write(recordings_folder / "bob" / "noisy.wav", voice(2.0, 16000, noise=0.1), 16000)
    prepare(find_recordings(recordings_folder), tmp_path / "out")
    return tmp_path / "out"


def test_the_figures_are_those_of_the_material(prepared_folder: Path, tmp_path: Path) -> None:
    made = report(prepared_folder, tmp_path / "data.html")
    assert json.loads((tmp_path / "data.json").read_text()) == made
    assert made["clips"] == 8 and made["speakers"] == 2
    assert made["hours"] * 3600 == pytest.approx(8 * 2.2, abs=4)
    one = made["collections"]["my_speech"]
    assert one["with_text"] == 1
    assert one["f0"]["p5"] == pytest.approx(115, rel=0.06) and one["f0"]["p95"] == pytest.approx(220, rel=0.06)
    assert 0 < one["held_out"]["clips"] < 8
    pitch = made["histograms"]["f0_median"]
    assert sum(pitch["counts"]["my_speech"]) == 8
    assert [bool(count) for count in pitch["counts"]["my_speech"]].count(True) <= 4
    assert made["rejected"]["count"] == 2
    assert set(made["rejected"]["reasons"]) == {"silent", "too noisy"}
    assert made["rejected"]["hours"] * 3600 == pytest.approx(5, abs=2)


def test_the_page_stands_alone_and_shows_names_as_they_are(prepared_folder: Path, tmp_path: Path) -> None:
    report(prepared_folder, tmp_path / "deep" / "data.html")
    text = (tmp_path / "deep" / "data.html").read_text()
    page = Page()
    page.feed(text)
    assert page.open == [] and page.links == [] and "http" not in text
    assert page.bars >= 4
    assert "silent &lt;b&gt;.wav" in text and "<b>" not in text


def test_a_thin_material_is_remarked_on(tmp_path: Path, voice: Callable[..., np.ndarray]) -> None:
    (tmp_path / "me").mkdir()
    for take in range(2):
        soundfile.write(tmp_path / "me" / f"{take}.wav", voice(3.0, 16000, seed=take, noise=0.015), 16000)
    prepare(find_recordings(tmp_path / "me", speaker="me"), tmp_path / "out")
    remarks = " / ".join(report(tmp_path / "out", tmp_path / "r.html")["remarks"])
    assert "minutes of one voice" in remarks
    assert "under 20 dB" in remarks
    assert "will sound dull" in remarks
