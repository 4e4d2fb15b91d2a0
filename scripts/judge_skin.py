"""Measures a skin's tiers for its card: scripts/judge_skin.py NAME --speech DIR --target DIR [--prepared DIR] [...].

Writes models/NAME/metrics.json: what `rtvoice evaluate` says of both tiers on speakers that no training has heard, and
what a frame costs by `rtvoice bench`. With --render, the master's answers stand beside.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from rtvoice import audio

ROOT = Path(__file__).resolve().parents[1]
BLOCK, HOST = 480, 48000


def answers(render: Path, place: Path) -> None:
    """Write the master's answers to held-out clips, as they were spoken, as WAV files of the clips' names."""
    from rtvoice.train.models.student import StudentShape
    from rtvoice.train.skin.pairs import Pairs
    from rtvoice.train.skin.render import RATE, rows

    pairs = Pairs(render, StudentShape())
    for number, row in enumerate(rows(render)):
        if row["split"] != "held_out" or row["speed"] != 1.0:
            continue
        sound = pairs.frames("answer", pairs.pairs[number], 0, row["frames"]).reshape(-1).astype(np.float32) / 32768
        with audio.Writer(place / f"{Path(row['id']).name}.wav", RATE, 1, "PCM_16") as writer:
            writer.write(sound[:, None])


def rtvoice(*arguments: str | Path) -> dict[str, Any]:
    """Run a command and return what it prints."""
    done = subprocess.run([sys.executable, "-m", "rtvoice", *map(str, arguments)], stdout=subprocess.PIPE, check=True)
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def cost(models: dict[str, Path]) -> dict[str, Any]:
    """Return what a frame costs, warm and with the caches swept before each."""
    found = {}
    for tier, path in models.items():
        told = rtvoice("bench", path, "--rate", str(HOST), "--block", str(BLOCK), "--seconds", "20", "--cold", "--json")
        one = told["results"][0] if "results" in told else told
        found[tier] = {
            "isa": one["isa"],
            "warm_percent": 100 * one["frame_us"]["p50"] / one["budget_us"],
            "cold_percent": 100 * one["cold_us"]["p50"] / one["budget_us"],
            "latency_ms": one["latency_ms"]["total"],
            "allocations": one["allocations"],
        }
    return found


def main() -> int:
    """Measure, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", help="of the skin, a folder of models/")
    parser.add_argument("--speech", type=Path, required=True, help="recordings of others")
    parser.add_argument("--target", type=Path, required=True, help="recordings of the voice")
    parser.add_argument("--held-out", type=Path, help="index of the prepared training data: only what it held out")
    parser.add_argument("--render", type=Path, help="folder of the stage 'render': the master's answers")
    parser.add_argument("--noise", type=Path, help="noises, to judge at 20 and 10 dB as well")
    parser.add_argument("--clips", type=int, default=60)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each clip")
    options = parser.parse_args()
    folder = ROOT / "models" / options.name
    models = {tier: folder / f"{tier}.rtv" for tier in ("default", "hq") if (folder / f"{tier}.rtv").is_file()}
    command: list[str | Path] = ["evaluate", *models.values(), "--speech", options.speech, "--target", options.target]
    command += ["--clips", str(options.clips), "--seconds", str(options.seconds), "--json"]
    for name in ("held_out", "noise"):
        if getattr(options, name):
            command += [f"--{name.replace('_', '-')}", getattr(options, name)]
    with tempfile.TemporaryDirectory() as place:
        if options.render:
            answers(options.render, Path(place))
            command += ["--master", place]
        told = rtvoice(*command)
    each = told.pop("models", None) or [told]
    tiers = {}
    for tier, one in zip(models, each, strict=True):
        one.pop("each", None)
        tiers[tier] = {key: value for key, value in one.items() if key not in ("model", "path")}
    shared = {
        key: told[key] for key in ("clips", "speakers", "seconds", "text", "units", "notes", "anchors") if key in told
    }
    (folder / "metrics.json").write_text(json.dumps({**shared, "cost": cost(models), "tiers": tiers}, indent=1) + "\n")
    print(folder.relative_to(ROOT) / "metrics.json")
    return 0


if __name__ == "__main__":
    sys.exit(main())
