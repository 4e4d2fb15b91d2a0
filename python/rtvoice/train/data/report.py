"""Says what material a training has: hours, speakers, pitch, noise, and what was left out and why."""

from __future__ import annotations

import html
import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rtvoice.train.data.prepare import write_whole
from rtvoice.train.data.store import Clip, Prepared

_HISTOGRAMS: dict[str, tuple[str, str, np.ndarray[Any, Any]]] = {
    "f0_median": ("Median F0 of a clip", "Hz", np.arange(60, 361, 15)),
    "snr_db": ("Signal to noise", "dB", np.arange(0, 81, 4)),
    "seconds": ("Length of a clip", "s", np.arange(0, 15.1, 0.75)),
    "loudness_lufs": ("Loudness before normalisation", "LUFS", np.arange(-60, 1, 3)),
}


def figures(prepared_folder: Path) -> dict[str, Any]:
    """Return the report's figures, ready for JSON.

    Parameters
    ----------
    prepared_folder : Path
        As `prepare` wrote it.

    Returns
    -------
    dict
        ``clips, hours, speakers, collections {NAME: {clips, hours, speakers, held_out {clips, hours, speakers},
        with_text, f0 {p5, p50, p95}, snr_db {…}, loudness_lufs {…}, bandwidth_hz}}, histograms {NAME: {unit, edges,
        counts {COLLECTION: […]}}}, rejected {count, hours, reasons {…}, files [{source, speaker, reason, seconds}]},
        remarks […]``.

    Raises
    ------
    DataError
        The folder is not prepared to its end.
    """
    prepared = Prepared(prepared_folder)
    by_collection: dict[str, list[Clip]] = {}
    for clip in prepared.clips:
        by_collection.setdefault(clip.collection, []).append(clip)
    path = Path(prepared_folder) / "rejected.jsonl"
    rejected = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []
    made: dict[str, Any] = _extent(prepared.clips)
    made["collections"] = {name: _collection(clips) for name, clips in sorted(by_collection.items())}
    made["histograms"] = {
        field: {
            "unit": unit,
            "edges": [round(float(edge), 2) for edge in edges],
            "counts": {name: _counts(clips, field, edges) for name, clips in sorted(by_collection.items())},
        }
        for field, (_, unit, edges) in _HISTOGRAMS.items()
    }
    made["rejected"] = {
        "count": len(rejected),
        "hours": _hours(sum(row["seconds"] for row in rejected)),
        "reasons": dict(Counter(_kind(row["reason"]) for row in rejected).most_common()),
        "files": [{key: row[key] for key in ("source", "speaker", "reason", "seconds")} for row in rejected],
    }
    made["remarks"] = _remarks(made)
    return made


def report(prepared_folder: Path, html_path: Path) -> dict[str, Any]:
    """Write the data report as one offline HTML file, and its figures as JSON beside it.

    Parameters
    ----------
    prepared_folder : Path
        As `prepare` wrote it.
    html_path : Path
        ``NAME.html``; the figures go to ``NAME.json``.

    Returns
    -------
    dict
        See `figures`.
    """
    made = figures(prepared_folder)
    Path(html_path).parent.mkdir(parents=True, exist_ok=True)
    write_whole(Path(html_path).with_suffix(".json"), (json.dumps(made, indent=1, ensure_ascii=False) + "\n").encode())
    write_whole(Path(html_path), _page(made).encode())
    return made


def _hours(seconds: float) -> float:
    return round(seconds / 3600, 3)


def _extent(clips: Sequence[Clip]) -> dict[str, Any]:
    speakers = len({clip.speaker for clip in clips})
    return {"clips": len(clips), "hours": _hours(sum(clip.seconds for clip in clips)), "speakers": speakers}


def _spread(values: Sequence[float]) -> dict[str, float]:
    points = np.percentile(values, [5, 50, 95]) if values else np.zeros(3)
    return {name: round(float(value), 1) for name, value in zip(("p5", "p50", "p95"), points, strict=True)}


def _collection(clips: Sequence[Clip]) -> dict[str, Any]:
    return _extent(clips) | {
        "held_out": _extent([clip for clip in clips if clip.split == "held_out"]),
        "with_text": sum(clip.text is not None for clip in clips),
        "f0": _spread([clip.f0_median for clip in clips if clip.f0_median]),
        "snr_db": _spread([clip.snr_db for clip in clips]),
        "loudness_lufs": _spread([clip.loudness_lufs for clip in clips]),
        "bandwidth_hz": round(float(np.median([clip.bandwidth_hz for clip in clips]))),
    }


def _counts(clips: Sequence[Clip], field: str, edges: np.ndarray[Any, Any]) -> list[int]:
    values = [getattr(clip, field) for clip in clips]
    values = [value for value in values if field != "f0_median" or value > 0]
    return [int(count) for count in np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0]]


def _kind(reason: str) -> str:
    """Return a reason without the figures that differ from file to file."""
    reason = reason.partition(":")[0] if ":" in reason and "/" not in reason.partition(":")[0] else reason
    for word in ("cannot be read", "damaged", "empty", "holds no audio", "no such file"):
        if word in reason:
            return "unreadable, empty or damaged"
    return re.sub(r"\s+", " ", reason)


def _remarks(made: dict[str, Any]) -> list[str]:
    """Return what someone should know before a training is started with this material."""
    out = []
    for name, one in made["collections"].items():
        if one["speakers"] == 1 and one["hours"] < 1 / 6:
            out.append(f"{name}: {60 * one['hours']:.0f} minutes of one voice; a new skin wants 10 to 60")
        if one["snr_db"]["p50"] < 20:
            out.append(
                f"{name}: half of the clips have under 20 dB of signal to noise; a skin will learn the noise too"
            )
        if one["speakers"] == 1 and one["bandwidth_hz"] < 9000:
            out.append(
                f"{name}: nothing above {one['bandwidth_hz']} Hz; a skin of this voice will sound dull at 24 kHz"
            )
        if one["held_out"]["clips"] == 0:
            out.append(f"{name}: nothing is held out, so nothing can be judged; give more recordings")
    lost = made["rejected"]["hours"]
    if lost > 0.1 * (lost + made["hours"]):
        out.append(f"{lost:.2f} h were left out, over a tenth of the material; see why below")
    return out


# ---- the page --------------------------------------------------------------------------------------------------------

_COLOURS = ("#3366aa", "#dd8452", "#55a868", "#c44e52", "#8172b3", "#937860", "#64b5cd", "#8c8c8c")
_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 62em; padding: 0 1em; color: #222 }
table { border-collapse: collapse; margin: 1em 0 } th, td { padding: .25em .7em; text-align: right }
th:first-child, td:first-child, td.left { text-align: left } tr:nth-child(even) td { background: #f5f5f3 }
th { border-bottom: 2px solid #999 } figure { display: inline-block; margin: 0 1em 1em 0 }
figcaption { font-weight: 600 } .key span { display: inline-block; margin-right: 1.2em }
.key i { display: inline-block; width: .8em; height: .8em; margin-right: .35em }
@media (prefers-color-scheme: dark) { body { background: #1b1b1b; color: #ddd }
 tr:nth-child(even) td { background: #262626 } svg text { fill: #ccc } }
"""


def _page(made: dict[str, Any]) -> str:
    names = list(made["collections"])
    colours = {name: _COLOURS[number % len(_COLOURS)] for number, name in enumerate(names)}
    key = "".join(f'<span><i style="background:{colours[name]}"></i>{html.escape(name)}</span>' for name in names)
    pictures = "".join(
        f"<figure><figcaption>{_HISTOGRAMS[field][0]}</figcaption>{_bars(one, colours)}</figure>"
        for field, one in made["histograms"].items()
    )
    remarks = "".join(f"<li>{html.escape(remark)}</li>" for remark in made["remarks"])
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Training data</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>'
        f"<h1>Training data</h1><p>{made['hours']:.2f} hours, {made['clips']} clips, {made['speakers']} speakers.</p>"
        + (f"<ul>{remarks}</ul>" if remarks else "")
        + _collections_table(made["collections"])
        + f'<p class="key">{key}</p>{pictures}'
        + _rejected_table(made["rejected"])
        + "</body></html>\n"
    )


def _collections_table(collections: dict[str, Any]) -> str:
    head = "collection|hours|clips|speakers|held out: hours|speakers|with text|F0 (5, 50, 95 %)|SNR|LUFS|up to Hz"
    rows = []
    for name, one in collections.items():
        cells = [html.escape(name), f"{one['hours']:.2f}", one["clips"], one["speakers"]]
        cells += [f"{one['held_out']['hours']:.2f}", one["held_out"]["speakers"], one["with_text"]]
        cells += ["  ".join(f"{value:.0f}" for value in one[field].values()) for field in ("f0", "snr_db")]
        cells += [f"{one['loudness_lufs']['p50']:.1f}", one["bandwidth_hz"]]
        rows.append("".join(f"<td>{cell}</td>" for cell in cells))
    return _table(head.split("|"), rows)


def _rejected_table(rejected: dict[str, Any]) -> str:
    if not rejected["count"]:
        return "<h2>Left out</h2><p>Nothing.</p>"
    reasons = "".join(f"<li>{count}: {html.escape(reason)}</li>" for reason, count in rejected["reasons"].items())
    shown = rejected["files"][:500]
    rows = [
        f"<td>{html.escape(row['source'])}</td><td>{row['seconds']:.1f}</td>"
        f'<td class="left">{html.escape(row["reason"])}</td>'
        for row in shown
    ]
    more = (
        f"<p>The other {rejected['count'] - len(shown)} stand in the JSON file.</p>"
        if len(shown) < len(rejected["files"])
        else ""
    )
    return (
        f"<h2>Left out</h2><p>{rejected['count']} recordings or parts of them, {rejected['hours']:.2f} hours.</p>"
        f"<ul>{reasons}</ul>" + _table(["file", "seconds", "why"], rows) + more
    )


def _table(head: Sequence[str], rows: Sequence[str]) -> str:
    cells = "".join(f"<th>{cell}</th>" for cell in head)
    return f"<table><tr>{cells}</tr>" + "".join(f"<tr>{row}</tr>" for row in rows) + "</table>"


def _bars(one: dict[str, Any], colours: dict[str, str]) -> str:
    """Return a stacked histogram as SVG."""
    edges, width, height = one["edges"], 440, 150
    bins = len(edges) - 1
    totals = np.sum(list(one["counts"].values()), axis=0)
    scale = height / max(1, int(totals.max()))
    base = np.zeros(bins)
    parts = []
    for name, counts in one["counts"].items():
        for number, count in enumerate(counts):
            if count:
                top = height - (base[number] + count) * scale
                parts.append(
                    f'<rect x="{10 + number * width / bins:.1f}" y="{5 + top:.1f}" width="{width / bins - 1:.1f}" '
                    f'height="{count * scale:.1f}" fill="{colours[name]}">'
                    f"<title>{html.escape(name)}: {count}</title></rect>"
                )
                base[number] += count
    marks = "".join(
        f'<text x="{10 + number * width / bins:.1f}" y="{height + 20}" font-size="11" text-anchor="middle">'
        f"{edges[number]:g}</text>"
        for number in range(0, bins + 1, max(1, bins // 5))
    )
    unit = f'<text x="{width + 28}" y="{height + 20}" font-size="11">{html.escape(one["unit"])}</text>'
    return f'<svg width="{width + 70}" height="{height + 28}" role="img">{"".join(parts)}{marks}{unit}</svg>'
