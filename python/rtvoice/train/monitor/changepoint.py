"""Where a curve changes: the adversary that catches on, the content loss that flattens."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Change:
    """A change of one curve.

    Attributes
    ----------
    at : float
        Time of the change, in the unit of the times given.
    evidence : float
        Difference of the Bayesian information criterion between one line and two that meet: 10 is very strong (Kass
        and Raftery, 1995).
    before, after : float
        Slopes.
    fall : float
        How much lower the curve lies at the end than the first line led on would, in residual standard deviations.
    """

    at: float
    evidence: float
    before: float
    after: float
    fall: float


def find_change(times: npt.ArrayLike, values: npt.ArrayLike) -> Change | None:
    """Fit two lines that meet, and return where; `None` for fewer than 8 finite points or a constant.

    Parameters
    ----------
    times, values : array_like
        `(points,)`; times rise.
    """
    t, y = np.asarray(times, np.float64), np.asarray(values, np.float64)
    fine = np.isfinite(t) & np.isfinite(y)
    t, y = t[fine], y[fine]
    if t.size < 8 or not np.ptp(t) > 0 or not np.ptp(y) > 0:
        return None
    base = np.stack([np.ones_like(t), t], 1)
    one = _residual(base, y)[0]
    best: tuple[float, float, Floats] | None = None
    for knot in t[2:-2]:
        rest, weights = _residual(np.column_stack([base, np.maximum(t - knot, 0.0)]), y)
        if best is None or rest < best[0]:
            best = (rest, float(knot), weights)
    assert best is not None
    rest, knot, weights = best
    tiny = 1e-12 * float(np.sum((y - y.mean()) ** 2))
    n = t.size
    evidence = n * np.log((one + tiny) / (rest + tiny)) - 2 * np.log(n)  # the knot and its slope are 2 parameters
    noise = np.sqrt((rest + tiny) / n)
    fall = -weights[2] * (t[-1] - knot) / noise
    return Change(knot, float(evidence), float(weights[1]), float(weights[1] + weights[2]), float(fall))


def _residual(columns: Floats, y: Floats) -> tuple[float, Floats]:
    weights, *_ = np.linalg.lstsq(columns, y, rcond=None)
    return float(np.sum((y - columns @ weights) ** 2)), np.asarray(weights)


def adversary_catching(times: npt.ArrayLike, discriminator: npt.ArrayLike, content: npt.ArrayLike) -> dict[str, float]:
    """Tell whether the adversary has caught on: its loss breaks downwards while the content loss flattens.

    Parameters
    ----------
    times, discriminator, content : array_like
        Times, the discriminator's loss and the content loss, `(points,)`.

    Returns
    -------
    dict
        `adversary_caught` 1 or 0; `adversary_evidence`: BIC difference of the discriminator's break, negative where it
        breaks upwards; `adversary_lag`: its time less the time at which the content loss flattens (where both are).
    """
    caught = find_change(times, discriminator)
    if caught is None:
        return {}
    downwards = caught.after < caught.before
    found = {
        "adversary_caught": float(downwards and caught.evidence > 10 and caught.fall > 2),
        "adversary_evidence": caught.evidence if downwards else -caught.evidence,
    }
    flat = find_change(times, content)
    if flat is not None and flat.evidence > 10 and abs(flat.after) < abs(flat.before) and found["adversary_caught"]:
        found["adversary_lag"] = caught.at - flat.at
    return found
