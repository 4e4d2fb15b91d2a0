"""Measures vocoders on recordings that they never heard in training: scripts/judge_vocoder.py --data DIR [MODEL ...].

Prints a table, means over the recordings: log-spectral distance, DistillMOS, phone errors against the recording (hama),
how alike the levels of 16 bands rise and fall (and at most with another moment's), and how much louder it comes out.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rtvoice import Model
from rtvoice.evaluate import compare
from rtvoice.evaluate.probes import hear, standard
from rtvoice.registry import resolve
from rtvoice.train.vocoder.data import HELD_OUT, read, recordings
from rtvoice.train.vocoder.networks import RATE
from rtvoice.vocoding import log_spectral_distance, vocode

F32 = NDArray[np.float32]
WINDOW, HOP = 512, 160


def bands(signal: F32) -> NDArray[np.float64]:
    """Return the logarithm of the power in 16 bands, 100 frames a second, each band about its mean."""
    frames = np.lib.stride_tricks.sliding_window_view(signal.astype(np.float64), WINDOW)[::HOP] * np.hanning(WINDOW)
    power = np.abs(np.fft.rfft(frames, axis=1)) ** 2
    edges = np.unique(np.geomspace(4, 256, 17).astype(int))
    levels = np.log10(np.add.reduceat(power, edges[:-1], axis=1) + 1e-6)
    return np.asarray(levels - levels.mean(axis=0))


def likeness(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Return the correlation of band levels."""
    return float((a * b).sum() / np.sqrt((a**2).sum() * (b**2).sum()))


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", help="wavenet, flow or .rtv files (default: both that ship)")
    parser.add_argument("--data", type=Path, required=True, help="the recordings that they were trained on")
    parser.add_argument("--clips", type=int, default=12, help="of the 40 that were kept out of training")
    options = parser.parse_args()
    kept = recordings(options.data)[-HELD_OUT:]
    chosen = [read(kept[int(n)]) for n in np.linspace(0, len(kept) - 1, options.clips)]
    probes = {name: standard()[name] for name in ("distillmos", "hama")}
    listens = {name: probe.load() for name, probe in probes.items()}

    def told(name: str, signal: F32) -> list[object]:
        heard = hear(listens[name], probes[name], signal, RATE)
        return list(heard) if isinstance(heard, (list, tuple)) else [heard]

    phones = [told("hama", clip) for clip in chosen]
    rows = {"recording": [[0.0, float(str(told("distillmos", clip)[0])), 0.0, 1.0, 0.0, 0.0] for clip in chosen]}
    for name in options.models or ("wavenet", "flow"):
        model = Model.load(resolve("vocoder", name) if name in ("wavenet", "flow") else Path(name))
        rows[name] = []
        for clip, said in zip(chosen, phones, strict=True):
            made = vocode(model, clip)[0]
            a, b = bands(clip), bands(made)
            other = max(likeness(a, np.roll(b, int(shift), axis=0)) for shift in np.linspace(0.15, 0.85, 15) * len(a))
            wrong = 100.0 * compare.edit_distance(said, told("hama", made)) / len(said)
            louder = 10 * np.log10(np.mean(made.astype(np.float64) ** 2) / np.mean(clip.astype(np.float64) ** 2))
            opinion = float(str(told("distillmos", made)[0]))
            rows[name].append([log_spectral_distance(made, clip), opinion, wrong, likeness(a, b), other, float(louder)])
    print(f"{options.clips} of the {HELD_OUT} recordings that no training has heard, means\n")
    print(
        "| | log-spectral distance, dB | DistillMOS | phone errors, % | bands alike | at another moment | louder, dB |"
    )
    print("|---|---|---|---|---|---|---|")
    for name, each in rows.items():
        distance, opinion, wrong, alike, other, louder = np.mean(each, axis=0)
        print(
            f"| {Path(name).stem} | {distance:.1f} | {opinion:.2f} | {wrong:.0f} | {alike:.2f} | {other:.2f} "
            f"| {louder:+.1f} |"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
