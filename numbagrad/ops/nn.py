"""Primitives of neural networks: affine maps, softmax, picking one element per row.

Each family is closed under differentiation: the gradient rule of one member is written with the
others, so derivatives of any order are as fast as the first.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import dtypes
from ..dispatch import bind, values_of
from ..runtime import openblas
from ..tensor import Tensor, wrap
from . import elementwise as E, linalg as L, reduction as R, view as V
from .batching import (
    SHIFT,
    Batched,
    batch_linear,
    batch_linear_weight,
    batch_pick,
    batch_place,
    merge,
    split,
)
from .elementwise import conj
from .export import check_kinds, check_tensor, public
from .registry import call, primitive

Shape = tuple[int, ...]

# -- affine maps ----------------------------------------------------------------------------------
# With x of shape (..., k), g of shape (..., n) and w of shape (n, k), the three products are the
# partial derivatives of one trilinear form, sum(g * (x @ w.T)).


def _check_product(x: Any, w: Any, inner: int) -> None:
    if w.ndim != 2 or not x.ndim or x.shape[-1] != w.shape[inner]:
        rows = math.prod(x.shape[:-1])
        columns = tuple(w.shape) if inner == 0 else tuple(reversed(w.shape))
        raise RuntimeError(
            f"mat1 and mat2 shapes cannot be multiplied ({rows}x{x.shape[-1] if x.ndim else 1} and "
            f"{'x'.join(map(str, columns))})"
        )
    if x.dtype is not w.dtype:
        raise RuntimeError(
            f"mat1 and mat2 must have the same dtype, but got {dtypes.of(x.dtype).name} and "
            f"{dtypes.of(w.dtype).name}; convert one with .to(dtype)"
        )


def _linear_shape(x: Any, w: Any, b: Any = None) -> Any:
    _check_product(x, w, 1)
    if b is not None:
        if b.shape != (w.shape[0],) and b.shape not in ((), (1,)):
            raise RuntimeError(
                f"linear(): the bias has shape {tuple(b.shape)}; a weight of shape "
                f"{tuple(w.shape)} needs a bias of shape ({w.shape[0]},)"
            )
        if b.dtype is not x.dtype:
            raise RuntimeError(
                f"self and mat2 must have the same dtype, but got {dtypes.of(b.dtype).name} and "
                f"{dtypes.of(x.dtype).name}; convert the bias with .to(dtype)"
            )
    return (*x.shape[:-1], w.shape[0]), x.dtype


def _rows(x: Any) -> Any:
    return x if x.ndim == 2 else x.reshape(math.prod(x.shape[:-1]), x.shape[-1])


def _linear(x: Any, w: Any, b: Any = None) -> Any:
    d = x.dtype
    if x.ndim == w.ndim == 2 and w.dtype is d and (b is None or (b.ndim == 1 and b.dtype is d)):
        # NumPy itself refuses the extents that do not fit.
        y = openblas.matmul(x, w.T)
        return y if b is None else np.add(y, b, y)
    shape, _ = _linear_shape(x, w, b)
    y = openblas.matmul(_rows(x), w.T)
    if b is not None:
        np.add(y, b, y)
    return y if x.ndim == 2 else y.reshape(shape)


def _linear_input_shape(g: Any, w: Any) -> Any:
    _check_product(g, w, 0)
    return (*g.shape[:-1], w.shape[1]), g.dtype


def _linear_input(g: Any, w: Any) -> Any:
    y = openblas.matmul(_rows(g), w)
    return y if g.ndim == 2 else y.reshape(*g.shape[:-1], w.shape[1])


def _flat(x: Tensor) -> Tensor:
    shape = tuple(x._data.shape)
    return x if x.ndim == 2 else V.reshape(x, (math.prod(shape[:-1]), shape[-1]))


def _lower_linear(x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
    y = L.matmul(_flat(x), L.transpose_last(w))
    if b is not None:
        y = E.add(y, b)
    return y if x.ndim == 2 else V.reshape(y, (*x._data.shape[:-1], w._data.shape[0]))


def _lower_linear_input(g: Tensor, w: Tensor) -> Tensor:
    y = L.matmul(_flat(g), w)
    return y if g.ndim == 2 else V.reshape(y, (*g._data.shape[:-1], w._data.shape[1]))


def _linear_jvp(primals: Any, tangents: Any, out: Tensor) -> Tensor:
    x, w, _ = primals
    dx, dw, db = tangents
    terms = []
    if dx is not None:
        terms.append(linear_plain(dx, w))
    if dw is not None:
        terms.append(linear_plain(x, dw))
    if db is not None:
        terms.append(V.expand_to(db, tuple(out._data.shape)))
    total = terms[0]
    for term in terms[1:]:
        total = E.add(total, term)
    return total


def _linear_flops(x: Any, w: Any, b: Any = None) -> int:
    return 2 * math.prod(x.shape) * w.shape[0]


linear = primitive(
    "linear", _linear, _linear_shape, inputs=("x", "w", "b"),
    grad=(
        lambda g, w: linear_input(g, conj(w)),
        lambda g, x: linear_weight(g, conj(x)),
        lambda g: g if g.ndim == 1 else R.sum_(g, dim=tuple(range(g.ndim - 1)), keepdim=False),
    ),
    array_rules=True,
    lower=_lower_linear,
    samples=lambda make: [
        call(make(2, 3), make(2, 3), make(2)),
        call(make(2, 1, 3), make(2, 3), make(2)),
    ],
    jvp=_linear_jvp,
    flops=_linear_flops,
    batch=batch_linear(transposed=True),
    doc="x @ w.T + b over the last dimension of x.",
)  # fmt: skip
linear_plain = primitive(
    "linear_plain", _linear, _linear_shape, inputs=("x", "w"),
    grad=(lambda g, w: linear_input(g, conj(w)), lambda g, x: linear_weight(g, conj(x))),
    array_rules=True,
    lower=_lower_linear,
    samples=lambda make: [call(make(2, 3), make(2, 3)), call(make(3), make(2, 3))],
    multilinear=True,
    flops=_linear_flops,
    batch=batch_linear(transposed=True),
    doc="x @ w.T over the last dimension of x.",
)  # fmt: skip
linear_input = primitive(
    "linear_input", _linear_input, _linear_input_shape, inputs=("x", "w"),
    grad=(lambda g, w: linear_plain(g, conj(w)), lambda g, x: linear_weight(conj(x), g)),
    array_rules=True,
    lower=_lower_linear_input,
    samples=lambda make: [call(make(2, 2), make(2, 3)), call(make(2), make(2, 3))],
    multilinear=True,
    flops=lambda x, w: 2 * math.prod(x.shape) * w.shape[1],
    batch=batch_linear(transposed=False),
    doc="x @ w over the last dimension of x.",
)  # fmt: skip
linear_weight = primitive(
    "linear_weight", lambda x, y: openblas.matmul(_rows(x).T, _rows(y)),
    lambda x, y: ((x.shape[-1], y.shape[-1]), x.dtype), inputs=("x", "y"),
    grad=(lambda g, y: linear_plain(conj(y), g), lambda g, x: linear_input(conj(x), g)),
    array_rules=True, lower=lambda x, y: L.matmul(L.transpose_last(_flat(x)), _flat(y)),
    samples=lambda make: [call(make(2, 3), make(2, 2)), call(make(2, 2, 3), make(2, 2, 1))],
    multilinear=True,
    flops=lambda x, y: 2 * math.prod(x.shape) * y.shape[-1],
    batch=batch_linear_weight,
    doc="x.T @ y, summed over all leading dimensions of both.",
)  # fmt: skip

# -- softmax --------------------------------------------------------------------------------------


def _widened(fn: Any) -> Any:
    """float16 is computed in float32, as PyTorch does; empty arrays stay as they are."""

    def evaluate(x: Any, *others: Any, dim: int) -> Any:
        if x.size == 0:
            return x.copy()
        if x.dtype is dtypes.F16:
            wide = (a.astype(np.float32) for a in (x, *others))
            return fn(*wide, dim).astype(np.float16)
        return fn(x, *others, dim)

    return evaluate


def _softmax(x: Any, dim: int) -> Any:
    y = x - np.maximum.reduce(x, axis=dim, keepdims=True)
    np.exp(y, y)
    return np.divide(y, np.add.reduce(y, axis=dim, keepdims=True), y)


def _log_softmax(x: Any, dim: int) -> Any:
    y = x - np.maximum.reduce(x, axis=dim, keepdims=True)
    total = np.add.reduce(np.exp(y), axis=dim, keepdims=True)
    return np.subtract(y, np.log(total, total), y)


def _log_softmax_backward(g: Any, out: Any, dim: int) -> Any:
    r = np.exp(out)
    np.multiply(r, np.add.reduce(g, axis=dim, keepdims=True), r)
    return np.subtract(g, r, r)


def _same(x: Any, *_: Any, dim: int) -> Any:
    return x.shape, x.dtype


def _shifted(x: Tensor, dim: int) -> Tensor:
    """x less its maximum; a maximum that is infinite is left, since inf - inf is NaN."""
    top = R.amax(x, dim=(dim,), keepdim=True)
    return x - E.where(E.isfinite(top), top, E.fill(top, 0))


def _lower_softmax(x: Tensor, dim: int) -> Tensor:
    e = E.exp(_shifted(x, dim))
    return e / R.sum_(e, dim=(dim,), keepdim=True)


def _lower_log_softmax(x: Tensor, dim: int) -> Tensor:
    y = _shifted(x, dim)
    return y - E.log(R.sum_(E.exp(y), dim=(dim,), keepdim=True))


def _lower_log_softmax_backward(x: Tensor, y: Tensor, dim: int) -> Tensor:
    return x - E.exp(y) * R.sum_(x, dim=(dim,), keepdim=True)


def _softmax_grad(g: Any, out: Any, dim: int) -> Any:
    # The Jacobian is symmetric: this is the forward derivative, too.
    return out * (g - R.sum_(g * out, dim=(dim,), keepdim=True))


def _log_softmax_jvp(primals: Any, tangents: Any, out: Tensor, dim: int) -> Tensor:
    (t,) = tangents
    return t - R.sum_(t * E.exp(out), dim=(dim,), keepdim=True)


softmax_ = primitive(
    "softmax", _widened(_softmax), _same,
    grad=lambda g, out, dim: _softmax_grad(g, out, dim), kinds="f",
    array_rules=True,
    lower=_lower_softmax,
    samples=lambda make: [call(make(2, 3), dim=1), call(make(2, 3), dim=0)],
    jvp=lambda primals, tangents, out, dim: _softmax_grad(tangents[0], out, dim),
    batch=SHIFT,
    doc="exp(x) along a dimension, scaled to the sum 1.",
)  # fmt: skip
log_softmax_ = primitive(
    "log_softmax", _widened(_log_softmax), _same,
    grad=lambda g, out, dim: log_softmax_backward(g, out, dim=dim), kinds="f",
    array_rules=True,
    lower=_lower_log_softmax,
    samples=lambda make: [call(make(2, 3), dim=1), call(make(2, 3), dim=0)],
    jvp=_log_softmax_jvp,
    batch=SHIFT,
    doc="The logarithm of softmax, accurate where softmax is small.",
)  # fmt: skip
log_softmax_backward = primitive(
    "log_softmax_backward", _widened(_log_softmax_backward), _same, inputs=("x", "y"),
    grad=(
        lambda g, y, dim: g - R.sum_(g * E.exp(y), dim=(dim,), keepdim=True),
        lambda g, x, y, dim: -(g * E.exp(y)) * R.sum_(x, dim=(dim,), keepdim=True),
    ),
    kinds="f",
    lower=_lower_log_softmax_backward,
    samples=lambda make: [call(make(2, 3), make(2, 3), dim=1)],
    batch=SHIFT,
    doc="x - exp(y) * sum(x) along a dimension.",
)  # fmt: skip


def _along(name: str, op: Any, input: Tensor, dim: int, dtype: Any) -> Tensor:
    x = check_tensor(name, input)
    if dtype is not None:
        x = E.to_dtype(x, dtypes.of(dtype).np)
    check_kinds(op, x)
    shape = x._data.shape
    if not shape:
        V.wrap_dim(dim, 0)
        return V.reshape(bind(op, (V.reshape(x, (1,)),), {"dim": 0}), ())
    return bind(op, (x,), {"dim": V.wrap_dim(dim, len(shape))})


@public(out=True, typed=False)
def softmax(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """exp(input) scaled so that the sum along `dim` is 1.

    Raises:
        IndexError: there is no such dimension.
        NotImplementedError: the tensor is not of a real floating-point dtype.

    >>> import numbagrad as ng
    >>> ng.softmax(ng.zeros(2), dim=0).tolist()
    [0.5, 0.5]
    """
    return _along("softmax", softmax_, input, dim, dtype)


@public(out=True, typed=False)
def log_softmax(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """log(softmax(input, dim)), accurate where softmax underflows; raises as softmax does.

    >>> import numbagrad as ng
    >>> ng.log_softmax(ng.tensor([0.0, -200.0]), dim=0).tolist()
    [0.0, -200.0]
    """
    return _along("log_softmax", log_softmax_, input, dim, dtype)


# -- one element per row --------------------------------------------------------------------------


def _places(index: Any) -> tuple[Any, ...]:
    """Where the elements ``x[n, index[n, ...], ...]`` are in x."""
    if index.ndim == 1:
        return np.arange(index.shape[0]), index
    grids = np.ogrid[tuple(slice(0, s) for s in index.shape)]
    return (grids[0], index, *grids[1:])


def _place(x: Any, index: Any, c: Any, *, shape: Shape) -> Any:
    r = np.zeros(shape, x.dtype)
    r[_places(index)] = x * c
    return r


def _chosen(index: Tensor, shape: Shape) -> Tensor:
    """A mask of `shape` that is true at the elements that pick takes."""
    classes = wrap(np.arange(shape[1]).reshape(-1, *(1,) * (len(shape) - 2)))
    return E.eq(V.slice_(index, index=(slice(None), None)), classes)


def _lower_place(x: Tensor, index: Tensor, c: Any, shape: Shape) -> Tensor:
    value = E.mul(x, c)
    if value.ndim:
        value = V.slice_(value, index=(slice(None), None))
    return E.where(_chosen(index, shape), value, 0)


def _lower_pick_sum(x: Tensor, index: Tensor, c: Any) -> Tensor:
    shape = tuple(x._data.shape)
    if isinstance(c, Tensor) and c.ndim:
        c = V.slice_(c, index=(slice(None), None))
    taken = E.where(_chosen(index, shape), x * c, 0)
    return R.sum_(taken, dim=tuple(range(len(shape))), keepdim=False)


def _lower_pick(x: Tensor, index: Tensor) -> Tensor:
    from .gather import gather_

    taken = gather_(x, V.slice_(index, index=(slice(None), None)), dim=1)
    return V.reshape(taken, tuple(index._data.shape))


pick = primitive(
    "pick", lambda x, index: x[_places(index)], lambda x, index: (index.shape, x.dtype),
    inputs=("x", "index"), array_rules=True,
    grad=(lambda g, index, x_shape: place(g, index, 1.0, shape=x_shape), None),
    samples=lambda make: [
        call(make(2, 3), make.index(2, below=3)),
        call(make(2, 3, 2), make.index(2, 2, below=3)),
    ],
    linear=True,
    lower=_lower_pick,
    batch=batch_pick,
    doc="x[n, index[n, ...], ...]: one element along dimension 1.",
)  # fmt: skip
place = primitive(
    "place", _place, lambda x, index, c, shape: (shape, x.dtype), inputs=("x", "index", "c"),
    grad=(lambda g, index, c: pick(g, index) * c, None, lambda g, x, index: pick(g, index) * x),
    array_rules=True,
    lower=_lower_place,
    samples=lambda make: [call(make(2), make.index(2, below=3), make(), shape=(2, 3))],
    kinds="f", multilinear=True,
    batch=batch_place,
    doc="Zeros with x * c (which broadcast) at the elements that pick takes.",
)  # fmt: skip


def _batch_pick_sum(call: Batched) -> Tensor:
    taken = split(pick(merge(call.full(0)), merge(call.full(1))), call.size)
    c = call.xs[2]
    if isinstance(c, Tensor):
        c = call.ranked(2, len(call.shape(1)))
    return R.sum_(E.mul(taken, c), dim=tuple(range(1, taken.ndim)), keepdim=False)


pick_sum = primitive(
    "pick_sum", lambda x, index, c: np.asarray(np.add.reduce(x[_places(index)] * c, axis=None)),
    lambda x, index, c: ((), x.dtype), inputs=("x", "index", "c"),
    grad=(lambda g, index, c, x_shape: place(g, index, c, shape=x_shape), None,
          lambda g, x, index: pick(x, index) * g),
    array_rules=True, lower=_lower_pick_sum,
    samples=lambda make: [call(make(2, 3), make.index(2, below=3), make(2))],
    kinds="f", multilinear=True,
    batch=_batch_pick_sum,
    doc="The sum of the elements that pick takes, each times c.",
)  # fmt: skip


def nll(
    logs: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int, reduction: str
) -> Tensor:
    """The weighted negative sum, mean or list of ``logs[n, target[n, ...], ...]``.

    Args:
        logs: (n, classes, ...), `target`: int64 (n, ...), `weight`: (classes,) or None.
        ignore_index: targets of this value count nothing.

    Raises:
        IndexError: a target is neither a class nor `ignore_index`.
    """
    data = values_of(target)
    classes = logs._data.shape[1]
    # As an unsigned number a negative target is huge: one pass finds both kinds of strangers.
    if data is not None and (
        data.size == 0 or int(np.maximum.reduce(data.view(np.uint64), None)) < classes
    ):
        if weight is None and not 0 <= ignore_index < classes:
            if reduction == "none":
                return E.neg(pick(logs, target))
            count = target.numel() if reduction == "mean" else 1
            return bind(pick_sum, (logs, target, -1.0 / count if count else math.nan))
    elif data is not None:
        strange = (data != ignore_index) & ((data < 0) | (data >= classes))
        if strange.any():
            raise IndexError(f"Target {data[strange].flat[0]} is out of bounds.")
    valid = E.ne(target, ignore_index)
    target = E.where(valid, target, 0)
    if weight is None:
        c = E.to_dtype(valid, logs._data.dtype)
    else:
        from .gather import take_rows

        c = E.where(valid, take_rows(weight, target, dim=0), 0.0)
    if reduction == "none":
        # Where the weight is 0 the loss is 0, even if the logarithm is infinite.
        return E.where(valid, E.neg(c * pick(logs, target)), 0.0)
    picked = E.where(valid, pick(logs, target), 0.0)
    total = R.sum_(E.neg(c * picked), dim=tuple(range(target.ndim)), keepdim=False)
    if reduction == "sum":
        return total
    return total / R.sum_(c, dim=tuple(range(target.ndim)), keepdim=False)


def embed(weight: Tensor, index: Tensor) -> Tensor:
    """``weight[index]`` along dimension 0.

    Raises:
        IndexError: an index is negative or too large.
    """
    from .gather import take_rows

    data = values_of(index)
    if data is not None and data.size:
        low, high = int(data.min()), int(data.max())
        rows = weight._data.shape[0]
        if low < 0 or high >= rows:
            raise IndexError(
                f"index out of range in self: {low if low < 0 else high} is not a row of a table "
                f"of {rows} rows"
            )
    return take_rows(weight, E.to_dtype(index, dtypes.I64), dim=0)


# -- binary cross entropy -------------------------------------------------------------------------


def _binary_cross_entropy(x: Any, y: Any) -> Any:
    return -(y * np.maximum(np.log(x), -100) + (1 - y) * np.maximum(np.log1p(-x), -100))


# A primitive because its slopes are not those of the formula where the logarithms are limited.
binary_cross_entropy = E.elementwise(
    "binary_cross_entropy",
    "-(y * maximum(log(x), -100) + (1 - y) * maximum(log1p(-x), -100))",
    _binary_cross_entropy, inputs=("x", "y"), kinds="f", domain=((0.1, 0.9), (0.1, 0.9)),
    grad=(
        lambda g, x, y: g * (x - y) / E.maximum((1 - x) * x, 1e-12),
        lambda g, x: g * (E.log1p(-x) - E.log(x)),
    ),
    doc="-(y * log(x) + (1 - y) * log(1 - x)) with logarithms of at least -100.",
)  # fmt: skip
