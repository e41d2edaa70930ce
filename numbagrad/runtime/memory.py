"""Memory for large arrays: blocks that are used again instead of going back to the system.

A fresh block of the system costs a page fault and a zeroing every 4 KiB (or 2 MiB): three times
what a memory-bound kernel takes to write it. A training loop asks for the same sizes in each step.
"""

from __future__ import annotations

import math
import os
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

#: Arrays below this many bytes come from NumPy, whose small blocks the C library keeps itself.
POOLED = 1 << 20
_ALIGNMENT = 64  # a cache line, and the widest vector register


def _physical_memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not a POSIX system
        return 8 << 30


#: How many bytes of unused blocks are kept at most.
LIMIT = _physical_memory() // 8

_free: dict[int, list[Array]] = {}


class Count:
    """How much of something there is, has been at most, and came and went in all.

    Plain integers suffice under the GIL: between reading and writing one, CPython neither changes
    threads nor collects garbage.
    """

    __slots__ = ("allocated", "current", "freed", "peak")

    def __init__(self) -> None:
        self.current = self.peak = self.allocated = self.freed = 0

    def add(self, n: int) -> None:
        self.allocated += n
        self.current += n
        if self.current > self.peak:
            self.peak = self.current

    def remove(self, n: int) -> None:
        self.freed += n
        self.current -= n


blocks, in_use, reserved = Count(), Count(), Count()
"""Blocks that arrays lie in, the bytes of these, and the bytes of all blocks."""


class Block:
    """Base of an array made here: gives the memory back when the array and its views are gone."""

    __slots__ = ("__array_interface__", "_raw")

    def __init__(self, raw: Array, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        address = raw.ctypes.data
        self._raw = raw
        blocks.add(1)
        in_use.add(raw.nbytes)
        self.__array_interface__ = {
            "version": 3,
            "shape": shape,
            "typestr": dtype.str,
            "data": (address + -address % _ALIGNMENT, False),
        }

    def __del__(self) -> None:
        if _give_back is not None:  # not at interpreter exit
            _give_back(self._raw)


def _give_back(raw: Array) -> None:
    blocks.remove(1)
    in_use.remove(raw.nbytes)
    if kept() <= LIMIT:
        _free.setdefault(raw.nbytes, []).append(raw)
    else:
        reserved.remove(raw.nbytes)


def empty(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Like ``numpy.empty``; large arrays are aligned to cache lines and come from the pool.

    Raises:
        MemoryError: not even after the unused blocks were released.
    """
    n = math.prod(shape) * dtype.itemsize
    if n < POOLED:
        return np.empty(shape, dtype)
    size = n + _ALIGNMENT
    unused = _free.get(size)
    try:
        raw = unused.pop() if unused else None
    except IndexError:  # another thread took it
        raw = None
    if raw is None:
        try:
            raw = np.empty(size, np.uint8)
        except MemoryError:
            release()
            raw = np.empty(size, np.uint8)
        reserved.add(size)
    array = np.asarray(Block(raw, shape, dtype))
    # The singleton dtype, which fast paths compare by identity.
    return array if array.dtype is dtype else array.view(dtype)


def owner(a: Array) -> Any:
    """What the memory of an array belongs to: itself, another array, a block, a foreign object."""
    base = a.base
    while isinstance(base, np.ndarray) and base.base is not None:  # a view in a block
        base = base.base
    return a if base is None else base


def release() -> None:
    """Give all unused blocks back to the system."""
    while _free:
        size, unused = _free.popitem()
        reserved.remove(size * len(unused))


def kept() -> int:
    """Bytes of unused blocks."""
    return reserved.current - in_use.current
