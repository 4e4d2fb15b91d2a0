"""Model files with smaller weights, 16 or 8 bits, and what that costs, measured in the engine."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtvoice import audio, safetensors_io
from rtvoice.engine import Engine
from rtvoice.export.cost_of_rounding import BOUND, rounding_snr
from rtvoice.model import Model
from rtvoice.safetensors_io import Array, BFloat16, Int8, widened

__all__ = ["KINDS", "Rounded", "calibration", "round_model", "signal_to_noise", "stream"]

#: What weights can be rounded to. `int8`: 255 steps per output channel, a byte each in the file; the engine widens them
#: as it loads, to the 16 bits that hold them exactly or to 32.
KINDS = ("fp16", "bf16", "int8")


#: What rounded weights must reach on the calibration audio, in dB; matrices that stand in the way stay at 16 bits where
#: 8 were asked for, and at 32 where 16 were.
GATE = BOUND


@dataclass(frozen=True)
class Rounded:
    """A model with rounded weights.

    Attributes
    ----------
    model : Model
        The model.
    kind : str
        One of `KINDS`.
    snr : float
        Of its output against the unrounded model's, in dB, on the calibration audio.
    stored_bytes : int
        Of the tensors as stored.
    kept : tuple of str
        Matrices that are not of the kind: beyond float16's range, or, for int8, at 16 bits for the gate's sake.
    snr_all : float
        The same figure with no matrix held back.
    """

    model: Model
    kind: str
    snr: float
    stored_bytes: int
    kept: tuple[str, ...]
    snr_all: float


def round_model(model: Model, kind: str, sound: NDArray[np.float32] | None = None, *, gate: float = GATE) -> Rounded:
    """Round a model's matrices; vectors (biases, norms) stay as they are.

    With `int8`, matrices whose rounding costs most by itself stay at 16 bits until the whole reaches the gate:
    transforms and filter banks do badly in 8 bits, the body's matrices well.

    Parameters
    ----------
    model : Model
        As trained.
    kind : str
        One of `KINDS`.
    sound : ndarray or None
        Calibration audio `(samples,)` at the model's rate; `None`: `calibration`.
    gate : float
        dB that the rounded model must reach.

    Raises
    ------
    ValueError
        The kind is unknown.
    """
    if kind not in KINDS:
        raise ValueError(f"weights cannot be rounded to {kind!r}; kinds: {', '.join(KINDS)}")
    work = _Work(model, calibration(model.sample_rate) if sound is None else sound)
    snr = snr_all = work.snr(dict.fromkeys(work.matrices, kind))
    held: list[str] = []
    instead = "fp16" if kind == "int8" else "fp32"
    if snr < gate:
        alone = {name: work.snr({name: kind}) for name in work.matrices}
        for name in sorted(work.matrices, key=lambda name: alone[name]):
            held.append(name)
            # One by one near the goal only: a matrix that alone is below it must go in any case.
            if alone[name] >= gate:
                snr = work.snr({n: instead if n in held else kind for n in work.matrices})
                if snr >= gate:
                    break
        snr = work.snr({n: instead if n in held else kind for n in work.matrices})
    kinds = {name: instead if name in held else kind for name in work.matrices}
    tensors = work.tensors(kinds)
    kept = [name for name in work.matrices if name in held or tensors[name] is work.given[name]]
    stored = sum(_bytes(tensor) for tensor in tensors.values())
    told = {"weights": kind, "weights_snr_db": round(snr, 1) if np.isfinite(snr) else None, "weights_bound_db": gate}
    return Rounded(work.model(tensors, told), kind, snr, stored, tuple(kept), snr_all)


class _Work:
    """A model's tensors, and what the engine makes of them when some are rounded."""

    def __init__(self, model: Model, sound: NDArray[np.float32]) -> None:
        self.given, self.metadata = safetensors_io.read(model._bytes())
        self.told = model.metadata
        self.whole, self.sound = model, sound
        # What sums up phases, or draws from its own draws, drifts apart: see `rounding_snr`.
        self.sums = any(node.get("op") in ("phase", "recall") for node in self.told.get("graph", {}).get("nodes", []))
        self.reference = np.zeros(0, np.float32) if self.sums else stream(model, sound)
        axes = _output_axes(self.told)
        self.axes = {name: axes.get(name, 0) for name in self.given}
        self.matrices = [name for name, tensor in self.given.items() if len(tensor.shape) > 1 and 0 not in tensor.shape]

    def tensors(self, kinds: dict[str, str]) -> dict[str, Array]:
        """Return the tensors, each rounded to its kind; where that is not possible, or not asked, as given."""
        made = dict(self.given)
        for name, kind in kinds.items():
            tensor = self.given[name]
            rounded = _round(widened(tensor), kind, self.axes[name])
            if rounded is not None:
                made[name] = rounded
        return made

    def model(self, tensors: dict[str, Array], provenance: dict[str, Any] | None = None) -> Model:
        told = {**self.told, "provenance": {**(self.told.get("provenance") or {}), **(provenance or {})}}
        return Model.from_bytes(safetensors_io.write(tensors, {**self.metadata, "rtvoice": json.dumps(told)}))

    def snr(self, kinds: dict[str, str]) -> float:
        rounded = self.model(self.tensors(kinds))
        if self.sums:
            found = rounding_snr(self.whole, rounded, self.sound)
            return float("inf") if found is None else found
        return signal_to_noise(self.reference, stream(rounded, self.sound))


def _round(values: NDArray[np.float32], kind: str, axis: int) -> Array | None:
    if kind == "fp32":
        return None
    if kind == "bf16":
        return BFloat16.round(values)
    if kind == "int8":
        return Int8.round(values, axis)
    with np.errstate(over="ignore"):
        half = values.astype(np.float16)
    return half if np.isfinite(half).all() else None


def _output_axes(metadata: dict[str, Any]) -> dict[str, int]:
    """Return the axis of each tensor along which outputs lie: the second of a transposed convolution's."""
    axes = {}
    for node in metadata.get("graph", {}).get("nodes", []):
        if node.get("op") == "conv_transpose1d":
            for tensor in (node.get("weights") or {}).values():
                axes[str(tensor)] = 1
    return axes


def _bytes(tensor: Array) -> int:
    size = int(np.prod(tensor.shape))
    if isinstance(tensor, Int8):
        return size + 4 * tensor.scale.size
    return size * (2 if isinstance(tensor, BFloat16) or tensor.dtype == np.float16 else 4)


def stream(model: Model, sound: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what an engine makes of audio `(samples,)` at the model's own rate, in steps of its hop."""
    hop = model.hop
    engine = Engine(model, sample_rate=model.sample_rate, max_frame=hop, block=hop)
    whole = np.ascontiguousarray(sound[: len(sound) // hop * hop], np.float32)
    return np.concatenate([engine.process(whole[at : at + hop]) for at in range(0, len(whole), hop)])


def signal_to_noise(reference: NDArray[Any], other: NDArray[Any]) -> float:
    """Return the level of `reference` over that of the difference, in dB; infinite where there is none."""
    noise = float(np.square(reference.astype(np.float64) - other).sum())
    signal = float(np.square(reference.astype(np.float64)).sum())
    if noise == 0:
        return float("inf")
    return 10 * np.log10(signal / noise) if signal > 0 else float("-inf")


def calibration(rate: int, seconds: float = 4.0) -> NDArray[np.float32]:
    """Return sound like a voice: pulses of a moving pitch through moving resonances, breath, and pauses.

    Real speech is better where there is some; this needs none, and is the same everywhere.
    """
    rng = np.random.default_rng(0)
    time = np.arange(int(seconds * rate)) / rate
    pitch = 140 * 2 ** (0.4 * np.sin(2 * np.pi * 0.7 * time))
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    first, second = 500 + 250 * np.sin(2 * np.pi * 1.3 * time), 1500 + 600 * np.sin(2 * np.pi * 0.9 * time)
    sound = np.zeros_like(time)
    for harmonic in range(1, 40):
        at = harmonic * pitch
        level = np.exp(-(((at - first) / 250) ** 2)) + 0.5 * np.exp(-(((at - second) / 300) ** 2)) + 0.02
        sound += np.where(at < 0.45 * rate, level, 0.0) * np.cos(harmonic * phase)
    sound += 0.05 * rng.standard_normal(len(time))
    sound *= np.clip(1.5 * np.sin(2 * np.pi * 2.1 * time) + 0.7, 0.0, 1.0)
    return (0.1 * sound / max(float(np.sqrt(np.square(sound).mean())), 1e-9)).astype(np.float32)


def load_audio(path: str | os.PathLike[str], rate: int, seconds: float = 20.0) -> NDArray[np.float32]:
    """Return the first channel of a sound file, at a rate, at most so many seconds of it."""
    sound, _ = audio.read(path, sample_rate=rate)
    return np.ascontiguousarray(sound[: int(seconds * rate), 0], np.float32)
