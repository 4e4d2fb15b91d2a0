"""Draws spectrograms under one another: scripts/spectrogram.py OUT.png [--from S] [--to S] NAME=FILE..."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rtvoice import audio

#: 40 ms windows every 5 ms: the harmonics of a voice show as lines.
WINDOW_S, STEP_S = 0.040, 0.005
TOP_HZ = 6000
RANGE_DB = 70


def levels(samples: NDArray[np.float32], rate: int) -> NDArray[np.float64]:
    """Return the levels in dB, ``(frequencies, times)``, of the bands up to ``TOP_HZ``."""
    size, step = int(WINDOW_S * rate), int(STEP_S * rate)
    windows = np.lib.stride_tricks.sliding_window_view(samples, size)[::step] * np.hanning(size)
    spectrum = np.abs(np.fft.rfft(windows, axis=1)).T / (size / 4)
    return 20 * np.log10(spectrum[: int(TOP_HZ * size / rate) + 1] + 1e-9)


def draw(files: Sequence[tuple[str, Path]], target: Path, begin: float = 0.0, end: float | None = None) -> None:
    """Write a picture with one spectrogram per file, on one colour scale."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    pictures = []
    for name, path in files:
        samples, rate = audio.read(path)
        last = None if end is None else int(end * rate)
        pictures.append((name, levels(samples[int(begin * rate) : last, 0], rate)))
    top = max(picture.max() for _, picture in pictures)
    figure, all_axes = pyplot.subplots(len(files), 1, figsize=(10, 2.7 * len(files)), sharex=True, layout="constrained")
    for axes, (name, picture) in zip(np.atleast_1d(all_axes), pictures, strict=True):
        span = (begin, begin + picture.shape[1] * STEP_S, 0, TOP_HZ / 1000)
        shown = axes.imshow(
            picture, origin="lower", aspect="auto", extent=span, cmap="magma", vmin=top - RANGE_DB, vmax=top
        )
        axes.set(title=name, ylabel="kHz")
    np.atleast_1d(all_axes)[-1].set_xlabel("s")
    figure.colorbar(shown, ax=all_axes, label="dB")
    figure.savefig(target, dpi=100)
    pyplot.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", type=Path)
    parser.add_argument("files", nargs="+", metavar="NAME=FILE")
    parser.add_argument("--from", dest="begin", type=float, default=0.0)
    parser.add_argument("--to", dest="end", type=float)
    args = parser.parse_args()
    pairs = [(name, Path(path)) for name, _, path in (text.partition("=") for text in args.files)]
    draw(pairs, args.target, args.begin, args.end)


if __name__ == "__main__":
    main()
