"""NumPy forms of the functions that NumPy itself does not have.

They serve small arrays and as reference for the compiled forms in `vecmath`; each takes and
returns arrays of one floating dtype.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def by_element(fn: Callable[[float], float]) -> Callable[[Any], Any]:
    """A function of arrays from a function of Python floats, evaluated in double precision."""
    ufunc = np.frompyfunc(fn, 1, 1)

    def apply(x: Any) -> Any:
        x = np.asarray(x)
        return np.asarray(ufunc(x.astype(np.float64)), np.float64).astype(x.dtype)

    return apply


erf = by_element(math.erf)
erfc = by_element(math.erfc)


def _lgamma(x: float) -> float:
    if math.isinf(x) or (x <= 0 and x == math.floor(x)):
        return math.inf
    return math.lgamma(x)


lgamma = by_element(_lgamma)


def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x)) without overflow: exp is only taken of what is not positive."""
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + e), e / (1 + e)).astype(np.asarray(x).dtype, copy=False)


def rsqrt(x: Any) -> Any:
    return 1 / np.sqrt(x)


def digamma(x: Any) -> Any:
    """The logarithmic derivative of gamma: recurrence up to 10, then the asymptotic series.

    Source: Abramowitz and Stegun 6.3.5, 6.3.7 (reflection) and 6.3.18 (series).
    """
    x = np.asarray(x)
    y = x.astype(np.float64)
    reflected = y < 0
    pole = (y == np.floor(y)) & (y <= 0)
    z = np.where(reflected, 1 - y, y)
    shift = np.zeros_like(z)
    for _ in range(10):
        small = z < 10
        shift = shift - np.where(small, 1 / np.where(small, z, 1), 0)
        z = np.where(small, z + 1, z)
    w = 1 / (z * z)
    series = w * (1 / 12 - w * (1 / 120 - w * (1 / 252 - w * (1 / 240 - w * (1 / 132)))))
    r = np.log(z) - 0.5 / z - series + shift
    fraction = y - np.floor(y)  # of the period of the tangent, so that it keeps its digits
    r = np.where(reflected, r - np.pi / np.tan(np.pi * fraction), r)
    r = np.where(pole, np.where(y == 0, -np.copysign(np.inf, y), np.nan), r)
    return r.astype(x.dtype)


def erfinv(x: Any) -> Any:
    """Inverse of erf: a rough start, then Halley steps on erf in double precision.

    Start: S. Winitzki, A handy approximation for the error function and its inverse (2008).
    """
    x = np.asarray(x)
    y = x.astype(np.float64)
    inside = np.abs(y) < 1
    t = np.where(inside, y, 0.0)
    ln = np.log1p(-t * t)
    a = 0.147
    b = 2 / (np.pi * a) + ln / 2
    z = np.copysign(np.sqrt(np.sqrt(b * b - ln / a) - b), t)
    for _ in range(4):
        # Near 1 erf is flat: the complement keeps the digits.
        upper = np.abs(t) > 0.5
        residual = np.where(
            upper, np.copysign((1 - np.abs(t)) - erfc(np.abs(z)), t), erf(z) - t
        )
        step = residual / (2 / np.sqrt(np.pi) * np.exp(-z * z))
        z = z - step / (1 + z * step)
    edge = np.where(np.abs(y) == 1, np.copysign(np.inf, y), np.nan)
    return np.where(t == 0, y, z).astype(x.dtype) if inside.all() else np.where(
        inside, np.where(t == 0, y, z), edge
    ).astype(x.dtype)


def sign(x: Any) -> Any:
    """-1, 0 or 1; 0 for NaN as in PyTorch."""
    return (x > 0).astype(x.dtype) - (x < 0).astype(x.dtype) if x.dtype != bool else x


def sgn(x: Any) -> Any:
    """x / |x|, 0 at 0: `sign` for complex numbers."""
    if x.dtype.kind != "c":
        return sign(x)
    r = np.abs(x)
    return np.where(r == 0, 0, x / np.where(r == 0, 1, r)).astype(x.dtype)


def floor_divide(x: Any, y: Any) -> Any:
    """Division rounded towards minus infinity, through the exact remainder for floats."""
    if np.result_type(x, y).kind == "f":
        return np.floor_divide(x, y)
    if np.any(np.asarray(y) == 0):
        raise RuntimeError("ZeroDivisionError: integer floor division by zero")
    return np.floor_divide(x, y)


def remainder(x: Any, y: Any) -> Any:
    """The remainder with the sign of the divisor."""
    d = np.result_type(x, y)
    if d.kind != "f" and np.any(np.asarray(y) == 0):
        raise RuntimeError("ZeroDivisionError: integer remainder by zero")
    return np.remainder(x, y)


def fmod(x: Any, y: Any) -> Any:
    """The remainder with the sign of the dividend."""
    d = np.result_type(x, y)
    if d.kind != "f" and np.any(np.asarray(y) == 0):
        raise RuntimeError("ZeroDivisionError: integer fmod by zero")
    return np.fmod(x, y)


def power(x: Any, y: Any) -> Any:
    """x to the y; integers with negative integer exponents as PyTorch: 1, -1 or 0."""
    if np.result_type(x, y).kind in "iu" and np.any(np.asarray(y) < 0):
        x, y = np.asarray(x), np.asarray(y)
        odd = np.where(y % 2 == 0, 1, x)
        unit = np.where(np.abs(x) == 1, odd, 0)
        return np.where(y < 0, unit, np.power(x, np.maximum(y, 0))).astype(x.dtype)
    return np.power(x, y)
