"""Reads real-time logs: every call, event and gap, with the audio at its sample position."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtvoice.log import records
from rtvoice.log.records import Broken, DamagedHead, Header, LogError, Record

Frames = NDArray[np.float32]

_GAP_REASONS = {1: "ring full", 2: "disk full"}
_MARKS = {0: "start", 1: "fresh start", 2: "reset"}


@dataclass(frozen=True)
class Calls:
    """What happened in each call, one entry a call.

    Attributes
    ----------
    index
        Of the call's first sample per channel, since the log began; what was lost counts.
    frames, status
        Samples per channel; 0, or why the call was refused (then ``index`` stands still).
    start, seconds
        When it began, in seconds since the log began; how long it took.
    ticks
        The same in ticks of the cycle counter.
    tier, nonfinite, overrun
        The tier that is heard; input samples that were no numbers, or hops that were silenced; whether it was late.
    part, offset
        Where its audio lies: the file's number, and the position in it, or -1.
    """

    index: NDArray[np.int64]
    frames: NDArray[np.int64]
    start: NDArray[np.float64]
    seconds: NDArray[np.float64]
    ticks: NDArray[np.int64]
    tier: NDArray[np.int64]
    nonfinite: NDArray[np.int64]
    status: NDArray[np.int64]
    overrun: NDArray[np.bool_]
    part: NDArray[np.int64]
    offset: NDArray[np.int64]


@dataclass(frozen=True)
class Event:
    """Something that changed, or a place where a replay may begin.

    Attributes
    ----------
    kind
        ``start``, ``fresh start``, ``reset``, ``model``, ``swap``, ``parameter``, ``mix``, ``tier held``, ``gap`` or
        ``note``.
    index
        Its sample position.
    call
        How many calls of the log came before it.
    told
        The state is told again, nothing changed.
    values
        What it says: ``name``, ``values``, ``frames``, ``reason``, ... A ``swap`` with a ``latency`` is another engine
        that goes on with the log, fresh, and late by so many samples from here on.
    """

    kind: str
    index: int
    call: int
    told: bool = False
    values: dict[str, Any] = field(default_factory=dict)


class Log:
    """A log that was read: :attr:`header`, :attr:`calls`, :attr:`events`, and the audio piece by piece."""

    def __init__(self, paths: list[Path], headers: list[Header]) -> None:
        self.paths = paths
        self.header = headers[0]
        self.headers = headers
        self.events: list[Event] = []
        #: What is wrong with the files, in words; a log that ended as it should has none.
        self.problems: list[str] = []
        #: Whether it was ended, rather than cut off.
        self.ended = False
        self._rows: list[tuple[int, int, int, int, int, int, int, int, int, int]] = []
        self.calls = _calls(self._rows, self.header)
        #: Sample index behind the last call or gap.
        self.end = self.header.first_index
        self._damage: tuple[int, int] | None = None  # calls and samples of what was left out and is no gap yet

    # ---- what it tells -----------------------------------------------------------------------------------------------

    @property
    def first(self) -> int:
        """Sample index at which these files begin."""
        return self.header.first_index

    @property
    def frames(self) -> int:
        """Samples per channel from the first to the last, gaps included."""
        return self.end - self.first

    @property
    def gaps(self) -> list[Event]:
        """What was lost, and why."""
        return [event for event in self.events if event.kind == "gap"]

    @property
    def has_audio(self) -> bool:
        """Whether it was not redacted."""
        return self.header.audio != "none"

    def seconds_of(self, index: int) -> float:
        """Audio time of a sample index, since the log began."""
        return index / self.header.sample_rate

    def audio(self, start: int, stop: int) -> tuple[Frames, Frames]:
        """Return input and output, each ``(stop - start, channels)``; what was lost is 0.

        Raises
        ------
        LogError
            The log was redacted, or a file has changed since.
        """
        if not self.has_audio:
            raise LogError(f"{self.paths[0]} was redacted: it holds timing and events, no audio")
        both = np.zeros((2, max(0, stop - start), self.header.channels), np.float32)
        calls = self.calls
        first = int(np.searchsorted(calls.index, start, "right")) - 1
        first = max(0, first)
        while first > 0 and calls.index[first - 1] + calls.frames[first - 1] > start:
            first -= 1
        for i, piece in self._pieces(first, int(np.searchsorted(calls.index, stop, "left"))):
            at = int(calls.index[i])
            low, high = max(at, start), min(at + int(calls.frames[i]), stop)
            if low < high:
                both[:, low - start : high - start] = piece[:, low - at : high - at]
        return both[0], both[1]

    def frames_of(self, first: int, stop: int) -> Iterator[tuple[int, Frames, Frames]]:
        """Yield number, input and output of the calls ``first`` to ``stop`` that have audio, as they were."""
        for i, piece in self._pieces(first, stop):
            yield i, piece[0], piece[1]

    def _pieces(self, first: int, stop: int) -> Iterator[tuple[int, Frames]]:
        width, channels = self.header.sample_bytes, self.header.channels
        files: dict[int, Any] = {}
        try:
            for i in range(first, stop):
                offset, frames = int(self.calls.offset[i]), int(self.calls.frames[i])
                if offset < 0 or frames == 0:
                    continue
                part = int(self.calls.part[i])
                if part not in files:
                    files[part] = self.paths[part].open("rb")
                files[part].seek(offset)
                size = 2 * frames * channels * width
                raw = files[part].read(size)
                if len(raw) != size:
                    raise LogError(f"{self.paths[part]} has become shorter since it was read")
                if width == 4:
                    piece = np.frombuffer(raw, "<f4").astype(np.float32, copy=False)
                else:
                    piece = np.frombuffer(raw, "<i2").astype(np.float32) / np.float32(32768)
                yield i, piece.reshape(2, frames, channels)
        finally:
            for file in files.values():
                file.close()

    # ---- reading -----------------------------------------------------------------------------------------------------

    def _read(self, part: int) -> None:
        path, header = self.paths[part], self.headers[part]
        if part and self._damage is not None:
            self._settle(header.first_index)
        elif part and header.first_index > self.end:
            self._gap(self.end, header.first_index - self.end, "a file is missing")
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            records.skip_header(file)
            self.ended = False
            for piece in records.chunks(file, size):
                if isinstance(piece, Broken):
                    if piece.at_end:
                        self.problems.append(f"{path}: the last {piece.bytes} bytes are no whole piece; cut off")
                    else:
                        self.problems.append(f"{path}: damaged at byte {piece.offset} ({piece.bytes} bytes left out)")
                    if not piece.at_end or part < len(self.paths) - 1:
                        calls, frames = self._damage or (0, 0)
                        self._damage = calls + piece.calls, frames + piece.frames
                    continue
                for record in records.records(piece, header):
                    if record is None:
                        self.problems.append(f"{path}: a record in the piece at byte {piece.offset} is damaged")
                        self._damage = self._damage or (0, 0)
                        break
                    if not self._take(record, part, str(path)):
                        break
        if not self.ended and part == len(self.paths) - 1:
            self.problems.append(f"{path}: it was not ended: it is still being written, or its process was killed")

    def _gap(self, index: int, frames: int, reason: str, calls: int = 0) -> None:
        self.events.append(Event("gap", index, len(self._rows), values=_lost(frames, calls, reason)))
        self.end = max(self.end, index + frames)

    def _settle(self, index: int) -> None:
        """Let what was left out be one gap, up to the sample at which it goes on."""
        calls, frames = self._damage or (0, 0)
        self._damage = None
        lost = max(0, index - self.end)
        self._gap(self.end, lost, "damaged", calls if frames == lost else 0)

    def _take(self, record: Record, part: int, path: str) -> bool:
        """Add one record; false where its position cannot be."""
        index = record.fields[0]
        if self._damage is not None:
            self._settle(index)
        if index < self.end and record.kind in (records.CALL, records.GAP, records.MARK):
            self.problems.append(f"{path}: a record lies before the one in front of it")
            self._damage = 0, 0
            return False
        if index > self.end and record.kind in (records.CALL, records.GAP):
            self._gap(self.end, index - self.end, "damaged")
        if record.kind == records.CALL:
            _, start, ticks, frames, tier, nonfinite, status = record.fields
            offset = record.offset if record.flags & records.AUDIO else -1
            late = 1 if record.flags & records.OVERRUN else 0
            self._rows.append((index, frames, start, ticks, tier, nonfinite, status, late, part, offset))
            if status == 0:
                self.end = index + frames
        elif record.kind == records.GAP:
            _, frames, calls, reason = record.fields
            self._gap(index, frames, _GAP_REASONS.get(reason, "unknown"), calls)
        elif record.kind == records.END:
            self.ended = True
        else:
            self.events.append(_event(record, len(self._rows)))
        return True

    def _finish(self) -> None:
        if self._damage is not None:
            self._settle(self.end)
        self.calls = _calls(self._rows, self.header)
        self._rows = []


def read_log(path: str | os.PathLike[str], *, parts: bool = True) -> Log:
    """Read a log completely and check it; audio is read when asked for.

    Parameters
    ----------
    path
        The log's file. Files that follow it (``session.0001.rtlog`` ...) are read with it.
    parts
        Leave those out with ``False``.

    Raises
    ------
    LogError
        It is no log, or its head is damaged beyond repair: one wrong byte is restored by its checksum, and the head
        of the file that follows serves as well. Damage behind the head is a gap. Either stands in
        :attr:`Log.problems`.
    OSError
        It cannot be read.
    """
    first = Path(path)
    if not first.exists() and parts:  # its first files were deleted, as keep_files asks
        later = _later_parts(first)
        if later:
            first = later[0]
    following = [other for other in _later_parts(Path(path)) if other != first] if parts else []
    head, warnings = _first_header(first, following)
    paths, headers = [first], [head]
    headless: list[Path] = []
    for other in following:
        try:
            header, warning = _header_of(other)
        except LogError:
            headless.append(other)
            continue
        if header.session == head.session and header.part > headers[-1].part:
            for between in headless:  # of this log: it goes on behind them
                paths.append(between)
                headers.append(_in_place(between, headers[-1]))
                warnings.append(_taken(between, paths[-2]))
            headless = []
            paths.append(other)
            headers.append(header)
            warnings += warning
    warnings += [
        f"{path}: the head is damaged, and no file follows that shows whose it is: left out" for path in headless
    ]
    log = Log(paths, headers)
    log.problems += warnings
    for part in range(len(paths)):
        log._read(part)
    log._finish()
    return log


def _first_header(path: Path, following: list[Path]) -> tuple[Header, list[str]]:
    """Read a log's first head; where it is beyond repair, take the next file's, which tells the same stream."""
    try:
        return _header_of(path)
    except DamagedHead as error:
        with open(path, "rb") as file:
            begin = records.first_piece(file)
        for other in following if begin is not None else []:
            try:
                header, warnings = _header_of(other)
            except LogError:
                continue
            return _in_place(path, header), [_taken(path, other), *warnings]
        remedy = "copy the file again, or put the log's other files beside it: each has the same head"
        raise LogError(f"{error}; {remedy}" if begin is not None else str(error)) from None


def _header_of(path: Path) -> tuple[Header, list[str]]:
    """Read a head, and say where one damaged byte of it was restored."""
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "it is a folder; name a log", str(path))
    with open(path, "rb") as file:
        try:
            return records.read_header(file, str(path)), []
        except DamagedHead:
            header = records.restore_header(file)
            if header is None:
                raise
            return header, [f"{path}: one byte of the head of the log is damaged; its checksum restored it"]


def _in_place(path: Path, header: Header) -> Header:
    """Return another file's head of the same log, with what differs between files by this one's name and pieces."""
    with open(path, "rb") as file:
        begin = records.first_piece(file)
    return replace(header, part=_part_of(path), first_index=header.first_index if begin is None else begin[0])


def _taken(path: Path, other: Path) -> str:
    return f"{path}: the head of the log is damaged: that of {other} was taken"


def _part_of(path: Path) -> int:
    match = re.search(r"\.(\d{4,9})$", path.stem)
    return int(match[1]) if match else 0


def files_of(path: Path) -> list[Path]:
    """Return the files that are there of the log whose first file is, or was, ``path``, in order."""
    return [*([path] if path.exists() else []), *_later_parts(path)]


def _later_parts(path: Path) -> list[Path]:
    """Return ``session.0001.rtlog`` and so on beside ``session.rtlog``, in order; of one of those, what follows it."""
    if not path.parent.is_dir():
        return []
    stems = [(path.stem, -1)]
    if part := re.fullmatch(r"(.+)\.(\d{4,9})", path.stem):
        stems.append((part[1], int(part[2])))
    entries = list(path.parent.iterdir())
    for stem, own in stems:
        pattern = re.compile(re.escape(stem) + r"\.(\d{4,9})" + re.escape(path.suffix))
        found = ((pattern.fullmatch(entry.name), entry) for entry in entries)
        numbered = sorted((int(match[1]), entry) for match, entry in found if match)
        if later := [entry for number, entry in numbered if number > own]:
            return later
    return []


def _lost(frames: int, calls: int, reason: str) -> dict[str, Any]:
    return {"frames": frames, "calls": calls, "reason": reason}


def _event(record: Record, call: int) -> Event:
    index, *rest = record.fields
    told = bool(record.flags & records.TOLD)
    if record.kind == records.MARK:
        return Event(_MARKS.get(rest[0], "start"), index, call, values={"records": rest[1]})
    if record.kind == records.MODEL:
        number, tier, incoming, name, tier_name = rest
        values = {"hash": number, "tier": tier, "incoming": incoming, "name": name, "tier_name": tier_name}
        return Event("swap" if incoming and not told else "model", index, call, told, values)
    if record.kind == records.ENGINE:
        number, latency, name, tier_name = rest
        values = {"hash": number, "tier": 0, "incoming": True, "name": name, "tier_name": tier_name, "latency": latency}
        return Event("swap", index, call, values=values)
    if record.kind == records.PARAMETER:
        return Event("parameter", index, call, told, {"name": rest[0], "values": rest[1]})
    if record.kind == records.MIX:
        return Event("mix", index, call, told, {"mix": rest[0], "bypass": bool(rest[1])})
    if record.kind == records.HOLD:
        return Event("tier held", index, call, told, {"tier": rest[0]})
    return Event("note", index, call, values={"text": rest[0]})


def _calls(rows: list[tuple[int, ...]] | list[Any], header: Header) -> Calls:
    table = np.array(rows, np.int64).reshape(-1, 10)
    index, frames, start, ticks, tier, nonfinite, status, late, part, offset = (
        np.ascontiguousarray(table[:, i]) for i in range(10)
    )
    per_second = header.ticks_per_second
    return Calls(
        index, frames, start / per_second, ticks / per_second, ticks, tier, nonfinite, status, late != 0, part, offset
    )
