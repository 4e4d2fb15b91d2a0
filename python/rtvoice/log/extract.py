"""Writes a log's audio as a sound file: what was lost is silence, so that input and output stay beside each other."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np

from rtvoice import audio
from rtvoice.log.reader import Log
from rtvoice.log.records import LogError

TRACKS = ("both", "input", "output")

_WINDOW = 1 << 16
#: A WAV file tells its length in 32 bits; longer ones are written as RF64.
_MOST_WAV_BYTES = 0xFFFF0000


def extract(
    log: Log,
    target: str | os.PathLike[str],
    *,
    track: str = "both",
    start: int | None = None,
    stop: int | None = None,
    large: bool | None = None,
    progress: Callable[[float], None] | None = None,
) -> int:
    """Write samples ``start`` to ``stop`` (the whole log) and return how many frames that were.

    Parameters
    ----------
    track
        ``"input"``, ``"output"``, or ``"both"``: the input's channels, then the output's.
    large
        Write a WAV file as RF64; without it where it is beyond 4 GB.

    Raises
    ------
    LogError
        The log was redacted, or there is nothing between ``start`` and ``stop``.
    AudioError
        The target cannot be written.
    """
    if track not in TRACKS:
        raise ValueError(f"track must be one of {', '.join(TRACKS)}, not {track!r}")
    first = log.first if start is None else max(start, log.first)
    last = log.end if stop is None else min(stop, log.end)
    if not log.has_audio:
        raise LogError(f"{log.paths[0]} was redacted: it holds timing and events, no audio")
    if last <= first:
        raise LogError(f"{log.paths[0]}: there is no audio from sample {first} to {last}")
    header = log.header
    lost = sum(int(gap.values["frames"]) for gap in log.gaps)
    if start is None and stop is None and lost > 10 * (log.frames - lost) + 600 * header.sample_rate:
        raise LogError(
            f"{log.paths[0]}: {lost} of {log.frames} samples are lost; to fill so much with silence, "
            "say from where to where"
        )
    channels = header.channels * (2 if track == "both" else 1)
    whole = header.audio == "pcm16"
    if large is None:
        large = (last - first) * channels * header.sample_bytes > _MOST_WAV_BYTES
    subtype = "PCM_16" if whole else "FLOAT"
    with audio.Writer(target, header.sample_rate, channels, subtype, large=large) as writer:
        for at in range(first, last, _WINDOW):
            upto = min(at + _WINDOW, last)
            given, made = log.audio(at, upto)
            piece = {"input": given, "output": made}.get(track)
            if piece is None:
                piece = np.concatenate([given, made], axis=1)
            if whole and writer.subtype == "PCM_16":
                writer.write_whole_numbers((piece * 32768).astype(np.int16))
            else:
                writer.write(piece)
            if progress is not None:
                progress((upto - first) / (last - first))
    return last - first
