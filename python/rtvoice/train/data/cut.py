"""Cuts recordings into clips: silence off the ends, long takes apart at their pauses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from rtvoice.train.data.measure import HOP, RATE, Floats, frame_energy

#: Seconds of what was before and after the speech that a clip keeps: breath and decay belong to a voice.
MARGIN = 0.2
#: Seconds: no clip is longer, and a take is not cut where a part would be shorter.
LONGEST, SHORTEST_PART = 15.0, 2.0
#: Seconds of audio that are held at a time of an hour-long file.
BLOCK = 300.0


def blocks(chunks: Iterable[Floats]) -> Iterator[Floats]:
    """Join a stream of mono chunks at 24 kHz into blocks of at most BLOCK seconds, parted at the quietest place.

    The place is sought in a block's last 30 s, so that no word is cut where there is any pause in them.
    """
    held: list[Floats] = []
    size = 0
    most, tail = int(BLOCK * RATE), 30 * RATE
    for chunk in chunks:
        held.append(chunk)
        size += chunk.size
        while size > most:
            joined = np.concatenate(held)
            place = most - tail + quietest(joined[most - tail : most])
            yield joined[:place]
            held, size = [joined[place:]], joined.size - place
    if size:
        yield np.concatenate(held)


def quietest(audio: Floats) -> int:
    """Return the sample in the middle of the 0.2 s with the least energy."""
    energy = 10 ** (frame_energy(audio).astype(np.float64) / 10)
    width = min(20, energy.size)
    if width == 0:
        return audio.size // 2
    sums = np.convolve(energy, np.ones(width), "valid")
    return int((int(sums.argmin()) + width // 2) * HOP)


def speech_span(audio: Floats) -> tuple[int, int]:
    """Return first and last sample of what stands out of the pauses, with MARGIN around it, in whole hops.

    The threshold lies a quarter of the way from the noise (5th percentile of the 25 ms frames) to the speech (95th),
    and at most 45 dB under the speech; so it follows the recording's own noise.
    """
    energy = frame_energy(audio)
    if energy.size == 0:
        return 0, 0
    low, high = np.percentile(energy, [5, 95])
    over = np.flatnonzero(energy > max(low + 0.25 * (high - low), high - 45.0))
    if over.size == 0:
        return 0, energy.size * HOP
    margin = round(MARGIN * RATE / HOP)
    return max(0, int(over[0]) - margin) * HOP, min(energy.size, int(over[-1]) + margin) * HOP


def spans(audio: Floats) -> list[tuple[int, int]]:
    """Return the clips of one block as `(first, stop)` samples: trimmed, none longer than LONGEST.

    A span that is too long is cut at the quietest place of its middle part and both halves are trimmed again.
    """
    done: list[tuple[int, int]] = []
    waiting = [(0, audio.size)]
    while waiting:
        first, stop = waiting.pop()
        inner = speech_span(audio[first:stop])
        first, stop = first + inner[0], first + inner[1]
        length = stop - first
        if length <= LONGEST * RATE:
            if length:
                done.append((first, stop))
            continue
        edge = int(max(SHORTEST_PART * RATE, length / 4 if length < 3 * LONGEST * RATE else length / 3))
        place = first + edge + quietest(audio[first + edge : stop - edge])
        waiting += [(place, stop), (first, place)]
    return done
