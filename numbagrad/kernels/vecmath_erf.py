"""Error functions."""

from __future__ import annotations

import math

from numbagrad.kernels.vecmath_exp import (
    at_most,
    exp_reduce,
    exp_reduced,
    expm1_reduced,
    log,
    power_of_two,
    scale_by_power,
)
from numbagrad.kernels.vecmath_lane import (
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

# -log(erfc(a))/a - 1, up to where erf rounds to 1.
_ERF_F32 = (0.12837917, 0.63661957, 0.102776304, -0.019147826, -0.00016948569, 0.0016756428,
            -0.0006373352, 0.000118850214, -9.386311e-06)  # fmt: skip
# erf(a)/a - 1 in a**2, a <= 1.
_ERF_SMALL_F64 = (
    0.12837916709551256, -0.37612638903183343, 0.11283791670936949, -0.026866170641958616,
    0.005223977596728703, -0.000854832548450088, 0.00012055280476717942, -1.4924465157756007e-05,
    1.6444143340371142e-06, -1.6183925803704383e-07, 1.3616373174061878e-08,
    -7.607123568804752e-10)  # fmt: skip
# -log(erfc(a)) in a - 1, from 1 to where erf rounds to 1; erfc's absolute error is what counts.
_ERF_LARGE_F64 = (
    1.8496055099332482, 2.638967514234783, 0.8431072563591641, 0.04156109802898895,
    -0.010033825212953023, 0.0019779013964760085, -0.00023731707319051053,
    -2.6294764940390367e-05, 2.7196245777958842e-05, -9.66791388127814e-06,
    2.128705904753384e-06, -2.0258469708008815e-07, -5.9137049905758e-08,
    3.3802224641116954e-08, -8.624028567975775e-09, 1.3369981108595847e-09,
    -1.211359097534951e-10, 4.947298784512329e-12)  # fmt: skip

# exp(a**2) * erfc(a) * (1 + 2a) - 1 in t = (a - 3)/(a + 3), up to where erfc is zero.
_ERFC = Constants(
    (0.25300807, -0.1356211, -0.04756308, 0.12964496, -0.11926287, 0.068311326, -0.023825895,
     0.0025049136, 0.0020184105, -0.00069441774, -0.00022894496),
    (0.25300805826972966, -0.1356211061245812, -0.04756229435345434, 0.12964515870276208,
     -0.11927366341511242, 0.06830802734402364, -0.023770514922933687, 0.002529391813362163,
     0.001888690407828058, -0.0007798322275929023, -0.00010516012141397079,
     0.00012509898538875762, 4.9507940604719745e-06, -2.0098798718258768e-05,
     -7.348366704585824e-07, 3.4671095487491766e-06, 3.619218357717653e-07,
     -6.066084473265143e-07, -1.455853805969308e-07, 9.018619804974429e-08,
     4.213719581788395e-08, -5.687990339381823e-09, -6.762327306605946e-09,
     -1.1605964025164658e-09),
)  # fmt: skip

# erfinv(x)/x with w = -log(1 - x*x): in w - centre, then in sqrt(w) - centre for larger w.
_ERFINV_CENTRE = Constants(2.5, 3.0)
_ERFINV = Constants(
    (1.5014094, 0.24664028, -0.004177669, -0.0012527556, 0.0002185781, -4.9434784e-06,
     -3.523916e-06, 4.5994662e-07, 2.8211193e-08, -8.236229e-09),
    (1.6235420064648298, 0.24163040416615827, -0.005738135221002958, -0.0008361817769089177,
     0.00019506132439860009, -1.2716422640570045e-05, -1.7480020668825468e-06,
     4.499854287729335e-07, -2.3688756669576858e-08, -5.467182017724782e-09,
     1.1108157338207962e-09, -3.142393810809683e-11, -1.7335536476372895e-11,
     2.698431955511131e-12, 7.95296861418713e-15, -5.281677345192467e-14,
     6.0426968756176875e-15, 2.5872267906242186e-16, -1.296096631902619e-16,
     1.4165336129658325e-17, -2.827841470036134e-19, -4.529311575760852e-19,
     8.405933680850746e-20, 5.592567722893386e-21, -1.6742789301770178e-21),
)  # fmt: skip
_ERFINV_TAIL_CENTRE = Constants(3.0, 3.25)
_ERFINV_TAIL = Constants(
    (2.8329768, 1.001675, 0.009444826, -0.0076378114, 0.0056895725, -0.003596568,
     0.0014793612, -5.548688e-05, -0.0003051945, 0.000113258306),
    (3.0838856104922208, 1.0052589676941661, 0.00537091455355679, -0.0037512085083572524,
     0.0024914420974243945, -0.0016882755304123097, 0.0009532893578135352,
     -0.0003550378933062764, 2.403130044185555e-05, 6.828777136304682e-05,
     -4.7319173702654825e-05, 1.2461934870871586e-05, 2.926237567276203e-06,
     -3.97697526305081e-06, 1.4978902342466126e-06, -4.213752124431807e-08,
     -2.70606687670964e-07, 1.4471519170838394e-07, 4.1471523882301705e-10,
     -2.0281795575874775e-08),
)  # fmt: skip
_ERFINV_FAR_TAIL = (
    4.849906401408584, 1.010300464864544, -0.00013871931835481127, -0.0002150301197353126,
    7.599527728366137e-05, -1.9681772206307287e-05, 4.526061023943458e-06,
    -9.93019031009609e-07, 2.2901012974402866e-07, -6.759274781314527e-08,
    2.9137530460965337e-08, -1.5183303494694943e-08, 7.627603921955575e-09,
    -3.5505274949572263e-09, 1.50034310740358e-09, -3.9160732278984116e-10,
    -2.524488862536227e-11, 3.196045107275129e-11)  # fmt: skip


@vector(ulp=(1.75, 1.5), domain=(-6.5, 6.5))
def erf(x: Lane) -> Lane:
    """1 - exp(-q(|x|)) with q fitted to -log(erfc).

    float32: as -expm1, which does not cancel.  float64: beyond 1, and an odd polynomial up to 1,
    which are shorter than one fit.
    """
    a = at_most(fabs(x), Constants(3.95, 5.95))
    if not x.is_f64:
        k, r = exp_reduce(-fma(a, polynomial(a, _ERF_F32), a))
        scale = power_of_two(k.bits())
        return copysign_of(fma(scale, expm1_reduced(r), scale - 1.0), x)
    small = fma(a, polynomial(a * a, _ERF_SMALL_F64), a)
    k, r = exp_reduce(-polynomial(a - 1.0, _ERF_LARGE_F64))
    large = 1.0 - exp_reduced(r) * power_of_two(k.bits())
    return copysign_of(select(a > 1.0, large, small), x)


@vector(ulp=(4.0, 3.5), domain=Constants((-5.0, 10.2), (-7.0, 27.4)))
def erfc(x: Lane) -> Lane:
    """exp(-a**2) * g(a) / (1 + 2a) of a = |x|, a**2 in two pieces; 2 minus that for x < 0."""
    a = at_most(fabs(x), Constants(10.1, 27.3))
    t = (a - 3.0) / (a + 3.0)
    twice = a + a
    excess = polynomial(t, _ERFC)
    # Small a: with g = 1 + excess, g/(1 + 2a) = 1 + (excess - 2a)/(1 + 2a) rounds less.
    small = a < 0.5
    factor = select(small, excess - twice, excess + 1.0) / (twice + 1.0)
    square = a * a
    square_low = fma(a, a, -square)
    k, r = exp_reduce(-square)
    gauss = exp_reduced(r - square_low)
    result = scale_by_power(fma(gauss, factor, select(small, gauss, 0.0)), k)
    return select(x < 0.0, 2.0 - result, result)


@vector(ulp=(3.5, 3.5), domain=(-1.0, 1.0))
def erfinv(x: Lane) -> Lane:
    """x times a polynomial in w = -log(1 - x*x), or in sqrt(w) where w is large."""
    complement = fma(-x, x, 1.0)
    w = -log(complement)
    root = sqrt_exact(w)
    factor = polynomial(w - _ERFINV_CENTRE, _ERFINV)
    tail = polynomial(root - _ERFINV_TAIL_CENTRE, _ERFINV_TAIL)
    if x.is_f64:
        tail = select(root > 4.0, polynomial(root - 5.0, _ERFINV_FAR_TAIL), tail)
    factor = select(w > Constants(5.0, 6.0), tail, factor)
    return select(fabs(x).equals(1.0), copysign_of(x.const(math.inf), x), x * factor)
