"""The log file piece by piece: its head, checked chunks, checked records. Nothing in a file is believed."""

from __future__ import annotations

import json
import math
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

CALL, MARK, MODEL, PARAMETER, MIX, HOLD, GAP, NOTE, END, ENGINE = range(1, 11)
TOLD = 1  # flag of a state that is told again
AUDIO, OVERRUN = 1, 2  # flags of a call

_FIRST_LINE = re.compile(rb"rtlog (\d{1,4}) ([0-9a-f]{8}) ([0-9a-f]{8})\n")
_FIRST_LINE_BYTES = 26
_MOST_HEADER_BYTES = 1 << 20
_CHUNK = struct.Struct("<4sIQQII")
_CHUNK_MAGIC = b"RLCK"
#: The largest frame of the most channels, both ways, is 16.8 MB; a chunk is written when it has 4 MB or one call more.
_MOST_CHUNK_BYTES = 64 << 20
_HEAD = struct.Struct("<IHH")
_BODIES = {
    CALL: struct.Struct("<QQQIIII"),
    MARK: struct.Struct("<QII"),
    MODEL: struct.Struct("<QQII48s16s"),
    PARAMETER: struct.Struct("<QII"),
    MIX: struct.Struct("<QfI"),
    HOLD: struct.Struct("<QiI"),
    GAP: struct.Struct("<QQII"),
    NOTE: struct.Struct("<QII"),
    END: struct.Struct("<QQII"),
    ENGINE: struct.Struct("<QQII48s16s"),
}
#: A sample index beyond this is no stream's: 3,000 years at 96 kHz.
MOST_SAMPLES = 1 << 53


class LogError(ValueError):
    """A file that is no log, or one whose head is damaged; the message names it."""


class DamagedHead(LogError):
    """A head that a file of another content, or a damaged one, may have."""


class _Damage(Exception):
    """A piece that is not what it should be."""


@dataclass(frozen=True)
class ModelLine:
    """A model as a log names it."""

    name: str
    tier: str
    hash: str


@dataclass(frozen=True)
class Header:
    """The head of a log file: whose stream, how made, and who turned the log on.

    Attributes
    ----------
    audio
        ``"float32"``, ``"pcm16"`` or ``"none"``.
    unix_time
        Of sample 0.
    created_with
        The tiers that the engine was made with, best first.
    """

    line: str
    part: int
    first_index: int
    session: str
    turned_on_by: str
    unix_time: float
    retention_days: int
    audio: str
    isa: str
    ticks_per_second: float
    latency: int
    sample_rate: int
    channels: int
    max_frame: int
    block: int
    resampler: int
    seed: int
    fade_ms: float
    schedule: int
    overload: int
    created_with: tuple[ModelLine, ...]

    @property
    def sample_bytes(self) -> int:
        """Of one sample in the file; 0: there is no audio."""
        return {"float32": 4, "pcm16": 2, "none": 0}[self.audio]


#: Whole numbers of the head and their ranges.
_WHOLE = {
    "part": (0, 10**9),
    "first_index": (0, MOST_SAMPLES),
    "retention_days": (0, 2**32),
    "latency": (0, 2**32),
    "sample_rate": (8000, 192000),
    "channels": (1, 32),
    "max_frame": (1, 65536),
    "block": (0, 65536),
    "resampler": (0, 5),
    "seed": (0, 2**64 - 1),
    "schedule": (0, 1),
    "overload": (0, 1),
}
_REAL = {"unix_time": (0.0, 1e12), "ticks_per_second": (1e3, 1e12), "fade_ms": (0.0, 1000.0)}
_TEXT = ("session", "turned_on_by", "audio", "isa")


def read_header(file: BinaryIO, name: str) -> Header:
    """Read and check the head; the file stands behind it then.

    Raises
    ------
    LogError
        It is no log, or its head is damaged or of another version.
    """
    first = file.read(_FIRST_LINE_BYTES)
    match = _FIRST_LINE.fullmatch(first)
    if match is None:
        raise DamagedHead(f"{name} is no rtvoice log, or its first line is damaged")
    version, size, crc = int(match[1]), int(match[2], 16), int(match[3], 16)
    if version != 1:
        raise LogError(f"{name} is a log of version {version}, this program reads 1; update rtvoice")
    text = file.read(size) if size <= _MOST_HEADER_BYTES else b""
    if len(text) != size or zlib.crc32(text) != crc:
        raise DamagedHead(f"{name}: the head of the log is damaged or cut short")
    lines = text.decode("utf-8", "replace").split("\n")
    try:
        fields = json.loads(lines[1])
    except (IndexError, ValueError, RecursionError):
        raise DamagedHead(f"{name}: the head of the log is damaged: its second line is no JSON") from None
    try:
        return _header(lines[0], fields)
    except _Damage as damage:
        raise DamagedHead(f"{name}: the head of the log is damaged: {damage}") from None


def first_piece(file: BinaryIO) -> tuple[int, int] | None:
    """Return the sample index and the place of the first whole piece, wherever a head may end, or ``None``."""
    file.seek(0, 2)
    size = file.tell()
    at = _next_chunk(file, 0, size, _FIRST_LINE_BYTES + _MOST_HEADER_BYTES)
    if at is None:
        return None
    file.seek(at)
    return int(_CHUNK.unpack(file.read(_CHUNK.size))[3]), at


def skip_header(file: BinaryIO) -> None:
    """Go to what lies behind the head, which was read or restored before."""
    first = _FIRST_LINE.fullmatch(file.read(_FIRST_LINE_BYTES))
    size = int(first[2], 16) if first is not None else _MOST_HEADER_BYTES + 1
    text = file.read(size) if size <= _MOST_HEADER_BYTES else b""
    if first is not None and len(text) == size and zlib.crc32(text) == int(first[3], 16):
        return
    found = first_piece(file)
    if found is not None:
        file.seek(found[1])
    else:
        file.seek(0, 2)


def restore_header(file: BinaryIO) -> Header | None:
    """Restore a head of which one byte is damaged, by its checksum.

    One wrong byte of a thousand is found with certainty: two of 255,000 possible ones have the same checksum once in
    10,000 files. ``None`` where more than that is damaged.
    """
    found = first_piece(file)
    stop = file.seek(0, 2) if found is None else found[1]
    file.seek(0)
    first = file.read(_FIRST_LINE_BYTES)
    if len(first) < _FIRST_LINE_BYTES or not 0 < stop - _FIRST_LINE_BYTES <= _MOST_HEADER_BYTES:
        return None
    file.seek(_FIRST_LINE_BYTES)
    text = file.read(stop - _FIRST_LINE_BYTES)
    ideal = b"rtlog 1 %08x %08x\n" % (len(text), zlib.crc32(text))
    wrong = sum(a != b for a, b in zip(first, ideal, strict=True))
    if wrong > 1:  # not in the first line: in the text, whose length and checksum that tells
        match = _FIRST_LINE.fullmatch(first)
        if match is None or int(match[1]) != 1 or int(match[2], 16) != len(text):
            return None
        mended = _one_byte(text, int(match[3], 16))
        if mended is None:
            return None
        text = mended
    lines = text.decode("utf-8", "replace").split("\n")
    try:
        return _header(lines[0], json.loads(lines[1]))
    except (IndexError, ValueError, RecursionError, _Damage):
        return None


def _one_byte(text: bytes, wanted: int) -> bytes | None:
    """Return the text with the one byte changed that gives it this checksum, or ``None`` where none or several do."""
    table = np.array([zlib.crc32(bytes([value]), 0xFFFFFFFF) ^ 0xFFFFFFFF for value in range(256)], np.uint32)
    found = []
    difference = np.uint32(zlib.crc32(text) ^ wanted)
    change = table.copy()  # of the checksum, by a change of the last byte; then of the one before
    for at in range(len(text) - 1, -1, -1):
        found += [(at, int(value)) for value in np.flatnonzero(change == difference)]
        change = table[change & np.uint32(255)] ^ (change >> np.uint32(8))
    if len(found) != 1:
        return None
    at, value = found[0]
    return text[:at] + bytes([text[at] ^ value]) + text[at + 1 :]


def _header(line: str, fields: Any) -> Header:
    if not isinstance(fields, dict):
        raise _Damage("it is no object")
    values: dict[str, Any] = {"line": line}
    for name, (low, high) in _WHOLE.items():
        value = fields.get(name)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise _Damage(f"{name} is no whole number from {low} to {high}")
        values[name] = value
    for name, (least, most) in _REAL.items():
        value = fields.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
            raise _Damage(f"{name} is no number from {least:g} to {most:g}")
        values[name] = float(value)
    for name in _TEXT:
        if not isinstance(fields.get(name), str) or len(fields[name]) > 1000:
            raise _Damage(f"{name} is no text")
        values[name] = fields[name]
    if values["audio"] not in ("float32", "pcm16", "none"):
        raise _Damage(f"audio is {values['audio']!r}")
    models = fields.get("created_with")
    if not isinstance(models, list) or not 1 <= len(models) <= 8:
        raise _Damage("created_with is no list of 1 to 8 models")
    values["created_with"] = tuple(_model_line(model) for model in models)
    return Header(**values)


def _model_line(fields: Any) -> ModelLine:
    texts = [fields.get(name) for name in ("name", "tier", "hash")] if isinstance(fields, dict) else [None]
    if not all(isinstance(text, str) and len(text) <= 1000 for text in texts):
        raise _Damage("a model has no name, tier and hash")
    return ModelLine(*map(str, texts))


@dataclass(frozen=True)
class Chunk:
    """A piece of a file whose checksums hold: ``offset`` is where its records begin."""

    offset: int
    data: bytes


@dataclass(frozen=True)
class Broken:
    """Bytes that are no chunk; ``at_end``: nothing whole follows, as after a process was killed.

    ``calls`` and ``frames``: what was in them where their records can still be walked through, else 0.
    """

    offset: int
    bytes: int
    at_end: bool
    calls: int = 0
    frames: int = 0


def chunks(file: BinaryIO, size: int) -> Iterator[Chunk | Broken]:
    """Yield what a file of ``size`` bytes holds behind its head; behind damage, from the next whole chunk on."""
    at = file.tell()
    number: int | None = 0  # of the next chunk; unknown behind damage
    while at < size:
        found = _chunk_at(file, at, size)
        if found is not None:
            data, this = found
            if number is not None and this != number:  # whole, but not the one that belongs here
                yield Broken(at, 0, False)
            yield Chunk(at + _CHUNK.size, data)
            number = this + 1
            at += _CHUNK.size + len(data)
            continue
        following = _next_chunk(file, at + 1, size)
        behind = size if following is None else following
        yield Broken(at, behind - at, following is None, *_walk(file, at + _CHUNK.size, behind))
        if following is None:
            return
        number = None
        at = following


def _chunk_at(file: BinaryIO, at: int, size: int) -> tuple[bytes, int] | None:
    file.seek(at)
    head = file.read(_CHUNK.size)
    if len(head) < _CHUNK.size:
        return None
    magic, length, number, _, crc, head_crc = _CHUNK.unpack(head)
    if magic != _CHUNK_MAGIC or zlib.crc32(head[:-4]) != head_crc:
        return None
    if length > _MOST_CHUNK_BYTES or length > size - at - _CHUNK.size:
        return None
    data = file.read(length)
    return (data, number) if len(data) == length and zlib.crc32(data) == crc else None


def _walk(file: BinaryIO, at: int, stop: int) -> tuple[int, int]:
    """Count calls and their samples in a piece whose checksum does not hold: (0, 0) where its records do not add up."""
    if not 0 < stop - at <= _MOST_CHUNK_BYTES:
        return 0, 0
    file.seek(at)
    data, at, calls, frames = file.read(stop - at), 0, 0, 0
    while at < len(data):
        size, kind, _ = _HEAD.unpack_from(data, at) if len(data) - at >= _HEAD.size else (0, 0, 0)
        if size % 8 or size < _HEAD.size or size > len(data) - at:
            return 0, 0
        if kind == CALL and size >= _HEAD.size + _BODIES[CALL].size:
            _, _, _, length, _, _, status = _BODIES[CALL].unpack_from(data, at + _HEAD.size)
            calls, frames = calls + 1, frames + (length if status == 0 else 0)
        at += size
    return calls, frames


def _next_chunk(file: BinaryIO, at: int, size: int, most: int | None = None) -> int | None:
    """Find the next whole chunk from ``at`` on, or where it begins before ``most``."""
    step = 1 << 20
    while at < (size if most is None else min(size, most)):
        file.seek(at)
        window = file.read(step + len(_CHUNK_MAGIC) - 1)
        found = window.find(_CHUNK_MAGIC)
        while found >= 0:
            if _chunk_at(file, at + found, size) is not None:
                return at + found
            found = window.find(_CHUNK_MAGIC, found + 1)
        at += step
    return None


@dataclass(frozen=True)
class Record:
    """One record whose sizes and values are in range; ``offset``: of what follows its fixed part, in the file."""

    kind: int
    flags: int
    fields: tuple[Any, ...]
    offset: int


def records(chunk: Chunk, header: Header) -> Iterator[Record | None]:
    """Yield a chunk's records; ``None`` and no more where one is not what it should be."""
    data, at = chunk.data, 0
    while at < len(data):
        try:
            record, size = _record(data, at, chunk.offset, header)
        except _Damage:
            yield None
            return
        if record is not None:
            yield record
        at += size


def _record(data: bytes, at: int, base: int, header: Header) -> tuple[Record | None, int]:
    if len(data) - at < _HEAD.size:
        raise _Damage
    size, kind, flags = _HEAD.unpack_from(data, at)
    body = _BODIES.get(kind)
    if size % 8 or size < _HEAD.size or size > len(data) - at:
        raise _Damage
    if body is None:  # of a later version
        return None, size
    behind = at + _HEAD.size + body.size
    rest = size - _HEAD.size - body.size
    if rest < 0:
        raise _Damage
    fields = body.unpack_from(data, at + _HEAD.size)
    if fields[0] > MOST_SAMPLES:
        raise _Damage
    return Record(kind, flags, _CHECKS[kind](fields, data, behind, rest, flags, header), base + behind), size


def _call(fields: tuple[Any, ...], data: bytes, at: int, rest: int, flags: int, header: Header) -> tuple[Any, ...]:
    _, start, ticks, frames, tier, _, status = fields
    audio = bool(flags & AUDIO)
    wanted = 2 * frames * header.channels * header.sample_bytes if audio else 0
    if rest != -(-wanted // 8) * 8 or (audio and not header.sample_bytes):
        raise _Damage
    if (status == 0 and frames > header.max_frame) or status > 100 or tier >= 8 or max(start, ticks) > 2**63:
        raise _Damage
    return fields


def _plain(fields: tuple[Any, ...], data: bytes, at: int, rest: int, flags: int, header: Header) -> tuple[Any, ...]:
    return fields


def _model(fields: tuple[Any, ...], data: bytes, at: int, rest: int, flags: int, header: Header) -> tuple[Any, ...]:
    index, number, tier, incoming, name, tier_name = fields
    if tier >= 8 or incoming > 1:
        raise _Damage
    return index, f"{number:016x}", tier, bool(incoming), _text(name), _text(tier_name)


def _engine(fields: tuple[Any, ...], data: bytes, at: int, rest: int, flags: int, header: Header) -> tuple[Any, ...]:
    index, number, latency, _, name, tier_name = fields
    return index, f"{number:016x}", latency, _text(name), _text(tier_name)


def _parameter(fields: tuple[Any, ...], data: bytes, at: int, rest: int, flags: int, header: Header) -> tuple[Any, ...]:
    index, name_bytes, count = fields
    padded = -(-name_bytes // 8) * 8
    if name_bytes > rest or count > rest or padded + -(-4 * count // 8) * 8 != rest:
        raise _Damage
    name = data[at : at + name_bytes].decode("utf-8", "replace")
    values = struct.unpack_from(f"<{count}f", data, at + padded)
    if not all(map(math.isfinite, values)):
        raise _Damage
    return index, name, values


def _mix(fields: tuple[Any, ...], data: bytes, at: int, rest: int, flags: int, header: Header) -> tuple[Any, ...]:
    if not 0.0 <= fields[1] <= 1.0 or fields[2] > 1:
        raise _Damage
    return fields


def _hold(fields: tuple[Any, ...], data: bytes, at: int, rest: int, flags: int, header: Header) -> tuple[Any, ...]:
    if not -1 <= fields[1] < 8:
        raise _Damage
    return fields


def _gap(fields: tuple[Any, ...], data: bytes, at: int, rest: int, flags: int, header: Header) -> tuple[Any, ...]:
    if fields[1] > MOST_SAMPLES:
        raise _Damage
    return fields


def _note(fields: tuple[Any, ...], data: bytes, at: int, rest: int, flags: int, header: Header) -> tuple[Any, ...]:
    if fields[1] > rest:
        raise _Damage
    return fields[0], data[at : at + fields[1]].decode("utf-8", "replace")


_CHECKS = {
    CALL: _call,
    MARK: _plain,
    MODEL: _model,
    PARAMETER: _parameter,
    MIX: _mix,
    HOLD: _hold,
    GAP: _gap,
    NOTE: _note,
    END: _plain,
    ENGINE: _engine,
}


def _text(raw: bytes) -> str:
    return raw.partition(b"\0")[0].decode("utf-8", "replace")
