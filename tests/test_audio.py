"""Audio files: rate conversion, reading, and writing without leaving half a file."""

from __future__ import annotations

import resource
from pathlib import Path

import numpy as np
import pytest
import soundfile

from rtvoice import audio


def tone(rate: int, frames: int, frequency: float = 997.0) -> np.ndarray:
    return np.sin(2 * np.pi * frequency * np.arange(frames) / rate).astype(np.float32)[:, None]


PAIRS = [(16000, 48000), (48000, 16000), (44100, 48000), (48000, 44100), (8000, 192000), (192000, 8000)]


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_conversion_keeps_a_tone_and_its_place_in_time(source: int, target: int) -> None:
    out = np.concatenate(list(audio.convert([tone(source, source // 2 + 7)], source, target)))
    middle = slice(target // 25, -target // 25)
    error = out[middle] - tone(target, len(out))[middle]
    assert 20 * np.log10(np.abs(error).max()) < -100


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_conversion_is_the_same_however_the_input_is_cut(source: int, target: int) -> None:
    rng = np.random.default_rng(1)
    signal = rng.standard_normal((5003, 2)).astype(np.float32)
    cuts = np.sort(rng.integers(0, len(signal), 20))
    whole = np.concatenate(list(audio.convert([signal], source, target)))
    pieces = np.concatenate(list(audio.convert(np.split(signal, cuts), source, target)))
    assert len(whole) == audio.converted_length(5003, source, target)
    np.testing.assert_array_equal(pieces, whole)


def test_conversion_removes_what_the_lower_rate_cannot_hold() -> None:
    out = np.concatenate(list(audio.convert([tone(48000, 24000, 9000)], 48000, 16000)))
    assert 20 * np.log10(np.abs(out[800:-800]).max()) < -90


@pytest.mark.parametrize("extension", ["wav", "flac", "aiff"])
def test_written_files_read_back(extension: str, tmp_path: Path) -> None:
    signal = 0.5 * tone(16000, 1000).repeat(2, axis=1)
    with audio.Writer(tmp_path / f"x.{extension}", 16000, 2, "PCM_24") as writer:
        writer.write(signal[:300])
        writer.write(signal[300:])
    back, rate = audio.read(tmp_path / f"x.{extension}")
    assert rate == 16000
    np.testing.assert_allclose(back, signal, atol=2e-7)


def test_float_samples_keep_their_bits(tmp_path: Path) -> None:
    signal = 3 * np.random.default_rng(0).standard_normal((500, 1)).astype(np.float32)
    with audio.Writer(tmp_path / "x.wav", 48000, 1, "FLOAT") as writer:
        writer.write(signal)
    np.testing.assert_array_equal(audio.read(tmp_path / "x.wav")[0], signal)
    assert writer.clipped == 0


def test_clipped_samples_are_counted(tmp_path: Path) -> None:
    with audio.Writer(tmp_path / "x.wav", 48000, 1, "PCM_16") as writer:
        writer.write(np.array([0.0, 1.5, -2.0, 1.0], np.float32))
    assert writer.clipped == 2
    assert np.abs(audio.read(tmp_path / "x.wav")[0]).max() <= 1.0


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    target = tmp_path / "x.wav"
    target.write_bytes(b"old")
    with pytest.raises(RuntimeError, match="stop"), audio.Writer(target, 48000, 1) as writer:
        writer.write(tone(48000, 1000))
        raise RuntimeError("stop")
    assert target.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["x.wav"]


@pytest.mark.parametrize("frames", [1, 3000, 100000])
def test_a_full_disk_is_an_error_and_leaves_nothing(frames: int, tmp_path: Path) -> None:
    """A limit on file size fails a write as a full disk does, for the head alone and for the samples."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20 if frames < 1000 else 4096, hard))
    try:
        with (
            pytest.raises(audio.AudioError, match=r"x\.wav.*disk full"),
            audio.Writer(tmp_path / "x.wav", 48000, 1) as w,
        ):
            w.write(tone(48000, frames))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.wav", None, "no such file"),
        ("empty.wav", b"", "empty"),
        ("text.wav", b"this is not audio at all, but it is long enough to be read", "cannot be read as audio"),
        ("cut.flac", b"fLaC\0\0\0\x22", "cannot be read as audio"),
    ],
)
def test_what_is_not_audio_is_named(name: str, content: bytes | None, message: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(audio.AudioError, match=message) as caught:
        audio.probe(tmp_path / name)
    assert name in str(caught.value)


def test_a_file_without_samples_is_named(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "none.wav", np.zeros((0, 1), np.float32), 48000)
    with pytest.raises(audio.AudioError, match="holds no audio"):
        audio.probe(tmp_path / "none.wav")


@pytest.mark.parametrize(
    ("name", "message"), [("x", "no extension"), ("x.xyz", "cannot be written"), ("no/x.wav", "folder")]
)
def test_what_cannot_be_written_is_named(name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(audio.AudioError, match=message):
        audio.Writer(tmp_path / name, 48000, 1)


def test_a_folder_cannot_be_read_or_written(tmp_path: Path) -> None:
    (tmp_path / "f.wav").mkdir()
    with pytest.raises(audio.AudioError, match="folder"):
        audio.probe(tmp_path / "f.wav")
    with pytest.raises(audio.AudioError, match="folder"):
        audio.Writer(tmp_path / "f.wav", 48000, 1)


@pytest.mark.parametrize("extension", ["wav", "aiff", "au"])
def test_a_file_cut_short_tells_what_its_head_says(extension: str, tmp_path: Path) -> None:
    whole = tmp_path / f"x.{extension}"
    soundfile.write(whole, tone(48000, 9000), 48000, subtype="PCM_16")
    assert audio.probe(whole).declared == audio.probe(whole).frames == 9000
    whole.write_bytes(whole.read_bytes()[: whole.stat().st_size // 3])
    found = audio.probe(whole)
    assert abs(found.declared - 9000) <= 3
    assert 2900 < found.frames <= 3000


def test_an_ogg_file_cut_short_is_told(tmp_path: Path) -> None:
    noise = (0.1 * np.random.default_rng(1).standard_normal(96000)).astype(np.float32)
    soundfile.write(tmp_path / "x.ogg", noise, 48000)
    assert not audio.probe(tmp_path / "x.ogg").cut_short
    data = (tmp_path / "x.ogg").read_bytes()
    (tmp_path / "x.ogg").write_bytes(data[: len(data) * 2 // 3])
    assert audio.probe(tmp_path / "x.ogg").cut_short
    for rest in (100, len(data) // 4):
        (tmp_path / "x.ogg").write_bytes(data[:rest])
        with pytest.raises(audio.AudioError, match="cut short"):
            audio.probe(tmp_path / "x.ogg")


def test_a_flac_file_cut_short_is_an_error_that_says_so(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "x.flac", tone(48000, 96000), 48000)
    data = (tmp_path / "x.flac").read_bytes()
    (tmp_path / "x.flac").write_bytes(data[: len(data) // 2])
    with pytest.raises(audio.AudioError, match="cut short"):
        audio.read(tmp_path / "x.flac")


@pytest.mark.parametrize(
    ("name", "channels", "rate", "message"),
    [("x.mp3", 32, 48000, "1 to 2"), ("x.flac", 32, 48000, "1 to 8"), ("x.mp3", 1, 96000, "rates")],
)
def test_what_a_format_takes_is_told(name: str, channels: int, rate: int, message: str, tmp_path: Path) -> None:
    with pytest.raises(audio.AudioError, match=message):
        audio.Writer(tmp_path / name, rate, channels)
    assert list(tmp_path.iterdir()) == []
