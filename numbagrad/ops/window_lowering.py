"""Convolution and pooling for `compile`, made of what has kernels.

A convolution becomes a copy of all windows and a matrix product. The columns are made for the whole
batch at once; where they would be large the ops stay as they are, and their references work on a
part of the batch at a time. Pooling becomes one kernel over a strided view for each place in the
window.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator

import numpy as np

from .. import dtypes
from ..tensor import Tensor, wrap
from . import elementwise as E, view as V
from .linalg import matmul, transpose_last
from .reduction import sum_

Shape = tuple[int, ...]
Pads = tuple[tuple[int, int], ...]

_LARGEST = 1 << 22  # elements of the columns
_PLACES = 16  # in the window of a pool: operands of its kernel

#: (x, kernel=, stride=, dilation=, out=) -> the view of all windows, (n, channels, *kernel, *out).
Windows = Callable[..., Tensor]


def _few(x: Tensor, elements: int) -> bool:
    return elements <= _LARGEST and x._data.dtype in (dtypes.F32, dtypes.F64)


def _columns(
    windows: Windows, x: Tensor, kernel: Shape, stride: Shape, padding: Pads, dilation: Shape,
    groups: int, out: Shape,
) -> Tensor:  # fmt: skip
    """The windows of x: (n, groups, channels / groups * kernel, positions)."""
    if any(map(any, padding)):
        x = V.pad(x, widths=((0, 0), (0, 0), *padding), value=0)
    seen = windows(x, kernel=kernel, stride=stride, dilation=dilation, out=out)
    n, channels = x._data.shape[:2]
    rows = channels // groups * math.prod(kernel)
    return V.reshape(seen, (n, groups, rows, math.prod(out)))


def lower_conv(
    windows: Windows, x: Tensor, w: Tensor, out: Shape, *, stride: Shape, padding: Pads,
    dilation: Shape, groups: int,
) -> Tensor | None:  # fmt: skip
    """The convolution, of spatial shape `out`; None if the columns would be large."""
    n, channels = x._data.shape[:2]
    outputs, kernel = w._data.shape[0], tuple(w._data.shape[2:])
    if not _few(x, n * channels * math.prod(kernel) * math.prod(out)):
        return None
    columns = _columns(windows, x, kernel, stride, padding, dilation, groups, out)
    rows = V.reshape(w, (groups, outputs // groups, columns._data.shape[2]))
    return V.reshape(matmul(rows, columns), (n, outputs, *out))


def lower_conv_weight(
    windows: Windows, g: Tensor, x: Tensor, *, kernel: Shape, stride: Shape, padding: Pads,
    dilation: Shape, groups: int,
) -> Tensor | None:  # fmt: skip
    """The gradient of the weight; None if the columns would be large."""
    n, channels = x._data.shape[:2]
    outputs, out = g._data.shape[1], tuple(g._data.shape[2:])
    products = n * outputs * channels // groups * math.prod(kernel)
    if not _few(x, max(products, n * channels * math.prod(kernel) * math.prod(out))):
        return None
    columns = _columns(windows, x, kernel, stride, padding, dilation, groups, out)
    rows = V.reshape(g, (n, groups, outputs // groups, math.prod(out)))
    total = sum_(matmul(rows, transpose_last(columns)), dim=(0,), keepdim=False)
    return V.reshape(total, (outputs, channels // groups, *kernel))


def lower_conv_input(
    windows: Windows, g: Tensor, w: Tensor, *, shape: Shape, stride: Shape, padding: Pads,
    dilation: Shape, groups: int,
) -> Tensor | None:  # fmt: skip
    """The gradient of the images: g, with gaps, convolved with the weight turned around.

    None if the columns would be large, or the padding is wider than the kernel.
    """
    n, outputs = g._data.shape[:2]
    kernel, space = tuple(w._data.shape[2:]), tuple(shape[2:])
    index, padded = [], []
    for out, k, s, (before, _), d, size in zip(
        g._data.shape[2:], kernel, stride, padding, dilation, space, strict=True
    ):
        reach = d * (k - 1)
        first, last = reach - before, reach - before + (out - 1) * s
        if first < 0 or last >= size + reach:
            return None
        index.append(slice(first, last + 1, s))
        padded.append(size + reach)
    if not _few(g, n * outputs * math.prod(kernel) * math.prod(space)):
        return None
    whole = slice(None)
    spread = V.slice_backward(g, shape=(n, outputs, *padded), index=(whole, whole, *index))
    ones = (1,) * len(kernel)
    columns = _columns(
        windows, spread, kernel, ones, ((0, 0),) * len(kernel), dilation, groups, space
    )
    turned = V.flip(w, dims=tuple(range(2, w.ndim)))
    split = V.reshape(turned, (groups, outputs // groups, shape[1] // groups, math.prod(kernel)))
    rows = V.reshape(
        V.permute(split, dims=(0, 2, 1, 3)), (groups, shape[1] // groups, columns._data.shape[2])
    )
    return V.reshape(matmul(rows, columns), shape)


# -- pooling --------------------------------------------------------------------------------------


def _seen(
    x: Tensor, kernel: Shape, stride: Shape, dilation: Shape, out: Shape
) -> Iterator[tuple[Shape, Tensor]]:
    """For each place in the window, the elements that the windows have there."""
    whole = (slice(None), slice(None))
    for place in itertools.product(*map(range, kernel)):
        index = (
            slice(p * d, p * d + (o - 1) * s + 1, s)
            for p, d, o, s in zip(place, dilation, out, stride, strict=True)
        )
        yield place, V.slice_(x, index=(*whole, *index))


def _padded(x: Tensor, padding: Pads, value: float) -> Tensor:
    if not any(map(any, padding)):
        return x
    return V.pad(x, widths=((0, 0), (0, 0), *padding), value=value)


def can_pool(x: Tensor, kernel: Shape, out: Shape) -> bool:
    """Whether the pools below are worth it."""
    floating = x._data.dtype in (dtypes.F32, dtypes.F64)
    return floating and math.prod(kernel) <= _PLACES and 0 not in out


def lower_max_pool(
    x: Tensor, out: Shape, *, kernel: Shape, stride: Shape, padding: Pads, dilation: Shape
) -> Tensor:
    """The maximum of each window."""
    best: Tensor | None = None
    for _, seen in _seen(_padded(x, padding, -math.inf), kernel, stride, dilation, out):
        best = seen if best is None else E.maximum(best, seen)
    assert best is not None
    return best


def lower_pool_sum(
    x: Tensor, out: Shape, *, kernel: Shape, stride: Shape, padding: Pads, dilation: Shape
) -> Tensor:
    """The sum of each window."""
    total: Tensor | None = None
    for _, seen in _seen(_padded(x, padding, 0), kernel, stride, dilation, out):
        total = E.add(seen, 0.0) if total is None else E.add(total, seen)
    assert total is not None
    return total


def lower_max_pool_index(
    x: Tensor, out: Shape, *, kernel: Shape, stride: Shape, padding: Pads, dilation: Shape
) -> Tensor:
    """Where in the flattened x the maxima are: the first of equal ones, the last of NaNs."""
    n, channels, *space = x._data.shape
    rank = len(kernel)
    best: Tensor | None = None
    places: list[Tensor | int] = [0] * rank
    for place, seen in _seen(_padded(x, padding, -math.inf), kernel, stride, dilation, out):
        if best is None:
            best = seen
            continue
        better = E.logical_or(E.gt(seen, best), E.ne(seen, seen))
        best = E.where(better, seen, best)
        for i, p in enumerate(place):
            old = places[i]
            if old.__class__ is int and old == p:
                continue
            places[i] = E.where(better, wrap(np.array(p)), old)
    images = np.arange(n * channels).reshape(n, channels, *(1,) * rank)
    index = wrap(images)
    for i, (size, place) in enumerate(zip(space, places, strict=True)):
        start = np.arange(out[i]) * stride[i] - padding[i][0]
        at = E.add(E.mul(place, dilation[i]), wrap(start.reshape(-1, *(1,) * (rank - 1 - i))))
        if any(padding[i]):  # a window of nothing but -inf may have chosen padding
            at = E.where(E.lt(at, 0), 0, at)
            at = E.where(E.gt(at, size - 1), size - 1, at)
        index = E.add(E.mul(index, size), at)
    return V.expand_to(index, (n, channels, *out))
