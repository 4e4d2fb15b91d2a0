"""Spectrograms as PNG files and clips as Ogg files, in memory: what the page shows and plays without a network."""

from __future__ import annotations

import base64
import io
import struct
import zlib

import numpy as np
import soundfile
from numpy.typing import NDArray

from rtvoice.evaluate.signals import RATE, Floats

#: 32 ms windows: fine enough for harmonics, short enough for plosives. Shown up to 8 kHz, which is all that is judged.
WINDOW, TOP_HZ, RANGE_DB = 768, 8000, 70
WIDTH, HEIGHT = 360, 96
#: Black over violet and orange to light yellow: grows evenly lighter, so that level reads as brightness.
_SHADES = np.array(
    [[0, 0, 4], [40, 17, 89], [114, 31, 129], [182, 54, 121], [241, 96, 93], [254, 175, 119], [252, 253, 191]]
)


def spectrogram(samples: Floats) -> bytes:
    """Return a PNG of `WIDTH` by `HEIGHT` pixels: time to the right, 0 to 8 kHz upwards, 70 dB below the loudest."""
    padded = np.pad(samples, WINDOW // 2)
    starts = np.linspace(0, len(padded) - WINDOW, WIDTH).astype(int)
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[starts] * np.hanning(WINDOW)
    bins = TOP_HZ * WINDOW // RATE
    power = np.abs(np.fft.rfft(frames))[:, :bins] ** 2
    edges = np.linspace(0, bins, HEIGHT + 1).astype(int)
    rows = np.add.reduceat(power, edges[:-1], axis=1) / np.maximum(np.diff(edges), 1)
    level = 10 * np.log10(rows.T[::-1] + 1e-12)
    shade = np.clip((level - level.max()) / RANGE_DB + 1, 0, 1)
    return png(np.round(255 * shade).astype(np.uint8))


def png(pixels: NDArray[np.uint8]) -> bytes:
    """Return a picture of shades ``(rows, columns)`` as a PNG with a palette (RFC 2083)."""
    place = np.linspace(0, len(_SHADES) - 1, 256)
    colours = np.stack([np.interp(place, np.arange(len(_SHADES)), _SHADES[:, c]) for c in range(3)], axis=1)
    rows, columns = pixels.shape
    lines = np.concatenate([np.zeros((rows, 1), np.uint8), pixels], axis=1)  # filter 0 before each line
    head = struct.pack(">IIBBBBB", columns, rows, 8, 3, 0, 0, 0)
    chunks = [
        (b"IHDR", head),
        (b"PLTE", np.round(colours).astype(np.uint8).tobytes()),
        (b"IDAT", zlib.compress(lines.tobytes(), 9)),
        (b"IEND", b""),
    ]
    body = b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


def ogg(samples: Floats) -> tuple[str, bytes]:
    """Return a clip for a player: its MIME type and its bytes, Opus where libsndfile has it, else Vorbis, else WAV."""
    kinds = soundfile.available_subtypes("OGG") if "OGG" in soundfile.available_formats() else {}
    choices = [("OGG", kind, "audio/ogg") for kind in ("OPUS", "VORBIS") if kind in kinds]
    format_name, subtype, mime = [*choices, ("WAV", "PCM_16", "audio/wav")][0]
    data = io.BytesIO()
    soundfile.write(data, np.clip(samples, -1, 1), RATE, format=format_name, subtype=subtype)
    return mime, data.getvalue()


def data_address(mime: str, data: bytes) -> str:
    """Return bytes as an address that a page can hold."""
    return f"data:{mime};base64,{base64.b64encode(data).decode()}"
