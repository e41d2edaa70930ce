"""Results put together from parts: concatenation, padding, copies, the gradient of a slice.

The record of such an op says which views of its result hold the inputs. Where it can be, whatever
computes an input writes it there at once; the others are copied, and what is left gets a number.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ..ir.graph import FUSED, Eqn, Graph, Var, dense
from . import loops
from .places import Array, Buffer, Place

if TYPE_CHECKING:
    from .plan import Plan

_SHORTEST = 16  # elements side by side from which on a kernel had better write a part itself
#: Dtypes as which elements of each size are moved.
INTEGERS = {size: np.dtype(f"i{size}") for size in (1, 2, 4, 8)}

Box = list[tuple[int, int]]  # (start, extent) in each dimension


class Part(NamedTuple):
    """Where an input lies in the result, in bytes."""

    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def made_of_parts(e: Eqn) -> bool:
    """Whether the equation's result is put together here."""
    if e.op.native is None or e.op.native[0] != "parts":
        return False
    if not all(isinstance(v, Var) and v.dtype == e.outputs[0].dtype for v in e.inputs):
        return False
    try:
        parts_of(e)
    except RuntimeError:  # in contiguous memory, as a program's results are, they are no views
        return False
    return True


def parts_of(e: Eqn, strides: tuple[int, ...] | None = None) -> tuple[list[Part], Any]:
    """A part for each input, and the number that is elsewhere (None: nothing is).

    Args:
        strides: those of the result, dense by default.
    """
    out = e.outputs[0]
    strides = dense(out.shape, out.dtype.itemsize) if strides is None else strides
    ghost = as_strided(np.empty(0, out.dtype), out.shape, strides)  # there is no memory behind it
    views, filling = e.op.native[1](ghost, *e.inputs, **e.params)
    start = _address(ghost)
    return [Part(_address(v) - start, v.shape, v.strides) for v in views], filling


def _address(a: Array) -> int:
    return a.__array_interface__["data"][0]


def _disjoint(parts: list[Part], out: Var) -> bool:
    return sum(math.prod(p.shape) for p in parts) <= math.prod(out.shape)


def inlays(graph: Graph, escaping: set[Var]) -> dict[Var, tuple[Eqn, int]]:
    """Variables that whatever computes them can write into the result that they are a part of.

    Returns the equation of that result, and which of its inputs the variable is.
    """
    movable: set[Var] = set()
    found: dict[Var, tuple[Eqn, int]] = {}
    for e in graph.eqns:
        if e.op is FUSED:
            movable.update(e.outputs)
        if not made_of_parts(e) or 0 in e.outputs[0].shape:
            continue
        parts, _ = parts_of(e)
        if not _disjoint(parts, e.outputs[0]):
            continue  # a part lies upon another
        for i, (v, part) in enumerate(zip(e.inputs, parts, strict=True)):
            if not isinstance(v, Var) or v not in movable or v in escaping or v in found:
                continue
            if part.shape == v.shape and _side_by_side(part, v.dtype.itemsize):
                found[v] = (e, i)
        movable.add(e.outputs[0])
    return found


def _side_by_side(part: Part, itemsize: int) -> bool:
    nest = loops.collapse(part.shape, [part.strides])
    if nest.strides[0][-1] not in (0, itemsize):
        return False
    return len(nest.extents) == 1 or nest.extents[-1] >= _SHORTEST


def put_together(plan: Plan, e: Eqn, _: Any) -> bool:
    """Kernels for the parts that nobody has written yet."""
    if not made_of_parts(e):
        return False
    place = opened(plan, e)
    parts, _ = parts_of(e, place.strides)
    for i, (v, part) in enumerate(zip(e.inputs, parts, strict=True)):
        assert isinstance(v, Var)
        if plan.inlaid.get(v) != (e, i):
            move(plan, plan.places[v], _within(place, part), v.dtype.itemsize, "copy")
    return True


def opened(plan: Plan, e: Eqn) -> Place:
    """Memory for the result, in which everything beside the parts is written."""
    out = e.outputs[0]
    place = plan.places.get(out)
    if place is not None:  # a part was computed before
        return place
    place = plan.allocate(out)
    parts, filling = parts_of(e)
    if filling is not None and 0 not in out.shape:
        for box in _beside(parts, out):
            offset = sum(i * s for (i, _), s in zip(box, place.strides, strict=True))
            part = Part(offset, tuple(n for _, n in box), place.strides)
            fill(plan, _within(place, part), filling, out.dtype)
    return place


def fill(plan: Plan, place: Place, number: Any, d: np.dtype[Any]) -> None:
    """A kernel that stores one number everywhere."""
    source = Place(plan.new(Buffer("const", array=np.array(number, d))), 0, (), ())
    move(plan, source, place, d.itemsize, "fill")


def part_place(plan: Plan, v: Var) -> Place:
    """Where an inlaid variable lies."""
    e, i = plan.inlaid[v]
    place = opened(plan, e)
    return _within(place, parts_of(e, place.strides)[0][i])


def _within(place: Place, part: Part) -> Place:
    return Place(place.buffer, place.offset + part.offset, part.shape, part.strides)


def move(plan: Plan, source: Place, target: Place, itemsize: int, what: str) -> None:
    """A kernel that copies elements of any dtype, as integers of their size."""
    if itemsize not in INTEGERS:  # complex128
        itemsize //= 2
        source, target = (
            Place(p.buffer, p.offset, (*p.shape, 2), (*p.strides, itemsize))
            for p in (source, target)
        )
    x = Var(source.shape, INTEGERS[itemsize])
    plan.pointwise(Graph((x,), (), (x,)), [source], [target], what)


def _beside(parts: list[Part], out: Var) -> list[Box]:
    """Boxes that cover everything beside the parts."""
    whole = [(0, n) for n in out.shape]
    box = _box(parts[0], out) if len(parts) == 1 else None
    if box is None:
        return [whole]
    rest = []
    for d, (start, n) in enumerate(box):
        for first, last in ((0, start), (start + n, out.shape[d])):
            if first < last:
                rest.append([*box[:d], (first, last - first), *whole[d + 1 :]])
    return rest


def _box(part: Part, out: Var) -> Box | None:
    """The part as a box, if it takes neighbours only."""
    left = [(s, n) for n, s in zip(part.shape, part.strides, strict=True) if n != 1]
    offset = part.offset
    box = []
    for n, s in zip(out.shape, dense(out.shape, out.dtype.itemsize), strict=True):
        extent = 1
        if left and left[0][0] == s and n != 1:
            extent = left.pop(0)[1]
        box.append((offset // s, extent))
        offset %= s
    return None if left or 0 in part.shape else box
