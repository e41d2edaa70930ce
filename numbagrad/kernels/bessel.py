"""Bessel functions in NumPy, by Chebyshev series in double precision.

The coefficients are printed by ``tools/series_fits.py``. Up to 8 (K: 2) a function is the sum of
what is singular at 0 and of a series in x²; beyond, a slowly varying amplitude times a wave (K: an
exponential). Near a zero of a wave the error is small compared with its amplitude.

Source of the decompositions: NIST Digital Library of Mathematical Functions, 10.8, 10.17, 10.31.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.polynomial.chebyshev import chebval

from numbagrad.kernels.series import i0, i1

Array = np.ndarray[Any, Any]

#: Up to 8, in x² / 32 - 1: J0, J1 / x, and Y0, Y1 / x without what is singular at 0.
_J0_NEAR = (
    0.15772797147489012, -0.008723442352852221, 0.2651786132033368, -0.37009499387264977,
    0.15806710233209725, -0.034893769411408884, 0.004819180069467605, -0.00046062616620627504,
    3.246032882100508e-05, -1.7619469077621507e-06, 7.608163592418782e-08, -2.679253530557673e-09,
    7.848696314479465e-11, -1.9438346867370164e-12, 4.125320595634374e-14, -7.588508125447546e-16,
    1.2218515873961411e-17,
)  # fmt: skip
_J1_NEAR = (
    0.08104484632565812, -0.1489751450676521, 0.1609992623572097, -0.08268049176681791,
    0.022213639654966037, -0.003646940600769276, 0.0004050337728354822, -3.255554866857259e-05,
    1.9858774049915165e-06, -9.521984756750436e-08, 3.687133759097148e-09, -1.178026622695885e-10,
    3.160154580348003e-12, -7.221755239651773e-14, 1.4232144003513942e-15, -2.4441972916190464e-17,
)  # fmt: skip
_Y0_NEAR = (
    -0.03314611320328494, -0.2744743055297453, 0.17903431407718265, 0.26156734625504663,
    -0.17730201278114358, 0.04719668959576339, -0.007287962479552079, 0.0007531135932577742,
    -5.632079141056987e-05, 3.206532537654801e-06, -1.44072332740187e-07, 5.248794787330516e-09,
    -1.5837552541812015e-10, 4.02633081830612e-12, -8.747341203310769e-14, 1.6434898714919468e-15,
    -2.6977881152566837e-17,
)  # fmt: skip
_Y1_NEAR = (
    0.0025380132357417816, -0.01608717304766875, -0.09591204536083074, 0.08445197259652346,
    -0.028328123944594365, 0.005289897544167113, -0.0006414551451326356, 5.505982873338744e-05,
    -3.53808001868935e-06, 1.7707804556154404e-07, -7.11055004989928e-09, 2.344337905911516e-10,
    -6.4651518414115946e-12, 1.51429151205002e-13, -3.0511859694473254e-15, 5.34668038572867e-17,
    -8.224911372021585e-19,
)  # fmt: skip
#: From 8 on, in 128 / x² - 1: the real part of the amplitude, and x times its imaginary part.
_P0 = (
    0.9994603493475187, -0.0005365220468132117, 3.0751847875194745e-06, -5.1705945376060975e-08,
    1.6306464635151382e-09, -7.86409137723707e-11, 5.168262387349193e-12, -4.3045788699253914e-13,
    4.3265957431549404e-14, -5.069034095935236e-15, 6.748072215733873e-16, -1.0011513723467786e-16,
    1.6305919233744186e-17, -2.880866169482871e-18,
)  # fmt: skip
_Q0 = (
    -0.12444683684269607, 0.0005470815954089319, -5.9315987288485175e-06, 1.4377965798375193e-07,
    -5.817532749493056e-09, 3.376097523734991e-10, -2.565397936797308e-11, 2.404916100281365e-12,
    -2.6690625482579414e-13, 3.4041800321963686e-14, -4.87994410531204e-15, 7.729703176242605e-16,
    -1.3348852171502517e-16, 2.4865952389390515e-17, -4.952892629886516e-18,
    1.0473158973776097e-18, -2.336930172211422e-19,
)  # fmt: skip
_P1 = (
    1.0009030408600137, 0.0008989898330859408, -3.987284300488908e-06, 6.177633960644299e-08,
    -1.8718907491063067e-09, 8.816898659582339e-11, -5.704863640395645e-12, 4.699195515230542e-13,
    -4.6842237839904895e-14, 5.452674896044717e-15, -7.221180842274018e-16, 1.0667689114335412e-16,
    -1.7312313216116335e-17, 3.0492991197665872e-18,
)  # fmt: skip
_Q1 = (
    0.3742222965562826, -0.0007702178839325664, 7.3108922063643636e-06, -1.676782510726674e-07,
    6.583354662120443e-09, -3.749090950541556e-10, 2.8121750359748866e-11, -2.61145253946232e-12,
    2.8774212663332235e-13, -3.649001916061838e-14, 5.206626366226707e-15, -8.215318025458595e-16,
    1.4141084390211833e-16, -2.626761589838529e-17, 5.2192649196714085e-18, -1.101261718787959e-18,
)  # fmt: skip
#: Up to 2, in x² / 2 - 1: K0, K1 / x without what is singular; beyond, in 4 / x - 1:
#: exp(x) sqrt(x) K.
_K0_NEAR = (
    0.8433977275772223, 0.787078990859296, 0.06152577860244072, 0.0019458946141853283,
    3.3247998700597626e-05, 3.5563825166277007e-07, 2.6056207418988497e-09, 1.3895141631982779e-11,
    5.635214661841847e-14, 1.7966278703136082e-16,
)  # fmt: skip
_K1_NEAR = (
    -0.5089237845320825, -0.2114356597763456, -0.010725575310322739, -0.0002513233586483403,
    -3.4112002554142968e-06, -3.026704146655771e-08, -1.89459722399161e-10, -8.819221396228751e-13,
    -3.1733487638923218e-15, -9.092150880033067e-18,
)  # fmt: skip
_K0_FAR = (
    1.2201515410329777, -0.0314481013119645, 0.0015698838857300533, -0.00012849549581627802,
    1.39498137188765e-05, -1.8317555227191195e-06, 2.766813639445015e-07, -4.660489897687948e-08,
    8.574034017414225e-09, -1.6975345093890614e-09, 3.5773972814003283e-10, -7.957489244477396e-11,
    1.8559491149549264e-11, -4.514597883374519e-12, 1.1403405882073441e-12,
    -2.9800969231481784e-13, 8.032890775068375e-14, -2.2275133267462965e-14, 6.340076476276646e-15,
    -1.848593377920907e-15, 5.5120559994043335e-16, -1.6782311257549006e-16,
    5.2103917776435543e-17, -1.6475805939842632e-17, 5.3004337711773354e-18,
    -1.7331712005821001e-18,
)  # fmt: skip
_K1_FAR = (
    1.3603130952422213, 0.10392373657681724, -0.002857816859622779, 0.00019521551847135162,
    -1.936197974166083e-05, 2.406484947837217e-06, -3.5019606030878126e-07, 5.7410841254500495e-08,
    -1.0345762465678097e-08, 2.0150497551970347e-09, -4.1903547593419254e-10,
    9.218315187605315e-11, -2.129967838427791e-11, 5.139639673482343e-12, -1.2891739609498229e-12,
    3.348419666052243e-13, -8.976705182010146e-14, 2.4771544242195988e-14, -7.0198370892147685e-15,
    2.038703166239861e-15, -6.057047270643018e-16, 1.8380935752430455e-16, -5.689462849193648e-17,
    1.7940510478863572e-17, -5.7567444820733025e-18, 1.8778651901623268e-18,
)  # fmt: skip


def _near(series: tuple[float, ...], x: Array) -> Array:
    return chebval(np.square(np.minimum(x, 8.0)) / 32 - 1, series)


def _wave(order: int, x: Array) -> tuple[Array, Array]:
    """J and Y from 8 on."""
    finite = np.isfinite(x)
    x = np.where(finite, np.maximum(x, 8.0), 8.0)
    t = 128 / (x * x) - 1
    real, imaginary = (chebval(t, s) for s in ((_P0, _Q0) if order == 0 else (_P1, _Q1)))
    imaginary = imaginary / x
    # The angle is x less an odd number of eighths of a turn, whose sine and cosine are known.
    turn = np.sqrt(0.5) / np.sqrt(np.pi * x / 2)
    sine, cosine = np.sin(x), np.cos(x)
    if order == 0:
        sine, cosine = (sine - cosine) * turn, (cosine + sine) * turn
    else:
        sine, cosine = -(sine + cosine) * turn, (sine - cosine) * turn
    j = real * cosine - imaginary * sine
    y = real * sine + imaginary * cosine
    return np.where(finite, j, 0.0), np.where(finite, y, 0.0)


def j0(x: Array) -> Array:
    """J0(x), the Bessel function of the first kind of order 0."""
    a = abs(x)
    r = np.where(a > 8, _wave(0, a)[0], _near(_J0_NEAR, a))
    return np.where(np.isnan(x), x, r)


def j1(x: Array) -> Array:
    """J1(x); odd."""
    a = abs(x)
    r = np.where(a > 8, np.sign(x) * _wave(1, a)[0], x * _near(_J1_NEAR, a))
    return np.where(np.isnan(x), x, r)


def y0(x: Array) -> Array:
    """Y0(x), the Bessel function of the second kind of order 0: -inf at 0, NaN below."""
    a = np.where(x > 0, x, 1.0)
    near = 2 / np.pi * np.log(a) * j0(a) + _near(_Y0_NEAR, a)
    return _right_of_zero(x, np.where(a > 8, _wave(0, a)[1], near), -np.inf)


def y1(x: Array) -> Array:
    """Y1(x): -inf at 0, NaN below."""
    a = np.where(x > 0, x, 1.0)
    near = 2 / np.pi * (np.log(a) * j1(a) - 1 / a) + a * _near(_Y1_NEAR, a)
    return _right_of_zero(x, np.where(a > 8, _wave(1, a)[1], near), -np.inf)


def _right_of_zero(x: Array, r: Array, at_zero: float) -> Array:
    return np.where(x > 0, r, np.where(x == 0, at_zero, np.nan))


def _k_near(order: int, x: Array) -> Array:
    a = np.minimum(x, 2.0)
    t = a * a / 2 - 1
    if order == 0:
        return chebval(t, _K0_NEAR) - np.log(a) * i0(a)
    return chebval(t, _K1_NEAR) * a + 1 / a + np.log(a) * i1(a)


def _k_far(order: int, x: Array) -> Array:
    a = np.maximum(x, 2.0)
    return chebval(4 / a - 1, _K0_FAR if order == 0 else _K1_FAR) / np.sqrt(a)


def _k(order: int, x: Array) -> Array:
    a = np.where(x > 0, x, 1.0)
    r = np.where(a > 2, np.exp(-a) * _k_far(order, a), _k_near(order, a))
    return _right_of_zero(x, r, np.inf)


def _ke(order: int, x: Array) -> Array:
    a = np.where(x > 0, x, 1.0)
    r = np.where(a > 2, _k_far(order, a), np.exp(np.minimum(a, 2.0)) * _k_near(order, a))
    return _right_of_zero(x, r, np.inf)


def k0(x: Array) -> Array:
    """K0(x), the modified Bessel function of the second kind of order 0: inf at 0, NaN below."""
    return _k(0, x)


def k1(x: Array) -> Array:
    """K1(x): inf at 0, NaN below."""
    return _k(1, x)


def k0e(x: Array) -> Array:
    """exp(x) K0(x)."""
    return _ke(0, x)


def k1e(x: Array) -> Array:
    """exp(x) K1(x)."""
    return _ke(1, x)
