"""Running the engine as hosts do: frames of every size."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

import rtvoice

F32 = NDArray[np.float32]

CUTTINGS = ["whole", "ones", "primes", "random", "hop"]


def sizes(cutting: str, total: int, hop: int, seed: int = 1) -> list[int]:
    """Frame sizes that add up to `total`."""
    rng = np.random.default_rng(seed)
    primes = [7, 13, 97, 1, 31, 211]
    made: list[int] = []
    left = total
    while left > 0:
        if cutting == "whole":
            n = left
        elif cutting == "ones":
            n = 1
        elif cutting == "primes":
            n = primes[len(made) % len(primes)]
        elif cutting == "hop":
            n = hop
        else:
            n = int(rng.integers(0, 300))
        n = min(n, left)
        made.append(n)
        left -= n
    return made


def stream(engine: rtvoice.Engine, signal: F32, cuts: list[int]) -> F32:
    """The engine's output for `signal` cut into frames of these sizes."""
    out = np.empty_like(signal)
    at = 0
    for n in cuts:
        out[at : at + n] = engine.process(np.ascontiguousarray(signal[at : at + n]))
        at += n
    return out


def speech_like(n: int, seed: int = 0, level: float = 0.3) -> F32:
    """Noise bursts, a tone and silence."""
    rng = np.random.default_rng(seed)
    t = np.arange(n)
    x = level * np.sin(2 * np.pi * 0.01 * t) + level * rng.standard_normal(n) * (np.sin(2 * np.pi * t / 700) > 0)
    return x.astype(np.float32)
