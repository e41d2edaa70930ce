"""QR factors as LAPACK keeps them: products of Householder reflectors ``1 - tau v v^H``.

The vectors v stand below the diagonal of a matrix; their first element is 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import return_types
from ..tensor import Tensor, wrap
from . import elementwise as E, matrix_parts as P, view as V
from .export import check_tensor, public
from .matrices import check_matrix, check_same_dtype
from .products import matmul
from .reduce import sum as sum_


def _part(x: Tensor, rows: slice, columns: slice) -> Tensor:
    return V.slice_(x, index=(*(slice(None),) * (x.ndim - 2), rows, columns))


def _reflect(v: Tensor, tau: Tensor, x: Tensor) -> Tensor:
    """The columns of `x` reflected; `tau` has one element for each matrix, in (..., 1, 1)."""
    return x - tau * matmul(v, matmul(P.adjoint(v), x))


def _reflector(column: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """v, tau and beta, with a reflection that turns `column` into beta times the first unit."""
    end = column._data.shape[-2]
    first, below = (
        _part(column, slice(0, 1), slice(None)),
        _part(column, slice(1, end), slice(None)),
    )
    size = sum_(E.square(E.abs(below)), -2, True)
    none = E.eq(size, 0)  # what is below is 0 already
    if first.is_complex():
        none = E.logical_and(none, E.eq(E.imag_part(first), 0))
    # No root of 0 and no division by it, even where their results are not taken.
    length = E.sqrt(E.where(none, 1.0, E.square(E.abs(first)) + size))
    beta = -E.copysign(length, E.real(first))
    beta = E.to_dtype(beta, first._data.dtype)
    tau = E.where(none, E.fill(first, 0), (beta - first) / beta)
    tail = below / E.where(none, 1.0, first - beta)
    v = V.cat(E.fill(first, 1), tail, dim=column.ndim - 2)
    return v, tau, E.where(none, first, beta)


def _factored(x: Tensor) -> tuple[Tensor, list[Tensor]]:
    """R, with the vectors below it, and the numbers tau."""
    m, n = x._data.shape[-2:]
    done: list[tuple[Tensor, Tensor]] = []  # a column from the diagonal down, the row right of it
    taus = []
    for _ in range(min(m, n)):
        column = _part(x, slice(None), slice(0, 1))
        v, tau, beta = _reflector(column)
        rest = _part(x, slice(None), slice(1, x._data.shape[-1]))
        rest = _reflect(v, E.conj(tau), rest)
        below = _part(v, slice(1, v._data.shape[-2]), slice(None))
        done.append((V.cat(beta, below, dim=x.ndim - 2), _part(rest, slice(0, 1), slice(None))))
        taus.append(tau)
        x = _part(rest, slice(1, rest._data.shape[-2]), slice(None))
    for column, row in reversed(done):
        x = V.cat(column, V.cat(row, x, dim=x.ndim - 2), dim=x.ndim - 1)
    return x, taus


@public(out=True)
def geqrf(input: Tensor) -> Any:
    """R, with the vectors of the reflectors whose product is Q below it, and their numbers tau.

    Args:
        input: matrices, (..., m, n).

    Returns:
        ``a``, (..., m, n), and ``tau``, (..., min(m, n)): what `linalg.householder_product` and
        `ormqr` take.

    Raises:
        RuntimeError: fewer than two dimensions.
        NotImplementedError: not a floating-point or complex dtype.

    >>> import numbagrad as ng
    >>> ng.geqrf(ng.tensor([[3.0], [4.0]]))
    numbagrad.return_types.geqrf(
    a=tensor([[-5.0000],
            [ 0.5000]]),
    tau=tensor([1.6000]))
    """
    x = check_matrix("geqrf", input, "input", refusal=NotImplementedError)
    a, taus = _factored(x)
    shape = (*x._data.shape[:-2], len(taus))
    if not taus:
        return return_types.geqrf(V.clone(a), wrap(np.zeros(shape, x._data.dtype)))
    return return_types.geqrf(a, V.reshape(V.cat(*taus, dim=x.ndim - 1), shape))


def _check_tau(name: str, A: Tensor, tau: Any) -> int:
    """The number of reflectors."""
    check_tensor(name, tau, "tau", 2)
    k = tau._data.shape[-1] if tau.ndim else 0
    if A._data.shape[-1] < k:
        raise RuntimeError(
            f"{name}: input.shape[-1] must be greater than or equal to tau.shape[-1]"
        )
    if A.ndim - tau.ndim != 1 or tuple(tau._data.shape[:-1]) != tuple(A._data.shape[:-2]):
        raise RuntimeError(
            f"{name}: Expected tau to have one dimension less than input and its batch, but got "
            f"shapes {tuple(A.shape)} and {tuple(tau.shape)}"
        )
    if tau._data.dtype is not A._data.dtype:
        raise RuntimeError(f"{name}: tau dtype {tau.dtype} does not match input dtype {A.dtype}")
    return k


def _vectors(A: Tensor) -> Tensor:
    """The vectors of the reflectors as columns."""
    diagonal = wrap(np.eye(*A._data.shape[-2:], dtype=bool))
    return E.where(diagonal, 1, P.lower(A, -1))


def _multiplied(A: Tensor, tau: Tensor, k: int, x: Tensor, *, adjoint: bool) -> Tensor:
    """Q x, or Q^H x."""
    if not k:
        return V.clone(x)
    vectors = _vectors(A)
    for i in range(k) if adjoint else range(k - 1, -1, -1):
        v = _part(vectors, slice(None), slice(i, i + 1))
        t = P.rows(V.slice_(tau, index=(*(slice(None),) * (tau.ndim - 1), slice(i, i + 1))))
        x = _reflect(v, E.conj(t) if adjoint else t, x)
    return x


@public("householder_product", namespace="linalg", out=True)
@public("orgqr", out=True)
def householder_product(A: Tensor, tau: Tensor) -> Tensor:
    """The first n columns of the product of Householder reflectors, shape (..., m, n)."""
    name = "linalg.householder_product"
    check_matrix(name, A, "input", refusal=NotImplementedError)
    m, n = A._data.shape[-2:]
    if m < n:
        raise RuntimeError(
            f"{name}: input.shape[-2] must be greater than or equal to input.shape[-1]"
        )
    k = _check_tau(name, A, tau)
    eye = E.where(wrap(np.eye(m, n, dtype=bool)), E.fill(A, 1), E.fill(A, 0))
    return _multiplied(A, tau, k, eye, adjoint=False)


@public(out=True)
def ormqr(
    input: Tensor, tau: Tensor, other: Tensor, left: bool = True, transpose: bool = False
) -> Tensor:
    """Q other, or with `transpose` Q^H other; other Q or other Q^H unless `left`.

    Args:
        input, tau: reflectors as `geqrf` gives them; their product Q is square.
        other: (..., m, n); Q has the extent m, or n unless `left`.

    Raises:
        RuntimeError: shapes or dtypes that do not fit.
    """
    check_matrix("ormqr", input, "input", refusal=NotImplementedError)
    check_same_dtype("ormqr", input, check_matrix("ormqr", other, "other", 3))
    k = _check_tau("ormqr", input, tau)
    if input._data.shape[-2] != other._data.shape[-2 if left else -1]:
        raise RuntimeError(
            f"ormqr: other.shape[{-2 if left else -1}] must be equal to input.shape[-2], but the "
            f"shapes are {tuple(other.shape)} and {tuple(input.shape)}"
        )
    if tuple(input._data.shape[:-2]) != tuple(other._data.shape[:-2]):
        raise RuntimeError(
            "ormqr: Expected batch dimensions of other to be those of input, but got shapes "
            f"{tuple(other.shape)} and {tuple(input.shape)}"
        )
    if left:
        return _multiplied(input, tau, k, other, adjoint=transpose)
    # other Q = (Q^H other^H)^H
    return P.adjoint(_multiplied(input, tau, k, P.adjoint(other), adjoint=not transpose))
