"""Primitives that take elements by index tensors, and those that put them there."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import dtypes
from ..tensor import Tensor, wrap
from . import elementwise as E
from .batching import SHIFT, batch_add_rows, batch_put_along, batch_put_rows, batch_take
from .registry import call, primitive

Shape = tuple[int, ...]


def _at(dim: int, index: Any) -> Any:
    return (slice(None),) * dim + (index,)


take_rows = primitive(
    "index_select",
    lambda x, index, dim: np.asarray(np.take(x, index, axis=dim)),
    lambda x, index, dim: ((*x.shape[:dim], *index.shape, *x.shape[dim + 1 :]), x.dtype),
    inputs=("x", "index"),
    grad=(lambda g, index, x_shape, dim: add_rows(g, index, shape=x_shape, dim=dim), None),
    linear=True,
    native=("take", "rows"),
    samples=lambda make: [
        call(make(3, 2), make.index(2, 2, below=3), dim=0),
        call(make(2, 3), make.index(below=3), dim=1),
        call(make(3), make.index(0, below=3), dim=0),
    ],
    batch=batch_take,
    doc="Slices of x along a dimension, chosen by an index tensor of any shape.",
)


def _add_rows(x: Any, index: Any, *, shape: Shape, dim: int) -> Any:
    r = np.zeros(shape, x.dtype)
    flat = index.reshape(-1)
    rows = x.reshape(*shape[:dim], flat.size, *shape[dim + 1 :])
    np.add.at(np.moveaxis(r, dim, 0), flat, np.moveaxis(rows, dim, 0))
    return r


add_rows = primitive(
    "index_add", _add_rows, lambda x, index, shape, dim: (shape, x.dtype), inputs=("x", "index"),
    grad=(lambda g, index, dim: take_rows(g, index, dim=dim), None), linear=True,
    native=("add_at", "rows"),
    samples=lambda make: [
        call(make(2, 2, 2), make.index(2, 2, below=3), shape=(3, 2), dim=0),
        call(make(2, 4), make.index(4, below=3), shape=(2, 3), dim=1),
    ],
    batch=batch_add_rows,
    doc="Zeros with slices of x added along a dimension at the places of an index tensor.",
)  # fmt: skip


def _along(index: Any, dim: int) -> tuple[Any, ...]:
    """An open mesh that addresses ``index`` along `dim` and counts in the other dimensions."""
    grids = list(np.ogrid[tuple(slice(0, s) for s in index.shape)])
    grids[dim] = index
    return tuple(grids)


gather_ = primitive(
    "gather",
    lambda x, index, dim: x[_along(index, dim)],
    lambda x, index, dim: (index.shape, x.dtype),
    inputs=("x", "index"),
    grad=(lambda g, index, x_shape, dim: scatter_add_zeros(g, index, shape=x_shape, dim=dim), None),
    linear=True,
    native=("take", "along"),
    samples=lambda make: [
        call(make(3, 2), make.index(2, 2, below=3), dim=0),
        call(make(2, 3), make.index(2, 4, below=3), dim=1),
    ],
    batch=SHIFT,
    doc="Elements chosen along a dimension by an index tensor of the result's shape.",
)


def _scatter_add_zeros(x: Any, index: Any, *, shape: Shape, dim: int) -> Any:
    r = np.zeros(shape, x.dtype)
    np.add.at(r, _along(index, dim), x[tuple(slice(0, s) for s in index.shape)])
    return r


scatter_add_zeros = primitive(
    "scatter_add", _scatter_add_zeros, lambda x, index, shape, dim: (shape, x.dtype),
    inputs=("x", "index"), grad=(lambda g, index, dim: gather_(g, index, dim=dim), None),
    native=("add_at", "along"),
    linear=True, samples=lambda make: [
        call(make(2, 2), make.index(2, 2, below=3), shape=(3, 2), dim=0),
        call(make(2, 4), make.index(2, 4, below=3), shape=(2, 3), dim=1),
    ],
    batch=SHIFT,
    doc="Zeros with elements added along a dimension at the places of an index tensor.",
)  # fmt: skip


def _put_rows(x: Any, index: Any, y: Any, *, dim: int) -> Any:
    r = x.copy()
    r[_at(dim, index)] = y
    return r


def _rows_zeroed(g: Tensor, index: Tensor, y_shape: Shape, dim: int) -> Tensor:
    return put_rows(g, index, wrap(np.zeros(y_shape, g._data.dtype)), dim=dim)


put_rows = primitive(
    "index_copy",
    _put_rows,
    lambda x, index, y, dim: (x.shape, x.dtype),
    inputs=("x", "index", "y"),
    grad=(_rows_zeroed, None, lambda g, index, dim: take_rows(g, index, dim=dim)),
    samples=lambda make: [
        call(make(3, 2), make.index(2, below=3, distinct=True), make(2, 2), dim=0)
    ],
    linear=True,
    batch=batch_put_rows,
    doc="x with slices along a dimension replaced by those of y, at the places of an index tensor.",
)


def _put_along(x: Any, index: Any, y: Any, *, dim: int) -> Any:
    r = x.copy()
    r[_along(index, dim)] = y
    return r


put_along = primitive(
    "scatter",
    _put_along,
    lambda x, index, y, dim: (x.shape, x.dtype),
    inputs=("x", "index", "y"),
    grad=(
        lambda g, index, y_shape, dim: put_along(
            g, index, wrap(np.zeros(y_shape, g._data.dtype)), dim=dim
        ),
        None,
        lambda g, index, dim: gather_(g, index, dim=dim),
    ),
    samples=lambda make: [
        call(make(3, 2), make.index(2, below=3, distinct=True)[:, None], make(2, 1), dim=0)
    ],
    linear=True,
    batch=batch_put_along,
    doc="x with elements along a dimension replaced by y, at the places of an index tensor.",
)


_UFUNCS = {"prod": np.multiply, "amax": np.maximum, "amin": np.minimum}


def _scatter_reduce(x: Any, index: Any, y: Any, *, dim: int, reduce: str) -> Any:
    r = x.copy()
    _UFUNCS[reduce].at(r, _along(index, dim), y)
    return r


def where_zero(x: Tensor, value: Any, other: Tensor) -> Tensor:
    """`value` where x is 0, else `other`."""
    return E.where(E.eq(x, 0), E.number_like(x, value), other)


def _scatter_reduce_grad(
    g: Tensor, x: Tensor, index: Tensor, y: Tensor, out: Tensor, dim: int, reduce: str
) -> tuple[Tensor, None, Tensor]:
    shape = tuple(x._data.shape)
    if reduce == "prod":
        # A factor 0 is left out of the product of the others, not divided by.
        safe = where_zero(x, 1, x)
        others = scatter_reduce_(safe, index, y, dim=dim, reduce="prod") / safe
        zeros = E.to_dtype(E.eq(y, 0), dtypes.I64)
        count = gather_(scatter_add_zeros(zeros, index, shape=shape, dim=dim), index, dim=dim)
        only = E.logical_and(E.eq(y, 0), E.eq(count, 1))
        without = scatter_reduce_(
            x, index, E.where(only, E.number_like(y, 1), y), dim=dim, reduce="prod"
        )
        to_zero = gather_(g * E.conj(without), index, dim=dim)
        to_rest = gather_(g * E.conj(out), index, dim=dim) / E.conj(where_zero(y, 1, y))
        return g * E.conj(others), None, E.where(only, to_zero, to_rest)
    # Ties share the gradient.
    own = E.to_dtype(E.eq(x, out), g._data.dtype)
    others = E.to_dtype(E.eq(y, gather_(out, index, dim=dim)), g._data.dtype)
    ties = own + scatter_add_zeros(others, index, shape=shape, dim=dim)
    share = g / ties
    return own * share, None, others * gather_(share, index, dim=dim)


scatter_reduce_ = primitive(
    "scatter_reduce", _scatter_reduce, lambda x, index, y, dim, reduce: (x.shape, x.dtype),
    inputs=("x", "index", "y"), grad=_scatter_reduce_grad,
    samples=lambda make: [
        call(make(3, 2), make.index(4, 2, below=3), make(4, 2), dim=0, reduce=reduce)
        for reduce in ("prod", "amax", "amin")
    ],
    batch=batch_put_along,
    doc="x with elements of y multiplied in, or their extremum taken, at the places of an index.",
)  # fmt: skip
sort_order = primitive(
    "argsort",
    lambda x, dim, descending: _argsort(x, dim, descending),
    lambda x, dim, descending: (x.shape, dtypes.I64),
    kinds="biuf",
    samples=lambda make: [
        call(make(2, 3), dim=1, descending=False),
        call(make(3, 2), dim=0, descending=True),
    ],
    batch=SHIFT,
    doc="The indices that sort along a dimension, stably; NaN counts as largest.",
)


def _argsort(x: Any, dim: int, descending: bool) -> Any:
    if not descending:
        return np.argsort(x, axis=dim, kind="stable").astype(np.int64, copy=False)
    # Stable and descending: sort the reversed order ascending and reverse it again.
    n = x.shape[dim]
    order = np.argsort(np.flip(x, dim), axis=dim, kind="stable")
    return np.ascontiguousarray(n - 1 - np.flip(order, dim)).astype(np.int64, copy=False)
