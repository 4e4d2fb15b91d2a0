"""Layer x time pictures of units, as PNG: always on, varies, never."""

from __future__ import annotations

import base64
import struct
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt

from rtvoice.train.monitor.census import ALWAYS, NEVER, VARIES

#: Colour of each code, of what was not seen, and of the line between layers.
COLOURS = {NEVER: (24, 24, 32), VARIES: (38, 146, 140), ALWAYS: (240, 172, 60), 3: (226, 226, 230), 4: (255, 255, 255)}
ROWS = 24  # of a layer, at most
WIDTH = 6  # pixels of a sample


def strip(layers: list[dict[str, Any]]) -> npt.NDArray[np.uint8]:
    """Return the picture's codes, `(rows, samples * WIDTH)`: layers from top to bottom, time from left to right.

    Parameters
    ----------
    layers : list of dict
        Of `Store.layers`.
    """
    names = list(dict.fromkeys(layer["layer"] for layer in layers))
    steps = sorted({layer["step"] for layer in layers})
    by_place = {(layer["layer"], layer["step"]): layer["codes"] for layer in layers}
    blocks = []
    for name in names:
        sizes = [by_place[name, step].size for step in steps if (name, step) in by_place]
        size = max(sizes, default=1)
        rows = np.linspace(0, size - 1, min(size, ROWS)).round().astype(int)
        block = np.full((rows.size, len(steps)), 3, np.uint8)
        for column, step in enumerate(steps):
            codes = by_place.get((name, step))
            if codes is not None and codes.size == size:
                block[:, column] = codes[rows]
        # The same units at the top over all of time: those that are on most.
        shown = np.where(block == 3, VARIES, block)
        order = np.argsort(-shown.astype(np.float64).mean(1), kind="stable")
        blocks += [np.repeat(block[order], 2, axis=0), np.full((2, len(steps)), 4, np.uint8)]
    if not blocks:
        return np.full((1, WIDTH), 3, np.uint8)
    return np.repeat(np.concatenate(blocks[:-1]), WIDTH, axis=1)


def png(codes: npt.NDArray[np.uint8]) -> bytes:
    """Return an indexed PNG of codes `(rows, columns)`."""
    height, width = codes.shape
    palette = bytes(value for code in sorted(COLOURS) for value in COLOURS[code])
    rows = np.concatenate([np.zeros((height, 1), np.uint8), codes], axis=1).tobytes()
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
        (b"PLTE", palette),
        (b"IDAT", zlib.compress(rows, 9)),
        (b"IEND", b""),
    )
    body = b"".join(struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + body


def data_uri(codes: npt.NDArray[np.uint8]) -> str:
    """Return the picture for an HTML page."""
    return "data:image/png;base64," + base64.b64encode(png(codes)).decode()
