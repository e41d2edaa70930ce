"""Windows of a dimension as views, and the sums that undo them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..tensor import Tensor, method
from . import view as V
from .batching import SHIFT
from .registry import call, primitive
from .view import wrap_dim


def _window(x: Any, *, dim: int, size: int, step: int) -> Any:
    return np.lib.stride_tricks.sliding_window_view(x, size, dim, writeable=x.flags.writeable)[
        (slice(None),) * dim + (slice(None, None, step),)
    ]


def _window_shape(x: Any, *, dim: int, size: int, step: int) -> Any:
    return (
        *x.shape[:dim], (x.shape[dim] - size) // step + 1, *x.shape[dim + 1 :], size,
    ), x.dtype  # fmt: skip


def _unwindow(x: Any, *, shape: tuple[int, ...], dim: int, size: int, step: int) -> Any:
    r = np.zeros(shape, x.dtype)
    for i in range(size):
        at = (slice(None),) * dim + (slice(i, i + (x.shape[dim] - 1) * step + 1, step),)
        r[at] += x[..., i]
    return r


_unfold = primitive(
    "unfold", _window, _window_shape, view=True, linear=True,
    grad=lambda g, x_shape, dim, size, step: fold(g, shape=x_shape, dim=dim, size=size, step=step),
    samples=lambda make: [
        call(make(5), dim=0, size=3, step=1), call(make(2, 5), dim=1, size=2, step=2)],
    batch=SHIFT,
    doc="Windows of a dimension, as a new last dimension.",
)  # fmt: skip


fold = primitive(
    "unfold_backward", _unwindow, lambda x, shape, **_: (shape, x.dtype), linear=True,
    grad=lambda g, dim, size, step: _unfold(g, dim=dim, size=size, step=step),
    samples=lambda make: [call(make(3, 3), shape=(5,), dim=0, size=3, step=1)],
    batch=SHIFT,
    doc="The sums of what windows of a dimension hold for each place.",
)  # fmt: skip


@method("unfold")
def unfold(self: Tensor, dimension: int, size: int, step: int) -> Tensor:
    """A view of all windows of `size`, `step` apart, as a new last dimension."""
    d = wrap_dim(dimension, self.ndim)
    x = self if self.ndim else V.reshape(self, (1,))
    if step <= 0:
        raise RuntimeError(f"step is {step} but must be > 0")
    if not 0 <= size <= x._data.shape[d]:
        raise RuntimeError(
            f"maximum size for tensor at dimension {d} is {x.shape[d]} but size is {size}"
        )
    return (
        _unfold(x, dim=d, size=size, step=step)
        if self.ndim
        else V.slice_(x, index=(slice(0, size),))
    )
