"""The report as one HTML file that needs no network: strips, table, rules, ledger."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

from rtvoice.train.monitor.heuristics import HEURISTICS
from rtvoice.train.monitor.store import RunRow, Store
from rtvoice.train.monitor.strips import WIDTH, data_uri, strip

_STYLE = """
body{font:14px/1.45 system-ui,sans-serif;color:#1c1c22;margin:2em auto;max-width:1180px;padding:0 1em}
h1{font-size:1.5em}h2{font-size:1.15em;margin-top:2em;border-bottom:1px solid #ddd}
table{border-collapse:collapse;font-size:12.5px}td,th{padding:2px 7px;text-align:right;border-bottom:1px solid #eee}
th{background:#f6f6f8}td:first-child,th:first-child{text-align:left}.t{text-align:left}small{color:#667}
.strips{display:flex;flex-wrap:wrap;gap:14px}.strips figure{margin:0;border:1px solid #ddd;padding:6px;max-width:360px}
img{image-rendering:pixelated;max-width:100%;display:block;margin:2px 0}figcaption{font-size:12px}
.good{color:#14713d}.bad{color:#a3221c}.key span{display:inline-block;width:12px;height:12px;margin:0 4px 0 12px}
"""
_INK = {
    "good": "#14713d",
    "poor_performance": "#c77f12",
    "poor_generalisation": "#7d3fb0",
    "collapse": "#a3221c",
    None: "#999",
}


def page(store: Store, report: dict[str, Any], *, pictures: int = 24) -> str:
    """Return the HTML of a report.

    Parameters
    ----------
    store : Store
        For the pictures.
    report : dict
        Of `analysis.analyse`.
    pictures : int
        Runs whose strips are drawn.
    """
    runs = store.runs(report["project"])
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>",
        f"<title>Runs of {escape(report['project'])}</title><style>{_STYLE}</style>",
        f"<h1>Runs of {escape(report['project'])}</h1>",
        _summary(report),
        "<h2>Held-out loss over the run</h2>",
        _curves(store, runs),
        "<h2>Kill rules</h2>",
        _rules(report),
        "<h2>Which heuristic tells what, when</h2>",
        _table(report["table"]),
        "<h2>Time saved</h2>",
        _ledger(report["ledger"]),
        "<h2>Units, layer by layer, over time</h2>",
        _strips(store, runs, pictures),
        "<h2>Runs</h2>",
        _runs(runs),
        "</html>",
    ]
    return "\n".join(parts) + "\n"


def _summary(report: dict[str, Any]) -> str:
    words = ", ".join(f"{count} {label.replace('_', ' ')}" for label, count in report["outcomes"].items() if count)
    lines = [f"{report['runs']} runs, {report['labelled']} with a known outcome ({words or 'none'})."]
    lines.append(f"They took {report['hours']:.2f} hours of CPU time.")
    if report["censored"]:
        lines.append(
            f"{report['censored']} were ended by a rule: their own outcome is unknown, nothing is learned from them."
        )
    if report["overhead"]:
        share = report["overhead"]
        lines.append(f"The monitor took {share['median']:.1%} of the time (median; at worst {share['worst']:.1%}).")
    return f"<p>{escape(' '.join(lines))}</p>"


def _number(value: Any, form: str = ".2f") -> str:
    usable = isinstance(value, int | float) and math.isfinite(value)
    return format(value, form) if usable else "-"


def _cells(cells: Sequence[str], tag: str = "td") -> str:
    return "<tr>" + "".join(f"<{tag}>{cell}</{tag}>" for cell in cells) + "</tr>"


def _shade(area: float) -> str:
    """Return a background that is darker the further an AUC is from one half."""
    if not math.isfinite(area):
        return "#fff"
    strength = min(1.0, abs(area - 0.5) * 2)
    low, high = ((255, 255, 255), (242, 140, 80)) if area >= 0.5 else ((255, 255, 255), (96, 160, 214))
    return "rgb({},{},{})".format(*(round(a + (b - a) * strength) for a, b in zip(low, high, strict=True)))


def _table(rows: list[dict[str, Any]]) -> str:
    if not rows:
        return "<p>No run has an outcome yet: label some with <code>rtvoice monitor label</code>.</p>"
    fractions = sorted({row["fraction"] for row in rows})
    by_name: dict[str, dict[float, dict[str, Any]]] = {}
    for row in rows:
        by_name.setdefault(row["heuristic"], {})[row["fraction"]] = row

    def most(item: tuple[str, dict[float, dict[str, Any]]]) -> float:
        return max((abs(r["auc"] - 0.5) for r in item[1].values() if math.isfinite(r["auc"])), default=0.0)

    head = [
        "heuristic",
        *(f"at {fraction:.0%}" for fraction in fractions),
        "best gain over the loss",
        "over validation",
    ]
    lines = [_cells(head, "th")]
    for name, cells in sorted(by_name.items(), key=most, reverse=True):
        line = [f"<td class=t title='{escape(HEURISTICS[name])}'>{escape(name)}</td>"]
        for fraction in fractions:
            r = cells[fraction]
            sure = isinstance(r["q"], float) and r["q"] < 0.05
            low, high = r["interval"]
            text = f"<b>{_number(r['auc'])}</b>" if sure else _number(r["auc"])
            told = f"n {r['n']}, {r['bad']} bad, q {_number(r['q'], '.2g')}"
            line.append(
                f"<td style='background:{_shade(r['auc'])}' title='{told}'>{text} "
                f"<small>[{_number(low)} {_number(high)}]<br>rho {_number(r['spearman'])}, n {r['n']}</small></td>"
            )
        line += [f"<td>{_best_gain(list(cells.values()), loss)}</td>" for loss in ("loss", "validation")]
        lines.append(f"<tr>{''.join(line)}</tr>")
    told = (
        "AUC: the chance that a bad run's value is above a good one's; below one half low values are bad. In brackets "
        "its 95 % interval (bootstrap over runs), below it Spearman's rho with the score. Bold: different from one "
        "half at a false-discovery rate of 5 % over the whole table (Benjamini and Hochberg). Gain: how much further "
        "the AUC is from one half than the loss's at the same time, on the same runs, with the interval over paired "
        "draws."
    )
    return f"<p><small>{told}</small></p><table>{''.join(lines)}</table>"


def _best_gain(cells: list[dict[str, Any]], loss: str) -> str:
    gains = [(r[f"gain_over_{loss}"], r["fraction"]) for r in cells if r.get(f"gain_over_{loss}")]
    if not gains:
        return "-"
    best, fraction = max(gains, key=lambda pair: float(pair[0]["gain"]))
    low, high = best["interval"]
    return f"{best['gain']:+.2f} <small>[{_number(low)} {_number(high)}] at {fraction:.0%}</small>"


def _trial(t: dict[str, Any]) -> list[str]:
    return [
        f"{t['hits']} / {t['flagged']}",
        _number(t["precision"]),
        _number(t["bound"]),
        _number(t["recall"]),
        _number(t["saved_hours"], ".3f"),
        str(t["good_lost"]),
        _number(t["good_hours"], ".3f"),
        _number(t["net_hours"], "+.3f"),
    ]


def _rules(report: dict[str, Any]) -> str:
    head = ["", "bad / flagged", "precision", "at least", "recall", "hours saved", "good lost", "their hours", "net"]
    parts: list[str] = []
    for learned in [report["rules"], *report["others"]]:
        asked = f"precision of at least {learned['precision']:.0%} at {learned['confidence']:.0%} confidence"
        parts.append(f"<h3>{asked[0].upper()}{asked[1:]}</h3>")
        some = [f for f in learned["findings"] if f["rule"]]
        if not some:
            best = max(learned["findings"], default=None, key=lambda f: float(f["reached"]))
            words = f"{best['heuristic']}: {best['verdict']}" if best else "not enough evidence (n=0)"
            parts.append(f"<p>No rule. The nearest is {escape(words)}.</p>")
            continue
        lines = [_cells([*head, "beyond the loss rule", "verdict"], "th")]
        for f in sorted(some, key=lambda f: -f["leave_one_out"]["net_hours"]):
            beyond = f"{f['beyond_loss']['bad']} bad, {f['beyond_loss']['good']} good"
            mark = "good" if f["accepted"] else "bad"
            verdict = f"<span class={mark}>{escape(f['verdict'])}{', in use' if f['used'] else ''}</span>"
            lines.append(_cells([escape(f["heuristic"]), *_trial(f["leave_one_out"]), beyond, verdict]))
        lines.append(_cells(["those in use, together", *_trial(learned["together"]), "", ""]))
        parts.append(f"<table>{''.join(lines)}</table>")
    parts.append("<h3>Without learning</h3>")
    lines = [_cells(head, "th")]
    lines += [
        _cells([f"{p['heuristic']} above the median at {p['fraction']:.0%}", *_trial(p)]) for p in report["plain"]
    ]
    lines += [_cells([escape(u["meaning"]), *_trial(u)]) for u in report["unconditional"]]
    parts.append(f"<table>{''.join(lines)}</table>")
    parts.append(
        "<p><small>Every figure is of runs left out of the learning, one at a time. A rule may end runs where the "
        "lower bound of its precision (Clopper and Pearson) reaches what is asked for and its precision on runs left "
        "out does too.</small></p>"
    )
    return "\n".join(parts)


def _ledger(book: dict[str, Any]) -> str:
    if not book["totals"]:
        return "<p>No rule has been met in any run yet. Rules judge new runs once learned, in shadow at first.</p>"
    names = {"kill": "ended", "shadow": "would have been ended (shadow)", "survivor": "spared as survivors"}
    lines = [_cells(["runs", "", "bad", "good", "unknown", "hours saved", "hours of good runs"], "th")]
    for action, t in book["totals"].items():
        counts = [f"{t[name]:.0f}" for name in ("runs", "bad", "good", "unknown")]
        lines.append(_cells([names[action], *counts, f"{t['saved_hours']:.3f}", f"{t['good_hours']:.3f}"]))
    details = [_cells(["run", "action", "at", "outcome", "rest, hours", "why"], "th")]
    for d in book["decisions"]:
        outcome = (d["label"] or "unknown").replace("_", " ")
        why = f"<span class=t>{escape(d['reason'])}</span>"
        at = _number(d["progress"], ".0%")
        details.append(_cells([escape(d["run"]), d["action"], at, outcome, f"{d['rest_hours']:.3f}", why]))
    more = f"<details><summary>each decision</summary><table>{''.join(details)}</table></details>"
    return f"<table>{''.join(lines)}</table>{more}"


def _curves(store: Store, runs: list[RunRow]) -> str:
    """Draw all runs' held-out (or training) losses, on a logarithmic scale, coloured by outcome."""
    curves = []
    for run in runs:
        found = store.series(run.id)
        points = found.get("validation")
        points = found.get("loss") if points is None else points
        if points is None:
            continue
        at = points[:, 1] if np.isfinite(points[:, 1]).any() else points[:, 0] / max(run.steps, 1)
        fine = np.isfinite(points[:, 2]) & (points[:, 2] > 0) & np.isfinite(at)
        if fine.any():
            curves.append((run, at[fine], np.log10(points[fine, 2])))
    if not curves:
        return "<p>No run has a loss yet.</p>"
    every = np.concatenate([y for _, _, y in curves])
    low, high = float(every.min()), float(np.percentile(every, 98))
    high = high if high > low else low + 1
    width, height = 1000, 300
    lines = []
    for run, x, y in curves:
        px = 50 + x * (width - 60)
        py = height - 25 - (np.clip(y, low, high) - low) / (high - low) * (height - 35)
        where = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(px, py, strict=True))
        ink = _INK[run.label]
        lines.append(
            f"<polyline points='{where}' fill=none stroke='{ink}' stroke-width=1.3 opacity=.75>"
            f"<title>{escape(run.id)}: {run.label or 'no outcome'}</title></polyline>"
        )
    for level in np.linspace(low, high, 5):
        y = height - 25 - (level - low) / (high - low) * (height - 35)
        lines.append(f"<text x=2 y={y + 4:.0f} font-size=11>{10**level:.3g}</text>")
    for part in (0, 0.25, 0.5, 0.75, 1):
        lines.append(f"<text x={50 + part * (width - 60) - 10:.0f} y={height - 6} font-size=11>{part:.0%}</text>")
    key = "".join(
        f"<span style='background:{ink}'></span>{(label or 'no outcome').replace('_', ' ')}"
        for label, ink in _INK.items()
    )
    svg = f"<svg viewBox='0 0 {width} {height}' width=100% role=img>{''.join(lines)}</svg>"
    return f"<p class=key>{key}</p>{svg}"


def _strips(store: Store, runs: list[RunRow], pictures: int) -> str:
    good = [run for run in runs if run.label == "good"]
    others = [run for run in runs if run.label != "good"]
    # Bad ones first: they are what one looks for; a few good ones beside them.
    chosen = others[: max(pictures - min(len(good), pictures // 3), 0)] + good[: pictures // 3]
    key = (
        "<p class=key><span style='background:#f0ac3c'></span>always on<span style='background:#26928c'></span>varies"
        "<span style='background:#181820'></span>never on. Each row is a unit, each block a layer (from the input "
        "down), each column a sampled step; left the probe set, right the latest training batches. Below: units newly "
        "dead (dark, upwards) and revived (amber, downwards) since the sample before.</p>"
    )
    figures = []
    for run in chosen[:pictures]:
        images = []
        for source, words in (("probe", "probe set"), ("batches", "training batches")):
            layers = store.layers(run.id, source)
            if layers:
                names = ", ".join(dict.fromkeys(layer["layer"] for layer in layers))
                images.append(f"<img src='{data_uri(strip(layers))}' alt='{words}' title='{words}: {escape(names)}'>")
        if not images:
            continue
        flow = _flow(store.layers(run.id, "probe"))
        config = ", ".join(f"{k} {_short(v)}" for k, v in run.config.items())
        score = "" if run.score is None else f", score {run.score:.2f}"
        label = f"<b style='color:{_INK[run.label]}'>{(run.label or 'no outcome').replace('_', ' ')}</b>{score}"
        words = f"{escape(run.id)}: {label}<br><small>{escape(config)}</small>"
        row = f"<div style='display:flex;gap:8px;align-items:flex-start'>{''.join(images)}</div>"
        figures.append(f"<figure>{row}{flow}<figcaption>{words}</figcaption></figure>")
    if not figures:
        return "<p>No run has a census yet.</p>"
    return f"{key}<div class=strips>{''.join(figures)}</div>"


def _flow(layers: list[dict[str, Any]]) -> str:
    """Draw the units newly dead and revived at each sample of the probe set, in the strip's own columns."""
    steps = sorted({layer["step"] for layer in layers})
    if not layers:
        return ""
    bars = []
    for column, step in enumerate(steps):
        ours = [layer for layer in layers if layer["step"] == step]
        units = sum(layer["units"] for layer in ours)
        for name, ink, sign in (("newly_dead", "#181820", -1), ("revived", "#f0ac3c", 1)):
            share = sum((layer["measures"][name] or 0.0) * layer["units"] for layer in ours) / units
            size = 12 * share**0.5  # the square root, so that a unit in a hundred is seen
            y = 13 - size if sign < 0 else 13
            words = f"step {step}: {share:.1%} {name.replace('_', ' ')}"
            bars.append(
                f"<rect x={column * WIDTH} y={y:.1f} width={WIDTH - 1} height={size:.1f} fill='{ink}'>"
                f"<title>{words}</title></rect>"
            )
    width = len(steps) * WIDTH
    line = f"<line x1=0 y1=13 x2={width} y2=13 stroke='#bbb' stroke-width=.5 />"
    return f"<svg width={width} height=26 viewBox='0 0 {width} 26'>{line}{''.join(bars)}</svg>"


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _runs(runs: list[RunRow]) -> str:
    lines = [_cells(["run", "status", "steps", "CPU s", "monitor", "outcome", "by", "score", "settings"], "th")]
    for run in runs:
        settings = ", ".join(f"{k} {_short(v)}" for k, v in run.config.items())
        outcome = (run.label or "-").replace("_", " ")
        share = _number(run.overhead, ".1%")
        spent = f"{run.cpu_seconds or run.seconds:.0f}"
        mark = "good" if run.label == "good" else "bad" if run.label else ""
        lines.append(
            _cells(
                [
                    escape(run.id),
                    run.status,
                    str(run.steps),
                    spent,
                    share,
                    f"<span class='{mark}'>{outcome}</span>",
                    run.label_source or "-",
                    _number(run.score),
                    f"<small>{escape(settings)}</small>",
                ]
            )
        )
    return f"<table>{''.join(lines)}</table>"
