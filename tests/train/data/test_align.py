"""Phones lie where the synthesiser put them, and a warp joins two readings of one text."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

from rtvoice import audio
from rtvoice.train.data import Prepared, find_recordings, prepare
from rtvoice.train.data.align import SILENCE, Aligner, Alignments, Phone, align, warp
from rtvoice.train.data.corpus import DataError
from rtvoice.train.data.pronounce import sound_out, spell_number, spoken_words

sphinx = pytest.mark.skipif(
    importlib.util.find_spec("pocketsphinx") is None, reason="pocketsphinx of the extra 'align' is not installed"
)
flite = pytest.mark.skipif(shutil.which("flite") is None, reason="the command flite is not installed")


@pytest.mark.parametrize(
    ("digits", "words"),
    [
        ("0", "zero"),
        ("17", "seventeen"),
        ("80", "eighty"),
        ("346", "three hundred forty six"),
        ("500", "five hundred"),
        ("1066", "one thousand sixty six"),
        ("1984", "nineteen eighty four"),
        ("1905", "nineteen oh five"),
        ("1900", "nineteen hundred"),
        ("2026", "twenty twenty six"),
        ("007", "zero zero seven"),
        ("12345", "one two three four five"),
    ],
)
def test_numbers_are_spelled_as_they_are_said(digits: str, words: str) -> None:
    assert spell_number(digits) == words


def test_a_text_becomes_words() -> None:
    text = "\u201cIt's 5 o'clock,\u201d said Mr. O\u2019Neil & co.: 1,500 tons, 'almost' 50% on the 3rd!"
    assert " ".join(spoken_words(text)) == (
        "it's five o'clock said mr o'neil and co fifteen hundred tons almost fifty percent on the third"
    )


@pytest.mark.parametrize(
    ("word", "phones"),
    [
        ("dogs", "D AO G Z"),
        ("zorping", "Z AO R P IH NG"),
        ("shleck", "SH L EH K"),
        ("grabbed", "G R AE B D"),
        ("'", "AH"),
    ],
)
def test_unknown_words_are_sounded_out(word: str, phones: str) -> None:
    dictionary = {"dog": "D AO G", "grab": "G R AE B"}
    assert sound_out(word, dictionary.get) == phones


def phones(*pairs: tuple[str, int]) -> list[Phone]:
    out, at = [], 0
    for name, length in pairs:
        out.append(Phone(name, at, length))
        at += length
    return out


def test_a_warp_of_a_reading_to_itself_is_straight() -> None:
    reading = phones(("SIL", 5), ("AH", 7), ("T", 4), ("SIL", 6))
    made = warp(reading, reading)
    np.testing.assert_allclose(made.source, np.arange(22), atol=1e-5)
    assert made.matched.tolist() == [False] * 5 + [True] * 11 + [False] * 6


def test_a_warp_joins_phones_over_pauses_that_only_one_reader_makes() -> None:
    source = phones(("AH", 10), ("T", 10), ("SIL", 30), ("S", 20))
    target = phones(("SIL", 10), ("AH", 20), ("T", 5), ("S", 10), ("SIL", 4))
    made = warp(source, target)
    assert made.source.size == 49
    assert (np.diff(made.source) >= 0).all()
    assert made.source[20] == pytest.approx(5, abs=0.5)  # the middle of AH
    assert made.source[32] == pytest.approx(14.5, abs=1.0)  # the middle of T
    assert made.source[40] == pytest.approx(60, abs=1.5)  # the middle of S, past the source's pause
    assert made.matched[10:45].all() and not made.matched[:10].any() and not made.matched[45:].any()


def test_a_warp_stays_in_order_where_readers_say_different_sounds() -> None:
    source = phones(("DH", 5), ("AH", 6), ("K", 5), ("AE", 12), ("T", 8))
    target = phones(("DH", 4), ("IY", 9), ("K", 6), ("AE", 9), ("T", 6))
    made = warp(source, target)
    assert (np.diff(made.source) >= 0).all()
    assert not made.matched[5:12].any()
    assert made.source[15] == pytest.approx(11 + 5 * 2.5 / 6 - 0.5, abs=0.2)
    with pytest.raises(ValueError, match="both sides"):
        warp([], target)


TEXT = "The old boat sailed past seven little islands before the storm."


def speak(path: Path, text: str = TEXT, stretch: float = 1.0) -> list[tuple[str, float]]:
    """Render by flite; return its phones and the seconds at which they end."""
    command = ["flite", "-voice", "rms", "--setf", f"duration_stretch={stretch}", "-psdur", "-t", text, "-o", str(path)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    marks = said.replace(":", " ").split()
    numbers = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"}
    pairs = [(a, float(b)) for a, b in zip(marks[::2], marks[1::2], strict=False) if b[0] in numbers]
    return pairs


@sphinx
@flite
def test_phones_lie_where_the_synthesiser_put_them(tmp_path: Path) -> None:
    ends = speak(tmp_path / "a.wav")
    samples, _ = audio.read(tmp_path / "a.wav", sample_rate=16000)
    found = Aligner()(samples[:, 0], TEXT)
    assert found is not None
    frames = samples.shape[0] // 160
    assert found[0].start == 0 and found[-1].start + found[-1].length == frames
    for one, after in zip(found[:-1], found[1:], strict=True):
        assert one.start + one.length == after.start and one.length > 0
    theirs = [end for name, end in ends if name not in {"pau", "h#"}]
    ours = [(one.start + one.length) / 100 for one in found if one.name != SILENCE]
    assert abs(len(theirs) - len(ours)) <= 3  # two dictionaries
    nearest = [min(abs(end - other) for other in theirs) for end in ours]
    assert np.mean(np.array(nearest) < 0.035) > 0.75


@sphinx
@flite
def test_speech_at_the_very_edge_is_aligned_and_a_strange_text_is_not(tmp_path: Path) -> None:
    speak(tmp_path / "a.wav")
    samples = audio.read(tmp_path / "a.wav", sample_rate=16000)[0][:, 0]
    loud = np.flatnonzero(np.abs(samples) > 0.02)
    aligner = Aligner()
    tight = aligner(samples[loud[0] : loud[-1]], TEXT)
    assert tight is not None and sum(one.name != SILENCE for one in tight) > 30
    assert aligner(samples, "") is None
    assert aligner(samples[:1000], TEXT) is None
    assert aligner(samples[:8000], " ".join([TEXT] * 8)) is None


@sphinx
@flite
def test_clips_are_aligned_kept_and_warped(tmp_path: Path) -> None:
    speech = tmp_path / "speech"
    for speaker, stretch in (("slow", 1.3), ("fast", 0.9)):
        (speech / speaker).mkdir(parents=True)
        ends = speak(speech / speaker / "p1.wav", stretch=stretch)
        (speech / speaker / "p1.txt").write_text(TEXT)
        speak(speech / speaker / "p2.wav")
    # The fast one holds its breath before "seven": no even stretch joins the two then.
    names = [name for name, _ in ends]
    place = next(i for i in range(len(names)) if names[i : i + 3] == ["t", "s", "eh"])
    samples, rate = audio.read(speech / "fast" / "p1.wav")
    at = int(ends[place][1] * rate)
    held = 1e-4 * np.random.default_rng(0).standard_normal((rate * 7 // 10, 1)).astype(np.float32)
    soundfile.write(speech / "fast" / "p1.wav", np.concatenate([samples[:at], held, samples[at:]]), rate)
    prepare(find_recordings(speech), tmp_path / "prepared")
    prepared = Prepared(tmp_path / "prepared")
    assert align(prepared, tmp_path / "phones")
    found = Alignments(tmp_path / "phones")
    assert len(found) == 2 and "speech/fast/p2" not in found and found.failed == []
    slow, fast = (found.phones(f"speech/{speaker}/p1") for speaker in ("slow", "fast"))
    made = warp(slow, fast)
    assert made.source.size == prepared.clip(prepared.index("speech/fast/p1")).frames
    assert made.matched.mean() > 0.6
    # One voice at two speeds: the same loudness at the same place.
    a, b = (prepared.energy(prepared.index(f"speech/{speaker}/p1")) for speaker in ("slow", "fast"))
    moved = a[np.minimum(np.round(made.source).astype(int), a.size - 1)]
    assert np.corrcoef(moved, b)[0, 1] > 0.75
    straight = a[np.round(np.linspace(0, a.size - 1, b.size)).astype(int)]
    assert np.corrcoef(straight, b)[0, 1] < 0.5
    kept = sorted((tmp_path / "phones").glob("phones-*.json"))
    before = [path.stat().st_mtime_ns for path in kept]
    align(prepared, tmp_path / "phones")
    assert [path.stat().st_mtime_ns for path in kept] == before


def test_a_missing_package_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pocketsphinx", None)
    with pytest.raises(DataError, match=r"pip install 'rtvoice\[align\]'"):
        Aligner()
