"""Fits the polynomials of math-inl.h and prints them with their errors, in exact and in simulated float32 arithmetic.

Iteratively reweighted least squares (Lawson) towards the minimax solution, in float64 on Chebyshev points; rational
fits are linearised and divided by the previous denominator. Needs numpy, scipy.
"""

import numpy as np
from scipy.special import erf


def cheb(lo: float, hi: float, n: int) -> np.ndarray:
    """Points of an interval, denser at its ends."""
    return (lo + hi) / 2 - (hi - lo) / 2 * np.cos(np.pi * (np.arange(n) + 0.5) / n)


def lawson(columns: np.ndarray, target: np.ndarray, scale: np.ndarray, rounds: int = 400) -> np.ndarray:
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


def rational(x: np.ndarray, y: np.ndarray, num: int, den: int, scale: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fit y ~ x P(x^2)/Q(x^2) with Q(0) = 1; P has num + 1 coefficients, Q has den + 1."""
    t = x * x
    q = np.ones_like(x)
    best, best_error = None, np.inf
    for _ in range(60):
        columns = np.stack([x * t**i for i in range(num + 1)] + [-y * t**i for i in range(1, den + 1)], axis=1)
        c = lawson(columns, y, scale / q, rounds=60)
        p_c, q_c = c[: num + 1], np.concatenate([[1.0], c[num + 1 :]])
        q = np.polyval(q_c[::-1], t)
        error = np.abs(scale * (x * np.polyval(p_c[::-1], t) / q - y)).max()
        if error < best_error:
            best, best_error = (p_c, q_c), error
    assert best is not None
    return best


def fma(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """float32 fused multiply-add (double rounding aside)."""
    return (a.astype(np.float64) * b.astype(np.float64) + c.astype(np.float64)).astype(np.float32)


def horner(coefficients: np.ndarray, t: np.ndarray) -> np.ndarray:
    c = coefficients.astype(np.float32)
    y = np.full_like(t, c[-1])
    for k in c[-2::-1]:
        y = fma(y, t, np.full_like(t, k))
    return y


def show(name: str, c: np.ndarray) -> None:
    print(f"{name}: " + ", ".join(f"{float(np.float32(v)):.9e}f" for v in c))


def report_rational(name: str, f, hi: float, num: int, den: int) -> None:
    x = cheb(1e-6, hi, 4000)
    y = f(x)
    p, q = rational(x, y, num, den, 1 / y)
    show(f"{name} P", p)
    show(f"{name} Q", q)
    exact = np.abs(x * np.polyval(p[::-1], x * x) / np.polyval(q[::-1], x * x) - y).max()
    xs = np.linspace(0, hi, 2_000_001).astype(np.float32)
    t = xs * xs
    ys = (xs * horner(p, t) / horner(q, t)).astype(np.float64)
    true = f(xs.astype(np.float64))
    e = np.abs(ys - true)
    print(f"  [0, {hi}] exact {exact:.2e}, float32 abs {e.max():.2e} at {xs[e.argmax()]:.3f}, rel {np.max(e[1:] / true[1:]):.2e}")


def report_polynomial(name: str, g, lo: float, hi: float, degree: int, scale) -> None:
    """Fit g(t) by a polynomial in t, error weighted by scale(t)."""
    t = cheb(lo, hi, 4000)
    c = lawson(np.stack([t**i for i in range(degree + 1)], axis=1), g(t), scale(t))
    show(name, c)
    print(f"  [{lo:.4f}, {hi:.4f}] weighted error {np.abs(scale(t) * (np.polyval(c[::-1], t) - g(t))).max():.2e}")


def split(name: str, value: float, bits: int, parts: int) -> None:
    """Cody-Waite: pieces of a few bits each, so that an integer of 24 - bits bits times a piece is exact."""
    import mpmath

    mpmath.mp.prec = 200
    v = {"pi": mpmath.pi, "ln2": mpmath.log(2)}[name]
    out = []
    for _ in range(parts - 1):
        e = int(mpmath.floor(mpmath.log(abs(v), 2)))
        piece = mpmath.floor(v * mpmath.mpf(2) ** (bits - 1 - e)) / mpmath.mpf(2) ** (bits - 1 - e)
        out.append(float(piece))
        v -= piece
    out.append(float(v))
    print(f"{name}: " + ", ".join(f"{float(np.float32(o)):.9e}f" for o in out))


if __name__ == "__main__":
    import sys
    for num, den in ((6, 3), (5, 3), (4, 4), (5, 4)):
        print(num, den)
        report_rational("tanh", np.tanh, 9.02, num, den)
    for num, den in ((6, 3), (4, 4), (5, 4), (5,5)):
        print(num, den)
        report_rational("erf", erf, 3.92, num, den)
    h = np.log(2) / 2 * 1.0001
    # exp(r) = 1 + r + r^2 g(r)
    for d in (3, 4):
        report_polynomial("exp", lambda t: np.where(np.abs(t) < 1e-3, 0.5 + t / 6 + t * t / 24+t**3/120, (np.expm1(t) - t) / np.where(t == 0, 1, t * t)), -h, h, d, lambda t: t * t)
    # sin(r) = r + r^3 g(r^2)
    b = np.pi / 2 * 1.0005
    for d in (3, 4):
        report_polynomial("sin", lambda t: np.where(t < 1e-2, -1 / 6 + t / 120 - t * t / 5040, (np.sin(np.sqrt(t)) / np.sqrt(t) - 1) / t), 1e-9, b * b, d, lambda t: t)
    # log(1 + f) = f - f^2/2 + f^3 g(f)
    for d in (5, 6, 7):
        report_polynomial("log", lambda f: np.where(np.abs(f) < 2e-2, sum((-1) ** k * f**k / (k + 3) for k in range(9)), (np.log1p(f) - f + f * f / 2) / np.where(f == 0, 1, f**3)), np.sqrt(0.5) - 1, np.sqrt(2.0) - 1, d, lambda f: np.abs(f**2))
    split("pi", np.pi, 11, 4)
    split("ln2", np.log(2), 12, 2)
