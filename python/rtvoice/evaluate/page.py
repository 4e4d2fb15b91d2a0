"""One HTML file with everything in it: tables, gates, and the ten worst clips of each measure to see and to hear."""

from __future__ import annotations

import html
import json
import os
from collections.abc import Sequence
from typing import Any

from rtvoice.evaluate import pictures
from rtvoice.evaluate.cache import load
from rtvoice.evaluate.judge import Judgement
from rtvoice.evaluate.material import CLEAN, Material
from rtvoice.evaluate.measures import HIGH_IS_BAD, MAIN
from rtvoice.evaluate.signals import Signal
from rtvoice.files import write_whole

#: Clips per measure that a page plays.
WORST = 10

_TITLES = {
    "similarity_resemblyzer": "similarity, Resemblyzer",
    "similarity_dvector": "similarity, d-vector",
    "nearer_target_resemblyzer": "nearer the target, Resemblyzer",
    "nearer_target_dvector": "nearer the target, d-vector",
    "wer_delta": "word errors beyond the source's",
    "wer_delta_tiny": "the same, second recogniser",
    "per": "phone errors",
    "distillmos": "naturalness, DistillMOS",
    "f0_correlation": "pitch contour, correlation",
    "vuv_error": "voicing errors",
    "f0_median": "median F0, Hz",
    "f0_semitones_from_target": "median F0, semitones from target",
    "loudness": "loudness, LUFS",
    "streaming_bit_equal": "same bits however cut",
    "plcmos_loss": "PLCMOS lost by streaming",
}
_SHARES = {"wer_delta", "wer_delta_tiny", "per", "vuv_error", "nearer_target_resemblyzer", "nearer_target_dvector"}

_STYLE = """
body{font:15px/1.45 system-ui,sans-serif;max-width:1080px;margin:2em auto;padding:0 1em;color:#1c1c22;background:#fff}
table{border-collapse:collapse;margin:.6em 0 1.6em}
th,td{padding:.25em .8em .25em 0;text-align:left;vertical-align:middle}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}tr{border-bottom:1px solid #e4e4ea}
.yes{color:#12733a}.no{color:#b3261e;font-weight:600}.soft{color:#6a6a75}img{display:block;border-radius:3px}
audio{width:240px;height:32px}h2{margin-top:2em}h3{margin-bottom:.2em}details{margin:.6em 0}summary{cursor:pointer}
@media (prefers-color-scheme:dark){body{background:#16161a;color:#e8e8ee}tr{border-color:#33333c}.soft{color:#9a9aa6}
.yes{color:#6fd397}.no{color:#ff8a80}}
"""
_SCRIPT = """
const clips=JSON.parse(document.getElementById('clips').textContent);
document.querySelectorAll('audio[data-clip]').forEach(a=>a.addEventListener('play',()=>{
document.querySelectorAll('audio').forEach(b=>{if(b!==a)b.pause()})}));
document.querySelectorAll('audio[data-clip]').forEach(a=>{a.src=clips[a.dataset.clip][0]});
document.querySelectorAll('img[data-clip]').forEach(i=>{i.src=clips[i.dataset.clip][1]});
"""


def write(judgement: Judgement, path: str | os.PathLike[str]) -> None:
    """Write the page of an evaluation."""
    write_whole(path, render(judgement).encode())


def render(judgement: Judgement) -> str:
    """Return the page of an evaluation as text; it asks no other file and no network for anything."""
    figures, media = judgement.figures, _Media()
    models = figures.get("models", [figures])
    names = ", ".join(str(model["model"]) for model in models)
    parts = [f"<h1>{_text(names)}</h1>", _lead(figures)]
    for index, model in enumerate(models):
        title = f"{model['model']}{', ' + str(model['tier']) if 'tier' in model else ''}"
        parts += [f"<h2>{_text(title)}</h2>", _verdict(model), _main_table(model), _streaming(model)]
        parts += [_split_table("By gender", model["by_gender"], ("female", "male"))]
        parts += [_split_table("By noise", model["by_noise"], tuple(model["by_noise"]))]
        parts += [_worst(model, judgement.material, index, media)]
    parts += [_anchors(figures["anchors"]), _reasons(figures)]
    store = json.dumps(media.store).replace("</", "<\\/")
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>{_text(names)}: evaluation</title><style>{_STYLE}</style>{''.join(parts)}"
        f"<script type='application/json' id=clips>{store}</script><script>{_SCRIPT}</script></html>\n"
    )


class _Media:
    """Players and pictures by signal: what stands in several lists is kept once."""

    def __init__(self) -> None:
        self.store: dict[str, list[str]] = {}

    def cells(self, signal: Signal) -> str:
        if signal.digest not in self.store:
            samples = load(signal)
            picture = pictures.data_address("image/png", pictures.spectrogram(samples))
            self.store[signal.digest] = [pictures.data_address(*pictures.ogg(samples)), picture]
        size = f"width={pictures.WIDTH} height={pictures.HEIGHT}"
        return (
            f"<td><img data-clip={signal.digest} {size} alt='spectrogram'>"
            f"<audio data-clip={signal.digest} controls preload=none></audio></td>"
        )


def _text(value: object) -> str:
    return html.escape(str(value))


def _number(name: str, value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, int | float):
        return _text(value)
    if name in _SHARES:
        return f"{value:.1f} %"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.3f}"


def _rows(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    cells = "".join(f"<th class={'n' if i else 'l'}>{cell}</th>" for i, cell in enumerate(head))
    lines = ["".join(f"<td class={'n' if i else 'l'}>{c}</td>" for i, c in enumerate(row)) for row in rows]
    return f"<table><tr>{cells}</tr>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def _lead(figures: dict[str, Any]) -> str:
    return (
        f"<p>{figures['clips']} clips ({figures['seconds']:.0f} s) of {figures['speakers']} speakers; words are "
        f"counted for {_text(figures['text'])}. Similarity, pitch and opinion are medians over speakers; "
        "error rates are over all words or phones; brackets hold 95 % intervals from drawing speakers anew.</p>"
    )


def _verdict(model: dict[str, Any]) -> str:
    words = {True: "<span class=yes>passes</span>", False: "<span class=no>fails</span>", None: "not decided"}
    return "<p>Gates: " + ", ".join(f"{tier} {words[model['gates'][tier]['passed']]}" for tier in ("default", "hq"))


def _main_table(model: dict[str, Any]) -> str:
    flat = {**model, **model["more"]}
    streaming = model["streaming"] or {}
    flat |= {"streaming_bit_equal": streaming.get("bit_equal"), "plcmos_loss": streaming.get("plcmos_loss")}
    beside = [name for name in ("source", "master", "target") if name in model]
    rows = []
    for name, title in _TITLES.items():
        span = model["intervals"].get(name)
        interval = f" <span class=soft>[{_number(name, span[0])}, {_number(name, span[1])}]</span>" if span else ""
        gates = [_gate(name, model["gates"][tier]["measures"].get(name)) for tier in ("default", "hq")]
        others = [_number(name, model[who].get(name)) for who in beside]
        rows.append([title, _number(name, flat.get(name)) + interval, *gates, *others])
    return _rows(["", "measured", "gate, default", "gate, hq", *beside], rows)


def _gate(name: str, row: dict[str, Any] | None) -> str:
    if row is None:
        return ""
    limit = row.get("at_least", row.get("at_most"))
    sign = "&ge;" if "at_least" in row else "&le;"
    mark = {True: "<span class=yes>yes</span>", False: "<span class=no>no</span>", None: "-"}[row["passed"]]
    return f"{sign} {_number(name, limit)} {mark}" + ("" if row["judged"] else " <span class=soft>(taught)</span>")


def _streaming(model: dict[str, Any]) -> str:
    found = model["streaming"]
    if not found:
        return ""
    verdict = "the same bits" if found["bit_equal"] else f"other bits when cut by {_text(found['differing'])}"
    return (
        f"<p>Streamed in frames of {_text(', '.join(found['cuttings']))}: {verdict}. PLCMOS streamed "
        f"{_number('plcmos', found['plcmos_streamed'])}, offline {_number('plcmos', found['plcmos_offline'])}.</p>"
    )


def _split_table(title: str, split: dict[str, Any], parts: Sequence[str]) -> str:
    there = [part for part in parts if part in split]
    if not there:
        return ""
    rows = [[_TITLES[name], *(_number(name, split[part].get(name)) for part in there)] for name in MAIN]
    if "basis" in split:
        rows.append(["speakers", *(str(split[part]["speakers"]) for part in there)])
    basis = f"<p class=soft>Gender: {_text(split['basis'])}.</p>" if "basis" in split else ""
    return f"<h3>{title}</h3>{_rows(['', *there], rows)}{basis}"


def _worst(model: dict[str, Any], material: Material, index: int, media: _Media) -> str:
    places = {clip.name: place for place, clip in enumerate(material.clips)}
    parts = ["<h3>Worst clips</h3>"]
    for name in MAIN:
        known = [row for row in model["each"] if row[name] is not None]
        worst = sorted(known, key=lambda row: row[name], reverse=name in HIGH_IS_BAD)[:WORST]
        lines = []
        for row in worst:
            place = places[row["clip"]]
            made = material.converted[index][CLEAN][place]
            if made is None:
                continue
            lines.append(
                f"<tr><td>{_number(name, row[name])}<br><span class=soft>{_text(row['clip'])}</span></td>"
                f"{media.cells(material.sources[CLEAN][place])}{media.cells(made)}</tr>"
            )
        if lines:
            head = "<tr><th></th><th>source</th><th>converted</th></tr>"
            parts.append(f"<details><summary>{_TITLES[name]}</summary><table>{head}{''.join(lines)}</table></details>")
    return "".join(parts)


def _anchors(found: dict[str, Any]) -> str:
    kinds = [kind for kind, value in found.items() if isinstance(value, dict)]
    names = [*MAIN, "wer", "f0_median"]
    rows = [[kind.replace("_", " "), *(_number(n, found[kind].get(n)) for n in names)] for kind in kinds]
    head = ["", *(_TITLES.get(name, name) for name in names)]
    checks = [
        [
            f"{row['anchor'].replace('_', ' ')}: {_TITLES.get(row['measure'], row['measure'])}",
            _number(row["measure"], row["value"]),
            f"{_number(row['measure'], row['low'])} to {_number(row['measure'], row['high'])}",
            "<span class=yes>yes</span>" if row["ok"] else "<span class=no>no</span>",
        ]
        for row in found["checks"]
    ]
    return (
        f"<h2>Anchors</h2><p>Known good and bad speech in the same run: {found['utterances']} utterances of the target "
        f"that are not in its centroid.</p>{_rows(head, rows)}{_rows(['check', 'measured', 'expected', 'ok'], checks)}"
    )


def _reasons(figures: dict[str, Any]) -> str:
    lines = [f"<li>{_text(name)} was not measured: {_text(why)}" for name, why in figures["unavailable"].items()]
    lines += [f"<li>{_text(note)}" for note in figures["notes"]]
    return f"<h2>Notes</h2><ul>{''.join(lines)}</ul>" if lines else ""
