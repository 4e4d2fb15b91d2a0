"""Models are judged as a host hears them: in time with the input, the same bits however the stream is cut."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

import rtvoice
from rtvoice.audio import AudioError
from rtvoice.evaluate import signals, streaming, voices
from rtvoice.evaluate.clips import Clip
from small_model import build_model
from speech_like import voice_like

CLIP = Clip("folder/a_0", "a", Path("a_0.wav"), seconds=1.0)


def identity(path: Path, delay: int) -> rtvoice.Model:
    """Return a model that gives its input back, and says that it is `delay` samples late."""
    builder = rtvoice.GraphBuilder(name="same", sample_rate=16000, hop=80)
    taps = np.zeros((1, 1, 2 * delay + 1), np.float32)
    taps[0, 0, delay] = 1.0
    builder.output(builder.node("conv1d", builder.input(), weight=taps, pads=[delay, delay]))
    builder.save(path)
    return rtvoice.Model.load(path)


@pytest.mark.parametrize("delay", [0, 40, 333])
def test_the_engines_latency_is_taken_off(delay: int, tmp_path: Path) -> None:
    speech = voice_like(1.0, 120, rate=signals.RATE)
    made = voices.EngineVoice(identity(tmp_path / "same.rtv", delay)).convert(CLIP, speech)
    assert made.shape == speech.shape
    inner = slice(2000, -2000)
    narrow = signals.convert(signals.convert(speech, signals.RATE, 16000), 16000, signals.RATE)
    assert np.std(made[inner] - narrow[inner]) < 0.02 * np.std(speech)


def test_every_cutting_gives_the_same_bits(model: rtvoice.Model) -> None:
    speech = voice_like(0.6, 120, rate=signals.RATE)
    found = streaming.compare(model, [speech])
    assert found["bit_equal"] is True
    assert len(found["cuttings"]) == 5
    assert found["differing"] == []


def test_a_cutting_that_differs_is_named(model: rtvoice.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    true_stream = streaming.stream

    def worse(model: rtvoice.Model, speech: np.ndarray, sizes: list[int], rate: int) -> np.ndarray:
        made = true_stream(model, speech, sizes, rate)
        return made * np.float32(1 + 1e-7) if sizes == [441] else made

    monkeypatch.setattr(streaming, "stream", worse)
    found = streaming.compare(model, [voice_like(0.6, 120, rate=signals.RATE)])
    assert found["bit_equal"] is False
    assert found["differing"] == ["441"]


def test_the_offline_output_is_the_streams(model: rtvoice.Model) -> None:
    streamed, offline = streaming.both(model, voice_like(0.6, 120, rate=signals.RATE))
    assert streamed.shape == offline.shape
    assert np.abs(streamed - offline).max() < 1e-5 * np.abs(offline).max()


def test_another_tier_or_file_is_another_voice(tmp_path: Path) -> None:
    keys = [
        voices.EngineVoice(build_model(tmp_path / f"{index}.rtv", gain=gain)).key
        for index, gain in enumerate([1.0, 2.0, 1.0])
    ]
    assert keys[0] == keys[2] != keys[1]


def test_a_functions_output_may_have_any_rate_and_length() -> None:
    speech = voice_like(1.0, 120, rate=signals.RATE)

    def halved(audio: np.ndarray, rate: int) -> tuple[np.ndarray, int]:
        return signals.convert(audio, rate, rate // 2)[:-500], rate // 2

    made = voices.voice(halved).convert(CLIP, speech)
    assert made is not None
    assert made.shape == speech.shape
    assert not made[-900:].any()
    assert voices.voice(halved).facts()["model"] == "halved"


def test_renders_are_found_by_the_clips_name(tmp_path: Path) -> None:
    sound = voice_like(1.0, 120, rate=signals.RATE)
    soundfile.write(tmp_path / "a_0.flac", 0.5 * sound, signals.RATE)
    master = voices.FolderVoice(tmp_path)
    made = master.convert(CLIP, sound)
    assert made is not None
    assert made == pytest.approx(0.5 * sound, abs=1e-4)
    assert master.convert(Clip("b_0", "b", Path("b_0.wav"), seconds=1.0), sound) is None
    with pytest.raises(AudioError, match="is not a folder"):
        voices.FolderVoice(tmp_path / "gone")


def test_what_cannot_be_judged_is_named() -> None:
    with pytest.raises(ValueError, match="cannot be judged"):
        voices.voice(3)  # type: ignore[arg-type]
    with pytest.raises(rtvoice.ModelError):
        voices.voice("no-such-skin")
