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

    apply.by_element = True  # type: ignore[attr-defined]
    return apply


def xlogy(x: Array, y: Array) -> Array:
    """x log(y), 0 where x is 0 and y is a number."""
    return np.where((x == 0) & ~np.isnan(y), np.zeros((), np.result_type(x, y)), x * np.log(y))


def xlog1py(x: Array, y: Array) -> Array:
    """x log1p(y), 0 where x is 0 and y is a number."""
    return np.where((x == 0) & ~np.isnan(y), np.zeros((), np.result_type(x, y)), x * np.log1p(y))


erf = by_element(math.erf)
erfc = by_element(math.erfc)


def _lgamma(x: float) -> float:
    if math.isinf(x) or (x <= 0 and x == math.floor(x)):
        return math.inf
    return math.lgamma(x)


lgamma = by_element(_lgamma)


def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x)) without overflow: exp is only taken of what is not positive."""
    if np.iscomplexobj(x):
        return 1 / (1 + np.exp(-x))
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


def trigamma(x: Any) -> Any:
    """The derivative of digamma: zeta(2, x), with the reflection for x < 1/2.

    Source: Abramowitz and Stegun 6.4.7.
    """
    x = np.asarray(x)
    y = x.astype(np.float64)
    reflected = y < 0.5
    z = zeta(2.0, np.where(reflected, 1 - y, y))
    sine = np.sin(np.pi * (y - np.round(y)))
    return np.where(reflected, np.pi**2 / (sine * sine) - z, z).astype(x.dtype)


#: (2k)! / B_2k for the terms of the Euler-Maclaurin series.
_ZETA_TERMS = (
    12.0, -720.0, 30240.0, -1209600.0, 47900160.0, -1.8924375803183791606e9, 7.47242496e10,
    -2.950130727918164224e12, 1.1646782814350067249e14, -4.5979787224074726105e15,
    1.8152105401943546773e17, -7.1661652561756670113e18,
)  # fmt: skip


def zeta(x: Any, q: Any) -> Any:
    """Hurwitz's zeta function: nine terms of the sum, the rest by Euler and Maclaurin.

    Source: S. L. Moshier, Cephes, zeta.c; PyTorch's does the same.
    """
    result = np.result_type(*[v.dtype for v in (x, q) if isinstance(v, np.ndarray | np.generic)])
    s, a = np.broadcast_arrays(np.asarray(x, np.float64), np.asarray(q, np.float64))
    total = np.zeros(s.shape)
    count = 0
    # At least nine terms, and until the argument passes 9.
    while count < 9 or (count < 10_000 and np.any(a <= 9)):
        total = total + np.where((a <= 9) | (count < 9), a**-s, 0)
        a = np.where((a <= 9) | (count < 9), a + 1, a)
        count += 1
    term = a**-s
    total = total + term * a / (s - 1) + term / 2
    factor = np.ones(s.shape)
    for k, divisor in enumerate(_ZETA_TERMS):
        factor = factor * (s if k == 0 else (s + 2 * k - 1) * (s + 2 * k))
        term = term / a if k == 0 else term / (a * a)
        total = total + factor * term / divisor
    q = np.asarray(q, np.float64)
    pole = (q <= 0) & (q == np.floor(q))
    total = np.where(pole, np.inf, np.where((q <= 0) & (s != np.floor(s)), np.nan, total))
    return np.where(s == 1, np.inf, np.where(s < 1, np.nan, total)).astype(result)


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
        residual = np.where(upper, np.sign(t) * ((1 - np.abs(t)) - erfc(np.abs(z))), erf(z) - t)
        step = residual / (2 / np.sqrt(np.pi) * np.exp(-z * z))
        z = z - step / (1 + z * step)
    edge = np.where(np.abs(y) == 1, np.copysign(np.inf, y), np.nan)
    return (
        np.where(t == 0, y, z).astype(x.dtype)
        if inside.all()
        else np.where(inside, np.where(t == 0, y, z), edge).astype(x.dtype)
    )


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
