"""Unpooling: maxima back at the places they were taken from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ...creation import zeros
from ...dispatch import values_of
from ...dtypes import int64
from ...ops.export import check_tensor
from ...ops.scatter import scatter
from ...tensor import Tensor
from .conv import Ints, spatial


def _output_space(
    x: Tensor, kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int], wanted: Any
) -> tuple[int, ...]:
    rank = len(kernel)
    default = tuple(
        (n - 1) * s + k - 2 * p
        for n, s, k, p in zip(x.shape[-rank:], stride, kernel, padding, strict=True)
    )
    if wanted is None:
        return default
    sizes = tuple(wanted)
    if len(sizes) == rank + 2:
        sizes = sizes[2:]
    if len(sizes) != rank:
        raise ValueError(
            f"output_size should be a sequence containing {rank} or {rank + 2} elements, but it "
            f"has a length of '{len(sizes)}'"
        )
    for n, d, s in zip(sizes, default, stride, strict=True):
        if not d - s < n < d + s:
            raise ValueError(
                f"invalid output_size {list(sizes)}: each extent must lie within a stride of "
                f"{list(default)}"
            )
    return sizes


def _max_unpool(
    rank: int, input: Tensor, indices: Tensor, kernel: Ints, stride: Any, padding: Ints,
    output_size: Any,
) -> Tensor:  # fmt: skip
    name = f"max_unpool{rank}d"
    check_tensor(name, input, kinds="f")
    check_tensor(name, indices, "indices", 2)
    kernels = spatial(name, "kernel_size", kernel, rank)
    strides = kernels if stride is None else spatial(name, "stride", stride, rank)
    pads = spatial(name, "padding", padding, rank)
    if indices.dtype is not int64:
        raise RuntimeError(f"elements in indices should be type int64 but got: {indices.dtype}")
    if input.ndim not in (rank + 1, rank + 2):
        raise RuntimeError(
            f"Input to {name} should be a {rank + 1}d or {rank + 2}d Tensor, but got a tensor with "
            f"{input.ndim} dimensions"
        )
    if indices.shape != input.shape:
        raise RuntimeError(
            f"Expected shape of indices to be: {list(input.shape)} but got: {list(indices.shape)}"
        )
    space = _output_space(input, kernels, strides, pads, output_size)
    total = math.prod(space)
    known = values_of(indices)
    if known is not None and known.size and not (known.min() >= 0 and known.max() < total):
        bad = known[(known < 0) | (known >= total)].flat[0]
        raise RuntimeError(f"Found an invalid max index: {bad} (output volumes are of size {space}")
    lead = tuple(input.shape[: input.ndim - rank])
    flat = zeros(*lead, total, dtype=input.dtype)
    y = scatter(flat, -1, indices.reshape(*lead, -1), input.reshape(*lead, -1))
    return y.reshape(*lead, *space)


def max_unpool1d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    output_size: Any = None,
) -> Tensor:
    """The partial inverse of max_pool1d; see :func:`max_unpool2d`."""
    return _max_unpool(1, input, indices, kernel_size, stride, padding, output_size)


def max_unpool2d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    output_size: Any = None,
) -> Tensor:
    """Maxima back at the places that max_pool2d took them from, zeros elsewhere.

    Args:
        input, indices: what ``max_pool2d(..., return_indices=True)`` gave.
        kernel_size, stride, padding: as they were for max_pool2d.
        output_size: to choose among the sizes that max_pool2d maps to the input's.

    Raises:
        RuntimeError: shapes that do not fit, or an index outside of the output.
        ValueError: an `output_size` that max_pool2d does not map to the input's.

    >>> import numbagrad as ng
    >>> F = ng.nn.functional
    >>> y, index = F.max_pool2d(ng.tensor([[[1.0, 2.0], [4.0, 3.0]]]), 2, return_indices=True)
    >>> F.max_unpool2d(y, index, 2).tolist()
    [[[0.0, 0.0], [4.0, 0.0]]]
    """
    return _max_unpool(2, input, indices, kernel_size, stride, padding, output_size)


def max_unpool3d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    output_size: Any = None,
) -> Tensor:
    """The partial inverse of max_pool3d; see :func:`max_unpool2d`."""
    return _max_unpool(3, input, indices, kernel_size, stride, padding, output_size)
