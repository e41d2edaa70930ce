"""Fractional max pooling (Graham, 2014): windows at random, nearly even distances."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...creation import from_numpy
from ...dispatch import values_of
from ...ops.export import check_tensor
from ...ops.gather import gather_
from ...sampling import rand
from ...tensor import Tensor
from .conv import Ints, spatial
from .pooling import with_indices


def _starts(sample: Any, n: int, out: int, kernel: int) -> Any:
    """Where the windows of one dimension start: (planes, out), for one sample per plane."""
    step = (n - kernel) / (out - 1) if out > 1 else 0.0
    places = np.trunc((np.arange(out) + sample[:, None]) * step) - np.trunc(sample * step)[:, None]
    places[:, -1] = n - kernel
    return places.astype(np.int64)


def _samples(given: Tensor | None, x: Tensor, rank: int) -> Any:
    """(planes, rank) numbers in [0, 1)."""
    drawn = rand((*x.shape[:2], rank), dtype=x.dtype) if given is None else given
    known = values_of(drawn)
    if known is None:
        raise RuntimeError(
            "fractional_max_pool cannot be traced: the windows depend on random numbers; pass "
            "_random_samples from outside of the compiled function"
        )
    batch, channels = x.shape[:2]
    if drawn.ndim != 3 or drawn.shape[0] < batch or tuple(drawn.shape[1:]) != (channels, rank):
        raise RuntimeError(
            f"Expect _random_samples of shape {(batch, channels, rank)}, or of a larger batch, but "
            f"got {tuple(drawn.shape)}"
        )
    samples = known.reshape(-1, rank)[: batch * channels]
    # PyTorch counts from the width in two dimensions, and from the depth in three.
    return samples[:, ::-1] if rank == 2 else samples


def _fractional_max_pool(
    rank: int, input: Tensor, kernel_size: Ints, output_size: Any, output_ratio: Any,
    return_indices: bool, given: Tensor | None,
) -> Any:  # fmt: skip
    name = f"fractional_max_pool{rank}d"
    if output_size is None and output_ratio is None:
        raise ValueError(f"{name} requires specifying either an output_size or an output_ratio")
    if check_tensor(name, input, kinds="f").ndim not in (rank + 1, rank + 2):
        raise RuntimeError(
            f"{name}(): Expected {rank + 1}D or {rank + 2}D tensor, but got: {list(input.shape)}"
        )
    x = input if input.ndim == rank + 2 else input.unsqueeze(0)
    if 0 in x.shape[1:]:
        raise RuntimeError(
            f"{name}(): Expected input to have non-zero size for non-batch dimensions, but got: "
            f"{list(input.shape)}"
        )
    space = tuple(x.shape[2:])
    kernel = spatial(name, "kernel_size", kernel_size, rank)
    if output_size is None:
        ratios: Sequence[float] = (
            (output_ratio,) * rank if isinstance(output_ratio, float) else output_ratio
        )
        outs = tuple(int(n * r) for n, r in zip(space, ratios, strict=True))
    else:
        outs = spatial(name, "output_size", output_size, rank)
    for n, k, o in zip(space, kernel, outs, strict=True):
        if not 0 < o + k - 1 <= n:
            raise RuntimeError(
                f"{name}(): pool size {k} and output size {o} are too large relative to the input "
                f"size {n}"
            )
    samples = _samples(given, x, rank)
    planes = len(samples)
    index: Any = np.zeros((planes, *(1,) * (2 * rank)), np.int64)
    for i, (n, k, o) in enumerate(zip(space, kernel, outs, strict=True)):
        # (planes, outs..., kernel...): extent o in dimension i, k in dimension rank + i.
        places = _starts(samples[:, i], n, o, k)[:, :, None] + np.arange(k)
        shape = [planes, *(1,) * (2 * rank)]
        shape[1 + i], shape[1 + rank + i] = o, k
        index = index * n + places.reshape(shape)
    table = from_numpy(index.reshape(*x.shape[:2], math.prod(outs), math.prod(kernel)))
    flat = x.reshape(*x.shape[:2], math.prod(space))
    seen = gather_(flat.detach(), table.flatten(2), dim=2).reshape(table.shape)
    where = gather_(table, seen.argmax(-1, keepdim=True), dim=3).squeeze(3)
    values = gather_(flat, where, dim=2).reshape(*x.shape[:2], *outs)
    where = where.reshape(values.shape)
    if input.ndim == rank + 1:
        values, where = values.squeeze(0), where.squeeze(0)
    return (values, where) if return_indices else values


def fractional_max_pool2d(
    input: Tensor,
    kernel_size: Ints,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> Any:
    """The maxima of windows of images that lie at random, nearly even distances.

    Args:
        input: (batch, channels, height, width), or without the batch.
        output_size, output_ratio: the size of the output, or its ratio to the input's.
        return_indices: also return where in the flattened image each maximum is.
        _random_samples: (batch, channels, 2) numbers in [0, 1) that decide where windows lie.

    Raises:
        ValueError: neither size nor ratio.
        RuntimeError: shapes that do not fit.

    >>> import numbagrad as ng
    >>> ng.nn.functional.fractional_max_pool2d(ng.ones(1, 1, 7, 7), 2, output_ratio=0.5).shape
    numbagrad.Size([1, 1, 3, 3])
    """
    return _fractional_max_pool(
        2, input, kernel_size, output_size, output_ratio, return_indices, _random_samples
    )


def fractional_max_pool3d(
    input: Tensor,
    kernel_size: Ints,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> Any:
    """The same along the last three dimensions; see :func:`fractional_max_pool2d`."""
    return _fractional_max_pool(
        3, input, kernel_size, output_size, output_ratio, return_indices, _random_samples
    )


fractional_max_pool2d_with_indices, fractional_max_pool3d_with_indices = map(
    with_indices, (fractional_max_pool2d, fractional_max_pool3d)
)
