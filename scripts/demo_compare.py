"""Spoken clips, two tiers of a shipped skin, and the page that compares them: demo_compare.py [OPTION...]."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from demo import ROOT, SOUNDS, as_microphone, decode
from rtvoice import audio

OUT = ROOT / "build" / "demo-compare"
RATE = 48000
#: A sitting of 25 pairs has 22 clips, two of them twice and one trap.
CLIPS = 22
SECONDS = (2.5, 7.0)
#: Debian's prompts that make whole sentences come first.
PREFIXES = ("demo-", "queue-", "vm-", "conf-", "privacy-", "agent-", "")

Samples = NDArray[np.float32]


def prompts() -> Iterator[tuple[str, Samples, int]]:
    """Yield Debian's recordings of a speaker that have a clip's length, the fullest sentences first."""
    found = sorted(SOUNDS.glob("en*/*.g722"))
    ranked = sorted(found, key=lambda p: next(i for i, prefix in enumerate(PREFIXES) if p.name.startswith(prefix)))
    for path in ranked:
        if SECONDS[0] <= path.stat().st_size / 8000 <= SECONDS[1]:  # 64 kbit/s
            yield path.stem, decode(path), 16000


def pieces() -> Iterator[tuple[str, Samples, int]]:
    """Yield pieces of the sources' own recordings, cut every 3 s."""
    for path in sorted((ROOT / "models" / "samples").glob("*.ogg")) + [ROOT / "examples/audio/synthetic-speech.ogg"]:
        sound, rate = audio.read(path)
        for i in range(len(sound) // (3 * rate)):
            yield f"{path.stem}-{i + 1}", sound[3 * rate * i : 3 * rate * (i + 1), 0], rate


def main() -> int:
    """Write the clips and hand over to ``rtvoice compare``."""
    clips = OUT / "clips"
    shutil.rmtree(clips, ignore_errors=True)
    clips.mkdir(parents=True)
    sources = prompts if any(SOUNDS.glob("en*/*.g722")) else pieces
    try:
        chosen = [clip for clip, _ in zip(sources(), range(CLIPS), strict=False)]
    except ImportError:
        print("rtvoice: PyAV is missing (pip install av); taking the shipped clips instead", file=sys.stderr)
        chosen = [clip for clip, _ in zip(pieces(), range(CLIPS), strict=False)]
    for name, sound, rate in chosen:
        with audio.Writer(clips / f"{name}.wav", RATE, 1, "PCM_16") as writer:
            writer.write(as_microphone(sound, rate)[:, None])
    rtvoice = Path(sys.executable).with_name("rtvoice")
    words = ["compare", "whisper:default", "whisper:hq", "--clips", clips, "--store", OUT / "store", *sys.argv[1:]]
    with subprocess.Popen([rtvoice, *words]) as comparing:
        while True:
            try:
                return comparing.wait()
            except KeyboardInterrupt:
                continue  # the page got it, too, and ends in its own time


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
