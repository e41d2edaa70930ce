"""Where variables lie, and what runs on them: the parts of a plan."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..ir.graph import FUSED, Eqn, Var, show_op, type_name

Array = np.ndarray[Any, Any]


class Place(NamedTuple):
    """Where a variable lies: index of the buffer, offset and strides in bytes."""

    buffer: int
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class Buffer(NamedTuple):
    """Memory of one kind: "in" (argument), "const", "out", "numpy" (result of a NumPy step), "flag"
    (an integer, 0 at first) or "arena" (at an offset)."""

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
    words: Sequence[int]
    places: list[tuple[int, Place]]  # (word, what it points to)
    extent: int
    grain: int
    what: Eqn | str  # what it computes; a word for what no equation asks for
    written: int = 0  # how many of the last places it writes, if that is all it writes and reads

    @property
    def label(self) -> str:
        """What it computes, in words."""
        e = self.what
        if isinstance(e, str):
            return e
        if e.op is FUSED:
            return "fused " + ", ".join(x.op.name for x in e.params["graph"].eqns)
        return " ".join([show_op(e), *(type_name(a) for a in e.inputs if isinstance(a, Var))])

    @property
    def flops(self) -> int:
        """How many arithmetic operations it takes."""
        e = self.what
        if isinstance(e, str):
            return 0
        if e.op is FUSED:
            eqns = e.params["graph"].eqns
            return math.prod(eqns[0].outputs[0].shape) * len(eqns)
        return e.op.count_flops(e.inputs, e.params)

    @property
    def moved(self) -> int:
        """Bytes that it reads and writes, each counted once."""
        return sum(touched(p) for _, p in self.places)


def touched(place: Place) -> int:
    """Bytes of memory under a place: a broadcast dimension counts once."""
    seen = [n for n, s in zip(place.shape, place.strides) if s]
    smallest = min((s for s in place.strides if s), default=0)
    return math.prod(seen) * smallest
