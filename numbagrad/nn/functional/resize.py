"""Images at other sizes. One dimension at a time: every mode is separable."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...creation import from_numpy
from ...dtypes import uint8
from ...ops.export import check_tensor
from ...ops.gather import take_rows
from ...tensor import Tensor
from .adaptive import adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d

Array = np.ndarray[Any, Any]

#: The number of spatial dimensions that each mode takes.
_RANKS = {
    "nearest": (1, 2, 3), "nearest-exact": (1, 2, 3), "area": (1, 2, 3), "linear": (1,),
    "bilinear": (2,), "bicubic": (2,), "trilinear": (3,),
}  # fmt: skip
_NO_CORNERS = ("nearest", "nearest-exact", "area")


def cubic(t: Array, a: float = -0.75) -> Array:
    """Keys' cubic convolution kernel (1981) at the distance t."""
    t = np.abs(t)
    near = ((a + 2) * t - (a + 3)) * t * t + 1
    far = a * (((t - 5) * t + 8) * t - 4)
    return np.where(t <= 1, near, np.where(t < 2, far, 0.0))


def _positions(n: int, out: int, scale: float | None, align_corners: bool) -> tuple[Array, float]:
    """Where the output's pixels lie among the input's, and the distance between them."""
    if align_corners:
        step = (n - 1) / (out - 1) if out > 1 else 0.0
        return np.arange(out) * step, step
    step = 1 / scale if scale else n / out
    return (np.arange(out) + 0.5) * step - 0.5, step


def _nearest(n: int, out: int, scale: float | None, exact: bool) -> Array:
    # In single precision, as PyTorch: which neighbour a tie goes to depends on it.
    step = np.float32(1 / scale if scale else n / out)
    places = (np.arange(out, dtype=np.float32) + np.float32(0.5 if exact else 0)) * step
    return np.minimum(np.floor(places).astype(np.int64), n - 1)


def _taps(
    mode: str, n: int, out: int, scale: float | None, align_corners: bool
) -> list[tuple[Array, Array]]:
    """(index, weight) of the input's pixels whose sum is the output's."""
    at, _ = _positions(n, out, scale, align_corners)
    if mode != "bicubic":
        at = np.maximum(at, 0)
    low = np.floor(at).astype(np.int64)
    if mode != "bicubic":
        low = np.minimum(low, n - 1)
        t = np.clip(at - low, 0, 1)
        return [(low, 1 - t), (np.minimum(low + 1, n - 1), t)]
    return [(np.clip(low + i, 0, n - 1), cubic(at - low - i)) for i in (-1, 0, 1, 2)]


def _antialiased(
    mode: str, n: int, out: int, scale: float | None, align_corners: bool
) -> list[tuple[Array, Array]]:
    """The same where the kernel is as wide as the distance of the output's pixels."""
    at, step = _positions(n, out, scale, align_corners)
    wide = max(step, 1.0)
    support = (2 if mode == "bicubic" else 1) * wide
    center = at + 0.5
    first = np.maximum((center - support + 0.5).astype(np.int64), 0)
    last = np.minimum((center + support + 0.5).astype(np.int64), n)
    taps, total = [], np.zeros(out)
    for i in range(int((last - first).max(initial=0))):
        index = first + i
        t = (index - center + 0.5) / wide
        weight = cubic(t, -0.5) if mode == "bicubic" else np.maximum(1 - np.abs(t), 0)
        weight = np.where(index < last, weight, 0.0)
        total += weight
        taps.append((np.minimum(index, n - 1), weight))
    return [(index, weight / total) for index, weight in taps]


def _resized(x: Tensor, dim: int, taps: list[tuple[Array, Array]]) -> Tensor:
    after = (1,) * (x.ndim - dim - 1)
    total = None
    for index, weight in taps:
        factor = from_numpy(weight.reshape(-1, *after)).to(x.dtype)
        part = take_rows(x, from_numpy(index), dim=dim) * factor
        total = part if total is None else total + part
    assert total is not None
    return total


def _per_dimension(name: str, value: Any, rank: int, kind: Any) -> list[Any]:
    if isinstance(value, Sequence):
        if len(value) != rank:
            raise ValueError(
                f"Input and output must have the same number of spatial dimensions, but got input "
                f"with {rank} of them and {name} of {tuple(value)}"
            )
        return [kind(v) for v in value]
    return [kind(value)] * rank


def interpolate(
    input: Tensor,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """`input` at another size.

    Args:
        input: (batch, channels, then one to three dimensions).
        size, scale_factor: one of both, a number or one per dimension.
        mode: "nearest", "nearest-exact", "linear" (1 dimension), "bilinear", "bicubic" (2),
            "trilinear" (3) or "area" (the mean of equal parts).
        align_corners: the centers of the corner pixels stay where they are, rather than the
            corners of the image.
        recompute_scale_factor: sample at the ratio of the sizes rather than at `scale_factor`.
        antialias: "bilinear" and "bicubic" average over what a smaller image leaves out.

    Raises:
        ValueError: neither or both of `size` and `scale_factor`, numbers that do not fit the
            input, or options that do not fit the mode.
        NotImplementedError: a mode that does not fit the number of dimensions.
        RuntimeError: an empty input or output.

    >>> import numbagrad as ng
    >>> ng.nn.functional.interpolate(ng.tensor([[[0.0, 4.0]]]), 4, mode="linear").tolist()
    [[[0.0, 1.0, 3.0, 4.0]]]
    """
    rank = check_tensor("interpolate", input).ndim - 2
    _check_mode(mode, align_corners, antialias)
    if size is not None and scale_factor is not None:
        raise ValueError("only one of size or scale_factor should be defined")
    if size is None and scale_factor is None:
        raise ValueError("either size or scale_factor should be defined")
    scales: list[Any] = [None] * max(rank, 0)
    if size is not None:
        if recompute_scale_factor:
            raise ValueError("recompute_scale_factor is not meaningful with an explicit size.")
        outs = _per_dimension("size", size, rank, int)
    else:
        scales = _per_dimension("scale_factor", scale_factor, rank, float)
        outs = [math.floor(n * s) for n, s in zip(input.shape[2:], scales, strict=True)]
        if recompute_scale_factor or antialias or mode == "area":
            scales = [None] * rank
    if rank not in _RANKS.get(mode, ()):
        raise NotImplementedError(
            "Input Error: Only 3D, 4D and 5D input Tensors supported (got "
            f"{input.ndim}D) for the modes: nearest | linear | bilinear | bicubic | trilinear | "
            f"area | nearest-exact (got {mode})"
        )
    if min(*input.shape[1:], *outs) <= 0:
        raise RuntimeError(
            "Input and output sizes should be greater than 0, but got input "
            f"{list(input.shape)} and output {outs}"
        )
    if mode == "area":
        return (adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d)[rank - 1](
            input, outs
        )
    # Of integers only pixels are taken, that is uint8, and images of them unless by nearest ones.
    pixels = input.dtype is uint8 and (rank == 2 or mode in _NO_CORNERS)
    check_tensor(f"interpolate with mode {mode}", input, kinds="uf" if pixels else "f")
    if mode not in _NO_CORNERS and pixels:
        # Pixels: weighted in float32 and rounded.
        y = interpolate(
            input.float(), size, scale_factor, mode, align_corners, recompute_scale_factor,
            antialias,
        )  # fmt: skip
        return y.round().clamp(0, 255).to(uint8)
    y = input
    for dim, (out, scale) in enumerate(zip(outs, scales, strict=True), start=2):
        n = y.shape[dim]
        if mode in _NO_CORNERS:
            y = take_rows(y, from_numpy(_nearest(n, out, scale, mode != "nearest")), dim=dim)
        elif antialias:
            y = _resized(y, dim, _antialiased(mode, n, out, scale, bool(align_corners)))
        elif out != n or scale not in (None, 1.0):
            y = _resized(y, dim, _taps(mode, n, out, scale, bool(align_corners)))
    return y


def _check_mode(mode: str, align_corners: bool | None, antialias: bool) -> None:
    if mode in _NO_CORNERS and align_corners is not None:
        raise ValueError(
            "align_corners option can only be set with the interpolating modes: linear | bilinear "
            "| bicubic | trilinear"
        )
    if antialias and mode not in ("bilinear", "bicubic"):
        raise ValueError(
            "Anti-alias option is restricted to bilinear and bicubic modes and requires a 4-D "
            "tensor as input"
        )


def upsample(
    input: Tensor,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Tensor:
    """The old name of :func:`interpolate`."""
    warnings.warn(
        "`nn.functional.upsample` is deprecated. Use `nn.functional.interpolate` instead.",
        stacklevel=2,
    )
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(
    input: Tensor,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
) -> Tensor:
    """``interpolate(mode="nearest")`` under its old name."""
    warnings.warn(
        "`nn.functional.upsample_nearest` is deprecated. Use `nn.functional.interpolate` instead.",
        stacklevel=2,
    )
    return interpolate(input, size, scale_factor, mode="nearest")


def upsample_bilinear(
    input: Tensor,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
) -> Tensor:
    """``interpolate(mode="bilinear", align_corners=True)`` under its old name."""
    warnings.warn(
        "`nn.functional.upsample_bilinear` is deprecated. Use `nn.functional.interpolate` instead.",
        stacklevel=2,
    )
    return interpolate(input, size, scale_factor, mode="bilinear", align_corners=True)
