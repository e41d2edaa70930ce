"""Special functions in NumPy, by Chebyshev series in double precision.

The coefficients are those of the interpolating polynomials in Chebyshev points, computed with 40
digits; the relative error is a few units of the last place.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.polynomial.chebyshev import chebval

Array = np.ndarray[Any, Any]

#: exp(-x) I0(x) on [0, 8], in x / 4 - 1; exp(-x) sqrt(x) I0(x) from 8 on, in 16 / x - 1.
_I0_SMALL = (
    0.33839763720473803, -0.3046826723431984, 0.17162090152220877, -0.09490109704804764,
    0.04930528423967071, -0.02373741480589947, 0.010546460394594998, -0.004324309995050576,
    0.0016394756169413357, -0.0005763755745385824, 0.00018850288509584165,
    -5.754195010082104e-05, 1.6448448070728896e-05, -4.4167383584587505e-06,
    1.1173875391201037e-06, -2.670793853940612e-07, 6.046995022541919e-08,
    -1.300025009986248e-08, 2.6598237246823866e-09, -5.189795601635263e-10,
    9.675809035373237e-11, -1.726826291441556e-11, 2.95505266312964e-12,
    -4.856446783111929e-13, 7.676185498604936e-14, -1.1685332877993451e-14,
    1.715391285555133e-15, -2.431279846547955e-16, 3.3307945188222384e-17,
    -4.4153416464793395e-18,
)  # fmt: skip
_I0_LARGE = (
    0.4022452055070544, 0.0033691164782556943, 6.889758346916825e-05, 2.8913705208347567e-06,
    2.0489185894690638e-07, 2.266668990498178e-08, 3.3962320257083865e-09,
    4.94060238822497e-10, 1.1889147107846439e-11, -3.1499165279632416e-11,
    -1.3215811840447713e-11, -1.7941785315068062e-12, 7.180124451383666e-13,
    3.8527783827421426e-13, 1.54008621752141e-14, -4.150569347287222e-14,
    -9.554846698828307e-15, 3.811680669352621e-15, 1.7725601330565245e-15,
    -3.425485619677142e-16, -2.827623980516646e-16, 3.461222867695658e-17,
    4.465621420302078e-17, -4.8305044859640105e-18, -7.233180488043844e-18,
    9.921475415657038e-19, 1.1936508909418693e-18,
)  # fmt: skip
#: exp(-x) I1(x) / x on [0, 8], and exp(-x) sqrt(x) I1(x) from 8 on, in the same variables.
_I1_SMALL = (
    0.12629359322181682, -0.17641651835783406, 0.1026436586898471, -0.05294598120809499,
    0.024726449030626516, -0.010564084894626197, 0.004156422944312888, -0.0015135724506312532,
    0.0005122859561685758, -0.00016176081582589674, 4.781565107550054e-05,
    -1.3273163656039436e-05, 3.4702513081376785e-06, -8.568720264695455e-07,
    2.0032947535521353e-07, -4.445059128796328e-08, 9.381537386495773e-09,
    -1.8872497517228294e-09, 3.625590281552117e-10, -6.663489723502027e-11,
    1.1736186298890901e-11, -1.9839743977649436e-12, 3.223793365945575e-13,
    -5.042185504727912e-14, 7.600684294735408e-15, -1.1055969477353862e-15,
    1.5536319577362005e-16, -2.111421214358166e-17, 2.7779141127610464e-18,
    -3.541581772542136e-19,
)  # fmt: skip
_I1_LARGE = (
    0.38928811750914005, -0.009761097491361469, -0.00011058893876262371,
    -3.882564808877691e-06, -2.512236237870209e-07, -2.6314688468895196e-08,
    -3.835380385964237e-09, -5.589743462196584e-10, -1.8974958123505413e-11,
    3.2526035830154884e-11, 1.4125807436613782e-11, 2.0356285441470896e-12,
    -7.198551776245908e-13, -4.0835511110921974e-13, -2.1015418427726643e-14,
    4.2724400167119517e-14, 1.0420276984128802e-14, -3.814403072437007e-15,
    -1.8803547755107805e-15, 3.30820231092085e-16, 2.9626289976460157e-16,
    -3.209525921991637e-17, -4.6503053684947827e-17, 4.414348323093937e-18,
    7.517296311011398e-18, -9.314178870907263e-19, -1.2421932752759928e-18,
)  # fmt: skip
#: exp(x^2) erfc(x) (1 + x) for x >= 0, in 6 / (3 + x) - 1.
_ERFCX = (
    0.7537126744747984, 0.2241538079990932, 0.03331141869936043, -0.004729202203160197,
    -0.004667584028574755, -0.001505458991859158, -0.00026627940185075776,
    -1.4873372028813446e-05, 4.608056130651457e-06, 9.676802292406137e-07,
    -4.580496022125077e-08, -3.403835840664566e-08, -2.5183402321363754e-10,
    1.1966477481246857e-09, 3.164433134105992e-11, -4.632116431522466e-11,
    -8.079023772841502e-13, 1.962398338112284e-12, -3.400898553104142e-14,
    -8.654949127746541e-14, 6.547147159229033e-15, 3.6838636129200996e-15,
    -6.061318726312009e-16, -1.3273121984901985e-16, 4.3939552352609764e-17,
    2.430631458836433e-18, -2.6443852952525207e-18,
)  # fmt: skip


def _near(series: tuple[float, ...], x: Array) -> Array:
    return chebval(np.minimum(x, 8.0) / 4 - 1, series)


def _far(series: tuple[float, ...], x: Array) -> Array:
    x = np.maximum(x, 8.0)
    return chebval(16 / x - 1, series) / np.sqrt(x)


def i0e(x: Array) -> Array:
    """exp(-|x|) I0(x), the modified Bessel function of order 0."""
    a = abs(x)
    return np.where(a > 8, _far(_I0_LARGE, a), _near(_I0_SMALL, a))


def i1e(x: Array) -> Array:
    """exp(-|x|) I1(x), the modified Bessel function of order 1."""
    a = abs(x)
    return np.where(a > 8, np.copysign(_far(_I1_LARGE, a), x), x * _near(_I1_SMALL, a))


def i0(x: Array) -> Array:
    """I0(x); infinite where that is too large."""
    a = abs(x)
    half = np.exp(a / 2)  # in two steps: exp(a) overflows before the result does
    return np.where(np.isinf(a), a, half * i0e(x) * half)


def i1(x: Array) -> Array:
    """I1(x); infinite where that is too large."""
    half = np.exp(abs(x) / 2)
    return np.where(np.isinf(x), x, half * i1e(x) * half)


def erfcx(x: Array) -> Array:
    """exp(x^2) erfc(x), which does not underflow for large x."""
    a = abs(x)
    right = chebval(6 / (3 + a) - 1, _ERFCX) / (1 + a)
    return np.where(x < 0, 2 * np.exp(x * x) - right, right)


def ndtri(p: Array) -> Array:
    """The x at which the cumulative distribution function of the standard normal is p.

    Newton's method on its logarithm, which is nearly a parabola in the tail, from Hastings'
    approximation (Abramowitz and Stegun, 26.2.23).
    """
    low = np.minimum(p, 1 - p)
    inside = low > 0
    tail = np.where(inside, low, 0.5)
    t = np.sqrt(-2 * np.log(tail))
    x = (2.515517 + t * (0.802853 + t * 0.010328)) / (
        1 + t * (1.432788 + t * (0.189269 + t * 0.001308))
    ) - t
    for _ in range(3):
        scaled = erfcx(-x * np.sqrt(0.5))
        x -= (np.log(scaled / 2) - x * x / 2 - np.log(tail)) * scaled * np.sqrt(np.pi / 2)
    x = np.where(p > 0.5, -x, x)
    x = np.where(p == 0.5, 0.0, x)
    return np.where(inside, x, np.where(p == 0, -np.inf, np.where(p == 1, np.inf, np.nan)))
