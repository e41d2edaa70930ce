"""Prints the Chebyshev series of ``numbagrad.kernels.bessel`` (a minute; ``-k NAME`` for one).

Names are those of the constants in the code. Each series interpolates its function in Chebyshev
points, computed with 40 digits, and ends where terms stop to matter in double precision.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import mpmath

mp: Any = mpmath.mp
POINTS = 48


def near(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """f(x) on [0, 8] in x² / 32 - 1."""
    return lambda t: f(mp.sqrt(32 * (t + 1)))


def far(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """f(x) from 8 on in 128 / x² - 1, that is with t from just above -1 for x = infinity."""
    return lambda t: f(8 / mp.sqrt((t + 1) / 2))


def amplitude(order: int, part: str) -> Callable[[Any], Any]:
    """The real part of sqrt(πx/2) (J + iY) exp(-i(x - (2 order + 1)π/4)), or x times the other."""

    def f(x: Any) -> Any:
        turned = mp.hankel1(order, x) * mp.expj(-(x - (2 * order + 1) * mp.pi / 4))
        turned *= mp.sqrt(mp.pi * x / 2)
        return turned.real if part == "P" else turned.imag * x

    return f


def y_regular(order: int) -> Callable[[Any], Any]:
    """Y without what is singular at 0; over x for the order 1."""
    if order == 0:
        return lambda x: mp.bessely(0, x) - 2 / mp.pi * mp.log(x) * mp.besselj(0, x)
    return lambda x: (mp.bessely(1, x) - 2 / mp.pi * (mp.log(x) * mp.besselj(1, x) - 1 / x)) / x


def k_regular(order: int) -> Callable[[Any], Any]:
    """K without what is singular at 0, on [0, 2] in x² / 2 - 1; over x for the order 1."""
    if order == 0:
        f = lambda x: mp.besselk(0, x) + mp.log(x) * mp.besseli(0, x)  # noqa: E731
    else:

        def f(x):
            return (mp.besselk(1, x) - 1 / x - mp.log(x) * mp.besseli(1, x)) / x

    return lambda t: f(mp.sqrt(2 * (t + 1)))


def k_scaled(order: int) -> Callable[[Any], Any]:
    """exp(x) sqrt(x) K(x) from 2 on, in 4 / x - 1."""

    def f(t: Any) -> Any:
        x = 4 / (t + 1)
        return mp.exp(x) * mp.sqrt(x) * mp.besselk(order, x)

    return f


SERIES: dict[str, Callable[[Any], Any]] = {
    "J0_NEAR": near(lambda x: mp.besselj(0, x)),
    "J1_NEAR": near(lambda x: mp.besselj(1, x) / x),
    "Y0_NEAR": near(y_regular(0)),
    "Y1_NEAR": near(y_regular(1)),
    "P0": far(amplitude(0, "P")),
    "Q0": far(amplitude(0, "Q")),
    "P1": far(amplitude(1, "P")),
    "Q1": far(amplitude(1, "Q")),
    "K0_NEAR": k_regular(0),
    "K1_NEAR": k_regular(1),
    "K0_FAR": k_scaled(0),
    "K1_FAR": k_scaled(1),
}


def coefficients(f: Callable[[Any], Any]) -> list[float]:
    angles = [mp.pi * (2 * j + 1) / (2 * POINTS) for j in range(POINTS)]
    values = [f(mp.cos(a)) for a in angles]
    found = [
        2 / mp.mpf(POINTS) * mp.fsum(v * mp.cos(k * a) for v, a in zip(values, angles, strict=True))
        for k in range(POINTS)
    ]
    found[0] /= 2
    scale = max(abs(v) for v in values)
    while abs(found[-1]) < 1e-18 * scale:
        found.pop()
    return [float(c) for c in found]


def main() -> None:
    mp.dps = 40
    wanted = sys.argv[2] if sys.argv[1:2] == ["-k"] else None
    for name, f in SERIES.items():
        if wanted in (None, name):
            print(f"_{name} = (")
            line = "   "
            for c in coefficients(f):
                if len(line) + len(repr(c)) > 97:
                    print(line)
                    line = "   "
                line += f" {c!r},"
            print(f"{line}\n)  # fmt: skip")


if __name__ == "__main__":
    main()
