"""Minimax polynomials: how the coefficients in ``numbagrad.kernels.vecmath_*`` were made.

A weighted least-squares fit in 60 digits is corrected to minimax by a linear program on a dense
grid of Chebyshev points.  A coefficient is rounded to the working precision before the ones after
it are fitted again, so that the later ones absorb its rounding error.  Needs mpmath and SciPy.
Each call of ``show`` prints one coefficient tuple and log2 of the weighted error it leaves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mpmath
import numpy as np
from mpmath import mpf
from scipy.optimize import linprog

mp: Any = mpmath.mp
mp.dps = 60
Function = Callable[[Any], Any]


@dataclass(frozen=True)
class Fit:
    """Approximate ``target`` on ``[low, high]`` by a polynomial with ``terms`` coefficients.

    The largest ``|error * weight|`` is minimised: the weight carries the rest of the formula.
    """

    target: Function
    weight: Function
    low: Any
    high: Any
    terms: int


def _correct(columns: np.ndarray, residual: np.ndarray) -> np.ndarray:
    """The change of the coefficients that makes ``max |residual - columns @ change|`` least."""
    scale = max(abs(r) for r in residual)
    a, b = columns.astype(float), (residual / scale).astype(float)
    norms = np.abs(a).max(axis=0)
    q, r = np.linalg.qr(a / norms)
    rows, n = q.shape
    bound = np.ones((rows, 1))
    result = linprog(
        np.r_[np.zeros(n), 1.0],
        A_ub=np.block([[q, -bound], [-q, -bound]]),
        b_ub=np.r_[b, -b],
        bounds=[(None, None)] * n + [(0, None)],
        method="highs",
    )
    change = np.linalg.solve(r, result.x[:n]) / norms
    return np.array([mpf(c) for c in change], dtype=object) * scale


def _minimax(columns: np.ndarray, target: np.ndarray) -> np.ndarray:
    square = mp.matrix((columns.T @ columns).tolist())
    fit = mp.lu_solve(square, mp.matrix((columns.T @ target).tolist()))
    best = np.array(list(fit), dtype=object)
    for _ in range(2):
        best = best + _correct(columns, target - columns @ best)
    return best


def minimax(fit: Fit, dtype: type[np.floating], rounded: int = 5) -> tuple[list[float], float]:
    """Coefficients in ``dtype`` and log2 of the largest weighted error they leave."""
    count = 20 * (fit.terms + 3)
    middle, half = (mpf(fit.high) + fit.low) / 2, (mpf(fit.high) - fit.low) / 2
    grid = [middle - half * mp.cos(mp.pi * (2 * i + 1) / (2 * count)) for i in range(count)]
    x = np.array([t for t in grid if t != 0], dtype=object)
    w = np.array([abs(fit.weight(t)) for t in x], dtype=object)
    target = np.array([fit.target(t) for t in x], dtype=object) * w
    columns = np.stack([x**p * w for p in range(fit.terms)], axis=1)
    out: list[float] = []
    tail: list[Any] = []
    for p in range(fit.terms):
        tail = list(_minimax(columns[:, p:], target)) if p <= rounded else tail[1:]
        out.append(float(dtype(float(tail[0]))))
        target = target - columns[:, p] * out[-1]
    return out, float(mp.log(max(abs(t) for t in target), 2))


def show(name: str, dtype: type[np.floating], fit: Fit, rounded: int = 5) -> None:
    coefficients, error = minimax(fit, dtype, rounded)
    text = ", ".join(repr(dtype(c).item() if dtype is np.float64 else str(dtype(c))) for c in
                     coefficients).replace("'", "")  # fmt: skip
    print(f"{name} {dtype.__name__} {fit.terms} terms, error 2**{error:.2f}\n({text})", flush=True)
