"""What every speech synthesiser here is: voices, and text to audio."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from rtvoice.train.data.measure import Floats


@dataclass(frozen=True)
class Voice:
    """One voice of a synthesiser.

    Attributes
    ----------
    name : str
        As `Synthesizer.render` takes it.
    language : str
        ``"en-us"``, ``"en-gb"``, ...
    gender : str
        ``"female"``, ``"male"`` or ``""``.
    licence : str
        Of the voice's data or weights, as their makers give it.
    """

    name: str
    language: str
    gender: str
    licence: str


class Synthesizer(Protocol):
    """Turns text into speech.

    Attributes
    ----------
    name : str
        ``"kokoro"``, ``"flite"`` or ``"espeak"``.
    version : str
        Whatever changes the audio of the same text: part of the cache's key.
    """

    name: str
    version: str

    def voices(self) -> list[Voice]:
        """Return the voices that are installed."""
        ...

    def render(self, text: str, voice: str, speed: float = 1.0) -> tuple[Floats, int]:
        """Return speech `(samples,)` within -1 to 1 and its rate in Hz.

        Parameters
        ----------
        text : str
            A sentence or a few.
        voice : str
            The name of one of `voices()`.
        speed : float
            0.5 to 2; 2 is twice as fast.

        Raises
        ------
        DataError
            There is no such voice, or nothing to say.
        """
        ...
