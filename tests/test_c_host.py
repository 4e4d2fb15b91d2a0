"""The C host of examples/c, built as a project of its own, gives the same bits as the Python engine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

import rtvoice
import sdk

MODEL = sdk.ROOT / "models" / "whisper" / "default.rtv"
SOURCES = sdk.ROOT / "examples" / "c"


@pytest.fixture(scope="module", params=["shared", "static", "pkg-config"])
def convert_wav(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the example's program, built in each of the ways that its readers will try."""
    folder = tmp_path_factory.mktemp(request.param)
    if request.param != "pkg-config":
        static = "ON" if request.param == "static" else "OFF"
        return sdk.build_project(SOURCES, folder, f"-DCONVERT_WAV_STATIC={static}") / "convert_wav"
    program = folder / "convert_wav"
    sources = (SOURCES / "convert_wav.c", SOURCES / "wav.c")
    libraries = (*sdk.pkg_config("--cflags", "--libs"), f"-Wl,-rpath,{sdk.library_folder()}")
    sdk.run("cc", "-std=c99", *sdk.STRICT.split(), *sources, "-o", program, *libraries)
    return program


def speechlike(frames: int, channels: int, rate: int) -> np.ndarray:
    """Return bursts of a buzz with vibrato, (frames, channels), each channel another pitch."""
    t = np.arange(frames) / rate
    out = np.zeros((frames, channels), np.float32)
    for c in range(channels):
        phase = 2 * np.pi * np.cumsum((110 + 40 * c) * (1 + 0.05 * np.sin(2 * np.pi * 5 * t))) / rate
        out[:, c] = 0.1 * sum(np.sin(k * phase) / k for k in range(1, 12)) * (np.sin(2 * np.pi * 1.5 * t) > -0.3)
    return out


def python_output(audio: np.ndarray, rate: int) -> np.ndarray:
    """Return the latency-compensated output of the Python engine, (frames, channels)."""
    engine = rtvoice.Engine(MODEL, sample_rate=rate, max_frame=1024, channels=audio.shape[1], tier="default")
    padded = np.concatenate([audio, np.zeros((engine.latency, audio.shape[1]), np.float32)])
    parts = [engine.process(np.ascontiguousarray(padded[i : i + 1024])) for i in range(0, len(padded), 1024)]
    return np.concatenate(parts).reshape(len(padded), -1)[engine.latency :]


@pytest.mark.parametrize(
    ("rate", "channels", "subtype", "frame"),
    [
        (48000, 1, "FLOAT", 480),
        (48000, 2, "PCM_16", 333),
        (44100, 2, "FLOAT", 128),
        (16000, 1, "PCM_16", 4096),
        (48000, 1, "FLOAT", 1),
    ],
)
def test_same_bits_as_python(
    convert_wav: Path, tmp_path: Path, rate: int, channels: int, subtype: str, frame: int
) -> None:
    source, target = tmp_path / "in.wav", tmp_path / "out.wav"
    soundfile.write(source, speechlike(rate, channels, rate), rate, subtype=subtype)
    sdk.run(convert_wav, MODEL, source, target, str(frame))

    heard, _ = soundfile.read(source, dtype="float32", always_2d=True)
    expected = python_output(heard, rate)
    made = soundfile.info(target)
    assert (made.samplerate, made.channels, made.frames, made.subtype) == (rate, channels, rate, subtype)
    if subtype == "FLOAT":
        output, _ = soundfile.read(target, dtype="float32", always_2d=True)
        np.testing.assert_array_equal(output, expected)
        assert np.abs(output).max() > 1e-3
    else:
        output, _ = soundfile.read(target, dtype="int16", always_2d=True)
        scaled = np.float32(32768) * expected
        rounded = np.trunc(scaled + np.copysign(np.float32(0.5), scaled)).clip(-32768, 32767)
        np.testing.assert_array_equal(output, rounded.astype(np.int16))


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        ((), 2, "usage"),
        (("{model}", "{wav}", "{out}", "0"), 2, "usage"),
        (("{model}", "{wav}", "{out}", "12x"), 2, "usage"),
        (("{model}", "nowhere.wav", "{out}"), 1, "nowhere.wav"),
        (("nowhere.rtv", "{wav}", "{out}"), 1, "nowhere.rtv"),
        (("{wav}", "{wav}", "{out}"), 1, "in.wav"),
        (("{model}", "{slow}", "{out}"), 1, "slow.wav"),
        (("{model}", "{model}", "{out}"), 1, "not a WAV file"),
        (("{model}", "{wav}", "nowhere/out.wav"), 1, "nowhere/out.wav"),
    ],
)
def test_says_what_is_wrong(
    convert_wav: Path, tmp_path: Path, arguments: tuple[str, ...], status: int, says: str
) -> None:
    wav = tmp_path / "in.wav"
    soundfile.write(wav, speechlike(4800, 1, 48000), 48000)
    slow = tmp_path / "slow.wav"
    soundfile.write(slow, speechlike(4000, 1, 4000), 4000)
    filled = [word.format(model=MODEL, wav=wav, slow=slow, out=tmp_path / "out.wav") for word in arguments]
    done = sdk.run(convert_wav, *filled, check=False)
    assert done.returncode == status
    assert says in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
