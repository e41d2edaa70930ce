"""``x[...]`` and assignment to it."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import dtypes
from ..dispatch import reads_values
from ..inplace import assign, check_history, update
from ..tensor import Tensor, method, wrap
from . import elementwise as E, view as V
from .export import NUMBERS, check_tensor, public
from .gather import (
    add_rows,
    put_rows,
    take_rows,
)
from .registry import broadcast_shapes

Shape = tuple[int, ...]


@public(out=True)
@reads_values(each=False)
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
def nonzero_static(input: Tensor, *, size: int, fill_value: int = -1) -> Tensor:
    """The first `size` rows of :func:`nonzero`; `fill_value` stands where there are less.

    Raises:
        RuntimeError: a negative `size`.

    >>> import numbagrad as ng
    >>> ng.nonzero_static(ng.tensor([1, 0, 2]), size=3).tolist()
    [[0], [2], [-1]]
    """
    if size < 0:
        raise RuntimeError(f"nonzero_static: 'size' must be an non-negative integer, got {size}")
    found = nonzero(check_tensor("nonzero_static", input))._data[:size]
    rows = np.full((size, input.ndim), fill_value, np.int64)
    rows[: len(found)] = found
    return wrap(rows)


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
    if isinstance(item, str):
        raise TypeError(f"new(): invalid data type 'str': {item!r} is no index of a tensor")
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
        update(self, E.where(mask, value, self), "__setitem__")
        return
    parsed = _parse(self, index)
    check_history(self, "__setitem__")
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
    new = with_values_put(target, parsed.tensors, value, accumulate=False)
    update(target, new, "index_put_")


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


def with_values_put(
    target: Tensor, tensors: dict[int, Tensor], value: Tensor, accumulate: bool
) -> Tensor:
    """`target` with values stored at (or added to) the places that index tensors name in the
    given dimensions."""
    parsed = _Advanced(target, (), _broadcast_indices(tensors))
    _, order, place, linear = parsed.resolve(target)
    x = _merged(target, order, place, len(tensors))
    shape = (*x._data.shape[:place], *linear._data.shape, *x._data.shape[place + 1 :])
    value = V.expand_to(value, _fits(value, shape))
    if accumulate:
        new = x + add_rows(value, linear, shape=tuple(x._data.shape), dim=place)
    else:
        new = put_rows(x, linear, value, dim=place)
    permuted = tuple(target._data.shape[d] for d in order)
    back = tuple(sorted(range(len(order)), key=order.__getitem__))
    return V.permute(V.reshape(new, permuted), dims=back)
