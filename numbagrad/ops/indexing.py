"""Indexing: ``x[...]``, assignment to it, gather and scatter."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import dtypes, return_types
from ..inplace import assign, check_mutable
from ..tensor import Tensor, method, wrap
from . import elementwise as E
from . import view as V
from .batching import SHIFT, batch_add_rows, batch_put_along, batch_put_rows, batch_take
from .export import NUMBERS, check_tensor, public
from .registry import broadcast_shapes, call, primitive
from .view import wrap_dim

Shape = tuple[int, ...]

# -- primitives -----------------------------------------------------------------------------------


def _at(dim: int, index: Any) -> Any:
    return (slice(None),) * dim + (index,)


take_rows = primitive(
    "index_select",
    lambda x, index, dim: np.asarray(np.take(x, index, axis=dim)),
    lambda x, index, dim: ((*x.shape[:dim], *index.shape, *x.shape[dim + 1 :]), x.dtype),
    inputs=("x", "index"),
    grad=(lambda g, index, x_shape, dim: add_rows(g, index, shape=x_shape, dim=dim), None),
    linear=True,
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


# -- x[index] -------------------------------------------------------------------------------------


class _Advanced:
    """An index with tensors in it, in terms of one linear index over merged dimensions."""

    def __init__(self, x: Tensor, basic: tuple[Any, ...], tensors: dict[int, Tensor]) -> None:
        # `basic` is applied first (as a view), `tensors` index dimensions of what it gives.
        self.basic = basic
        self.tensors = tensors

    def resolve(self, x: Tensor) -> tuple[Tensor, tuple[int, ...], int, Tensor]:
        """The view with the indexed dimensions merged into one, how it was permuted, where the
        merged dimension is, and the linear index."""
        dims = sorted(self.tensors)
        shape = tuple(x._data.shape)
        adjacent = dims == list(range(dims[0], dims[-1] + 1))
        place = dims[0] if adjacent else 0
        rest = [d for d in range(len(shape)) if d not in dims]
        order = (*rest[:place], *dims, *rest[place:])
        linear = None
        for d in dims:
            i = _checked(self.tensors[d], shape[d], d)
            linear = i if linear is None else E.add(E.mul(linear, shape[d]), i)
        assert linear is not None
        return x, order, place, linear


def _checked(index: Tensor, extent: int, dim: int) -> Tensor:
    """Negative indices wrapped; out of range is an error where the values are at hand."""
    data = index._data
    if isinstance(data, np.ndarray):
        if data.size and (data.min() < -extent or data.max() >= extent):
            bad = data[(data < -extent) | (data >= extent)].flat[0]
            raise IndexError(f"index {bad} is out of bounds for dimension {dim} with size {extent}")
        if data.size == 0 or data.min() >= 0:
            return E.to_dtype(index, dtypes.I64)
    return E.where(E.lt(index, 0), E.add(index, extent), E.to_dtype(index, dtypes.I64))


def _is_nested(index: Any) -> bool:
    """A list that holds more than numbers counts as a tuple, as it once did in NumPy."""
    return (
        isinstance(index, list)
        and len(index) < 32
        and any(
            i is None or isinstance(i, Tensor | list | tuple | slice | type(...)) for i in index
        )
    )


def _parse(x: Tensor, index: Any) -> _Advanced:
    """Split an index into what a view can do and what needs index tensors."""
    items = list(index) if isinstance(index, tuple) or _is_nested(index) else [index]
    shape = x._data.shape
    expanded: list[Any] = []
    consumed = 0
    for item in items:
        item = _normalised(item)
        expanded.append(item)
        if item is None or item is Ellipsis:
            continue
        consumed += item.ndim if isinstance(item, Tensor) and item._data.dtype.kind == "b" else 1
    ellipses = [i for i, e in enumerate(expanded) if e is Ellipsis]
    if consumed > len(shape):
        raise IndexError(f"too many indices for tensor of dimension {len(shape)}")
    for i in reversed(ellipses):  # the first one takes all that is left
        expanded[i : i + 1] = [slice(None)] * (len(shape) - consumed if i == ellipses[0] else 0)
    basic: list[Any] = []
    tensors: dict[int, Tensor] = {}
    axis = 0  # of x
    out = 0  # of the result of the basic part
    for item in expanded:
        if item is None:
            basic.append(None)
            out += 1
        elif isinstance(item, slice):
            basic.append(_slice(item, shape[axis]))
            axis += 1
            out += 1
        elif isinstance(item, Tensor):
            if item._data.dtype.kind == "b":
                axis, out = _mask(x, item, axis, out, basic, tensors)
            else:
                basic.append(slice(None))
                tensors[out] = item
                axis += 1
                out += 1
        else:
            extent = shape[axis]
            if not -extent <= item < extent:
                raise IndexError(
                    f"index {item} is out of bounds for dimension {axis} with size {extent}"
                )
            basic.append(item % extent)
            axis += 1
    return _Advanced(x, tuple(basic), tensors)


def _mask(
    x: Tensor, mask: Tensor, axis: int, out: int, basic: list[Any], tensors: dict[int, Tensor]
) -> tuple[int, int]:
    shape = tuple(x._data.shape[axis : axis + mask.ndim])
    if tuple(mask._data.shape) != shape:
        raise IndexError(
            f"The shape of the mask {list(mask.shape)} at index 0 does not match the shape of the "
            f"indexed tensor {list(x.shape)} at index {axis}"
        )
    if mask.ndim == 0:
        basic.append(None)
        tensors[out] = wrap(np.zeros(1 if bool(mask) else 0, np.int64))
        return axis, out + 1
    for found in nonzero(mask, as_tuple=True):
        basic.append(slice(None))
        tensors[out] = found
        axis += 1
        out += 1
    return axis, out


def _slice(s: slice, extent: int) -> slice:
    def number(v: Any) -> Any:
        return v.item() if isinstance(v, Tensor) else v

    start, stop, step = number(s.start), number(s.stop), number(s.step)
    if step is not None and step <= 0:
        raise ValueError("step must be greater than zero; reverse a dimension with ng.flip")
    a, b, c = slice(start, stop, step).indices(extent)
    return slice(a, max(a, b), c)


def _normalised(item: Any) -> Any:
    """Ints, slices, None, Ellipsis and index tensors out of what users write."""
    if item is None or item is Ellipsis or isinstance(item, slice):
        return item
    if isinstance(item, bool | np.bool_):
        return wrap(np.array(bool(item)))
    if isinstance(item, Tensor):
        kind = item._data.dtype.kind
        if kind not in "biu":
            raise IndexError(
                f"tensors used as indices must be long, int, byte or bool tensors, got {item.dtype}"
            )
        if item._data.dtype == np.uint8:
            return E.to_dtype(item, dtypes.BOOL)
        if item.ndim == 0 and kind in "iu" and isinstance(item._data, np.ndarray):
            return int(item._data)
        return item
    if isinstance(item, list | tuple | range | np.ndarray):
        array = np.asarray(item)
        if array.size == 0:
            array = array.astype(np.int64)
        if array.dtype.kind not in "biu":
            raise IndexError(f"indices must be integers or bools, got {array.dtype}")
        return wrap(array.astype(np.int64) if array.dtype.kind in "iu" else array)
    if hasattr(item, "__index__"):
        return item.__index__()
    raise IndexError(
        "only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are valid "
        f"indices (got {type(item).__name__})"
    )


def _broadcast_indices(tensors: dict[int, Tensor]) -> dict[int, Tensor]:
    try:
        shape = broadcast_shapes(*[t._data.shape for t in tensors.values()])
    except RuntimeError:
        shapes = ", ".join(str(list(t.shape)) for t in tensors.values())
        raise IndexError(
            "shape mismatch: indexing tensors could not be broadcast together with shapes " + shapes
        ) from None
    return {d: V.expand_to(t, shape) for d, t in tensors.items()}


@method("__getitem__")
def getitem(self: Tensor, index: Any) -> Tensor:
    """``x[index]``: a view for ints, slices, None and ...; a copy for tensors, lists and masks."""
    if index.__class__ is int and self._data.shape:
        n = self._data.shape[0]
        if not -n <= index < n:
            raise IndexError(f"index {index} is out of bounds for dimension 0 with size {n}")
        return V.slice_(self, index=(index % n,))
    parsed = _parse(self, index)
    if not parsed.tensors:
        return V.slice_(self, index=parsed.basic)
    parsed.tensors = _broadcast_indices(parsed.tensors)
    x = V.slice_(self, index=parsed.basic)
    x, order, place, linear = parsed.resolve(x)
    return take_rows(_merged(x, order, place, len(parsed.tensors)), linear, dim=place)


def _merged(x: Tensor, order: tuple[int, ...], place: int, count: int) -> Tensor:
    """`x` permuted, with `count` dimensions from `place` on merged into one."""
    if order != tuple(range(len(order))):
        x = V.permute(x, dims=order)
    if count == 1:
        return x
    shape = tuple(x._data.shape)
    merged = int(np.prod(shape[place : place + count], dtype=np.int64))
    return V.reshape(x, (*shape[:place], merged, *shape[place + count :]))


@method("__setitem__")
def setitem(self: Tensor, index: Any, value: Any) -> None:
    """``x[index] = value``: changes the storage; gradients flow to the value and the rest."""
    check_mutable(self, "__setitem__")
    given = value
    if not isinstance(value, Tensor):
        if not isinstance(value, NUMBERS):
            raise TypeError(
                f"can't assign a {type(value).__name__} to a tensor of {self.dtype}; "
                "convert it with ng.tensor(...)"
            )
        value = E.number_like(self, value)
    mask = index if isinstance(index, Tensor) and index._data.dtype.kind == "b" else None
    if mask is not None and mask._data.shape == self._data.shape and value.numel() == 1:
        value = V.reshape(E.to_dtype(value, self._data.dtype), ())
        assign(self, E.where(mask, value, self), "__setitem__")
        return
    parsed = _parse(self, index)
    target = self
    shape = self._data.shape
    if len(parsed.basic) > len(shape) or any(
        b != slice(0, n, 1) for b, n in zip(parsed.basic, shape)
    ):
        target = V.slice_(self, index=parsed.basic)
    value = E.to_dtype(value, self._data.dtype)
    if not parsed.tensors:
        shape = tuple(target._data.shape)
        while value.ndim > len(shape) and value._data.shape[0] == 1:
            value = V.slice_(value, index=(0,))
        assign(target, V.expand_to(value, _fits(value, shape)), "__setitem__")
        return
    if isinstance(given, Tensor) and given._data.dtype is not self._data.dtype:
        raise RuntimeError(
            f"Index put requires the source and destination dtypes match, got {self.dtype} for the "
            f"destination and {given.dtype} for the source; convert it with .to({self.dtype})"
        )
    index_put_(target, parsed.tensors, value, accumulate=False)


def _fits(value: Tensor, shape: Shape) -> Shape:
    try:
        fits = broadcast_shapes(value._data.shape, shape) == shape
    except RuntimeError:
        fits = False
    if not fits:
        raise RuntimeError(
            f"shape mismatch: value tensor of shape {list(value.shape)} cannot be broadcast to "
            f"indexing result of shape {list(shape)}"
        )
    return shape


def index_put_(
    target: Tensor, tensors: dict[int, Tensor], value: Tensor, accumulate: bool
) -> Tensor:
    """Store (or add) values at the places that index tensors name in the given dimensions."""
    parsed = _Advanced(target, (), _broadcast_indices(tensors))
    _, order, place, linear = parsed.resolve(target)
    merged = _merged(target.detach(), order, place, len(tensors))
    shape = (*merged._data.shape[:place], *linear._data.shape, *merged._data.shape[place + 1 :])
    value = V.expand_to(value, _fits(value, shape))
    x = _merged(target, order, place, len(tensors))
    if accumulate:
        new = x + add_rows(value, linear, shape=tuple(x._data.shape), dim=place)
    else:
        new = put_rows(x, linear, value, dim=place)
    permuted = tuple(target._data.shape[d] for d in order)
    back = tuple(sorted(range(len(order)), key=order.__getitem__))
    return assign(target, V.permute(V.reshape(new, permuted), dims=back), "index_put_")


# -- public functions -----------------------------------------------------------------------------


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


@method("index_put_")
def _index_put_(self: Tensor, indices: Any, values: Tensor, accumulate: bool = False) -> Tensor:
    """Store `values` at the places that a tuple of index tensors names, or add them there."""
    return index_put_(self, _index_tensors(self, indices), E.to_dtype(values, self._data.dtype),
                      accumulate)  # fmt: skip


@public()
def index_put(input: Tensor, indices: Any, values: Tensor, accumulate: bool = False) -> Tensor:
    """A copy with `values` stored at (or added to) the places that index tensors name."""
    return _index_put_(V.clone(input), indices, values, accumulate)


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


@public()
def take_along_dim(input: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    """Like gather, with the other dimensions broadcast; without `dim` over the flattened tensor."""
    if dim is None:
        indices = V.reshape(indices, (indices.numel(),))
        return gather(V.reshape(input, (input.numel(),)), 0, _checked(indices, input.numel(), 0))
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
    source = _check_slices("index_reduce", x, d, i, source)
    places = V.reshape(i, (i.numel(), *(1,) * (x.ndim - d - 1)))
    places = V.expand_to(places, tuple(source._data.shape))
    r = scatter_reduce(x, d, places, source, reduce, include_self=include_self)
    return V.reshape(r, tuple(input._data.shape))


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


@public()
def nonzero(input: Tensor, *, as_tuple: bool = False) -> Any:
    """The indices of nonzero elements: a row each, or a tuple of one vector per dimension."""
    x = check_tensor("nonzero", input)
    found = np.nonzero(np.atleast_1d(x._data)) if x.ndim == 0 else np.nonzero(x._data)
    if as_tuple:
        return tuple(wrap(f.astype(np.int64, copy=False)) for f in found)
    if x.ndim == 0:
        return wrap(np.zeros((len(found[0]), 0), np.int64))
    return wrap(np.ascontiguousarray(np.stack(found, 1).astype(np.int64, copy=False)))


@public()
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


def _sorted(kind: Any, x: Tensor, order: Tensor, d: int) -> Any:
    if x.ndim == 0:
        return kind(V.clone(x), wrap(np.zeros((), np.int64)))
    return kind(gather_(x, order, dim=d), order)


@public(out=True)
def sort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = True) -> Any:
    """Sorted values and their indices along a dimension; stable, NaN counts as largest."""
    d = wrap_dim(dim, check_tensor("sort", input).ndim)
    order = sort_order(input, dim=d, descending=bool(descending)) if input.ndim else input
    return _sorted(return_types.sort, input, order, d)


@public()
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
    d = wrap_dim(dim, check_tensor("topk", input).ndim)
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
    d = wrap_dim(dim, check_tensor("kthvalue", input).ndim)
    x = _at_least_1d(input)
    if not 1 <= k <= x._data.shape[d]:
        raise RuntimeError(f"kthvalue(): selected number k out of range for dimension {d}")
    order = sort_order(x, dim=d, descending=False)
    picked = _pick(return_types.kthvalue, x, order, k - 1, d, keepdim or not input.ndim)
    return picked if input.ndim else return_types.kthvalue(*(V.reshape(t, ()) for t in picked))


@public()
def median(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The lower median of everything, or along a dimension with its index; NaN if there is one."""
    return _median(return_types.median, input, dim, keepdim, skip_nan=False)


@public()
def nanmedian(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The lower median of what is not NaN."""
    return _median(return_types.nanmedian, input, dim, keepdim, skip_nan=True)


def _median(kind: Any, input: Tensor, dim: int | None, keepdim: bool, skip_nan: bool) -> Any:
    x = check_tensor(kind.__name__, input)
    if dim is None:
        if x.numel() == 0:
            return E.number_like(x, np.nan)
        flat = V.reshape(x, (x.numel(),))
        return _median(kind, flat, 0, False, skip_nan)[0]
    d = wrap_dim(dim, x.ndim)
    if x.ndim == 0:
        return _sorted(kind, x, x, 0)
    n = x._data.shape[d]
    if n == 0:
        raise IndexError(f"{kind.__name__}(): Expected reduction dim {d} to have non-zero size.")
    order = sort_order(x, dim=d, descending=False)
    if x._data.dtype.kind != "f" or not np.isnan(x._data).any():
        return _pick(kind, x, order, (n - 1) // 2, d, keepdim)
    # NaNs sort last. They are the median, the first of them, unless they are to be skipped.
    missing = np.isnan(x._data).sum(d, keepdims=True)
    if skip_nan:
        at = np.maximum(n - missing - 1, 0) // 2
    else:
        at = np.where(missing, n - missing, (n - 1) // 2)
    order = gather_(order, wrap(at), dim=d)
    return _pick(kind, x, order, 0, d, keepdim)


@public()
def mode(input: Tensor, dim: int = -1, keepdim: bool = False) -> Any:
    """The most frequent value along a dimension (the smallest of several), and its last index."""
    x = check_tensor("mode", input)
    d = wrap_dim(dim, x.ndim)
    if x.ndim == 0:
        return _sorted(return_types.mode, x, x, 0)
    if x._data.shape[d] == 0:
        raise IndexError(f"mode(): Expected reduction dim {d} to have non-zero size.")
    rows = np.moveaxis(x._data, d, -1)
    at = np.empty((*rows.shape[:-1], 1), np.int64)
    for row in np.ndindex(rows.shape[:-1]):
        values, counts = np.unique(rows[row], return_counts=True)
        at[row] = np.flatnonzero(rows[row] == values[counts.argmax()])[-1]
    order = wrap(np.ascontiguousarray(np.moveaxis(at, -1, d)))
    return _pick(return_types.mode, x, order, 0, d, keepdim)


@public(method=False, out=True)
def searchsorted(
    sorted_sequence: Tensor, input: Any, *, out_int32: bool = False, right: bool = False,
    side: str | None = None, sorter: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Where values would be inserted in a sorted sequence to keep it sorted.

    With several dimensions, each row of `input` is searched in the same row of the sequence.
    """
    sequence = check_tensor("searchsorted", sorted_sequence)._data
    if side not in (None, "left", "right"):
        raise RuntimeError(f"searchsorted(): side can only be 'left' or 'right' but got {side!r}")
    if right and side == "left":
        raise RuntimeError(
            "searchsorted(): side and right can't be set to opposites, got side of left while "
            "right was True"
        )
    values = np.asarray(input._data if isinstance(input, Tensor) else input)
    if sorter is not None:
        sequence = np.take_along_axis(sequence, sorter._data, -1)
    where = "right" if right or side == "right" else "left"
    if sequence.ndim == 1:
        found = np.asarray(np.searchsorted(sequence, values, where))
    else:
        if sequence.shape[:-1] != values.shape[:-1]:
            raise RuntimeError(
                "searchsorted(): boundaries tensor should be 1 dimension or the first N-1 "
                "dimensions of boundaries tensor and input value tensor must match, but we got "
                f"boundaries tensor {list(sequence.shape)} and input value tensor "
                f"{list(values.shape)}"
            )
        found = np.empty(values.shape, np.int64)
        for row in np.ndindex(sequence.shape[:-1]):
            found[row] = np.searchsorted(sequence[row], values[row], where)
    return wrap(found.astype(np.int32 if out_int32 else np.int64, copy=False))


@public(method=False, out=True)
def bucketize(
    input: Any, boundaries: Tensor, *, out_int32: bool = False, right: bool = False
) -> Tensor:
    """The index of the bucket between sorted boundaries that each value falls in."""
    return searchsorted(boundaries, input, out_int32=out_int32, right=right)


def _tuple_or_one(result: list[Tensor]) -> Any:
    return result[0] if len(result) == 1 else tuple(result)


@public()
def unique(
    input: Tensor, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False,
    dim: int | None = None,
) -> Any:  # fmt: skip
    """The distinct elements (or slices of a dimension) in order; with the place of each element
    among them and their counts if asked for."""
    data = check_tensor("unique", input)._data
    axis = None if dim is None else wrap_dim(dim, input.ndim)
    values, inverse, counts = np.unique(data, return_inverse=True, return_counts=True, axis=axis)
    result = [wrap(values)]
    if return_inverse:
        result.append(wrap(inverse.reshape(data.shape if axis is None else -1).astype(np.int64)))
    if return_counts:
        result.append(wrap(counts.astype(np.int64)))
    return _tuple_or_one(result)


@public()
def unique_consecutive(
    input: Tensor, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """The elements (or slices of a dimension) without those that equal their predecessor."""
    data = check_tensor("unique_consecutive", input)._data
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
def bincount(input: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    """How often each non-negative int occurs, or the sum of its weights."""
    w = None if weights is None else weights._data
    data = check_tensor("bincount", input)._data
    if data.ndim != 1 or data.dtype.kind not in "iu" or (data.size and data.min() < 0):
        raise RuntimeError("bincount only supports 1-d non-negative integral inputs.")
    r = np.bincount(data, w, minlength)
    if weights is not None:
        return wrap(r.astype(np.float32 if weights._data.dtype == np.float32 else np.float64))
    return wrap(r.astype(np.int64))
