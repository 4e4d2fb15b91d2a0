"""Pictures of a log without any package for pictures: outlines of a waveform, spectrograms as PNG."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtvoice.log.reader import Frames, Log

COLUMNS = 1000
_WINDOW, _ROWS = 1024, 160
_READ = 1 << 18  # samples at once


def outlines(log: Log, progress: Callable[[float], None] | None = None) -> NDArray[np.float32]:
    """Return the least and largest sample of input and output in each column, ``(2, 2, columns)``."""
    columns = min(COLUMNS, max(1, log.frames))
    edges = log.first + np.linspace(0, log.frames, columns + 1).astype(np.int64)
    found = np.zeros((2, 2, columns), np.float32)
    column = 0
    while column < columns:
        upto = column + 1
        while upto < columns and edges[upto + 1] - edges[column] <= _READ:
            upto += 1
        for part in range(column, upto):
            least, most = np.full(2, np.inf, np.float32), np.full(2, -np.inf, np.float32)
            for at in range(int(edges[part]), int(edges[part + 1]), _READ):
                both = log.audio(at, min(at + _READ, int(edges[part + 1])))
                for track in range(2):
                    samples = np.nan_to_num(both[track])
                    least[track] = min(least[track], samples.min(initial=0.0))
                    most[track] = max(most[track], samples.max(initial=0.0))
            for track in range(2):
                if np.isfinite(least[track]):
                    found[track, :, part] = least[track], most[track]
        column = upto
        if progress is not None:
            progress(column / columns)
    return found


def spectrogram(log: Log, track: int) -> NDArray[np.uint8]:
    """Return levels 0 to 255 for -100 to 0 dB of full scale, ``(rows, columns)``, low frequencies at the bottom."""
    columns = min(COLUMNS, max(1, log.frames // (_WINDOW // 4)))
    window = np.hanning(_WINDOW).astype(np.float32)
    levels = np.zeros((_ROWS, columns), np.uint8)
    for column, centre in enumerate(np.linspace(log.first, log.end, columns, endpoint=False).astype(np.int64)):
        samples = mono(log.audio(int(centre), int(centre) + _WINDOW)[track])
        power = np.abs(np.fft.rfft(samples * window))[1:] ** 2 / (window.sum() / 2) ** 2
        rows = power[: _WINDOW // 2].reshape(-1)
        picked = np.array([part.max() for part in np.array_split(rows, _ROWS)])
        decibel = 10 * np.log10(np.maximum(picked, 1e-10))
        levels[:, column] = np.clip((decibel + 100) * 2.55, 0, 255).astype(np.uint8)[::-1]
    return levels


def mono(samples: Frames) -> NDArray[np.float32]:
    """Return the channels' mean; what is no number is 0."""
    mixed: NDArray[np.float32] = np.nan_to_num(samples).mean(axis=1, dtype=np.float32)
    return mixed


def png(levels: NDArray[np.uint8]) -> str:
    """Return a data URL of a picture whose darkness is the level: dark blue over violet and orange to yellow."""
    stops = np.array([[13, 8, 60], [110, 20, 130], [225, 90, 70], [250, 230, 100]], np.float64)
    at = levels.astype(np.float64) / 255 * (len(stops) - 1)
    low = np.minimum(at.astype(np.int64), len(stops) - 2)
    share = (at - low)[..., None]
    colours = (stops[low] * (1 - share) + stops[low + 1] * share).astype(np.uint8)
    height, width = levels.shape
    raw = np.concatenate([np.zeros((height, 1), np.uint8), colours.reshape(height, -1)], axis=1).tobytes()
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", head), (b"IDAT", zlib.compress(raw, 9)), (b"IEND", b"")]
    data = b"\x89PNG\r\n\x1a\n" + b"".join(_piece(kind, body) for kind, body in parts)
    return "data:image/png;base64," + base64.b64encode(data).decode()


def _piece(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def times(log: Log) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return each column's median and longest call, as shares of their audio's time, and the columns without a call."""
    calls = log.calls
    real = (calls.frames > 0) & (calls.status == 0)
    columns = min(COLUMNS, max(1, int(np.count_nonzero(real))))
    share = calls.seconds[real] * log.header.sample_rate / calls.frames[real]
    column = ((calls.index[real] - log.first) * columns // max(1, log.frames)).clip(0, columns - 1)
    median, most = np.zeros(columns), np.zeros(columns)
    starts = np.searchsorted(column, np.arange(columns + 1))
    for i in range(columns):
        part = share[starts[i] : starts[i + 1]]
        if len(part):
            median[i], most[i] = np.median(part), part.max()
    return median, most, np.flatnonzero(np.diff(starts) == 0)
