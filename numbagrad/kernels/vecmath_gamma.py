"""lgamma and digamma; float32 goes through the float64 formulas."""

from __future__ import annotations

import math

from numbagrad.kernels.vecmath_exp import log
from numbagrad.kernels.vecmath_lane import (
    Lane,
    copysign_of,
    fabs,
    fma,
    polynomial,
    round_to,
    select,
    vector,
)

# lgamma(2 + r)/r for |r| <= 1/2.
_LGAMMA = (0.42278433509846713, 0.3224670334241132, -0.06735230105319523, 0.0205808084277885,
    -0.007385551028947782, 0.0028905103304920836, -0.0011927539016210206,
    0.0005096695309010902, -0.00022315494438400046, 9.945744584681865e-05,
    -4.4924316055783676e-05, 2.0507451585935216e-05, -9.451053839810538e-06,
    4.37616791896995e-06, -1.9993897527983967e-06, 9.406117643257241e-07,
    -5.192740445902606e-07, 2.585176627186899e-07, -6.166506701743082e-08)  # fmt: skip
# x * (lgamma(x) - (x - 1/2) log(x) + x - log(2 pi)/2) in 1/x**2, x >= 8.5.
_STIRLING = (0.08333333333333333, -0.0027777777777528412, 0.0007936507717965666,
    -0.000595231020344814, 0.000840691704441691, -0.0018402341587950434,
    0.0038548797864821236)  # fmt: skip
# sin(pi d)/(pi d) in d**2, |d| <= 1/2.
_SIN_PI = (1.0, -1.6449340668482264, 0.8117424252833462, -0.19075182412167532, 0.02614784780794259,
    -0.0023460809132885034, 0.00014842791655690244, -6.972267245747206e-06,
    2.4518320518383903e-07)  # fmt: skip
# digamma(x)/(x - root) in x - 3/2, 1 <= x <= 2; and x**2 (log(x) - 1/(2x) - digamma(x)) in 1/x**2.
_DIGAMMA_ROOT, _DIGAMMA_ROOT_LO = 1.4616321449683622, 9.549995429965697e-17
_DIGAMMA = (0.9510558760318328, -0.42362742128146047, 0.24054248424083596, -0.14840492305394004,
    0.09498872444371753, -0.06192213326798288, 0.040760834613346696, -0.02697579708315083,
    0.017907222854158508, -0.011908207187175732, 0.007927590502623283, -0.005280173388003424,
    0.0035100558279054354, -0.0023427647156212834, 0.0016383858631802688,
    -0.0010569002871848026, 0.00022464525365629761, -0.0003871239248097819,
    0.002238316219458376, -0.00044239818826956843, -0.004888026771286672,
    0.00032914210641109, 0.0075753101676158865, -0.00037393583144890787,
    -0.004880657060699648)  # fmt: skip
_DIGAMMA_TAIL = (0.08333333333333333, -0.008333333333323055, 0.0039682539604653485,
    -0.0041666638234870886, 0.007575186380399838, -0.02102628034097685, 0.07884340849296984,
    -0.2763277323204599)  # fmt: skip
_HALF_LOG_2PI = 0.9189385332046727


def _sin_pi_ratio(a: Lane) -> Lane:
    """|sin(pi a)| / pi."""
    d = a - round_to("rint", a)
    return fabs(d) * polynomial(d * d, _SIN_PI)


def _lgamma_positive(y: Lane) -> Lane:
    """Moves y to [1.5, 2.5) with one logarithm; Stirling's series from 8.5 on."""
    tiny, small, large = y < 0.5, y < 1.5, y >= 8.5
    r = select(tiny, y, select(small, y - 1.0, y - 2.0))
    product = select(tiny, y * (y + 1.0), select(small, y, 1.0))
    for step in range(1, 7):
        down, factor = y >= step + 1.5, y - float(step)
        r = select(down, factor - 2.0, r)
        product = product * select(down, factor, 1.0)
    logarithm = log(select(large, y, product))
    near = fma(r, polynomial(r, _LGAMMA), select(small, -logarithm, logarithm))
    inverse = 1.0 / y
    series = fma(inverse, polynomial(inverse * inverse, _STIRLING), _HALF_LOG_2PI - 0.5)
    return select(large, fma(y - 0.5, logarithm - 1.0, series), near)


def _lgamma_f64(x: Lane) -> Lane:
    a = fabs(x)
    negative = x < 0.0
    positive = _lgamma_positive(select(negative, a + 1.0, a))
    result = select(negative, -log(_sin_pi_ratio(a)) - positive, positive)
    return select(a.equals(math.inf), a, result)


@vector(ulp=(1.0, 4.0), domain=(0.0, math.inf))
def lgamma(x: Lane) -> Lane:
    """log|gamma(x)|: polynomial on [1.5, 2.5), recurrence around it, Stirling, reflection.

    The bound is for x > 0.  For x < 0, where zeros lie between the poles, float64 has an error
    of a few units of the last place of the largest of |result|, 1 and log|x|.
    """
    return _lgamma_f64(x) if x.is_f64 else _lgamma_f64(x.to_f64()).to_f32()


def _digamma_f64(x: Lane) -> Lane:
    negative = x < 0.0
    y = select(negative, 1.0 - x, x)
    # Sums of 1/(y - i) as one fraction, down to [1, 2); one step up from below 1.
    up = y < 1.0
    shifted = select(up, y + 1.0, y)
    top, bottom = select(up, y.const(-1.0), 0.0), select(up, y, 1.0)
    for step in range(1, 8):
        term = y - float(step)
        down = term >= 1.0
        shifted = select(down, term, shifted)
        top = select(down, fma(top, term, bottom), top)
        bottom = select(down, bottom * term, bottom)
    factor = polynomial(shifted - 1.5, _DIGAMMA)
    near = fma(factor, (shifted - _DIGAMMA_ROOT) - _DIGAMMA_ROOT_LO, top / bottom)
    inverse = 1.0 / y
    square = inverse * inverse
    far = log(y) - fma(inverse, 0.5, square * polynomial(square, _DIGAMMA_TAIL))
    result = select(y >= 9.0, far, near)
    # pi / tan(pi x), from the distance to the nearest integer.
    d = x - round_to("rint", x)
    e = 0.5 - fabs(d)
    sine = d * polynomial(d * d, _SIN_PI)
    cosine = e * polynomial(e * e, _SIN_PI)
    reflected = result - math.pi * (cosine / sine)
    reflected = select(d.equals(0.0), d.const(math.nan), reflected)
    result = select(negative, reflected, result)
    return select(x.equals(0.0), copysign_of(x.const(math.inf), -x), result)


@vector(ulp=(1.0, 4.0), domain=(0.0, math.inf))
def digamma(x: Lane) -> Lane:
    """Derivative of lgamma: polynomial on [1, 2), recurrence, asymptotic series, reflection.

    The bound is for x > 0; for x < 0 the error is relative to the larger of the two terms of the
    reflection.  As in PyTorch, minus infinity at 0, plus infinity at -0, NaN at negative integers.
    """
    return _digamma_f64(x) if x.is_f64 else _digamma_f64(x.to_f64()).to_f32()
