"""How often F0 is an octave off, by one search from 75 to 500 Hz and by two: scripts/pitch_trackers.py --speech DIR.

Recordings are spoken anew by WORLD, whose F0 is known exactly; as they are, they are held against two other trackers,
WORLD's Harvest and pYIN. Clips are those that `rtvoice evaluate` would take.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import librosa
import numpy as np
import pyworld
from numpy.typing import ArrayLike, NDArray

from rtvoice.evaluate import compare, signals
from rtvoice.evaluate.clips import choose, find, held_out
from rtvoice.evaluate.probes import standard

OCTAVE_OFF = 0.4  # of an octave


def gross(known: ArrayLike, found: ArrayLike) -> float:
    """Return the share of frames, in %, voiced in both tracks, that differ by more than `OCTAVE_OFF`."""
    a, b = (np.asarray(track, np.float64) for track in (known, found))
    count = min(len(a), len(b))
    a, b = a[:count], b[:count]
    both = (a > 0) & (b > 0)
    return 100.0 * float(np.mean(np.abs(np.log2(b[both] / a[both])) > OCTAVE_OFF)) if both.any() else 0.0


def spoken_anew(speech: NDArray[np.float64], f0: NDArray[np.float64], time: NDArray[np.float64]) -> signals.Floats:
    """Return the same words with pulses exactly at `f0`."""
    envelope = pyworld.cheaptrick(speech, f0, time, signals.RATE)
    noise = pyworld.d4c(speech, f0, time, signals.RATE)
    return np.asarray(pyworld.synthesize(f0, envelope, noise, signals.RATE, 1000 / compare.FRAMES), np.float32)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--speech", type=Path, required=True, help="recordings of many people")
    parser.add_argument("--held-out", type=Path, help="index of the prepared training data: only what it held out")
    parser.add_argument("--clips", type=int, default=28)
    options = parser.parse_args()
    searches = {name: standard()[probe].load() for name, probe in (("once", "pitch_fixed"), ("twice", "pitch"))}
    found: dict[str, list[tuple[float, float]]] = {}
    clips = find(options.speech)
    if options.held_out:
        clips = held_out(clips, options.held_out)
    for clip in choose(clips, options.clips, 40, 8.0, []):
        speech = signals.read(clip.path, seconds=8.0)
        natural = speech.astype(np.float64)
        harvest, time = pyworld.harvest(natural, signals.RATE, frame_period=1000 / compare.FRAMES)
        pyin = librosa.pyin(speech, fmin=60, fmax=600, sr=signals.RATE, hop_length=signals.RATE // compare.FRAMES)[0]
        cases = {
            "known F0": (harvest, spoken_anew(natural, harvest, time)),
            "as it is, Harvest": (harvest, speech),
            "as it is, pYIN": (np.nan_to_num(pyin), speech),
        }
        for case, (known, sound) in cases.items():
            for name, search in searches.items():
                track = search(signals.heard(sound))
                way = compare.follow(known, track).correlation
                found.setdefault(f"{case}, searched {name}", []).append((gross(known, track), way or 0.0))
    print("| | frames an octave off, % (mean) | correlation, median |\n|---|---|---|")
    for case, values in found.items():
        off, way = np.asarray(values).T
        print(f"| {case} | {off.mean():.2f} | {np.median(way):.3f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
