"""x**y for real x and y, with the special cases of C."""

from __future__ import annotations

import math

from numbagrad.kernels.vecmath_exp import (
    SQRT_HALF_BITS,
    at_least,
    at_most,
    exp2_reduced,
    log_split,
    power_of_two,
    scale_by_power,
)
from numbagrad.kernels.vecmath_lane import (
    SHIFT,
    Lane,
    copysign_of,
    fabs,
    fma,
    polynomial,
    round_to,
    select,
    vector,
)

# log2(m)/s in s**2, with s = (m - 1)/(m + 1), and 2**r: enough for a float32 result.
_LOG2_SHORT = (2.88539008177785, 0.9617966941134801, 0.5770779423201563, 0.41220925726234814,
               0.3199054829178939, 0.28290340052920243)  # fmt: skip
_EXP2_SHORT = (1.00000000055675, 0.6931472058873508, 0.24022646874240955, 0.05550328451992764,
               0.00961848998156439, 0.0013400062264344104, 0.00015345769489609853)  # fmt: skip
# (log(m)/(2s) - 1 - s**2/3) / s**4 in s**2.
_LOG_LONG = (0.1999999999999999, 0.1428571428572192, 0.11111111108894753, 0.09090909422029321,
             0.0769227921070243, 0.06668132436568279, 0.05837885598055083,
             0.059909238272193785)  # fmt: skip
_THIRD, _THIRD_LO = 1.0 / 3.0, 1.850371707708594e-17
_PER_LN2, _PER_LN2_LO = 2.8853900817779268, 4.0710547481862066e-17  # 2/ln(2)


def _power_f32(a: Lane, y: Lane) -> Lane:
    """a**y for positive finite a, in float64 lanes; the final conversion rounds once."""
    wide, exponent = a.to_f64(), at_least(at_most(y, 2.0**40), -(2.0**40)).to_f64()
    bits = wide.bits()
    k = (bits - SQRT_HALF_BITS.f64) >> 52
    f = (bits - (k << 52)).from_bits() - 1.0
    s = f / (f + 2.0)
    log2 = fma(s, polynomial(s * s, _LOG2_SHORT), k.small_to_float())
    bounded = at_least(at_most(log2 * exponent, 200.0), -200.0)
    shifted = bounded + SHIFT
    r = bounded - (shifted - SHIFT)
    return (polynomial(r, _EXP2_SHORT) * power_of_two(shifted.bits())).to_f32()


def _power_f64(a: Lane, y: Lane) -> Lane:
    """a**y for positive finite a; log2(a) and y*log2(a) are sums of two doubles."""
    k, f = log_split(a)
    d = f + 2.0
    inverse = 1.0 / d
    s = f * inverse
    s_lo = (fma(-s, d, f) - s * (f - (d - 2.0))) * inverse
    z = s * s
    z_lo = fma(s, s, -z) + (s + s) * s_lo
    tail = z * polynomial(z, _LOG_LONG)
    u = tail + _THIRD
    u_lo = ((u.const(_THIRD) - u) + tail) + _THIRD_LO
    v = z * u
    v_lo = fma(z, u, -v) + fma(z, u_lo, z_lo * u)
    w = s * v
    w_lo = fma(s, v, -w) + fma(s, v_lo, s_lo * v)
    half_log = s + w
    half_log_lo = ((s - half_log) + w) + (w_lo + s_lo)
    g = half_log * _PER_LN2
    g_lo = fma(half_log, _PER_LN2, -g) + fma(half_log, _PER_LN2_LO, half_log_lo * _PER_LN2)
    log2 = k + g
    log2_lo = ((k - log2) + g) + g_lo
    y = at_least(at_most(y, 2.0**64), -(2.0**64))
    e = y * log2
    e_lo = fma(y, log2, -e) + y * log2_lo
    bounded = at_least(at_most(e, 1100.0), -1100.0)
    shifted = bounded + SHIFT
    r = (bounded - (shifted - SHIFT)) + select(fabs(e) < 1100.0, e_lo, 0.0)
    return scale_by_power(exp2_reduced(r), shifted)


@vector(ulp=(0.75, 1.1))
def pow_(x: Lane, y: Lane) -> Lane:
    """2**(y * log2|x|) with log2 precise beyond the result's precision; sign from odd y."""
    a = fabs(x)
    result = (_power_f64 if x.is_f64 else _power_f32)(a, y)
    zero, infinite = a.equals(0.0), a.equals(math.inf)
    ends = select(zero ^ (y < 0.0), a.const(0.0), math.inf)
    result = select(zero | infinite, ends, result)
    half = y * 0.5
    integral = round_to("trunc", y).equals(y)
    odd = integral & ~round_to("trunc", half).equals(half)
    result = select(odd, copysign_of(result, x), result)
    result = select((x < 0.0) & ~infinite & ~integral, a.const(math.nan), result)
    result = select(x.is_nan() | y.is_nan(), x + y, result)
    return select(x.equals(1.0) | y.equals(0.0), a.const(1.0), result)
