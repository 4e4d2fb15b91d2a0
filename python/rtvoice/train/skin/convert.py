"""Speaks what someone else said in the target's voice: the master at work."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch

from rtvoice.train.models.master import Master, Said
from rtvoice.train.skin.crops import Register, Speech


def asked(speech: Speech, clip: int, speaker: int, register: Register) -> Said:
    """Return what the master is told so that `speaker` says what a clip says, in that voice's register."""
    said = speech.said(clip, speaker=speaker)
    own = Register.of(speech.prepared.f0(clip))
    return replace(said, f0=own.moved(said.f0, register))


def convert(master: Master, said: Said, *, seed: int = 0) -> npt.NDArray[np.float32]:
    """Return the speech of one utterance, `(samples,)` at the master's rate; the same for the same seed."""
    with torch.no_grad():
        audio = master.eval()(said, generator=torch.Generator().manual_seed(seed))
    return np.asarray(audio[0].numpy(), np.float32)


def register_of(speech: Speech, clips: list[int]) -> Register:
    """Return the register of a voice over many clips."""
    return Register.of(np.concatenate([speech.prepared.f0(clip) for clip in clips]))
