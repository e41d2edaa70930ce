"""Public functions that sort, rank and count elements."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import dtypes, return_types
from ..creation import linspace
from ..dispatch import reads_values, values_of
from ..tensor import Tensor, wrap
from . import elementwise as E, view as V
from .export import check_promoted, check_tensor, public
from .gather import (
    _at,
    gather_,
    scatter_add_zeros,
    sort_order,
    take_rows,
)
from .reduce import aminmax
from .reduction import argmax, sum_
from .scatter import _at_least_1d
from .search import running_place, search
from .shape import unsqueeze
from .view import wrap_dim


def _sorted(kind: Any, x: Tensor, order: Tensor, d: int) -> Any:
    if x.ndim == 0:
        return kind(V.clone(x), wrap(np.zeros((), np.int64)))
    return kind(gather_(x, order, dim=d), order)


@public(out=True)
def sort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = True) -> Any:
    """Sorted values and their indices along a dimension; stable, NaN counts as largest."""
    d = wrap_dim(dim, check_tensor("sort", input, kinds="biuf", refusal=RuntimeError).ndim)
    order = sort_order(input, dim=d, descending=bool(descending)) if input.ndim else input
    return _sorted(return_types.sort, input, order, d)


@public(out=True)
def argsort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
    """The indices that sort along a dimension."""
    return sort(input, dim, descending)[1]


@public(out=True)
def msort(input: Tensor) -> Tensor:
    """Sorted along the first dimension."""
    return sort(input, 0)[0]


@public(out=True)
def topk(input: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
    """The k largest (or smallest) values along a dimension, in order, and their indices."""
    d = wrap_dim(dim, check_tensor("topk", input, kinds="iuf", refusal=RuntimeError).ndim)
    if not 0 <= k <= (input._data.shape[d] if input.ndim else 1):
        raise RuntimeError("selected index k out of range")
    if input.ndim == 0:
        return _sorted(return_types.topk, input, input, 0)
    order = sort_order(input, dim=d, descending=bool(largest))
    return _sorted(return_types.topk, input, V.slice_(order, index=_at(d, slice(0, k))), d)


def _pick(kind: Any, x: Tensor, order: Tensor, position: int, d: int, keepdim: bool) -> Any:
    at = V.slice_(order, index=_at(d, slice(position, position + 1)))
    values = gather_(x, at, dim=d)
    if keepdim:
        return kind(values, at)
    return kind(V.slice_(values, index=_at(d, 0)), V.slice_(at, index=_at(d, 0)))


@public(out=True)
def kthvalue(input: Tensor, k: int, dim: int = -1, keepdim: bool = False) -> Any:
    """The k-th smallest value along a dimension, and its index."""
    d = wrap_dim(dim, check_tensor("kthvalue", input, kinds="iuf").ndim)
    x = _at_least_1d(input)
    if not 1 <= k <= x._data.shape[d]:
        raise RuntimeError(f"kthvalue(): selected number k out of range for dimension {d}")
    order = sort_order(x, dim=d, descending=False)
    picked = _pick(return_types.kthvalue, x, order, k - 1, d, keepdim or not input.ndim)
    return picked if input.ndim else return_types.kthvalue(*(V.reshape(t, ()) for t in picked))


@public(out=True)
def median(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The lower median of everything, or along a dimension with its index; NaN if there is one."""
    return _median(return_types.median, input, dim, keepdim, skip_nan=False)


@public(out=True)
def nanmedian(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The lower median of what is not NaN."""
    return _median(return_types.nanmedian, input, dim, keepdim, skip_nan=True)


def _median(kind: Any, input: Tensor, dim: int | None, keepdim: bool, skip_nan: bool) -> Any:
    x = check_tensor(kind.__name__, input, kinds="iuf")
    if dim is None:
        if x.numel() == 0:
            return E.add(sum_(x, dim=tuple(range(x.ndim)), keepdim=False), np.nan)
        flat = V.reshape(x, (x.numel(),))
        return _median(kind, flat, 0, False, skip_nan)[0]
    d = wrap_dim(dim, x.ndim)
    if x.ndim == 0:
        return _sorted(kind, x, x, 0)
    n = x._data.shape[d]
    if n == 0:
        raise IndexError(f"{kind.__name__}(): Expected reduction dim {d} to have non-zero size.")
    order = sort_order(x, dim=d, descending=False)
    if x._data.dtype.kind != "f":
        return _pick(kind, x, order, (n - 1) // 2, d, keepdim)
    # NaNs sort last. They are the median, the first of them, unless they are to be skipped.
    missing = sum_(E.to_dtype(E.isnan(x), dtypes.I64), dim=(d,), keepdim=True)
    if skip_nan:
        at = E.floor_divide(E.maximum(n - missing - 1, 0), 2)
    else:
        at = E.where(E.gt(missing, 0), n - missing, (n - 1) // 2)
    return _pick(kind, x, gather_(order, at, dim=d), 0, d, keepdim)


@public(out=True)
def mode(input: Tensor, dim: int = -1, keepdim: bool = False) -> Any:
    """The most frequent value along a dimension (the smallest of several), and its last index."""
    x = check_tensor("mode", input, kinds="biuf")
    d = wrap_dim(dim, x.ndim)
    if x.ndim == 0:
        return _sorted(return_types.mode, x, x, 0)
    if x._data.shape[d] == 0:
        raise IndexError(f"mode(): Expected reduction dim {d} to have non-zero size.")
    # The length of each run of equal elements in order, at its end; the first longest one wins.
    order = sort_order(x, dim=d, descending=False)
    values = gather_(x, order, dim=d)
    n = x._data.shape[d]
    tail = E.ne(
        V.slice_(values, index=_at(d, slice(1, n))), V.slice_(values, index=_at(d, slice(0, n - 1)))
    )
    head = E.fill(E.ne(V.slice_(values, index=_at(d, slice(0, 1))), 0), True)
    places = V.reshape(wrap(np.arange(n)), (*(1,) * d, n, *(1,) * (x.ndim - d - 1)))
    starts = E.where(V.cat(head, tail, dim=d), places, 0)
    length = places - gather_(starts, running_place(starts, dim=d, largest=True), dim=d)
    longest = unsqueeze(argmax(length, dim=d), d)
    order = gather_(order, longest, dim=d)
    return _pick(return_types.mode, x, order, 0, d, keepdim)


@public(method=False, out=True)
def searchsorted(
    sorted_sequence: Tensor, input: Any, *, out_int32: bool = False, right: bool = False,
    side: str | None = None, sorter: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Where values would be inserted in a sorted sequence to keep it sorted.

    With several dimensions, each row of `input` is searched in the same row of the sequence.
    """
    sequence = check_tensor("searchsorted", sorted_sequence)
    if side not in (None, "left", "right"):
        raise RuntimeError(f"searchsorted(): side can only be 'left' or 'right' but got {side!r}")
    if right and side == "left":
        raise RuntimeError(
            "searchsorted(): side and right can't be set to opposites, got side of left while "
            "right was True"
        )
    values = input if isinstance(input, Tensor) else wrap(np.asarray(input))
    check_promoted("searchsorted", "iuf", sequence, values)
    if sorter is not None:
        sequence = gather_(sequence, sorter, dim=sequence.ndim - 1)
    if sequence.ndim > 1 and sequence.shape[:-1] != values.shape[:-1]:
        raise RuntimeError(
            "searchsorted(): boundaries tensor should be 1 dimension or the first N-1 "
            "dimensions of boundaries tensor and input value tensor must match, but we got "
            f"boundaries tensor {list(sequence.shape)} and input value tensor "
            f"{list(values.shape)}"
        )
    found = search(sequence, values, right=right or side == "right")
    return E.to_dtype(found, np.dtype(np.int32)) if out_int32 else found


@public(method=False, out=True)
def bucketize(
    input: Any, boundaries: Tensor, *, out_int32: bool = False, right: bool = False
) -> Tensor:
    """The index of the bucket between sorted boundaries that each value falls in."""
    return searchsorted(boundaries, input, out_int32=out_int32, right=right)


def _tuple_or_one(result: list[Tensor]) -> Any:
    return result[0] if len(result) == 1 else tuple(result)


@public(method=False, out=True)
def isin(
    elements: Any, test_elements: Any, *, assume_unique: bool = False, invert: bool = False
) -> Tensor:
    """True for the elements that are among `test_elements`."""
    a, b = (x if isinstance(x, Tensor) else wrap(np.asarray(x)) for x in (elements, test_elements))
    for t in (a, b):
        check_tensor("isin", t, kinds="iuf", refusal=RuntimeError)
    n = b.numel()
    if n == 0:
        return wrap(np.full(a._data.shape, bool(invert)))
    b = V.reshape(b, (n,))
    b = gather_(b, sort_order(b, dim=0, descending=False), dim=0)
    places = E.minimum(search(b, a, right=False), n - 1)
    return (E.ne if invert else E.eq)(a, take_rows(b, places, dim=0))


@public()
@reads_values(each=False)
def unique(
    input: Tensor, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False,
    dim: int | None = None,
) -> Any:  # fmt: skip
    """The distinct elements (or slices of a dimension) in order; with the place of each element
    among them and their counts if asked for."""
    data = check_tensor("unique", input, kinds="biuf")._data
    axis = None if dim is None else wrap_dim(dim, input.ndim)
    values, inverse, counts = np.unique(data, return_inverse=True, return_counts=True, axis=axis)
    result = [wrap(values)]
    if return_inverse:
        result.append(wrap(inverse.reshape(data.shape if axis is None else -1).astype(np.int64)))
    if return_counts:
        result.append(wrap(counts.astype(np.int64)))
    return _tuple_or_one(result)


@public()
@reads_values(each=False)
def unique_consecutive(
    input: Tensor, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """The elements (or slices of a dimension) without those that equal their predecessor."""
    data = check_tensor("unique_consecutive", input, kinds="biuf")._data
    axis = 0 if dim is None else wrap_dim(dim, input.ndim)
    rows = data.reshape(-1) if dim is None else data
    moved = np.moveaxis(rows, axis, 0)
    n = len(moved)
    fresh = np.ones(n, bool)
    if n > 1:
        fresh[1:] = (moved[1:] != moved[:-1]).reshape(n - 1, -1).any(1)
    starts = np.flatnonzero(fresh)
    result = [wrap(np.ascontiguousarray(np.compress(fresh, rows, axis)))]
    if return_inverse:
        inverse = np.cumsum(fresh) - 1
        result.append(wrap(inverse.reshape(data.shape) if dim is None else inverse))
    if return_counts:
        result.append(wrap(np.diff(np.append(starts, n))))
    return _tuple_or_one(result)


@public()
@reads_values(each=True)
def bincount(input: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    """How often each non-negative int occurs, or the sum of its weights."""
    w = None if weights is None else weights._data
    data = check_tensor("bincount", input, kinds="iu")._data
    if data.ndim != 1 or (data.size and data.min() < 0):
        raise RuntimeError("bincount only supports 1-d non-negative integral inputs.")
    r = np.bincount(data, w, minlength)
    if weights is not None:
        return wrap(r.astype(np.float32 if weights._data.dtype == np.float32 else np.float64))
    return wrap(r.astype(np.int64))


@public(out=True)
def histogram(
    input: Tensor, bins: Any, *, range: Any = None, weight: Tensor | None = None,
    density: bool = False,
) -> Any:  # fmt: skip
    """Counts (or sums of weights, or a density) in bins, and the edges of these.

    `bins`: a number of equal bins over `range` (that of the input by default), or edges.

    Raises:
        NotImplementedError: no floating-point numbers.
        RuntimeError: weights and edges that do not fit, or edges that decrease.

    >>> import numbagrad as ng
    >>> ng.histogram(ng.tensor([0.0, 1.0, 1.0, 2.0]), 2).hist
    tensor([1., 3.])
    """
    x = check_tensor("histogram", input, kinds="f")
    if weight is not None and weight._data.shape != x._data.shape:
        raise RuntimeError(
            "histogramdd(): if weight tensor is provided it should have the same shape as the "
            "input tensor excluding its innermost dimension"
        )
    if isinstance(bins, Tensor):
        if bins._data.dtype is not x._data.dtype:
            raise RuntimeError("histogramdd(): input tensor and bins tensors should have one dtype")
        _check_increasing("histogram", bins)
        edges = bins.detach()
    else:
        if bins <= 0:
            raise RuntimeError(f"histogramdd(): bins must be > 0, but got {bins}")
        edges = linspace(*_ends(x, range), bins + 1, dtype=dtypes.of(x._data.dtype))
    weights = None if weight is None else weight.detach().to(x.dtype)
    counts = counted(x.detach(), edges, weights)
    if density:
        counts = counts / (counts.sum() * E.sub(edges[1:], edges[:-1]))
    return return_types.histogram(counts, V.clone(edges))


def _ends(x: Tensor, given: tuple[float, float] | None) -> tuple[Tensor, Tensor]:
    """The first and the last edge of a histogram: `given`, or the extrema of what is counted."""
    if given is None and x.numel():
        low, high = aminmax(x.detach())
        known = values_of(x)
        if known is not None and not np.isfinite(known).all():
            raise RuntimeError(
                f"histogramdd(): range of [{known.min()}, {known.max()}] is not finite; give range="
            )
    else:
        low, high = (wrap(np.asarray(v, x._data.dtype)) for v in given or (0, 1))
    same = E.eq(low, high)
    return E.where(same, low - 0.5, low), E.where(same, high + 0.5, high)


def counted(x: Tensor, edges: Tensor, weights: Tensor | None = None) -> Tensor:
    """How many elements (or what sum of weights) lies between neighbouring edges.

    The last interval includes its end; what lies outside and NaN is not counted.
    """
    n = edges._data.shape[0] - 1
    x = V.reshape(x, (x.numel(),))
    last = edges[-1]
    places = search(edges, x, right=True) - 1
    places = E.where(E.eq(x, last), n - 1, places)
    inside = E.logical_and(E.ge(x, edges[0]), E.le(x, last))
    places = E.where(inside, E.minimum(places, n - 1), n)
    values = E.fill(x, 1) if weights is None else V.reshape(weights, (weights.numel(),))
    return scatter_add_zeros(values, places, shape=(n + 1,), dim=0)[:n]


@public(method=False)
def histogramdd(
    input: Tensor, bins: Any, *, range: Any = None, weight: Tensor | None = None,
    density: bool = False,
) -> Any:  # fmt: skip
    """Counts (or sums of weights, or a density) of points in the cells of a grid, and its edges.

    Args:
        input: points, (..., dimensions).
        bins: the number of equal bins of each dimension, one for all of them, or their edges.
        range: the lowest and highest value of each dimension in turn; those of the points by
            default.
        weight: (...), how much each point counts.
        density: divide by the sum and by the volumes of the cells.

    Raises:
        NotImplementedError: no floating-point numbers.
        RuntimeError: bins, ranges or weights that do not fit.

    >>> import numbagrad as ng
    >>> ng.histogramdd(ng.tensor([[0.0, 1.0], [1.0, 0.0], [2.0, 2.0]]), bins=2).hist.tolist()
    [[0.0, 1.0], [1.0, 1.0]]
    """
    x = check_tensor("histogramdd", input, kinds="f")
    if x.ndim < 2:
        raise RuntimeError("torch.histogramdd: input tensor should have at least 2 dimensions")
    points = x._data.reshape(-1, x.shape[-1])
    d = points.shape[1]
    if isinstance(bins, int):
        bins = [bins] * d
    if len(bins) != d:
        raise RuntimeError(
            f"histogramdd(): The size of bins must be equal to the innermost dimension of the "
            f"input, {d}, but it is {len(bins)}"
        )
    if weight is not None and tuple(weight.shape) != tuple(x.shape[:-1]):
        raise RuntimeError(
            "histogramdd(): if weight tensor is provided it should have the same shape as the "
            "input tensor excluding its innermost dimension"
        )
    if range is not None and len(range) != 2 * d:
        raise RuntimeError(
            f"histogramdd(): for a {d}-dimensional histogram range should have {2 * d} elements, "
            f"but got {len(range)}"
        )
    edges = []
    for i, b in enumerate(bins):
        if isinstance(b, Tensor):
            _check_increasing("histogramdd", b)
            edges.append(b._data)
        else:
            limits = None if range is None else range[2 * i : 2 * i + 2]
            edges.append(_bin_edges(points[:, i], b, limits))
    weights = None if weight is None else weight._data.reshape(-1)
    counts, _ = np.histogramdd(points, edges, weights=weights, density=density)
    return return_types.histogramdd(
        wrap(counts.astype(points.dtype)), tuple(wrap(np.array(e)) for e in edges)
    )


def _check_increasing(name: str, edges: Tensor) -> None:
    known = values_of(edges)
    if known is not None and (known[..., 1:] < known[..., :-1]).any():
        raise RuntimeError(f"{name}(): the edges of bins must not decrease; sort them first")


def _bin_edges(x: Any, bins: int, limits: Any) -> Any:
    """The edges of equal bins between two limits, those of the values by default."""
    if bins <= 0:
        raise RuntimeError(f"histogramdd(): bins must be > 0, but got {bins}")
    low, high = limits or (0, 1)
    if limits is None and x.size:
        low, high = x.min(), x.max()
    if low == high:
        low, high = low - 0.5, high + 0.5
    return np.linspace(low, high, bins + 1).astype(x.dtype)
