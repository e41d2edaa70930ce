"""NumPy evaluations of linear algebra, on batches of matrices (the last two dimensions).

What ``numpy.linalg`` has is wrapped: float16 is computed in float32, and an error is PyTorch's.
Triangular systems, LU factors and the exponential, which it lacks, are written here.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import LinAlgError

Array = np.ndarray[Any, Any]


def checked(name: str, why: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorator: float16 by way of float32, and NumPy's LinAlgError as ours with the reason."""

    def decorate(fn: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(fn)
        def run(*xs: Any, **params: Any) -> Any:
            half = any(isinstance(x, np.ndarray) and x.dtype == np.float16 for x in xs)
            if half:
                xs = tuple(x.astype(np.float32) if isinstance(x, np.ndarray) else x for x in xs)
            try:
                r = fn(*xs, **params)
            except np.linalg.LinAlgError:
                raise LinAlgError(f"linalg.{name}: {why}") from None
            if not half:
                return tuple(r) if isinstance(r, tuple) else r
            return tuple(map(_halved, r)) if isinstance(r, tuple) else _halved(r)

        return run

    return decorate


def _halved(x: Array) -> Array:
    return x.astype(np.float16) if x.dtype == np.float32 else x


def adjoint(x: Array) -> Array:
    """The conjugate transpose of each matrix."""
    return x.swapaxes(-1, -2).conj()


def plain(x: Any) -> Array:
    """An array, also where NumPy gives a scalar, with NumPy's own dtype object."""
    return np.asarray(x)


# -- triangular systems ---------------------------------------------------------------------------

_BLOCK = 16


def solve_triangular(a: Array, b: Array, *, upper: bool, unitriangular: bool) -> Array:
    """X with ``a X = b``, reading one triangle of `a`; a zero on its diagonal gives inf or NaN."""
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    x = np.array(np.broadcast_to(b, (*batch, *b.shape[-2:])))
    if upper:  # the lower system, read from the other end
        a, mirrored = a[..., ::-1, ::-1], x[..., ::-1, :]
        _forward(a, mirrored, unitriangular)
    else:
        _forward(a, x, unitriangular)
    return x


def _forward(a: Array, x: Array, unit: bool) -> None:
    """Forward substitution in place: halves, so that most of the work is matrix products."""
    n = a.shape[-1]
    if n <= _BLOCK:
        for i in range(n):
            row = x[..., i, :]
            if i:
                row -= (a[..., i, None, :i] @ x[..., :i, :])[..., 0, :]
            if not unit:
                row /= a[..., i, i, None]
        return
    h = n // 2
    _forward(a[..., :h, :h], x[..., :h, :], unit)
    x[..., h:, :] -= a[..., h:, :h] @ x[..., :h, :]
    _forward(a[..., h:, h:], x[..., h:, :], unit)


# -- LU -------------------------------------------------------------------------------------------


def lu_factor(x: Array, *, pivot: bool) -> tuple[Array, Array, Array]:
    """Packed factors, LAPACK's pivots (from 1), and for each matrix the first zero pivot (or 0)."""
    *batch, m, n = x.shape
    lu = np.array(x).reshape(math.prod(batch), m, n)
    k = min(m, n)
    which = np.arange(len(lu))
    pivots = np.tile(np.arange(1, k + 1, dtype=np.int32), (len(lu), 1))
    info = np.zeros(len(lu), np.int32)
    for j in range(k):
        if pivot:
            column: Any = lu[:, j:, j]
            # LAPACK compares |re| + |im|.
            size = abs(column.real) + abs(column.imag) if lu.dtype.kind == "c" else abs(column)
            best = size.argmax(1) + j
            pivots[:, j] = best + 1
            lu[which, j], lu[which, best] = lu[which, best], lu[which, j]
        d = lu[:, j, j]
        info[(d == 0) & (info == 0)] = j + 1
        lu[:, j + 1 :, j] /= np.where(d == 0, 1, d)[:, None]
        lu[:, j + 1 :, j + 1 :] -= lu[:, j + 1 :, j, None] * lu[:, j, None, j + 1 :]
    return lu.reshape(x.shape), pivots.reshape(*batch, k), info.reshape(batch)


def permutation(pivots: Array, *, size: int) -> Array:
    """The order of rows that swapping row i with row ``pivots[i] - 1`` in turn leads to."""
    *batch, k = pivots.shape
    swaps = pivots.reshape(math.prod(batch), k).astype(np.int64) - 1
    order = np.tile(np.arange(size), (len(swaps), 1))
    which = np.arange(len(swaps))
    for i in range(k):
        j = swaps[:, i]
        order[which, i], order[which, j] = order[which, j], order[which, i]
    return order.reshape(*batch, size)


# -- positive definiteness ------------------------------------------------------------------------


def bad_minor(x: Array, *, is_upper: bool) -> Array:
    """For each matrix 0, or the order of its first leading minor that is not positive."""
    info = np.zeros(x.shape[:-2], np.int32)
    for at in np.ndindex(*info.shape):
        info[at] = _first_bad_minor(x[at], is_upper)
    return info


def _factors(a: Array, is_upper: bool) -> bool:
    try:
        np.linalg.cholesky(a, upper=is_upper)
    except np.linalg.LinAlgError:
        return False
    return True


def _first_bad_minor(a: Array, is_upper: bool) -> int:
    if _factors(a, is_upper):
        return 0
    low, high = 0, len(a)  # minors up to `low` are positive, that of order `high` is not
    while high - low > 1:
        middle = (low + high) // 2
        if _factors(a[:middle, :middle], is_upper):
            low = middle
        else:
            high = middle
    return high


# -- cofactors, the exponential -------------------------------------------------------------------


def cofactor(x: Array) -> Array:
    """The matrix of cofactors, ``det(x) inv(x)^T`` where x is invertible.

    From the singular value decomposition: ``det(U V) U diag(products of the other s) V``, right for
    matrices of any rank.
    """
    u, s, vh = np.linalg.svd(x)
    n = s.shape[-1]
    before = np.ones_like(s)
    after = np.ones_like(s)
    for i in range(1, n):
        before[..., i] = before[..., i - 1] * s[..., i - 1]
        after[..., n - 1 - i] = after[..., n - i] * s[..., n - i]
    sign = np.linalg.det(u) * np.linalg.det(vh)
    others = (before * after)[..., None, :]
    return (sign[..., None, None] * ((u * others) @ vh).conj()).astype(x.dtype, copy=False)


#: Coefficients of the Padé approximant of order 13 and the norm up to which it is exact in double
#: precision (Higham, "The scaling and squaring method for the matrix exponential revisited").
_PADE = (
    64764752532480000.0, 32382376266240000.0, 7771770303897600.0, 1187353796428800.0,
    129060195264000.0, 10559470521600.0, 670442572800.0, 33522128640.0, 1323241920.0, 40840800.0,
    960960.0, 16380.0, 182.0, 1.0,
)  # fmt: skip
_PADE_RADIUS = 5.371920351148152


def matrix_exp(x: Array) -> Array:
    """The exponential by scaling and squaring."""
    n = x.shape[-1]
    if x.size == 0:
        return x.copy()
    flat = x.reshape(-1, n, n)
    wide: Any = flat.astype(np.complex128 if x.dtype.kind == "c" else np.float64)
    size = abs(wide).sum(1).max(1)
    finite = np.isfinite(size)
    ratio = np.where(finite & (size > _PADE_RADIUS), size / _PADE_RADIUS, 1.0)
    squarings = np.ceil(np.log2(ratio)).astype(int)
    a = wide / (2.0**squarings)[:, None, None]
    a[~finite] = 0
    b, eye = _PADE, np.eye(n)
    a2 = a @ a
    a4 = a2 @ a2
    a6 = a4 @ a2
    odd = a @ (
        a6 @ (b[13] * a6 + b[11] * a4 + b[9] * a2) + b[7] * a6 + b[5] * a4 + b[3] * a2 + b[1] * eye
    )
    even = a6 @ (b[12] * a6 + b[10] * a4 + b[8] * a2) + b[6] * a6 + b[4] * a4 + b[2] * a2
    even = even + b[0] * eye
    r = np.linalg.solve(even - odd, even + odd)
    for i in range(squarings.max(initial=0)):
        again = squarings > i
        r[again] = r[again] @ r[again]
    r[~finite] = np.nan
    return r.astype(x.dtype).reshape(x.shape)
