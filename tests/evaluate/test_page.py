"""The page holds everything it shows: tables, pictures that decode, clips that play, and no address outside itself."""

from __future__ import annotations

import base64
import io
import json
import re
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from rtvoice.evaluate import Judgement, judge, page, pictures, signals
from small_model import build_model
from speech_like import listeners, voice_like, write_speakers


@pytest.fixture(scope="module")
def judgement(tmp_path_factory: pytest.TempPathFactory) -> Judgement:
    folder = tmp_path_factory.mktemp("page")
    speech = write_speakers(folder / "speech <b>", speakers=3)
    path = build_model(folder / "echo.rtv", name="echo<1>")
    return judge(path, speech=speech, cache=folder / "cache", listen_with=listeners(), jobs=1)


@pytest.fixture(scope="module")
def text(judgement: Judgement) -> str:
    return page.render(judgement)


def decoded(png: bytes) -> np.ndarray:
    """Return the shades of a palette PNG, every checksum checked."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    place, chunks = 8, {}
    while place < len(png):
        (size,) = struct.unpack(">I", png[place : place + 4])
        name, data = png[place + 4 : place + 8], png[place + 8 : place + 8 + size]
        assert struct.unpack(">I", png[place + 8 + size : place + 12 + size])[0] == zlib.crc32(name + data)
        chunks[name] = data
        place += 12 + size
    columns, rows, depth, kind, *_ = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    assert (depth, kind, len(chunks[b"PLTE"])) == (8, 3, 768)
    lines = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(rows, columns + 1)
    assert not lines[:, 0].any()
    return lines[:, 1:]


def test_a_tone_is_a_line_at_its_height() -> None:
    time = np.arange(signals.RATE) / signals.RATE
    shades = decoded(pictures.spectrogram(np.sin(2 * np.pi * 2000 * time).astype(np.float32)))
    assert shades.shape == (pictures.HEIGHT, pictures.WIDTH)
    brightest = shades[:, pictures.WIDTH // 2].argmax()
    assert brightest == pytest.approx(pictures.HEIGHT * (1 - 2000 / 8000), abs=1.5)


def test_silence_and_the_shortest_clip_have_pictures() -> None:
    assert decoded(pictures.spectrogram(np.zeros(5, np.float32))).shape == (pictures.HEIGHT, pictures.WIDTH)


def test_clips_are_packed_for_players() -> None:
    sound = voice_like(1.0, 120, rate=signals.RATE)
    mime, data = pictures.ogg(sound)
    back, rate = soundfile.read(io.BytesIO(data))
    assert mime in ("audio/ogg", "audio/wav")
    assert len(back) / rate == pytest.approx(1.0, abs=0.03)
    assert len(data) < 40_000


def media(text: str) -> dict[str, list[str]]:
    found = re.search(r"<script type='application/json' id=clips>(.*?)</script>", text, re.DOTALL)
    assert found is not None
    stored: dict[str, list[str]] = json.loads(found[1])
    return stored


def test_the_page_asks_for_nothing_outside_itself(text: str) -> None:
    text = re.sub(r'"data:[^"]*"', "", text)
    assert not re.findall(r"(?:src|href|url)\s*[=(]", text.replace("a.src=clips", "").replace("i.src=clips", ""))
    assert not re.findall(r"https?:|import |fetch", text)


def test_every_clip_shown_is_there_once_and_plays(text: str) -> None:
    stored = media(text)
    shown = re.findall(r"<audio data-clip=([0-9a-f]+)", text)
    assert len(shown) > len(set(shown)) == len(stored) == 12  # six clips, each before and after
    assert set(shown) == set(stored)
    for sound, picture in stored.values():
        data = base64.b64decode(sound.partition("base64,")[2])
        assert soundfile.info(io.BytesIO(data)).duration == pytest.approx(1.5, abs=0.05)
        assert decoded(base64.b64decode(picture.partition("base64,")[2])).max() == 255


def test_the_worst_come_first(judgement: Judgement, text: str) -> None:
    for measure, title, worst in (("per", "phone errors", max), ("f0_correlation", "pitch contour, correlation", min)):
        values = [row[measure] for row in judgement.figures["each"] if row[measure] is not None]
        section = text.partition(f"<summary>{title}</summary>")[2]
        first = re.search(r"<tr><td>([-0-9.]+)", section)
        assert first is not None
        assert float(first[1]) == pytest.approx(worst(values), abs=0.06)


def test_names_cannot_break_the_page(text: str) -> None:
    assert "echo<1>" not in text
    assert "echo&lt;1&gt;" in text


def test_several_models_share_a_page(tmp_path: Path) -> None:
    speech = write_speakers(tmp_path / "speech", speakers=2, clips=1)

    def first(audio: np.ndarray, rate: int) -> tuple[Any, int]:
        return 0.5 * audio, rate

    def second(audio: np.ndarray, rate: int) -> tuple[Any, int]:
        return -audio, rate

    done = judge([first, second], speech=speech, cache=tmp_path / "cache", listen_with=listeners(), jobs=1)
    text = page.render(done)
    assert text.count("<h2>first</h2>") == text.count("<h2>second</h2>") == 1
    page.write(done, tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text()[:5000] == text[:5000]
