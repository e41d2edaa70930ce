"""Public factorisations, determinants and functions of matrices."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import dtypes, return_types
from ..errors import LinAlgError
from ..tensor import Tensor, wrap
from . import elementwise as E, factor as F, inverses as I, matrix_parts as P, view as V
from .diagonals import diagonal as _diagonal
from .export import check_tensor, public
from .matrices import check_matrix, check_square, eye_like
from .products import cross as _cross, matmul
from .reduce import cumprod, sum as sum_
from .solutions import inv

# -- determinants ---------------------------------------------------------------------------------


@public("det", namespace="linalg", out=True)
@public("det")
def det(A: Tensor) -> Tensor:
    """The determinant of square matrices, shape (..., n, n) to (...).

    >>> import numbagrad as ng
    >>> ng.linalg.det(ng.tensor([[2.0, 1.0], [0.0, 3.0]]))
    tensor(6.)
    """
    return I.determinant(check_square("linalg.det", A))


@public("slogdet", namespace="linalg", out=True)
def slogdet(A: Tensor) -> Any:
    """Sign (of absolute value 1 if complex) and log of the absolute value of the determinant."""
    return return_types.linalg_slogdet(*I.slogdet(check_square("linalg.slogdet", A)))


@public("slogdet", out=True)
def _slogdet(input: Tensor) -> Any:
    """Sign and logarithm of the absolute value of the determinant."""
    return return_types.slogdet(*I.slogdet(check_square("linalg.slogdet", input)))


@public()
def logdet(input: Tensor) -> Tensor:
    """The logarithm of the determinant; -inf where it is 0, NaN where it is negative."""
    sign, logabs = I.slogdet(check_square("logdet", input))
    if input.is_complex():
        return E.log(sign) + logabs
    return E.where(E.lt(sign, 0), E.number_like(logabs, np.nan), logabs)


# -- Cholesky -------------------------------------------------------------------------------------


@public(namespace="linalg", out=True)
def cholesky(A: Tensor, *, upper: bool = False) -> Tensor:
    """L with A = L L^H (or its adjoint, `upper`), for positive definite A; reads one triangle.

    Raises:
        LinAlgError: a matrix is not positive definite.

    >>> import numbagrad as ng
    >>> ng.linalg.cholesky(ng.tensor([[4.0, 2.0], [2.0, 2.0]]))
    tensor([[2., 0.],
            [1., 1.]])
    """
    check_square("linalg.cholesky", A)
    return F.cholesky(A, is_upper=bool(upper))


@public("cholesky", out=True)
def _cholesky(input: Tensor, upper: bool = False) -> Tensor:
    """The Cholesky factor of positive definite matrices, the lower one unless `upper`."""
    return cholesky(check_square("cholesky", input, refusal=NotImplementedError), upper=upper)


@public(namespace="linalg", out=True)
def cholesky_ex(A: Tensor, *, upper: bool = False, check_errors: bool = False) -> Any:
    """The Cholesky factor, and for each matrix 0 or the order of its first minor that is not
    positive; such a matrix has a factor of NaNs, or raises LinAlgError with `check_errors`."""
    check_square("linalg.cholesky_ex", A)
    info = F.bad_minor(A.detach(), is_upper=bool(upper))
    if check_errors and isinstance(info._data, np.ndarray) and info._data.any():
        raise LinAlgError(
            "linalg.cholesky_ex: The factorization could not be completed because the input is not "
            f"positive-definite (the leading minor of order {info._data.max()} is not "
            "positive-definite)."
        )
    bad = P.rows(P.rows(E.ne(info, 0)))
    safe = E.where(bad, eye_like(A, A._data.shape[-1]), A)
    factor = E.where(bad, E.number_like(A, np.nan), cholesky(safe, upper=upper))
    return return_types.linalg_cholesky_ex(factor, info)


@public(out=True)
def cholesky_solve(input: Tensor, L: Tensor, upper: bool = False) -> Tensor:
    """X with A X = input, from the Cholesky factor of A."""
    check_matrix("cholesky_solve", input, "b", refusal=NotImplementedError)
    check_square("cholesky_solve", L, "A", refusal=NotImplementedError)
    low = P.adjoint(L) if upper else L
    # One triangle is read, but the gradient is that of a full matrix, as in PyTorch.
    low = low - P.upper(low, 1).detach()
    return I.solve(P.adjoint(low), I.solve(low, input))


@public(out=True)
def cholesky_inverse(L: Tensor, upper: bool = False) -> Tensor:
    """The inverse of A, from its Cholesky factor."""
    check_square("cholesky_inverse", L, refusal=NotImplementedError)
    shape = tuple(L._data.shape)
    return cholesky_solve(V.expand_to(eye_like(L, shape[-1]), shape), L, upper)


# -- orthogonal factors, eigenvalues, singular values ---------------------------------------------


@public(namespace="linalg", out=True)
def qr(A: Tensor, mode: str = "reduced") -> Any:
    """Q with orthonormal columns and upper triangular R with A = Q R.

    `mode` "complete" gives a square Q, "r" an empty one (and no derivative).
    """
    check_matrix("linalg.qr", A)
    if mode not in ("reduced", "complete", "r"):
        raise RuntimeError(
            f"qr received unrecognized mode '{mode}' but expected one of 'reduced' (default), 'r', "
            "or 'complete'"
        )
    if mode == "r":
        if A.requires_grad:
            raise RuntimeError(
                "The derivative of linalg.qr depends on Q, which is not computed when mode='r'. "
                "Please use linalg.qr(A, mode='reduced') if you are going to use it in autograd."
            )
        q = wrap(np.zeros((0,), A._data.dtype))
        return return_types.linalg_qr(q, F.qr(A, complete=False)[1])
    return return_types.linalg_qr(*F.qr(A, complete=mode == "complete"))


@public("qr", out=True)
def _qr(input: Tensor, some: bool = True) -> Any:
    """Q and R with input = Q R; square Q if not `some`."""
    return return_types.qr(*qr(input, "reduced" if some else "complete"))


def _check_uplo(UPLO: str) -> str:
    if UPLO.upper() not in ("L", "U"):
        raise RuntimeError(f"linalg.eigh: Expected UPLO argument to be 'L' or 'U', but got {UPLO}")
    return UPLO.upper()


@public(namespace="linalg", out=True)
def eigh(A: Tensor, UPLO: str = "L") -> Any:
    """Eigenvalues, ascending, and eigenvectors of Hermitian matrices; reads one triangle.

    The gradient is that on Hermitian matrices. That of the vectors is infinite where eigenvalues
    repeat.
    """
    check_square("linalg.eigh", A, refusal=NotImplementedError)
    return return_types.linalg_eigh(*F.eigh(A, uplo=_check_uplo(UPLO)))


@public(namespace="linalg", out=True)
def eigvalsh(A: Tensor, UPLO: str = "L") -> Tensor:
    """The eigenvalues of Hermitian matrices, ascending."""
    check_square("linalg.eigvalsh", A, refusal=NotImplementedError)
    return F.eigh(A, uplo=_check_uplo(UPLO))[0]


@public(namespace="linalg", out=True)
def eig(A: Tensor) -> Any:
    """Eigenvalues and eigenvectors of square matrices; complex, in no order."""
    return return_types.linalg_eig(*F.eig(_finite("linalg.eig", check_square("linalg.eig", A))))


@public(namespace="linalg", out=True)
def eigvals(A: Tensor) -> Tensor:
    """The eigenvalues of square matrices; complex, in no order."""
    return F.eig(_finite("linalg.eigvals", check_square("linalg.eigvals", A)))[0]


def _finite(name: str, A: Tensor) -> Tensor:
    if isinstance(A._data, np.ndarray) and not np.isfinite(A._data).all():
        raise RuntimeError(f"{name}: input tensor should not contain infs or NaNs.")
    return A


@public(namespace="linalg", out=True)
def svd(A: Tensor, full_matrices: bool = True, *, driver: str | None = None) -> Any:
    """U, S (descending) and Vh with A = U diag(S) Vh; U and Vh are square with `full_matrices`.

    `driver` is for CUDA, and refused. The gradient of U and Vh is infinite where singular values
    repeat.

    >>> import numbagrad as ng
    >>> ng.linalg.svd(ng.tensor([[0.0, 2.0], [3.0, 0.0]])).S
    tensor([3., 2.])
    """
    check_matrix("linalg.svd", A)
    _no_driver(driver)
    return return_types.linalg_svd(*F.svd(A, full=bool(full_matrices)))


def _no_driver(driver: str | None) -> None:
    if driver is not None:
        raise RuntimeError(
            "linalg.svd: keyword argument `driver=` is only supported on CUDA inputs with cuSOLVER "
            "backend."
        )


@public(namespace="linalg", out=True)
def svdvals(A: Tensor, *, driver: str | None = None) -> Tensor:
    """The singular values, descending."""
    check_matrix("linalg.svdvals", A)
    _no_driver(driver)
    return F.svd(A, full=False)[1]


@public("svd", out=True)
def _svd(input: Tensor, some: bool = True, compute_uv: bool = True) -> Any:
    """U, S and V with input = U diag(S) V^H; zeros for U and V if not `compute_uv`."""
    check_matrix("linalg.svd", input, "input")
    if not compute_uv:
        *batch, m, n = input._data.shape
        d = input._data.dtype
        u, v = wrap(np.zeros((*batch, m, m), d)), wrap(np.zeros((*batch, n, n), d))
        return return_types.svd(u, svdvals(input), v)
    u, s, vh = F.svd(input, full=not some)
    return return_types.svd(u, s, P.adjoint(vh))


# -- functions of matrices ------------------------------------------------------------------------


@public("matrix_power", namespace="linalg", out=True)
@public("matrix_power", out=True)
def matrix_power(A: Tensor, n: int) -> Tensor:
    """The n-th power of square matrices, of the inverse for negative n."""
    check_tensor("linalg.matrix_power", A)
    if A.ndim < 2 or A._data.shape[-1] != A._data.shape[-2]:
        raise RuntimeError(
            "linalg.matrix_power: A must be batches of square matrices, but they are of shape "
            f"{tuple(A.shape)}"
        )
    if n == 0:
        return E.where(P.identity(A._data.shape[-1]), E.fill(A, 1), E.fill(A, 0))
    if n < 0:
        A, n = inv(A), -n
    result, square = None, A
    while True:
        if n & 1:
            result = square if result is None else matmul(result, square)
        n >>= 1
        if not n:
            break
        square = matmul(square, square)
    assert result is not None
    return V.clone(result) if result is A else result


@public("matrix_exp", namespace="linalg")
@public("matrix_exp")
def matrix_exp(A: Tensor) -> Tensor:
    """The exponential of square matrices, sum(A^k / k!)."""
    return F.matrix_exp(check_square("linalg.matrix_exp", A))


@public(namespace="linalg", out=True)
def multi_dot(tensors: Sequence[Tensor]) -> Tensor:
    """The product of two or more matrices in the order that costs least; vectors at the ends."""
    xs = list(tensors)
    if len(xs) < 2:
        raise RuntimeError("multi_dot(): expected at least 2 tensors but got " + str(len(xs)))
    for i, x in enumerate(xs):
        check_tensor("linalg.multi_dot", x, "tensors")
        ends = (1, 2) if i in (0, len(xs) - 1) else (2,)
        if x.ndim not in ends:
            raise RuntimeError(
                f"multi_dot(): tensor {i} must be {' or '.join(f'{d}D' for d in ends)} but got "
                f"{x.ndim}D"
            )
        if x._data.dtype is not xs[0]._data.dtype:
            raise RuntimeError(
                "multi_dot(): all tensors must have be the same dtype but tensor 0 is "
                f"{xs[0].dtype} and tensor {i} {x.dtype}"
            )
    row, column = xs[0].ndim == 1, xs[-1].ndim == 1
    if row:
        xs[0] = P.columns(xs[0]) if xs[0].ndim > 1 else V.slice_(xs[0], index=(None,))
    if column:
        xs[-1] = P.rows(xs[-1])
    extents = [xs[0]._data.shape[0], *(x._data.shape[1] for x in xs)]
    for i, (x, y) in enumerate(itertools.pairwise(xs)):
        if x._data.shape[1] != y._data.shape[0]:
            raise RuntimeError(
                f"multi_dot(): tensors {i} and {i + 1} with shapes {list(x.shape)} and "
                f"{list(y.shape)} cannot be multiplied"
            )
    result = _chain(xs, 0, len(xs) - 1, _splits(extents))
    if column:
        result = V.slice_(result, index=(slice(None), 0))
    return V.slice_(result, index=(0,)) if row else result


def _splits(p: list[int]) -> dict[tuple[int, int], int]:
    """Where to split each part of a chain of matrices of extents p[i] x p[i + 1]."""
    n = len(p) - 1
    cost: dict[tuple[int, int], int] = {(i, i): 0 for i in range(n)}
    split: dict[tuple[int, int], int] = {}
    for length in range(1, n):
        for i in range(n - length):
            j = i + length
            cost[i, j], split[i, j] = min(
                (cost[i, k] + cost[k + 1, j] + p[i] * p[k + 1] * p[j + 1], k) for k in range(i, j)
            )
    return split


def _chain(xs: list[Tensor], i: int, j: int, split: dict[tuple[int, int], int]) -> Tensor:
    if i == j:
        return xs[i]
    k = split[i, j]
    return matmul(_chain(xs, i, k, split), _chain(xs, k + 1, j, split))


public("chain_matmul", method=False)(lambda *matrices: multi_dot(matrices))


# -- vectors --------------------------------------------------------------------------------------


@public(namespace="linalg", out=True)
def vander(x: Tensor, *, N: int | None = None) -> Tensor:
    """Powers 0 to N - 1 of each element along a new last dimension."""
    check_tensor("linalg.vander", x, "x", kinds="iufc", refusal=RuntimeError)
    x = P.rows(x) if x.ndim == 0 else x
    n = x._data.shape[-1] if N is None else N
    if n <= 1:
        raise RuntimeError("N must be greater than 1.")
    x = E.to_dtype(x, dtypes.I64) if x._data.dtype.kind in "biu" else x
    powers = V.expand_to(P.rows(x), (*x._data.shape, n - 1))
    ones = E.fill(P.rows(x), 1)
    return V.cat(ones, cumprod(powers, -1), dim=x.ndim)


@public(namespace="linalg", out=True)
def vecdot(x: Tensor, y: Tensor, *, dim: int = -1) -> Tensor:
    """The sum of conj(x) * y along a dimension; the shapes broadcast."""
    check_tensor("linalg.vecdot", x, "x", kinds="fc", refusal=RuntimeError)
    check_tensor("linalg.vecdot", y, "y", 2)
    if x._data.dtype is not y._data.dtype:
        raise RuntimeError(
            f"linalg.vecdot: Expected x and y to have the same dtype, but got {x.dtype}, {y.dtype}"
        )
    x, y = V.broadcast_all(x, y)
    return sum_(E.conj(x) * y, dim)


@public(namespace="linalg", out=True)
def cross(input: Tensor, other: Tensor, *, dim: int = -1) -> Tensor:
    """The cross product along a dimension of extent 3; the shapes broadcast."""
    if check_tensor("linalg.cross", input).ndim != check_tensor("linalg.cross", other).ndim:
        raise RuntimeError("linalg.cross: inputs must have the same number of dimensions.")
    d = V.wrap_dim(dim, input.ndim)
    if input._data.shape[d] != 3 or other._data.shape[d] != 3:
        raise RuntimeError(
            f"linalg.cross: inputs dimension {dim} must have length 3. Got {input.shape[d]} and "
            f"{other.shape[d]}"
        )
    return _cross(input, other, dim)


@public(namespace="linalg")
def diagonal(A: Tensor, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """A view of the diagonals of matrices."""
    return _diagonal(A, offset, dim1, dim2)


public("matmul", namespace="linalg", out=True)(matmul)
