"""Measures where a skin fails, for its card: scripts/skin_limits.py NAME --speech DIR --target DIR --noise DIR [...].

Writes models/NAME/limits.json: both tiers on the same speakers as they are, in noise, singing (their words on notes of
a scale), whispering (through the skin `whisper`) and, with --german, another language; and what laughter becomes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import parselmouth

import rtvoice
from rtvoice import audio
from rtvoice.evaluate.clips import choose, find, held_out
from rtvoice.train.data.effects import laughter

ROOT = Path(__file__).resolve().parents[1]
RATE = 16000
MEASURES = ("similarity_resemblyzer", "per", "distillmos", "f0_correlation", "vuv_error")
SCALE = (0, 2, 4, 5, 7, 5, 4, 2)  # semitones above the speaker's own median
NOTE_S = 0.35
LAUGHS, LAUGH_S = 8, 4.0

Floats = npt.NDArray[np.float32]


def read(path: Path, seconds: float) -> Floats:
    """Return the first seconds of a recording at 16 kHz."""
    samples, rate = audio.read(path)
    mono = samples.mean(axis=1)[: int(seconds * rate)].astype(np.float32)
    return np.concatenate(list(audio.convert([mono[:, None]], rate, RATE)))[:, 0]


def sung(samples: Floats) -> Floats:
    """Return the same words on notes of a scale, by overlap-add of periods (Moulines and Charpentier, 1990; Praat)."""
    sound = parselmouth.Sound(samples.astype(np.float64), RATE)
    pitch = sound.to_pitch(0.01, 60, 500).selected_array["frequency"]
    middle = float(np.median(pitch[pitch > 0])) if (pitch > 0).any() else 150.0
    change = parselmouth.praat.call(sound, "To Manipulation", 0.01, 60, 500)
    tier = parselmouth.praat.call("Create PitchTier", "notes", 0.0, sound.duration)
    for note in range(int(sound.duration / NOTE_S) + 1):
        hz = middle * 2 ** (SCALE[note % len(SCALE)] / 12)
        for at in (note * NOTE_S + 0.02, (note + 1) * NOTE_S - 0.02):
            parselmouth.praat.call(tier, "Add point", min(at, sound.duration), hz)
    parselmouth.praat.call([change, tier], "Replace pitch tier")
    made = parselmouth.praat.call(change, "Get resynthesis (overlap-add)")
    return np.asarray(made.values[0], np.float32)


def through(model: rtvoice.Model, samples: Floats) -> Floats:
    """Return what a skin makes of it, in step with it."""
    engine = rtvoice.Engine(model, RATE, 160)
    padded = np.concatenate([samples, np.zeros(engine.latency + 160, np.float32)])
    made = [engine.process(padded[at : at + 160]) for at in range(0, len(padded) - 159, 160)]
    return np.concatenate(made)[engine.latency :][: len(samples)]


def level(samples: Floats) -> float:
    """Return the RMS level in dB."""
    return float(10 * np.log10(np.mean(np.square(samples, dtype=np.float64)) + 1e-12))


def voiced(samples: Floats) -> float:
    """Return the share of 10 ms frames, in %, that Praat hears a pitch in."""
    pitch = parselmouth.Sound(samples.astype(np.float64), RATE).to_pitch(0.01, 60, 600).selected_array["frequency"]
    return 100.0 * float((pitch > 0).mean())


def laughed(model: rtvoice.Model) -> dict[str, float]:
    """Return what becomes of laughter: level against the source's, and how much of it has a pitch."""
    rng = np.random.default_rng(5)
    pairs = [(laugh, through(model, laugh)) for laugh in (laughter(rng, LAUGH_S, RATE) for _ in range(LAUGHS))]
    return {
        "level_change_db": round(float(np.median([level(out) - level(laugh) for laugh, out in pairs])), 1),
        "voiced_source": round(float(np.median([voiced(laugh) for laugh, _ in pairs])), 1),
        "voiced": round(float(np.median([voiced(out) for _, out in pairs])), 1),
    }


def judged(models: Sequence[Path], speech: Path, target: Path, *more: str | Path) -> list[dict[str, Any]]:
    """Return what `rtvoice evaluate` says of each model."""
    command = ["evaluate", *models, "--speech", speech, "--target", target, "--measures", ",".join(MEASURES)]
    command += ["--no-anchors", "--json", *more]
    done = subprocess.run([sys.executable, "-m", "rtvoice", *map(str, command)], stdout=subprocess.PIPE, check=True)
    told = json.loads(done.stdout)
    return list(told.get("models") or [told])


def main() -> int:
    """Measure, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", help="of the skin, a folder of models/")
    parser.add_argument("--speech", type=Path, required=True, help="recordings of others")
    parser.add_argument("--target", type=Path, required=True, help="recordings of the voice")
    parser.add_argument("--noise", type=Path, required=True, help="noises, heard at 20 and 10 dB")
    parser.add_argument("--german", type=Path, help="recordings in German")
    parser.add_argument("--held-out", type=Path, help="index of the prepared training data: only what it held out")
    parser.add_argument("--clips", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=6.0, help="of each clip")
    options = parser.parse_args()
    folder = ROOT / "models" / options.name
    models = {tier: folder / f"{tier}.rtv" for tier in ("default", "hq") if (folder / f"{tier}.rtv").is_file()}
    clips = find(options.speech)
    if options.held_out:
        clips = held_out(clips, options.held_out)
    clips = choose(clips, options.clips, options.clips)
    whisper = rtvoice.Model.load(ROOT / "models" / "whisper" / "default.rtv")
    changes: dict[str, Callable[[Floats], Floats]] = {
        "as it is": lambda x: x,
        "singing": sung,
        "whispering": lambda x: through(whisper, x),
    }
    tiers: dict[str, dict[str, Any]] = {tier: {} for tier in models}
    size = ("--clips", str(options.clips), "--seconds", str(options.seconds))
    with tempfile.TemporaryDirectory() as place:
        for said, change in changes.items():
            speech = Path(place) / said.replace(" ", "_")
            for clip in clips:
                (speech / clip.speaker).mkdir(parents=True, exist_ok=True)
                with audio.Writer(speech / clip.speaker / f"{Path(clip.path).stem}.wav", RATE, 1, "PCM_16") as writer:
                    writer.write(change(read(Path(clip.path), options.seconds))[:, None])
            noise = ("--noise", options.noise) if said == "as it is" else ()
            for tier, one in zip(
                models, judged(list(models.values()), speech, options.target, *size, *noise), strict=True
            ):
                for kind, values in one["by_noise"].items():
                    name = said if kind == "clean" else f"noise, {kind}"
                    tiers[tier][name] = {measure: values.get(measure) for measure in MEASURES}
        if options.german:
            told = judged(list(models.values()), options.german, options.target, *size, "--language", "de")
            for tier, one in zip(models, told, strict=True):
                tiers[tier]["German"] = {measure: one["by_noise"]["clean"].get(measure) for measure in MEASURES}
    for tier, path in models.items():
        tiers[tier]["laughter"] = laughed(rtvoice.Model.load(path))
    found = {"clips": len(clips), "seconds": options.seconds, "laughs": LAUGHS, "tiers": tiers}
    (folder / "limits.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(folder.relative_to(ROOT) / "limits.json")
    return 0


if __name__ == "__main__":
    sys.exit(main())
