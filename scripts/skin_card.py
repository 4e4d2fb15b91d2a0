"""Writes a skin's card from measured figures: scripts/skin_card.py NAME [--samples].

Reads models/NAME/metrics.json (scripts/judge_skin.py makes it) and the model files; the words about known failures and
how it was made stand in models/NAME/notes.md and go into the card as they are. --samples renders the clips anew.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from rtvoice import audio
from rtvoice.model import Model
from rtvoice.render import render_file
from spectrogram import draw

ROOT = Path(__file__).resolve().parents[1]
MODELS = ROOT / "models"
TIERS = ("default", "hq")

#: Measure, how it is told, digits; gates come from the figures themselves.
MEASURES = (
    ("similarity_resemblyzer", "similarity to the target, Resemblyzer", 3),
    ("similarity_dvector", "the same, d-vector", 3),
    ("nearer_target_resemblyzer", "clips nearer the target than the source, Resemblyzer, %", 1),
    ("nearer_target_dvector", "the same, d-vector, %", 1),
    ("wer_delta", "word errors (whisper-base) beyond the source's, points", 1),
    ("per", "phone errors against the source (hama), %", 1),
    ("distillmos", "DistillMOS, 1 to 5", 2),
    ("f0_correlation", "log F0 correlation with the source", 3),
    ("f0_correlation_fixed", "the same, F0 searched once from 75 to 500 Hz", 3),
    ("vuv_error", "voicing errors, % of frames", 1),
)


def told(value: float | None, digits: int) -> str:
    """Return a figure, or a dash where there is none."""
    return "–" if value is None else f"{value:.{digits}f}"


def figure(one: dict[str, Any], name: str) -> float | None:
    """Return a figure from the main ones or from `more`."""
    value = one.get(name, one.get("more", {}).get(name))
    return None if value is None else float(value)


def measures(found: dict[str, dict[str, Any]]) -> list[str]:
    """Return the table of measures against the gates."""
    some = next(iter(found.values()))
    beside = [(name, some[name]) for name in ("source", "master", "target") if some.get(name)]
    tiers = [tier for tier in TIERS if tier in found]
    lines = [
        "| | " + " | ".join([*(name for name, _ in beside), *(f"{tier}, gate" for tier in tiers)]) + " |",
        "|---|" + "---|" * (len(beside) + len(tiers)),
    ]
    for name, said, digits in MEASURES:
        cells = [told(figure(values, name) if name in values else None, digits) for _, values in beside]
        for tier in tiers:
            gate = found[tier]["gates"][tier]["measures"].get(name)
            if gate is None:
                cells.append(f"{told(figure(found[tier], name), digits)}, no gate")
                continue
            side, limit = ("≥", gate["at_least"]) if "at_least" in gate else ("≤", gate["at_most"])
            span = found[tier]["intervals"].get(name)
            value = told(gate["value"], digits) + (f" ({span[0]:.{digits}f} to {span[1]:.{digits}f})" if span else "")
            verdict = {True: "passes", False: "**misses**", None: "not measured"}[gate["passed"]]
            cells.append(f"{value}: {verdict} {side} {limit:g}" + ("" if gate["judged"] else ", no gate"))
        lines.append(f"| {said} | " + " | ".join(cells) + " |")
    streaming = {tier: found[tier].get("streaming") or {} for tier in tiers}
    equal = ", ".join(f"{tier} {'yes' if one.get('bit_equal') else 'no'}" for tier, one in streaming.items())
    lost = ", ".join(f"{tier} {told(one.get('plcmos_loss'), 2)}" for tier, one in streaming.items())
    lines += ["", f"The same bits in five ways of cutting: {equal}. PLCMOS lost by streaming: {lost}."]
    return lines


def groups(found: dict[str, dict[str, Any]]) -> list[str]:
    """Return the table by gender of the source and by noise."""
    names = ("similarity_resemblyzer", "per", "distillmos", "f0_correlation")
    lines = ["| tier, source | Resemblyzer | phone errors, % | DistillMOS | F0 correlation |", "|---|---|---|---|---|"]
    for tier, one in found.items():
        rows = [
            (f"{tier}, {who} ({one['by_gender'][who]['speakers']})", one["by_gender"][who])
            for who in ("female", "male")
        ]
        rows += [(f"{tier}, noise at {level}", values) for level, values in one["by_noise"].items() if level != "clean"]
        for said, values in rows:
            cells = [told(values.get(name), 1 if name == "per" else 2) for name in names]
            lines.append(f"| {said} | " + " | ".join(cells) + " |")
    return lines


def limits(folder: Path) -> list[str]:
    """Return the table of what is harder than clean speech, where scripts/skin_limits.py has measured it."""
    path = folder / "limits.json"
    if not path.is_file():
        return []
    found = json.loads(path.read_text(encoding="utf-8"))
    names = ("similarity_resemblyzer", "per", "distillmos", "f0_correlation", "vuv_error")
    lines = [
        "",
        "## What is harder than clean speech",
        "",
        f"{found['clips']} clips of {found['seconds']:g} s by as many of these speakers, medians",
        "(`scripts/skin_limits.py`). Singing: their words on notes of a scale, by Praat. Whispering: through the skin",
        "`whisper`. Phone errors are against what is heard in the source as it is given.",
        "",
        "| tier, source | Resemblyzer | phone errors, % | DistillMOS | F0 correlation | voicing errors, % |",
        "|---|---|---|---|---|---|",
    ]
    for tier, kinds in found["tiers"].items():
        for kind, values in kinds.items():
            if kind == "laughter":
                continue
            cells = [told(values.get(name), 1 if name in ("per", "vuv_error") else 2) for name in names]
            lines.append(f"| {tier}, {kind} | " + " | ".join(cells) + " |")
    laughs = [
        f"{tier}: {kinds['laughter']['level_change_db']:+.1f} dB, a pitch in {kinds['laughter']['voiced']:.0f} % of it "
        f"(source: {kinds['laughter']['voiced_source']:.0f} %)"
        for tier, kinds in found["tiers"].items()
    ]
    return [*lines, "", f"Laughter ({found['laughs']} synthetic bouts) comes out as voice: {'; '.join(laughs)}."]


def sizes(models: dict[str, Model], bench: dict[str, Any]) -> list[str]:
    """Return the table of rate, latency, size and cost."""
    lines = ["| | " + " | ".join(models) + " |", "|---|" + "---|" * len(models)]
    rows: list[tuple[str, list[str]]] = [
        ("rate, frames", [f"{m.sample_rate / 1000:g} kHz, {m.sample_rate / m.hop:g} Hz" for m in models.values()]),
        (
            "latency of the network, without the hop it gathers",
            [f"{m.latency} samples ({1000 * m.latency / m.sample_rate:g} ms)" for m in models.values()],
        ),
        ("multiply-adds", [f"{m.info['mac_per_second'] / 1e6:.0f} M/s" for m in models.values()]),
        ("file", [f"{m.path.stat().st_size / 1e6:.1f} MB" for m in models.values() if m.path]),
    ]
    costs = [bench[tier] for tier in models if tier in bench]
    if len(costs) == len(models):
        shares = [f"{one['warm_percent']:.2f} / {one['cold_percent']:.2f} %" for one in costs]
        rows.append(("share of one core, median of 10 ms frames: caches warm / swept between frames", shares))
        rows.append(("latency at a 48 kHz host, frames of 10 ms", [f"{one['latency_ms']:.1f} ms" for one in costs]))
    return lines + [f"| {said} | " + " | ".join(cells) + " |" for said, cells in rows]


def samples(name: str, tiers: list[str]) -> None:
    """Render the shared clips through the skin as small Ogg files, and draw the first ones."""
    folder = MODELS / name / "samples"
    folder.mkdir(exist_ok=True)
    clips = sorted((MODELS / "samples").glob("*.ogg"))
    with tempfile.TemporaryDirectory() as place:
        for clip in clips:
            for tier in tiers:
                wav = Path(place) / f"{clip.stem}-{tier}.wav"
                render_file(clip, wav, Model.load(MODELS / name / f"{tier}.rtv"), block=480)
                sound, rate = audio.read(wav)
                with audio.Writer(folder / f"{clip.stem}-{tier}.ogg", rate, 1) as writer:
                    writer.write(sound)
        pictures = [(f"in: {clips[0].stem}", clips[0])]
        pictures += [(f"out: {name} {tier}", Path(place) / f"{clips[0].stem}-{tier}.wav") for tier in tiers]
        draw(pictures, MODELS / name / "spectrogram.png", end=5.0)


def main() -> int:
    """Write the card."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", help="of the skin, a folder of models/")
    parser.add_argument("--samples", action="store_true", help="render the sound samples and the picture anew")
    options = parser.parse_args()
    folder = MODELS / options.name
    found = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    tiers = [tier for tier in TIERS if (folder / f"{tier}.rtv").is_file()]
    models = {tier: Model.load(folder / f"{tier}.rtv") for tier in tiers}
    about = models[tiers[0]].metadata
    if options.samples:
        samples(options.name, tiers)
    judged = {tier: found["tiers"][tier] for tier in tiers}
    clips, speakers = found["clips"], found["speakers"]
    heard = sorted(path.stem for path in (MODELS / "samples").glob("*.ogg"))
    lines = [
        f"# {options.name}",
        "",
        f"{about['description']}. Anyone who speaks is heard in this voice, as they speak.",
        "",
        *sizes(models, found.get("cost", {})),
        "",
        "## Listen",
        "",
        "![Spectrograms: in, and out of each tier](spectrogram.png)",
        "",
        "| in | " + " | ".join(tiers) + " |",
        "|---|" + "---|" * len(tiers),
        *(
            f"| [{clip}](../samples/{clip}.ogg) | "
            + " | ".join(f"[out](samples/{clip}-{tier}.ogg)" for tier in tiers)
            + " |"
            for clip in heard
        ),
        "",
        "## Measures",
        "",
        f"{clips} utterances of {speakers} speakers that no training has heard, streamed through the engine by",
        "`rtvoice evaluate` (95 % intervals over speakers in brackets; [what is measured](../../docs/evaluate.md)):",
        "",
        *measures(judged),
        "",
        *groups(judged),
        "",
        "All figures: `metrics.json`.",
        *limits(folder),
        "",
        "## Data, licences, consent",
        "",
        f"Skin: {about['licence']}. {about['provenance']['data'][0].upper()}{about['provenance']['data'][1:]}.",
        "",
        f"Consent: {about['provenance']['consent']}.",
        "",
        (folder / "notes.md").read_text(encoding="utf-8").strip(),
        "",
    ]
    (folder / "README.md").write_text("\n".join(lines), encoding="utf-8")
    print(folder.relative_to(ROOT) / "README.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
