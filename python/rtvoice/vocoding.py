"""Copy synthesis: what a vocoder makes of a recording's mel frames, and how far it is from the recording."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtvoice import audio
from rtvoice.engine import Engine
from rtvoice.errors import ModelError
from rtvoice.model import Model
from rtvoice.registry import resolve

__all__ = ["Report", "log_spectral_distance", "vocode", "vocode_file"]

F32 = NDArray[np.float32]
#: The skin that the shipped vocoders are tiers of.
SHIPPED = "vocoder"
#: Ops of which a vocoder has one or more: its sound begins as noise or is drawn sample by sample.
DRAWN = ("noise", "sample")
#: Samples of one spectrum.
SHORTEST = 512


@dataclass(frozen=True)
class Report:
    """What a vocoder did.

    `log_spectral_distance_db` is to the recording, over frames within 50 dB of the loudest; None below `SHORTEST`
    samples. Times are of the engine's own thread, the loop that feeds it included.
    """

    input: str
    output: str
    model: str
    sample_rate: int
    seconds: float
    realtime_factor: float
    sample_us: float
    macs_per_sample: int
    latency_ms: float
    log_spectral_distance_db: float | None
    clipped: int
    nonfinite: int

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain numbers and strings."""
        return asdict(self)


def log_spectral_distance(made: F32, wanted: F32, window: int = SHORTEST, hop: int = 128) -> float:
    """Return the root mean square difference of log spectra in dB, over the frames that can be heard.

    Spectra lie 80 dB deep under the loudest of `wanted`, frames 50 dB. Two halves of one noise are about 7.8 dB apart.
    """
    count = min(len(made), len(wanted))
    shape = np.hanning(window)

    def powers(x: F32) -> NDArray[np.float64]:
        frames = np.lib.stride_tricks.sliding_window_view(np.asarray(x[:count], np.float64), window)[::hop] * shape
        return np.asarray(np.abs(np.fft.rfft(frames, axis=1)) ** 2, np.float64)

    if count < window:
        raise ValueError(f"the recording has {count} samples; a distance takes {window} or more")
    a, b = powers(made), powers(wanted)
    floor = max(float(b.max()) * 1e-8, 1e-12)
    heard = b.sum(axis=1) >= b.sum(axis=1).max() * 1e-5
    apart = 10 * np.log10(np.maximum(a, floor)) - 10 * np.log10(np.maximum(b, floor))
    return float(np.mean(np.sqrt(np.mean(apart[heard] ** 2, axis=1))))


def vocode(
    model: Model, speech: F32, *, seed: int = 0, progress: Callable[[float], None] | None = None
) -> tuple[F32, float]:
    """Return what a vocoder makes of a recording at its rate, in step with it, and the seconds of its own thread."""
    engine = Engine(model, model.sample_rate, max_frame=model.hop, block=model.hop, seed=seed)
    hop, late = model.hop, engine.latency
    hops = -(-(len(speech) + late) // hop)
    padded = np.zeros(hops * hop, np.float32)
    padded[: len(speech)] = speech
    out = np.empty_like(padded)
    began = time.thread_time()  # not the clock on the wall: on a busy machine that showed six times as much
    for at in range(0, len(padded), hop):
        engine.process(padded[at : at + hop], out=out[at : at + hop])
        if progress is not None and at // hop % 64 == 0:
            progress(at / len(padded))
    return out[late : late + len(speech)], time.thread_time() - began


def vocode_file(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    model: str | os.PathLike[str] = "wavenet",
    *,
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
) -> Report:
    """Vocode an audio file.

    Parameters
    ----------
    source, target
        Audio files; channels are mixed to one, the target is at the vocoder's rate.
    model
        ``wavenet`` or ``flow``, which ship, or a ``.rtv`` file.
    seed
        Of the draws.
    progress
        Called with the share that is done.

    Raises
    ------
    ModelError
        The model cannot be read, or is no vocoder.
    """
    name = os.fspath(model)
    loaded = Model.load(resolve(SHIPPED, name) if name in ("wavenet", "flow") else resolve(name))
    if not any(layer["op"] in DRAWN for layer in loaded.info["layers"]):
        raise ModelError(f"{name}: draws nothing, so it is no vocoder; try: rtvoice render IN OUT --model {name}")
    speech = audio.read(source, sample_rate=loaded.sample_rate)[0].mean(axis=1)
    mono = np.ascontiguousarray(speech, np.float32)
    broken = ~np.isfinite(mono)
    mono[broken] = 0.0  # as the engine hears them
    made, spent = vocode(loaded, mono, seed=seed, progress=progress)
    with audio.Writer(target, loaded.sample_rate, 1) as writer:
        writer.write(made[:, None])
    seconds = len(mono) / loaded.sample_rate
    macs = sum(int(layer["macs"]) for layer in loaded.info["layers"])
    return Report(
        input=os.fspath(source),
        output=os.fspath(target),
        model=f"{loaded.name} ({loaded.tier})",
        sample_rate=loaded.sample_rate,
        seconds=seconds,
        realtime_factor=spent / max(seconds, 1e-9),
        sample_us=spent * 1e6 / max(len(mono), 1),
        macs_per_sample=macs // loaded.hop,
        latency_ms=Engine(loaded, loaded.sample_rate, max_frame=loaded.hop).latency * 1e3 / loaded.sample_rate,
        log_spectral_distance_db=log_spectral_distance(made, mono) if len(mono) >= SHORTEST else None,
        clipped=writer.clipped,
        nonfinite=int(broken.sum()),
    )
