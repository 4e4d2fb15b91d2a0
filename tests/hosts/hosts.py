"""What the tests of the hosts share: frame patterns, an input, the reference render, and the comparison with it."""

from __future__ import annotations

import functools
import os
import tempfile
from pathlib import Path

import numpy as np

import rtvoice
import sdk

HERE = Path(__file__).resolve().parent
MODEL = sdk.ROOT / "models" / "whisper" / "default.rtv"


def patterns() -> dict[str, list[int]]:
    """Return the committed frame sizes by name."""
    lines = [line for line in (HERE / "frames.txt").read_text().splitlines() if line and not line.startswith("#")]
    return {name: [int(size) for size in sizes.split()] for name, sizes in (line.split(":") for line in lines)}


def speech(seconds: float, rate: int, channels: int) -> np.ndarray:
    """Return bursts of a buzz with vibrato and a little noise, (frames, channels), each channel another pitch."""
    rng = np.random.default_rng(1)
    t = np.arange(round(seconds * rate)) / rate
    out = 0.002 * rng.standard_normal((len(t), channels))
    for c in range(channels):
        phase = 2 * np.pi * np.cumsum((110 + 40 * c) * (1 + 0.05 * np.sin(2 * np.pi * 5 * t))) / rate
        out[:, c] += 0.1 * sum(np.sin(k * phase) / k for k in range(1, 12)) * (np.sin(2 * np.pi * 1.5 * t) > -0.3)
    return out.astype(np.float32)


def render(audio: np.ndarray, rate: int, model: Path = MODEL) -> np.ndarray:
    """Return what every host must give for this input, (frames, channels), the engine's latency at its start."""
    engine = rtvoice.Engine(model, sample_rate=rate, max_frame=1024, channels=audio.shape[1], tier="default")
    parts = [engine.process(np.ascontiguousarray(audio[i : i + 1024])) for i in range(0, len(audio), 1024)]
    return np.concatenate(parts).reshape(audio.shape)


@functools.cache
def reference(rate: int, channels: int, seconds: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """Return the input and the reference render that the hosts are compared with."""
    audio = speech(seconds, rate, channels)
    out = render(audio, rate)
    assert np.sqrt(np.mean(out[len(out) // 2 :] ** 2)) > 1e-3, "the reference is silence"
    return audio, out


@functools.cache
def built(source: str, *options: str) -> Path:
    """Build one of the repository's CMake projects against the installed package, once, and return its folder."""
    folder = Path(tempfile.mkdtemp(prefix="rtvoice-hosts-"))
    # make hosts lays these headers out.
    laid = sdk.ROOT / "build" / "cross"
    for name in ("godot3", "clap"):
        if source == "plugins" and f"RTVOICE_{name.upper()}_HEADERS" not in os.environ and (laid / name).exists():
            options = (*options, f"-DRTVOICE_{name.upper()}_HEADERS={laid / name}")
    if source == "examples/hosts" and (laid / "miniaudio").exists():
        options = (*options, f"-DMINIAUDIO_INCLUDE={laid / 'miniaudio'}")
    return sdk.build_project(sdk.ROOT / source, folder, *options)


def files(folder: Path, name: str, rate: int, channels: int) -> tuple[Path, Path, Path, np.ndarray]:
    """Write the input and a pattern's sizes; return their paths, the output's, and what must be in it."""
    audio, expected = reference(rate, channels)
    source, sizes = folder / "in.f32", folder / "frames.txt"
    audio.tofile(source)
    sizes.write_text("\n".join(map(str, patterns()[name])))
    return source, folder / "out.f32", sizes, expected


def check_every_pattern(program: Path, folder: Path) -> None:
    """Let a host's own callback be called with each pattern's sizes, and compare what it gives with the reference."""
    for name in patterns():
        source, target, sizes, expected = files(folder, name, 48000, 1)
        sdk.run(program, "--frames", MODEL, "48000", sizes, source, target)
        np.testing.assert_array_equal(read(target, 1), expected, err_msg=name)


def read(path: Path, channels: int) -> np.ndarray:
    """Return a raw file's samples, (frames, channels)."""
    return np.fromfile(path, np.float32).reshape(-1, channels)
