"""Arrays by their place in memory: what owns it, and other arrays at any place of it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Shape = tuple[int, ...]


def owner(data: Array) -> Array:
    """The array that owns the memory of `data`."""
    while True:
        base = data.base
        if not isinstance(base, np.ndarray):
            base = getattr(base, "base", None)  # NumPy's stride tricks put an object between
            if not isinstance(base, np.ndarray):
                return data
        data = base


class _Place:
    """A place in memory for NumPy to make an array of; keeps its owner alive."""

    __slots__ = ("__array_interface__", "base")

    def __init__(self, base: Array, address: int, shape: Shape, strides: Shape) -> None:
        self.base = base
        self.__array_interface__ = {
            "version": 3,
            "shape": shape,
            "strides": strides,
            "typestr": base.dtype.str,
            "data": (address, not base.flags.writeable),
        }


def placed(data: Array, size: Shape, stride: Shape, offset: int) -> Array:
    """The array that starts `offset` elements after the first one of `data`."""
    n = data.dtype.itemsize
    place = _Place(data, data.ctypes.data + offset * n, size, tuple(s * n for s in stride))
    array = np.asarray(place)
    return array if array.dtype is data.dtype else array.view(data.dtype)


def row_major(shape: Shape) -> Shape:
    """The strides of a contiguous tensor, in elements."""
    strides = [1]
    for extent in shape[:0:-1]:
        strides.append(strides[-1] * max(extent, 1))
    return tuple(reversed(strides))[-len(shape) :] if shape else ()


def resized(data: Array, shape: Shape) -> Array:
    """The memory of `data` under another shape, copied to a larger place where it is too small."""
    memory = owner(data)
    needed = math.prod(shape)
    start = (data.ctypes.data - memory.ctypes.data) // data.dtype.itemsize
    present = memory.nbytes // data.dtype.itemsize - start
    if needed <= present:
        return placed(data, shape, row_major(shape), 0)
    larger = np.empty(needed, data.dtype)
    larger[:present] = placed(data, (present,), (1,), 0)
    return larger.reshape(shape)
