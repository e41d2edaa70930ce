"""Matrices of low rank by random projections (Halko, Martinsson & Tropp, 2009, algorithm 5.1)."""

from __future__ import annotations

from .ops.decompositions import qr, svd
from .ops.export import public
from .ops.matrices import check_matrix
from .ops.matrix_parts import adjoint
from .ops.products import matmul
from .ops.reduce import mean
from .sampling import randn
from .tensor import Tensor


def _basis(A: Tensor, q: int, niter: int) -> Tensor:
    """Orthonormal columns, (..., m, q), that nearly span the columns of `A`."""
    start = randn(A.shape[-1], q, dtype=A.dtype)
    basis = qr(matmul(A, start))[0]
    for _ in range(niter):
        basis = qr(matmul(adjoint(A), basis))[0]
        basis = qr(matmul(A, basis))[0]
    return basis


@public("svd_lowrank", method=False)
def svd_lowrank(
    A: Tensor, q: int | None = 6, niter: int | None = 2, M: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """U, S and V with A (less M) nearly U diag(S) V^H: the q largest singular values.

    Args:
        A: matrices, (..., m, n).
        q: somewhat more than the rank of A.
        niter: how often the projection is refined.
        M: what is subtracted from A first; it broadcasts.

    >>> import numbagrad as ng
    >>> A = ng.outer(ng.tensor([3.0, 4.0]), ng.tensor([0.0, 1.0, 0.0]))
    >>> round(ng.svd_lowrank(A, q=1)[1].item(), 4)
    5.0
    """
    check_matrix("svd_lowrank", A)
    q = 6 if q is None else q
    if M is not None:
        A = A - M
    wide = A.shape[-2] < A.shape[-1]
    if wide:
        A = adjoint(A)
    basis = _basis(A, q, 2 if niter is None else niter)
    u, s, vh = svd(matmul(adjoint(basis), A), full_matrices=False)
    u, v = matmul(basis, u), adjoint(vh)
    return (v, s, u) if wide else (u, s, v)


@public("pca_lowrank", method=False)
def pca_lowrank(
    A: Tensor, q: int | None = None, center: bool = True, niter: int = 2
) -> tuple[Tensor, Tensor, Tensor]:
    """U, S and V of samples (rows) by features, centered unless told: V has the main directions.

    Raises:
        ValueError: `q` is negative or more than there are rows or columns, or a negative `niter`.
    """
    m, n = check_matrix("pca_lowrank", A).shape[-2:]
    if q is None:
        q = min(6, m, n)
    elif not 0 <= q <= min(m, n):
        raise ValueError(
            f"q(={q}) must be non-negative integer and not greater than min(m, n)={min(m, n)}"
        )
    if niter < 0:
        raise ValueError(f"niter(={niter}) must be non-negative integer")
    return svd_lowrank(A - mean(A, -2, True) if center else A, q, niter)
