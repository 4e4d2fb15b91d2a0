"""Draws the report's table and a few runs' strips as one picture."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from rtvoice.train.monitor.store import Store
from rtvoice.train.monitor.strips import COLOURS, strip


def draw_report(store: Store, report: dict[str, Any], path: str | os.PathLike[str], *, runs: int = 8) -> None:
    """Write a picture (by its extension: png, svg, pdf): AUC of each heuristic at each time, and strips of runs.

    Parameters
    ----------
    store : Store
        For the strips.
    report : dict
        Of `analysis.analyse`.
    path : path-like
        The picture.
    runs : int
        How many strips: bad and good ones in turns, those with most and fewest dead units among them.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names, fractions, areas, sure = _areas(report["table"])
    chosen = _chosen(store, report["project"], runs)
    rows = max(1, (len(chosen) + 1) // 2)
    figure = pyplot.figure(figsize=(13, max(5.0, 0.27 * len(names) + 1.5)), layout="constrained")
    halves: Any = figure.subfigures(1, 2, width_ratios=(1, 1.25))
    left, right = halves
    axes = left.subplots()
    axes.imshow(areas, aspect="auto", cmap="RdBu_r", vmin=0, vmax=1)
    axes.set_xticks(range(len(fractions)), [f"{f:.0%}" for f in fractions])
    axes.set_yticks(range(len(names)), names, fontsize=8)
    for (i, j), area in np.ndenumerate(areas):
        if np.isfinite(area):
            weight = "bold" if sure[i, j] else "normal"
            ink = "white" if abs(area - 0.5) > 0.35 else "black"
            axes.text(j, i, f"{area:.2f}", ha="center", va="center", fontsize=7, weight=weight, color=ink)
    axes.set_xlabel("share of the run")
    axes.set_title(f"AUC for a bad end, {report['labelled']} runs (bold: q < 0.05)", fontsize=10)
    panels = right.subplots(rows, 2, squeeze=False)
    palette = np.array([COLOURS[code] for code in sorted(COLOURS)], np.uint8)
    for axes in panels.flat:
        axes.set_axis_off()
    for axes, run in zip(panels.T.flat, chosen, strict=False):
        axes.imshow(palette[strip(store.layers(run.id, "probe"))], aspect="auto", interpolation="nearest")
        axes.set_title(f"{run.id}: {(run.label or '').replace('_', ' ')}", fontsize=8)
    right.suptitle("units (rows, by layer) over time: amber always on, teal varies, black never", fontsize=9)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _areas(table: list[dict[str, Any]]) -> tuple[list[str], list[float], Any, Any]:
    fractions = sorted({row["fraction"] for row in table})
    best: dict[str, float] = {}
    for row in table:
        distance = abs(row["auc"] - 0.5)
        best[row["heuristic"]] = max(best.get(row["heuristic"], 0.0), distance if np.isfinite(distance) else 0.0)
    names = sorted(best, key=lambda name: -best[name])
    areas = np.full((len(names), len(fractions)), np.nan)
    sure = np.zeros(areas.shape, bool)
    for row in table:
        where = names.index(row["heuristic"]), fractions.index(row["fraction"])
        areas[where], sure[where] = row["auc"], row["q"] < 0.05
    return names, fractions, areas, sure


def _chosen(store: Store, project: str, runs: int) -> list[Any]:
    """Choose runs that show the range of dead shares, the bad in the first half, the good in the second."""
    chosen = []
    labelled = [run for run in store.runs(project) if run.label is not None and store.layers(run.id, "probe")]
    for good in (False, True):
        ours = [run for run in labelled if (run.label == "good") == good]

        def dead(run: Any) -> float:
            points = store.series(run.id, "never").get("never")
            return 0.0 if points is None else float(np.nanmean(points[:, 2]))

        ours.sort(key=dead, reverse=True)
        places = {round(place) for place in np.linspace(0, len(ours) - 1, runs // 2)} if ours else set()
        chosen += [ours[place] for place in sorted(places)]
    return chosen
