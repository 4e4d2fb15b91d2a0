"""Audio files: read in pieces, convert the rate, write so that no half file is left behind."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtvoice import files

Frames = NDArray[np.float32]

#: Frames that are read at once: 1.4 s at 48 kHz keeps an hour-long file out of memory.
_CHUNK = 65536

#: libsndfile's SFC_SET_ADD_PEAK_CHUNK.
_SET_ADD_PEAK_CHUNK = 0x1050


class AudioError(Exception):
    """A file that cannot be read or written; the message names it and says what to do."""


@dataclass(frozen=True)
class AudioInfo:
    """What a file holds: rate in Hz, channels, length in frames, and libsndfile's name of its sample type.

    ``declared`` is the length that the head tells, more than ``frames`` where the file was cut; ``cut_short`` says that
    a stream without such a head does not end as one should.
    """

    sample_rate: int
    channels: int
    frames: int
    subtype: str
    declared: int = 0
    cut_short: bool = False

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return self.frames / self.sample_rate


def _soundfile() -> Any:
    try:
        import soundfile
    except (ImportError, OSError) as error:
        raise AudioError(f"audio files need the package soundfile ({error}); run: pip install soundfile") from error
    return soundfile


def probe(path: str | os.PathLike[str]) -> AudioInfo:
    """Read the head of an audio file.

    Raises
    ------
    AudioError
        The file is missing, a folder, empty, not audio, or holds no samples.
    """
    soundfile = _soundfile()
    name = os.fspath(path)
    if not name:
        raise AudioError("the input's name is empty; name an audio file")
    if os.path.isdir(name):
        raise AudioError(f"{name} is a folder; name an audio file")
    try:
        os.stat(name)
    except (FileNotFoundError, ValueError):
        raise AudioError(f"{name}: no such file") from None
    except OSError as error:
        raise AudioError(f"{name}: {files.reason(error)}") from None
    if not os.access(name, os.R_OK):
        raise AudioError(f"{name}: cannot be opened; check its permissions")
    if os.path.isfile(name) and os.path.getsize(name) == 0:
        raise AudioError(f"{name} is empty (0 bytes); record or copy it again")
    try:
        found = soundfile.info(os.fsencode(name), verbose=True)
    except (RuntimeError, OSError) as error:
        reason = str(error).partition(": ")[2] or str(error)
        raise AudioError(
            f"{name} cannot be read as audio, or is damaged or cut short ({reason.rstrip('.')}); "
            "formats: wav, flac, ogg, mp3, aiff"
        ) from error
    if found.frames <= 0:
        if found.format == "OGG" and not _ogg_ends(name):
            raise AudioError(f"{name} is damaged or cut short: no audio is left in it; record or copy it again")
        raise AudioError(f"{name} holds no audio (0 samples)")
    frames = int(found.frames)
    return AudioInfo(
        int(found.samplerate),
        int(found.channels),
        frames,
        str(found.subtype),
        declared=_declared(str(found.extra_info), frames),
        cut_short=str(found.format) == "OGG" and not _ogg_ends(name),
    )


#: What libsndfile logs of a chunk of samples that is longer than its file: bytes told, bytes there.
_TOO_LONG = re.compile(r"^ *(data|SSND|Data Size) *: *(\d+) \(should be (\d+)\)", re.MULTILINE)


def _declared(log: str, frames: int) -> int:
    """Return the frames that the head tells of, from libsndfile's log."""
    found = _TOO_LONG.search(log)
    if found is None:
        return frames
    head = 8 if found[1] == "SSND" else 0  # bytes of the chunk that are not samples
    told, there = int(found[2]) - head, int(found[3]) - head
    if told >= 0x7FFF0000 or there <= 0:  # what programs write that do not know the length yet
        return frames
    return max(frames, round(frames * told / there))


def _ogg_ends(name: str) -> bool:
    """Whether the last page of an Ogg file is the one that ends its stream."""
    try:
        with open(name, "rb") as file:
            file.seek(max(0, os.path.getsize(name) - 2 * 65536))
            tail = file.read()
    except OSError:
        return True
    page = tail.rfind(b"OggS")
    if page < 0 or len(tail) < page + 27 + tail[min(page + 26, len(tail) - 1)]:
        return False
    segments = tail[page + 27 : page + 27 + tail[page + 26]]
    return bool(tail[page + 5] & 4) and len(tail) >= page + 27 + len(segments) + sum(segments)


def read_chunks(path: str | os.PathLike[str]) -> Iterator[Frames]:
    """Yield a file's audio as float32 ``(frames, channels)``, nominally -1 to 1, some 10^4 frames at a time."""
    soundfile = _soundfile()
    try:
        with soundfile.SoundFile(os.fsencode(path)) as file:
            while True:
                chunk: Frames = file.read(_CHUNK, dtype="float32", always_2d=True)
                if len(chunk) == 0:
                    return
                yield chunk
    except (RuntimeError, OSError) as error:
        reason = (str(error).partition(": ")[2] or str(error)).strip().rstrip(".")
        raise AudioError(
            f"{path} is damaged or cut short{f' ({reason})' if reason else ''}; record or copy it again"
        ) from error


def read(path: str | os.PathLike[str], *, sample_rate: int | None = None) -> tuple[Frames, int]:
    """Return a whole file as float32 ``(frames, channels)``, converted to ``sample_rate`` when given, and its rate."""
    info = probe(path)
    rate = sample_rate or info.sample_rate
    chunks = list(convert(read_chunks(path), info.sample_rate, rate))
    return np.concatenate(chunks) if chunks else np.zeros((0, info.channels), np.float32), rate


# ---- rate conversion -------------------------------------------------------------------------------------------------


def converted_length(frames: int, source: int, target: int) -> int:
    """Frames that ``convert`` makes of ``frames``."""
    return -(-frames * target // source)


def convert(chunks: Iterable[Frames], source: int, target: int) -> Iterator[Frames]:
    """Convert a stream of ``(frames, channels)`` chunks from ``source`` to ``target`` Hz, without delay.

    A Kaiser-windowed sinc of 64 zero crossings (-100 dB stop band, pass band to 0.92 of the lower Nyquist frequency).
    For preparing files; inside the engine the real-time resamplers work.
    """
    if source == target:
        yield from chunks
        return
    common = math.gcd(source, target)
    up, down = target // common, source // common
    bank = _sinc_bank(up, down)
    half = bank.shape[1] // 2
    held: Frames | None = None  # input from absolute frame `start` on; the stream has `half` zeros before frame 0
    start = -half
    received = made = 0
    for chunk in chunks:
        if held is None:
            held = np.zeros((half, chunk.shape[1]), np.float32)
        held = np.concatenate([held, chunk])
        received += len(chunk)
        stop = max(made, -(-(received - half) * up // down))  # outputs whose last tap has arrived
        if stop > made:
            yield _polyphase(held, start, made, stop, up, down, bank)
            made = stop
            drop = max(0, made * down // up - half + 1 - start)
            held, start = held[drop:], start + drop
    if held is not None:
        stop = converted_length(received, source, target)
        held = np.concatenate([held, np.zeros((half + down // up + 2, held.shape[1]), np.float32)])
        if stop > made:
            yield _polyphase(held, start, made, stop, up, down, bank)


def _sinc_bank(up: int, down: int) -> Frames:
    """Taps of each phase, ``(up, taps)``: phase p gives the value at p/up past the middle."""
    cutoff = 0.96 * min(1.0, up / down)
    half = math.ceil(32 / min(1.0, up / down))
    time = np.arange(-half + 1, half + 1)[None, :] - np.arange(up)[:, None] / up
    window = np.i0(10.06 * np.sqrt(np.maximum(0.0, 1 - (time / half) ** 2))) / np.i0(10.06)
    bank = cutoff * np.sinc(cutoff * time) * window
    bank /= bank.sum(axis=1, keepdims=True)
    return bank.astype(np.float32)


def _polyphase(held: Frames, start: int, first: int, stop: int, up: int, down: int, bank: Frames) -> Frames:
    half = bank.shape[1] // 2
    out = np.empty((stop - first, held.shape[1]), np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(held, 2 * half, axis=0)  # (frames, channels, taps)
    for offset in range(min(up, stop - first)):
        n = first + offset
        begin = n * down // up - half + 1 - start
        rows = windows[begin::down][: len(range(offset, stop - first, up))]
        out[offset::up] = rows @ bank[n * down % up]
    return out


# ---- writing ---------------------------------------------------------------------------------------------------------


class Writer:
    """Writes an audio file under a temporary name beside it and renames it when all of it is there.

    Parameters
    ----------
    path
        The format goes by its extension: wav, flac, ogg, mp3, aiff, …
    subtype
        The sample type wanted, kept where the format has it (``PCM_16``, ``PCM_24``, ``FLOAT``).
    large
        A WAV file that may grow beyond 4 GB: it is written as RF64.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        sample_rate: int,
        channels: int,
        subtype: str = "PCM_24",
        *,
        large: bool = False,
    ) -> None:
        soundfile = _soundfile()
        self._path = Path(path)
        self._format = _format_of(self._path)
        if large and self._format == "WAV":
            self._format = "RF64"
        self._frames = 0
        self.clipped = 0
        self.subtype = _subtype(self._format, subtype)
        _check_takes(self._path, self._format, sample_rate, channels)
        try:
            self._whole = files.WholeFile(path)
            self._whole.create()
        except OSError as error:
            raise AudioError(str(error)) from error
        try:
            self._file = soundfile.SoundFile(
                os.fsencode(self._whole.partial),
                "w",
                sample_rate,
                channels,
                format=self._format,
                subtype=self.subtype,
            )
        except BaseException as error:
            self._whole.discard()
            if not isinstance(error, RuntimeError | OSError):
                raise
            reason = (str(error).partition(": ")[2] or str(error)).rstrip(".")
            if "ormat not recogni" in reason:
                reason = f"{self._path.suffix} does not take {channels} channels at {sample_rate} Hz; write a .wav"
            elif reason == "System error":
                reason = "is the disk full?"
            raise AudioError(f"{self._path} cannot be written: {reason}") from error
        # libsndfile's PEAK chunk holds the time of day: without it the same audio makes the same file.
        soundfile._snd.sf_command(self._file._file, _SET_ADD_PEAK_CHUNK, soundfile._ffi.NULL, 0)

    def write(self, frames: Frames) -> None:
        """Append float32 ``(frames,)`` or ``(frames, channels)``; integer formats clip, which ``clipped`` counts."""
        if self.subtype not in ("FLOAT", "DOUBLE"):
            self.clipped += int(np.count_nonzero(np.abs(frames) > 1.0))
        self._append(frames)

    def write_whole_numbers(self, frames: NDArray[np.int16]) -> None:
        """Append 16-bit samples as they are."""
        self._append(frames)

    def _append(self, frames: Frames | NDArray[np.int16]) -> None:
        try:
            self._file.write(frames)
        except (RuntimeError, OSError, AssertionError) as error:
            raise AudioError(f"{self._path} cannot be written: is the disk full?") from error
        self._frames += len(frames)

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._file.close()
            if kind is None:
                self._check_whole()
                try:
                    self._whole.finish()
                except OSError as failure:
                    raise AudioError(str(failure)) from failure
        finally:
            self._whole.discard()

    def _check_whole(self) -> None:
        """Read the length back: closing a file does not report a full disk."""
        try:
            found = probe(self._whole.partial).frames if self._frames else 0
        except AudioError as error:
            raise AudioError(f"{self._path} cannot be written: is the disk full?") from error
        if found < self._frames:
            raise AudioError(f"{self._path}: {found} of {self._frames} frames could be written; is the disk full?")


def _format_of(path: Path) -> str:
    soundfile = _soundfile()
    extension = path.suffix.lstrip(".").upper()
    name = {"AIF": "AIFF", "OGA": "OGG", "WAVE": "WAV"}.get(extension, extension)
    if not extension:
        if path.is_dir():
            raise AudioError(f"{path} is a folder; name the file to write")
        raise AudioError(f"{path} has no extension to tell the format; end it in .wav, .flac, .ogg or .mp3")
    if name not in soundfile.available_formats() or name == "RAW":
        raise AudioError(f"{path}: the format {path.suffix} cannot be written; end it in .wav, .flac, .ogg or .mp3")
    return name


#: The most channels that libsndfile writes, where that is fewer than the engine's 32.
_MOST_CHANNELS = {"MP3": 2, "FLAC": 8}
_MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)


def _check_takes(path: Path, format_name: str, sample_rate: int, channels: int) -> None:
    most = _MOST_CHANNELS.get(format_name, channels)
    if channels > most:
        raise AudioError(f"{path}: {format_name} takes 1 to {most} channels, not {channels}; write a .wav")
    if format_name == "MP3" and sample_rate not in _MP3_RATES:
        rates = ", ".join(map(str, _MP3_RATES))
        raise AudioError(f"{path}: MP3 takes the rates {rates}, not {sample_rate} Hz; write a .wav")


def _subtype(format_name: str, wanted: str) -> str:
    soundfile = _soundfile()
    have = soundfile.available_subtypes(format_name)
    for choice in (wanted, "PCM_24", "PCM_16"):
        if choice in have:
            return choice
    return str(soundfile.default_subtype(format_name))
