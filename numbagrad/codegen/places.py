"""Where variables lie, and what runs on them: the parts of a plan."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from ..ir.graph import Eqn

Array = np.ndarray[Any, Any]


class Place(NamedTuple):
    """Where a variable lies: index of the buffer, offset and strides in bytes."""

    buffer: int
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class Buffer(NamedTuple):
    """Memory of one kind: "in" (argument), "const", "out", "arena" (at an offset), "numpy"."""

    kind: str
    at: int = 0  # number of the argument, or offset in the arena
    array: Any = None
    shape: tuple[int, ...] = ()
    dtype: Any = None


class Call(NamedTuple):
    """A NumPy step: evaluates one equation."""

    eqn: Eqn
    outputs: tuple[int, ...]


class Kernel(NamedTuple):
    """A native step: where its words point to is known, not yet what is passed."""

    address: int
    words: list[int]
    places: list[tuple[int, Place]]  # (word, what it points to)
    extent: int
    grain: int
    label: str
    flops: int = 0  # arithmetic operations

    @property
    def moved(self) -> int:
        """Bytes that it reads and writes."""
        return sum(touched(place) for _, place in self.places)


def dense(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """The strides in bytes of a contiguous array."""
    return tuple(itemsize * math.prod(shape[d + 1 :]) for d in range(len(shape)))


def touched(place: Place) -> int:
    """Bytes of memory under a place: a broadcast dimension counts once."""
    seen = [n for n, s in zip(place.shape, place.strides) if s]
    smallest = min((s for s in place.strides if s), default=0)
    return math.prod(seen) * smallest
