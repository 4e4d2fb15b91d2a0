"""One offline page of a log: waveform, spectrogram, timing and events, over the same time."""

from __future__ import annotations

import html
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from rtvoice import files
from rtvoice.log import picture, summary
from rtvoice.log.reader import Log

_WIDTH = picture.COLUMNS
_MOST_ROWS = 1000

_STYLE = """
:root { --ink: #111; --soft: #667; --line: #e3e3ea; --paper: #fff; }
@media (prefers-color-scheme: dark) { :root { --ink: #eee; --soft: #99a; --line: #2c2c36; --paper: #15151b; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 1060px;
  margin: 2em auto; padding: 0 1em; }
h1 { font-size: 1.5em; } h2 { font-size: 1.1em; margin: 1.5em 0 .3em; }
.soft { color: var(--soft); } figure { margin: 0; } svg, img { width: 100%; display: block; }
img { height: 160px; image-rendering: pixelated; } svg text { font: 12px system-ui, sans-serif; fill: var(--soft); }
svg .grid { stroke: var(--line); } svg .limit { stroke: #dc2626; stroke-dasharray: 5 4; }
svg .wave { fill: #2563eb; } svg .out { fill: #d97706; } svg .most { fill: #dc262660; } svg .median { fill: #059669; }
svg .gap { fill: #dc262655; } svg .mark { stroke: #7c3aed; } .bad { color: #dc2626; }
table { border-collapse: collapse; font-size: .9em; } td, th { padding: .15em 1em .15em 0; text-align: left; }
td.n { text-align: right; font-variant-numeric: tabular-nums; }
"""


def write_page(log: Log, path: str | os.PathLike[str], progress: Callable[[float], None] | None = None) -> None:
    """Write the page: one file, no network, no script."""
    told = summary.summarise(log)
    marks = summary.happenings(log)
    parts = [_head(told), _facts(log, told)]
    if log.has_audio and log.frames:
        outline = picture.outlines(log, progress)
        for track, name in enumerate(("Input", "Output")):
            parts.append(f"<h2>{name}</h2>" + _wave(log, outline[track], marks, "wave" if track == 0 else "out"))
            parts.append(f"<img alt='Spectrogram' src='{picture.png(picture.spectrogram(log, track))}'>")
        top = log.header.sample_rate / 2000
        parts.append(f"<p class='soft'>Spectrograms: 0 to {top:g} kHz, -100 to 0 dB of full scale.</p>")
    parts += [_times(log, marks), _events(marks), _sizes(told)]
    page = (
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width'>"
        f"<title>{html.escape(log.paths[0].name)}</title><style>{_STYLE}</style></head>"
        f"<body>{''.join(parts)}</body></html>\n"
    )
    files.write_whole(path, page.encode("utf-8", "replace"))


def _head(told: dict[str, Any]) -> str:
    problems = "".join(f"<p class='bad'>{html.escape(text)}</p>" for text in told["problems"])
    return f"<h1>{html.escape(os.path.basename(told['files'][0]))}</h1>{problems}"


def _facts(log: Log, told: dict[str, Any]) -> str:
    us = told["call_us"]
    rows = [
        ("turned on", log.header.line),
        (
            "stream",
            f"{told['seconds']:.2f} s, {told['sample_rate']} Hz, {told['channels']} channel(s), {told['audio']}",
        ),
        ("model", f"{told['model']['name']} ({told['model']['tier']}), {told['isa']}"),
        ("calls", f"{told['calls']}, {told['different_sizes']} different frame sizes"),
        ("call", f"p50 {us['p50']:.0f} us, p99 {us['p99']:.0f} us, most {us['max']:.0f} us" if us else "none"),
        ("late", f"{told['overruns']} call(s) took longer than their audio"),
        ("lost", f"{told['lost_frames']} samples in {len(told['gaps'])} gap(s)"),
    ]
    cells = "".join(f"<tr><th>{name}</th><td>{html.escape(text)}</td></tr>" for name, text in rows)
    return f"<table>{cells}</table>"


def _x(log: Log, index: int) -> float:
    return _WIDTH * (index - log.first) / max(1, log.frames)


def _frame(log: Log, marks: list[dict[str, Any]], height: int, body: str) -> str:
    """Put a drawing over the log's time, with gaps, marks and a scale."""
    gaps = "".join(
        f"<rect class='gap' x='{_x(log, g.index):.1f}' y='0' height='{height}' "
        f"width='{max(1.0, _x(log, g.index + g.values['frames']) - _x(log, g.index)):.1f}'/>"
        for g in log.gaps[:_MOST_ROWS]
    )
    lines = "".join(
        f"<line class='mark' x1='{_x(log, m['index']):.1f}' x2='{_x(log, m['index']):.1f}' y1='0' y2='{height}'>"
        f"<title>{m['seconds']:.3f} s: {html.escape(m['what'])} {html.escape(m['text'])}</title></line>"
        for m in marks[:_MOST_ROWS]
        if m["what"] not in ("gap", "overrun")
    )
    scale = "".join(
        f"<text x='{_WIDTH * i / 10 + 2:.0f}' y='{height + 14}'>{second:.2f} s</text>"
        for i, second in enumerate(log.seconds_of(log.first + log.frames * i // 10) for i in range(10))
    )
    return f"<figure><svg viewBox='0 0 {_WIDTH} {height + 18}'>{body}{gaps}{lines}{scale}</svg></figure>"


def _wave(log: Log, outline: Any, marks: list[dict[str, Any]], kind: str) -> str:
    height = 120
    top = max(0.05, float(np.abs(outline).max()))
    step = _WIDTH / outline.shape[1]
    y = height / 2 * (1 - outline / top)
    upper = [f"{(i + 0.5) * step:.1f},{v - 0.3:.1f}" for i, v in enumerate(y[1])]
    lower = [f"{(i + 0.5) * step:.1f},{v + 0.3:.1f}" for i, v in enumerate(y[0])]
    body = f"<polygon class='{kind}' points='{' '.join(upper + lower[::-1])}'/><text x='2' y='12'>{top:.2f}</text>"
    return _frame(log, marks, height, body)


def _times(log: Log, marks: list[dict[str, Any]]) -> str:
    median, most, empty = picture.times(log)
    height, top = 140, max(0.05, float(most.max(initial=0.0)) * 1.1)
    step = _WIDTH / len(most)
    bars = []
    for values, kind in ((most, "most"), (median, "median")):
        for i, value in enumerate(values):
            tall = height * value / top
            if tall > 0.2:
                where = f"x='{i * step:.1f}' y='{height - tall:.1f}' width='{max(step, 0.5):.1f}' height='{tall:.1f}'"
                bars.append(f"<rect class='{kind}' {where}/>")
    limit = ""
    if top > 1:
        y = height - height / top
        limit = f"<line class='limit' x1='0' x2='{_WIDTH}' y1='{y:.1f}' y2='{y:.1f}'/>"
    text = f"<text x='2' y='12'>{100 * top:.0f} % of the audio's time</text>"
    missing = "" if not len(empty) else f" {len(empty)} of {len(most)} columns have no call."
    return (
        "<h2>Time of the calls</h2>"
        + _frame(log, marks, height, "".join(bars) + limit + text)
        + f"<p class='soft'>Green: the median, red: the longest call of each column, against its audio.{missing}</p>"
    )


def _events(marks: list[dict[str, Any]]) -> str:
    rows = "".join(
        f"<tr><td class='n'>{m['seconds']:.3f} s</td><td class='n'>{m['index']}</td><td>{html.escape(m['what'])}</td>"
        f"<td>{html.escape(m['text'])}</td></tr>"
        for m in marks[:_MOST_ROWS]
    )
    more = f"<p class='soft'>and {len(marks) - _MOST_ROWS} more</p>" if len(marks) > _MOST_ROWS else ""
    return f"<h2>Events</h2><table><tr><th>time</th><th>sample</th><th>what</th><th></th></tr>{rows}</table>{more}"


def _sizes(told: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><td class='n'>{size['frames']}</td><td class='n'>{size['calls']}</td></tr>"
        for size in told["frame_sizes"]
    )
    return f"<h2>Frame sizes</h2><table><tr><th>samples</th><th>calls</th></tr>{rows}</table>"
