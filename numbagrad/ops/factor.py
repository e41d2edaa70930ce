"""Primitives of linear algebra: factorisations, and the exponential; with their derivatives.

A rule is the adjoint of the differential of the factorisation; each names its source:

* [Giles] M. Giles, "Collected matrix derivative results for forward and reverse mode algorithmic
  differentiation", 2008;
* [Murray] I. Murray, "Differentiation of the Cholesky decomposition", 2016;
* [Walter] S. Walter and L. Lehmann, "Algorithmic differentiation of linear algebra functions with
  application in optimum experimental design", 2010;
* [Boeddeker] C. Boeddeker et al., "On the computation of complex-valued gradients with application
  to statistically optimum beamforming", 2017;
* [Golub] G. Golub and V. Pereyra, "The differentiation of pseudo-inverses and nonlinear least
  squares problems whose variables separate", 1973.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import dtypes
from ..tensor import Tensor, wrap
from . import elementwise as E, lapack, view as V
from .gather import gather_, sort_order
from .inverses import solve, solve_triangular
from .linalg import matmul
from .matrix_parts import (
    SHAPES,
    adjoint,
    batch_each,
    columns,
    columns_from,
    head,
    identity,
    lower,
    main_diagonal,
    rows,
    rows_from,
    same_shape,
    square_samples,
    upper,
    with_diagonal,
)
from .registry import call, primitive
from .view import cat

_int32 = dtypes.int32.np


def _hermitian(x: Tensor) -> tuple[Tensor, ...]:
    return (x + adjoint(x),)


def _definite(x: Tensor) -> tuple[Tensor, ...]:
    eye = E.to_dtype(identity(x._data.shape[-1]), x._data.dtype)
    return (matmul(x, adjoint(x)) + eye,)


def _phaseless(*outs: Tensor) -> tuple[Tensor, ...]:
    """What does not depend on the phase of vectors: their elements' absolute values."""
    return tuple(map(E.abs, outs))


def _phase_free(name: str, what: str, imaginary: Tensor | None) -> None:
    """Raise if a function of complex vectors depends on their phases, which nothing defines."""
    if imaginary is None or not isinstance(imaginary._data, np.ndarray):
        return
    data = imaginary._data
    tolerance = 1e-2 if data.dtype == np.float32 else 1e-5
    if abs(data).max(initial=0) > tolerance:
        raise RuntimeError(
            f"{name}_backward: The {what} in the complex case are specified up to multiplication "
            "by e^{i phi}. The specified loss function depends on this quantity, so it is "
            "ill-defined."
        )


def _cholesky_grad(g: Tensor, out: Tensor, is_upper: bool) -> Tensor:
    # gA = L^-H phi(L^H gL) L^-1, phi: the lower triangle, half the diagonal [Murray 2.3].
    u, gl = (out, adjoint(g)) if is_upper else (adjoint(out), g)
    phi = lower(matmul(u, gl))
    phi = (phi + adjoint(lower(phi, -1))) * 0.5
    half = solve_triangular(u, phi, is_upper=True, unit=False)
    return adjoint(solve_triangular(u, adjoint(half), is_upper=True, unit=False))


def _cholesky(x: Any, *, is_upper: bool) -> Any:
    return np.linalg.cholesky(x, upper=is_upper)


cholesky = primitive(
    "linalg_cholesky",
    lapack.checked("cholesky", "The factorization could not be completed because the input is not "
                   "positive-definite.")(_cholesky),
    lambda x, is_upper: same_shape(x), kinds="fc", batch=batch_each, grad=_cholesky_grad,
    checked=lambda x, is_upper: cholesky(*_definite(x), is_upper=is_upper),
    samples=lambda make: [
        call(*_definite(make(*shape)), is_upper=len(shape) == 2) for shape in ((3, 3), (2, 2, 2))],
    doc="A triangular factor of positive definite matrices, of which the same triangle is read.",
)  # fmt: skip


bad_minor = primitive(
    "linalg_bad_minor", lapack.checked("cholesky_ex", "")(lapack.bad_minor),
    lambda x, is_upper: (tuple(x.shape[:-2]), _int32), kinds="fc", batch=batch_each,
    samples=lambda make: [call(make(2, 3, 3), is_upper=False), call(make(2, 2), is_upper=True)],
    doc="0, or the order of the first leading minor that is not positive.",
)  # fmt: skip


def _qr_shape(x: Any, *, complete: bool) -> Any:
    *batch, m, n = x.shape
    k = m if complete else min(m, n)
    return [((*batch, m, k), x.dtype), ((*batch, k, n), x.dtype)]


def _qr(x: Any, *, complete: bool) -> Any:
    return tuple(np.linalg.qr(x, "complete" if complete else "reduced"))


def _qr_square(gq: Tensor | None, gr: Tensor | None, q: Tensor, r: Tensor) -> Tensor:
    # gA = (gQ + Q sym(R gR^H - gQ^H Q)) R^-H, sym: its lower triangle, mirrored [Walter 3.1].
    inner = None
    if gr is not None:
        inner = matmul(r, adjoint(gr))
    if gq is not None:
        term = matmul(adjoint(gq), q)
        inner = -term if inner is None else inner - term
    assert inner is not None
    low = lower(inner, -1)
    inner = with_diagonal(low + adjoint(low), E.real(main_diagonal(inner)))
    total = matmul(q, inner)
    total = total if gq is None else gq + total
    return adjoint(solve_triangular(r, adjoint(total), is_upper=True, unit=False))


def _qr_grad(g: Any, x: Tensor, q: Tensor, r: Tensor, complete: bool) -> Tensor:
    gq, gr = g
    m, n = x._data.shape[-2:]
    if complete and m > n:
        raise RuntimeError(
            "The QR decomposition is not differentiable when mode='complete' and nrows > ncols"
        )
    if m >= n:
        return _qr_square(gq, gr, q, r)
    # A = (X Y), R = (U W): X = Q U, W = Q^H Y.
    y = columns_from(x, m)
    if gr is None:
        g_left = _qr_square(gq, None, q, head(r, m, m))
        return cat(g_left, E.fill(y, 0), dim=x.ndim - 1)
    gw = columns_from(gr, m)
    through = matmul(y, adjoint(gw))
    gq = through if gq is None else gq + through
    g_left = _qr_square(gq, head(gr, m, m), q, head(r, m, m))
    return cat(g_left, matmul(q, gw), dim=x.ndim - 1)


qr = primitive(
    "linalg_qr", lapack.checked("qr", "The factorization failed.")(_qr), _qr_shape,
    kinds="fc", batch=batch_each, outputs=("q", "r"), partial=True, grad=_qr_grad,
    samples=lambda make: [call(make(*s), complete=False) for s in SHAPES]
    if make.layout != "broadcast" else [call(make(2, 1), complete=False)],
    doc="An orthonormal and an upper triangular factor.",
)  # fmt: skip


def _eigh(x: Any, *, uplo: Any) -> Any:
    return tuple(np.linalg.eigh(x, uplo))


def _eigh_grad(g: Any, values: Tensor, vectors: Tensor) -> Tensor:
    # gA = V (skew(V^H gV) / E + diag(gL)) V^H, E_ij = L_j - L_i [Giles 3.1], [Boeddeker 4.2]; the
    # skew-Hermitian part is what moves along the unitary matrices, so that gA is Hermitian.
    gl, gv = g
    vh = adjoint(vectors)
    if gv is None:
        return matmul(vectors * columns(gl), vh)
    inner = matmul(vh, gv)
    if vectors.is_complex():
        _phase_free("linalg_eigh", "eigenvectors", E.imag_part(main_diagonal(inner)))
    gaps = with_diagonal(columns(values) - rows(values), 1)
    inner = (inner - adjoint(inner)) * 0.5 / gaps
    return matmul(matmul(vectors, with_diagonal(inner, 0 if gl is None else gl)), vh)


eigh = primitive(
    "linalg_eigh",
    lapack.checked("eigh", "The algorithm failed to converge because the input matrix is "
                   "ill-conditioned or has too many repeated eigenvalues.")(_eigh),
    lambda x, uplo: [(tuple(x.shape[:-1]), dtypes.real_of(x.dtype)), same_shape(x)],
    kinds="fc", batch=batch_each, outputs=("values", "vectors"), partial=True, grad=_eigh_grad,
    checked=lambda x, uplo: _phaseless(*eigh(*_hermitian(x), uplo=uplo)),
    samples=lambda make: [call(*_hermitian(make(3, 3)), uplo="L")],
    doc="Eigenvalues, ascending, and eigenvectors of Hermitian matrices.",
)  # fmt: skip


def _eig(x: Any) -> Any:
    values, vectors = np.linalg.eig(x)
    c = E.complex_of(x.dtype)
    return values.astype(c, copy=False), vectors.astype(c, copy=False)


def _eig_grad(g: Any, values: Tensor, vectors: Tensor) -> Tensor:
    # gA = V^-H ((V^H gV - V^H V Re diag(V^H gV)) / E + diag(gL)) V^H, E_ij = conj(L_j - L_i)
    # [Boeddeker 4.17], the vectors being of norm 1.
    gl, gv = g
    vh = adjoint(vectors)
    if gv is None:
        inner: Tensor = rows(gl) * vh
    else:
        inner = matmul(vh, gv)
        main = main_diagonal(inner)
        _phase_free("linalg_eig", "eigenvectors", E.imag_part(main))
        inner = inner - matmul(vh, vectors) * columns(E.real(main))
        gaps = with_diagonal(E.conj(columns(values) - rows(values)), 1)
        inner = matmul(with_diagonal(inner / gaps, 0 if gl is None else gl), vh)
    return solve(vh, inner)


eig = primitive(
    "linalg_eig",
    lapack.checked("eig", "The algorithm failed to converge: the input has non-finite values.")(
        _eig),
    lambda x: [(tuple(x.shape[:-1]), E.complex_of(x.dtype)),
               (tuple(x.shape), E.complex_of(x.dtype))],
    kinds="fc", batch=batch_each, outputs=("values", "vectors"), partial=True, grad=_eig_grad,
    checked=lambda x: _phaseless(*eig(x)), samples=square_samples(3, 2),
    doc="Eigenvalues and eigenvectors of square matrices, always complex.",
)  # fmt: skip


def _svd_shape(x: Any, *, full: bool) -> Any:
    *batch, m, n = x.shape
    k = min(m, n)
    return [
        ((*batch, m, m if full else k), x.dtype), ((*batch, k), dtypes.real_of(x.dtype)),
        ((*batch, n if full else k, n), x.dtype),
    ]  # fmt: skip


def _svd(x: Any, *, full: bool) -> Any:
    return tuple(np.linalg.svd(x, full_matrices=full))


def _svd_grad(g: Any, u: Tensor, s: Tensor, vh: Tensor) -> Tensor:
    # gA = U (skew(U^H gU) / E S + S skew(V^H gV) / E + diag(gS)) V^H plus what gU and gV have
    # outside of the ranges of U and V; E_ij = s_j^2 - s_i^2, skew(X) = X - X^H [Giles 3.2],
    # and, for complex matrices, the phase common to U and V.
    gu, gs, gvh = g
    m, n, k = u._data.shape[-2], vh._data.shape[-1], s._data.shape[-1]
    u, vh = head(u, m, k), head(vh, k, n)
    if gu is None and gvh is None:
        return matmul(u * columns(gs), vh)
    gu = None if gu is None else head(gu, m, k)
    gvh = None if gvh is None else head(gvh, k, n)
    gaps = with_diagonal((columns(s) - rows(s)) * (columns(s) + rows(s)), 1)
    inner: Any = 0
    phase: Tensor | None = None
    uh, v = adjoint(u), adjoint(vh)
    if gu is not None:
        ugu = matmul(uh, gu)
        skew = ugu - adjoint(ugu)
        inner = skew / gaps * columns(s)
        if u.is_complex():
            phase = E.imag_part(main_diagonal(ugu))
    vgv = None
    if gvh is not None:
        gv = adjoint(gvh)
        vgv = matmul(vh, gv)
        inner = inner + rows(s) * ((vgv - adjoint(vgv)) / gaps)
    if u.is_complex():
        other = None if vgv is None else E.imag_part(main_diagonal(vgv))
        both = phase if other is None else other if phase is None else phase + other
        _phase_free("svd", "singular vectors", both)
    main: Any = 0 if gs is None else gs
    if phase is not None:
        main = phase / s * 1j + main
    inner = with_diagonal(inner, main)
    total = matmul(u, inner)
    if gu is not None and m > k:
        total = total + (gu - matmul(u, matmul(uh, gu))) / columns(s)
    result = matmul(total, vh)
    if gvh is not None and n > k:
        assert vgv is not None
        outside = gvh - matmul(matmul(gvh, v), vh)
        result = result + matmul(u / columns(s), outside)
    return result


svd = primitive(
    "linalg_svd",
    lapack.checked("svd", "The algorithm failed to converge because the input matrix contained "
                   "non-finite values.")(_svd),
    _svd_shape, kinds="fc", batch=batch_each, outputs=("u", "s", "vh"), partial=True,
    grad=_svd_grad,
    checked=lambda x, full: _phaseless(*svd(x, full=full)),
    samples=lambda make: [call(make(*s), full=False) for s in SHAPES]
    if make.layout != "broadcast" else [call(make(2, 1), full=False)],
    doc="Singular vectors and values, descending.",
)  # fmt: skip


def _lu_shape(x: Any, *, pivot: bool) -> Any:
    *batch, m, n = x.shape
    return [same_shape(x), ((*batch, min(m, n)), _int32), (tuple(batch), _int32)]


def _lu_grad(g: Any, x: Tensor, lu: Tensor, pivots: Tensor) -> Tensor:
    # With A = P L U: gA = P L^-H (tril(L^H gL, -1) + triu(gU U^H)) U^-H, and by blocks where A is
    # not square [Walter 3.2].
    m, n = x._data.shape[-2:]
    k = min(m, n)
    glu = g[0]
    unit, up = head(lu, k, k), head(lu, k, k)
    gl, gu = lower(head(glu, k, k), -1), upper(head(glu, k, k))
    l1 = with_diagonal(lower(unit, -1), 1)
    u1 = upper(up)
    inner_l, inner_u = matmul(adjoint(l1), gl), matmul(gu, adjoint(u1))
    rest = None
    if m > n:
        l2, gl2 = rows_from(lu, k), rows_from(glu, k)
        inner_u = inner_u - matmul(adjoint(l2), gl2)
        rest = adjoint(solve_triangular(u1, adjoint(gl2), is_upper=True, unit=False))
    elif n > m:
        u2, gu2 = columns_from(lu, k), columns_from(glu, k)
        inner_l = inner_l - matmul(gu2, adjoint(u2))
        rest = solve_triangular(adjoint(l1), gu2, is_upper=True, unit=True)
    inner = lower(inner_l, -1) + upper(inner_u)
    inner = solve_triangular(adjoint(l1), inner, is_upper=True, unit=True)
    result = adjoint(solve_triangular(u1, adjoint(inner), is_upper=True, unit=False))
    if rest is not None:
        result = cat(result, rest, dim=x.ndim - (2 if m > n else 1))
    order = permutation(pivots, size=m)
    return unpermuted(result, order)


permutation = primitive(
    "linalg_permutation", lapack.permutation,
    lambda pivots, size: ((*pivots.shape[:-1], size), dtypes.I64), inputs=("pivots",), kinds="i",
    batch=batch_each, samples=lambda make: [call(wrap(np.array([[2, 2]], _int32)), size=3)],
    doc="The order of rows that a sequence of pivots stands for.",
)  # fmt: skip


def permuted(x: Tensor, order: Tensor) -> Tensor:
    """The rows of each matrix in another order."""
    index = V.expand_to(rows(order), tuple(x._data.shape))
    return gather_(x, index, dim=x.ndim - 2)


def unpermuted(x: Tensor, order: Tensor) -> Tensor:
    """The inverse of :func:`permuted`."""
    return permuted(x, sort_order(order, dim=order.ndim - 1, descending=False))


lu_factor = primitive(
    "linalg_lu_factor", lapack.checked("lu_factor", "")(lapack.lu_factor), _lu_shape,
    kinds="fc", batch=batch_each, outputs=("lu", "pivots", "info"), partial=True, grad=_lu_grad,
    samples=lambda make: [call(make(*s), pivot=True) for s in SHAPES]
    if make.layout != "broadcast" else [call(make(2, 1), pivot=True)],
    doc="LU factors in one matrix, the pivots, and where a pivot is zero.",
)  # fmt: skip


def _exp_grad(g: Tensor, x: Tensor) -> Tensor:
    # The upper right block of exp((A^H G; 0 A^H)) is the adjoint of the differential
    # (Higham, "Functions of matrices", 3.16).
    n = x._data.shape[-1]
    a = adjoint(x)
    zero = E.fill(a, 0)
    above = cat(a, g, dim=x.ndim - 1)
    below = cat(zero, a, dim=x.ndim - 1)
    return columns_from(head(matrix_exp(cat(above, below, dim=x.ndim - 2)), n, 2 * n), n)


matrix_exp = primitive(
    "linalg_matrix_exp", lapack.checked("matrix_exp", "")(lapack.matrix_exp), same_shape,
    kinds="fc", batch=batch_each, grad=_exp_grad, samples=square_samples(3, 2),
    doc="The exponential of square matrices.",
)  # fmt: skip
