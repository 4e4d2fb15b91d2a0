"""Means of losses, which wait on their device until they are wanted."""

from __future__ import annotations

import math

from torch import Tensor

Number = float | Tensor


class Mean:
    """The mean of what was added since it was last taken; tensors stay on their device until then."""

    def __init__(self) -> None:
        self.count = 0
        self._sum: Number = 0.0

    def add(self, value: Number) -> None:
        """Take in a value."""
        if isinstance(value, Tensor):
            value = value.detach().float()
            if value.device.type == "cpu":
                value = float(value)
        self._sum = self._sum + value
        self.count += 1

    def take(self) -> float:
        """Return the mean, and begin anew."""
        mean = float(self._sum) / max(self.count, 1)
        self.count, self._sum = 0, 0.0
        return mean


def finite(value: Number) -> bool:
    """Tell whether a loss is finite, without waiting for another device: there only the mean is looked at."""
    if isinstance(value, Tensor):
        if value.device.type != "cpu":
            return True
        value = float(value.detach())
    return math.isfinite(value)
