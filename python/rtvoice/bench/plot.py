"""Draws the distribution of frame times."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import numpy as np

from rtvoice.bench.measure import Measurement


def check_plot(path: str | os.PathLike[str]) -> None:
    """Find out before the measuring whether the picture can be drawn.

    Raises
    ------
    ModuleNotFoundError
        Without matplotlib.
    ValueError
        The extension is not one of a picture, or the folder does not exist.
    """
    import_module("matplotlib")
    target = Path(path)
    if target.suffix not in (".png", ".svg", ".pdf"):
        raise ValueError(f"--plot {path}: end it in .html (a page), .png, .svg or .pdf")
    if not target.parent.is_dir():
        raise ValueError(f"--plot {path}: the folder {target.parent} does not exist; make it first")


def plot_times(measurements: Sequence[Measurement], path: str | os.PathLike[str]) -> None:
    """Write a picture (by its extension: png, svg, pdf) of how often a frame takes longer than a time."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 4.5), layout="constrained")
    for measurement in measurements:
        r = measurement.result
        label = f"{r['model']} {r['tier']}, {r['block']} samples"
        curves = ((measurement.times_us, label, "-"), (measurement.cold_times_us, f"{label}, cold", "--"))
        for times, name, style in curves:
            if times is not None:
                ordered = np.sort(times)
                axes.step(ordered, 1 - np.arange(len(ordered)) / len(ordered), style, where="post", label=name)
    for budget in sorted({m.result["budget_us"] for m in measurements}):
        axes.axvline(budget, color="0.5", linewidth=1)
        axes.annotate(f"budget {budget:.0f} us", (budget, 1), rotation=90, va="top", ha="right", fontsize=8)
    axes.set(xscale="log", yscale="log", xlabel="time of a frame (us)", ylabel="part of the frames that take longer")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
