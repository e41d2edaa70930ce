"""exp and log families, and what is made of them: sigmoid, tanh, the hyperbolic functions.

Polynomials are minimax fits made with ``tools/minimax.py``; arguments are reduced with fma
(Cody and Waite), so that the only error of a reduced argument is its own rounding.
"""

from __future__ import annotations

import math

from numbagrad.kernels import vecmath_avx512 as avx512
from numbagrad.kernels.vecmath_lane import (
    MANTISSA_BITS,
    ONE_BITS,
    SHIFT,
    TINY,
    Constants,
    Lane,
    copysign_of,
    fabs,
    fma,
    polynomial,
    select,
    sqrt_exact,
    vector,
)

LOG2E = Constants(1.4426950408889634, 1.4426950408889634)
LN2_HI = Constants(0.693147182464599609375, 0.6931471805599453)
LN2_LO = Constants(-1.904654299957768e-09, 2.3190468138462996e-17)
# ln(2) in few enough bits for exact multiples, and the rest.
LN2_SHORT = Constants(0.693145751953125, 0.6931471805598903)
LN2_REST = Constants(1.4286068e-06, 5.497923018708371e-14)

# (exp(r) - 1 - r) / r**2 for |r| <= ln(2)/2, relative to exp(r) and to expm1(r).
_EXP = Constants(
    (0.49999994, 0.16666521, 0.041668274, 0.008368686, 0.0013820147),
    (0.5000000000000011, 0.16666666666666452, 0.04166666666652805, 0.008333333333476634,
     0.0013888888943997643, 0.0001984126953584511, 2.4801492796652144e-05, 2.755756546124911e-06,
     2.7630345455871065e-07, 2.500558874698834e-08),
)  # fmt: skip
_EXPM1 = Constants(
    (0.5, 0.16666666, 0.041666493, 0.008333544, 0.001393234, 0.00019763426),
    (0.5, 0.16666666666666677, 0.041666666666666685, 0.00833333333332179, 0.0013888888888893695,
     0.0001984126988537285, 2.480158727901165e-05, 2.755724510447972e-06, 2.755732943069428e-07,
     2.5108709239037823e-08, 2.089397902803939e-09),
)  # fmt: skip
# (2**r - 1) / r for |r| <= 1/2.
_EXP2 = Constants(
    (0.6931472, 0.24022648, 0.055503596, 0.009618502, 0.0013390991, 0.00015328138),
    (0.6931471805599453, 0.2402265069591011, 0.05550410866482179, 0.00961812910760079,
     0.0013333558146530792, 0.00015403530449904012, 1.5252733646855032e-05,
     1.3215438440772403e-06, 1.0178155322770741e-07, 7.073297780049625e-09,
     4.4395101153279055e-10),
)  # fmt: skip
# (log(1 + f) - f) / f**2 for sqrt(1/2) <= 1 + f <= sqrt(2).
_LOG_F32 = (-0.49999988, 0.33333325, -0.2500161, 0.20002006, -0.1660842, 0.14180836, -0.13247928,
            0.12912908, -0.07619362)  # fmt: skip
# (log(1 + f) / s - 2) / s**2 as a polynomial in s**2, with s = f / (2 + f).
_LOG_F64 = (0.6666666666666734, 0.3999999999941686, 0.28571428741964955, 0.2222219861179242,
            0.1818356252036726, 0.1531409236875455, 0.14795570023275906)  # fmt: skip
SQRT_HALF_BITS = Constants(0x3F3504F3, 0x3FE6A09E667F3BCD)

# exp overflows above the first bound, and rounds to zero below the second.
_EXP_MAX = Constants(88.8, 709.8)
_EXP_MIN = Constants(-104.0, -745.2)


def exp_reduce(x: Lane) -> tuple[Lane, Lane]:
    """``x = k*ln(2) + r``: ``k + SHIFT``, whose low bits are those of the integer k, and r."""
    shifted = fma(x, LOG2E, x.const(SHIFT))
    minus_k = -(shifted - SHIFT)
    return shifted, fma(minus_k, LN2_LO, fma(minus_k, LN2_HI, x))


def power_of_two(k: Lane, bias: int = 0) -> Lane:
    """``2.0**(k + bias)`` for a normal result; only the low bits of the integer ``k`` count."""
    shift = k.pick(MANTISSA_BITS)
    return ((k << shift) + (k.pick(ONE_BITS) + (bias << shift))).from_bits()


def scale_in_two_steps(p: Lane, k: Lane) -> Lane:
    """``p * 2**k``, of which only the second step rounds: gradual underflow is right."""
    half = k >> 1
    return p * power_of_two(half) * power_of_two(k - half)


def scale_by_power(p: Lane, shifted: Lane) -> Lane:
    """``p * 2**(shifted - SHIFT)`` with one rounding, also to a subnormal."""
    if avx512.available():
        return avx512.scale(p, shifted - SHIFT)
    return scale_in_two_steps(p, shifted.bits())


def expm1_reduced(r: Lane) -> Lane:
    return fma(r * r, polynomial(r, _EXPM1), r)


def exp_reduced(r: Lane) -> Lane:
    return fma(r * r, polynomial(r, _EXP), r) + 1.0


def exp2_reduced(r: Lane) -> Lane:
    """2**r for |r| <= 1/2."""
    return fma(r, polynomial(r, _EXP2), 1.0)


def at_most(x: Lane, bound: Lane | Constants | float) -> Lane:
    """The smaller of the two; NaN stays."""
    return select(x > bound, bound, x)


def at_least(x: Lane, bound: Lane | Constants | float) -> Lane:
    """The larger of the two; NaN stays."""
    return select(x < bound, bound, x)


@vector(ulp=(1.1, 1.1), domain=Constants((-104.0, 89.0), (-746.0, 710.0)))
def exp(x: Lane) -> Lane:
    """e**x: reduction by multiples of ln(2), minimax polynomial, two-step scaling."""
    k, r = exp_reduce(at_least(at_most(x, _EXP_MAX), _EXP_MIN))
    return scale_by_power(exp_reduced(r), k)


def exp_nonpositive(x: Lane) -> Lane:
    """exp for x <= 0."""
    k, r = exp_reduce(at_least(x, _EXP_MIN))
    return scale_by_power(exp_reduced(r), k)


@vector(ulp=(1.1, 1.1), domain=Constants((-151.0, 128.0), (-1076.0, 1024.0)))
def exp2(x: Lane) -> Lane:
    """2**x: the nearest integer goes to the exponent; exact for integers."""
    bounded = at_least(at_most(x, Constants(129.0, 1025.0)), Constants(-151.0, -1076.0))
    shifted = bounded + SHIFT
    r = bounded - (shifted - SHIFT)
    return scale_by_power(exp2_reduced(r), shifted)


@vector(ulp=(1.6, 1.75), domain=Constants((-20.0, 89.0), (-40.0, 710.0)))
def expm1(x: Lane) -> Lane:
    """e**x - 1 as 2**k * expm1(r) + (2**k - 1), halved inside so that k = 128 is in range."""
    bounded = at_least(at_most(x, _EXP_MAX), Constants(-20.0, -40.0))
    k, r = exp_reduce(bounded)
    half_scale = power_of_two(k.bits(), -1)
    half = fma(half_scale, expm1_reduced(r), half_scale - 0.5)
    # Also keeps the sign of zero, and subnormals that halving would round.
    return select(fabs(x) < Constants(2.0**-25, 2.0**-54), x, half + half)


@vector(ulp=(2.25, 2.35), domain=Constants((-104.0, 20.0), (-746.0, 40.0)))
def sigmoid(x: Lane) -> Lane:
    """1 / (1 + e**-x), for negative x as e**x / (1 + e**x): no overflow, gradual underflow."""
    e = exp_nonpositive(-fabs(x))
    return select(x < 0.0, e, 1.0) / (e + 1.0)


@vector(ulp=(2.5, 2.5), domain=(-20.0, 20.0))
def tanh(x: Lane) -> Lane:
    """t / (t + 2) with t = expm1(2|x|)."""
    a = at_most(fabs(x), Constants(10.0, 20.0))
    k, r = exp_reduce(a + a)
    scale = power_of_two(k.bits())
    t = fma(scale, expm1_reduced(r), scale - 1.0)
    return copysign_of(t / (t + 2.0), x)


def _half_expm1(a: Lane) -> Lane:
    """(e**a - 1) / 2 for a >= 0, finite as long as sinh and cosh are."""
    k, r = exp_reduce(at_most(a, Constants(89.6, 710.6)))
    quarter_scale = power_of_two(k.bits(), -2)
    quarter = fma(quarter_scale, expm1_reduced(r), quarter_scale - 0.25)
    return quarter + quarter


@vector(ulp=(2.5, 2.5), domain=Constants((-90.0, 90.0), (-711.0, 711.0)))
def sinh(x: Lane) -> Lane:
    """t + t/(2t + 1) with t = (e**|x| - 1) / 2, which does not cancel for small x."""
    a = fabs(x)
    t = _half_expm1(a)
    result = t + t / (t + t + 1.0)
    result = select(t > Constants(2.0**30, 2.0**60), t, result)
    return copysign_of(select(a < Constants(2.0**-12, 2.0**-28), a, result), x)


@vector(ulp=(1.5, 1.5), domain=Constants((-90.0, 90.0), (-711.0, 711.0)))
def cosh(x: Lane) -> Lane:
    """e + 1/(4e) with e = e**|x| / 2."""
    k, r = exp_reduce(at_most(fabs(x), Constants(89.6, 710.6)))
    half_exp = power_of_two(k.bits(), -2) * exp_reduced(r) * 2.0
    return half_exp + 0.25 / half_exp


def log_tail(f: Lane) -> Lane:
    """log(1 + f) - f for sqrt(1/2) <= 1 + f <= sqrt(2)."""
    square = f * f
    if not f.is_f64:
        return square * polynomial(f, _LOG_F32)
    s = f / (f + 2.0)
    z = s * s
    half_square = square * 0.5
    return fma(s, fma(z, polynomial(z, _LOG_F64), half_square), -half_square)


def log_split(x: Lane) -> tuple[Lane, Lane]:
    """``x = 2**k * (1 + f)`` with 1 + f in [sqrt(1/2), sqrt(2)), for positive finite x.

    With AVX-512 also for others: k of 0 and infinity is infinite, f of negative x is NaN.
    """
    if avx512.available():
        exponent, mantissa = avx512.exponent(x), avx512.mantissa(x)
        upper = mantissa > math.sqrt(2.0)
        f = select(upper, mantissa * 0.5, mantissa) - 1.0
        return select(upper, exponent + 1.0, exponent), f
    shift = x.pick(MANTISSA_BITS)
    small = x < TINY
    bits = select(small, x * 2.0**shift, x).bits()
    k = (bits - x.pick(SQRT_HALF_BITS)) >> shift
    f = (bits - (k << shift)).from_bits() - 1.0
    return k.small_to_float() - select(small, x.const(float(shift)), 0.0), f


def log_ends(x: Lane, result: Lane) -> Lane:
    """Logarithm of zero, of a negative number, of infinity and of NaN."""
    result = select(x.equals(math.inf), x, result)
    return select(x > 0.0, result, select(x.equals(0.0), x.const(-math.inf), math.nan))


def _log_sum(k: Lane, f: Lane, rest: Lane) -> Lane:
    """k*ln(2) + f + rest, where f and rest are small: the largest term is added last."""
    return fma(k, LN2_SHORT, f + fma(k, LN2_REST, rest))


@vector(ulp=(1.0, 1.0), domain=(0.0, math.inf))
def log(x: Lane) -> Lane:
    """Exponent times ln(2), plus a minimax fit of log(1 + f) (float64: in f/(2 + f))."""
    k, f = log_split(x)
    result = _log_sum(k, f, log_tail(f))
    return result if avx512.available() else log_ends(x, result)


@vector(ulp=(1.1, 1.0), domain=(-1.0, math.inf))
def log1p(x: Lane) -> Lane:
    """Splits 1 + x = 2**k (1 + f) with f = x 2**-k + (2**-k - 1), whose rounding is undone."""
    shift = x.pick(MANTISSA_BITS)
    u = x + 1.0
    k = (u.bits() - x.pick(SQRT_HALF_BITS)) >> shift
    # 2**(2 - k), because 2**-k would be subnormal for the largest x.
    scale = (x.const(4.0).bits() - (k << shift)).from_bits()
    quarter, offset = x * 0.25, fma(scale, 0.25, -1.0)
    f = fma(quarter, scale, offset)
    lost = fma(quarter, scale, offset - f)
    result = log_ends(u, _log_sum(k.small_to_float(), f, log_tail(f) + lost))
    return select(fabs(x) < Constants(2.0**-25, 2.0**-54), x, result)


@vector(ulp=(2.0, 2.0))
def log_sigmoid(x: Lane) -> Lane:
    """min(x, 0) - log1p(e**-|x|)."""
    return at_most(x, 0.0) - log1p(exp_nonpositive(-fabs(x)))


@vector(ulp=(2.0, 2.0))
def softplus(x: Lane) -> Lane:
    """log(1 + e**x) as max(x, 0) + log1p(e**-|x|)."""
    return at_least(x, 0.0) + log1p(exp_nonpositive(-fabs(x)))


def _log_times(x: Lane, hi: Constants, lo: Constants, per_two: Constants, rest: Constants) -> Lane:
    """log(x) / log(base): 1/log(base) = hi + lo, log(2)/log(base) = per_two + rest."""
    k, f = log_split(x)
    fraction = fma(f, hi, fma(log_tail(f), hi, f * lo))
    return log_ends(x, fma(k, per_two, fma(k, rest, fraction)))


@vector(ulp=(1.25, 1.25), domain=(0.0, math.inf))
def log2(x: Lane) -> Lane:
    """As log, times 1/ln(2) in two pieces; exact for powers of two."""
    hi = Constants(1.44269502162933349609375, 1.4426950408889634)
    lo = Constants(1.9259629911266175e-08, 2.0355273740931033e-17)
    return _log_times(x, hi, lo, Constants(1.0, 1.0), Constants(0.0, 0.0))


@vector(ulp=(1.25, 1.25), domain=(0.0, math.inf))
def log10(x: Lane) -> Lane:
    """As log, times 1/ln(10) in two pieces."""
    hi = Constants(0.4342944920063018798828125, 0.4342944819032518)
    lo = Constants(-1.0103050118726031e-08, 1.098319650216765e-17)
    log10_2 = Constants(0.301030009984970092773438, 0.3010299956639812)
    rest = Constants(-1.43209891366506e-08, -2.8037281277851704e-18)
    return _log_times(x, hi, lo, log10_2, rest)


@vector(ulp=(2.0, 2.0))
def asinh(x: Lane) -> Lane:
    """log1p(a + a*a / (1 + sqrt(1 + a*a))) of a = |x|; log(2a) where a*a would overflow."""
    a = fabs(x)
    large = a > Constants(2.0**30, 2.0**60)
    b = select(large, a.const(1.0), a)
    square = b * b
    small_form = b + square / (sqrt_exact(square + 1.0) + 1.0)
    result = log1p(select(large, a, small_form)) + select(large, a.const(LN2_HI), 0.0)
    return copysign_of(result, x)


@vector(ulp=(2.5, 2.5), domain=(1.0, math.inf))
def acosh(x: Lane) -> Lane:
    """log1p(t + sqrt(2t + t*t)) with t = x - 1; log(2x) where t*t would overflow."""
    large = x > Constants(2.0**30, 2.0**60)
    t = select(large, x.const(1.0), x - 1.0)
    small_form = t + sqrt_exact(fma(t, t, t + t))
    result = log1p(select(large, x, small_form)) + select(large, x.const(LN2_HI), 0.0)
    return select(x < 1.0, x.const(math.nan), result)


@vector(ulp=(2.5, 2.5), domain=(-1.0, 1.0))
def atanh(x: Lane) -> Lane:
    """log1p(2a / (1 - a)) / 2 of a = |x|."""
    a = fabs(x)
    result = log1p((a + a) / (1.0 - a)) * 0.5
    return copysign_of(select(a < TINY, a, result), x)
