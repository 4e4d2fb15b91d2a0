"""Recordings are found in folders of any layout, told apart by speaker, and chosen alike every time."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from rtvoice.audio import AudioError
from rtvoice.evaluate import clips


def sound(path: Path, seconds: float = 1.5) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.zeros(int(seconds * 8000), np.float32), 8000)
    return path


def test_a_table_names_speakers_texts_and_gender(tmp_path: Path) -> None:
    sound(tmp_path / "reading" / "wav" / "a1.wav")
    sound(tmp_path / "reading" / "wav" / "a2.wav")
    table = "utt|speaker|gender|text\na1|jane|F|Hello there.\na2|joe|male|\n"
    (tmp_path / "reading" / "metadata.csv").write_text(table)
    first, second = clips.find(tmp_path)
    assert (first.speaker, first.text, first.gender) == ("reading/jane", "Hello there.", "female")
    assert (second.speaker, second.text, second.gender) == ("reading/joe", None, "male")


def test_a_recognisers_transcript_is_not_the_text(tmp_path: Path) -> None:
    sound(tmp_path / "opus" / "x.wav")
    (tmp_path / "metadata.csv").write_text("utt|pseudo_speaker|machine_transcript\nx|c003|hello\n")
    (clip,) = clips.find(tmp_path)
    assert (clip.speaker, clip.text) == ("c003", None)


@pytest.mark.parametrize("separator", ["|", "\t", ","])
def test_tables_of_any_separator_are_read(separator: str, tmp_path: Path) -> None:
    sound(tmp_path / "x.wav")
    (tmp_path / "metadata.csv").write_text(f"file{separator}speaker\nx.wav{separator}jane\n")
    assert clips.find(tmp_path)[0].speaker == "jane"


def test_lj_speech_tables_have_no_header(tmp_path: Path) -> None:
    sound(tmp_path / "wavs" / "LJ001-0001.wav")
    (tmp_path / "metadata.csv").write_text("LJ001-0001|Printing, in the only sense\n")
    assert clips.find(tmp_path)[0].text == "Printing, in the only sense"


def test_librispeech_is_known_by_its_names_and_transcripts(tmp_path: Path) -> None:
    sound(tmp_path / "test-other" / "1688" / "142285" / "1688-142285-0000.flac")
    folder = tmp_path / "test-other" / "1688" / "142285"
    (folder / "1688-142285.trans.txt").write_text("1688-142285-0000 THERE'S IRON THEY SAY\n")
    (clip,) = clips.find(tmp_path)
    assert (clip.speaker, clip.text) == ("1688", "THERE'S IRON THEY SAY")


def test_librispeech_tells_gender_in_a_table_of_its_own(tmp_path: Path) -> None:
    sound(tmp_path / "LibriSpeech" / "dev" / "1688-142285-0000.flac")
    (tmp_path / "LibriSpeech" / "SPEAKERS.TXT").write_text("; ID | SEX\n1688  | F | dev | 8.1 | Jane\n")
    assert clips.find(tmp_path / "LibriSpeech")[0].gender == "female"
    assert clips.find(tmp_path / "LibriSpeech" / "dev")[0].gender == "female"


def test_a_text_may_lie_beside_its_recording(tmp_path: Path) -> None:
    sound(tmp_path / "p225" / "p225_001.wav")
    (tmp_path / "p225" / "p225_001.txt").write_text("Please call Stella.\n")
    assert clips.find(tmp_path)[0].text == "Please call Stella."


def test_folders_and_names_tell_speakers_where_no_table_does(tmp_path: Path) -> None:
    sound(tmp_path / "wav48" / "p225" / "p225_001.wav")
    sound(tmp_path / "p226_001.wav")
    assert {clip.speaker for clip in clips.find(tmp_path)} == {"p225", "p226"}


def test_target_and_noise_folders_are_left_out(tmp_path: Path) -> None:
    for name in ("source/a_1.wav", "target_jane/b_1.wav", "noises/c_1.wav"):
        sound(tmp_path / name)
    found = clips.find(tmp_path, [tmp_path / "noises"])
    assert [clip.path.stem for clip in found] == ["a_1"]
    assert [clip.path.stem for clip in clips.find(tmp_path / "target_jane")] == ["b_1"]


def test_a_folder_without_recordings_is_named(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="holds no recording"):
        clips.find(tmp_path)
    with pytest.raises(AudioError, match="is not a folder"):
        clips.find(tmp_path / "gone")


def corpus(speakers: int, each: int) -> list[clips.Clip]:
    return [clips.Clip(f"s{s}/{n}", f"s{s}", Path(f"s{s}_{n}.wav")) for s in range(speakers) for n in range(each)]


@pytest.fixture
def any_length(monkeypatch: pytest.MonkeyPatch) -> None:
    info = clips.audio.AudioInfo(8000, 1, 16000, "PCM_16")
    monkeypatch.setattr(clips.audio, "probe", lambda path: info)


@pytest.mark.usefixtures("any_length")
def test_every_speaker_is_heard_before_any_is_heard_twice() -> None:
    chosen = clips.choose(corpus(30, 5), 45)
    counts = [sum(clip.speaker == name for clip in chosen) for name in {clip.speaker for clip in chosen}]
    assert len(counts) == 30
    assert set(counts) == {1, 2}


@pytest.mark.usefixtures("any_length")
def test_the_choice_does_not_depend_on_the_order_of_the_files() -> None:
    everything = corpus(30, 5)
    assert clips.choose(everything, 20) == clips.choose(everything[::-1], 20)


@pytest.mark.usefixtures("any_length")
def test_a_collection_that_grows_keeps_most_of_its_choice() -> None:
    before = {clip.name for clip in clips.choose(corpus(30, 5), 20)}
    after = {clip.name for clip in clips.choose(corpus(33, 5), 20)}
    assert len(before & after) >= 16


@pytest.mark.usefixtures("any_length")
def test_no_more_speakers_are_taken_than_asked_for() -> None:
    chosen = clips.choose(corpus(30, 5), 20, 6)
    assert len(chosen) == 20
    assert len({clip.speaker for clip in chosen}) == 6


def test_short_clips_are_passed_over_and_long_ones_cut_without_their_text(tmp_path: Path) -> None:
    sound(tmp_path / "a" / "a_0.wav", 0.5)
    sound(tmp_path / "b" / "b_0.wav", 3.0)
    (tmp_path / "b" / "metadata.csv").write_text("utt|speaker|text\nb_0|bea|hello\n")
    (kept,) = clips.choose(clips.find(tmp_path), 10, longest=2.0)
    assert (kept.speaker, kept.seconds, kept.text) == ("b/bea", 2.0, None)


def test_an_index_of_prepared_data_tells_who_was_held_out(tmp_path: Path) -> None:
    rows = [{"source": f"lib/s{n}_0.wav", "split": "held_out" if n < 2 else "train"} for n in range(4)]
    (tmp_path / "index.jsonl").write_text("\n".join(map(json.dumps, rows)))
    everything = [clips.Clip(f"s{n}_0", f"s{n}", Path(f"elsewhere/s{n}_0.opus")) for n in range(4)]
    assert [clip.speaker for clip in clips.held_out(everything, tmp_path)] == ["s0", "s1"]


def test_a_list_of_speakers_restricts_to_them(tmp_path: Path) -> None:
    (tmp_path / "speakers.txt").write_text("s1\n\n s3 \n")
    everything = [clips.Clip(f"s{n}_0", f"lib/s{n}", Path(f"s{n}_0.wav")) for n in range(4)]
    assert [c.speaker for c in clips.held_out(everything, tmp_path / "speakers.txt")] == ["lib/s1", "lib/s3"]
    (tmp_path / "speakers.txt").write_text("nobody\n")
    with pytest.raises(ValueError, match="names none of the 4 recordings"):
        clips.held_out(everything, tmp_path / "speakers.txt")


def test_a_long_recording_of_the_target_is_cut_into_pieces(tmp_path: Path) -> None:
    sound(tmp_path / "book.wav", 60.0)
    pieces = clips.stretches(tmp_path)
    assert len(pieces) == 7
    assert sorted(piece.start for piece in pieces) == [8.0 * n for n in range(7)]
