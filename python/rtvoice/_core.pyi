"""Types of the native module."""

from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

class Microseconds(TypedDict):
    p50: float
    p90: float
    p99: float
    p999: float
    max: float

class StatsDict(TypedDict):
    frames: int
    calls: int
    us: Microseconds
    load: float
    overruns: int
    nonfinite: int
    tier: int
    tier_changes: int

class Memory(TypedDict):
    weights: int
    state: int
    scratch: int

def isa() -> str: ...
def version() -> str: ...

class Model:
    @staticmethod
    def open(path: str) -> Model: ...
    @staticmethod
    def from_bytes(data: bytes) -> Model: ...
    def info(self) -> str: ...

class Engine:
    def __init__(
        self,
        tiers: list[Model],
        sample_rate: int,
        max_frame: int,
        channels: int,
        block: int,
        seed: int,
        resampler: str,
        fade_ms: float,
        sliced: bool,
        dry: bool,
    ) -> None: ...
    def process(self, frame: Any, out: Any = None) -> NDArray[np.float32]: ...
    def reset(self) -> None: ...
    def set(self, name: str, values: NDArray[np.float32]) -> None: ...
    def output(self, name: str) -> NDArray[np.float32]: ...
    def swap(self, model: Model) -> None: ...
    def tier(self) -> int: ...
    def hold_tier(self, tier: int) -> None: ...
    def stats(self) -> StatsDict: ...
    def memory(self) -> Memory: ...
    def latency_parts(self) -> dict[str, float]: ...
    @property
    def latency(self) -> int: ...
    @property
    def bypass(self) -> bool: ...
    @bypass.setter
    def bypass(self, on: bool) -> None: ...
