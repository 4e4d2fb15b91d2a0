"""The demo: recorded speech through a skin, called as a 48 kHz host with frames of 10 ms would: demo.py [SKIN]."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rtvoice import audio
from rtvoice.bench.allocations import count_allocations
from rtvoice.bench.priority import audio_thread_priority
from rtvoice.cli.console import table
from rtvoice.errors import ModelError
from rtvoice.model import Model
from rtvoice.registry import DEFAULT_SKIN
from rtvoice.render import render_file
from spectrogram import draw

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "build" / "demo"
RATE = 48000
FRAME = 480

#: From Debian's asterisk-core-sounds-en-g722: 16 kHz, one speaker, CC BY-SA 3.0. About 29 s together.
PROMPTS = ("demo-thanks", "demo-abouttotry", "queue-periodic-announce")
SOUNDS = Path("/usr/share/asterisk/sounds")

Samples = NDArray[np.float32]


def recording() -> tuple[Samples, int, str]:
    """Return mono speech, its rate in Hz and what it is: Debian's recording, or the clip of the sources."""
    prompts = [next(iter(sorted(SOUNDS.glob(f"en*/{name}.g722"))), None) for name in PROMPTS]
    found = [path for path in prompts if path is not None]
    if found:
        try:
            return (
                join([decode(path) for path in found], 16000),
                16000,
                "recorded speech (asterisk-core-sounds-en-g722)",
            )
        except ImportError:
            print("rtvoice: PyAV is missing (pip install av); taking the synthetic clip instead", file=sys.stderr)
    clip, rate = audio.read(ROOT / "examples" / "audio" / "synthetic-speech.ogg")
    return clip[:, 0], rate, "synthetic speech (examples/audio)"


def decode(path: Path) -> Samples:
    """Decode a G.722 file to float32 at 16 kHz."""
    import av

    def pieces() -> Iterator[Samples]:
        with av.open(os.fspath(path), format="g722") as container:
            for frame in container.decode(audio=0):
                yield frame.to_ndarray().reshape(-1).astype(np.float32) / 32768

    return np.concatenate(list(pieces()))


def join(clips: list[Samples], rate: int) -> Samples:
    """Put clips one after the other, with 0.4 s between them."""
    gap = np.zeros(int(0.4 * rate), np.float32)
    return np.concatenate([part for clip in clips for part in (clip, gap)])


def as_microphone(speech: Samples, rate: int) -> Samples:
    """Bring speech to -23 dBFS where there is speech, below -1 dBFS peak, at the host's rate."""
    blocks = speech[: len(speech) // 400 * 400].reshape(-1, 400)
    level = np.sqrt((blocks**2).mean(axis=1))
    active = level[level > level.max() / 30]
    gain = min(10 ** (-23 / 20) / np.sqrt((active**2).mean()), 10 ** (-1 / 20) / np.abs(speech).max())
    host = np.concatenate(list(audio.convert([(gain * speech)[:, None]], rate, RATE)))
    return np.ascontiguousarray(host[:, 0])


def main() -> int:
    OUT.mkdir(parents=True, exist_ok=True)
    speech, rate, what = recording()
    with audio.Writer(OUT / "in.wav", RATE, 1, "PCM_16") as writer:
        writer.write(as_microphone(speech, rate))
    model = Model.load(sys.argv[1] if len(sys.argv) > 1 else DEFAULT_SKIN)
    with audio_thread_priority() as held:
        report = render_file(OUT / "in.wav", OUT / "out.wav", model, block=FRAME)
    allocations = count_allocations(str(model.path), sample_rate=RATE, block=FRAME)
    head = ["input", "skin", "seconds", "real-time factor", "latency ms", "p50 us/10 ms", "p99 us/10 ms", "allocations"]
    row = [
        what,
        f"{report.model} ({report.tier})",
        f"{report.seconds:.1f}",
        f"{report.realtime_factor:.4f}",
        f"{report.latency_ms:.2f}",
        f"{report.frame_us['p50']:.0f}",
        f"{report.frame_us['p99']:.0f}",
        "not measured" if allocations is None else str(allocations),
    ]
    draw([("in", OUT / "in.wav"), (f"out: {model.name}", OUT / "out.wav")], OUT / "spectrogram.png", end=6.0)
    print(table(head, [row]))
    where = OUT.relative_to(ROOT)
    if not held:
        print("measured at normal priority: frames that waited for other work on this machine show in p99")
    print(f"\nlisten: {where}/in.wav, {where}/out.wav    look: {where}/spectrogram.png")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (audio.AudioError, ModelError, OSError) as error:
        sys.exit(f"rtvoice: error: {error}")
