"""One offline page of what was measured: percentiles against the deadline, block sizes, cold caches, malloc."""

from __future__ import annotations

import html
import math
import os
from collections.abc import Callable, Sequence
from typing import Any

from rtvoice import files
from rtvoice.bench.histogram import Histogram
from rtvoice.bench.measure import Measurement

_COLOURS = ("#2563eb", "#d97706", "#059669", "#db2777", "#7c3aed", "#0891b2")
_WIDTH, _HEIGHT, _LEFT, _TOP, _RIGHT, _BOTTOM = 760, 340, 64, 18, 16, 46
#: Curves end at one call in a million; what was not recorded that often ends before.
_NINES = 6

_STYLE = """
:root { --ink: #111; --soft: #667; --line: #e3e3ea; --paper: #fff; }
@media (prefers-color-scheme: dark) { :root { --ink: #eee; --soft: #99a; --line: #2c2c36; --paper: #15151b; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 820px;
  margin: 2em auto; padding: 0 1em; }
h1 { font-size: 1.5em; } h2 { font-size: 1.1em; margin: 2em 0 .3em; } p { margin: .3em 0 .8em; }
.soft, figcaption { color: var(--soft); } figure { margin: 0; } svg { width: 100%; height: auto; }
svg text { font: 12px system-ui, sans-serif; fill: var(--ink); } svg .soft { fill: var(--soft); }
svg .grid { stroke: var(--line); } svg .limit { stroke: #dc2626; stroke-dasharray: 5 4; }
svg path.curve { fill: none; stroke-width: 2; } svg .hidden { display: none; }
.key { display: flex; flex-wrap: wrap; gap: .2em 1.2em; font-size: .9em; } .key label { cursor: pointer; }
table { border-collapse: collapse; font-size: .9em; } td, th { padding: .2em .8em .2em 0; text-align: right; }
td:first-child, th:first-child { text-align: left; }
#tip { position: fixed; pointer-events: none; background: var(--ink); color: var(--paper); padding: .1em .5em;
  border-radius: 4px; font-size: 12px; display: none; }
"""

_SCRIPT = """
document.querySelectorAll('input[data-curve]').forEach(box => box.addEventListener('change', () =>
  document.querySelectorAll('[data-of="' + box.dataset.curve + '"]').forEach(
    e => e.classList.toggle('hidden', !box.checked))));
const tip = document.getElementById('tip');
document.querySelectorAll('[data-tip]').forEach(e => {
  e.addEventListener('mousemove', m => { tip.textContent = e.dataset.tip; tip.style.display = 'block';
    tip.style.left = m.clientX + 12 + 'px'; tip.style.top = m.clientY - 28 + 'px'; });
  e.addEventListener('mouseleave', () => tip.style.display = 'none');
});
"""


def write_page(
    path: str | os.PathLike[str],
    measurements: Sequence[Measurement],
    machine: dict[str, Any],
    *,
    flatness: Sequence[dict[str, Any]] = (),
    malloc: dict[str, Any] | None = None,
) -> None:
    """Write the page: one file, no network, readable without scripts.

    Parameters
    ----------
    measurements
        Of any models and block sizes; the percentile curves show those at the largest measured block of 10 ms or less.
    flatness
        From :func:`rtvoice.bench.flatness.measure_flatness`.
    malloc
        From :func:`rtvoice.bench.allocator.compare_with_malloc`.
    """
    parts = [_head(machine), _percentiles(measurements), _sweep(measurements)]
    if any("cold_us" in m.result for m in measurements):
        parts.append(_cold(measurements))
    if flatness:
        parts.append(_flatness(flatness))
    if malloc is not None:
        parts.append(_malloc(malloc))
    body = "\n".join(parts)
    page = (
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width'><title>rtvoice-bench</title>"
        f"<style>{_STYLE}</style></head><body>{body}<div id='tip'></div><script>{_SCRIPT}</script></body></html>\n"
    )
    files.write_whole(path, page.encode())


def _head(machine: dict[str, Any]) -> str:
    facts = f"{machine['cpu']}, {machine['isa']}, {machine['cores']} cores, {machine['priority']} priority"
    return f"<h1>rtvoice-bench</h1><p class='soft'>{html.escape(facts)}</p>"


def _name(result: dict[str, Any]) -> str:
    return f"{result['model']} ({result['tier']})"


def _main_block(measurements: Sequence[Measurement]) -> int:
    blocks = sorted({int(m.result["block"]) for m in measurements})
    short = [b for b in blocks if any(m.result["block"] == b and m.result["budget_us"] <= 10_001 for m in measurements)]
    return max(short or blocks)


class _Axes:
    """A drawing's scales, both logarithmic, with their grid."""

    def __init__(self, x: tuple[float, float], y: tuple[float, float]) -> None:
        self._x, self._y = x, y
        self.parts: list[str] = []

    def x(self, value: float) -> float:
        return _LEFT + self._share(value, self._x) * (_WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        return _HEIGHT - _BOTTOM - self._share(value, self._y) * (_HEIGHT - _TOP - _BOTTOM)

    @staticmethod
    def _share(value: float, ends: tuple[float, float]) -> float:
        low, high = math.log(ends[0]), math.log(ends[1])
        return min(max((math.log(max(value, 1e-12)) - low) / (high - low), 0.0), 1.0)

    def vertical(self, value: float, label: str) -> None:
        at, foot = self.x(value), _HEIGHT - _BOTTOM
        self.parts.append(f"<line class='grid' x1='{at:.1f}' x2='{at:.1f}' y1='{_TOP}' y2='{foot}'/>")
        self.parts.append(f"<text class='soft' x='{at:.1f}' y='{foot + 17}' text-anchor='middle'>{label}</text>")

    def horizontal(self, value: float, label: str, kind: str = "grid") -> None:
        at = self.y(value)
        self.parts.append(f"<line class='{kind}' x1='{_LEFT}' x2='{_WIDTH - _RIGHT}' y1='{at:.1f}' y2='{at:.1f}'/>")
        if kind == "limit":
            self.parts.append(f"<text x='{_WIDTH - _RIGHT}' y='{at - 5:.1f}' text-anchor='end'>{label}</text>")
        else:
            self.parts.append(f"<text class='soft' x='{_LEFT - 7}' y='{at + 4:.1f}' text-anchor='end'>{label}</text>")

    def times(self) -> None:
        low, high = self._y
        for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1):
            if low <= 10.0**power <= high:
                self.horizontal(10.0**power, _time(10.0**power))

    def curve(self, points: Sequence[tuple[float, float]], colour: str, of: str, dash: str = "") -> None:
        path = " ".join(f"{'M' if i == 0 else 'L'}{self.x(x):.1f} {self.y(y):.1f}" for i, (x, y) in enumerate(points))
        dashed = f" stroke-dasharray='{dash}'" if dash else ""
        self.parts.append(f"<path class='curve' data-of='{of}' stroke='{colour}'{dashed} d='{path}'/>")

    def dot(self, x: float, y: float, colour: str, of: str, tip: str) -> None:
        self.parts.append(
            f"<circle data-of='{of}' data-tip='{html.escape(tip, quote=True)}'"
            f" cx='{self.x(x):.1f}' cy='{self.y(y):.1f}' r='4' fill='{colour}'/>"
        )

    def axis(self, text: str) -> None:
        middle = (_LEFT + _WIDTH - _RIGHT) / 2
        self.parts.append(f"<text class='soft' x='{middle}' y='{_HEIGHT - 8}' text-anchor='middle'>{text}</text>")

    def svg(self, title: str) -> str:
        inner = "".join(self.parts)
        return f"<svg viewBox='0 0 {_WIDTH} {_HEIGHT}' role='img' aria-label='{title}'>{inner}</svg>"


def _time(us: float) -> str:
    return f"{us / 1000:g} ms" if us >= 1000 else f"{us:g} µs"


def _figure(title: str, words: str, svg: str, keys: Sequence[tuple[str, str, str]] = ()) -> str:
    boxes = "".join(
        f"<label><input type='checkbox' checked data-curve='{of}'> <span style='color:{colour}'>&#9644;</span> "
        f"{html.escape(label)}</label>"
        for of, colour, label in keys
    )
    return f"<h2>{title}</h2><p>{words}</p><figure>{svg}</figure><div class='key'>{boxes}</div>"


def _tail_points(histogram: Histogram) -> list[tuple[float, float]]:
    """Points of a percentile curve: the part of calls above (as its inverse), and the time."""
    return _inverse(histogram.curve())


def _inverse(curve: Sequence[Sequence[float]]) -> list[tuple[float, float]]:
    return [(min(1.0 / share, 10.0**_NINES), max(us, 0.01)) for share, us in curve]


def _nines(axes: _Axes) -> None:
    for power in range(_NINES + 1):
        label = "all" if power == 0 else f"{100 * (1 - 10.0**-power):.{max(power - 2, 0)}f} %"
        axes.vertical(10.0**power, label)


def _span(values: Sequence[float], least: float = 0.05) -> tuple[float, float]:
    low, high = max(min(values), least), max(values)
    return low / 1.6, high * 1.6


def _curves(
    title: str, words: str, named: Sequence[tuple[str, list[tuple[float, float]], str, str]], limits: Sequence[float]
) -> str:
    axes = _Axes((1.0, 10.0**_NINES), _span([us for _, points, _, _ in named for _, us in points] + list(limits)))
    _nines(axes)
    axes.times()
    keys = []
    for i, (label, points, colour, dash) in enumerate(named):
        of = f"{title[:2]}{i}".lower().replace(" ", "")
        axes.curve(points, colour, of, dash)
        keys.append((of, colour, label))
    for limit in limits:
        axes.horizontal(limit, f"deadline {_time(limit)}", "limit")
    axes.axis("part of the calls that end within the time")
    return _figure(title, words, axes.svg(title), keys)


def _percentiles(measurements: Sequence[Measurement]) -> str:
    block = _main_block(measurements)
    chosen = [m for m in measurements if m.result["block"] == block]
    named = []
    for i, m in enumerate(chosen):
        colour = _COLOURS[i % len(_COLOURS)]
        named.append((f"{_name(m.result)}: call", _tail_points(m.spent), colour, ""))
        named.append((f"{_name(m.result)}: end after due", _tail_points(m.scheduled), colour, "4 3"))
    words = (
        f"Every call of {block} samples. Dashed: when it ended after the moment it was due, so that a slow call's "
        "lateness counts for those behind it too."
    )
    return _curves("Percentiles against the deadline", words, named, sorted({m.result["budget_us"] for m in chosen}))


def _sweep(measurements: Sequence[Measurement]) -> str:
    results = [m.result for m in measurements]
    blocks = sorted({float(r["block"]) for r in results})
    if len(blocks) < 2:
        return ""
    span = _span([cost for r in results for cost in (r["realtime_factor"], r["load"])], 1e-6)
    axes = _Axes((blocks[0] / 1.2, blocks[-1] * 1.2), span)
    for block in blocks:
        axes.vertical(block, f"{block:.0f}")
    for power in range(-5, 2):
        if span[0] <= 10.0**power <= span[1]:
            axes.horizontal(10.0**power, f"{100 * 10.0**power:g} %")
    keys = []
    for i, name in enumerate(dict.fromkeys(_name(r) for r in results)):
        own = sorted((r for r in results if _name(r) == name), key=lambda r: int(r["block"]))
        for k, word, dash in (("realtime_factor", "all calls together", ""), ("load", "p99", "4 3")):
            of, colour = f"sweep{i}{k}", _COLOURS[i % len(_COLOURS)]
            points = [(float(r["block"]), float(r[k])) for r in own]
            axes.curve(points, colour, of, dash)
            for r, (x, y) in zip(own, points, strict=True):
                axes.dot(x, y, colour, of, f"{name}, {r['block']} samples, {word}: {y:.2%}")
            keys.append((of, colour, f"{name}, {word}"))
    axes.axis("samples of a call")
    words = "Time spent over time of the audio. In blocks shorter than a hop one call does the work of several."
    return _figure("Block sizes", words, axes.svg("Block sizes"), keys)


def _bars(rows: Sequence[tuple[str, Sequence[tuple[str, float, str]]]], unit: Callable[[float], str]) -> str:
    longest = max((value for _, bars in rows for _, value, _ in bars), default=1.0)
    parts, y = [], 8
    for label, bars in rows:
        parts.append(f"<text x='0' y='{y + 13}'>{html.escape(label)}</text>")
        y += 20
        for name, value, colour in bars:
            width = max(2.0, value / longest * (_WIDTH - 250))
            parts.append(f"<text class='soft' x='112' y='{y + 12}' text-anchor='end'>{html.escape(name)}</text>")
            parts.append(f"<rect x='120' y='{y}' width='{width:.1f}' height='15' rx='2' fill='{colour}'/>")
            parts.append(f"<text x='{126 + width:.1f}' y='{y + 12}'>{unit(value)}</text>")
            y += 19
        y += 8
    return f"<svg viewBox='0 0 {_WIDTH} {y}' role='img'>{''.join(parts)}</svg>"


def _cold(measurements: Sequence[Measurement]) -> str:
    block = _main_block([m for m in measurements if "cold_us" in m.result])
    rows = []
    for m in measurements:
        r = m.result
        if r["block"] == block and "cold_us" in r:
            bars = [("warm, median", r["frame_us"]["p50"]), ("cold, median", r["cold_us"]["p50"])]
            bars.append(("cold, p99", r["cold_us"]["p99"]))
            colours = ("#059669", "#60a5fa", "#2563eb")
            rows.append((_name(r), [(n, v, c) for (n, v), c in zip(bars, colours, strict=True)]))
    words = f"Calls of {block} samples: the caches as the last call left them, and swept by other work in between."
    return _figure("Warm and cold", words, _bars(rows, lambda us: f"{us:.0f} µs"))


def _flatness(entries: Sequence[dict[str, Any]]) -> str:
    rows = []
    for entry in entries:
        bars = [
            (f"{kind}, largest", entry[kind]["max_us"], colour)
            for kind, colour in (("inline", "#d97706"), ("sliced", "#059669"))
        ]
        rows.append((f"{entry['model']} ({entry['tier']}), {entry['block']} samples", bars))
    words = "The largest callback of a hop in short blocks: all work at once, or spread until the next hop."
    return _figure("The sliced schedule", words, _bars(rows, lambda us: f"{us:.1f} µs"))


def _malloc(found: dict[str, Any]) -> str:
    named = [
        ("as it is: no allocation", _inverse(found["ours_curve"]), "#059669", ""),
        (f"with malloc for {found['buffers']} frames a call", _inverse(found["malloc_curve"]), "#dc2626", ""),
    ]
    words = (
        f"{found['calls']} calls of {found['block']} samples each way, turn by turn, while {found['threads']} other "
        "threads allocate and free in the same heap. The work is the same; only where the frames lie differs."
    )
    return _curves("With malloc, and without", words, named, [])
