"""Error bounds, special values and vectorisation of the vecmath functions.

Bounds and domains come from ``vecmath.REGISTRY``; the oracle is mpmath.
"""

from __future__ import annotations

import ctypes
import functools
import itertools
import math
import re
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest
from mpmath import mp, mpf
from numba import carray, cfunc, types
from numba.extending import intrinsic

from numbagrad.kernels import vecmath
from numbagrad.kernels.vecmath import REGISTRY

DTYPES = {"f32": np.float32, "f64": np.float64}
CASES = [pytest.param(n, s, id=f"{n}_{s}") for n in REGISTRY for s in DTYPES]
POINTERS = types.CPointer(types.int64)


@intrinsic
def pointer(typingctx: Any, address: Any) -> Any:
    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], context.get_value_type(types.voidptr))

    return types.voidptr(types.int64), generate


def make_unary(function: Any, dtype: Any) -> Callable[..., None]:
    size = np.dtype(dtype).itemsize

    def kernel(table, lo, hi):
        n = hi - lo
        t = carray(table, 3)
        a = carray(pointer(t[0] + lo * size), (n,), dtype)
        out = carray(pointer(t[2] + lo * size), (n,), dtype)
        for i in range(n):
            out[i] = function(a[i])

    return kernel


def make_binary(function: Any, dtype: Any) -> Callable[..., None]:
    size = np.dtype(dtype).itemsize

    def kernel(table, lo, hi):
        n = hi - lo
        t = carray(table, 3)
        a = carray(pointer(t[0] + lo * size), (n,), dtype)
        b = carray(pointer(t[1] + lo * size), (n,), dtype)
        out = carray(pointer(t[2] + lo * size), (n,), dtype)
        for i in range(n):
            out[i] = function(a[i], b[i])

    return kernel


@functools.cache
def compiled(name: str, suffix: str, fastmath: frozenset[str] = frozenset()) -> Any:
    function = getattr(vecmath, f"{name}_{suffix}")
    make = make_unary if REGISTRY[name].arity == 1 else make_binary
    signature = types.void(POINTERS, types.int64, types.int64)
    return cfunc(signature, fastmath=set(fastmath))(make(function, DTYPES[suffix]))


def evaluate(kernel: Any, *args: np.ndarray) -> np.ndarray:
    x = args[0]
    out = np.empty_like(x)
    table = np.array([x.ctypes.data, args[-1].ctypes.data, out.ctypes.data], dtype=np.int64)
    call = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)(kernel.address)
    call(table.ctypes.data, 0, x.size)
    return out


def apply(name: str, suffix: str, *args: Any) -> np.ndarray:
    columns = np.broadcast_arrays(*[np.asarray(a, dtype=DTYPES[suffix]) for a in args])
    kernel = compiled(name, suffix)
    return evaluate(kernel, *[np.ascontiguousarray(c).ravel() for c in columns])


# --- the oracle ---------------------------------------------------------------------------------


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + mp.exp(-x))


def _log1p_exp(x: Any) -> Any:
    return mp.log1p(mp.exp(x)) if x < 100 else x + mp.exp(-x)


def _tanh(x: Any) -> Any:
    t = mp.expm1(-2 * abs(x))
    return -mp.sign(x) * t / (t + 2)


def _remainder(x: Any, y: Any) -> Any:
    return x - y * mp.floor(x / y)


def _fmod(x: Any, y: Any) -> Any:
    rest = abs(x) - abs(y) * mp.floor(abs(x) / abs(y))
    return rest if x > 0 else -rest


def _round(x: Any) -> Any:
    return mpf(round(float(x)))


ORACLE: dict[str, Callable[..., Any]] = {
    "exp2": lambda x: mpf(2) ** x,
    "log2": lambda x: mp.log(x) / mp.log(2),
    "rsqrt": lambda x: 1 / mp.sqrt(x),
    "sigmoid": _sigmoid,
    "log_sigmoid": lambda x: -_log1p_exp(-x),
    "softplus": _log1p_exp,
    "pow": lambda x, y: mp.exp(y * mp.log(x)),
    "tanh": _tanh,
    "trunc": lambda x: mp.floor(x) if x > 0 else mp.ceil(x),
    "round": _round,
    "lgamma": lambda x: mp.log(abs(mp.gamma(x))) if x < 1e15 else mp.loggamma(x),
    "digamma": mp.digamma,
    "maximum": max,
    "minimum": min,
    "copysign": lambda x, y: abs(x) if y > 0 else -abs(x),
    "fmod": _fmod,
    "remainder": _remainder,
}


def oracle(name: str) -> Callable[..., Any]:
    return ORACLE.get(name) or getattr(mp, name)


def precision(name: str) -> int:
    """Bits that survive the oracle's own cancellation."""
    wide = {"sin", "cos", "tan", "pow", "fmod", "remainder", "floor", "ceil", "trunc"}
    return 2300 if name in wide - {"pow"} else 220


def exact_values(name: str, *args: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The true values as an unevaluated sum of two doubles."""
    function = oracle(name)
    high, low = np.empty(args[0].size), np.empty(args[0].size)
    with mp.workprec(precision(name)):
        for i, point in enumerate(zip(*[a.tolist() for a in args], strict=True)):
            try:
                value = function(*[mpf(p) for p in point])
            except (ZeroDivisionError, ValueError):
                value = mp.nan
            if isinstance(value, mpmath.mpc):
                value = mp.nan
            high[i] = float(value)
            low[i] = float(value - mpf(high[i])) if math.isfinite(high[i]) else 0.0
    return high, low


def ulp_errors(got: np.ndarray, high: np.ndarray, low: np.ndarray) -> np.ndarray:
    """Distance from the true value in units of the last place of its binade."""
    dtype = got.dtype.type
    info = np.finfo(dtype)
    long = np.longdouble
    with np.errstate(all="ignore"):
        magnitude = np.abs(high.astype(long) + low.astype(long))
        exponent = np.floor(np.log2(np.maximum(magnitude, long(info.tiny))))
        unit = np.ldexp(long(1), exponent.astype(int) - info.nmant)
        # Overflow: infinity stands for the first number beyond the largest.
        edge = long(2.0) ** info.maxexp
        value = np.clip(got.astype(long), -edge, edge)
        low = np.where(np.abs(high) < edge, low, 0)
        target = np.clip(high.astype(long), -edge, edge)
        error = np.abs((value - target) - low.astype(long)) / np.minimum(
            unit, long(2.0) ** (info.maxexp - 1 - info.nmant)
        )
    error = np.where(np.isnan(high) & np.isnan(got), 0, error)
    return np.where(np.isnan(error), np.inf, error).astype(float)


# --- points -------------------------------------------------------------------------------------


def sample(name: str, dtype: Any, count: int) -> np.ndarray:
    """Random over exponents and uniform over the domain, plus its edges and other hard places."""
    info = np.finfo(dtype)
    rng = np.random.default_rng(sum(map(ord, name)))
    low, high = REGISTRY[name].domain
    scale = 1.0 if dtype is np.float32 else 8.2  # domains are given for float32's exponents
    if math.isfinite(low) and abs(low) > 30:
        low *= scale
    if math.isfinite(high) and high > 30:
        high *= scale
    smallest = math.log2(float(info.smallest_subnormal))
    logs = 2.0 ** rng.uniform(smallest, info.maxexp, count)
    near_one = 2.0 ** rng.uniform(-12, 7, count)
    finite_low, finite_high = max(low, -40.0), min(high, 40.0)
    if math.isfinite(low):
        finite_low = low
    if math.isfinite(high):
        finite_high = high
    uniform = rng.uniform(finite_low, finite_high, 2 * count)
    edges = [0.5, 1.0, 2.0, 3.0, 4.0, 8.0, math.e, math.pi / 4, math.pi / 2, math.pi, 10.0, 100.0]
    edges += [float(info.tiny), float(info.smallest_subnormal), float(info.max), finite_low]
    edges += [finite_high, math.log(2) / 2, math.sqrt(0.5), math.sqrt(2), 1000.0, 2.0**30]
    edges += (1.0 - 2.0 ** -rng.uniform(1, info.nmant + 1, 50)).tolist()
    edges += (1.0 + 2.0 ** -rng.uniform(1, info.nmant + 1, 50)).tolist()
    with np.errstate(over="ignore"):
        points = np.concatenate([logs, -logs, near_one, -near_one, uniform, edges])
        points = np.concatenate([points, np.negative(edges)]).astype(dtype)
        points = np.concatenate([points, np.nextafter(points[-200:], dtype(np.inf))])
        points = np.concatenate([points, np.nextafter(points[-400:], dtype(-np.inf))])
    return points[np.isfinite(points) & (points >= low) & (points <= high) & (points != 0)]


def sample_pairs(name: str, dtype: Any, count: int) -> tuple[np.ndarray, np.ndarray]:
    x, y = sample(name, dtype, count), sample(name, dtype, count)
    rng = np.random.default_rng(1)
    rng.shuffle(y)
    if name == "pow":
        x = np.abs(x)
        # Exponents that bring the result into range, up to its ends.
        with np.errstate(all="ignore"):
            top = np.finfo(dtype).maxexp * rng.uniform(-1.2, 1.1, x.size) * math.log(2)
            y = np.where(rng.random(x.size) < 0.9, top / np.log(x.astype(float)), y)
            y = np.clip(np.nan_to_num(y), -1e30, 1e30).astype(dtype)
    else:
        with np.errstate(over="ignore"):
            close = x * rng.uniform(-2, 2, x.size)
            y = np.where(rng.random(y.size) < 0.5, close, y).astype(dtype)
    keep = np.isfinite(y) & (y != 0)
    return x[keep], y[keep]


def points_for(name: str, dtype: Any) -> tuple[np.ndarray, ...]:
    if REGISTRY[name].arity == 1:
        return (sample(name, dtype, 300),)
    return sample_pairs(name, dtype, 300)


@pytest.mark.parametrize(("name", "suffix"), CASES)
def test_error_bound(name: str, suffix: str) -> None:
    dtype = DTYPES[suffix]
    args = points_for(name, dtype)
    got = apply(name, suffix, *args)
    errors = ulp_errors(got, *exact_values(name, *args))
    worst = int(np.argmax(errors))
    bound = getattr(REGISTRY[name].ulp, suffix)
    where = [repr(a[worst]) for a in args]
    assert errors[worst] <= bound, f"{errors[worst]:.3f} ULP at {where}: got {got[worst]!r}"
