"""Describes what is said, not who says it: content features of prepared clips by recognisers' weights."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from rtvoice import audio
from rtvoice.train.data.corpus import DataError
from rtvoice.train.data.measure import RATE, Floats
from rtvoice.train.data.prepare import Progress, run_each, write_whole
from rtvoice.train.data.store import INDEX, Clip, Prepared
from rtvoice.train.data.weights import package_folder, whisper_base

VERSION = 1
SPEECH_RATE = 16000


class Extractor(Protocol):
    """Turns speech into content features.

    Attributes
    ----------
    dimensions : int
        Width of a frame.
    frames_per_second : float
        Frame j lies at ``j / frames_per_second`` seconds.
    """

    dimensions: int
    frames_per_second: float

    def __call__(self, speech: Floats) -> npt.NDArray[np.float32]:
        """Return `(frames, dimensions)` of 16 kHz speech `(samples,)`."""
        ...


class WhisperEncoder:
    """The encoder of whisper-base (A. Radford et al., 2022), 512 values at 50 Hz; frame j is 2 j at 100 Hz.

    Its 30 s of padding are cut to 2: with them a clip of 3 s costs 30 times as much, and the features of the speech
    change by little (the encoder's own noise under 8-bit weights, 3.6 % of its spread, is the same order).

    Parameters
    ----------
    weights : Path or None
        Folder with the CTranslate2 model; see `whisper_base`.
    threads : int
        CPU threads of this instance.
    """

    dimensions = 512
    frames_per_second = 50.0
    _padding = 2 * SPEECH_RATE

    def __init__(self, weights: Path | None = None, threads: int = 1) -> None:
        try:
            from faster_whisper import WhisperModel
        except ImportError as error:
            raise DataError(
                f"whisper features need the package faster-whisper ({error}); run: pip install 'rtvoice[content]'"
            ) from None
        self._model = WhisperModel(str(whisper_base(weights)), compute_type="int8", cpu_threads=threads)

    def __call__(self, speech: Floats) -> npt.NDArray[np.float32]:
        """Return `(samples // 320, 512)` of 16 kHz speech `(samples,)` of at most 28 s."""
        if speech.size > 28 * SPEECH_RATE:
            raise ValueError(f"whisper takes at most 28 s at a time, not {speech.size / SPEECH_RATE:.1f}")
        mel = self._model.feature_extractor(np.pad(speech, (0, self._padding)), padding=0)
        encoded = np.array(self._model.encode(mel[:, : mel.shape[1] // 2 * 2]))[0]
        return np.asarray(encoded[: speech.size // 320], np.float32)


class HamaPosteriors:
    """Log posteriors of hama's CTC phone recogniser at 50 Hz, clipped at -14: it is peaky, and its zeros say nothing.

    Against whisper's frames they come 1 to 2 frames of 100 Hz late.

    Parameters
    ----------
    weights : Path or None
        The file `asr_waveform.hama`; `None`: the installed package's.
    """

    frames_per_second = 50.0
    _floor = -14.0

    def __init__(self, weights: Path | None = None) -> None:
        package_folder("hama", install="hama==1.7.0", purpose="phone posteriors")
        from hama import ASRModel

        # The package's own call gives the decoded phones only: its session gives the posteriors.
        model = ASRModel(weights)
        self._session = model.session
        self._names = [one.name for one in model.session.get_inputs()]
        self._outputs = [one.name for one in model.session.get_outputs() if "length" not in one.name][:1]
        self.dimensions = self(np.zeros(SPEECH_RATE, np.float32)).shape[1]

    def __call__(self, speech: Floats) -> npt.NDArray[np.float32]:
        """Return `(samples // 320, phones)` of 16 kHz speech `(samples,)`."""
        lengths = np.array([speech.size], np.int64)
        values = (lengths if "length" in name else speech[None].astype(np.float32) for name in self._names)
        log_probabilities = self._session.run(self._outputs, dict(zip(self._names, values, strict=True)))[0]
        frames = np.asarray(log_probabilities[0], np.float32)[: speech.size // 320]
        short = speech.size // 320 - len(frames)
        return np.maximum(np.pad(frames, ((0, short), (0, 0)), mode="edge"), self._floor)


@dataclass(frozen=True)
class _Task:
    """One shard of clips, and the hash of what its features depend on."""

    shard: int
    key: str
    clips: tuple[Clip, ...]


def extract(
    prepared: Prepared,
    folder: Path,
    *,
    extractor: str = "whisper-base",
    weights: Path | None = None,
    workers: int = 1,
    shard: tuple[int, int] = (0, 1),
    progress: Progress | None = None,
) -> bool:
    """Write the content features of all prepared clips into `folder`, readable by `Content` once all are done.

    Goes on where it was ended; shards and workers as in `prepare`. Features of a shard of clips are kept as long as
    its audio is the same.

    Parameters
    ----------
    prepared : Prepared
        The clips.
    folder : Path
        Output; made where missing.
    extractor : str
        ``"whisper-base"`` or ``"hama"``.
    weights : Path or None
        See `whisper_base`.
    workers, shard, progress
        As in `prepare`.

    Returns
    -------
    bool
        Whether all is written: false where other shards are not done yet.

    Raises
    ------
    DataError
        The weights' package is missing.
    """
    if extractor not in EXTRACTORS:
        raise DataError(f"there is no extractor {extractor!r}; there are {', '.join(sorted(EXTRACTORS))}")
    folder.mkdir(parents=True, exist_ok=True)
    tasks = _tasks(prepared, extractor)
    mine = tasks[shard[0] :: shard[1]]
    missing = [task for task in mine if _finished(folder, task) is None]
    total = sum(len(task.clips) for task in mine)
    done = total - sum(len(task.clips) for task in missing)
    report = progress or (lambda done, total: None)
    report(done, total)
    if missing:
        loaded(extractor, weights)  # so that missing weights are told before any worker starts
    work = partial(_extract_shard, source=prepared.folder, folder=folder, extractor=extractor, weights=weights)
    for task in run_each(work, missing, workers):
        done += len(task.clips)
        report(done, total)
    return _write_index(prepared, folder, tasks)


@lru_cache(maxsize=2)
def loaded(extractor: str, weights: Path | None) -> Extractor:
    """Return an extractor by name, loaded once in a process; it uses one thread."""
    return EXTRACTORS[extractor](weights)


#: What `extract` knows.
EXTRACTORS: dict[str, Callable[[Path | None], Extractor]] = {"whisper-base": WhisperEncoder, "hama": HamaPosteriors}


def to_speech_rate(samples: Floats) -> Floats:
    """Convert 24 kHz audio `(samples,)` to the recognisers' 16 kHz."""
    parts = list(audio.convert([samples[:, None]], RATE, SPEECH_RATE))
    return np.concatenate(parts)[:, 0] if parts else np.zeros(0, np.float32)


def _tasks(prepared: Prepared, extractor: str) -> list[_Task]:
    by_shard: dict[int, list[Clip]] = {}
    for clip in prepared.clips:
        by_shard.setdefault(clip.shard, []).append(clip)
    tasks = []
    for number, clips in sorted(by_shard.items()):
        with (prepared.folder / f"audio-{number:03d}.i16").open("rb") as file:
            digest = hashlib.file_digest(file, "sha256") if hasattr(hashlib, "file_digest") else _digest(file)
        digest.update(json.dumps([VERSION, extractor, [(clip.id, clip.offset) for clip in clips]]).encode())
        tasks.append(_Task(number, digest.hexdigest()[:16], tuple(clips)))
    return tasks


def _digest(file: Any) -> Any:
    """Python 3.10 has no `hashlib.file_digest`."""
    digest = hashlib.sha256()
    while block := file.read(1 << 20):
        digest.update(block)
    return digest


def _finished(folder: Path, task: _Task) -> dict[str, Any] | None:
    try:
        made: dict[str, Any] = json.loads((folder / f"unit-{task.shard:03d}.json").read_text())
    except (OSError, ValueError):
        return None
    return made if made.get("key") == task.key else None


def _extract_shard(task: _Task, source: Path, folder: Path, extractor: str, weights: Path | None) -> None:
    describe = loaded(extractor, weights)
    prepared = Prepared(source)
    parts: list[npt.NDArray[np.float16]] = []
    rows = []
    offset = 0
    for clip in task.clips:
        features = describe(to_speech_rate(prepared.audio(prepared.index(clip.id)))).astype("<f2")
        rows.append({"id": clip.id, "shard": task.shard, "offset": offset, "frames": len(features)})
        offset += len(features)
        parts.append(features)
    write_whole(folder / f"content-{task.shard:03d}.f16", np.concatenate(parts).tobytes())
    about = {"extractor": extractor, "dimensions": describe.dimensions, "frames_per_second": describe.frames_per_second}
    made = {"key": task.key, "about": about, "clips": rows}
    write_whole(folder / f"unit-{task.shard:03d}.json", json.dumps(made).encode())


def _write_index(prepared: Prepared, folder: Path, tasks: Sequence[_Task]) -> bool:
    made = [_finished(folder, task) for task in tasks]
    if any(one is None for one in made):
        return False
    whole = [one for one in made if one is not None]
    rows = {row["id"]: row for one in whole for row in one["clips"]}
    write_whole(folder / "about.json", json.dumps(whole[0]["about"]).encode())
    lines = (json.dumps(rows[clip.id]) + "\n" for clip in prepared.clips)
    write_whole(folder / INDEX, "".join(lines).encode())
    return True
