"""Public functions that solve linear systems: inverses, triangular and LU solves, least squares."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import dtypes, return_types
from ..errors import LinAlgError
from ..tensor import Tensor, wrap
from . import elementwise as E, factor as F, inverses as I, matrix_parts as P, view as V
from .export import check_tensor, public
from .linalg import transpose_last
from .matrices import (
    check_matrix,
    check_same_dtype,
    check_square,
    dropped,
    eye_like,
    is_vector,
)
from .products import matmul
from .reduce import sum as sum_


@public("inv", namespace="linalg", out=True)
@public("inverse", out=True)
def inv(A: Tensor) -> Tensor:
    """The inverse of square matrices, shape (..., n, n).

    Raises:
        LinAlgError: a matrix is singular.
        RuntimeError: the matrices are not square, or not of a floating-point or complex dtype.

    >>> import numbagrad as ng
    >>> ng.linalg.inv(ng.tensor([[2.0, 0.0], [0.0, 4.0]]))
    tensor([[0.5000, 0.0000],
            [0.0000, 0.2500]])
    """
    return I.inverse(check_square("linalg.inv", A))


def _info(A: Tensor) -> Tensor:
    """For each matrix where its LU factorisation meets a zero pivot; 0 if nowhere."""
    return F.lu_factor(A.detach(), pivot=True)[2]


def _where_regular(x: Tensor, info: Tensor) -> Tensor:
    """`x`, with the identity in place of singular matrices."""
    bad = E.ne(P.rows(P.rows(info)), 0)
    return E.where(bad, eye_like(x, x._data.shape[-1]), x)


def _raise_if(name: str, why: str, info: Tensor, check_errors: bool) -> None:
    if check_errors and isinstance(info._data, np.ndarray) and info._data.any():
        raise LinAlgError(f"{name}: {why} (info {int(info._data.max())})")


@public(namespace="linalg", out=True)
def inv_ex(A: Tensor, *, check_errors: bool = False) -> Any:
    """The inverse, and for each matrix 0 or the number of the pivot that is zero.

    A singular matrix has NaN for an inverse; `check_errors` raises LinAlgError instead.
    """
    info = _info(check_square("linalg.inv_ex", A))
    _raise_if("linalg.inv_ex", I.SINGULAR, info, check_errors)
    inverse = I.inverse(_where_regular(A, info))
    return return_types.linalg_inv_ex(_spoilt(inverse, info), info)


def _spoilt(x: Tensor, info: Tensor) -> Tensor:
    bad = E.ne(P.rows(P.rows(info)), 0)
    return E.where(bad, E.number_like(x, np.nan), x)


def _check_solve(name: str, A: Any, B: Any, left: bool) -> tuple[Tensor, Tensor, bool]:
    """The matrices and right-hand sides of a system from the left; B a vector or not."""
    check_square(name, A)
    check_tensor(name, B, "B", 2)
    check_same_dtype(name, A, B)
    vector = is_vector(A, B)
    if vector and not left:
        raise RuntimeError(
            f"{name}: Vector broadcasting of the left hand side is not supported for left=False. "
            "In this case linalg.solve is equivalent to B / A.squeeze(-1)"
        )
    B = P.rows(B) if vector else B
    if B.ndim < 2:
        raise RuntimeError(f"{name}: The input tensor B must have at least 2 dimensions.")
    a, b = A._data.shape, B._data.shape
    if a[-1] != b[-2 if left else -1]:
        raise RuntimeError(
            f"{name}: Incompatible shapes of A and B for the equation "
            f"{'AX = B' if left else 'XA = B'} ({a[-2]}x{a[-1]} and {b[-2]}x{b[-1]})"
        )
    return (A, B, vector) if left else (transpose_last(A), transpose_last(B), vector)


@public(namespace="linalg", out=True)
def solve(A: Tensor, B: Tensor, *, left: bool = True) -> Tensor:
    """X with A X = B (X A = B if not `left`); A of shape (..., n, n), B a matrix or a vector.

    Raises:
        LinAlgError: a matrix is singular.
        RuntimeError: shapes or dtypes do not fit.

    >>> import numbagrad as ng
    >>> ng.linalg.solve(ng.tensor([[2.0, 0.0], [0.0, 4.0]]), ng.ones(2))
    tensor([0.5000, 0.2500])
    """
    a, b, vector = _check_solve("linalg.solve", A, B, left)
    x = I.solve(a, b)
    return dropped(x) if vector else x if left else transpose_last(x)


@public(namespace="linalg", out=True)
def solve_ex(A: Tensor, B: Tensor, *, left: bool = True, check_errors: bool = False) -> Any:
    """The solution, and for each matrix 0 or the number of the pivot that is zero."""
    a, b, vector = _check_solve("linalg.solve_ex", A, B, left)
    info = _info(A)
    _raise_if("linalg.solve_ex", I.SINGULAR, info, check_errors)
    x = _spoilt(I.solve(_where_regular(a, info), b), info)
    x = dropped(x) if vector else x if left else transpose_last(x)
    return return_types.linalg_solve_ex(x, info)


@public(namespace="linalg", out=True)
def solve_triangular(
    A: Tensor, B: Tensor, *, upper: bool, left: bool = True, unitriangular: bool = False
) -> Tensor:
    """X with A X = B (X A = B if not `left`), reading one triangle of A.

    With `unitriangular` the diagonal of A counts as ones. A zero on the diagonal gives inf or NaN.
    """
    name = "linalg.solve_triangular"
    check_same_dtype(
        name, check_square(name, A, refusal=NotImplementedError), check_matrix(name, B, "B", 2)
    )
    a, b = A._data.shape, B._data.shape
    if a[-1] != b[-2 if left else -1]:
        raise RuntimeError(
            f"{name}: Incompatible shapes of A and B for the equation "
            f"{'AX = B' if left else 'XA = B'} ({a[-2]}x{a[-1]} and {b[-2]}x{b[-1]})"
        )
    if left:
        return I.solve_triangular(A, B, is_upper=upper, unit=unitriangular)
    x = I.solve_triangular(
        transpose_last(A), transpose_last(B), is_upper=not upper, unit=unitriangular
    )
    return transpose_last(x)


@public(out=True)
def triangular_solve(
    b: Tensor, A: Tensor, upper: bool = True, transpose: bool = False, unitriangular: bool = False
) -> Any:
    """X with A X = b for a triangular A (or its transpose), and A itself."""
    check_matrix("triangular_solve", b, "b", refusal=NotImplementedError)
    check_square("triangular_solve", A, refusal=NotImplementedError)
    a = transpose_last(A) if transpose else A
    x = I.solve_triangular(a, b, is_upper=upper != transpose, unit=unitriangular)
    return return_types.triangular_solve(x, V.clone(A))


# -- LU -------------------------------------------------------------------------------------------


@public(namespace="linalg", out=True)
def lu_factor_ex(A: Tensor, *, pivot: bool = True, check_errors: bool = False) -> Any:
    """LU factors in one matrix, pivots (from 1), and for each matrix 0 or its zero pivot."""
    lu, pivots, info = F.lu_factor(
        check_matrix("linalg.lu_factor_ex", A, refusal=NotImplementedError), pivot=bool(pivot)
    )
    _raise_if("linalg.lu_factor_ex", "U has a zero on its diagonal", info, check_errors)
    return return_types.linalg_lu_factor_ex(lu, pivots, info)


@public(namespace="linalg", out=True)
def lu_factor(A: Tensor, *, pivot: bool = True) -> Any:
    """LU factors in one matrix, and LAPACK's pivots (from 1).

    Raises:
        LinAlgError: a matrix is singular.
    """
    lu, pivots, info = F.lu_factor(
        check_matrix("linalg.lu_factor", A, refusal=NotImplementedError), pivot=bool(pivot)
    )
    _raise_if(
        "linalg.lu_factor", "U has a zero on its diagonal; lu_solve would divide by it", info, True
    )
    return return_types.linalg_lu_factor(lu, pivots)


@public("lu", out=True)
def _lu(A: Tensor, pivot: bool = True, get_infos: bool = False) -> Any:
    """LU factors in one matrix and pivots; with `get_infos` also where a pivot is zero."""
    lu, pivots, info = F.lu_factor(
        check_matrix("lu", A, refusal=NotImplementedError), pivot=bool(pivot)
    )
    return (lu, pivots, info) if get_infos else (lu, pivots)


def _lower_upper(lu: Tensor) -> tuple[Tensor, Tensor]:
    m, n = lu._data.shape[-2:]
    k = min(m, n)
    low = P.lower(P.head(lu, m, k), -1)
    if m == k:
        low = P.with_diagonal(low, 1)
    else:
        eye = np.eye(m, k, dtype=bool)
        low = E.where(wrap(eye), 1, low)
    return low, P.upper(P.head(lu, k, n))


def _permutation_matrix(lu: Tensor, pivots: Tensor) -> Tensor:
    m = lu._data.shape[-2]
    order = F.permutation(pivots, size=m)
    return F.unpermuted(V.expand_to(eye_like(lu, m), (*order._data.shape, m)), order)


@public(out=True)
def lu_unpack(
    LU_data: Tensor, LU_pivots: Tensor, unpack_data: bool = True, unpack_pivots: bool = True
) -> Any:
    """P, L and U from what `lu_factor` gives; those that are not asked for are empty."""
    if check_tensor("lu_unpack", LU_data, "LU_data").ndim < 2:
        raise RuntimeError(
            "lu_unpack: The input tensor LU_data must have at least 2 dimensions, but it has "
            f"{LU_data.ndim}"
        )
    empty = wrap(np.zeros((0,), LU_data._data.dtype))
    if unpack_pivots and LU_pivots._data.dtype != np.int32:
        raise RuntimeError(
            "torch.lu_unpack: LU_pivots is expected to be a contiguous tensor of torch.int32 dtype."
        )
    p = _permutation_matrix(LU_data, LU_pivots) if unpack_pivots else empty
    low, up = _lower_upper(LU_data) if unpack_data else (empty, empty)
    return return_types.lu_unpack(p, low, up)


@public(namespace="linalg", out=True)
def lu(A: Tensor, *, pivot: bool = True) -> Any:
    """P, L and U with A = P L U; P is empty without pivoting."""
    packed, pivots, _ = F.lu_factor(
        check_matrix("linalg.lu", A, refusal=NotImplementedError), pivot=bool(pivot)
    )
    p = _permutation_matrix(packed, pivots) if pivot else wrap(np.zeros((0,), A._data.dtype))
    return return_types.linalg_lu(p, *_lower_upper(packed))


@public("lu_solve", namespace="linalg", out=True)
def lu_solve(
    LU: Tensor, pivots: Tensor, B: Tensor, *, left: bool = True, adjoint: bool = False
) -> Tensor:
    """X with A X = B (X A = B if not `left`, A^H with `adjoint`) from the factors of A."""
    name = "linalg.lu_solve"
    check_same_dtype(name, check_square(name, LU, "LU"), check_matrix(name, B, "B", 3))
    if pivots._data.dtype != np.int32:
        raise RuntimeError(
            f"{name}: pivots should be a Tensor of scalar type torch.int32. Got {pivots.dtype}"
        )
    a, b = LU._data.shape, B._data.shape
    if a[-1] != b[-2 if left else -1]:
        raise RuntimeError(
            f"{name}: Incompatible shapes of A and B for the equation "
            f"{'AX = B' if left else 'XA = B'} ({a[-2]}x{a[-1]} and {b[-2]}x{b[-1]})"
        )
    if tuple(pivots._data.shape) != tuple(a[:-1]):
        raise RuntimeError(
            f"{name}: Number of pivots per batch should be same as the dimension of the matrix, "
            f"but got pivots of shape {tuple(pivots.shape)} for LU of shape {tuple(LU.shape)}"
        )
    if not left:  # X A = B: A^H X^H = B^H
        return P.adjoint(lu_solve(LU, pivots, P.adjoint(B), adjoint=not adjoint))
    order = F.permutation(pivots, size=a[-1])
    batch = np.broadcast_shapes(tuple(a[:-2]), tuple(b[:-2]))
    order = V.expand_to(order, (*batch, a[-1]))
    B = V.expand_to(B, (*batch, *b[-2:]))
    if not adjoint:
        y = I.solve_triangular(LU, F.permuted(B, order), is_upper=False, unit=True)
        return I.solve_triangular(LU, y, is_upper=True, unit=False)
    h = P.adjoint(LU)
    y = I.solve_triangular(h, B, is_upper=False, unit=False)
    return F.unpermuted(I.solve_triangular(h, y, is_upper=True, unit=True), order)


@public("lu_solve", out=True)
def _lu_solve(b: Tensor, LU_data: Tensor, LU_pivots: Tensor) -> Tensor:
    """X with A X = b from the factors of A."""
    return lu_solve(LU_data, LU_pivots, b)


# -- least squares --------------------------------------------------------------------------------


def tolerances(name: str, A: Tensor, atol: Any, rtol: Any) -> tuple[Any, Any]:
    """(atol, rtol) with PyTorch's defaults: rtol is max(m, n) eps unless only atol is given."""
    for what, value in (("atol", atol), ("rtol", rtol)):
        if isinstance(value, Tensor) and value.is_complex():
            raise RuntimeError(f"{name}: {what} tensor of complex type is not supported.")
    if rtol is None:
        eps = np.finfo(dtypes.real_of(A._data.dtype)).eps
        default = float(eps) * max(A._data.shape[-2:])
        if atol is None:
            rtol = default
        elif isinstance(atol, Tensor):
            rtol = E.where(E.gt(atol, 0), 0.0, E.fill(E.to_floating(atol), default))
        else:
            rtol = 0.0 if atol > 0 else default
    return (0.0 if atol is None else atol), rtol


@public(namespace="linalg", out=True)
def pinv(
    A: Tensor, rcond: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None
) -> Tensor:
    """The Moore-Penrose inverse of matrices, shape (..., m, n) to (..., n, m).

    Singular values up to ``max(atol, rtol * the largest)`` count as zero; `rtol` is
    ``max(m, n) eps`` by default. The derivative is that at constant rank.
    """
    check_matrix("linalg.pinv", A)
    if hermitian:
        check_square("linalg.pinv", A)
    atol, rtol = tolerances("linalg.pinv", A, atol, rcond if rtol is None else rtol)
    return I.pseudo_inverse(A, atol, rtol, hermitian=bool(hermitian))


@public(out=True)
def pinverse(input: Tensor, rcond: float = 1e-15) -> Tensor:
    """The Moore-Penrose inverse; singular values up to `rcond` times the largest count as zero."""
    return pinv(input, rcond)


@public(namespace="linalg", out=True)
def lstsq(A: Tensor, B: Tensor, rcond: float | None = None, *, driver: str | None = None) -> Any:
    """The X of least norm that minimises ||A X - B||, with residuals, ranks and singular values.

    Residuals are given for tall matrices of full rank, ranks for every driver but "gels", singular
    values for "gelsd" and "gelss"; what is not given is empty.
    """
    name = "linalg.lstsq"
    check_matrix(name, A, "input")
    check_tensor(name, B, "other", 2)
    check_same_dtype(name, A, B)
    drivers = ("gels", "gelsy", "gelsd", "gelss")
    driver = "gelsy" if driver is None else driver
    if driver not in drivers:
        raise RuntimeError(f"{name}: parameter `driver` should be one of {drivers}, got {driver}")
    if B.ndim < 1:
        raise RuntimeError(f"{name}: other must have at least 1 dimension.")
    vector = B.ndim == A.ndim - 1 and tuple(B._data.shape) == tuple(A._data.shape[:-1])
    b = P.rows(B) if vector else B
    m, n = A._data.shape[-2:]
    if b.ndim < 2 or b._data.shape[-2] != m:
        raise RuntimeError(
            f"{name}: input.size(-2) should match other.size({'-1' if vector else '-2'})"
        )
    _, rtol = tolerances(name, A, None, rcond)
    x = matmul(I.pseudo_inverse(A, 0.0, rtol, hermitian=False), b)
    constant = A.detach()
    rank = I.matrix_rank(constant, 0.0, rtol, hermitian=False)
    full = not isinstance(rank._data, np.ndarray) or bool((rank._data == n).all())
    residuals = V.slice_(V.reshape(E.abs(x), (x.numel(),)), index=(slice(0, 0),))
    if m > n and full and driver != "gelsy":
        residuals = sum_(E.square(E.abs(matmul(A, x) - b)), -2)
    if driver in ("gelsd", "gelss"):
        values = F.svd(constant, full=False)[1]
    else:
        values = wrap(np.zeros((0,), dtypes.real_of(A._data.dtype)))
    if driver == "gels":
        rank = wrap(np.zeros((0,), np.int64))
    return return_types.linalg_lstsq(dropped(x) if vector else x, residuals, rank, values)


@public(namespace="linalg", out=True)
def tensorinv(A: Tensor, ind: int = 2) -> Tensor:
    """The inverse for `tensordot`: of A seen as a matrix whose rows are its first `ind` dims."""
    check_tensor("linalg.tensorinv", A)
    if ind <= 0:
        raise RuntimeError("Expected a strictly positive integer for 'ind'")
    head, tail = tuple(A._data.shape[:ind]), tuple(A._data.shape[ind:])
    m, n = int(np.prod(head)), int(np.prod(tail))
    if m != n:
        raise RuntimeError(
            "Expected self to satisfy the requirement prod(self.shape[ind:]) == "
            f"prod(self.shape[:ind]), but got {n} != {m}"
        )
    return V.reshape(inv(V.reshape(A, (m, n))), (*tail, *head))


@public(namespace="linalg", out=True)
def tensorsolve(A: Tensor, B: Tensor, dims: Any = None) -> Tensor:
    """X with ``tensordot(A, X, X.ndim) = B``; `dims` of A are moved to its end first."""
    check_tensor("linalg.tensorsolve", A)
    check_tensor("linalg.tensorsolve", B, "B", 2)
    if dims is not None:
        moved = [V.wrap_dim(d, A.ndim) for d in dims]
        A = V.permute(A, dims=(*(d for d in range(A.ndim) if d not in moved), *moved))
    shape = tuple(A._data.shape[B.ndim :])
    n = int(np.prod(shape))
    if n != B.numel():
        raise RuntimeError(
            "Expected self to satisfy the requirement prod(self.shape[other.ndim:]) == "
            f"prod(self.shape[:other.ndim]), but got {n} != {B.numel()}"
        )
    x = solve(V.reshape(A, (B.numel(), n)), V.reshape(B, (B.numel(),)))
    return V.reshape(x, shape)
