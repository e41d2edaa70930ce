"""Loop layouts: how the elements of several strided arrays are walked together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

Shape = tuple[int, ...]
Strides = tuple[int, ...]


class Loops(NamedTuple):
    """A loop nest over operands of one (broadcast) shape.

    Strides are in bytes, 0 where an operand broadcasts. The last dimension is the inner loop.
    """

    extents: tuple[int, ...]
    strides: tuple[Strides, ...]  # one per operand, one entry per extent


class Layout(NamedTuple):
    """What a kernel's source depends on: the number of loops, and how each operand moves along
    the inner one: "scalar" (not at all), "dense" (element by element) or "strided"."""

    rank: int
    inner: tuple[str, ...]


def broadcast_strides(shape: Shape, strides: Strides, target: Shape) -> Strides:
    """The strides of an array seen in a broadcast shape: 0 where it repeats."""
    offset = len(target) - len(shape)
    return tuple(
        0 if i < offset or (shape[i - offset] == 1 and n != 1) else strides[i - offset]
        for i, n in enumerate(target)
    )


def collapse(shape: Shape, operands: Sequence[Strides]) -> Loops:
    """As few loops as the strides allow: unit extents dropped, contiguous neighbours merged."""
    dims = [d for d, n in enumerate(shape) if n != 1]
    extents: list[int] = []
    strides: list[list[int]] = [[] for _ in operands]
    for d in dims:
        n = shape[d]
        if extents and all(s[-1] == o[d] * n for s, o in zip(strides, operands, strict=True)):
            extents[-1] *= n
            for s, o in zip(strides, operands, strict=True):
                s[-1] = o[d]
            continue
        extents.append(n)
        for s, o in zip(strides, operands, strict=True):
            s.append(o[d])
    if not extents:
        return Loops((1,), tuple((0,) for _ in operands))
    return Loops(tuple(extents), tuple(tuple(s) for s in strides))


def layout_of(loops: Loops, itemsizes: Sequence[int]) -> Layout:
    """The kernel layout for these loops."""
    inner = tuple(
        "scalar" if s[-1] == 0 else "dense" if s[-1] == size else "strided"
        for s, size in zip(loops.strides, itemsizes, strict=True)
    )
    return Layout(len(loops.extents), inner)


def words(loops: Loops, layout: Layout) -> list[int]:
    """The table words of a kernel: a place for each address, then extents and strides.

    Order: addresses; the inner extent; the outer extents from the second on (the first is the
    kernel's range); the outer strides operand by operand; the inner strides of strided operands.
    """
    n = len(loops.strides)
    result = [0] * n
    if layout.rank > 1:
        result.append(loops.extents[-1])
        result += loops.extents[1:-1]
        for s in loops.strides:
            result += s[:-1]
    result += [s[-1] for s, kind in zip(loops.strides, layout.inner, strict=True)
               if kind == "strided"]  # fmt: skip
    return result


def units(loops: Loops, layout: Layout) -> int:
    """The extent of the kernel's range: elements for one loop, rows for several."""
    if layout.rank == 1:
        return loops.extents[0]
    n = 1
    for e in loops.extents[:-1]:
        n *= e
    return n
