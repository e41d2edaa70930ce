"""Error bounds, special values and vectorisation of the vecmath functions.

Bounds and domains come from ``vecmath.REGISTRY``; the oracle is mpmath.
"""

from __future__ import annotations

import ctypes
import functools
import math
import re
from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
import mpmath
import numpy as np
import pytest
from llvmlite import ir
from mpmath import mpf

from numbagrad.kernels import vecmath, vecmath_avx512
from numbagrad.kernels.names import VECMATH
from numbagrad.kernels.vecmath import REGISTRY
from numbagrad.kernels.vecmath_lane import Lane
from numbagrad.runtime import arithmetic, compiler, loader, lower, translate, vectorize

mp: Any = mpmath.mp
DTYPES = {"f32": np.float32, "f64": np.float64}
CASES = [pytest.param(n, s, id=f"{n}_{s}") for n in REGISTRY for s in DTYPES]
KERNEL = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)


def source_of(name: str, suffix: str) -> str:
    """A kernel that applies one function to each element."""
    dtype = np.dtype(DTYPES[suffix])
    operands = ["a", "b"][: REGISTRY[name].arity]
    pointers = [
        f"    {p} = at_{dtype}(table[{k}] + lo * {dtype.itemsize})"
        for k, p in zip((0, 1, 2), (*operands, "out") if len(operands) == 2 else ("a", "a", "out"))
    ]
    arguments = ", ".join(f"{p}[i]" for p in operands)
    return "\n".join([
        f"from numbagrad.kernels.memory import at_{dtype}",
        f"from numbagrad.kernels.vecmath import {name}_{suffix}",
        "def kernel(table, lo, hi):",
        *pointers,
        "    for i in range(hi - lo):",
        f"        out[i] = {name}_{suffix}({arguments})",
    ])  # fmt: skip


@functools.cache
def compiled(name: str, suffix: str, portable: bool) -> Callable[..., None]:
    source = source_of(name, suffix)
    if not portable:
        return KERNEL(compiler.compile_source(source))
    symbol = f"portable_{name}_{suffix}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vecmath_avx512, "available", lambda: False)
        data = lower.compile_object(source, "kernel", "kernel", symbol, "-", vectorize.DEFAULT)
    return KERNEL(loader.load_object(symbol, data))


def evaluate(kernel: Callable[..., None], *args: np.ndarray) -> np.ndarray:
    x = args[0]
    out = np.empty_like(x)
    table = np.array([x.ctypes.data, args[-1].ctypes.data, out.ctypes.data], dtype=np.int64)
    kernel(table.ctypes.data, 0, x.size)
    return out


def apply(name: str, suffix: str, *args: Any, portable: bool = False) -> np.ndarray:
    columns = np.broadcast_arrays(*[np.asarray(a, dtype=DTYPES[suffix]) for a in args])
    kernel = compiled(name, suffix, portable)
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


# Where the oracle's own intermediate results need more bits than the default.
PRECISE = ("sin", "cos", "tan", "fmod", "remainder", "floor", "ceil", "trunc")


def exact_values(name: str, *args: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The true values as an unevaluated sum of a double and a small rest."""
    function = oracle(name)
    high, low = np.empty(args[0].size), np.zeros(args[0].size, np.longdouble)
    with mp.workprec(2300 if name in PRECISE else 220):
        for i, point in enumerate(zip(*[a.tolist() for a in args], strict=True)):
            try:
                value = function(*[mpf(p) for p in point])
            except (ZeroDivisionError, ValueError):
                value = mp.nan
            if isinstance(value, mpmath.mpc):
                value = mp.nan
            high[i] = float(value)
            if math.isfinite(high[i]):
                # Scaled, because half a unit of a subnormal is no double.
                scale = 200 if abs(high[i]) < 1 else 0
                rest = float((value - mpf(high[i])) * mpf(2) ** scale)
                low[i] = np.ldexp(np.longdouble(rest), -scale)
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
    low, high = getattr(REGISTRY[name].domain, "f32" if dtype is np.float32 else "f64")
    smallest = math.log2(float(info.smallest_subnormal))
    logs = 2.0 ** rng.uniform(smallest, info.maxexp, count)
    near_one = 2.0 ** rng.uniform(-12, 7, count)
    finite_low = low if math.isfinite(low) else -40.0
    finite_high = high if math.isfinite(high) else 40.0
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


def hard_points(dtype: Any) -> np.ndarray:
    """Where sine or cosine nearly vanish, small and large, and the largest numbers."""
    near = (np.arange(1, 60) * (np.pi / 2)).astype(dtype)
    if dtype is np.float32:
        large = [16367173 * 2.0**72, 2.0**50, 2.0**76, 2.0**102, 2.0**127]
    else:
        large = [6381956970095103 * 2.0**797, 5261692873635770 * 2.0**499, 1e22, 2.0**25, 2.0**1023]
    out = np.concatenate([near, np.array(large, dtype)])
    return np.concatenate([out, np.nextafter(out, dtype(0)), -out])


def points_for(name: str, dtype: Any) -> tuple[np.ndarray, ...]:
    if REGISTRY[name].arity == 2:
        return sample_pairs(name, dtype, 300)
    points = sample(name, dtype, 300)
    if name in ("sin", "cos", "tan"):
        points = np.concatenate([points, hard_points(dtype)])
    return (points,)


@pytest.mark.parametrize(("name", "suffix"), CASES)
def test_error_bound(name: str, suffix: str) -> None:
    check_bound(name, suffix, *points_for(name, DTYPES[suffix]))


def check_bound(name: str, suffix: str, *args: np.ndarray, portable: bool = False) -> None:
    got = apply(name, suffix, *args, portable=portable)
    errors = ulp_errors(got, *exact_values(name, *args))
    worst = int(np.argmax(errors))
    bound = getattr(REGISTRY[name].ulp, suffix)
    where = [repr(a[worst]) for a in args]
    assert errors[worst] <= bound, f"{errors[worst]:.3f} ULP at {where}: got {got[worst]!r}"


# --- exact values -------------------------------------------------------------------------------

INF, NAN = math.inf, math.nan
# (argument, result) that must hold to the bit; "odd" ones keep the sign of zero and of infinity.
SPECIAL: dict[str, list[tuple[float, float]]] = {
    "exp": [(0.0, 1.0), (-0.0, 1.0), (INF, INF), (-INF, 0.0), (1e4, INF), (-1e4, 0.0)],
    "exp2": [(0.0, 1.0), (INF, INF), (-INF, 0.0), (10.0, 1024.0), (-3.0, 0.125), (2e3, INF)],
    "expm1": [(INF, INF), (-INF, -1.0), (1e4, INF), (-1e4, -1.0)],
    "log": [(1.0, 0.0), (0.0, -INF), (-0.0, -INF), (-1.0, NAN), (INF, INF), (-INF, NAN)],
    "log2": [(1.0, 0.0), (8.0, 3.0), (2.0**-126, -126.0), (0.0, -INF), (INF, INF), (-1.0, NAN)],
    "log10": [(1.0, 0.0), (1000.0, 3.0), (0.0, -INF), (-0.0, -INF), (INF, INF), (-1.0, NAN)],
    "log1p": [(-1.0, -INF), (INF, INF), (-2.0, NAN), (-INF, NAN)],
    "sqrt": [(-0.0, -0.0), (4.0, 2.0), (INF, INF), (-1.0, NAN)],
    "rsqrt": [(4.0, 0.5), (0.0, INF), (-0.0, -INF), (INF, 0.0), (-1.0, NAN)],
    "sin": [(INF, NAN), (-INF, NAN)],
    "cos": [(0.0, 1.0), (-0.0, 1.0), (INF, NAN), (-INF, NAN)],
    "tan": [(INF, NAN), (-INF, NAN)],
    "asin": [(1.5, NAN), (-1.5, NAN), (INF, NAN)],
    "acos": [(1.0, 0.0), (1.5, NAN), (-INF, NAN)],
    "atanh": [(1.0, INF), (-1.0, -INF), (2.0, NAN), (-INF, NAN)],
    "acosh": [(1.0, 0.0), (INF, INF), (0.5, NAN), (-INF, NAN)],
    "asinh": [(INF, INF), (-INF, -INF)],
    "sinh": [(INF, INF), (-INF, -INF), (1e3, INF), (-1e3, -INF)],
    "cosh": [(0.0, 1.0), (INF, INF), (-INF, INF), (1e3, INF)],
    "tanh": [(INF, 1.0), (-INF, -1.0), (50.0, 1.0), (-50.0, -1.0)],
    "sigmoid": [(0.0, 0.5), (INF, 1.0), (-INF, 0.0), (1e3, 1.0), (-1e3, 0.0)],
    "log_sigmoid": [(INF, 0.0), (-INF, -INF), (-1e3, -1e3)],
    "softplus": [(INF, INF), (-INF, 0.0), (1e3, 1e3), (-1e3, 0.0)],
    "erf": [(INF, 1.0), (-INF, -1.0), (7.0, 1.0), (-7.0, -1.0)],
    "erfc": [(0.0, 1.0), (-0.0, 1.0), (INF, 0.0), (-INF, 2.0), (30.0, 0.0), (-7.0, 2.0)],
    "erfinv": [(1.0, INF), (-1.0, -INF), (1.5, NAN), (-INF, NAN)],
    "lgamma": [(1.0, 0.0), (2.0, 0.0), (0.0, INF), (-0.0, INF), (-3.0, INF), (INF, INF),
               (-INF, INF)],
    "digamma": [(0.0, -INF), (-0.0, INF), (-1.0, NAN), (INF, INF), (-INF, NAN)],
    "sign": [(2.0, 1.0), (-2.0, -1.0), (0.0, 0.0), (INF, 1.0), (-INF, -1.0)],
    "floor": [(1.5, 1.0), (-1.5, -2.0), (INF, INF)],
    "ceil": [(1.5, 2.0), (-0.5, -0.0), (-INF, -INF)],
    "trunc": [(1.7, 1.0), (-1.7, -1.0), (-0.5, -0.0), (INF, INF)],
    "round": [(0.5, 0.0), (1.5, 2.0), (2.5, 2.0), (-0.5, -0.0), (-INF, -INF)],
}  # fmt: skip
SLOPE_ONE = ("expm1", "log1p", "sin", "tan", "asin", "atan", "asinh", "atanh", "sinh", "tanh")
KEEP_SIGN_OF_ZERO = (*SLOPE_ONE, "sqrt", "erf", "erfinv", "floor", "ceil", "trunc", "round")


def same(got: np.ndarray, expected: Any) -> np.ndarray:
    """Equal, with the sign of zero; any NaN equals any other."""
    expected = np.asarray(expected, dtype=got.dtype)
    equal = (got == expected) & (np.signbit(got) == np.signbit(expected))
    return equal | (np.isnan(got) & np.isnan(expected))


@pytest.mark.parametrize(("name", "suffix"), CASES)
def test_special_values(name: str, suffix: str) -> None:
    if REGISTRY[name].arity == 2:
        return
    cases = list(SPECIAL.get(name, []))
    if name in KEEP_SIGN_OF_ZERO:
        cases += [(0.0, 0.0), (-0.0, -0.0)]
    cases.append((NAN, 0.0 if name == "sign" else NAN))
    arguments, expected = zip(*cases)
    got = apply(name, suffix, arguments)
    assert same(got, expected).all(), list(zip(arguments, got, expected))
    payload = 0x7FC12345 if suffix == "f32" else 0x7FF8123456789ABC
    odd_nan = np.array([payload], "i4" if suffix == "f32" else "i8").view(DTYPES[suffix])
    assert np.isnan(apply(name, suffix, odd_nan))[0] or name == "sign"


@pytest.mark.skipif(not vecmath_avx512.available(), reason="there is no other form here")
@pytest.mark.parametrize("suffix", DTYPES)
@pytest.mark.parametrize(
    "name", ["exp", "exp2", "sigmoid", "log", "log2", "log10", "softplus", "erfc", "erfinv", "pow"]
)
def test_without_avx512(name: str, suffix: str) -> None:
    """What these functions are made of on machines that lack its instructions."""
    check_bound(name, suffix, *points_for(name, DTYPES[suffix]), portable=True)
    if name in SPECIAL:
        arguments, expected = zip(*SPECIAL[name], (NAN, NAN))
        got = apply(name, suffix, arguments, portable=True)
        assert same(got, expected).all(), list(zip(arguments, got, expected))


@pytest.mark.parametrize("suffix", DTYPES)
@pytest.mark.parametrize("name", ["sin", "cos", "tanh", "erf"])
def test_stays_within_one(name: str, suffix: str) -> None:
    """Rounding does not go where asin, atanh and sqrt(1 - y*y) are not defined."""
    rng = np.random.default_rng(0)
    extrema = np.pi / 2 * rng.integers(0, 2000, 20_000)
    x = np.concatenate([extrema + rng.normal(0, 1e-3, extrema.size), rng.normal(0, 8, 20_000)])
    assert np.abs(apply(name, suffix, x)).max() <= 1.0


@pytest.mark.parametrize("suffix", DTYPES)
@pytest.mark.parametrize("name", ["sin", "cos", "tan"])
@pytest.mark.parametrize("size", [1, 7, 64, 200])
def test_far_arguments_anywhere(name: str, suffix: str, size: int) -> None:
    """The branch that some lanes need leaves the others as they are: vectors, rests, and one."""
    x = np.linspace(-3.0, 3.0, size)
    usual = apply(name, suffix, x)
    far = np.array(1e30, DTYPES[suffix])
    alone = apply(name, suffix, far)
    for place in range(0, size, 5):
        mixed = x.copy()
        mixed[place] = far
        expected = usual.copy()
        expected[place] = alone[0]
        assert same(apply(name, suffix, mixed), expected).all()


@pytest.mark.parametrize("suffix", DTYPES)
def test_subnormals_pass_through(suffix: str) -> None:
    """Odd functions with slope 1 return a subnormal unchanged, and round nothing."""
    info = np.finfo(DTYPES[suffix])
    x = np.array([1, 2, 3, 12345, 2**22 - 1]) * float(info.smallest_subnormal)
    x = np.concatenate([x, -x]).astype(info.dtype)
    for name in SLOPE_ONE:
        assert same(apply(name, suffix, x), x).all(), name


GRID = [0.0, 1.0, 2.0, 3.0, 0.5, 1.5, 5.0, 1e-30, 1e30, 2.0**24 - 1, 2.0**24, INF]
GRID += [-v for v in GRID] + [NAN]


@pytest.mark.parametrize("suffix", DTYPES)
@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("pow", np.power),
        ("atan2", np.arctan2),
        ("fmod", np.fmod),
        ("maximum", np.maximum),
        ("minimum", np.minimum),
        ("copysign", np.copysign),
    ],
)
def test_special_pairs(name: str, reference: Callable[..., Any], suffix: str) -> None:
    dtype = DTYPES[suffix]
    x, y = (g.ravel() for g in np.meshgrid(np.array(GRID, dtype), np.array(GRID, dtype)))
    with np.errstate(all="ignore"):
        expected = reference(x.astype(np.float64), y.astype(np.float64)).astype(dtype)
    got = apply(name, suffix, x, y)
    close = (np.signbit(got) == np.signbit(expected)) & np.isfinite(expected)
    with np.errstate(all="ignore"):
        close &= np.abs(got - expected) <= 2 * np.spacing(np.abs(expected))
    tied = (x == 0) & (y == 0) & np.isin(name, ["maximum", "minimum"])  # either zero is right
    wrong = ~(same(got, expected) | close | tied)
    assert not wrong.any(), list(zip(x[wrong], y[wrong], got[wrong], expected[wrong]))


@pytest.mark.parametrize("suffix", DTYPES)
def test_remainder_signs(suffix: str) -> None:
    """The sign of the divisor, unless the remainder is zero: as in PyTorch."""
    x = [5.0, -5.0, 5.0, -5.0, -6.0, 6.0, -1.0, 1.0, INF, 1.0]
    y = [3.0, 3.0, -3.0, -3.0, 3.0, -3.0, INF, -INF, 2.0, 0.0]
    expected = [2.0, 1.0, -1.0, -2.0, -0.0, 0.0, INF, -INF, NAN, NAN]
    assert same(apply("remainder", suffix, x, y), expected).all()


@pytest.mark.parametrize("suffix", DTYPES)
def test_powers_of_two_are_exact(suffix: str) -> None:
    info = np.finfo(DTYPES[suffix])
    k = np.arange(info.minexp - info.nmant, info.maxexp).astype(float)
    power = np.ldexp(1.0, k.astype(int)).astype(info.dtype)
    assert same(apply("exp2", suffix, k), power).all()
    assert same(apply("log2", suffix, power), k).all()


@pytest.mark.parametrize("suffix", DTYPES)
@pytest.mark.parametrize("name", ["lgamma", "digamma"])
def test_gamma_of_negative_numbers(name: str, suffix: str) -> None:
    rng = np.random.default_rng(3)
    x = np.concatenate([-rng.uniform(0, 12, 300), -(2.0 ** rng.uniform(-60, 0, 50))])
    x = x.astype(DTYPES[suffix])
    high, _ = exact_values(name, x)
    got = apply(name, suffix, x).astype(float)
    # Close to a pole digamma amplifies the rounding of pi * x.
    scale = np.maximum(np.abs(high), 4.0) * 8
    assert (np.abs(got - high) <= scale * float(np.finfo(DTYPES[suffix]).eps)).all()


# --- code ---------------------------------------------------------------------------------------


def optimised(name: str, suffix: str) -> str:
    """The kernel's text behind LLVM's passes."""
    hint = vectorize.DEFAULT
    text = translate.translate(source_of(name, suffix), "kernel", "kernel", "ng", hint.bits)
    module = lower._optimise(llvm.parse_assembly(text), loader.target_machine(), hint)
    return str(module)


@pytest.mark.parametrize(("name", "suffix"), CASES)
def test_loop_vectorises_without_calls(name: str, suffix: str) -> None:
    text = optimised(name, suffix)
    functions = re.findall(r"^define .*?^}", text, re.MULTILINE | re.DOTALL)
    (body,) = [f for f in functions if "@ng(" in f.split("{")[0]]
    lanes = re.findall(rf"<(\d+) x {'float' if suffix == 'f32' else 'double'}>", body)
    if getattr(REGISTRY[name].vectorizes, suffix):
        # 128 bits at least: the machine may have no more.
        assert max(map(int, lanes), default=0) * np.dtype(DTYPES[suffix]).itemsize >= 16
    declared = re.findall(r"^declare .*?@([\w.]+)\(", text, re.MULTILINE)
    assert [d for d in declared if not d.startswith("llvm.")] == []


@pytest.mark.parametrize("suffix", DTYPES)
def test_explicit_vectors(suffix: str) -> None:
    """The lane code also serves LLVM vectors, for hand-written tiles."""
    element = ir.FloatType() if suffix == "f32" else ir.DoubleType()
    kind = ir.VectorType(element, 8)
    module = ir.Module()
    for name, entry in REGISTRY.items():
        if not getattr(entry.vectorizes, suffix):
            continue
        function = ir.Function(module, ir.FunctionType(kind, [kind] * entry.arity), name)
        builder = ir.IRBuilder(function.append_basic_block())
        builder.ret(entry.emit(*[Lane(builder, a) for a in function.args]).value)
    llvm.parse_assembly(str(module)).verify()


def test_no_silent_cast() -> None:
    source = source_of("exp", "f32").replace("exp_f32(a[i])", "exp_f32(np.float64(a[i]))")
    with pytest.raises(arithmetic.Unsupported, match="exp_f32 takes"):
        translate.translate(f"import numpy as np\n{source}", "kernel", "kernel", "ng", 0)


def test_lookup() -> None:
    assert vecmath.lookup("tanh", np.dtype(np.float64)) == "tanh_f64"
    with pytest.raises(KeyError, match="no vecmath function"):
        vecmath.lookup("tang", np.dtype(np.float32))
    with pytest.raises(KeyError, match="int32"):
        vecmath.lookup("tanh", np.dtype(np.int32))
    with pytest.raises(AttributeError):
        vecmath.tanh_f16  # noqa: B018


def test_code_generation_knows_all_functions():
    assert set(REGISTRY) == VECMATH
