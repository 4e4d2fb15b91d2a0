"""Runs the streaming engine over a file, frame by frame, as a host's audio callback would."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtvoice import audio
from rtvoice.engine import Engine
from rtvoice.model import Model

Frames = NDArray[np.float32]


@dataclass(frozen=True)
class Report:
    """What a rendering did and how long it took.

    ``realtime_factor`` is time spent in the engine over time of the audio (below 1 keeps up); ``frame_us`` is the
    time of one call as the caller sees it; ``budget_us`` is the audio time of a frame; ``missing`` counts frames that
    the input's head tells of and that the file does not have.
    """

    input: str
    output: str
    model: str
    tier: str
    sample_rate: int
    channels: int
    frames: int
    seconds: float
    block: int
    calls: int
    latency_samples: int
    latency_ms: float
    latency_compensated: bool
    realtime_factor: float
    frame_us: dict[str, float]
    budget_us: float
    overruns: int
    nonfinite: int
    clipped: int
    missing: int

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain numbers and strings."""
        return asdict(self)


def percentiles(times_us: NDArray[np.float64]) -> dict[str, float]:
    """Return ``p50, p90, p99, p999, max`` of times in microseconds."""
    p50, p90, p99, p999 = np.percentile(times_us, [50, 90, 99, 99.9])
    return {"p50": float(p50), "p90": float(p90), "p99": float(p99), "p999": float(p999), "max": float(times_us.max())}


def render_file(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    model: str | os.PathLike[str] | Model,
    *,
    tier: str = "auto",
    sample_rate: int | None = None,
    block: int | None = None,
    seed: int = 0,
    raw_latency: bool = False,
    progress: Callable[[float], None] | None = None,
) -> Report:
    """Run a model over an audio file.

    Parameters
    ----------
    source, target
        Audio files; the target's format goes by its extension, its sample type by the source's.
    sample_rate
        Rate of the host in Hz; the file is converted to it first. ``None``: the file's own.
    block
        Frames of exactly this many samples, promised to the engine. ``None``: 10 ms, without a promise.
    raw_latency
        Write all that the engine gives, :attr:`Engine.latency` samples late, instead of a file in time with the source.
    progress
        Is told the part done, 0 to 1, now and then.

    Raises
    ------
    AudioError, ModelError, ValueError
        A file, the model or an argument is unfit; the target is left as it was.
    """
    info = audio.probe(source)
    rate = sample_rate or info.sample_rate
    size = block or max(1, rate // 100)
    # The default tier, not what fits this machine: the same file everywhere.
    loaded = model if isinstance(model, Model) else Model.load(model, tier=tier)
    engine = Engine(loaded, rate, size, info.channels, tier=tier, block=block, seed=seed)
    frames = audio.converted_length(info.frames, info.sample_rate, rate)
    skip, length = (0, frames + engine.latency) if raw_latency else (engine.latency, frames)
    times: list[int] = []
    read: list[int] = []
    written = 0
    subtype = info.subtype if info.subtype in ("PCM_16", "PCM_24", "FLOAT", "DOUBLE") else "PCM_24"
    with audio.Writer(target, rate, info.channels, subtype) as writer:
        pieces = _cut(audio.convert(_counted(source, read), info.sample_rate, rate), size, frames, skip + length)
        for done in _run(engine, pieces, size, times):
            piece = done[skip:][: length - written]
            skip = max(0, skip - len(done))
            writer.write(piece)
            written += len(piece)
            if progress is not None:
                progress(written / length)
    spent = np.array(times, np.float64) / 1000
    stats = engine.stats()
    return Report(
        input=os.fspath(source),
        output=os.fspath(target),
        model=engine.model.name,
        tier=engine.model.tier,
        sample_rate=rate,
        channels=info.channels,
        frames=written,
        seconds=frames / rate,
        block=size,
        calls=len(times),
        latency_samples=engine.latency,
        latency_ms=1000 * engine.latency / rate,
        latency_compensated=not raw_latency,
        realtime_factor=float(spent.sum()) / 1e6 / (len(times) * size / rate),
        frame_us=percentiles(spent),
        budget_us=1e6 * size / rate,
        overruns=int(np.count_nonzero(spent > 1e6 * size / rate)),
        nonfinite=stats["nonfinite"],
        clipped=writer.clipped,
        missing=max(0, info.declared - sum(read)),
    )


def _counted(source: str | os.PathLike[str], read: list[int]) -> Iterator[Frames]:
    for chunk in audio.read_chunks(source):
        read.append(len(chunk))
        yield chunk


def _cut(chunks: Iterable[Frames], size: int, frames: int, wanted: int) -> Iterator[Frames]:
    """Yield pieces of whole frames: ``frames`` samples of the chunks, then silence until ``wanted`` are given."""
    held: Frames | None = None
    taken = given = 0
    for chunk in chunks:
        chunk = chunk[: frames - taken]
        taken += len(chunk)
        held = chunk if held is None or len(held) == 0 else np.concatenate([held, chunk])
        whole = len(held) // size * size
        if whole:
            yield held[:whole]
            given += whole
        held = held[whole:]
    if held is None:
        return
    rest = -(-(wanted - given) // size) * size
    tail = np.zeros((max(rest, 0), held.shape[1]), np.float32)
    tail[: len(held)] = held
    if len(tail):
        yield tail


def _run(engine: Engine, pieces: Iterable[Frames], size: int, times: list[int]) -> Iterator[Frames]:
    clock = time.perf_counter_ns
    for piece in pieces:
        source = np.ascontiguousarray(piece[:, 0] if piece.shape[1] == 1 else piece)
        out = np.empty_like(source)
        for start in range(0, len(source), size):
            begin = clock()
            engine.process(source[start : start + size], out[start : start + size])
            times.append(clock() - begin)
        yield out
