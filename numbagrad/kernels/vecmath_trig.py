"""Circular functions and their inverses.

Arguments of ordinary size are reduced by multiples of pi/2 (Cody and Waite), larger ones behind
a branch.  A float is ``y * 2**B`` with an integral y, so ``x * 2/pi`` modulo 4 (a full turn) is
``y * K``, where ``K = 2**B * 2/pi`` modulo 4 is a number of ordinary size: float32 picks one of
four such K, float64 reads K from a table.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from numbagrad.kernels.vecmath_exp import at_least, at_most
from numbagrad.kernels.vecmath_lane import (
    SHIFT,
    Constants,
    Lane,
    copysign_of,
    fabs,
    fma,
    polynomial,
    rarely,
    round_to,
    select,
    sqrt_exact,
    table_row,
    vector,
)

# So many binary places of 2/pi.
_PLACES = 1216
_TWO_OVER_PI = int(
    "a2f9836e4e441529fc2757d1f534ddc0db6295993c439041fe5163abdebbc561"
    "b7246e3a424dd2e006492eea09d1921cfe1deb1cb129a73ee88235f52ebb4484"
    "e99c7026b45f7e413991d639835339f49c845f8bbdf9283b1ff897ffde05980f"
    "ef2f118b5a0a6d1f6d367ecf27cb09b74f463f669e5fea2d7527bac7ebe5f17b"
    "3d0739f78a5292ea6bfb5fb11f8d5d0856033046fc7b6bab",
    16,
)
PI = Constants(3.1415927410125732, math.pi)
PI_LO = Constants(-8.742277657347586e-08, 1.2246467991473532e-16)
HALF_PI = Constants(1.5707963705062866, math.pi / 2)
HALF_PI_LO = Constants(-4.371138828673793e-08, 6.123233995736766e-17)
QUARTER_PI_LO = Constants(-2.1855694143368964e-08, 3.061616997868383e-17)

_HALF_PI_3 = (1.5707963267948966, 6.123233995736766e-17, -1.4973849048591698e-33)

# (sin(r)/r - 1) / r**2 and (cos(r) - 1 + r**2/2) / r**4 in r**2, |r| <= pi/4.
_SIN = Constants(
    (-0.16666655, 0.008332189, -0.0001951828),
    (-0.1666666666666663, 0.00833333333332184, -0.00019841269829358466, 2.7557313538504603e-06,
     -2.5050734397563005e-08, 1.589543484595692e-10),
)  # fmt: skip
_COS = Constants(
    (0.041666646, -0.001388731, 2.4432327e-05),
    (0.041666666666666595, -0.0013888888888873335, 2.4801587288995137e-05, -2.7557314214403397e-07,
     2.0875704969651494e-09, -1.135872424608964e-11),
)  # fmt: skip
# (sin(r)/r - 1) / r**2 in r**2, |r| <= pi/2.
_SIN_HALF_TURN = (-0.1666666, 0.008333069, -0.00019809768, 2.606054e-06)
# (asin(s)/s - 1) / s**2 in s**2 <= 1/4.
_ASIN = Constants(
    (0.16666752, 0.074953064, 0.045469783, 0.02418066, 0.04216669),
    (0.16666666666665403, 0.07500000000338596, 0.0446428568269458, 0.03038195919645496,
     0.022371756573142762, 0.017359727731904213, 0.01388500230341283, 0.012170781240638846,
     0.006521028339021946, 0.019547690564303593, -0.016255357969587644, 0.03193400138574789),
)  # fmt: skip
# (atan(s)/s - 1) / s**2 in s**2, |s| <= tan(pi/8).
_ATAN = Constants(
    (-0.33333316, 0.19998528, -0.14244391, 0.10599167, -0.060900416),
    (-0.333333333333332, 0.1999999999995365, -0.142857142801961, 0.11111110783287524,
     -0.09090897750945293, 0.07692060083819807, -0.06663102567899754, 0.058478790641723184,
     -0.05039262141777525, 0.03806358736869492, -0.017906272072478465),
)  # fmt: skip


def _turns(exponent: int, parts: int) -> list[float]:
    """``2**exponent * 2/pi`` modulo 4 as an unevaluated sum of ``parts`` doubles."""
    one, turn = 1 << _PLACES, 1 << (_PLACES + 2)
    value = (_TWO_OVER_PI << exponent) % turn
    value -= turn if value > turn // 2 else 0
    out = []
    for _ in range(parts):
        out.append(value / one)  # integers divide with one rounding
        numerator, denominator = out[-1].as_integer_ratio()
        value -= numerator * one // denominator
    return out


class _Reduced(NamedTuple):
    """``|x| = quadrant * pi/2 + r + low``; low is None in float32."""

    quadrant: Lane  # an integer lane of the float's width; its two low bits count
    r: Lane
    low: Lane | None


def _far_f32(x: Lane) -> _Reduced:
    """In float64 lanes: 24-bit y below 2**50 and K in two doubles leave 2**-56 of a turn."""
    y = fabs(x).to_f64()
    hi, lo = (y.const(part) for part in _turns(0, 2))
    scale = y.const(1.0)
    magnitude = y
    for start, exponent in ((50, 27), (76, 53), (102, 79)):
        beyond = magnitude >= 2.0**start
        part_hi, part_lo = _turns(exponent, 2)
        hi = select(beyond, part_hi, hi)
        lo = select(beyond, part_lo, lo)
        scale = select(beyond, 2.0**-exponent, scale)
    y = magnitude * scale
    shifted = fma(y, hi, y.const(SHIFT))
    fraction = fma(y, lo, fma(y, hi, -(shifted - SHIFT)))
    return _Reduced(shifted.bits().to_i32(), (fraction * (math.pi / 2)).to_f32(), None)


def _two_sum(a: Lane, b: Lane) -> tuple[Lane, Lane]:
    """The rounded sum and its exact error."""
    total = a + b
    of_b = total - a
    return total, (a - (total - of_b)) + (b - of_b)


_BLOCK = 8  # K changes every 2**8; y stays below 2**61


def _turns_table() -> list[list[float]]:
    return [_turns(exponent, 4) for exponent in range(0, 2046 - 1075 + 1, _BLOCK)]


def _far_f64(x: Lane) -> _Reduced:
    """K in four doubles: 2**-150 of a turn, where the closest double comes within 2**-62."""
    a = fabs(x)
    last_place = (a.bits() >> 52) - 1075
    row = select(last_place > 0, last_place, 0) >> (_BLOCK.bit_length() - 1)
    k0, k1, k2, k3 = table_row("numbagrad_turns", _turns_table, row)
    y = a * (row.const(1023 << 52) - (row << (52 + _BLOCK.bit_length() - 1))).from_bits()
    p0 = y * k0
    p1 = y * k1
    p2 = y * k2
    whole, p0_error = fma(round_to("rint", p0 * 0.25), -4.0, p0), fma(y, k0, -p0)
    middle, middle_error = _two_sum(p0_error, p1)
    high, high_error = _two_sum(whole, middle)
    shifted = high + SHIFT
    high = high - (shifted - SHIFT)
    # What is left of `high` may cancel against the small parts, so their sum keeps its error.
    s1, e1 = _two_sum(high_error, middle_error)
    s2, e2 = _two_sum(fma(y, k1, -p1), p2)
    s3, e3 = _two_sum(s1, s2)
    f, e4 = _two_sum(high, s3)
    rest = e4 + (e1 + e2 + e3 + fma(y, k3, fma(y, k2, -p2)))
    f, f_low = _two_sum(f, rest)
    r = f * HALF_PI
    low = fma(f, HALF_PI, -r) + fma(f, HALF_PI_LO, f_low * HALF_PI)
    return _Reduced(shifted.bits(), r, low)


_FAR = Constants(2.0**15, 2.0**25)
# pi/2 in three floats: n times the first cancels against x without rounding.
_HALF_PI_3_F32 = (1.5707963705062866, -4.371138828673793e-08, -1.7151245100058819e-15)


def _near_f32(x: Lane) -> _Reduced:
    """Below 2**15: minus multiples of pi/2 in three floats, with fma."""
    a = fabs(x)
    shifted = fma(a, 2 / math.pi, a.const(SHIFT))
    n = shifted - SHIFT
    high, middle, rest = _HALF_PI_3_F32
    exact = fma(n, -high, a)
    product = n * middle
    r = exact - product
    # `exact` is a multiple of 2**-24, above the last place of `product`: no bit is lost here.
    lost = (exact - r) - product
    low = fma(n, -rest, lost - fma(n, middle, -product))
    return _Reduced(shifted.bits(), r, low)


def _near_f64(x: Lane) -> _Reduced:
    """Below 2**25: minus multiples of pi/2 in three doubles; products keep their errors."""
    a = fabs(x)
    shifted = fma(a, 2 / math.pi, a.const(SHIFT))
    n = shifted - SHIFT
    first, second = n * _HALF_PI_3[0], n * _HALF_PI_3[1]
    subtract, subtract_low = _two_sum(fma(n, _HALF_PI_3[0], -first), second)
    r, low = _two_sum(a - first, -subtract)
    third = fma(n, _HALF_PI_3[2], fma(n, _HALF_PI_3[1], -second))
    r, low = _two_sum(r, low - (subtract_low + third))
    return _Reduced(shifted.bits(), r, low)


def _sin_cos(reduced: _Reduced) -> tuple[Lane, Lane]:
    """Sine and cosine of the reduced argument."""
    _, r, low = reduced
    z = r * r
    w = fma(z, -0.5, 1.0)
    cosine = fma(z * z, polynomial(z, _COS), fma(z, -0.5, 1.0 - w))
    sine = r * z * polynomial(z, _SIN)
    if low is not None:
        sine = fma(low, w, sine)
        cosine = fma(low, -r, cosine)
    return r + sine, w + cosine


def _circular(
    name: str, x: Lane, finish: Callable[[Lane, _Reduced], Lane], usual: Lane | None = None
) -> Lane:
    """``finish`` on the reduced argument; arguments beyond ``_FAR`` take a branch.

    ``usual`` is the result for the others where there is a shorter way to it.
    """
    near, far = (_near_f64, _far_f64) if x.is_f64 else (_near_f32, _far_f32)
    if usual is None:
        usual = finish(x, near(x))
    return rarely(lambda t: fabs(t) >= _FAR, f"{name}_far", lambda t: finish(t, far(t)), x, usual)


# pi in three floats: as for pi/2, the first product cancels without rounding.
_PI_3_F32 = (3.1415927410125732, -8.742277657347586e-08, -3.4302490200117637e-15)


def _half_turns_f32(a: Lane, shifted: Lane, offset: float) -> Lane:
    """+-sin(a - (k - offset)*pi) of ``shifted = k + SHIFT``: minus for odd k.

    Below 2**15 the polynomial makes up for half turns in place of quarter ones, which need
    sine and cosine.
    """
    minus_k = offset - (shifted - SHIFT)
    r = a
    for part in _PI_3_F32:
        r = fma(minus_k, part, r)
    z = r * r
    sine = fma(r * z, polynomial(z, _SIN_HALF_TURN), r)
    # Rounding may go beyond 1, where asin and sqrt(1 - s*s) would be NaN.
    return _flip(at_least(at_most(sine, 1.0), -1.0), shifted.bits() << 31)


def _near_sin_f32(x: Lane) -> Lane:
    a = fabs(x)
    sine = _half_turns_f32(a, fma(a, 1 / math.pi, a.const(SHIFT)), 0.0)
    return _flip(sine, x.bits())


def _near_cos_f32(x: Lane) -> Lane:
    """sin(a + pi/2)."""
    a = fabs(x)
    return _half_turns_f32(a, fma(a, 1 / math.pi, 0.5) + SHIFT, 0.5)


def _flip(value: Lane, sign_bits: Lane) -> Lane:
    """``value`` with its sign changed where the top bit of the integer lane is set."""
    return (value.bits() ^ (sign_bits & (-1 << (63 if value.is_f64 else 31)))).from_bits()


def _to_sign(quadrant: Lane, value: Lane) -> Lane:
    """Bit 1 of the quadrant moved to the sign bit."""
    return quadrant << (62 if value.is_f64 else 30)


def _finish_sin(x: Lane, reduced: _Reduced) -> Lane:
    sine, cosine = _sin_cos(reduced)
    value = select((reduced.quadrant & 1).equals(0), sine, cosine)
    return _flip(value, _to_sign(reduced.quadrant, x) ^ x.bits())


def _finish_cos(x: Lane, reduced: _Reduced) -> Lane:
    sine, cosine = _sin_cos(reduced)
    value = select((reduced.quadrant & 1).equals(0), cosine, sine)
    return _flip(value, _to_sign(reduced.quadrant + 1, x))


def _finish_tan(x: Lane, reduced: _Reduced) -> Lane:
    sine, cosine = _sin_cos(reduced)
    even = (reduced.quadrant & 1).equals(0)
    value = select(even, sine, cosine) / select(even, cosine, sine)
    return _flip(value, _to_sign(reduced.quadrant << 1, x) ^ x.bits())


@vector(ulp=(1.75, 1.0))
def sin(x: Lane) -> Lane:
    """Reduction by half or quarter turns, accurate over the whole range; minimax polynomials."""
    return _circular("sin", x, _finish_sin, None if x.is_f64 else _near_sin_f32(x))


@vector(ulp=(1.75, 1.0))
def cos(x: Lane) -> Lane:
    """As sin, one quadrant on."""
    return _circular("cos", x, _finish_cos, None if x.is_f64 else _near_cos_f32(x))


@vector(ulp=(3.5, 2.0))
def tan(x: Lane) -> Lane:
    """sin/cos of the reduced argument, or -cos/sin in odd quadrants."""
    return _circular("tan", x, _finish_tan)


def _asin_core(x: Lane) -> tuple[Lane, Lane, Lane]:
    """Whether |x| > 1/2; s = |x|, or for such x sqrt((1 - |x|)/2); and asin(s) - s."""
    a = fabs(x)
    big = a > 0.5
    z = select(big, (1.0 - a) * 0.5, a * a)
    s = select(big, sqrt_exact(z), a)
    return big, s, s * z * polynomial(z, _ASIN)


@vector(ulp=(1.5, 1.5), domain=(-1.0, 1.0))
def asin(x: Lane) -> Lane:
    """Odd polynomial up to 1/2; beyond, pi/2 - 2 asin(sqrt((1 - |x|)/2))."""
    big, s, tail = _asin_core(x)
    twice = s + s
    difference = s.const(HALF_PI) - twice
    lost = (s.const(HALF_PI) - difference) - twice
    outer = difference - ((tail + tail) - (lost + HALF_PI_LO))
    return copysign_of(select(big, outer, s + tail), x)


@vector(ulp=(1.5, 1.5), domain=(-1.0, 1.0))
def acos(x: Lane) -> Lane:
    """pi/2 - asin(x) up to 1/2; beyond, 2 asin(sqrt((1 - |x|)/2)) or pi minus that."""
    big, s, tail = _asin_core(x)
    p = s + tail
    twice = p + p
    outer = select(x < 0.0, p.const(PI) - (twice - PI_LO), twice)
    return select(big, outer, p.const(HALF_PI) - (copysign_of(p, x) - HALF_PI_LO))


def _atan_ratio(top: Lane, bottom: Lane, offset: Lane, offset_lo: Lane) -> Lane:
    """atan(top/bottom) + offset for |top/bottom| <= tan(pi/8)."""
    t = top / bottom
    z = t * t
    return offset + (t + fma(t * z, polynomial(z, _ATAN), offset_lo))


@vector(ulp=(2.0, 2.0))
def atan(x: Lane) -> Lane:
    """|x| is turned by 0, pi/4 or pi/2 to at most tan(pi/8), with one division."""
    a = fabs(x)
    zero, one = a.const(0.0), a.const(1.0)
    middle, big = a > math.sqrt(2.0) - 1.0, a > math.sqrt(2.0) + 1.0
    top = select(big, -one, select(middle, a - 1.0, a))
    bottom = select(big, a, select(middle, a + 1.0, one))
    offset = select(big, a.const(HALF_PI), select(middle, a.const(math.pi / 4), zero))
    offset_lo = select(big, a.const(HALF_PI_LO), select(middle, a.const(QUARTER_PI_LO), zero))
    return copysign_of(_atan_ratio(top, bottom, offset, offset_lo), x)


@vector(ulp=(2.25, 2.0))
def atan2(y: Lane, x: Lane) -> Lane:
    """The angle of (x, y): smaller over larger magnitude, turned as in atan, then unfolded."""
    a, b = fabs(y), fabs(x)
    steep = a > b
    low, high = select(steep, b, a), select(steep, a, b)
    # Away from overflow of the sum, and from subnormals; what that does to `low` is not seen.
    scale = select(high > Constants(2.0**126, 2.0**1022), a.const(0.25), 1.0)
    scale = select(high < Constants(2.0**-100, 2.0**-960), scale.const(2.0**60), scale)
    both_infinite = low.equals(math.inf)
    low = select(both_infinite, low.const(1.0), low * scale)
    high = select(both_infinite, low.const(1.0), high * scale)
    middle = low > high * (math.sqrt(2.0) - 1.0)
    top = select(middle, low - high, low)
    bottom = select(middle, low + high, high)
    bottom = select(bottom.equals(0.0), bottom.const(1.0), bottom)
    zero = a.const(0.0)
    offset = select(middle, a.const(math.pi / 4), zero)
    angle = _atan_ratio(top, bottom, offset, select(middle, a.const(QUARTER_PI_LO), zero))
    angle = select(steep, angle.const(HALF_PI) - (angle - HALF_PI_LO), angle)
    left = x.bits() < 0
    angle = select(left, angle.const(PI) - (angle - PI_LO), angle)
    angle = select(x.is_nan(), x, angle)
    return copysign_of(angle, y)
