"""The evaluation from end to end, with cheap listeners: what is judged, against what; nothing is heard twice."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from rtvoice.audio import AudioError
from rtvoice.evaluate import NotMeasurable, judge, measures, signals
from rtvoice.evaluate.probes import Probe
from rtvoice.evaluate.voices import FolderVoice
from small_model import build_model
from speech_like import Counter, listeners, voice_like, write_speakers

KEYS = {"similarity_resemblyzer", "similarity_dvector", "wer_delta", "per", "distillmos", "f0_correlation", "vuv_error"}


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_speakers(tmp_path_factory.mktemp("speech"))


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("target")
    for index in range(10):
        soundfile.write(folder / f"jane_{index}.wav", voice_like(1.5, 220, seed=50 + index), 16000)
    return folder


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("noise")
    soundfile.write(folder / "hiss.wav", 0.1 * np.random.default_rng(0).standard_normal(48000), 16000)
    return folder


@pytest.fixture
def run(speech: Path, tmp_path: Path) -> Any:
    def judged(model: Any, **options: Any) -> dict[str, Any]:
        defaults = {
            "speech": speech,
            "cache": tmp_path / "cache",
            "listen_with": listeners(),
            "jobs": 1,
            "anchors": False,
        }
        return judge(model, **{**defaults, **options}).figures

    return judged


def unchanged(audio: np.ndarray, rate: int) -> tuple[np.ndarray, int]:
    return audio, rate


def muffled(audio: np.ndarray, rate: int) -> tuple[np.ndarray, int]:
    return np.convolve(audio, np.ones(9) / 9, "same"), rate


def test_the_keys_that_others_read_stand_at_the_top(run: Any, target: Path) -> None:
    found = run(unchanged, target=target)
    assert found.keys() >= KEYS | {"source", "target", "intervals", "gates", "by_gender", "by_noise", "anchors"}
    assert found["source"].keys() >= KEYS
    assert found["target"].keys() >= KEYS
    assert all(isinstance(found[key], float) for key in KEYS)
    json.dumps(found, allow_nan=False)


def test_a_voice_that_changes_nothing_has_the_sources_scores(run: Any, target: Path) -> None:
    found = run(unchanged, target=target)
    assert {key: found[key] for key in KEYS} == {key: found["source"][key] for key in KEYS}
    assert (found["per"], found["wer_delta"], found["vuv_error"], found["f0_correlation"]) == (0.0, 0.0, 0.0, 1.0)
    assert found["more"]["nearer_target_resemblyzer"] == 0.0


def test_a_voice_that_gives_the_target_is_nearer_to_it(run: Any, target: Path) -> None:
    jane, rate = soundfile.read(target / "jane_0.wav", dtype="float32")
    found = run(lambda audio, _: (jane, rate), target=target)
    assert found["more"]["nearer_target_resemblyzer"] == 100.0
    assert found["similarity_resemblyzer"] > found["source"]["similarity_resemblyzer"]
    assert found["gates"]["default"]["measures"]["nearer_target_resemblyzer"]["passed"] is True


def test_a_model_is_streamed_and_told_about(run: Any, tmp_path: Path) -> None:
    path = build_model(tmp_path / "echo.rtv", tier="hq")
    found = run(path)
    assert (found["model"], found["tier"], found["sample_rate"]) == ("echo", "hq", 16000)
    assert found["latency_ms"] > 0
    assert found["streaming"]["bit_equal"] is True
    assert found["streaming"]["plcmos_loss"] == 0.0
    assert found["gates"]["hq"]["measures"]["streaming_bit_equal"]["passed"] is True


def test_nothing_is_heard_or_rendered_twice(run: Any, target: Path, tmp_path: Path) -> None:
    path = build_model(tmp_path / "echo.rtv")
    counts = [Counter(), Counter()]
    first, second = (run(path, target=target, listen_with=listeners(count)) for count in counts)
    assert len(counts[0].heard) > 100
    assert counts[1].heard == []
    assert first == second


def test_equal_sounds_are_heard_once_whatever_they_are_called(run: Any, speech: Path) -> None:
    count = Counter()
    run([unchanged, unchanged], listen_with=listeners(count))
    assert count.heard.count("hama") == 8  # the sources alone: both voices give them back


def test_several_models_are_listed(run: Any) -> None:
    found = run([unchanged, muffled])
    assert [model["model"] for model in found["models"]] == ["unchanged", "muffled"]
    assert found["models"][0]["per"] == 0.0
    assert not KEYS & found.keys()


def test_without_a_target_similarity_is_null_with_the_reason(run: Any) -> None:
    found = run(unchanged)
    assert found["similarity_resemblyzer"] is None
    assert found["target"]["similarity_dvector"] is None
    assert "--target" in found["unavailable"]["similarity_resemblyzer"]
    assert found["gates"]["default"]["measures"]["similarity_resemblyzer"]["passed"] is None


def without(role: str) -> dict[str, Probe]:
    absent = listeners()
    absent[role] = Counter().probe(role, len, packages=("hama",))
    return absent


@pytest.fixture
def no_hama(monkeypatch: pytest.MonkeyPatch) -> None:
    from rtvoice.evaluate import packages

    monkeypatch.setattr(packages, "missing", lambda modules: [name for name in modules if name == "hama"])


@pytest.mark.usefixtures("no_hama")
def test_a_missing_package_makes_its_measure_null_and_is_named(run: Any) -> None:
    found = run(unchanged, listen_with=without("hama"))
    assert found["per"] is None
    assert found["distillmos"] is not None
    assert "hama is missing; run: rtvoice evaluate --install" in found["unavailable"]["per"]


@pytest.mark.usefixtures("no_hama")
def test_a_missing_package_is_an_error_where_its_measure_was_asked_for(run: Any) -> None:
    with pytest.raises(NotMeasurable, match="per cannot be measured: the package hama is missing"):
        run(unchanged, listen_with=without("hama"), measure=["per"])
    assert run(unchanged, listen_with=without("hama"), measure=["distillmos"])["distillmos"] is not None


def test_only_what_is_asked_for_is_measured(run: Any) -> None:
    count = Counter()
    found = run(unchanged, listen_with=listeners(count), measure=["per"])
    assert set(count.heard) == {"hama"}
    assert found["per"] == 0.0
    assert found["distillmos"] is None
    with pytest.raises(NotMeasurable, match="there is no measure 'beauty'"):
        run(unchanged, measure=["beauty"])


def test_a_listener_that_fails_is_reported_and_hides_nothing_else(run: Any) -> None:
    def broken(samples: np.ndarray) -> object:
        raise RuntimeError("out of tune")

    broken_listeners = listeners()
    broken_listeners["distillmos"] = Counter().probe("distillmos", broken)
    found = run(unchanged, listen_with=broken_listeners)
    assert found["distillmos"] is None
    assert "distillmos failed: RuntimeError: out of tune" in found["unavailable"]["distillmos"]
    assert found["per"] == 0.0


def test_noise_is_judged_beside_clean_speech(run: Any, target: Path, noise: Path) -> None:
    found = run(unchanged, target=target, noise=noise)
    assert list(found["by_noise"]) == ["clean", "20 dB", "10 dB"]
    assert found["by_noise"]["10 dB"]["per"] == found["by_noise"]["10 dB"]["source"]["per"]
    assert found["by_noise"]["10 dB"]["vuv_error"] > found["by_noise"]["clean"]["vuv_error"] == 0.0


def test_the_masters_scores_stand_beside_those_of_its_student(run: Any, speech: Path, tmp_path: Path) -> None:
    folder = tmp_path / "renders"
    folder.mkdir()
    for file in sorted(speech.rglob("*_000.wav")):
        sound, rate = soundfile.read(file, dtype="float32")
        soundfile.write(folder / f"{file.stem}.flac", muffled(sound, rate)[0], rate)
    found = run(unchanged, master=folder)
    assert found["master"]["per"] is not None
    assert found["master"].keys() == found["source"].keys()
    assert found["per"] == 0.0
    voice = FolderVoice(folder)
    clips = judge(unchanged, speech=speech, cache=tmp_path / "c", listen_with=listeners()).material.clips
    made = [voice.convert(clip, np.zeros(24000, np.float32)) is not None for clip in clips]
    assert made.count(True) == 4


def test_a_target_is_its_own_ceiling_and_anchors_lie_below(run: Any, target: Path, noise: Path) -> None:
    pytest.importorskip("pyworld", reason="the train extra is not installed: no WORLD anchor")
    found = run(unchanged, target=target, anchors=True, noise=noise)
    anchors = found["anchors"]
    assert anchors["target"]["per"] == 0.0
    assert anchors["target"]["similarity_dvector"] == found["target"]["similarity_dvector"]
    assert anchors["other_speakers"]["similarity_dvector"] < anchors["target"]["similarity_dvector"]
    assert {"world", "griffin_lim", "noise_20db", "noise_10db"} <= anchors.keys()


def test_few_speakers_pass_no_gate(run: Any) -> None:
    found = run(unchanged)
    assert found["speakers"] == 4
    assert found["gates"]["enough_speakers"] is False
    assert any("4 speakers are too few" in note for note in found["notes"])


def test_gender_is_told_by_pitch_where_no_table_tells(run: Any, tmp_path: Path) -> None:
    speech = tmp_path / "pitches"
    for name, pitch in (("low", 100), ("high", 260)):
        (speech / name).mkdir(parents=True)
        sound = 0.1 * np.sin(2 * np.pi * pitch * np.arange(32000) / 16000)
        soundfile.write(speech / name / "x.wav", sound, 16000)
    found = run(unchanged, speech=speech)
    assert found["by_gender"]["female"]["speakers"] == found["by_gender"]["male"]["speakers"] == 1
    assert "by median F0 (165 Hz) for 2" in found["by_gender"]["basis"]


def test_a_damaged_recording_is_left_out_and_named(run: Any, tmp_path: Path) -> None:
    speech = write_speakers(tmp_path / "some", speakers=3, clips=1)
    soundfile.write(speech / "s01" / "cut.flac", voice_like(2.0, 120), 16000)
    whole = (speech / "s01" / "cut.flac").read_bytes()
    (speech / "s01" / "cut.flac").write_bytes(whole[:2000] + bytes(3000) + whole[5000:])
    found = run(unchanged, speech=speech)
    assert found["clips"] == len(found["each"]) == 3
    assert any("cut.flac" in note for note in found["notes"])


def test_files_that_cannot_be_read_are_left_out_of_both_folders_counted_and_named(
    run: Any, target: Path, tmp_path: Path
) -> None:
    speech = write_speakers(tmp_path / "some", speakers=3, clips=1)
    (speech / "s01" / "z.wav").write_bytes(b"RIFF no")
    voice = shutil.copytree(target, tmp_path / "voice")
    for index in range(7):
        (voice / f"broken_{index}.wav").write_bytes(b"RIFF no")
    soundfile.write(voice / "cut.flac", voice_like(2.0, 220), 16000)
    whole = (voice / "cut.flac").read_bytes()
    (voice / "cut.flac").write_bytes(whole[:2000] + bytes(3000) + whole[5000:])
    found = run(unchanged, speech=speech, target=voice)
    assert found["clips"] == 3
    left = found["unreadable"]
    assert left["speech"]["count"] == 1 and "z.wav" in left["speech"]["first"][0]
    assert left["target"]["count"] == 8 and len(left["target"]["first"]) == 5
    assert any(note.startswith("8 files of --target cannot be read and are left out: ") for note in found["notes"])
    clean = run(unchanged, speech=speech, target=target)
    assert clean["unreadable"]["target"] == {"count": 0, "first": []}
    assert found["target"] == clean["target"]


def test_a_target_without_a_readable_file_is_one_clear_line(run: Any, tmp_path: Path) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "broken.wav").write_bytes(b"RIFF no")
    with pytest.raises(AudioError, match="bad has no recording that can be read: .*broken.wav"):
        run(unchanged, target=tmp_path / "bad")


def test_a_function_that_gives_no_numbers_is_named(run: Any) -> None:
    with pytest.raises(ValueError, match="returned values that are not finite"):
        run(lambda audio, rate: (audio * np.float32(np.nan), rate))


def test_a_wrong_result_of_a_function_is_named(run: Any) -> None:
    with pytest.raises(ValueError, match=r"shouting returned audio of shape \(2, 36000\)"):

        def shouting(audio: np.ndarray, rate: int) -> tuple[np.ndarray, int]:
            return np.stack([audio, audio]), rate

        run(shouting)


def test_true_texts_give_the_sources_own_errors_as_well(run: Any, tmp_path: Path) -> None:
    speech = write_speakers(tmp_path / "read", speakers=2, clips=1)
    rows = [f"{file.stem}|{file.parent.name}|something else was said" for file in sorted(speech.rglob("*.wav"))]
    (speech / "metadata.csv").write_text("\n".join(["utt|speaker|text", *rows]))
    found = run(unchanged, speech=speech)
    assert found["wer_delta"] == 0.0
    assert found["source"]["wer"] > 50.0
    assert found["text"].startswith("2 clips against their text")


def test_every_measure_has_its_listeners() -> None:
    assert set(listeners()) == {role for needed in measures.ROLES.values() for role in needed}


def test_progress_runs_from_start_to_end(run: Any) -> None:
    told: list[float] = []
    run(unchanged, progress=told.append)
    assert told == sorted(told)
    assert told[-1] == pytest.approx(1.0)
    assert 0 <= told[0] < 0.3


def test_clips_are_judged_in_time_with_their_source(run: Any, tmp_path: Path) -> None:
    """The engine's latency is taken off: the delay that the pitch shows is nought."""
    found = run(build_model(tmp_path / "echo.rtv"))
    assert found["more"]["delay_ms"] == 0.0
    assert signals.RATE == 24000
