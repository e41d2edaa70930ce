"""Parts of matrices, and what the declarations of linear algebra's primitives share."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..tensor import Tensor, wrap
from . import elementwise as E, view as V
from .batching import Batched
from .linalg import transpose_last
from .registry import call


def adjoint(x: Tensor) -> Tensor:
    """The conjugate transpose of each matrix."""
    return E.conj(transpose_last(x))


def columns(x: Tensor) -> Tensor:
    """A vector as a factor of the columns of a matrix: (..., 1, n)."""
    return V.slice_(x, index=(*(slice(None),) * (x.ndim - 1), None))


def rows(x: Tensor) -> Tensor:
    """A vector as a factor of the rows of a matrix: (..., n, 1)."""
    return V.slice_(x, index=(*(slice(None),) * x.ndim, None))


def main_diagonal(x: Tensor) -> Tensor:
    """The diagonal of each matrix, a view."""
    return V.diagonal(x, offset=0, dim1=x.ndim - 2, dim2=x.ndim - 1)


def identity(n: int) -> Tensor:
    """A mask of the diagonal."""
    return wrap(np.eye(n, dtype=bool))


def _masked(x: Tensor, mask: Any) -> Tensor:
    return E.where(wrap(mask(np.ones(x._data.shape[-2:], bool))), x, 0)


def lower(x: Tensor, k: int = 0) -> Tensor:
    """Below the k-th diagonal, which is included."""
    return _masked(x, lambda ones: np.tril(ones, k))


def upper(x: Tensor, k: int = 0) -> Tensor:
    """Above the k-th diagonal, which is included."""
    return _masked(x, lambda ones: np.triu(ones, k))


def with_diagonal(x: Tensor, diagonal: Any) -> Tensor:
    """Square matrices with another diagonal."""
    value = columns(diagonal) if isinstance(diagonal, Tensor) else diagonal
    return E.where(identity(x._data.shape[-1]), value, x)


def head(x: Tensor, m: int, n: int) -> Tensor:
    """The first m rows and n columns of each matrix."""
    index = (*(slice(None),) * (x.ndim - 2), slice(0, m), slice(0, n))
    return x if x._data.shape[-2:] == (m, n) else V.slice_(x, index=index)


def columns_from(x: Tensor, start: int) -> Tensor:
    """The columns of each matrix from `start` on."""
    return V.slice_(x, index=(*(slice(None),) * (x.ndim - 1), slice(start, x._data.shape[-1])))


def rows_from(x: Tensor, start: int) -> Tensor:
    """The rows of each matrix from `start` on."""
    index = (*(slice(None),) * (x.ndim - 2), slice(start, x._data.shape[-2]))
    return V.slice_(x, index=index)


# -- declarations ---------------------------------------------------------------------------------


def batch_matrices(call: Batched) -> Any:
    """All inputs with the batch in front, aligned in front of their matrices."""
    rank = max(len(call.shape(i)) for i in range(len(call.xs)))
    xs = [call.ranked(i, rank) for i in range(len(call.xs))]
    return call.apply(*xs, **call.params)


def batch_each(call: Batched) -> Any:
    """All inputs with the full batch in front: the op treats each matrix by itself."""
    return call.apply(*[call.full(i) for i in range(len(call.xs))], **call.params)


def same_shape(x: Any) -> Any:
    """The shape and dtype rule of what gives a matrix like its input."""
    return tuple(x.shape), x.dtype


#: Tall, wide, square and batches.
SHAPES = ((3, 2), (2, 3), (2, 2, 2))


def square_samples(*sizes: int) -> Any:
    """Samples: one square matrix and a batch of two."""

    def make_samples(make: Any) -> Any:
        if make.layout == "broadcast":  # columns that repeat make a singular matrix
            return [call(make(1, 1))]
        return [call(make(n, n) if i == 0 else make(2, n, n)) for i, n in enumerate(sizes)]

    return make_samples
