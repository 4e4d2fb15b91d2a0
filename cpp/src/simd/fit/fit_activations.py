"""Fits the polynomials of math-inl.h and prints them with the largest error of the exact fit.

Iteratively reweighted least squares (Lawson) towards the minimax solution, in float64 on Chebyshev points. Needs
numpy, scipy and mpmath.
"""

import mpmath
import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr

Array = NDArray[np.float64]


def chebyshev_points(low: float, high: float, count: int = 3000) -> Array:
    """Points of an interval, denser at its ends."""
    return (low + high) / 2 - (high - low) / 2 * np.cos(np.pi * (np.arange(count) + 0.5) / count)


def lawson(columns: Array, target: Array, scale: Array, rounds: int = 300) -> Array:
    """Coefficients c minimising max |scale * (columns @ c - target)|."""
    weight = np.ones(len(target))
    best, best_error = np.zeros(columns.shape[1]), np.inf
    norm = np.abs(columns).max(axis=0)
    for _ in range(rounds):
        s = np.sqrt(weight) * scale
        c = np.linalg.lstsq(columns / norm * s[:, None], target * s, rcond=None)[0] / norm
        error = np.abs(scale * (columns @ c - target))
        if error.max() < best_error:
            best, best_error = c, error.max()
        weight *= error / error.max() + 1e-6
        weight /= weight.sum()
    return best


def report(name: str, t: Array, g: Array, scale: Array, degree: int) -> None:
    """Fit g(t) by a polynomial of the given degree, its error multiplied by scale(t)."""
    columns = np.stack([t**i for i in range(degree + 1)], axis=1)
    c = lawson(columns, g, scale)
    print(f"{name}: " + ", ".join(f"{float(np.float32(v)):.9e}f" for v in c))
    print(f"  [{t[0]:.4f}, {t[-1]:.4f}] largest error {np.abs(scale * (columns @ c - g)).max():.2e}")


def exact(f: object, points: Array) -> Array:
    """Evaluate with 40 digits, where float64 would cancel."""
    with mpmath.workdps(40):
        return np.array([float(f(mpmath.mpf(p))) for p in points])  # type: ignore[operator]


def cody_waite(name: str, value: mpmath.mpf, bits: int, parts: int) -> None:
    """Split a constant into pieces of few bits: an integer of 24 - bits bits times a piece is exact."""
    pieces = []
    for _ in range(parts - 1):
        e = int(mpmath.floor(mpmath.log(abs(value), 2)))
        piece = mpmath.floor(value * mpmath.mpf(2) ** (bits - 1 - e)) / mpmath.mpf(2) ** (bits - 1 - e)
        pieces.append(float(piece))
        value -= piece
    pieces.append(float(value))
    print(f"{name}: " + ", ".join(f"{float(np.float32(p)):.9e}f" for p in pieces))


def main() -> None:
    """Print the coefficients."""
    mpmath.mp.prec = 200
    # e^r = 1 + r + r^2 g(r)
    r = chebyshev_points(-0.34661, 0.34661)
    for degree in (3, 4):
        report("exp", r, exact(lambda x: (mpmath.expm1(x) - x) / x**2, r), r**2, degree)
    # sin r = r + r^3 g(r^2); a little beyond pi/2, since the quotient x/pi is rounded
    r = chebyshev_points(1e-3, 1.5735)
    report("sin", r**2, exact(lambda x: (mpmath.sin(x) - x) / x**3, r), r**2, 3)
    # log(1 + f) = f - f^2/2 + f^3 g(f)
    f = chebyshev_points(np.sqrt(0.5) - 1, np.sqrt(2.0) - 1)
    report("log", f, exact(lambda x: (mpmath.log1p(x) - x + x**2 / 2) / x**3, f), f**2, 7)
    # Phi(x) = 1 / (1 + e^(x g(x^2))): the error of x Phi(x) is x Phi (1 - Phi) times that of the exponent
    x = chebyshev_points(1e-3, 5.6)
    up, down = log_ndtr(x), log_ndtr(-x)
    report("gelu", x**2, (down - up) / x, x**2 * np.exp(up + down) + 1e-7 * x, 6)
    cody_waite("pi", mpmath.pi, 11, 4)
    cody_waite("ln2", mpmath.log(2), 12, 2)


if __name__ == "__main__":
    main()
