"""Pooling to a given size: the maximum or the mean of nearly equal parts."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from ...creation import from_numpy
from ...ops import elementwise as E
from ...ops.export import check_tensor, public
from ...ops.gather import gather_, take_rows
from ...tensor import Tensor
from .pooling import avg_pool, batched, max_pool, with_indices


def _parts(n: int, out: int) -> list[range]:
    """`out` nearly equal parts of n elements; they overlap where `out` does not divide n."""
    return [range(i * n // out, -(-(i + 1) * n // out)) for i in range(out)]


def _sizes(name: str, input: Tensor, rank: int, output_size: Any) -> tuple[Tensor, bool, list[int]]:
    """The input with a batch, whether it had one, and the extents wanted."""
    wanted = (output_size,) * rank if isinstance(output_size, int | None) else tuple(output_size)
    if rank > 1 and check_tensor(name, input).ndim <= len(wanted):
        raise ValueError(
            f"Input dimension should be at least {len(wanted) + 1}, but got {input.ndim}"
        )
    x, has_batch = batched(name, input, rank, kinds="f")
    if len(wanted) != rank or any(o is not None and o < 0 for o in wanted):
        raise RuntimeError(
            f"{name}: output_size must be {rank} ints that are at least 0, or None, but got "
            f"{wanted}"
        )
    return x, has_batch, [n if o is None else o for n, o in zip(x.shape[2:], wanted, strict=True)]


def _even(space: Any, outs: list[int]) -> list[int] | None:
    """The extents of the parts if all are equal: those are ordinary windows."""
    if all(o and n and n % o == 0 for n, o in zip(space, outs, strict=True)):
        return [n // o for n, o in zip(space, outs, strict=True)]
    return None


def _mean_of_parts(x: Tensor, dim: int, out: int) -> Tensor:
    parts = _parts(x.shape[dim], out)
    longest = max(map(len, parts), default=0)
    index = np.array([[*p, *[p[-1]] * (longest - len(p))] for p in parts], np.int64)
    valid = np.array([[i < len(p) for i in range(longest)] for p in parts])
    count = np.array([float(len(p)) for p in parts])
    after = (1,) * (x.ndim - dim - 1)
    taken = take_rows(x, from_numpy(index.reshape(out, longest)), dim=dim)
    inside = from_numpy(valid.reshape(out, longest, *after))
    total = E.where(inside, taken, 0.0).sum(dim + 1)
    return total / from_numpy(count.reshape(out, *after)).to(x.dtype)


def _adaptive_avg_pool(rank: int, input: Tensor, output_size: Any) -> Tensor:
    x, has_batch, outs = _sizes(f"adaptive_avg_pool{rank}d", input, rank, output_size)
    kernel = _even(x.shape[2:], outs)
    if all(o == 1 for o in outs):
        y = x.mean(tuple(range(2, x.ndim)), keepdim=True)
    elif kernel is not None:
        y = avg_pool(rank, x, kernel, None, 0, False, True, None)
    else:
        y = x
        for dim, o in enumerate(outs, start=2):
            y = _mean_of_parts(y, dim, o)
    return y if has_batch else y.squeeze(0)


@public(method=False)
def adaptive_avg_pool1d(input: Tensor, output_size: Any) -> Tensor:
    """The means of `output_size` nearly equal parts of the last dimension."""
    return _adaptive_avg_pool(1, input, output_size)


def adaptive_avg_pool2d(input: Tensor, output_size: Any) -> Tensor:
    """The means of nearly equal parts of images.

    Args:
        input: (batch, channels, height, width), or without the batch.
        output_size: one int or two; None keeps the input's extent.

    >>> import numbagrad as ng
    >>> ng.nn.functional.adaptive_avg_pool2d(ng.ones(1, 3, 5, 7), 2).shape
    numbagrad.Size([1, 3, 2, 2])
    """
    return _adaptive_avg_pool(2, input, output_size)


def adaptive_avg_pool3d(input: Tensor, output_size: Any) -> Tensor:
    """The means of nearly equal parts of the last three dimensions."""
    return _adaptive_avg_pool(3, input, output_size)


def _table(space: Any, outs: list[int]) -> np.ndarray[Any, Any]:
    """A row per part: where its elements are in the flattened space, the last one repeated."""
    parts = [_parts(n, o) for n, o in zip(space, outs, strict=True)]
    rows = []
    for part in itertools.product(*parts):
        grid = np.ravel_multi_index(np.ix_(*part), tuple(space))
        rows.append(grid.reshape(-1))
    longest = max(map(len, rows), default=0)
    return np.array([np.pad(r, (0, longest - len(r)), "edge") for r in rows], np.int64)


def _adaptive_max_pool(rank: int, input: Tensor, output_size: Any, return_indices: bool) -> Any:
    name = f"adaptive_max_pool{rank}d"
    x, has_batch, outs = _sizes(name, input, rank, output_size)
    if 0 in x.shape[1:]:
        raise RuntimeError(
            f"{name}: Expected input to have non-zero size for non-batch dimensions, but input has "
            f"sizes {list(x.shape)}"
        )
    kernel = _even(x.shape[2:], outs)
    if kernel is not None:
        values, index = max_pool(rank, x, kernel, None, 0, 1, False, True)
    else:
        space = math.prod(x.shape[2:])
        table = from_numpy(_table(x.shape[2:], outs).reshape(math.prod(outs), -1))
        flat = x.reshape(*x.shape[:2], space)
        if math.prod(outs):
            seen = take_rows(flat.detach(), table, dim=2)
            index = gather_(table.expand(seen.shape), seen.argmax(-1, keepdim=True), dim=3)
            index = index.squeeze(3)
        else:
            index = table.expand(*x.shape[:2], 0, 0).reshape(*x.shape[:2], 0)
        values = gather_(flat, index, dim=2).reshape(*x.shape[:2], *outs)
        index = index.reshape(values.shape)
    if not has_batch:
        values, index = values.squeeze(0), index.squeeze(0)
    return (values, index) if return_indices else values


@public("adaptive_max_pool1d", method=False)
def adaptive_max_pool1d_with_indices(input: Tensor, output_size: Any) -> tuple[Tensor, Tensor]:
    """The maxima of nearly equal parts of the last dimension, and where they are."""
    return _adaptive_max_pool(1, input, output_size, True)


def adaptive_max_pool1d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """The maxima of nearly equal parts of the last dimension; see :func:`adaptive_max_pool2d`."""
    return _adaptive_max_pool(1, input, output_size, return_indices)


def adaptive_max_pool2d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """The maxima of nearly equal parts of images.

    Args:
        input: (batch, channels, height, width), or without the batch.
        output_size: one int or two; None keeps the input's extent.
        return_indices: also return where in the flattened image each maximum is.

    Raises:
        RuntimeError, ValueError: shapes that do not fit.

    >>> import numbagrad as ng
    >>> ng.nn.functional.adaptive_max_pool2d(ng.arange(6.0).reshape(1, 2, 3), (1, 2)).tolist()
    [[[4.0, 5.0]]]
    """
    return _adaptive_max_pool(2, input, output_size, return_indices)


def adaptive_max_pool3d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """The maxima of nearly equal parts of the last three dimensions."""
    return _adaptive_max_pool(3, input, output_size, return_indices)


adaptive_max_pool2d_with_indices, adaptive_max_pool3d_with_indices = map(
    with_indices, (adaptive_max_pool2d, adaptive_max_pool3d)
)
