"""Norms of vectors and matrices, distances, condition numbers and ranks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import dtypes
from ..tensor import Tensor, wrap
from . import (
    elementwise as E,
    factor as F,
    inverses as I,
    matrix_parts as P,
    reduce as D,
    view as V,
)
from .export import check_tensor, public
from .matrices import check_matrix, check_square
from .shape import unsqueeze
from .solutions import inv, tolerances
from .view import wrap_dim


def _in_dtype(name: str, x: Tensor, dtype: Any) -> Tensor:
    if dtype is None:
        return x
    d = dtypes.of(dtype)
    if d.np.kind not in "fc":
        raise RuntimeError(f"{name}: dtype should be floating point or complex, but got {d}")
    if x.is_complex() and d.np.kind != "c":
        raise RuntimeError(f"{name}: dtype should be complex for complex inputs, but got {d}")
    if not x.is_complex() and d.np.kind == "c":
        raise RuntimeError(f"{name}: dtype should be real for real inputs, but got {d}")
    if np.promote_types(x._data.dtype, d.np) != d.np:
        raise RuntimeError(
            f"{name}: the dtype of the input ({x.dtype}) should be convertible without narrowing "
            f"to the specified dtype ({d})"
        )
    return E.to_dtype(x, d.np)


@public(namespace="linalg", out=True)
def vector_norm(
    x: Tensor, ord: Any = 2, dim: Any = None, keepdim: bool = False, *, dtype: Any = None
) -> Tensor:
    """The norm sum(|x|^ord)^(1/ord) over `dim`, or over everything; `ord` may be 0, inf, -inf.

    Its gradient at 0 is 0.

    >>> import numbagrad as ng
    >>> ng.linalg.vector_norm(ng.tensor([3.0, 4.0]))
    tensor(5.)
    """
    name = "linalg.vector_norm"
    check_tensor(name, x, "x")
    if x._data.dtype.kind not in "fc":
        raise RuntimeError(
            f"{name}: Expected a floating point or complex tensor as input. Got {x.dtype}"
        )
    x = _in_dtype(name, x, dtype)
    axes = D.dims(name, dim, x.ndim)
    if (ord < 0 or ord == math.inf) and any(x._data.shape[a] == 0 for a in axes):
        raise (RuntimeError if dim is None else IndexError)(
            f"{name} cannot compute the {ord} norm on an empty tensor: the operation does not have "
            "an identity. Give a dim of non-zero size."
        )
    return D.norm(x, ord, dim, keepdim)


@public(namespace="linalg", out=True)
def matrix_norm(
    A: Tensor, ord: Any = "fro", dim: Any = (-2, -1), keepdim: bool = False, *, dtype: Any = None
) -> Tensor:
    """The norm of matrices in two dimensions: "fro", "nuc" (the sum of the singular values), 2, -2
    (the largest and smallest), 1, -1 (sums of columns), inf, -inf (sums of rows)."""
    name = "linalg.matrix_norm"
    A = _in_dtype(name, check_matrix(name, A), dtype)
    if len(dim) != 2:
        raise RuntimeError(f"{name}: dim must be a 2-tuple. Got {dim}")
    rows, columns = (V.wrap_dim(d, A.ndim) for d in dim)
    if rows == columns:
        raise RuntimeError(f"{name}: dims must be different. Got ({dim[0]}, {dim[1]})")
    if ord == "fro":
        return D.norm(A, 2, (rows, columns), keepdim)
    if ord in ("nuc", 2, -2):
        last = tuple(d for d in range(A.ndim) if d not in (rows, columns))
        values = F.svd(V.permute(A, dims=(*last, rows, columns)), full=False)[1]
        reduced = D.sum if ord == "nuc" else D.amax if ord > 0 else D.amin
        r = reduced(values, -1)
        if keepdim:
            shape = [1 if d in (rows, columns) else s for d, s in enumerate(A._data.shape)]
            r = V.reshape(r, tuple(shape))
        return r
    if isinstance(ord, str) or abs(ord) not in (1, math.inf):
        raise RuntimeError(f"{name}: Order {ord} not supported.")
    # The sums over one dimension, then the extremum over the other.
    summed, other = (rows, columns) if abs(ord) == 1 else (columns, rows)
    sums = D.norm(A, 1, summed, True)
    r = (D.amax if ord > 0 else D.amin)(sums, other, True)
    if keepdim:
        return r
    kept = tuple(s for d, s in enumerate(A._data.shape) if d not in (rows, columns))
    return V.reshape(r, kept)


@public(namespace="linalg", out=True)
def norm(
    A: Tensor, ord: Any = None, dim: Any = None, keepdim: bool = False, *, dtype: Any = None
) -> Tensor:
    """A vector norm over one dimension or everything, a matrix norm over two.

    Without `ord` it is the Euclidean norm. With `ord` but without `dim`, the tensor must be a
    vector or a matrix.
    """
    name = "linalg.norm"
    check_tensor(name, A)
    if ord is None:
        return vector_norm(A, 2, dim, keepdim, dtype=dtype)
    if dim is None and A.ndim not in (1, 2):
        raise RuntimeError(
            f"{name}: If dim is not specified but ord is, the input must be 1D or 2D. Got "
            f"{A.ndim}D."
        )
    axes = tuple(range(A.ndim)) if dim is None else (dim,) if isinstance(dim, int) else tuple(dim)
    if len(axes) > 2:
        raise RuntimeError(f"{name}: If dim is specified, it must be of length 1 or 2. Got {dim}")
    if len(axes) == 2:
        return matrix_norm(A, ord, axes, keepdim, dtype=dtype)
    if isinstance(ord, str):
        raise RuntimeError(f"{name}: Order {ord} is one of matrices; give two dimensions.")
    return vector_norm(A, ord, dim, keepdim, dtype=dtype)


@public(namespace="linalg", out=True)
def cond(A: Tensor, p: Any = None) -> Tensor:
    """The condition number of matrices, in the 2-norm by default; inf where A is singular."""
    name = "linalg.cond"
    check_matrix(name, A)
    if p in (None, 2, -2):
        values = F.svd(A, full=False)[1]
        index = (slice(None),) * (values.ndim - 1)
        if values._data.shape[-1] == 0:
            return D.sum(values, -1)
        top, bottom = V.slice_(values, index=(*index, 0)), V.slice_(values, index=(*index, -1))
        return bottom / top if p == -2 else top / bottom
    if p not in ("fro", "nuc", 1, -1, math.inf, -math.inf):
        raise RuntimeError(f"{name}: got an invalid norm type: {p}")
    check_square(name, A)
    if A.numel() == 0:
        return wrap(np.zeros(tuple(A._data.shape[:-2]), dtypes.real_of(A._data.dtype)))
    singular = E.ne(F.lu_factor(A.detach(), pivot=True)[2], 0)
    eye = E.to_dtype(P.identity(A._data.shape[-1]), A._data.dtype)
    safe = E.where(P.rows(P.rows(singular)), eye, A)
    r = matrix_norm(A, p) * matrix_norm(inv(safe), p)
    return E.where(singular, E.number_like(r, math.inf), r)


@public(namespace="linalg", out=True)
def matrix_rank(
    A: Tensor, tol: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None
) -> Tensor:
    """The number of singular values above max(atol, rtol times the largest).

    `rtol` is max(m, n) eps by default; `tol` is an `atol` with an `rtol` of 0.
    """
    name = "linalg.matrix_rank"
    check_matrix(name, A)
    if tol is not None:
        atol, rtol = tol, 0.0
    if hermitian:
        check_square(name, A)
    atol, rtol = tolerances(name, A, atol, rtol)
    return I.matrix_rank(A, atol, rtol, hermitian=bool(hermitian))


@public(method=False, out=True)
def nuclear_norm(input: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:
    """The sum of the singular values of a matrix, or of the matrices in two dimensions.

    >>> import numbagrad as ng
    >>> ng.nuclear_norm(ng.eye(3))
    tensor(3.)
    """
    if dim is None:
        if check_tensor("nuclear_norm", input).ndim != 2:
            raise RuntimeError(
                f"nuclear_norm(): Expected a tensor with 2 dimensions, but got a tensor with "
                f"{input.ndim} dimensions; name two with `dim`"
            )
        dim = (0, 1)
    return matrix_norm(input, "nuc", dim, keepdim)


@public(method=False, out=True)
def frobenius_norm(input: Tensor, dim: Any, keepdim: bool = False) -> Tensor:
    """The root of the sum of squares over one or two dimensions, or over all if there are none."""
    axes = (dim,) if isinstance(dim, int) else tuple(dim)
    if len(axes) > 2:
        raise RuntimeError(
            f"frobenius_norm(): Expected at most 2 dimensions, but got {len(axes)} dimensions"
        )
    if len(axes) == 2:
        return matrix_norm(input, "fro", axes, keepdim)
    return vector_norm(input, 2, axes or None, keepdim)


# -- distances ------------------------------------------------------------------------------------


@public()
def dist(input: Tensor, other: Tensor, p: float = 2) -> Tensor:
    """The p-norm of the difference."""
    return D.norm(input - other, p)


@public(method=False)
def cdist(
    x1: Tensor, x2: Tensor, p: float = 2.0,
    compute_mode: str = "use_mm_for_euclid_dist_if_necessary",
) -> Tensor:  # fmt: skip
    """The p-norm distances between all rows of two (batches of) matrices."""
    a = check_tensor("cdist", x1, "x1", kinds="f", refusal=RuntimeError)
    b = check_tensor("cdist", x2, "x2", 2, kinds="f", refusal=RuntimeError)
    if a.ndim < 2 or b.ndim < 2:
        raise RuntimeError("cdist only supports at least 2D tensors, X1 got: " + f"{a.ndim}D")
    if a._data.shape[-1] != b._data.shape[-1]:
        raise RuntimeError(
            f"X1 and X2 must have the same number of columns. X1: {a.shape[-1]} X2: {b.shape[-1]}"
        )
    return D.norm(unsqueeze(a, -2) - unsqueeze(b, -3), p, -1)


@public(inplace=True, out=True)
def renorm(input: Tensor, p: float, dim: int, maxnorm: float) -> Tensor:
    """The slices along a dimension scaled down to a p-norm of at most `maxnorm`."""
    x = check_tensor("renorm", input)
    if x.ndim < 2:
        raise RuntimeError(f"renorm: input needs at least 2 dimensions, got {x.ndim} dimensions")
    if p <= 0 or maxnorm < 0:
        raise RuntimeError(f"renorm: needs p > 0 and maxnorm >= 0, got {p} and {maxnorm}")
    d = wrap_dim(dim, x.ndim)
    others = [i for i in range(x.ndim) if i != d]
    norm = D.norm(x, p, others, True)
    scale = E.where(E.gt(norm, maxnorm), maxnorm / (norm + 1e-7), E.fill(norm, 1))
    return x * scale
