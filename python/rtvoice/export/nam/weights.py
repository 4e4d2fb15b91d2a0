"""The flat list of weights of a `.nam` file, taken off in the order of the layers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtvoice.export.fields import array, refuse
from rtvoice.export.foreign import rounded

F32 = NDArray[np.float32]


class Weights:
    """A reader over the list.

    Parameters
    ----------
    values
        What the file has as its weights.
    place
        Name of the network in messages.
    """

    def __init__(self, values: Any, place: str) -> None:
        if not isinstance(values, (list, np.ndarray)):
            refuse(place, "'weights' is no list of numbers; the file is damaged, fetch it again")
        flat = array(values, f"{place}: 'weights'" if place else "'weights'")
        if flat.ndim != 1:
            refuse(place, "'weights' holds lists; it must be one list of numbers")
        self.values: F32 = flat
        self.place = place
        self.taken = 0
        self.matrices: list[tuple[int, int, str]] = []
        self.inner: list[Weights] = []

    def take(self, *shape: int, of: str) -> F32:
        """Take the next weights as an array of a shape; `of` is the layer that they belong to."""
        count = math.prod(shape)
        left = len(self.values) - self.taken
        if count > left:
            refuse(
                self.place,
                f"{of} takes {count} weights, but only {max(left, 0)} of the file's {len(self.values)} are left; the "
                "config is of another network, or the file was cut: export it again",
            )
        begin = self.taken
        self.taken += count
        if len(shape) > 1:
            self.matrices.append((begin, self.taken, of))
        return self.values[begin : self.taken].reshape(shape)

    def finish(self) -> None:
        """Refuse weights that are left over."""
        if self.taken != len(self.values):
            refuse(
                self.place,
                f"the file holds {len(self.values)} weights, the layers of its config take {self.taken}; the config is "
                "of another network: export it again",
            )

    def round(self) -> None:
        """Round the matrices to what float16 holds, in place: arrays that were taken change with it."""
        for own in self.inner:
            own.round()
        for begin, end, of in self.matrices:
            self.values[begin:end] = rounded(self.values[begin:end], of)

    def count(self) -> int:
        """Return how many numbers the matrices hold."""
        return sum(end - begin for begin, end, _ in self.matrices) + sum(own.count() for own in self.inner)
