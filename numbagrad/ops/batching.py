"""Batching rules: how an op is applied to a whole batch, for the `batch` field of its record.

A rule takes a :class:`Batched` call, in which the batch is dimension 0 of the inputs that have
one, and returns the result (or a tuple of results) with the batch as dimension 0.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..dispatch import bind
from ..tensor import Tensor, wrap

Shape = tuple[int, ...]


@dataclass(slots=True)
class Batched:
    """One call of an op, with the inputs of the level below."""

    op: Any
    size: int
    xs: list[Any]  # tensors and numbers
    batched: list[bool]  # which of them have the batch
    params: dict[str, Any]

    def shape(self, i: int) -> Shape:
        """The shape of input `i` as the function sees it; () for a number."""
        x = self.xs[i]
        if not isinstance(x, Tensor):
            return ()
        shape = tuple(x._data.shape)
        return shape[1:] if self.batched[i] else shape

    def full(self, i: int) -> Any:
        """Input `i` with the batch, repeated if it has none; a number as it is."""
        x = self.xs[i]
        if self.batched[i] or not isinstance(x, Tensor):
            return x
        return _expand(_view().slice_(x, index=(None,)), (self.size, *x._data.shape))

    def shaped(self, i: int, shape: Shape) -> Any:
        """Input `i` with the batch, broadcast to `shape` within it; a number as it is."""
        if not isinstance(self.xs[i], Tensor):
            return self.xs[i]
        return _expand(self.ranked(i, len(shape)), (self.size, *shape))

    def ranked(self, i: int, rank: int) -> Any:
        """Input `i` such that it broadcasts with others of `rank` dimensions besides the batch."""
        x = self.xs[i]
        missing = rank - len(self.shape(i))
        if not self.batched[i] or missing <= 0:
            return x
        return _view().slice_(x, index=(slice(None), *(None,) * missing))

    def apply(self, *xs: Any, **params: Any) -> Any:
        """The op itself on other arguments."""
        return bind(self.op, xs, params)


Rule = Callable[[Batched], Any]


@functools.cache
def _view() -> Any:
    from . import view  # its records hold rules of this module

    return view


def _expand(x: Tensor, shape: Shape) -> Tensor:
    return _view().expand_to(x, shape)


def merge(x: Tensor) -> Tensor:
    """The first two dimensions as one."""
    a, b, *rest = x._data.shape
    return _view().reshape(x, (a * b, *rest))


def split(x: Tensor, size: int) -> Tensor:
    """The first dimension as two, the first of extent `size`."""
    n, *rest = x._data.shape
    return _view().reshape(x, (size, n // size if size else 0, *rest))


def move(x: Tensor, source: int, target: int) -> Tensor:
    """One dimension moved to another place."""
    if source == target:
        return x
    order = [d for d in range(x.ndim) if d != source]
    order.insert(target, source)
    return _view().permute(x, dims=tuple(order))


# -- rules that need no more than the record ------------------------------------------------------


def batch_loop(call: Batched) -> Any:
    """The op on one element of the batch after the other: for any op, but slow."""
    V = _view()
    if call.size == 0:
        raise RuntimeError(
            f"vmap: {call.op.name} has no batching rule and cannot be mapped over an empty batch"
        )
    rows = []
    for i in range(call.size):
        xs = [
            V.slice_(x, index=(i,)) if b else x for x, b in zip(call.xs, call.batched, strict=True)
        ]
        rows.append(call.apply(*xs, **call.params))
    if isinstance(rows[0], tuple):
        return tuple(_stack(column) for column in zip(*rows, strict=True))
    return _stack(rows)


def _stack(xs: Any) -> Tensor:
    V = _view()
    return V.cat(*[V.slice_(x, index=(None,)) for x in xs], dim=0)


def batch_elementwise(call: Batched) -> Any:
    """Inputs aligned so that they broadcast as their elements would."""
    xs = call.xs
    if len(xs) == 1:
        return bind(call.op, (xs[0],), call.params)
    rank, aligned, dtype, mixed = 0, True, None, False
    for x, b in zip(xs, call.batched):
        if isinstance(x, Tensor):
            n = x._data.ndim - 1 if b else x._data.ndim
            if dtype is None:
                rank, dtype = n, x._data.dtype
            else:
                mixed = mixed or x._data.dtype is not dtype
                aligned = aligned and n == rank
                rank = max(rank, n)
    if not aligned:
        xs = [call.ranked(i, rank) for i in range(len(xs))]
    if mixed:
        xs = _promoted(call, xs)
    return bind(call.op, tuple(xs), call.params)


class _Aval:
    def __init__(self, shape: Shape, dtype: Any) -> None:
        self.shape, self.dtype, self.ndim = shape, dtype, len(shape)


def _promoted(call: Batched, xs: list[Any]) -> list[Any]:
    # A 0-d tensor promotes less than others, but a batch of them is no 0-d tensor any more.
    zero_d = any(b and not call.shape(i) for i, b in enumerate(call.batched))
    rule = call.op.dtype_rule
    if not zero_d or rule is None:
        return xs
    from .elementwise import to_dtype

    avals = [
        _Aval(call.shape(i), x._data.dtype) if isinstance(x, Tensor) else x
        for i, x in enumerate(call.xs)
    ]
    dtype = rule.resolve(avals)[0]
    first = 1 if rule.condition else 0
    return [
        to_dtype(x, dtype) if isinstance(x, Tensor) and i >= first else x for i, x in enumerate(xs)
    ]


class Shift:
    """All inputs get the batch, and parameters that name dimensions count from behind it."""

    def __call__(self, call: Batched) -> Any:
        xs = [call.full(i) for i in range(len(call.xs))]
        return call.apply(*xs, **self.params(call.size, call.params))

    def params(self, size: int, params: dict[str, Any]) -> dict[str, Any]:
        """The parameters for the whole batch."""
        return {k: _SHIFTS[k](size, v) if k in _SHIFTS else v for k, v in params.items()}


def _shift_dim(size: int, dim: Any) -> Any:
    return tuple(d + 1 for d in dim) if isinstance(dim, tuple) else dim + 1


#: What becomes of a parameter of this name.
_SHIFTS: dict[str, Callable[[int, Any], Any]] = {
    "dim": _shift_dim,
    "dims": _shift_dim,
    "dim1": _shift_dim,
    "dim2": _shift_dim,
    "shape": lambda size, shape: (size, *shape),
    "index": lambda size, index: (slice(None), *index),
    "widths": lambda size, widths: ((0, 0), *widths),
    "chain": lambda size, chain: tuple((op, op.batch.params(size, p)) for op, p in chain),
}
SHIFT = Shift()


class _ShiftOrder(Shift):
    """The parameter `dims` is an order of all dimensions."""

    def params(self, size: int, params: dict[str, Any]) -> dict[str, Any]:
        return {"dims": (0, *(d + 1 for d in params["dims"]))}


SHIFT_ORDER = _ShiftOrder()


class _View(Shift):
    """A view in another shape; a copy where a batch that is not contiguous demands it."""

    def __call__(self, call: Batched) -> Any:
        return _view().reshape(call.xs[0], (call.size, *call.params["shape"]))


SHIFT_VIEW = _View()


class _Expand(Shift):
    def __call__(self, call: Batched) -> Any:
        return call.shaped(0, call.params["shape"])


SHIFT_EXPAND = _Expand()


# -- products -------------------------------------------------------------------------------------


def batch_matmul(call: Batched) -> Any:
    """Matrix products broadcast over the batch; one product if only one side has it."""
    V = _view()
    x, y = call.xs
    a, b = call.shape(0), call.shape(1)
    if not call.batched[1] and len(b) == 2:  # one product of tall matrices
        flat = V.reshape(x, (math.prod(x._data.shape[:-1]), a[-1]))
        return V.reshape(call.apply(flat, y), (*x._data.shape[:-1], b[-1]))
    rank = max(len(a), len(b))
    return call.apply(call.ranked(0, rank), call.ranked(1, rank))


def _transposed(x: Tensor) -> Tensor:
    n = x.ndim
    return _view().permute(x, dims=(*range(n - 2), n - 1, n - 2))


def _rows(call: Batched, i: int) -> Tensor:
    """Input `i` as matrices, (batch, rows, columns), or (rows, columns) if it has no batch."""
    shape = call.shape(i)
    batch = (call.size,) if call.batched[i] else ()
    return _view().reshape(call.xs[i], (*batch, math.prod(shape[:-1]), shape[-1]))


def batch_linear(transposed: bool) -> Rule:
    """x @ w.T + b (or x @ w) over the last dimension of x."""

    def rule(call: Batched) -> Any:
        from .elementwise import add
        from .linalg import matmul

        V = _view()
        if not any(call.batched[1:]):
            return call.apply(*call.xs, **call.params)
        w = call.xs[1]
        y = matmul(_rows(call, 0), _transposed(w) if transposed else w)
        if len(call.xs) > 2:
            y = add(y, call.ranked(2, 2))
        return V.reshape(y, (call.size, *call.shape(0)[:-1], y._data.shape[-1]))

    return rule


def batch_linear_weight(call: Batched) -> Any:
    """x.T @ y, summed over all leading dimensions but the batch."""
    from .linalg import matmul

    return matmul(_transposed(_rows(call, 0)), _rows(call, 1))


# -- indexing -------------------------------------------------------------------------------------


def _offset(call: Batched, i: int, extent: int) -> Tensor:
    """The indices of input `i` for a table in which `extent` rows of each element follow."""
    from .elementwise import add

    index = call.full(i)
    steps = np.arange(call.size) * extent
    return add(index, wrap(steps.reshape(-1, *(1,) * (index.ndim - 1))))


def batch_take(call: Batched) -> Any:
    """Slices along `dim`: index_select."""
    dim = call.params["dim"]
    x, index = call.xs
    n = len(call.shape(1))
    if not call.batched[1]:
        return call.apply(x, index, dim=dim + 1)
    if not call.batched[0]:
        return move(call.apply(x, index, dim=dim), dim, 0)
    table = merge(move(x, dim + 1, 1))
    taken = call.apply(table, _offset(call, 1, call.shape(0)[dim]), dim=0)
    return _place_back(taken, n, dim)


def _place_back(x: Tensor, count: int, dim: int) -> Tensor:
    """`count` dimensions behind the batch moved to `dim` (counted without the batch)."""
    order = list(range(1 + count, x.ndim))
    order[dim:dim] = range(1, 1 + count)
    return _view().permute(x, dims=(0, *order))


def _bring_front(x: Tensor, count: int, dim: int) -> Tensor:
    """The inverse of :func:`_place_back`."""
    moved = range(1 + dim, 1 + dim + count)
    rest = [d for d in range(1, x.ndim) if d not in moved]
    return _view().permute(x, dims=(0, *moved, *rest))


def batch_add_rows(call: Batched) -> Any:
    """Slices added at places of zeros: index_add."""
    dim, shape = call.params["dim"], call.params["shape"]
    if not call.batched[1]:
        return call.apply(*call.xs, shape=(call.size, *shape), dim=dim + 1)
    x = _bring_front(call.full(0), len(call.shape(1)), dim)
    rest = (*shape[:dim], *shape[dim + 1 :])
    table = call.apply(
        x, _offset(call, 1, shape[dim]), shape=(call.size * shape[dim], *rest), dim=0
    )
    return _place_back(split(table, call.size), 1, dim)


def batch_put_rows(call: Batched) -> Any:
    """Slices replaced: index_copy."""
    dim = call.params["dim"]
    n = len(call.shape(1))
    shape = call.shape(0)
    y = call.shaped(2, (*shape[:dim], *call.shape(1), *shape[dim + 1 :]))
    x = call.full(0)
    if not call.batched[1]:
        return call.apply(x, call.xs[1], y, dim=dim + 1)
    table = merge(move(x, dim + 1, 1))
    table = call.apply(table, _offset(call, 1, shape[dim]), _bring_front(y, n, dim), dim=0)
    return _place_back(split(table, call.size), 1, dim)


def batch_put_along(call: Batched) -> Any:
    """Elements replaced or combined at places of an index of the shape of the values."""
    y = call.shaped(2, call.shape(1))
    params = {**call.params, "dim": call.params["dim"] + 1}
    return call.apply(call.full(0), call.full(1), y, **params)


def batch_pick(call: Batched) -> Any:
    """One element per row: the batch is merged with the rows."""
    index = merge(call.full(1))
    return split(call.apply(merge(call.full(0)), index), call.size)


def batch_place(call: Batched) -> Any:
    """The transpose of :func:`batch_pick`."""
    shape = call.shape(1)
    x, c = (merge(v) if isinstance(v := call.shaped(i, shape), Tensor) else v for i in (0, 2))
    rows, *rest = call.params["shape"]
    out = call.apply(x, merge(call.full(1)), c, shape=(call.size * rows, *rest))
    return split(out, call.size)


# -- windows --------------------------------------------------------------------------------------


def batch_images(call: Batched) -> Any:
    """The batch is merged with that of the images: for ops on each image by itself."""
    params = dict(call.params)
    if "shape" in params:
        first, *rest = params["shape"]
        params["shape"] = (call.size * first, *rest)
    return split(call.apply(merge(call.xs[0]), **params), call.size)


def _channels(call: Batched, i: int) -> Tensor:
    """Images with the batch merged into the channels."""
    x = move(call.full(i), 0, 1)
    n, b, c, *space = x._data.shape
    return _view().reshape(x, (n, b * c, *space))


def _from_channels(x: Tensor, size: int) -> Tensor:
    n, c, *space = x._data.shape
    return move(_view().reshape(x, (n, size, c // size, *space)), 1, 0)


def batch_conv(call: Batched) -> Any:
    """A convolution (or its transpose): more images, or one group of channels per element."""
    params = dict(call.params)
    shape = params.get("shape")
    if not call.batched[1]:
        if shape is not None:
            params["shape"] = (call.size * shape[0], *shape[1:])
        return split(call.apply(merge(call.xs[0]), call.xs[1], **params), call.size)
    params["groups"] *= call.size
    if shape is not None:
        params["shape"] = (shape[0], call.size * shape[1], *shape[2:])
    out = call.apply(_channels(call, 0), merge(call.xs[1]), **params)
    return _from_channels(out, call.size)


def batch_conv_weight(call: Batched) -> Any:
    """The gradient of a weight: one group of channels per element."""
    params = {**call.params, "groups": call.params["groups"] * call.size}
    return split(call.apply(_channels(call, 0), _channels(call, 1), **params), call.size)


def batch_max_pool_index(call: Batched) -> Any:
    """Places are counted from the beginning of each element."""
    from .elementwise import sub

    index = batch_images(call)
    steps = np.arange(call.size) * math.prod(call.shape(0))
    return sub(index, wrap(steps.reshape(-1, *(1,) * (index.ndim - 1))))
