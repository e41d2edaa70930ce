"""Images sampled at places that may themselves be differentiated."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...creation import from_numpy
from ...dtypes import int64
from ...ops import elementwise as E
from ...ops.export import check_tensor
from ...ops.gather import gather_
from ...ops.math import clamp, round
from ...tensor import Tensor


def affine_grid(theta: Tensor, size: Sequence[int], align_corners: bool | None = None) -> Tensor:
    """The places in [-1, 1] that affine maps send the pixels of an image to.

    Args:
        theta: (batch, 2, 3), or (batch, 3, 4) for volumes.
        size: of the image: (batch, channels, height, width) or with depth.
        align_corners: ±1 are the centers of the corner pixels rather than the image's edges.

    Returns:
        (batch, height, width, 2): x, then y; or with depth and z. For :func:`grid_sample`.

    Raises:
        ValueError: a dtype or shape that does not fit.

    >>> import numbagrad as ng
    >>> identity = ng.eye(2, 3)[None]
    >>> ng.nn.functional.affine_grid(identity, (1, 1, 1, 2), align_corners=True).tolist()
    [[[[-1.0, 0.0], [1.0, 0.0]]]]
    """
    if not check_tensor("affine_grid", theta, "theta").is_floating_point():
        raise ValueError(f"Expected theta to have floating point type, but got {theta.dtype}")
    sizes = tuple(size)
    rank = len(sizes) - 2
    if rank not in (2, 3):
        raise NotImplementedError(
            "affine_grid only supports 4D and 5D sizes, for 2D and 3D affine transforms. Got "
            f"{sizes}"
        )
    if theta.ndim != 3 or tuple(theta.shape[1:]) != (rank, rank + 1):
        raise ValueError(
            f"Expected a batch of {rank}D affine matrices of shape Nx{rank}x{rank + 1} for size "
            f"{sizes}. Got {tuple(theta.shape)}."
        )
    if min(sizes) <= 0:
        raise ValueError(f"Expected non-zero, positive output size. Got {sizes}")
    lines = [_centers(n, bool(align_corners)) for n in sizes[2:]]
    places = np.meshgrid(*lines, indexing="ij")
    places = np.stack([*places[::-1], np.ones(sizes[2:])], -1)
    base = from_numpy(places.reshape(1, -1, rank + 1)).to(theta.dtype)
    return (base @ theta.transpose(1, 2)).reshape(sizes[0], *sizes[2:], rank)


def _centers(n: int, align_corners: bool) -> np.ndarray[Any, Any]:
    if n == 1:
        return np.zeros(1)
    edge = 1.0 if align_corners else (n - 1) / n
    return np.linspace(-edge, edge, n)


# -- sampling -------------------------------------------------------------------------------------


def _unnormalised(x: Tensor, n: int, align_corners: bool) -> Tensor:
    """From [-1, 1] to pixels."""
    return (x + 1) * ((n - 1) / 2) if align_corners else ((x + 1) * n - 1) / 2


def _reflected(x: Tensor, low: float, high: float) -> Tensor:
    """x mirrored at `low` and `high` until it lies between them."""
    if low == high:
        return x * 0
    span = high - low
    # Not abs: PyTorch's slope at `low` is 1.
    away = E.where(E.lt(x, low), low - x, x - low)
    flips = E.floor(away / span).detach()
    rest = away - flips * span
    return E.where(E.eq(flips % 2, 0), rest + low, span - rest + low)


def _padded(x: Tensor, n: int, mode: str, align_corners: bool) -> Tensor:
    """Places outside of the image moved to where `mode` takes their values from."""
    if mode == "reflection":
        x = _reflected(x, 0, n - 1) if align_corners else _reflected(x, -0.5, n - 0.5)
    return x if mode == "zeros" else _clipped(x, n)


def _clipped(x: Tensor, n: int) -> Tensor:
    # The slope at and beyond the border is 0, as that of a constant.
    inside = E.logical_and(E.gt(x, 0), E.lt(x, n - 1))
    return E.where(inside, x, clamp(x.detach(), 0, n - 1))


class _Image:
    """An image whose pixels are taken at whole places; those outside of it are 0."""

    def __init__(self, input: Tensor) -> None:
        self.space = tuple(input.shape[2:])
        self.lead = tuple(input.shape[:2])
        self.flat = input.reshape(*self.lead, math.prod(self.space))

    def at(self, places: Sequence[Tensor]) -> Tensor:
        """(batch, channels, points) for one tensor (batch, points) per dimension."""
        index: Any = 0
        inside: Any = None
        for place, n in zip(places, self.space, strict=True):
            ok = E.logical_and(E.ge(place, 0), E.le(place, n - 1))
            inside = ok if inside is None else E.logical_and(inside, ok)
            # NaN is outside; it must not become an index.
            index = index * n + E.where(ok, place, 0.0).to(int64)
        points = index.shape[1]
        wide = index.unsqueeze(1).expand(*self.lead, points)
        return E.where(inside.unsqueeze(1), gather_(self.flat, wide, dim=2), 0.0)


def _nearest(image: _Image, at: list[Tensor]) -> Tensor:
    # Rounds half to even, as PyTorch.
    return image.at([round(x.detach()) for x in at])


def _linear(image: _Image, at: list[Tensor]) -> Tensor:
    low = [E.floor(x.detach()) for x in at]
    total: Any = None
    for corner in itertools.product((0, 1), repeat=len(at)):
        weight: Any = 1.0
        for x, start, far in zip(at, low, corner, strict=True):
            weight = weight * (x - start if far else start + 1 - x)
        places = [start + far for start, far in zip(low, corner, strict=True)]
        part = image.at(places) * weight.unsqueeze(1)
        total = part if total is None else total + part
    return total


def _cubic_weights(t: Tensor, a: float = -0.75) -> list[Tensor]:
    """Keys' cubic convolution kernel (1981) for the four pixels around a place."""

    def near(x: Tensor) -> Tensor:
        return ((a + 2) * x - (a + 3)) * x * x + 1

    def far(x: Tensor) -> Tensor:
        return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a

    return [far(t + 1), near(t), near(1 - t), far(2 - t)]


def _cubic(image: _Image, at: list[Tensor], pad: Callable[[Tensor, int], Tensor]) -> Tensor:
    y, x = at
    low_y, low_x = E.floor(y.detach()), E.floor(x.detach())
    total: Any = None
    for i, weight_y in enumerate(_cubic_weights(y - low_y)):
        row: Any = None
        for j, weight_x in enumerate(_cubic_weights(x - low_x)):
            places = [pad(low_y + (i - 1), 0), pad(low_x + (j - 1), 1)]
            part = image.at(places) * weight_x.unsqueeze(1)
            row = part if row is None else row + part
        row = row * weight_y.unsqueeze(1)
        total = row if total is None else total + row
    return total


def grid_sample(
    input: Tensor,
    grid: Tensor,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Tensor:
    """The values of images at given places.

    Args:
        input: (batch, channels, height, width), or with depth before the height.
        grid: (batch, out height, out width, 2) in [-1, 1]: x, then y; or with depth and z.
        mode: "bilinear", "nearest" or (not for volumes) "bicubic".
        padding_mode: what is outside of the image: "zeros", "border" or "reflection".
        align_corners: ±1 are the centers of the corner pixels rather than the image's edges.

    Returns:
        (batch, channels, out height, out width), or with depth.

    Raises:
        ValueError: an unknown mode.
        RuntimeError: shapes or dtypes that do not fit.

    >>> import numbagrad as ng
    >>> image = ng.tensor([[[[1.0, 3.0]]]])
    >>> ng.nn.functional.grid_sample(image, ng.zeros(1, 1, 1, 2), align_corners=True).item()
    2.0
    """
    if mode not in ("bilinear", "nearest", "bicubic"):
        raise ValueError(
            "nn.functional.grid_sample(): expected mode to be 'bilinear', 'nearest' or 'bicubic', "
            f"but got: '{mode}'"
        )
    if padding_mode not in ("zeros", "border", "reflection"):
        raise ValueError(
            "nn.functional.grid_sample(): expected padding_mode to be 'zeros', 'border', or "
            f"'reflection', but got: '{padding_mode}'"
        )
    check_tensor("grid_sample", input, kinds="f")
    check_tensor("grid_sample", grid, "grid", 2)
    rank = input.ndim - 2
    if rank not in (2, 3) or grid.ndim != input.ndim:
        raise RuntimeError(
            "grid_sampler(): expected 4D or 5D input and grid with same number of dimensions, but "
            f"got input with sizes {list(input.shape)} and grid with sizes {list(grid.shape)}"
        )
    if input.dtype != grid.dtype:
        raise RuntimeError(
            "grid_sampler(): expected input and grid to have same dtype, but input has "
            f"{input.dtype} and grid has {grid.dtype}"
        )
    if input.shape[0] != grid.shape[0] or grid.shape[-1] != rank:
        raise RuntimeError(
            f"grid_sampler(): expected grid to have size {rank} in last dimension, and input and "
            f"grid to have same batch size, but got input with sizes {list(input.shape)} and grid "
            f"with sizes {list(grid.shape)}"
        )
    if 0 in input.shape[2:]:
        raise RuntimeError(
            "grid_sampler(): expected input to have non-empty spatial dimensions, but input has "
            f"sizes {list(input.shape)}"
        )
    if mode == "bicubic" and rank == 3:
        raise RuntimeError("grid_sampler(): bicubic interpolation only supports 4D input")
    corners = bool(align_corners)
    space = tuple(input.shape[2:])
    # The grid counts from the last dimension.
    flat = grid.reshape(grid.shape[0], math.prod(grid.shape[1:-1]), rank)
    at = [_unnormalised(flat[..., rank - 1 - i], n, corners) for i, n in enumerate(space)]
    image = _Image(input)

    def pad(x: Tensor, dim: int) -> Tensor:
        return _padded(x, space[dim], padding_mode, corners)

    if mode == "bicubic":
        y = _cubic(image, at, pad)
    else:
        sample = _nearest if mode == "nearest" else _linear
        y = sample(image, [pad(x, i) for i, x in enumerate(at)])
    return y.reshape(*input.shape[:2], *grid.shape[1:-1])
