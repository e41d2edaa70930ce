"""Pooling: the maximum or the mean of windows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...creation import from_numpy
from ...ops import conv as C
from ...ops.export import check_tensor
from ...ops.math import div
from ...ops.nn import linear_plain
from ...tensor import Tensor
from .conv import Ints, spatial


def _batched(name: str, input: Tensor, rank: int) -> tuple[Tensor, bool]:
    x = check_tensor(name, input)
    if x.ndim == rank + 2:
        return x, True
    if x.ndim == rank + 1:
        return x.unsqueeze(0), False
    raise RuntimeError(
        f"{name}(): Expected {rank + 1}D or {rank + 2}D (batch mode) tensor for input, but got: "
        f"{list(x.shape)}"
    )


def _options(
    name: str, x: Tensor, rank: int, kernel: Ints, stride: Any, padding: Ints, dilation: Ints,
    ceil_mode: bool,
) -> tuple[dict[str, Any], tuple[int, ...]]:  # fmt: skip
    """The parameters of the ops, and the padding without what `ceil_mode` adds."""
    kernels = spatial(name, "kernel_size", kernel, rank)
    given = stride if isinstance(stride, int) else tuple(stride or ())
    strides = kernels if given == () else spatial(name, "stride", given, rank)
    pads = spatial(name, "padding", padding, rank)
    dilations = spatial(name, "dilation", dilation, rank)
    if min(strides) <= 0:
        raise RuntimeError(f"{name}: stride should not be zero")
    if min(dilations) <= 0:
        raise RuntimeError(f"{name}: dilation must be greater than zero, but got {dilations}")
    if 0 in x.shape[1:]:
        raise RuntimeError(
            f"{name}: Expected a tensor with optional 0 dim batch size for input, but got: "
            f"{list(x.shape)}"
        )
    if any(p < 0 or p > k // 2 for p, k in zip(pads, kernels, strict=True)):
        raise RuntimeError(
            f"pad should be at most half of effective kernel size, but got pad={list(pads)}, "
            f"kernel_size={list(kernels)}"
        )
    both = []
    for n, k, s, p, d in zip(x.shape[2:], kernels, strides, pads, dilations, strict=True):
        span = d * (k - 1) + 1
        windows = (n + 2 * p - span) // s + 1
        if ceil_mode:
            more = -((span - n - 2 * p) // s) + 1
            # The last window must start inside of the input or its left padding.
            windows = more - 1 if (more - 1) * s >= n + p else more
        if windows <= 0:
            raise RuntimeError(
                f"{name}: input of size {list(x.shape)} is too small for kernel_size="
                f"{list(kernels)}: the output would be empty"
            )
        both.append((p, max(p, (windows - 1) * s + span - n - p)))
    options = {
        "kernel": kernels, "stride": strides, "padding": tuple(both), "dilation": dilations,
    }  # fmt: skip
    return options, pads


def _max_pool(
    rank: int, input: Tensor, kernel: Ints, stride: Any, padding: Ints, dilation: Ints,
    ceil_mode: bool, return_indices: bool,
) -> Any:  # fmt: skip
    name = f"max_pool{rank}d"
    x, batched = _batched(name, input, rank)
    options, _ = _options(name, x, rank, kernel, stride, padding, dilation, ceil_mode)
    values = C.max_pool(x, **options)
    values = values if batched else values.squeeze(0)
    if not return_indices:
        return values
    indices = C.max_pool_index(x.detach(), **options) % math.prod(x.shape[2:])
    return values, indices if batched else indices.squeeze(0)


def max_pool1d(
    input: Tensor,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    dilation: Ints = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The maximum of windows along the last dimension; see :func:`max_pool2d`."""
    return _max_pool(1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool2d(
    input: Tensor,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    dilation: Ints = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The maximum of each window of images, (batch, channels, height, width) or without batch.

    Args:
        stride: the kernel size unless given.
        padding: at most half the kernel; padding is never the maximum.
        ceil_mode: windows may hang over the end.
        return_indices: also return where in the flattened image each maximum is.

    Raises:
        RuntimeError: the shape does not fit, or the padding is too large.

    >>> import numbagrad as ng
    >>> ng.nn.functional.max_pool2d(ng.tensor([[[1.0, 2.0], [4.0, 3.0]]]), 2).tolist()
    [[[4.0]]]
    """
    return _max_pool(2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def _avg_pool(
    rank: int, input: Tensor, kernel: Ints, stride: Any, padding: Ints, ceil_mode: bool,
    count_include_pad: bool, divisor: int | None,
) -> Tensor:  # fmt: skip
    name = f"avg_pool{rank}d"
    if divisor == 0:
        raise RuntimeError("divisor must be not zero")
    x, batched = _batched(name, input, rank)
    options, pads = _options(name, x, rank, kernel, stride, padding, 1, ceil_mode)
    total = C.pool_sum(x, **options)
    plain = all(hi == p for (_, hi), p in zip(options["padding"], pads, strict=True))
    count: Any = divisor
    if divisor is None and plain and (count_include_pad or not any(pads)):
        count = math.prod(options["kernel"])
    elif divisor is None:
        count = _counts(x.shape[2:], options, pads, count_include_pad).to(x.dtype)
    exact = x.is_floating_point() or x.is_complex()
    result = div(total, count, rounding_mode=None if exact else "trunc")
    return result if batched else result.squeeze(0)


def _counts(
    space: tuple[int, ...], options: dict[str, Any], pads: tuple[int, ...], include: bool
) -> Tensor:
    """How many elements of each window count: those that ceil_mode adds never do."""
    widths = options["padding"]
    ones = np.ones([n + 2 * p if include else n for n, p in zip(space, pads, strict=True)])
    if include:
        widths = tuple((0, hi - p) for (_, hi), p in zip(widths, pads, strict=True))
    counts = C.pool_sum(from_numpy(ones[None, None]), **{**options, "padding": widths})
    return counts[0, 0]


def avg_pool1d(
    input: Tensor,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """The mean of windows along the last dimension; see :func:`avg_pool2d`."""
    return _avg_pool(1, input, kernel_size, stride, padding, ceil_mode, count_include_pad, None)


def avg_pool2d(
    input: Tensor,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of each window of images, (batch, channels, height, width) or without batch.

    Args:
        count_include_pad: padding counts as zeros.
        divisor_override: divide by this instead of the number of elements.

    Raises:
        RuntimeError: the shape does not fit, or the padding is too large.

    >>> import numbagrad as ng
    >>> ng.nn.functional.avg_pool2d(ng.tensor([[[1.0, 2.0], [4.0, 3.0]]]), 2).tolist()
    [[[2.5]]]
    """
    return _avg_pool(
        2, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


def _averages(n: int, out: int) -> np.ndarray[Any, Any]:
    """The matrix that takes the means of `out` nearly equal parts of n elements."""
    matrix = np.zeros((out, n))
    for i in range(out):
        start, stop = i * n // out, -(-(i + 1) * n // out)
        matrix[i, start:stop] = 1 / (stop - start)
    return matrix


def _adaptive_avg_pool(rank: int, input: Tensor, output_size: Any) -> Tensor:
    name = f"adaptive_avg_pool{rank}d"
    wanted = (output_size,) * rank if isinstance(output_size, int | None) else tuple(output_size)
    if rank > 1 and check_tensor(name, input).ndim <= len(wanted):
        raise ValueError(
            f"Input dimension should be at least {len(wanted) + 1}, but got {input.ndim}"
        )
    x, batched = _batched(name, input, rank)
    if len(wanted) != rank or any(o is not None and o < 0 for o in wanted):
        raise RuntimeError(
            f"{name}: output_size must be {rank} ints that are at least 0, or None, but got "
            f"{wanted}"
        )
    space = x.shape[2:]
    outs = [n if o is None else o for n, o in zip(space, wanted, strict=True)]
    if all(o == 1 for o in outs):
        y = x.mean(tuple(range(2, x.ndim)), keepdim=True)
    elif all(o and n % o == 0 for n, o in zip(space, outs, strict=True)):
        y = _avg_pool(rank, x, [n // o for n, o in zip(space, outs, strict=True)], None, 0, False,
                      True, None)  # fmt: skip
    else:
        y = x
        for dim, (n, o) in enumerate(zip(space, outs, strict=True), start=2):
            weights = from_numpy(_averages(n, o)).to(x.dtype)
            y = linear_plain(y.transpose(dim, -1), weights).transpose(dim, -1)
        y = y.contiguous()
    return y if batched else y.squeeze(0)


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
