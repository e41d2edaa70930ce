"""Public functions that gather, scatter and replace elements by index tensors."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import dtypes
from ..dispatch import reads_values
from ..inplace import update
from ..tensor import Tensor, wrap
from . import elementwise as E, view as V
from .export import check_tensor, public
from .gather import (
    add_rows,
    gather_,
    put_along,
    put_rows,
    scatter_add_zeros,
    scatter_reduce_,
    take_rows,
)
from .indexing import _checked, getitem, nonzero, with_values_put
from .joining import stack
from .reduction import cumsum
from .registry import broadcast_shapes
from .view import wrap_dim

Shape = tuple[int, ...]


def _index_tensors(x: Tensor, indices: Any) -> dict[int, Tensor]:
    result: dict[int, Tensor] = {}
    dim = 0
    for i in indices:
        if i is None:
            dim += 1
        elif i._data.dtype.kind == "b":
            for found in nonzero(i, as_tuple=True):
                result[dim] = found
                dim += 1
        else:
            result[dim] = i
            dim += 1
    return result


@public("index_put_")
def _index_put_(self: Tensor, indices: Any, values: Tensor, accumulate: bool = False) -> Tensor:
    """Store `values` at the places that a tuple of index tensors names, or add them there."""
    return update(self, _with_values_put(self, indices, values, accumulate), "index_put_")


@public()
def index_put(input: Tensor, indices: Any, values: Tensor, accumulate: bool = False) -> Tensor:
    """A copy with `values` stored at (or added to) the places that index tensors name."""
    return V.clone(_with_values_put(input, indices, values, accumulate))


def _with_values_put(x: Tensor, indices: Any, values: Tensor, accumulate: bool) -> Tensor:
    values = E.to_dtype(values, x._data.dtype)
    return with_values_put(x, _index_tensors(x, indices), values, accumulate)


def _index_dtype(name: str, index: Tensor) -> Tensor:
    if check_tensor(name, index, "index", 3)._data.dtype.kind not in "iu":
        raise RuntimeError(f"{name}(): Expected dtype int32/int64 for index, got {index.dtype}")
    return index


@public(out=True)
def index_select(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """The slices along a dimension that a vector of indices names."""
    x = check_tensor("index_select", input)
    index = _index_dtype("index_select", index)
    d = wrap_dim(dim, x.ndim)
    if index.ndim > 1:
        raise IndexError("index_select(): Index is supposed to be a vector")
    if index._data.__class__ is np.ndarray and index.numel() and int(index._data.min()) < 0:
        raise IndexError("index out of range in self")
    flat = V.reshape(index, (index.numel(),))
    if x.ndim == 0:
        return V.reshape(take_rows(V.reshape(x, (1,)), _checked(flat, 1, 0), dim=0), ())
    return take_rows(x, _checked(flat, x._data.shape[d], d), dim=d)


@public(out=True)
def take(input: Tensor, index: Tensor) -> Tensor:
    """Elements of the flattened tensor at the given indices."""
    flat = V.reshape(input, (input.numel(),))
    return take_rows(flat, _checked(_index_dtype("take", index), flat.numel(), 0), dim=0)


def _check_gather(name: str, x: Tensor, dim: int, index: Tensor) -> tuple[int, Tensor]:
    index = _index_dtype(name, index)
    if index.numel() == 0:
        return wrap_dim(dim, x.ndim), E.to_dtype(index, dtypes.I64)
    if max(x.ndim, 1) != max(index.ndim, 1):
        raise RuntimeError(
            f"Index tensor must have the same number of dimensions as input tensor: got "
            f"{index.ndim} and {x.ndim}"
        )
    d = wrap_dim(dim, x.ndim)
    for i, (a, b) in enumerate(zip(index._data.shape, x._data.shape)):
        if i != d and a > b:
            raise RuntimeError(
                f"Size does not match at dimension {i} expected index {list(index.shape)} to be "
                f"no larger than self {list(x.shape)} apart from dimension {d}"
            )
    data = index._data
    extent = x._data.shape[d] if x.ndim else 1
    if isinstance(data, np.ndarray) and data.size:
        low, high = int(data.min()), int(data.max())
        if low < 0 or high >= extent:
            raise RuntimeError(
                f"index {low if low < 0 else high} is out of bounds for dimension {d} with size "
                f"{extent}"
            )
    return d, E.to_dtype(index, dtypes.I64)


@public(out=True)
def gather(input: Tensor, dim: int, index: Tensor, *, sparse_grad: bool = False) -> Tensor:
    """out[i][j] = input[index[i][j]][j] for dim 0, and so on for other dimensions."""
    x = check_tensor("gather", input)
    d, index = _check_gather("gather", x, dim, index)
    if index.numel() == 0:
        return V.reshape(V.slice_(V.reshape(x, (x.numel(),)), index=(slice(0, 0),)),
                         index._data.shape)  # fmt: skip
    if x.ndim == 0:
        return V.reshape(V.expand_to(x, tuple(index._data.shape)), tuple(index._data.shape))
    if index.ndim == 0:
        return V.reshape(gather_(x, V.reshape(index, (1,)), dim=0), ())
    return gather_(x, index, dim=d)


@public(out=True)
def take_along_dim(input: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    """Like gather, with the other dimensions broadcast; without `dim` over the flattened tensor.

    With `dim` negative indices count from the end.

    Raises:
        RuntimeError: indices that are not int64, shapes that do not broadcast, or, without `dim`,
            an index out of range.
        IndexError: with `dim`, an index out of range.
    """
    check_tensor("take_along_dim", input)
    if check_tensor("take_along_dim", indices, "indices", 2)._data.dtype != np.int64:
        raise RuntimeError(
            f"take_along_dim(): dtype of indices should be Long but got {indices.dtype}; convert "
            "with .long()"
        )
    if dim is None:
        indices = V.reshape(indices, (indices.numel(),))
        return gather(V.reshape(input, (input.numel(),)), 0, indices)
    if input.ndim != indices.ndim:
        raise RuntimeError(
            "take_along_dim(): input and indices should have the same number of dimensions, but "
            f"got {input.ndim} dimensions for input, and {indices.ndim} dimensions for indices"
        )
    if not input.ndim:
        raise IndexError(f"Dimension specified as {dim} but tensor has no dimensions")
    d = wrap_dim(dim, input.ndim)
    a, b = list(input._data.shape), list(indices._data.shape)
    a[d] = b[d] = 1
    common = broadcast_shapes(tuple(a), tuple(b))
    x = V.expand_to(input, (*common[:d], input._data.shape[d], *common[d + 1 :]))
    i = V.expand_to(indices, (*common[:d], indices._data.shape[d], *common[d + 1 :]))
    i = _checked(i, input._data.shape[d], d)
    return gather(x, d, i)


@public(inplace=True, out=True)
def scatter(
    input: Tensor, dim: int, index: Tensor, src: Any = None, *, value: Any = None,
    reduce: str | None = None,
) -> Tensor:  # fmt: skip
    """A copy with the elements of `src` (or one value) stored where `index` says.

    With `reduce` ("add" or "multiply") they are added to or multiplied with what is there.
    """
    x = check_tensor("scatter", input)
    d, index = _check_scatter("scatter", x, dim, index, src)
    if not isinstance(src, Tensor):
        number = E.number_like(x, value if src is None else src)
        src = V.expand_to(number, tuple(index._data.shape))
    if reduce is not None:
        if reduce not in ("add", "multiply"):
            raise RuntimeError(f"reduce argument must be either add or multiply, got {reduce!r}")
        return _accumulated(x, d, index, src, "sum" if reduce == "add" else "prod")
    if src._data.dtype is not x._data.dtype:
        raise RuntimeError(
            f"scatter(): Expected self.dtype to be equal to src.dtype, got {x.dtype} and "
            f"{src.dtype}"
        )
    x1, i1, s1 = (_at_least_1d(t) for t in (x, index, src))
    return V.reshape(put_along(x1, i1, _part(s1, i1), dim=d), tuple(x._data.shape))


def _at_least_1d(x: Tensor) -> Tensor:
    return x if x.ndim else V.reshape(x, (1,))


def _part(src: Tensor, index: Tensor) -> Tensor:
    """The corner of `src` that the index covers."""
    return V.slice_(src, index=tuple(slice(0, s) for s in index._data.shape))


def _check_scatter(name: str, x: Tensor, dim: int, index: Tensor, src: Any) -> tuple[int, Tensor]:
    if isinstance(src, Tensor) and check_tensor(name, index, "index", 3).numel():
        fits = index.ndim == src.ndim or index.ndim + src.ndim == 1
        if not fits or any(a > b for a, b in zip(index._data.shape, src._data.shape)):
            raise RuntimeError(
                f"{name}(): Expected index {list(index.shape)} to be no larger than src "
                f"{list(src.shape)} in any dimension"
            )
    d, index = _check_gather(name, x, dim, index)
    if index.numel() == 0:  # nothing to store, whatever its shape
        index = wrap(np.zeros((0,) * max(x.ndim, 1), np.int64))
    return d, index


def _accumulated(x: Tensor, d: int, index: Tensor, src: Tensor, how: str) -> Tensor:
    x1, i1, s1 = (_at_least_1d(t) for t in (x, index, src))
    part = E.to_dtype(_part(s1, i1), x._data.dtype)
    if how == "sum":
        r = x1 + scatter_add_zeros(part, i1, shape=tuple(x1._data.shape), dim=d)
    else:
        r = scatter_reduce_(x1, i1, part, dim=d, reduce=how)
    return V.reshape(r, tuple(x._data.shape))


@public(inplace=True, out=True)
def scatter_add(input: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """A copy with the elements of `src` added where `index` says."""
    x = check_tensor("scatter_add", input)
    check_tensor("scatter_add", src, "src", 4)
    d, index = _check_scatter("scatter_add", x, dim, index, src)
    if src._data.dtype is not x._data.dtype:
        raise RuntimeError(
            "scatter_add(): Expected self.dtype to be equal to src.dtype, got "
            f"{x.dtype} and {src.dtype}"
        )
    return _accumulated(x, d, index, src, "sum")


@public(inplace=True, out=True)
def index_reduce(
    input: Tensor,
    dim: int,
    index: Tensor,
    source: Tensor,
    reduce: str,
    *,
    include_self: bool = True,
) -> Tensor:
    """A copy in which slices of `source` are reduced at the given places of a dimension.

    `reduce` is "prod", "mean", "amax" or "amin".
    """
    x, d, i = _rows("index_reduce", input, dim, index)
    if reduce not in ("prod", "mean", "amax", "amin"):
        raise RuntimeError(
            f"index_reduce(): Expected reduce to be one of prod, mean, amax or amin, got {reduce!r}"
        )
    check_tensor("index_reduce", x, kinds="iuf")
    source = _check_slices("index_reduce", x, d, i, source)
    places = V.reshape(i, (i.numel(), *(1,) * (x.ndim - d - 1)))
    places = V.expand_to(places, tuple(source._data.shape))
    r = scatter_reduce(x, d, places, source, reduce, include_self=include_self)
    return V.reshape(r, tuple(input._data.shape))


#: The dtype kinds of reductions that do not take all.
_REDUCED = {"mean": "iufc", "amax": "biuf", "amin": "biuf"}
#: What a place that `include_self=False` overwrites starts from.
_NEUTRAL = {"sum": 0, "mean": 0, "prod": 1, "amax": -np.inf, "amin": np.inf}


@public(inplace=True, out=True)
def scatter_reduce(
    input: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """A copy in which elements of `src` are reduced where `index` says.

    `reduce` is "sum", "prod", "mean", "amax" or "amin"; without `include_self` only the elements
    of `src` take part, and places that none reaches keep their value.
    """
    x = check_tensor("scatter_reduce", input)
    if reduce not in _NEUTRAL:
        raise RuntimeError(
            f"reduce argument must be either sum, prod, mean, amax or amin, got {reduce!r}"
        )
    check_tensor(f"scatter_reduce by {reduce}", x, kinds=_REDUCED.get(reduce, "biufc"))
    d, index = _check_scatter("scatter_reduce", x, dim, index, src)
    if index.numel() == 0:
        return V.clone(x)
    ones = wrap(np.ones(_at_least_1d(index)._data.shape, np.int64))
    count = scatter_add_zeros(ones, _at_least_1d(index),
                              shape=tuple(_at_least_1d(x)._data.shape), dim=d)  # fmt: skip
    count = V.reshape(count, tuple(x._data.shape))
    if not include_self:
        start = E.where(E.gt(count, 0), E.number_like(x, _neutral(reduce, x)), x)
    else:
        start, count = x, E.add(count, 1)
    if reduce == "mean":
        total = _accumulated(start, d, index, src, "sum")
        count = E.where(E.eq(count, 0), E.number_like(count, 1), count)
        if x._data.dtype.kind in "biu":
            return E.to_dtype(E.floor_divide(total, count), x._data.dtype)
        return total / E.to_dtype(count, x._data.dtype)
    return _accumulated(start, d, index, src, reduce)


def _neutral(reduce: str, x: Tensor) -> Any:
    value = _NEUTRAL[reduce]
    if np.isinf(value) and x._data.dtype.kind in "iu":
        limits = np.iinfo(x._data.dtype)
        return limits.max if value > 0 else limits.min
    return value > 0 if x._data.dtype.kind == "b" and np.isinf(value) else value


def _rows(name: str, input: Tensor, dim: int, index: Tensor) -> tuple[Tensor, int, Tensor]:
    """The arguments of the ops that take slices along a dimension; a 0-d tensor as one slice."""
    x = _at_least_1d(check_tensor(name, input))
    d = wrap_dim(dim, x.ndim)
    if _index_dtype(name, index).ndim > 1:
        raise IndexError(f"{name}(): Index is supposed to be a vector, got {index.ndim}-D")
    flat = V.reshape(index, (index.numel(),))
    return x, d, _checked(flat, x._data.shape[d], d)


def _check_slices(name: str, x: Tensor, d: int, index: Tensor, source: Tensor) -> Tensor:
    check_tensor(name, source, "source", 4)
    if source.ndim == 0 and x.ndim == 1:
        source = V.reshape(source, (1,))
    if source._data.dtype is not x._data.dtype:
        raise RuntimeError(
            f"{name}(): self ({x.dtype}) and source ({source.dtype}) expected to have the same "
            "dtype"
        )
    expected = (*x._data.shape[:d], index.numel(), *x._data.shape[d + 1 :])
    if tuple(source._data.shape) != expected:
        raise RuntimeError(
            f"{name}(): source of shape {list(source.shape)} does not fit: the slices of "
            f"{list(x.shape)} that the index names have shape {list(expected)}"
        )
    return source


@public(inplace=True, out=True)
def index_add(input: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: Any = 1) -> Tensor:
    """A copy with slices of `source`, times alpha, added at the given places of a dimension."""
    x, d, i = _rows("index_add", input, dim, index)
    source = _check_slices("index_add", x, d, i, source)
    if alpha != 1:
        source = source * E.number_like(x, alpha)
    r = x + add_rows(source, i, shape=tuple(x._data.shape), dim=d)
    return V.reshape(r, tuple(input._data.shape))


@public(inplace=True, out=True)
def index_copy(input: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """A copy with slices of `source` stored at the given places of a dimension."""
    x, d, i = _rows("index_copy", input, dim, index)
    source = _check_slices("index_copy", x, d, i, source)
    return V.reshape(put_rows(x, i, source, dim=d), tuple(input._data.shape))


@public(inplace=True, out=True)
def index_fill(input: Tensor, dim: int, index: Tensor, value: Any) -> Tensor:
    """A copy with slices along a dimension filled with a value, a number or a 0-d tensor."""
    x, d, i = _rows("index_fill", input, dim, index)
    if not isinstance(value, Tensor):
        value = E.number_like(x, value)
    elif value.ndim:
        raise RuntimeError(
            "index_fill_ only supports a 0-dimensional value tensor, but got tensor with "
            f"{value.ndim} dimension(s)."
        )
    n = x._data.shape[d]
    chosen = add_rows(wrap(np.ones(i.numel(), np.int64)), i, shape=(n,), dim=0)
    mask = V.reshape(E.gt(chosen, 0), (n, *(1,) * (x.ndim - d - 1)))
    r = E.where(mask, E.to_dtype(value, x._data.dtype), x)
    return V.reshape(r, tuple(input._data.shape))


@public(out=True)
def nonzero_static(input: Tensor, *, size: int, fill_value: int = -1) -> Tensor:
    """The first `size` rows of :func:`nonzero`, filled up with `fill_value`: a shape known before.

    >>> import numbagrad as ng
    >>> ng.nonzero_static(ng.tensor([0, 5, 7]), size=3)
    tensor([[ 1],
            [ 2],
            [-1]])
    """
    x = check_tensor("nonzero_static", input)
    if size < 0:
        raise RuntimeError(f"nonzero_static: 'size' must be a non-negative integer, got {size}")
    shape = tuple(x._data.shape)
    found = E.ne(V.reshape(x, (x.numel(),)), 0)
    row = cumsum(E.to_dtype(found, dtypes.I64), dim=0) - 1
    row = E.where(E.logical_and(found, E.lt(row, size)), row, size)  # the last: what is left out
    columns = [
        put_along(
            wrap(np.full(size + 1, fill_value, np.int64)), row, wrap(places.reshape(-1)), dim=0
        )[:size]
        for places in np.indices(shape)
    ]
    return stack(columns, 1) if columns else wrap(np.zeros((size, 0), np.int64))


@public()
@reads_values(each=True)
def argwhere(input: Tensor) -> Tensor:
    """The indices of nonzero elements, a row each."""
    return nonzero(input)


@public(out=True)
def masked_select(input: Tensor, mask: Tensor) -> Tensor:
    """The elements where the mask holds, in one dimension."""
    x, m = V.broadcast_all(input, mask)
    if m._data.dtype.kind != "b":
        raise RuntimeError("masked_select: expected BoolTensor for mask")
    return getitem(x, m)


@public(inplace=True)
def masked_scatter(input: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """A copy in which the elements where the mask holds come from `source`, in order."""
    x = check_tensor("masked_scatter", input)
    check_tensor("masked_scatter", source, "source", 3)
    if check_tensor("masked_scatter", mask, "mask", 2)._data.dtype.kind != "b":
        raise RuntimeError(
            f"masked_scatter_ only supports boolean masks, but got mask with dtype {mask.dtype}"
        )
    if source._data.dtype is not x._data.dtype:
        raise RuntimeError(
            "masked_scatter: expected self and source to have same dtypes but got "
            f"{x.dtype} and {source.dtype}"
        )
    x, mask = V.broadcast_all(x, mask)
    n = source.numel()
    held = mask._data
    if isinstance(held, np.ndarray) and np.count_nonzero(held) > n:
        raise RuntimeError(
            f"masked_scatter: expected source to have at least {np.count_nonzero(held)} elements, "
            f"the number of ones in mask, but it has {n}"
        )
    if not n:
        return V.clone(x)
    # The k-th place of the mask takes element k: no shape depends on values, so it can be traced.
    counted = cumsum(E.to_dtype(V.reshape(mask, (mask.numel(),)), dtypes.I64), dim=0)
    places = E.minimum(E.maximum(counted - 1, 0), n - 1)
    taken = take_rows(V.reshape(source, (n,)), places, dim=0)
    return E.where(mask, V.reshape(taken, tuple(x._data.shape)), x)


@public(inplace=True)
def put(input: Tensor, index: Tensor, source: Tensor, accumulate: bool = False) -> Tensor:
    """A copy with elements stored (or added) at the given places of the flattened tensor."""
    from .scatter import index_put

    flat = V.reshape(check_tensor("put", input), (input.numel(),))
    values = V.reshape(source, (source.numel(),))
    places = V.reshape(index, (index.numel(),))
    return V.reshape(index_put(flat, (places,), values, accumulate), tuple(input._data.shape))
