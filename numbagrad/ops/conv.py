"""Primitives that look at a tensor through windows: convolution and pooling.

Arrays have the shape (batch, channels, *space). Every op takes `kernel` (or a weight), `stride`,
`padding` (a pair, before and after) and `dilation` per spatial dimension. Convolution is one matrix
product over the columns of all windows; it is done for a part of the batch at a time, so that the
columns stay small.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from .. import dtypes
from ..runtime import openblas
from ..tensor import Tensor
from . import view as V
from .batching import batch_conv, batch_conv_weight, batch_images, batch_max_pool_index
from .elementwise import conj, select
from .gather import add_rows
from .registry import REGISTRY, call, primitive
from .window_lowering import (
    can_pool,
    lower_conv,
    lower_conv_input,
    lower_conv_weight,
    lower_max_pool,
    lower_max_pool_index,
    lower_pool_sum,
)

Shape = tuple[int, ...]
Pads = tuple[tuple[int, int], ...]

#: How many elements the columns of one part of the batch may have.
_COLUMNS = 1 << 20


def out_space(space: Shape, kernel: Shape, stride: Shape, padding: Pads, dilation: Shape) -> Shape:
    """How many windows there are along each spatial dimension."""
    return tuple(
        (n + lo + hi - d * (k - 1) - 1) // s + 1
        for n, k, s, (lo, hi), d in zip(space, kernel, stride, padding, dilation, strict=True)
    )


def _padded(x: Any, padding: Pads, value: Any = 0) -> Any:
    if not any(map(any, padding)):
        return x
    space = tuple(n + lo + hi for n, (lo, hi) in zip(x.shape[2:], padding, strict=True))
    r = np.full((*x.shape[:2], *space), value, x.dtype)
    _cropped(r, padding, x.shape[2:])[...] = x
    return r


def _cropped(r: Any, padding: Pads, space: Shape) -> Any:
    """The part of a padded array that is not padding."""
    inner = (slice(lo, lo + n) for n, (lo, _) in zip(space, padding, strict=True))
    return r[(..., *inner)]


def _seen(
    x: Any, kernel: Shape, stride: Shape, dilation: Shape, out: Shape
) -> Iterator[tuple[Shape, Any]]:
    """For each place in the window, the elements that the windows have there."""
    for place in itertools.product(*map(range, kernel)):
        index = (
            slice(p * d, p * d + (o - 1) * s + 1, s)
            for p, d, o, s in zip(place, dilation, out, stride, strict=True)
        )
        yield place, x[(..., *index)]


def _windows(x: Any, kernel: Shape, stride: Shape, dilation: Shape, out: Shape) -> Any:
    """A view of shape (batch, channels, *kernel, *out)."""
    steps = x.strides[2:]
    return as_strided(
        x,
        (*x.shape[:2], *kernel, *out),
        (*x.strides[:2], *(t * d for t, d in zip(steps, dilation, strict=True)),
         *(t * s for t, s in zip(steps, stride, strict=True))),
        writeable=False,
    )  # fmt: skip


def _window_samples(shape: Shape) -> Any:
    """Samples of one op in two and in one spatial dimension: `shape` is that of the former."""
    two = {"kernel": (2, 2), "stride": (1, 2), "padding": ((1, 0), (0, 1)), "dilation": (2, 1)}
    one = {"kernel": (2,), "stride": (2,), "padding": ((0, 0),), "dilation": (1,)}
    return lambda make: [call(make(*shape), **two), call(make(2, 1, 4), **one)]


def _gather_windows(g: Tensor, x_shape: Shape, kernel: Any, stride: Any, dilation: Any) -> Tensor:
    columns = math.prod(kernel) * x_shape[1], math.prod(g._data.shape[2 + len(kernel) :])
    none = ((0, 0),) * len(kernel)
    return col2im(
        V.reshape(g, (x_shape[0], *columns)), shape=x_shape, kernel=kernel, stride=stride,
        padding=none, dilation=dilation,
    )  # fmt: skip


windows = primitive(
    "windows", _windows,
    lambda x, kernel, stride, dilation, out: ((*x.shape[:2], *kernel, *out), x.dtype),
    grad=_gather_windows, linear=True,
    samples=lambda make: [
        call(make(2, 2, 4, 5), kernel=(2, 2), stride=(1, 2), dilation=(2, 1), out=(2, 2)),
        call(make(1, 2, 4), kernel=(2,), stride=(2,), dilation=(1,), out=(2,)),
    ],
    view=True, batch=batch_images,
    doc="The view of all windows: (batch, channels, *kernel, *out).",
)  # fmt: skip


# -- convolution ----------------------------------------------------------------------------------
# The three ops are the partial derivatives of one trilinear form, sum(g * conv(x, w)).


class _Conv:
    """The sizes that belong to one convolution."""

    def __init__(
        self, x: Shape, w: Shape, stride: Shape, padding: Pads, dilation: Shape, groups: int
    ) -> None:
        self.kernel = w[2:]
        self.stride, self.padding, self.dilation, self.groups = stride, padding, dilation, groups
        self.out = out_space(x[2:], self.kernel, stride, padding, dilation)
        self.positions = math.prod(self.out)
        self.columns = x[1] * math.prod(self.kernel)
        self.batch = x[0]
        self.w_rows = (groups, w[0] // groups, self.columns // groups)

    def parts(self) -> Iterator[slice]:
        """Slices of the batch whose columns are small enough."""
        step = max(1, _COLUMNS // max(1, self.columns * self.positions))
        for start in range(0, self.batch, step):
            yield slice(start, start + step)

    def columns_of(self, x: Any) -> Any:
        """The windows of some padded images, shape (groups, columns / groups, n * positions)."""
        windows = _windows(x, self.kernel, self.stride, self.dilation, self.out)
        rank = len(self.kernel)
        order = (*range(1, 2 + rank), 0, *range(2 + rank, 2 + 2 * rank))
        return windows.transpose(order).reshape(*self.w_rows[::2], -1)

    def rows_of(self, g: Any) -> Any:
        """Some outputs, shape (groups, channels / groups, n * positions)."""
        return g.swapaxes(0, 1).reshape(*self.w_rows[:2], -1)


def _in_float32(fn: Any) -> Any:
    """float16 is computed in float32, as PyTorch does."""

    def evaluate(x: Any, y: Any, **params: Any) -> Any:
        if x.dtype is dtypes.F16:
            return fn(x.astype(np.float32), y.astype(np.float32), **params).astype(np.float16)
        return fn(x, y, **params)

    return evaluate


def _conv(x: Any, w: Any, **sizes: Any) -> Any:
    c = _Conv(x.shape, w.shape, **sizes)
    padded = _padded(x, c.padding)
    rows = w.reshape(c.w_rows)
    y = np.empty((x.shape[0], w.shape[0], *c.out), x.dtype)
    for part in c.parts():
        images = padded[part]
        product = openblas.matmul(rows, c.columns_of(images))
        y[part] = product.reshape(w.shape[0], len(images), *c.out).swapaxes(0, 1)
    return y


def _conv_input(g: Any, w: Any, *, shape: Shape, **sizes: Any) -> Any:
    c = _Conv(shape, w.shape, **sizes)
    rows = w.reshape(c.w_rows).swapaxes(1, 2)
    space = tuple(n + lo + hi for n, (lo, hi) in zip(shape[2:], c.padding, strict=True))
    x = np.zeros((shape[1], shape[0], *space), g.dtype)
    for part in c.parts():
        columns = openblas.matmul(rows, c.rows_of(g[part]))
        columns = columns.reshape(shape[1], *c.kernel, -1, *c.out)
        for place, seen in _seen(x[:, part], c.kernel, c.stride, c.dilation, c.out):
            seen += columns[(slice(None), *place)]
    return np.ascontiguousarray(_cropped(x, c.padding, shape[2:]).swapaxes(0, 1))


def _conv_weight(g: Any, x: Any, *, kernel: Shape, **sizes: Any) -> Any:
    shape = (g.shape[1], x.shape[1] // sizes["groups"], *kernel)
    c = _Conv(x.shape, shape, **sizes)
    padded = _padded(x, c.padding)
    total = np.zeros(c.w_rows, g.dtype)
    for part in c.parts():
        total += openblas.matmul(c.rows_of(g[part]), c.columns_of(padded[part]).swapaxes(1, 2))
    return total.reshape(shape)


def _conv_shape(x: Any, w: Any, stride: Any, padding: Any, dilation: Any, groups: int) -> Any:
    out = out_space(x.shape[2:], w.shape[2:], stride, padding, dilation)
    return (x.shape[0], w.shape[0], *out), x.dtype


def _products(windows: int, w: Any) -> int:
    """The multiplications and additions of so many windows with a weight."""
    return 2 * windows * math.prod(w.shape[1:])


def _lower_conv(x: Tensor, w: Tensor, **sizes: Any) -> Tensor:
    shape, _ = _conv_shape(x._data, w._data, **sizes)
    lowered = lower_conv(windows, x, w, shape[2:], **sizes)
    return conv(x, w, **sizes) if lowered is None else lowered


def _lower_conv_input(g: Tensor, w: Tensor, **sizes: Any) -> Tensor:
    lowered = lower_conv_input(windows, g, w, **sizes)
    return conv_input(g, w, **sizes) if lowered is None else lowered


def _lower_conv_weight(g: Tensor, x: Tensor, **sizes: Any) -> Tensor:
    lowered = lower_conv_weight(windows, g, x, **sizes)
    return conv_weight(g, x, **sizes) if lowered is None else lowered


conv = primitive(
    "conv", _in_float32(_conv), _conv_shape, inputs=("x", "w"), array_rules=True,
    grad=(
        lambda g, w, x_shape, stride, padding, dilation, groups: conv_input(
            g, conj(w), shape=x_shape, stride=stride, padding=padding, dilation=dilation,
            groups=groups),
        lambda g, x, w_shape, stride, padding, dilation, groups: conv_weight(
            g, conj(x), kernel=w_shape[2:], stride=stride, padding=padding, dilation=dilation,
            groups=groups),
    ),
    samples=lambda make: [
        call(make(2, 4, 4, 3), make(2, 2, 2, 2), stride=(2, 1), padding=((1, 0), (1, 1)),
             dilation=(1, 2), groups=2),
        call(make(1, 2, 3), make(3, 2, 2), stride=(1,), padding=((0, 0),), dilation=(1,), groups=1),
    ],
    multilinear=True,
    flops=lambda x, w, **p: _products(math.prod(_conv_shape(x, w, **p)[0]), w),
    lower=_lower_conv,
    batch=batch_conv,
    doc="The sums of products of w with all windows of x.",
)  # fmt: skip
conv_input = primitive(
    "conv_input", _in_float32(_conv_input), lambda x, w, shape, **_: (shape, x.dtype),
    inputs=("x", "w"), array_rules=True,
    grad=(
        lambda g, w, stride, padding, dilation, groups: conv(
            g, conj(w), stride=stride, padding=padding, dilation=dilation, groups=groups),
        lambda g, x, w_shape, stride, padding, dilation, groups: conv_weight(
            conj(x), g, kernel=w_shape[2:], stride=stride, padding=padding, dilation=dilation,
            groups=groups),
    ),
    samples=lambda make: [
        call(make(2, 2, 2, 3), make(2, 2, 2, 2), shape=(2, 4, 4, 3), stride=(2, 1),
             padding=((1, 0), (1, 1)), dilation=(1, 2), groups=2),
    ],
    multilinear=True,
    flops=lambda x, w, **_: _products(math.prod(x.shape), w),
    lower=_lower_conv_input,
    batch=batch_conv,
    doc="The transpose of conv with respect to its image: a convolution with gaps between x.",
)  # fmt: skip
conv_weight = primitive(
    "conv_weight", _in_float32(_conv_weight),
    lambda x, y, kernel, groups, **_: (
        (x.shape[1], y.shape[1] // groups, *kernel), x.dtype),
    inputs=("x", "y"), array_rules=True,
    grad=(
        lambda g, y, stride, padding, dilation, groups: conv(
            conj(y), g, stride=stride, padding=padding, dilation=dilation, groups=groups),
        lambda g, x, y_shape, stride, padding, dilation, groups: conv_input(
            conj(x), g, shape=y_shape, stride=stride, padding=padding, dilation=dilation,
            groups=groups),
    ),
    samples=lambda make: [
        call(make(2, 2, 2, 3), make(2, 4, 4, 3), kernel=(2, 2), stride=(2, 1),
             padding=((1, 0), (1, 1)), dilation=(1, 2), groups=2),
    ],
    multilinear=True,
    flops=lambda x, y, kernel, groups, **_: (
        2 * math.prod(x.shape) * y.shape[1] // groups * math.prod(kernel)
    ),
    lower=_lower_conv_weight,
    batch=batch_conv_weight,
    doc="The transpose of conv with respect to its weight.",
)  # fmt: skip

# -- columns --------------------------------------------------------------------------------------


def _im2col(x: Any, *, kernel: Shape, stride: Shape, padding: Pads, dilation: Shape) -> Any:
    out = out_space(x.shape[2:], kernel, stride, padding, dilation)
    windows = _windows(_padded(x, padding), kernel, stride, dilation, out)
    return windows.copy().reshape(x.shape[0], x.shape[1] * math.prod(kernel), math.prod(out))


def _im2col_shape(x: Any, kernel: Any, stride: Any, padding: Any, dilation: Any) -> Any:
    out = out_space(x.shape[2:], kernel, stride, padding, dilation)
    return (x.shape[0], x.shape[1] * math.prod(kernel), math.prod(out)), x.dtype


def _col2im(
    x: Any, *, shape: Shape, kernel: Shape, stride: Shape, padding: Pads, dilation: Shape
) -> Any:
    out = out_space(shape[2:], kernel, stride, padding, dilation)
    columns = x.reshape(*shape[:2], *kernel, *out)
    space = tuple(n + lo + hi for n, (lo, hi) in zip(shape[2:], padding, strict=True))
    r = np.zeros((*shape[:2], *space), x.dtype)
    for place, seen in _seen(r, kernel, stride, dilation, out):
        seen += columns[(slice(None), slice(None), *place)]
    return np.ascontiguousarray(_cropped(r, padding, shape[2:]))


im2col = primitive(
    "im2col", _im2col, _im2col_shape, linear=True, array_rules=True,
    grad=lambda g, x_shape, kernel, stride, padding, dilation: col2im(
        g, shape=x_shape, kernel=kernel, stride=stride, padding=padding, dilation=dilation),
    samples=_window_samples((1, 2, 3, 4)),
    batch=batch_images,
    doc="All windows of x as columns: (batch, channels * kernel, windows).",
)  # fmt: skip
col2im = primitive(
    "col2im", _col2im, lambda x, shape, **_: (shape, x.dtype), linear=True, array_rules=True,
    grad=lambda g, kernel, stride, padding, dilation: im2col(
        g, kernel=kernel, stride=stride, padding=padding, dilation=dilation),
    samples=lambda make: [
        call(make(1, 8, 4), shape=(1, 2, 3, 4), kernel=(2, 2), stride=(1, 2),
             padding=((1, 0), (0, 1)), dilation=(2, 1)),
    ],
    batch=batch_images,
    doc="The sums of the columns at the places that im2col took them from.",
)  # fmt: skip

# -- pooling --------------------------------------------------------------------------------------


def _pool_shape(x: Any, kernel: Any, stride: Any, padding: Any, dilation: Any) -> Any:
    out = out_space(x.shape[2:], kernel, stride, padding, dilation)
    return (*x.shape[:2], *out), x.dtype


def _lowest(d: Any) -> Any:
    return -math.inf if d.kind == "f" else np.iinfo(d).min


def _max_pool(x: Any, *, kernel: Shape, stride: Shape, padding: Pads, dilation: Shape) -> Any:
    out = out_space(x.shape[2:], kernel, stride, padding, dilation)
    padded = _padded(x, padding, _lowest(x.dtype))
    best = None
    for _, seen in _seen(padded, kernel, stride, dilation, out):
        best = seen.copy() if best is None else np.maximum(best, seen, out=best)
    return best


def _max_pool_index(x: Any, *, kernel: Shape, stride: Shape, padding: Pads, dilation: Shape) -> Any:
    """Where in the flattened x the maxima are: the first of equal ones, the last of NaNs."""
    out = out_space(x.shape[2:], kernel, stride, padding, dilation)
    padded = _padded(x, padding, _lowest(x.dtype))
    best: Any = None
    which = np.zeros((*x.shape[:2], *out), np.int64)
    for number, (_, seen) in enumerate(_seen(padded, kernel, stride, dilation, out)):
        if best is None:
            best = seen.copy()
            continue
        better = seen > best
        if x.dtype.kind == "f":
            better |= seen != seen
        best = select(better, seen, best)
        which = select(better, np.array(number), which)
    rank = len(kernel)
    places = np.unravel_index(which, kernel)
    index = np.arange(x.shape[0] * x.shape[1]).reshape(*x.shape[:2], *(1,) * rank)
    for i, place in enumerate(places):
        start = np.arange(out[i]) * stride[i] - padding[i][0]
        at = start.reshape(-1, *(1,) * (rank - 1 - i)) + place * dilation[i]
        # A window of nothing but -inf may have chosen padding.
        index = index * x.shape[2 + i] + np.clip(at, 0, x.shape[2 + i] - 1)
    return index


def _lower_pool(op: str, lower: Any) -> Any:
    def rule(x: Tensor, **sizes: Any) -> Tensor:
        shape, _ = _pool_shape(x._data, **sizes)
        if can_pool(x, sizes["kernel"], shape[2:]):
            return lower(x, shape[2:], **sizes)
        return REGISTRY[op](x, **sizes)

    return rule


max_pool_index = primitive(
    "max_pool_index", _max_pool_index,
    lambda x, kernel, stride, padding, dilation: (
        _pool_shape(x, kernel, stride, padding, dilation)[0], dtypes.I64),
    kinds="iuf", samples=_window_samples((1, 2, 3, 4)),
    lower=_lower_pool("max_pool_index", lower_max_pool_index),
    batch=batch_max_pool_index,
    doc="Where in the flattened x the maxima of the windows are.",
)  # fmt: skip


def _max_pool_grad(
    g: Tensor, x: Tensor, kernel: Shape, stride: Shape, padding: Pads, dilation: Shape
) -> Tensor:
    index = max_pool_index(
        x.detach(), kernel=kernel, stride=stride, padding=padding, dilation=dilation
    )
    flat = V.reshape(g, (g.numel(),))
    index = V.reshape(index, (g.numel(),))
    return V.reshape(add_rows(flat, index, shape=(x.numel(),), dim=0), tuple(x._data.shape))


max_pool = primitive(
    "max_pool", _max_pool, _pool_shape, grad=_max_pool_grad, kinds="iuf",
    lower=_lower_pool("max_pool", lower_max_pool),
    samples=_window_samples((1, 2, 3, 4)),
    batch=batch_images,
    doc="The maximum of each window; the first of equal ones gets the gradient.",
)  # fmt: skip


def _pool_sum(x: Any, *, kernel: Shape, stride: Shape, padding: Pads, dilation: Shape) -> Any:
    out = out_space(x.shape[2:], kernel, stride, padding, dilation)
    total = np.zeros((*x.shape[:2], *out), x.dtype)
    for _, seen in _seen(_padded(x, padding), kernel, stride, dilation, out):
        total += seen
    return total


def _pool_spread(
    x: Any, *, shape: Shape, kernel: Shape, stride: Shape, padding: Pads, dilation: Shape
) -> Any:
    space = tuple(n + lo + hi for n, (lo, hi) in zip(shape[2:], padding, strict=True))
    r = np.zeros((*shape[:2], *space), x.dtype)
    for _, seen in _seen(r, kernel, stride, dilation, x.shape[2:]):
        seen += x
    return np.ascontiguousarray(_cropped(r, padding, shape[2:]))


pool_sum = primitive(
    "pool_sum", _pool_sum, _pool_shape, linear=True, array_rules=True,
    lower=_lower_pool("pool_sum", lower_pool_sum),
    grad=lambda g, x_shape, kernel, stride, padding, dilation: pool_spread(
        g, shape=x_shape, kernel=kernel, stride=stride, padding=padding, dilation=dilation),
    samples=_window_samples((1, 2, 3, 4)),
    batch=batch_images,
    doc="The sum of each window.",
)  # fmt: skip
pool_spread = primitive(
    "pool_spread", _pool_spread, lambda x, shape, **_: (shape, x.dtype), linear=True,
    array_rules=True,
    grad=lambda g, kernel, stride, padding, dilation: pool_sum(
        g, kernel=kernel, stride=stride, padding=padding, dilation=dilation),
    samples=lambda make: [
        call(make(1, 2, 2, 2), shape=(1, 2, 3, 4), kernel=(2, 2), stride=(1, 2),
             padding=((1, 0), (0, 1)), dilation=(2, 1)),
    ],
    batch=batch_images,
    doc="x added to every element of its window: the transpose of pool_sum.",
)  # fmt: skip
