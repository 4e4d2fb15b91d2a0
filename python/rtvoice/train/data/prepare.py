"""Turns recordings into prepared clips: 24 kHz, one loudness, trimmed, measured, sharded over machines."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from rtvoice import audio
from rtvoice.train.data import cut
from rtvoice.train.data.corpus import DataError, Recording
from rtvoice.train.data.measure import (
    RATE,
    Floats,
    active_level,
    bandwidth,
    clipped_share,
    frame_energy,
    loudness,
    signal_to_noise,
)
from rtvoice.train.data.pitch import track_f0
from rtvoice.train.data.store import INDEX

#: Part of every hash: raise it when the same recording gives other clips.
VERSION = 2
#: A unit of work: what one process prepares at a time, and what a killed run loses.
UNIT_FILES, UNIT_BYTES = 100, 64 << 20
_ARRAYS = (("audio", "i16"), ("f0", "f32"), ("energy", "f32"))

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Limits:
    """What a recording must be to be used.

    Attributes
    ----------
    loudness : float
        LUFS that every clip is brought to, unless its peak would pass -0.1 dBFS.
    shortest : float
        Seconds of a clip; shorter ones are left out.
    longest_file : float
        Hours of one file; a longer one is left out rather than filling the disk.
    quietest : float
        Level in dB of the active frames under which a recording counts as silent.
    noisiest : float
        Least SNR in dB.
    clipped : float
        Most share (0 to 1) of samples in flat tops.
    """

    loudness: float = -23.0
    shortest: float = 0.5
    longest_file: float = 12.0
    quietest: float = -60.0
    noisiest: float = 10.0
    clipped: float = 0.002


@dataclass(frozen=True)
class _Unit:
    """The recordings that one process prepares at a time, and the number and hash of what they become."""

    number: int
    key: str
    recordings: tuple[Recording, ...]


class _Rejected(Exception):
    """Why a recording or a clip is not used, in words for the report."""


def fingerprint(recordings: Iterable[Recording]) -> str:
    """Return a hash of what the recordings are: names, speakers, texts, sizes, and the first and last 64 kB of each.

    Times and places of files do not count, so two machines with copies of the same material agree.
    """
    digest = hashlib.sha256()
    for one in recordings:
        digest.update(f"{one.collection}\0{one.name}\0{one.speaker}\0{one.text}\0{one.split}\0".encode())
        try:
            with one.path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                digest.update(size.to_bytes(8, "big") + file.read(1 << 16))
                file.seek(max(0, size - (1 << 16)))
                digest.update(file.read(1 << 16))
        except OSError:
            digest.update(b"unreadable")
    return digest.hexdigest()


def prepare(
    recordings: Sequence[Recording],
    folder: Path,
    *,
    limits: Limits | None = None,
    workers: int = 1,
    shard: tuple[int, int] = (0, 1),
    progress: Progress | None = None,
) -> bool:
    """Prepare recordings into `folder`, readable by `Prepared` once all of them are done.

    Work is parted into units of some 100 files. A unit's arrays are written first, its `unit-NNN.json` last, so a run
    that was ended anywhere goes on with the units that are missing. On n machines that see the same folder, run i of n
    with ``shard=(i, n)``: each takes every n-th unit, and the one that ends last writes the index.

    Parameters
    ----------
    recordings : sequence of Recording
        As `find_recordings` lists them; all machines must be given the same.
    folder : Path
        Output; made where missing.
    limits : Limits or None
        `None`: the defaults.
    workers : int
        Processes.
    shard : (int, int)
        Which part of how many.
    progress : callable or None
        Told ``(recordings done, recordings)`` of this shard.

    Returns
    -------
    bool
        Whether the index is written: false where other shards are not done yet.

    Raises
    ------
    DataError
        Nothing usable was found, two recordings have one name, or a worker process was killed.
    """
    limits = limits or Limits()
    twice = [name for name, count in Counter((one.collection, one.name) for one in recordings).items() if count > 1]
    if twice:
        raise DataError(f"two recordings are called {'/'.join(twice[0])}; rename one of their folders")
    folder.mkdir(parents=True, exist_ok=True)
    units = list(_units(recordings, limits))
    mine = units[shard[0] :: shard[1]]
    total = sum(len(unit.recordings) for unit in mine)
    missing = [unit for unit in mine if _finished(folder, unit) is None]
    done = total - sum(len(unit.recordings) for unit in missing)
    report = progress or (lambda done, total: None)
    report(done, total)
    work = partial(_prepare_unit, folder=folder, limits=limits)
    for unit in run_each(work, missing, workers):
        done += len(unit.recordings)
        report(done, total)
    return _write_index(folder, units)


def run_each(work: Callable[[Any], None], items: Sequence[Any], workers: int) -> Iterator[Any]:
    """Yield each item when `work` of it is done, in `workers` processes; in this one where that is 1.

    At most two items a process are under way, so that an interruption waits for little.
    """
    if workers <= 1 or len(items) <= 1:
        for item in items:
            work(item)
            yield item
        return
    # Spawned, not forked: the caller may hold threads (torch, a progress bar), which a fork would break.
    with ProcessPoolExecutor(min(workers, len(items)), multiprocessing.get_context("spawn")) as pool:
        waiting = list(reversed(items))
        running: dict[Future[None], Any] = {}
        try:
            while waiting or running:
                while waiting and len(running) < 2 * workers:
                    item = waiting.pop()
                    running[pool.submit(work, item)] = item
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    item = running.pop(future)
                    future.result()
                    yield item
        except BrokenProcessPool:
            raise DataError(
                "a worker process was killed, most often for memory; give fewer workers and start again: "
                "what is done is kept"
            ) from None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _units(recordings: Sequence[Recording], limits: Limits) -> Iterator[_Unit]:
    """Part the recordings by number and size; the parting is the same on every machine."""
    group: list[Recording] = []
    size = number = 0

    def close() -> _Unit:
        settings = json.dumps([VERSION, number, asdict(limits)], sort_keys=True)
        key = hashlib.sha256((settings + fingerprint(group)).encode()).hexdigest()[:16]
        return _Unit(number, key, tuple(group))

    for one in recordings:
        group.append(one)
        size += one.path.stat().st_size if one.path.exists() else 0
        if len(group) >= UNIT_FILES or size >= UNIT_BYTES:
            yield close()
            group, size, number = [], 0, number + 1
    if group:
        yield close()


def _unit_file(folder: Path, unit: _Unit) -> Path:
    return folder / f"unit-{unit.number:03d}.json"


def _finished(folder: Path, unit: _Unit) -> dict[str, Any] | None:
    try:
        made: dict[str, Any] = json.loads(_unit_file(folder, unit).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return made if made.get("key") == unit.key else None


def _prepare_unit(unit: _Unit, folder: Path, limits: Limits) -> None:
    """Prepare one unit's recordings and write its arrays, then its list."""
    clips: list[dict[str, Any]] = []
    rejected: list[dict[str, Any]] = []
    offset = 0
    for left in folder.glob(f".*-{unit.number:03d}.*.part"):
        left.unlink(missing_ok=True)  # of a run that was killed
    with Appended([folder / f"{name}-{unit.number:03d}.{suffix}" for name, suffix in _ARRAYS]) as arrays:
        for one in unit.recordings:
            known = {"collection": one.collection, "speaker": one.speaker, "source": one.source}

            def reject(reason: str, seconds: float = 0.0, known: dict[str, Any] = known) -> None:
                rejected.append(known | {"reason": reason, "seconds": round(seconds, 2)})

            first = len(clips)
            try:
                for about, samples in _clips(one, limits, reject):
                    about |= known | {"split": one.split, "text": one.text, "shard": unit.number, "offset": offset}
                    clips.append({"id": f"{one.collection}/{one.name}"} | about)
                    offset += about["samples"]
                    arrays.append(samples)
            except (_Rejected, audio.AudioError, OSError) as error:
                reject(str(error))  # clips from before the damage stay
            if len(clips) - first > 1:
                for number, clip in enumerate(clips[first:]):
                    # A text is the whole take's: which words fell into which part is not known.
                    clip |= {"id": f"{clip['id']}#{number}", "text": None}
    listing = {"key": unit.key, "clips": clips, "rejected": rejected}
    write_whole(_unit_file(folder, unit), json.dumps(listing, ensure_ascii=False).encode())


def _clips(
    one: Recording, limits: Limits, reject: Callable[..., None]
) -> Iterator[tuple[dict[str, Any], tuple[Any, Any, Any]]]:
    """Yield what the index says of each clip of a recording, with its int16 audio, F0 and energy."""
    info = audio.probe(one.path)
    if info.seconds > limits.longest_file * 3600:
        raise _Rejected(f"longer than {limits.longest_file:g} hours; cut it into files")
    if info.seconds < limits.shortest:
        raise _Rejected(f"shorter than {limits.shortest:g} s")
    start = 0
    for clipped, block in _blocks(one.path, info.sample_rate):
        yield from _block_clips(block, clipped, start, info.sample_rate, limits, reject)
        start += block.size


def _blocks(path: Path, rate: int) -> Iterator[tuple[float, Floats]]:
    """Yield `(clipped share, 24 kHz mono)` blocks of a file; clipping is looked for before the rate conversion."""
    shares: list[float] = []
    damaged: list[audio.AudioError] = []

    def mono() -> Iterator[Floats]:
        try:
            for chunk in audio.read_chunks(path):
                if not np.isfinite(chunk).all():
                    raise _Rejected("holds samples that are no numbers")
                one = chunk.mean(axis=1, dtype=np.float32)
                shares.append(max(clipped_share(chunk[:, channel]) for channel in range(chunk.shape[1])))
                yield one[:, None]
        except audio.AudioError as error:
            damaged.append(error)  # told when what came before has been used

    for block in cut.blocks(chunk[:, 0] for chunk in audio.convert(mono(), rate, RATE)):
        share = float(np.mean(shares)) if shares else 0.0
        shares.clear()
        yield share, block
    if damaged:
        raise damaged[0]


def _block_clips(
    block: Floats, clipped: float, start: int, rate: int, limits: Limits, reject: Callable[..., None]
) -> Iterator[tuple[dict[str, Any], tuple[Any, Any, Any]]]:
    seconds = block.size / RATE
    block = block - block.mean(dtype=np.float64).astype(np.float32)
    energy = frame_energy(block)
    level, snr = active_level(energy), signal_to_noise(energy)
    if level < limits.quietest:
        return reject(f"silent: its loudest parts are at {level:.0f} dBFS", seconds)
    if clipped > limits.clipped:
        return reject(f"clipped: {100 * clipped:.2f} % of its samples are flat tops", seconds)
    if snr < limits.noisiest:
        return reject(f"too noisy: {snr:.0f} dB between speech and pauses", seconds)
    width = min(bandwidth(block), rate / 2)
    for first, stop in cut.spans(block):
        clip = block[first:stop]
        length = clip.size / RATE
        if length < limits.shortest:
            reject(f"shorter than {limits.shortest:g} s without its silence", length)
            continue
        lufs = loudness(clip)
        gain = 10 ** ((limits.loudness - lufs) / 20)
        gain = min(gain, 10 ** (-0.1 / 20) / max(float(np.abs(clip).max()), 1e-9))
        clip = clip * np.float32(gain)
        f0 = track_f0(clip)
        voiced = f0[f0 > 0]
        yield (
            {
                "seconds": round(length, 3),
                "samples": clip.size,
                "start": round((start + first) / RATE, 3),
                "f0_median": round(float(np.median(voiced)), 1) if voiced.size else 0.0,
                "voiced": round(voiced.size / f0.size, 3),
                "snr_db": round(snr, 1),
                "loudness_lufs": round(lufs, 2),
                "gain_db": round(float(20 * np.log10(gain)), 2),
                "bandwidth_hz": width,
            },
            (np.round(clip * 32767).astype("<i2"), f0.astype("<f4"), frame_energy(clip).astype("<f4")),
        )


def _write_index(folder: Path, units: Sequence[_Unit]) -> bool:
    made = [_finished(folder, unit) for unit in units]
    if any(one is None for one in made):
        return False
    clips = [clip for one in made if one is not None for clip in one["clips"]]
    rejected = [line for one in made if one is not None for line in one["rejected"]]
    write_whole(folder / "rejected.jsonl", _lines(rejected))
    if not clips:
        reason = f"; the first: {rejected[0]['source']}: {rejected[0]['reason']}" if rejected else ""
        raise DataError(f"none of {sum(len(unit.recordings) for unit in units)} recordings can be used{reason}")
    write_whole(folder / INDEX, _lines(clips))
    return True


def _lines(rows: Iterable[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


class Appended:
    """Files that grow together and appear together, as a context manager: each is there whole or not at all.

    Parameters
    ----------
    paths : sequence of Path
        The files; those that are there are replaced at the end.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths
        self._partial = [path.with_name(f".{path.name}.{os.getpid()}.part") for path in paths]
        self._files = [path.open("wb") for path in self._partial]

    def append(self, parts: Sequence[Any]) -> None:
        """Append one array to each file."""
        for file, part in zip(self._files, parts, strict=True):
            file.write(part.tobytes())

    def __enter__(self) -> Appended:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        for file in self._files:
            with file:
                file.flush()
                os.fsync(file.fileno())
        for partial_file, path in zip(self._partial, self._paths, strict=True):
            if kind is None:
                partial_file.replace(path)
            else:
                partial_file.unlink(missing_ok=True)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file under another name, to the disk, and rename it: it is there whole or not at all."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    with partial.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
