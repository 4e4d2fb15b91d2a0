"""Which steps are sampled, so that the monitor's share of the time stays below a budget."""

from __future__ import annotations

import math
from collections import deque
from statistics import fmean, median

#: Samples of a run of known length whatever they cost: under ten seconds a budget of 0.6 % pays for fewer.
LEAST = 8


class Schedule:
    """Measures what sampling costs and what a step takes, and spaces the samples accordingly.

    Parameters
    ----------
    budget : float
        Share of the training time that the monitor may take, 0 to 1.
    total : int or None
        Planned steps: no more than 200 samples are taken of them. Without it, samples lie at least 2 % of the steps
        so far apart.
    every : int or None
        Sample every so many steps instead, whatever it costs.
    """

    def __init__(self, budget: float, total: int | None = None, every: int | None = None) -> None:
        if not 0 < budget <= 1:
            raise ValueError(f"an overhead of {budget:g} is not a share between 0 and 1")
        if every is not None and every < 1:
            raise ValueError(f"sampling every {every} steps is not possible; give 1 or more")
        self.budget, self.total, self.every = budget, total, every
        self.next = 1
        self.spent = 0.0
        self._once = 0.0
        self._probe_spent = 0.0
        self._durations: deque[float] = deque(maxlen=33)
        self._steps = 0
        self._samples = 0
        self._first = 0.0
        self._sample_cost = self._probe_cost = 0.0

    def note_step(self, seconds: float) -> None:
        """Take in the time of a step that was not sampled."""
        self._durations.append(seconds)

    def note_sample(self, seconds: float, probe_seconds: float) -> None:
        """Take in what a sample cost: all of it, and the probe's part."""
        self.spent += seconds
        cost = seconds - probe_seconds
        self._samples += 1
        if self._samples == 1:
            self._first = seconds
        # What the first sample took more than the second was set up once: a cost of the run, not of its steps.
        if self._samples == 2:
            self._once = max(0.0, self._first - seconds)
        # The first sample pays for what is set up once and is forgotten; later costs are smoothed.
        self._sample_cost = cost if self._samples <= 2 else 0.5 * (self._sample_cost + cost)
        if probe_seconds:
            self._probe_spent += probe_seconds
            self._probe_cost = probe_seconds if not self._probe_cost else 0.5 * (self._probe_cost + probe_seconds)

    def share(self, steps: int) -> float:
        """Return the monitor's share of the time of `steps` steps, by the mean of the latest steps, set-up left out.

        NaN before the second sample, which tells what was set up once.
        """
        if self._samples < 2 or not self._durations or not steps:
            return math.nan
        return (self.spent - self._once) / self._elapsed(steps)

    def wait(self, step: int) -> int:
        """Return after how many steps the next sample should come."""
        if self.every is not None:
            return self.every
        if not self._durations:
            return 4
        duration = max(self._duration(), 1e-7)
        if not self.total or step >= self.total:
            owed = self.spent + self._sample_cost + self._probe_cost - self.budget * self._elapsed(step)
            return max(1, step // 50, math.ceil(min(owed / (self.budget * duration), 1e9)))
        # What the budget of the whole run still pays for is spread over what is left, denser while it is early: most
        # is decided then. What is taken early is saved later, as this is worked out anew each time.
        whole = self.budget * duration * self.total
        left = whole - self.spent
        for_probe = max(0.0, min(0.5 * whole - self._probe_spent, 0.5 * left))
        paid = (left - for_probe) / max(self._sample_cost, 1e-9)
        spacing = (self.total - step) / paid if paid >= 1 else math.inf
        early = min(1.0, 0.3 + 2.0 * step / self.total)
        return max(1, self.total // 200, min(math.ceil(min(spacing * early, 1e9)), self.total // LEAST))

    def probe_due(self, step: int) -> bool:
        """Tell whether the next sample can afford the probe set: it may take half of the budget."""
        if self.every is not None:
            return True
        whole = self.budget * self._elapsed(self.total if self.total else step)
        left = 1.0 if not self.total else min(1.0, 0.2 + step / self.total)
        affordable = self.spent + self._sample_cost + self._probe_cost <= whole
        return affordable and self._probe_spent + self._probe_cost <= 0.5 * whole * left

    def _elapsed(self, steps: int) -> float:
        """Return the time of training without what compiling or the first batch took."""
        return self._duration() * steps if self._durations else 0.0

    def _duration(self) -> float:
        """Return the mean of the latest steps' times; a single stall counts no more than four steps do."""
        most = 4 * median(self._durations)
        return fmean(min(seconds, most) for seconds in self._durations)
