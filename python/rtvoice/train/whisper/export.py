"""A trained whisper checkpoint as a `.rtv` file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from rtvoice.graph import GraphBuilder
from rtvoice.train.whisper.data import HOP
from rtvoice.train.whisper.loop import load_student
from rtvoice.train.whisper.teacher import RATE

DATA = (
    "LibriSpeech train-clean-100 (CC BY 4.0, V. Panayotov, G. Chen, D. Povey, S. Khudanpur), one utterance of each of"
    " 228 speakers; Picovoice speech-to-intent-benchmark (Apache-2.0); noises: ESC-10 clips whose source is CC0, Speech"
    " Commands backgrounds (CC BY 4.0, P. Warden), CC0, CC BY and public-domain ambiences; simulated rooms"
)


def provenance(checkpoint: Path) -> dict[str, Any]:
    """Return what a model file says about its training run."""
    state = torch.load(checkpoint, weights_only=True)
    length = "minutes" if state["run"]["steps"] == "None" else "steps"
    grown = " --start default/checkpoint.pt" if state["run"].get("start", "None") != "None" else ""
    commits = state.get("commits", [])
    told = {
        "teacher": "WORLD resynthesis with noise excitation, first formant broadened, low shelf",
        "data": DATA,
        "consent": "no speaker is imitated: the skin keeps the user's own voice, whispered",
        "command": f"python -m rtvoice.train whisper --tier {state['tier']}"
        f" --{length} {state['run'][length]} --seed {state['run']['seed']}{grown}",
        "git_commit": ", ".join(commits),  # when the run began, and at each resumption by other source
        "steps": state["step"],
        "minutes": round(state["seconds"] / 60, 1),
    }
    return {key: value for key, value in told.items() if key != "git_commit" or commits}


def export(checkpoint: Path, path: Path, loudness: float | None = None) -> None:
    """Write a checkpoint's averaged student to `path`.

    Parameters
    ----------
    checkpoint : Path
        Made by `rtvoice.train.whisper.loop.train`.
    path : Path
        The `.rtv` file.
    loudness : float or None
        Typical output loudness in LUFS, where it was measured.
    """
    model = load_student(checkpoint)
    tier = torch.load(checkpoint, weights_only=True)["tier"]
    builder = GraphBuilder(
        name="whisper",
        description="Your own voice, whispered",
        sample_rate=RATE,
        hop=HOP,
        tier=tier,
        latency=model.tier.latency,
        licence="Apache-2.0",
        loudness=loudness,
        provenance=provenance(checkpoint),
    )
    builder.output(model.emit(builder, builder.input()))
    path.parent.mkdir(parents=True, exist_ok=True)
    builder.save(str(path))
