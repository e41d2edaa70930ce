"""Loop layouts: how the elements of several strided arrays are walked together."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from itertools import repeat
from typing import NamedTuple

REMEMBERED = 4096  # plans of operands of given shapes and strides
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


class Walk(NamedTuple):
    """How a kernel walks its operands."""

    layout: Layout
    words: tuple[int, ...]  # see `words`
    extent: int  # of the kernel's range
    inner: int  # elements for each unit of it


@functools.lru_cache(REMEMBERED)  # the layers of a model have the same shapes again and again
def walk(
    target: Shape, shapes: tuple[Shape, ...], strides: tuple[Strides, ...],
    itemsizes: tuple[int, ...],
) -> Walk:  # fmt: skip
    """The loops over operands that are broadcast to the shape `target`.

    The last operand is written: its elements are walked in the order in which they lie in memory.
    """
    operands = list(map(broadcast_strides, shapes, strides, repeat(target)))
    order = sorted(range(len(target)), key=lambda d: -operands[-1][d])
    if order != list(range(len(target))):
        target = tuple(target[d] for d in order)
        operands = [tuple(s[d] for d in order) for s in operands]
    loops = collapse(target, operands)
    layout = layout_of(loops, itemsizes)
    inner = 1 if layout.rank == 1 else loops.extents[-1]
    return Walk(layout, tuple(words(loops, layout)), units(loops, layout), inner)


def broadcast_strides(shape: Shape, strides: Strides, target: Shape) -> Strides:
    """The strides of an array seen in a broadcast shape: 0 where it repeats."""
    if shape == target:
        return strides
    offset = len(target) - len(shape)
    return tuple(
        0 if i < offset or (shape[i - offset] == 1 and n != 1) else strides[i - offset]
        for i, n in enumerate(target)
    )


def collapse(shape: Shape, operands: Sequence[Strides]) -> Loops:
    """As few loops as the strides allow: unit extents dropped, contiguous neighbours merged."""
    extents: list[int] = []
    columns: list[Strides] = []  # the strides of all operands along one dimension
    for n, column in zip(shape, zip(*operands, strict=True), strict=True):
        if n == 1:
            continue
        if extents and columns[-1] == tuple([s * n for s in column]):
            extents[-1] *= n
            columns[-1] = column
        else:
            extents.append(n)
            columns.append(column)
    if not extents:
        return Loops((1,), tuple((0,) for _ in operands))
    return Loops(tuple(extents), tuple(zip(*columns, strict=True)))


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
