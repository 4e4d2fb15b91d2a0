"""Audio files: read in pieces, convert the rate, write so that no half file is left behind."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

Frames = NDArray[np.float32]

#: Frames that are read at once: 1.4 s at 48 kHz keeps an hour-long file out of memory.
_CHUNK = 65536

#: libsndfile's SFC_SET_ADD_PEAK_CHUNK.
_SET_ADD_PEAK_CHUNK = 0x1050


class AudioError(Exception):
    """A file that cannot be read or written; the message names it and says what to do."""


@dataclass(frozen=True)
class AudioInfo:
    """What a file holds: rate in Hz, channels, length in frames, and libsndfile's name of its sample type."""

    sample_rate: int
    channels: int
    frames: int
    subtype: str

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
    if os.path.isdir(name):
        raise AudioError(f"{name} is a folder; name an audio file")
    if not os.path.exists(name):
        raise AudioError(f"{name}: no such file")
    if os.path.isfile(name) and os.path.getsize(name) == 0:
        raise AudioError(f"{name} is empty (0 bytes); record or copy it again")
    try:
        found = soundfile.info(name)
    except (RuntimeError, OSError) as error:
        reason = str(error).partition(": ")[2] or str(error)
        raise AudioError(
            f"{name} cannot be read as audio ({reason.rstrip('.')}); formats: wav, flac, ogg, mp3, aiff"
        ) from error
    if found.frames <= 0:
        raise AudioError(f"{name} holds no audio (0 samples)")
    return AudioInfo(int(found.samplerate), int(found.channels), int(found.frames), str(found.subtype))


def read_chunks(path: str | os.PathLike[str]) -> Iterator[Frames]:
    """Yield a file's audio as float32 ``(frames, channels)``, nominally -1 to 1, some 10^4 frames at a time."""
    soundfile = _soundfile()
    try:
        with soundfile.SoundFile(os.fspath(path)) as file:
            while True:
                chunk: Frames = file.read(_CHUNK, dtype="float32", always_2d=True)
                if len(chunk) == 0:
                    return
                yield chunk
    except (RuntimeError, OSError) as error:
        raise AudioError(f"{path}: damaged audio ({error})") from error


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
    """

    def __init__(self, path: str | os.PathLike[str], sample_rate: int, channels: int, subtype: str = "PCM_24") -> None:
        soundfile = _soundfile()
        self._path = Path(path)
        self._format = _format_of(self._path)
        self._frames = 0
        self.clipped = 0
        self.subtype = _subtype(self._format, subtype)
        if self._path.is_dir():
            raise AudioError(f"{self._path} is a folder; name the audio file to write")
        if not self._path.parent.is_dir():
            raise AudioError(f"{self._path}: the folder {self._path.parent} does not exist; make it first")
        self._partial = self._path.with_name(f".{self._path.name}.{os.getpid()}.part")
        try:
            self._file = soundfile.SoundFile(
                self._partial, "w", sample_rate, channels, format=self._format, subtype=self.subtype
            )
        except (RuntimeError, OSError) as error:
            self._partial.unlink(missing_ok=True)
            reason = (str(error).partition(": ")[2] or str(error)).rstrip(".")
            if reason == "System error":
                writable = os.access(self._path.parent, os.W_OK)
                reason = "is the disk full?" if writable else f"the folder {self._path.parent} is not writable"
            raise AudioError(f"{self._path} cannot be written: {reason}") from error
        # libsndfile's PEAK chunk holds the time of day: without it the same audio makes the same file.
        soundfile._snd.sf_command(self._file._file, _SET_ADD_PEAK_CHUNK, soundfile._ffi.NULL, 0)

    def write(self, frames: Frames) -> None:
        """Append float32 ``(frames,)`` or ``(frames, channels)``; integer formats clip, which ``clipped`` counts."""
        if self.subtype not in ("FLOAT", "DOUBLE"):
            self.clipped += int(np.count_nonzero(np.abs(frames) > 1.0))
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
                self._partial.replace(self._path)
        finally:
            self._partial.unlink(missing_ok=True)

    def _check_whole(self) -> None:
        """Read the length back: closing a file does not report a full disk."""
        try:
            found = probe(self._partial).frames if self._frames else 0
        except AudioError as error:
            raise AudioError(f"{self._path} cannot be written: is the disk full?") from error
        if found < self._frames:
            raise AudioError(f"{self._path}: {found} of {self._frames} frames could be written; is the disk full?")


def _format_of(path: Path) -> str:
    soundfile = _soundfile()
    extension = path.suffix.lstrip(".").upper()
    name = {"AIF": "AIFF", "OGA": "OGG", "WAVE": "WAV"}.get(extension, extension)
    if not extension:
        raise AudioError(f"{path} has no extension to tell the format; end it in .wav, .flac, .ogg or .mp3")
    if name not in soundfile.available_formats() or name == "RAW":
        raise AudioError(f"{path}: the format {path.suffix} cannot be written; end it in .wav, .flac, .ogg or .mp3")
    return name


def _subtype(format_name: str, wanted: str) -> str:
    soundfile = _soundfile()
    have = soundfile.available_subtypes(format_name)
    for choice in (wanted, "PCM_24", "PCM_16"):
        if choice in have:
            return choice
    return str(soundfile.default_subtype(format_name))
