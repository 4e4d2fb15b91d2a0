"""Counts per unit, their merging over batches and ranks, and the verdict on each unit: always on, varies, never."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.uint8]

NEVER, VARIES, ALWAYS = 0, 1, 2
FLAT_SHARE = 1e-4  # of the layer's median standard deviation: 80 dB under its neighbours a unit says nothing
FLAT = 1e-7


@dataclass
class Count:
    """What was counted of one layer; sums, so that batches and ranks add.

    Attributes
    ----------
    kind : str
        Of the units, as in `units.KINDS`.
    frames, examples : float
        How many frames, and how many examples, were seen.
    on_frames, on_examples : numpy.ndarray
        Per unit: frames in which it was on; examples in which it was on at least once. `(units,)`.
    total, squares : numpy.ndarray
        Per unit: sum of the output and of its square over `moments` frames. `(units,)`.
    moments : float
        Frames in `total` and `squares`.
    """

    kind: str
    frames: float
    examples: float
    on_frames: Floats
    on_examples: Floats
    moments: float
    total: Floats
    squares: Floats

    @property
    def units(self) -> int:
        """Number of units."""
        return int(self.on_frames.size)

    def __add__(self, other: Count) -> Count:
        """Return both counts together."""
        return Count(
            self.kind,
            self.frames + other.frames,
            self.examples + other.examples,
            self.on_frames + other.on_frames,
            self.on_examples + other.on_examples,
            self.moments + other.moments,
            self.total + other.total,
            self.squares + other.squares,
        )

    def to_vector(self) -> Floats:
        """Return all sums as one vector, for a sum over ranks."""
        parts = (self.on_frames, self.on_examples, self.total, self.squares)
        return np.concatenate([[self.frames, self.examples, self.moments], *parts])

    @classmethod
    def from_vector(cls, kind: str, vector: Floats) -> Count:
        """Undo `to_vector`."""
        on_frames, on_examples, total, squares = np.split(vector[3:], 4)
        frames, examples, moments = (float(value) for value in vector[:3])
        return cls(kind, frames, examples, on_frames, on_examples, moments, total, squares)

    def mean(self) -> Floats:
        """Return the mean output of each unit."""
        return self.total / max(self.moments, 1.0)

    def deviation(self) -> Floats:
        """Return the standard deviation of each unit's output over frames and examples."""
        variance = self.squares / max(self.moments, 1.0) - self.mean() ** 2
        return np.asarray(np.sqrt(np.maximum(variance, 0.0)))

    def by_frame(self) -> Codes:
        """Return `ALWAYS` (on in every frame), `NEVER` (in none) or `VARIES` for each unit."""
        return _codes(self.on_frames, self.frames)

    def by_example(self) -> Codes:
        """Return `ALWAYS` (on at least once in every example), `NEVER` (in none) or `VARIES` for each unit."""
        return _codes(self.on_examples, self.examples)

    def flat(self) -> npt.NDArray[np.bool_]:
        """Return which units' outputs do not vary."""
        deviation = self.deviation()
        with np.errstate(invalid="ignore"):
            edge = max(FLAT, FLAT_SHARE * float(np.median(deviation))) if deviation.size else FLAT
            # 1e-6 of the mean is what float32 rounds.
            return np.asarray(~(deviation > np.maximum(edge, 1e-6 * np.abs(self.mean()))))


def _codes(on: Floats, out_of: float) -> Codes:
    codes = np.full(on.shape, VARIES, np.uint8)
    codes[on >= out_of - 0.5] = ALWAYS
    codes[on < 0.5] = NEVER
    return codes


class Rolling:
    """The counts of the latest training batches, in O(units): two buckets, the older one dropped when one is full.

    Parameters
    ----------
    batches : int
        Sampled batches to a bucket: a verdict rests on the last `batches` to `2 * batches` samples.
    """

    def __init__(self, batches: int = 4) -> None:
        self.batches = batches
        self._buckets: deque[dict[str, Count]] = deque([{}], maxlen=2)
        self._filled = 0

    def add(self, counts: dict[str, Count]) -> None:
        """Take in one sampled batch."""
        if self._filled == self.batches:
            self._buckets.append({})
            self._filled = 0
        self._filled += 1
        bucket = self._buckets[-1]
        for name, count in counts.items():
            bucket[name] = bucket[name] + count if name in bucket else count

    def counts(self) -> dict[str, Count]:
        """Return the counts of both buckets together."""
        together: dict[str, Count] = {}
        for bucket in self._buckets:
            for name, count in bucket.items():
                together[name] = together[name] + count if name in together else count
        return together


@dataclass(frozen=True)
class Layer:
    """The verdict on one layer at one time.

    Attributes
    ----------
    name, kind : str
        Of the layer.
    units : int
        How many.
    always, varies, never : float
        Shares of the units, counted by frame.
    example_always, example_varies : float
        The same counted by example: on at least once in each, or only in some.
    flat : float
        Share whose output does not vary.
    revived, newly_dead : float
        Share of the units that were never on at the time before and are now, and the other way.
    spread : float
        log10 of the 90th over the 10th percentile of the units' standard deviations (those not flat).
    deviation : float
        Median standard deviation of the units' outputs.
    drift : float
        How far the median unit's mean has moved since the first time, in its first standard deviations.
    dead : bool
        Whether no unit of the layer passes anything.
    codes : numpy.ndarray
        `NEVER`, `VARIES` or `ALWAYS` of each unit, by frame, `(units,)`.
    """

    name: str
    kind: str
    units: int
    always: float
    varies: float
    never: float
    example_always: float
    example_varies: float
    flat: float
    revived: float
    newly_dead: float
    spread: float
    deviation: float
    drift: float
    dead: bool
    codes: Codes


#: The numbers of a `Layer` that are kept over time.
MEASURES = (
    "always", "varies", "never", "example_always", "example_varies", "flat", "revived", "newly_dead", "spread",
    "deviation", "drift",
)  # fmt: skip


class Judge:
    """Verdicts on layers, with the memory that flow and drift need: one code and two numbers a unit."""

    def __init__(self, never_is_dead: dict[str, bool]) -> None:
        self.never_is_dead = never_is_dead
        self.baseline: dict[str, tuple[Floats, Floats]] = {}
        self._codes: dict[str, Codes] = {}

    def __call__(self, counts: dict[str, Count]) -> list[Layer]:
        """Judge every layer; the first time a layer is seen becomes its baseline."""
        return [self._judge(name, count) for name, count in counts.items() if count.units and count.moments]

    def _judge(self, name: str, count: Count) -> Layer:
        codes, examples, flat = count.by_frame(), count.by_example(), count.flat()
        before = self._codes.get(name)
        if before is None or before.shape != codes.shape:
            before = codes
        self._codes[name] = codes
        mean, deviation = count.mean(), count.deviation()
        known = self.baseline.get(name)
        if known is None or known[0].shape != mean.shape:
            known = self.baseline[name] = (mean, deviation)
        never = codes == NEVER
        silent = flat | never if self.never_is_dead.get(count.kind, True) else flat
        return Layer(
            name=name,
            kind=count.kind,
            units=count.units,
            always=float(np.mean(codes == ALWAYS)),
            varies=float(np.mean(codes == VARIES)),
            never=float(np.mean(never)),
            example_always=float(np.mean(examples == ALWAYS)),
            example_varies=float(np.mean(examples == VARIES)),
            flat=float(np.mean(flat)),
            revived=float(np.mean((before == NEVER) & ~never)),
            newly_dead=float(np.mean((before != NEVER) & never)),
            spread=_spread(deviation[~flat]),
            deviation=float(np.median(deviation)),
            drift=_drift(mean, known),
            dead=bool(np.all(silent)),
            codes=codes,
        )


def _spread(deviation: Floats) -> float:
    if deviation.size < 2 or not np.isfinite(deviation).all():
        return float("nan")
    low, high = np.percentile(deviation, [10, 90])
    return float(np.log10(high / low)) if low > 0 else float("nan")


def _drift(mean: Floats, known: tuple[Floats, Floats]) -> float:
    first, deviation = known
    usable = deviation > FLAT
    if not usable.any():
        return float("nan")
    return float(np.median(np.abs(mean - first)[usable] / deviation[usable]))
