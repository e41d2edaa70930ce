"""The regularised incomplete gamma functions in NumPy, with their derivatives in both arguments.

A power series left of the bend at x = a + 1, a continued fraction right of it (NIST Digital Library
of Mathematical Functions, 8.7.1 and 8.9.2), and for large a near the bend the uniform expansion
(8.12; N. M. Temme, 1979). The derivative in a goes through the same steps.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from numbagrad.kernels.reference import digamma, erfc, lgamma

Array = np.ndarray[Any, Any]

_UNIFORM, _BEND = 1e5, 0.1  # from which a on, and how near, the uniform expansion is used
_STEPS = 20_000  # more than the others need below: some nine times the root of a
_ACCURACY = 2.0**-54
#: Coefficients of the uniform expansion in powers of eta, of the orders 1 and 1 / a.
_C0 = (-1 / 3, 1 / 12, -2 / 135, 1 / 864, 1 / 2835, -139 / 777600, 1 / 25515)
_C1 = (-1 / 540, -1 / 288, 1 / 378, -77 / 77760, 1 / 4860)


def _log_density(a: Array, x: Array) -> Array:
    """log(x**a exp(-x) / gamma(a + 1)), without cancellation for large a."""
    large = a > 20
    b = np.where(large, a, 20.0)
    mu = np.where(large, (x - b) / b, 0.0)
    r = mu / (2 + mu)
    close = abs(mu) < 0.3
    s = np.where(close, r * r, 0.0)
    tail = sum(s**k / (2 * k + 3) for k in range(14))
    # log1p(mu) - mu, from the series of the inverse hyperbolic tangent near 0.
    bend = np.where(close, 2 * r**3 * tail - mu * r, np.log1p(mu) - mu)
    w = 1 / (b * b)
    stirling = (1 / 12 - w * (1 / 360 - w * (1 / 1260 - w * (1 / 1680 - w / 1188)))) / b
    direct = a * np.log(x) - x - lgamma(a + 1)
    return np.where(large, b * bend - np.log(2 * np.pi * b) / 2 - stirling, direct)


def _series(a: Array, x: Array) -> tuple[Array, Array]:
    """P and its derivative in a, by the sum of x**k / ((a + 1) ... (a + k))."""
    term, slope = np.ones_like(a), np.zeros_like(a)
    total, total_slope = term.copy(), slope.copy()
    for k in range(1, _STEPS):
        ratio = x / (a + k)
        slope = slope * ratio - term * ratio / (a + k)
        term = term * ratio
        total += term
        total_slope += slope
        if np.all(term <= total * _ACCURACY) and np.all(abs(slope) <= total * _ACCURACY):
            break
    density = np.exp(_log_density(a, x))
    p = density * total
    return p, p * (np.log(x) - digamma(a + 1)) + density * total_slope


def _fraction(a: Array, x: Array) -> tuple[Array, Array]:
    """1 - P and its derivative in a, by Lentz's evaluation of the continued fraction."""
    b, slope_b = x + 1 - a, -1.0
    c, slope_c = np.full_like(a, 1e150), np.zeros_like(a)
    d = 1 / b
    slope_d = -d * d * slope_b
    h, slope_h = d, slope_d
    for i in range(1, _STEPS):
        n, slope_n = -i * (i - a), float(i)
        b = b + 2
        d, slope_d = n * d + b, slope_n * d + n * slope_d + slope_b
        c, slope_c = b + n / c, slope_b + slope_n / c - n * slope_c / (c * c)
        d = 1 / d
        slope_d = -d * d * slope_d
        factor, slope_factor = c * d, slope_c * d + c * slope_d
        slope_h = slope_h * factor + h * slope_factor
        h = h * factor
        # For whole a the fraction is finite, but its derivative is not.
        if np.all(np.maximum(abs(factor - 1), abs(slope_factor)) <= 8 * _ACCURACY):
            break
    density = np.exp(_log_density(a, x)) * a  # x**a exp(-x) / gamma(a)
    q = density * h
    return q, q * (np.log(x) - digamma(a)) + density * slope_h


def _uniform(a: Array, x: Array) -> tuple[Array, Array]:
    """P and its derivative in a near the bend, for large a."""
    mu = (x - a) / a
    eta = np.sign(mu) * np.sqrt(2 * np.maximum(mu - np.log1p(mu), 0))
    eta = np.where(abs(mu) < 1e-4, mu - mu * mu / 3 + 7 * mu**3 / 36, eta)
    first, second = (np.polynomial.polynomial.polyval(eta, c) for c in (_C0, _C1))
    rest = first + second / a
    rest_slope = np.polynomial.polynomial.polyval(eta, [k * c for k, c in enumerate(_C0)][1:])
    # mu / eta is 1 where both are 0.
    ratio = np.where(eta == 0, 1.0, mu / np.where(eta == 0, 1.0, eta))
    normal = np.exp(-a * eta * eta / 2) / np.sqrt(2 * np.pi)
    root = np.sqrt(a)
    p = erfc(-eta * np.sqrt(a / 2)) / 2 - normal / root * rest
    slope = normal * (eta / (2 * root) - ratio / root)
    slope -= normal / root * ((mu - eta * eta / 2 - 0.5 / a) * rest - rest_slope * ratio / a)
    return p, slope


def _evaluate(a: Array, x: Array) -> tuple[Array, Array, Array]:
    """P, 1 - P and the derivative of P in a."""
    a, x = np.broadcast_arrays(a.astype(np.float64), x.astype(np.float64))
    inside = (a > 0) & (x > 0) & np.isfinite(a) & np.isfinite(x)
    uniform = inside & (a > _UNIFORM) & (abs(x - a) < _BEND * a)
    left = inside & ~uniform & (x <= a + 1)
    right = inside & ~uniform & ~left
    p, q, slope = (np.full(a.shape, np.nan) for _ in range(3))
    for where, form in ((uniform, _uniform), (left, _series)):
        if where.any():
            p[where], slope[where] = form(a[where], x[where])
            q[where] = 1 - p[where]
    if right.any():
        q[right], tilt = _fraction(a[right], x[right])
        p[right], slope[right] = 1 - q[right], -tilt
    # Where nothing is left to be computed.
    no_mass = (a > 0) & ((x == 0) | (np.isinf(a) & np.isfinite(x))) & (x >= 0)
    all_mass = (a >= 0) & np.isfinite(a) & ((np.isinf(x) & (x > 0)) | ((a == 0) & (x > 0)))
    for where, value in ((no_mass, 0.0), (all_mass, 1.0)):
        p[where], q[where], slope[where] = value, 1 - value, 0.0
    return p, q, slope


def gammainc(a: Array, x: Array) -> Array:
    """P(a, x), the integral of t**(a - 1) exp(-t) from 0 to x over gamma(a)."""
    return _evaluate(a, x)[0]


def gammaincc(a: Array, x: Array) -> Array:
    """1 - P(a, x)."""
    return _evaluate(a, x)[1]


def gammainc_slope(a: Array, x: Array) -> Array:
    """The derivative of P(a, x) in a."""
    return _evaluate(a, x)[2]
