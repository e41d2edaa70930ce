"""Pooling: the maximum or the mean of windows."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ...creation import from_numpy
from ...ops import conv as C, elementwise as E
from ...ops.export import accepts_out, check_tensor, public
from ...ops.math import div
from ...tensor import Tensor
from .conv import Ints, spatial


def batched(name: str, input: Tensor, rank: int, kinds: str) -> tuple[Tensor, bool]:
    """The input with a batch, and whether it had one."""
    x = check_tensor(name, input, kinds=kinds)
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


def max_pool(
    rank: int, input: Tensor, kernel: Ints, stride: Any, padding: Ints, dilation: Ints,
    ceil_mode: bool, return_indices: bool,
) -> Any:  # fmt: skip
    name = f"max_pool{rank}d"
    # One of one dimension without indices takes another path in PyTorch.
    x, has_batch = batched(name, input, rank, "f" if rank == 1 and not return_indices else "iuf")
    options, _ = _options(name, x, rank, kernel, stride, padding, dilation, ceil_mode)
    values = C.max_pool(x, **options)
    values = values if has_batch else values.squeeze(0)
    if not return_indices:
        return values
    indices = C.max_pool_index(x.detach(), **options) % math.prod(x.shape[2:])
    return values, indices if has_batch else indices.squeeze(0)


@public(method=False)
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
    return max_pool(1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


@public(method=False)
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
    return max_pool(2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


@public(method=False)
def max_pool3d(
    input: Tensor,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    dilation: Ints = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The maximum of windows along the last three dimensions; see :func:`max_pool2d`."""
    return max_pool(3, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def with_indices(pool: Callable[..., Any]) -> Callable[..., tuple[Tensor, Tensor]]:
    """A pooling function that returns where the maxima are, whether it is asked or not."""

    def form(input: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        given = inspect.signature(pool).bind(input, *args, **kwargs)
        given.arguments["return_indices"] = True
        return pool(*given.args, **given.kwargs)

    form.__name__ = form.__qualname__ = f"{pool.__name__}_with_indices"
    form.__doc__ = f"The maxima of :func:`{pool.__name__}`, and where they are."
    return form


max_pool1d_with_indices, max_pool2d_with_indices, max_pool3d_with_indices = map(
    with_indices, (max_pool1d, max_pool2d, max_pool3d)
)


def avg_pool(
    rank: int, input: Tensor, kernel: Ints, stride: Any, padding: Ints, ceil_mode: bool,
    count_include_pad: bool, divisor: int | None,
) -> Tensor:  # fmt: skip
    name = f"avg_pool{rank}d"
    if divisor == 0:
        raise RuntimeError("divisor must be not zero")
    x, has_batch = batched(name, input, rank, kinds="iuf")
    options, pads = _options(name, x, rank, kernel, stride, padding, 1, ceil_mode)
    total = C.pool_sum(x, **options)
    plain = all(hi == p for (_, hi), p in zip(options["padding"], pads, strict=True))
    count: Any = divisor
    if divisor is None and plain and (count_include_pad or not any(pads)):
        count = math.prod(options["kernel"])
    elif divisor is None:
        count = _counts(x.shape[2:], options, pads, count_include_pad).to(x.dtype)
    result = div(total, count, rounding_mode=None if x.is_floating_point() else "trunc")
    return result if has_batch else result.squeeze(0)


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


@public(method=False)
def avg_pool1d(
    input: Tensor,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """The mean of windows along the last dimension; see :func:`avg_pool2d`."""
    return avg_pool(1, input, kernel_size, stride, padding, ceil_mode, count_include_pad, None)


@accepts_out
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
    return avg_pool(
        2, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


@accepts_out
def avg_pool3d(
    input: Tensor,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of windows along the last three dimensions; see :func:`avg_pool2d`."""
    return avg_pool(
        3, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


def _lp_pool(
    rank: int, input: Tensor, norm_type: float, kernel: Ints, stride: Any, ceil_mode: bool
) -> Tensor:
    kernels = spatial(f"lp_pool{rank}d", "kernel_size", kernel, rank)
    mean = avg_pool(rank, input**norm_type, kernels, stride, 0, ceil_mode, True, None)
    # A sum that rounding made negative has a root, too.
    positive = E.sign(mean) * E.relu(E.abs(mean))
    return (positive * math.prod(kernels)) ** (1 / norm_type)


def lp_pool1d(
    input: Tensor,
    norm_type: float,
    kernel_size: Ints,
    stride: Ints | None = None,
    ceil_mode: bool = False,
) -> Tensor:
    """The p-norm of windows along the last dimension; see :func:`lp_pool2d`."""
    return _lp_pool(1, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool2d(
    input: Tensor,
    norm_type: float,
    kernel_size: Ints,
    stride: Ints | None = None,
    ceil_mode: bool = False,
) -> Tensor:
    """The p-norm, without absolute values, of windows of images: (sum of xᵖ) to the power 1/p.

    >>> import numbagrad as ng
    >>> ng.nn.functional.lp_pool2d(ng.tensor([[[3.0, 0.0], [4.0, 0.0]]]), 2, 2).tolist()
    [[[5.0]]]
    """
    return _lp_pool(2, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool3d(
    input: Tensor,
    norm_type: float,
    kernel_size: Ints,
    stride: Ints | None = None,
    ceil_mode: bool = False,
) -> Tensor:
    """The p-norm of windows along the last three dimensions; see :func:`lp_pool2d`."""
    return _lp_pool(3, input, norm_type, kernel_size, stride, ceil_mode)
