"""A ladder of students of several widths: quality against measured cost, as JSON, page and picture."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rtvoice.bench.measure import machine, measure
from rtvoice.files import write_whole
from rtvoice.model import Model

__all__ = ["Rung", "front", "measure_rungs", "write_ladder"]


@dataclass(frozen=True)
class Rung:
    """One student of a ladder.

    Attributes
    ----------
    label : str
        Such as `64`, or `192 pruned to 50 %`.
    width : int
        Channels.
    model : str
        The `.rtv` file.
    quality : float
        The held-out figure, smaller is better.
    frame_us, cold_us : float
        Median time of a 10 ms frame, and with the caches swept before it.
    p99_us : float
        99th percentile of the former.
    load : float
        That percentile's share of 10 ms.
    mac_per_second, weight_bytes : float
        What the engine counts; told, not what decides.
    steps : int
        Of training.
    seconds : float
        Of training.
    """

    label: str
    width: int
    model: str
    quality: float
    frame_us: float = 0.0
    p99_us: float = 0.0
    cold_us: float = 0.0
    load: float = 0.0
    mac_per_second: float = 0.0
    weight_bytes: int = 0
    steps: int = 0
    seconds: float = 0.0


def measure_rungs(rungs: Sequence[Rung], *, seconds: float = 5.0, rounds: int = 3) -> list[Rung]:
    """Measure students' cost in the engine, as `rtvoice bench --cold` does; return them with their figures.

    All are measured in turn, several times, and each keeps its fastest figures: other work on the machine only ever
    adds time, and not to one student alone.

    Parameters
    ----------
    rungs : sequence of Rung
        With their `.rtv` files.
    seconds : float
        Of audio to time, in each round.
    rounds : int
        Times that each is measured.
    """
    models = [Model.load(rung.model) for rung in rungs]
    results = [[measure(model, seconds=seconds, cold=True).result for model in models] for _ in range(rounds)]
    return [
        replace(
            rung,
            frame_us=min(result["frame_us"]["p50"] for result in ours),
            p99_us=min(result["frame_us"]["p99"] for result in ours),
            cold_us=min(result["cold_us"]["p50"] for result in ours),
            load=min(result["load"] for result in ours),
            mac_per_second=ours[0]["mac_per_second"],
            weight_bytes=ours[0]["memory_bytes"]["weights"],
        )
        for rung, ours in zip(rungs, zip(*results, strict=True), strict=True)
    ]


def front(rungs: Sequence[Rung]) -> list[str]:
    """Return the labels of the rungs that no other beats in both quality and cold cost."""
    return [
        rung.label
        for rung in rungs
        if not any(
            other.quality <= rung.quality
            and other.cold_us <= rung.cold_us
            and (other.quality, other.cold_us) != (rung.quality, rung.cold_us)
            for other in rungs
        )
    ]


def write_ladder(
    folder: Path, rungs: Sequence[Rung], *, title: str, measure_name: str, picture: bool = True
) -> dict[str, Any]:
    """Write `ladder.json`, `ladder.html` and, where matplotlib is installed, `ladder.png`; return what the first holds.

    Parameters
    ----------
    folder : Path
        Where.
    rungs : sequence of Rung
        In any order.
    title, measure_name : str
        Of the page, and what `quality` is.
    picture : bool
        Whether to draw.
    """
    best = front(rungs)
    told: dict[str, Any] = {
        "title": title,
        "quality": measure_name,
        "machine": machine(),
        "rungs": [{**asdict(rung), "on_front": rung.label in best} for rung in sorted(rungs, key=lambda r: r.cold_us)],
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / "ladder.json", (json.dumps(told, indent=2) + "\n").encode())
    drawn = _draw(folder / "ladder.png", rungs, best, title, measure_name) if picture else False
    told["picture"] = str(folder / "ladder.png") if drawn else None
    write_whole(folder / "ladder.html", _page(told, folder / "ladder.png" if drawn else None).encode())
    return told


def _draw(path: Path, rungs: Sequence[Rung], best: Sequence[str], title: str, measure_name: str) -> bool:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return False
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for field, marker, name in (("frame_us", "o", "warm"), ("cold_us", "s", "cold caches")):
        line = sorted((rung for rung in rungs if rung.label in best), key=lambda rung: rung.cold_us)
        axes.plot([getattr(rung, field) for rung in line], [rung.quality for rung in line], "-", color="0.7", zorder=1)
        axes.scatter(
            [getattr(rung, field) for rung in rungs], [rung.quality for rung in rungs], marker=marker, label=name
        )
    for rung in rungs:
        axes.annotate(rung.label, (rung.cold_us, rung.quality), textcoords="offset points", xytext=(6, 4), fontsize=8)
    axes.set_xlabel("median time of a 10 ms frame on one thread, microseconds")
    axes.set_ylabel(f"{measure_name}, held-out speakers (lower is better)")
    axes.set_title(title)
    axes.legend()
    figure.savefig(path, dpi=120)
    return True


def _page(told: dict[str, Any], picture: Path | None) -> str:
    """Return one offline page."""
    head = (
        "student",
        told["quality"],
        "p50 us",
        "p99 us",
        "cold p50 us",
        "load",
        "MMAC/s",
        "weights",
        "steps",
        "front",
    )
    rows = []
    for rung in told["rungs"]:
        cells = (
            rung["label"],
            f"{rung['quality']:.4g}",
            f"{rung['frame_us']:.1f}",
            f"{rung['p99_us']:.1f}",
            f"{rung['cold_us']:.1f}",
            f"{100 * rung['load']:.2f} %",
            f"{rung['mac_per_second'] / 1e6:.1f}",
            f"{rung['weight_bytes'] / 1e6:.2f} MB",
            str(rung["steps"]),
            "yes" if rung["on_front"] else "",
        )
        rows.append("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells) + "</tr>")
    image = ""
    if picture is not None:
        data = base64.b64encode(picture.read_bytes()).decode()
        image = f'<img alt="quality against cost" src="data:image/png;base64,{data}">'
    heads = "".join(f"<th>{html.escape(name)}</th>" for name in head)
    cpu, isa = html.escape(str(told["machine"]["cpu"])), html.escape(str(told["machine"]["isa"]))
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{html.escape(told['title'])}</title>"
        "<style>body{font:15px system-ui;margin:2em auto;max-width:60em}table{border-collapse:collapse}"
        "td,th{padding:.3em .7em;border-bottom:1px solid #ccc;text-align:right}"
        "td:first-child,th:first-child{text-align:left}img{max-width:100%}</style>"
        f"<h1>{html.escape(told['title'])}</h1>{image}<table><tr>{heads}</tr>{''.join(rows)}</table>"
        f"<p>Times of a 10 ms frame at 48 kHz through the engine on one thread: {cpu}, {isa}. Cold: other work has "
        "swept the caches between two frames. On the front: no other student is both better and cheaper when cold.</p>"
        "</html>\n"
    )
