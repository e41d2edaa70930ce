"""Matrix products."""

from __future__ import annotations

import math
from typing import Any

from ..runtime import openblas
from ..tensor import Tensor
from .batching import batch_matmul
from .elementwise import conj, mul
from .registry import broadcast_shapes, call, primitive
from .view import permute


def transpose_last(x: Tensor) -> Tensor:
    """The last two dimensions exchanged."""
    n = x.ndim
    return permute(x, dims=(*range(n - 2), n - 1, n - 2))


def _matmul_shape(x: Any, y: Any) -> Any:
    if x.shape[-1] != y.shape[-2]:
        raise RuntimeError(
            f"mat1 and mat2 shapes cannot be multiplied ({x.shape[-2]}x{x.shape[-1]} and "
            f"{y.shape[-2]}x{y.shape[-1]})"
        )
    batch = broadcast_shapes(x.shape[:-2], y.shape[:-2])
    return (*batch, x.shape[-2], y.shape[-1]), x.dtype


def _lower_matmul(x: Tensor, y: Tensor) -> Tensor:
    """Outer products are pointwise: fused, and faster than by BLAS."""
    return mul(x, y) if x._data.shape[-1] == 1 else matmul(x, y)


matmul = primitive(
    "matmul",
    openblas.matmul,
    _matmul_shape,
    inputs=("x", "y"),
    grad=(
        lambda g, y: matmul(g, conj(transpose_last(y))),
        lambda g, x: matmul(conj(transpose_last(x)), g),
    ),
    samples=lambda make: [
        call(make(2, 3), make(3, 2)),
        call(make(2, 2, 3), make(3, 1)),
        call(make(2, 0), make(0, 2)),
    ],
    multilinear=True,
    flops=lambda x, y: 2 * math.prod(_matmul_shape(x, y)[0]) * x.shape[-1],
    native=("matmul", None),
    lower=_lower_matmul,
    batch=batch_matmul,
    doc="Products of matrices (the last two dimensions), broadcast over the others; one dtype.",
)
