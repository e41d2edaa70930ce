"""Primitives of linear algebra: inverses, solutions, ranks, determinants; with their derivatives.

Sources of the rules: [Giles] and [Golub], see `factor`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import dtypes
from ..tensor import Tensor
from . import elementwise as E, lapack
from .batching import Batched
from .linalg import matmul, transpose_last
from .matrix_parts import (
    adjoint,
    batch_each,
    batch_matrices,
    lower,
    main_diagonal,
    rows,
    same_shape,
    square_samples,
    upper,
)
from .reduction import sum_
from .registry import broadcast_shapes, call, primitive

# -- solutions ------------------------------------------------------------------------------------


SINGULAR = "The solver failed because the input matrix is singular."


#: d(inv A) = -inv A dA inv A [Giles 2.2.3].
inverse = primitive(
    "linalg_inv", lapack.checked("inv", "The diagonal element is zero, the inversion could not be "
                                 "completed because the input matrix is singular.")(np.linalg.inv),
    same_shape, kinds="fc", batch=batch_each,
    grad=lambda g, out: -matmul(matmul(adjoint(out), g), adjoint(out)),
    samples=lambda make: [call(make(3, 3)), call(make(2, 2, 2)), call(make(0, 0))]
    if make.layout != "broadcast" else [call(make(1, 1))],
    doc="The inverse of square matrices.",
)  # fmt: skip


def _pair_shape(a: Any, b: Any, **_: Any) -> Any:
    batch = broadcast_shapes(a.shape[:-2], b.shape[:-2])
    return (*batch, *b.shape[-2:]), b.dtype


def _solve_samples(make: Any) -> Any:
    if make.layout == "broadcast":
        return [call(make(1, 1), make(1, 2))]
    return [call(make(3, 3), make(3, 2)), call(make(2, 2, 2), make(2, 1))]


#: With X = inv(A) B: gB = inv(A)^H g, gA = -gB X^H [Giles 2.3.1].
solve = primitive(
    "linalg_solve", lapack.checked("solve", SINGULAR)(lambda a, b: np.linalg.solve(a, b)),
    _pair_shape, inputs=("a", "b"), kinds="fc", batch=batch_matrices,
    grad=(
        lambda g, a, out: -matmul(solve(adjoint(a), g), adjoint(out)),
        lambda g, a: solve(adjoint(a), g),
    ),
    samples=_solve_samples,
    doc="X with A X = B.",
)  # fmt: skip


def _triangular_grad(g: Tensor, a: Tensor, out: Tensor, is_upper: bool, unit: bool) -> Tensor:
    gb = solve_triangular(adjoint(a), g, is_upper=not is_upper, unit=unit)
    ga = -matmul(gb, adjoint(out))
    edge = 1 if unit else 0
    return upper(ga, edge) if is_upper else lower(ga, -edge)


#: As `solve`; only what was read of A has a gradient.
solve_triangular = primitive(
    "linalg_solve_triangular",
    lapack.checked("solve_triangular", SINGULAR)(
        lambda a, b, is_upper, unit: lapack.solve_triangular(
            a, b, upper=is_upper, unitriangular=unit)),
    _pair_shape, inputs=("a", "b"), kinds="fc", batch=batch_matrices,
    grad=(
        _triangular_grad,
        lambda g, a, is_upper, unit: solve_triangular(
            adjoint(a), g, is_upper=not is_upper, unit=unit),
    ),
    samples=lambda make: [
        call(*args, is_upper=u, unit=v)
        for args, _ in _solve_samples(make) for u in (True, False) for v in (True, False)],
    doc="X with A X = B, where one triangle of A is read.",
)  # fmt: skip


def _batch_tolerances(call: Batched) -> Any:
    """Of matrices and tolerances that broadcast over what there is of them."""
    rank = max(len(call.shape(0)) - 2, len(call.shape(1)), len(call.shape(2)))
    xs = (call.ranked(0, rank + 2), call.ranked(1, rank), call.ranked(2, rank))
    return call.apply(*xs, **call.params)


def _pinv(x: Any, atol: Any, rtol: Any, *, hermitian: bool) -> Any:
    if hermitian:
        values, v = np.linalg.eigh(x)
        size = abs(values)
        keep = size > _threshold(size, atol, rtol)
        values = np.where(keep, 1 / np.where(keep, values, 1), 0)
        return ((v * values[..., None, :]) @ lapack.adjoint(v)).astype(x.dtype, copy=False)
    u, s, vh = np.linalg.svd(x, full_matrices=False)
    keep = s > _threshold(s, atol, rtol)
    s = np.where(keep, 1 / np.where(keep, s, 1), 0)
    return ((lapack.adjoint(vh) * s[..., None, :]) @ lapack.adjoint(u)).astype(x.dtype, copy=False)


def _threshold(s: Any, atol: Any, rtol: Any) -> Any:
    top = s.max(-1, initial=0)
    return np.maximum(atol, rtol * top)[..., None]


def _pinv_grad(g: Tensor, x: Tensor, out: Tensor) -> Tensor:
    # dP = -P dA P + P P^H dA^H (1 - A P) + (1 - P A) dA^H P^H P [Golub 4.12]; here its adjoint.
    p, ph, gh = out, adjoint(out), adjoint(g)
    first = matmul(gh, matmul(p, ph))
    second = matmul(matmul(ph, p), gh)
    return (
        first - matmul(x, matmul(p, first)) + second - matmul(matmul(second, p), x)
        - matmul(matmul(ph, g), ph)
    )  # fmt: skip


pseudo_inverse = primitive(
    "linalg_pinv",
    lapack.checked("pinv", "The algorithm failed to converge: the input has non-finite values.")(
        _pinv),
    lambda x, atol, rtol, hermitian: (
        (*x.shape[:-2], x.shape[-1], x.shape[-2]), x.dtype),
    inputs=("x", "atol", "rtol"), kinds="fc", batch=_batch_tolerances,
    grad=(_pinv_grad, None, None),
    samples=lambda make: [
        call(make(*shape), 0.0, 1e-6, hermitian=False)
        for shape in (((3, 2), (2, 2, 3)) if make.layout != "broadcast" else ((1, 1),))],
    doc="The Moore-Penrose inverse; singular values up to max(atol, rtol times the largest) are 0.",
)  # fmt: skip


def _rank(x: Any, atol: Any, rtol: Any, *, hermitian: bool) -> Any:
    s = abs(np.linalg.eigvalsh(x)) if hermitian else np.linalg.svd(x, compute_uv=False)
    return lapack.plain((s > _threshold(s, atol, rtol)).sum(-1, dtype=np.int64))


matrix_rank = primitive(
    "linalg_matrix_rank",
    lapack.checked("matrix_rank", "The algorithm failed to converge.")(_rank),
    lambda x, atol, rtol, hermitian: (tuple(x.shape[:-2]), dtypes.I64),
    inputs=("x", "atol", "rtol"), kinds="fc", batch=_batch_tolerances,
    samples=lambda make: [call(make(2, 3, 2), 0.0, 1e-6, hermitian=False)],
    doc="The number of singular values above max(atol, rtol times the largest).",
)  # fmt: skip


# -- determinants ---------------------------------------------------------------------------------


def _cofactor_grad(g: Tensor, x: Tensor) -> Tensor:
    # C = det(A) K with K = inv(A)^T: d det = sum(C * dA) and dK = -K dA^T K.
    k = E.conj(transpose_last(inverse(x)))
    trace = sum_(main_diagonal(matmul(transpose_last(k), g)), dim=(x.ndim - 2,), keepdim=True)
    d = E.conj(determinant(x))
    return rows(rows(d)) * (rows(trace) * k - matmul(matmul(k, transpose_last(g)), k))


cofactor = primitive(
    "linalg_cofactor",
    lapack.checked("det", "The algorithm failed to converge: the input has non-finite values.")(
        lapack.cofactor),
    same_shape, kinds="fc", batch=batch_each, grad=_cofactor_grad, samples=square_samples(2, 3),
    doc="The matrix of cofactors: the gradient of the determinant, at any rank.",
)  # fmt: skip


#: d det = sum(cofactor * dA) (Jacobi) [Giles 2.2.4].
determinant = primitive(
    "linalg_det", lapack.checked("det", "")(lambda x: lapack.plain(np.linalg.det(x))),
    lambda x: (tuple(x.shape[:-2]), x.dtype), kinds="fc", batch=batch_each,
    grad=lambda g, x: rows(rows(g)) * E.conj(cofactor(x)), samples=square_samples(3, 2),
    doc="The determinant of square matrices.",
)  # fmt: skip


def _slogdet(x: Any) -> Any:
    sign, logabs = np.linalg.slogdet(x)
    return lapack.plain(sign), lapack.plain(logabs)


def _slogdet_grad(g: Any, x: Tensor, sign: Tensor) -> Tensor:
    # d log det = tr(inv(A) dA) = t: d logabs = Re t, and d sign = i sign Im t.
    g_sign, g_log = g
    total: Any = None if g_log is None else g_log
    if x.is_complex() and g_sign is not None:
        turned = E.imag_part(E.conj(g_sign) * sign) * -1j
        total = turned if total is None else total + turned
    if total is None:
        return E.fill(x, 0)
    return rows(rows(total)) * adjoint(inverse(x))


slogdet = primitive(
    "linalg_slogdet", lapack.checked("slogdet", "")(_slogdet),
    lambda x: [(tuple(x.shape[:-2]), x.dtype), (tuple(x.shape[:-2]), dtypes.real_of(x.dtype))],
    kinds="fc", batch=batch_each, outputs=("sign", "logabs"), partial=True, grad=_slogdet_grad,
    samples=square_samples(3, 2),
    doc="Sign and logarithm of the absolute value of the determinant.",
)  # fmt: skip
