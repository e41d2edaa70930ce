"""Prints every polynomial of ``numbagrad.kernels.vecmath_*`` (a few minutes; ``-k NAME`` for one).

Names are those of the constants in the code.  Each fit minimises the error that the whole formula
makes, relative to its result: that is the weight.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from typing import Any

import mpmath
import numpy as np
from minimax import Fit, Function, show
from mpmath import mpf

mp: Any = mpmath.mp
F32, F64 = np.float32, np.float64
LN2_HALF = mp.log(2) / 2 * mpf("1.001")
SQRT2 = mp.sqrt(2)
LOG_Z = ((SQRT2 - 1) / (SQRT2 + 1)) ** 2 * mpf("1.0002")
SIN_Z = (mp.pi / 4 * mpf("1.0002")) ** 2
ATAN_Z = mp.tan(mp.pi / 8) ** 2 * mpf("1.0002")
DIGAMMA_ROOT = mp.findroot(mp.digamma, 1.46)


def relative(f: Function) -> Function:
    return lambda x: 1 / f(x)


def over_root(f: Function) -> Function:
    """f(s)/s as a function of z = s**2."""
    return lambda z: f(mp.sqrt(z)) / mp.sqrt(z)


def after_one(f: Function) -> Function:
    """(f(s)/s - 1)/z, for an odd function of slope 1."""
    return lambda z: (over_root(f)(z) - 1) / z


def weight_after_one(f: Function) -> Function:
    return lambda z: z / over_root(f)(z)


def erfc_scaled(t: Any) -> Any:
    """exp(a**2) * erfc(a) * (1 + 2a) at t = (a - 3)/(a + 3)."""
    a = 3 * (1 + t) / (1 - t)
    return mp.exp(a * a) * mp.erfc(a) * (1 + 2 * a)


@cache
def erfinv_factor(w: Any) -> Any:
    """erfinv(x)/x at 1 - x**2 = exp(-w), by Halley's method on erfc."""
    if w == 0:
        return mp.sqrt(mp.pi) / 2
    x = mp.sqrt(-mp.expm1(-w))
    complement = mp.exp(-w) / (1 + x)
    y = mp.sqrt(w) * mpf("0.9") if w > 1 else x * mpf("0.886")
    for _ in range(60):
        step = (mp.erfc(y) - complement) / (-2 / mp.sqrt(mp.pi) * mp.exp(-y * y))
        y, before = y - step / (1 + y * step), y
        if abs(y - before) < mpf(10) ** -36 * y:
            break
    return y / x


def erfinv_near(high: Any) -> Fit:
    def f(t: Any) -> Any:
        return erfinv_factor(t + mpf(high) / 2)

    return Fit(f, relative(f), -mpf(high) / 2, mpf(high) / 2, 10 if high == 5 else 25)


def erfinv_tail(low: Any, high: Any, centre: Any, terms: int) -> Fit:
    def f(t: Any) -> Any:
        return erfinv_factor((t + mpf(centre)) ** 2)

    return Fit(f, relative(f), mpf(low) - mpf(centre), mpf(high) - mpf(centre), terms)


def erfc_fit(high: str, terms: int) -> Fit:
    top = (mpf(high) - 3) / (mpf(high) + 3)
    return Fit(lambda t: erfc_scaled(t) - 1, relative(erfc_scaled), -1, top, terms)


def erf_fit() -> Fit:
    """-log(erfc(a))/a - 1, where -expm1 of minus that times a makes erf of it."""
    return Fit(
        lambda a: -mp.log(mp.erfc(a)) / a - 1,
        lambda a: a * mp.erfc(a) / mp.erf(a),
        mpf("1e-9"),
        mpf("3.95"),
        9,
    )


def log_erfc_fit(high: str, terms: int) -> Fit:
    return Fit(lambda t: -mp.log(mp.erfc(t + 1)), lambda t: mp.erfc(t + 1), 0, mpf(high) - 1, terms)


def stirling(u: Any) -> Any:
    if u < mpf(10) ** -6:
        return mpf(1) / 12 - u / 360 + u**2 / 1260 - u**3 / 1680
    x = 1 / mp.sqrt(u)
    return (mp.loggamma(x) - (x - mpf(1) / 2) * mp.log(x) + x - mp.log(2 * mp.pi) / 2) * x


def digamma_factor(t: Any) -> Any:
    x = t + mpf(3) / 2
    return mp.digamma(x) / (x - DIGAMMA_ROOT)


def digamma_tail(u: Any) -> Any:
    if u < mpf(10) ** -7:
        return mpf(1) / 12 - u / 120 + u**2 / 252 - u**3 / 240
    x = 1 / mp.sqrt(u)
    return (mp.log(x) - 1 / (2 * x) - mp.digamma(x)) / u


def exp_q(r: Any) -> Any:
    return (mp.expm1(r) - r) / r**2


def exp2_q(r: Any) -> Any:
    return mp.expm1(r * mp.log(2)) / r


def atanh_ratio(z: Any) -> Any:
    return over_root(mp.atanh)(z)


def sin_pi(s: Any) -> Any:
    return mp.sin(mp.pi * s) / mp.pi


def fits() -> dict[str, tuple[type[np.floating], Callable[[], Fit]]]:
    """Name of the constant -> dtype and fit, made on demand."""
    out: dict[str, tuple[type[np.floating], Callable[[], Fit]]] = {}

    def add(name: str, dtype: type[np.floating], *args: Any) -> None:
        out[f"{name} {dtype.__name__}"] = (dtype, lambda: Fit(*args))

    half = mpf("0.5005")
    for dtype, exp_n, expm1_n, exp2_n in ((F32, 5, 6, 6), (F64, 10, 11, 11)):
        add("_EXP", dtype, exp_q, lambda r: r**2 / mp.exp(r), -LN2_HALF, LN2_HALF, exp_n)
        add("_EXPM1", dtype, exp_q, lambda r: r**2 / mp.expm1(r), -LN2_HALF, LN2_HALF, expm1_n)
        add("_EXP2", dtype, exp2_q, lambda r: r / 2**r, -half, half, exp2_n)
    low, high = (mp.sqrt(mpf(1) / 2) - 1) * mpf("1.0001"), (SQRT2 - 1) * mpf("1.0001")
    add("_LOG_F32", F32, lambda f: (mp.log1p(f) - f) / f**2, lambda f: f**2 / mp.log1p(f),
        low, high, 9)  # fmt: skip
    add("_LOG_F64", F64, lambda z: 2 * (atanh_ratio(z) - 1) / z, lambda z: z / atanh_ratio(z),
        0, LOG_Z, 7)  # fmt: skip
    add("_SIN_HALF_TURN", F32, after_one(mp.sin), weight_after_one(mp.sin),
        0, (mp.pi / 2 * mpf("1.001")) ** 2, 4)  # fmt: skip
    for dtype, sin_n, asin_n, atan_n in ((F32, 3, 5, 5), (F64, 6, 12, 11)):
        add("_SIN", dtype, after_one(mp.sin), weight_after_one(mp.sin), 0, SIN_Z, sin_n)
        add("_COS", dtype, lambda z: (mp.cos(mp.sqrt(z)) - 1 + z / 2) / z**2,
            lambda z: z**2 / mp.cos(mp.sqrt(z)), 0, SIN_Z, sin_n)  # fmt: skip
        quarter = mpf("0.2501")
        add("_ASIN", dtype, after_one(mp.asin), weight_after_one(mp.asin), 0, quarter, asin_n)
        add("_ATAN", dtype, after_one(mp.atan), weight_after_one(mp.atan), 0, ATAN_Z, atan_n)
    out["_ERF_F32 float32"] = (F32, erf_fit)
    add("_ERF_SMALL_F64", F64, lambda z: over_root(mp.erf)(z) - 1, relative(over_root(mp.erf)),
        0, 1, 12)  # fmt: skip
    out["_ERF_LARGE_F64 float64"] = (F64, lambda: log_erfc_fit("5.95", 18))
    out["_ERFC float32"] = (F32, lambda: erfc_fit("10.1", 11))
    out["_ERFC float64"] = (F64, lambda: erfc_fit("27.3", 24))
    out["_ERFINV float32"] = (F32, lambda: erfinv_near(5))
    out["_ERFINV float64"] = (F64, lambda: erfinv_near(6))
    out["_ERFINV_TAIL float32"] = (F32, lambda: erfinv_tail(mp.sqrt(5), "4.1", 3, 10))
    out["_ERFINV_TAIL float64"] = (F64, lambda: erfinv_tail(mp.sqrt(6), 4, "3.25", 20))
    out["_ERFINV_FAR_TAIL float64"] = (F64, lambda: erfinv_tail(4, "6.1", 5, 18))
    add("_LOG2_SHORT", F64, lambda z: 2 * atanh_ratio(z) / mp.log(2), relative(atanh_ratio),
        0, LOG_Z, 6)  # fmt: skip
    add("_EXP2_SHORT", F64, lambda r: mpf(2) ** r, lambda r: mpf(2) ** -r, -half, half, 7)
    add("_LOG_LONG", F64, lambda z: (atanh_ratio(z) - 1 - z / 3) / z**2,
        lambda z: z**2 / atanh_ratio(z), 0, LOG_Z, 8)  # fmt: skip
    add("_LGAMMA", F64, lambda r: mp.loggamma(2 + r) / r, lambda r: r / mp.loggamma(2 + r),
        -mpf(1) / 2, mpf(1) / 2, 19)  # fmt: skip
    add("_STIRLING", F64, stirling, lambda u: mpf(1) / 100, 0, 1 / mpf("8.5") ** 2, 7)
    add("_SIN_PI", F64, over_root(sin_pi), relative(over_root(sin_pi)), 0, mpf(1) / 4, 9)
    add("_DIGAMMA", F64, digamma_factor, relative(digamma_factor), -mpf(1) / 2, mpf(1) / 2, 25)
    add("_DIGAMMA_TAIL", F64, digamma_tail, lambda u: u, 0, mpf(1) / 81, 8)
    return out


if __name__ == "__main__":
    wanted = sys.argv[2] if sys.argv[1:2] == ["-k"] else ""
    for label, (precision, make) in fits().items():
        if wanted in label:
            show(label.split()[0], precision, make())
