"""Public functions of the diagonals and triangles of matrices."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import dtypes
from ..creation import leaf
from ..tensor import Tensor, wrap
from . import view as V
from .elementwise import number_like, where
from .export import check_tensor, public
from .shape import ravel
from .slices import replaced
from .view import wrap_dim


@public(aliases=())
def diagonal(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """A view of the diagonal of two dimensions, as the last dimension."""
    n = check_tensor("diagonal", input).ndim
    a, b = wrap_dim(dim1, n), wrap_dim(dim2, n)
    if a == b:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    return V.diagonal(input, offset=offset, dim1=a, dim2=b)


@public(out=True)
def diag(input: Tensor, diagonal: int = 0) -> Tensor:
    """The diagonal of a matrix, or the matrix with a vector on its diagonal."""
    if check_tensor("diag", input).ndim == 2:
        return V.clone(V.diagonal(input, offset=diagonal, dim1=0, dim2=1))
    if input.ndim != 1:
        raise RuntimeError(f"diag(): Supports 1D or 2D tensors. Got {input.ndim}D")
    return diag_embed(input, diagonal)


@public()
def diag_embed(input: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """Matrices of zeros with the last dimension of `input` on their diagonals."""
    shape = check_tensor("diag_embed", input)._data.shape
    n = shape[-1] + abs(offset)
    a, b = wrap_dim(dim1, len(shape) + 1), wrap_dim(dim2, len(shape) + 1)
    if a == b:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    full = list(shape[:-1])
    for d in sorted((a, b)):
        full.insert(d, n)
    return V.diagonal_backward(input, shape=tuple(full), offset=offset, dim1=a, dim2=b)


@public()
def diagflat(input: Tensor, offset: int = 0) -> Tensor:
    """A matrix with the flattened tensor on a diagonal."""
    return diag_embed(ravel(check_tensor("diagflat", input)), offset)


@public()
def diagonal_scatter(
    input: Tensor, src: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1
) -> Tensor:
    """A copy with a diagonal replaced by `src`."""
    n = check_tensor("diagonal_scatter", input).ndim
    a, b = wrap_dim(dim1, n), wrap_dim(dim2, n)
    return replaced("diagonal_scatter", input, src, V.diagonal, offset=offset, dim1=a, dim2=b)


# -- triangles ------------------------------------------------------------------------------------


def _triangle(name: str, input: Tensor, diagonal: int, lower: bool) -> Tensor:
    shape = check_tensor(name, input)._data.shape
    if len(shape) < 2:
        raise RuntimeError(f"{name}: input tensor must have at least 2 dimensions")
    mask = np.tri(shape[-2], shape[-1], diagonal if lower else diagonal - 1, bool)
    keep = wrap(mask if lower else ~mask)
    return where(keep, input, number_like(input, 0))


@public(inplace=True, out=True)
def tril(input: Tensor, diagonal: int = 0) -> Tensor:
    """The lower triangle of matrices, zeros above the diagonal."""
    return _triangle("tril", input, diagonal, True)


@public(inplace=True, out=True)
def triu(input: Tensor, diagonal: int = 0) -> Tensor:
    """The upper triangle of matrices, zeros below the diagonal."""
    return _triangle("triu", input, diagonal, False)


def _triangle_indices(name: str, row: int, col: int, offset: int, dtype: Any, mask: Any) -> Tensor:
    if row < 0 or col < 0:
        raise RuntimeError(f"{name}: row and col must be non-negative, got {row} and {col}")
    d = dtypes.of(dtypes.int64 if dtype is None else dtype).np
    if d not in (np.int32, np.int64):
        raise NotImplementedError(
            f'"{name}" not implemented for {dtypes.of(d)}: indices are int32 or int64'
        )
    return leaf(np.stack(np.nonzero(mask(np.ones((row, col), bool), offset))).astype(d))


@public(method=False)
def tril_indices(
    row: int, col: int, offset: int = 0, *, dtype: Any = None, device: Any = None
) -> Tensor:
    """Rows and columns of the lower triangle of a matrix."""
    return _triangle_indices("tril_indices", row, col, offset, dtype, np.tril)


@public(method=False)
def triu_indices(
    row: int, col: int, offset: int = 0, *, dtype: Any = None, device: Any = None
) -> Tensor:
    """Rows and columns of the upper triangle of a matrix."""
    return _triangle_indices("triu_indices", row, col, offset, dtype, np.triu)
